"""OpenAI's Chat Completions, which most clouds and local servers speak too.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlm.clients import failures
from rlm.clients.base import Chunk, Options, first_tokens
from rlm.clients.sdk import SDKClient, number
from rlm.errors import InvalidReply, RequestRefused
from rlm.types import Message, Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "https://api.openai.com/v1"
NO_KEY = "none"
# what a server that needs no key is sent; the SDK insists on one
OPTIONAL = (
    "temperature",
    "max_completion_tokens",
    "max_tokens",
    "stream_options",
    "reasoning_effort",
    "reasoning",
    "logprobs",
    "top_logprobs",
)
# parameters that a reply can do without
CUT_OFF = ("length", "model_length", "max_tokens")
BROKEN_OFF = ("error", "abort", "insufficient_system_resource")
# finish reasons: also Mistral's; vLLM's and DeepSeek's
LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# of reasoning; no model has them all
WINDOW_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
# of an entry in GET /models: vLLM; OpenRouter, Together, Fireworks; Groq; Mistral; llama.cpp (in its meta)
WINDOWS = {
    r"gpt-3\.5": 16_385,
    r"gpt-4\.1": 1_047_576,
    r"gpt-4o|gpt-4-turbo": 128_000,
    r"gpt-4": 8_192,
    r"o\d": 200_000,
    r"gpt-5": 272_000,
    r"gpt-6": 922_000,
}
# tokens that OpenAI's own models read, which its API does not tell; by the beginning of the name, first match


class OpenAI(SDKClient):
    """A model of OpenAI, or of a server that speaks its format.

    base_url: the API's address, such as http://localhost:8000/v1; default: OPENAI_BASE_URL, or OpenAI.
    label, variable: the provider's name, and the environment variable of its key.
    api_key: overrides that variable; a server on this machine needs none.
    window: the model's context in tokens; None asks the server.
    first_timeout, chunk_timeout: seconds of silence allowed before the reply and within it.
    """

    LABEL, ADDRESS = "OpenAI", BASE_URL
    KEY_VARIABLE, ADDRESS_VARIABLE = "OPENAI_API_KEY", "OPENAI_BASE_URL"

    def __init__(
        self, model: str, *, base_url: str | None = None, api_key: str | None = None, **options: Any
    ) -> None:
        # The key in the environment belongs to the provider, not to whatever listens on this machine.
        api_key = api_key or (NO_KEY if base_url and failures.on_this_machine(base_url) else None)
        super().__init__(model, base_url=base_url, api_key=api_key, **options)

    def _sdk(self) -> ModuleType:
        import openai

        return openai

    def _open(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        return AsyncOpenAI(**self._settings())

    async def _ask_window(self, pool: AsyncOpenAI) -> int | None:
        if self._is_openai():  # it does not tell
            return None
        facts = self._facts(await pool.get("/models", cast_to=object))
        told = (number(facts.get(field)) for field in WINDOW_FIELDS)
        if window := next(filter(None, told), None):
            return window
        root = self.base_url.rstrip("/").removesuffix("/v1")
        if (
            "n_ctx_train" in facts
        ):  # an older llama.cpp; what the model was trained for is not what it has now
            props: Any = await pool.get(f"{root}/props", cast_to=object)
            return number(props["default_generation_settings"]["n_ctx"])
        if failures.on_this_machine(self.base_url):  # LM Studio, perhaps
            facts = self._facts(await pool.get(f"{root}/api/v0/models", cast_to=object))
            return number(facts.get("loaded_context_length"))
        return None

    def _facts(self, listed: Any) -> dict[str, Any]:
        """What a list of models says of this one; may raise anything."""
        # Together lists them without anything around.
        entries = listed if isinstance(listed, list) else listed["data"]
        named = [entry for entry in entries if entry["id"] == self.model]
        # A server with a single model may take any name for it.
        entry: dict[str, Any] = (named or (entries if len(entries) == 1 else [{}]))[0]
        return entry | (entry.get("meta") or {})

    def _usual_window(self) -> int | None:
        if not self._is_openai():
            return None
        return next((window for name, window in WINDOWS.items() if re.match(name, self.model)), None)

    def _is_openai(self) -> bool:
        return urlsplit(self.base_url).hostname == "api.openai.com"

    def _body(self, messages: Sequence[Message], options: Options) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": self._messages(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        limits = ["max_completion_tokens", "max_tokens"]
        if not self._is_openai():
            limits.reverse()
        for limit in [limit for limit in limits if limit not in self._refused][:1]:
            body[limit] = options.max_tokens
        if options.temperature is not None:
            body["temperature"] = options.temperature
        if level := self._level(options.think):
            body |= self._reasoning(level)
        if options.likely and failures.on_this_machine(self.base_url):  # clouds differ in what they take
            body |= {"logprobs": True, "top_logprobs": options.likely}
        return {name: value for name, value in body.items() if name not in self._refused}

    def _messages(self, messages: Sequence[Message]) -> list[Any]:
        return list(messages)

    def _level(self, think: bool | str | None) -> str | None:
        """How much the model is asked to think; without, as little as it takes."""
        if isinstance(think, str):
            wanted: tuple[str, ...] = (think,)
        else:
            wanted = {None: (), False: ("none", "minimal", "low"), True: ("medium",)}[think]
        return next((level for level in wanted if f"effort={level}" not in self._refused), None)

    def _reasoning(self, level: str) -> dict[str, Any]:
        return {"reasoning_effort": level}

    async def _create(self, pool: AsyncOpenAI, body: dict[str, Any]) -> Any:
        create: Any = pool.chat.completions.create
        known = {name: body[name] for name in ("model", "messages", "stream")}
        # The SDK would not let pass what only other servers know.
        others = {name: value for name, value in body.items() if name not in known}
        return await create(**known, extra_body=others)

    def _refusal(self, said: str, body: dict[str, Any]) -> set[str]:
        named = re.findall("|".join(rf"\b{name}\b" for name in OPTIONAL), said, re.IGNORECASE)
        name = next((name.lower() for name in named if name.lower() in body), None)
        if name is None:
            return set()
        if name.startswith("reasoning"):
            sent = body[name] if name == "reasoning_effort" else body[name]["effort"]
            taken = {level for level in LEVELS if re.search(rf"\b{level}\b", said)} - {sent}
            if taken:  # the answer lists them
                return {f"effort={level}" for level in {*LEVELS, sent} - taken}
            if re.search("mandatory|cannot be disabled", said):
                return {f"effort={sent}"}
        return {"logprobs", "top_logprobs"} if "logprobs" in name else {name}

    async def _reply(self, events: Any) -> AsyncIterator[Chunk]:
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
    likely = first_tokens(choice.to_dict(warnings=False)["logprobs"]) if choice.logprobs else {}
    if not choice.finish_reason:
        return Chunk(text, thinking, usage, likely=likely)
    if choice.finish_reason in BROKEN_OFF:
        raise InvalidReply(f"The provider broke off its reply: {choice.finish_reason}.")
    return Chunk(text, thinking, usage, "length" if choice.finish_reason in CUT_OFF else "stop", likely)


def _usage(usage: Any) -> Usage:
    read, made = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        cached_tokens=(read and read.cached_tokens) or 0,
        reasoning_tokens=(made and made.reasoning_tokens) or 0,
    )
