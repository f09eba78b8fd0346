"""Texts of sections, each a title with fields under it and text, read into fields. Standard library only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

Row = dict[str, str]

FEWEST = 3
# sections that a text begins with, from which on it is taken to be made of them
LONGEST = 120
# characters of a title
_WORD = r"[\w'()/&.-]+"
_FIELD = re.compile(
    rf"(?:[-*•] )?(?:\*\*)?([^\W\d_]{_WORD}(?: {_WORD}){{0,3}})(?:\*\*)?:(?:\*\*)? +(\S.{{0,2000}})"
)
_GAP = re.compile(rf"(?:\t|(?<! ) {{2,}})(?={_WORD}(?: {_WORD}){{0,3}}: )")
# between two fields of a line
_MARKS = "#=*-_ \t\r"
# around a title


def reader(beginning: str) -> Callable[[str], Iterator[Row]] | None:
    """What reads a text that begins with such sections; None for any other.

    Each title is the first line of a paragraph, and has two fields or more below it, most often the same.
    """
    lines = beginning.split("\n")[:-1]
    heads = [found[1] for n in range(len(lines)) if (found := head(lines, n))]
    if len(heads) < FEWEST:
        return None
    names = Counter(name for fields in heads for name in fields)
    common = {name for name in names if 2 * names[name] > len(heads)}
    regular = sum(common <= fields.keys() for fields in heads)
    if len(common) < 2 or 2 * regular < len(heads):
        return None
    return partial(_rows, common=common, names=list(names))


def _rows(text: str, common: Collection[str], names: Sequence[str]) -> Iterator[Row]:
    """A row for each section: title, fields, and the rest as `text`."""
    lines = text.split("\n")
    row: Row = {}
    begins = 0
    for n in range(len(lines)):
        found = head(lines, n)
        if found and _has_most(found[1], common):
            if row:
                yield _with_text(row, lines[begins:n])
            title, fields, begins = found
            row = {"title": title, **dict.fromkeys(names, ""), **fields}
    if row:
        yield _with_text(row, lines[begins:])


def _has_most(fields: Row, common: Collection[str]) -> bool:
    return 2 * len(fields.keys() & common) > len(common)


def head(lines: Sequence[str], n: int) -> tuple[str, Row, int] | None:
    """The title in line n, two fields or more below it, and where they end; None where there are none."""
    title = lines[n].strip(_MARKS)
    if (
        not title
        or len(title) > LONGEST
        or title[-1] in ",;:{[("
        or (n and lines[n - 1].strip())
        or _fields(lines[n])
    ):
        return None
    fields: Row = {}
    end = n + 1 if lines[n + 1 : n + 2] and lines[n + 1].strip() else n + 2
    while end < len(lines) and (more := _fields(lines[end])):
        if more.keys() & fields.keys():  # a conversation, say
            return None
        fields |= more
        end += 1
    return (title, fields, end) if len(fields) > 1 else None


def _fields(line: str) -> Row:
    """The fields of a line of one or more `Name: value`; none where anything else is there."""
    found = [_FIELD.fullmatch(part) for part in _GAP.split(line.strip())] if ":" in line else []
    return {part[1]: part[2] for part in found if part} if all(found) else {}


def _with_text(row: Row, lines: Sequence[str]) -> Row:
    return {**row, "text": row.get("text") or "\n".join(lines).replace("\r", "").strip()}
