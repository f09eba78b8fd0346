"""What a question asks for, as far as its words say: `asks.HOW_MANY.search(question)`."""

from __future__ import annotations

import re

HOW_MANY = re.compile(r"\bhow (?:often|many)\b|\bnumber of\b", re.IGNORECASE)
HOW_OFTEN = re.compile(r"\bhow often\b|\btimes\b|\boccurrences?\b|\boccurs?\b", re.IGNORECASE)
# a word, which a line may have more than once
A_NUMBER = re.compile(r"\b(?:how (?:many|often|much)|number of|count)\b", re.IGNORECASE)
A_TOTAL = re.compile(r"\b(?:total|sum|altogether|in all|average|the mean|a mean)\b", re.IGNORECASE)
A_SUPERLATIVE = re.compile(
    r"(?<!at )\b(?:most(?! \w+ly\b)|least|fewest|(?:larg|small|bigg|great|high|low|long|short|lat|earli)est"
    r"|(?:old|new|young|cheap|heavi|fast|slow|busi)est)\b",
    re.IGNORECASE,
)
# what only code can find, unless a line says it
ALL = re.compile(
    r"\b(?:list|name|give|show|find) (?:all|every|each)\b"
    r"|\bwhich (?!(?:is|was|has|does|gas|\w+[su]s)\b)\w+s\b",
    re.IGNORECASE,
)
SO_MANY = re.compile(r"\b(?:all|the|which|these) (?:\d+|two|three|four|five)\b", re.IGNORECASE)
# of them, so that it can be seen whether all are there
A_CHOICE = re.compile(r"\bor (?!(?:is|are|not|none)\b)", re.IGNORECASE)
# whose answer is in the question
A_NAME = re.compile(r"\A\s*(?:who|whose|whom|which|where)\b", re.IGNORECASE)
WHICH_ONE = re.compile(
    r"(?:\A|[.:;!?])\s*(?:who|which(?! (?:is the )?(?:\w+ )?"
    r"(?:amount|average|cost|number|percentage|price|rate|ratio|score|share|total|value|version)\b))\b",
    re.IGNORECASE,
)
WHY = re.compile(r"\A\s*why\b", re.IGNORECASE)
MORE_THAN_YES_OR_NO = re.compile(r"\A\s*(?:what|which|who|whose|where|when|why|how)\b", re.IGNORECASE)


def is_computed(question: str) -> bool:
    """Whether a question asks for a number, a total or mean, or a superlative, for which all data counts."""
    return any(asked.search(question) for asked in (HOW_MANY, A_TOTAL, A_SUPERLATIVE))
