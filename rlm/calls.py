"""What a run asks of its two models: windows, sampling, usage, budget. Knows nothing of code or answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rlm import events, prompts
from rlm.cancel import Cancel
from rlm.clients.base import Client, Options, sendable
from rlm.errors import ClientError, ContextOverflow, InvalidReply, RLMError
from rlm.history import History
from rlm.parsing import is_complete, repeats_itself, split_thinking
from rlm.sandbox.child.labels import ASKED
from rlm.sandbox.child.shown import clip
from rlm.types import Completion, Message, SubCall, Usage

if TYPE_CHECKING:
    from rlm.engine import RLM

MAX_REPLY = 4096
# tokens of one reply, where the window is large enough
SAFE_CHARS_PER_TOKEN = 3
# for what the model is told of the sub model's capacity
UNKNOWN_WINDOW = 65_536
# tokens, for a client that does not know its model's window
HEAT, HOTTEST = 0.3, 1.2
# what each sign of a loop adds to the temperature: nothing breaks one but another sampling or another prompt
MIN_P = 0.25
# of a small root, which seldom recovers from an unlikely token; not in a loop, which only such a token breaks
LIKELY = 20
# first tokens of a label's reply that are asked for; Ollama tells no more
RECORDED = 2000
# characters of a sub call's prompt and reply in the record


class Calls:
    """The calls of one run. Sub calls come from several threads at once.

    rlm: whose models and settings; guided: whether the root is helped as small models are.
    emit: is called with each event.
    """

    def __init__(
        self, rlm: RLM, *, guided: bool, cancel: Cancel, emit: Callable[[events.Event], None]
    ) -> None:
        self.rlm, self.guided, self.cancel, self.emit = rlm, guided, cancel, emit
        self.loops = 0
        # signs in a row that the root goes round in circles
        self._lock = threading.Lock()
        self.usage = self._untaken = Usage()
        # of all calls; since take_usage() was last asked
        self._sub_calls: list[SubCall] = []

    def ask_windows(self) -> None:
        """Asks how much the two models read at once, before anything else is asked."""
        self.root_window, self.sub_window = (_window(c, self.cancel) for c in (self.rlm.root, self.rlm.sub))
        self.root_reply, self.sub_reply = map(self._most, (self.root_window, self.sub_window))
        self.root_capacity = _capacity(self.root_window, self.root_reply)
        self.capacity = _capacity(self.sub_window, self.sub_reply)
        # characters that the root and the sub model read at once
        self.shown = min(20_000, max(2_000, self.root_window * 3 // 16))
        # characters of an observation

    def _most(self, window: int) -> int:
        """Tokens of a reply of a model with that window."""
        return min(self.rlm.max_reply or min(MAX_REPLY, window // 8), window // 2)

    def take_usage(self) -> Usage:
        """Tokens used since it was last asked."""
        with self._lock:
            taken, self._untaken = self._untaken, Usage()
        return taken

    def take_sub_calls(self) -> tuple[SubCall, ...]:
        """The sub calls since it was last asked."""
        with self._lock:
            taken, self._sub_calls = tuple(self._sub_calls), []
        return taken

    def ask_root(self, history: History) -> Completion:
        """Asks the root for its next step; makes room in the window first."""
        room = self.root_window - self.root_reply
        options = self._root_options(history.instructions)
        self._compact(history, room)
        try:
            reply = self._complete(self.rlm.root, history.messages, options)
        except ContextOverflow as overflow:
            history.measure(overflow.prompt_tokens or 0, overflow=True)
            if not self._compact(history, min(room, overflow.window or room, history.tokens()) * 9 // 10):
                raise
            reply = self._complete(self.rlm.root, history.messages, options)
        if repeats_itself(reply.text):  # its end would not have come before the limit
            reply = replace(reply, finish_reason="length")
            self.loops += 1
        if not reply.usage.estimated_tokens:
            history.measure(reply.usage.prompt_tokens - reply.lost.prompt_tokens)
        empty = reply.finish_reason == "length" and reply.thinking and not reply.text
        if empty or reply.lost.completion_tokens >= self.root_reply:  # thinking took all of it
            self.root_reply = min(self.root_reply * 2, self.root_window // 2)
        return reply

    def _compact(self, history: History, tokens: int) -> int:
        if gone := history.compact(tokens):
            self.emit(events.Notice(f"The window is full: {gone:,} characters of old outputs were left out."))
        return gone

    def announce(self, prompt: str) -> None:
        """Tells of a sub call that the code has asked for; one of a batch may have to wait for others."""
        self.emit(events.SubCallStarted(clip(prompt, RECORDED)))

    def ask_sub(self, prompt: str) -> Completion:
        """Answers `llm_query`: one sub call. Runs in several threads at once."""
        call, began = SubCall(clip(prompt, RECORDED), ""), time.monotonic()
        options = self._sub_options()
        if prompt.startswith(ASKED):
            cold = None if options.temperature is None else 0.0  # one sample in ten would be another label
            options = replace(options, temperature=cold, likely=LIKELY)
        try:
            reply = self._complete(self.rlm.sub, [{"role": "user", "content": prompt}], options)
            call = replace(call, reply=clip(reply.text.strip(), RECORDED), usage=reply.usage)
            if not call.reply:
                raise ClientError("the model's reply was empty; ask in another way")
            return replace(reply, text=whole_or_marked(reply))
        except ContextOverflow as overflow:
            window = overflow.window or self.sub_window
            capacity = _capacity(window, min(self.sub_reply, window // 2))
            error = prompts.too_long(len(prompt), overflow.prompt_tokens, capacity, window)
            call = replace(call, error=error, usage=overflow.usage)
            raise ClientError(error) from overflow
        except Exception as error:  # a client of the user's own may raise anything
            usage = error.usage if isinstance(error, RLMError) else Usage()
            call = replace(call, error=str(error) or type(error).__name__, usage=call.usage + usage)
            raise
        finally:
            call = replace(call, seconds=time.monotonic() - began)
            with self._lock:
                self._sub_calls.append(call)
            self.emit(events.SubCallFinished(call))

    def _root_options(self, instructions: int) -> Options:
        return replace(
            self._sub_options(),
            instructions=instructions,
            max_tokens=self.root_reply,
            min_p=MIN_P if self.guided and not self.loops else None,
            think=self.rlm.think,
            until=lambda text: repeats_itself(text) or (self.rlm.mode != "direct" and is_complete(text)),
            on_text=lambda text: self.emit(events.TextStreamed(text)),
            on_restart=lambda: self.emit(events.TextRestarted()),
        )

    def _sub_options(self) -> Options:
        base, heat = self.rlm.temperature, HEAT * self.loops
        return Options(
            max_tokens=self.sub_reply,
            temperature=base if base is None else max(base, min(base + heat, HOTTEST)),
            think=False if self.rlm.think is None else self.rlm.think,
            cancel=self.cancel,
        )

    def _complete(self, client: Client, messages: Sequence[Message], options: Options) -> Completion:
        """One model call, root or sub, with its usage counted and its thinking kept apart."""
        if self.rlm.budget and self.usage.prompt_tokens + self.usage.completion_tokens >= self.rlm.budget:
            self.cancel.set("budget")
        self.cancel.check()
        try:
            reply: object = client.complete([sendable(message) for message in messages], options=options)
        except RLMError as error:
            self._count(error.usage)
            raise
        if isinstance(reply, str):  # a client of the user's own may be as simple as that
            reply = Completion(reply)
        if not isinstance(reply, Completion) or not isinstance(reply.text, str):
            raise InvalidReply(
                f"The client {type(client).__name__} returned no Completion but {reply!r:.200}."
            )
        if not isinstance(reply.usage, Usage):
            reply = replace(reply, usage=Usage())
        self._count(reply.usage)
        text, stray = split_thinking(reply.text)
        return replace(reply, text=text, thinking=reply.thinking or stray)

    def _count(self, usage: Usage) -> None:
        with self._lock:
            self.usage += usage
            self._untaken += usage


def whole_or_marked(reply: Completion) -> str:
    """A reply's text, which says so where it ran out of tokens."""
    cut = f"\n[cut off after {reply.usage.completion_tokens:,} tokens]"
    return reply.text.strip() + cut * (reply.finish_reason == "length")


def _capacity(window: int, reply: int) -> int:
    """Characters that a model with that window reads at once, beside the tokens of its reply."""
    return (window - reply - 100) * SAFE_CHARS_PER_TOKEN


def _window(client: Client, cancel: Cancel) -> int:
    """Tokens of the model's window. Asking cannot be cancelled: once the switch is thrown, nobody waits."""
    answers: list[int | BaseException] = []
    over = threading.Event()
    ask: Callable[[], int | None] = getattr(client, "window", lambda: None)

    def work() -> None:
        try:
            answers.append(ask() or UNKNOWN_WINDOW)
        except BaseException as error:  # raised where it is waited for
            answers.append(error)
        over.set()

    threading.Thread(target=work, name="rlm-window", daemon=True).start()
    with cancel.calling(over.set):
        over.wait()
    cancel.check()
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0]
