"""How often small models solve the tasks through the REPL, and how they fail.

    python benchmarks/small_models.py --json runs.jsonl
    python benchmarks/small_models.py --models local:qwen2.5-coder-0.5b --tasks niah logs --seeds 1 3 5
    python benchmarks/small_models.py --without examples

For each task: the mean score, median seconds and turns, tokens of the prompts, and what went wrong. The last
line also has the share of the prompt tokens of turns 2 and later that came from the cache. Tasks
that need the sub model's reading have a shorter context, since each piece of it costs a call. With --json a
line for each run, with every turn. Nothing else may run beside the model. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rlm import RLM, RLMResult, __version__, calls, engine, examples
from rlm.clients.resolve import resolve
from rlm.errors import RLMError
from rlm.guide import Guide
from rlm.sandbox import Sandbox
from rlm.tasks import TASKS, Sample, Task
from rlm.types import Execution, Related

MODELS = ("local:qwen2.5-coder-1.5b", "local:qwen2.5-coder-0.5b")
SEEDS = (1, 3, 5, 7, 9)
# even ones are held back: nothing is tuned on them
LENGTH, READ_LENGTH = 500_000, 60_000
# characters; the embedded models' window of 8,192 tokens holds some 28,000
TIMEOUT, READ_TIMEOUT = 180.0, 300.0
# seconds for a run; one that needs more has failed, whatever it had found until then


_related, _execute = Sandbox.related, Sandbox.execute


def _said(sandbox: Sandbox, question: str) -> Related:
    """As `Sandbox.related`, but for what a context does not say of the question."""
    found = _related(sandbox, question)
    return Related() if found.unsaid else found


def _unhinted(sandbox: Sandbox, code: str) -> Execution:
    """As `Sandbox.execute`, but for what is said of code that found nothing or counts too much."""
    return replace(_execute(sandbox, code), hint="")


DEVICES: dict[str, tuple[Any, str, Any]] = {
    "examples": (examples, "turns", lambda *_, **__: []),
    "related": (Sandbox, "related", lambda *_: Related()),
    "unsaid": (Sandbox, "related", _said),
    "hints": (Sandbox, "execute", _unhinted),
    "doubt": (Guide, "doubt", lambda *_: ""),
    "min_p": (calls, "MIN_P", None),
    "guide": (engine, "is_small", lambda _: False),
}
# what can be left out, and what then stands in its place


@dataclass(frozen=True)
class Run:
    """One run of one sample."""

    model: str
    task: str
    kind: str
    seed: int
    score: float
    failure: str
    # "" where the score is 1
    seconds: float
    turns: int
    sub_calls: int
    prompt_tokens: int
    completion_tokens: int
    stop_reason: str
    question: str
    gold: str
    answer: str
    turns_in_full: list[dict[str, Any]]


def run(model: str, client: Any, task: Task, seed: int, length: int, **options: Any) -> Run:
    sample = task.sample(seed, length=length)
    rlm = RLM(root_client=client, timeout=READ_TIMEOUT if task.reads else TIMEOUT, **options)
    try:
        result = rlm.completion(sample.question, sample.context)
    except RLMError as error:
        if error.result is None:
            raise
        result = error.result
    stopped = result.stop_reason in ("timeout", "error")
    score = 0.0 if stopped else task.score(result.answer, sample)
    calls = [call for turn in result.trajectory for e in turn.executions for call in e.sub_calls]
    return Run(
        model,
        task.name,
        sample.kind,
        seed,
        score,
        "" if score == 1 else failure(task, sample, result, len(calls)),
        result.total_time,
        result.iterations,
        len(calls),
        result.usage["total_prompt_tokens"],
        result.usage["total_completion_tokens"],
        result.stop_reason,
        sample.question,
        sample.gold,
        result.answer,
        [asdict(turn) for turn in result.trajectory],
    )


def failure(task: Task, sample: Sample, result: RLMResult, sub_calls: int) -> str:
    """What went wrong, as far as the record shows it; the first that fits."""
    cells = [execution for turn in result.trajectory for execution in turn.executions]
    output = "\n".join(f"{cell.stdout}\n{cell.value or ''}" for cell in cells)
    if result.stop_reason in ("timeout", "error"):
        return "time-out" if result.stop_reason == "timeout" else "error"
    if result.stop_reason == "max_iterations":
        return "looped or ran out of turns"
    if any(re.search(r"^context\s*=(?!=)", cell.code, re.MULTILINE) for cell in cells):
        return "imagined the data"
    if not output.strip():
        return "answered without an output"
    if task.reads and not sub_calls:
        return "never asked the sub model"
    if re.search(r"\b(?:unable|cannot|can't|could not|sorry)\b", result.answer, re.IGNORECASE):
        return "gave up"
    if cells and cells[-1].error:
        return "wrong code"
    said = re.findall(r"\w+", result.answer.casefold())
    if said and not any(word in output.casefold() for word in said if len(word) > 1):
        return "answered what no output shows"
    return "wrong answer"


def table(runs: Sequence[Run]) -> Table:
    """A row for each model and task, and one for each group of tasks."""
    shown = Table("model", "task", "score", "n", "seconds", "turns", "sub calls", "tokens in", "failures")
    for model in dict.fromkeys(r.model for r in runs):
        of_model = [r for r in runs if r.model == model]
        groups = {name: [r for r in of_model if r.task == name] for name in TASKS}
        groups["code alone"] = [r for r in of_model if not TASKS[r.task].reads]
        groups["with reading"] = [r for r in of_model if TASKS[r.task].reads]
        for name, group in groups.items():
            if group:
                failures = Counter(r.failure for r in group if r.failure).most_common()
                shown.add_row(
                    model.removeprefix("local:"),
                    name,
                    f"{statistics.fmean(r.score for r in group):.2f}",
                    str(len(group)),
                    f"{statistics.median(r.seconds for r in group):.1f}",
                    f"{statistics.median(r.turns for r in group):.0f}",
                    f"{statistics.median(r.sub_calls for r in group):.0f}",
                    f"{statistics.median(r.prompt_tokens for r in group):,.0f}",
                    "; ".join(f"{count} {name}" for name, count in failures),
                )
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="NAME")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="N")
    parser.add_argument(
        "--length", type=int, default=LENGTH, help="characters, for tasks that code can solve"
    )
    parser.add_argument("--read-length", type=int, default=READ_LENGTH, help="for those that need reading")
    parser.add_argument("--temperature", type=float, default=0.6, metavar="T")
    parser.add_argument("--mode", choices=("auto", "repl", "direct"), default="auto")
    parser.add_argument("--without", nargs="+", choices=DEVICES, default=[], help="devices to leave out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append a line for each run")
    args = parser.parse_args(argv)
    for device in args.without:
        setattr(*DEVICES[device])
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(
        f"rlm {__version__}, Python {platform.python_version()}, {platform.machine()}, seeds {args.seeds}"
    )
    runs: list[Run] = []
    for model in args.models:
        client = resolve(model)
        for name in args.tasks:
            task = TASKS[name]
            for seed in args.seeds:
                length = args.read_length if task.reads else args.length
                done = run(model, client, task, seed, length, temperature=args.temperature, mode=args.mode)
                runs.append(done)
                console.print(
                    f"{model} {name} {seed}: {done.score:.2f} {done.failure} {done.seconds:.1f} s",
                    style="dim",
                )
                if args.json:
                    with args.json.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(done)) + "\n")
    console.print(table(runs))
    groups = {
        f"{model} {group}": statistics.fmean(scores)
        for model in args.models
        for group, reads in (("code alone", False), ("with reading", True))
        if (scores := [r.score for r in runs if r.model == model and TASKS[r.task].reads == reads])
    }
    later = [turn["root_usage"] for r in runs for turn in r.turns_in_full[1:]]
    cached = sum(usage["cached_tokens"] for usage in later) / (sum(u["prompt_tokens"] for u in later) or 1)
    settings = {"seeds": list(args.seeds), "mode": args.mode, "without": args.without}
    print(json.dumps(settings | {"cached": round(cached, 3), "scores": groups}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
