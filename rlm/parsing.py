"""Reply text to Action. Knows nothing of models or processes."""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rlm.sandbox.child.shown import rounded
from rlm.types import Action, Final

RUNNABLE = frozenset({"", "repl", "python", "python3", "py", "tool_code"})
# fence tags whose block is code for the REPL; models write what they were trained on, whatever they are told

_TAG = "repl|python3?|py|tool_code"
_NEXT = re.compile(
    rf"""
      (?P<think><think>)
    | ^[ \t]*```(?:{_TAG})[ \t]+(?P<inline>\S.*?)```[ \t]*$         # a whole block on one line
    | ^[ \t]*(?P<fence>`{{3,}}|~{{3,}})[ \t]*(?P<tag>[\w+#.-]*)[^\n`]*(?:\n|\Z)
    | (?P<late>```)(?:{_TAG})[ \t]*(?:\n|\Z)                        # a block that opens at the end of a line
    """,
    re.MULTILINE | re.IGNORECASE | re.VERBOSE,
)
# What can stand in Python before a closing fence; a fence inside a string or a comment closes nothing.
_PYTHON = re.compile(
    r"""
      \#[^\n`]*
    | '''(?:\\.|[^\\])*?(?:'''|\Z)
    | \"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\Z)
    | '(?:\\.|[^\\\n'])*' | "(?:\\.|[^\\\n"])*"
    | (?P<fence>`{3,}|~{3,})(?P<rest>[^\n]*)
    """,
    re.DOTALL | re.VERBOSE,
)
_FINAL = re.compile(
    r"^[ \t]*(?:(?:[*_`>#-]+|[Aa]nswer:)[ \t]*)*(?P<name>FINAL|FINAL_VAR|Final|final)\(", re.MULTILINE
)
_LONE_TAG = re.compile(rf"\A\s*(?:{_TAG})[ \t]*(?:\n|\Z)")
# a fence's tag on a line of its own
_LINE_END = re.compile(r"\)(?=[ \t*_`.;]*(?:\n|\Z))")

_MAX_LITERAL = 100_000
# characters; a longer FINAL(…) is plain text: Python's parser needs hundreds of times its size
_MAX_ENDS = 200
# closing parentheses tried as the end of one FINAL(…)


@dataclass(frozen=True)
class _Segment:
    kind: Literal["prose", "code", "other", "thinking"]
    text: str
    source: str
    # the whole of it, fences and tags included
    closed: bool = True


def parse(text: str, *, cut: bool = False) -> Action:
    """Returns the code blocks and the final answer of a reply; never raises.

    FINAL counts on a line of its own, outside code and thinking; the first one does.
    `cut`: the reply ran out of tokens, so what has no end, a block or a FINAL(…, does not count.
    """
    cells: list[str] = []
    final: Final | None = None
    for segment in _segments(_lines(text)):
        if segment.kind == "prose":
            final = final or _find_final(segment.text, cut=cut)
        elif segment.kind == "code" and (segment.closed or not cut):
            code = textwrap.dedent(_LONE_TAG.sub("", segment.text)).strip("\n").rstrip()
            no_python = code.startswith("FINAL") and _parse_python(code) is None
            answer = _find_final(code, cut=cut) if no_python else None
            if answer:
                final = final or answer
            elif code:
                cells.append(code)
    return Action(tuple(cells), final)


def is_complete(text: str) -> bool:
    """Tells whether a reply that is still streaming has reached the end of its first block or of its FINAL.

    What a model writes after its code can only be an invented output.
    """
    tail = text[-8:].rstrip(" \t")
    if not tail.endswith(("```", "~~~", "\n")):
        return False
    for segment in _segments(_lines(text)):
        if segment.kind == "code" and segment.closed and _LONE_TAG.sub("", segment.text).strip():
            return True
        if segment.kind == "prose" and tail.endswith("\n") and _find_final(segment.text, cut=True):
            return True
    return False


CIRCLE = 320
# characters of a reply that are the same up to 40 of them again and again, until it is taken to have no end
_CIRCLE = re.compile(r"(.{4,40}?)\1{7,}.{0,39}", re.DOTALL)


def repeats_itself(text: str) -> bool:
    """Tells whether a reply goes round in circles: its last characters are one piece, over and over."""
    tail = text[-CIRCLE:]
    return len(tail) == CIRCLE and bool(_CIRCLE.fullmatch(tail))


