"""Every test runs offline: a connection beyond this machine fails it, and no provider's key is set."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlm.clients.resolve import PROVIDERS
from rlm.sandbox import launch


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    for variable in [provider.variable for provider in PROVIDERS.values()] + [
        "OLLAMA_HOST",
        "OLLAMA_API_KEY",
    ]:
        if variable:
            monkeypatch.delenv(variable, raising=False)
    if request.node.get_closest_marker("live") or request.node.get_closest_marker("model"):
        return
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(host).is_loopback:
            pytest.fail(f"a test connects to {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", local_only)


def children(parent: int | None = None) -> set[int]:
    """Processes that this one, or another one, has started and that are still there."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == (parent or os.getpid()):
            found.add(int(stat.parent.name))
    return found


def descendants(parent: int | None = None) -> set[int]:
    """Children, their children, and so on."""
    found = children(parent)
    return found.union(*map(descendants, found))


def lives(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def sessions() -> set[int]:
    """REPL processes of this test run: all that the launcher, which stays, has started."""
    launcher = launch._shared
    return descendants(launcher._process.pid) if launcher else set()


@pytest.fixture
def no_process_left() -> Iterator[None]:
    """Fails the test if it leaves a process behind, other than the launcher."""
    before = children() - {launch.launcher()._process.pid}
    yield
    for _ in range(100):
        if not sessions():
            break
        time.sleep(0.02)
    assert not sessions()
    assert children() - {launch.launcher()._process.pid} == before
