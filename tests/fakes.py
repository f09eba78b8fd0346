"""Small fakes that one can read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rlm.clients.base import Options
from rlm.errors import ClientError
from rlm.types import Completion, Message, Usage


def cell(code: str) -> str:
    """A reply that runs this code."""
    return f"```repl\n{code}\n```"


class ScriptedClient:
    """Replies in order; keeps what it was asked. An exception in the script is raised.

    With a window it counts a token for every 4 characters, else 10 for each prompt.
    """

    name = "scripted"
    concurrency = 4

    def __init__(self, replies: Sequence[str | Completion | Exception], *, window: int | None = None) -> None:
        self.replies = list(replies)
        self.requests: list[list[Message]] = []
        self.options: list[Options] = []
        self._window = window

    def window(self) -> int | None:
        return self._window

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        self.requests.append([Message(**message) for message in messages])
        self.options.append(options)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Completion):
            return reply
        tokens = sum(len(message["content"]) for message in messages) // 4 if self._window else 10
        return Completion(reply, Usage(tokens, 2))

    def shown(self, turn: int = -1) -> str:
        """What the model was shown last before its reply of this turn."""
        return self.requests[turn][-1]["content"]


class SubClient:
    """Answers each sub prompt by a function, in any thread; counts how many run at once."""

    name = "sub"

    def __init__(
        self, answer: Callable[[str], str | Completion], *, concurrency: int = 4, window: int | None = None
    ) -> None:
        self.answer = answer
        self.concurrency = concurrency
        self.prompts: list[str] = []
        self.options: list[Options] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._window = window

    def window(self) -> int | None:
        return self._window

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        prompt = messages[-1]["content"]
        with self._lock:
            self.prompts.append(prompt)
            self.options.append(options)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            reply = self.answer(prompt)
            return reply if isinstance(reply, Completion) else Completion(reply, Usage(100, 10))
        finally:
            with self._lock:
                self.at_once -= 1


def failing(prompt: str) -> str:
    raise ClientError(f"no answer to {prompt!r}")
