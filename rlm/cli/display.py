"""The live display: an observer of a run's events. Plain lines where the output is no terminal."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.spinner import Spinner
from rich.syntax import Syntax
from rich.text import Text

from rlm import events
from rlm.cancel import Cancel
from rlm.types import Execution, Iteration, RLMResult, Usage

OUTPUT_LINES = 12
# of a cell's output that are shown unless all are asked for
STREAM_LINES = 15
# of the reply that is being written
SILENCE = 8.0
# seconds of waiting for a reply to begin before the display says what may be going on
REFRESHES = 4
# a second; each one takes time from a model on the same CPU
EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})([\"“(]?[\w$`](?:[^*\n]*[\w.,:;!?)%`])?[\"”]?)\1(?![\w*])")
MARKS = re.compile(r"(?m)^\s*(?:#{1,6}|[-*])\s|^\s*```\w*$|^[-:|\s]{3,}$|(?<=\d)[.)](?=\s)|[`|]|\s")
# what Markdown may leave out; other marks may be meant as they are, as in __init__.py
INDENTED = re.compile(r"(?ms)^```.*?^```|(^[ \t]+)(?![-*] |\d+[.)] |\s)")


class Display:
    """Shows what the model does while it works; a context manager, and callable with each event.

    collapse: a turn that is over leaves one line; else its code and outputs stay.
    verbose: whole outputs.
    """

    def __init__(self, console: Console, *, verbose: bool = False, collapse: bool = False) -> None:
        self.console = console
        self.verbose = verbose
        self.collapse = collapse
        self._turn_so_far: list[RenderableType] = []
        # what a collapsing display shows of the present turn
        self._live: Live | None = None
        self._spinner = Spinner("dots")
        self._began = time.monotonic()
        self._status = ""
        self._reply = ""
        self._usage = Usage()
        self._sub_calls = self._sub_calls_done = self._earlier = 0
        # of the present cell; earlier: those before the present batch
        self._silent_since = 0.0
        # when the root was asked; 0 once it has begun to reply

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(
                console=self.console,
                get_renderable=self._work_in_progress,
                refresh_per_second=REFRESHES,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self._began, self._usage = time.monotonic(), Usage()
                sub = "" if event.sub == event.root else f", sub calls: {event.sub}"
                if not self.collapse:
                    self._line(f"{event.root}{sub} · {size_of(event.context)}", "dim")
            case events.TurnStarted():
                self._status, self._reply, self._silent_since = f"turn {event.turn}", "", time.monotonic()
                self._sub_calls = self._sub_calls_done = self._earlier = 0
            case events.TextStreamed():
                self._reply += printable(event.text)
                self._silent_since = 0.0
            case events.TextRestarted():
                self._reply = ""
            case events.CellStarted():
                self._reply = ""
                self._sub_calls = self._sub_calls_done = self._earlier = 0
                self._show(code(event.code))
            case events.CellFinished():
                self._execution(event.execution)
            case events.SubCallStarted():
                if self._sub_calls == self._sub_calls_done:
                    self._earlier = self._sub_calls
                self._sub_calls += 1
            case events.SubCallFinished():
                self._sub_calls_done += 1
                self._usage += event.sub_call.usage
            case events.Notice() | events.LimitHit():
                self._line(event.text, "yellow")
            case events.TurnFinished():
                self._turn(event)
            case events.RunFinished():
                self._status = self._reply = ""
                self._turn_so_far = []

    def _turn(self, event: events.TurnFinished) -> None:
        turn, root = event.iteration, event.iteration.root_usage
        self._usage += root  # its sub calls are counted
        if not turn.executions and turn.observation and not self.collapse:
            self._line(turn.reply.strip() or "(empty reply)", "")
        calls = sum(len(execution.sub_calls) for execution in turn.executions)
        used = tokens({f"total_{name}": count for name, count in vars(root).items()})
        line = f"turn {event.turn} · {turn.seconds:.1f} s · {used}"
        line += f" · {counted(calls, 'sub call')}" if calls else ""
        self._turn_so_far = []
        if self.collapse:
            gist = Text(f"{line} · {what_it_did(turn)}", "dim", no_wrap=True, overflow="ellipsis")
            self.console.print(gist)
        else:
            self._line(line, "dim")

    def _execution(self, execution: Execution) -> None:
        for shown in outcome(execution, self.short):
            self._show(shown)
        if failed := [call.error for call in execution.sub_calls if call.error]:
            self._line(f"{counted(len(failed), 'sub call')} failed: {failed[-1]}", "yellow")

    def _show(self, what: RenderableType) -> None:
        """Shows a part of a turn: for good, or until the turn is over."""
        if self.collapse:
            self._turn_so_far.append(what)
        else:
            self.console.print(what)

    def short(self, text: str) -> str:
        return printable(text) if self.verbose else shortened(text, self.console.width * 3)

    def _work_in_progress(self) -> RenderableType:
        if not self._status:
            return Text("")
        used = self._usage.prompt_tokens + self._usage.completion_tokens
        parts = [self._status, f"{time.monotonic() - self._began:.0f} s", f"{used:,} tokens"]
        if self._silent_since and time.monotonic() - self._silent_since > SILENCE:
            parts.append("waiting for the model, which may be loading, reading or thinking")
        if self._sub_calls:
            parts.append(f"sub calls {self._sub_calls_done} of {self._sub_calls}")
        self._spinner.update(text=Text(" · ".join(parts), "dim"))
        reply = Text("\n".join(self._reply.splitlines()[-STREAM_LINES:]))
        return _Tail(Group(*self._turn_so_far, reply, *self._bar(), self._spinner))

    def _bar(self) -> list[RenderableType]:
        """How far a batch of sub calls is."""
        total, done = self._sub_calls - self._earlier, self._sub_calls_done - self._earlier
        bar = Padding(ProgressBar(total=total, completed=done, width=40), 0)  # alone it does not end its line
        return [bar] if total > 1 else []

    def _line(self, text: str, style: str) -> None:
        self.console.print(Text(printable(text), style))


class _Tail:
    """The last lines of something, as many as the terminal has."""

    def __init__(self, what: RenderableType) -> None:
        self.what = what

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.what, options.update(height=None), pad=False)
        for line in lines[-max(console.height - 2, 1) :]:
            yield from line
            yield Segment.line()


def code(text: str) -> RenderableType:
    """Python as it is shown, in the terminal's own colours."""
    return Syntax(printable(text), "python", theme=_theme(), background_color="default", word_wrap=True)


