"""One trial: a solver is asked one sample, and what came of it is a record. Knows no files and no tables."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rlm.calls import MAX_REPLY, UNKNOWN_WINDOW
from rlm.cancel import Cancel
from rlm.clients.base import Client, Options
from rlm.errors import Cancelled, ContextOverflow, RLMError
from rlm.tasks import TASKS, Sample, scoring
from rlm.types import Completion, Message, RLMResult, StopReason

Method = Literal["rlm", "one prompt"]
Outcome = Literal["right", "partly right", "wrong", "no answer", "time-out", "error", "too long"]
# too long: the context does not fit the window of one prompt; such a trial does not count

MOST_CHARS_PER_TOKEN = 8
# a text that is longer than this many times the window surely does not fit; below, the server decides
KEPT = 200
# characters of an answer and of an expected one in the record


class Solver(Protocol):
    """Answers a question about data: an RLM does, and so does OnePrompt."""

    def completion(self, prompt: str, context: Any = None, *, cancel: Cancel | None = None) -> RLMResult: ...


@dataclass(frozen=True)
class Entrant:
    """What is measured: a model, and how it is used."""

    model: str
    provider: str
    # for people
    method: Method = "rlm"


@dataclass(frozen=True)
class Case:
    """Which sample is asked; the same case is the same sample on every machine."""

    task: str
    seed: int
    size: int
    unit: Literal["length", "lines"] = "length"
    # length: characters
    depth: float | None = None
    # relative position of the needle; None: anywhere

    def sample(self) -> Sample:
        place = {} if self.depth is None else {"depth": self.depth}
        return TASKS[self.task].sample(self.seed, **{self.unit: self.size}, **place)


@dataclass(frozen=True)
class Trial:
    """How an entrant did in a case."""

    entrant: Entrant
    case: Case
    outcome: Outcome
    score: float
    # from 0 to 1; 0 for a time-out and an error, whatever had been found until then
    seconds: float
    iterations: int
    sub_calls: int
    prompt_tokens: int
    completion_tokens: int
    answer: str
    gold: str
    # both cut
    error: str = ""
    # the message, where the outcome is an error


def trial(
    solver: Solver, entrant: Entrant, case: Case, *, cancel: Cancel, clock: Callable[[], float]
) -> Trial:
    """Asks the solver; raises Cancelled where the switch was thrown before it had answered."""
    cancel.check()
    sample = case.sample()
    began = clock()
    failure: RLMError | None = None
    try:
        result = solver.completion(sample.question, sample.context, cancel=cancel)
    except RLMError as error:
        result, failure = error.result or _result(Completion("", error.usage), "error", 0.0), error
    seconds = clock() - began
    if result.stop_reason == "cancelled":
        raise Cancelled
    outcome, score = judge(entrant, sample, result, failure)
    return Trial(
        entrant,
        case,
        outcome,
        score,
        seconds=seconds,
        iterations=result.iterations,
        sub_calls=sum(len(cell.sub_calls) for turn in result.trajectory for cell in turn.executions),
        prompt_tokens=result.usage["total_prompt_tokens"],
        completion_tokens=result.usage["total_completion_tokens"],
        answer=result.answer[:KEPT],
        gold=sample.gold[:KEPT],
        error=str(failure) if outcome == "error" else "",
    )


def judge(
    entrant: Entrant, sample: Sample, result: RLMResult, failure: RLMError | None
) -> tuple[Outcome, float]:
    """What came of it, and the score. Time-outs and errors count as wrong."""
    if isinstance(failure, ContextOverflow) and entrant.method == "one prompt":
        return "too long", 0.0
    if failure:
        return "error", 0.0
    if result.stop_reason == "timeout":
        return "time-out", 0.0
    if not result.answer.strip():
        return "no answer", 0.0
    score = scoring.score(result.answer, sample)
    return ("right" if score == 1 else "partly right" if score > 0 else "wrong"), score


class OnePrompt:
    """The baseline: the whole context in one prompt, without a REPL.

    think, timeout, temperature: as `RLM` takes them.
    """

    def __init__(
        self,
        client: Client,
        *,
        think: bool | None = None,
        timeout: float | None = None,
        temperature: float | None = 0.6,
    ) -> None:
        self.client = client
        self.think = think
        self.timeout = timeout
        self.temperature = temperature

    def completion(self, prompt: str, context: Any = None, *, cancel: Cancel | None = None) -> RLMResult:
        """Raises ContextOverflow where the context does not fit."""
        began, own = time.monotonic(), Cancel()
        text = context if isinstance(context, str) else json.dumps(context, ensure_ascii=False)
        window = self._window()
        if len(text) > window * MOST_CHARS_PER_TOKEN:
            raise ContextOverflow(f"{len(text):,} characters do not fit a window of {window:,} tokens.")
        options = Options(
            max_tokens=min(MAX_REPLY, window // 8),
            temperature=self.temperature,
            think=self.think,
            cancel=own,
        )
        question = f"{text}\n\nQuestion about the text above: {prompt}\nReply with the answer alone."
        timer = threading.Timer(self.timeout or 0, own.set, ["timeout"])
        timer.daemon = True
        if self.timeout:
            timer.start()
        try:
            with (cancel or Cancel()).throwing(own):
                reply = self.client.complete([Message(role="user", content=question)], options)
        except Cancelled as stop:
            return _result(Completion("", stop.usage), stop.reason, time.monotonic() - began)
        finally:
            timer.cancel()
        return _result(reply, "final", time.monotonic() - began, iterations=1)

    def _window(self) -> int:
        ask: Callable[[], int | None] | None = getattr(self.client, "window", None)
        return (ask() if ask else None) or UNKNOWN_WINDOW


def _result(reply: Completion, reason: StopReason, seconds: float, *, iterations: int = 0) -> RLMResult:
    usage = {f"total_{name}": count for name, count in vars(reply.usage).items()}
    return RLMResult(reply.text, iterations, seconds, usage, reason)
