"""RLM: the root loop. Ask the model, parse its reply, execute the code, show what it printed."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from typing import Any

from rlm import events, examples, prompts
from rlm.calls import Calls, whole_or_marked
from rlm.cancel import Cancel
from rlm.clients.base import Client
from rlm.clients.fit import NUM_CTX
from rlm.clients.resolve import resolve
from rlm.errors import Cancelled, ConfigurationError, RLMError
from rlm.guide import Guide, is_small
from rlm.history import History
from rlm.parsing import parse
from rlm.sandbox import Kind, Policy, Sandbox
from rlm.sandbox.host import validate
from rlm.sandbox.limits import CELL_TIMEOUT, LEAST_MEMORY, MEMORY, SUB_CALLS
from rlm.session import Session
from rlm.types import Action, Answer, Completion, Execution, Iteration, Mode, Related, RLMResult, StopReason

DEFAULT_MODEL = "qwen3:4b"
MAX_LOOPS = 4
# signs of a loop in a row, such as the same cell with the same output, before the model is asked to answer

logger = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class RLM:
    """Answers questions about data of any size with a root model that works in a REPL.

    An RLM is plain configuration: cheap to build, picklable, and safe for several threads at once.

    Args:
        model: the root model; a bare name is Ollama's, a prefix names another provider: `openai:`,
            `anthropic:`, `together:`, `groq:`, `fireworks:`, `openrouter:`, `local:`.
        recursive_model: the sub model, which `llm_query` asks; None takes the root model.
        root_client, sub_client: clients that take the place of the named models.
        max_iterations: root turns, at least 1; then the root is asked once more, for its answer.
        think: thinking mode; None leaves it to the model for the root and turns it off for sub calls.
        host: Ollama's address; None takes OLLAMA_HOST or http://127.0.0.1:11434.
        num_ctx: ceiling of the window asked of Ollama, in tokens.
        pull: whether Ollama is to download a model that it does not have.
        temperature: of sampling; None takes the server's default.
        max_reply: tokens of one reply, thinking included; None chooses by the window.
        timeout: seconds for a whole run; None sets no limit.
        budget: tokens for a whole run, root and sub calls together; None sets no limit.
        cell_timeout: seconds of a cell's own work, waiting for models not counted.
        memory: bytes that the REPL may use beyond the context.
        max_sub_calls: of a whole run.
        policy: what to do where this machine cannot confine the REPL: `strict` refuses to run, `best-effort`
            takes the protections there are and says which are missing, `off` takes none.
        sandbox: `process`, or `inprocess`: the model's code runs in this process, with all your rights.
        mode: `repl`: the model works in the REPL; `direct`: it reads the whole context, in one call without a
            REPL; `auto`: the REPL (docs/small-models.md says why).
        guided: whether the root gets the help that small models need (docs/small-models.md); None: those of
            up to 9 billion parameters do, as far as the model's name says.
        on_event: is called with each event (rlm.events); those of one run come one at a time.

    Raises:
        ConfigurationError: a parameter out of range, an unknown provider, a missing key or extra.
    """

    model: str = DEFAULT_MODEL
    recursive_model: str | None = None
    _: KW_ONLY
    root_client: Client | None = None
    sub_client: Client | None = None
    max_iterations: int = 15
    think: bool | str | None = None
    host: str | None = None
    num_ctx: int = NUM_CTX
    pull: bool = False
    temperature: float | None = 0.6
    max_reply: int | None = None
    timeout: float | None = None
    budget: int | None = None
    cell_timeout: float = CELL_TIMEOUT
    memory: int = MEMORY
    max_sub_calls: int = SUB_CALLS
    policy: Policy = "strict"
    sandbox: Kind = "process"
    mode: Mode = "auto"
    guided: bool | None = None
    on_event: Callable[[events.Event], object] | None = None
    root: Client = field(init=False)
    sub: Client = field(init=False)

    def __post_init__(self) -> None:
        _check(self)
        build = partial(resolve, host=self.host, num_ctx=self.num_ctx, think=self.think, pull=self.pull)
        self.root = self.sub = build(self.model) if self.root_client is None else self.root_client
        if self.sub_client is not None:
            self.sub = self.sub_client
        elif self.recursive_model:
            self.sub = build(self.recursive_model)

    def completion(self, prompt: str, context: Any = None, *, cancel: Cancel | None = None) -> RLMResult:
        """Answers the prompt.

        Args:
            prompt: the question.
            context: the data: str, bytes that are UTF-8 text, list, dict, another plain value, None, or a
                `pathlib.Path` to a UTF-8 text file; a str is always the data itself.
            cancel: stops the run when it is thrown; the result then has what was found so far.

        Raises:
            ContextError: the context is of another type, is missing, or is not text.
            ClientError: the root model did not answer; `.result` has what was reached until then.
            SandboxError: the REPL process does not start.
        """
        with closing(Session(self, context, goes_on=False)) as session:
            return self.answer(prompt, session, cancel)

    def session(self, context: Any = None, *, about: str = "") -> Session:
        """A conversation: `with rlm.session(context) as session: session.completion(…)`.

        Args:
            context: as for `completion`.
            about: what the model is told of it beside its type and size, say where it comes from.
        """
        return Session(self, context, about=about)

    def answer(self, prompt: str, session: Session, cancel: Cancel | None = None) -> RLMResult:
        """Answers the prompt in a session's REPL; `Session.completion` also keeps it for the next one."""
        if not isinstance(prompt, str) or not prompt.strip():
            raise ConfigurationError("The prompt is empty: give a question as a str.")
        return _Run(self, prompt, session).run(cancel or Cancel())

    async def acompletion(
        self, prompt: str, context: Any = None, *, cancel: Cancel | None = None
    ) -> RLMResult:
        """`completion` in a thread; cancelling the task stops the run."""
        caller, own = cancel or Cancel(), Cancel()
        with caller.throwing(own):
            try:
                return await asyncio.to_thread(self.completion, prompt, context, cancel=own)
            except asyncio.CancelledError:
                own.set()
                raise


