"""The system calls that a REPL may make, as a seccomp filter. Knows nothing of processes or files.

What is not listed fails with EPERM, so that Python code sees a PermissionError and goes on. clone3 and
openat2, whose arguments a filter cannot read, and calls newer than this list fail with ENOSYS, so that libc
takes an older call. 32-bit and x32 calls end the process.

Sources: seccomp(2), linux/filter.h, linux/seccomp.h, asm/unistd.h.

Of a thread or a fork a supervisor decides, where there is one (SECCOMP_RET_USER_NOTIF). The kernel's manual
warns against that for policies which depend on memory that the caller can change meanwhile; here the filter
itself has checked the flags, which stand in a register, and the supervisor only counts.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rlm.sandbox import limits

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = tuple(AUDIT_ARCH)
KILL, ERRNO, NOTIFY, ALLOW = 0x8000_0000, 0x0005_0000, 0x7FC0_0000, 0x7FFF_0000
NEWEST = 449
# the highest number in the table, futex_waitv of Linux 5.16; the numbers of all machines agree from 424 on

_NUMBERS = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69
pwritev 296 70, lseek 8 62, close 3 57, close_range 436 436, dup 32 23, dup2 33 -, dup3 292 24, fcntl 72 25
ioctl 16 29, fstat 5 80, stat 4 -, lstat 6 -, newfstatat 262 79, statx 332 291, statfs 137 43
fstatfs 138 44, access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78
getcwd 79 17, chdir 80 49, fchdir 81 50, open 2 -, openat 257 56, openat2 437 437, getdents 78 -
getdents64 217 61, fadvise64 221 223, umask 95 166, mmap 9 222, mprotect 10 226, munmap 11 215
mremap 25 216, madvise 28 233, brk 12 214, mincore 27 232, membarrier 324 283, futex 202 98
futex_waitv 449 449, set_robust_list 273 99, rseq 334 293, set_tid_address 218 96, arch_prctl 158 -
prctl 157 167, sched_yield 24 124, sched_getaffinity 204 123, getcpu 309 168, rt_sigaction 13 134
rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigtimedwait 128 137
rt_sigsuspend 130 133, sigaltstack 131 132, pause 34 -, getpid 39 172, getppid 110 173, gettid 186 178
getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148, getresgid 120 150
getpgrp 111 -, getpgid 121 155, getsid 124 156, getgroups 115 158, capget 125 90, uname 63 160
sysinfo 99 179, times 100 153, getrusage 98 165, getrlimit 97 163, setrlimit 160 164, prlimit64 302 261
clock_gettime 228 113, clock_getres 229 114, clock_nanosleep 230 115, nanosleep 35 101, gettimeofday 96 169
time 201 -, getrandom 318 278, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21, epoll_wait 232 -
epoll_pwait 281 22, epoll_pwait2 441 441, eventfd2 290 19, poll 7 -, ppoll 271 73, select 23 -
pselect6 270 72, pipe 22 -, pipe2 293 59, timerfd_create 283 85, timerfd_settime 286 86
timerfd_gettime 287 87, setitimer 38 103, getitimer 36 102, alarm 37 -, exit 60 93, exit_group 231 94
restart_syscall 219 128, wait4 61 260, waitid 247 95, sendto 44 206, sendmsg 46 211, recvfrom 45 207
recvmsg 47 212, socketpair 53 199, shutdown 48 210, getsockopt 55 209, getsockname 51 204
getpeername 52 205, clone 56 220, clone3 435 435, fork 57 -
"""
# name, number on x86_64, number on aarch64


class Is(NamedTuple):
    """A condition on one argument of a call: `argument & mask == value`."""

    argument: int
    value: int
    mask: int = 0xFFFF_FFFF
    # of all 64 bits where the kernel reads as many; of an int it reads 32


LONG = 2**64 - 1
_LD, _AND, _JEQ, _JGE, _RET = 0x20, 0x54, 0x15, 0x35, 0x06
_THREADS = (0x003D_0F00, 0x007D_0F00)
# clone flags of a new thread: glibc's, musl's
_FORKS = (0x0120_0011, 0x11)
# clone flags of a plain fork: glibc's, musl's
_OOB = 1
_COMMANDS = {
    "fcntl": (0, 1, 2, 3, 4, 1030),  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
    "ioctl": (
        0x5401,
        0x5413,
        0x541B,
        0x5421,
        0x5450,
        0x5451,
    ),  # TCGETS, TIOCGWINSZ, FIONREAD, FIO(NBIO, NCLEX, CLEX)
    "prctl": (15, 16, 23, 39, 0x53564D41),  # PR_(SET_NAME, GET_NAME, CAPBSET_READ, GET_NO_NEW_PRIVS, SET_VMA)
}
# allowed values of the argument that says what to do: the second, for prctl the first
_OPTIONS = (3, 4, 7, 8, 38, 39)
# SO_(TYPE, ERROR, SNDBUF, RCVBUF, PROTOCOL, DOMAIN); others tell of the process at the other end


