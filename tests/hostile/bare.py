"""A REPL as simple as can be, in a process of its own that is not confined, with a host that believes it.

What gets through here is stopped in rlm.sandbox by its time limit, its self-check, its validation of frames,
or because its process inherits nothing. As a script it is the worker: `python bare.py DESCRIPTOR`.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm.types import Execution

TIMEOUT = 1.5
# seconds after which a cell is taken to hang


class Bare:
    """The host; a context manager of the same shape as the sandbox."""

    cell_timeout = TIMEOUT

    def __init__(self, context: str, query: Callable[[str], str]) -> None:
        self._query = query
        self._connection, theirs = socket.socketpair()
        self._connection.settimeout(TIMEOUT)
        with theirs:
            theirs.set_inheritable(True)
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                close_fds=False,
                start_new_session=True,
            )
        _write(self._connection, {"context": context})
        self._orders = 0

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._connection.close()

    def execute(self, code: str) -> Execution:
        from rlm.types import Answer, Execution

        self._orders += 1
        _write(self._connection, {"do": "execute", "id": self._orders, "code": code})
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            frame = _read(self._connection)
            if frame["do"] == "call":
                _write(self._connection, {"id": frame["id"], "text": self._query(frame["prompt"])})
            if frame["do"] == "done":
                final = frame["final"] and Answer(frame["final"]["text"], frame["final"]["value"])
                return Execution(code, frame["stdout"], frame["value"], frame["error"], final)
        raise TimeoutError("the cell hangs")


def _write(connection: socket.socket, frame: dict[str, Any]) -> None:
    data = json.dumps(frame, ensure_ascii=False).encode()
    connection.sendall(len(data).to_bytes(4, "big") + data)


def _read(connection: socket.socket) -> dict[str, Any]:
    size = int.from_bytes(_exactly(connection, 4), "big")
    frame: dict[str, Any] = json.loads(_exactly(connection, size))
    return frame


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError("the other side is gone")
        data += piece
    return data


class _Worker:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.final: dict[str, Any] | None = None
        context = _read(connection)["context"]
        self.names = {
            "context": context,
            "answer": {"content": "", "ready": False},
            "llm_query": self.llm_query,
            "llm_query_batched": lambda prompts: [self.llm_query(prompt) for prompt in prompts],
            "search": lambda pattern, text=context: re.findall(pattern, text),
            "FINAL": self.FINAL,
            "FINAL_VAR": lambda name: self.FINAL(self.names[name]),
        }

    def llm_query(self, prompt: str) -> str:
        _write(self.connection, {"do": "call", "id": 1, "prompt": prompt})
        return str(_read(self.connection)["text"])

    def FINAL(self, value: object) -> None:  # noqa: N802
        self.final = {"text": str(value), "value": value}

    def serve(self) -> None:
        while True:
            order = _read(self.connection)
            _write(self.connection, self.execute(order["code"]) | {"do": "done", "id": order["id"]})

    def execute(self, code: str) -> dict[str, Any]:
        output, value, error, self.final = io.StringIO(), None, None, None
        try:
            with contextlib.redirect_stdout(output):
                tree = ast.parse(code)
                last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
                exec(compile(tree, "<cell>", "exec"), self.names)
                if last is not None:
                    value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), self.names)
                    value = None if value is None else repr(value)
                if self.names["answer"]["ready"]:
                    self.FINAL(self.names["answer"]["content"])
        except Exception:
            error = traceback.format_exc()
        return {"stdout": output.getvalue(), "value": value, "error": error, "final": self.final}


if __name__ == "__main__":
    _Worker(socket.socket(fileno=int(sys.argv[1]))).serve()
