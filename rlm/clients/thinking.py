"""Thinking that a server leaves in a reply's text, between <think> and </think>. Knows no provider."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class Reply:
    """A reply as it arrives: `text`, and apart from it `thinking`.

    <think> opens thinking at the beginning only: elsewhere a model writes about it, or in code. Where the
    prompt's template has opened it, the reply has </think> alone, and what came before turns out as thinking.
    """

    def __init__(self) -> None:
        self.text = self.thinking = ""
        self._held = ""
        # what may be the beginning of a tag
        self._inside: bool | None = None
        # whether it is thinking; None: not known yet

    def add(self, text: str, thinking: str = "") -> str | None:
        """Takes the next pieces; returns the new part of `text`, None where `text` has begun anew."""
        self.thinking += thinking
        self._held += text
        if self._inside is None:
            start = self._held.lstrip()
            if start != OPEN and OPEN.startswith(start):
                return ""
            self._inside = start.startswith(OPEN)
            if self._inside:
                self._held = start[len(OPEN) :]
            elif self.thinking:  # blank lines after it
                self._held = start
        if not self._inside:
            return self._answer()
        inner, closed, rest = self._held.partition(CLOSE)
        if closed:
            self.thinking += inner
            self._held, self._inside = "", None
            return self.add(rest)
        kept = _beginning_of(CLOSE, at_the_end_of=inner)
        self.thinking += inner[: len(inner) - kept]
        self._held = inner[len(inner) - kept :]
        return ""

    def end(self) -> str:
        """Takes what was held back; returns the new part of `text`."""
        held, self._held = self._held, ""
        if self._inside:
            self.thinking += held
            return ""
        self.text += held
        return held

    def _answer(self) -> str | None:
        new, self._held = self._held, ""
        before = len(self.text)
        self.text += new
        if self.thinking or CLOSE not in self.text[max(0, before - len(CLOSE)) :]:
            return new
        inner, _, rest = self.text.partition(CLOSE)
        if inner.count("```") % 2:  # in code
            return new
        self.text, self.thinking, self._inside = "", inner, None
        self.add(rest)
        return None


def _beginning_of(tag: str, *, at_the_end_of: str) -> int:
    """How many characters at the end of the text may be the beginning of the tag."""
    lengths = range(min(len(tag) - 1, len(at_the_end_of)), 0, -1)
    return next((length for length in lengths if at_the_end_of.endswith(tag[:length])), 0)
