"""The REPL's own process: gives up its rights, puts itself right after a cell, leaves snapshots of itself.

Standard library only. The host never trusts what it sends.
"""

from __future__ import annotations

import builtins
import gc
import os
import signal
import socket
import sys
import threading
import time
from os import _exit, close, fork, getpid, getppid  # as they are before any cell
from socket import socket as make_socket
from typing import Any

from rlm.sandbox import limits
from rlm.sandbox.child import confine
from rlm.sandbox.child.channel import Channel
from rlm.sandbox.child.repl import READY_MODULES, no_input
from rlm.sandbox.child.server import Server, serve

for _module in READY_MODULES:
    __import__(_module)  # once, before the forks


def main(connection: int, supervisor: socket.socket, ruleset: int | None, folders: list[str]) -> None:
    """Runs a worker until the host is gone.

    Args:
        connection: descriptor of the connection to the host. Its first frame has what `Server` needs, and
            packages: folders to import from; without: layers of confinement to leave out.
        supervisor: takes the descriptor on which the kernel asks about forks and threads.
        ruleset, folders: see `confine.confine`.
    """
    try:
        worker = serve(Channel(socket.socket(fileno=connection)), Worker)
        if worker:
            worker.confine(supervisor, ruleset, folders)
            worker.run()
    except EOFError:
        _exit(0)


class Worker(Server):
    """The server of a process that runs nothing else."""

    def __init__(self, channel: Channel, start: dict[str, Any]) -> None:
        super().__init__(channel, start)
        self.start = start
        self.launcher = os.getppid()
        self.repl.mend = self.mend
        builtins.input = no_input
        self.builtins, self.intact = vars(builtins), dict(vars(builtins))
        sys.path += start["packages"]
        self.path, self.finders, self.hooks = sys.path.copy(), sys.meta_path.copy(), sys.path_hooks.copy()
        self.recursion = sys.getrecursionlimit()
        self.switching = sys.getswitchinterval()
        for name in [name for name in sys.modules if name.partition(".")[0] in ("rlm", "__main__")]:
            del sys.modules[name]  # the model's own modules of these names are others
        sys.modules["__main__"] = self.repl.module
        self.mend()

    def confine(self, supervisor: socket.socket, ruleset: int | None, folders: list[str]) -> None:
        """Gives up this process's rights and tells the host what is left of them."""
        start = self.start
        without = set(start["without"])
        try:
            line = socket.socket(fileno=os.dup2(supervisor.fileno(), limits.SUPERVISOR))
        except OSError:  # where a process may have few descriptors, it has no supervisor
            line, without = supervisor, without | {"supervisor"}
        missing, listener = confine.confine(start["memory"], ruleset, folders, without)
        if listener is not None:
            socket.send_fds(line, [b"."], [listener])
            os.close(listener)
        line.close()
        supervisor.close()
        if ruleset is not None:
            os.close(ruleset)
        held = confine.probe(self.launcher)
        self.channel.send({"do": "ready", "context": self.shape, "missing": missing, "held": held})

    def mend(self) -> None:
        """Puts back what a cell may have changed of the interpreter for the cells after it."""
        self.builtins.update(self.intact)
        sys.stdout = sys.stderr = self.repl.output
        threading.excepthook = self.repl.thread_failed
        signal.signal(signal.SIGINT, self.repl.stop)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.set_wakeup_fd(-1)
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        self.channel.connection.setblocking(True)
        sys.path, sys.meta_path, sys.path_hooks = self.path.copy(), self.finders.copy(), self.hooks.copy()
        for hook in (sys.settrace, sys.setprofile, threading.settrace, threading.setprofile):
            hook(None)
        gc.enable()
        sys.setrecursionlimit(self.recursion)
        sys.setswitchinterval(self.switching)

    def snapshot(self, spare: int) -> bool:
        this = getpid()
        try:
            copy = fork()
        except Exception:  # refused, or a warning that a cell has made an error: it works without
            copy = -1
        if copy:
            close(spare)
            return False
        self.channel.connection.close()
        connection = make_socket(fileno=spare)
        connection.sendall(b".")  # the host learns this process's id, and may let an older one go
        if not connection.recv(1):
            _exit(0)  # the cell went well, or the host is gone
        deadline = time.monotonic() + limits.ADOPTION
        while getppid() == this:  # it is about to die
            if time.monotonic() > deadline:
                _exit(0)
            time.sleep(0.0002)
        confine.die_with_parent()
        if getppid() != self.launcher:
            _exit(0)
        self.channel = Channel(connection)
        self.repl.ask = self.channel.ask
        self.channel.send({"do": "resumed"})
        return True
