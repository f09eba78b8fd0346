"""Runs one hostile cell in a sandbox and says what got out. Knows nothing of how the sandbox confines.

A stage is what the cells are aimed at: files with a secret, listeners on this machine, a process of the same
user, shared memory. A cell has escaped where any of it was read, reached or changed, where it says so itself
by `escaped()` (see prelude.py), where the host was held up, or where the next cell does not work.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import re
import resource
import secrets
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import shared_memory
from pathlib import Path
from types import TracebackType
from typing import Any

from hostile.bare import Bare
from rlm.sandbox import Sandbox, host
from rlm.types import Answer, Execution

HERE = Path(__file__).parent
AIMS = ("secrets", "network", "processes", "files", "hangs", "exits", "channel", "values", "builtins")
KERNEL_LAYERS = ("limits", "capabilities", "landlock", "seccomp", "supervisor")
# what stops an effect that would happen otherwise: without them the oracle must see it
LAYERS = (*KERNEL_LAYERS, "snapshots", "clock", "check", "host", "process")
NOTES = ("may lose variables", "may break one cell", "may use up sub calls", "needs root", "failed once")
# failed once: it got through an earlier version, and what stops it now is no layer that can be left out
CONTEXT = "alpha\nbeta\n"
NEXT_CELLS: dict[str, tuple[str, str | None, str | None, Answer | None]] = {
    "print('next'); 6 * 7": ("next\n", "42", None, None),
    "llm_query('ask ' + str(6 * 7))": ("", "'ASK 42'", None, None),
    "context": ("", repr(CONTEXT), None, None),
    "search('beta')": ("search: with the lines around:\nalpha\nbeta\n", "['beta']", None, None),
    "import colorsys\nclass Next:\n    x = 1\ncolorsys.rgb_to_hsv(Next.x, 0, 0)": (
        "",
        "(0.0, 1.0, 1)",
        None,
        None,
    ),
    "1 / 0": ("", None, "ZeroDivisionError: division by zero", None),
    "FINAL('done')": ("", None, None, Answer("done", "done")),
}
# cells that must work after a hostile one: their output, value, last line of the error, and answer
CELL_TIMEOUT = 0.4
STOP_GRACE = 0.3
MEMORY = 2**30
MAX_SUB_CALLS = 200
SLACK = 3.0
# seconds that a busy machine may add to the time-outs
HUNG = 15.0
# seconds after which the host itself is taken to hang
SETTLE = 2.0
# seconds for processes to end after close()
LATE = 0.1
# seconds that an effect may come after its cell, where it may break the next one
MOST_TEXT = 101_000
# characters of output, value and error
MOST_ANSWER = 5 * 2**20
WATCHED = (signal.SIGURG, signal.SIGCONT, signal.SIGIO, signal.SIGUSR1, signal.SIGUSR2)
# signals that the host counts
NO_SUCH_THING = re.compile(
    r"\[Errno (?:38|93|94|97)\]|\[Errno 2\] No such file or directory: '/(?:dev|proc)/"
)
# how this kernel says that it lacks what the cell uses


@dataclass(frozen=True)
class Snippet:
    """One hostile cell."""

    aim: str
    name: str
    layers: tuple[str, ...]
    # any of them left out lets it through
    notes: tuple[str, ...]
    code: str

    def __str__(self) -> str:
        return f"{self.aim}-{self.name}"


@dataclass(frozen=True)
class Outcome:
    """What one hostile cell achieved."""

    escaped: tuple[str, ...]
    # one short text for each effect; empty where it was contained
    kept: bool
    # whether a variable of an earlier cell is still there
    executions: tuple[Execution, ...] = ()
    seconds: float = 0.0

    @property
    def error(self) -> str:
        """The hostile cell's own error."""
        return next((e.error or "" for e in self.executions[1:2]), "")


class Hung(BaseException):
    """The host did not come back. No Exception, so that no `except Exception` holds it up."""


