"""What is wrong with what code looks for: it is not there, or elsewhere, or in other words and numbers too.

Standard library only: it runs in a clean interpreter.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rlm.sandbox.child.finding import AROUND, as_lines, is_searchable, kinds
from rlm.sandbox.child.rows import FIRST, brief, first

Lines = Callable[[], list[str]]
# of the context, split when they are first needed: most cells look for nothing

NOTHING = frozenset(("", "[]", "0", "-1", "None", "{}", "set()", "Counter()", "()", "''", "0.0", "nan"))
# outputs of code that found nothing, most often because the data is written in another way
UNFOUND = 'The data has nothing for "'
# how a hint begins on a text that is nowhere
NO_DATA = "llm_query sees only its prompt, and this one has none of the data"
# in the error of a sub call that is refused
LARGEST = 5_000_000
# characters of a context that is looked through
SHORTEST, LONGEST = 3, 200
# characters of a text or pattern that is looked for
LOOKED_AT = 1000
# lines with its beginning, of which the one with most of its other words is shown
VALUES = 5
# of a field, those that are shown
_FOLDS = r"IGNORECASE|re\.I\b|\(\?i|lower\(|casefold\(|(?<!\.)\bsearch\("
# in code that takes no notice of capitals
_PATTERNS = frozenset("compile findall finditer fullmatch match search".split())
# functions whose first argument is a regular expression
_TEXTS = frozenset("count endswith find index startswith".split())
# methods whose first argument is a text


def unmatched(code: str, context: Any, rows: Sequence[dict[str, Any]]) -> str:
    """What to say of the first text, pattern or value in the code that is nowhere; else ""."""
    nodes = list(ast.walk(ast.parse(code)))
    items: Sequence[Any] = rows or (context if isinstance(context, list) else [])
    dicts = [item for item in items if type(item) is dict]
    flags = re.IGNORECASE if re.search(_FOLDS, code) else 0
    lines = _lines(context)
    parts = [line.split() for line in lines()[:LOOKED_AT]] if ".split()" in code else []
    through = {"rows"} if rows else {"rows", "context"}
    each = {
        _name(n.target)
        for n in nodes
        if isinstance(n, ast.For | ast.comprehension) and _name(n.iter) in through
    }
    for node in nodes:
        told = _no_value(node, dicts) or _elsewhere(node, lines, parts)
        if not told and (name := _no_field(node, dicts, each)) and not any(name in line for line in lines()):
            told = f"{name!r} is no field of any item: {fields_to_use(dicts, code)}."
        if told:
            return told
    for written, regex in itertools.chain.from_iterable(map(_looked_for, nodes)):
        fits = SHORTEST <= len(written) <= LONGEST and not re.search(r"\n|\\n|\\S", written)
        if fits and lines() and (told := _no_match(written, regex, flags, lines())):
            return told
    return ""


def in_rows(code: str, context: Any) -> str:
    """That a context has rows, for code that does without them."""
    reads = re.search(r"\bcontext\b|\bsearch\(", code) and "rows" not in code
    return there_are_rows(context) if reads else ""


def there_are_rows(context: Any) -> str:
    """That a context has them; "" where it has none, or it takes long to see."""
    row = first(context) if is_searchable(context, LARGEST) else None
    return f"Its records are in `rows` as well, a list of dicts; the first is {brief(row)}." if row else ""


def fields_to_use(rows: Sequence[dict[str, Any]], code: str) -> str:
    """Those there are; by name the only one that sorts the rows into kinds and is not in the code."""
    others = {name: few for name, few in kinds(rows[:FIRST]).items() if name not in code}
    if len(others) != 1:
        return f"use one of {', '.join(map(repr, rows[0]))}, as in {brief(rows[0])}"
    name, few = others.popitem()
    more = ", ".join(repr(other) for other in rows[0] if other != name)
    some = ", ".join(map(repr, few[:3])) + ", …" * (len(few) > 3)
    return f"use row[{name!r}], which is {some}, or one of {more}"


def loose(code: str, context: Any) -> str:
    """What to say of a number in the code that is also in longer ones, or a word that is also in capitals."""
    folded, lines = re.search(_FOLDS, code), _lines(context)
    for node in ast.walk(ast.parse(code)):
        for written, _ in _looked_for(node):
            longer = re.compile(rf"(?<!\d){written}\d|\d{written}(?!\d)") if written.isdecimal() else None
            if longer and (found := next(_found(longer, lines()), "")):
                alone = rf'r"\b{written}\b" is only the number itself.'
                return f'"{written}" is also in longer numbers, as in:\n{found}\n{alone}'
            word = written.replace(r"\b", "").strip()
            other = re.compile(rf"\b(?!{word}\b)(?i:{word})\b") if word.isalpha() and word.islower() else None
            if not folded and other and (found := next(_found(other, lines()), "")):
                return f'"{word}" is there in capitals too, as in:\n{found}\nre.IGNORECASE finds both.'
    return ""


def _lines(context: Any) -> Lines:
    """Lines, items or entries; none of a context that takes long to look through."""
    return functools.cache(lambda: as_lines(context) if is_searchable(context, LARGEST) else [])


def _found(pattern: re.Pattern[str], lines: Sequence[str]) -> Iterator[str]:
    """The lines that match; of long ones, what is around it. None takes forever, as a whole text may."""
    for found in filter(None, map(pattern.search, lines)):
        yield found.string[max(0, found.start() - AROUND) : found.end() + AROUND]


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _no_field(node: ast.AST, dicts: Sequence[dict[str, Any]], each: set[str]) -> str:
    """The name in `"name" in row`, where no row has it; each: what the code calls a row."""
    match node:
        case ast.Compare(ast.Constant(str(name)), [ast.In()], [ast.Name(row)]) if dicts and row in each:
            return "" if any(name in item for item in dicts) else name
    return ""


def _no_value(node: ast.AST, dicts: Sequence[dict[str, Any]]) -> str:
    """Of `row["field"] == value` and `row.get("field") == value`, where no item has that value or field."""
    match node:
        case ast.Compare(
            ast.Subscript(slice=ast.Constant(str(field)))
            | ast.Call(ast.Attribute(attr="get"), [ast.Constant(str(field)), *_]),
            [ast.Eq()],
            [ast.Constant(value)],
        ):
            if any(field in item and item[field] == value for item in dicts):
                return ""
            part = re.compile(rf"(?<![\w.-]){re.escape(str(value))}(?![\w.-])")
            texts = (item[field] for item in dicts if isinstance(item.get(field), str))
            if isinstance(value, str) and value and (text := next(filter(part.search, texts), "")):
                test = f"{value!r} in row[{field!r}]"
                return f"{value!r} is only a part of a {field!r}, as of {text[:80]!r}: {test}."
            others = {name: None for item in dicts for name in item if item[name] == value}
            if others and value and isinstance(value, str):
                other = next(iter(others))
                return (
                    f"{value!r} is not the {field!r} of any item, but the {other!r} of some: "
                    f"row[{other!r}] == {value!r}."
                )
            if found := Counter(repr(item[field]) for item in dicts if field in item):
                some = ", ".join(text[:80] for text, _ in found.most_common(VALUES))
                more = ", …" * (len(found) > VALUES)
                return f"No item has {value!r} as its {field!r}; it is {some}{more}."
    return ""


def _elsewhere(node: ast.AST, lines: Lines, parts: Sequence[list[str]]) -> str:
    """Of `line.split()[n] == text` and `line.startswith(text)`, where the text is elsewhere in lines."""
    match node:
        case ast.Compare(ast.Subscript(slice=ast.Constant(int(n))), [ast.Eq()], [ast.Constant(str(text))]):
            places = Counter(words.index(text) for words in parts if text in words)
            if places and n not in places:
                place = places.most_common(1)[0][0]
                line = next(words for words in parts if words[place : place + 1] == [text])
                return f'"{text}" is not at [{n}] but at [{place}] of a line\'s split(): {line[:8]}'
        case ast.Call(ast.Attribute(attr="startswith"), [ast.Constant(str(text))]):
            found = next((line for line in lines() if text in line), "")
            if found and not any(line.startswith(text) for line in lines()):
                return f'No line begins with "{text}". It is within lines, as in:\n{found[:LONGEST]}'
    return ""


def _looked_for(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """The literals that a piece of code looks for in a text, and whether each is a regular expression."""
    match node:
        case ast.Compare(ast.Constant(str(text)), [ast.In()]):
            yield text, False
        case ast.Call(ast.Attribute(attr=name) | ast.Name(name), [ast.Constant(str(text)), *_]):
            if name in _PATTERNS | _TEXTS:
                yield text, name in _PATTERNS


def _no_match(written: str, regex: bool, flags: int, lines: Sequence[str]) -> str:
    """What to say of one that no line has."""
    if regex and _compiled(written, 0) is None:
        return ""
    if _line(written, regex, flags, lines):
        return ""
    if line := _line(written, regex, re.IGNORECASE, lines):
        return f'"{written}" is there only in other letters of upper and lower case, as in:\n{line}'
    begins, line = "", ""
    for end in range(SHORTEST, len(written)):
        if written[end - 1].isalnum() and written[end].isalnum():
            continue  # in the middle of a word
        found = _line(written[:end], regex, re.IGNORECASE, lines, rest=written[end:])
        if found == "":
            break
        begins, line = (written[:end], found) if found else (begins, line)
    has = f' It has "{begins}", as in:\n{line}' if line else ""
    return f'{UNFOUND}{written}".{has}'


def _line(written: str, regex: bool, flags: int, lines: Sequence[str], rest: str = "") -> str | None:
    """A line or item that matches, best one with words of the rest as well; None if it is no pattern."""
    pattern = _compiled(written if regex else re.escape(written), flags)
    if pattern is None:
        return None
    others = set(re.findall(r"[^\W_]{2,}", rest.lower()))
    found = list(itertools.islice(_found(pattern, lines), LOOKED_AT if others else 1))
    return max(found, key=lambda line: len(others & {*re.findall(r"[^\W_]+", line.lower())}), default="")


def _compiled(pattern: str, flags: int) -> re.Pattern[str] | None:
    if pattern.count("{") > pattern.count("}"):  # half a repetition would be taken as it is written
        return None
    missing = len(re.findall(r"(?<!\\)\(", pattern)) - len(re.findall(r"(?<!\\)\)", pattern))
    try:
        return re.compile(pattern + ")" * max(missing, 0), flags | re.MULTILINE)
    except (re.error, OverflowError, RecursionError):
        return None