NO_REPLY = Completion("")


@dataclass
class _Turn:
    """One root turn as it comes about."""

    reply: Completion = NO_REPLY
    executions: list[Execution] = field(default_factory=list)
    observation: str | None = None


class _Run:
    """One run of the loop, with all that changes in it."""

    def __init__(self, rlm: RLM, prompt: str, session: Session) -> None:
        self.rlm = rlm
        self.prompt = prompt
        self.session = session
        self.cancel = Cancel()
        self.began = time.monotonic()
        self.trajectory: list[Iteration] = []
        self.mode: Mode = "direct" if rlm.mode == "direct" else "repl"
        self.guided = is_small(_name(rlm.root)) if rlm.guided is None else rlm.guided
        self.calls = Calls(rlm, guided=self.guided, cancel=self.cancel, emit=self.emit)
        self._lock = threading.RLock()
        self._prose = 0
        # replies in a row without code
        self._mistakes: list[str] = []
        # the same one, of the latest turns in the history
        self._none = False
        # whether the latest answer was None, which counts when it is given twice
        self._uncounted = ""
        # an answer that did not count: its output had not been seen, or it was doubted

    def run(self, cancel: Cancel) -> RLMResult:
        """Runs the loop, and gives a result however it ends."""
        timer = threading.Timer(self.rlm.timeout or 0, self.cancel.set, ["timeout"])
        timer.daemon = True
        if self.rlm.timeout:
            timer.start()
        answer: Answer | None = None
        reason: StopReason
        failure: RLMError | None = None
        try:
            with cancel.throwing(self.cancel):
                answer, reason = self.answer()
        except Cancelled as stop:
            reason = stop.reason
            if reason == "timeout" and self.rlm.timeout:
                self.emit(events.LimitHit(f"a run may take {self.rlm.timeout:g} s"))
        except RLMError as error:
            reason, failure = "error", error
        finally:
            timer.cancel()
            self.cancel.set()  # sub calls that nobody waits for any more
        result = self.result(answer or self.best_so_far(), reason)
        self.emit(events.RunFinished(result))
        if failure:
            failure.result = result
            raise failure
        return result

    def answer(self) -> tuple[Answer, StopReason]:
        """The RLM loop of the paper: ask, parse, execute, observe."""
        self.calls.ask_windows()
        if self.mode == "direct":
            return self.read(), "final"
        repl = self.session.repl(self.calls.ask_sub, cancel=self.cancel)
        repl.on_call = self.calls.announce
        self.started(repl.context, self.rlm.max_iterations)
        if not repl.report.complete:
            self.emit(events.Notice(str(repl.report)))
        related = repl.related(self.prompt) if self.guided else Related()
        question = self.session.question(self.prompt, repl, self.calls.root_window, related)
        asked_before = bool(self.session.exchanges)
        self.guide = Guide(self.prompt, related, question, repl.context, follows_up=asked_before)
        before = examples.turns(repl.context, unsaid=related.unsaid)
        history = History(prompts.system(self.calls.capacity), question, before)
        while len(self.trajectory) < self.rlm.max_iterations and self.calls.loops < MAX_LOOPS:
            with self.turn() as turn:
                turn.reply = self.calls.ask_root(history)
                action = parse(turn.reply.text, cut=turn.reply.finish_reason == "length")
                self.execute(repl, action, turn)
                answer, complaint = self.final(repl, action, turn)
                if answer:
                    return answer, "final"
                turn.observation = self.observe(history, turn, complaint)
        return self.last_call(repl, history), "max_iterations"

    def read(self) -> Answer:
        """Asks the root with the whole context in its prompt."""
        given = [self.session.told(self.calls.root_window), self.session.about]
        text = self.session.text(self.calls.root_capacity - sum(map(len, [*given, self.prompt])))
        self.started({"type": "str", "length": len(text)}, 1)
        history = History(prompts.DIRECT, prompts.whole(self.prompt, text, given))
        with self.turn() as turn:
            turn.reply = self.calls.ask_root(history)
            final = parse(turn.reply.text, cut=turn.reply.finish_reason == "length").final
        answer = final.text if final else whole_or_marked(turn.reply)
        return Answer(answer, answer)

    @contextmanager
    def turn(self) -> Iterator[_Turn]:
        """Records a turn, whatever ends it."""
        number, began = len(self.trajectory) + 1, time.monotonic()
        turn = _Turn()
        self.emit(events.TurnStarted(number))
        try:
            yield turn
        finally:
            if turn.reply is not NO_REPLY:
                iteration = Iteration(
                    turn.reply.text,
                    tuple(turn.executions),
                    turn.observation,
                    thinking=turn.reply.thinking,
                    usage=self.calls.take_usage(),
                    root_usage=turn.reply.usage,
                    seconds=time.monotonic() - began,
                )
                self.trajectory.append(iteration)
                self.emit(events.TurnFinished(number, iteration))

    def execute(self, repl: Sandbox, action: Action, turn: _Turn) -> None:
        """Runs the reply's cells in order, up to an error or an answer."""
        for code in action.cells:
            self.emit(events.CellStarted(code))
            execution = self.ran(turn, repl, code, partial(repl.execute, code))
            self.executed(turn, execution)
            if execution.error or execution.final:
                break

    def ran(self, turn: _Turn, repl: Sandbox, code: str, order: Callable[[], Execution]) -> Execution:
        """What came of an order; where the run is stopped meanwhile, what it had done is recorded."""
        try:
            return order()
        except Cancelled:
            self.session.keep_repl()
            self.executed(turn, repl.stopped(code))
            raise

    def executed(self, turn: _Turn, execution: Execution) -> None:
        """Records a cell, with the sub calls since the one before."""
        execution = replace(execution, sub_calls=self.calls.take_sub_calls())
        turn.executions.append(execution)
        if execution.stdout.strip() or execution.value:
            self._uncounted = ""  # what came before has been looked into
        for limit in execution.limits:
            self.emit(events.LimitHit(limit))
        self.emit(events.CellFinished(execution))

    def final(self, repl: Sandbox, action: Action, turn: _Turn) -> tuple[Answer | None, str]:
        """Returns the answer, if the reply or its code gives one that counts; else what to say about it."""
        final, executions = action.final, turn.executions
        if executions:
            self._prose = 0
        if executions and executions[-1].final:
            return executions[-1].final, ""
        failed = bool(executions and executions[-1].error)
        if final and final.kind != "text" and not failed:
            named = self.ran(turn, repl, f"FINAL({final.text})", partial(repl.resolve, final))
            if named.final:
                if asked := self.calls.take_sub_calls():  # by the expression
                    turn.executions.append(replace(named, sub_calls=asked))
                return named.final, ""
            if final.kind == "variable" or (named.error and not _is_placeholder(final.text)):
                return None, prompts.no_variable(named.error or final.text)
        if final and executions:
            if not (_is_placeholder(final.text) or (failed and final.kind != "text")):
                self._uncounted = final.text
            return None, prompts.NOT_SEEN_YET
        none = bool(final and final.text.strip().lower() == "none")
        insists, self._none = none and self._none, none
        if final and _is_placeholder(final.text) and not insists:
            self.calls.loops += 1
            return None, prompts.no_answer(self.prompt, self.guide.related)
        # without any data, it answers from what it knows
        doubtful = self.guided and repl.context.get("type") != "NoneType" and not insists
        if final and doubtful and (doubt := self.guide.doubt(final.text, self.trajectory)):
            self._uncounted = final.text
            return None, doubt
        if final:
            return Answer(final.text, final.value if _is_json(final.value) else final.text), ""
        return (None, "") if executions else self.without_code(turn.reply)

    def without_code(self, reply: Completion) -> tuple[Answer | None, str]:
        """A reply with neither code nor FINAL: asks for one; prose that the model insists on is an answer."""
        self._prose += 1
        self.calls.loops += self._prose > 1
        text = reply.text.strip()
        seen = bool(self.session.exchanges or self.session.context.get("type") == "NoneType") or any(
            e.stdout or e.value for turn in self.trajectory for e in turn.executions
        )
        if reply.finish_reason == "length":
            return None, prompts.cut_off(reply.usage.completion_tokens)
        if self._prose > 1 and seen and text:
            return Answer(text, text), ""
        return None, prompts.no_code(seen=seen) if text else prompts.EMPTY_REPLY

    def observe(self, history: History, turn: _Turn, complaint: str) -> str:
        """Shows the root what has come of its reply; returns that."""
        related, mistake = self.guide.saw(turn.executions), _mistake(turn)
        if self.repeats(turn):  # not added: a copy in the history would only invite another one
            shown = "\n\n".join(filter(None, (prompts.same_again(turn.executions[-1]), complaint)))
            history.amend(shown)
        elif self.calls.loops > 1 and mistake:  # the third of a kind: it copies what stands there
            history.forget(self._mistakes.count(mistake))
            self._mistakes.clear()
            shown = prompts.start_again(_mistake(turn, numbers=True))
            history.amend(shown)
        else:
            output = ""
            if turn.executions:
                output = prompts.observation(
                    turn.executions, self.calls.shown, self.prompt, related, guided=self.guided
                )
            shown = "\n\n".join(filter(None, (output, complaint)))
            history.add(turn.reply.text or "(empty)", shown)
            self._mistakes = [*self._mistakes, mistake] if mistake in self._mistakes else [mistake]
        return shown

    def repeats(self, turn: _Turn) -> bool:
        """Whether the model ran what it had run before, with the same outcome: it goes round in circles."""

        def trace(executions: Sequence[Execution]) -> list[tuple[object, ...]]:
            return [(e.code, e.stdout, e.value, (e.error or "").partition("\n")[2]) for e in executions]

        now, mistake = trace(turn.executions), _mistake(turn)
        again = bool(now) and any(now == trace(before.executions) for before in self.trajectory)
        if now:
            same_mistake = mistake and any(mistake == _mistake(before) for before in self.trajectory[-1:])
            self.calls.loops = self.calls.loops + 1 if again or same_mistake else 0
        return again

    def last_call(self, repl: Sandbox, history: History) -> Answer:
        """No turns are left: asks the root for its best answer from what it has seen."""
        if len(self.trajectory) < self.rlm.max_iterations:
            self.emit(events.Notice("The model repeats itself; it is asked for its answer."))
        history.amend(prompts.LAST_CALL)
        with self.turn() as turn:
            turn.reply = self.calls.ask_root(history)
            action = parse(turn.reply.text)
            self.execute(repl, action, turn)  # it was asked for none, but its code may give the answer
            answer, _ = self.final(repl, action, turn)
        prose = "" if action.cells or action.final else turn.reply.text.strip()
        return answer or (Answer(prose, prose) if prose else self.best_so_far())

    def best_so_far(self) -> Answer:
        """The best there is when the run is stopped: an answer that did not count yet, or the last output."""
        cells = [execution for turn in self.trajectory for execution in turn.executions]
        if cells and cells[-1].final:  # given in the moment of the stop
            return cells[-1].final
        outputs = (cell.value or cell.stdout.strip() for cell in reversed(cells))
        best = self._uncounted or next(filter(None, outputs), "")
        return Answer(best, best)

    def result(self, answer: Answer, reason: StopReason) -> RLMResult:
        return RLMResult(
            answer.text,
            iterations=min(len(self.trajectory), self.rlm.max_iterations),
            total_time=time.monotonic() - self.began,
            usage={f"total_{name}": count for name, count in vars(self.calls.usage).items()},
            stop_reason=reason,
            value=answer.value,
            mode=self.mode,
            guided=self.guided,
            trajectory=tuple(self.trajectory),
        )

    def started(self, context: dict[str, Any], turns: int) -> None:
        root, sub = _name(self.rlm.root), _name(self.rlm.sub)
        self.emit(events.RunStarted(self.prompt, context, root, sub, turns))

    def emit(self, event: events.Event) -> None:
        """Tells the observer; a fault of its own does not end the run."""
        if not self.rlm.on_event:
            return
        with self._lock:
            try:
                self.rlm.on_event(event)
            except Exception:  # the observer is somebody else's code
                logger.exception("The observer failed at %s.", type(event).__name__)