def snippets(aim: str) -> list[Snippet]:
    """Reads a file in percent format: `# %% name | layer, … | note, …` above each cell."""
    parts = re.split(r"^# %% (.+)\n", (HERE / f"{aim}.py").read_text(encoding="utf-8"), flags=re.MULTILINE)[
        1:
    ]
    return [_snippet(aim, head, code.strip()) for head, code in zip(parts[::2], parts[1::2], strict=True)]


def _snippet(aim: str, head: str, code: str) -> Snippet:
    name, layers, *notes = (field.strip() for field in head.split("|"))
    found = Snippet(aim, name, _listed(layers), _listed(*notes), code)
    unknown = {*found.layers} - {*LAYERS} | {*found.notes} - {*NOTES}
    if unknown or not found.layers:
        raise ValueError(f"{aim}.py, {name}: unknown or missing layer or note: {', '.join(sorted(unknown))}")
    return found


def _listed(*fields: str) -> tuple[str, ...]:
    return tuple(part.strip() for field in fields for part in field.split(","))


def all_snippets() -> list[Snippet]:
    return [snippet for aim in AIMS for snippet in snippets(aim)]


class Stage:
    """What hostile cells are aimed at; a context manager. One serves many cells, one after the other."""

    def __init__(self) -> None:
        self.marker = f"rlm-hostile-{secrets.token_hex(6)}"
        # part of every name that the stage or a cell creates
        self.secret = f"hunter-{secrets.token_hex(12)}"
        self.word = f"escaped-{secrets.token_hex(6)}"
        # what `escaped()` prints
        self.root = Path(tempfile.mkdtemp(prefix=self.marker))
        self.signals: list[int] = []
        # received by the host
        self._handlers = {
            number: signal.signal(number, lambda number, _frame: self.signals.append(number))
            for number in WATCHED
        }
        _let_others_trace(True)
        self._host_secret = ctypes.create_string_buffer(self.secret.encode())
        (self.root / "open.txt").write_text(self.secret)
        self.inherited = os.open(self.root / "open.txt", os.O_RDONLY)
        os.set_inheritable(self.inherited, True)
        os.environ["RLM_HOSTILE_SECRET"] = self.secret
        self._shared = shared_memory.SharedMemory(self.marker, create=True, size=4096)
        self._shared.buf[: len(self.secret)] = self.secret.encode()
        self._ipc = _Ipc(self.marker, self.secret)
        self.listeners = _Listeners(self.root, self.marker)
        library = sysconfig.get_path("purelib")
        self.library_file = Path(library if os.access(library, os.W_OK) else self.root, f"{self.marker}.txt")
        self.library_file.write_text("a library\n")
        self.victim = Victim(self.secret, self.root / "open.txt")
        self.folder = self.home = self.root
        self._scenes = 0
        self.scene()
        with sandbox():  # what it keeps for the next one, such as a launcher, is there before any cell
            pass

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.victim.end()
        self.listeners.close()
        self._ipc.close()
        self._shared.close()
        self._shared.unlink()
        os.close(self.inherited)
        del os.environ["RLM_HOSTILE_SECRET"]
        _let_others_trace(False)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self.library_file.unlink(missing_ok=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def scene(self) -> None:
        """Sets up files anew, and a victim if the last one was hurt."""
        shutil.rmtree(self.home.parent, ignore_errors=True) if self._scenes else None
        self._scenes += 1
        self.home = self.root / str(self._scenes) / "home"
        self.folder = self.home.parent / "folder"
        (self.home / ".ssh").mkdir(parents=True)
        self.folder.mkdir()
        for path in (".ssh/id_ed25519", ".env", "notes.txt", "secretmodule.py"):
            (self.home / path).write_text(f"SECRET = '{self.secret}'\n")
        with zipfile.ZipFile(self.home / "notes.zip", "w") as archive:
            archive.writestr("notes.txt", self.secret)
        shutil.copy(self._database(), self.home / "notes.db")
        (self.folder / "file.txt").write_text("as it was\n" * 100)
        (self.folder / "link").symlink_to(self.home / "notes.txt")
        if not self.victim.as_it_was():
            self.victim.end()
            self.victim = Victim(self.secret, self.root / "open.txt")
        self.signals.clear()

    def _database(self) -> Path:
        path = self.root / "notes.db"
        if not path.exists():
            with sqlite3.connect(path) as database:
                database.execute("create table notes (text)")
                database.execute("insert into notes values (?)", [self.secret])
            database.close()
        return path

    def target(self) -> dict[str, Any]:
        """What the cells are told."""
        return {
            "machine": platform.machine(),
            "marker": self.marker,
            "escaped": self.word,
            "host": os.getpid(),
            "host_address": ctypes.addressof(self._host_secret),
            "host_fd": self.inherited,
            "victim": self.victim.pid,
            "victim_address": self.victim.address,
            "victim_fd": self.victim.descriptor,
            "home": str(self.home),
            "secret_file": str(self.home / "notes.txt"),
            "folder": str(self.folder),
            "file": str(self.folder / "file.txt"),
            "library_file": str(self.library_file),
            "shared_memory": self.marker,
            **self._ipc.target,
            **self.listeners.target,
        }

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same after a cell: files, and names that have the marker in shared folders."""
        found: dict[str, Any] = {}
        for shared in ("/tmp", "/var/tmp", "/dev/shm", str(self.library_file.parent), tempfile.gettempdir()):
            with suppress(OSError):
                found |= {f"{shared}/{name}": True for name in os.listdir(shared) if self.marker in name}
        tops = (self.home.parent, self.library_file)
        return found | {str(path): _look(path) for top in tops for path in _walk(top)}

    def tidy(self, before: Mapping[str, Any]) -> None:
        """Removes what a cell has left in folders that are not the stage's own."""
        for path in self.fingerprint().keys() - before.keys():
            with suppress(OSError):
                Path(path).rmdir() if Path(path).is_dir() else Path(path).unlink()
        if not self.library_file.exists() or self.library_file.read_text() != "a library\n":
            self.library_file.write_text("a library\n")


def _let_others_trace(anybody: bool) -> None:
    """Takes away the guard that Yama may be, so that only the sandbox is left to stop a cell."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_long(-1 if anybody else 0), 0, 0, 0)  # PR_SET_PTRACER


def _walk(top: Path) -> Iterator[Path]:
    yield top
    for folder, folders, files in os.walk(top):
        yield from (Path(folder, name) for name in folders + files)


def _look(path: Path) -> tuple[object, ...]:
    try:
        status = path.lstat()
        attributes = [
            (name, os.getxattr(path, name, follow_symlinks=False))
            for name in os.listxattr(path, follow_symlinks=False)
        ]
    except OSError as error:
        return (type(error).__name__,)
    content: object = None
    if stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).digest() if status.st_size < 2**20 else "big"
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (status.st_mode, status.st_uid, status.st_gid, status.st_size, *times, attributes, content)


class Victim:
    """A process of the same user, with the secret in its environment and memory."""

    def __init__(self, secret: str, file: Path) -> None:
        command = [sys.executable, "-I", "-S", str(HERE / "victim.py"), str(file)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"SECRET": secret}, bufsize=0
        )
        assert self._process.stdout
        self._output = self._process.stdout
        self.pid = self._process.pid
        self.address, self.descriptor = map(int, self._output.readline().split())
        os.set_blocking(self._output.fileno(), False)
        self._state = state(self.pid)
        self._hurt = False

    def complaints(self) -> list[str]:
        """What has happened to it."""
        found = []
        if self._process.poll() is not None:
            found.append(f"the victim ended ({self._process.returncode})")
        elif (now := state(self.pid)) != self._state:
            found.append(f"the victim was changed: {now}")
        while line := self._output.read(2**16):
            found.append(f"the victim received the signals {line.decode().split()}")
        self._hurt = self._hurt or bool(found)
        return found

    def as_it_was(self) -> bool:
        self.complaints()
        return not self._hurt

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def state(pid: int) -> tuple[object, ...]:
    """What one process can change of another."""
    try:
        limits = tuple(resource.prlimit(pid, kind) for kind in range(resource.RLIMIT_NICE + 1))
        scheduling = os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)
        badness = Path(f"/proc/{pid}/oom_score_adj").read_text().strip()
        traced = re.search(r"TracerPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
        return limits, *scheduling, sorted(os.sched_getaffinity(pid)), badness, traced and traced[1]
    except OSError as error:
        return (str(error),)


def _restore(before: tuple[object, ...]) -> None:
    """Gives this process back what an unconfined cell has taken from it."""
    limits, _, nice, processors, *_ = before
    for kind, limit in enumerate(limits):
        resource.setrlimit(kind, limit)
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    os.sched_setaffinity(0, processors)


class _Ipc:
    """The secret in System V shared memory, in a message queue and in the kernel's keyring."""

    def __init__(self, marker: str, secret: str) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.shmat.restype = ctypes.c_void_p
        self._shm = self._libc.shmget(0, 4096, 0o1600)
        address = self._libc.shmat(self._shm, None, 0)
        ctypes.memmove(address, secret.encode(), len(secret))
        self._libc.shmdt(ctypes.c_void_p(address))
        self._queue = f"/{marker}".encode()
        queue = self._libc.mq_open(self._queue, os.O_CREAT | os.O_RDWR, 0o600, None)
        self._libc.mq_send(queue, secret.encode(), len(secret), 0)
        os.close(queue) if queue >= 0 else None
        numbers = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
        self._add_key, self._keyctl = numbers
        key = self._syscall(self._add_key, b"user", marker.encode(), secret.encode(), len(secret), -5)
        # -5: the keyring of the user's session
        self._syscall(self._keyctl, 5, key, 0x3F3F0000)  # KEYCTL_SETPERM: all for possessor and user
        self._key = key
        self.target = {"shm_id": self._shm, "queue": marker, "key": key}

    def _syscall(self, *arguments: int | bytes) -> int:
        return int(self._libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)))

    def close(self) -> None:
        self._libc.shmctl(self._shm, 0, None)  # IPC_RMID
        self._libc.mq_unlink(self._queue)
        self._syscall(self._keyctl, 9, self._key, -5)  # KEYCTL_UNLINK


