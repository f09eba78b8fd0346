"""This engine beside others and no engine: the same samples, model, server and limits.

    python benchmarks/peers.py --json peers.jsonl
    python benchmarks/peers.py --json peers.jsonl --resume      goes on where it was interrupted
    python benchmarks/peers.py --seeds 0                        only the overhead, with a scripted model

Each of the others is installed from PyPI into an environment of its own and runs in a process of its own,
which is killed at the limit; that counts as wrong. All talk to the model through one proxy, which counts
requests and tokens and sets the temperature. Nothing else should run beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from peer_servers import Proxy, Scripted, Traffic
from rich import box
from rich.console import Console
from rich.table import Table

import rlm
from rlm.cancel import Cancel
from rlm.cli import bench_record
from rlm.clients import llama_cpp, weights
from rlm.tasks import TASKS

DRIVERS = Path(__file__).parent / "peer_drivers"
TASK_NAMES = ("niah", "multikey", "variables", "aggregate", "table", "logs")
OVERHEAD_LIMIT = 120.0
# seconds
LINE = "the quick brown fox jumps over the lazy dog, again and again\n"
ANSWER_SHOWN = 200
# characters of an answer that a row keeps

Outcome = Literal["answer", "time-out", "error"]


@dataclass(frozen=True)
class Engine:
    """What is measured."""

    name: str
    # of its package too
    version: str
    driver: Path
    # a file for peer_drivers/run.py
    script: tuple[str, ...] = ()
    # replies of a model, in the engine's own protocol, that count the context's lines; empty: no overhead
    installed: bool = True
    # from PyPI; else it runs in this environment

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


def _turns(context: str, final: str, form: str = "{}") -> tuple[str, ...]:
    cells = (f"print(len({context}))", f"lines = {context}.count('\\n')\nprint(lines)", final)
    return tuple(form.replace("{}", cell) for cell in cells)


_SECTIONS = "[[ ## reasoning ## ]]\nNext.\n\n[[ ## code ## ]]\n```python\n{}\n```\n\n[[ ## completed ## ]]"
ENGINES = (
    Engine(
        "rlm-ollama",
        rlm.__version__,
        DRIVERS / "rlm_ollama.py",
        _turns("context", "FINAL(lines)", "```repl\n{}\n```"),
        installed=False,
    ),
    Engine("no-rlm", "", DRIVERS / "no_rlm.py", installed=False),
    Engine(
        "minrlm",
        "0.1.5",
        DRIVERS / "minrlm.py",
        _turns("input_0", "FINAL(str(lines))", "```python\n{}\n```"),
    ),
    Engine(
        "rlms",
        "0.1.3",
        DRIVERS / "rlms.py",
        _turns("context", "answer['content'] = lines\nanswer['ready'] = True", "```repl\n{}\n```"),
    ),
    Engine("dspy", "3.4.1", DRIVERS / "dspy_rlm.py", _turns("context", "SUBMIT(str(lines))", _SECTIONS)),
    Engine("recursive-llm", "0.5.0", DRIVERS / "recursive_llm.py", _turns("context", "FINAL_VAR(lines)")),
)


@dataclass(frozen=True)
class Settings:
    """What must be the same in all rows of one table."""

    model: str
    server: str
    # for people: "embedded, 4 windows of 16384 tokens", or an address
    length: int
    # of a context, in characters
    limit: float
    # seconds from the start of an engine's process
    iterations: int
    temperature: float


@dataclass(frozen=True)
class Job:
    """What an engine is asked."""

    context: Any
    question: str
    base_url: str
    model: str
    max_iterations: int


@dataclass(frozen=True)
class Run:
    """What came of a job."""

    outcome: Outcome
    seconds: float
    # from construction to result; of a process that gave none, its whole time
    whole: float
    # seconds of the process, imports and the reading of the context included
    answer: str = ""
    error: str = ""
    # the last line of its stderr


@dataclass(frozen=True)
class Row:
    """One sample, answered by one engine."""

    engine: str
    version: str
    task: str
    seed: int
    outcome: Outcome
    score: float
    seconds: float
    traffic: Traffic
    answer: str
    gold: str
    error: str
    settings: Settings

    @property
    def key(self) -> tuple[object, ...]:
        return self.engine, self.version, self.task, self.seed, self.settings


@dataclass(frozen=True)
class Overhead:
    """What an engine itself costs."""

    engine: str
    version: str
    megabytes: int
    seconds: tuple[float, ...]
    # of each run, from construction to result
    whole: tuple[float, ...]
    # of its process, with imports and the reading of the context
    error: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        return self.engine, self.version, self.megabytes


def environment(engine: Engine, folder: Path) -> Path:
    """The Python that runs an engine, in an environment that is made where it is missing."""
    if not engine.installed:
        return Path(sys.executable)
    requirement = f"{engine.name}=={engine.version}"
    home = folder / f"{engine.name}-{engine.version}-py{sys.version_info[0]}.{sys.version_info[1]}"
    python, complete = home / "bin" / "python", home / ".complete"
    if not complete.exists():
        print(f"installing {requirement} into {home}", flush=True)
        venv.create(home, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        subprocess.run(pip, check=True)
        complete.touch()
    return python


def run_job(python: Path, driver: Path, job: Job, limit: float) -> Run:
    """Runs a driver in a process and a scratch folder of its own; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="rlm-peer-", ignore_cleanup_errors=True) as scratch:
        context_file = Path(scratch, "context.json")
        context_file.write_text(json.dumps(job.context), encoding="utf-8")
        order = {**asdict(job), "context_file": str(context_file)}
        del order["context"]
        job_file, out, err = (Path(scratch, name) for name in ("job.json", "out", "err"))
        job_file.write_text(json.dumps(order))
        began = time.monotonic()
        with job_file.open() as stdin, out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [python, "-I", DRIVERS / "run.py", driver.absolute()],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=scratch,
                env={"PATH": os.defpath, "HOME": scratch, "LANG": "C.UTF-8"},  # no keys, no proxies
                start_new_session=True,
            )
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                return Run("time-out", limit, limit)
            finally:
                took = time.monotonic() - began
                end(process)
        if reply := _last_json(out.read_text(errors="replace")):
            return Run("answer", reply["seconds"], took, reply["answer"])
        lines = err.read_text(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
        return Run("error", took, took, error=lines[-1])


def _last_json(text: str) -> dict[str, Any] | None:
    """The driver's result; engines and the model's code may have printed before it."""
    with contextlib.suppress(ValueError):
        reply = json.loads((text.strip().splitlines() or [""])[-1])
        if isinstance(reply, dict) and {"answer", "seconds"} <= reply.keys():
            return reply
    return None


def end(process: subprocess.Popen[Any]) -> None:
    """Kills a process with all that it has started, also what stands in a session of its own."""
    tree: set[int] = set()
    if process.poll() is None:
        while tree != (tree := {process.pid, *descendants(process.pid)}):
            _signal(tree, signal.SIGSTOP)  # so that none of them starts another one meanwhile
    _signal(tree, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def descendants(pid: int) -> set[int]:
    """Children, their children, and so on."""
    children: dict[int, list[int]] = {}
    for child, parent in _processes():
        children.setdefault(parent, []).append(child)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        new = children.get(waiting.pop(), [])
        found.update(new)
        waiting += new
    return found


def _processes() -> Iterator[tuple[int, int]]:
    """All processes and their parents."""
    if sys.platform != "linux":
        listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, parent = line.split()
            yield int(pid), int(parent)
        return
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            yield int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])


