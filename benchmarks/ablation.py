"""Which hostile cells get through when one layer of the sandbox is left out.

    python benchmarks/ablation.py
    python benchmarks/ablation.py --all hangs exits       every cell of these aims, whatever layer it names
    python benchmarks/ablation.py --inprocess             also in a bare REPL that stops nothing

Without snapshots a cell counts as getting through if it costs the variables of earlier cells. A cell that
gets through nowhere is a test that cannot fail. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hostile.harness import (
    AIMS,
    KERNEL_LAYERS,
    LAYERS,
    Outcome,
    Snippet,
    Stage,
    all_snippets,
    attempt,
    bare,
)

EVERYTHING = "all of them"
REMOVED: dict[str, dict[str, Any]] = {
    **{layer: {"without": frozenset({layer})} for layer in KERNEL_LAYERS},
    "snapshots": {"snapshots": False},
    EVERYTHING: {"policy": "off", "snapshots": False},
}
TIMEOUT = 4.0
# seconds for a cell: enough to take effect


def concerns(snippet: Snippet, removed: str, every: bool) -> bool:
    """Whether this cell is to be tried without that layer."""
    named = {*snippet.layers}
    return (
        every or removed in named or (removed == EVERYTHING and bool(named & {*KERNEL_LAYERS, "snapshots"}))
    )


def through(outcome: Outcome, removed: str) -> bool:
    """Whether the cell achieved what the layer is there to stop."""
    return bool(outcome.escaped) or (removed in ("snapshots", EVERYTHING) and not outcome.kept)


def ablate(stage: Stage, cells: Sequence[Snippet], removed: str, every: bool) -> tuple[int, list[str]]:
    """How many cells were tried without a layer, and the names of those that got through."""
    tried = [snippet for snippet in cells if concerns(snippet, removed, every)]
    settings = REMOVED[removed] if removed == "snapshots" else {**REMOVED[removed], "cell_timeout": TIMEOUT}
    return len(tried), [str(s) for s in tried if through(attempt(s, stage, **settings), removed)]


def ablate_all(stage: Stage, cells: Sequence[Snippet], every: bool) -> tuple[int, list[str]]:
    """The same in a bare REPL, for cells that no layer of the kernel's is said to stop."""
    soft = {*LAYERS} - {*KERNEL_LAYERS}
    tried = [snippet for snippet in cells if every or {*snippet.layers} & soft]
    return len(tried), [str(s) for s in tried if through(attempt(s, stage, bare), EVERYTHING)]


def rows(
    stage: Stage, cells: Sequence[Snippet], every: bool, inprocess: bool
) -> Iterator[tuple[str, int, list[str]]]:
    for removed in REMOVED:
        yield (removed, *ablate(stage, cells, removed, every))
    if inprocess:
        yield ("bare REPL", *ablate_all(stage, cells, every))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("aims", nargs="*", help=f"only these: {', '.join(AIMS)}")
    parser.add_argument("--all", action="store_true", help="every cell without every layer")
    parser.add_argument("--inprocess", action="store_true", help="also in a bare REPL that stops nothing")
    arguments = parser.parse_args(argv)
    if unknown := {*arguments.aims} - {*AIMS}:
        parser.error(f"unknown aim: {', '.join(sorted(unknown))}")
    cells = [snippet for snippet in all_snippets() if not arguments.aims or snippet.aim in arguments.aims]
    began = time.monotonic()
    print(
        f"{len(cells)} cells, Python {platform.python_version()}, {platform.platform()}, user {os.geteuid()}"
    )
    print(f"{'left out':14}  {'tried':>5}  {'through':>7}  cells")
    found: dict[str, list[str]] = {}
    with Stage() as stage:
        for removed, tried, names in rows(stage, cells, arguments.all, arguments.inprocess):
            found[removed] = names
            print(f"{removed:14}  {tried:5}  {len(names):7}  {', '.join(names)}", flush=True)
    everywhere = {name for names in found.values() for name in names}
    nowhere = [
        str(snippet)
        for snippet in cells
        if str(snippet) not in everywhere
        and "failed once" not in snippet.notes
        and (arguments.inprocess or {*snippet.layers} & {*REMOVED})
    ]
    print(f"stopped by nothing in the ablation: {', '.join(nowhere) or 'none'}")
    print(json.dumps({"seconds": round(time.monotonic() - began), "through": found, "nowhere": nowhere}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
