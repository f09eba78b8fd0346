"""One question and its answer, alone: for scripts and pipes. The chat takes its options from here."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from rlm import __version__, events
from rlm.cancel import Cancel
from rlm.cli import DONE, FAILED, INTERRUPTED, documents, guarded
from rlm.cli.display import prepare, printable
from rlm.clients.fit import NUM_CTX
from rlm.clients.llama_cpp import DEFAULT_MODEL as EMBEDDED
from rlm.clients.resolve import resolve
from rlm.engine import RLM
from rlm.errors import ConfigurationError, ModelNotFound, RLMError
from rlm.sandbox.policy import POLICIES

MODEL = "llama3.1:8b"
OTHER_MODELS = (
    "Other ways: --model groq: or another cloud with its key in the environment, or "
    f"--model local:{EMBEDDED}, which needs no server."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if there is an answer, 1 if not."""
    parser = argparse.ArgumentParser(prog="rlm ask", description=__doc__)
    parser.add_argument("question")
    parser.add_argument("files", nargs="*", help="files, folders and globs: the context")
    parser.add_argument("--json", action="store_true", help="print the whole result, with all turns")
    add_options(parser)
    args = parser.parse_intermixed_args(argv)
    args.context = [*args.context, *args.files]
    return guarded(lambda cancel: answer(args, args.question, cancel), without_model=OTHER_MODELS)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that a chat and a single question have in common."""
    add = parser.add_argument
    add("--model", "-m", default=MODEL, help=f"root model; a prefix names its provider (default: {MODEL})")
    add("--recursive-model", "-r", help="sub model, which llm_query asks (default: the root model)")
    add(
        "--context",
        "-c",
        action="append",
        default=[],
        metavar="PATH",
        help="file, folder or glob; repeatable",
    )
    add("--host", help="Ollama's address (default: OLLAMA_HOST, or localhost:11434)")
    add("--max-iterations", type=int, default=15, help="root turns of a question (default: 15)")
    add(
        "--num-ctx", type=int, default=NUM_CTX, help=f"ceiling of Ollama's window (default: {NUM_CTX} tokens)"
    )
    add("--temperature", type=float, default=0.6, help="of sampling (default: 0.6)")
    add("--think", action=argparse.BooleanOptionalAction, help="thinking (default: as the model does it)")
    add("--policy", choices=POLICIES, default="strict", help="confinement of the REPL (default: strict)")
    add("--pull", action="store_true", help="let Ollama download a model that is missing")
    add("--version", action="version", version=f"rlm-ollama {__version__}")


def answer(args: argparse.Namespace, question: str, cancel: Cancel) -> int:
    """Prints the answer, or the result as JSON; what else there is to say goes to standard error."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    found = documents.load(args.context)
    for note in found.notes:
        errors.print(note, markup=False)
    as_json = json.JSONEncoder(default=str).encode if getattr(args, "json", False) else None
    with build(args, errors, cancel).session(found.context, about=found.about) as session:
        try:
            result = session.completion(question, cancel=cancel)
        except RLMError as error:
            if as_json and error.result:
                print(as_json(asdict(error.result)))
            raise
    if as_json:
        print(as_json(asdict(result)))
    elif result.answer:
        text = printable(result.answer) if sys.stdout.isatty() else result.answer
        print(text.encode("utf-8", "replace").decode())
    return INTERRUPTED if cancel.reason else DONE if result.answer else FAILED


def build(
    args: argparse.Namespace,
    console: Console,
    cancel: Cancel,
    on_event: Callable[[events.Event], object] | None = None,
) -> RLM:
    """The engine that the options ask for, its models loaded.

    Raises:
        ClientError: a model cannot be had.
    """

    def client(name: str) -> Any:
        try:
            found = resolve(name, host=args.host, num_ctx=args.num_ctx, think=args.think, pull=args.pull)
            prepare(found, console, cancel)
        except ConfigurationError as error:  # no key, no file, no such provider
            raise ModelNotFound(str(error)) from error
        return found

    root = client(args.model)
    return RLM(
        root_client=root,
        sub_client=client(args.recursive_model) if args.recursive_model else None,
        max_iterations=args.max_iterations,
        think=args.think,
        temperature=args.temperature,
        policy=args.policy,
        on_event=on_event,
    )