def solve(engine: Engine, python: Path, task: str, seed: int, settings: Settings, proxy: Proxy) -> Row:
    """One engine on one sample."""
    sample = TASKS[task].sample(seed, length=settings.length)
    job = Job(sample.context, sample.question, proxy.base_url, settings.model, settings.iterations)
    run = run_job(python, engine.driver, job, settings.limit)
    return Row(
        engine=engine.name,
        version=engine.version,
        task=task,
        seed=seed,
        outcome=run.outcome,
        score=TASKS[task].score(run.answer, sample) if run.outcome == "answer" else 0.0,
        seconds=round(run.seconds, 2),
        traffic=proxy.take(),
        answer=run.answer[:ANSWER_SHOWN],
        gold=sample.gold[:ANSWER_SHOWN],
        error=run.error[:ANSWER_SHOWN],
        settings=settings,
    )


def measure_overhead(engine: Engine, python: Path, megabytes: int, runs: int) -> Overhead:
    """Three turns of a scripted model over a long context, from construction to result."""
    lines = megabytes * 1_000_000 // len(LINE)
    done: list[Run] = []
    for _ in range(runs):
        with Scripted(engine.script) as server:
            job = Job(LINE * lines, "How many lines?", server.base_url, "scripted", len(engine.script))
            run = run_job(python, engine.driver, job, OVERHEAD_LIMIT)
        if run.answer.strip() != str(lines):
            error = run.error or run.answer or run.outcome
            return Overhead(engine.name, engine.version, megabytes, (), (), error[:ANSWER_SHOWN])
        done.append(run)
    seconds = tuple(round(run.seconds, 4) for run in done)
    return Overhead(
        engine.name, engine.version, megabytes, seconds, tuple(round(run.whole, 4) for run in done)
    )


