"""Cancel: the switch that stops a run, from any thread. Knows nothing of what it stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from rlm.errors import Cancelled

if TYPE_CHECKING:
    from rlm.types import StopReason


class Cancel:
    """A switch that is thrown once; whoever waits for something slow registers how to be woken.

    Hand one to `RLM.completion(cancel=…)` and call `set()` from a signal handler or another thread:
    the run stops at once and returns its best answer so far.
    """

    def __init__(self) -> None:
        # Reentrant, because a signal handler may call set() while this same thread is inside calling().
        self._lock = threading.RLock()
        self._callbacks: list[Callable[[], object]] = []
        self.reason: StopReason | None = None

    def set(self, reason: StopReason = "cancelled") -> None:
        """Throws the switch; the first reason stays."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raises `Cancelled` once the switch is thrown."""
        if self.reason is not None:
            raise Cancelled(self.reason)

    def wait(self, seconds: float) -> None:
        """Sleeps, and raises `Cancelled` as soon as the switch is thrown."""
        woken = threading.Event()
        with self.calling(woken.set):
            woken.wait(seconds)
        self.check()

    def throwing(self, other: Cancel) -> AbstractContextManager[None]:
        """Throws another switch too, for the same reason, when this one is thrown inside the block."""
        return self.calling(lambda: other.set(self.reason or "cancelled"))

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Calls `callback` when the switch is thrown inside the block, or at once where it already was."""
        with self._lock:
            self._callbacks.append(callback)
            thrown = self.reason is not None
        try:
            if thrown:
                callback()
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)
