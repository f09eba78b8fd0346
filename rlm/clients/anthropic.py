"""Anthropic's Messages. Leaves temperature out, which recent models refuse.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from rlm.clients.base import CHARS_PER_TOKEN, Chunk, Options
from rlm.clients.sdk import SDKClient, number
from rlm.errors import RequestRefused
from rlm.types import Message, Usage

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

BASE_URL = "https://api.anthropic.com"
WINDOW = 200_000
# tokens that each of its models reads, the larger ones more
LEAST_BUDGET = 1024
# tokens of thinking that older models can be given
EMPTY = "(empty)"
# in the place of a text without words, which is refused


class Anthropic(SDKClient):
    """A model of Anthropic.

    base_url: default: ANTHROPIC_BASE_URL, then Anthropic itself. api_key: overrides ANTHROPIC_API_KEY.
    window: the model's context in tokens; None asks the server.
    first_timeout, chunk_timeout: seconds of silence allowed before the reply and within it.
    """

    LABEL, ADDRESS = "Anthropic", BASE_URL
    KEY_VARIABLE, ADDRESS_VARIABLE = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"

    def _sdk(self) -> ModuleType:
        import anthropic

        return anthropic

    def _open(self) -> AsyncAnthropic:
        from anthropic import AsyncAnthropic

        return AsyncAnthropic(**self._settings())

    async def _ask_window(self, pool: AsyncAnthropic) -> int | None:
        model: Any = await pool.get(f"/v1/models/{quote(self.model, safe='')}", cast_to=object)
        return number(model["max_input_tokens"])

    def _usual_window(self) -> int | None:
        return WINDOW if self.model.startswith("claude") else None

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
        if system.strip():
            body["system"] = [{"type": "text", "text": system, "cache_control": cache}]
        if len(turns) > 1:
            # A conversation comes back longer: the provider marks its end as the prefix to keep.
            body["cache_control"] = cache
        body |= self._thinking(options)
        return {name: value for name, value in body.items() if name not in self._refused}

    def _thinking(self, options: Options) -> dict[str, Any]:
        """Recent models decide themselves how much to think and take a level; older ones want a budget."""
        if options.think is None:
            return {}
        kinds = ("adaptive", "enabled") if options.think else ("disabled",)
        kind = next((kind for kind in kinds if f"thinking={kind}" not in self._refused), None)
        thinking: dict[str, Any] = {"type": kind}
        if kind == "enabled":
            thinking["budget_tokens"] = max(LEAST_BUDGET, options.max_tokens // 2)
        body: dict[str, Any] = {}
        if kind and thinking.get("budget_tokens", 0) < options.max_tokens:
            body["thinking"] = thinking
        if isinstance(options.think, str):
            body["output_config"] = {"effort": options.think}
        return body

    async def _create(self, pool: AsyncAnthropic, body: dict[str, Any]) -> Any:
        create: Any = pool.messages.create
        return await create(**body)

    def _refusal(self, said: str, body: dict[str, Any]) -> set[str]:
        for name in re.findall("cache_control|effort|thinking|adaptive", said):
            if name == "cache_control" and name in body:
                return {name}
            if name == "effort" and "output_config" in body:
                return {"output_config"}
            if name in ("thinking", "adaptive") and "thinking" in body:
                return {f"thinking={body['thinking']['type']}"}
        return set()

    async def _reply(self, events: Any) -> AsyncIterator[Chunk]:
        start = Usage()
        chars = 0
        async for event in events:
            if event.type == "message_start":
                start = _usage(event.message.usage, Usage())
            elif event.type == "content_block_delta":
                text = getattr(event.delta, "text", None) or ""
                thinking = getattr(event.delta, "thinking", None) or ""
                chars += len(text) + len(thinking)
                # The true count comes last; a reply that is stopped before has this estimate.
                tokens = round(chars / CHARS_PER_TOKEN)
                yield Chunk(text, thinking, replace(start, completion_tokens=tokens, estimated_tokens=tokens))
            elif event.type == "message_delta" and event.delta.stop_reason:
                usage = _usage(event.usage, start)
                if event.delta.stop_reason == "refusal":
                    yield Chunk(usage=usage)
                    raise RequestRefused("The model declined to answer this request.")
                yield Chunk("", "", usage, _finish(event.delta.stop_reason))


def merged(messages: Sequence[Message]) -> list[Message]:
    """The messages as the API wants them: none is empty, a user's is first, and the roles alternate."""
    turns: list[Message] = []
    for message in messages:
        role, content = message["role"], message["content"]
        if not content.strip():
            continue
        if turns and turns[-1]["role"] == role:
            content = f"{turns.pop()['content']}\n\n{content}"
        turns.append(Message(role=role, content=content))
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, Message(role="user", content=EMPTY))
    if turns[-1]["role"] == "assistant":
        turns[-1]["content"] = turns[-1]["content"].rstrip()
    return turns


def _usage(usage: Any, start: Usage) -> Usage:
    """Totals so far; the last report may leave out what the first one said about the prompt."""
    cached = usage.cache_read_input_tokens or 0
    prompt = (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + cached
    details = usage.output_tokens_details
    return Usage(
        prompt or start.prompt_tokens,
        usage.output_tokens or 0,
        cached_tokens=cached or start.cached_tokens,
        reasoning_tokens=(details and details.thinking_tokens) or 0,
    )


def _finish(reason: str) -> Literal["stop", "length"]:
    return "length" if reason in ("max_tokens", "model_context_window_exceeded") else "stop"
