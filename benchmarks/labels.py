"""How many labels `classify` gets right with a model, and how long it takes.

    python benchmarks/labels.py
    python benchmarks/labels.py --model local:qwen2.5-coder-0.5b --texts 40

The texts are those of `rlm/tasks/labels.py`, drawn at random, in one row for each sort. Nothing else may run
beside the model. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rlm.clients.base import Options
from rlm.clients.resolve import resolve
from rlm.sandbox.child import labels
from rlm.tasks.labels import SOURCES


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="local:qwen2.5-coder-1.5b", metavar="NAME")
    parser.add_argument("--texts", type=int, default=40, help="of each sort")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 as in a run")
    args = parser.parse_args(argv)
    client = resolve(args.model)
    options = Options(max_tokens=64, temperature=args.temperature, think=False)

    def answer(prompt: str) -> str:
        return client.complete([{"role": "user", "content": prompt}], options=options).text

    answer("Say hello.")  # loads the model
    shares = {}
    with ThreadPoolExecutor(getattr(client, "concurrency", 4)) as pool:
        for source in SOURCES:
            every = [(text, label) for label, texts in source.instances.items() for text in texts]
            gold = dict(random.Random(args.seed).sample(every, args.texts))
            known: dict[str, str] = {}
            began = time.monotonic()
            labels.read(list(gold), source.meanings, known, lambda prompts: list(pool.map(answer, prompts)))
            seconds = time.monotonic() - began
            shares[source.what] = sum(known.get(text) == label for text, label in gold.items()) / len(gold)
            print(f"{shares[source.what]:.2f} right, {seconds:.0f} s: {source.what}", flush=True)
    print(json.dumps(vars(args) | {"right": shares}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
