"""README.md, CONTRIBUTING.md and CHANGELOG.md: their code runs, their tables and commands are true."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from fakes import cell
from servers import FakeOllama, FakeOpenAI, FakeServer, Handler, Reply

from rlm import RLM, RLMError, RLMResult, errors, events
from rlm.cli.bench_plan import flags
from rlm.clients.resolve import PROVIDERS
from rlm.clients.weights import KNOWN
from rlm.parsing import RUNNABLE
from rlm.sandbox import Sandbox
from rlm.types import StopReason

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = {
    name: (ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
}

REPLIES = {
    "Which order was sent back?": [cell("print(search('sent back'))"), "FINAL(order 123456)"],
    "What is broken?": ["FINAL(lamp)"],
    "What is praised?": ["FINAL(rug)"],
    "Who wrote this?": [cell("context.splitlines()[-1]"), "FINAL(Tom)"],
    "How many lamps?": [cell("n = len(search('lamp'))"), "FINAL(n)"],
    "And desks?": ["FINAL(1)"],
    "How many rugs?": [cell("len(search('rug'))"), "FINAL(2)"],
}
# of the model, turn by turn, to each question that the README asks one


# The code


class Answering(FakeServer):
    """Replies to the question that it is asked, in whatever order the questions come."""

    def stream(self, handler: Handler, reply: Reply, body: dict[str, Any]) -> None:
        asked = [message["content"] for message in body["messages"] if message["role"] != "system"]
        at, turns = next(
            (at, replies)
            for at, text in enumerate(asked)  # there are turns to go by before the question
            for question, replies in REPLIES.items()
            if f"Question: {question}" in text
        )
        super().stream(handler, Reply(turns[(len(asked) - at) // 2]), body)


class Ollama(Answering, FakeOllama):
    pass


class OpenAI(Answering, FakeOpenAI):
    pass


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Ollama, OpenAI]]:
    """An Ollama and an OpenAI where the environment says that they are; Ctrl-C is as before afterwards."""
    interrupt = signal.getsignal(signal.SIGINT)
    with Ollama(models=["qwen3:4b", "qwen3:0.6b"]) as ollama, OpenAI() as openai:
        monkeypatch.setenv("OLLAMA_HOST", ollama.url)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{openai.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
        yield ollama, openai
    signal.signal(signal.SIGINT, interrupt)
    for server in (ollama, openai):
        assert (server.violations, server.crashes) == ([], [])


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.splitlines()[-1][:50])
def test_the_code_runs_and_prints_what_it_says(code, servers, capsys):
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out.splitlines()
    for promised in re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE):
        assert promised in printed or promised.startswith("says ")
    asked = sum(len(replies) for question, replies in REPLIES.items() if question in code)
    assert sum(len(server.chats) for server in servers) == asked


def test_every_scripted_question_is_asked():
    assert all(any(question in code for code in blocks("python")) for question in REPLIES)


def test_the_first_program_is_short():
    assert len([line for line in blocks("python")[0].splitlines() if line]) <= 10


# Commands and paths


def shell_lines(text: str) -> list[str]:
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    return [
        line.partition(" #")[0].strip() for block in blocks("sh", text) for line in block.splitlines()
    ] + spans


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_exists(name):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    commands = [shlex.split(line) for line in shell_lines(DOCUMENTS[name]) if line.startswith("make ")]
    named = {word for command in commands for word in command[1:] if "=" not in word}
    assert named <= targets
    if name == "README.md":
        assert {"demo", "test"} <= named


@pytest.mark.parametrize(
    "command",
    sorted(
        {
            line
            for text in DOCUMENTS.values()
            for line in shell_lines(text)
            if line.startswith(("python ", "rlm "))
        }
    ),
)
def test_every_command_takes_its_options(command):
    program, *arguments = shlex.split(command)
    start = [arguments[0]] if program == "python" else ["-c", "from rlm import cli; cli.main()", arguments[0]]
    done = subprocess.run(
        [sys.executable, *start, "--help"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for option in arguments[1:]:
        assert not option.startswith("--") or f" {option} " in done.stdout.replace("]", " ").replace("[", " ")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_named_exists(name):
    text = DOCUMENTS[name]
    words = [word for line in shell_lines(text) for word in line.split()]
    paths = {word for word in words if re.fullmatch(r"\w[\w./-]*(\.(py|md|txt|toml)|/)", word)}
    links = set(re.findall(r"\]\((?!https?:)([^)#]+)\)", text))
    assert {path for path in paths | links if not (ROOT / path).exists()} == set()
    headings = {re.sub(r"\W+", "-", title.lower()) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_every_name_in_the_folder_listing_exists():
    (listing,) = blocks("text", DOCUMENTS["CONTRIBUTING.md"])
    found = re.findall(r"^( {0,2})([\w.]+/?)(?:  |$)", listing, re.MULTILINE)
    assert len(found) > 15
    for indent, name in found:
        assert (ROOT / ("rlm" if indent else "") / name).exists(), name


@pytest.mark.parametrize("extra", ["local", "docs", "plot", "bench", "dev"])
def test_the_extras_exist(extra):
    assert f"[{extra}]" in README
    assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)


def test_every_environment_variable_is_read():
    """OLLAMA_MODELS and OLLAMA_NUM_PARALLEL are Ollama's own."""
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "rlm").rglob("*.py"))
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", README)) - {"OLLAMA_NUM_PARALLEL", "OLLAMA_MODELS"}
    assert {name for name in named if f'"{name}"' not in source} == set()