def _theme() -> str:
    """Colours that stand out from the background: a dark one, unless COLORFGBG says otherwise."""
    light = os.environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")
    return "ansi_light" if light else "ansi_dark"


def markdown(text: str, console: Console) -> RenderableType:
    """A text as Markdown, line by line; as it is, where more than marks would be lost."""
    if len(text) > 20_000 or any(found[1] for found in INDENTED.finditer(text)):
        return Text(text)
    rendered = Markdown(text.replace("\n", "  \n"), code_theme=_theme())
    kept = MARKS.sub("", EMPHASIS.sub(r"\2", text))
    options = (console.options, console.options.update(width=1000))  # wide, no table breaks its lines
    shown, wide = ("".join(segment.text for segment in console.render(rendered, how)) for how in options)
    rest = iter(wide)
    whole = not Counter(kept) - Counter(shown) and all(letter in rest for letter in kept)
    return rendered if whole else Text(text)


def outcome(execution: Execution, short: Callable[[str], str]) -> Iterator[RenderableType]:
    """What a cell printed, its value and its error."""
    output = "\n".join(text for text in (execution.stdout.rstrip(), execution.value) if text)
    for text, style in ((output, "cyan"), (execution.error, "red")):
        if text:
            yield Padding(Text(short(text), style), (0, 0, 0, 2))


def shortened(text: str, width: int) -> str:
    """The text's first and last lines, and of each so many characters."""
    lines = printable(text).splitlines()
    if len(lines) > OUTPUT_LINES:
        left_out = len(lines) - OUTPUT_LINES
        lines = [*lines[: OUTPUT_LINES - 3], f"… {left_out:,} lines left out …", *lines[-3:]]
    return "\n".join(line if len(line) <= width else line[:width] + " …" for line in lines)


def what_it_did(turn: Iteration) -> str:
    """A turn in a few words: its code's last line, or what came of it."""
    failed = [execution.error for execution in turn.executions if execution.error]
    if failed:
        return printable(failed[-1].splitlines()[-1])
    lines = [line for execution in turn.executions for line in execution.code.splitlines() if line.strip()]
    return printable(lines[-1].strip()) if lines else "no code" if turn.observation else "answer"


def prepare(client: Any, console: Console, cancel: Cancel) -> None:
    """Loads an embedded model before the run; a download is a bar, or a line where there is no terminal."""
    if not hasattr(client, "prepare"):
        return
    if not console.is_terminal:
        told: set[str] = set()

        def tell(_done: int, total: int, source: str) -> None:
            if source not in told:
                console.print(f"Downloading {total / 1e6:,.0f} MB from {source} …", soft_wrap=True)
            told.add(source)

        client.prepare(tell, cancel)
        return
    with console.status("Loading the model", refresh_per_second=REFRESHES) as status:

        def show(done: int, total: int, source: str) -> None:
            size = f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB from {source}"
            bar = ProgressBar(total=total, completed=done, width=30)
            status.update(Columns(["Downloading", bar, size]) if done < total else "Loading the model")

        client.prepare(show, cancel)


def printable(text: str) -> str:
    """The text without what would steer a terminal or has no encoding: data and models may hold anything."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    return text.encode("utf-8", "replace").decode()


def size_of(context: dict[str, Any]) -> str:
    """The context in a few words."""
    kind, length = context.get("type"), context.get("length", 0)
    if kind == "NoneType":
        return "no context"
    unit = "characters" if kind == "str" else "items"
    return f"context: {kind}, {length:,} {unit}"


def summary(result: RLMResult) -> str:
    """How a run ended, in one line."""
    turns, used = counted(result.iterations, "iteration"), tokens(result.usage)
    return f"{turns} · {result.total_time:.1f} s · {used} · {result.stop_reason}"


def tokens(usage: Mapping[str, int]) -> str:
    """The tokens of a result's usage, in a few words."""
    cached = f" ({usage['total_cached_tokens']:,} cached)" if usage["total_cached_tokens"] else ""
    return f"{usage['total_prompt_tokens']:,}{cached} tokens in, {usage['total_completion_tokens']:,} out"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
