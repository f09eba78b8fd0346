"""A session in a process of its own, which the launcher forks, signals and ends."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
import weakref
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
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._launcher, self._number = _spawn(theirs)
        except BaseException as error:  # Ctrl-C too must leave no socket open
            ours.close()
            if isinstance(error, OSError):
                raise SandboxError(f"The REPL process did not start: {error}.") from error
            raise
        self._worker = self._number
        self.connection = Connection(ours)
        self._end = weakref.finalize(self, self._launcher.tell, Do.CLOSE, self._number)
        self._end.atexit = False  # the launcher ends with this process
        self._cells = 0
        self._spares: list[_Snapshot] = []
        # the older one first
        self._missed = 0
        # snapshots that were granted and did not come about
        self._frozen = False

    def order(self, order: Mapping[str, Any], *, snapshot: bool) -> None:
        self.thaw()
        theirs = None
        self._cells += snapshot
        if snapshot and self._missed < limits.MISSED:
            with suppress(OSError):  # this process has no more descriptors: it goes on without a snapshot
                ours, theirs = socket.socketpair()
                self._spares.append(_Snapshot(self._cells, ours))
                self._launcher.tell(Do.ALLOW, self._number)
        try:
            descriptor = theirs.fileno() if theirs else None
            self.connection.send(order, descriptor, patience=limits.CHECK_TIMEOUT)
        finally:
            if theirs:
                theirs.close()

    def hand_over(self, order: Mapping[str, Any], descriptor: int) -> None:
        self.thaw()
        self._let_go()
        self._launcher.tell(Do.KEEP, self._number, 0)
        super().hand_over(order, descriptor)

    def alive(self) -> bool:
        return self._launcher.alive()

    def settle(self) -> None:
        if not self._spares or self._spares[-1].settled:
            return
        newest = self._spares[-1]
        if newest.announced() and newest.process != self._worker:
            for older in self._spares[:-1]:
                older.end.close()
            del self._spares[:-1]
        else:
            self._missed += 1
            self._spares.pop().end.close()
        kept = self._spares[-1].process if self._spares else 0
        self._launcher.tell(Do.KEEP, self._number, kept)

    def roll_back(self) -> int:
        self._launcher.tell(Do.SIGNAL, self._number, signal.SIGKILL)
        self.connection.close()
        self._frozen = False
        until = time.monotonic() + limits.ADOPTION
        while self._spares:
            snapshot = self._spares[-1]
            if self._adopt(snapshot, until):
                self._spares.pop()
                self._let_go()
                return self._cells - snapshot.cell + 1
            self._spares.pop().end.close()
        return 0

    def _adopt(self, snapshot: _Snapshot, until: float) -> bool:
        """Lets a snapshot take over, if it is there."""
        if not snapshot.announced() or self._launcher.ask(Do.ADOPT, self._number, snapshot.process) == GONE:
            return False
        self._worker = snapshot.process
        self.connection = Connection(snapshot.end)
        with suppress(OSError, WorkerDied):
            snapshot.end.sendall(b"!")
            frame = self.connection.receive(max(until - time.monotonic(), 0.0))
            return frame is not None and frame.get("do") == "resumed"
        return False

    def _let_go(self) -> None:
        while self._spares:
            self._spares.pop().end.close()

    def interrupt(self) -> None:
        self._launcher.tell(Do.SIGNAL, self._number, signal.SIGINT)

    def freeze(self) -> None:
        if sys.platform == "linux" and not self._frozen:
            with suppress(OSError):
                # Without snapshots time counts: then only what is seen to have threads is stopped.
                if self._spares or os.stat(f"/proc/{self._worker}/task").st_nlink > 3:
                    self._launcher.tell(Do.SIGNAL, self._number, signal.SIGSTOP)
                    self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self._launcher.tell(Do.SIGNAL, self._number, signal.SIGCONT)
            self._launcher.ask(Do.STATUS, self._number)  # a signal that came later would interrupt the fork
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
        self._end()  # once: another process may have the number afterwards
        self.connection.close()
        self._let_go()


def _spawn(connection: socket.socket) -> tuple[launch.Launcher, int]:
    """A launcher and the number of a new session; a launcher that has just ended is not noticed before."""
    launcher = launch.launcher()
    try:
        return launcher, launcher.spawn(connection)
    except OSError:
        if launcher.alive():
            raise
    launcher = launch.launcher()
    return launcher, launcher.spawn(connection)


class _Snapshot:
    """A copy of the worker, or what may become one, at the other end of a connection.

    cell: the number of the cell that it was taken before.
    """

    def __init__(self, cell: int, end: socket.socket) -> None:
        self.cell = cell
        self.end = end
        self.process = 0
        # its id by the kernel's word, which cells cannot forge; 0: not known yet, or none
        self.settled = False
        if sys.platform == "linux":
            end.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def announced(self) -> bool:
        """Whether it is there: it says so at once, and where none could be made the end is closed."""
        if not self.settled:
            self.settled = True
            self.end.settimeout(limits.CHECK_TIMEOUT)
            with suppress(OSError):
                data, ancillary, *_ = self.end.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size))
                if data and ancillary:
                    self.process = _CREDENTIALS.unpack(ancillary[0][2])[0]
            self.end.settimeout(None)
        return self.process > 0


_CREDENTIALS = struct.Struct("@iII")
# struct ucred of unix(7): the sender's process, user and group


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"
