"""Counts and rankings over the log lines of a few services."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from rlm.tasks.sample import LENGTH, SHORTEST, Sample, Stream

SERVICES = "auth billing catalog gateway indexer mailer".split()
LEVELS = "DEBUG INFO WARNING ERROR".split()
TOP = 3
# services in a ranking
_MESSAGES = {
    "DEBUG": ("cache hit for key {}", "retry policy loaded, level ERROR is reported", "queue length {}"),
    "INFO": ("request {} done", "health check passed, no ERROR", "job {} started", "user {} signed in"),
    "WARNING": ("request {} was slow", "disk is {} percent full", "last ERROR was {} seconds ago"),
    "ERROR": ("request {} failed", "connection {} lost", "job {} gave up after WARNING"),
}
# some name another level than their own: a search for the bare word counts too many


def sample(seed: int, *, length: int = LENGTH) -> Sample:
    """Log lines, and a question on a count, the top service or the ranking of the top three.

    length: characters, up to one line more.
    """
    length = max(length, SHORTEST)
    stream = Stream(seed)
    kind = stream.choice(["count", "top", "ranking"])
    weighted = [
        service
        for weight, service in enumerate(stream.distinct(SERVICES, len(SERVICES)), 1)
        for _ in range(weight)
    ]
    level = stream.choice(LEVELS)
    while True:
        rows = _rows(stream, weighted, length)
        counts = Counter(service for _, service, row_level, _ in rows if row_level == level)
        ranked = sorted(SERVICES, key=lambda service: -counts[service])
        heights = [counts[service] for service in ranked[: TOP + 1]]
        if heights[TOP - 1] > 0 and len(set(heights)) == len(heights):
            break
    context = "\n".join(f"{time} {level} {service}: {message}" for time, service, level, message in rows)
    told = "Each line of the log has a time, a level, a service and a message."
    if kind == "count":
        service = ranked[stream.between(0, TOP - 1)]
        question = f"{told} How many lines of the service {service} have the level {level}?"
        return Sample(context, question, (str(counts[service]),), "number", kind=kind)
    if kind == "top":
        question = f"{told} Which service has the most lines of level {level}?"
        return Sample(context, question, (ranked[0],), "choice", tuple(SERVICES), kind)
    question = f"{told} Which {TOP} services have the most lines of level {level}? Name them, the most first."
    return Sample(context, question, tuple(ranked[:TOP]), "ranking", tuple(SERVICES), kind)


def _rows(stream: Stream, weighted: list[str], length: int) -> list[tuple[str, str, str, str]]:
    """Time, service, level and message of each line."""
    rows = []
    now = datetime(2026, 1, 1)
    while length > 0:
        now += timedelta(seconds=stream.between(0, 5))
        level = stream.choice(LEVELS)
        message = stream.choice(_MESSAGES[level]).format(stream.between(1, 99))
        rows.append((now.isoformat(), stream.choice(weighted), level, message))
        length -= sum(map(len, rows[-1])) + 5  # what joins them
    return rows
