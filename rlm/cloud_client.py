"""CloudClient: the public name for a model in a cloud, or behind any OpenAI-compatible address."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from rlm.clients import failures, wire
from rlm.clients.base import Client, Options
from rlm.clients.resolve import PROVIDERS, Provider, check_prefix, connect, split
from rlm.errors import ConfigurationError
from rlm.types import Completion, Message

CLOUDS = {prefix: provider for prefix, provider in PROVIDERS.items() if provider.variable}
# all but ollama: and local:
OWN_SERVER = Provider("openai", "Server", "")
# behind a base_url, with no provider's key


class CloudClient:
    """A model in a cloud: hand it to `RLM(root_client=…)`, or call `complete` yourself.

    model: "gpt-…", "o3-…", "claude-…", or with a prefix, "groq:openai/gpt-oss-20b"; None: the provider's own
        default.
    provider: a prefix such as "groq", where the name does not show it; None without a model: the first one
        whose key is in the environment.
    api_key: overrides the provider's environment variable.
    base_url: address of an OpenAI-compatible server, such as http://localhost:8000/v1. It is sent no key but
        api_key, unless `provider` or a prefix says whose server it is.
    window: the model's context in tokens; None asks the server.
    first_timeout, chunk_timeout: seconds of silence allowed before the reply and within it.
    A pickled one holds the api_key that was given, and no key from the environment.
    Raises ConfigurationError where the provider is not known or its key is missing.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        provider: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        window: int | None = None,
        first_timeout: float = wire.FIRST_BYTE_TIMEOUT,
        chunk_timeout: float = wire.CHUNK_TIMEOUT,
    ) -> None:
        if window is not None and window < 1:
            raise ConfigurationError(f"window must be a positive number of tokens, not {window}.")
        chosen, name = choose(model, provider, base_url)
        self._client: Client = connect(
            chosen,
            name,
            api_key=api_key,
            base_url=base_url,
            window=window,
            first_timeout=first_timeout,
            chunk_timeout=chunk_timeout,
        )
        self.provider = chosen.prefix
        self.model = name
        self.name = f"{chosen.prefix}:{name}"
        self.concurrency: int = getattr(self._client, "concurrency", 1)

    def __repr__(self) -> str:
        return f"CloudClient({self.name!r})"

    def complete(self, messages: Sequence[Message], options: Options | None = None) -> Completion:
        """Returns the model's reply; raises a ClientError when there is none, Cancelled when stopped."""
        return self._client.complete(messages, options or Options())

    def window(self) -> int | None:
        """The model's context in tokens, where it is known."""
        window = getattr(self._client, "window", None)
        return window() if window else None

    def close(self) -> None:
        """Closes the connections; a later call opens new ones."""
        close = getattr(self._client, "close", None)
        if close:
            close()


def choose(model: str | None, provider: str | None, base_url: str | None) -> tuple[Provider, str]:
    """The provider and the model that are meant."""
    model = (model or "").strip()
    if provider:
        chosen = _cloud(provider)
        prefix, colon, rest = model.partition(":")
        return chosen, (rest if colon and prefix == chosen.prefix else model) or chosen.default_model
    if base_url and not model:
        raise ConfigurationError(
            f"Say which model to ask for at {failures.public(base_url)}: CloudClient(model=…, base_url=…)."
        )
    if not model:
        return _first_with_key()
    prefix, colon, _ = model.partition(":")
    if colon and prefix.lower() in PROVIDERS:
        chosen, rest = split(model)
        return _cloud(chosen.prefix), rest
    if base_url:
        return OWN_SERVER, model
    if re.match(r"gpt-|chatgpt|o\d", model):
        return CLOUDS["openai"], model
    if model.startswith("claude"):
        return CLOUDS["anthropic"], model
    if colon:
        check_prefix(prefix.lower(), cutoff=0.6)
    raise ConfigurationError(
        f'"{model}" does not show its provider. Write it in front, as in "groq:{model}": {_prefixes()}.'
    )


def _cloud(prefix: str) -> Provider:
    chosen = CLOUDS.get(prefix.strip().rstrip(":").lower())
    if chosen is None:
        raise ConfigurationError(f'There is no cloud provider "{prefix}". Known are {_prefixes()}.')
    return chosen


def _first_with_key() -> tuple[Provider, str]:
    for provider in CLOUDS.values():
        if provider.variable and os.environ.get(provider.variable):
            return provider, provider.default_model
    variables = ", ".join(provider.variable or "" for provider in CLOUDS.values())
    raise ConfigurationError(f"No cloud provider's key is set. Set one of {variables}, or name a model.")


def _prefixes() -> str:
    return ", ".join(f"{prefix}:" for prefix in CLOUDS)
