"""Trials to figures, and figures to a table. Pure: it runs nothing and reads nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from rlm.cli.bench_trial import Entrant, Trial
from rlm.cli.display import printable

ALL = "all tasks"
Z = 1.959964
# a normal distribution has 95 % within so many standard deviations


@dataclass(frozen=True)
class Row:
    """How an entrant did in a task: means over its trials, None where there was none."""

    entrant: Entrant
    task: str
    n: int
    # trials that count: all but those whose context does not fit one prompt
    accuracy: float | None = None
    # mean score; time-outs and errors are 0
    low: float = 0.0
    high: float = 1.0
    # its 95 % interval
    seconds: float | None = None
    p95_seconds: float | None = None
    iterations: float | None = None
    sub_calls: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    outcomes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    # messages, and how often each came
    unavailable: str = ""
    # why the model cannot be had


def wilson(successes: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion: E. B. Wilson, JASA 22 (1927), 209-212.

    Partial scores may be summed up as successes: with the same mean they vary less than rights and wrongs do,
    so the interval is then, if anything, too wide.
    """
    if n == 0:
        return 0.0, 1.0
    p, spread = successes / n, Z * Z / n
    middle = (p + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(p * (1 - p) / n + spread / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def percentile95(values: Sequence[float]) -> float:
    """The smallest value that at least 95 % do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def rows(trials: Sequence[Trial], unavailable: Mapping[Entrant, str], tasks: Sequence[str]) -> list[Row]:
    """A row for each entrant and task, and where there are several tasks one over all of them.

    Those that have not begun have none; the unavailable stand last.
    """
    entrants = dict.fromkeys([*(trial.entrant for trial in trials), *unavailable])
    found = []
    for task in [*tasks, *[ALL] * (len(tasks) > 1)]:
        for entrant in entrants:
            own = [one for one in trials if one.entrant == entrant and task in (one.case.task, ALL)]
            if own or entrant in unavailable:
                found.append(row(entrant, task, own, unavailable.get(entrant, "")))
    return found


def row(entrant: Entrant, task: str, trials: Sequence[Trial], unavailable: str = "") -> Row:
    counted = [trial for trial in trials if trial.outcome != "too long"]
    bare = Row(
        entrant,
        task,
        n=len(counted),
        outcomes=dict(Counter(trial.outcome for trial in trials)),
        errors=dict(Counter(trial.error for trial in trials if trial.error)),
        unavailable=unavailable,
    )
    if not counted:
        return bare

    def mean(value: Callable[[Trial], float]) -> float:
        return round(math.fsum(map(value, counted)) / len(counted), 4)

    low, high = wilson(math.fsum(trial.score for trial in counted), len(counted))
    return replace(
        bare,
        accuracy=mean(lambda trial: trial.score),
        low=round(low, 4),
        high=round(high, 4),
        seconds=mean(lambda trial: trial.seconds),
        p95_seconds=round(percentile95([trial.seconds for trial in counted]), 4),
        iterations=mean(lambda trial: trial.iterations),
        sub_calls=mean(lambda trial: trial.sub_calls),
        prompt_tokens=mean(lambda trial: trial.prompt_tokens),
        completion_tokens=mean(lambda trial: trial.completion_tokens),
    )


def as_json(row: Row) -> dict[str, Any]:
    """A row for programs."""
    fields = asdict(row)
    return {**fields.pop("entrant"), **fields}


def tables(rows: Sequence[Row]) -> list[Table]:
    """A table for each task."""
    tasks = dict.fromkeys(row.task for row in rows)
    return [table(task, [row for row in rows if row.task == task]) for task in tasks]


def table(task: str, rows: Sequence[Row]) -> Table:
    """The rows of one task for people: two lines for each entrant, so that 80 columns are enough."""
    table = Table(
        title=task, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("model\nprovider", overflow="fold")
    for name in ("accuracy\n95 %", "n", "seconds\n95th %", "iterations\nsub calls", "tokens in\nout"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("failures", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row), end_section=True)
    return table


def cells(row: Row) -> list[Text]:
    """The table's cells of a row; a dash where there is nothing to tell."""
    name, where = Text(printable(row.entrant.model)), Text(f"\n{printable(how(row.entrant))}", "dim")
    if row.accuracy is None:
        return [name + where, *map(Text, ("-", "0", "-", "-", "-", failures(row)))]
    return [
        name + where,
        Text(f"{row.accuracy:.0%}\n{row.low * 100:.0f}-{row.high:.0%}".replace("%", " %")),
        Text(str(row.n)),
        Text(f"{row.seconds:,.1f}\n{row.p95_seconds:,.1f}"),
        Text(f"{row.iterations:.1f}\n{row.sub_calls:.1f}"),
        Text(f"{row.prompt_tokens:,.0f}\n{row.completion_tokens:,.0f}"),
        Text(failures(row)),
    ]


def how(entrant: Entrant) -> str:
    """Where an entrant's model is, and how it is used if not by an RLM."""
    return "one prompt, " * (entrant.method == "one prompt") + entrant.provider


def failures(row: Row) -> str:
    """How often it failed, and how, a line for each; the messages are in the notes."""
    told = [f"{count} {outcome}" for outcome, count in row.outcomes.items() if outcome != "right"]
    return "\n".join([*told, *["unavailable"] * bool(row.unavailable)]) or "none"


def notes(rows: Sequence[Row]) -> list[str]:
    """The messages behind the failures, once for each model."""
    told = Counter[str]()
    for row in rows:
        for message, count in row.errors.items() if row.task != ALL else ():  # which has them once more
            told[f"{row.entrant.model}: {message}"] += count
        if row.unavailable:
            told[f"{row.entrant.model}: {row.unavailable}"] = 1
    return [printable(message) + f" ({count} times)" * (count > 1) for message, count in told.items()]
