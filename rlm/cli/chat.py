"""The chat: a conversation in the terminal. Reads lines, carries out commands, shows answers."""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import re
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from rlm import __version__
from rlm.cancel import Cancel
from rlm.cli import DONE, documents, guarded, interruptible
from rlm.cli.ask import OTHER_MODELS, add_options, answer, build
from rlm.cli.display import (
    Display,
    code,
    counted,
    markdown,
    outcome,
    printable,
    shortened,
    size_of,
    summary,
    tokens,
)
from rlm.cli.documents import Documents
from rlm.clients.ollama import Ollama
from rlm.errors import Cancelled, ConfigurationError, RLMError
from rlm.session import Session
from rlm.types import RLMResult

HINT = "To leave: /quit, or Ctrl-D."
THINK = {"on": True, "off": False, "auto": None}


@dataclass(frozen=True)
class Command:
    """What a line that begins with a slash may ask for."""

    does: Callable[[str], object]
    # is called with the rest of the line
    takes: str
    # as /help shows it
    help: str
    completes: Callable[[], Iterable[str]] | Literal["paths"] | None = None
    # what can follow, if anything can


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when the user leaves, 1 where there is no model or, without a terminal, no answer."""
    parser = argparse.ArgumentParser(prog="rlm chat", description=__doc__)
    add_options(parser)
    parser.add_argument("--quiet", action="store_true", help="show the answers only")
    parser.add_argument("--plain", action="store_true", help="no colour, no markup, nothing that moves")
    parser.add_argument("--verbose", action="store_true", help="keep code and whole outputs on the screen")
    args = parser.parse_args(argv)
    off = False if args.plain else None
    console = Console(highlight=False, no_color=args.plain or None, force_terminal=off)

    def body(cancel: Cancel) -> int:
        if sys.stdin.isatty():
            return Chat(args, console).run(cancel)
        return answer(args, sys.stdin.buffer.read().decode("utf-8", "replace"), cancel)

    return guarded(body, without_model=OTHER_MODELS)


class Chat:
    """A session with a user in front of it."""

    def __init__(self, args: argparse.Namespace, console: Console) -> None:
        self.args = args
        self.console = console
        self.display = Display(console, verbose=args.verbose, collapse=not args.verbose)
        self.sources: list[str] = args.context
        # files, folders and globs that the context is made of
        self.documents = Documents()
        self.results: list[tuple[str, str, RLMResult]] = []
        # questions, root models and how they ended; an error without a result is not there
        self.installed: list[str] = []
        self.session: Session
        self.warned: set[str] = set()
        # kinds of warnings that this question has given
        self.saved: set[Path] = set()
        # files that are this conversation's
        self.leaving = False
        self.commands = {
            "/context": Command(self.set_context, "FILE …", "load files, folders or globs", "paths"),
            "/model": Command(self.set_model, "NAME", "take another root model", self.models),
            "/recursive-model": Command(self.set_sub, "NAME", "take another sub model", self.models),
            "/think": Command(self.set_think, "on|off|auto", "set the thinking mode", lambda: THINK),
            "/clear": Command(self.clear, "", "forget the conversation; context and variables stay"),
            "/save": Command(self.save, "FILE", "write the conversation as Markdown", "paths"),
            "/last": Command(self.last, "", "what the model did for the last answer, cell by cell"),
            "/usage": Command(self.usage, "", "tokens and seconds so far"),
            "/help": Command(self.help, "", "this list"),
            "/quit": Command(self.quit, "", "leave"),
        }

    # The conversation

    def run(self, cancel: Cancel) -> int:
        """Reads and answers until the user leaves."""
        logging.getLogger("rlm").addHandler(_LogLines(self))
        with self.console.status("Loading"):
            self.documents = documents.load(self.sources)
        rlm = build(self.args, self.console, cancel, self.observer())
        signal.signal(signal.SIGINT, signal.default_int_handler)  # stops what is no question
        with rlm.session(self.documents.context, about=self.documents.about) as self.session:
            self.greet()
            self.converse()
        return DONE

    def greet(self) -> None:
        if not self.args.quiet:
            self.say(f"rlm {__version__} · {self.args.model}", "dim")
            self.tell_context()
            self.say("Ask a question. /help lists the commands, Alt-Enter begins a new line.", "dim")
            self.tell_notes()

    def converse(self) -> None:
        from rlm.cli.editor import line_editor

        editor = line_editor(
            {name: command.completes for name, command in self.commands.items()}, plain=self.args.plain
        )
        while not self.leaving:
            try:
                line = editor.prompt()
            except KeyboardInterrupt:
                self.say(HINT, "dim")
            except EOFError:
                return
            else:
                self.take(line.strip())

    def take(self, line: str) -> None:
        """Carries out a command or answers a question; whatever goes wrong is one line."""
        try:
            name, _, rest = line.partition(" ")
            if re.fullmatch(r"/[\w-]*", name) and "\n" not in line:
                self.command(name, rest.strip())
            elif line:
                self.ask(line)
        except (Cancelled, KeyboardInterrupt):
            self.say("Stopped.", "yellow")
        except Exception as error:  # whatever it is, the conversation and its variables are worth more
            self.say(f"Error: {str(error) or type(error).__name__}", "red")

    def command(self, name: str, rest: str) -> None:
        if name in self.commands:
            self.commands[name].does(rest)
            return
        near = difflib.get_close_matches(name, self.commands, n=1, cutoff=0.5)
        meant = f" Do you mean {near[0]}?" if near else ""
        self.say(f"There is no {name}.{meant} /help lists the commands.", "red")

    def ask(self, question: str) -> None:
        """One query of the session, stopped by Ctrl-C."""
        self.warned.clear()
        try:
            with interruptible() as cancel, nullcontext() if self.args.quiet else self.display:
                result = self.session.completion(question, cancel=cancel)
        except RLMError as error:
            if error.result:
                self.results.append((question, self.args.model, error.result))
            raise
        self.results.append((question, self.args.model, result))
        if result.stop_reason == "cancelled":
            found = "Found so far:" if result.answer else "Nothing was found so far."
            self.say(f"Stopped. {found}", "yellow")
        if result.answer or result.stop_reason != "cancelled":
            self.show_answer(result)
        if not self.args.quiet:
            self.say(summary(result), "dim")

    def show_answer(self, result: RLMResult) -> None:
        """Prose as Markdown, values as they are; of a question that was stopped, its last output in part."""
        stopped = result.stop_reason == "cancelled"
        text = self.display.short(result.answer) if stopped else printable(result.answer) or "(no answer)"
        if self.args.plain or not self.console.is_terminal:
            self.console.print(Text(text), soft_wrap=True)
        else:
            prose = isinstance(result.value, str) and not stopped
            self.console.print(Padding(markdown(text, self.console) if prose else Text(text), (1, 0)))

    # Commands

    def set_context(self, rest: str) -> None:
        """Replaces the context by what is named, or adds it; alone, shows what is loaded."""
        if not rest:
            return self.tell_context()
        first, _, more = rest.partition(" ")
        if first == "add":
            sources = self.sources + paths(more.strip())
        else:
            sources = [] if rest == "clear" else paths(rest)
        with self.console.status("Loading"):
            found = documents.load(sources)
            kept = self.session.load(found.context, about=found.about)
        self.documents, self.sources = found, sources
        self.tell_context()
        self.tell_notes()
        if not kept:
            self.say("The REPL was restarted for it: the model's variables are lost.", "yellow")
        return None

    def tell_context(self) -> None:
        names = list(self.documents.names)
        more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
        self.say(f"{size_of(self.session.context)}" + (f" · {', '.join(names[:10])}{more}" if names else ""))

    def tell_notes(self) -> None:
        for note in self.documents.notes:
            self.say(note, "yellow")

    def set_model(self, name: str) -> None:
        if name:
            self.change(model=name)
        self.say(f"model: {self.args.model}")

    def set_sub(self, name: str) -> None:
        if name:
            self.change(recursive_model=name)
        self.say(f"sub model: {self.args.recursive_model or self.args.model}")

    def set_think(self, mode: str) -> None:
        if mode and mode not in THINK:
            raise ConfigurationError("/think takes on, off or auto.")
        if mode:
            self.change(think=THINK[mode])
        self.say(f"think: {next(word for word, value in THINK.items() if value == self.args.think)}")

    def change(self, **options: str | bool | None) -> None:
        """Takes another model or setting, if it can be had, from the next question on."""
        args = argparse.Namespace(**vars(self.args) | options)
        with interruptible() as cancel:
            self.session.rlm = build(args, self.console, cancel, self.observer())
        self.args, self.installed = args, []

    def clear(self, _rest: str) -> None:
        self.session.clear()
        self.say("The conversation is forgotten. The context and the model's variables are still there.")

    def save(self, rest: str) -> None:
        if not rest:
            raise ConfigurationError("Name the file: /save FILE")
        file = Path(os.path.expanduser(rest.strip("\"'")))
        if file.exists() and file not in self.saved:
            raise ConfigurationError(f"{file} is there already; name another file.")
        file.write_bytes(transcript(self.results).encode("utf-8", "replace"))
        self.saved.add(file)
        self.say(f"{counted(len(self.results), 'question')} saved to {file}.")

    def last(self, _rest: str) -> None:
        if not self.results:
            self.say("Nothing has been asked yet.")
            return
        question, _, result = self.results[-1]
        self.say(question, "bold")
        for number, turn in enumerate(result.trajectory, 1):
            self.say(f"turn {number} · {turn.seconds:.1f} s", "dim")
            if not turn.executions:
                self.say(turn.reply.strip() or "(empty reply)")
            for execution in turn.executions:
                self.console.print(code(execution.code))
                for shown in outcome(execution, self.display.short):
                    self.console.print(shown)
                for call in execution.sub_calls:
                    asked, said = (shortened(text, 200) for text in (call.prompt, call.error or call.reply))
                    told = Text(f"llm_query: {asked}\n-> {said}", "magenta")
                    self.console.print(Padding(told, (0, 0, 0, 2)))
        self.say(summary(result), "dim")

    def usage(self, _rest: str) -> None:
        results = [result for *_, result in self.results]
        usage = Counter[str]()
        for result in results:
            usage.update(result.usage)
        calls = sum(len(e.sub_calls) for r in results for turn in r.trajectory for e in turn.executions)
        self.say(
            f"{counted(len(results), 'question')} · {counted(sum(r.iterations for r in results), 'turn')}"
            f" · {counted(calls, 'sub call')} · {sum(r.total_time for r in results):.1f} s · {tokens(usage)}"
        )

    def help(self, _rest: str) -> None:
        for name, command in self.commands.items():
            self.say(f"{f'{name} {command.takes}':<28}{command.help}")
        self.say("/context alone shows what is loaded; /context add FILE, /context clear.")
        self.say("Ctrl-C stops a question, Ctrl-R searches what was entered, Alt-Enter begins a new line.")

    def quit(self, _rest: str) -> None:
        self.leaving = True

    # What they need

    def models(self) -> list[str]:
        """Names of the installed models, for completion; asked for once."""
        with suppress(RLMError):
            self.installed = self.installed or sorted(
                Ollama(self.args.model, host=self.args.host).available()
            )
        return self.installed

    def observer(self) -> Callable[..., object] | None:
        return None if self.args.quiet else self.display

    def say(self, text: str, style: str = "") -> None:
        self.console.print(Text(printable(text), style))


def paths(rest: str) -> list[str]:
    """The paths in a command's rest; one with spaces needs quotes, unless it is alone."""
    if os.path.exists(os.path.expanduser(rest)):
        return [rest]
    try:
        return shlex.split(rest)
    except ValueError:  # an apostrophe in a name
        return [rest]


