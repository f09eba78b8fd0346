"""What every client is: messages in, a Completion out. Knows no provider and no wire format."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rlm.cancel import Cancel
from rlm.types import Completion, Message, Usage

CHARS_PER_TOKEN = 3.5
# a cautious mean over English text and code; only for estimates, which are marked as such


@dataclass(frozen=True)
class Options:
    """How one reply is to be generated."""

    max_tokens: int = 2048
    # of the reply, thinking included
    temperature: float | None = None
    # None: the server's default
    think: bool | str | None = None
    # None: as the client sees fit; a level such as "low" where the model has levels
    until: Callable[[str], bool] | None = None
    # generation stops when this says that the text so far is complete
    on_text: Callable[[str], object] | None = None
    # called with each piece of the reply as it arrives
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


def collect(
    chunks: Generator[Chunk, None, None], messages: Sequence[Message], options: Options, *, grace: int = 0
) -> Completion:
    """Joins a stream into a Completion, and ends it early where `options.until` says so.

    `grace`: how many more chunks to wait for the server's own end after that; most models stop right there,
    and only then does a server report its usage. Otherwise the usage is estimated from the chunks.
    """
    text = thinking = ""
    usage: Usage | None = None
    finish_reason: Literal["stop", "length"] = "stop"
    tokens, complete = 0, False
    with closing(chunks) as stream:
        for chunk in stream:
            options.cancel.check()
            usage = chunk.usage or usage
            tokens += bool(chunk.text or chunk.thinking)
            if complete:
                grace -= bool(chunk.text or chunk.thinking)
            else:
                text += chunk.text
                thinking += chunk.thinking
                finish_reason = chunk.finish_reason or finish_reason
                if chunk.text and options.on_text:
                    options.on_text(chunk.text)
                complete = bool(chunk.text and options.until and options.until(text))
            if complete and grace <= 0:
                break
    options.cancel.check()
    return Completion(text, usage or estimate(messages, tokens), thinking, finish_reason)


def estimate(messages: Sequence[Message], completion_tokens: int) -> Usage:
    """Usage of a reply that was stopped before the server reported it."""
    prompt = round(sum(len(message["content"]) for message in messages) / CHARS_PER_TOKEN)
    return Usage(prompt, completion_tokens, estimated_tokens=prompt + completion_tokens)
