"""Worked examples: the turns that a root is shown before its question, for each kind of context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rlm import prompts
from rlm.sandbox.child.labels import LABELLED
from rlm.types import Execution, Related


@dataclass(frozen=True)
class Example:
    """One question, the cells that lead to its answer with their outputs, and the answer."""

    question: str
    answer: str
    steps: tuple[tuple[str, str], ...] = ()
    # code and its output
    related: Related = prompts.NOTHING_RELATED
    # what the context has of the question


TEXT = (
    "`context` is a str. It begins:\n"
    "order 1: 3 lamps for customer 17 in Oslo\n"
    "order 2: 1 rug for customer 40 in Bergen"
)
TEXTS = (
    Example(
        "How many orders are for lamps?",
        "412",
        ((r'print(sum(1 for line in context.splitlines() if re.search(r"\d+ lamps?", line)))', "412"),),
    ),
    Example(
        "Which city ordered the most lamps?",
        "Oslo",
        (
            (
                "pieces = Counter()\n"
                "for line in context.splitlines():\n"
                r'    match = re.search(r"(\d+) lamps? for customer \d+ in (\w+)", line)'
                "\n    if match:\n"
                "        pieces[match[2]] += int(match[1])\n"
                "print(pieces.most_common(3))",
                "[('Oslo', 310), ('Bergen', 64), ('Narvik', 9)]",
            ),
        ),
    ),
    Example(
        "What are the telephone numbers of the workshops Brandt and Holm?",
        "5872 and 3310",
        related=Related(
            "The Holm workshop has the telephone number 3310.\n"
            "The Brandt workshop has the telephone number 5872."
        ),
    ),
    Example(
        "Where is the workshop that made the clock of the town hall?",
        "at the old harbour",
        related=Related(
            "The clock of the town hall was made by the Brandt workshop.\n"
            "The Brandt workshop is at the old harbour."
        ),
    ),
)
RECORDS = (
    "`context` is a list of 900 items, each a dict. It begins:\n"
    "{'nr': 1, 'customer': 17, 'city': 'Oslo', 'item': 'lamp', 'pieces': 3}"
)
LETTER_RECORDS = f"{RECORDS.removesuffix('}')}, 'letter': 'My lamp …'}}"
LISTS = (
    Example(
        "Which city ordered the most lamps?",
        "Oslo",
        (
            (
                "pieces = Counter()\n"
                "for order in context:\n"
                "    if order['item'] == 'lamp':\n"
                "        pieces[order['city']] += order['pieces']\n"
                "print(pieces.most_common(3))",
                "[('Oslo', 310), ('Bergen', 64), ('Narvik', 9)]",
            ),
        ),
    ),
)
TABLE = (
    "`context` is a dict of 900 items, each value a dict. It begins:\n"
    "'N1': {'customer': 17, 'city': 'Oslo', 'item': 'lamp', 'pieces': 3}"
)
LETTER_TABLE = f"{TABLE.removesuffix('}')}, 'letter': 'My lamp …'}}"
DICTS = (
    Example(
        "Which order is the largest of those for lamps in Oslo?",
        "N71",
        (
            (
                "largest = Counter()\n"
                "for key, order in context.items():\n"
                "    if order['item'] == 'lamp' and order['city'] == 'Oslo':\n"
                "        largest[key] = order['pieces']\n"
                "print(largest.most_common(3))",
                "[('N71', 40), ('N8', 22), ('N310', 9)]",
            ),
        ),
    ),
)
LETTERS = "`context` is a list of 900 items, each a str. It begins:\n'Dear Sirs, my lamp is broken …'"
FILES = (
    "`context` is a dict of 900 items, each value a str. It begins:\n"
    "'0001.txt': Dear Sirs, my lamp is broken …"
)
_PRICE = Example(
    "What does the letter about the clock of the town hall say of its price?",
    "400 crowns",
    related=Related("12: … we pay 400 crowns for the clock of the town hall, of which …"),
)
STRINGS = (
    Example(
        "How many letters mention a lamp?",
        "31",
        (("found = [letter for letter in context if 'lamp' in letter.lower()]\nprint(len(found))", "31"),),
    ),
    _PRICE,
)
NAMED_STRINGS = (
    Example(
        "Which letter mentions lamps most often?",
        "0071.txt",
        (
            (
                "lamps = Counter()\n"
                "for name, letter in context.items():\n"
                "    lamps[name] = letter.lower().count('lamp')\n"
                "print(lamps.most_common(3))",
                "[('0071.txt', 9), ('0310.txt', 4), ('0008.txt', 2)]",
            ),
        ),
    ),
    _PRICE,
)
MEANING = (
    Example(
        "Who keeps bees?",
        "customer 52",
        related=Related("order 318: 4 hives and a smoker for customer 52 in Narvik", unsaid="words"),
    ),
)
FIELDS = (
    "`context` is a str."
    + prompts.ROWS.format("lines", "{'nr': 1, 'customer': 17, 'city': 'Oslo', 'item': 'lamp', 'pieces': 3}")
    + " It begins:\nnr,customer,city,item,pieces\n1,17,Oslo,lamp,3"
)
ROWS = (
    Example(
        "How many orders for lamps are from Oslo?",
        "31",
        (("print(sum(1 for row in rows if row['item'] == 'lamp' and row['city'] == 'Oslo'))", "31"),),
    ),
    Example(
        "Which city ordered the most lamps?",
        "Oslo",
        (
            (
                "pieces = Counter()\n"
                "for row in rows:\n"
                "    if row['item'] == 'lamp':\n"
                "        pieces[row['city']] += row['pieces']\n"
                "print(pieces.most_common(3))",
                "[('Oslo', 310), ('Bergen', 64), ('Narvik', 9)]",
            ),
        ),
    ),
    Example(
        "What did customer 40713 order, and from which city?",
        "a rug, from Bergen",
        related=Related("318,40713,Bergen,rug,1"),
    ),
)
CORRESPONDENCE = (
    "`context` is a str."
    + prompts.ROWS.format(
        "lines", "{'City': 'Oslo', 'Month': 'May', 'Letter': 'My lamp came without its cable.'}"
    )
    + " It begins:\nCity: Oslo | Month: May | Letter: My lamp came without its cable."
)
_LETTERS = (
    'Each letter is an "order" (wants to buy), "complaint" (something is wrong) or "praise" (all is well).'
)
_UNLABELLED = Related(unsaid="labels")
_MEANINGS = '{"order": "wants to buy", "complaint": "something is wrong", "praise": "all is well"}'
_KINDS = "[('order', 31), ('praise', 12), ('complaint', 9)]"
_LABEL = (
    f"labels = classify([row['Letter'] for row in rows], {_MEANINGS})",
    f"classify: 405 order, 191 praise, 38 complaint\n634{LABELLED}{{'City': 'Oslo', 'Month': 'May', "
    "'Letter': 'My lamp came without its cable.', 'label': 'complaint'}",
)
READING = (
    Example(
        f"{_LETTERS} Among the letters from Oslo, which kind is the least common?",
        "complaint",
        (
            _LABEL,
            (
                "kinds = Counter(row['label'] for row in rows if row['City'] == 'Oslo')\n"
                "print(min(kinds, key=kinds.get))",
                "complaint",
            ),
        ),
        related=_UNLABELLED,
    ),
    Example(
        f"{_LETTERS} In which month are the most letters with praise?",
        "May",
        (
            _LABEL,
            (
                "months = Counter(row['Month'] for row in rows if row['label'] == 'praise')\n"
                "print(months.most_common(1)[0][0])",
                "May",
            ),
        ),
        related=_UNLABELLED,
    ),
)
NOTHING = (
    Example(
        "How many days lie between 3 March and 24 December 2024?",
        "296",
        (
            (
                "import datetime\nprint((datetime.date(2024, 12, 24) - datetime.date(2024, 3, 3)).days)",
                "296",
            ),
        ),
    ),
)


def turns(context: dict[str, Any], *, unsaid: str = "") -> Iterator[tuple[str, str]]:
    """For a context as the REPL reports it: what was shown and what was replied, in turn.

    unsaid: what the context does not say of the question, as in `Related`.
    """
    lines = context.get("type") == "str"
    about, examples = _fitting(context, unsaid)
    for example in examples:
        shown = prompts.first_message([about], example.question, example.related, lines=lines)
        for code, output in example.steps:
            yield shown, f"```repl\n{code}\n```"
            done = [Execution(code, output)]
            shown = prompts.observation(done, len(output), example.question, example.related)
        yield shown, f"FINAL({example.answer})"
        about = "`context` is the same."


def _reading(texts: str) -> tuple[Example, ...]:
    """To label the texts of a context without rows, which this expression gives."""
    code = f"labels = classify({texts}, {_MEANINGS})\nprint(Counter(labels).most_common())"
    question = f"{_LETTERS} How many are praise?"
    return (Example(question, "12", ((code, _KINDS),), _UNLABELLED),)


_OF: dict[str, tuple[str, tuple[Example, ...], str, str]] = {
    "str": (TEXT, TEXTS, TEXT, "context.splitlines()"),
    "list of str": (LETTERS, STRINGS, LETTERS, "context"),
    "dict of str": (FILES, NAMED_STRINGS, FILES, "list(context.values())"),
    "list of dict": (RECORDS, LISTS, LETTER_RECORDS, "[order['letter'] for order in context]"),
    "dict of dict": (TABLE, DICTS, LETTER_TABLE, "[order['letter'] for order in context.values()]"),
}
# what is said of a context, examples for it; what is said of one with texts to label, and what gives them


def _fitting(context: dict[str, Any], unsaid: str) -> tuple[str, tuple[Example, ...]]:
    kind, items = context.get("type"), context.get("items", [])
    if kind == "NoneType":
        return "", NOTHING
    if "row" in context:
        return (CORRESPONDENCE, READING) if unsaid == "labels" else (FIELDS, ROWS)
    if kind != "str":
        item = "str" if "str" in items or not items else "dict"
        kind = f"{'dict' if kind == 'dict' else 'list'} of {item}"
    about, examples, about_texts, texts = _OF[kind]
    if unsaid == "labels":
        return about_texts, _reading(texts)
    return about, (*examples, *MEANING) if unsaid == "words" else examples
