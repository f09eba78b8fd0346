"""Takes a process's rights away, for good, and tries what is left. Standard library only, by ctypes.

    layer           what only it stops                                     needs
    limits          endless memory, files, core dumps                      any Unix
    capabilities    root's rights over other people's files and processes  Linux, where the user is root
    landlock        reading and writing files; /proc of other processes    Linux 5.13
    seccomp         sockets, programs, forks, signals, ptrace, priorities  Linux 3.17, x86-64 or arm64
    supervisor      forks and threads beyond those that the host grants    Linux 5.5
    seatbelt        all of files, network, processes                       macOS; written but never run

Not covered: whether a path exists and what stat() says of it, which no layer can filter; the time and the
processor's side channels; bugs of the kernel. Files of the standard library, installed packages and shared
libraries stay readable.

Sources: landlock(7), linux/landlock.h, seccomp(2), capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import struct
import sys
from collections.abc import Callable, Collection, Iterable
from functools import partial

from rlm.sandbox import limits
from rlm.sandbox.child import seccomp

SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom")
SYSTEM_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
# what Python and compiled packages read beside their own folders

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 1, 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 38, 39, 36
_CAPABILITY_VERSION_3 = 0x2008_0522
_SECCOMP_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3


class Unavailable(Exception):
    """This machine does not have a layer; the text says what is missing."""


def confine(
    memory: int, ruleset: int | None, folders: Iterable[str], without: Collection[str]
) -> tuple[dict[str, str], int | None]:
    """Confines this process, which must have one thread.

    Args:
        memory: bytes of address space beyond what is in use now.
        ruleset: descriptor of the Landlock rules that `prepare_files` made, or None.
        folders: readable on macOS.
        without: layers to leave out.

    Returns:
        Of each layer, "" or why it is not there; and the descriptor on which a supervisor hears of forks.
    """
    layers: dict[str, Callable[[], object]] = {"limits": lambda: _limit(memory)}
    listener: int | None = None
    if sys.platform == "linux":

        def filter_calls() -> None:
            nonlocal listener
            if "supervisor" not in without:
                try:
                    listener = _filter(supervised=True)
                    return
                except OSError as error:
                    missing["supervisor"] = f"the kernel gives no seccomp listener ({error.strerror})"
            _filter(supervised=False)

        layers |= {
            "capabilities": _drop_capabilities,
            "landlock": lambda: _restrict_files(ruleset),
            "seccomp": filter_calls,
        }
    elif sys.platform == "darwin":
        layers["seatbelt"] = lambda: _seatbelt(folders)
    missing = dict.fromkeys(limits.LAYERS, "") | dict.fromkeys(without, "left out")
    for name, install in layers.items():
        if name not in without:
            try:
                install()
            except (OSError, Unavailable) as error:
                missing[name] = str(error)
    return missing, listener


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent's thread dies; elsewhere the launcher must do it."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants whose own parent died."""
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


# Limits


def _limit(memory: int) -> None:
    def limit(what: int, number: int) -> None:
        hard = resource.getrlimit(what)[1]
        number = number if hard == resource.RLIM_INFINITY else min(number, hard)
        resource.setrlimit(what, (number, number))

    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_NOFILE, limits.DESCRIPTORS)
    if sys.platform == "linux":  # macOS counts address space that nothing uses
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        limit(resource.RLIMIT_AS, min(pages * resource.getpagesize() + memory, 2**62))
        for name in ("MEMLOCK", "MSGQUEUE", "NICE", "RTPRIO"):
            limit(getattr(resource, f"RLIMIT_{name}"), 0)


# Linux


def _drop_capabilities() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # only root may, and only root needs it
    if _libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)):
        raise _error("capset")


def prepare_files(folders: Iterable[str]) -> int:
    """Makes the Landlock rules, once for all workers: these folders and the system's libraries, to be read.

    Raises:
        Unavailable: the kernel has no Landlock.
    """
    version = _libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        raise Unavailable(f"the kernel {os.uname().release} has no Landlock, or it is turned off")
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    network, scopes = 3 if version >= 4 else 0, 3 if version >= 6 else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = struct.pack("=QQQ", (1 << bits) - 1, network, scopes)[:size]
    ruleset = _libc.syscall(_LANDLOCK_CREATE, attributes, len(attributes), 0)
    if ruleset < 0:
        raise _error("landlock_create_ruleset")
    for path in {*folders, *SYSTEM_FOLDERS}:
        _allow(ruleset, path, _READ_FILE | _READ_DIR)
    for path in SYSTEM_FILES:
        _allow(ruleset, path, _READ_FILE | (_WRITE_FILE if path == os.devnull else 0))
    return int(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:  # this machine does not have it
        return
    try:
        folder = os.path.isdir(path)
        rule = struct.pack("=Qi", rights if folder else rights & ~_READ_DIR, descriptor)
        if _libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0):
            raise _error(f"landlock_add_rule for {path}")
    finally:
        os.close(descriptor)


