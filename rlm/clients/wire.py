"""How clients reach a server: streams, time-outs, cancelling and retries in one place. Knows no provider.

All HTTP runs on one event loop in a background thread, because only a task can be cancelled at any point,
before the first byte too. Callers are plain synchronous code, in as many threads as they like.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import random
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any, TypeVar

from rlm.cancel import Cancel
from rlm.errors import ClientError, ReplyTimeout, ServerBusy

T = TypeVar("T")

FIRST_BYTE_TIMEOUT = 300.0
# seconds; a server may load the model first, and giving up would abort the load
CHUNK_TIMEOUT = 60.0
# seconds between two pieces of a reply
CONNECT_TIMEOUT = 10.0
# seconds until a server has accepted the connection
ATTEMPTS = 4
# of one request, the first included
BACKOFF = 0.5
# seconds before the second attempt, doubled for each further one; jitter comes on top
LONGEST_PAUSE = 60.0
# seconds; a server that asks for a longer one (a daily quota, say) has its error raised instead

logger = logging.getLogger(__name__)

_lock = threading.Lock()

if hasattr(os, "register_at_fork"):  # a child may be forked while another thread holds it
    os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]

_loops: dict[int, asyncio.AbstractEventLoop] = {}


def event_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process; a forked child gets its own."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="rlm-wire", daemon=True).start()
        return loop


def running_loop(pid: int) -> asyncio.AbstractEventLoop | None:
    """The loop of a process, where it has one already; takes no lock."""
    return _loops.get(pid)


def run(call: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
    """Runs a coroutine on the shared loop and waits for its result."""
    future = asyncio.run_coroutine_threadsafe(call, event_loop())
    try:
        return future.result(timeout)
    finally:
        future.cancel()


_END = object()


def stream(
    source: Callable[[], AsyncIterator[T]],
    *,
    cancel: Cancel,
    server: str,
    first_timeout: float = FIRST_BYTE_TIMEOUT,
    chunk_timeout: float = CHUNK_TIMEOUT,
) -> Generator[T, None, None]:
    """Yields here what the asynchronous iterator yields on the shared loop.

    Leaving the loop early, a time-out and `cancel` all end the iterator at the point where it waits,
    so that its connection is closed and the server stops generating.
    `server` names it in the time-out's message. Raises whatever the iterator raises, ReplyTimeout, Cancelled.
    """
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def pump() -> None:
        try:
            async for item in source():
                items.put(item)
        except BaseException as error:
            # The frames hold half-read generators of an SDK. The collector may run in another thread and
            # close them there while the loop does, for which Python prints an error.
            traceback.clear_frames(error.__traceback__)
            raise

    cancel.check()
    task = asyncio.run_coroutine_threadsafe(pump(), event_loop())
    task.add_done_callback(lambda _: items.put(_END))
    timeout = first_timeout
    with cancel.calling(task.cancel):
        try:
            while (item := items.get(timeout=timeout)) is not _END:
                yield item
                timeout = chunk_timeout
            cancel.check()
            task.result()
        except queue.Empty:
            raise ReplyTimeout(
                f"{server} sent nothing for {timeout:g} s. It may be overloaded or still loading the model; "
                "try again, or allow it more time."
            ) from None
        finally:
            task.cancel()


def with_retries(attempt: Callable[[], T], *, cancel: Cancel, attempts: int = ATTEMPTS) -> T:
    """Calls `attempt` until it returns, and again after an error that another try may mend.

    Waits between tries with exponential backoff and jitter, or as long as the server asks (Retry-After).
    """
    for n in range(attempts):
        try:
            return attempt()
        except ClientError as error:
            if not error.retryable or n == attempts - 1:
                raise
            advice = error.retry_after if isinstance(error, ServerBusy) else None
            pause = advice if advice is not None else BACKOFF * 2**n * random.uniform(1.0, 1.5)
            if pause > LONGEST_PAUSE:
                raise
            logger.warning("%s Trying again in %.1f s.", error, pause)
            cancel.wait(pause)
    raise AssertionError("unreachable")
