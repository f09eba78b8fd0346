"""What the clients built on a provider's SDK share: keys, connections and errors. Knows no wire format.

The SDKs of OpenAI and Anthropic have the same exceptions, and both leave the HTTP to httpx2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import Any

from rlm.clients import failures, wire
from rlm.clients.base import Chunk, Options
from rlm.clients.remote import Remote
from rlm.errors import ClientError, InvalidReply
from rlm.types import Message


class SDKClient(Remote[Any]):
    """Base of a client of a cloud, or of a server that speaks a cloud's format.

    An SDK's exception holds the request and with it the key, so no error of ours has one as its cause.
    """

    concurrency = 8

    def __init__(
        self,
        model: str,
        *,
        name: str,
        label: str,
        variable: str,
        base_url: str,
        api_key: str | None,
        window: int | None,
        first_timeout: float,
        chunk_timeout: float,
    ) -> None:
        self.model = model
        self.name = name
        self.base_url = base_url
        self.server = f"{label} at {base_url}"
        self.first_timeout = first_timeout
        self.chunk_timeout = chunk_timeout
        self._label = label
        self._variable = variable
        self._window = window
        self._given_key = api_key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, base_url={self.base_url!r})"

    def window(self) -> int | None:
        """The model's context in tokens, where the caller gave it."""
        return self._window

    def _sdk(self) -> ModuleType:
        """The SDK, imported when first needed."""
        raise NotImplementedError

    def _key(self) -> str:
        return failures.api_key(self._given_key, self._variable, label=self._label)

    def _settings(self) -> dict[str, Any]:
        """What both SDKs' clients are made with; retries and time-outs are wire's."""
        import httpx2

        timeout = httpx2.Timeout(None, connect=wire.CONNECT_TIMEOUT)
        settings = {
            "api_key": self._key(),
            "base_url": self.base_url,
            "max_retries": 0,
            "timeout": timeout,
        }
        if failures.on_this_machine(self.base_url):
            # A proxy is never asked for a loopback address, and plain HTTP needs no certificates.
            secure = self.base_url.startswith("https://")
            settings["http_client"] = httpx2.AsyncClient(timeout=timeout, trust_env=False, verify=secure)
        return settings

    def _reply(self, pool: Any, messages: Sequence[Message], options: Options) -> AsyncIterator[Chunk]:
        """Sends one request and yields its reply; raises what the SDK raises."""
        raise NotImplementedError

    async def _chat(self, pool: Any, messages: Sequence[Message], options: Options) -> AsyncIterator[Chunk]:
        import httpx2

        # The SDKs neither wrap what their HTTP library raises within a reply nor check an event's shape.
        broken = (httpx2.RequestError, ValueError, AttributeError, TypeError)
        answered = finished = False
        try:
            async for chunk in self._reply(pool, messages, options):
                answered = True
                finished = finished or chunk.finish_reason is not None
                yield chunk
        except (self._sdk().APIError, *broken) as error:
            raise self._failure(error, answered) from None
        if not finished:
            raise InvalidReply(f"{self.server} ended its reply without saying that it is done.")

    def _failure(self, error: Exception, answered: bool) -> ClientError:
        sdk, key = self._sdk(), self._key()
        if isinstance(error, sdk.APIStatusError) and not error.response.is_success:
            return failures.failure(
                error.response.status_code,
                error.response.text,
                server=self.server,
                model=self.model,
                on_auth=f"Check the key in {self._variable}.",
                on_missing="Name another with model=; the defaults stand in rlm.clients.resolve.PROVIDERS.",
                retry_after=failures.retry_after(error.response.headers),
                secret=key,
            )
        if isinstance(error, sdk.APIConnectionError) and not answered:
            advice = "Check that the address is right and that a server answers there."
            cause = error.__cause__ or error
            return failures.unreachable(cause, server=self.server, url=self.base_url, advice=advice)
        said = failures.quote(str(error), secret=key)
        if failures.is_overflow(said):
            return failures.overflow(said, server=self.server, model=self.model)
        return InvalidReply(
            f"{self.server} failed in the middle of its reply: {said or type(error).__name__}"
        )
