"""Samples and their scoring: the gold is right and scores 1, the wrong does not, a seed gives its bytes."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm.tasks import TASKS, Sample, book, needles, niah
from rlm.tasks.labels import SOURCES
from rlm.tasks.scoring import FORMS, LESS, MORE, SAME, score

every_task = pytest.mark.parametrize("name", TASKS)
seeds = st.integers(0, 10**6)
lengths = st.integers(1_000, 12_000)


def size(context) -> int:
    """Characters of a context; records as Python writes them."""
    if isinstance(context, list) and isinstance(context[0], str):
        return sum(map(len, context))
    return len(context if isinstance(context, str) else str(context))


def wrong(sample: Sample) -> list[tuple[str, float]]:
    """Wrong answers in the form that is asked for, with what the form's formula gives them."""
    answers, asked = sample.answers, len(sample.answers)
    others = [name for name in sample.choices if name not in answers]
    if sample.form == "codes":
        more = f"{sample.gold}, 0000000"
        return [
            ("0000000", 0.0),
            (more, 0.0 if asked == 1 else asked / (asked + 1)),
            (", ".join(answers[1:]), (asked - 1) / asked),
            (f"1{answers[0]}1", 0.0),
        ]
    if sample.form == "names":
        return [
            (", ".join(answers[1:]), (asked - 1) / asked),
            (", ".join([others[0], *answers[1:]]), (asked - 1) / asked),
            (", ".join(sample.choices), asked / len(sample.choices)),
        ]
    if sample.form == "choice":
        return [(name, 0.0) for name in others] + [(f"{sample.gold} or {name}", 0.0) for name in others]
    if sample.form == "ranking":
        return [(", ".join(answers[::-1]), 0.0), (answers[0], 0.0), (f"{sample.gold}, {others[0]}", 0.0)]
    if sample.form == "number":
        return [(str(int(sample.gold) + 1), 0.0), (f"{sample.gold} or 987654", 0.0), (f"1{sample.gold}", 0.0)]
    if sample.form == "count":
        return [
            (str(int(sample.gold) + 2), 0.75**2),
            (f"{sample.gold} or 987654", 0.0),
            ("9" * 400, 0.0),
        ]
    if sample.form == "date":
        return [("2022-12-31", 0.0), (f"{sample.gold} or Dec 31, 2022", 0.0)]
    if sample.form == "comparison":
        return [(phrase, 0.0) for phrase in (MORE, LESS, SAME) if phrase != sample.gold]
    if sample.form == "pairs":
        return [
            (", ".join(answers[1:]), 2 * (asked - 1) / (2 * asked - 1)),
            (f"{sample.gold}, (10000, 10000)", 2 * asked / (2 * asked + 1)),
            ("(10000, 10000)", 0.0),
        ]
    assert sample.form == "absence"
    return [("1234567", 0.0), ("The code is 1234567.", 0.0), ("amber-falcon", 0.0)]


# Every task


@every_task
@settings(max_examples=30, deadline=None)
@given(seeds, lengths)
def test_the_gold_scores_and_what_is_wrong_does_not(name, seed, length):
    task = TASKS[name]
    sample = task.sample(seed, length=length)
    assert task.score(sample.gold, sample) == 1.0
    assert task.score(f"Here it is:\n\n**Answer:** {sample.gold}", sample) == 1.0
    for answer in ("", "Error.", "I do not know.", sample.question):
        assert task.score(answer, sample) == 0.0
    for answer, expected in wrong(sample):
        assert task.score(answer, sample) == pytest.approx(expected), answer


@every_task
@pytest.mark.parametrize("length", [1_000, 30_000, 300_000])
def test_the_length_is_kept_to_within_a_line(name, length):
    for seed in range(3):
        line = 500 if name == "book" else 120
        lines = 20 if name == "documents" else 1
        assert abs(size(TASKS[name].sample(seed, length=length).context) - length) < line * lines


