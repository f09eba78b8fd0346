"""classify: the labels of texts that only reading gives, asked of the sub model, and how many there are.

One text a call: of a list of twelve a small model labels about twice as many wrongly, in no less time,
since the instructions come first and are read once. What it leans to, whatever the text, is taken off where
its server tells the likelihoods. Standard library only: it runs in a clean interpreter.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rlm.sandbox.child.finding import LONGEST_KIND, kinds

MOST = 1000
# different texts of one call of classify: a CPU reads them for minutes
LONGEST = 2000
# characters of a text in a prompt; of a longer one it has the beginning, which the prompt says
ENOUGH = 24
# texts from which on it is worth while to measure what the model leans to
SLIGHT = 0.01
# share below which it is not measured: to be freed of less would favour a label that never fits
EMPTY = ("N/A", "", "[MASK]", "...", "This is a text.")
# texts without content, of which the model is asked for that
MIXED = 7
# pieces of the texts' words, of which it is asked too
ASKED = "Which of these labels fits the text best? Reply with the label alone."
# how a prompt begins; such a one is answered with the likeliest tokens
LABELLED = " of `rows` have their label now; the first is "
# what is said after their number
COUNTED = " is a dict of how many of each label there are: "
# what is said after the name of a tally
PAIRED = " is the list of all pairs of its keys, each pair once: "
# what is said after their number, where pairs are asked for
MOST_PAIRED = 200
# keys whose pairs are given
_VALUE = (str, int, float)
# of a field by which labels are counted

Reply = Mapping[str, Any]
# "text", or "error"; "likely" where the model's server tells it: first tokens with their log probabilities
Ask = Callable[[list[str]], Sequence[Reply]]
# sends prompts to the sub model; raises a RuntimeError where all of them fail


class Labels:
    """Labels with their meanings, and what is known of texts.

    labels: with what each of them means, or "".
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)
        self.known: dict[str, str] = {}
        # label of a text
        self._bias: dict[str, float] | None = None
        # what the model leans to; None until it is asked

    def read(self, texts: Sequence[str], ask: Ask, ask_quietly: Ask) -> list[str]:
        """Learns the label of each text that is not known; returns the texts that the model gave none.

        ask_quietly: as `ask`, for what nobody has asked for: no word of calls that failed.

        Raises:
            ValueError: there are too many different texts.
        """
        unread = [text for text in dict.fromkeys(texts) if text not in self.known]
        if len(unread) > MOST:
            raise ValueError(
                f"classify would have {len(unread):,} different texts read, which takes long: "
                f"take those that matter, or {MOST:,} at a time"
            )
        if unread:
            self._learn(unread, ask([_prompt(text, self.labels) for text in unread]), ask_quietly)
        if unread := [text for text in unread if text not in self.known]:
            labels = dict(reversed(list(self.labels.items())))  # the same prompt would get the same reply
            with suppress(RuntimeError):  # all of them failed
                for text, reply in zip(unread, ask([_prompt(text, labels) for text in unread]), strict=True):
                    if label := _label(reply, labels):
                        self.known[text] = label
        return [text for text in unread if text not in self.known]

    def _learn(self, texts: Sequence[str], replies: Sequence[Reply], ask_quietly: Ask) -> None:
        """Takes the labels as replied, then frees them of what the model leans to, where its server tells."""
        told = list(zip(texts, replies, strict=True))
        self.known |= {text: label for text, reply in told if (label := _label(reply, self.labels))}
        chances = {
            text: _chances(reply, self.labels) for text, reply in told if _is_label(reply, self.labels)
        }
        if self._bias is None and len(texts) >= ENOUGH and any(chances.values()):
            self._bias = self._measured(texts, ask_quietly)
        bias = self._bias or {}
        for text, chance in chances.items() if bias else ():
            if self.known.get(text) in chance:
                self.known[text] = max(chance, key=lambda label: math.log(chance[label]) - bias[label])

    def _measured(self, texts: Sequence[str], ask: Ask) -> dict[str, float]:
        """How much the model leans to each label, whatever the text, as a log probability.

        The mean of what it says of texts without content (Zhao et al., "Calibrate Before Use", arXiv
        2102.09690) and of words of the texts, mixed (Fei et al., "Mitigating Label Biases for In-Context
        Learning", arXiv 2305.19148).
        """
        prompts = [_prompt(text, self.labels) for text in (*EMPTY, *_mixed(texts, MIXED))]
        said = [_chances(reply, self.labels) for reply in ask(prompts)]
        empty, mixed = (_leaning(part, self.labels) for part in (said[: len(EMPTY)], said[len(EMPTY) :]))
        return {label: (empty[label] + mixed[label]) / 2 for label in empty if mixed}