def _mistake(turn: _Turn | Iteration, *, numbers: bool = False) -> str:
    """What went wrong at the end of a turn: an error, or what was looked for in vain."""
    last = turn.executions[-1] if turn.executions else Execution("")
    found = re.findall(r"^\w+(?:Error|Exception)\b.*", last.error or "", re.MULTILINE)
    what = found[0] if found else last.hint
    return what if numbers else re.sub(r"\d+", "", what)


def _check(rlm: RLM) -> None:
    """Raises ConfigurationError for a parameter of another type, or out of range."""
    validate(rlm.sandbox, rlm.policy)
    rules: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
        ("mode", lambda given: given in ("auto", "repl", "direct"), "be auto, repl or direct"),
        ("max_iterations max_sub_calls", partial(_is_whole, least=1), "be a whole number of at least 1"),
        ("memory", partial(_is_whole, least=LEAST_MEMORY), f"be a whole number of at least {LEAST_MEMORY:,}"),
        ("num_ctx cell_timeout max_reply timeout budget", _is_number, "be a number above 0"),
        (
            "temperature",
            lambda given: given is not False and (given == 0 or _is_number(given)),
            "be a number from 0 up",
        ),
        ("model recursive_model host", lambda given: isinstance(given, str), "be a str"),
        ("root_client sub_client", _can_complete, "have a method complete(messages, options)"),
        ("on_event", callable, "be callable"),
    )
    for names, fits, what in rules:
        for name in names.split():
            given = getattr(rlm, name)
            may_be_none = getattr(RLM, name) is None or name == "temperature"
            if not (fits(given) or (given is None and may_be_none)):
                raise ConfigurationError(f"{name} must {what}, not {given!r}.")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _can_complete(client: object) -> bool:
    return callable(getattr(client, "complete", None))


def _is_number(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value <= threading.TIMEOUT_MAX  # type: ignore[operator]


def _is_placeholder(text: str) -> bool:
    return text.strip(" .…<>[]\"'").lower() in prompts.PLACEHOLDERS


def _is_json(value: object) -> bool:
    try:
        return value is not None and bool(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return False


def _name(client: Client) -> str:
    return str(getattr(client, "name", type(client).__name__))
