"""The root's messages: append-only, until the window is near and old outputs must go. Knows no client."""

from __future__ import annotations

from collections.abc import Iterable

from rlm import prompts
from rlm.clients.base import CHARS_PER_TOKEN
from rlm.types import Message

LONGEST_TOKEN = 8.0
# characters; a server that makes more of them one token counts wrong, or only what was not cached
REFILL = 0.6
# of the room is used after compaction: each one spoils the prompt cache, so it must not come at every turn


class History:
    """System message, question, then replies and observations in turn.

    The question and the latest observation always stay; of older turns the outputs go first, then the code.
    """

    def __init__(self, system: str, question: str, example: Iterable[tuple[str, str]] = ()) -> None:
        self.messages: list[Message] = [{"role": "system", "content": system}]
        for shown, reply in example:
            self.messages.append({"role": "user", "content": shown})
            self.messages.append({"role": "assistant", "content": reply})
        self.messages.append({"role": "user", "content": question})
        self.instructions = len(self.messages) - 1
        # messages before the question
        self._chars_per_token = CHARS_PER_TOKEN
        self._longest_token = LONGEST_TOKEN

    def add(self, reply: str, observation: str) -> None:
        self.messages.append({"role": "assistant", "content": reply})
        self.messages.append({"role": "user", "content": observation})

    def amend(self, note: str, at: int = -1) -> None:
        """Adds a line to a message, unless it ends with it already."""
        if not self.messages[at]["content"].endswith(note):
            self.messages[at]["content"] += "\n\n" + note

    def forget(self, turns: int) -> None:
        """Takes the latest turns out, never the question."""
        del self.messages[max(self.instructions + 1, len(self.messages) - 2 * turns) :]

    def measure(self, prompt_tokens: int, *, overflow: bool = False) -> None:
        """Learns from the server's count of the present messages how long a token is.

        overflow: it counted them to refuse them; such a count is not doubted later.
        """
        if prompt_tokens > 0:
            measured = max(1.0, self._characters() / prompt_tokens)
            if overflow:
                self._longest_token = min(self._longest_token, measured)
            self._chars_per_token = min(measured, self._longest_token)

    def tokens(self) -> int:
        """What the present messages come to, as far as it is known."""
        return int(self._characters() / self._chars_per_token)

    def compact(self, tokens: int) -> int:
        """Shortens the history if it is longer than so many tokens; returns the characters left out."""
        before = self._characters()
        if before <= tokens * self._chars_per_token:
            return 0
        room = tokens * self._chars_per_token
        for shorten in (self._drop_output, self._drop_turn):
            while self._characters() > room * REFILL and shorten():
                pass
            if self._characters() <= room:
                break
        return before - self._characters()

    def _drop_output(self) -> bool:
        """Replaces the oldest observation that is still whole, never the latest one."""
        for message in self.messages[self.instructions + 2 : -1 : 2]:
            left_out = prompts.left_out(len(message["content"]))
            if len(message["content"]) > len(left_out):
                message["content"] = left_out
                return True
        return False

    def _drop_turn(self) -> bool:
        """Takes the oldest turn out altogether, never the latest one."""
        first = self.instructions + 1
        if len(self.messages) <= first + 2:
            return False
        del self.messages[first : first + 2]
        self.amend(prompts.TURNS_LEFT_OUT, self.instructions)
        return True

    def _characters(self) -> int:
        return sum(len(message["content"]) for message in self.messages)