class Record:
    """Rows as JSON lines in a file, if there is one: what is in it need not be measured again."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[tuple[object, ...], Row] = {}
        self.overheads: dict[tuple[object, ...], Overhead] = {}
        for line in path.read_text().splitlines() if path and path.exists() else ():
            with contextlib.suppress(ValueError):  # cut off when the last run was killed
                self._keep(_from_json(json.loads(line)))
        if path and path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("a") as file:
                file.write("\n")

    def add(self, item: Row | Overhead) -> None:
        self._keep(item)
        self.note({"kind": type(item).__name__, **asdict(item)})

    def note(self, data: dict[str, Any]) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(data) + "\n")

    def _keep(self, item: Row | Overhead | None) -> None:
        if isinstance(item, Row):
            self.rows[item.key] = item
        elif item:
            self.overheads[item.key] = item


def _from_json(data: dict[str, Any]) -> Row | Overhead | None:
    kind = data.pop("kind")
    if kind == "Row":
        traffic, settings = Traffic(**data.pop("traffic")), Settings(**data.pop("settings"))
        return Row(**data, traffic=traffic, settings=settings)
    if kind == "Overhead":
        return Overhead(**{**data, "seconds": tuple(data["seconds"]), "whole": tuple(data["whole"])})
    return None


def solve_table(rows: Sequence[Row], engines: Iterable[Engine], tasks: Sequence[str]) -> Table:
    """Solved samples by task, and what they cost: medians over all samples, right or wrong."""
    table = Table(box=box.MARKDOWN)
    table.add_column("engine")
    for heading in (
        "solved",
        *tasks,
        "seconds",
        "tokens in",
        "tokens out",
        "requests",
        "time-outs",
        "errors",
    ):
        table.add_column(heading, justify="right")
    for engine in engines:
        own = [row for row in rows if row.engine == engine.name]
        if not own:
            continue
        table.add_row(
            str(engine),
            _solved(own),
            *(_solved([row for row in own if row.task == task]) for task in tasks),
            f"{statistics.median(row.seconds for row in own):.1f}",
            *(
                f"{statistics.median(count(row.traffic) for row in own):,.0f}"
                for count in (
                    lambda traffic: traffic.prompt_tokens,
                    lambda traffic: traffic.completion_tokens,
                    lambda traffic: traffic.requests,
                )
            ),
            str(sum(row.outcome == "time-out" for row in own)),
            str(sum(row.outcome == "error" for row in own)),
        )
    return table


def _solved(rows: Sequence[Row]) -> str:
    return f"{sum(row.score >= 1 for row in rows)}/{len(rows)}"


def overhead_table(overheads: Iterable[Overhead]) -> Table:
    table = Table(box=box.MARKDOWN)
    table.add_column("engine")
    for heading in ("context", "seconds", "best", "whole process", "runs"):
        table.add_column(heading, justify="right")
    for item in overheads:
        figures = ["failed", "-", "-"]
        if times := item.seconds:
            shown = statistics.median(times), min(times), statistics.median(item.whole)
            figures = [f"{seconds:.2f}" for seconds in shown]
        table.add_row(f"{item.engine} {item.version}", f"{item.megabytes} MB", *figures, str(len(times)))
    return table


def progress(row: Row) -> str:
    """One line for one sample."""
    traffic = row.traffic
    return (
        f"{row.task} {row.seed}  {row.engine}  {row.outcome}  score {row.score:.2f}  {row.seconds:.1f} s  "
        f"{traffic.requests} requests  {traffic.prompt_tokens:,} + {traffic.completion_tokens:,} tokens"
        + (f"  {traffic.refused} refused" if traffic.refused else "")
        + (f"  {traffic.uncounted} not counted" if traffic.uncounted else "")
        + (f"  ({row.error})" if row.error else "")
    )


def embedded(model: str, window: int) -> tuple[str, str]:
    """Loads the model into this process, where it stays; address and key of llama.cpp's server."""
    loaded = llama_cpp.LlamaCpp(model, window=window)._load(None, Cancel())
    return loaded.server.listening_address, loaded.api_key


