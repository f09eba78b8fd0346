"""What of a value, an output or an error is shown: long ones are cut in public. Standard library only."""

from __future__ import annotations

import difflib
import io
import itertools
import re
import traceback
from contextlib import suppress
from typing import Any

from rlm.sandbox.child.rows import brief, first

SHOWN_ITEMS = 10
# of a list, dict or set with more than twice as many that is the last value of a cell
BEGINNING = 150
# characters of a text among others
SHOWN_TYPES = (str, int, float, bool)
# of variables, of which an error gives the values
FIELDS = 10
# of a dict, which is given there where a number was expected


def clip(text: str, limit: int) -> str:
    """Keeps head and tail of a text that is longer than `limit` characters and says how much is left out."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit - limit * 2 // 3
    return f"{text[:head]}\n… [{len(text) - head - tail:,} characters left out] …\n{text[len(text) - tail :]}"


def rounded(text: str) -> str:
    """A float's text without the error of binary sums: 479.19000000000005 is 479.19. Any other as it is."""
    short = f"{float(text):.12g}" if re.fullmatch(r"-?\d{1,12}\.\d{9,20}", text) else text
    return short if len(re.sub(r"\D", "", short).lstrip("0")) <= 10 else text


class Output(io.TextIOBase):
    """Takes what a cell prints; keeps head and tail where that is more than the limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        self.head, self.tail, self.dropped = "", "", 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        room = self.limit * 2 // 3 - len(self.head)
        self.head += text[:room] if room > 0 else ""
        self.tail += text[max(room, 0) :]
        keep = self.limit - self.limit * 2 // 3
        if len(self.tail) > 2 * keep:
            self.dropped += len(self.tail) - keep
            self.tail = self.tail[-keep:]
        return len(text)

    def take(self) -> str:
        keep = self.limit - self.limit * 2 // 3
        dropped = self.dropped + max(len(self.tail) - keep, 0)
        gap = f"\n… [{dropped:,} characters left out] …\n" if dropped else ""
        text = self.head + gap + self.tail[-keep:]
        self.clear()
        return text


def show(value: Any, limit: int) -> str:
    """Text of a value as a notebook shows it, with long ones cut in public."""
    if isinstance(value, str):
        return repr(value) if len(value) <= limit else clip(value, limit)
    if type(value) in (list, tuple, set, frozenset, dict) and len(value) > 2 * SHOWN_ITEMS:
        items = itertools.islice(value.items() if isinstance(value, dict) else value, SHOWN_ITEMS)
        some = dict(items) if isinstance(value, dict) else list(items)
        size = f"{type(value).__name__} of {len(value):,} items, the first {SHOWN_ITEMS}:"
        return f"{size}\n{clip(repr(some), limit)}"
    return clip(repr(value), limit)


def explain(error: BaseException) -> str:
    """A traceback of the cells' own lines; the worker's frames say nothing to the model."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<cell")]
    lines = ["Traceback (most recent call last):\n"] if frames else []
    for frame in frames if len(frames) <= 6 else [*frames[:3], *frames[-3:]]:
        lines.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}\n')
    try:
        lines += traceback.format_exception_only(type(error), error)
    except Exception as unprintable:  # an exception's own __str__ may raise anything
        lines.append(f"{type(error).__name__}: <its text cannot be shown: {type(unprintable).__name__}>")
    text = "".join(lines).strip()
    with suppress(Exception):  # a value may have no text, such as a number of too many digits
        if isinstance(error, NameError):
            text += _meant(error) if "Did you mean" not in text else ""
        elif frames:
            text += _variables(error, frames[-1].line or "")
    return clip(text, 4000)


def _variables(error: BaseException, line: str) -> str:
    """The values of the failed line's own variables: what the code took them for is often the mistake."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    there = [frame for frame in frames if frame.f_code.co_filename.startswith("<cell")][-1].f_locals
    names = dict.fromkeys(re.findall(r"[^\W\d]\w*", line))
    shown = (*SHOWN_TYPES, dict) if isinstance(error, TypeError) else SHOWN_TYPES
    values = {name: there[name] for name in names if type(there.get(name)) in shown}
    values = {name: v for name, v in values.items() if not isinstance(v, dict) or len(v) <= FIELDS}
    values.pop("context", None)
    told = ", ".join(f"{name} = {clip(repr(value), 200)}" for name, value in list(values.items())[:3])
    return f"\n(there {told})" if told else ""


def _meant(error: NameError) -> str:
    """A guess at the name that was meant; Python's own comes only with some of its versions."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = {**frames[-1].f_globals, **frames[-1].f_locals} if frames else {}
    known = {name.lower(): name for name in names if not name.startswith("_")}
    near = difflib.get_close_matches((error.name or "").lower(), known, 1, cutoff=0.75)
    return f". Did you mean: {known[near[0]]!r}?" if near else ""


def describe(context: Any) -> dict[str, Any]:
    """What the root model is told of the context before it has run anything."""
    shape: dict[str, Any] = {"type": type(context).__name__}
    if isinstance(context, str):
        shape |= {
            "length": len(context),
            "lines": context.count("\n") + bool(context and context[-1] != "\n"),
        }
        shape["head"] = context[:1000]
    elif isinstance(context, (list, tuple, set, frozenset)):
        shape |= {"length": len(context), "items": _types(context), "sizes": _sizes(context)}
        shape["head"] = list(map(_brief, itertools.islice(context, 3)))
    elif isinstance(context, dict):
        shape |= {"length": len(context), "items": _types(context.values())}
        shape["sizes"] = _sizes(context.values())
        shape["keys"] = [clip(repr(key), 80) for key in itertools.islice(context, 20)]
        shape["head"] = list(map(_brief, itertools.islice(context.values(), 2)))
    if row := first(context):
        shape["row"] = brief(row)
    return shape


def _brief(item: Any) -> str:
    """An item in a line; of a long text its beginning."""
    if isinstance(item, str):
        text = repr(item[:BEGINNING])
        return text if len(text) <= BEGINNING else f"{text[:BEGINNING]} …"
    return clip(show(item, 300), 300)


def _types(values: Any) -> list[str]:
    return sorted({type(value).__name__ for value in itertools.islice(values, 100_000)})[:5]


def _sizes(values: Any) -> list[int]:
    """The least and the greatest length of texts; nothing where there are none."""
    sizes = [len(value) for value in itertools.islice(values, 100_000) if isinstance(value, str)]
    return [min(sizes), max(sizes)] if sizes else []
