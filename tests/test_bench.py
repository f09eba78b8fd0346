"""`rlm bench` as people run it, against stand-in servers; and its figures, record and picture."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedClient, cell
from rich.console import Console
from servers import FakeOllama, FakeOpenAI, Handler, Reply, text_of

import rlm
from rlm.cancel import Cancel
from rlm.cli import bench, bench_record, bench_report, heatmap
from rlm.cli.bench_plan import MODELS, grid
from rlm.cli.bench_trial import Case, Entrant, OnePrompt, Trial, trial
from rlm.clients.resolve import PROVIDERS
from rlm.engine import RLM
from rlm.errors import Cancelled, ClientError, ConfigurationError, RLMError
from rlm.tasks import book
from rlm.types import Completion, Usage

ROOT = Path(__file__).parents[1]
KEY = "sk-secret-0123456789"
SOLVES = cell("FINAL(search('secret number')[0].split()[-1])")
REPLIES = {"qwen3:0.6b": SOLVES, "qwen3:1.7b": "FINAL(1234567)"}
# what the stand-in models say; one finds the number, one does not


class Ollama(FakeOllama):
    """Has two models; `slow`: seconds before each of their replies but the first, the warm-up's."""

    def __init__(self, *replies: Reply, models: dict[str, str] = REPLIES, slow: float = 0.0) -> None:
        super().__init__(*replies, models=tuple(models))
        self.says = models
        self.slow = slow
        self.at_once = self.most_at_once = 0

    def stream(self, handler: Handler, reply: Reply, body: dict[str, Any]) -> None:
        asked = text_of(body["messages"][-1])
        if body["messages"][0]["role"] == "user":  # the warm-up, or the whole context in one prompt
            found = re.search(r"secret number is (\d{7})", asked)
            return super().stream(handler, replace(reply, text=found[1] if found else "Hello."), body)
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.stopping.wait(self.slow)
        with self._lock:
            self.at_once -= 1
        return super().stream(handler, replace(reply, text=self.says[body["model"]]), body)


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ollama]:
    with Ollama() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        yield server
    assert (server.violations, server.crashes) == ([], [])


def run(*arguments: str, capsys: Any) -> tuple[int, str, dict[str, Any]]:
    """Exit code, what people read, and what programs read; each trial takes a second by this clock."""
    ticks = itertools.count(0.0)
    code = bench.main(["--lines", "50", *arguments], clock=lambda: next(ticks))
    out = capsys.readouterr().out
    return code, out, json.loads(out.splitlines()[-1])


