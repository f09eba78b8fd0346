"""What an observer of a run is told, in order of happening. Plain records; nothing here acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlm.types import Execution, Iteration, RLMResult, SubCall


@dataclass(frozen=True)
class RunStarted:
    prompt: str
    context: dict[str, Any]
    # what the REPL says of the context: type, length, …
    root: str
    sub: str
    # names of the models
    max_iterations: int


@dataclass(frozen=True)
class TurnStarted:
    turn: int
    # from 1; after the last one comes a turn of its own in which only an answer is asked for


@dataclass(frozen=True)
class TextStreamed:
    text: str
    # the next piece of the root's reply


@dataclass(frozen=True)
class TextRestarted:
    """The pieces of the reply so far are void: it broke off and is asked for again, or was only thinking."""


@dataclass(frozen=True)
class CellStarted:
    code: str


@dataclass(frozen=True)
class CellFinished:
    execution: Execution


@dataclass(frozen=True)
class LimitHit:
    """A cell hit a limit: of its time, memory, output, threads, messages, or of the run's sub calls."""

    text: str
    # one line, with the limit


@dataclass(frozen=True)
class SubCallStarted:
    """The model's code asks for a sub call. Those of a batch come at once, and then wait for their turn."""

    prompt: str
    # its beginning


@dataclass(frozen=True)
class SubCallFinished:
    sub_call: SubCall


@dataclass(frozen=True)
class TurnFinished:
    turn: int
    iteration: Iteration


@dataclass(frozen=True)
class Notice:
    text: str
    # one line that the user should know: a limit that was hit, something left out or tried again


@dataclass(frozen=True)
class RunFinished:
    result: RLMResult


Event = (
    RunStarted
    | TurnStarted
    | TextStreamed
    | TextRestarted
    | CellStarted
    | CellFinished
    | LimitHit
    | SubCallStarted
    | SubCallFinished
    | TurnFinished
    | Notice
    | RunFinished
)