def compared(question: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The fields with few and short values that a question has in the plural, or with "each".

    It compares their values or combines them. Where it is about one of them, small models do better with code
    that goes through the rows.
    """
    found = []
    for field, values in kinds(rows, _VALUE).items():
        if not isinstance(field, str) or field == "label" or len(values) == 1:
            continue
        asked = rf"{_plural(field)}|(?:each|every|per) {re.escape(_stem(field))}"
        short = all(len(str(value)) <= LONGEST_KIND for value in values)
        if short and _stem(field) and re.search(rf"(?i)\b(?:{asked})\b", question):
            found.append(field)
    return found


def paired(question: str, fields: Iterable[str]) -> str:
    """The first of the fields of whose values a question has "pairs"; "" where it is none."""
    of = r"(?i)\bpairs? of (?:\w+ ){0,2}"
    return next((field for field in fields if re.search(rf"{of}(?:{_plural(field)})\b", question)), "")


def _stem(field: str) -> str:
    return field.lower().rstrip("s")


def _plural(field: str) -> str:
    """A pattern of it."""
    return rf"{re.escape(_stem(field))}e?s|{re.escape(_stem(field)[:-1])}ies"


def tallies(
    question: str, rows: Sequence[dict[str, Any]], texts: Collection[object]
) -> dict[str, dict[Any, dict[str, int]]]:
    """How many of each label the values have that the question compares: by their field, value and label.

    texts: those that were labelled, whose own field is left out.
    """
    labels = dict.fromkeys(row["label"] for row in rows)
    found = {}
    for field in compared(question, rows):
        counts = Counter((row[field], row["label"]) for row in rows if isinstance(row.get(field), _VALUE))
        values = dict.fromkeys(value for value, _ in counts)
        if not any(value in texts for value in values):
            found[field] = {value: {label: counts[value, label] for label in labels} for value in values}
    return found


def _prompt(text: str, labels: Mapping[str, str]) -> str:
    told = "\n".join(f"- {label}{f': {meaning}' if meaning else ''}" for label, meaning in labels.items())
    return f'{ASKED}\n{told}\n\nText: "{_short(text)}"\nLabel:'


def _label(reply: Reply, labels: Iterable[str]) -> str | None:
    """The first label in a reply, of two at one place the longer one; None where there is none."""
    longest_first = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    found = re.search(rf"(?<!\w)(?:{longest_first})(?!\w)", reply.get("text") or "", re.IGNORECASE)
    return next((label for label in labels if found and label.lower() == found[0].lower()), None)


def _is_label(reply: Reply, labels: Iterable[str]) -> bool:
    """Whether a reply begins with a label: only then do its first tokens stand for labels, not for prose."""
    said = re.sub(r"^\W+", "", reply.get("text") or "").casefold()
    return any(said.startswith(label.casefold()) for label in labels)


def _chances(reply: Reply, labels: Iterable[str]) -> dict[str, float]:
    """The probability of each label by the first tokens that begin it and no other, where it has such."""
    chances: dict[str, float] = {}
    for token, chance in (reply.get("likely") or {}).items():
        start = token.strip().casefold()
        begun = [label for label in labels if start and label.casefold().startswith(start)]
        if len(begun) == 1:
            chances[begun[0]] = chances.get(begun[0], 0.0) + math.exp(chance)
    return chances


def _leaning(said: Iterable[Mapping[str, float]], labels: Iterable[str]) -> dict[str, float]:
    """The log of the mean share of each label; nothing where nothing is told."""
    shares: Counter[str] = Counter()
    for chances in said:
        whole = sum(chances.values())
        shares.update({label: chance / whole for label, chance in chances.items()})
    return {label: math.log(max(shares[label] / shares.total(), SLIGHT)) for label in labels if shares}


def _mixed(texts: Sequence[str], count: int) -> list[str]:
    """Pieces of random words of the texts, as long as these are."""
    words = [word for text in texts for word in _short(text).split()]
    length = max(1, len(words) // len(texts))
    chance = random.Random(0)
    return [" ".join(chance.choices(words or [""], k=length)) for _ in range(count)]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … [cut off]"
