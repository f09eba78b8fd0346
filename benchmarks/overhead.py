"""What the engine itself costs: three turns of a scripted model, from construction to result.

    python benchmarks/overhead.py

Prints seconds (median, and the best run) and the peak memory of all processes, as a multiple of the context,
beside the floor of this machine: an encoded copy of the context, and the start of a bare Python.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

import rlm
from rlm.clients.base import Options
from rlm.types import Completion, Message, Usage

TURNS = (
    "```repl\nprint(len(context))\n```",
    "```repl\nlines = context.count('\\n')\nprint(lines)\n```",
    "```repl\nFINAL(lines)\n```",
)


class Scripted:
    """Replies in order, in no time."""

    name = "scripted"

    def __init__(self) -> None:
        self.replies = iter(TURNS)

    def complete(self, messages: Sequence[Message], options: Options) -> Completion:
        return Completion(next(self.replies), Usage(len(messages), 1))


def run(context: str, lines: int) -> None:
    result = rlm.RLM(root_client=Scripted()).completion("How many lines?", context)
    assert result.value == lines, result


def seconds(body: Callable[[], object], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        body()
        times.append(time.perf_counter() - began)
    return times


class PeakMemory:
    """Peak of the proportional memory (PSS: shared pages count once) of this process and its descendants."""

    def __enter__(self) -> PeakMemory:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.bytes = max(self.bytes, sum(map(_pss, [os.getpid(), *_descendants(os.getpid())])))


def _descendants(pid: int) -> list[int]:
    """The launcher, the worker that it has forked, and the worker's snapshots."""
    tasks = f"/proc/{pid}/task"
    try:
        names = os.listdir(tasks)
    except OSError:  # it has ended meanwhile
        return []
    children = [int(child) for name in names for child in _read(f"{tasks}/{name}/children").split()]
    return [one for child in children for one in (child, *_descendants(child))]


def _pss(pid: int) -> int:
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:  # it has ended meanwhile
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 200], help="of the context, in MB")
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    print(
        f"rlm {rlm.__version__}, Python {platform.python_version()}, {platform.machine()} {platform.system()}"
    )
    began = time.perf_counter()
    rlm.RLM(root_client=Scripted())
    engine_import = time.perf_counter() - began
    bare = seconds(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", "0"], check=True), args.runs)
    bare_start = statistics.median(bare)
    report: dict[str, object] = {"bare_python": round(bare_start, 4)}
    print(f"first use of the engine (imports) {engine_import:.3f} s · bare Python start {bare_start:.3f} s")
    for size in args.sizes:
        line = "the quick brown fox jumps over the lazy dog, again and again\n"
        lines = size * 1_000_000 // len(line)
        context = line * lines
        run(context, lines)  # imports and page cache
        times = seconds(lambda text=context, count=lines: run(text, count), args.runs)
        copy = statistics.median(seconds(lambda text=context: text.encode().decode(), 3))
        if sys.platform == "linux":
            with PeakMemory() as peak:
                run(context, lines)
        memory = peak.bytes / len(context) if sys.platform == "linux" else float("nan")
        median, best = statistics.median(times), min(times)
        print(
            f"{size:>5} MB: {median:.3f} s median, {best:.3f} s best · {memory:.2f} x the context in memory"
            f" · floor: encode and decode {copy:.3f} s"
        )
        report[f"{size}MB"] = {"median": round(median, 4), "best": round(best, 4), "memory": round(memory, 3)}
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
