"""The chat: a conversation in the terminal. Reads lines, carries out commands, shows answers."""

from __future__ import annotations

import argparse
import copy
import difflib
import logging
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from rlm import __version__, documents
from rlm.cancel import Cancel
from rlm.cli import DONE, guarded, interruptible
from rlm.cli.ask import OTHER_MODELS, add_options, answer, build
from rlm.cli.display import Display, code, markdown, outcome, printable, shortened, size_of, summary
from rlm.clients.ollama import Ollama
from rlm.documents import Documents
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
    completes: Callable[[], Iterable[str]] | None = tuple
    # what can follow; None: paths


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when the user leaves, 1 where there is no model or, without a terminal, no answer."""
    parser = argparse.ArgumentParser(prog="rlm chat", description=__doc__)
    add_options(parser)
    parser.add_argument("--quiet", action="store_true", help="show the answers only")
    parser.add_argument("--plain", action="store_true", help="no colour, no markup, nothing that moves")
    parser.add_argument(
        "--verbose", action="store_true", help="keep the code and whole outputs on the screen"
    )
    args = parser.parse_args(argv)
    console = Console(
        no_color=True if args.plain else None,
        force_terminal=False if args.plain else None,
        highlight=False,
        soft_wrap=False,
    )

    def body(cancel: Cancel) -> int:
        if sys.stdin.isatty():
            return Chat(args, console).run(cancel)
        return answer(args, sys.stdin.read(), cancel)

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
        self.results: list[tuple[str, RLMResult]] = []
        # questions and how they ended; an error without a result is not there
        self.session: Session
        self.leaving = False
        self.commands = {
            "/context": Command(self.set_context, "FILE …", "load files, folders or globs", None),
            "/model": Command(self.set_model, "NAME", "take another root model", self.models),
            "/recursive-model": Command(self.set_sub, "NAME", "take another sub model", self.models),
            "/think": Command(self.set_think, "on|off|auto", "set the thinking mode", lambda: THINK),
            "/clear": Command(self.clear, "", "forget the conversation; context and variables stay"),
            "/save": Command(self.save, "FILE", "write the conversation as Markdown", None),
            "/last": Command(self.last, "", "what the model did for the last answer, cell by cell"),
            "/usage": Command(self.usage, "", "tokens and seconds so far"),
            "/help": Command(self.help, "", "this list"),
            "/quit": Command(self.quit, "", "leave"),
        }

    # The conversation

    def run(self, cancel: Cancel) -> int:
        """Reads and answers until the user leaves."""
        logging.getLogger("rlm").addHandler(_LogLines(self))
        self.documents = documents.load(self.sources)
        rlm = build(self.args, self.console, cancel, self.observer())
        with rlm.session(self.documents.context, about=self.documents.about) as self.session:
            self.greet()
            self.converse()
        return DONE

    def greet(self) -> None:
        if not self.args.quiet:
            self.say(f"rlm {__version__} · {self.args.model} · {size_of(self.session.context)}", "dim")
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
        except (RLMError, OSError) as error:
            self.say(f"Error: {error}", "red")

    def command(self, name: str, rest: str) -> None:
        if name in self.commands:
            self.commands[name].does(rest)
            return
        near = difflib.get_close_matches(name, self.commands, n=1, cutoff=0.5)
        meant = f" Do you mean {near[0]}?" if near else ""
        self.say(f"There is no {name}.{meant} /help lists the commands.", "red")

    def ask(self, question: str) -> None:
        """One query of the session, stopped by Ctrl-C."""
        try:
            with interruptible() as cancel, nullcontext() if self.args.quiet else self.display:
                result = self.session.completion(question, cancel=cancel)
        except RLMError as error:
            if error.result:
                self.results.append((question, error.result))
            raise
        self.results.append((question, result))
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
        text = self.short(result.answer) if stopped else printable(result.answer) or "(no answer)"
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
        sources = [] if rest == "clear" else paths(rest)
        if sources[:1] == ["add"]:
            sources = self.sources + sources[1:]
        found = documents.load(sources)
        with self.console.status("Loading"):
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
        self.change(model=name or None)
        self.say(f"model: {self.args.model}")

    def set_sub(self, name: str) -> None:
        self.change(recursive_model=name or None)
        self.say(f"sub model: {self.args.recursive_model or self.args.model}")

    def set_think(self, mode: str) -> None:
        if mode and mode not in THINK:
            raise ConfigurationError("/think takes on, off or auto.")
        if mode:
            self.args.think = THINK[mode]
            self.change()
        self.say(f"think: {next(word for word, value in THINK.items() if value == self.args.think)}")

    def change(self, **options: str | None) -> None:
        """Takes another model or setting, if it can be had, from the next question on."""
        given = {name: value for name, value in options.items() if value}
        args = copy.copy(self.args)
        vars(args).update(given)
        with interruptible() as cancel:
            self.session.rlm = build(args, self.console, cancel, self.observer())
        self.args = args

    def clear(self, _rest: str) -> None:
        self.session.clear()
        self.say("The conversation is forgotten. The context and the model's variables are still there.")

    def save(self, rest: str) -> None:
        if not rest:
            raise ConfigurationError("Name the file: /save FILE")
        file = Path(paths(rest)[0]).expanduser()
        file.write_text(transcript(self.args.model, self.results), "utf-8")
        self.say(f"{len(self.results)} question{'s' * (len(self.results) != 1)} saved to {file}.")

    def last(self, _rest: str) -> None:
        if not self.results:
            self.say("Nothing has been asked yet.")
            return
        question, result = self.results[-1]
        self.say(question, "bold")
        for number, turn in enumerate(result.trajectory, 1):
            self.say(f"turn {number} · {turn.seconds:.1f} s", "dim")
            if not turn.executions:
                self.say(turn.reply.strip() or "(empty reply)")
            for execution in turn.executions:
                self.console.print(code(execution.code))
                for shown in outcome(execution, self.short):
                    self.console.print(shown)
                for call in execution.sub_calls:
                    asked, said = (shortened(text, 200) for text in (call.prompt, call.error or call.reply))
                    self.console.print(
                        Padding(Text(f"llm_query: {asked}\n-> {said}", "magenta"), (0, 0, 0, 2))
                    )
        self.say(summary(result), "dim")

    def short(self, text: str) -> str:
        return printable(text) if self.args.verbose else shortened(text, self.console.width * 3)

    def usage(self, _rest: str) -> None:
        results = [result for _, result in self.results]
        usage = Counter[str]()
        for result in results:
            usage.update(result.usage)
        calls = sum(len(e.sub_calls) for r in results for turn in r.trajectory for e in turn.executions)
        self.say(
            f"{len(results)} question{'s' * (len(results) != 1)} · {sum(r.iterations for r in results)} turns"
            f" · {calls} sub calls · {sum(r.total_time for r in results):.1f} s"
            f" · {usage['total_prompt_tokens']:,} ({usage['total_cached_tokens']:,} cached) tokens in, "
            f"{usage['total_completion_tokens']:,} out"
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
        """Names of the installed models, for completion."""
        try:
            return sorted(Ollama(self.args.model, host=self.args.host).available())
        except RLMError:
            return []

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


def transcript(model: str, results: Sequence[tuple[str, RLMResult]]) -> str:
    """A conversation as Markdown, with the code of each turn."""
    parts = [f"# A conversation with {model}"]
    for question, result in results:
        parts += [f"## {question}", result.answer or f"(no answer: {result.stop_reason})"]
        cells = [execution for turn in result.trajectory for execution in turn.executions]
        for cell in cells:
            shown = "\n".join(text for text in (cell.stdout.rstrip(), cell.value, cell.error) if text)
            parts += [fenced(cell.code, "python"), *([fenced(shown, "text")] if shown else [])]
        parts.append(f"*{summary(result)}*")
    return "\n\n".join(parts) + "\n"


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any in the text."""
    longest = max(map(len, re.findall(r"`{3,}", text)), default=2)
    return f"{'`' * (longest + 1)}{language}\n{text.rstrip()}\n{'`' * (longest + 1)}"


class _LogLines(logging.Handler):
    """Shows the library's warnings as lines of the chat."""

    def __init__(self, chat: Chat) -> None:
        super().__init__(logging.WARNING)
        self.chat = chat

    def emit(self, record: logging.LogRecord) -> None:
        if not self.chat.args.quiet:
            self.chat.say(record.getMessage(), "yellow")
