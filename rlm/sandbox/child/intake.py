"""The context arrives in the worker: bytes become one str, in place. Standard library only."""

from __future__ import annotations

import codecs
import ctypes
import io
import marshal
import os
from collections.abc import Callable, Iterator
from typing import Any

from rlm.sandbox.child.channel import Channel

PIECE = 2**20
# bytes that are taken at once
BOM = "\ufeff"
# how some programs begin a file of UTF-8 text

_new = ctypes.pythonapi.PyUnicode_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_ssize_t, ctypes.c_uint32]
_address = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
_address.restype, _address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_void_p]


def receive(kind: str, size: int | None, path: str, channel: Channel) -> Any:
    """Takes the context.

    Args:
        kind: "none"; "path": a UTF-8 file; "text": UTF-8 bytes over the channel; "marshal": any plain value.
        size: of text that is ASCII, its length; else None.

    Raises:
        UnicodeDecodeError: it is not UTF-8 text.
        OSError: the file cannot be read.
    """
    if kind == "none":
        return None
    if kind == "path":
        with open(path, "rb", buffering=0) as file:
            return read(file)
    if size is not None:
        return _filled(size, channel.fill)
    pieces = _pieces(channel)
    if kind == "marshal":
        return marshal.loads(b"".join(pieces))
    try:
        return decode("", pieces)
    except UnicodeDecodeError:
        for _ in pieces:  # the host is still sending
            pass
        raise


def read_open(kind: str, descriptor: int) -> Any:
    """The context in an open file: UTF-8 text, or any plain value as marshal writes it. Closes the file.

    Raises:
        UnicodeDecodeError, OSError: as above.
    """
    with io.FileIO(descriptor, "rb") as file:
        return read(file) if kind == "text" else marshal.loads(file.readall())


def read(file: io.FileIO) -> str:
    """The text of a file: filled in place as long as it is ASCII, which most of most texts is."""
    size = os.fstat(file.fileno()).st_size
    if not size:  # some of the system's files tell no size
        return decode("", iter(lambda: file.read(PIECE), b"")).removeprefix(BOM)
    text, view = _blank(size)
    at = 0
    while count := file.readinto(view[at : at + PIECE]):
        if not bytes(view[at : at + count]).isascii():
            begin = text[:at]
            rest = iter(lambda: file.read(PIECE), b"")
            file.seek(at)
            del text, view
            return decode(begin, rest).removeprefix(BOM)
        at += count
    return text if at == size else text[:at]


def decode(text: str, pieces: Iterator[bytes | bytearray]) -> str:
    """Appends UTF-8 pieces to a text, which grows in place as long as nothing else holds it."""
    step = codecs.getincrementaldecoder("utf-8")("surrogatepass").decode
    for piece in pieces:
        text += step(piece)
    return text + step(b"", final=True)


def _filled(size: int, fill: Callable[[memoryview], None]) -> str:
    text, view = _blank(size)
    fill(view)
    return text


def _blank(size: int) -> tuple[str, memoryview]:
    """A str of `size` ASCII characters and the memory of its characters, to be filled before anyone looks.

    For such a str the C API gives its own memory as its UTF-8 form (PyUnicode_AsUTF8AndSize).
    """
    if not size:
        return "", memoryview(b"")
    text = _new(size, 127)
    memory = (ctypes.c_char * size).from_address(_address(text, None))
    return text, memoryview(memory).cast("B")


def _pieces(channel: Channel) -> Iterator[bytearray]:
    while size := channel.size_of_next()[0]:
        piece = bytearray(size)
        channel.fill(memoryview(piece))
        yield piece
