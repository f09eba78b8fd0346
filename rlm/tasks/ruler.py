"""Needles, chains and word counts in the style of RULER (Hsieh et al., arXiv 2404.06654).

The families are RULER's; texts, words and sizes are this project's own. The score is, as there, the part of
the expected strings that an answer has; `scoring.matched` says what becomes of one that gives too much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlm.tasks import haystack
from rlm.tasks.sample import LENGTH, SHORTEST, Sample, Stream

KEYS = 4
# of multikey, values of multivalue, queries of multiquery
CHAINS, CHAINED = 4, 5
# of variables: how many chains, and names in each
COMMON, OFTEN = 10, 10
# of common_words: how many words are asked for, and how much more often they occur than the others
FREQUENT = 3
# of frequent_words: how many words are asked for
CODED = 200
# of frequent_words: how many words there are


def multikey(seed: int, *, length: int = LENGTH, depth: float | None = None) -> Sample:
    """The codes of several keys, one of which is asked for; the depth is that one's."""
    stream = Stream(seed)
    keys, numbers = _keys(stream, KEYS), stream.codes(KEYS)
    context = haystack.bury(stream, list(map(haystack.needle, keys, numbers)), length, depth)
    return Sample(context, f"What is the code of {keys[0]} in the text?", (numbers[0],), "codes")


def multivalue(seed: int, *, length: int = LENGTH) -> Sample:
    """Several codes of one key, all of which are asked for."""
    stream = Stream(seed)
    (key,), numbers = _keys(stream, 1), stream.codes(KEYS)
    context = haystack.bury(stream, [haystack.needle(key, number) for number in numbers], length)
    question = f"The text gives {KEYS} codes of {key}, in different places. What are they? Give all {KEYS}."
    return Sample(context, question, tuple(numbers), "codes")


def multiquery(seed: int, *, length: int = LENGTH) -> Sample:
    """Several keys, all of whose codes are asked for."""
    stream = Stream(seed)
    keys, numbers = _keys(stream, KEYS), stream.codes(KEYS)
    context = haystack.bury(stream, list(map(haystack.needle, keys, numbers)), length)
    question = f"What are the codes of {', '.join(keys[:-1])} and {keys[-1]} in the text? Give all {KEYS}."
    return Sample(context, question, tuple(numbers), "codes")


def uuid(seed: int, *, length: int = LENGTH, depth: float | None = None) -> Sample:
    """Nothing but needles, whose keys and codes are UUIDs; the depth is that of the one asked for."""
    stream = Stream(seed)
    key, code = stream.uuid(), stream.uuid()

    def other(stream: Stream) -> str:
        return haystack.needle(stream.uuid(), stream.uuid())

    context = haystack.bury(stream, [haystack.needle(key, code)], length, depth, other)
    return Sample(context, f"What is the code of {key} in the text?", (code,), "codes")


def variables(seed: int, *, length: int = LENGTH) -> Sample:
    """Variables that take the value of one another, in chains; all that have one value are asked for."""
    stream = Stream(seed)
    names = [name.upper() for name in _coined(stream, CHAINS * CHAINED)]
    chains = [names[start : start + CHAINED] for start in range(0, len(names), CHAINED)]
    numbers = stream.codes(CHAINS)
    steps, places = [], []
    for chain, number in zip(chains, numbers, strict=True):
        values = [number, *(f"the value of {name}" for name in chain[:-1])]
        steps += [f"The variable {name} gets {value}." for name, value in zip(chain, values, strict=True)]
        places += sorted(stream.random() for _ in chain)  # a variable is set before it is used
    hay = haystack.lines(stream, length - sum(len(step) + 1 for step in steps), haystack.words)
    context = "\n".join(haystack.insert(hay, steps, places))
    question = (
        "In the text, variables get a number or the value of another variable. "
        f"Which {CHAINED} variables have the value {numbers[0]} in the end? Give their names."
    )
    return Sample(context, question, tuple(chains[0]), "names", choices=tuple(names))


def common_words(seed: int, *, length: int = LENGTH) -> Sample:
    """Ten words that occur about ten times as often as each of the others."""
    stream = Stream(seed)
    vocabulary = stream.distinct(haystack.WORDS, len(haystack.WORDS))
    common, others = vocabulary[:COMMON], vocabulary[COMMON:]
    shares = common * OFTEN + others
    total = length * len(shares) // sum(len(word) + 1 for word in shares)
    each = max(OFTEN, total * OFTEN // len(shares))
    text = common * each
    text += [others[i % len(others)] for i in range(total - len(text))]
    stream.shuffle(text)
    question = f"Which {COMMON} words occur most often in the text? Give the {COMMON} words."
    return Sample(_lines(text), question, tuple(common), "names", choices=tuple(vocabulary))


def frequent_words(seed: int, *, length: int = LENGTH) -> Sample:
    """Coined words, of which the k-th occurs in proportion to 1/k^2."""
    length = max(length, SHORTEST)
    stream = Stream(seed)
    vocabulary = _coined(stream, CODED)
    total = length // (len(vocabulary[0]) + 1)
    share = math.fsum(1 / k**2 for k in range(1, CODED + 1))
    text: list[str] = []
    for k, word in enumerate(vocabulary, 1):  # once at least, until the text is full
        text += [word] * min(total - len(text), max(1, round(total / share / k**2)))
    stream.shuffle(text)
    question = f"Which {FREQUENT} words occur most often in the text? Give the {FREQUENT} words."
    answers = tuple(vocabulary[:FREQUENT])
    return Sample(_lines(text), question, answers, "names", choices=tuple(vocabulary))


def _keys(stream: Stream, count: int) -> list[str]:
    """Distinct keys; no two share a word."""
    words = stream.distinct(haystack.WORDS, 2 * count)
    return [f"{first}-{second}" for first, second in zip(words[::2], words[1::2], strict=True)]


def _coined(stream: Stream, count: int) -> list[str]:
    """Distinct words of six letters that are no English ones."""
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(stream.choice("aeiou" if i in (1, 4) else "bdfmpvz") for i in range(6))] = None
    return list(found)


def _lines(text: Sequence[str]) -> str:
    """Ten words in a line."""
    return "\n".join(" ".join(text[start : start + 10]) for start in range(0, len(text), 10))
