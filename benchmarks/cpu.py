"""What llama.cpp's settings do to the embedded model's speed on this machine.

    python benchmarks/cpu.py
    python benchmarks/cpu.py --settings "as it is" "8-bit cache" --model qwen2.5-coder-0.5b

For each setting, in a process of its own: seconds to load, tokens a second of a prompt and of a reply, as
when the root writes its first code, and labels a second. Nothing else may run beside it. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console
from rich.table import Table

from rlm import examples, prompts
from rlm.clients import llama_cpp
from rlm.clients.base import Options
from rlm.history import History
from rlm.sandbox.child import labels
from rlm.tasks.labels import SOURCES
from rlm.types import Related

ROUNDS = 2
LABELS = 24
QUESTIONS = (
    "How many orders are for rugs and come from Bergen?",
    "For each city, what is the average number of pieces of an order? Print them in alphabetical order.",
    "Which customer ordered the most different items?",
)


def _set(**values: object) -> Callable[[Any], None]:
    def change(params: Any) -> None:
        for name, value in values.items():
            setattr(params, name, value)

    return change


def _one_thread(params: Any) -> None:
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1


def _cache_of_8_bits(params: Any) -> None:
    import xllamacpp

    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0


def _ngrams(params: Any) -> None:
    import xllamacpp

    kinds = xllamacpp.common_speculative_type
    params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    params.speculative.ngram_simple.size_n = 4
    params.speculative.ngram_simple.size_m = 8


SETTINGS: dict[str, Callable[[Any], None]] = {
    "as it is": lambda _: None,
    "one thread": _one_thread,
    "batches of 32": _set(n_batch=32, n_ubatch=32),
    "batches of 128": _set(n_batch=128, n_ubatch=128),
    "batches of 256": _set(n_batch=256, n_ubatch=256),
    "repacked weights": _set(no_extra_bufts=False),
    "8-bit cache": _cache_of_8_bits,
    "n-gram speculation": _ngrams,
    "two conversations": _set(n_parallel=2, n_ctx=2 * llama_cpp.WINDOW),
    "eight conversations": _set(n_parallel=8, n_ctx=8 * llama_cpp.WINDOW),
}


def measure(model: str, name: str) -> dict[str, float]:
    """Seconds to load, then tokens and labels a second; runs in a process of its own."""
    given = llama_cpp.settings

    def settings(*args: Any) -> Any:
        params = given(*args)
        SETTINGS[name](params)
        return params

    llama_cpp.settings = settings
    llama_cpp._read_instructions = lambda *_: None  # they are part of what is measured
    client = llama_cpp.LlamaCpp(model)
    began = time.monotonic()
    client.prepare()
    loaded = time.monotonic() - began
    read, written = 0.0, []
    for question in QUESTIONS:
        context = {"type": "list", "length": 900, "items": ["dict"], "head": ["{'nr': 1, 'item': 'rug'}"]}
        asked = prompts.first_message([prompts.describe(context)], question, Related(), context)
        history = History(prompts.system(20_000), asked, list(examples.turns(context)))
        seen = [time.monotonic()]
        options = Options(
            max_tokens=120, temperature=0.0, on_text=lambda _, seen=seen: seen.append(time.monotonic())
        )
        usage = client.complete(history.messages, options=options).usage
        began, first, *_, last = [*seen, seen[-1]]
        # the first question has the most to read: later ones find the instructions in the cache
        read = read or (usage.prompt_tokens - usage.cached_tokens) / (first - began)
        written.append((usage.completion_tokens - 1) / (last - first or 1.0))
    return {
        "load": loaded,
        "read": read,
        "written": statistics.median(written),
        "labels": _labels_a_second(client),
    }


def _labels_a_second(client: llama_cpp.LlamaCpp) -> float:
    def answer(prompt: str) -> dict[str, Any]:
        message: Any = [{"role": "user", "content": prompt}]
        return {"text": client.complete(message, options=Options(max_tokens=16, temperature=0.0)).text}

    source = SOURCES[0]
    texts = [text for some in zip(*source.instances.values(), strict=False) for text in some][:LABELS]
    with ThreadPoolExecutor(8) as pool:

        def ask(prompts: list[str]) -> list[dict[str, Any]]:
            return list(pool.map(answer, prompts))

        began = time.monotonic()
        labels.Labels(source.meanings).read(texts, ask, ask)
        return len(texts) / (time.monotonic() - began)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=llama_cpp.DEFAULT_MODEL, metavar="NAME")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of all settings; the median counts")
    args = parser.parse_args(argv)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in args.settings}
    process = multiprocessing.get_context("spawn")
    for _ in range(args.rounds):
        for name in args.settings:
            with process.Pool(1) as pool:
                runs[name].append(pool.apply(measure, (args.model, name)))
            print(name, json.dumps(runs[name][-1]), flush=True)
    table = Table("setting", "load s", "tokens read/s", "written/s", "labels/s")
    found = {
        name: {key: statistics.median(run[key] for run in of) for key in of[0]} for name, of in runs.items()
    }
    for name, of in found.items():
        table.add_row(name, *(f"{of[key]:.{digits}f}" for key, digits in zip(of, (1, 1, 1, 2), strict=True)))
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    print(json.dumps(vars(args) | {"found": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
