"""From a model's name to its client: "groq:openai/gpt-oss-20b". Loads no SDK before a client needs it."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm.clients.fit import NUM_CTX
from rlm.errors import ConfigurationError

if TYPE_CHECKING:
    from rlm.clients.base import Client


@dataclass(frozen=True)
class Provider:
    """Where models come from."""

    prefix: str
    # in front of a model's name, with a colon
    label: str
    # for people
    default_model: str
    # what the prefix alone means; models retire, and then this is the line to change
    variable: str | None = None
    # environment variable of the key; None: no key
    base_url: str | None = None
    # of its API; None: the client knows its address
    client: str = "openai:OpenAI"
    # module in rlm.clients and class


PROVIDERS: dict[str, Provider] = {
    provider.prefix: provider
    for provider in (
        Provider("ollama", "Ollama", "qwen3:4b", client="ollama:Ollama"),
        Provider("local", "Embedded", "qwen2.5-coder-1.5b", client="llama_cpp:LlamaCpp"),
        Provider("openai", "OpenAI", "gpt-6-luna", "OPENAI_API_KEY"),
        Provider(
            "anthropic", "Anthropic", "claude-haiku-4-5", "ANTHROPIC_API_KEY", client="anthropic:Anthropic"
        ),
        Provider(
            "together", "Together", "openai/gpt-oss-120b", "TOGETHER_API_KEY", "https://api.together.xyz/v1"
        ),
        Provider("groq", "Groq", "openai/gpt-oss-20b", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
        Provider(
            "fireworks",
            "Fireworks",
            "accounts/fireworks/models/gpt-oss-120b",
            "FIREWORKS_API_KEY",
            "https://api.fireworks.ai/inference/v1",
        ),
        Provider(
            "openrouter",
            "OpenRouter",
            "openai/gpt-5.6-luna",
            "OPENROUTER_API_KEY",
            "https://openrouter.ai/api/v1",
            client="openrouter:OpenRouter",
        ),
    )
}

UNSUPPORTED = frozenset(
    ("azure", "bedrock", "cerebras", "cohere", "deepinfra", "google", "hf-inference", "huggingface", "xai")
)
# providers that there is no client for; none of these is the name of a model in Ollama's library


def resolve(
    name: str,
    *,
    host: str | None = None,
    num_ctx: int = NUM_CTX,
    think: bool | str | None = None,
    pull: bool = False,
) -> Client:
    """The client for a model's name; a bare one such as "qwen3:4b" is Ollama's.

    host, num_ctx, think, pull: as `Ollama` takes them; the other providers have no use for them.
    Raises ConfigurationError for an empty name, a provider that is not known and a key that is missing.
    """
    provider, model = split(name)
    if provider.variable:
        return connect(provider, model)
    if provider.prefix == "ollama":
        return _build(provider, model, host=host, num_ctx=num_ctx, think=think, pull=pull)
    return _build(provider, model)


def split(name: str) -> tuple[Provider, str]:
    """A name's provider and model. Only a known prefix is one: Ollama's own names have colons too."""
    name = name.strip()
    if not name:
        raise ConfigurationError('The name of the model is empty. Give one, such as "qwen3:4b".')
    prefix, colon, model = name.partition(":")
    if colon and (provider := PROVIDERS.get(prefix.lower())):
        return provider, model.strip() or provider.default_model
    if colon:
        check_prefix(prefix.lower())  # else it would become a model that Ollama does not have
    return PROVIDERS["ollama"], name


def connect(
    provider: Provider,
    model: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    **options: Any,
) -> Client:
    """The client of a cloud provider; raises ConfigurationError where its key is missing.

    options: window, first_timeout and chunk_timeout, as the clients take them.
    """
    from rlm.clients import failures
    from rlm.clients.openai import NO_KEY

    if provider.variable and not (base_url and failures.on_this_machine(base_url)):
        failures.api_key(api_key, provider.variable, label=provider.label)
    return _build(
        provider,
        model,
        name=f"{provider.prefix}:{model}",
        api_key=api_key or (None if provider.variable else NO_KEY),
        base_url=base_url or provider.base_url,
        label=provider.label,
        variable=provider.variable or "OPENAI_API_KEY",
        **options,
    )


def _build(provider: Provider, model: str, **options: Any) -> Client:
    module, _, name = provider.client.partition(":")
    client: Client = getattr(importlib.import_module(f"rlm.clients.{module}"), name)(model, **options)
    return client


def _known() -> str:
    """The prefixes, for an error's text."""
    return ", ".join(f"{prefix}:" for prefix in PROVIDERS)


def check_prefix(prefix: str, cutoff: float = 0.8) -> None:
    """Raises ConfigurationError for a provider without a client, or a name that is nearly one with it."""
    if prefix in UNSUPPORTED:
        raise ConfigurationError(
            f'There is no client for "{prefix}:". Known are {_known()}; '
            "any OpenAI-compatible API is within reach of CloudClient(base_url=…)."
        )
    clouds = [name for name in PROVIDERS if name != "ollama"]  # llama3:8b is a model of it
    near = difflib.get_close_matches(prefix, clouds, n=1, cutoff=cutoff)
    if near or (near := difflib.get_close_matches(prefix, ["ollama"], n=1, cutoff=0.9)):
        raise ConfigurationError(
            f'"{prefix}:" is no provider; do you mean "{near[0]}:"? Known are {_known()}.'
        )
