"""What the clients built on a provider's SDK share: keys, connections and errors. Knows no wire format.

Models and servers differ in the parameters they take: one that is refused by name is left out from then on.
The SDKs of OpenAI and Anthropic have the same exceptions, and both leave the HTTP to httpx2.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import Any

from rlm.clients import failures, wire
from rlm.clients.base import Chunk, Options
from rlm.clients.remote import Remote
from rlm.errors import ClientError, InvalidReply
from rlm.types import Message

THINKING = {"reasoning_effort", "reasoning", "thinking", "output_config"}
# the parameters for it
WINDOW_TIMEOUT = 5.0
# seconds for the question how large the window is; without an answer a run goes on all the same

logger = logging.getLogger(__name__)


class SDKClient(Remote[Any]):
    """Base of a client of a cloud, or of a server that speaks a cloud's format.

    An SDK's exception holds the request and with it the key, so no error of ours has one as cause or context.
    """

    concurrency = 8
    LABEL = KEY_VARIABLE = ADDRESS_VARIABLE = ADDRESS = ""
    # the provider's name, the environment variables of its key and of another address, and its API's address

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        label: str | None = None,
        variable: str | None = None,
        name: str | None = None,
        window: int | None = None,
        first_timeout: float = wire.FIRST_BYTE_TIMEOUT,
        chunk_timeout: float = wire.CHUNK_TIMEOUT,
    ) -> None:
        self.model = model
        self.name = name or model
        self.base_url = base_url or os.environ.get(self.ADDRESS_VARIABLE) or self.ADDRESS
        self._label = label or self.LABEL
        self.server = f"{self._label} at {failures.public(self.base_url)}"
        self.first_timeout = first_timeout
        self.chunk_timeout = chunk_timeout
        self._variable = variable or self.KEY_VARIABLE
        self._window = window
        self._window_settled = window is not None
        self._given_key = api_key
        self._met = False
        # whether the server has answered before
        self._refused: set[str] = set()
        # parameters, or "parameter=value", that the server does not take; changed on wire's loop alone

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, base_url={failures.public(self.base_url)!r})"

    def window(self) -> int | None:
        """The model's context in tokens: as the caller gave it, else as the server tells it, asked once."""
        if not self._window_settled:
            try:
                self._window = wire.run(self._ask_window(self._pool()), timeout=WINDOW_TIMEOUT)
            except Exception as error:  # whatever it is: not to know the window must not stop a run
                logger.info("%s did not tell the window: %s.", self.server, type(error).__name__)
            self._window = self._window or self._usual_window()
            self._window_settled = True
        return self._window

    async def _ask_window(self, pool: Any) -> int | None:
        """What the server says of the window; may raise anything."""
        raise NotImplementedError

    def _usual_window(self) -> int | None:
        """The window by the model's name, where the server does not tell it."""
        raise NotImplementedError

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

    def _body(self, messages: Sequence[Message], options: Options) -> dict[str, Any]:
        """The request, without what is known to be refused."""
        raise NotImplementedError

    async def _create(self, pool: Any, body: dict[str, Any]) -> Any:
        """Sends the request; returns the stream of the reply's events."""
        raise NotImplementedError

    def _refusal(self, said: str, body: dict[str, Any]) -> set[str]:
        """What of the request an error answer says is not taken, as `_refused` has it; empty: nothing."""
        raise NotImplementedError

    def _reply(self, events: Any) -> AsyncIterator[Chunk]:
        """Reads the events; raises whatever the SDK raises."""
        raise NotImplementedError

    async def _send(self, pool: Any, messages: Sequence[Message], options: Options) -> Any:
        """Sends the request, and again without a parameter that is refused."""
        body = self._body(messages, options)
        while True:
            try:
                return await self._create(pool, body)
            except self._sdk().APIStatusError as error:
                said = error.response.text
                if error.status_code not in (400, 422) or failures.is_overflow(said):
                    raise
                refused = self._refusal(said, body)
                if not refused:
                    raise
            self._refused |= refused
            before, body = body, self._body(messages, options)
            missed = options.think and THINKING & (before.keys() - body.keys())
            level = logging.WARNING if missed else logging.INFO
            logger.log(level, "%s does not take %s.", self.server, " or ".join(sorted(refused)))

    async def _chat(self, pool: Any, messages: Sequence[Message], options: Options) -> AsyncIterator[Chunk]:
        import httpx2

        # The SDKs neither wrap what their HTTP library raises within a reply nor check an event's shape.
        broken = (httpx2.RequestError, ValueError, AttributeError, TypeError)
        answered = finished = False
        failure: ClientError | None = None
        try:
            async with await self._send(pool, messages, options) as events:
                try:
                    async for chunk in self._reply(events):
                        answered = self._met = True
                        finished = finished or chunk.finish_reason is not None
                        yield chunk
                finally:
                    # The stream and its generator refer to each other, and its `close` leaves that half-read
                    # for the collector (see wire.stream).
                    await events._iterator.aclose()
        except (self._sdk().APIError, *broken) as error:
            failure = self._failure(error, answered)
        if failure:  # raised out here, where the SDK's exception does not become its context
            raise failure
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
            return failures.unreachable(
                cause, server=self.server, url=self.base_url, advice=advice, met=self._met
            )
        said = failures.quote(str(error), secret=key)
        if failures.is_overflow(said):
            return failures.overflow(said, server=self.server, model=self.model)
        return InvalidReply(
            f"{self.server} failed in the middle of its reply: {said or type(error).__name__}"
        )


def number(found: Any) -> int | None:
    """A number of tokens out of a server's answer; None where it is none."""
    return int(found) if isinstance(found, (int, float)) and found > 0 else None