def cpu() -> str:
    """The processor's name and the number of its cores that this process may use."""
    return f"{bench_record.processor() or platform.machine()}, {llama_cpp._cores()} cores"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [engine.name for engine in ENGINES]
    parser.add_argument("--engines", type=_among(names), default=names, help=f"of {', '.join(names)}")
    parser.add_argument("--tasks", type=_among(list(TASKS)), default=list(TASK_NAMES), help="as in rlm.tasks")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N-1; 0: only the overhead")
    parser.add_argument("--length", type=int, default=100_000, help="of a context, in characters")
    parser.add_argument("--limit", type=float, default=120, help="seconds for a sample")
    parser.add_argument("--iterations", type=int, default=10, help="root turns")
    parser.add_argument("--temperature", type=float, default=0.0, help="whatever an engine asks for")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="starts no sample that could end later than that"
    )
    parser.add_argument("--overhead-runs", type=int, default=5, help="of each engine; 0: none")
    parser.add_argument("--megabytes", type=int, default=10, help="of the context when overhead is measured")
    parser.add_argument("--model", default=llama_cpp.DEFAULT_MODEL, help="an embedded model, or the server's")
    parser.add_argument("--server", metavar="URL", help="llama-server, without /v1; default: embedded")
    parser.add_argument("--window", type=int, default=16_384, help="tokens, of the embedded model")
    parser.add_argument("--venvs", type=Path, default=weights.cache_folder() / "peers", help="%(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="adds a line for each sample")
    parser.add_argument("--resume", action="store_true", help="takes over what FILE has")
    return parser


def _among(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        given = text.split(",")
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return given

    return names


def main(argv: Sequence[str] | None = None, engines: Sequence[Engine] = ENGINES) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    if args.json and args.json.exists() and not args.resume:
        parser.error(f"{args.json} exists: add --resume to go on with it, or name another file")
    if args.resume and not args.json:
        parser.error("--resume needs the --json FILE to go on with")
    engines = [engine for engine in engines if engine.name in args.engines]
    try:
        return compare(args, engines)
    except KeyboardInterrupt:
        print("interrupted; --resume goes on from here", file=sys.stderr)
        return 130
    except (rlm.RLMError, OSError, subprocess.CalledProcessError) as error:
        print(f"peers: {error}", file=sys.stderr)
        return 1


def compare(args: argparse.Namespace, engines: Sequence[Engine]) -> int:
    """Measures what is not in the record yet, and shows the tables."""
    until = time.monotonic() + args.minutes * 60
    server = args.server or f"embedded, {llama_cpp.PARALLEL} windows of {args.window} tokens"
    settings = Settings(args.model, server, args.length, args.limit, args.iterations, args.temperature)
    record = Record(args.json)
    introduce(record, settings, engines, args.seeds)
    pythons = {engine.name: environment(engine, args.venvs) for engine in engines}
    overheads = list(overheads_of(args, engines, pythons, record)) if args.overhead_runs else []
    items = [(engine, task, seed) for seed in range(args.seeds) for task in args.tasks for engine in engines]
    missing = [item for item in items if _key(*item, settings) not in record.rows]
    left = len(missing)
    if missing:
        url, api_key = (args.server, "none") if args.server else embedded(args.model, args.window)
        with Proxy(url.rstrip("/"), temperature=args.temperature, api_key=api_key) as proxy:
            for engine, task, seed in missing:
                if time.monotonic() + args.limit > until:
                    break
                row = solve(engine, pythons[engine.name], task, seed, settings, proxy)
                record.add(row)
                left -= 1
                print(f"[{len(missing) - left}/{len(missing)}] {progress(row)}", flush=True)
    console = Console(width=None if sys.stdout.isatty() else 200)
    if overheads:
        print("\nOverhead of the engine: three turns of a scripted model.")
        console.print(overhead_table(overheads))
    keys = [_key(*item, settings) for item in items]
    if rows := [record.rows[key] for key in keys if key in record.rows]:
        print("\nSamples solved; seconds, tokens and requests are medians.")
        console.print(solve_table(rows, engines, args.tasks))
    if left:
        print(f"{left} samples are left: --resume goes on with them.")
    return 0


def introduce(record: Record, settings: Settings, engines: Sequence[Engine], seeds: int) -> None:
    """Prints, and records, what a figure without its circumstances would lack."""
    about = {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "seeds": seeds,
        **asdict(settings),
    }
    record.note({"kind": "About", **about})
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(", ".join(map(str, engines)), flush=True)


def overheads_of(
    args: argparse.Namespace, engines: Sequence[Engine], pythons: dict[str, Path], record: Record
) -> Iterator[Overhead]:
    """The overhead of each engine that has a script, measured where it is not in the record."""
    for engine in engines:
        if not engine.script:
            continue
        key = engine.name, engine.version, args.megabytes
        if key not in record.overheads:
            item = measure_overhead(engine, pythons[engine.name], args.megabytes, args.overhead_runs)
            record.add(item)
            print(f"overhead  {engine}  {item.error or item.seconds}", flush=True)
        yield record.overheads[key]


def _key(engine: Engine, task: str, seed: int, settings: Settings) -> tuple[object, ...]:
    return engine.name, engine.version, task, seed, settings


if __name__ == "__main__":
    sys.exit(main())
