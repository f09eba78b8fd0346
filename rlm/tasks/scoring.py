"""An answer in a model's words to a score from 0 to 1: fair to other wordings, hard on guesses."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rlm.tasks.sample import Sample

_CONCLUSION = re.compile(r"\banswer[*_\s]*[:=]|\banswer\s+is\b:?", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:[,_ '\u00a0\u202f]\d{3})+(?!\d)")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\d|st\b|nd\b|rd\b|th\b)")
_TIME = re.compile(r"\b\d\d:\d\d(?::\d\d)?\b")
_COUNTED = "zero one two three four five six seven eight nine ten eleven twelve".split()
_CODE = re.compile(
    r"(?<![\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])|(?<![\d.])\d{7,}(?!\d)", re.IGNORECASE
)
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTH = rf"({'|'.join(MONTHS)})[a-z]*\.?"
_DATE = re.compile(
    r"\b(\d{4})-(\d\d?)-(\d\d?)(?!\d)"
    rf"|\b{_MONTH} (\d\d?)(?:st|nd|rd|th)?,? (\d{{4}})\b"
    rf"|\b(\d\d?)(?:st|nd|rd|th)?\.?(?: of)? {_MONTH},? (\d{{4}})\b",
    re.IGNORECASE,
)
_PAIR = re.compile(r"(?<!\d)(\d{5})(?!\d)[^\d\n]{1,20}(?<!\d)(\d{5})(?!\d)")
MORE, LESS, SAME = "more common than", "less common than", "same frequency as"
_NOT = r"(?<!not )(?<!n't )"
_RELATIONS = {
    MORE: re.compile(rf"{_NOT}\bmore (?:common|frequent|often)", re.IGNORECASE),
    LESS: re.compile(rf"{_NOT}\bless (?:common|frequent|often)", re.IGNORECASE),
    SAME: re.compile(
        rf"{_NOT}\b(?:same (?:frequency|number)|equal|as (?:common|frequent|often))", re.IGNORECASE
    ),
}
_ABSENT = re.compile(
    r"\b(?:not|never|nowhere|isn't|aren't|wasn't|weren't)\s+(?:\w+\s+){0,3}?(?:in|found|find|given|mentioned|"
    r"present|there|stated|specified|listed|provided|available|contained?|exist|included?|appears?|said|"
    r"recorded|known|occurs?)\b"
    r"|\b(?:doesn't|don't|didn't|does not|do not|did not|cannot|can't|can not|couldn't|could not)\s+"
    r"(?:\w+\s+){0,2}?(?:find|found|say|contain|mention|give|include|state|exist|appear|specify|provide|list|"
    r"have|determined?|located?|identify|identified|answer|answered)\b"
    r"|\bno\s+(?:\S+\s+){0,3}?(?:code|mention|information|record|entry|answer|match|needle|line|result|trace)"
    r"|\bthere(?: is| was| are|'s) (?:no|none|not)\b|\bthere (?:isn't|wasn't|aren't)\b"
    r"|\b(?:has|have|gives?|contains?|found) (?:no|none)\b|\b(?:is|was) (?:absent|missing|unknown)\b|\bN/A\b"
    r"|\bnone (?:is |was )?(?:found|given)\b|\bunable to (?:find|locate)\b"
    r"|^\W*(?:none|null|absent|missing|unknown|nothing)\W*$",
    re.IGNORECASE,
)
# the ways to say that something is not there


def score(answer: str, sample: Sample) -> float:
    """How right an answer is, from 0 to 1.

    A repeated question does not count, and after "answer:" or "the answer is" only what follows does.
    """
    said = answer.replace(sample.question, "").replace("\u2019", "'")
    parts = [part for part in _CONCLUSION.split(said) if part.strip(" *_.\n")]
    return FORMS[sample.form](parts[-1], sample) if parts else 0.0


def codes(answer: str, sample: Sample) -> float:
    """Numbers of 7 digits, or UUIDs; those that it repeats from the question do not count."""
    return matched(_codes(answer) - _codes(sample.question), sample.answers)


def names(answer: str, sample: Sample) -> float:
    """All of several names."""
    return matched(named(answer, sample.choices), sample.answers)


def matched(given: Iterable[str], expected: tuple[str, ...]) -> float:
    """The part of the expected that is given, as RULER's string_match_all (arXiv 2404.06654).

    Unlike there, an answer does not gain by giving more than was asked for: the part is then one of all that
    it gives, and where one thing is asked for, 0.
    """
    found = set(given)
    if len(expected) == 1:
        return float(found == set(expected))
    return len(found & set(expected)) / max(len(expected), len(found))


def choice(answer: str, sample: Sample) -> float:
    """One of several names, or any that tie with it, and no other."""
    found = set(named(answer, sample.choices))
    return float(bool(found) and found <= set(sample.answers))


def ranking(answer: str, sample: Sample) -> float:
    """Several names in their order."""
    return float(tuple(named(answer, sample.choices)) == sample.answers)


def number(answer: str, sample: Sample) -> float:
    """One number, exactly."""
    return float(_asked(answer, sample) == {float(sample.gold)})


def count(answer: str, sample: Sample) -> float:
    """One number, with part of the score for a near one: 0.75^|y - y'|, as OOLONG (arXiv 2511.02817)."""
    given = _asked(answer, sample)
    return float(0.75 ** abs(float(sample.gold) - given.pop())) if len(given) == 1 else 0.0


