"""RLM: the root loop. Ask the model, parse its reply, execute the code, show what it printed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rlm import prompts
from rlm.cancel import Cancel
from rlm.clients.base import Client, Options
from rlm.clients.resolve import resolve
from rlm.errors import Cancelled, ClientError, ConfigurationError, ContextOverflow, RLMError
from rlm.events import (
    CellFinished,
    CellStarted,
    Event,
    Notice,
    RunFinished,
    RunStarted,
    SubCallFinished,
    SubCallStarted,
    TextStreamed,
    TurnFinished,
    TurnStarted,
)
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
MAX_REPEATS = 4
# times the same cell with the same output, before the model is asked for its answer
HEAT = 0.3
# added to the temperature for each sign of a loop, which nothing breaks but another sampling or prompt
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
        on_event: is called with each event (rlm.events), never by two threads at once.

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
        on_event: Callable[[Event], object] | None = None,
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
            context: the data: str, list, dict, None, or a `pathlib.Path` to a UTF-8 text file.
            cancel: stops the run when it is thrown; the result then has what was found so far.

        Raises:
            ContextError: the context is of another type, is missing, or is not text.
            ClientError: the root model did not answer; `.result` has what was reached until then.
            SandboxError: the REPL process does not start.
        """
        if not isinstance(prompt, str) or not prompt.strip():
            raise ConfigurationError("The prompt is empty: give a question as a str.")
        return _Run(self, prompt, cancel or Cancel()).run(context)

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


