"""What can be a context, and how it is handed over: as text or marshalled, a piece at a time.

marshal goes from the host to the worker only: what comes back is JSON.
"""

from __future__ import annotations

import marshal
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlm.errors import ContextError

_PIECE = 2**18
# characters or bytes of the context in one frame: what stays in a processor's cache is handed over fastest
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
    return path


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
        return tuple(items) if isinstance(value, tuple) else items
    raise ContextError(
        f"{where} is of type {type(value).__name__}, which the REPL cannot take. Give it as str, list, dict, "
        "number or None, or the whole context as a Path to a text file."
    )


def pieces(context: Any) -> tuple[str, Iterator[bytes]]:
    """The kind of transfer and the context's bytes, a piece at a time."""
    if context is None:
        return "none", iter(())
    if isinstance(context, Path):
        return "text", _file_pieces(context)
    if isinstance(context, str):
        starts = range(0, len(context), _PIECE)
        return "text", (context[at : at + _PIECE].encode("utf-8", "surrogatepass") for at in starts)
    data = context if isinstance(context, bytes) else _marshalled(context)
    kind = "text" if isinstance(context, bytes) else "marshal"
    return kind, (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))


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


def _file_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_PIECE), b"")
