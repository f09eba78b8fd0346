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
from pathlib import Path
from typing import Any

from overhead import seconds

import rlm
from rlm.sandbox import Sandbox, launch, report

LINE = "the quick brown fox jumps over the lazy dog, again and again\n"


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


def measure(table: Table, runs: int) -> None:
    """Starts, cells, sub calls, recovery."""
    few = max(runs // 10, 5)
    bare = seconds(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", "0"], check=True), few)
    table.row("cold start", seconds(start_cold, few), limit=0.060, floor=bare, of="bare Python")
    table.row("start from the warm launcher", seconds(start, runs), limit=0.012, floor=bare, of="bare Python")
    code, names = compile("x = 1", "<floor>", "exec"), dict[str, object]()
    here = seconds(lambda: exec(code, names), runs)
    alone = cells("x = 1", runs, snapshots=False)
    table.row("cell x = 1, without snapshot", alone, limit=0.00015, floor=here, of="exec() here")
    table.row("cell x = 1", cells("x = 1", runs), limit=0.004, floor=here, of="exec() here")
    calls = cells("for _ in range(300): llm_query('x')", few, snapshots=False, max_sub_calls=10**6)
    trips = round_trips(runs)
    table.row("llm_query", [t / 300 for t in calls], limit=0.0001, floor=trips, of="socket round trip")
    killed = cells("import os; os._exit(1)", few)
    table.row("recovery after a hard kill", killed, limit=0.020, floor=bare, of="bare Python")


def measure_text(table: Table, size: int, limit: float) -> None:
    """The hand-over of so many MB of text."""
    text = LINE * (size * 1_000_000 // len(LINE))
    got = [hand_over(text) for _ in range(5)]
    copies = seconds(text.encode, 5)
    table.row(f"text of {size} MB", [t for t, _ in got], limit=limit, floor=copies, of="a copy in memory")
    memory = max(peak for _, peak in got) / len(text)
    print(f"{'  peak memory of the worker':44}{memory:>10.2f} x  the text (limit 1.15)")
    table.rows[f"text of {size} MB"]["memory"] = memory


def measure_list(table: Table) -> None:
    items = [f"item {n}: {LINE}" for n in range(1_000_000)]
    copies = seconds(lambda: [str(bytes(item, "ascii"), "ascii") for item in items], 3)
    times = [hand_over(items)[0] for _ in range(5)]
    table.row("list of 1,000,000 str", times, limit=0.6, floor=copies, of="each of them copied")


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
    table = Table()
    measure(table, args.runs)
    measure_text(table, 200, 0.35)
    if not args.no_gigabyte:
        measure_text(table, 1000, 1.5)
    measure_list(table)
    rounded = {name: {key: round(n, 6) for key, n in row.items()} for name, row in table.rows.items()}
    print(json.dumps(rounded))
    return 0


if __name__ == "__main__":
    sys.exit(main())
