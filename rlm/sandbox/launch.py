"""The host's end of the launcher: one for all sessions of this process, started when first needed."""

from __future__ import annotations

import atexit
import os
import signal
import site
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from contextlib import suppress
from pathlib import Path

from rlm.errors import SandboxError
from rlm.sandbox.limits import ADOPTION, START_TIMEOUT
from rlm.sandbox.protocol import ANSWER, GONE, REQUEST, Do

_BOOT = """
import sys, types
for name, folder in (("rlm", sys.argv[1]), ("rlm.sandbox", sys.argv[1] + "/sandbox")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from rlm.sandbox.child import launcher
launcher.main(sys.argv[2:])
"""
# the package's own __init__ would load what a worker does not need
_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=2"}
# large blocks in huge pages: a context of 200 MB arrives in half the time, and a snapshot copies fewer
# tables; few arenas: each reserves 64 MB of the address space that a REPL may use


class Launcher:
    """A launcher process; a session is a number that `spawn` returned."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the collector may end a forgotten session at any point
        if not sys.executable:
            raise SandboxError("The REPL process did not start: set sys.executable to the path of a Python.")
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_TIMEOUT)
        try:
            with theirs:
                self._process = subprocess.Popen(
                    self.command(),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    cwd=os.sep,
                    env=_ENVIRONMENT,
                    start_new_session=True,
                )
        except OSError as error:
            self._control.close()
            why = f"{sys.executable}: {error.strerror}"
            raise SandboxError(f"The REPL process did not start: {why}.") from error

    def command(self) -> list[str]:
        """A clean interpreter that runs the launcher; its standard input is the connection to it."""
        return [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parents[1]), *readable()]

    def spawn(self, connection: socket.socket) -> int:
        """Forks a worker that speaks over this connection."""
        with self._lock:
            socket.send_fds(self._control, [REQUEST.pack(Do.SPAWN, 0, 0)], [connection.fileno()])
            try:
                session = self._answer()
            except OSError as error:
                raise OSError(f"{error}{self._last_words()}") from error
        if session < 0:
            raise OSError("the machine gives no more processes")
        return session

    def tell(self, do: Do, session: int, argument: int = 0) -> None:
        """Asks for what has no answer; where the launcher is gone, so are all its sessions."""
        with self._lock, suppress(OSError):
            self._control.sendall(REQUEST.pack(do, session, argument))

    def ask(self, do: Do, session: int, argument: int = 0) -> int:
        """Asks for what has an answer; GONE where the launcher has ended."""
        with self._lock:
            try:
                self._control.sendall(REQUEST.pack(do, session, argument))
                return self._answer()
            except OSError:
                return GONE

    def _answer(self) -> int:
        data = b""
        while len(data) < ANSWER.size:
            try:
                more = self._control.recv(ANSWER.size - len(data))
            except TimeoutError:
                self._sweep()  # its late answer would be taken for the answer to something else
                more = b""
            except BaseException:  # Ctrl-C: the same
                self._sweep()
                raise
            if not more:
                raise OSError("the process that starts REPLs has ended, or does not answer")
            data += more
        return int(ANSWER.unpack(data)[0])

    def _last_words(self) -> str:
        """How the process ended, for an error's text."""
        self._sweep()
        _, said = self._process.communicate(timeout=ADOPTION)
        lines = said.decode(errors="replace").strip().splitlines()
        return f" (exit code {self._process.returncode}{': ' + lines[-1][:300] if lines else ''})"

    def alive(self) -> bool:
        """Whether it runs. One that has ended is not collected yet: its number stays its session's."""
        if self._process.returncode is not None or sys.platform != "linux":
            return self._process.poll() is None
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # this process ignores SIGCHLD
            return self._process.poll() is None

    def disown(self) -> None:
        """Leaves the process to another one that has it too."""
        self._control.close()
        self._lock = threading.RLock()  # a thread that is not in this process may hold the other one
        self._hush()
        self._process.returncode = 0  # or Popen would complain that it still runs

    def end(self) -> None:
        """Ends the launcher and all its sessions."""
        self._control.close()
        self._hush()
        deadline = time.monotonic() + ADOPTION
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.002)
        self._sweep()
        self._process.wait()

    def _sweep(self) -> None:
        """Kills the launcher and what outlives it: no worker can leave the session that it has founded."""
        pid = self._process.pid
        if self._process.returncode is not None:  # it is collected: the number may be another's
            return
        os.kill(pid, signal.SIGKILL)
        with suppress(OSError):
            for name in filter(str.isdigit, os.listdir("/proc")):
                with suppress(OSError):
                    if os.getsid(int(name)) == pid:
                        os.kill(int(name), signal.SIGKILL)

    def _hush(self) -> None:
        if self._process.stderr:
            self._process.stderr.close()


def readable() -> list[str]:
    """Folders of the standard library, and of the packages that are installed beside this one."""
    python = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    return list(dict.fromkeys([f"{sys.base_prefix}/lib", *python, *packages()]))


def packages() -> list[str]:
    """Where installed packages are found; a worker's interpreter starts without them."""
    own = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    users = [path for path in sys.path if path == site.getusersitepackages()]
    return list(dict.fromkeys([*own, *users]))


_shared: Launcher | None = None
_starting = threading.Lock()


def launcher() -> Launcher:
    """The launcher of this process; a new one where it has ended."""
    global _shared
    with _starting:
        if _shared is None or not _shared.alive():
            if _shared:
                _shared.end()
            _shared = Launcher()
        return _shared


def restart() -> None:
    """Ends the launcher and all its sessions; the next session starts another one."""
    global _shared
    with _starting:
        if _shared:
            _shared.end()
        _shared = None


def _forget() -> None:
    """In a fork of the host: the launcher belongs to the parent."""
    global _shared, _starting
    _starting = threading.Lock()
    if _shared:
        _shared.disown()
    _shared = None


atexit.register(restart)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
