"""RLM: the root loop. Ask the model, parse its reply, execute the code, show what it printed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rlm import events, prompts
from rlm.cancel import Cancel
from rlm.clients.base import Client, Options
from rlm.clients.resolve import resolve
from rlm.errors import Cancelled, ClientError, ConfigurationError, ContextOverflow, RLMError
from rlm.history import History
from rlm.parsing import is_complete, parse, split_thinking
from rlm.sandbox import Sandbox
from rlm.sandbox.host import CELL_TIMEOUT
from rlm.sandbox.worker import clip
from rlm.types import (
    Action,
    Answer,
    Completion,
    Execution,
    Iteration,
    Message,
    RLMResult,
    StopReason,
    SubCall,
    Usage,
)

DEFAULT_MODEL = "qwen3:4b"
NUM_CTX = 131_072
# tokens; a ceiling for the window asked of Ollama
MAX_REPLY = 4096
# tokens of one reply, where the window is large enough
SAFE_CHARS_PER_TOKEN = 3
# for what the model is told of the sub model's capacity
UNKNOWN_WINDOW = 65_536
# tokens, for a client that does not know its model's window
MAX_LOOPS = 4
# signs of a loop in a row, such as the same cell with the same output, before the model is asked to answer
HEAT, HOTTEST = 0.3, 1.2
# what each sign adds to the temperature: nothing breaks a loop but another sampling or another prompt
RECORDED = 2000
# characters of a sub call's prompt and reply in the record

logger = logging.getLogger(__name__)


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
        temperature: of sampling; None takes the server's default.
        max_reply: tokens of one reply, thinking included; None chooses by the window.
        timeout: seconds for a whole run; None sets no limit.
        budget: tokens for a whole run, root and sub calls together; None sets no limit.
        cell_timeout: seconds of a cell's own work, waiting for models not counted.
        on_event: is called with each event (rlm.events); those of one run come one at a time.

    Raises:
        ConfigurationError: a parameter out of range, an unknown provider, a missing key or extra.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        recursive_model: str | None = None,
        *,
        root_client: Client | None = None,
        sub_client: Client | None = None,
        max_iterations: int = 15,
        think: bool | str | None = None,
        host: str | None = None,
        num_ctx: int = NUM_CTX,
        temperature: float | None = 0.6,
        max_reply: int | None = None,
        timeout: float | None = None,
        budget: int | None = None,
        cell_timeout: float = CELL_TIMEOUT,
        on_event: Callable[[events.Event], object] | None = None,
    ) -> None:
        if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
            raise ConfigurationError(
                f"max_iterations must be a whole number of at least 1, not {max_iterations!r}."
            )
        limits = {"num_ctx": num_ctx, "max_reply": max_reply, "timeout": timeout, "budget": budget}
        for name, limit in (limits | {"cell_timeout": cell_timeout}).items():
            if limit is not None and not limit > 0:
                raise ConfigurationError(f"{name} must be above 0, not {limit!r}.")

        def build(name: str) -> Client:
            return resolve(name, host=host, num_ctx=num_ctx, think=think)

        self.root = root_client or build(model)
        self.sub = sub_client or (build(recursive_model) if recursive_model else self.root)
        self.max_iterations = max_iterations
        self.think = think
        self.temperature = temperature
        self.max_reply = max_reply
        self.timeout = timeout
        self.budget = budget
        self.cell_timeout = cell_timeout
        self.on_event = on_event

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
        if not isinstance(prompt, str) or not prompt.strip():
            raise ConfigurationError("The prompt is empty: give a question as a str.")
        return _Run(self, prompt).run(context, cancel or Cancel())

    async def acompletion(
        self, prompt: str, context: Any = None, *, cancel: Cancel | None = None
    ) -> RLMResult:
        """`completion` in a thread; cancelling the task stops the run."""
        cancel = cancel or Cancel()
        try:
            return await asyncio.to_thread(self.completion, prompt, context, cancel=cancel)
        except asyncio.CancelledError:
            cancel.set()
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

    def __init__(self, rlm: RLM, prompt: str) -> None:
        self.rlm = rlm
        self.prompt = prompt
        self.cancel = Cancel()
        self.began = time.monotonic()
        self.trajectory: list[Iteration] = []
        self.root_window, self.sub_window = _window(rlm.root), _window(rlm.sub)
        self.root_reply = rlm.max_reply or min(MAX_REPLY, self.root_window // 8)
        self.sub_reply = rlm.max_reply or min(MAX_REPLY, self.sub_window // 8)
        self.capacity = (self.sub_window - self.sub_reply - 100) * SAFE_CHARS_PER_TOKEN
        self.shown = min(20_000, max(2_000, self.root_window * 3 // 16))
        # characters of an observation
        self._lock = threading.RLock()
        self._usages: list[Usage] = []
        # of each model call
        self._sub_calls: list[SubCall] = []
        # of the present cell
        self._loops = 0
        # signs in a row that the model goes round in circles
        self._prose = 0
        # replies in a row without code
        self._unseen = ""
        # an answer that did not count, because its output had not been seen

    def run(self, context: Any, cancel: Cancel) -> RLMResult:
        """Runs the loop, and gives a result however it ends."""
        timer = threading.Timer(self.rlm.timeout or 0, self.cancel.set, ["timeout"])
        timer.daemon = True
        if self.rlm.timeout:
            timer.start()
        answer: Answer | None = None
        reason: StopReason
        failure: RLMError | None = None
        try:
            with cancel.calling(lambda: self.cancel.set(cancel.reason or "cancelled")):
                answer, reason = self.answer(context)
        except Cancelled as stop:
            reason = stop.reason
        except RLMError as error:
            reason, failure = "error", error
        finally:
            timer.cancel()
            self.cancel.set()  # sub calls that nobody waits for any more
        best = self.best_so_far()
        result = self.result(answer or Answer(best, best), reason)
        self.emit(events.RunFinished(result))
        if failure:
            failure.result = result
            raise failure
        return result

    def answer(self, context: Any) -> tuple[Answer, StopReason]:
        """The RLM loop of the paper: ask, parse, execute, observe."""
        concurrency = getattr(self.rlm.sub, "concurrency", 4)
        timeout = self.rlm.cell_timeout
        with Sandbox(
            context, query=self.query, concurrency=concurrency, cell_timeout=timeout, cancel=self.cancel
        ) as repl:
            root, sub = _name(self.rlm.root), _name(self.rlm.sub)
            self.emit(events.RunStarted(self.prompt, repl.context, root, sub, self.rlm.max_iterations))
            history = History(prompts.system(self.capacity), prompts.question(self.prompt, repl.context))
            while len(self.trajectory) < self.rlm.max_iterations and self._loops < MAX_LOOPS:
                with self.turn() as turn:
                    turn.reply = self.ask(history)
                    action = parse(turn.reply.text, cut=turn.reply.finish_reason == "length")
                    self.execute(repl, action, turn)
                    answer, complaint = self.final(repl, action, turn)
                    if answer:
                        return answer, "final"
                    turn.observation = self.observe(turn, complaint)
                if self.repeats(turn):
                    history.amend(prompts.SAME_AGAIN)  # a copy in the history would only invite another one
                else:
                    history.add(turn.reply.text or "(empty)", turn.observation)
            return self.last_call(repl, history), "max_iterations"

    @contextmanager
    def turn(self) -> Iterator[_Turn]:
        """Records a turn, whatever ends it."""
        number, began, used = len(self.trajectory) + 1, time.monotonic(), len(self._usages)
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
                    usage=sum(self._usages[used:], Usage()),
                    root_usage=turn.reply.usage,
                    seconds=time.monotonic() - began,
                )
                self.trajectory.append(iteration)
                self.emit(events.TurnFinished(number, iteration))

    def ask(self, history: History) -> Completion:
        """Asks the root for its next step; makes room in the window first."""
        room = self.root_window - self.root_reply
        self.compact(history, room)
        try:
            reply = self.complete(self.rlm.root, history.messages, self.root_options())
        except ContextOverflow as overflow:
            history.measure(overflow.prompt_tokens or 0)
            self.compact(history, min(room, overflow.window or room) * 9 // 10)
            reply = self.complete(self.rlm.root, history.messages, self.root_options())
        history.measure(reply.usage.prompt_tokens)
        if reply.finish_reason == "length" and reply.thinking and not reply.text:
            self.root_reply = min(self.root_reply * 2, self.root_window // 2)
        return reply

    def compact(self, history: History, tokens: int) -> None:
        if gone := history.compact(tokens):
            self.notice(f"The window is full: {gone:,} characters of old outputs were left out.")

    def execute(self, repl: Sandbox, action: Action, turn: _Turn) -> None:
        """Runs the reply's cells in order, up to an error or an answer."""
        for code in action.cells:
            self.emit(events.CellStarted(code))
            with self._lock:
                self._sub_calls = []
            execution = repl.execute(code)
            with self._lock:
                execution = replace(execution, sub_calls=tuple(self._sub_calls))
            turn.executions.append(execution)
            self.emit(events.CellFinished(execution))
            if execution.error or execution.final:
                break

    def final(self, repl: Sandbox, action: Action, turn: _Turn) -> tuple[Answer | None, str]:
        """Returns the answer, if the reply or its code gives one that counts; else what to say about it."""
        final, executions = action.final, turn.executions
        if executions and executions[-1].final:
            return executions[-1].final, ""
        failed = bool(executions and executions[-1].error)
        if final and final.kind != "text" and not failed:
            named = repl.resolve(final)
            if named.final:
                return named.final, ""
            if final.kind == "variable":
                return None, prompts.no_variable(named.error or final.text)
        if final and executions:
            self._unseen = final.text
            return None, prompts.NOT_SEEN_YET
        if final and final.text and final.text not in prompts.PLACEHOLDERS:
            return Answer(final.text, final.text if final.value is None else final.value), ""
        if executions:
            self._prose = 0
            return None, ""
        return self.without_code(turn.reply)

    def without_code(self, reply: Completion) -> tuple[Answer | None, str]:
        """A reply with neither code nor FINAL: asks for one; prose that the model insists on is an answer."""
        self._prose += 1
        self._loops += self._prose > 1
        text = reply.text.strip()
        seen = any(e.stdout or e.value for turn in self.trajectory for e in turn.executions)
        if reply.finish_reason == "length":
            return None, prompts.cut_off(reply.usage.completion_tokens)
        if self._prose > 1 and seen and text:
            return Answer(text, text), ""
        return None, prompts.no_code(seen=seen) if text else prompts.EMPTY_REPLY

    def observe(self, turn: _Turn, complaint: str) -> str:
        """What the root is shown next."""
        output = prompts.observation(turn.executions, self.shown) if turn.executions else ""
        return "\n\n".join(filter(None, (output, complaint)))

    def repeats(self, turn: _Turn) -> bool:
        """Whether the model ran what it had run before, with the same outcome: it goes round in circles."""

        def trace(executions: Sequence[Execution]) -> list[tuple[object, ...]]:
            return [(e.code, e.stdout, e.value, e.error) for e in executions]

        now = trace(turn.executions)
        again = bool(now) and any(now == trace(before.executions) for before in self.trajectory[:-1])
        if now:
            self._loops = self._loops + 1 if again else 0
        return again

    def last_call(self, repl: Sandbox, history: History) -> Answer:
        """No turns are left: asks the root for its best answer from what it has seen."""
        if len(self.trajectory) < self.rlm.max_iterations:
            self.notice("The model repeats itself; it is asked for its answer.")
        history.amend(prompts.LAST_CALL)
        with self.turn() as turn:
            turn.reply = self.ask(history)
            action = parse(turn.reply.text)
            self.execute(repl, action, turn)  # it was asked for none, but its code may give the answer
            answer, _ = self.final(repl, action, turn)
        prose = "" if action.cells or action.final else turn.reply.text.strip()
        best = prose or self.best_so_far()
        return answer or Answer(best, best)

    def query(self, prompt: str) -> str:
        """Answers `llm_query`: one sub call. Runs in several threads at once."""
        call, began = SubCall(clip(prompt, RECORDED), ""), time.monotonic()
        self.emit(events.SubCallStarted(call.prompt))
        try:
            reply = self.complete(self.rlm.sub, [{"role": "user", "content": prompt}], self.sub_options())
            call = replace(call, reply=clip(reply.text.strip(), RECORDED), usage=reply.usage)
            if not call.reply:
                raise ClientError("the model's reply was empty; ask in another way")
            cut = f"\n[cut off after {reply.usage.completion_tokens:,} tokens]"
            return reply.text.strip() + cut * (reply.finish_reason == "length")
        except ContextOverflow as overflow:
            window = overflow.window or self.sub_window
            error = prompts.too_long(len(prompt), overflow.prompt_tokens, self.capacity, window)
            call = replace(call, error=error)
            raise ClientError(error) from overflow
        except RLMError as error:
            call = replace(call, error=str(error))
            raise
        finally:
            call = replace(call, seconds=time.monotonic() - began)
            with self._lock:
                self._sub_calls.append(call)
            self.emit(events.SubCallFinished(call))

    def root_options(self) -> Options:
        return replace(
            self.sub_options(),
            max_tokens=self.root_reply,
            think=self.rlm.think,
            until=is_complete,
            on_text=lambda text: self.emit(events.TextStreamed(text)),
        )

    def sub_options(self) -> Options:
        base, heat = self.rlm.temperature, HEAT * self._loops
        return Options(
            max_tokens=self.sub_reply,
            temperature=base if base is None else max(base, min(base + heat, HOTTEST)),
            think=False if self.rlm.think is None else self.rlm.think,
            cancel=self.cancel,
        )

    def complete(self, client: Client, messages: Sequence[Message], options: Options) -> Completion:
        """One model call, root or sub, with its usage counted and its thinking kept apart."""
        with self._lock:
            total = sum(self._usages, Usage())
        if self.rlm.budget and total.prompt_tokens + total.completion_tokens >= self.rlm.budget:
            self.cancel.set("budget")
        self.cancel.check()
        reply = client.complete([message.copy() for message in messages], options=options)
        if isinstance(reply, str):  # a client of the user's own may be as simple as that
            reply = Completion(reply)
        with self._lock:
            self._usages.append(reply.usage)
        text, stray = split_thinking(reply.text)
        return replace(reply, text=text, thinking=reply.thinking or stray)

    def best_so_far(self) -> str:
        """The best there is when the run is stopped: an answer that did not count yet, or the last output."""
        outputs = [e.stdout.strip() or e.value for turn in self.trajectory for e in turn.executions]
        return self._unseen or next((output for output in reversed(outputs) if output), "")

    def result(self, answer: Answer, reason: StopReason) -> RLMResult:
        return RLMResult(
            answer.text,
            iterations=min(len(self.trajectory), self.rlm.max_iterations),
            total_time=time.monotonic() - self.began,
            usage={f"total_{name}": count for name, count in vars(sum(self._usages, Usage())).items()},
            stop_reason=reason,
            value=answer.value,
            trajectory=tuple(self.trajectory),
        )

    def notice(self, text: str) -> None:
        self.emit(events.Notice(text))

    def emit(self, event: events.Event) -> None:
        """Tells the observer; a fault of its own does not end the run."""
        if not self.rlm.on_event:
            return
        with self._lock:
            try:
                self.rlm.on_event(event)
            except Exception:  # the observer is somebody else's code
                logger.exception("The observer failed at %s.", type(event).__name__)


def _window(client: Client) -> int:
    ask: Callable[[], int | None] | None = getattr(client, "window", None)
    return (ask() if ask else None) or UNKNOWN_WINDOW


def _name(client: Client) -> str:
    return str(getattr(client, "name", type(client).__name__))
