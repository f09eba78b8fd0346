"""Benchmark samples and their scoring: pure functions of a seed. They import nothing else of rlm.

    task = TASKS["niah"]
    sample = task.sample(seed, length=100_000)
    task.score(answer, sample)

The same seed and length give the same bytes on every Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rlm.tasks import book, documents, logs, needles, niah, oolong, ruler, tables
from rlm.tasks.sample import Sample
from rlm.tasks.scoring import score

__all__ = ["TASKS", "Sample", "Task"]


@dataclass(frozen=True)
class Task:
    """One family of samples."""

    name: str
    description: str
    sample: Callable[..., Sample]
    # (seed, *, length) -> Sample; length: characters, from 1,000 to 10,000,000, kept to within a line of text
    reads: bool = False
    # whether it takes a reader, the sub model; else code alone can solve it
    depth: bool = False
    # whether `sample` takes depth=, the relative position of its needle

    def score(self, answer: str, sample: Sample) -> float:
        """How right an answer is, from 0 to 1."""
        return score(answer, sample)


TASKS = {
    task.name: task
    for task in (
        Task("niah", "one number in random words", niah.sample, depth=True),
        Task("multikey", "one of several keys' numbers", ruler.multikey, depth=True),
        Task("multivalue", "all numbers of one key", ruler.multivalue),
        Task("multiquery", "the numbers of several keys", ruler.multiquery),
        Task("uuid", "one of very many keys, all UUIDs", ruler.uuid, depth=True),
        Task("variables", "variables that take each other's value", ruler.variables),
        Task("common_words", "the ten most common words", ruler.common_words),
        Task("frequent_words", "the three most frequent coined words", ruler.frequent_words),
        Task("latent", "a needle without a word of the question", needles.latent, reads=True, depth=True),
        Task("absent", "a needle that is not there", needles.absent),
        Task("decoy", "one needle among many that are almost the same", needles.decoy, depth=True),
        Task("aggregate", "counts of labels that only reading gives", oolong.aggregate, reads=True),
        Task("pairs", "all pairs of users whose labels fulfil a condition", oolong.pairs, reads=True),
        Task("table", "look-up, filter, sum and maximum over records", tables.sample),
        Task("documents", "one fact in one of many documents", documents.sample, depth=True),
        Task("logs", "counts and rankings of log lines", logs.sample),
        Task("book", "a planted sentence, or a word's count, in a real book", book.sample, depth=True),
    )
}