class _Run:
    """One run of the loop, with all that changes in it."""

    def __init__(self, rlm: RLM, prompt: str, cancel: Cancel) -> None:
        self.rlm = rlm
        self.prompt = prompt
        self.cancel = cancel
        self.began = time.monotonic()
        self.usages: list[Usage] = []
        # of each model call
        self.trajectory: list[Iteration] = []
        self.root_window, self.sub_window = _window(rlm.root), _window(rlm.sub)
        self.max_reply = rlm.max_reply or min(MAX_REPLY, self.root_window // 8)
        self.capacity = (self.sub_window - self._sub_reply() - 100) * SAFE_CHARS_PER_TOKEN
        self.shown = min(20_000, max(2_000, self.root_window * 3 // 16))
        # characters of an observation
        self._lock = threading.RLock()
        self._sub_calls: list[SubCall] = []
        self._loops = 0
        # signs in a row that the model goes round in circles
        self._prose = 0
        # replies in a row without code
        self._unseen: str | None = None
        # an answer that did not count, because its output had not been seen

    def run(self, context: Any) -> RLMResult:
        """Runs the loop, and gives a result however it ends."""
        timer = threading.Timer(self.rlm.timeout or 0, self.cancel.set, ["timeout"])
        timer.daemon = True
        if self.rlm.timeout:
            timer.start()
        try:
            with Sandbox(
                context,
                query=self.query,
                concurrency=getattr(self.rlm.sub, "concurrency", 4),
                cell_timeout=self.rlm.cell_timeout,
                cancel=self.cancel,
            ) as repl:
                answer, reason = self.loop(repl)
        except Cancelled as stop:
            answer, reason = Answer(self.best_so_far()), stop.reason  # type: ignore[assignment]
        except RLMError as error:
            error.result = self.result(Answer(self.best_so_far()), "error")
            raise
        finally:
            timer.cancel()
        result = self.result(answer, reason)
        self.emit(RunFinished(result))
        return result

    def loop(self, repl: Sandbox) -> tuple[Answer, StopReason]:
        """The RLM loop of the paper: ask, parse, execute, observe."""
        root, sub = _name(self.rlm.root), _name(self.rlm.sub)
        self.emit(RunStarted(self.prompt, repl.context, root, sub, self.rlm.max_iterations))
        history = History(prompts.system(self.capacity), prompts.question(self.prompt, repl.context))
        for turn in range(1, self.rlm.max_iterations + 1):
            began, used = time.monotonic(), len(self.usages)
            self.emit(TurnStarted(turn))
            reply = self.ask(history)
            action = parse(reply.text, cut=reply.finish_reason == "length")
            executions = self.execute(repl, action)
            answer, complaint = self.final(repl, reply, action, executions)
            observation = None if answer else self.observe(executions, complaint)
            self.record(turn, reply, executions, observation, began, used)
            if observation is None:
                return answer or Answer(""), "final"
            if self.repeats(executions):
                history.amend(prompts.SAME_AGAIN)  # a copy in the history would only invite another one
            else:
                history.add(reply.text or "(empty)", observation)
            if self._loops >= MAX_REPEATS:
                break
        return self.last_call(repl, history), "max_iterations"

    def ask(self, history: History) -> Completion:
        """Asks the root for its next step; makes room in the window first."""
        room = self.root_window - self.max_reply
        self.compact(history, room)
        try:
            reply = self.complete(self.rlm.root, history.messages)
        except ContextOverflow as overflow:
            history.measure(overflow.prompt_tokens or 0)
            self.compact(history, min(room, overflow.window or room) * 9 // 10)
            reply = self.complete(self.rlm.root, history.messages)
        history.measure(reply.usage.prompt_tokens)
        if reply.finish_reason == "length" and reply.thinking and not reply.text:
            self.max_reply = min(self.max_reply * 2, self.root_window // 2)
        return reply

    def compact(self, history: History, tokens: int) -> None:
        if gone := history.compact(tokens):
            self.emit(Notice(f"The window is full: {gone:,} characters of old outputs were left out."))

    def execute(self, repl: Sandbox, action: Action) -> list[Execution]:
        """Runs the reply's cells in order, up to an error or an answer."""
        executions: list[Execution] = []
        for code in action.cells:
            self.emit(CellStarted(code))
            with self._lock:
                self._sub_calls.clear()
            execution = repl.execute(code)
            with self._lock:
                execution = replace(execution, sub_calls=tuple(self._sub_calls))
            executions.append(execution)
            self.emit(CellFinished(execution))
            if execution.error or execution.final:
                break
        return executions

    def final(
        self, repl: Sandbox, reply: Completion, action: Action, executions: Sequence[Execution]
    ) -> tuple[Answer | None, str | None]:
        """Returns the answer, if the reply or its code gives one that counts; else what to say about it."""
        if executions and executions[-1].final:
            return executions[-1].final, None
        failed = any(execution.error for execution in executions)
        final = action.final
        if final and final.kind != "text" and not failed:
            named = repl.resolve(final)
            if named.final:
                return named.final, None
            if final.kind == "variable":
                return None, prompts.no_variable(named.error or f"there is no variable {final.text!r}")
        if final and executions:
            self._unseen = final.text
            return None, prompts.NOT_SEEN_YET
        if final and final.text and final.text != prompts.PLACEHOLDER:
            return Answer(final.text, final.text if final.value is None else final.value), None
        if executions:
            self._prose = 0
            return None, None
        return self.without_code(reply)

    def without_code(self, reply: Completion) -> tuple[Answer | None, str]:
        """A reply with neither code nor FINAL: asks for one, and takes the same prose twice as the answer."""
        self._prose += 1
        self._loops += self._prose > 1
        seen = any(e.stdout or e.value for i in self.trajectory for e in i.executions)
        if reply.finish_reason == "length":
            return None, prompts.cut_off(reply.usage.completion_tokens)
        if not reply.text.strip():
            return None, prompts.EMPTY_REPLY
        if self._prose > 1 and seen:
            return Answer(reply.text.strip(), reply.text.strip()), ""
        return None, prompts.no_code(seen=seen)

    def observe(self, executions: Sequence[Execution], complaint: str | None) -> str:
        """What the root is shown next."""
        parts = [prompts.observation(executions, self.shown)] if executions else []
        return "\n\n".join([*parts, complaint] if complaint else parts)

    def repeats(self, executions: Sequence[Execution]) -> bool:
        """Whether the model ran what it had run before, with the same outcome: it goes round in circles."""
        traces = [_trace(execution) for execution in executions]
        again = any(traces == [_trace(e) for e in turn.executions] for turn in self.trajectory[:-1] if traces)
        self._loops = self._loops + 1 if again else 0 if traces else self._loops
        return again

    def last_call(self, repl: Sandbox, history: History) -> Answer:
        """No turns are left: asks the root for its best answer from what it has seen."""
        self.emit(TurnStarted(len(self.trajectory) + 1))
        history.amend(prompts.LAST_CALL)
        began, used = time.monotonic(), len(self.usages)
        reply = self.ask(history)
        self.record(len(self.trajectory) + 1, reply, [], None, began, used)
        final = parse(reply.text).final
        named = repl.resolve(final).final if final and final.kind != "text" else None
        text = final.text if final else reply.text.strip()
        return named or Answer(text or self.best_so_far(), final.value if final and final.value else text)

    def query(self, prompt: str) -> str:
        """Answers `llm_query`: one sub call. Runs in several threads at once."""
        self.cancel.check()
        self.emit(SubCallStarted(clip(prompt, RECORDED)))
        began = time.monotonic()
        call = SubCall(clip(prompt, RECORDED), "")
        try:
            reply = self.complete(self.rlm.sub, [{"role": "user", "content": prompt}])
            text = reply.text.strip()
            if not text:
                raise ClientError("the model's reply was empty; ask in another way")
            if reply.finish_reason == "length":
                text += f"\n[cut off after {reply.usage.completion_tokens:,} tokens]"
            call = replace(call, reply=clip(text, RECORDED), usage=reply.usage)
            return text
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
            self.emit(SubCallFinished(call))

    def complete(self, client: Client, messages: Sequence[Message]) -> Completion:
        """One model call, root or sub, with its usage counted."""
        self.cancel.check()
        root = messages[0]["role"] == "system"
        heat = HEAT * self._loops if root else 0.0
        reply = client.complete(
            list(messages),
            options=Options(
                max_tokens=self.max_reply if root else self._sub_reply(),
                temperature=None if self.rlm.temperature is None else min(self.rlm.temperature + heat, 1.2),
                think=False if self.rlm.think is None and not root else self.rlm.think,
                until=is_complete if root else None,
                on_text=(lambda text: self.emit(TextStreamed(text))) if root else None,
                cancel=self.cancel,
            ),
        )
        if isinstance(reply, str):  # a client of the user's own may be as simple as that
            reply = Completion(reply)
        with self._lock:
            self.usages.append(reply.usage)
            total = sum(self.usages, Usage())
        if self.rlm.budget and total.prompt_tokens + total.completion_tokens >= self.rlm.budget:
            self.cancel.set("budget")
        text, stray = split_thinking(reply.text)
        return replace(reply, text=text, thinking=reply.thinking or stray)

    def record(
        self,
        turn: int,
        reply: Completion,
        executions: Sequence[Execution],
        observation: str | None,
        began: float,
        used: int,
    ) -> None:
        iteration = Iteration(
            reply.text,
            tuple(executions),
            observation,
            thinking=reply.thinking,
            usage=sum(self.usages[used:], Usage()),
            root_usage=reply.usage,
            seconds=time.monotonic() - began,
        )
        self.trajectory.append(iteration)
        self.emit(TurnFinished(turn, iteration))

    def best_so_far(self) -> str:
        """The best there is when the run is stopped: an answer that did not count yet, or the last output."""
        if self._unseen:
            return self._unseen
        outputs = [e.stdout.strip() or e.value for i in self.trajectory for e in i.executions]
        return next((output for output in reversed(outputs) if output), "")

    def result(self, answer: Answer, reason: StopReason) -> RLMResult:
        return RLMResult(
            answer.text,
            iterations=len(self.trajectory),
            total_time=time.monotonic() - self.began,
            usage={f"total_{name}": count for name, count in vars(sum(self.usages, Usage())).items()},
            stop_reason=reason,
            value=answer.value,
            trajectory=tuple(self.trajectory),
        )

    def emit(self, event: Event) -> None:
        """Tells the observer; a fault of its own does not end the run."""
        if not self.rlm.on_event:
            return
        with self._lock:
            try:
                self.rlm.on_event(event)
            except Exception:  # the observer is somebody else's code
                logger.exception("The observer failed at %s.", type(event).__name__)

    def _sub_reply(self) -> int:
        return self.rlm.max_reply or min(MAX_REPLY, self.sub_window // 8)


def _window(client: Client) -> int:
    ask: Callable[[], int | None] | None = getattr(client, "window", None)
    return (ask() if ask else None) or UNKNOWN_WINDOW


def _name(client: Client) -> str:
    return str(getattr(client, "name", type(client).__name__))


def _trace(execution: Execution) -> tuple[object, ...]:
    return execution.code, execution.stdout, execution.value, execution.error
