"""The embedded model: llama.cpp in this process, loaded once and shared. Knows no server and no network."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import os
import queue
import re
import secrets
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rlm.cancel import Cancel
from rlm.clients import weights
from rlm.clients.base import Chunk, Options, Progress, ask, collect, first_tokens
from rlm.errors import ClientError, ConfigurationError, ContextOverflow, InvalidReply, RequestRefused
from rlm.types import Completion, Message, Usage

DEFAULT_MODEL = "qwen2.5-coder-1.5b"
WINDOW = 8192
# tokens of one conversation; a CPU reads some 50 tokens a second, so a larger one would be of little use
PARALLEL = 4
# conversations at once, each with a window of its own
BATCH = 512
# prompt tokens between two looks at the cancel switch, some ten seconds of a slow CPU; with fewer, a batch of
# sub calls does not fit into one, and each of them is then read and answered for itself: a third slower

FASTER = {"AVX512": "avx512f", "AVX512_VNNI": "avx512_vnni", "AVX_VNNI": "avx_vnni"}
# instructions of x86 that read prompts faster: what llama.cpp and what Linux call them
CPU = Path("/proc/cpuinfo")
TICK = 0.2
# seconds between two looks at the cancel switch while another thread loads the model
KEPT_PROMPTS = 8
# files of read instructions in the cache, some 30 MB each

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_loaded: dict[tuple[int, Path, int], _Model] = {}
# by process, file and window: a forked child has none of its parent's threads and loads its own


if hasattr(os, "register_at_fork"):  # a child may be forked while another thread holds it
    os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]


@contextmanager
def _alone(cancel: Cancel) -> Iterator[None]:
    """Holds the lock, for which a run that is stopped does not wait: a model may take minutes to load."""
    while not _lock.acquire(timeout=TICK):
        cancel.check()
    try:
        yield
    finally:
        _lock.release()


@dataclass
class _Model:
    """A model in memory: llama.cpp's server, which also listens on a local port that only its key opens."""

    server: Any
    api_key: str
    identity: str
    # of the file, llama.cpp and the settings: whatever makes a saved prompt useless when it changes
    instructions: set[str] = field(default_factory=set)
    # system messages whose tokens have been read


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

    def prepare(self, on_progress: Progress | None = None, cancel: Cancel | None = None) -> None:
        """Downloads the file if it is not there and loads it, so that the first call need not wait."""
        self._load(on_progress, cancel or Cancel())

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        return ask(self._attempt, messages, options)

    def _attempt(self, messages: Sequence[Message], options: Options) -> Completion:
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
        if options.min_p is not None:
            request["min_p"] = options.min_p
        if options.likely:
            request |= {"logprobs": True, "top_logprobs": options.likely}
        if options.think is not None:  # templates of models that cannot think take no notice
            request["chat_template_kwargs"] = {"enable_thinking": bool(options.think)}
        model = self._load(None, options.cancel)
        if messages and messages[0]["role"] == "system":
            _read_instructions(model, messages[: options.instructions], options.cancel)
        return collect(_stream(model.server, request, options.cancel), messages, options)

    def _load(self, on_progress: Progress | None, cancel: Cancel) -> _Model:
        path = weights.find(self.model, on_progress=on_progress, cancel=cancel)
        key = (os.getpid(), path, self._window)
        with _alone(cancel):
            if key not in _loaded:
                _loaded[key] = _load(path, self._window, self._threads or _cores())
            return _loaded[key]


def _runtime() -> Any:
    # libgomp's threads spin while they wait, and with another busy process on the machine that costs both of
    # them more than half their speed. A short spin loses nothing on an idle machine. Read when libgomp loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import xllamacpp
    except ImportError as error:
        raise ConfigurationError(
            "The embedded model needs xllamacpp, which is not installed: pip install 'rlm-ollama[local]'"
        ) from error
    return xllamacpp


