"""Worked examples, from examples.md: the turns that a root is shown before its question."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from rlm import prompts
from rlm.types import Execution, Related

_STEP = re.compile(r"```repl\n(.*?)\n```\n(.*?)\n(?=```|FINAL)", re.DOTALL)


def turns(context: dict[str, Any], *, unsaid: str = "") -> Iterator[tuple[str, str]]:
    """For a context as the REPL reports it: what was shown and what was replied, in turn.

    unsaid: what the context does not say of the question, as in `Related`.
    """
    about, *examples = _fitting(context, unsaid)
    for example in examples:
        asked, _, rest = example.partition("\n")
        related = Related(
            "\n".join(re.findall("^> (.*)", rest, re.MULTILINE)),
            unsaid="".join(re.findall("^unsaid: (.*)", rest, re.MULTILINE)),
        )
        shown = prompts.first_message([about], asked, related, context)
        for code, output in _STEP.findall(rest):
            yield shown, f"```repl\n{code}\n```"
            shown = prompts.observation([Execution(code, output)], len(output), asked, related)
        yield shown, rest[rest.rindex("FINAL(") :].strip()
        about = "`context` is the same."


@cache
def _kinds() -> dict[str, list[str]]:
    """For each kind of context what is said of it, then its examples."""
    text = Path(__file__).with_name("examples.md").read_text(encoding="utf-8")
    return {
        kind: [part.strip() for part in f"\n{section}".split("\n\n## ")]
        for kind, section in re.findall(r"^# (.+)\n((?:(?!# ).*\n)*)", text, re.MULTILINE)
    }


def _fitting(context: dict[str, Any], unsaid: str) -> list[str]:
    kinds, kind, items = _kinds(), context.get("type"), context.get("items")
    if "row" in context:
        kind = "rows"
    elif kind not in ("str", "NoneType"):
        kind = f"{'dict' if kind == 'dict' else 'list'} of {'str' if not items or 'str' in items else 'dict'}"
    if unsaid == "words" and kind not in ("rows", "NoneType"):
        return kinds[kind] + kinds["words"][1:]
    return kinds.get(f"{kind}, {unsaid}", kinds[kind])