def start(server: Ollama, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "benchmark_models.py"), "--lines", "50", *arguments],
        env=os.environ | {"OLLAMA_HOST": server.url, "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def recorded(path: Path, kind: str = "trial") -> list[dict[str, Any]]:
    return [entry for entry in map(json.loads, path.read_text().splitlines()) if entry["type"] == kind]


# The whole script

TABLE = """\
niah

 model                accuracy     seconds  iterations  tokens in
 provider                 95 %  n   95th %   sub calls        out  failures
 ──────────────────────────────────────────────────────────────────────────────
 qwen3:0.6b              100 %  4      1.0         1.0         11  none
 Ollama               51-100 %         1.0         0.0          4

 qwen3:1.7b                0 %  4      1.0         2.0         22  4 wrong
 Ollama                 0-49 %         1.0         0.0          2

 qwen3:0.6b              100 %  4      1.0         1.0         11  none
 Ollama at            51-100 %         1.0         0.0          4
 127.0.0.1:12345

 nosuch                      -  0        -           -          -  unavailable
 Ollama

nosuch: Ollama at http://127.0.0.1:12345 has no model "nosuch". Run "ollama pull nosuch", \
or let it be pulled (pull=True, --pull), or use one that is there: \
tiny:latest, thinker:4b, qwen3:0.6b, qwen3:1.7b.
"""


def test_the_table_of_two_models_one_that_is_missing_and_one_elsewhere(ollama, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ["--trials", "4", "--ollama", "nosuch", f"{ollama.url}/qwen3:0.6b"]
    code, out, _ = run(*arguments, capsys=capsys)
    out = out[out.index("niah  ") :].replace(ollama.url.removeprefix("http://"), "127.0.0.1:12345")
    shown = [line.rstrip() for line in out.splitlines()]
    assert code == 0
    assert "\n".join(shown[:-1]) + "\n" == TABLE


def test_what_is_needed_to_repeat_it_is_printed_first(ollama, capsys):
    _, out, summary = run("--trials", "1", "--seed", "7", "--no-think", capsys=capsys)
    first = "niah: 50 lines, 1 trial from seed 7\nat most 15 iterations and 600 s a trial, not thinking\n"
    assert out.startswith(f"{first}rlm {rlm.__version__}, Python 3.")
    assert summary["settings"]["seed"] == 7
    assert summary["machine"]["cores"] == os.cpu_count()


def test_the_samples_are_those_of_the_seed(ollama, capsys, tmp_path):
    for name in ("one", "two"):
        run(
            "--trials",
            "3",
            "--seed",
            "5",
            "--no-local",
            "--ollama",
            "qwen3:0.6b",
            "--json",
            str(tmp_path / name),
            capsys=capsys,
        )
    one, two = ([entry["gold"] for entry in recorded(tmp_path / name)] for name in ("one", "two"))
    assert one == two == [Case("niah", seed, 50, "lines").sample().gold for seed in (5, 6, 7)]


def test_the_default_models_are_those_of_ollama_and_of_every_key(ollama, capsys, monkeypatch):
    with FakeOpenAI(key=KEY) as openai:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{openai.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        _, _, summary = run("--trials", "1", capsys=capsys)
        assert [row["model"] for row in summary["rows"]] == [
            *MODELS,
            f"openai:{PROVIDERS['openai'].default_model}",
        ]
        _, _, summary = run("--trials", "1", "--no-cloud-auto", capsys=capsys)
        assert [row["model"] for row in summary["rows"]] == [*MODELS]


def test_a_key_that_is_refused_is_a_row_and_is_shown_nowhere(ollama, capsys, monkeypatch, tmp_path):
    record = tmp_path / "record"
    with FakeOpenAI(key="another") as openai:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{openai.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        code = bench.main(["--lines", "50", "--trials", "1", "--json", str(record)])
    out, err = capsys.readouterr()
    assert code == 0
    assert "does not let this request in (HTTP 401)" in out
    assert [entry["model"] for entry in recorded(record, "unavailable")] == [
        f"openai:{PROVIDERS['openai'].default_model}"
    ]
    assert KEY not in out + err + record.read_text()


def test_a_missing_model_is_pulled_if_asked(ollama, capsys):
    name = "qwen3:0.6b"
    ollama.library[name] = ollama.models.pop(name)
    _, _, summary = run("--trials", "1", "--pull", "--no-local", "--ollama", name, capsys=capsys)
    assert [row["n"] for row in summary["rows"]] == [1]


def test_it_fails_where_no_model_gave_anything_but_errors(capsys, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    code, out, summary = run("--trials", "1", capsys=capsys)
    assert code == 1
    assert 'Is "ollama serve" running?' in out
    assert [row["n"] for row in summary["rows"]] == [0, 0]


def test_the_baseline_is_a_row_of_its_own(ollama, capsys):
    arguments = ["--trials", "2", "--baseline", "--no-local", "--ollama", "qwen3:1.7b"]
    _, out, summary = run(*arguments, capsys=capsys)
    assert [(row["method"], row["accuracy"]) for row in summary["rows"]] == [
        ("rlm", 0.0),
        ("one prompt", 1.0),
    ]
    assert "one prompt, Ollama" in out


def test_several_tasks_have_a_table_each_and_one_together(ollama, capsys):
    _, out, summary = run(
        "--trials",
        "2",
        "--task",
        "niah",
        "logs",
        "--length",
        "2k",
        "--no-local",
        "--ollama",
        "qwen3:0.6b",
        capsys=capsys,
    )
    assert [(row["task"], row["n"]) for row in summary["rows"]] == [
        ("niah", 2),
        ("logs", 2),
        ("all tasks", 4),
    ]
    assert (summary["settings"]["lines"], summary["settings"]["characters"]) == ([50], [2000])
    assert re.findall(r"^(?:niah|logs|all tasks)(?= *$)", out, re.MULTILINE) == ["niah", "logs", "all tasks"]


def test_trials_may_run_at_once(capsys, monkeypatch):
    with Ollama(slow=0.3) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        with start(
            server, "--trials", "4", "--parallel", "4", "--no-local", "--ollama", "qwen3:0.6b"
        ) as process:
            out, _ = process.communicate(timeout=60)
    (row,) = json.loads(out.splitlines()[-1])["rows"]
    assert (row["n"], server.most_at_once) == (4, 4)


# Interruption and resumption


def test_an_interrupted_run_shows_its_table_and_resumes_without_repeating_a_trial(tmp_path):
    record = tmp_path / "record.jsonl"
    with Ollama(slow=0.15) as server:
        process = start(server, "--trials", "8", "--json", str(record))
        while process.poll() is None and not (record.exists() and len(recorded(record)) >= 3):
            threading.Event().wait(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert f"Interrupted. To go on: --resume {record}" in err
        before = recorded(record)
        assert 3 <= len(before) < 16
        last = json.loads(out.splitlines()[-1])
        assert (last["complete"], sum(row["n"] for row in last["rows"])) == (False, len(before))
        assert "accuracy" in out

        record.write_text(record.read_text()[:-20])  # as if the summary had been cut off too
        server.slow = 0.0
        with start(server, "--trials", "8", "--resume", str(record)) as again:
            out, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    after = recorded(record)
    assert after[: len(before)] == before
    assert sorted((trial["entrant"]["model"], trial["case"]["seed"]) for trial in after) == [
        (model, seed) for model in sorted(MODELS) for seed in range(8)
    ]
    last = json.loads(out.splitlines()[-1])
    assert last["complete"]
    assert last == recorded(record, "summary")[-1]
    assert len(recorded(record, "summary")) == 1


def test_a_trial_that_was_cut_off_in_the_record_is_run_again(ollama, capsys, tmp_path):
    record = tmp_path / "record"
    run("--trials", "3", "--json", str(record), capsys=capsys)
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(lines[:3]) + lines[3][:40])
    asked = len(ollama.asked)
    run("--trials", "3", "--resume", str(record), capsys=capsys)
    assert len(recorded(record)) == 6
    # two warm-ups, and the trials that were not in it, of which three are asked back for their answer
    assert len(ollama.asked) - asked == 2 + 4 + 3


def test_another_model_may_join_a_record(ollama, capsys, tmp_path):
    record = tmp_path / "record"
    run("--trials", "2", "--no-local", "--ollama", "qwen3:0.6b", "--json", str(record), capsys=capsys)
    _, _, summary = run("--trials", "2", "--resume", str(record), capsys=capsys)
    assert [(row["model"], row["n"]) for row in summary["rows"]] == [(model, 2) for model in MODELS]


def test_a_record_with_other_settings_is_refused(ollama, capsys, tmp_path):
    record = tmp_path / "record"
    run("--trials", "1", "--json", str(record), capsys=capsys)
    before = record.read_bytes()
    assert bench.main(["--lines", "50", "--trials", "2", "--seed", "3", "--resume", str(record)]) == 2
    assert "was made with trials 1, not 2; seed 0, not 3." in capsys.readouterr().err
    assert record.read_bytes() == before


def test_a_record_of_another_machine_or_server_is_refused(ollama, capsys, tmp_path):
    record = tmp_path / "record"
    run("--trials", "1", "--json", str(record), capsys=capsys)
    header, *others = map(json.loads, record.read_text().splitlines())
    header["machine"]["cores"] += 1
    header["settings"]["ollama_host"] = "http://gpu:11434"
    record.write_text("".join(json.dumps(entry) + "\n" for entry in [header, *others]))
    assert bench.main(["--lines", "50", "--trials", "1", "--resume", str(record)]) == 2
    err = capsys.readouterr().err
    assert f"ollama_host http://gpu:11434, not {ollama.url}; cores " in err


def test_a_model_that_is_gone_keeps_its_row_and_its_baseline_is_unavailable(ollama, capsys, tmp_path):
    arguments = ["--trials", "1", "--no-local", "--ollama", "qwen3:0.6b"]
    run(*arguments, "--json", str(tmp_path / "x"), capsys=capsys)
    ollama.models = {}
    _, _, summary = run(*arguments, "--baseline", "--resume", str(tmp_path / "x"), capsys=capsys)
    assert [(row["method"], bool(row["unavailable"])) for row in summary["rows"]] == [
        ("rlm", False),
        ("one prompt", True),
    ]


def test_figures_are_shown_also_where_a_file_cannot_be_written(ollama, capsys, tmp_path):
    (tmp_path / "x.png").mkdir()
    arguments = ["--grid", "1k x 2", "--trials", "1", "--plot", str(tmp_path / "x.png")]
    assert bench.main(arguments) == 1
    out, err = capsys.readouterr()
    assert "accuracy" in out
    assert json.loads(out.splitlines()[-1])["complete"]
    assert "Error: Cannot write" in err


def test_a_run_whose_record_breaks_off_says_that_it_is_not_complete(ollama, capsys, tmp_path, monkeypatch):
    def full(record: bench_record.Record, entry: dict[str, Any]) -> None:
        raise RLMError("Cannot write x: No space left on device.")

    monkeypatch.setattr(bench_record.Record, "add", full)
    code, out, summary = run("--trials", "2", "--json", str(tmp_path / "x"), capsys=capsys)
    assert (code, summary["complete"]) == (1, False)
    assert "accuracy" in out


@pytest.mark.parametrize("text", ["", "[]\n", "{}\n", "no\n", '{"type": "header"}\n', "\udcff\n"])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "x").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match="is no record of this benchmark"):
        bench_record.read(tmp_path / "x")


def test_a_file_that_is_there_is_not_written_over(ollama, capsys, tmp_path):
    (tmp_path / "x").write_text("precious")
    assert bench.main(["--json", str(tmp_path / "x")]) == 2
    assert "is there already: go on by --resume" in capsys.readouterr().err
    assert (tmp_path / "x").read_text() == "precious"


# The record

TEXT, COUNT, NUMBER = str, int, (int, float)
HEADER = {
    "begun": TEXT,
    "settings": {
        "tasks": list,
        "lines": list,
        "characters": list,
        "depths": list,
        "trials": COUNT,
        "seed": COUNT,
        "max_iterations": COUNT,
        "timeout": NUMBER,
        "think": (bool, type(None)),
        "parallel": COUNT,
        "ollama_host": TEXT,
    },
    "versions": {"rlm": TEXT, "python": TEXT},
    "machine": {"system": TEXT, "architecture": TEXT, "processor": TEXT, "cores": COUNT},
}
MEAN = (int, float, type(None))
ROW = {
    **dict.fromkeys(("model", "provider", "method", "task", "unavailable"), TEXT),
    "n": COUNT,
    **dict.fromkeys(("accuracy", "seconds", "p95_seconds", "iterations", "sub_calls"), MEAN),
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), MEAN),
    "low": NUMBER,
    "high": NUMBER,
    "outcomes": dict,
    "errors": dict,
}
SCHEMAS = {
    "header": HEADER,
    "trial": {
        "entrant": {"model": TEXT, "provider": TEXT, "method": TEXT},
        "case": {"task": TEXT, "seed": COUNT, "size": COUNT, "unit": TEXT, "depth": MEAN},
        **dict.fromkeys(("outcome", "answer", "gold", "error"), TEXT),
        **dict.fromkeys(("iterations", "sub_calls", "prompt_tokens", "completion_tokens"), COUNT),
        "score": NUMBER,
        "seconds": NUMBER,
    },
    "unavailable": {"model": TEXT, "provider": TEXT, "reason": TEXT},
    "summary": {**HEADER, "complete": bool, "rows": [ROW]},
}


def conforms(value: Any, schema: Any) -> bool:
    """Whether a JSON value has these fields, no other ones, and these types."""
    if isinstance(schema, dict):
        return set(value) == set(schema) and all(conforms(value[name], schema[name]) for name in schema)
    if isinstance(schema, list):
        return all(conforms(item, schema[0]) for item in value)
    return isinstance(value, schema)


def test_the_record_conforms_to_its_schema(ollama, capsys, tmp_path):
    record = tmp_path / "record"
    run("--trials", "2", "--baseline", "--ollama", "nosuch", "--json", str(record), capsys=capsys)
    entries = list(map(json.loads, record.read_text().splitlines()))
    assert [entry["type"] for entry in entries] == ["header", *["trial"] * 8, "unavailable", "summary"]
    for entry in entries:
        assert conforms({name: entry[name] for name in entry if name != "type"}, SCHEMAS[entry["type"]]), (
            entry
        )
    assert bench_record.read(record)[1] == [
        bench_record._trial(**{name: entry[name] for name in entry if name != "type"})
        for entry in entries[1:9]
    ]


# One trial

PLAIN, ONE_PROMPT = Entrant("m", "Ollama"), Entrant("m", "Ollama", "one prompt")
CASE = Case("niah", 3, 50, "lines")
GOLD = CASE.sample().gold


def tried(
    *replies: Any, entrant: Entrant = PLAIN, case: Case = CASE, window: int | None = None, **options: Any
) -> Trial:
    client = ScriptedClient(replies, window=window)
    solver = OnePrompt(client) if entrant.method == "one prompt" else RLM(root_client=client, **options)
    return trial(solver, entrant, case, cancel=Cancel(), clock=itertools.count().__next__)


@pytest.mark.parametrize(
    ("replies", "outcome", "score"),
    [
        pytest.param([f"FINAL({GOLD})"], "right", 1.0, id="right"),
        pytest.param(["FINAL(1234567)"], "wrong", 0.0, id="wrong"),
        pytest.param([cell("x = 1"), ""], "no answer", 0.0, id="no answer"),
        pytest.param([ClientError("gone")], "error", 0.0, id="error"),
        pytest.param([cell("import time\ntime.sleep(9)")], "time-out", 0.0, id="time-out"),
        pytest.param(
            [cell(f"print({GOLD})\nimport time\ntime.sleep(9)")], "time-out", 0.0, id="found too late"
        ),
    ],
)
def test_what_can_come_of_a_trial(replies, outcome, score):
    one = tried(*replies, max_iterations=1, timeout=0.5 if outcome == "time-out" else None)
    assert (one.outcome, one.score, one.seconds, one.error) == (
        outcome,
        score,
        1,
        "gone" if outcome == "error" else "",
    )


def test_a_trial_counts_turns_sub_calls_and_tokens():
    one = tried(cell("llm_query('What is ' + context[:9])"), "a word", f"FINAL({GOLD})")
    assert (one.iterations, one.sub_calls, one.prompt_tokens, one.completion_tokens) == (2, 1, 30, 6)


def test_what_was_used_until_an_error_counts():
    one = tried(cell("print(1)"), ClientError("gone"))
    assert (one.outcome, one.iterations, one.prompt_tokens) == ("error", 1, 10)


def test_part_of_an_answer_scores_in_part():
    case = Case("multivalue", 1, 2_000)
    one = tried(f"FINAL({case.sample().answers[0]})", case=case)
    assert one.outcome == "partly right"
    assert 0 < one.score < 1


def test_a_trial_that_is_stopped_is_none():
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled):
        trial(
            RLM(root_client=ScriptedClient([])), PLAIN, CASE, cancel=cancel, clock=itertools.count().__next__
        )


