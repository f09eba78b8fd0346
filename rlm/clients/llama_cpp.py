"""The embedded model: llama.cpp in this process, loaded once and shared. Knows no server and no network."""

from __future__ import annotations

import logging
import os
import queue
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlm.cancel import Cancel
from rlm.clients import weights
from rlm.clients.base import Chunk, Options, collect
from rlm.errors import ClientError, ConfigurationError, ContextOverflow, InvalidReply, RequestRefused
from rlm.types import Completion, Message, Usage

DEFAULT_MODEL = "qwen2.5-coder-1.5b"
WINDOW = 8192
# tokens of one conversation; a CPU reads some 50 tokens a second, so a larger one would be of little use
PARALLEL = 4
# conversations at once, each with a window of its own
BATCH = 128
# prompt tokens between two looks at the cancel switch: two or three seconds on a slow CPU

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_servers: dict[tuple[int, Path, int], Any] = {}
# by process, file and window: a forked child has none of its parent's threads and loads its own


class LlamaCpp:
    """A small model in this process, for machines without a model server.

    Args:
        model: a known short name, or the path of a GGUF file.
        window: tokens of one conversation.
        threads: of the CPU; None takes the cores that this process may use.
    """

    concurrency = PARALLEL

    def __init__(
        self, model: str = DEFAULT_MODEL, *, window: int = WINDOW, threads: int | None = None
    ) -> None:
        self.model = model
        self.name = f"local:{model}"
        self._window = window
        self._threads = threads

    def __repr__(self) -> str:
        return f"LlamaCpp({self.model!r})"

    def window(self) -> int:
        return self._window

    def prepare(self, on_progress: weights.Progress | None = None, cancel: Cancel | None = None) -> None:
        """Downloads the file if it is not there and loads it, so that the first call need not wait."""
        self._server(on_progress, cancel or Cancel())

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        request: dict[str, Any] = {
            "messages": list(messages),
            "max_tokens": options.max_tokens,
            "cache_prompt": True,
            "stream": True,
            "return_progress": True,  # a chunk after each batch of the prompt: a chance to cancel
            "timings_per_token": True,  # usage is known wherever the stream is stopped
        }
        if options.temperature is not None:
            request["temperature"] = options.temperature
        server = self._server(None, options.cancel)
        return collect(_stream(server, request, options.cancel), messages, options)

    def _server(self, on_progress: weights.Progress | None, cancel: Cancel) -> Any:
        path = weights.find(self.model, on_progress=on_progress, cancel=cancel)
        key = (os.getpid(), path, self._window)
        with _lock:
            if key not in _servers:
                _servers[key] = _load(path, self._window, self._threads or _cores())
            return _servers[key]


def _load(path: Path, window: int, threads: int) -> Any:
    # libgomp's threads spin while they wait, and with another busy process on the machine that costs both of
    # them more than half their speed. A short spin loses nothing on an idle machine. Read when libgomp loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import xllamacpp
    except ImportError as error:
        raise ConfigurationError(
            "The embedded model needs xllamacpp, which is not installed: pip install 'rlm-ollama[local]'"
        ) from error
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = window * PARALLEL
    params.n_parallel = PARALLEL
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.ctx_shift = False  # never drop the beginning of a conversation silently
    params.fit_params = False  # the sizes above are known to fit; trying others takes a second
    params.no_extra_bufts = True  # a second, repacked copy of the weights gains no speed and takes seconds
    params.warmup = False
    params.verbosity = -1
    params.api_keys = [secrets.token_hex()]  # llama.cpp listens on a port of its own; nobody needs it
    logger.info("Loading %s with %d threads.", path, threads)
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ConfigurationError(f"llama.cpp cannot load {path}: {error}") from error


def _cores() -> int:
    """Cores that this process may use; above four, half of them are taken to be hyper-threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup, or no quota ("max")
        pass
    return cores if cores <= 4 else cores // 2


_END = object()


def _stream(server: Any, request: dict[str, Any], cancel: Cancel) -> Iterator[Chunk]:
    """Yields the reply's chunks; leaving early stops llama.cpp at its next token or prompt batch."""
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    left = threading.Event()

    def on_chunk(data: dict[str, Any]) -> bool:
        items.put(data)
        return left.is_set()

    def generate() -> None:
        try:
            server.handle_chat_completions(request, on_chunk)
        except Exception as error:  # handed to the thread that waits for the reply
            items.put({"error": {"message": f"{type(error).__name__}: {error}"}})
        finally:
            items.put(_END)

    thread = threading.Thread(target=generate, name="rlm-llama")
    thread.start()  # no daemon: Python must not end while llama.cpp is at work
    with cancel.calling(lambda: items.put(_END)):
        try:
            while (data := items.get()) is not _END:
                yield _chunk(data)
            cancel.check()
        finally:
            left.set()
            thread.join(1.0)  # until its slot is free, so that the next turn finds its cache there


def _chunk(data: dict[str, Any]) -> Chunk:
    if "error" in data:
        raise _error(data["error"])
    choice = (data.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    timings = data.get("timings")
    finish = choice.get("finish_reason")
    return Chunk(
        text=delta.get("content") or "",
        thinking=delta.get("reasoning_content") or "",
        usage=_usage(timings) if timings else None,
        finish_reason=None if finish is None else "length" if finish == "length" else "stop",
    )


def _usage(timings: dict[str, Any]) -> Usage:
    cached = int(timings["cache_n"])
    return Usage(cached + int(timings["prompt_n"]), int(timings["predicted_n"]), cached)


def _error(error: dict[str, Any]) -> ClientError:
    message = str(error.get("message"))
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflow(
            f"The prompt does not fit the embedded model: {message}.",
            prompt_tokens=error.get("n_prompt_tokens"),
            window=error.get("n_ctx"),
        )
    if error.get("code") == 400:
        return RequestRefused(f"llama.cpp refused the request: {message}")
    return InvalidReply(f"llama.cpp failed: {message}")
