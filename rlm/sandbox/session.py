"""Session: what the host does with a REPL, wherever that runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from rlm.cancel import Cancel
from rlm.errors import ContextError
from rlm.sandbox import launch, limits
from rlm.sandbox.connection import Connection, WorkerDied
from rlm.sandbox.context import named, transfer
from rlm.sandbox.policy import Policy, Report

TICK = 0.2
# seconds between two looks at the clock and the cancel switch


class Session:
    """One REPL at the end of a connection; here one that can neither be stopped nor put right."""

    connection: Connection

    def load(
        self,
        context: Any,
        *,
        output_limit: int,
        memory: int,
        without: Collection[str],
        policy: Policy,
        cancel: Cancel,
    ) -> tuple[dict[str, Any], Report]:
        """Hands the context over; returns what the worker says of it, and which protections it found.

        No model's code has run yet: this much is believed.
        """
        way = transfer(context)
        start: dict[str, Any] = {"do": "start", "context": way.kind, "size": way.size, "path": way.path}
        start |= {"packages": launch.packages(), "output_limit": output_limit, "memory": memory}
        self.connection.send(start | {"without": sorted(without)})
        framed = way.size is None
        with suppress(WorkerDied):  # it may have said why before it ended
            for piece in way.pieces:
                cancel.check()
                self.connection.send_bytes(piece, framed=framed)
            if framed and way.kind in ("text", "marshal"):
                self.connection.send_bytes(b"", framed=True)
        frame = None
        deadline = time.monotonic() + limits.START_TIMEOUT
        while frame is None:
            cancel.check()
            if time.monotonic() > deadline and way.kind != "path":
                raise WorkerDied(f"it was not ready after {limits.START_TIMEOUT:g} s")
            frame = self.connection.receive(TICK)
        if frame.get("do") == "refused":
            raise ContextError(f"Cannot use {named(context)}: {frame.get('error')}.")
        return dict(frame.get("context") or {}), Report(policy, frame["missing"], frame["held"])

    def order(self, order: Mapping[str, Any], *, snapshot: bool) -> None:  # noqa: ARG002
        """Sends an order; with `snapshot`, a copy of the REPL is left behind first, where one can be."""
        self.connection.send(order)

    def hand_over(self, order: Mapping[str, Any], descriptor: int) -> None:
        """Sends an order with an open file for the REPL; snapshots from before it are let go."""
        self.connection.send(order, descriptor)

    def alive(self) -> bool:
        """Whether what watches over the REPL is there."""
        return True

    def settle(self) -> None:
        """Leaves the REPL its process and one snapshot that does not run, whatever an order made it fork."""

    def roll_back(self) -> int:
        """Lets a snapshot take the REPL's place; of how many cells the work is lost, or 0 where none can."""
        return 0

    def interrupt(self) -> None:
        """Asks the cell to stop."""

    def freeze(self) -> None:
        """Stops threads that a cell has left running: they would take time from a model on this machine."""

    def cpu_seconds(self) -> float:
        """Processor time that the REPL has used; 0 where the system does not tell."""
        return 0.0

    def how_it_ended(self) -> str:
        """One sentence for the model."""
        return "The cell ended the REPL."

    def close(self) -> None:
        """Ends the REPL."""
        self.connection.close()
