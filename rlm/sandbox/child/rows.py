"""rows: a text whose lines have fields, as a list of dicts. Standard library only.

It runs in a clean interpreter.
"""

from __future__ import annotations

import csv
import datetime
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rlm.sandbox.child import archives, logs, sections

Row = dict[str, Any]
Reader = Callable[[Any], Iterable[Row]]
# takes the lines or the whole text
Cut = Callable[[str], list[str]]
# gives the columns of a line

SAMPLE = 20_000
# characters by which a text's form is judged
FIRST = 200
# items by which that of other data is judged
LARGEST = 50_000_000
# characters of a JSON object that is read to see its form
QUICK = 5_000_000
# of one that is read again for each question
FEWEST = 3
# dicts in it, from which on they are taken for its rows
JUDGED = 20
# rows by which a column's values are judged
PAIRED = (" || ", " | ", "\t", "; ", ", ")
# what may stand between fields of the form "name: value"
_COLUMN = re.compile(r"""\s*["']?[^\W\d]\w*(?:[ -]\w+){0,3}["']?\s*""")
# the name of a column: a few words
_HEADER = re.compile(r"""\s*["']?[^\w\s"']?[^\W\d][\w./()%°€$-]*(?: [\w./()%°€$-]+){0,3}(?<!\.)["']?\s*""")
# of one in the first line of a table, which may have a unit
_TITLE = re.compile(r"[A-Z%#][A-Z0-9%#/()_-]*(?: [A-Z][A-Z0-9/()_-]*)?")
# of one in the output of a command
FIELD = re.compile(r"([A-Za-z][\w .-]{0,40}):(?: (.*))?$")
# a line of a record
ABSENT = frozenset(("", "-", "--", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None"))
# what stands in a column of numbers or days for none
_DATES = ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d.%m.%Y")
# ways to write a day whose alphabetical order is another than that of time


class Day(str):
    """A date as it is written, which is compared by time, also with other ways to write one."""

    def __lt__(self, other: object) -> bool:
        return bool(_time(self) < _time(other))

    def __le__(self, other: object) -> bool:
        return bool(_time(self) <= _time(other))

    def __gt__(self, other: object) -> bool:
        return bool(_time(self) > _time(other))

    def __ge__(self, other: object) -> bool:
        return bool(_time(self) >= _time(other))


def read(context: Any) -> list[Row] | None:
    """A dict for each line or record of a text or of a list of lines; None where it has no such form.

    Of JSON (an array of objects, an object with one of them or with an object of objects, or an object a
    line), of dicts with such values, of mailboxes and git logs, of CSV, of tables as commands print them, of
    lines with several "name: value", of blocks of such lines with an empty line between them, and of logs and
    chats. In all but JSON and dicts, columns that begin with numbers or days have int, float, or a str
    compared by time.

    Raises:
        ValueError, csv.Error: it begins in such a form, and does not keep to it.
    """
    context = _unmarked(context)
    reader = _reader(context)
    return None if reader is None else _rows(reader, context)


def first(context: Any) -> Row | None:
    """The first row, as `read` gives it."""
    return next(iter(head(context)), None)


def head(context: Any) -> list[Row]:
    """Some first rows, as `read` gives them, by the beginning of the context alone."""
    try:
        context = _unmarked(context)
        reader = _reader(context)
        if reader is _json_array:
            return list(_decoded(context[:SAMPLE]))
        if isinstance(reader, _Nested):
            return list(itertools.islice(reader(context), FIRST))
        some = context[:SAMPLE].rpartition("\n")[0] if isinstance(context, str) else context[:FIRST]
        return _rows(reader, some) if reader else []
    except Exception:  # data may be anything; it is described all the same
        return []


def records(context: Any) -> list[Row]:
    """Some first dicts of a context: those that it has as items or values, or else its rows.

    None of a long JSON object, of which all would have to be read.
    """
    if isinstance(context, (dict, list, tuple)):
        items = context.values() if isinstance(context, dict) else context
        found = [item for item in itertools.islice(items, FIRST) if type(item) is dict]
        return found or head(context)
    long = isinstance(context, str) and len(context) > QUICK and re.match(r"\s*\{", context)
    return [] if long and not _form(context[:SAMPLE].split("\n")[:JUDGED]) else head(context)


def _rows(reader: Reader, source: Any) -> list[Row]:
    rows = list(reader(source))
    return rows if reader in (_json_array, _json_lines) or isinstance(reader, _Nested) else _converted(rows)


def brief(row: Row) -> str:
    """A row with its long texts cut, so that all its names are seen."""
    most = 80 if len(row) <= 10 else 30
    long = {name: value for name, value in row.items() if isinstance(value, str) and len(value) > most}
    cut = {name: f"{value[:most]}…" for name, value in long.items()}
    return f"{ {**row, **cut}!r:.1000}"


def _reader(context: Any) -> Reader | None:
    """What reads a context of this form; None where it is of no known one."""
    if isinstance(context, str):
        array = re.match(r"\s*\[\s*\{", context)
        if array:
            return _json_array
        if re.match(r"\s*\{\s*\"", context) and context.rstrip().endswith("}") and len(context) <= LARGEST:
            return _nested(_loaded(context)) or _form(context[:SAMPLE].split("\n")[:JUDGED])
        if found := archives.reader(context[:SAMPLE]):
            return found
        if _has_blocks(context[:SAMPLE]):
            return _blocks
        return _form(context[:SAMPLE].split("\n")[:JUDGED]) or sections.reader(context[:SAMPLE])
    if isinstance(context, dict):
        return _nested(context)
    if not isinstance(context, (list, tuple)) or not all(isinstance(item, str) for item in context[:4]):
        return None
    reader = _form([item for item in context[:JUDGED] if isinstance(item, str)])
    return reader if reader and all(isinstance(item, str) for item in context) else None


def _form(lines: Sequence[str]) -> Reader | None:
    """What reads a text that begins with these lines."""
    if len(lines) < 4:
        return None
    if all(line.startswith("{") and line.rstrip().endswith("}") for line in lines[:3]):
        return _json_lines
    for delimiter in (",", ";", "\t", "|"):
        columns, *rows = _cells(lines, delimiter)
        regular = rows and all(len(row) == len(columns) for row in rows)
        if regular and len(columns) > 2 and all(map(_HEADER.fullmatch, columns)):
            return partial(_delimited, delimiter=delimiter)
    if cut := _aligned([line for line in lines[:4] if line.strip()]):
        return partial(_by_column, cut=cut)
    for delimiter in PAIRED:
        names = _names(lines[0], delimiter)
        parse = partial(_paired, delimiter=delimiter, names=names)
        if len(names) > 1 and all(map(parse, lines[:3])):
            return partial(_by_line, parse=parse)
    if parse_log := logs.parser(lines):
        return partial(_by_line, parse=parse_log)
    return None


def _aligned(lines: Sequence[str]) -> Cut | None:
    """What cuts the lines of a table as commands print it, its columns under names in capitals."""
    titles = lines[0].split() if lines else []
    if len(titles) < 3 or len(set(titles)) < len(titles) or "  " not in lines[0].strip():
        return None
    starts = [0, *(gap.end() for gap in re.finditer(r" {2,}", lines[0].rstrip()))]
    for cut in (partial(_by_place, starts), partial(_by_word, len(titles))):
        names, *rows = map(cut, lines)
        if (
            len(names) > 2
            and all(map(_TITLE.fullmatch, names))
            and all(len(row) == len(names) for row in rows)
        ):
            return cut
    return None


def _by_place(starts: Sequence[int], line: str) -> list[str]:
    """The pieces that begin at these places; the words, where a piece would begin within one of them."""
    if any(line[start - 1 : start].strip() for start in starts[1:]):
        return pieces if len(pieces := line.split()) == len(starts) else []
    return [line[start:end].strip() for start, end in itertools.zip_longest(starts, starts[1:])]


def _by_word(columns: int, line: str) -> list[str]:
    pieces = line.lstrip(" ●○*").split(None, columns - 1)
    return pieces if len(pieces) == columns else []


def _by_column(text: Any, cut: Cut) -> Iterator[Row]:
    """A row for each line under the names of the first; one that cannot be cut is in the first field."""
    lines = iter(_source(text))
    names = cut(next(lines).rstrip())
    for line in lines:
        if line.strip():
            yield dict(itertools.zip_longest(names, cut(line.rstrip()) or [line.strip()], fillvalue=""))


def _has_blocks(head: str) -> bool:
    """Whether a text begins with blocks of "name: value" lines, with an empty line between them."""
    blocks = [block.split("\n") for block in head.split("\n\n")[:-1][:3]]
    names = [FIELD.match(block[0]) for block in blocks]
    same = len({name[1] if name else "" for name in names}) == 1 and names[0]
    fit = all(line[:1].isspace() or FIELD.match(line) for block in blocks for line in block)
    return bool(len(blocks) > 1 and same and fit and min(map(len, blocks)) > 1)


def _blocks(text: str) -> Iterator[Row]:
    """A row for each block; lines without a name go on with the field before them."""
    row: Row = {}
    for line in _source(text):
        line = line.rstrip("\r\n")
        if not line.strip():
            if row:
                yield row
            row = {}
        elif found := FIELD.match(line):
            row[found[1]] = found[2] or ""
        elif row:
            row[next(reversed(row))] += f"\n{line}"
    if row:
        yield row


def _unmarked(context: Any) -> Any:
    """Without a mark of byte order."""
    return context.removeprefix("\ufeff") if isinstance(context, str) else context


def _source(text: Any) -> Iterable[str]:
    return io.StringIO(text) if isinstance(text, str) else text


def _delimited(text: Any, delimiter: str) -> Iterable[Row]:
    return csv.DictReader(_source(text), **_dialect(delimiter))


def _cells(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Those of the first three rows; one row of none where it is no CSV."""
    try:
        return list(itertools.islice(csv.reader(lines, **_dialect(delimiter)), 3))
    except csv.Error:  # line ends within a line, say
        return [[]]


def _dialect(delimiter: str) -> dict[str, Any]:
    quoted = csv.QUOTE_NONE if delimiter in "\t|" else csv.QUOTE_MINIMAL  # there they are seldom meant
    return {"delimiter": delimiter, "quoting": quoted}


def _json_array(text: Any) -> Iterable[Row]:
    rows: list[Row] = json.loads(text)
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            "not every item of the JSON array in `context` is an object: use json.loads(context)"
        )
    return rows


def _decoded(text: str) -> Iterator[Row]:
    """The objects of a JSON array, up to the one that is cut off."""
    decode, at = json.JSONDecoder().raw_decode, text.find("{")
    while at >= 0:
        try:
            row, end = decode(text, at)
        except ValueError:
            break
        yield row
        at = text.find("{", end)


def _loaded(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return {}


def _nested(data: dict[Any, Any]) -> _Nested | None:
    """What gives the dicts in the only list or dict of several of them that is a value."""
    found = [value for value in data.values() if isinstance(value, (list, dict)) and _has_dicts(value)]
    return _Nested(found[0]) if len(found) == 1 else None


def _has_dicts(value: list[Any] | dict[Any, Any]) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return len(items) >= FEWEST and all(type(item) is dict for item in items)


@dataclass
class _Nested:
    """Gives the dicts in a list or a dict that was found already, those of a dict with their keys."""

    found: list[Row] | dict[Any, Row]

    def __call__(self, _context: Any) -> Iterator[Row]:
        if isinstance(self.found, dict):
            return ({"key": key, **item} for key, item in self.found.items())
        return map(dict, self.found)  # the context is as it was, whatever becomes of its rows


def _json_lines(text: Any) -> Iterator[Row]:
    for number, line in enumerate(_source(text), 1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number:,} of `context` is no JSON object: {line:.80}")
            yield row


def _names(line: str, delimiter: str) -> list[str]:
    parts = [part.partition(": ") for part in line.split(delimiter)]
    return [name for name, colon, _ in parts if colon and _COLUMN.fullmatch(name)]


def _by_line(text: Any, parse: Callable[[str], Row | None]) -> Iterator[Row]:
    """A row for each line that `parse` knows; the others go on with the last field of the one before them."""
    row: Row = {}
    more: list[str] = []
    for line in _source(text):
        line = line.rstrip("\r\n")
        if found := parse(line):
            if row:
                yield _continued(row, more)
            row, more = found, []
        elif line.strip():
            more.append(line)
    if row:
        yield _continued(row, more)


def _continued(row: Row, more: Sequence[str]) -> Row:
    last = next(reversed(row))
    row[last] = "\n".join([row[last], *more])
    return row


def _paired(line: str, delimiter: str, names: Sequence[str]) -> Row | None:
    """A row with these names, or one that begins with the first of them and has others."""
    parts = [part.partition(": ") for part in line.split(delimiter, len(names) - 1)]
    if [name for name, _, _ in parts] == names:
        return {name: value for name, _, value in parts}
    if not names or not line.startswith(f"{names[0]}: "):
        return None
    row: Row = {}
    for part in line.split(delimiter):
        name, colon, value = part.partition(": ")
        if colon and _COLUMN.fullmatch(name):
            row[name] = value
        else:
            row[next(reversed(row))] += delimiter + part
    return row


def _converted(rows: list[Row]) -> list[Row]:
    """The rows with numbers or days for the texts of a column whose first values all are such, or absent."""
    columns = {}
    for column in rows[0] if rows else ():
        judged = [text for text in (row.get(column) or "" for row in rows[:JUDGED]) if text not in ABSENT]
        if judged and all(isinstance(text, str) for text in judged):
            columns[column] = judged
    comma = any(map(_have_comma, columns.values()))
    for column, judged in columns.items():
        for fits, converted in ((_NUMBER[comma].fullmatch, partial(_number, comma=comma)), (_is_day, Day)):
            if all(map(fits, judged)):
                for row in rows:
                    text = row.get(column)
                    if isinstance(text, str) and fits(text):
                        row[column] = converted(text)
                break
    return rows


def _have_comma(texts: Sequence[str]) -> bool:
    """Whether all are numbers, and some have a comma before as many decimals: 143,12 and 1.234,50."""
    decimals = {len(text.partition(",")[2]) for text in texts if "," in text}
    return bool(decimals <= {1, 2} and len(decimals) == 1 and all(map(_NUMBER[True].fullmatch, texts)))


def _number(text: str, comma: bool) -> int | float:
    """comma: whether it stands before the decimals, and points between the thousands."""
    plain = text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")
    return float(plain) if "." in plain else int(plain)


def _is_day(text: str) -> bool:
    return text[:1].isalnum() and len(text) < 20 and _time(text) != text


def _time(text: Any) -> Any:
    """The day in the order of time, as in 2024-12-31; the text itself where it is no day."""
    if isinstance(text, datetime.date):
        return text.isoformat()[:10]
    if text in _days:
        return _days[text]
    found = text
    for form in _DATES:
        try:
            found = datetime.datetime.strptime(text, form).date().isoformat()
            break
        except (ValueError, TypeError):
            continue
    _days[text] = found
    return found


_days: dict[Any, Any] = {}
# what was read already: strptime is slow
_WHOLE = r"-?(?:0|[1-9]\d{0,17}|[1-9]\d{0,2}(?:POINT\d{3}){1,4})"
_NUMBER = {
    comma: re.compile(_WHOLE.replace("POINT", thousands) + rf"(?:{decimals}\d{{1,17}})?")
    for comma, thousands, decimals in ((False, ",", r"\."), (True, r"\.", ","))
}
# whether a comma stands before the decimals
