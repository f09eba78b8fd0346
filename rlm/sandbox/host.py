"""Starts the REPL's process, runs cells in it and ends it. Believes nothing that the process sends.

The worker is a clean interpreter (`-I -S`, empty environment, own session, no inherited descriptors) on a
private socket pair. This first version does not confine it: it holds a time limit for each cell, bounds for
output and frames, and the restart after a crash.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rlm.cancel import Cancel
from rlm.errors import ContextError, RLMError, SandboxError
from rlm.sandbox import worker
from rlm.sandbox.context import checked
from rlm.sandbox.context import pieces as context_pieces
from rlm.types import Answer, Execution, Final

CELL_TIMEOUT = 60.0
# seconds of a cell's own work; waiting for models is not counted
STOP_GRACE = 2.0
# seconds between asking a cell to stop and killing the process
START_TIMEOUT = 30.0
# seconds for the process to start, on top of the hand-over of the context
OUTPUT_LIMIT = 100_000
# characters of a cell's output that are kept
_TICK = 0.2
# seconds between two looks at the clock and the cancel switch


class _WorkerDied(Exception):
    """The process ended or broke the protocol; the text says how, for the model to read."""


class Sandbox:
    """A REPL with the context as the variable `context`; a context manager.

    Args:
        context: str, bytes that are UTF-8 text, list, dict or another plain value, or None;
            a `Path` is a UTF-8 text file that this process never holds in memory.
        query: answers one sub prompt; called from several threads at once; raises RLMError if it cannot.
        concurrency: how many sub calls run at once.
        cell_timeout: seconds of a cell's own work.
        output_limit: characters of output kept for each cell, head and tail.

    Raises:
        ContextError: the context is of another type, is missing, or is not text.
        SandboxError: the process does not start.
    """

    def __init__(
        self,
        context: Any = None,
        *,
        query: Callable[[str], str],
        concurrency: int = 4,
        cell_timeout: float = CELL_TIMEOUT,
        output_limit: int = OUTPUT_LIMIT,
        cancel: Cancel | None = None,
    ) -> None:
        self.cell_timeout = cell_timeout
        self.context: dict[str, Any] = {}
        # what the worker says of the context: its type, size, beginning
        self._context = checked(context)
        self._query = query
        self._output_limit = output_limit
        self._cancel = cancel or Cancel()
        self._cells = self._orders = 0
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="rlm-sub")
        self._worker: _Worker | None = None
        try:
            self._start()
        except BaseException:  # Ctrl-C too must leave no process behind
            self.close()
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Kills the process and forgets sub calls that have not begun."""
        if self._worker:
            self._worker.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def execute(self, code: str) -> Execution:
        """Runs one cell. Whatever the code does is in the Execution.

        Raises:
            Cancelled: the switch was thrown meanwhile.
            SandboxError: the process died and could not be started again.
        """
        self._cells += 1
        return self._order({"do": "execute", "name": f"<cell {self._cells}>", "code": code}, code)

    def resolve(self, final: Final) -> Execution:
        """Looks up the value that a FINAL(…) in a reply's text names.

        Its `final` is None where the REPL has no such value; for FINAL_VAR, its `error` then says so.
        """
        order = {"do": "resolve", "text": final.text, "variable": final.kind == "variable"}
        return self._order(order, f"FINAL({final.text})")

    def _start(self) -> None:
        try:
            self._worker = _Worker()
            self.context = self._worker.load(self._context, self._output_limit, self._cancel)
        except _WorkerDied as error:
            raise SandboxError(f"The REPL process did not start: {error}") from error
        except OSError as error:
            if isinstance(self._context, Path):
                raise ContextError(f"Cannot read the context {self._context}: {error.strerror}.") from error
            raise SandboxError(f"The REPL process did not start: {error}") from error

    def _order(self, order: dict[str, Any], code: str) -> Execution:
        assert self._worker, "started in __init__"
        began = time.monotonic()
        self._orders += 1
        try:
            self._worker.send(order | {"id": self._orders})
            done = self._serve(self._worker)
            return _execution(done, code, time.monotonic() - began, self.cell_timeout)
        except _WorkerDied as death:
            self._worker.kill()
            self._start()
            error = (
                f"{death} The session was restarted: `context` is there again, all your variables are lost."
            )
            return Execution(code, error=error, seconds=time.monotonic() - began)

    def _serve(self, process: _Worker) -> dict[str, Any]:
        """Answers the cell's sub calls until it is done, and stops it when its time is up."""
        clock = _Clock(self.cell_timeout)
        stopping = False
        while True:
            self._cancel.check()
            left = clock.left()
            if left <= 0 and stopping:
                raise _WorkerDied(
                    f"TimeoutError: the cell ran for {self.cell_timeout:g} s, did not stop and was killed."
                )
            if left <= 0:
                stopping = True
                clock.left(STOP_GRACE)
                process.interrupt()
            frame = process.receive(_TICK)
            if frame is None:
                continue
            if frame.get("do") == "done" and frame.get("id") == self._orders:
                return frame  # another one is forged, or is late because a forged one came before it
            if frame.get("do") == "call":
                clock.pause()
                self._pool.submit(self._answer, process, clock, frame)

    def _answer(self, process: _Worker, clock: _Clock, call: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"do": "reply", "id": call.get("id")}
        try:
            reply["text"] = self._query(str(call.get("prompt")))
        except RLMError as error:
            reply["error"] = str(error)
        except BaseException as error:  # a user's client may raise anything; only the model can hear it here
            reply["error"] = f"{type(error).__name__}: {error}"
        finally:
            with suppress(_WorkerDied):  # nobody waits for it any more
                process.send(reply)
            clock.resume()


