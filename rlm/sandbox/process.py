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
    """A session of a worker process, and snapshots of it that wait to take over.

    Raises:
        SandboxError: it cannot be started.
    """

    def __init__(self) -> None:
        self._launcher = launch.launcher()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._number = self._worker = self._launcher.spawn(theirs)
        except OSError as error:
            ours.close()
            raise SandboxError(f"The REPL process did not start: {error}.") from error
        self.connection = Connection(ours)
        self._cells = 0
        self._spares: list[tuple[int, socket.socket]] = []
        # the host's ends of snapshots, the older one first: before which cell it was taken, and the end
        self._missed = 0
        # snapshots that were granted and did not come about
        self._frozen = False

    def order(self, order: Mapping[str, Any], *, snapshot: bool) -> None:
        self.thaw()
        theirs = None
        if snapshot and self._missed < limits.MISSED:
            self._cells += 1
            with suppress(OSError):  # this process has no more descriptors: it goes on without a snapshot
                ours, theirs = socket.socketpair()
                self._spares.append((self._cells, ours))
                self._launcher.tell(Do.ALLOW, self._number)
        try:
            self.connection.send(order, theirs.fileno() if theirs else None)
        finally:
            if theirs:
                theirs.close()

    def commit(self) -> None:
        if not self._spares:
            return
        there = _announced(self._spares[-1][1])
        self._missed += not there
        if len(self._spares) > 1:  # the older one is kept until the newer has shown that it is there
            self._spares.pop(0 if there else -1)[1].close()

    def roll_back(self) -> int:
        self._launcher.tell(Do.SIGNAL, self._number, signal.SIGKILL)
        self.connection.close()
        self._frozen = False
        while self._spares:
            cell, spare = self._spares.pop()
            if self._adopt(spare):
                self._let_go()
                return self._cells - cell + 1
        return 0

    def _adopt(self, spare: socket.socket) -> bool:
        """Lets the snapshot at the other end take over, if there is one."""
        self.connection = Connection(spare)
        frame = None
        with suppress(OSError, WorkerDied):
            spare.sendall(b"!")
            if _announced(spare) and spare.recv(1):
                frame = self.connection.receive(limits.ADOPTION)
        process = frame.get("process") if frame else None
        if isinstance(process, int) and 0 < process < 2**31:
            self._worker = process
            if self._launcher.ask(Do.ADOPT, self._number, process) == 0:
                return True
        self.connection.close()
        return False

    def _let_go(self) -> None:
        while self._spares:
            self._spares.pop()[1].close()

    def interrupt(self) -> None:
        self._launcher.tell(Do.SIGNAL, self._number, signal.SIGINT)

    def freeze(self) -> None:
        if sys.platform == "linux" and not self._frozen:
            with suppress(OSError):
                if os.stat(f"/proc/{self._worker}/task").st_nlink > 3:  # ".", ".." and the main thread
                    self._launcher.tell(Do.SIGNAL, self._number, signal.SIGSTOP)
                    self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self._launcher.tell(Do.SIGNAL, self._number, signal.SIGCONT)
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
        while (code := self._launcher.ask(Do.STATUS, self._number)) == RUNNING:
            if time.monotonic() > deadline or sys.platform != "linux":
                return "The cell closed the session's connection."
            time.sleep(0.001)
        if code == GONE:
            return "The processes of the session were ended from outside."
        if code < 0:
            return f"The cell crashed the Python process ({_signal_name(-code)})."
        return f"The cell ended the Python process (exit code {code})."

    def close(self) -> None:
        self._launcher.tell(Do.CLOSE, self._number)
        self.connection.close()
        self._let_go()


def _announced(spare: socket.socket) -> bool:
    """Whether a snapshot is there: it says so at once, and where none could be made the end is closed."""
    spare.settimeout(limits.CHECK_TIMEOUT)
    try:
        return bool(spare.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
    finally:
        spare.settimeout(None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"
