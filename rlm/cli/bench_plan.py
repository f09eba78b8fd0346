"""The command line of a benchmark: which models are asked which samples, and how. Asks none of them."""

from __future__ import annotations

import argparse
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rlm.cli.bench_trial import Case, Entrant, Method
from rlm.clients.ollama_server import ollama_host
from rlm.clients.resolve import PROVIDERS
from rlm.cloud_client import CLOUDS, choose
from rlm.errors import ConfigurationError
from rlm.tasks import TASKS
from rlm.tasks.sample import LENGTH, SHORTEST

MODELS = ("qwen3:0.6b", "qwen3:1.7b")
# on Ollama, without being asked for
LINES = 10_000
# of the haystack of `niah`, as in the demo
TRIALS = 10
TIMEOUT = 600.0
# seconds of a trial
ITERATIONS = 15


@dataclass(frozen=True)
class Model:
    """One that takes part."""

    spec: str
    # as `resolve` takes it
    name: str
    provider: str
    # both for people

    def entrants(self, *, baseline: bool) -> list[Entrant]:
        methods: list[Method] = ["rlm", "one prompt"] if baseline else ["rlm"]
        return [Entrant(self.name, self.provider, method) for method in methods]


def flags(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rlm bench", description=description)
    models = parser.add_argument_group("models")
    names: dict[str, Any] = {"nargs": "+", "action": "extend", "default": [], "metavar": "NAME"}
    models.add_argument("--ollama", **names, help="more of Ollama's; http://host:port/name is one elsewhere")
    models.add_argument("--ollama-host", metavar="URL", type=plain, help="of Ollama (default: OLLAMA_HOST)")
    models.add_argument("--pull", action="store_true", help="let Ollama download the models that are missing")
    models.add_argument("--no-local", action="store_true", help=f"without {' and '.join(MODELS)}")
    models.add_argument("--local", **names, help="embedded ones, such as qwen2.5-coder-1.5b")
    models.add_argument("--cloud", **names, help="provider:model, such as groq:openai/gpt-oss-20b")
    models.add_argument(
        "--no-cloud-auto", action="store_true", help="without each provider whose key is in the environment"
    )
    samples = parser.add_argument_group("samples")
    samples.add_argument(
        "--task",
        nargs="+",
        choices=TASKS,
        default=["niah"],
        metavar="NAME",
        help="one or more (default: niah)",
    )
    samples.add_argument("--list-tasks", action="store_true", help="show the tasks, and end")
    samples.add_argument("--lines", type=count, metavar="N", help=f"of niah's haystack (default: {LINES})")
    samples.add_argument(
        "--length",
        type=size,
        metavar="N",
        help="characters of the others' contexts, and of niah's without --lines: 20000, 100k (default), 1m",
    )
    samples.add_argument(
        "--grid", nargs="+", metavar="LENGTHS x DEPTHS", help="lengths and needle depths: 10k,100k,1m x 5"
    )
    samples.add_argument(
        "--trials", type=count, default=TRIALS, metavar="N", help=f"of a task or place (default: {TRIALS})"
    )
    samples.add_argument(
        "--seed",
        type=whole,
        default=0,
        metavar="N",
        help="of the first trial; the next has the next (default: 0)",
    )
    runs = parser.add_argument_group("runs")
    runs.add_argument(
        "--baseline", action="store_true", help="also the whole context in one prompt, where it fits"
    )
    runs.add_argument(
        "--max-iterations", type=count, default=ITERATIONS, metavar="N", help=f"default: {ITERATIONS}"
    )
    runs.add_argument(
        "--timeout", type=seconds, default=TIMEOUT, metavar="S", help=f"of a trial (default: {TIMEOUT:g})"
    )
    runs.add_argument(
        "--think", action=argparse.BooleanOptionalAction, help="thinking on or off; else as the model does"
    )
    runs.add_argument("--parallel", type=count, default=1, metavar="N", help="trials at once (default: 1)")
    results = parser.add_argument_group("results")
    results.add_argument("--json", type=Path, metavar="FILE", help="JSON lines: each trial when it is over")
    results.add_argument("--resume", type=Path, metavar="FILE", help="go on with such a file")
    results.add_argument("--plot", type=Path, metavar="FILE", help="the grid's heat map: .png, .svg or .html")
    return parser


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text}")
    return int(text)


def whole(text: str) -> int:
    if not text.isdecimal():  # Python's random takes -4 for 4
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 up, not {text}")
    return int(text)


def seconds(text: str) -> float:
    try:
        if 0 < (value := float(text)) <= threading.TIMEOUT_MAX:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")


