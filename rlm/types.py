"""The records that pass between the parts. Plain data, with next to no behaviour."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict

Mode = Literal["auto", "repl", "direct"]
StopReason = Literal["final", "max_iterations", "timeout", "budget", "cancelled", "error"]


class Message(TypedDict):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Usage:
    """Tokens that model calls used; adds up: `sum(usages, Usage())`."""

    prompt_tokens: int = 0
    # all tokens of the prompts, cached ones included
    completion_tokens: int = 0
    # all generated tokens, thinking included
    cached_tokens: int = 0
    # the part of prompt_tokens that came from the server's prompt cache
    estimated_tokens: int = 0
    # the part of both that was counted here, because the server was stopped before it reported
    reasoning_tokens: int = 0
    # the part of completion_tokens that was thinking, where the server tells it

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, count.name) + getattr(other, count.name) for count in fields(self)))


@dataclass(frozen=True)
class Completion:
    """What a model replied."""

    text: str
    # the reply without its thinking
    usage: Usage = Usage()
    # of this reply and of the attempts before it that gave none
    thinking: str = ""
    # kept apart: it is never parsed
    finish_reason: Literal["stop", "length"] = "stop"
    # "length": max_tokens ran out, the text is cut
    lost: Usage = Usage()
    # the part of usage that went into attempts without a reply
    likely: Mapping[str, float] = field(default_factory=dict)
    # the likeliest first tokens with their log probabilities, where they were asked for and the server tells


Query = Callable[[str], str | Completion]
# answers the prompt of a sub call


@dataclass(frozen=True)
class Final:
    """A final answer as it stands in a reply."""

    text: str
    # the answer, or the Python that names it
    value: Any = None
    # the Python literal, where the answer is one
    kind: Literal["text", "expression", "variable"] = "text"
    # expression: the answer if the REPL has a value for it, else plain text; variable: FINAL_VAR, must exist


@dataclass(frozen=True)
class Action:
    """What a reply asks for."""

    cells: tuple[str, ...] = ()
    # code blocks, in order
    final: Final | None = None


@dataclass(frozen=True)
class Answer:
    """A final answer given in the REPL."""

    text: str
    value: Any = None
    # JSON-safe; the text again where the value is not


@dataclass(frozen=True)
class SubCall:
    """One sub call of a cell, as the record keeps it."""

    prompt: str
    reply: str
    # both bounded: the record of a run must stay far smaller than its context
    usage: Usage = Usage()
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True)
class Related:
    """What a context has of a question."""

    lines: str = ""
    # or items, a few, with rare words of the question, and those that they lead to
    missing: str = ""
    # a name in the question that is nowhere in the context
    unsaid: str = ""
    # of it: "labels", which are not written there ("labels of each", where it compares the values of a field,
    # "labels of pairs", where it asks for pairs of them; "labelled" once they have been read), or "words", of
    # which none is; the lines are then others
    named: dict[str, str] = field(default_factory=dict)
    # names, numbers and quotations of the question that are there, each with the field it is in, or ""

    def says(self, what: str) -> bool:
        """Whether the lines have a number or word as one of its own."""
        whole = rf"(?<![\w.#-]){re.escape(what)}(?![.-]?\w)"
        return bool(re.search(whole, self.lines, re.IGNORECASE))


@dataclass(frozen=True)
class Execution:
    """What one cell did."""

    code: str
    stdout: str = ""
    # head and tail where it was too long, with the number of characters left out
    value: str | None = None
    # text of the last expression's value, None where there is none
    error: str | None = None
    # traceback of the model's mistake, or the limit that was hit, in one line
    final: Answer | None = None
    seconds: float = 0.0
    sub_calls: tuple[SubCall, ...] = ()
    limits: tuple[str, ...] = ()
    # limits that were hit, a line each
    hint: str = ""
    # what is wrong with what it looks for: the data does not have it, or has it in longer numbers as well


@dataclass(frozen=True)
class Iteration:
    """One root turn."""

    reply: str
    executions: tuple[Execution, ...] = ()
    observation: str | None = None
    # what the root was shown next; None after the last turn
    thinking: str = ""
    usage: Usage = Usage()
    # root and sub calls of this turn
    root_usage: Usage = Usage()
    # the root's call alone
    seconds: float = 0.0


@dataclass(frozen=True)
class RLMResult:
    """How a run ended."""

    answer: str
    iterations: int
    # root turns
    total_time: float
    # seconds
    usage: dict[str, int]
    # total_prompt_tokens, total_completion_tokens, and of these total_cached_tokens, total_estimated_tokens,
    # total_reasoning_tokens
    stop_reason: StopReason
    value: Any = None
    # the answer as a Python value, where it is JSON-safe; else its text
    mode: Mode = "repl"
    # or "direct": the model read the whole context
    guided: bool = False
    # whether the root got the help that small models need
    trajectory: tuple[Iteration, ...] = field(default=(), repr=False)
