"""What a line of a text belongs to, and what belongs to it: by headings, indentation and records.

Standard library only: it runs in a clean interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlm.sandbox.child import sections
from rlm.sandbox.child.rows import FIELD

REACH = 20_000
# characters above a line in which what it belongs to is looked for
HEAD = 1_000
# characters below it that may be of the same title's fields
BELOW = 4_000
# characters below it that may belong to it
ABOVE_SHOWN, BELOW_SHOWN, FIELDS_SHOWN = 3, 4, 4
# lines
WIDTH, NARROW = 240, 100
# characters of each of them; of a field under a title
_OPENS = re.compile(r"[:{\[(>]\s*$")
# the end of a line that others are indented under
_HEADING = re.compile(r"#{1,6} +\S")


def above(text: str, start: int) -> list[str]:
    """What the line at `start` belongs to: lines it is indented under, a heading, or a title with fields."""
    line = text[start : start + WIDTH].partition("\n")[0]
    lines = text[max(0, start - REACH) : start].split("\n")[:-1]
    depth, found = _depth(line), list[str]()
    for other in reversed(lines) if depth else ():
        if other.strip() and _depth(other) < depth:
            depth = _depth(other)
            found += [other[:WIDTH]] if _OPENS.search(other) else []
        if not depth or len(found) == ABOVE_SHOWN:
            break
    if not found and not line.startswith("#"):
        found = [other[:WIDTH] for n, other in enumerate(lines) if _is_heading(lines, n)][-1:]
    return found[::-1] or _titled(lines, [line, *text[start : start + HEAD].split("\n")[1:-1]])


def _titled(lines: Sequence[str], rest: Sequence[str]) -> list[str]:
    """The title above the rest's first line, with its fields but for identifiers such as <a1@home>."""
    whole = [*lines, *rest]
    heads = [(n, *head) for n in range(len(whole)) if (head := sections.head(whole, n))]
    above = [head for head in heads if head[0] < len(lines)]
    is_title = rest[0].startswith("#") or len(lines) in [n for n, *_ in heads]
    if is_title or not above:
        return []
    _, title, fields, end = above[-1]
    alone = sum(fields.keys() == others.keys() for _, _, others, _ in heads) < 2
    told = [f"{name}: {value}"[:NARROW] for name, value in fields.items() if value[0] != "<"]
    return [] if alone else [title, *told[: FIELDS_SHOWN * (end <= len(lines))]]


def below(text: str, start: int, stems: Sequence[str]) -> list[str]:
    """The lines that belong to the one at `start` and have most of the words, in their order."""
    line, *lines = text[start : start + BELOW].split("\n")[:-1] or [""]
    depth = _depth(line)
    if lines and _depth(lines[0]) > depth:
        end = next((n for n, other in enumerate(lines) if other.strip() and _depth(other) <= depth), None)
    elif FIELD.match(line):  # of a record, which ends at an empty line
        end = next((n for n, other in enumerate(lines) if not other.strip()), None)
    else:
        return []
    counts = {n: _count(stems, other.lower()) for n, other in enumerate(lines[:end])}
    best = sorted((n for n in counts if counts[n]), key=lambda n: -counts[n])[:BELOW_SHOWN]
    return [lines[n][:WIDTH] for n in sorted(best)]


def _count(stems: Sequence[str], line: str) -> int:
    """How many of the words a line has; those in the name of a field count twice."""
    name = line.partition(":")[0]
    return sum((stem in line) + (stem in name) for stem in stems)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_heading(lines: list[str], n: int) -> bool:
    """Whether a line is a Markdown heading, and no comment among others."""
    others = lines[max(n - 1, 0) : n] + lines[n + 1 : n + 2]
    return bool(_HEADING.match(lines[n])) and not any(other.startswith("#") for other in others)
