"""The warm process that REPLs are forked from, and their supervisor. It runs no cell and sees no data.

The host starts one with a clean interpreter and keeps it. For each session it forks a worker into a process
group of its own. It decides which forks and threads a worker may make, ends groups, and ends with the host.
What it is asked for stands in `protocol`.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from rlm.sandbox import confine, limits, worker
from rlm.sandbox.protocol import ANSWER, GONE, REQUEST, RUNNING, Do

_NOTIFICATION = struct.Struct("=QII iIQ 6Q")
_RESPONSE = struct.Struct("=QqiI")
_RECEIVE, _SEND, _CONTINUE = 0xC050_2100, 0xC018_2101, 1
# struct seccomp_notif and seccomp_notif_resp, and the requests of ioctl(2) for them: seccomp_unotify(2)
_CLONE_THREAD = 0x1_0000


class _Session:
    def __init__(self, group: int) -> None:
        self.group = group
        self.worker = group
        # the process that runs cells: at first the one that gave the group its number
        self.may_fork = False


class Launcher:
    """The loop of this process.

    control: the connection to the host.
    folders: what workers may read beside the system's libraries.
    """

    def __init__(self, control: socket.socket, folders: list[str]) -> None:
        self.control = control
        self.folders = folders
        self.process = os.getpid()
        self.ruleset: int | None = None
        if sys.platform == "linux":
            with suppress(OSError, confine.Unavailable):  # the worker reports it
                self.ruleset = confine.prepare_files(folders)
        self.sessions: dict[int, _Session] = {}
        self.closing: set[int] = set()
        self.watched: dict[int, Callable[[int], object]] = {}
        self.poll = select.poll()
        self.orders = select.poll()
        self.orders.register(control, select.POLLIN)
        self.awake, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.detach(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.watch(control.fileno(), self.answer_host)
        self.watch(self.awake.fileno(), self.reap)

    def run(self) -> None:
        while True:
            for descriptor, event in self.poll.poll():
                if descriptor in self.watched:  # not closed meanwhile
                    self.watched[descriptor](event)

    def watch(self, descriptor: int, act: Callable[[int], object]) -> None:
        self.watched[descriptor] = act
        self.poll.register(descriptor, select.POLLIN)

    def forget(self, descriptor: int) -> None:
        del self.watched[descriptor]
        self.poll.unregister(descriptor)
        os.close(descriptor)

    # What the host asks for

    def answer_host(self, _event: int = 0) -> None:
        data, ancillary, *_ = self.control.recvmsg(REQUEST.size, socket.CMSG_SPACE(4))
        while data and len(data) < REQUEST.size:
            more = self.control.recv(REQUEST.size - len(data))
            data = data + more if more else b""
        if not data:
            self.end()
        do, number, argument = REQUEST.unpack(data)
        session = self.sessions.get(number)
        if do == Do.SPAWN:
            self.answer(self.spawn(ancillary[0][2][:4]) if ancillary else -1)
        elif do == Do.STATUS:
            self.answer(_status(session.worker) if session else GONE)
        elif do == Do.ADOPT:
            self.answer(self.adopt(session, argument) if session else GONE)
        elif session and do == Do.ALLOW:
            session.may_fork = True
        elif session and do == Do.SIGNAL:
            with suppress(ProcessLookupError):  # never another one of this number: it is kept until CLOSE
                os.kill(session.worker, argument)
        elif session and do == Do.CLOSE:
            self.close(session)

    def answer(self, number: int) -> None:
        self.control.sendall(ANSWER.pack(number))

    def spawn(self, descriptor: bytes) -> int:
        (connection,) = struct.unpack("=i", descriptor)
        ends: tuple[socket.socket, ...] = ()
        try:
            ours, theirs = ends = socket.socketpair()
            pid = os.fork()
        except OSError:  # no more descriptors, processes or memory
            for end in ends:
                end.close()
            return -1
        finally:
            if os.getpid() == self.process:
                os.close(connection)
        if pid == 0:
            self.become_worker(connection, theirs)
        theirs.close()
        with suppress(OSError):  # the child does it too: whoever is first
            os.setpgid(pid, pid)
        session = self.sessions[pid] = _Session(pid)
        self.watch(ours.fileno(), lambda _event: self.take_listener(session, ours))
        return pid

    def become_worker(self, connection: int, supervisor: socket.socket) -> None:
        """Turns this fork into a worker; does not return."""
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a snapshot that is not needed leaves no zombie
            confine.die_with_parent()
            low = 3
            for kept in sorted(filter(None, (connection, supervisor.fileno(), self.ruleset))):
                os.closerange(low, kept)
                low = kept + 1
            os.closerange(low, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            if os.getppid() == self.process:
                worker.main(connection, supervisor, self.ruleset, self.folders)
        finally:
            os._exit(1)

    def adopt(self, session: _Session, process: int) -> int:
        """Takes a process for the session's worker, if it is one of its group and a child of ours."""
        mine = False
        with suppress(OSError):
            mine = os.getpgid(process) == session.group and _status(process) == RUNNING
        if not mine:
            return GONE
        session.worker = process
        for other in _members(session.group) - {process}:  # the old worker, and what it may have left behind
            with suppress(OSError):
                os.kill(other, signal.SIGKILL)
        return 0

    def close(self, session: _Session) -> None:
        del self.sessions[session.group]
        _kill_group(session)
        self.closing.add(session.group)
        self.reap()

    def reap(self, _event: int = 0) -> None:
        """Collects the processes of closed sessions that have ended."""
        with suppress(BlockingIOError):
            self.awake.recv(4096, socket.MSG_DONTWAIT)
        for group in list(self.closing):
            try:
                while os.waitpid(-group, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                self.closing.discard(group)

    def end(self) -> None:
        """The host is gone."""
        for session in self.sessions.values():
            _kill_group(session)
        os._exit(0)

    # What workers ask for

    def take_listener(self, session: _Session, supervisor: socket.socket) -> None:
        """Receives the descriptor on which the kernel asks about the session's forks and threads."""
        with suppress(OSError):
            _, descriptors, *_ = socket.recv_fds(supervisor, 1, 1)
            for listener in descriptors:
                self.watch(listener, partial(self.decide, session, listener))
        self.forget(supervisor.detach())

    def decide(self, session: _Session, listener: int, event: int) -> None:
        if not event & select.POLLIN:  # all processes of the session are gone
            return self.forget(listener)
        request = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, request)
        except OSError:  # it was killed meanwhile
            return None
        identity, caller, _, call, _, _, flags, *_ = _NOTIFICATION.unpack(request)
        while self.orders.poll(0):  # a host that allowed the fork has said so before the worker could ask
            self.answer_host()
        if flags & _CLONE_THREAD and call in _CLONE:
            error = 0 if _threads(caller) < limits.THREADS else errno.EAGAIN
        else:  # the main thread's number is the process's
            granted = session.may_fork and caller == session.worker
            error = 0 if granted and len(_members(session.group)) <= limits.PROCESSES else errno.EPERM
            session.may_fork = session.may_fork and bool(error)
        with suppress(OSError):
            fcntl.ioctl(listener, _SEND, _RESPONSE.pack(identity, 0, -error, 0 if error else _CONTINUE))
        return None


