"""Finding text in a context: what matches a pattern, has most of a question's words, or is named in those.

Standard library only: it runs in a clean interpreter.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rlm.sandbox.child import blocks

NEAREST = 6
# lines or items that are shown where the words of a question are looked for
NEAR = 0.25
# what a line must count for beside the best one
RARE = 0.05
# what a word counts for that is in 20 lines or items
AROUND = 120
# characters given on either side of a match in a long line or item
BEGINNING = 40
# characters of a long item's first line that are shown with a piece of it
LONG = 600
# characters of a line, beyond which each of its sentences is taken for a line
WITH_BLOCK = 3
# lines that are shown with what they belong to, and what belongs to them
TITLE = 25
# characters of a line that is so short that more of the text is shown with it
MANY = 10_000
# lines or items with a word, after which it is taken to be in too many to tell anything
LARGEST = 50_000_000
# characters in which words are looked for, or 250 times the items
CONTAINERS = (dict, list, tuple, set, frozenset)
NUMBER = 8
# characters that a value counts for which is no text
STOP_WORDS = frozenset(
    "about according all and answer any are can clearly context data did does find for from give has have "
    "how into its line lines many most much name names not number of often question say says suggests tell "
    "text than that the their them there these this those was were what when where which who whose why with "
    "word words written you your".split()
)
# not worth a search
_COMPOUND = re.compile(r"\w+(?:[-_.@/]+\w+)+")
# a name with hyphens, dots and the like
_AUXILIARY = re.compile(r"\b(?:does|did|is|was|has|can|could|will|would|should) $", re.IGNORECASE)
# before a name that does something: "does auth-proxy use"
_NAME = re.compile(
    r"(?<=\[\[)[^]|#\n]+|"
    + _COMPOUND.pattern
    + r"|(?<=[a-z,;:] )[A-Z]\w{3,}|\b[A-Z][A-Z\d]{3,}\b|\b\d{5,}\b|\b(?=\w*\d)(?=\d*[^\W\d])\w{4,}\b"
)
# also a wiki's link, words with a capital within a sentence or in capitals, long numbers, letters and digits
_VALUE = re.compile(
    r'"([^"\n]{2,40})"|(?<=[a-z,;:] )([A-Z]\w{2,})(?![\w-])|(?<!\w)([A-Z][A-Z\d]{2,})(?!\w)'
    r"|(?<![\w.:/-])(\d{4}-\d\d-\d\d|\d{2,}(?![:/-]\d))(?![\w.]*\w)"
)
# of a question, what its answer may depend on
_DEFINED = re.compile(r"""["“]([^"“”\n]{1,40})["”] \([^()]+\)""")
# a label with its meaning
_EACH_IS = re.compile(r"""\b(?:each|every)\b[^.?!"“]*["“]""", re.IGNORECASE)
_LABELLED = re.compile(r"\b(label|categor|classif|sentiment|emotion|topic|intent)", re.IGNORECASE)
# of what a text is about or how it is meant, if the data does not say
_OF_MANY = re.compile(
    r"\b(?:how (?:many|often)|most|least|more|fewer|less|common|all|each|every)\b", re.IGNORECASE
)
_HOW_MANY = re.compile(r"\bhow many\b", re.IGNORECASE)
FEW = 300
# lines or items that a CPU reads in some minutes
LONGEST = 5_000_000
# characters in which lines unlike all others are looked for, or 250 times the items
STRANGE = 3
# words of a line that no other line has, from which on it is unlike them
FOLLOWED = 8
# lines or items that are shown because of names in others
MENTIONS = 4
# lines or items with a name, up to which it is followed
LISTED = 6
# new names of a line, beyond which it is taken for a list and none of them is followed
LONGEST_KIND = 40
# characters of a field's value that is looked for in a question
REPEATED = 4
# times that the values of a field come on average, from which on they are taken for kinds
SHORT = 500
# characters of an item, up to which the names in it are followed


def as_regex(pattern: str) -> re.Pattern[str]:
    """The pattern, ignoring case, where a space stands for any run of spaces and hyphens.

    Brackets around a whole word, as in "[host1742]", are meant as they are.
    """
    pattern = re.sub(r"(?<!\\)\[(\w{3,})\](?![*+?{])", r"\\[\1\\]", pattern)
    spaced = pattern if "[" in pattern else pattern.replace(" ", r"[\s_-]+")
    try:
        return re.compile(spaced, re.IGNORECASE | re.MULTILINE)
    except re.error:
        return re.compile(re.escape(pattern), re.IGNORECASE)


