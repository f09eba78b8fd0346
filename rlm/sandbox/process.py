"""A session in a process of its own, which the launcher forks, signals and ends."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rlm.errors import SandboxError
from rlm.sandbox import launch, limits
from rlm.sandbox.connection import Connection, WorkerDied
from rlm.sandbox.protocol import GONE, RUNNING, Do
from rlm.sandbox.session import Session


class Process(Session):
    """A session of a worker process, and at most one snapshot of it that waits to take over.

    Raises:
        SandboxError: it cannot be started.
    """

    def __init__(self) -> None:
        self._launcher = launch.launcher()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._session = self._worker = self._launcher.spawn(theirs)
        except OSError as error:
            ours.close()
            raise SandboxError(f"The REPL process did not start: {error}.") from error
        self.connection = Connection(ours)
        self._spare: socket.socket | None = None
        self._frozen = False

    def order(self, order: Mapping[str, Any], *, snapshot: bool) -> None:
        self.thaw()
        theirs = None
        if snapshot:
            self._launcher.tell(Do.ALLOW, self._session)
            self._spare, theirs = socket.socketpair()
        try:
            self.connection.send(order, theirs.fileno() if theirs else None)
        finally:
            if theirs:
                theirs.close()

    def commit(self) -> None:
        if self._spare:
            self._spare.close()
            self._spare = None

    def roll_back(self) -> bool:
        self._launcher.tell(Do.SIGNAL, self._session, signal.SIGKILL)
        self.connection.close()
        spare, self._spare, self._frozen = self._spare, None, False
        if spare is None:
            return False
        self.connection = Connection(spare)
        try:
            spare.sendall(b"!")
            frame = self.connection.receive(limits.ADOPTION)
        except (OSError, WorkerDied):
            return False
        process = frame.get("process") if frame else None
        if not isinstance(process, int) or not 0 < process < 2**31:
            return False
        self._worker = process
        return self._launcher.ask(Do.ADOPT, self._session, process) == 0

    def interrupt(self) -> None:
        self._launcher.tell(Do.SIGNAL, self._session, signal.SIGINT)

    def freeze(self) -> None:
        if sys.platform == "linux" and not self._frozen:
            with suppress(OSError):
                if os.stat(f"/proc/{self._worker}/task").st_nlink > 3:  # ".", ".." and the main thread
                    self._launcher.tell(Do.SIGNAL, self._session, signal.SIGSTOP)
                    self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self._launcher.tell(Do.SIGNAL, self._session, signal.SIGCONT)
            self._frozen = False

    def cpu_seconds(self) -> float:
        if sys.platform != "linux":
            return 0.0
        try:  # a process's clock, as clock_getcpuclockid(3) makes it of the process id
            return time.clock_gettime(~self._worker << 3 | 2)
        except OSError:
            return 0.0

    def how_it_ended(self) -> str:
        deadline = time.monotonic() + limits.CHECK_TIMEOUT
        while (code := self._launcher.ask(Do.STATUS, self._session)) == RUNNING:
            if time.monotonic() > deadline or sys.platform != "linux":
                return "The cell closed the session's connection."
            time.sleep(0.001)
        if code == GONE:
            return "The processes of the session were ended from outside."
        if code < 0:
            return f"The cell crashed the Python process ({_signal_name(-code)})."
        return f"The cell ended the Python process (exit code {code})."

    def close(self) -> None:
        self._launcher.tell(Do.CLOSE, self._session)
        self.connection.close()
        self.commit()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"