_CLONE = {56, 220}
# its number on x86-64 and arm64


def _threads(thread: int) -> int:
    try:
        return len(os.listdir(f"/proc/{thread}/task"))
    except OSError:
        return 0


def _status(process: int) -> int:
    if sys.platform == "darwin":  # no waitid(); a worker that is collected is nobody to signal
        return RUNNING
    try:
        ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return GONE
    if ended is None:
        return RUNNING
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _members(group: int) -> set[int]:
    """The processes of a group that have not ended; none where /proc does not tell."""
    found = set()
    with suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                if os.getpgid(int(name)) == group and not _has_ended(name):
                    found.add(int(name))
    return found


def _has_ended(name: str) -> bool:
    """Whether a process only waits to be collected."""
    with open(f"/proc/{name}/stat", "rb") as file:
        return b") Z" in file.read()


def _kill_group(session: _Session) -> None:
    with suppress(OSError):
        os.killpg(session.group, signal.SIGKILL)
    with suppress(OSError):  # where it has not yet made its group
        os.kill(session.group, signal.SIGKILL)


def main(folders: list[str]) -> None:
    """Runs the launcher; standard input is its connection to the host.

    folders: what workers may read beside the system's libraries.
    """
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.environ.clear()
    sys.argv[:] = [""]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 65_536), hard), hard))
    confine.adopt_orphans()
    launcher = Launcher(control, folders)
    gc.collect()
    gc.freeze()  # what is not looked at is not copied into each worker
    launcher.run()