# Tables


def table(first: str, text: str = README) -> list[list[str]]:
    """Rows of the table whose first column has this title."""
    lines = text[text.index(f"\n| {first} |") :].lstrip("\n").split("\n\n")[0].splitlines()
    return [[column.strip() for column in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_parameters_of_rlm():
    parameters = list(inspect.signature(RLM).parameters.values())
    rows = table("parameter")
    assert [name.strip("`") for name, *_ in rows] == [parameter.name for parameter in parameters]
    for (_, default, _), parameter in zip(rows, parameters, strict=True):
        assert ast.literal_eval(default.strip("`")) == parameter.default, parameter.name
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_position == ["model", "recursive_model"]


def test_the_signature_of_completion():
    promised = re.search(r"`rlm\.completion\((.*?)\)`", README)
    signature = inspect.signature(RLM.completion)
    names = [
        name if p.default is p.empty else f"{name}={p.default}" for name, p in signature.parameters.items()
    ]
    assert promised
    assert promised[1].replace("*, ", "").split(", ") == names[1:]


def test_the_providers():
    rows = [[column.strip("`") for column in row] for row in table("prefix")]
    assert rows == [[f"{p.prefix}:", p.label, p.default_model, p.variable or ""] for p in PROVIDERS.values()]


def test_the_flags_of_the_benchmark():
    actions = flags(None)._actions
    named = re.findall(r"--[a-z-]+", " ".join(f"{flag} {text}" for flag, text in table("flag")))
    assert set(named) == {option for action in actions for option in action.option_strings} - {"-h", "--help"}


def test_the_fields_of_a_result():
    assert [row[0].strip("`") for row in table("field")] == [field.name for field in fields(RLMResult)]


def test_the_stop_reasons():
    named = [reason for row in table("stop reason") for reason in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(get_args(StopReason))


def test_the_exceptions_and_their_tree():
    (tree,) = [block for block in blocks("text") if block.startswith("RLMError")]
    parents, named = {-1: "Exception"}, set()
    for line in tree.splitlines():
        depth, name = len(re.match(r"[│├└─ ]*", line)[0]), re.search(r"\w+", line)[0]
        parents[depth] = name
        above = parents[max(other for other in parents if other < depth)]
        assert getattr(errors, name).__bases__[0].__name__ == above
        named.add(name)
    assert named == {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, RLMError)
    }


def test_the_events():
    named = set(re.findall(r"`(\w+)`", README[README.index("The events are") :].split("\n\n")[0]))
    assert named - {"RLM"} == {event.__name__ for event in get_args(events.Event)}


def test_the_names_in_the_repl():
    named = {re.match(r"`(\w+)", row[0])[1] for row in table("name")}
    with Sandbox("by: Ann; says: x\n" * 9, query=str) as repl:
        there = repl.execute("rows\nsorted(name for name in globals() if name[0] != '_')").value
    assert named == set(ast.literal_eval(there))


def test_the_fences_that_run():
    text = README[README.index("**Code.**") :].split(";")[0]
    assert "or has no tag" in text
    assert {"", *re.findall(r"`(\w+)`", text)} == RUNNABLE


def test_the_embedded_models():
    for weights in KNOWN.values():
        assert f"`local:{weights.name}` ({round(weights.size / 1e6):,} MB" in README


def test_the_documents_are_wrapped():
    for name, text in DOCUMENTS.items():
        prose = [line for line in text.splitlines() if not line.startswith("|")]
        assert max(map(len, prose)) <= 120, name