def matches(regex: re.Pattern[str], text: Any) -> Iterator[tuple[int, str]]:
    """Lines of a str, items of a list or entries of a dict; of a long one, what is around the match.

    Before each its place: where the line begins, or the item's index.
    """
    if isinstance(text, str):
        end = -1  # of the last line given
        for match in regex.finditer(text):
            if match.start() > end:
                start, end = _line(text, match.start(), match.end())
                yield start, text[max(start, match.start() - AROUND) : min(end, match.end() + AROUND)]
        return
    if not isinstance(text, CONTAINERS):
        raise TypeError(f"search looks through a str, list or dict, not {type(text).__name__}")
    for index, (key, entry) in enumerate(_entries(text)):
        if found := regex.search(entry):
            yield index, _part(key, entry, found.start(), found.end())


def words(text: str) -> list[str]:
    """The words that a search for this text could look for, those with hyphens and the like whole as well."""
    text = re.sub(r"\\.", " ", text.lower())
    found = dict.fromkeys([*_COMPOUND.findall(text), *re.findall(r"[^\W_]{3,}", text)])
    return [word for word in found if word not in STOP_WORDS][:12]


def compounds(text: str) -> list[str]:
    """The names in it that have hyphens, dots and the like."""
    return list(dict.fromkeys(_COMPOUND.findall(text)))


def missing(question: str, text: Any) -> str:
    """The first of a question's compounds that is nowhere in the context; else ""."""
    if not is_searchable(text):
        return ""
    for found in _COMPOUND.finditer(question):
        name = found[0]
        if _describes(name, question[: found.start()], question[found.end() :]):
            continue
        if next(matches(re.compile(re.escape(name), re.IGNORECASE), text), None) is None:
            return name
    return ""


def _describes(compound: str, before: str, rest: str) -> bool:
    """Whether a compound is no name but says of what kind something is: "second-hand cars", "e-mails"."""
    parts = compound.split("-")
    following = None if _AUXILIARY.search(before) else re.match(r" ([a-z]{3,})\b", rest)
    kind = min(map(len, parts)) == 1 or bool(following and following[1] not in STOP_WORDS)
    return kind and len(parts) > 1 and compound.islower() and all(part.isalpha() for part in parts)


def named(question: str, text: Any) -> list[str]:
    """The names, numbers and quotations of a question that are in the context."""
    found = dict.fromkeys(filter(None, itertools.chain.from_iterable(_VALUE.findall(question))))
    searched = found if is_searchable(text) else ()
    return [name for name in searched if next(_with_name(name, text), None)]