def split_thinking(text: str) -> tuple[str, str]:
    """Parts a reply into (answer, thinking) where a server left the thinking in the text."""
    head, lone, tail = text.partition("</think>")
    if lone and "<think>" not in head and len(re.findall("^[ \t]*```", head, re.MULTILINE)) % 2 == 0:
        return tail.lstrip(), head.strip()
    segments = list(_segments(text))
    thinking = "\n".join(segment.text.strip() for segment in segments if segment.kind == "thinking")
    return "".join(segment.source for segment in segments if segment.kind != "thinking").lstrip(), thinking


def _lines(text: str) -> str:
    """The text with line ends as Python has them, without marks that nobody sees, its first fence mended."""
    text = text.replace("\r\n", "\n").replace("\ufeff", "").replace("\u200b", "")
    return f"```{text.lstrip()}" if _LONE_TAG.match(text) else text


def _segments(text: str) -> Iterator[_Segment]:
    """Cuts a reply into prose, code, other fenced blocks and thinking, in order."""
    position = 0
    while match := _NEXT.search(text, position):
        prose = text[position : match.start()]
        yield _Segment("prose", prose, prose)
        start = match.end()
        kind: Literal["code", "other", "thinking"] = "code"
        if match["inline"]:
            start, end, position = match.start("inline"), match.end("inline"), match.end()
        elif match["think"]:
            kind = "thinking"
            end, position = _find(re.compile("</think>"), text, start)
        elif match["late"] or match["tag"].lower() in RUNNABLE:
            end, position = _end_of_code(text, start, match["fence"] or match["late"])
        else:
            kind = "other"
            end, position = _find(re.compile(rf"^[ \t]*{match['fence']}[ \t]*$", re.MULTILINE), text, start)
        yield _Segment(kind, text[start:end], text[match.start() : position], closed=position > end)
    yield _Segment("prose", text[position:], text[position:])


def _find(pattern: re.Pattern[str], text: str, start: int) -> tuple[int, int]:
    """Returns where the match begins and ends; both are the end of the text if there is none."""
    match = pattern.search(text, start)
    return match.span() if match else (len(text), len(text))


def _end_of_code(text: str, start: int, fence: str) -> tuple[int, int]:
    """Returns where the code ends and where the text goes on; both are the end of the text if unclosed."""
    for match in _PYTHON.finditer(text, start):
        if not (match["fence"] or "").startswith(fence):
            continue
        rest = match["rest"].strip()
        if not rest:
            return match.start(), match.end()
        line = text.rfind("\n", start, match.start()) + 1
        if rest.lower() in RUNNABLE and line and not text[line : match.start()].strip():
            return line - 1, line  # the next block opens, and this one was never closed
    return len(text), len(text)


def _find_final(text: str, *, cut: bool) -> Final | None:
    """Returns the first FINAL(…) or FINAL_VAR(…) that begins a line of the text."""
    match = _FINAL.search(text)
    if not match:
        return None
    rest = text[match.end() :]
    ends = [end.start() for end in itertools.islice(re.finditer(r"\)", rest), _MAX_ENDS)]
    ends.sort(key=lambda end: not _LINE_END.match(rest, end))  # the end of a line first; sorting is stable
    for end in ends:
        if final := _python_final(rest[:end], variable=match["name"] == "FINAL_VAR"):
            return final
    for end in ends:
        if rest.count("(", 0, end) == rest.count(")", 0, end):
            return Final(rest[:end].strip())
    return None if cut else Final(rest.strip())


def _python_final(argument: str, *, variable: bool) -> Final | None:
    """Reads what stands between the parentheses as one Python expression, None where it is not one."""
    tree = _parse_python(f"FINAL({argument})")
    match tree.body if tree else []:
        case [ast.Expr(ast.Call(args=[given], keywords=[]))] if not isinstance(given, ast.Starred):
            text = argument.strip()
        case _:
            return None
    try:
        value = ast.literal_eval(given)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return Final(text, kind="variable" if variable else "expression")
    if isinstance(value, str):
        return Final(value, kind="variable") if variable else Final(value, value)
    return Final(rounded(text), value)


def _parse_python(text: str) -> ast.Module | None:
    if len(text) > _MAX_LITERAL:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in an answer is no news to anyone
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