def date(answer: str, sample: Sample) -> float:
    """One day, or any that tie with it, and no other."""
    found = {_day(match) for match in _DATE.finditer(answer)}
    return float(bool(found) and found <= set(sample.answers))


def comparison(answer: str, sample: Sample) -> float:
    """More common, less common or the same, of the first choice in comparison with the second."""
    found = [(match, name) for name, pattern in _RELATIONS.items() if (match := pattern.search(answer))]
    if len(found) != 1:
        return 0.0
    match, relation = found[0]
    first, second = (answer.casefold().rfind(name, 0, match.start()) for name in sample.choices)
    as_asked = re.fullmatch(r"\W*(?:than|as)\W*", answer[match.end() :])  # names before it are only told of
    if second > first and not as_asked:  # it compares the second with the first
        relation = {MORE: LESS, LESS: MORE, SAME: SAME}[relation]
    return float(relation == sample.gold)


def pairs(answer: str, sample: Sample) -> float:
    """Pairs of user numbers in any order: F1 of the set, as OOLONG-Pairs (arXiv 2512.24601)."""
    given = {frozenset(match.groups()) for match in _PAIR.finditer(answer)}
    expected = {frozenset(re.findall(r"\d+", pair)) for pair in sample.answers}
    return 2 * len(given & expected) / (len(given) + len(expected))


def absence(answer: str, _: Sample) -> float:
    """Words for "it is not there", and no code."""
    return float(bool(_ABSENT.search(answer)) and not _codes(answer))


FORMS = {
    scorer.__name__: scorer
    for scorer in (codes, names, choice, ranking, number, count, date, comparison, pairs, absence)
}


def named(text: str, choices: Iterable[str]) -> list[str]:
    """The choices that a text names as whole words, in the order of their first mention."""
    text = text.casefold()
    places = {}
    for name in choices:
        word = name.casefold()
        if word in text and (match := re.search(rf"(?<!\w)(?<!\w-){re.escape(word)}(?!-?\w)", text)):
            places[name] = match.start()
    return sorted(places, key=lambda name: places[name])


def _codes(text: str) -> set[str]:
    return {code.lower() for code in _CODE.findall(_joined(text))}


def _asked(answer: str, sample: Sample) -> set[float]:
    """The numbers of an answer, or else number words, without those that it repeats from the question.

    Of a sum that is written out, what follows the last "=", if there is a number.
    """
    for text in (answer.rpartition("=")[2], answer):
        words = re.findall(r"[a-z]+", text.lower())
        if given := _numbers(text) or {float(_COUNTED.index(word)) for word in words if word in _COUNTED}:
            return given - (_numbers(sample.question) - {float(sample.gold)})
    return set()


def _numbers(text: str) -> set[float]:
    """Dates and times of day are no numbers."""
    return {float(number) for number in _NUMBER.findall(_joined(_TIME.sub("", _DATE.sub("", text))))}


def _joined(text: str) -> str:
    """1,234 as 1234."""
    return _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match[0]), text)


def _day(match: re.Match[str]) -> str:
    year, month, day = match[1] or match[6] or match[9], match[2], match[3] or match[5] or match[7]
    if month is None:
        month = str(MONTHS.index((match[4] or match[8]).title()) + 1)
    return f"{year}-{int(month):02}-{int(day):02}"
