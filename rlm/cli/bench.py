"""Which model to use: the same samples for each, with accuracy, time and tokens in a table.

A model is warmed up by one short call, which is not measured. Partial scores are averaged as accuracy, and
their sum counts as successes in the Wilson interval. The last line of the output is JSON, for programs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rlm.cancel import Cancel
from rlm.cli import DONE, FAILED, INTERRUPTED, bench_record, bench_report, guarded, heatmap
from rlm.cli.bench_plan import Model, cases, flags, models_of, settings
from rlm.cli.bench_trial import Case, Entrant, OnePrompt, Solver, Trial, trial
from rlm.cli.display import REFRESHES, prepare, printable
from rlm.clients.base import Client, Options
from rlm.clients.resolve import resolve
from rlm.engine import RLM
from rlm.errors import Cancelled, InvalidReply, RLMError
from rlm.tasks import TASKS
from rlm.types import Message

WARM_UP_TOKENS = 64
# of a reply that nobody reads


def main(argv: Sequence[str] | None = None, *, clock: Callable[[], float] = time.monotonic) -> int:
    """Returns 0, or 1 if nothing but errors came of it; clock: measures the seconds of a trial."""
    args = flags(__doc__).parse_args(argv)
    args.task = list(dict.fromkeys(args.task))
    out = Console(highlight=False)
    if args.list_tasks:
        out.print(task_list())
        return DONE
    return guarded(lambda cancel: run(args, out, cancel, clock))


def run(args: argparse.Namespace, out: Console, cancel: Cancel, clock: Callable[[], float]) -> int:
    models, asked = models_of(args), cases(args)
    if args.plot:
        heatmap.check(args.plot)
    benchmark = Benchmark(args, asked, cancel, clock)
    out.print(described(benchmark.header), soft_wrap=True)
    unwritten: list[RLMError] = []
    # what went wrong with files: the figures are shown all the same
    try:
        for model in models:
            benchmark.measure(model)
    except Cancelled:
        pass
    except RLMError as error:
        unwritten.append(error)
    rows = bench_report.rows(benchmark.trials, benchmark.unavailable, args.task)
    summary = benchmark.summary(rows, complete=not (cancel.reason or unwritten))
    writes: list[Callable[[], object]] = [lambda: benchmark.record.add(summary)]
    if args.plot and benchmark.trials:
        writes.append(lambda: heatmap.draw(benchmark.trials, args.plot, described(benchmark.header)))
    for write in writes:  # before the tables: nobody may read all of them (`| head`)
        try:
            write()
        except RLMError as error:
            unwritten.append(error)
    for table in bench_report.tables(rows):
        out.print(table)
    for note in bench_report.notes(rows):
        out.print(Text(note), soft_wrap=not out.is_terminal)
    out.print(Text(json.dumps(summary), "dim"), soft_wrap=True)
    for message in dict.fromkeys(map(str, unwritten)):
        print(f"Error: {message}", file=sys.stderr)
    if cancel.reason:
        file = args.json or args.resume
        how = f"To go on: --resume {file}" if file else "With --json FILE it could have been resumed."
        print(f"Interrupted. {how}", file=sys.stderr)
        return INTERRUPTED
    answered = any(trial.outcome != "error" for trial in benchmark.trials)
    return DONE if answered and not unwritten else FAILED


class Benchmark:
    """The trials of a benchmark, those of the record that is resumed among them."""

    def __init__(
        self, args: argparse.Namespace, cases: Sequence[Case], cancel: Cancel, clock: Callable[[], float]
    ) -> None:
        self.args = args
        self.cases = cases
        self.cancel = cancel
        self.clock = clock
        self.screen = Console(stderr=True, highlight=False)
        self.header = bench_record.header(settings(args, cases))
        self.trials: list[Trial] = []
        self.unavailable: dict[Entrant, str] = {}
        if args.resume:
            before, self.trials = bench_record.read(args.resume)
            bench_record.check(args.resume, before, self.header)
            self.header = before
        if args.json and args.json != args.resume:
            bench_record.check_new(args.json)
        self.record = bench_record.Record(args.json or args.resume, self.header, self.trials)

    def measure(self, model: Model) -> None:
        """Runs the trials of a model that are not in the record yet; raises Cancelled when stopped."""
        entrants = model.entrants(baseline=self.args.baseline)
        done = {(trial.entrant, trial.case) for trial in self.trials}
        todo = {one: [case for case in self.cases if (one, case) not in done] for one in entrants}
        if not any(todo.values()):
            return
        try:
            client = self.warm_up(model)
        except Cancelled:
            raise
        except RLMError as error:
            self.unavailable[next(one for one in entrants if todo[one])] = str(error)
            self.record.add(
                {"type": "unavailable", "model": model.name, "provider": model.provider, "reason": str(error)}
            )
            return
        for entrant in entrants:
            if todo[entrant]:
                self.solve(self.solver(entrant, client), entrant, todo[entrant])

    def warm_up(self, model: Model) -> Client:
        """The model's client, after a short call that loads the model and shows whether it answers."""
        client = resolve(model.spec, host=self.args.ollama_host, think=self.args.think, pull=self.args.pull)
        prepare(client, self.screen, self.cancel)
        options = Options(max_tokens=WARM_UP_TOKENS, think=self.args.think, cancel=self.cancel)
        status = self.screen.status(Text(f"Warming up {printable(model.name)}"), refresh_per_second=REFRESHES)
        with status, suppress(InvalidReply):  # whatever it says
            client.complete([Message(role="user", content="Say hello.")], options)
        return client

    def solver(self, entrant: Entrant, client: Client) -> Solver:
        think, timeout = self.args.think, self.args.timeout
        if entrant.method == "one prompt":
            return OnePrompt(client, think=think, timeout=timeout)
        return RLM(root_client=client, max_iterations=self.args.max_iterations, think=think, timeout=timeout)

    def solve(self, solver: Solver, entrant: Entrant, cases: Sequence[Case]) -> None:
        """Runs trials, several at once if asked, and keeps each as soon as it is over."""
        with ThreadPoolExecutor(self.args.parallel) as pool, self.progress(entrant) as advance:
            futures = [
                pool.submit(trial, solver, entrant, case, cancel=self.cancel, clock=self.clock)
                for case in cases
            ]
            try:
                for future in as_completed(futures):
                    self.trials.append(future.result())
                    self.record.add(bench_record.line(self.trials[-1]))
                    advance()
            finally:
                for future in futures:
                    future.cancel()

    @contextmanager
    def progress(self, entrant: Entrant) -> Iterator[Callable[[], None]]:
        """A bar with the running accuracy; where there is no terminal, its last state alone."""
        columns = ("{task.description}", BarColumn(20), MofNCompleteColumn(), "{task.fields[right]}")
        name = f"{entrant.model}, one prompt" if entrant.method == "one prompt" else entrant.model
        with Progress(
            *columns, TimeElapsedColumn(), console=self.screen, refresh_per_second=REFRESHES
        ) as bar:
            task = bar.add_task(escape(printable(name)), total=len(self.cases), right="")

            def advance() -> None:
                so_far = [trial for trial in self.trials if trial.entrant == entrant]
                accuracy = bench_report.row(entrant, "", so_far).accuracy
                right = "" if accuracy is None else f"{accuracy:.0%} right"
                bar.update(task, completed=len(so_far), right=right)

            advance()
            yield advance

    def summary(self, rows: Sequence[bench_report.Row], *, complete: bool) -> dict[str, Any]:
        """The last line: the header's facts and the rows."""
        facts = {"type": "summary", "complete": complete, "rows": list(map(bench_report.as_json, rows))}
        return self.header | facts