@every_task
def test_too_short_a_length_is_made_as_long_as_the_task_needs(name):
    sample = TASKS[name].sample(4, length=1)
    assert score(sample.gold, sample) == 1.0
    assert size(sample.context) < 2_000


@every_task
def test_the_gold_is_not_in_the_question(name):
    for seed in range(20):
        sample = TASKS[name].sample(seed, length=2_000)
        if sample.form in ("codes", "names", "ranking", "date"):
            assert not any(answer in sample.question for answer in sample.answers)


@every_task
def test_every_kind_of_question_comes_up(name):
    kinds = {TASKS[name].sample(seed, length=1_000).kind for seed in range(60)}
    expected = {"aggregate": 6, "pairs": 4, "table": 4, "documents": 2, "logs": 3, "book": 2}
    assert len(kinds) == expected.get(name, 1)


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.depth])
def test_the_depth_is_the_needles_place(name):
    for depth in (0.0, 0.5, 1.0):
        for seed in range(8):
            sample = TASKS[name].sample(seed, length=20_000, depth=depth)
            if sample.kind in ("count", "title"):  # no needle, or one whose words are not the answer
                continue
            texts = sample.context if isinstance(sample.context, list) else [sample.context]
            text = next(text for text in texts if sample.answers[0] in text)
            if name == "latent":
                needle = next(act for act, _ in needles.ASSOCIATIONS if act in text)
                assert text.index(needle) / len(text) == pytest.approx(depth, abs=0.1)
            else:
                assert text.index(sample.gold) / len(text) == pytest.approx(depth, abs=0.1)


def test_the_tasks_are_known_by_their_names():
    assert all(name == task.name for name, task in TASKS.items())
    assert {name for name, task in TASKS.items() if task.reads} == {"latent", "aggregate", "pairs"}


DIGESTS = {
    "niah": "6bd9223ed4823bee",
    "multikey": "cbbfe545f4950811",
    "multivalue": "6c606f42e7075cc1",
    "multiquery": "d85d614ea53f56fb",
    "uuid": "7ca65048315c099c",
    "variables": "40847b770989f72b",
    "common_words": "cc87399c8ffbe02b",
    "frequent_words": "d3ba77743926b9af",
    "latent": "f0ed7d3b4a042a1c",
    "absent": "ad96344945cbb9dd",
    "decoy": "5d206a2bc3a003f3",
    "aggregate": "49b6c3f5c1f6a34d",
    "pairs": "d8a237b7f5a2ac6a",
    "table": "916b91c81731dd6d",
    "documents": "1e9a84eed73fdefe",
    "logs": "541c71b68d59afe1",
    "book": "1276a64ef6ff6155",
}


@every_task
def test_the_same_seed_gives_the_same_bytes_on_every_python(name):
    samples = [TASKS[name].sample(seed, length=5_000) for seed in range(10)]
    text = json.dumps([[sample.context, sample.question, sample.answers] for sample in samples])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[name]


# What the gold is


@given(seeds, st.integers(1, 300))
def test_niah_has_so_many_lines_and_its_number_once(seed, lines):
    sample = niah.sample(seed, lines=lines)
    assert len(sample.context.split("\n")) == lines
    assert sample.context.count(sample.gold) == 1


@pytest.mark.parametrize(("depth", "line"), [(0.0, 0), (0.5, 50), (1.0, 99)])
def test_the_depth_of_niah_is_the_needles_line(depth, line):
    sample = niah.sample(3, lines=100, depth=depth)
    assert sample.gold in sample.context.split("\n")[line]


