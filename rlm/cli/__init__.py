"""The command `rlm`: parse, build, call, print. What people see comes from here, and only from here."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from rlm.cancel import Cancel
from rlm.errors import ConfigurationError, ModelNotFound, RLMError, Unreachable

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
# exit codes
COMMANDS = (
    "chat: a conversation; ask: one question; demo: find a number hidden in 10,000 lines; "
    "bench: compare models; doctor: check the set-up"
)


def main(argv: Sequence[str] | None = None) -> int:
    """The console command: `rlm chat …`, `rlm ask …`, and so on."""
    from rlm import __version__
    from rlm.cli import ask, bench, chat, demo, doctor

    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "chat": chat.main,
        "ask": ask.main,
        "bench": bench.main,
        "demo": demo.main,
        "doctor": doctor.main,
    }
    parser = argparse.ArgumentParser(prog="rlm", description=sys.modules["rlm"].__doc__)
    parser.add_argument("--version", action="version", version=f"rlm-ollama {__version__}")
    parser.add_argument("command", choices=commands, help=COMMANDS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command; see rlm COMMAND --help")
    args = parser.parse_args(argv)
    return commands[args.command](args.arguments)


def guarded(body: Callable[[Cancel], int], *, without_model: str = "") -> int:
    """Runs a script's body: an error becomes one line, Ctrl-C throws the switch, and each its exit code.

    without_model: a second line, where the error is that there is no model.
    """
    try:
        with interruptible() as cancel:
            return body(cancel)
    except (RLMError, OSError) as error:
        if cancel.reason:
            return INTERRUPTED
        print(f"Error: {error}", file=sys.stderr)
        if without_model and isinstance(error, (ModelNotFound, Unreachable)):
            print(without_model, file=sys.stderr)
        return WRONG_USAGE if isinstance(error, ConfigurationError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


@contextmanager
def interruptible() -> Iterator[Cancel]:
    """A switch that Ctrl-C throws; a second Ctrl-C raises KeyboardInterrupt."""
    cancel = Cancel()

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        cancel.set()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)