def _restrict_files(ruleset: int | None) -> None:
    if ruleset is None:
        raise Unavailable(f"the kernel {os.uname().release} has no Landlock, or it is turned off")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if _libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0):
        raise _error("landlock_restrict_self")


def _filter(*, supervised: bool) -> int | None:
    machine = os.uname().machine
    if machine not in seccomp.MACHINES or struct.calcsize("P") != 8:
        raise Unavailable(f"there is no list of system calls for {machine}")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    code = seccomp.program(machine, supervised=supervised)
    program = struct.pack(
        "@HP", len(code) // 8, ctypes.addressof(buffer := ctypes.create_string_buffer(code))
    )
    flags = _NEW_LISTENER if supervised else 0
    number = 317 if machine == "x86_64" else 277
    result = _libc.syscall(number, _SECCOMP_SET_MODE_FILTER, flags, program)
    del buffer
    if result < 0:
        raise _error("seccomp")
    return int(result) if supervised else None


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise _error(f"prctl({option})")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


# macOS


def _seatbelt(folders: Iterable[str]) -> None:
    """Seatbelt by sandbox_init(3), which Apple calls deprecated and its own programs still use."""
    readable = [*folders, *SYSTEM_FOLDERS, "/System/Library", "/System/Volumes/Preboot/Cryptexes"]
    paths = " ".join(f'(subpath "{path}")' for path in readable if '"' not in path)
    files = " ".join(f'(literal "{path}")' for path in (*SYSTEM_FILES, "/dev/random", "/dev/dtracehelper"))
    profile = f"""(version 1) (deny default) (allow sysctl-read) (allow file-read-metadata)
        (allow file-read* {paths} {files})"""
    message = ctypes.c_char_p()
    if _libc.sandbox_init(profile.encode(), ctypes.c_uint64(0), ctypes.byref(message)):
        raise Unavailable(f"Seatbelt refused its profile: {(message.value or b'').decode(errors='replace')}")


# What is left


def probe(parent: int) -> dict[str, bool]:
    """Tries what must not work, in a confined process; tells of each whether it was refused.

    parent: a process of the same user.
    """
    held = {
        "files": _refused(lambda: os.listdir(os.sep)) and _refused(lambda: _read("/etc/passwd")),
        "writing": _refused(_write),
        "network": all(_refused(partial(_reach, *kind)) for kind in _SOCKETS),
        "programs": _refused(_run_program),
        "forks": _refused(_fork),
        "signals": _refused(lambda: os.kill(parent, 0)),
    }
    if sys.platform == "linux":
        held["other processes"] = _refused(lambda: _read(f"/proc/{parent}/environ"))
        held["privileges"] = _has_no_privileges()
        held["memory"] = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    return held


_SOCKETS = [
    (family, kind)
    for family in ((socket.AF_INET, socket.AF_UNIX) if sys.platform == "linux" else (socket.AF_INET,))
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
]


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError as error:
        return error.errno in (errno.EPERM, errno.EACCES)
    return False


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _write() -> None:
    if sys.platform == "linux":
        return os.close(os.open("/tmp", os.O_WRONLY | os.O_TMPFILE))
    name = f"/tmp/rlm-{os.getpid()}"
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    return os.unlink(name)


def _reach(family: int, kind: int) -> None:
    """Makes a socket, and on macOS a connection, which is what Seatbelt refuses."""
    with socket.socket(family, kind) as end:
        if sys.platform == "darwin":
            end.connect(("127.0.0.1", 9))


def _run_program() -> None:
    if sys.platform == "darwin":  # it looks for the file before it asks Seatbelt
        os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {}), 0)
    else:
        os.execv("/nowhere/at/all", ["nothing"])


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _has_no_privileges() -> bool:
    header, sets = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), ctypes.create_string_buffer(24)
    none = not _libc.capget(header, sets) and not any(sets.raw)
    return none and (_libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
