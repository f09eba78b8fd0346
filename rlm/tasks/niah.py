"""Needle in a haystack: one 7-digit number in lines of random words."""

from __future__ import annotations

from rlm.tasks import haystack
from rlm.tasks.sample import LENGTH, Sample, Stream


def sample(
    seed: int, *, length: int = LENGTH, lines: int | None = None, depth: float | None = None
) -> Sample:
    """A haystack with one needle.

    length: characters, up to one line more.
    lines: how many lines, the needle's among them, whatever their length; at least 1.
    depth: relative position of the needle, from 0 (first line) to 1 (last line); None: anywhere.
    """
    stream = Stream(seed)
    number = stream.code()
    needle = f"The secret number is {number}."
    if lines is None:
        context = haystack.bury(stream, [needle], length, depth)
    else:
        place = stream.random() if depth is None else depth
        hay = [haystack.words(stream) for _ in range(lines - 1)]
        context = "\n".join(haystack.insert(hay, [needle], [place]))
    return Sample(context, "What is the secret number that is hidden in the text?", (number,), "codes")
