"""Needle in a haystack: one 7-digit number in lines of random words."""

from __future__ import annotations

import random
import re

from rlm.tasks import Sample

WORDS = (
    "acorn amber anchor apron arrow autumn bamboo barrel basket beacon bench birch blanket bottle branch "
    "breeze bridge bronze bucket button cabin candle canvas carpet castle cedar chalk cherry circle clay "
    "cloud clover cobalt copper coral cotton cradle crystal curtain daisy desert dough dragon drawer eagle "
    "ember engine falcon feather fence fiddle flint forest fossil fountain garden ginger glacier gravel "
    "hammer harbor hazel helmet hollow honey island ivory jacket jasmine kettle ladder lantern leather lemon "
    "linen lizard magnet maple marble meadow mirror mosaic needle nickel oasis olive orchard otter paddle "
    "paper pebble pepper pillow plum pocket pollen quartz quilt rabbit raven ribbon river saddle sand "
    "shadow silver sparrow spoon stone summer table thunder timber tulip tunnel valley velvet walnut "
    "water whistle willow window winter"
).split()


def sample(seed: int, *, lines: int = 10_000, depth: float | None = None) -> Sample:
    """A haystack of so many lines.

    lines: at least 1, the needle's among them.
    depth: relative position of the needle, from 0 (first line) to 1 (last line); None: anywhere.
    """
    rng = random.Random(seed)
    number = str(rng.randint(1_000_000, 9_999_999))
    hay = [" ".join(rng.choices(WORDS, k=rng.randint(5, 12))) for _ in range(lines - 1)]
    place = rng.random() if depth is None else depth
    hay.insert(round(place * (lines - 1)), f"The secret number is {number}.")
    return Sample("\n".join(hay), "What is the secret number that is hidden in the text?", number)


def score(answer: str, gold: str) -> float:
    """1.0 if the answer gives the number and no other of as many digits, else 0.0."""
    numbers = set(re.findall(r"\d+", re.sub(r"(?<=\d)[,_ ](?=\d{3}\b)", "", answer)))
    return float({number for number in numbers if len(number) >= len(gold)} == {gold})
