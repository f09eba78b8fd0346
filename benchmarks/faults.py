"""What becomes of a run when its server fails: each fault in the root's calls and in the sub model's.

    python benchmarks/faults.py
    python benchmarks/faults.py --clients ollama --faults stall

A scripted model answers a question through the loop: it asks the sub model, looks at the reply, and answers.
A fault that passes must be survived, with the right answer and all tokens counted; one that lasts must end in
the right error within its time-outs, or where a sub call fails, must be told to the model and be no answer.
The servers are the stand-ins of the tests. Exit code 1 if anything else happens. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rlm import RLM, __version__
from rlm.clients import wire
from rlm.clients.anthropic import Anthropic
from rlm.clients.base import Options
from rlm.clients.ollama import Ollama
from rlm.clients.openai import OpenAI
from rlm.errors import (
    AuthenticationError,
    ContextOverflow,
    InvalidReply,
    ModelNotFound,
    ReplyTimeout,
    RequestRefused,
    RLMError,
    ServerBusy,
    Unreachable,
)
from rlm.types import Completion, Message, RLMResult

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from servers import FakeAnthropic, FakeOllama, FakeOpenAI, FakeServer, Reply, text_of

FIRST_TIMEOUT, CHUNK_TIMEOUT = 1.5, 1.0
# seconds that the clients allow here
BACKOFF = 0.1
# seconds before the second attempt here; the clients' own is longer
LIMIT = wire.ATTEMPTS * (FIRST_TIMEOUT + 1.0) + 5.0
# seconds after which a run is taken to hang
FIRST, LAST, SUB = PLACES = ("root, first call", "root, last call", "sub call")
ANSWER = "31415926"
CONTEXT = "nothing here\n" * 100 + f"The number is {ANSWER}."
# of which the root is shown the beginning
CELL = "```repl\nreply = llm_query('Which number is in this?\\n' + context)\nprint(reply)\n```"
NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Fault:
    """One way to fail, and what must come of it."""

    name: str
    change: Callable[[Reply], Reply]
    # the reply that should be given, to what is given
    lasts: type[RLMError] | str | None = None
    # what a lasting one ends in: an error; or NO_ANSWER, since the model can be asked on; None: nothing
    mended: tuple[str, ...] = PLACES
    # where a second try mends one that passes
    only: str = ""
    # the client that it makes sense for


def instead(text: str = "not now", **reply: Any) -> Callable[[Reply], Reply]:
    return lambda _: Reply(text, **reply)


def but(**changes: Any) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, **changes)


GONE = "server gone"
PAST = "Thu, 01 Jan 2026 00:00:00 GMT"
FAULTS = (
    Fault("none", but()),
    Fault(GONE, instead(breaks="gone"), Unreachable, mended=()),
    Fault("server restarted", instead(breaks="restart"), Unreachable, mended=(LAST, SUB)),
    Fault("reset before the headers", instead(breaks="drop"), Unreachable),
    Fault("reset within the reply", instead(breaks="reset"), InvalidReply),
    Fault("cut off within the reply", instead(breaks="cut"), InvalidReply),
    Fault("ended without its end", instead(breaks="unfinished"), InvalidReply),
    Fault("malformed JSON", instead(breaks="garbage"), InvalidReply),
    Fault("JSON of another shape", instead(breaks="shape"), InvalidReply),
    Fault("error within the reply", instead(breaks="error"), InvalidReply),
    Fault("stall before the reply", instead(stalls="before"), ReplyTimeout, mended=()),
    Fault("stall within the reply", instead(stalls="within"), ReplyTimeout, mended=()),
    Fault("late beginning", but(delay=0.5)),
    Fault("model loaded anew, slowly", but(), only="ollama"),
    Fault("400", instead(status=400), RequestRefused, mended=()),
    Fault("401", instead(failure="auth"), AuthenticationError, mended=()),
    Fault("402", instead(status=402), RequestRefused, mended=()),
    Fault("403", instead(status=403), AuthenticationError, mended=()),
    Fault("404", instead(failure="missing"), ModelNotFound, mended=()),
    Fault("408", instead(status=408), ServerBusy),
    Fault("409", instead(status=409), ServerBusy),
    Fault("413", instead(status=413), RequestRefused, mended=()),
    Fault("422", instead(status=422), RequestRefused, mended=()),
    Fault("429", instead(status=429), ServerBusy),
    Fault("429, Retry-After in 0.2 s", instead(status=429, retry_after="0.2"), ServerBusy),
    Fault("429, Retry-After in a day", instead(status=429, retry_after="86400"), ServerBusy, mended=()),
    Fault("500", instead(status=500), ServerBusy),
    Fault("502, a page of HTML", instead("", status=502), ServerBusy),
    Fault("503", instead(failure="busy"), ServerBusy),
    Fault("503, Retry-After in the past", instead(status=503, retry_after=PAST), ServerBusy),
    Fault("529", instead(status=529), ServerBusy),
    Fault("empty reply", instead(""), NO_ANSWER, mended=(FIRST, LAST)),
    Fault("blank reply", instead(" \n"), NO_ANSWER, mended=(FIRST, LAST)),
    Fault("nothing but thinking", instead("", thinking="so so so", finish="length"), NO_ANSWER),
    Fault("thinking in the text", instead("<think>so so so</think>"), NO_ANSWER, mended=(FIRST, LAST)),
    Fault("thinking that never ends", instead("<think>so so so", finish="length"), NO_ANSWER),
    Fault("prompt that does not fit", instead(failure="overflow"), ContextOverflow, mended=()),
    Fault("no usage told", but(usage="none")),
    Fault("usage of nothing", but(usage="zero")),
    Fault("usage beyond reason", but(usage="huge")),
)  # fmt: skip

CLIENTS: dict[str, tuple[type[FakeServer], Callable[..., Any]]] = {
    "ollama": (FakeOllama, lambda url, **times: Ollama("tiny", host=url, **times)),
    "openai": (FakeOpenAI, lambda url, **times: OpenAI("m", base_url=f"{url}/v1", **times)),
    "anthropic": (FakeAnthropic, lambda url, **times: Anthropic("m", base_url=url, api_key="key", **times)),
}


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    fault: str
    client: str
    place: str
    lasting: bool
    came: str
    # "survived", the NAME of the run's error, "told NAME" of that of a sub call, NO_ANSWER, or what is wrong
    right: bool
    seconds: float


class Watched:
    """A client, and the errors that it has raised."""

    concurrency = 4

    def __init__(self, client: Any) -> None:
        self.client = client
        self.errors: list[RLMError] = []

    def window(self) -> int | None:
        return 8192

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        try:
            return self.client.complete(messages, options)
        except RLMError as error:
            self.errors.append(error)
            raise


class Script:
    """The model's side of the run, with a fault in one place."""

    def __init__(self, fault: Fault, place: str, *, lasting: bool) -> None:
        self.fault = fault
        self.place = place
        self.left = 10**6 if lasting else 1

    def __call__(self, body: dict[str, Any]) -> Reply:
        place, text = self.reply(body)
        if place != self.place or not self.left:
            return Reply(text)
        self.left -= 1
        return self.fault.change(Reply(text))

    def reply(self, body: dict[str, Any]) -> tuple[str, str]:
        """Where in the run this request is, and what a model would say to it."""
        messages = body["messages"]
        if "system" not in body and messages[0]["role"] != "system":
            return SUB, ANSWER
        shown = text_of(messages[-1])
        if ANSWER in shown:
            return LAST, f"FINAL({ANSWER})"
        if "LLMQueryError" in shown:
            return LAST, "FINAL(unknown)"
        return FIRST, CELL


