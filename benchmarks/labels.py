"""How many labels `classify` gets right with a model, and how long it takes.

    python benchmarks/labels.py
    python benchmarks/labels.py --model local:qwen2.5-coder-0.5b --texts 40
    python benchmarks/labels.py --plain                 # without what the model leans to being taken off
    python benchmarks/labels.py --skew                  # one label four times as often as all others together

The texts are those of `rlm/tasks/labels.py` and `other_labels.py`, drawn at random, in one row for each sort.
With --bare the labels have no meanings. Nothing else may run beside the model. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from other_labels import OTHERS

from rlm.calls import LIKELY
from rlm.clients.base import Options
from rlm.clients.resolve import resolve
from rlm.sandbox.child import labels
from rlm.tasks.labels import SOURCES, Source


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="local:qwen2.5-coder-1.5b", metavar="NAME")
    parser.add_argument("--texts", type=int, default=40, help="of each sort, where it has so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 as in a run")
    parser.add_argument("--plain", action="store_true", help="the replies as they are")
    parser.add_argument("--bare", action="store_true", help="labels without meanings")
    parser.add_argument("--skew", action="store_true", help="most texts of one label")
    args = parser.parse_args(argv)
    client = resolve(args.model)
    likely = 0 if args.plain else LIKELY
    options = Options(max_tokens=64, temperature=args.temperature, think=False, likely=likely)

    def answer(prompt: str) -> dict[str, Any]:
        reply = client.complete([{"role": "user", "content": prompt}], options=options)
        return {"text": reply.text, "likely": reply.likely}

    answer("Say hello.")  # loads the model
    shares = {}
    with ThreadPoolExecutor(getattr(client, "concurrency", 4)) as pool:

        def ask(prompts: list[str]) -> list[dict[str, Any]]:
            return list(pool.map(answer, prompts))

        for source in (*SOURCES, *OTHERS):
            gold = _drawn(source, random.Random(args.seed), args.texts, skew=args.skew)
            reader = labels.Labels(dict.fromkeys(source.meanings, "") if args.bare else source.meanings)
            began = time.monotonic()
            reader.read(list(gold), ask, ask)
            seconds = time.monotonic() - began
            right = sum(reader.known.get(text) == label for text, label in gold.items())
            shares[source.what] = right / len(gold)
            print(f"{right / len(gold):.2f} of {len(gold)} right, {seconds:.0f} s: {source.what}", flush=True)
    print(f"{statistics.mean(shares.values()):.3f} mean of the rows")
    print(json.dumps(vars(args) | {"right": shares}))
    return 0


def _drawn(source: Source, chance: random.Random, count: int, *, skew: bool) -> dict[str, str]:
    """Some texts with their labels; with skew, four of five have the same one."""
    every = [(text, label) for label, texts in source.instances.items() for text in texts]
    if skew:
        most = chance.choice(list(source.instances))
        frequent = [pair for pair in every if pair[1] == most]
        others = [pair for pair in every if pair[1] != most]
        every = frequent + chance.sample(others, len(frequent) // 4)
    return dict(chance.sample(every, min(count, len(every))))


if __name__ == "__main__":
    sys.exit(main())
