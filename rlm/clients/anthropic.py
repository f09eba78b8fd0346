"""Anthropic's Messages. Leaves temperature out, which recent models refuse, and thinking as the model has it.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from rlm.clients import wire
from rlm.clients.base import CHARS_PER_TOKEN, Chunk, Options
from rlm.clients.sdk import SDKClient
from rlm.errors import RequestRefused
from rlm.types import Message, Usage

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

BASE_URL = "https://api.anthropic.com"


class Anthropic(SDKClient):
    """A model of Anthropic.

    base_url: default: ANTHROPIC_BASE_URL, then Anthropic itself. api_key: overrides ANTHROPIC_API_KEY.
    window: the model's context in tokens, where the caller knows it.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        label: str = "Anthropic",
        variable: str = "ANTHROPIC_API_KEY",
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
            base_url=base_url or os.environ.get("ANTHROPIC_BASE_URL") or BASE_URL,
            api_key=api_key,
            window=window,
            first_timeout=first_timeout,
            chunk_timeout=chunk_timeout,
        )

    def _sdk(self) -> ModuleType:
        import anthropic

        return anthropic

    def _open(self) -> AsyncAnthropic:
        from anthropic import AsyncAnthropic

        return AsyncAnthropic(**self._settings())

    def _body(self, messages: Sequence[Message], options: Options) -> dict[str, Any]:
        system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
        turns = merged([message for message in messages if message["role"] != "system"])
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": options.max_tokens,
            "messages": turns,
            "stream": True,
        }
        cache = {"type": "ephemeral"}
        if system:
            body["system"] = [{"type": "text", "text": system, "cache_control": cache}]
        if len(turns) > 1:
            # A conversation comes back longer: the provider marks its end as the prefix to keep.
            body["cache_control"] = cache
        return body

    async def _reply(
        self, pool: AsyncAnthropic, messages: Sequence[Message], options: Options
    ) -> AsyncIterator[Chunk]:
        create: Any = pool.messages.create
        start = Usage()
        chars = 0
        async with await create(**self._body(messages, options)) as events:
            async for event in events:
                if event.type == "message_start":
                    start = _usage(event.message.usage, Usage())
                elif event.type == "content_block_delta":
                    text = getattr(event.delta, "text", None) or ""
                    thinking = getattr(event.delta, "thinking", None) or ""
                    chars += len(text) + len(thinking)
                    # The true count comes last; a reply that is stopped before has this estimate.
                    tokens = round(chars / CHARS_PER_TOKEN)
                    usage = Usage(start.prompt_tokens, tokens, start.cached_tokens, tokens)
                    yield Chunk(text, thinking, usage)
                elif event.type == "message_delta" and event.delta.stop_reason:
                    yield Chunk("", "", _usage(event.usage, start), _finish(event.delta.stop_reason))


def merged(messages: Sequence[Message]) -> list[Message]:
    """The messages with neighbours of one role joined: the API wants the roles to alternate."""
    turns: list[Message] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            joined = f"{turns[-1]['content']}\n\n{message['content']}"
            turns[-1] = Message(role=message["role"], content=joined)
        else:
            turns.append(message)
    return turns


def _usage(usage: Any, start: Usage) -> Usage:
    """Totals so far; the last report may leave out what the first one said about the prompt."""
    cached = usage.cache_read_input_tokens or 0
    prompt = (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + cached
    return Usage(prompt or start.prompt_tokens, usage.output_tokens or 0, cached or start.cached_tokens)


def _finish(reason: str) -> Literal["stop", "length"]:
    if reason == "refusal":
        raise RequestRefused("The model declined to answer this request.")
    return "length" if reason in ("max_tokens", "model_context_window_exceeded") else "stop"