def transcript(results: Sequence[tuple[str, str, RLMResult]]) -> str:
    """A conversation as Markdown, with the code of each turn."""
    parts = ["# A conversation"]
    for question, model, result in results:
        first, _, more = question.partition("\n")
        parts += [f"## {first}", *([fenced(more, "text")] if more else [])]
        parts.append(result.answer or f"(no answer: {result.stop_reason})")
        cells = [execution for turn in result.trajectory for execution in turn.executions]
        for cell in cells:
            shown = "\n".join(text for text in (cell.stdout.rstrip(), cell.value, cell.error) if text)
            parts += [fenced(cell.code, "python"), *([fenced(shown, "text")] if shown else [])]
        parts.append(f"*{model} · {summary(result)}*")
    return "\n\n".join(parts) + "\n"


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any in the text."""
    longest = max(map(len, re.findall(r"`{3,}", text)), default=2)
    return f"{'`' * (longest + 1)}{language}\n{text.rstrip()}\n{'`' * (longest + 1)}"


class _LogLines(logging.Handler):
    """Shows the library's warnings as lines of the chat; of those that differ in numbers only, the first."""

    def __init__(self, chat: Chat) -> None:
        super().__init__(logging.WARNING)
        self.chat = chat

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        kind = re.sub(r"[\d.]+", "", text)
        if not self.chat.args.quiet and kind not in self.chat.warned:
            self.chat.warned.add(kind)
            self.chat.say(text, "yellow")
