"""The filter of system calls, run by a small interpreter: what it says on any machine."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from rlm.sandbox.child import seccomp
from rlm.sandbox.child.seccomp import ALLOW, AUDIT_ARCH, ERRNO, KILL, NOTIFY

REFUSED, UNKNOWN = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
MACHINES = pytest.mark.parametrize("machine", seccomp.MACHINES)


def verdict(
    machine: str,
    call: int,
    arguments: tuple[int, ...] = (),
    *,
    arch: int | None = None,
    supervised: bool = True,
) -> int:
    """Runs the classic BPF program of linux/filter.h over a struct seccomp_data."""
    padded = [*arguments, *[0xDEAD_BEEF_DEAD_BEEF] * 6][:6]
    data = struct.pack("=iIQ6Q", call, AUDIT_ARCH[machine] if arch is None else arch, 0, *padded)
    code = seccomp.program(machine, supervised=supervised)
    at = accumulator = 0
    while True:
        operation, if_true, if_false, operand = struct.unpack_from("=HBBI", code, at * 8)
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x06:
                return int(operand)
            case _:
                pytest.fail(f"unknown instruction {operation:#x}")


def named(machine: str, name: str, *arguments: int, supervised: bool = True) -> int:
    return verdict(machine, seccomp.numbers(machine)[name], arguments, supervised=supervised)


@MACHINES
def test_the_numbers_are_those_of_the_kernels_headers(machine):
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())
    theirs = {name: int(number) for name, number in reversed(found)}
    theirs["newfstatat"] = theirs.get("newfstatat", theirs.get("fstatat"))
    ours = seccomp.numbers(machine)
    assert ours == {name: theirs[name] for name in ours}


@MACHINES
def test_what_python_needs_is_allowed(machine):
    for name in ("read", "write", "openat", "mmap", "futex", "exit_group", "recvmsg", "getrandom"):
        assert named(machine, name) == ALLOW, name


@MACHINES
def test_what_is_not_listed_is_refused_and_what_is_newer_is_unknown(machine):
    listed = set(seccomp.numbers(machine).values())
    for call in range(seccomp.NEWEST + 1):
        if call not in listed:
            assert verdict(machine, call) == REFUSED, call
    assert {verdict(machine, call) for call in range(seccomp.NEWEST + 1, 520)} == {UNKNOWN}


@MACHINES
def test_calls_of_another_architecture_end_the_process(machine):
    others = {0x4000_0003, 0x4000_0028, *AUDIT_ARCH.values()} - {AUDIT_ARCH[machine]}  # i386, arm
    assert {verdict(machine, 1, arch=arch) for arch in others} == {KILL}


def test_x32_calls_end_the_process():
    assert verdict("x86_64", 0x4000_0000 | 1) == KILL


@MACHINES
def test_flags_that_a_filter_cannot_read_are_unknown_calls(machine):
    assert named(machine, "clone3") == named(machine, "openat2") == UNKNOWN


@MACHINES
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        pytest.param("clone", (0x003D_0F00,), NOTIFY, id="thread"),
        pytest.param("clone", (0x0120_0011,), NOTIFY, id="fork"),
        pytest.param("clone", (0x0120_0011 | 1 << 32,), REFUSED, id="fork-with-a-high-bit"),
        pytest.param("clone", (0x1000_0011,), REFUSED, id="user-namespace"),
        pytest.param("clone", (0x4111,), REFUSED, id="vfork"),
        pytest.param("prctl", (15,), ALLOW, id="thread-name"),
        pytest.param("prctl", (1, 9), ALLOW, id="die-with-parent"),
        pytest.param("prctl", (1, 0), REFUSED, id="outlive-the-parent"),
        pytest.param("prctl", (1, 9 | 1 << 40), REFUSED, id="outlive-by-a-high-bit"),
        pytest.param("prctl", (36, 1), REFUSED, id="subreaper"),
        pytest.param("fcntl", (3, 4), ALLOW, id="nonblocking"),
        pytest.param("fcntl", (3, 8), REFUSED, id="owner-of-signals"),
        pytest.param("ioctl", (0, 0x5401), ALLOW, id="isatty"),
        pytest.param("ioctl", (0, 0x5412), REFUSED, id="type-into-the-terminal"),
        pytest.param("prlimit64", (0,), ALLOW, id="own-limits"),
        pytest.param("prlimit64", (1,), REFUSED, id="limits-of-another"),
        pytest.param("socketpair", (1, 0x80801, 0), ALLOW, id="stream-pair"),
        pytest.param("socketpair", (1, 2, 0), REFUSED, id="datagram-pair"),
        pytest.param("socketpair", (2, 1, 0), REFUSED, id="pair-of-another-family"),
        pytest.param("sendto", (3, 0, 1, 0, 0), ALLOW, id="send"),
        pytest.param("sendto", (3, 0, 1, 0, 1 << 33), REFUSED, id="send-to-an-address"),
        pytest.param("sendto", (3, 0, 1, 1, 0), REFUSED, id="out-of-band"),
        pytest.param("sendmsg", (1000, 0, 0), ALLOW, id="send-the-listener"),
        pytest.param("sendmsg", (3, 0, 0), REFUSED, id="send-a-descriptor"),
        pytest.param("sendmsg", (1000, 0, 1), REFUSED, id="out-of-band-message"),
    ],
)
def test_arguments_decide(machine, name, arguments, expected):
    assert named(machine, name, *arguments) == expected


@MACHINES
def test_without_a_supervisor_threads_are_free_and_forks_refused(machine):
    assert named(machine, "clone", 0x003D_0F00, supervised=False) == ALLOW
    assert named(machine, "clone", 0x0120_0011, supervised=False) == REFUSED
