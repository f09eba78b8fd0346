"""The demo: a number hidden in 10,000 random lines, and a model that finds it through the RLM loop."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from rlm.cancel import Cancel
from rlm.cli import DONE, FAILED, INTERRUPTED, guarded
from rlm.cli.display import Display, prepare, printable, summary
from rlm.clients.llama_cpp import DEFAULT_MODEL as EMBEDDED
from rlm.clients.ollama import Ollama
from rlm.clients.ollama_server import tagged
from rlm.clients.resolve import PROVIDERS, resolve, split
from rlm.engine import RLM
from rlm.errors import ClientError
from rlm.tasks import niah
from rlm.tasks.scoring import score

MODEL = "qwen3:0.6b"


def main(argv: Sequence[str] | None = None, *, model: str = MODEL) -> int:
    """Returns 0 if the model found the number, 1 if not."""
    parser = argparse.ArgumentParser(prog="rlm demo", description=__doc__)
    parser.add_argument("--model", "-m", help=f"default: {model} if Ollama has it, else local:{EMBEDDED}")
    parser.add_argument("--lines", type=int, default=10_000, help="size of the haystack (default: 10000)")
    parser.add_argument("--seed", type=int, help="of the haystack; default: a new one each time")
    parser.add_argument("--host", help="Ollama's address")
    parser.add_argument("--pull", action="store_true", help="let Ollama download the model if it is missing")
    parser.add_argument("--verbose", action="store_true", help="show whole outputs")
    args = parser.parse_args(argv)
    if args.lines < 1:
        parser.error("--lines must be at least 1")
    if args.seed is None:
        args.seed = random.randrange(10_000)
    return guarded(lambda cancel: run(args, model, Console(highlight=False), cancel))


def run(args: argparse.Namespace, model: str, console: Console, cancel: Cancel) -> int:
    asks = not args.model and not args.pull and split(model)[0] is PROVIDERS["ollama"]
    name = available(model, args.host, console) if asks else args.model or model
    client = resolve(name, host=args.host, pull=args.pull)
    prepare(client, console, cancel)
    sample = niah.sample(args.seed, lines=args.lines)
    console.print(f"A number is hidden in {args.lines:,} random lines (seed {args.seed}).")
    with Display(console, verbose=args.verbose) as display:
        rlm = RLM(root_client=client, on_event=display)
        result = rlm.completion(sample.question, sample.context, cancel=cancel)
    right = score(result.answer, sample) == 1.0
    stopped = result.stop_reason == "cancelled"
    verdict = "stopped" if stopped else "right" if right else f"wrong, it is {sample.gold}"
    answer = Text.assemble("\nAnswer: ", (printable(result.answer) or "(none)", "bold"), " · ")
    console.print(answer.append(verdict, "green" if right else "red"))
    console.print(summary(result), style="dim")
    return INTERRUPTED if stopped else DONE if right else FAILED


def available(model: str, host: str | None, console: Console) -> str:
    """The model, if a reachable Ollama has it, else the embedded one."""
    client = Ollama(model, host=host)
    try:
        if tagged(model) in map(tagged, client.available()):
            return model
        reason = f"Ollama at {client.host} does not have {model} (to get it: --pull)."
    except ClientError:
        reason = f"No Ollama at {client.host}."
    console.print(f"{reason} Taking the embedded model {EMBEDDED}.", soft_wrap=True)
    return f"local:{EMBEDDED}"
