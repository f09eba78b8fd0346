"""The worker's end of its connection to the host. Standard library only."""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rlm.sandbox.protocol import HEADER

DESCRIPTOR = struct.Struct("=i")
AHEAD = 256
# prompts of a batch that are sent before the first of them is answered
AWAKE = 0.0002
# seconds


class Channel:
    """Frames to and from the host. Whichever thread waits for a frame reads, and leaves others theirs."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.sending = threading.Lock()
        self.changed = threading.Condition()
        self.reading = False
        self.replies: dict[int, dict[str, Any]] = {}
        self.orders: list[tuple[dict[str, Any], int | None]] = []
        self.ids = itertools.count(int.from_bytes(os.urandom(4), "big"))
        self.awaited: set[int] = set()

    def send(self, frame: dict[str, Any]) -> None:
        data = json.dumps(frame).encode("ascii")
        with self.sending:
            self.connection.sendall(HEADER.pack(len(data)) + data)

    def next_order(self) -> tuple[dict[str, Any], int | None]:
        """Waits for the host's next order; a descriptor may come with it."""
        self._receive_until(lambda: bool(self.orders))
        return self.orders.pop(0)

    def ask(self, prompts: list[str]) -> list[dict[str, Any]]:
        """Sends the prompts and returns their replies in order."""
        ids = [next(self.ids) for _ in prompts]
        self.awaited.update(ids)
        for at, prompt in enumerate(prompts):
            if at >= AHEAD:
                self._receive_until(lambda: ids[at - AHEAD] in self.replies)  # noqa: B023
            self.send({"do": "call", "id": ids[at], "prompt": prompt})
        for number in ids:
            self._receive_until(lambda: number in self.replies)  # noqa: B023
        return [self.replies.pop(number) for number in ids]

    def size_of_next(self) -> tuple[int, int | None]:
        """The length of the next frame, and the descriptor that came with it."""
        head = bytearray(HEADER.size)
        if sys.platform == "win32":
            self.fill(memoryview(head))
            return HEADER.unpack(head)[0], None
        self._look_before_sleeping()
        got, ancillary, *_ = self.connection.recvmsg_into([head], socket.CMSG_SPACE(4))
        if not got:
            raise EOFError("the host is gone")
        self.fill(memoryview(head)[got:])
        descriptor = DESCRIPTOR.unpack(ancillary[0][2][:4])[0] if ancillary else None
        return HEADER.unpack(head)[0], descriptor

    def _look_before_sleeping(self) -> None:
        """Waits awake for what comes at once: to be woken takes longer than a quick reply."""
        until = time.perf_counter() + AWAKE
        while time.perf_counter() < until:
            with suppress(BlockingIOError):
                self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                return

    def fill(self, view: memoryview) -> None:
        """Receives as many bytes as the view has."""
        while view:
            count = self.connection.recv_into(view)
            if not count:
                raise EOFError("the host is gone")
            view = view[count:]

    def _receive(self) -> tuple[dict[str, Any], int | None]:
        size, descriptor = self.size_of_next()
        data = bytearray(size)
        self.fill(memoryview(data))
        return json.loads(data), descriptor

    def _receive_until(self, arrived: Callable[[], bool]) -> None:
        with self.changed:
            while not arrived():
                if self.reading:
                    self.changed.wait()
                    continue
                self.reading = True
                self.changed.release()
                try:
                    frame, descriptor = self._receive()
                finally:
                    self.changed.acquire()
                    self.reading = False
                    self.changed.notify_all()
                if frame["do"] == "reply":
                    if frame["id"] in self.awaited:  # another one answers a forged call
                        self.awaited.discard(frame["id"])
                        self.replies[frame["id"]] = frame
                else:
                    self.orders.append((frame, descriptor))