def test_the_baseline_is_shown_the_whole_context():
    client = ScriptedClient([Completion(GOLD, Usage(100, 5))])
    one = trial(OnePrompt(client), ONE_PROMPT, CASE, cancel=Cancel(), clock=itertools.count().__next__)
    assert (one.outcome, one.iterations, one.prompt_tokens) == ("right", 1, 100)
    assert client.shown().startswith(CASE.sample().context)
    assert CASE.sample().question in client.shown()


def test_the_baseline_does_not_send_what_cannot_fit():
    assert tried(entrant=ONE_PROMPT, window=100).outcome == "too long"


def test_the_baseline_keeps_to_its_time():
    class Silent:
        def complete(self, messages, options):
            options.cancel.wait(20)

    solver = OnePrompt(Silent(), timeout=0.05)
    assert (
        trial(solver, ONE_PROMPT, CASE, cancel=Cancel(), clock=itertools.count().__next__).outcome
        == "time-out"
    )


# Figures


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (50, 100, 0.4038, 0.5962),
        (0, 0, 0, 1),
    ],
)
def test_the_wilson_interval(successes, n, low, high):
    assert bench_report.wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_partial_scores_add_up_to_successes():
    trials = [made(score=0.5) for _ in range(8)]
    row = bench_report.row(PLAIN, "niah", trials)
    assert (row.accuracy, row.low, row.high) == (0.5, *(round(end, 4) for end in bench_report.wilson(4, 8)))


