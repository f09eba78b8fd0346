"""The check-up: which models are within reach, what the chosen one can do, and how the REPL is protected."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.text import Text

from rlm import __version__, sandbox
from rlm.cancel import Cancel
from rlm.cli import DONE, FAILED, INTERRUPTED, guarded
from rlm.cli.display import prepare, printable
from rlm.clients import llama_cpp, weights
from rlm.clients.fit import available_memory
from rlm.clients.ollama import Ollama
from rlm.clients.ollama_server import tagged
from rlm.clients.resolve import PROVIDERS, resolve
from rlm.engine import DEFAULT_MODEL, RLM
from rlm.errors import RLMError
from rlm.tasks import TASKS

LENGTH = 20_000
# characters of the haystack of the run
TURNS, TIMEOUT = 6, 300.0
# of the run, and its seconds
EMBEDDED = llama_cpp.DEFAULT_MODEL
NATIVE = "In a checkout, make native builds one that may read twice as fast."
GOOD, BAD, NOTE = ("✓", "green"), ("✗", "red"), ("·", "dim")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if a model is within reach, answers through the REPL, and the REPL is confined; else 1."""
    parser = argparse.ArgumentParser(prog="rlm doctor", description=__doc__)
    parser.add_argument(
        "--model", "-m", help="the model to check; default: the first one that is within reach"
    )
    parser.add_argument("--host", help="Ollama's address")
    parser.add_argument("--no-run", action="store_true", help="do not let the model answer a question")
    args = parser.parse_args(argv)
    return guarded(lambda cancel: Doctor(args, Console(highlight=False, soft_wrap=True), cancel).examine())


