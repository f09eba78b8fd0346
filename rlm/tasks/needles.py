"""Needles that a search for the question's words does not settle: latent, absent and decoy."""

from __future__ import annotations

from rlm.tasks import haystack
from rlm.tasks.sample import LENGTH, Sample, Stream

ASSOCIATIONS = (
    ("saw the Eiffel Tower from the kitchen each day", "Who lives in Paris?"),
    ("took the gondola to work, as all the neighbours do", "Who lives in Venice?"),
    ("gave up meat, fish, milk and eggs", "Who is vegan?"),
    ("swelled up after a single peanut", "Who has a food allergy?"),
    ("took the bow and rubbed rosin on it before the concert", "Who plays the violin?"),
    ("practised the scales until all 88 keys had been pressed", "Who plays the piano?"),
    ("pulled a rotten molar and told the next patient to open wide", "Who is a dentist?"),
    ("took the loaves out of the oven at four, before the customers came", "Who is a baker?"),
    ("sat in the cockpit and asked the tower for clearance", "Who is a pilot?"),
    ("milked forty cows before dawn", "Who is a farmer?"),
    ("slid down the pole as soon as the siren went", "Who is a firefighter?"),
    ("took the blood pressure of everyone on the ward", "Who works in a hospital?"),
    ("could not tell red from green at the traffic lights", "Who is colour-blind?"),
    ("read the letter in braille", "Who is unable to see?"),
    ("spoke with both hands, since sounds mean nothing to those ears", "Who is deaf?"),
    ("blew out eighteen candles and may vote from now on", "Who has just come of age?"),
    ("put a ring on the bride's finger and said yes", "Who got married?"),
    ("wore black beside mother's open grave", "Who lost a parent?"),
    ("pushed the pram with the twins through the snow", "Who has two babies?"),
    ("put on a helmet and went down the mine with a pick", "Who digs for coal?"),
    ("gasped for breath because of the cat and reached for the inhaler", "Who suffers from asthma?"),
    ("injected insulin before the meal, as before every meal", "Who is diabetic?"),
    ("put the king in check and pressed the clock", "Who plays chess?"),
    ("took off the skis and waited for the lift", "Who was on a winter sports holiday?"),
    ("hit the ball over the net for an ace", "Who plays tennis?"),
    ("cooled both feet in the Nile with the pyramids in view", "Who has been to Egypt?"),
    ("grew carrots and beans on a plot by the railway", "Who has a vegetable garden?"),
    ("pointed the telescope at the rings of Saturn", "Who is an astronomer?"),
    ("was taken off in handcuffs for emptying the safe of a bank", "Who is a thief?"),
)
# what is told of somebody, and a question about it that shares no word with it

_OBJECTS = "lamp door drum kite coat vase".split()
_COLOURS = "red blue green yellow purple orange".split()
_FLOORS = "first second third fourth fifth sixth".split()


def latent(seed: int, *, length: int = LENGTH, depth: float | None = None) -> Sample:
    """A fact about somebody that only its meaning ties to the question, as in NoLiMa (arXiv 2502.05167).

    The hay is sentences about many people, the one asked for among them.
    """
    stream = Stream(seed)
    act, question = stream.choice(ASSOCIATIONS)
    name = stream.choice(haystack.NAMES)
    needle = haystack.told(stream, act, name)
    context = haystack.bury(stream, [needle], length, depth, haystack.sentence)
    question += " Give the name of the person of whom the text suggests it most clearly."
    return Sample(context, question, (name,), "choice", choices=tuple(haystack.NAMES))


def absent(seed: int, *, length: int = LENGTH) -> Sample:
    """A code that the text does not give, though it gives those of keys with the same words."""
    stream = Stream(seed)
    first, second, *others = stream.distinct(haystack.WORDS, 6)
    keys = [f"{first}-{others[0]}", f"{others[1]}-{second}", f"{second}-{first}", f"{others[2]}-{others[3]}"]
    context = haystack.bury(stream, list(map(haystack.needle, keys, stream.codes(len(keys)))), length)
    question = f"What is the code of {first}-{second} in the text, or is there none?"
    return Sample(context, question, ("The code is not in the text.",), "absence")


def decoy(seed: int, *, length: int = LENGTH, depth: float | None = None) -> Sample:
    """A code among many that differ from the one asked for in one word; the depth is that one's."""
    stream = Stream(seed)
    colour, thing, floor = (stream.choice(part) for part in (_COLOURS, _OBJECTS, _FLOORS))
    near = [(other, thing, floor) for other in _COLOURS if other != colour]
    near += [(colour, other, floor) for other in _OBJECTS if other != thing]
    near += [(colour, thing, other) for other in _FLOORS if other != floor]
    texts = [
        f"the {colour} {thing} on the {floor} floor"
        for colour, thing, floor in [(colour, thing, floor), *near]
    ]
    numbers = stream.codes(len(texts))
    context = haystack.bury(stream, list(map(haystack.needle, texts, numbers)), length, depth)
    return Sample(context, f"What is the code of {texts[0]} in the text?", (numbers[0],), "codes")