@pytest.mark.parametrize(("count", "p95"), [(1, 1), (10, 10), (20, 19), (100, 95)])
def test_the_95th_percentile_is_the_nearest_rank(count, p95):
    assert bench_report.percentile95(range(1, count + 1)) == p95


def test_what_does_not_fit_one_prompt_does_not_count():
    row = bench_report.row(ONE_PROMPT, "niah", [made(), made(outcome="too long", score=0.0)])
    assert (row.n, row.accuracy, row.outcomes) == (1, 1.0, {"right": 1, "too long": 1})


def test_a_message_is_counted_over_all_rows_of_a_model():
    failed = replace(made(outcome="error", score=0.0), error="gone")
    trials = [
        failed,
        failed,
        replace(failed, entrant=ONE_PROMPT),
        replace(failed, case=Case("logs", 1, 2000)),
    ]
    rows = bench_report.rows(trials, {}, ["niah", "logs"])
    assert bench_report.notes(rows) == ["m: gone (4 times)"]


def test_the_table_fits_80_columns():
    errors = [made(outcome="error", score=0, error="\x1b[2J[bold]gone")] * 2
    trials = [
        *errors,
        made(outcome="partly right", score=0.2),
        made(outcome="no answer"),
        made(outcome="time-out"),
    ]
    long = Entrant("openrouter:openai/gpt-5.6-luna-with-a-long-name", "OpenRouter", "one prompt")
    rows = bench_report.rows(
        [replace(one, entrant=long, prompt_tokens=1_234_567, seconds=1234.5) for one in trials], {}, ["niah"]
    )
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(*bench_report.tables(rows))
    console.file.close()
    shown = console.export_text()
    assert "…" not in shown
    assert "1 partly right" in shown
    assert bench_report.notes(rows) == [f"{long.model}: \N{REPLACEMENT CHARACTER}[2J[bold]gone (2 times)"]


