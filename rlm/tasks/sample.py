"""What a sample of a benchmark is, and where its randomness comes from. Knows no task and no scoring."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

LENGTH = 100_000
# characters of a context, unless told otherwise
SHORTEST = 1_000
# characters that are enough for every task; one that cannot do with fewer takes so many

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """One item of a benchmark."""

    context: str | list[Any] | dict[str, Any]
    question: str
    answers: tuple[str, ...]
    # every part where several are asked for, else each answer that is right (several if they tie)
    form: str
    # how an answer is read, a key of `scoring.FORMS`
    choices: tuple[str, ...] = ()
    # what could be named where names are asked for; naming a wrong one counts against an answer
    kind: str = ""
    # which of the task's kinds of question, where it has several

    @property
    def gold(self) -> str:
        """The expected answer as a text; it scores 1."""
        return ", ".join(self.answers)


class Stream:
    """Random choices that are the same on every Python.

    Of `random.Random`, only the sequence of `random()` is guaranteed; the rest derives from it.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def between(self, low: int, high: int) -> int:
        """An integer, both ends included."""
        return low + int(self.random() * (high - low + 1))

    def choice(self, items: Sequence[T]) -> T:
        return items[int(self.random() * len(items))]

    def shuffle(self, items: list[T]) -> None:
        for i in range(len(items) - 1, 0, -1):
            j = int(self.random() * (i + 1))
            items[i], items[j] = items[j], items[i]

    def distinct(self, items: Sequence[T], count: int) -> list[T]:
        """So many of the items, in random order."""
        pool = list(items)
        self.shuffle(pool)
        return pool[:count]

    def code(self) -> str:
        """A number of 7 digits."""
        return str(self.between(1_000_000, 9_999_999))

    def codes(self, count: int) -> list[str]:
        """Distinct numbers of 7 digits."""
        found: dict[str, None] = {}
        while len(found) < count:
            found[self.code()] = None
        return list(found)

    def uuid(self) -> str:
        """128 random bits as UUIDs are written."""
        digits = "".join(f"{self.between(0, 0xFFFFFFFF):08x}" for _ in range(4))
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
