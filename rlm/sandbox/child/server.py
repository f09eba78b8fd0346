"""Takes the context and does what the host orders, one order after the other. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from rlm.sandbox.child import intake
from rlm.sandbox.child.channel import Channel
from rlm.sandbox.child.repl import Repl
from rlm.sandbox.child.shown import describe, explain

CHECK = (
    "class A:\n    word = 'WORD'\nprint(A.word)\nlist(range(50)), search('another'), search('a third')",
    "llm_query('WORD' + context[:0])",
    "1 / 0",
    "FINAL('WORD')",
)
# cells that try all that a cell may count on; the host answers the sub call itself
S = TypeVar("S", bound="Server")


class Server:
    """A REPL at the end of a channel.

    start: the host's first frame:
        context: "none", "text", "marshal" or "path"; size: of ASCII text its length; path: of the file;
        output_limit: characters; memory: bytes beyond the context.
    """

    def __init__(self, channel: Channel, start: dict[str, Any]) -> None:
        self.channel = channel
        context = intake.receive(start["context"], start["size"], start["path"], channel)
        self.repl = Repl(channel.ask, context, output_limit=start["output_limit"], memory=start["memory"])
        self.shape = _shape(context)

    def run(self) -> None:
        """Serves until the host is gone, which is an EOFError."""
        while True:
            order, descriptor = self.channel.next_order()
            if order["do"] == "load":
                done = self.load(order["kind"], descriptor)
            elif descriptor is not None and self.snapshot(descriptor):
                continue
            else:
                done = self.obey(order)
            self.channel.send(done | {"do": "done", "id": order["id"]})

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        if order["do"] == "execute":
            return self.repl.execute(order["name"], order["code"])
        if order["do"] == "resolve":
            return self.repl.resolve(order["text"], order["variable"])
        if order["do"] == "variables":
            return {"stdout": "\n".join(self.repl.variables())}
        if order["do"] == "related":
            try:
                return {"value": json.dumps(self.repl.related(order["text"]))}
            except Exception as error:  # odd data may raise anything; the variables must outlive it
                return {"error": explain(error)}
        return {"shown": self.check(order["id"])}

    def load(self, kind: str, descriptor: int | None) -> dict[str, Any]:
        """Puts the context that is in an open file in the place of the present one."""
        if descriptor is None:  # cells have left no room for it: another process takes the context
            return {}
        try:
            context = intake.read_open(kind, descriptor)
        except MemoryError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            return {"error": _why(error)}
        self.repl.replace(context)
        return {"context": _shape(context)}

    def check(self, word: str) -> list[dict[str, Any]]:
        """Shows that cells still work, with cells and names that the model's have nothing to do with."""
        probe = Repl(self.channel.ask, "one line\nanother", output_limit=1000, memory=0)
        probe.mend = self.repl.mend
        return [probe.execute("<check>", cell.replace("WORD", word)) for cell in CHECK]

    def snapshot(self, spare: int) -> bool:
        """Leaves a copy behind that waits at its own connection; True in the copy, once it takes over."""
        raise NotImplementedError


def serve(channel: Channel, make: Callable[[Channel, dict[str, Any]], S]) -> S | None:
    """Takes the host's first frame and makes the server; None where the context cannot be used."""
    start, _ = channel.next_order()
    try:
        return make(channel, start)
    except (UnicodeDecodeError, OSError, MemoryError) as error:
        channel.send({"do": "refused", "error": _why(error)})
        return None


def _shape(context: Any) -> dict[str, Any]:
    try:
        return describe(context)
    except Exception:  # a value that has no text, such as a number of too many digits, still is a context
        return {"type": type(context).__name__}


def _why(error: Exception) -> str:
    """Why the context cannot be used."""
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        return f"it is not UTF-8 text (byte {byte:#04x}: {error.reason})"
    return getattr(error, "strerror", "") or type(error).__name__
