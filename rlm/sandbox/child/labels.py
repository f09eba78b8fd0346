"""classify: labels that only reading gives, asked of the sub model for many texts in a few calls.

Standard library only: it runs in a clean interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

AT_ONCE = 12
# texts of one prompt
MOST = 600
# different texts of one call of classify: a CPU reads them for minutes
LONGEST = 2000
# characters of a text in it; of a longer one it has the beginning, which the prompt says


def prompts(texts: Sequence[str], labels: Mapping[str, str]) -> list[str]:
    """The prompts that ask for the label of each text."""
    told = "\n".join(f"- {label}{f': {meaning}' if meaning else ''}" for label, meaning in labels.items())
    asked = []
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        listed = "\n".join(f"{n}. {_short(text)}" for n, text in enumerate(some, 1))
        asked.append(
            f"Each of these {len(some)} texts has one of these labels:\n{told}\n\nTexts:\n{listed}\n\n"
            f"Write the label of each text, a line for each, as in:\n1. {next(iter(labels))}"
        )
    return asked


def read(reply: str, count: int, labels: Iterable[str]) -> list[str | None]:
    """The labels of so many texts in a reply; None where it gives none."""
    longest_first = sorted(labels, key=len, reverse=True)
    found: list[str | None] = [None] * count
    for number, said in re.findall(r"^\W*(\d+)\W+(.*)$", reply, re.MULTILINE):
        place = int(number) - 1
        if 0 <= place < count and found[place] is None:
            found[place] = next((label for label in longest_first if label.lower() in said.lower()), None)
    if count == 1 and found[0] is None:
        found[0] = next((label for label in longest_first if label.lower() in reply.lower()), None)
    return found


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … [cut off]"
