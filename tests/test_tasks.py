"""Samples: the gold scores 1, anything else 0, and the same seed gives the same bytes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm.tasks import niah


@given(st.integers(0, 10**6), st.integers(1, 300))
def test_the_needle_is_there_once_and_its_number_scores(seed, lines):
    sample = niah.sample(seed, lines=lines)
    assert len(sample.context.split("\n")) == lines
    assert sample.context.count(sample.gold) == 1
    assert niah.score(sample.gold, sample.gold) == 1.0
    assert niah.score(str(int(sample.gold) + 1), sample.gold) == 0.0


@pytest.mark.parametrize(("depth", "line"), [(0.0, 0), (0.5, 50), (1.0, 99)])
def test_the_depth_is_the_needles_place(depth, line):
    sample = niah.sample(3, lines=100, depth=depth)
    assert sample.gold in sample.context.split("\n")[line if line < 99 else -1]


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("1234567", 1.0),
        ("The number is 1,234,567.", 1.0),
        ("1234567 (line 12)", 1.0),
        ("12345678", 0.0),
        ("1234567 or 7654321", 0.0),
        ("", 0.0),
        ("none", 0.0),
    ],
)
def test_the_score_reads_the_answer_as_people_write_it(answer, score):
    assert niah.score(answer, "1234567") == score


def test_the_same_seed_gives_the_same_bytes_on_every_python():
    digest = hashlib.sha256(niah.sample(7, lines=1000).context.encode()).hexdigest()
    assert digest == "e426fad09a7c8a5687aba4060fd61d37374171f1a2e32b6bd3fff4d592eb5d87"