def made(**fields: Any) -> Trial:
    """A trial with these fields."""
    plain = Trial(PLAIN, Case("niah", 1, 1000, depth=0.0), "right", 1.0, 1.0, 2, 0, 100, 10, "1", "1")
    return replace(plain, **fields)


# The heat map


def placed() -> list[Trial]:
    """Right at depth 0, wrong at depth 1 of a long text, half right at depth 1 of a short one."""
    short, long = (
        (lambda depth: Case("niah", 1, 1000, depth=depth)),
        (lambda depth: Case("niah", 1, 10_000, depth=depth)),
    )
    return [
        made(case=short(0.0)),
        made(case=long(0.0)),
        made(case=short(1.0)),
        made(case=replace(short(1.0), seed=2), outcome="wrong", score=0.0),
        made(case=long(1.0), outcome="wrong", score=0.0),
        made(case=short(0.0), entrant=ONE_PROMPT, outcome="too long", score=0.0),
    ]


def test_the_picture_has_a_panel_a_model_and_a_cell_a_place():
    picture = heatmap.figure(heatmap.panels(placed()), "caption")
    panels = [axes for axes in picture.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["m\nOllama", "m\none prompt, Ollama"]
    assert panels[0].images[0].get_array().tolist() == [[1.0, 1.0], [0.5, 0.0]]
    assert panels[1].images[0].get_array().mask.all()  # grey: nothing was measured
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["1k", "10k"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["0%", "100%"]
    assert [text.get_text() for text in panels[0].texts] == ["100%", "100%", "50%", "0%"]


def test_the_png_has_the_right_size_and_colours(tmp_path):
    from PIL import Image

    heatmap.draw(placed(), tmp_path / "x.png", "caption")
    picture = heatmap.figure(heatmap.panels(placed()), "caption")
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == tuple(round(inches * heatmap.DPI) for inches in picture.get_size_inches())
        pixels = image.convert("RGB")
        picture.savefig(os.devnull, format="png", dpi=heatmap.DPI)  # lays it out

        def colour(axes: Any, row: int, column: int) -> tuple[int, ...]:
            x, y = axes.transData.transform((column - 0.3, row - 0.3)) * heatmap.DPI / picture.dpi
            return pixels.getpixel((round(x), image.height - round(y)))

        first, second = (axes for axes in picture.axes if axes.images)
        red, green, _ = colour(first, 0, 0)
        assert green > red
        red, green, _ = colour(first, 1, 1)
        assert red > green
        red, green, _ = colour(first, 1, 0)
        assert min(red, green) > 200  # pale yellow
        assert colour(second, 0, 0) == (211, 211, 211)


def test_the_svg_and_the_page_hold_the_picture(tmp_path):
    for name in ("x.svg", "x.html"):
        heatmap.draw(placed(), tmp_path / name, "niah & co")
        text = (tmp_path / name).read_text()
        assert text.count("<svg ") == text.count("</svg>") == 1
    assert text.startswith("<!doctype html>")
    assert "<title>niah &amp; co</title>" in text


def test_a_grid_is_measured_and_drawn(ollama, capsys, tmp_path):
    arguments = ["--grid", "1k,2k", "x", "3", "--trials", "1", "--plot", str(tmp_path / "x.png")]
    assert bench.main([*arguments, "--json", str(tmp_path / "x.jsonl")]) == 0
    cases = [
        entry["case"] for entry in recorded(tmp_path / "x.jsonl") if entry["entrant"]["model"] == MODELS[0]
    ]
    assert [(case["size"], case["depth"]) for case in cases] == [
        (length, depth) for length in (1000, 2000) for depth in (0.0, 0.5, 1.0)
    ]
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named_before_anything_runs(capsys, monkeypatch, ollama):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert bench.main(["--grid", "1k x 2", "--plot", "x.png"]) == 2
    assert "rlm-ollama[bench]" in capsys.readouterr().err
    assert ollama.requests == []


def test_matplotlib_is_loaded_for_pictures_only():
    program = "import sys\nfrom rlm.cli import bench\nprint('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# Wrong usage


@pytest.mark.parametrize(
    ("words", "lengths", "depths"),
    [
        (["10k,100k,1m", "x", "5"], [10_000, 100_000, 1_000_000], [0, 0.25, 0.5, 0.75, 1]),
        (["10k,100k x 2"], [10_000, 100_000], [0, 1]),
        (["1.5kx0.5"], [1_500], [0.5]),
        (["2000,", "3000", "X", "0,", "0.1"], [2_000, 3_000], [0, 0.1]),
    ],
)
def test_a_grid_may_be_one_word_or_several(words, lengths, depths):
    assert grid(words) == (lengths, depths)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--trials", "0"], "--trials: must be a whole number of at least 1"),
        (["--seed", "-4"], "--seed: must be a whole number from 0 up"),
        (["--timeout", "0"], "--timeout: must be a number above 0"),
        (["--length", "10"], "--length: must be characters, at least 1,000"),
        (["--task", "nosuch"], "invalid choice"),
        (["--grid", "10k", "5"], "--grid takes lengths"),
        (["--grid", "10k x 2", "--length", "2k"], "leave out --lines and --length"),
        (["--grid", "10k x 2", "--task", "logs"], "no one needle to place in logs"),
        (["--grid", "10k x 2", "--plot", "x.pdf"], "must end in .png, .svg, .html"),
        (["--grid", "10k x 2", "--plot", "/nowhere/x.png"], "there is no such folder"),
        (["--plot", "x.png"], "--plot needs lengths and depths"),
        (["--lines", "5", "--task", "logs"], "--lines is for the task niah"),
        (["--no-local", "--no-cloud-auto"], "No model takes part"),
        (["--cloud", "x"], "does not show its provider"),
        (["--cloud", "grok:x"], 'do you mean "groq:"?'),
        (["--cloud", "azure:x"], 'There is no client for "azure:".'),
        (["--ollama", "http://me:hidden@server/x"], "can hold no user and password"),
        (["--ollama-host", "http://me:hidden@server"], "can hold no user and password"),
        (["--resume", "/nowhere/x"], "Cannot read /nowhere/x"),
        (["--json", "/nowhere/x"], "Cannot write /nowhere/x"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_said_before_anything_runs(arguments, says, capsys, ollama):
    try:
        code = bench.main(arguments)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2
    assert says in err
    assert "hidden" not in out + err
    assert "Traceback" not in err
    assert ollama.requests == []


def test_a_task_whose_package_is_missing_is_named_before_anything_runs(capsys, monkeypatch, ollama):
    monkeypatch.setattr(book, "PACKAGE", "nosuch")
    book.verses.cache_clear()
    assert bench.main(["--task", "niah", "book"]) == 2
    assert "rlm-ollama[bench]" in capsys.readouterr().err
    assert ollama.requests == []


def test_a_cloud_without_its_key_is_a_row(ollama, capsys):
    _, out, summary = run("--trials", "1", "--cloud", "groq:", capsys=capsys)
    assert summary["rows"][-1]["model"] == f"groq:{PROVIDERS['groq'].default_model}"
    assert "GROQ_API_KEY" in out


def test_the_tasks_are_listed(capsys):
    assert bench.main(["--list-tasks"]) == 0
    out = capsys.readouterr().out
    assert "niah" in out
    assert "frequent_words" in out