def described(header: Mapping[str, Any]) -> str:
    """The header for people."""
    asked, versions, machine = header["settings"], header["versions"], header["machine"]
    sizes = " and ".join(
        f"{', '.join(f'{size:,}' for size in asked[unit])} {unit}"
        for unit in ("lines", "characters")
        if asked[unit]
    )
    trials = f"{asked['trials']} trial{'s' * (asked['trials'] != 1)}"
    depths = f" x {len(asked['depths'])} depths" if asked["depths"] else ""
    think = {None: "", True: ", thinking", False: ", not thinking"}[asked["think"]]
    return (
        f"{', '.join(asked['tasks'])}: {sizes}{depths}, {trials} from seed {asked['seed']}\n"
        f"at most {asked['max_iterations']} iterations and {asked['timeout']:g} s a trial{think}\n"
        f"rlm {versions['rlm']}, Python {versions['python']}, {machine['system']} {machine['architecture']}, "
        f"{machine['cores']} cores {machine['processor']}, {header['begun'][:10]}"
    )


def task_list() -> Table:
    table = Table("task", "what is asked for", "reading", "depth", box=None, pad_edge=False)
    for task in TASKS.values():
        table.add_row(task.name, task.description, "yes" if task.reads else "", "yes" if task.depth else "")
    table.caption = "reading: code alone cannot solve it; depth: --grid can place its needle"
    table.caption_justify = "left"
    return table
