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
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from rlm.sandbox import limits
from rlm.sandbox.child import confine, worker
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
        self.forked = False
        # a fork was granted since the last KEEP
        self.snapshot = 0


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
        self.former: set[int] = set()
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
        elif session and do == Do.KEEP:
            self.keep(session, argument)
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
            os.dup2(0, 2)  # what the launcher complains of is for the host alone
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

    def keep(self, session: _Session, snapshot: int) -> None:
        """Leaves the session its worker and one snapshot, which does not run until it is adopted."""
        session.may_fork = False
        unseen = session.forked and snapshot in (0, session.snapshot)
        if unseen and not _stopped(session.worker):  # a fork under way is in no list of processes
            return _kill_group(session)
        there = _members(session, snapshot)
        _signal(there & {snapshot} - {session.worker}, signal.SIGSTOP)
        _signal(there - {session.worker, snapshot}, signal.SIGKILL)
        if unseen:
            _signal({session.worker}, signal.SIGCONT)
        session.forked, session.snapshot = False, snapshot
        return None

    def adopt(self, session: _Session, process: int) -> int:
        """Takes a process of the session's group for its worker, and ends all others."""
        session.may_fork = False
        there = _members(session, process)
        _signal(there - {process}, signal.SIGKILL)
        if process not in there:
            return GONE
        if session.worker not in (process, session.group):  # the first one's number is the group's
            self.former.add(session.worker)
        session.worker = process
        _signal({process}, signal.SIGCONT)
        return 0

    def close(self, session: _Session) -> None:
        del self.sessions[session.group]
        _kill_group(session)
        self.closing.add(session.group)
        self.reap()

    def reap(self, _event: int = 0) -> None:
        """Collects the processes that have ended: of closed sessions, and workers that had a successor."""
        with suppress(BlockingIOError):
            self.awake.recv(4096, socket.MSG_DONTWAIT)
        for process in list(self.former):
            with suppress(ChildProcessError):
                if not os.waitpid(process, os.WNOHANG)[0]:
                    continue
            self.former.discard(process)
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
        fork = False
        if flags & _CLONE_THREAD and call in _CLONE:
            error = 0 if _threads(caller) < limits.THREADS else errno.EAGAIN
        else:  # the main thread's number is the process's
            fork = session.may_fork and caller == session.worker
            error = 0 if fork else errno.EPERM
        try:
            fcntl.ioctl(listener, _SEND, _RESPONSE.pack(identity, 0, -error, 0 if error else _CONTINUE))
        except OSError:  # it was killed, or a signal has interrupted it and it will ask again
            return None
        if fork:
            session.may_fork, session.forked = False, True
        return None


_CLONE = {56, 220}
# its number on x86-64 and arm64


def _threads(thread: int) -> int:
    try:
        return len(os.listdir(f"/proc/{thread}/task"))
    except OSError:  # it ends meanwhile, or this machine hides its processes
        return limits.THREADS


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


def _members(session: _Session, snapshot: int) -> set[int]:
    """The session's processes that have not ended; without /proc, those of the worker and the snapshot."""
    try:
        candidates = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        candidates = [session.worker, snapshot]
    found = set()
    for process in candidates:
        with suppress(OSError):
            if os.getpgid(process) == session.group and not _has_ended(process):
                found.add(process)
    return found


def _has_ended(process: int) -> bool:
    """Whether a process only waits to be collected; False where /proc does not tell."""
    with suppress(FileNotFoundError), open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2][:1] == b"Z"  # before it stands a name that a cell may choose
    return False


def _stopped(process: int) -> bool:
    """Stops a process; True once all its threads stand still, and none is within a system call."""
    _signal({process}, signal.SIGSTOP)
    deadline = time.monotonic() + limits.STANDSTILL
    while time.monotonic() < deadline:
        try:
            states = set()
            for thread in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{thread}/stat", "rb") as file:
                    states.add(file.read().rpartition(b") ")[2][:1])
        except OSError:  # it ends meanwhile
            return False
        if states <= {b"T", b"Z"}:
            return True
        time.sleep(0.001)
    return False


def _signal(processes: set[int], number: int) -> None:
    for process in processes:
        with suppress(OSError):
            os.kill(process, number)


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
