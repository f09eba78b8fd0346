"""Frames between the host and one process of a session. Believes nothing that it reads."""

from __future__ import annotations

import json
import math
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from rlm.sandbox import limits
from rlm.sandbox.protocol import HEADER

_AT_ONCE = 2**16
# bytes taken from the socket; a larger buffer costs more to make than it saves


class WorkerDied(Exception):
    """The process ended or broke the protocol; the text says how, for the model to read.

    limit: of `limits.told`, where one was hit.
    """

    def __init__(self, text: str, *, limit: str = "") -> None:
        super().__init__(text)
        self.limit = limit


class Connection:
    """Frames over one socket. A process that takes over gets another one, so that nothing is mixed up."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._owner = os.getpid()
        self._sending = threading.Lock()
        self._received = bytearray()
        if sys.platform != "win32":
            self._poll = select.poll()  # select() cannot watch a descriptor above 1,023
            self._poll.register(self._socket, select.POLLIN)
            self._writable = select.poll()
            self._writable.register(self._socket, select.POLLOUT)
            patience = struct.pack("@ll", limits.SEND_TIMEOUT, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)

    def send(
        self,
        frame: Mapping[str, Any],
        descriptor: int | None = None,
        *,
        patience: float = limits.SEND_TIMEOUT,
    ) -> None:
        """Sends a frame, with a descriptor if there is one; `patience`: seconds that it may take altogether.

        Raises:
            WorkerDied: nobody is there.
        """
        data = json.dumps(frame).encode("ascii")
        head = HEADER.pack(len(data))
        until = time.monotonic() + patience
        with self._death():
            if not self._sending.acquire(timeout=patience):
                raise TimeoutError("another frame is still on its way")
            try:
                if descriptor is None:
                    self._send_all(head + data, until)
                else:
                    socket.send_fds(self._socket, [head], [descriptor])
                    self._send_all(data, until)
            finally:
                self._sending.release()

    def _send_all(self, data: bytes, until: float) -> None:
        """Sends to a process that may read as slowly as it likes, but not for longer than that."""
        if sys.platform == "win32":
            return self._socket.sendall(data)
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError("nobody reads") from None
                self._writable.poll(left * 1000)
        return None

    def send_bytes(self, data: bytes | memoryview, *, framed: bool) -> None:
        with self._sending, self._death():
            if framed:
                self._socket.sendall(HEADER.pack(len(data)))
            if data:  # to send nothing to a process that has just ended is an error too
                self._socket.sendall(data)

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Returns the next frame, or None if none came in time.

        Raises:
            WorkerDied: the connection ended, or what came is no frame.
        """
        frame = self._take_frame()
        if frame is None and self._ready(seconds):
            try:
                data = self._socket.recv(_AT_ONCE)
            except OSError:
                data = b""
            if not data:
                raise WorkerDied("")
            self._received += data
            frame = self._take_frame()
        return frame

    def _ready(self, seconds: float) -> bool:
        if sys.platform == "win32":
            return bool(select.select([self._socket], [], [], seconds)[0])
        return bool(self._poll.poll(seconds * 1000))

    def _take_frame(self) -> dict[str, Any] | None:
        if len(self._received) < HEADER.size:
            return None
        (size,) = HEADER.unpack_from(self._received)
        if size > limits.MAX_FRAME:
            text = f"The cell sent a message of {size:,} bytes; the limit is {limits.MAX_FRAME:,}."
            raise WorkerDied(text, limit="frame")
        if len(self._received) < HEADER.size + size:
            return None
        data = bytes(self._received[HEADER.size : HEADER.size + size])
        del self._received[: HEADER.size + size]
        frame = None
        if size <= limits.MAX_ITEMS or sum(map(data.count, (b",", b"[", b"{"))) <= limits.MAX_ITEMS:
            with suppress(ValueError, RecursionError):
                frame = json.loads(data, parse_constant=_no_number, parse_float=_finite)
        if not isinstance(frame, dict):
            raise WorkerDied("The cell broke the session's connection.")
        return frame

    @contextmanager
    def _death(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._shut()  # half a frame may be out: nothing can follow it
            raise WorkerDied("") from error

    @property
    def open(self) -> bool:
        return self._socket.fileno() >= 0

    def close(self) -> None:
        self._shut()
        self._socket.close()

    def _shut(self) -> None:
        """Ends the connection, and wakes a thread that is sending; a fork of the host only lets go of it."""
        if os.getpid() == self._owner:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _no_number(text)
    return number