class _Clock:
    """Counts a cell's own time: it stands still while any sub call is under way."""

    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._left = seconds
        self._since = time.monotonic()
        self._waiting = 0

    def left(self, more: float | None = None) -> float:
        """Seconds left; with `more`, begins anew with so many."""
        with self._lock:
            self._count()
            self._left = self._left if more is None else more
            return self._left

    def pause(self) -> None:
        with self._lock:
            self._count()
            self._waiting += 1

    def resume(self) -> None:
        with self._lock:
            self._count()
            self._waiting -= 1

    def _count(self) -> None:
        now = time.monotonic()
        self._left -= 0 if self._waiting else now - self._since
        self._since = now


class _Worker:
    """One worker process and the frames to and from it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", worker.__file__, str(theirs.fileno())]
        try:
            with theirs:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=os.sep,
                    env={},
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except OSError:
            self._socket.close()
            raise
        self._sending = threading.Lock()
        self._received = bytearray()
        self._poll = select.poll()  # select() cannot watch a descriptor above 1,023
        self._poll.register(self._socket, select.POLLIN)

    def load(self, context: Any, output_limit: int, cancel: Cancel) -> dict[str, Any]:
        """Hands the context over and returns what the worker says of it."""
        kind, pieces = context_pieces(context)
        self.send({"do": "start", "paths": _packages(), "output_limit": output_limit, "context": kind})
        if kind != "none":
            for piece in pieces:
                cancel.check()
                self._send_bytes(piece)
            self._send_bytes(b"")
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            cancel.check()
            frame = self.receive(_TICK)
            if frame and frame.get("do") == "refused":
                name = context if isinstance(context, Path) else "the context"
                raise ContextError(f"Cannot use {name}: {frame.get('error')}.")
            if frame:
                return dict(frame.get("context") or {})
        raise _WorkerDied(f"it was not ready after {START_TIMEOUT:g} s")

    def send(self, frame: Mapping[str, Any]) -> None:
        self._send_bytes(json.dumps(frame).encode("ascii"))

    def _send_bytes(self, data: bytes) -> None:
        try:
            with self._sending:
                self._socket.sendall(worker.HEADER.pack(len(data)))
                if data:  # to send nothing to a process that has just ended is an error too
                    self._socket.sendall(data)
        except OSError as error:
            raise _WorkerDied(self._how_it_ended()) from error

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Returns the next frame, or None if none came in time."""
        frame = self._take_frame()
        if frame is None and self._poll.poll(seconds * 1000):
            try:
                data = self._socket.recv(2**20)
            except OSError:
                data = b""
            if not data:
                raise _WorkerDied(self._how_it_ended())
            self._received += data
            frame = self._take_frame()
        return frame

    def _take_frame(self) -> dict[str, Any] | None:
        head = worker.HEADER.size
        if len(self._received) < head:
            return None
        (size,) = worker.HEADER.unpack_from(self._received)
        if size > worker.MAX_FRAME:
            raise _WorkerDied(f"The cell sent a message of {size:,} bytes, which is over the limit.")
        if len(self._received) < head + size:
            return None
        data = bytes(self._received[head : head + size])
        del self._received[: head + size]
        try:
            frame = json.loads(data)
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict):
            raise _WorkerDied("The cell broke the session's connection.")
        return frame

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            return "The cell closed the session's connection."
        if code < 0:
            return f"The cell crashed the Python process ({_signal_name(-code)})."
        return f"The cell ended the Python process (exit code {code})."

    def kill(self) -> None:
        """Ends the process and all that it started in its session."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._socket.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


def _packages() -> list[str]:
    """Where packages that are installed beside this one are found; the worker starts without them."""
    return list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))


def _execution(done: dict[str, Any], code: str, seconds: float, timeout: float) -> Execution:
    def text(key: str) -> str | None:
        return str(done[key]) if done.get(key) is not None else None

    error, final = text("error"), done.get("final")
    if done.get("stopped"):
        error = f"TimeoutError: the cell was stopped after {timeout:g} s; variables set until then are kept"
    return Execution(
        code,
        stdout=text("stdout") or "",
        value=text("value"),
        error=error,
        final=Answer(str(final.get("text")), final.get("value")) if isinstance(final, dict) else None,
        seconds=seconds,
    )