@pytest.mark.parametrize("name", ["multikey", "multivalue", "multiquery", "uuid", "decoy"])
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_codes_are_those_of_the_keys_in_the_question(name, seed):
    sample = TASKS[name].sample(seed, length=3_000)
    codes = re.findall(r"The code of (.+) is (\S+)\.", sample.context)
    asked = re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)+|the \w+ \w+ on the \w+ floor", sample.question)
    assert {code for key, code in codes if key in asked} == set(sample.answers)
    assert len(codes) > len(sample.answers) or name in ("multivalue", "multiquery")


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_variables_are_set_before_they_are_used_and_have_the_value(seed):
    sample = TASKS["variables"].sample(seed, length=3_000)
    values = {}
    for name, value in re.findall(r"The variable (\w+) gets (?:the value of )?(\w+)\.", sample.context):
        values[name] = value if value.isdigit() else values[value]
    asked = re.search(r"\d{7}", sample.question)[0]
    assert {name for name, value in values.items() if value == asked} == set(sample.answers)


@pytest.mark.parametrize("name", ["common_words", "frequent_words"])
@given(seed=seeds, length=lengths)
@settings(max_examples=20, deadline=None)
def test_the_words_asked_for_are_clearly_the_most_frequent(name, seed, length):
    sample = TASKS[name].sample(seed, length=length)
    counts = Counter(sample.context.split()).most_common()
    asked = len(sample.answers)
    assert {word for word, _ in counts[:asked]} == set(sample.answers)
    assert counts[asked - 1][1] > 1.2 * counts[asked][1]


@pytest.mark.parametrize(("act", "question"), needles.ASSOCIATIONS)
def test_a_latent_needle_shares_no_word_with_its_question(act, question):
    words = set(re.findall(r"\w+", question.lower())) - {"who", "a", "is", "the", "was", "on", "of", "to"}
    assert not [word for word in words if word in act.lower()]


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_an_absent_code_is_absent_and_its_words_are_not(seed):
    sample = TASKS["absent"].sample(seed, length=3_000)
    key = re.search(r"\w+-\w+", sample.question)[0]
    assert key not in sample.context
    assert all(f"{word}-" in sample.context or f"-{word}" in sample.context for word in key.split("-"))


def labelled(sample: Sample) -> list[tuple[str, str, str]]:
    """Day, user and label of each line."""
    labels = {
        text: label for source in SOURCES for label, texts in source.instances.items() for text in texts
    }
    lines = re.findall(r"^Date: (.+) \|\| User: (\d+) \|\| Instance: (.+)$", sample.context, re.MULTILINE)
    assert len(lines) == sample.context.count("\n") + 1
    return [(day, user, labels[text]) for day, user, text in lines]


@given(seeds, lengths)
@settings(max_examples=100, deadline=None)
def test_the_gold_of_aggregate_is_what_counting_gives(seed, length):
    sample = TASKS["aggregate"].sample(seed, length=length)
    asked = sample.question.partition("exactly one of them. ")[2]
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

    def iso(day: str) -> str:
        return f"{day[8:]}-{months.index(day[:3]) + 1:02}-{day[4:6]}"

    rows = [(iso(day), user, label) for day, user, label in labelled(sample)]
    if user := re.search(r"of user (\d+)", asked):
        rows = [row for row in rows if row[1] == user[1]]
    if since := re.search(r"dated (.+) or later", asked):
        rows = [row for row in rows if row[0] >= iso(since[1])]
    named = re.findall(r'label "(\w+)"', asked)
    if sample.kind in ("user", "date"):
        rows = [row for row in rows if row[2] == named[0]]
    column = {"user": 1, "date": 0}.get(sample.kind, 2)
    counts = Counter(row[column] for row in rows)
    if sample.kind == "count":
        assert sample.answers == (str(counts[named[0]]),)
    elif sample.kind == "compare":
        sign = (counts[named[0]] > counts[named[1]]) - (counts[named[0]] < counts[named[1]])
        assert sample.answers == ([SAME, MORE, LESS][sign],)
    else:
        counts.update(dict.fromkeys(sample.choices, 0))
        best = (min if sample.kind == "least" else max)(counts.values())
        assert set(sample.answers) == {name for name, count in counts.items() if count == best}


