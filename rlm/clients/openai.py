"""OpenAI's Chat Completions, which most clouds and local servers speak too.

Servers differ in the parameters they accept: one that is refused by name is left out from then on.
Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlm.clients import failures, wire
from rlm.clients.base import Chunk, Options
from rlm.clients.sdk import SDKClient
from rlm.errors import RequestRefused
from rlm.types import Message, Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "https://api.openai.com/v1"
NO_KEY = "none"
# what a server that needs no key is sent; the SDK insists on one
OPTIONAL = ("temperature", "max_completion_tokens", "max_tokens", "stream_options", "reasoning_effort")
# parameters that a reply can do without

logger = logging.getLogger(__name__)


class OpenAI(SDKClient):
    """A model of OpenAI, or of a server that speaks its format.

    base_url: the API's address, such as http://localhost:8000/v1; default: OPENAI_BASE_URL, or OpenAI.
    label, variable: the provider's name, and the environment variable of its key.
    api_key: overrides that variable; a server on this machine needs none.
    window: the model's context in tokens, where the caller knows it.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        label: str = "OpenAI",
        variable: str = "OPENAI_API_KEY",
        name: str | None = None,
        window: int | None = None,
        first_timeout: float = wire.FIRST_BYTE_TIMEOUT,
        chunk_timeout: float = wire.CHUNK_TIMEOUT,
    ) -> None:
        super().__init__(
            model,
            name=name or model,
            label=label,
            variable=variable,
            base_url=base_url or os.environ.get("OPENAI_BASE_URL") or BASE_URL,
            # The key in the environment belongs to the provider, not to whatever listens on this machine.
            api_key=api_key or (NO_KEY if base_url and failures.on_this_machine(base_url) else None),
            window=window,
            first_timeout=first_timeout,
            chunk_timeout=chunk_timeout,
        )
        self._refused: set[str] = set()

    def _sdk(self) -> ModuleType:
        import openai

        return openai

    def _open(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        return AsyncOpenAI(**self._settings())

    def _body(self, messages: Sequence[Message], options: Options) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        limits = ["max_completion_tokens", "max_tokens"]
        if urlsplit(self.base_url).hostname != "api.openai.com":
            limits.reverse()
        for limit in [limit for limit in limits if limit not in self._refused][:1]:
            body[limit] = options.max_tokens
        if options.temperature is not None:
            body["temperature"] = options.temperature
        if isinstance(options.think, str):
            body["reasoning_effort"] = options.think
        return {name: value for name, value in body.items() if name not in self._refused}

    async def _send(self, pool: AsyncOpenAI, messages: Sequence[Message], options: Options) -> Any:
        """Sends the request, and again without a parameter that the server refuses."""
        create: Any = pool.chat.completions.create
        while True:
            body = self._body(messages, options)
            try:
                return await create(**body)
            except self._sdk().APIStatusError as error:
                refused = error.status_code in (400, 422) and _refused(error.response.text, body)
                if not refused:
                    raise
                logger.info("%s takes no %s; leaving it out.", self.server, refused)
                self._refused.add(refused)

    async def _reply(
        self, pool: AsyncOpenAI, messages: Sequence[Message], options: Options
    ) -> AsyncIterator[Chunk]:
        async with await self._send(pool, messages, options) as events:
            async for event in events:
                chunk = _chunk(event)
                # An empty piece would start the shorter time-out while the model still reads its prompt.
                if chunk != Chunk():
                    yield chunk


def _chunk(event: Any) -> Chunk:
    usage = _usage(event.usage) if event.usage else None
    if not event.choices:
        return Chunk(usage=usage)
    choice = event.choices[0]
    if choice.finish_reason == "content_filter":
        raise RequestRefused("The provider's content filter stopped the reply.")
    delta = choice.delta
    # Two names for the same thing: DeepSeek's, vLLM's, llama.cpp's; and OpenRouter's, Together's, Groq's.
    thinking = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    text, thinking = delta.content or delta.refusal or "", thinking if isinstance(thinking, str) else ""
    if not choice.finish_reason:
        return Chunk(text, thinking, usage)
    return Chunk(text, thinking, usage, "length" if choice.finish_reason == "length" else "stop")


def _usage(usage: Any) -> Usage:
    details = usage.prompt_tokens_details
    return Usage(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        (details and details.cached_tokens) or 0,
    )


def _refused(said: str, body: dict[str, Any]) -> str | None:
    """The optional parameter of the request that an error answer names first."""
    if failures.is_overflow(said):
        return None
    named = re.findall("|".join(rf"\b{name}\b" for name in OPTIONAL), said)
    return next((name for name in named if name in body), None)