def run(client: str, fault: Fault, place: str, *, lasting: bool) -> Outcome:
    """Runs the loop once, with the fault in one place."""
    kind, build = CLIENTS[client]
    with kind() as server:
        server.script = Script(fault, place, lasting=lasting)
        if isinstance(server, FakeOllama) and fault.only:
            server.load_seconds = 1.0
        watched = Watched(build(server.url, first_timeout=FIRST_TIMEOUT, chunk_timeout=CHUNK_TIMEOUT))
        rlm = RLM(root_client=watched, max_iterations=5, timeout=2 * LIMIT)
        began = time.monotonic()
        try:
            came = judged(rlm.completion("Which number is it?", CONTEXT), watched, server, fault)
        except RLMError as error:
            came = type(error).__name__
        seconds = time.monotonic() - began
        watched.client.close()
    came = f"HANGS, then {came}" if seconds > LIMIT else came
    return Outcome(fault.name, client, place, lasting, came, came in expected(fault, place, lasting), seconds)


def judged(result: RLMResult, watched: Watched, server: FakeServer, fault: Fault) -> str:
    """What the result of a run means."""
    told = [sum(counts) for counts in zip(*server.told, strict=True)] or [0, 0]
    counted = [result.usage[f"total_{kind}_tokens"] for kind in ("prompt", "completion")]
    if "usage" not in fault.name and (counted[0] < told[0] or counted[1] < told[1]):
        return f"LOST USAGE: {counted} of {told} tokens"
    if result.answer == ANSWER:
        return "survived"
    calls = [call for turn in result.trajectory for e in turn.executions for call in e.sub_calls]
    if result.answer == "unknown" and calls and calls[-1].error:
        return f"told {type(watched.errors[-1]).__name__ if watched.errors else NO_ANSWER}"
    return (
        NO_ANSWER
        if not result.answer and result.stop_reason == "max_iterations"
        else f"WRONG: {result.answer}"
    )


