"""The check-up, as its users see it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import cell
from servers import FakeOllama, Reply, shown

from rlm.cli import DONE, FAILED, doctor

pytestmark = pytest.mark.usefixtures("no_process_left")
NOBODY = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_models_but_those_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("ollama._windows", "ollama_server._facts"):
        monkeypatch.setattr(f"rlm.clients.{name}", {})
    monkeypatch.setattr("rlm.clients.ollama._confirmed", set())
    monkeypatch.setattr("rlm.cli.doctor.find_spec", lambda _name: None)
    monkeypatch.setenv("RLM_CACHE", str(tmp_path))


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as server:
        yield server


def gold() -> str:
    return doctor.TASKS["niah"].sample(1, length=doctor.LENGTH).gold


def test_a_good_set_up_is_told_line_by_line(ollama: FakeOllama, capsys: pytest.CaptureFixture[str]):
    ollama.models = {"thinker:4b": shown(length=16_384, capabilities=["completion", "thinking"])}
    ollama.replies = [Reply(cell("print(search('secret number'))")), Reply(f"FINAL({gold()})")]
    assert doctor.main(["--host", ollama.url]) == DONE
    told = capsys.readouterr().out
    for line in (
        "✓ The REPL is confined.",
        f"✓ Ollama 0.33.0 at {ollama.url} has thinker:4b.",
        "· No key of a cloud is set.",
        "✓ thinker:4b: a window of 16,384 tokens.",
        "·   It can think.",
        "GiB beside the model",
        f"✓ It found a number in {doctor.LENGTH:,} characters: 2 turns, ",
    ):
        assert line in told
    assert ollama.violations == []


def test_a_model_that_does_not_follow_the_protocol_is_found_out(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
):
    ollama.script = lambda body: Reply("I cannot see any text." if body["messages"] else None)
    assert doctor.main(["--host", ollama.url, "--model", "tiny"]) == FAILED
    told = capsys.readouterr().out
    assert "✗ It did not find the number" in told
    assert "replies had no code" in told


def test_nothing_within_reach_says_how_to_get_a_model(capsys: pytest.CaptureFixture[str]):
    assert doctor.main(["--host", NOBODY]) == FAILED
    told = capsys.readouterr().out
    assert f"· No Ollama at http://{NOBODY}" in told
    assert "✗ No model is within reach. Install Ollama and run: ollama pull" in told
    assert "pip install 'rlm-ollama[local]'" in told


def test_a_missing_model_is_named(ollama: FakeOllama, capsys: pytest.CaptureFixture[str]):
    assert doctor.main(["--host", ollama.url, "--model", "tinny"]) == FAILED
    told = capsys.readouterr().out
    assert "✗ Ollama at" in told
    assert '"ollama pull tinny"' in told
    assert "tiny:latest" in told


@pytest.mark.parametrize(
    ("flags", "told"),
    [("fpu avx2 avx512f avx512_vnni", "of this CPU's AVX512_VNNI. "), ("fpu avx2", None), (None, None)],
)
def test_a_runtime_that_is_built_for_any_cpu_is_said_to_be(
    flags: str | None,
    told: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    cpu = tmp_path / "cpuinfo"
    if flags:
        cpu.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n")
    runtime = SimpleNamespace(get_system_info=lambda: "CPU : AVX2 = 1 | AVX512 = 1 | OPENMP = 1 | ")
    monkeypatch.setitem(sys.modules, "xllamacpp", runtime)
    monkeypatch.setattr("rlm.clients.llama_cpp.CPU", cpu)
    monkeypatch.setattr("rlm.cli.doctor.find_spec", lambda _name: True)
    doctor.main(["--host", NOBODY, "--model", "openai:none", "--no-run"])
    hint = [line for line in capsys.readouterr().out.splitlines() if "make native" in line]
    assert (told in hint[0]) if told else not hint


def test_a_key_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("GROQ_API_KEY", "gsk-secret-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:11434/v1")
    assert doctor.main(["--host", NOBODY, "--model", "nope:x", "--no-run"]) == FAILED
    told = capsys.readouterr().out
    assert "✓ Groq: GROQ_API_KEY is set." in told
    assert "cuts long prompts unasked" in told
    assert "secret" not in told
