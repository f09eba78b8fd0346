"""The line that the user writes: editing, history, completion, pasting. Knows no commands and no models."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth

PROMPT, MORE = "> ", "  "
Completes = Callable[[], Iterable[str]] | Literal["paths"] | None
# gives what can follow a command; None: nothing can


def line_editor(commands: Mapping[str, Completes], *, plain: bool) -> PromptSession[str]:
    """An editor whose `prompt()` returns what was entered, and raises EOFError and KeyboardInterrupt."""
    return PromptSession(
        PROMPT,
        multiline=True,
        prompt_continuation=MORE,
        key_bindings=_keys(),
        history=_history(),
        completer=_Completer(commands),
        complete_while_typing=Condition(lambda: get_app().current_buffer.text.startswith("/")),
        complete_in_thread=True,
        enable_open_in_editor=True,
        reserve_space_for_menu=4,
        color_depth=ColorDepth.DEPTH_1_BIT if plain else None,
    )


def _keys() -> KeyBindings:
    """Enter sends, Alt-Enter begins a line, Ctrl-C empties what there is; else it is for the caller."""
    keys = KeyBindings()

    @keys.add("enter", filter=~is_searching)
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text.strip():
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c", filter=~is_searching)
    def _interrupt(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    return keys


def _history() -> History:
    """What was entered in earlier runs, readable by the user alone; of this run, where there is no folder."""
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "rlm"
        file = state / "history"
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        with file.open("ab"):
            return FileHistory(str(file))
    except (OSError, RuntimeError):  # the latter where there is no home
        return InMemoryHistory()


class _Completer(Completer):
    def __init__(self, commands: Mapping[str, Completes]) -> None:
        self.commands = commands
        self.paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        command, space, rest = text.partition(" ")
        if not space:
            yield from _beginning_with(command, sorted(self.commands))
        elif command in self.commands:
            words = self.commands[command]
            if words == "paths":
                yield from self._going_on(rest, complete_event)
            elif words:
                yield from _beginning_with(rest, list(words()))

    def _going_on(self, rest: str, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Paths that the last one in the line may become; one with spaces is put into quotes."""
        opened = re.search(r"""(?:^|\s)(["'])((?:(?!\1).)*)$""", rest)
        quote, last = opened.groups() if opened else ("", rest.rpartition(" ")[2])
        for found in self.paths.get_completions(Document(last), complete_event):
            path = last + found.text
            mark = quote or ('"' if "'" in path else "'") * (" " in path)
            end = "" if found.display_text.endswith("/") else mark
            yield Completion(mark + path + end, -len(quote + last), display=found.display)


def _beginning_with(text: str, words: Sequence[str]) -> Iterable[Completion]:
    return (Completion(word, -len(text)) for word in words if word.startswith(text))