def size(text: str) -> int:
    """Characters: 20000, 20k, 1.5m."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([km]?)", text.strip().lower())
    value = round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2]]) if match else 0
    if value < SHORTEST:
        raise argparse.ArgumentTypeError(f"must be characters, at least {SHORTEST:,}, as 20000, 20k or 1m")
    return value


def plain(text: str) -> str:
    if "@" in text:
        raise argparse.ArgumentTypeError("can hold no user and password")
    return text


def models_of(args: argparse.Namespace) -> list[Model]:
    """The models that take part, each once; raises ConfigurationError if there is none."""
    with_key = [
        f"{provider.prefix}:"
        for provider in CLOUDS.values()
        if provider.variable and os.environ.get(provider.variable)
    ]
    defaults, clouds = ([] if args.no_local else [*MODELS]), ([] if args.no_cloud_auto else with_key)
    models = [
        *map(of_ollama, defaults + args.ollama),
        *map(embedded, args.local),
        *map(of_cloud, clouds + args.cloud),
    ]
    if not models:
        raise ConfigurationError("No model takes part. Name one with --ollama, --local or --cloud.")
    return list(dict.fromkeys(models))


def of_ollama(name: str) -> Model:
    url = urlsplit(name) if name.startswith(("http://", "https://")) else None
    if url and "@" in url.netloc:
        raise ConfigurationError("The address of an Ollama server can hold no user and password.")
    if url:
        return Model(f"ollama:{name}", url.path.strip("/"), f"Ollama at {url.netloc}")
    name = name.removeprefix("ollama:")
    return Model(f"ollama:{name}", name, PROVIDERS["ollama"].label)


def embedded(name: str) -> Model:
    spec = f"local:{name.removeprefix('local:')}"
    return Model(spec, spec, PROVIDERS["local"].label)


def of_cloud(name: str) -> Model:
    provider, model = choose(name, None, None)
    spec = f"{provider.prefix}:{model}"
    return Model(spec, spec, provider.label)


def cases(args: argparse.Namespace) -> list[Case]:
    """Each sample that every model is asked; raises ConfigurationError where a task cannot give it."""
    for task in args.task:
        try:
            TASKS[task].sample(args.seed, length=SHORTEST)
        except ModuleNotFoundError as error:  # the book is in a package of its own
            raise ConfigurationError(str(error)) from error
    if args.lines and "niah" not in args.task:
        raise ConfigurationError("--lines is for the task niah; for others, --length gives the characters.")
    if args.grid and (args.lines or args.length):
        raise ConfigurationError("--grid gives the lengths: leave out --lines and --length.")
    if args.plot and not args.grid:
        raise ConfigurationError("--plot needs lengths and depths, such as --grid 10k,100k x 5")
    if args.grid and (without := [task for task in args.task if not TASKS[task].depth]):
        raise ConfigurationError(f"--grid: there is no one needle to place in {', '.join(without)}.")
    seeds = range(args.seed, args.seed + args.trials)
    if args.grid:
        lengths, depths = grid(args.grid)
        places = [(length, depth) for length in lengths for depth in depths]
        return [
            Case(task, seed, length, depth=depth)
            for task in args.task
            for length, depth in places
            for seed in seeds
        ]
    return [
        Case(task, seed, args.lines or LINES, "lines")
        if task == "niah" and (args.lines or not args.length)
        else Case(task, seed, args.length or LENGTH)
        for task in args.task
        for seed in seeds
    ]


def address(host: str | None) -> str:
    """Ollama's, "" where it is none: then no model of it takes part, or each says so."""
    try:
        return ollama_host(host)
    except ConfigurationError:
        return ""


def grid(words: Sequence[str]) -> tuple[list[int], list[float]]:
    """Lengths and depths: "10k,100k,1m x 5" has five depths from 0 to 1, "10k x 0,0.5,1" has these."""
    lengths, _, depths = re.sub(r"\s", "", "".join(words)).lower().partition("x")
    try:
        sizes = [size(text) for text in lengths.split(",")]
        if depths.isdecimal() and int(depths) > 1:
            last = int(depths) - 1
            return sizes, [round(i / last, 4) for i in range(last + 1)]
        places = [float(text) for text in depths.split(",")]
    except (ValueError, argparse.ArgumentTypeError):
        places = []
    if not places or not all(0 <= place <= 1 for place in places):
        raise ConfigurationError(
            "--grid takes lengths of at least 1,000 characters and a number of depths: 10k,100k,1m x 5; "
            "or the depths themselves: 10k,100k,1m x 0,0.5,1"
        )
    return list(dict.fromkeys(sizes)), list(dict.fromkeys(places))


def settings(args: argparse.Namespace, cases: Sequence[Case]) -> dict[str, Any]:
    """All but the models that figures depend on: what one record has in common."""
    depths = [case.depth for case in cases if case.depth is not None]
    return {
        "tasks": args.task,
        "lines": list(dict.fromkeys(case.size for case in cases if case.unit == "lines")),
        "characters": list(dict.fromkeys(case.size for case in cases if case.unit == "length")),
        "depths": list(dict.fromkeys(depths)),
        "trials": args.trials,
        "seed": args.seed,
        "max_iterations": args.max_iterations,
        "timeout": args.timeout,
        "think": args.think,
        "parallel": args.parallel,
        "ollama_host": address(args.ollama_host),
    }