def _load(path: Path, window: int, threads: int) -> _Model:
    xllamacpp = _runtime()
    params = settings(xllamacpp, window, threads)
    params.model.path = str(path)
    api_key = secrets.token_hex()
    params.api_keys = [api_key]
    with suppress(OSError):  # without it, each process reads the instructions anew
        params.slot_save_path = f"{_prompts_folder()}{os.sep}"
    logger.info("Loading %s with %d threads.", path, threads)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise ConfigurationError(f"llama.cpp cannot load {path}: {error}") from error
    stat = path.stat()
    identity = f"{xllamacpp.__version__} {path} {stat.st_size} {stat.st_mtime_ns} {window}"
    return _Model(server, api_key, identity)


def settings(xllamacpp: Any, window: int, threads: int) -> Any:
    """What llama.cpp is told; benchmarks/cpu.py measures other settings."""
    params = xllamacpp.CommonParams()
    params.n_ctx = window * PARALLEL
    params.n_parallel = PARALLEL
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.ctx_shift = False  # never drop the beginning of a conversation silently
    params.fit_params = False  # the sizes above are known to fit; trying others takes a second
    params.no_extra_bufts = True  # a second, repacked copy of the weights gains no speed and takes seconds
    params.warmup = False
    params.verbosity = -1
    return params


def unused() -> list[str]:
    """Which of FASTER this CPU has and llama.cpp is built without; none where Linux does not say."""
    built = _runtime().get_system_info()
    try:
        flags = re.search(r"^flags\s*:(.*)", CPU.read_text(), re.MULTILINE)
    except OSError:
        return []
    has = flags[1].split() if flags else []
    return [name for name, flag in FASTER.items() if flag in has and f"{name} = 1" not in built]


def _prompts_folder() -> Path:
    folder = weights.cache_folder() / "prompts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read_instructions(model: _Model, given: Sequence[Message], cancel: Cancel) -> None:
    """Makes the first call of a process as fast as the later ones: the instructions are read once for all.

    They are the greater part of a first prompt, and always the same; a CPU takes seconds to read them. What
    llama.cpp makes of them is kept in a file of some 30 MB, which has nothing of the user's data.
    """
    with _alone(cancel):
        text = "\n\n".join(message["content"] for message in given)
        if any(text.startswith(known) for known in model.instructions):
            return
        model.instructions.add(text)
        name = hashlib.sha256(f"{model.identity}\n{text}".encode()).hexdigest()[:32]
        try:
            file = _prompts_folder() / name
        except OSError:  # a cache that cannot be written
            return
        if file.exists() and _slot(model, "restore", name):
            with suppress(OSError):  # it is kept longer so; a cache that cannot be written is of use too
                os.utime(file)
            return
        user = Message(role="user", content="")
        request = {
            "messages": [*given, user],
            "max_tokens": 1,
            "id_slot": 0,
            "stream": True,
            "return_progress": True,
        }
        for _ in _stream(model.server, request, cancel):
            pass
        part = f"{name}.{os.getpid()}.part"
        with suppress(OSError):  # another process tidies up too, and a file that is missing costs only time
            if _slot(model, "save", part):
                os.replace(file.with_name(part), file)
            for old in sorted(file.parent.iterdir(), key=lambda path: -path.stat().st_mtime)[KEPT_PROMPTS:]:
                old.unlink(missing_ok=True)


def _slot(model: _Model, action: str, name: str) -> bool:
    """Saves or restores slot 0; False where llama.cpp cannot, which costs nothing but time."""
    address = urlsplit(model.server.listening_address)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {model.api_key}", "Content-Type": "application/json"}
        connection.request("POST", f"/slots/0?action={action}", json.dumps({"filename": name}), headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


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


def _stream(server: Any, request: dict[str, Any], cancel: Cancel) -> Generator[Chunk, None, None]:
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
            finished = False
            while (data := items.get()) is not _END:
                chunk = _chunk(data)
                finished = finished or chunk.finish_reason is not None
                yield chunk
            cancel.check()
            if not finished:
                raise InvalidReply("llama.cpp's reply ended without its end.")
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
        likely=first_tokens(choice.get("logprobs")),
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
