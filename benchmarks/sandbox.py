"""What the confined REPL costs, beside the floor of this machine in the same run.

    python benchmarks/sandbox.py

Prints medians and 99th percentiles. Floors: the start of a bare Python, exec() in this process, a round trip
over a socket to another process, and a copy in memory. Run it on an idle machine. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rlm
from rlm.sandbox import Sandbox, launch, report

LINE = "the quick brown fox jumps over the lazy dog, again and again\n"


def seconds(body: Callable[[], object], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        body()
        times.append(time.perf_counter() - began)
    return times


class Table:
    """Prints a row for each figure and keeps it."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}
        print(f"{'':44}{'median':>12}{'99 %':>12}{'limit':>10}{'floor':>12}")

    def row(self, name: str, times: list[float], *, limit: float, floor: list[float], of: str) -> None:
        median = statistics.median(times)
        worst = sorted(times)[min(len(times) - 1, len(times) * 99 // 100)]
        low = statistics.median(floor)
        cells = "".join(f"{number * 1000:>9.2f} ms" for number in (median, worst))
        print(f"{name:44}{cells}{limit * 1000:>7g} ms{low * 1000:>9.2f} ms  {of}", flush=True)
        self.rows[name] = {"median": median, "p99": worst, "limit": limit, "floor": low}


def start() -> None:
    """Starts a session and ends it; only the start is waited for."""
    Sandbox(None, query=str).close()


def start_cold() -> None:
    launch.restart()
    start()


def cells(code: str, runs: int, **options: Any) -> list[float]:
    with Sandbox(None, query=str, **options) as repl:
        repl.execute(code)
        return seconds(lambda: repl.execute(code), runs)


def round_trips(runs: int) -> list[float]:
    """A byte to another process and back."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        while data := theirs.recv(1):
            theirs.sendall(data)
        os._exit(0)
    theirs.close()

    def trip() -> None:
        ours.sendall(b"x")
        ours.recv(1)

    times = seconds(trip, runs)
    ours.close()
    os.wait()
    return times


def hand_over(context: object) -> tuple[float, int]:
    """Seconds until a REPL has the context, and the peak of its process's memory in bytes."""
    began = time.perf_counter()
    with Sandbox(context, query=str) as repl:
        took = time.perf_counter() - began
        status = Path(f"/proc/{repl._session._worker}/status").read_text()
        return took, int(status.split("VmHWM:")[1].split()[0]) * 1024


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200, help="of the fast figures; the slow ones take fewer")
    parser.add_argument("--no-gigabyte", action="store_true", help="leave the context of 1 GB out")
    args = parser.parse_args()
    print(
        f"rlm {rlm.__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"Linux {platform.release()}. {report()}"
    )
    table, few = Table(), max(args.runs // 10, 5)
    bare = seconds(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", "0"], check=True), few)
    table.row("cold start", seconds(start_cold, few), limit=0.060, floor=bare, of="bare Python")
    table.row(
        "start from the warm launcher", seconds(start, args.runs), limit=0.012, floor=bare, of="bare Python"
    )

    names: dict[str, object] = {}
    code = compile("x = 1", "<floor>", "exec")
    bare_exec = seconds(lambda: exec(code, names), args.runs)
    table.row(
        "cell x = 1, without snapshot",
        cells("x = 1", args.runs, snapshots=False),
        limit=0.00015,
        floor=bare_exec,
        of="exec() here",
    )
    table.row("cell x = 1", cells("x = 1", args.runs), limit=0.004, floor=bare_exec, of="exec() here")
    trips = round_trips(args.runs)
    calls = cells("for _ in range(300): llm_query('x')", few, snapshots=False, max_sub_calls=10**6)
    table.row("llm_query", [t / 300 for t in calls], limit=0.0001, floor=trips, of="socket round trip")
    table.row(
        "recovery after a hard kill",
        cells("import os; os._exit(1)", few),
        limit=0.020,
        floor=bare,
        of="bare Python",
    )

    sizes = [(200, 0.35)] + [(1000, 1.5)] * (not args.no_gigabyte)
    for size, limit in sizes:
        text = LINE * (size * 1_000_000 // len(LINE))
        got = [hand_over(text) for _ in range(5)]
        copies = seconds(lambda text=text: text.encode(), 5)
        table.row(f"text of {size} MB", [t for t, _ in got], limit=limit, floor=copies, of="a copy in memory")
        memory = max(peak for _, peak in got) / len(text)
        print(f"{'  peak memory of the worker':44}{memory:>10.2f} x  the text (limit 1.15)")
        table.rows[f"text of {size} MB"]["memory"] = memory
        del text
    items = [f"item {n}: {LINE}" for n in range(1_000_000)]
    copies = seconds(lambda: [str(bytes(item, "ascii"), "ascii") for item in items], 3)
    times = [hand_over(items)[0] for _ in range(5)]
    table.row("list of 1,000,000 str", times, limit=0.6, floor=copies, of="each of them copied")
    print(
        json.dumps(
            {name: {key: round(value, 6) for key, value in row.items()} for name, row in table.rows.items()}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
