"""What can be a context, and how it is handed over: as text or marshalled, a piece at a time.

marshal goes from the host to the worker only: what comes back is JSON.
"""

from __future__ import annotations

import codecs
import ctypes
import marshal
import os
import pprint
import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rlm.errors import ContextError

_PIECE = 2**20
# characters or bytes of the context that are handed over at once
_MAX_DEPTH = 200
# levels of nesting in a context of other than the plain types
_LEAVES = frozenset((str, int, float, bool, type(None), bytes, complex))


def checked(context: Any) -> Any:
    """Returns the context, a path as a Path to a file that exists."""
    if isinstance(context, (bytearray, memoryview)):
        return bytes(context)
    if not isinstance(context, os.PathLike):
        return context
    try:
        path = Path(context).expanduser()
        path.stat()
    except FileNotFoundError as error:
        raise ContextError(f"The context {context} does not exist.") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise ContextError(f"Cannot read the context {context}: {error}.") from error
    if not path.is_file():
        raise ContextError(f"The context {path} is a {'folder' if path.is_dir() else 'device'}, not a file.")
    return path.absolute()


def _plain(value: Any, where: str, depth: int) -> Any:
    """Copies subclasses of the plain types into these; says where a value of another type is."""
    if depth > _MAX_DEPTH:
        raise ContextError(f"The context is nested more than {_MAX_DEPTH} levels deep, or contains itself.")
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a number of numpy's
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, Mapping):
        return {
            _plain(key, f"a key of {where}", depth + 1): _plain(item, f"{where}[{key!r}]", depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(
        value, (array, memoryview, bytearray)
    ):
        items = [_plain(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
        kind = next((kind for kind in (tuple, set, frozenset) if isinstance(value, kind)), list)
        return kind(items)
    raise ContextError(
        f"{where} is of type {type(value).__name__}, which the REPL cannot take. Give it as str, list, dict, "
        "number or None, or the whole context as a Path to a text file."
    )


@dataclass(frozen=True)
class Transfer:
    """How a context gets to the worker; see `child.server`."""

    kind: str
    pieces: Iterator[bytes | memoryview] = field(default_factory=lambda: iter(()))
    size: int | None = None
    # bytes, of a text that is known to be ASCII
    path: str = ""


def transfer(context: Any) -> Transfer:
    """The way to hand over a checked context, a piece at a time; a file's text never comes here."""
    if context is None:
        return Transfer("none")
    if isinstance(context, Path):
        return Transfer("path", path=str(context.absolute()))
    if isinstance(context, str) and context.isascii():
        return Transfer("text", _cut(_memory(context)), len(context))
    if isinstance(context, str):
        starts = range(0, len(context), _PIECE)
        return Transfer("text", (context[at : at + _PIECE].encode("utf-8", "surrogatepass") for at in starts))
    if isinstance(context, bytes):
        context = context.removeprefix(codecs.BOM_UTF8)
        return Transfer("text", _cut(memoryview(context)), len(context) if context.isascii() else None)
    return Transfer("marshal", _cut(memoryview(_marshalled(context))))


def as_text(context: Any) -> str:
    """A checked context as a model reads it; raises ContextError where that is no text."""
    try:
        if isinstance(context, Path):
            return context.read_text(encoding="utf-8-sig")
        if isinstance(context, bytes):
            return context.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ContextError(f"Cannot read {named(context)}: {error}.") from error
    if context is None or isinstance(context, str):
        return context or ""
    return pprint.pformat(context, width=200, sort_dicts=False)


def as_file(context: Any) -> tuple[str, IO[bytes]]:
    """A checked context as an open file for a worker that is confined: "text" or "marshal", and the file.

    Of a path, the file is that file; nothing of it is read here.

    Raises:
        ContextError: the file cannot be opened, or the context is of another type.
    """
    if isinstance(context, Path):
        try:
            return "text", open(context, "rb", buffering=0)
        except OSError as error:
            raise ContextError(f"Cannot use {context}: {error.strerror}.") from error
    data = context if isinstance(context, bytes) else _marshalled(context)
    in_memory = getattr(os, "memfd_create", None)
    file: IO[bytes] = open(in_memory("context"), "w+b") if in_memory else tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.seek(0)
    return "text" if isinstance(context, bytes) else "marshal", file


def believable(shape: object) -> dict[str, Any]:
    """What a worker that has run a model's code says of a context, as far as it is of the right types."""
    told = shape if isinstance(shape, dict) else {}
    texts = {name: told[name][:1000] for name in ("type", "head", "row") if isinstance(told.get(name), str)}
    counts = {name: told[name] for name in ("length", "lines") if type(told.get(name)) is int}
    lists = {
        name: [text[:300] for text in told[name][:20] if isinstance(text, str)]
        for name in ("items", "keys", "head")
        if isinstance(told.get(name), list)
    }
    sizes = told.get("sizes")
    if isinstance(sizes, list) and len(sizes) == 2 and all(type(size) is int for size in sizes):
        lists["sizes"] = sizes
    return {"type": "unknown"} | texts | counts | lists


def named(context: Any) -> object:
    """A context for an error's text."""
    return context if isinstance(context, Path) else "the context"


def _cut(data: memoryview) -> Iterator[memoryview]:
    return (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))


def _memory(text: str) -> memoryview:
    """The bytes of an ASCII str where they are, without a copy; the str must live as long."""
    address = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_void_p]
    return memoryview((ctypes.c_char * len(text)).from_address(address(text, None) or 0)).cast("B")


def _marshalled(context: Any) -> bytes:
    plain = context if _is_plain(context) else _plain(context, "context", 0)
    try:
        return marshal.dumps(plain)
    except ValueError as error:
        raise ContextError(f"The context cannot be handed over: {error}.") from error


def _is_plain(context: Any) -> bool:
    """Whether all of it is of the plain types themselves; marshal would take any buffer for bytes."""
    seen: set[int] = set()
    level = [context]
    while level:
        deeper: list[Any] = []
        for value in level:
            if type(value) in (list, tuple, set, frozenset, dict):
                if id(value) not in seen:
                    seen.add(id(value))
                    deeper += [*value, *value.values()] if type(value) is dict else value
            elif type(value) not in _LEAVES:
                return False
        level = deeper
    return True