def expected(fault: Fault, place: str, lasting: bool) -> tuple[str, ...]:
    """What may come of a fault."""
    if fault.lasts is None or (not lasting and place in fault.mended):
        return ("survived",)
    name = fault.lasts if isinstance(fault.lasts, str) else fault.lasts.__name__
    if place == SUB and fault.name != GONE:  # which ends the run at the root's next call
        return (f"told {name}",)
    # An answer that stood in the last output already may be taken.
    return (name, "survived") if name == NO_ANSWER and place == LAST else (name,)


def table(outcomes: Sequence[Outcome]) -> Table:
    """A row for each fault and place: what came of it with all clients, and the longest time."""
    shown = Table("fault", "where", "passes", "", "lasts", "")
    for fault, place in dict.fromkeys((o.fault, o.place) for o in outcomes):
        cells = []
        for lasting in (False, True):
            of_all = [o for o in outcomes if (o.fault, o.place, o.lasting) == (fault, place, lasting)]
            came = {o.came: f"[{'green' if o.right else 'bold red'}]{o.came}" for o in of_all}
            cells += ["\n".join(came.values()), f"{max(o.seconds for o in of_all):.1f} s"]
        shown.add_row(fault, place, *cells)
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument(
        "--faults", nargs="+", default=[""], metavar="WORD", help="those with a word in their name"
    )
    args = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)
    wire.BACKOFF = BACKOFF
    chosen = [fault for fault in FAULTS if any(word in fault.name for word in args.faults)]
    outcomes = []
    for fault in chosen:
        for client in args.clients:
            if fault.only in ("", client):
                for place in PLACES:
                    outcomes += [run(client, fault, place, lasting=lasting) for lasting in (False, True)]
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(f"rlm {__version__}, Python {platform.python_version()}, {platform.machine()}")
    console.print(table(outcomes))
    wrong = [o for o in outcomes if not o.right]
    console.print(f"{len(chosen)} faults, {len(outcomes)} runs, {len(wrong)} not as they should be, "
                  f"the longest {max(o.seconds for o in outcomes):.1f} s")  # fmt: skip
    print(json.dumps({"faults": len(chosen), "runs": len(outcomes), "wrong": [vars(o) for o in wrong]}))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
