"""How often the demo's model finds the number, and how fast: the demo's run over many seeds, at its defaults.

    python benchmarks/demo.py --model local:qwen2.5-coder-1.5b --seeds 20

Prints a line for each run, then the summary; the last line is JSON. Nothing else should run beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from typing import Any

import rlm
from rlm.clients.base import Client
from rlm.clients.resolve import resolve
from rlm.tasks import niah
from rlm.tasks.scoring import score


def run(client: Client, seed: int, lines: int) -> dict[str, Any]:
    """One run; later and cached tokens are of the root's prompts in turns 2 and later."""
    sample = niah.sample(seed, lines=lines)
    result = rlm.RLM(root_client=client).completion(sample.question, sample.context)
    later = [turn.root_usage for turn in result.trajectory[1:]]
    row = {
        "seed": seed,
        "score": score(result.answer, sample),
        "turns": result.iterations,
        "seconds": round(result.total_time, 2),
        "later_tokens": sum(usage.prompt_tokens for usage in later),
        "cached_tokens": sum(usage.cached_tokens for usage in later),
        "stop_reason": result.stop_reason,
        "answer": result.answer[:60],
    }
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="local:qwen2.5-coder-1.5b")
    parser.add_argument("--seeds", type=int, default=20, help="seeds 0 to N-1")
    parser.add_argument("--lines", type=int, default=10_000)
    args = parser.parse_args()
    print(f"{args.model}, {args.lines:,} lines, seeds 0 to {args.seeds - 1}, temperature 0.6")
    print(
        f"rlm {rlm.__version__}, Python {platform.python_version()}, {platform.machine()} {platform.system()}"
    )
    client = resolve(args.model)
    began = time.monotonic()
    if hasattr(client, "prepare"):
        client.prepare()
    load = time.monotonic() - began
    rows = [run(client, seed, args.lines) for seed in range(args.seeds)]
    later = sum(row["later_tokens"] for row in rows)
    summary = {
        "model": args.model,
        "right": sum(row["score"] == 1 for row in rows),
        "of": len(rows),
        "median_turns": statistics.median(row["turns"] for row in rows),
        "median_seconds": statistics.median(row["seconds"] for row in rows),
        "max_seconds": max(row["seconds"] for row in rows),
        "load_seconds": round(load, 2),
        "cached_share_of_later_turns": round(sum(r["cached_tokens"] for r in rows) / later, 3)
        if later
        else None,
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