class _Listeners:
    """Sockets that nobody should reach."""

    def __init__(self, root: Path, marker: str) -> None:
        path, datagram, abstract = str(root / "stream"), str(root / "datagram"), f"\0{marker}"
        tcp = self._bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = self._bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self._streams = {
            "TCP": tcp,
            "unix": self._bound(socket.AF_UNIX, socket.SOCK_STREAM, path),
            "abstract unix": self._bound(socket.AF_UNIX, socket.SOCK_STREAM, abstract),
        }
        self._datagrams = {
            "UDP": udp,
            "unix datagram": self._bound(socket.AF_UNIX, socket.SOCK_DGRAM, datagram),
        }
        for listener in self._streams.values():
            listener.listen(16)
        self.target = {
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": path,
            "datagram": datagram,
            "abstract": abstract,
        }

    @staticmethod
    def _bound(family: int, kind: int, address: object) -> socket.socket:
        listener = socket.socket(family, kind)
        listener.bind(address)  # type: ignore[arg-type]
        listener.setblocking(False)
        return listener

    def reached(self) -> list[str]:
        """Takes what has arrived and says where."""
        found = []
        for name, listener in self._streams.items():
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    found.append(f"the {name} listener was reached")
        for name, listener in self._datagrams.items():
            with suppress(BlockingIOError):
                while True:
                    listener.recv(2**16)
                    found.append(f"the {name} listener was reached")
        return list(dict.fromkeys(found))

    def close(self) -> None:
        for listener in (*self._streams.values(), *self._datagrams.values()):
            listener.close()