@given(seeds, lengths)
@settings(max_examples=50, deadline=None)
def test_the_gold_of_pairs_is_every_pair_that_fulfils_the_condition(seed, length):
    sample = TASKS["pairs"].sample(seed, length=length)
    counts: dict[str, Counter] = {}
    for _, user, label in labelled(sample):
        counts.setdefault(user, Counter())[label] += 1
    first, second = (re.findall(r'label "(\w+)"', sample.question) * 2)[:2]
    conditions = {
        "both": lambda a, b: bool(a[first] and b[first]),
        "each": lambda a, b: bool((a[first] and b[second]) or (a[second] and b[first])),
        "one": lambda a, b: bool(a[first]) != bool(b[first]),
        "more": lambda a, b: a[first] > a[second] and b[first] > b[second],
    }
    holds = conditions[sample.kind]
    every = list(combinations(sorted(counts), 2))
    expected = {f"({a}, {b})" for a, b in every if holds(counts[a], counts[b])}
    assert set(sample.answers) == expected
    assert 0 < len(expected) < len(every)


@given(seeds, lengths)
@settings(max_examples=50, deadline=None)
def test_the_gold_of_table_is_what_computing_gives(seed, length):
    sample = TASKS["table"].sample(seed, length=length)
    records = sample.context
    if isinstance(records, dict):
        records = [{"order": number, **order} for number, order in records.items()]
    words = re.findall(r"\w+", sample.question)
    here = [order for order in records if order["city"] in words]
    if sample.kind == "look-up":
        expected = {str(order["price"]) for order in records if order["order"] in words}
    elif sample.kind == "filter":
        least = int(next(word for word in words if word.isdigit()))
        expected = {str(sum(order["product"] in words and order["quantity"] >= least for order in here))}
    elif sample.kind == "sum":
        expected = {str(sum(order["quantity"] for order in here))}
    else:
        worth = Counter()
        for order in records:
            if order["product"] in words:
                worth[order["city"]] += order["quantity"] * order["price"]
        expected = {city for city, value in worth.items() if value == max(worth.values())}
    assert set(sample.answers) == expected


@given(seeds, lengths)
@settings(max_examples=30, deadline=None)
def test_the_gold_of_logs_is_what_counting_gives(seed, length):
    sample = TASKS["logs"].sample(seed, length=length)
    level = re.search("DEBUG|INFO|WARNING|ERROR", sample.question)[0]
    lines = [line.split(" ", 3) for line in sample.context.split("\n")]
    assert lines == sorted(lines, key=lambda line: line[0])
    counts = Counter(service.rstrip(":") for _, other, service, _ in lines if other == level)
    ranked = [service for service, _ in counts.most_common()]
    if sample.kind == "count":
        assert sample.gold == str(counts[re.search(r"the service (\w+)", sample.question)[1]])
    else:
        assert list(sample.answers) == ranked[: len(sample.answers)]


def test_one_document_has_the_fact():
    for seed in range(20):
        sample = TASKS["documents"].sample(seed, length=8_000)
        (held,) = (text for text in sample.context if "licence" in text)
        assert sample.gold in (held.split("\n")[0], re.search(r"\d{7}", held)[0])


def test_a_book_that_is_not_installed_says_how_to_install_it(monkeypatch):
    book.verses.cache_clear()
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'rlm-ollama\[bench\]'"):
        book.sample(1)


def test_a_depth_is_that_of_a_planted_sentence():
    samples = [TASKS["book"].sample(seed, length=2_000, depth=0.5) for seed in range(10)]
    assert {sample.kind for sample in samples} == {"planted"}


def test_the_book_goes_on_after_its_end():
    assert len(set(book.verses())) > 30_000
    assert len(TASKS["book"].sample(2, length=5_000_000).context) >= 5_000_000


# Label sources


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: " ".join(source.instances))
def test_labels_have_enough_distinct_texts_and_none_gives_its_label_away(source):
    texts = [text for texts in source.instances.values() for text in texts]
    assert source.meanings.keys() == source.instances.keys()
    assert len(texts) == len(set(texts))
    assert all(len(of_label) >= 40 for of_label in source.instances.values())
    stems = [label[:5] for label in source.meanings]
    assert not [text for text in texts if any(stem in text.lower() for stem in stems)]


