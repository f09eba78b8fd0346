"""The help that small models need beyond the plain loop. Reads a run's record; knows no model, no process."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rlm import asks, prompts
from rlm.sandbox.child.finding import compounds
from rlm.sandbox.child.hints import NOTHING
from rlm.sandbox.child.labels import LABELLED
from rlm.types import Execution, Iteration, Related

SMALL = 9.0
# billion parameters, up to which a model is taken for a small one
DOUBTS = 3
# in a run
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)
_LINES = re.compile(r"(?s)(?!.*(?:count\(|findall|finditer|Counter)).*\bfor (?:line|item|text|row)\b")
# code that goes from line to line and counts none of what is in them
_READS = re.compile(r"\b(?:context|rows)\b|\bsearch\(")
# in code that goes through the data, and not only through what earlier code has found
_NAMES = re.compile(r"\b[A-Z]\w+(?: [A-Z]\w+)+")
# of two words or more


def is_small(name: str) -> bool:
    """Whether a model is small, as far as its name says: `qwen3:4b`, `local:qwen2.5-coder-1.5b`."""
    found = _SIZE.search(name)
    return float(found[1]) <= SMALL if found else name.startswith("local:")


class Guide:
    """Watches one run of a small model.

    question: the user's; related: what the context has of it; shown: the first message.
    context: as the REPL reports it; follows_up: whether there were questions before this one.
    """

    def __init__(
        self, question: str, related: Related, shown: str, context: Mapping[str, Any], *, follows_up: bool
    ) -> None:
        self.question = question
        self.related = related
        self.shown = shown
        self._follows_up = follows_up
        self._needs_code = not (follows_up or prompts.is_in_view(context) or related.unsaid == "words")
        # or the answer may be in an earlier one, in a short text, in the lines that are unlike all others
        self._superlative = asks.A_SUPERLATIVE.search(question)
        self._doubts: list[str] = []
        # that the model was told of

    def doubt(self, answer: str, trajectory: Sequence[Iteration]) -> str:
        """What to say to an answer that looks invented; each thing once in a run: the model may be right."""
        complaint = self._complaint(answer, trajectory)
        if not complaint or complaint in self._doubts or len(self._doubts) == DOUBTS:
            return ""
        self._doubts.append(complaint)
        return complaint

    def _complaint(self, answer: str, trajectory: Sequence[Iteration]) -> str:
        cells = [e for turn in trajectory for e in turn.executions]
        outputs = ["\n".join(filter(None, (e.stdout.strip(), e.value, e.error))) for e in cells]
        shown = "\n".join([self.shown, *outputs])
        said, asked, seen = map(_words, (answer, self.question, shown))
        seen |= set(re.findall(r"\w+", shown))  # 1,234 is a number, and 12,Oslo,34 has two
        numbers = {word for word in said if word.isdigit()}
        if self.related.unsaid in prompts.UNLABELLED and not any(cell.sub_calls for cell in cells):
            return prompts.NOT_READ
        other = self._namesake(said, shown)
        if other or (said in ({"true"}, {"false"}) and asks.MORE_THAN_YES_OR_NO.search(self.question)):
            return prompts.not_there(answer, other, self.related.missing)
        new = said - (asked - _words("\n".join(outputs)))
        tolerated = len(said) > 3 and asks.WHY.search(self.question)  # "gave" for "give"
        repeats = said and len(new) <= bool(tolerated)
        if repeats and not asks.A_CHOICE.search(self.question):
            good = [
                cell
                for cell, output in zip(cells, outputs, strict=True)
                if not cell.error and output not in NOTHING
            ]
            return prompts.only_the_question((good[-1].value or good[-1].stdout) if good else "")
        if re.fullmatch(r"-?\d+\.\d{2,}", answer.strip()) and asks.WHICH_ONE.search(self.question):
            return prompts.NOT_WHICH_ONE
        if said and not outputs and self._needs_code:
            if said <= numbers and asks.HOW_MANY.search(self.question) and not self.related.says(answer):
                return prompts.not_yet("counted")
            if self._superlative and not self.related.says(self._superlative[0]):
                return prompts.not_yet("compared")
            if asks.ALL.search(self.question) and not asks.SO_MANY.search(self.question):
                return prompts.not_yet("listed")
        code = [cell.code for cell in cells]
        if self._needs_code and not self.related.says(answer) and self._is_written_in(code, answer):
            return prompts.written_in_code(answer)
        if outputs and not self._follows_up and (missed := self._overlooked(code)):
            return missed
        known = " ".join(f"{self.question}\n{shown}".casefold().split())
        alone = answer.isalpha() and answer.istitle() and asks.A_NAME.search(self.question)
        names = {
            name for name in ([answer] if alone else _NAMES.findall(answer)) if name.casefold() not in known
        }
        if re.search(r"\d\.\d", answer):  # it may be rounded
            numbers = set()
        numbers = {n for n in numbers - asked - seen if len(n) > 1 and n.lstrip("0") not in seen}
        unseen = names or numbers
        computed = asks.is_computed(self.question)
        return prompts.never_shown(min(unseen), computed=computed) if unseen else ""

    def _is_written_in(self, cells: Sequence[str], answer: str) -> bool:
        """Whether the latest code has the answer as it stands: a superlative, or any if none reads data."""
        literal = rf"""(["']){re.escape(answer)}\1|\bprint\({re.escape(answer)}\)"""
        found = cells and answer not in self.question and re.search(literal, cells[-1])
        return bool(found and (self._superlative or not _READS.search("\n".join(cells))))

    def _overlooked(self, cells: Sequence[str]) -> str:
        """What of a question that is to be computed the code overlooks where it last reads the data."""
        if not asks.is_computed(self.question):
            return ""
        anew = max((n for n, cell in enumerate(cells) if _READS.search(cell)), default=0)
        code = "\n".join(cells[anew:])
        named, folded = self.related.named, code.casefold()
        if missed := [name for name in named if any(word not in folded for word in _words(name))]:
            return prompts.took_no_notice(missed, named)
        if asks.HOW_OFTEN.search(self.question) and _LINES.match(code) and "rows" not in code:
            return prompts.counts_lines(next(iter(named), "word"))
        return ""

    def _namesake(self, said: set[str], shown: str) -> str:
        """A name in the answer's line that shares a part with the question's, which is nowhere."""
        parts = _words(self.related.missing)
        for line in shown.splitlines() if parts and said else ():
            if said <= _words(line):
                for name in compounds(line):
                    if parts & _words(name) and name.casefold() != self.related.missing.casefold():
                        return name
        return ""

    def saw(self, executions: Sequence[Execution]) -> Related:
        """What the context has of the question after these cells, which may have had its texts labelled."""
        if self.related.unsaid in prompts.UNLABELLED and any(LABELLED in e.stdout for e in executions):
            self.related = replace(self.related, unsaid="labelled")
        return self.related


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.replace(",", "").casefold()))