class Processes:
    """Every process of this machine at one moment: who started it, and its command."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}
        self.running: set[int] = set()
        self.command: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                self.parent[int(entry.name)] = int(fields[1])
                self.running |= {int(entry.name)} if fields[0] == "R" else set()
                self.command[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")

    def ours(self, marker: str) -> set[int]:
        """Descendants of this process, and strays: those that name the marker, and orphaned workers."""
        folder, elders = str(Path(host.__file__).parent), self.ancestors()
        found = {
            pid
            for pid, line in self.command.items()
            if marker in line or (folder in line and self.parent[pid] in elders)
        }
        grown = {os.getpid()}
        while grown:
            grown = {pid for pid, parent in self.parent.items() if parent in grown and pid not in found}
            found |= grown
        return found - {os.getpid()}

    def ancestors(self) -> set[int]:
        """Those of this process; an orphan is given to one of them."""
        found, pid = {1}, self.parent[os.getpid()]
        while pid in self.parent:
            found.add(pid)
            pid = self.parent[pid]
        return found

    def left(self, before: Processes, marker: str) -> set[int]:
        """Those of ours that were not there before; a launcher may have been replaced by another one."""
        new, old = self.ours(marker) - before.ours(marker), before.ours(marker) - self.ours(marker)
        childless = {
            pid for pid in new if self.parent[pid] == os.getpid() and pid not in self.parent.values()
        }
        return new - set(sorted(childless)[: len(old)])


def sandbox(query: Callable[[str], str] = str.upper, **settings: Any) -> Sandbox:
    """The one place where the suite starts a REPL."""
    defaults: dict[str, Any] = {
        "query": query,
        "cell_timeout": CELL_TIMEOUT,
        "stop_grace": STOP_GRACE,
        "memory": MEMORY,
        "max_sub_calls": MAX_SUB_CALLS,
    }
    return Sandbox(CONTEXT, **defaults | settings)


def bare(query: Callable[[str], str] = str.upper) -> Bare:
    """Starts a REPL that stops nothing, for the ablation."""
    return Bare(CONTEXT, query)


def attempt(snippet: Snippet, stage: Stage, start: Callable[..., Any] = sandbox, **settings: Any) -> Outcome:
    """Runs one hostile cell, with a variable set before it, and looks at everything afterwards."""
    stage.scene()
    files, processes, host_state = stage.fingerprint(), Processes(), state(os.getpid())
    descriptors = len(os.listdir("/proc/self/fd"))
    session = _Session(snippet, stage, lambda query: start(query, **settings))
    began = time.monotonic()
    try:
        with _deadline(HUNG):
            session.run()
    except Hung:
        session.complaints.append(f"the host hung for {HUNG:g} s")
    found = session.complaints

    def settled() -> list[str]:
        left = Processes().left(processes, stage.marker)
        more = len(os.listdir("/proc/self/fd")) - descriptors
        return [f"processes are left: {len(left)}"] * bool(left) + [f"descriptors are left: {more}"] * (
            more > 0
        )

    deadline = time.monotonic() + SETTLE
    while (unsettled := settled()) and time.monotonic() < deadline:
        time.sleep(0.02)
    found += unsettled + stage.listeners.reached() + stage.victim.complaints()
    found += [f"the host received signal {number}" for number in stage.signals]
    after = stage.fingerprint()
    changed = sorted(path for path in files.keys() | after.keys() if files.get(path) != after.get(path))
    found += [f"a file was changed: {path}" for path in changed[:3]]
    if state(os.getpid()) != host_state:
        found.append("the host was changed")
        _restore(host_state)
    for pid in Processes().left(processes, stage.marker):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    stage.tidy(files)
    return Outcome(tuple(found), session.kept, tuple(session.executions), time.monotonic() - began)


class _Session:
    """The cells around a hostile one, and what they tell."""

    def __init__(self, snippet: Snippet, stage: Stage, start: Callable[..., Any]) -> None:
        self.snippet = snippet
        self.stage = stage
        self.start = start
        self.executions: list[Execution] = []
        self.prompts: list[str] = []
        self.complaints: list[str] = []
        self.kept = False

    def run(self) -> None:
        try:
            with self.start(self.answer) as repl:
                ready = repl.execute(f"target = {self.stage.target()!r}\n{(HERE / 'prelude.py').read_text()}")
                if ready.error:
                    raise RuntimeError(f"The prelude does not run: {ready.error}")
                self.attack(repl)
        except Exception as error:  # whatever the host raises is the attacker's success
            if str(error).startswith("The prelude"):
                raise
            self.complaints.append(f"the host raised {type(error).__name__}: {error}")
        self.leaks()

    def attack(self, repl: Sandbox | Bare) -> None:
        self.executions.append(repl.execute("kept = 'kept'"))
        began = time.monotonic()
        self.executions.append(repl.execute(self.snippet.code))
        seconds = time.monotonic() - began
        if seconds > repl.cell_timeout + STOP_GRACE + SLACK:
            self.complaints.append(f"the cell held the host up for {seconds:.1f} s")
        if "may break one cell" in self.snippet.notes:
            for _ in range(3):  # between cells nothing runs
                if repl.execute(f"import time\ntime.sleep({LATE})").error:
                    break
        for code, expected in NEXT_CELLS.items():
            if code.startswith("llm_query") and "may use up sub calls" in self.snippet.notes:
                continue
            result = repl.execute(code)
            self.executions.append(result)
            error = result.error and result.error.strip().splitlines()[-1]
            if (result.stdout, result.value, error, result.final) != expected:
                self.complaints.append(f"the next cell {code} gave {_shown(result)}")
        self.kept = repl.execute("kept").value == "'kept'"
        if self.always_running():
            self.complaints.append("a process runs between cells")
        self.complaints += [fault for result in self.executions for fault in _faults(result)]

    def always_running(self) -> set[int]:
        """Processes of ours that have no rest for a while."""
        running = set(Processes().ours(self.stage.marker))
        for _ in range(10):
            now = Processes()
            running &= now.running & now.ours(self.stage.marker)
            if not running:
                break
            time.sleep(0.02)
        return running

    def answer(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return prompt.upper()

    def leaks(self) -> None:
        texts = [str(text) for e in self.executions for text in (e.stdout, e.value, e.error, e.final)]
        texts += map(str, self.prompts)
        if any(self.stage.secret in text for text in texts):
            self.complaints.append("the secret was read")
        if any(self.stage.word in text for text in texts):
            self.complaints.append("the cell reports an effect")


def _faults(result: Execution) -> Iterator[str]:
    """What a host must not hand on, whatever the worker sends."""
    texts = [text for text in (result.stdout, result.value, result.error) if text is not None]
    answers = [result.final.text] if result.final is not None else []
    if result.final is not None:
        try:
            json.dumps(result.final.value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            yield "the answer is no JSON"
    if not all(isinstance(text, str) for text in texts + answers):
        yield "the result has something else than text"
    elif any(len(text) > MOST_TEXT for text in texts) or any(len(text) > MOST_ANSWER for text in answers):
        yield f"the result is not bounded: {max(map(len, texts + answers)):,} characters"


def _shown(result: Execution) -> str:
    parts = (
        str(result.stdout)[:80],
        str(result.value)[:80],
        str(result.error)[-200:],
        str(result.final)[:80],
    )
    return ", ".join(map(repr, parts))


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raises Hung where the host does not come back in time; in the main thread only."""

    def raise_hung(_number: int, _frame: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, raise_hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
