"""The exceptions that rlm raises. A model's own mistakes are none: they are data (`Execution.error`).

RLMError
├── ConfigurationError      what was asked for cannot be: a parameter, a provider, a missing key or extra
│   └── ContextError        the context is of no supported type, is missing, or is not text
├── ClientError             a model did not answer
│   ├── Unreachable         no connection, or it broke off
│   ├── ReplyTimeout        the server was silent for too long
│   ├── AuthenticationError the key is missing, wrong or not allowed
│   ├── ModelNotFound       the server does not have the model
│   ├── ContextOverflow     the prompt does not fit the model's window
│   ├── RequestRefused      the server will not answer this request
│   ├── ServerBusy          overloaded, rate limited or failing: worth another try
│   └── InvalidReply        the answer was cut, empty or not what the format says
├── DownloadError           the embedded model's file could not be had, or not be stored
├── SandboxError            the REPL process could not be started or kept
└── Cancelled               the run was stopped from outside, or its time ran out
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm.types import Usage

if TYPE_CHECKING:
    from rlm.types import RLMResult, StopReason


class RLMError(Exception):
    """Base of all errors of rlm.

    Raised by `RLM.completion`, it carries in `.result` what the run had reached (an `RLMResult`), or None.
    Raised by a client, it carries in `.usage` the tokens that went into the call.
    """

    result: RLMResult | None = None
    usage = Usage()


class ConfigurationError(RLMError, ValueError):
    """What was asked for cannot be."""


class ContextError(ConfigurationError):
    """The context cannot be handed to the REPL."""


class ClientError(RLMError):
    """A model did not answer; `retryable` says whether the same request may succeed when sent again."""

    retryable = False


class Unreachable(ClientError):
    """No connection to the server, or it broke off."""

    retryable = True


class ReplyTimeout(ClientError):
    """The server was silent for longer than the time-out."""


class AuthenticationError(ClientError):
    """The key is missing, wrong or not allowed to do this."""


class ModelNotFound(ClientError):
    """The server does not have the model."""


class ContextOverflow(ClientError):
    """The prompt has more tokens than the window holds; both are None where the server does not say."""

    def __init__(self, message: str, *, prompt_tokens: int | None = None, window: int | None = None) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.window = window


class RequestRefused(ClientError):
    """The server understood the request and will not answer it."""


class ServerBusy(ClientError):
    """The server is overloaded, limits the rate or failed; `retry_after`: its advice in seconds, or None."""

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidReply(ClientError):
    """The reply was cut off, or is not what the format says."""

    retryable = True


class DownloadError(RLMError):
    """The embedded model's file could not be had, or not be stored."""


class SandboxError(RLMError):
    """The REPL process could not be started or kept."""


class Cancelled(RLMError):
    """The run was stopped; `reason` is the stop reason that its result gives."""

    def __init__(self, reason: StopReason = "cancelled") -> None:
        super().__init__(reason)
        self.reason: StopReason = reason
