"""What clients of HTTP servers share: connections, and a call as a retried stream. Knows no provider."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, TypeVar

from rlm.clients import wire
from rlm.clients.base import Chunk, Options, ask, collect
from rlm.types import Completion, Message

T = TypeVar("T")

_opening = threading.Lock()

if hasattr(os, "register_at_fork"):  # a child may be forked while another thread holds it
    os.register_at_fork(after_in_child=_opening._at_fork_reinit)  # type: ignore[attr-defined]


class Remote(Generic[T]):
    """Base of a client whose model runs in a server. `T` is its pool of connections.

    The pool is made when first used, once for each process. Pickling and copying leave it out, and a client
    that is dropped without `close()` still has it closed.
    """

    name: str
    # for display; `resolve` understands it
    server: str
    # as errors call it
    first_timeout: float = wire.FIRST_BYTE_TIMEOUT
    chunk_timeout: float = wire.CHUNK_TIMEOUT
    # seconds of silence allowed before the reply, and within it

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        """Returns the model's reply; raises a ClientError when there is none, Cancelled when stopped."""
        return ask(self._attempt, messages, options, attempts=wire.ATTEMPTS)

    def close(self) -> None:
        """Closes the connections; a later call opens new ones."""
        pool = self.__dict__.pop("_pools", {}).pop(os.getpid(), None)
        if pool is not None:
            wire.run(_close(pool), timeout=wire.CONNECT_TIMEOUT)

    def _open(self) -> T:
        """Makes the pool: an object with an asynchronous `aclose` or `close`."""
        raise NotImplementedError

    def _chat(self, pool: T, messages: Sequence[Message], options: Options) -> AsyncIterator[Chunk]:
        """Sends one request and yields its reply; raises a ClientError."""
        raise NotImplementedError

    def _pool(self) -> T:
        with _opening:
            pools: dict[int, T] = self.__dict__.setdefault("_pools", {})
            pid = os.getpid()
            if pid not in pools:
                pools[pid] = self._open()
                weakref.finalize(self, _close_later, pools[pid], pid).atexit = False
            return pools[pid]

    def _attempt(self, messages: Sequence[Message], options: Options) -> Completion:
        pool = self._pool()
        chunks = wire.stream(
            lambda: self._chat(pool, messages, options),
            cancel=options.cancel,
            server=self.server,
            first_timeout=self.first_timeout,
            chunk_timeout=self.chunk_timeout,
        )
        return collect(chunks, messages, options, grace=2)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_pools"}


async def _close(pool: Any) -> None:
    await (getattr(pool, "aclose", None) or pool.close)()


def _close_later(pool: Any, pid: int) -> None:
    """Runs when the garbage is collected, at any point of any thread: takes no lock and waits for nothing."""
    loop = wire.running_loop(pid)
    if pid == os.getpid() and loop is not None:
        asyncio.run_coroutine_threadsafe(_close(pool), loop)
