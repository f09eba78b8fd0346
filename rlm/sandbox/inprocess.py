"""The REPL in a thread of this process: to debug, and where no process can be had. Confines nothing."""

from __future__ import annotations

import ctypes
import socket
import threading
from contextlib import suppress
from typing import Any

from rlm.sandbox.child.channel import Channel
from rlm.sandbox.child.repl import CellStopped
from rlm.sandbox.child.server import Server, serve
from rlm.sandbox.connection import Connection
from rlm.sandbox.session import Session

_one_at_a_time = threading.Lock()


class _Server(Server):
    """Takes turns with others of its kind: there is one standard output for all."""

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        with _one_at_a_time:
            return super().obey(order)


class Thread(Session):
    """A session whose worker is a thread. What cells print is taken from all threads of this process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours)
        self._channel = Channel(theirs)
        self._thread = threading.Thread(target=self._serve, name="rlm-repl", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(EOFError, OSError), self._channel.connection:
            server = serve(self._channel, _Server)
            if server:
                self._repl = server.repl
                self._channel.send({"do": "ready", "context": server.shape, "missing": {}, "held": {}})
                server.run()

    def interrupt(self) -> None:
        """Raises CellStopped in the thread as soon as it runs Python code again."""
        identity = ctypes.c_ulong(self._thread.ident or 0)
        if self._repl.running and not self._repl.asking:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(CellStopped))