class Doctor:
    """Goes through the set-up and prints a line for each finding."""

    def __init__(self, args: argparse.Namespace, console: Console, cancel: Cancel) -> None:
        self.args = args
        self.console = console
        self.cancel = cancel
        self.well = True

    def examine(self) -> int:
        self.say(NOTE, f"rlm {__version__}, Python {platform.python_version()}, {platform.platform()}")
        self.repl()
        within_reach = [*self.ollama(), *self.embedded(), *self.clouds()]
        name = self.args.model or next(iter(within_reach), None)
        if name is None:
            self.say(BAD, f"No model is within reach. Install Ollama and run: ollama pull {DEFAULT_MODEL}")
            self.say(NOTE, f"Or without Ollama: pip install 'rlm-ollama[local]', then local:{EMBEDDED}")
            return FAILED
        try:
            self.model(name)
        except RLMError as error:
            self.say(BAD, printable(str(error)))
        return INTERRUPTED if self.cancel.reason else DONE if self.well else FAILED

    def say(self, mark: tuple[str, str], text: str) -> None:
        self.well = self.well and mark is not BAD
        self.console.print(Text.assemble(mark, " ", text))

    def repl(self) -> None:
        """What protects this machine from the model's code."""
        try:
            report = sandbox.report()
        except RLMError as error:
            return self.say(BAD, str(error))
        self.say(GOOD if report.confined else BAD, str(report))
        if report.confined:
            self.say(NOTE, f"  Tried and refused in its process: {', '.join(report.held)}.")
        return None

    def ollama(self) -> list[str]:
        """The models that Ollama has, the usual one first."""
        client = Ollama(DEFAULT_MODEL, host=self.args.host)
        try:
            version, names = client.version(), client.available()
        except RLMError:
            elsewhere = "ollama serve; OLLAMA_HOST or --host if it is elsewhere"
            self.say(NOTE, f"No Ollama at {client.host} ({elsewhere}).")
            return []
        finally:
            client.close()
        if not names:
            self.say(NOTE, f"Ollama {version} at {client.host} has no model (ollama pull {DEFAULT_MODEL}).")
            return []
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        self.say(GOOD, f"Ollama {version} at {client.host} has {shown}.")
        return sorted(names, key=lambda name: tagged(name) != tagged(DEFAULT_MODEL))

    def embedded(self) -> list[str]:
        """The embedded model, where its runtime is installed."""
        if find_spec("xllamacpp") is None:
            self.say(NOTE, "No embedded models: pip install 'rlm-ollama[local]'")
            return []
        folder = weights.cache_folder() / "models"
        here = [name for name, file in weights.KNOWN.items() if (folder / file.file).exists()]
        there = f"{', '.join(here)} downloaded" if here else "none downloaded yet"
        self.say(GOOD, f"Embedded models can run in the program: {there}.")
        try:
            unused = llama_cpp.unused()
        except RLMError as error:
            self.say(BAD, str(error))
            return []
        if unused:
            self.say(NOTE, f"  Their runtime makes no use of this CPU's {', '.join(unused)}. {NATIVE}")
        return [f"local:{here[0] if here else EMBEDDED}"]

    def clouds(self) -> list[str]:
        """The default models of the clouds whose keys are set; a key itself is not looked at."""
        found = [p for p in PROVIDERS.values() if p.variable and os.environ.get(p.variable)]
        for provider in found:
            self.say(GOOD, f"{provider.label}: {provider.variable} is set.")
        if not found:
            self.say(NOTE, "No key of a cloud is set.")
        if ":11434" in os.environ.get("OPENAI_BASE_URL", ""):
            self.say(
                BAD, "OPENAI_BASE_URL is Ollama's: there it cuts long prompts unasked. Name its models alone."
            )
        return [f"{provider.prefix}:{provider.default_model}" for provider in found]

    def model(self, name: str) -> None:
        """What the chosen model can do, and how it does in one small run."""
        client = resolve(name, host=self.args.host)
        prepare(client, self.console, self.cancel)
        window: Callable[[], int | None] = getattr(client, "window", lambda: None)
        size = window()
        shown = f"a window of {size:,} tokens" if size else "its window is not known"
        self.say(GOOD if size else NOTE, f"{name}: {shown}.")
        if isinstance(client, Ollama):
            self.of_ollama(client, size or 0)
        if not self.args.no_run:
            self.run(client)

    def of_ollama(self, client: Ollama, window: int) -> None:
        facts = client.facts()
        thinking = {True: "It can think", False: "It cannot think", None: "Whether it can think is not known"}
        self.say(NOTE, f"  {thinking[facts.thinks]}" + (": low, medium, high." if facts.levels else "."))
        if facts.length and window < facts.length:
            self.say(NOTE, f"  It was trained for {facts.length:,} tokens.")
        if facts.kv_bytes and not facts.remote:
            free = available_memory()
            beside = f"; {free / 2**30:.1f} GiB of memory are free" if free else ""
            takes = facts.kv_bytes * window / 2**30
            self.say(NOTE, f"  The whole window takes {takes:.1f} GiB beside the model{beside}.")

    def run(self, client: Any) -> None:
        """Lets the model find a number in a small text, through the REPL."""
        task = TASKS["niah"]
        sample = task.sample(1, length=LENGTH)
        with self.console.status("One small run …"):
            rlm = RLM(root_client=client, max_iterations=TURNS, timeout=TIMEOUT, policy="best-effort")
            result = rlm.completion(sample.question, sample.context, cancel=self.cancel)
        right = task.score(result.answer, sample) == 1.0
        without = sum(not turn.executions and turn is not result.trajectory[-1] for turn in result.trajectory)
        how = f"{result.iterations} turns, {result.total_time:.1f} s"
        how += f"; {without} replies had no code" if without else ""
        if right:
            self.say(GOOD, f"It found a number in {LENGTH:,} characters: {how}.")
        else:
            said = printable(result.answer)[:100] or "nothing"
            self.say(BAD, f"It did not find the number in {LENGTH:,} characters ({how}); it answered {said}.")
            self.say(
                NOTE, "  It may be too small, or not made for code. Try another one, such as qwen2.5-coder."
            )