# Scoring


CODE = Sample("", "What is the code of amber-falcon?", ("1234567",), "codes")
CODES = Sample("", "", ("1234567", "7654321", "2222222"), "codes")
UUID = Sample(
    "",
    "What is the code of 8f14e45f-ceea-467f-a4d1-1b2c3d4e5f60 in the text?",
    ("0b7ff34b-00c6-4fd3-835e-fa3dd6645faf",),
    "codes",
)
WORDS = Sample("", "", ("amber", "castle"), "names", ("amber", "castle", "river", "stone"))
LABEL = Sample("", "", ("billing",), "choice", ("billing", "shipping", "login"))
TIE = Sample("", "", ("billing", "login"), "choice", ("billing", "shipping", "login"))
USER = Sample("", "", ("44106",), "choice", ("44106", "10001", "20002"))
RANK = Sample("", "", ("auth", "mailer", "gateway"), "ranking", ("auth", "billing", "gateway", "mailer"))
NUMBER = Sample("", "How many orders from Cork are for at least 5 hinges?", ("1234",), "number")
SMALL = Sample("", "How many orders of 2023 are for at least 3 hinges?", ("3",), "number")
COUNT = Sample("", "Among those of user 44106, how many have it? Answer with one number.", ("42",), "count")
DATE = Sample("", "", ("2023-03-05",), "date")
COMPARE = Sample("", "", (MORE,), "comparison", ("billing", "login"))
EQUAL = Sample("", "", (SAME,), "comparison", ("billing", "login"))
PAIRS = Sample("", "", ("(10001, 20002)", "(10001, 30003)"), "pairs")
ABSENT = Sample("", "", ("The code is not in the text.",), "absence")


