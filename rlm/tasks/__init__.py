"""Benchmark samples and their scoring: pure functions of a seed. They import nothing else of rlm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One item of a benchmark."""

    context: str
    question: str
    gold: str
    # the expected answer