def values(question: str, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The words of a question that are a value of a field which has few, with it; no two of one field."""
    found, codes = {}, _codes(question)
    for field, few in kinds(rows).items():
        told = [text for text in few if 2 < len(text) <= LONGEST_KIND and text.lower() not in STOP_WORDS]
        told = [text for text in told if text.lower() in question.lower()]
        asked = [text for text in told if re.search(rf"(?i)(?<!\w){re.escape(text)}(?:e?s)?(?!\w)", question)]
        asked += [text for text in few if text in codes]
        if len(asked) == 1:
            found[asked[0]] = field
    return found


def kinds(rows: Sequence[dict[str, Any]], types: tuple[type, ...] = (str,)) -> dict[str, list[Any]]:
    """The fields that have few values of these types, with these values, the most common first."""
    found = {}
    for field in rows[0] if rows else ():
        counts = Counter(row[field] for row in rows if isinstance(row.get(field), types))
        if 0 < len(counts) <= max(len(rows) // REPEATED, 2):
            found[field] = [value for value, _ in counts.most_common()]
    return found


def _with_name(name: str, text: Any) -> Iterator[tuple[int, str]]:
    """As `matches`, where a name is a word of its own."""
    if isinstance(text, str) and name not in text:  # the pattern takes a second for 20 million characters
        return iter(())
    return matches(re.compile(rf"(?<!\w){re.escape(name)}(?!\w)"), text)


def unlabelled(question: str, text: Any) -> bool:
    """Whether the question asks for labels, categories or the like that the context does not name.

    It names them where its first line does, or one in 50; where a few do, it depends on whether the question
    is about many texts. A question of how many texts are something is of such a kind too, where no word of it
    is there and they are few enough to be read.
    """
    asked = {word.lower() for word in _LABELLED.findall(question)}
    if not is_searchable(text):
        return False
    if not asked and _EACH_IS.search(question) and len(defined := _DEFINED.findall(question)) > 1:
        asked = {rf"(?<!\w){re.escape(label)}(?!\w)" for label in defined}
    if not asked and not _HOW_MANY.search(question):
        return False
    size = text.count("\n") if isinstance(text, str) else len(text)
    if not asked:
        return size <= FEW and len(as_lines(text)) <= FEW and not _has_any(_stems(question), text)
    few = size // 50 if _OF_MANY.search(question) else 0
    regex = re.compile("|".join(asked), re.IGNORECASE)
    places = [place for place, _ in itertools.islice(matches(regex, text), few + 1)]
    return len(places) <= few and 0 not in places  # the first line may name the columns


def related(question: str, text: Any) -> tuple[list[str], str, str]:
    """Lines or items with rare words of the question, each with those that have a rare name of it, and so on.

    Where one of the question's compounds is nowhere, no lines but its name: lines with parts of it would be
    taken for it. No lines either for labels that are not in the context, which is then said.
    """
    if unlabelled(question, text):
        return [], "", "labels"
    if name := missing(question, text):
        return [], name, ""
    best = _nearest(question, text, RARE)
    if not best:
        strange = [] if _has_any(_stems(question), text) else unlike_others(text)
        return strange, "", "words" if strange else ""
    if isinstance(text, str):
        best = _with_blocks(best, question, text)
    elif any(len(entry) > SHORT for _, entry in itertools.islice(_entries(text), 9)):
        return list(best.values()), "", ""  # a long item has many names
    return _follow(best, question, text), "", ""


def _with_blocks(best: dict[Any, str], question: str, text: str) -> dict[Any, str]:
    """Puts what they belong to before the first lines, and what belongs to them behind."""
    stems = _stems(question)
    for n, (place, line) in enumerate(list(best.items())[:WITH_BLOCK]):
        if n == 0:
            start, end = _line(text, place, place + 1)
            longer = text[start : min(end, start + LONG)]
            best[place] = line = longer if line in longer else line
        if text[place - 1 : place] in ("", "\n"):  # no sentence of a long line
            more = [other for other in blocks.below(text, place, stems) if other not in line]
            best[place] = "\n".join([*blocks.above(text, place), line, *more])
    return best


def _follow(best: dict[object, str], question: str, text: Any) -> list[str]:
    """Puts after each line or item what else in the context has a name of it."""
    shown: dict[object, str] = {}
    known = set(_NAME.findall(question))
    waiting = list(best.items())[::-1]
    while waiting and len(shown) < len(best) + FOLLOWED:
        place, line = waiting.pop()
        if place in shown:
            continue
        shown[place] = line
        names = [name for name in dict.fromkeys(_NAME.findall(line)) if name not in known]
        for name in names if len(names) <= LISTED else ():
            known.add(name)
            mentions = list(itertools.islice(_with_name(name, text), MENTIONS + 1))
            if len(mentions) <= MENTIONS:
                waiting += mentions[::-1]
    found = list(shown.values())
    return [entry for n, entry in enumerate(found) if not any(entry in other for other in found[:n])]


def nearest(question: str, text: Any) -> list[str]:
    """The lines or items with most of a question's words, where a rare word counts for more."""
    return list(_nearest(question, text, 0.0).values())


def _nearest(question: str, text: Any, least: float) -> dict[object, str]:
    """The same by place: where a line begins, or which item it is.

    least: what the words of a line must count for together; a word that is in n lines counts for 1/n.
    """
    if not is_searchable(text):
        return {}
    stems = _stems(question)
    shown: dict[object, str] = {}
    weights: dict[object, float] = {}
    for found in _with_stem(stems, text):
        places = list(itertools.islice(found, MANY))
        for place, part in places:
            shown.setdefault(place, part)
            weights[place] = weights.get(place, 0.0) + 1 / len(places)
    best = sorted(weights, key=lambda place: -weights[place])
    least = max(least, NEAR * weights[best[0]]) if best else least
    rare = {shown[place]: place for place in best[: 4 * NEAREST] if weights[place] > least}
    return {place: line for line, place in list(rare.items())[:NEAREST]}


def _has_any(stems: list[str], text: Any) -> bool:
    if not stems or not is_searchable(text):
        return True
    return any(next(found, None) for found in _with_stem(stems, text))


def _stems(question: str) -> list[str]:
    return _codes(question) + [
        word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words(question)
    ]


def _codes(question: str) -> list[str]:
    """Its words of two capitals, such as codes of countries."""
    return [] if question.isupper() else re.findall(r"\b[A-Z]{2}\b", question)


def _find(stem: str, text: str, lower: str, start: int = 0) -> int:
    """Where a stem is next; a code of two capitals only as a word of its own. -1: nowhere."""
    if not stem.isupper():
        return lower.find(stem, start)
    found = re.compile(rf"\b{stem}\b").search(text, start)
    return found.start() if found else -1


def unlike_others(text: Any) -> list[str]:
    """The lines or texts that have several words which no other has, where such ones are few."""
    if isinstance(text, dict) or not is_searchable(text, LONGEST):
        return []
    lines = as_lines(text)
    words_of = [set(re.findall(r"[^\W\d_]{3,}", line.lower())) for line in lines]
    found = Counter(itertools.chain.from_iterable(words_of))
    alone = {n: sum(found[word] == 1 for word in some) for n, some in enumerate(words_of)}
    strange = sorted((n for n in alone if alone[n] >= STRANGE), key=lambda n: -alone[n])
    return [lines[n] for n in strange[:NEAREST]] if len(strange) <= len(lines) // 50 else []


def is_searchable(text: Any, most: int = LARGEST) -> bool:
    """Whether words can be looked for in it, within a second or two."""
    if isinstance(text, str):
        return len(text) <= most
    if not isinstance(text, CONTAINERS) or len(text) > most // 250:
        return False
    waiting: list[Any] = [text]
    while waiting and most >= 0:
        value = waiting.pop()
        if not isinstance(value, CONTAINERS):
            most -= len(value) if isinstance(value, (str, bytes)) else NUMBER
            continue
        most -= 2 * len(value) + 2  # data that contains itself comes to an end too
        if most >= 0:
            waiting += [*value, *value.values()] if isinstance(value, dict) else value
    return most >= 0


def _with_stem(stems: list[str], text: Any) -> Iterator[Iterator[tuple[object, str]]]:
    """For each stem, where it is: a line's or an item's place, and what to show of it."""
    if isinstance(text, str):
        lower = text.replace("İ", "i").lower()  # the only letter whose lower case is longer
        for stem in stems:
            yield _lines_with(stem, lower, text)
        return
    lowered = [(key, entry, entry.lower()) for key, entry in _entries(text)]
    for stem in stems:
        yield (
            (index, _part(key, entry, at, at + len(stem)))
            for index, (key, entry, lower) in enumerate(lowered)
            if (at := _find(stem, entry, lower)) >= 0
        )


def _lines_with(stem: str, lower: str, text: str) -> Iterator[tuple[object, str]]:
    at = _find(stem, text, lower)
    while at >= 0:
        start, end = _line(text, at, at + len(stem))
        shown = min(_longer(text, start, end), at + len(stem) + AROUND)
        yield start, text[max(start, at - AROUND) : shown]
        at = _find(stem, text, lower, end)


def _line(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the lines of a piece of a text begin and end; of a long line, its sentences."""
    low, high = max(0, start - LONG), min(len(text), end + LONG)
    begins, ends = text.rfind("\n", low, start) + 1 or low, text.find("\n", end, high)
    ends = ends if ends >= 0 else high
    if ends - begins > LONG:
        begins = max(begins, text.rfind(". ", low, start) + 2)
        ends = (text.find(". ", end, ends) + 1) or ends
    return begins, ends


def as_lines(text: Any) -> list[str]:
    """The lines of a str, or the items or entries of another context as texts."""
    return text.splitlines() if isinstance(text, str) else [entry for _, entry in _entries(text)]


def _entries(text: Any) -> Iterator[tuple[object, str]]:
    for key, item in text.items() if isinstance(text, dict) else enumerate(text):
        yield key, item if isinstance(item, str) else repr(item)


def _part(key: object, entry: str, start: int, end: int) -> str:
    """Of a long item, the line with its piece from `start` to `end`, and its title: an index says little."""
    line, ends = _line(entry, start, end) if len(entry) > 2 * AROUND else (0, len(entry))
    titled = isinstance(key, int) and entry[:line].strip()
    title = entry.lstrip()[:BEGINNING].partition("\n")[0].rstrip() if titled else ""
    shown = entry[max(line, start - AROUND) : min(_longer(entry, line, ends), end + AROUND)].strip()
    return f"{key!r}{f' ({title!r})' * bool(title)}: {shown}"


def _longer(text: str, start: int, end: int) -> int:
    """Where a line ends; one that is so short that it may be a title, with the next that is longer."""
    if end - start >= TITLE:
        return end
    more = text.find("\n", min(end + TITLE, len(text)))
    return min(more if more >= 0 else len(text), end + AROUND)
