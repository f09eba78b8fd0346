"""A list of long documents, with one fact in one of them."""

from __future__ import annotations

from rlm.tasks import haystack
from rlm.tasks.sample import LENGTH, SHORTEST, Sample, Stream

MOST = 20
# documents; short contexts have fewer


def sample(seed: int, *, length: int = LENGTH, depth: float | None = None) -> Sample:
    """Documents with titles, and a question on the fact or on the title of the document that has it.

    length: characters of all documents together, up to one line for each more.
    depth: relative position of the fact in its document, from 0 to 1; None: anywhere.
    """
    length = max(length, SHORTEST)
    stream = Stream(seed)
    count = min(MOST, length // 250)
    titles = [f"Report {word.capitalize()}" for word in stream.distinct(haystack.WORDS, count)]
    held, number, item = stream.between(0, count - 1), stream.code(), stream.choice(haystack.WORDS)
    fact = f"The licence of the {item} workshop has the number {number}."
    context = []
    for i, title in enumerate(titles):
        size = length // count - len(title) - 2
        facts = [fact] if i == held else []
        place = depth if i == held else None
        context.append(f"{title}\n\n{haystack.bury(stream, facts, size, place, haystack.sentence)}")
    kind = stream.choice(["fact", "title"])
    if kind == "fact":
        question = f"What number does the licence of the {item} workshop have, according to the documents?"
        return Sample(context, question, (number,), "codes", kind=kind)
    question = (
        f"Each document begins with its title. In which document is the licence of the {item} workshop "
        "mentioned? Answer with its title."
    )
    return Sample(context, question, (titles[held],), "choice", tuple(titles), kind)
