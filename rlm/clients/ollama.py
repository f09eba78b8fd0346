"""Ollama's native API, POST /api/chat. Knows the wire format; time-outs and retries are wire's.

Every request says `truncate: false, shift: false`: otherwise Ollama drops the oldest messages of a prompt
that does not fit, and answers as if nothing had happened. Source: docs/api.md in github.com/ollama/ollama.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from rlm.cancel import Cancel
from rlm.clients import failures, wire
from rlm.clients.base import Chunk, Options, Progress, first_tokens
from rlm.clients.fit import NUM_CTX, ModelFacts
from rlm.clients.ollama_server import Server, lines, ollama_host, tagged
from rlm.clients.remote import Remote
from rlm.errors import ClientError, ConfigurationError, InvalidReply, ModelNotFound, RequestRefused
from rlm.types import Completion, Message, Usage

if TYPE_CHECKING:
    import httpx2

__all__ = ["Ollama", "ollama_host"]

AVAILABLE_TIMEOUT = 2.0
# seconds; "is it there?" must not hold anyone up

T = TypeVar("T")

logger = logging.getLogger(__name__)

_windows: dict[tuple[str, str], int] = {}
# One window for each (host, model) in this process: a request with another num_ctx makes the server reload
# the model, and a root and a sub client that differ would do so at every turn. Touched on wire's loop alone.
_confirmed: set[tuple[tuple[str, str], int]] = set()
# windows that the server has been asked about after it had loaded the model


class Ollama(Remote["httpx2.AsyncClient"]):
    """A model on an Ollama server.

    model: as in `ollama run`; `http://server:11434/name` names the server too.
    host: as in OLLAMA_HOST, which is the default.
    num_ctx: window in tokens. The default is a ceiling: the model's own length and, where the server is on
        this machine, the free memory may make it smaller. Any other value is obeyed up to the model's length.
    keep_alive: how long the server keeps the model loaded after a call.
    think: True, False or a level such as "low", for models that can; None leaves it to the server.
    pull: whether the server is to download the model where it does not have it.
    first_timeout, chunk_timeout: seconds of silence allowed before the reply and within it.
    """

    concurrency = 8

    def __init__(
        self,
        model: str,
        *,
        host: str | None = None,
        num_ctx: int = NUM_CTX,
        keep_alive: str = "30m",
        think: bool | str | None = None,
        pull: bool = False,
        first_timeout: float = wire.FIRST_BYTE_TIMEOUT,
        chunk_timeout: float = wire.CHUNK_TIMEOUT,
    ) -> None:
        if model.startswith(("http://", "https://")):
            url = urlsplit(model)
            host, model = f"{url.scheme}://{url.netloc}", url.path.strip("/")
        if not model.strip():
            raise ConfigurationError('The name of an Ollama model is empty. Give one, such as "qwen3:4b".')
        if num_ctx < 1:
            raise ConfigurationError(f"num_ctx must be a positive number of tokens, not {num_ctx}.")
        self.model = self.name = model.strip()
        self.host = ollama_host(host)
        self.num_ctx = num_ctx
        self.keep_alive = keep_alive
        self.think = think
        self.pulls = pull
        self.first_timeout = first_timeout
        self.chunk_timeout = chunk_timeout
        self._server = Server(self.host)
        self.server = self._server.label
        self._settled = False
        self._met = False
        # whether the server has answered before
        self._cannot_think = False
        # the server has said so
        self._told = False
        # the user has been

    def __repr__(self) -> str:
        return f"Ollama({self.model!r}, host={failures.public(self.host)!r})"

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        return self._having_the_model(lambda: super(Ollama, self).complete(messages, options), options.cancel)

    def window(self) -> int:
        """The context in tokens that this client asks for; the first call asks the server about the model."""
        cancel = Cancel()
        return self._having_the_model(
            lambda: wire.with_retries(lambda: wire.run(self._settle(self._pool())), cancel=cancel), cancel
        )

    def prepare(self, on_progress: Progress | None = None, cancel: Cancel | None = None) -> None:
        """Loads the model into the server, which may take minutes; pulls it before, where that is wanted.

        on_progress: is called with the bytes that are there, all bytes, and where they come from.
        """
        cancel = cancel or Cancel()
        self._having_the_model(lambda: self._load(cancel), cancel, on_progress)

    def pull(self, on_progress: Progress | None = None, cancel: Cancel | None = None) -> None:
        """Makes the server download the model; raises a ClientError where it cannot."""
        pool = self._pool()
        for done, size in wire.stream(
            lambda: self._server.pull(pool, self.model),
            cancel=cancel or Cancel(),
            server=self.server,
            first_timeout=self.first_timeout,
            chunk_timeout=self.first_timeout,  # it is silent while it checks a large file
        ):
            if on_progress and size:
                on_progress(done, size, "Ollama's library")

    def _having_the_model(
        self, call: Callable[[], T], cancel: Cancel, on_progress: Progress | None = None
    ) -> T:
        try:
            return call()
        except ModelNotFound:
            if not self.pulls:
                raise
        logger.warning("%s has no %s; it is pulled.", self.server, self.model)
        self.pull(on_progress, cancel)
        return call()

    def _load(self, cancel: Cancel) -> None:
        pool = self._pool()

        async def load() -> AsyncIterator[None]:
            num_ctx = await self._settle(pool)
            if await self._is_elsewhere(pool):
                return
            body = self._body((), Options(), num_ctx, ModelFacts()) | {"stream": False}
            await self._server.ask(pool, "POST", "/api/chat", body=body, timeout=None)
            await self._confirm(pool, num_ctx)
            yield

        for _ in wire.stream(load, cancel=cancel, server=self.server, first_timeout=self.first_timeout):
            pass

    def facts(self) -> ModelFacts:
        """What the server says about the model; raises a ClientError where it has no such model."""
        return wire.run(self._server.facts(self._pool(), self.model))

    def version(self) -> str:
        """The server's version; raises a ClientError at once where there is no server."""
        answer = self._server.ask(self._pool(), "GET", "/api/version", timeout=AVAILABLE_TIMEOUT)
        return str(wire.run(answer).get("version") or "unknown")

    def available(self) -> list[str]:
        """Names of the installed models; raises a ClientError at once where there is no server."""
        return wire.run(self._server.names(self._pool(), timeout=AVAILABLE_TIMEOUT))

    def _open(self) -> httpx2.AsyncClient:
        return self._server.connect()

    async def _chat(
        self, pool: httpx2.AsyncClient, messages: Sequence[Message], options: Options
    ) -> AsyncIterator[Chunk]:
        import httpx2

        num_ctx = await self._settle(pool)
        facts = await self._server.facts(pool, self.model)
        body = self._body(messages, options, num_ctx, facts)
        answered = done = False
        failure: ClientError | None = None
        try:
            async with pool.stream("POST", "/api/chat", json=body) as response:
                if response.status_code != 200:
                    raise await self._server.failure(pool, response, self.model)
                answered = self._met = True
                async for line in lines(response):
                    chunk = self._chunk(line)
                    yield chunk
                    done = done or chunk.finish_reason is not None
        except httpx2.RequestError as error:
            broken = InvalidReply(f"{self.server} broke off in the middle of its reply.")
            failure = broken if answered else self._server.unreachable(error, met=self._met)
        except RequestRefused as refusal:
            if "think" not in body or "does not support thinking" not in str(refusal):
                raise
            self._cannot_think = True
            refusal.retryable = True
            raise
        if failure:  # raised out here, where the request with its key does not become its context
            raise failure
        if not done:
            raise InvalidReply(f"{self.server} ended its reply without saying that it is done.")
        await self._confirm(pool, num_ctx)

    def _body(
        self, messages: Sequence[Message], options: Options, num_ctx: int, facts: ModelFacts
    ) -> dict[str, Any]:
        settings: dict[str, Any] = {"num_ctx": num_ctx, "num_predict": options.max_tokens}
        if options.temperature is not None:
            settings["temperature"] = options.temperature
        body = {
            "model": self.model,
            "messages": list(messages),
            "stream": True,
            "truncate": False,
            "shift": False,
            "keep_alive": self.keep_alive,
            "options": settings,
        }
        if options.likely:  # versions before 0.12.11 take no notice
            body |= {"logprobs": True, "top_logprobs": options.likely}
        think = self.think if options.think is None else options.think
        if facts.levels and isinstance(think, bool):  # it has levels alone, and would take no notice
            think = "medium" if think else "low"
        if self._cannot_think or facts.thinks is False:
            if think and not self._told:
                logger.warning("%s: %s cannot think; it goes on without.", self.server, self.model)
                self._told = True
        elif think is not None:
            body["think"] = think
        return body

    def _chunk(self, line: bytes) -> Chunk:
        try:
            reply = json.loads(line)
            if "error" in reply:
                said = str(reply["error"])
                if failures.is_overflow(said):
                    raise failures.overflow(said, server=self.server, model=self.model)
                raise InvalidReply(f"{self.server} failed in the middle of its reply: {failures.quote(said)}")
            message = reply.get("message") or {}
            text, thinking = message.get("content") or "", message.get("thinking") or ""
            if not reply.get("done"):
                return Chunk(text, thinking, likely=first_tokens(reply.get("logprobs")))
            usage = Usage(reply.get("prompt_eval_count") or 0, reply.get("eval_count") or 0)
            return Chunk(text, thinking, usage, "length" if reply.get("done_reason") == "length" else "stop")
        except (ValueError, TypeError, AttributeError) as error:
            said = failures.quote(line.decode(errors="replace"))
            raise InvalidReply(f"{self.server} sent a line that is no piece of a reply: {said}") from error

    async def _settle(self, pool: httpx2.AsyncClient) -> int:
        """The window of this model in this process; an explicit num_ctx replaces an earlier choice."""
        key = (self.host, tagged(self.model))
        if not (self._settled and key in _windows):
            window = await self._server.window(pool, self.model, self.num_ctx)
            if _windows.setdefault(key, window) != window and self.num_ctx != NUM_CTX:
                logger.warning("%s: num_ctx of %s is %d from now on.", self.server, self.model, window)
                _windows[key] = window
            self._settled = True
        return _windows[key]

    async def _is_elsewhere(self, pool: httpx2.AsyncClient) -> bool:
        """Whether the model runs in Ollama's cloud, where nothing is to be loaded."""
        return self._server.is_cloud or (await self._server.facts(pool, self.model)).remote

    async def _confirm(self, pool: httpx2.AsyncClient, num_ctx: int) -> None:
        """Compares the window asked for with the one that the server has, once it has loaded the model."""
        asked = ((self.host, tagged(self.model)), num_ctx)
        if asked in _confirmed or await self._is_elsewhere(pool):
            return
        _confirmed.add(asked)
        with suppress(ClientError):  # the reply is there; this is only a comparison
            there = await self._server.loaded(pool, self.model)
            if there and there < num_ctx:
                text = "%s has loaded %s with a window of %d tokens, not the %d that it was asked for."
                logger.warning(text, self.server, self.model, there, num_ctx)
