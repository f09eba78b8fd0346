"""Questions on labels that only reading gives, in the style of OOLONG and OOLONG-Pairs.

OOLONG is by Bertsch et al. (arXiv 2511.02817), OOLONG-Pairs by Zhang et al. (arXiv 2512.24601). A line is
`Date: … || User: … || Instance: …`; its label is not written. The texts are this project's own, some 40 for
each label (`labels.py`), so that they recur in a context of more than about 10,000 characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from rlm.tasks.labels import SOURCES, Source
from rlm.tasks.sample import LENGTH, SHORTEST, Sample, Stream
from rlm.tasks.scoring import LESS, MONTHS, MORE, SAME

_DAYS = [f"2023-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
_LINE = 100
# characters of a line, roughly


@dataclass(frozen=True)
class Row:
    """One line: a text of one label, by a user on a day."""

    day: str
    # in the form 2023-01-31
    user: str
    label: str
    text: str

    def __str__(self) -> str:
        return f"Date: {_written(self.day)} || User: {self.user} || Instance: {self.text}"


# aggregate


def aggregate(seed: int, *, length: int = LENGTH) -> Sample:
    """A question on counts of labels: over all lines, those of one user, or those from a date on."""
    length = max(length, SHORTEST)
    stream = Stream(seed)
    source = stream.choice(SOURCES)
    users = _users(stream, max(3, min(50, length // _LINE // 10)))
    days = stream.distinct(_DAYS, max(3, min(50, length // _LINE // 10)))
    shares = {label: stream.between(1, 4) for label in source.meanings}
    urn = [label for label, share in shares.items() for _ in range(share)]
    rows = _rows(stream, source, dict.fromkeys(users, urn), days, length)
    kind = stream.choice(list(_KINDS))
    asked = _KINDS[kind](stream, rows, source)
    question = f"{_described(source)} {asked.question}"
    return Sample(_text(rows), question, asked.answers, asked.form, asked.choices, kind)


class Asked(NamedTuple):
    """What a kind of question adds to a sample."""

    question: str
    answers: tuple[str, ...]
    form: str
    choices: tuple[str, ...] = ()


def _count(stream: Stream, rows: Sequence[Row], _: Source) -> Asked:
    scope, rows = _scope(stream, rows)
    label = stream.choice(rows).label
    question = f'{scope} how many have the label "{label}"? Answer with one number.'
    return Asked(question, (str(sum(row.label == label for row in rows)),), "count")


def _most(stream: Stream, rows: Sequence[Row], source: Source) -> Asked:
    scope, rows = _scope(stream, rows)
    counts = Counter(row.label for row in rows)
    question = f"{scope} which label is the most common? Answer with one label."
    return Asked(question, _top(counts), "choice", tuple(source.meanings))


def _least(stream: Stream, rows: Sequence[Row], source: Source) -> Asked:
    scope, rows = _scope(stream, rows)
    counts = Counter({label: -sum(row.label == label for row in rows) for label in source.meanings})
    question = f"{scope} which label is the least common (it may not occur at all)? Answer with one label."
    return Asked(question, _top(counts), "choice", tuple(source.meanings))


def _compare(stream: Stream, rows: Sequence[Row], source: Source) -> Asked:
    scope, rows = _scope(stream, rows)
    labels = stream.distinct(list(source.meanings), 2)
    first, second = (sum(row.label == label for row in rows) for label in labels)
    question = (
        f'{scope} is the label "{labels[0]}" more or less common than the label "{labels[1]}", or of the '
        f'same frequency? Answer with "{MORE}", "{LESS}" or "{SAME}".'
    )
    answer = MORE if first > second else LESS if first < second else SAME
    return Asked(question, (answer,), "comparison", tuple(labels))


def _user(stream: Stream, rows: Sequence[Row], _: Source) -> Asked:
    label = stream.choice(rows).label
    counts = Counter(row.user for row in rows if row.label == label)
    users = tuple(sorted({row.user for row in rows}))
    question = f'Which user has the most instances with the label "{label}"? Answer with one user number.'
    return Asked(question, _top(counts), "choice", users)


def _date(stream: Stream, rows: Sequence[Row], _: Source) -> Asked:
    label = stream.choice(rows).label
    counts = Counter(row.day for row in rows if row.label == label)
    question = (
        f'On which date are the most instances with the label "{label}"? Answer with one date, as written.'
    )
    return Asked(question, _top(counts), "date")


_KINDS: dict[str, Callable[[Stream, Sequence[Row], Source], Asked]] = {
    "count": _count,
    "most": _most,
    "least": _least,
    "compare": _compare,
    "user": _user,
    "date": _date,
}


def _scope(stream: Stream, rows: Sequence[Row]) -> tuple[str, Sequence[Row]]:
    """The lines that a question is about; some of them are always there."""
    row = stream.choice(rows)
    return stream.choice(
        [
            ("Among all instances,", rows),
            (f"Among the instances of user {row.user},", [other for other in rows if other.user == row.user]),
            (
                f"Among the instances dated {_written(row.day)} or later,",
                [other for other in rows if other.day >= row.day],
            ),
        ]
    )


def _top(counts: Counter[str]) -> tuple[str, ...]:
    """What has the highest count, and what ties with it."""
    return tuple(sorted(name for name, count in counts.items() if count == max(counts.values())))


# pairs


def pairs(seed: int, *, length: int = LENGTH) -> Sample:
    """All pairs of users whose labels fulfil a condition; some pairs do, and some do not."""
    length = max(length, SHORTEST)
    stream = Stream(seed)
    source = stream.choice(SOURCES)
    while True:
        # each user keeps to one or two of the labels, or in a long text all users would have all
        urns = {
            user: stream.distinct(list(source.meanings), stream.between(1, 2))
            for user in _users(stream, max(4, min(12, length // _LINE // 4)))
        }
        rows = _rows(stream, source, urns, _DAYS, length)
        kind = stream.choice(list(_CONDITIONS))
        condition, holds = _CONDITIONS[kind]
        first, second = stream.distinct(list(source.meanings), 2)
        counts: dict[str, Counter[str]] = {}
        for row in rows:
            counts.setdefault(row.user, Counter())[row.label] += 1
        every = list(combinations(sorted(counts), 2))
        found = [(a, b) for a, b in every if holds(counts[a], counts[b], first, second)]
        if 0 < len(found) < len(every):
            break
    question = (
        f"{_described(source)} List all pairs of users such that "
        f"{condition.format(first=first, second=second)}. "
        "Give each pair once, as (user number, user number), in any order."
    )
    return Sample(_text(rows), question, tuple(f"({a}, {b})" for a, b in found), "pairs", kind=kind)


Condition = Callable[[Counter[str], Counter[str], str, str], bool]
_CONDITIONS: dict[str, tuple[str, Condition]] = {
    "both": (
        'both users have at least one instance with the label "{first}"',
        lambda a, b, first, _: a[first] > 0 < b[first],
    ),
    "each": (
        'one of the two has at least one instance with the label "{first}", and the other at least one with '
        'the label "{second}"',
        lambda a, b, first, second: a[first] > 0 < b[second] or a[second] > 0 < b[first],
    ),
    "one": (
        'exactly one of the two users has at least one instance with the label "{first}"',
        lambda a, b, first, _: (a[first] > 0) != (b[first] > 0),
    ),
    "more": (
        'both users have more instances with the label "{first}" than with the label "{second}"',
        lambda a, b, first, second: a[first] > a[second] and b[first] > b[second],
    ),
}


# both


def _users(stream: Stream, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[str(stream.between(10_000, 99_999))] = None
    return list(found)


def _rows(
    stream: Stream, source: Source, urns: dict[str, list[str]], days: Sequence[str], length: int
) -> list[Row]:
    """So many characters of lines, or up to one line more; urns: each user's labels, drawn from at random."""
    users = list(urns)
    rows = []
    while length > 0:
        user = stream.choice(users)
        label = stream.choice(urns[user])
        rows.append(Row(stream.choice(days), user, label, stream.choice(source.instances[label])))
        length -= len(str(rows[-1])) + 1
    return rows


def _text(rows: Iterable[Row]) -> str:
    return "\n".join(map(str, rows))


def _written(day: str) -> str:
    year, month, date = day.split("-")
    return f"{MONTHS[int(month) - 1]} {date}, {year}"


def _described(source: Source) -> str:
    labels = "; ".join(f'"{label}" ({meaning})' for label, meaning in source.meanings.items())
    return (
        f"Each line of the text has a date, a user and an instance. Each instance is {source.what}. "
        f"The labels are not written in the text; they are: {labels}. Each instance has exactly one of them."
    )
