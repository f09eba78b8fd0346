"""Whole runs of the engine on a stand-in for Ollama that has a real window and counts what it loads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes import cell
from servers import FakeOllama, Reply, count

from rlm import RLM, events

pytestmark = pytest.mark.usefixtures("no_process_left")
WINDOW = 4096


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOllama]:
    for name in ("ollama._windows", "ollama_server._facts"):
        monkeypatch.setattr(f"rlm.clients.{name}", {})
    monkeypatch.setattr("rlm.clients.ollama._confirmed", set())
    with FakeOllama() as server:
        server.counts = True
        yield server
    assert server.violations == []
    assert server.crashes == []


def test_a_run_of_many_turns_and_sub_calls_loads_the_model_once(ollama: FakeOllama):
    batch = cell("print(llm_query_batched([f'{n}: ' + context for n in range(4)]))")
    ollama.replies = []
    for _ in range(5):
        ollama.replies += [Reply(batch), *(Reply("an answer") for _ in range(4))]
    ollama.replies += [Reply("FINAL(done)")]
    result = RLM("tiny", host=ollama.url).completion("?", "data")
    assert (result.answer, result.iterations) == ("done", 6)
    assert sum(len(e.sub_calls) for turn in result.trajectory for e in turn.executions) == 20
    assert ollama.loads == ["tiny:latest"]


@pytest.mark.parametrize("counts", [True, False], ids=["true-counts", "wrong-counts"])
def test_a_run_of_40_turns_ends_with_the_right_answer_in_a_small_window(ollama: FakeOllama, counts: bool):
    ollama.counts = counts
    turn = "total = globals().get('total', 0) + len(context.split()[N])\nprint('x' * 1500, total)"
    ollama.replies = [Reply(cell(turn.replace("N", str(n)))) for n in range(39)] + [Reply("FINAL(total)")]
    seen: list[events.Event] = []
    words = ["w" * (n % 7 + 1) for n in range(39)]
    rlm = RLM("tiny", host=ollama.url, num_ctx=WINDOW, max_iterations=40, on_event=seen.append)
    result = rlm.completion("How many letters do the words have together?", " ".join(words))
    assert (result.answer, result.iterations, result.stop_reason) == (str(sum(map(len, words))), 40, "final")
    answered = [chat["messages"] for chat in ollama.chats if count(chat["messages"]) <= WINDOW]
    assert len(answered) == 40
    assert len(ollama.chats) - len(answered) <= (0 if counts else 3)
    asked = len(answered[0]) - 1
    assert all("How many letters" in messages[asked]["content"] for messages in answered)
    assert "total = globals()" in answered[-1][-2]["content"]
    assert any("characters, left out here" in message["content"] for message in answered[-1])
    assert any(isinstance(event, events.Notice) and "The window is full" in event.text for event in seen)
    assert ollama.cut == 0


def test_a_sub_prompt_that_does_not_fit_can_be_split(ollama: FakeOllama):
    ollama.replies = [
        Reply(cell("llm_query('Count: ' + context)")),
        Reply(cell("print([llm_query('Count: ' + context[at : at + 9000])[:5] for at in (0, 9000)])")),
        Reply("echo: 1"),
        Reply("echo: 2"),
        Reply("FINAL(both)"),
    ]
    result = RLM("tiny", host=ollama.url, num_ctx=WINDOW).completion("?", "data " * 3600)
    error = result.trajectory[0].executions[0].error or ""
    assert "the prompt has 18,007 characters (4,501 tokens)" in error
    assert f"({WINDOW:,} tokens) at once: split it into smaller pieces" in error
    assert result.answer == "both"


def test_the_root_is_told_the_capacity_of_the_sub_model(ollama: FakeOllama):
    ollama.models["tiny:latest"]["model_info"]["tiny.context_length"] = 6000
    ollama.replies = [Reply("FINAL(1)")]
    RLM("tiny", host=ollama.url).completion("?", "data")
    told = ollama.chats[0]["messages"][0]["content"]
    capacity = int(told.split("up to ")[1].split(" characters")[0].replace(",", ""))
    assert 3 * 4000 < capacity < 3 * 6000
