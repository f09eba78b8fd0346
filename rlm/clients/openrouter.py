"""OpenRouter: OpenAI's format with two words of its own, for thinking and for Anthropic's prompt cache.

Source: https://openrouter.ai/docs, "Reasoning Tokens" and "Prompt Caching"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlm.clients.openai import OpenAI
from rlm.types import Message


class OpenRouter(OpenAI):
    """A model behind OpenRouter."""

    def _reasoning(self, level: str) -> dict[str, Any]:
        return {"reasoning": {"effort": level}}

    def _messages(self, messages: Sequence[Message]) -> list[Any]:
        """With marks where a model of Anthropic is to cache, which it does not unasked: instructions and end.

        A conversation comes back longer, so its end is a prefix to keep; that of a single question is not.
        """
        if not self.model.startswith("anthropic/"):
            return list(messages)
        ends = [n for n, message in enumerate(messages) if message["role"] == "system"][-1:]
        if len(messages) - len(ends) > 1:
            ends.append(len(messages) - 1)
        return [marked(message) if n in ends else message for n, message in enumerate(messages)]


def marked(message: Message) -> dict[str, Any]:
    """The message as a block that the cache is to keep, with all before it; an empty one cannot be marked."""
    if not message["content"].strip():
        return {**message}
    block = {"type": "text", "text": message["content"], "cache_control": {"type": "ephemeral"}}
    return {"role": message["role"], "content": [block]}