def numbers(machine: str) -> dict[str, int]:
    """The numbers of the calls in the table on this machine."""
    column = 1 + MACHINES.index(machine)
    rows = [entry.split() for line in _NUMBERS.strip().splitlines() for entry in line.split(",")]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def program(machine: str, *, supervised: bool) -> bytes:
    """The filter, an array of struct sock_filter; `supervised`: whether a supervisor decides of forks."""
    code = [(_LD, 0, 0, 4), (_JEQ, 1, 0, AUDIT_ARCH[machine]), (_RET, 0, 0, KILL), (_LD, 0, 0, 0)]
    if machine == "x86_64":  # x32 calls have bit 30 set
        code += [(_JGE, 0, 1, 0x4000_0000), (_RET, 0, 0, KILL)]
    for name, number in numbers(machine).items():
        block = list(_block(_rules(name, supervised)))
        code += [(_JEQ, 0, len(block), number), *block]
    code += [(_JGE, 0, 1, NEWEST + 1), (_RET, 0, 0, ERRNO | errno.ENOSYS), (_RET, 0, 0, ERRNO | errno.EPERM)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _rules(name: str, supervised: bool) -> list[tuple[int, Sequence[Is]]]:
    """What to do at a call, each with its conditions; the first that holds decides, none means EPERM."""
    refuse = ERRNO | errno.EPERM
    match name:
        case "clone3" | "openat2":
            return [(ERRNO | errno.ENOSYS, ())]
        case "clone":
            threads = [(NOTIFY if supervised else ALLOW, [Is(0, flags, LONG)]) for flags in _THREADS]
            forks = [(NOTIFY if supervised else refuse, [Is(0, flags, LONG)]) for flags in _FORKS]
            return [*threads, *forks]
        case "fork":
            return [(NOTIFY if supervised else refuse, ())]
        case "prctl":  # a worker that takes over asks to die with its parent; no code may undo that
            return [(ALLOW, [Is(0, 1), Is(1, 9, LONG)]), *((ALLOW, [Is(0, do)]) for do in _COMMANDS[name])]
        case "fcntl" | "ioctl":
            return [(ALLOW, [Is(1, command)]) for command in _COMMANDS[name]]
        case "getsockopt":
            return [(ALLOW, [Is(1, 1), Is(2, option)]) for option in _OPTIONS]
        case "prlimit64":
            return [(ALLOW, [Is(0, 0)])]
        case (
            "socketpair"
        ):  # a stream between this process and itself; from a datagram socket any path is in reach
            return [(ALLOW, [Is(0, 1), Is(1, 1, 0xF)])]
        case "sendto":
            return [(ALLOW, [Is(4, 0, LONG), Is(3, 0, _OOB)])]
        case "sendmsg":
            return [(ALLOW, [Is(0, limits.SUPERVISOR), Is(2, 0, _OOB)])]
    return [(ALLOW, ())]


def _block(rules: list[tuple[int, Sequence[Is]]]) -> Iterator[tuple[int, int, int, int]]:
    for action, conditions in rules:
        tests = [test for condition in conditions for test in _test(condition)]
        for at, test in enumerate(tests):
            skip = len(tests) - at if test[0] == _JEQ else 0  # past this rule's verdict
            yield (test[0], 0, skip, test[3])
        yield (_RET, 0, 0, action)
    if not rules or rules[-1][1]:
        yield (_RET, 0, 0, ERRNO | errno.EPERM)


def _test(condition: Is) -> Iterator[tuple[int, int, int, int]]:
    """Compares an argument's lower, then its upper half; in struct seccomp_data they begin at byte 16."""
    for half in (0, 1):
        mask = condition.mask >> 32 * half & 0xFFFF_FFFF
        if mask:
            yield (_LD, 0, 0, 16 + 8 * condition.argument + 4 * half)
            if mask != 0xFFFF_FFFF:
                yield (_AND, 0, 0, mask)
            yield (_JEQ, 0, 0, condition.value >> 32 * half & 0xFFFF_FFFF)
