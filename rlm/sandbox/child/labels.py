"""classify: the labels of texts that only reading gives, asked of the sub model, and how many there are.

One text a call: of a list of twelve a small model labels about twice as many wrongly, in no less time,
since the instructions come first and are read once. Standard library only: it runs in a clean interpreter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from rlm.sandbox.child.finding import LONGEST_KIND, kinds

MOST = 1000
# different texts of one call of classify: a CPU reads them for minutes
LONGEST = 2000
# characters of a text in a prompt; of a longer one it has the beginning, which the prompt says
ASKED = "Which of these labels fits the text best? Reply with the label alone."
# how a prompt begins; such a one is answered with the likeliest tokens
LABELLED = " of `rows` have their label now; the first is "
# what is said after their number
COUNTED = " is a dict of how many of each label there are: "
# what is said after the name of a tally
_VALUE = (str, int, float)
# of a field by which labels are counted


def read(
    texts: Sequence[str],
    labels: Mapping[str, str],
    known: dict[str, str],
    ask: Callable[[list[str]], Sequence[object]],
) -> list[str]:
    """Puts the label of each text into `known`, unless it is there; returns those that the model gave none.

    labels: with what each of them means, or ""; ask: sends prompts to the sub model.

    Raises:
        ValueError: there are too many different texts.
    """
    unread = [text for text in dict.fromkeys(texts) if text not in known]
    if len(unread) > MOST:
        raise ValueError(
            f"classify would have {len(unread):,} different texts read, which takes long: "
            f"take those that matter, or {MOST:,} at a time"
        )
    for attempt in range(2):  # those that got no label are asked about once more
        try:
            replies = ask([_prompt(text, labels) for text in unread]) if unread else []
        except RuntimeError:  # all of them failed
            if not attempt:
                raise
            break
        for text, reply in zip(unread, replies, strict=True):
            if isinstance(reply, str) and (label := _label(reply, labels)):
                known[text] = label
        unread = [text for text in unread if text not in known]
        labels = dict(reversed(list(labels.items())))  # the same prompt would get the same reply
    return unread


def compared(question: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The fields with few and short values that a question has in the plural, or with "each".

    It compares their values or combines them. Where it is about one of them, small models do better with code
    that goes through the rows.
    """
    found = []
    for field, values in kinds(rows, _VALUE).items():
        if not isinstance(field, str) or field == "label" or len(values) == 1:
            continue
        stem = field.lower().rstrip("s")
        one, many = re.escape(stem), re.escape(stem[:-1])
        asked = stem and re.search(rf"(?i)\b(?:{one}e?s|{many}ies|(?:each|every|per) {one})\b", question)
        if asked and all(len(str(value)) <= LONGEST_KIND for value in values):
            found.append(field)
    return found


def tallies(
    question: str, rows: Sequence[dict[str, Any]], texts: Collection[object]
) -> dict[str, dict[Any, dict[str, int]]]:
    """How many of each label there are by a field that the question compares: `by_city["Oslo"]["praise"]`.

    texts: those that were labelled, whose own field is left out.
    """
    labels = dict.fromkeys(row["label"] for row in rows)
    found = {}
    for field in compared(question, rows):
        counts = Counter((row[field], row["label"]) for row in rows if isinstance(row.get(field), _VALUE))
        values = dict.fromkeys(value for value, _ in counts)
        if not any(value in texts for value in values):
            name = "by_" + re.sub(r"\W+", "_", field.lower())
            found[name] = {value: {label: counts[value, label] for label in labels} for value in values}
    return found


def _prompt(text: str, labels: Mapping[str, str]) -> str:
    told = "\n".join(f"- {label}{f': {meaning}' if meaning else ''}" for label, meaning in labels.items())
    return f'{ASKED}\n{told}\n\nText: "{_short(text)}"\nLabel:'


def _label(reply: str, labels: Iterable[str]) -> str | None:
    """The first label in a reply, of two at one place the longer one; None where there is none."""
    longest_first = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    found = re.search(rf"(?<!\w)(?:{longest_first})(?!\w)", reply, re.IGNORECASE)
    return next((label for label in labels if found and label.lower() == found[0].lower()), None)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … [cut off]"
