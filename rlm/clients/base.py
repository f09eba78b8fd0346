"""What every client is: messages in, a Completion out. Knows no provider and no wire format."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from rlm.cancel import Cancel
from rlm.clients.thinking import Reply
from rlm.clients.wire import with_retries
from rlm.errors import Cancelled, ClientError, InvalidReply, ReplyTimeout, RLMError, Unreachable
from rlm.types import Completion, Message, Usage

CHARS_PER_TOKEN = 3.5
# a cautious mean over English text and code; only for estimates, which are marked as such

Progress = Callable[[int, int, str], object]
# called with the bytes that are there, the bytes of the whole model, and where they come from

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How one reply is to be generated."""

    max_tokens: int = 2048
    # of the reply, thinking included
    temperature: float | None = None
    # None: the server's default
    instructions: int = 1
    # messages at the beginning that have nothing of the user's, and are the same in many calls
    min_p: float | None = None
    # tokens below so many times the likeliest one's probability are not sampled, where the server can do that
    likely: int = 0
    # so many of the likeliest first tokens are told with the reply, where the server can do that
    think: bool | str | None = None
    # None: as the server does it; a level such as "low" where the model has levels
    until: Callable[[str], bool] | None = None
    # generation stops when this says that the text so far is complete
    on_text: Callable[[str], object] | None = None
    # called with each piece of the reply as it arrives, never with thinking that is marked as such
    on_restart: Callable[[], object] | None = None
    # called when those pieces are void: the reply begins anew
    cancel: Cancel = field(default_factory=Cancel)
    # thrown: the call ends at once with Cancelled, and the server is told to stop


class Client(Protocol):
    """Speaks one provider's wire format.

    A client may also have: `name: str` for display; `window() -> int | None`, the model's context in tokens;
    `concurrency: int`, how many calls at once do any good; `close()`.
    """

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        """Returns the model's reply; raises a ClientError when there is none, Cancelled when stopped."""
        ...


@dataclass(frozen=True)
class Chunk:
    """A piece of a streamed reply, in the terms of no provider."""

    text: str = ""
    thinking: str = ""
    usage: Usage | None = None
    # totals of the whole reply so far; the last one counts
    finish_reason: Literal["stop", "length"] | None = None
    likely: Mapping[str, float] = field(default_factory=dict)
    # log probabilities of its first token, as in Completion


def ask(
    attempt: Callable[[Sequence[Message], Options], Completion],
    messages: Sequence[Message],
    options: Options,
    *,
    attempts: int = 1,
) -> Completion:
    """One call of a client: `attempt`, retried, and asked anew where thinking used up the tokens.

    Then there is no reply, and a second try gets twice the tokens, and no thinking where that can be had.
    The tokens of all attempts are counted, in the reply's usage or in the error's.
    """
    messages = [sendable(message) for message in messages]
    first = _retried(attempt, messages, options, attempts)
    if first.text.strip() or first.finish_reason != "length":
        return first
    tokens = first.usage.completion_tokens
    logger.warning("%d tokens went into thinking alone; asking again without, and for more of them.", tokens)
    if first.text and options.on_restart:
        options.on_restart()
    more = replace(options, think=False, max_tokens=2 * options.max_tokens)
    try:
        second = _retried(attempt, messages, more, attempts)
    except ClientError as error:  # there is no room for more, say; then the first reply is all there is
        logger.warning("That failed: %s", error)
        return replace(first, usage=first.usage + error.usage, lost=first.lost + error.usage)
    except Cancelled as stop:
        stop.usage += first.usage
        raise
    return replace(second, usage=first.usage + second.usage, lost=first.usage + second.lost)


def _retried(
    attempt: Callable[[Sequence[Message], Options], Completion],
    messages: Sequence[Message],
    options: Options,
    attempts: int,
) -> Completion:
    lost = Usage()

    def counted() -> Completion:
        nonlocal lost
        try:
            return attempt(messages, options)
        except RLMError as error:
            lost += error.usage
            raise

    try:
        reply = with_retries(counted, cancel=options.cancel, attempts=attempts)
    except RLMError as error:
        error.usage = lost
        raise
    return replace(reply, usage=lost + reply.usage, lost=lost)


def sendable(message: Message) -> Message:
    """A copy that any server takes: a lone surrogate, which no encoding has, is shown by its number."""
    content = message["content"].encode("utf-8", "backslashreplace").decode()
    return Message(role=message["role"], content=content)


def collect(
    chunks: Generator[Chunk, None, None], messages: Sequence[Message], options: Options, *, grace: int = 0
) -> Completion:
    """Joins a stream into a Completion, and ends it early where `options.until` says so.

    `grace`: how many more chunks to wait for the server's own end after that; most models stop right there,
    and only then does a server report its usage. Otherwise the usage is estimated from the chunks.
    """
    reply = Reply()
    usage: Usage | None = None
    finish_reason: Literal["stop", "length"] = "stop"
    likely: Mapping[str, float] = {}
    tokens, complete, whole = 0, False, False
    # complete: as far as is wanted; whole: or ended by the server
    try:
        with closing(chunks) as stream:
            for chunk in stream:
                options.cancel.check()
                usage = chunk.usage or usage
                likely = likely or (chunk.likely if chunk.text and not chunk.thinking else {})
                tokens += bool(chunk.text or chunk.thinking)
                if complete:
                    grace -= bool(chunk.text or chunk.thinking)
                else:
                    new = _show(reply.add(chunk.text, chunk.thinking), reply, options)
                    finish_reason = chunk.finish_reason or finish_reason
                    complete = bool(new and options.until and options.until(reply.text))
                whole = whole or complete or chunk.finish_reason is not None
                if complete and grace <= 0:
                    break
        options.cancel.check()
    except RLMError as error:
        if not (whole and isinstance(error, (InvalidReply, ReplyTimeout, Unreachable))):
            if reply.text and options.on_restart and isinstance(error, ClientError):
                options.on_restart()
            error.usage += usage or (estimate(messages, tokens) if tokens else Usage())
            raise  # else all that is missing is the usage
    _show(reply.end(), reply, options)
    usage = usage or estimate(messages, tokens)
    return Completion(reply.text, usage, reply.thinking.strip(), finish_reason, likely=likely)


def first_tokens(told: Any) -> dict[str, float]:
    """The likeliest first tokens, from `logprobs` as OpenAI or Ollama writes it: the reply's tokens."""
    tokens = told.get("content") if isinstance(told, dict) else told
    if not tokens:  # they were not asked for
        return {}
    try:
        return {str(top["token"]): float(top["logprob"]) for top in tokens[0]["top_logprobs"]}
    except (LookupError, TypeError, ValueError):  # in another form
        return {}


def _show(new: str | None, reply: Reply, options: Options) -> str:
    """Hands on what is new in the reply's text; None: the text has begun anew."""
    if new is None:
        if options.on_restart:
            options.on_restart()
        new = reply.text
    if new and options.on_text:
        options.on_text(new)
    return new


def estimate(messages: Sequence[Message], completion_tokens: int) -> Usage:
    """Usage of a reply that was stopped before the server reported it."""
    prompt = round(sum(len(message["content"]) for message in messages) / CHARS_PER_TOKEN)
    return Usage(prompt, completion_tokens, estimated_tokens=prompt + completion_tokens)