@pytest.mark.parametrize(
    ("answer", "sample", "expected"),
    [
        # one code
        ("1234567", CODE, 1.0),
        ("The number is 1,234,567.", CODE, 1.0),
        ("1 234 567", CODE, 1.0),
        ("1_234_567", CODE, 1.0),
        ("1234567 (line 12)", CODE, 1.0),
        ("['The code of amber-falcon is 1234567.']", CODE, 1.0),
        ("**1234567**", CODE, 1.0),
        ("1234567 and again 1,234,567", CODE, 1.0),
        ("At first I took 7654321. Answer: 1234567", CODE, 1.0),
        ("The answer is 7654321, not 1234567", CODE, 0.0),
        ("12345678", CODE, 0.0),
        ("91234567", CODE, 0.0),
        ("0.1234567", CODE, 0.0),
        ("123456", CODE, 0.0),
        ("1234567 or 7654321", CODE, 0.0),
        ("", CODE, 0.0),
        ("none", CODE, 0.0),
        ("0B7FF34B-00C6-4FD3-835E-FA3DD6645FAF", UUID, 1.0),
        ("It is `0b7ff34b-00c6-4fd3-835e-fa3dd6645faf`.", UUID, 1.0),
        ("0b7ff34b-00c6-4fd3-835e-fa3dd6645fae", UUID, 0.0),
        ("0b7ff34b-00c6-4fd3-835e-fa3dd6645faf0", UUID, 0.0),
        (
            "The code of 8f14e45f-ceea-467f-a4d1-1b2c3d4e5f60 is 0b7ff34b-00c6-4fd3-835e-fa3dd6645faf.",
            UUID,
            1.0,
        ),
        ("8f14e45f-ceea-467f-a4d1-1b2c3d4e5f60", UUID, 0.0),
        # several codes
        ("[2222222, 7654321, 1234567]", CODES, 1.0),
        ("- 2,222,222\n- 7,654,321\n- 1,234,567", CODES, 1.0),
        ("1234567,7654321,2222222", CODES, 1.0),
        ("{'a': '1234567', 'b': '7654321'}", CODES, 2 / 3),
        ("1234567 7654321 2222222 3333333 4444444 5555555", CODES, 3 / 6),
        ("1111111", CODES, 0.0),
        # names
        ("Castle; AMBER.", WORDS, 1.0),
        ("1. amber (12 times)\n2. castle (11 times)", WORDS, 1.0),
        ("amber, river", WORDS, 1 / 2),
        ("amber, castle, river, stone", WORDS, 2 / 4),
        ("ambers and castles", WORDS, 0.0),
        # one of several
        ("Billing", LABEL, 1.0),
        ('The most common label is "billing".', LABEL, 1.0),
        ("{'label': 'billing', 'count': 12}", LABEL, 1.0),
        ("billing or login", LABEL, 0.0),
        ("login", LABEL, 0.0),
        ("I compared login and shipping. The answer is: billing", LABEL, 1.0),
        ("login", TIE, 1.0),
        ("billing and login are tied", TIE, 1.0),
        ("billing and shipping", TIE, 0.0),
        ("User 44106", USER, 1.0),
        ("User: 44106 (12 instances)", USER, 1.0),
        ("144106", USER, 0.0),
        ("44106 and 10001", USER, 0.0),
        # an order
        ("auth, mailer, gateway", RANK, 1.0),
        ("1. Auth (30)\n2. Mailer (20)\n3. Gateway (10)", RANK, 1.0),
        ("[('auth', 30), ('mailer', 20), ('gateway', 10)]", RANK, 1.0),
        ("mailer, auth, gateway", RANK, 0.0),
        ("auth, mailer, gateway, billing", RANK, 0.0),
        ("auth, mailer", RANK, 0.0),
        # a number
        ("1234", NUMBER, 1.0),
        ("There are 1,234 of them.", NUMBER, 1.0),
        ("1234.0", NUMBER, 1.0),
        ("Cork has 1234 orders for at least 5 hinges", NUMBER, 1.0),
        ("$1,234", NUMBER, 1.0),
        ("1200 + 34 = 1234", NUMBER, 1.0),
        ("$\\boxed{1234}$", NUMBER, 1.0),
        ("11234", NUMBER, 0.0),
        ("12345", NUMBER, 0.0),
        ("-1234", NUMBER, 0.0),
        ("1234.5", NUMBER, 0.0),
        ("1233 or 1234", NUMBER, 0.0),
        ("1, 2, 3, 1234", NUMBER, 0.0),
        ("5", NUMBER, 0.0),
        ("three", SMALL, 1.0),
        ("In 2023 there were 3", SMALL, 1.0),
        ("3 of 40", SMALL, 0.0),
        ("four", SMALL, 0.0),
        # a number with part of the score
        ("42", COUNT, 1.0),
        ("There are 42 of them.", COUNT, 1.0),
        ("42 lines have level=ERROR", COUNT, 1.0),
        ("User 44106 has 42 instances with that label.", COUNT, 1.0),
        ("From 2023-01-01 12:30 on it is 42", COUNT, 1.0),
        ("about 45", COUNT, 0.75**3),
        ("one", COUNT, 0.75**41),
        (f"{COUNT.question} 42", COUNT, 1.0),
        ("40", COUNT, 0.75**2),
        ("4 2", COUNT, 0.0),
        ("42 or 43", COUNT, 0.0),
        ("many", COUNT, 0.0),
        # a date
        ("2023-03-05", DATE, 1.0),
        ("Mar 05, 2023", DATE, 1.0),
        ("It was on March 5th, 2023.", DATE, 1.0),
        ("the 5th of March 2023", DATE, 1.0),
        ("5 March 2023", DATE, 1.0),
        ("2023-03-05 00:00:00", DATE, 1.0),
        ("Mar 06, 2023", DATE, 0.0),
        ("March 2023", DATE, 0.0),
        ("Mar 05, 2023 or Mar 06, 2023", DATE, 0.0),
        # a comparison
        ("more common than", COMPARE, 1.0),
        ("More common", COMPARE, 1.0),
        ("billing is more common than login", COMPARE, 1.0),
        ("Billing (12) is more frequent than login (7).", COMPARE, 1.0),
        ("login is less common than billing", COMPARE, 1.0),
        ("login is more common than billing", COMPARE, 0.0),
        ("billing (9), login (3): billing is more common than login", COMPARE, 1.0),
        ("less common than", COMPARE, 0.0),
        ("billing is not more common than login", COMPARE, 0.0),
        ("more common than or less common than", COMPARE, 0.0),
        ("billing: 12, login: 7, so: more common than", COMPARE, 1.0),
        ("billing: 12, login: 7, so: less common than", COMPARE, 0.0),
        ("same frequency as", EQUAL, 1.0),
        ("They are equally common.", EQUAL, 1.0),
        ("billing is as common as login", EQUAL, 1.0),
        ("more common than", EQUAL, 0.0),
        # pairs
        ("(10001, 20002), (10001, 30003)", PAIRS, 1.0),
        ("[[30003, 10001], [20002, 10001]]", PAIRS, 1.0),
        ("10001 - 20002\n10001 and user 30003", PAIRS, 1.0),
        ("{('10001', '20002'), ('10001', '30003')}", PAIRS, 1.0),
        ("There are 2 pairs: (10001, 20002), (20002, 10001), (10001, 30003)", PAIRS, 1.0),
        ("(10001, 20002)", PAIRS, 2 / 3),
        ("(10001, 20002), (20002, 30003)", PAIRS, 1 / 2),
        ("(20002, 30003)", PAIRS, 0.0),
        ("none", PAIRS, 0.0),
        # nothing there
        ("The text does not give a code of amber-falcon.", ABSENT, 1.0),
        ("The text doesn\u2019t say.", ABSENT, 1.0),
        ("It is not in the text.", ABSENT, 1.0),
        ("Not found", ABSENT, 1.0),
        ("There is no code of amber-falcon in the text.", ABSENT, 1.0),
        ("There is no such key.", ABSENT, 1.0),
        ("I could not find it.", ABSENT, 1.0),
        ("The code of amber-falcon is not mentioned anywhere.", ABSENT, 1.0),
        ("No code was found in 1,700 lines.", ABSENT, 1.0),
        ("The answer is not in the text.", ABSENT, 1.0),
        ("The code isn't given.", ABSENT, 1.0),
        ("amber-falcon never appears", ABSENT, 1.0),
        ("amber-falcon does not appear in the text", ABSENT, 1.0),
        ("This cannot be determined from the text.", ABSENT, 1.0),
        ("The information is missing.", ABSENT, 1.0),
        ("There is none.", ABSENT, 1.0),
        ("None found.", ABSENT, 1.0),
        ("It does not seem to be in the text.", ABSENT, 1.0),
        ("I was unable to find it.", ABSENT, 1.0),
        ("There isn't one.", ABSENT, 1.0),
        ("The text has none for this key.", ABSENT, 1.0),
        ("None", ABSENT, 1.0),
        ("1234567", ABSENT, 0.0),
        ("The code is 1,234,567.", ABSENT, 0.0),
        ("It is not found under that key, but the code is 1234567.", ABSENT, 0.0),
        ("The code is 42.", ABSENT, 0.0),
        ("amber-falcon", ABSENT, 0.0),
        ("I have searched the text.", ABSENT, 0.0),
    ],
)
def test_an_answer_is_read_as_people_write_it(answer, sample, expected):
    assert score(answer, sample) == pytest.approx(expected)


@given(st.text(max_size=200))
def test_no_answer_breaks_the_scoring(answer):
    for sample in (CODES, WORDS, LABEL, RANK, NUMBER, COUNT, DATE, COMPARE, PAIRS, ABSENT):
        assert 0.0 <= score(answer, sample) <= 1.0
    assert {
        sample.form for sample in (CODES, WORDS, LABEL, RANK, NUMBER, COUNT, DATE, COMPARE, PAIRS, ABSENT)
    } == set(FORMS)
