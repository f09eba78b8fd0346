"""What needles are hidden in: lines of random words, or sentences about everyday acts of named people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rlm.tasks.sample import Stream

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

NAMES = (
    "Ada Agnes Alma Anton Bela Boris Bruno Carla Cyril Dagmar Darko Edith Elmar Emil Esther Fabio Felix "
    "Flora Gerda Gideon Greta Hanna Hector Hilda Hugo Ida Igor Ines Ivo Jakob Jasmin Jonas Judith Kaspar "
    "Katja Klara Lars Leona Linus Lydia Magda Marek Marta Milan Mirko Nadia Nils Nora Olga Oscar Otto "
    "Paula Pavel Petra Rasmus Rita Roland Rosa Ruben Sasha Selma Sonja Stella Sven Tamara Tarik Thea "
    "Tobias Ulla Ursula Valentin Vera Viktor Vilma Walter Wanda Xenia Yara Yusuf Zoe"
).split()

_WHEN = (
    "In the morning|Before lunch|After supper|On Monday|On Friday|Late at night|A week ago|At noon|"
    "One rainy day|Without a word|As usual|For the second time"
).split("|")
_ACTS = (
    "mended|cleaned|painted|carried|borrowed|hid|found|lost|dropped|packed|sold|polished|measured|"
    "wrapped|sketched|admired|moved|weighed|counted|labelled|returned|dusted|examined|lifted"
).split("|")
_THINGS = (
    "an old chair|a blue bucket|a heavy box|a broken clock|a pair of boots|a roll of paper|a small ladder|"
    "a brass key|a wooden frame|a torn curtain|a box of nails|a grey blanket|a rusty bolt|a tin of paint|"
    "a thick rope|a spare wheel|a green bottle|a stack of plates|a dusty mirror|a bag of sand|a loose button|"
    "a paper lantern|a round table|a cracked vase"
).split("|")
_WHERE = (
    "behind the shed|in the hallway|next to the stairs|at the corner shop|under the window|in the back yard|"
    "beside the gate|in the attic|by the front door|near the post office|in the garage|on the porch|"
    "at the bus stop|outside the library|in the cellar|across the street"
).split("|")


def words(stream: Stream) -> str:
    """5 to 12 random words."""
    return " ".join([stream.choice(WORDS) for _ in range(stream.between(5, 12))])


def sentence(stream: Stream) -> str:
    """Somebody's everyday act."""
    act = f"{stream.choice(_ACTS)} {stream.choice(_THINGS)} {stream.choice(_WHERE)}"
    return told(stream, act, stream.choice(NAMES))


def told(stream: Stream, act: str, name: str) -> str:
    """An act as the hay tells it, so that a needle does not stand out."""
    return f"{stream.choice(_WHEN)}, {name} {act}."


def needle(key: str, code: str) -> str:
    """A key and its code, the plain sort of needle."""
    return f"The code of {key} is {code}."


def lines(stream: Stream, length: int, line: Callable[[Stream], str]) -> list[str]:
    """So many characters of lines, or up to one line more."""
    made = []
    while length > 0:
        made.append(line(stream))
        length -= len(made[-1]) + 1
    return made


def bury(
    stream: Stream,
    needles: Sequence[str],
    length: int,
    depth: float | None = None,
    line: Callable[[Stream], str] = words,
) -> str:
    """Lines of hay and needles, of the length or up to one line more (the needles are never left out).

    depth: relative position of the first needle, from 0 (first line) to 1 (last line); None: anywhere.
    The other needles are anywhere.
    """
    hay = lines(stream, length - sum(len(needle) + 1 for needle in needles), line)
    places = [stream.random() for _ in needles]
    if depth is not None:
        places[0] = depth
    return "\n".join(insert(hay, needles, places))


def insert(hay: list[str], needles: Sequence[str], places: Sequence[float]) -> list[str]:
    """The hay with each needle at its relative place."""
    found = list(hay)
    # from the end, so that the places before do not move
    for place, needle in sorted(zip(places, needles, strict=True), reverse=True):
        found.insert(round(place * len(hay)), needle)
    return found
