"""A session: what lives on from question to question, and what does not."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from fakes import ScriptedClient, SubClient, cell

from rlm import RLM, Cancel, RLMError
from rlm.errors import ClientError, ContextError, SandboxError
from rlm.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("no_process_left")


def scripted(*replies: str | Exception, **options) -> tuple[ScriptedClient, RLM]:
    client = ScriptedClient(replies)
    return client, RLM(root_client=client, **options)


# What lives on


def test_earlier_questions_and_answers_are_known():
    client, rlm = scripted("FINAL(Tom)", "FINAL(Anna)")
    with rlm.session("a letter of Tom's") as session:
        session.completion("Who wrote this?")
        session.completion("To whom?")
    assert "This conversation so far" not in client.shown(0)
    assert "The user asked: Who wrote this?\nYou answered: Tom" in client.shown(1)
    assert "Question: To whom?" in client.shown(1)


def test_variables_live_on_and_are_named():
    client, rlm = scripted(cell("count = 41"), "FINAL(done)", "FINAL(count + 1)")
    with rlm.session("text") as session:
        session.completion("Count.")
        assert session.completion("One more?").value == 42
    assert "Your variables are still there: count." in client.shown(2)


def test_the_first_question_is_put_as_without_a_session():
    client, rlm = scripted("FINAL(1)", "FINAL(1)")
    rlm.completion("How many?", ["a", "b"])
    with rlm.session(["a", "b"]) as session:
        session.completion("How many?")
    assert client.requests[0] == client.requests[1]


def test_a_conversation_that_is_cleared_is_forgotten_but_not_its_variables():
    client, rlm = scripted(cell("x = 1"), "FINAL(secret)", "FINAL(x)")
    with rlm.session() as session:
        session.completion("One")
        session.clear()
        assert session.completion("Two").value == 1
    assert "secret" not in client.shown(2)


def test_a_conversation_of_any_length_takes_a_bounded_part_of_the_window():
    client = ScriptedClient([f"FINAL({'answer ' * 300}{n})" for n in range(40)], window=8192)
    with RLM(root_client=client).session("text") as session:
        for n in range(40):
            session.completion(f"Question {n}? {'word ' * 500}")
    assert len(client.shown(39)) < 8192 * 3.5 / 2
    assert "earlier questions left out]" in client.shown(39)
    assert "Question 38?" in client.shown(39)
    assert "characters left out" in client.shown(39)


def test_limits_of_sub_calls_begin_anew_with_each_question():
    client = ScriptedClient([cell("FINAL(llm_query('x' + context))")] * 3)
    sub = SubClient(lambda prompt: "yes")
    with RLM(root_client=client, sub_client=sub, max_sub_calls=1).session("text") as session:
        assert [session.completion("?").answer for _ in range(3)] == ["yes"] * 3


def test_an_answer_in_prose_is_taken_once_there_is_a_conversation():
    _, rlm = scripted("FINAL(1)", "You are welcome.", "You are welcome.")
    with rlm.session("text") as session:
        session.completion("How many?")
        assert session.completion("Thanks!").answer == "You are welcome."


# Another context


@pytest.mark.parametrize(
    "data", ["ünew", {"b.txt": "new"}, ["new"], None], ids=lambda data: type(data).__name__
)
def test_a_context_is_replaced_and_variables_are_kept(data):
    client, rlm = scripted(cell("x = len(context)"), "FINAL(x)", cell("FINAL([x, context])"))
    with rlm.session("four") as session:
        session.completion("How long?")
        assert session.load(data, about="It is b.txt.")
        assert session.completion("And now?").value == [4, data]
    assert "`context` is new" in client.shown(2)
    assert "\nIt is b.txt." in client.shown(2)


def test_a_new_context_is_told_until_a_question_is_answered():
    client, rlm = scripted("FINAL(1)", ClientError("gone"), "FINAL(2)", "FINAL(3)")
    with rlm.session("first") as session:
        session.completion("?")
        session.load("second")
        with pytest.raises(ClientError):
            session.completion("?")
        session.completion("?")
        session.completion("?")
    assert ["`context` is new" in client.shown(turn) for turn in range(4)] == [False, True, True, False]


def test_a_file_is_loaded_by_its_path(tmp_path):
    file = tmp_path / "b.txt"
    file.write_text("second\n" * 1000)
    _, rlm = scripted("FINAL(len(context))", "FINAL(len(context))")
    with rlm.session("first") as session:
        session.completion("?")
        session.load(file)
        assert session.context["lines"] == 1000
        assert session.completion("?").value == 7000


def test_a_large_file_never_comes_into_this_process(tmp_path):
    import resource

    file = tmp_path / "large.txt"
    with file.open("wb") as out:
        for _ in range(200):
            out.write(b"x" * 1_000_000)
    _, rlm = scripted("FINAL(len(context))")
    with rlm.session("first") as session:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        session.load(file)
        assert session.completion("?").value == 200_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize(
    "data", [Path("/nowhere/x"), b"\xff\xfe", object()], ids=["missing", "binary", "type"]
)
def test_a_context_that_cannot_be_used_leaves_the_present_one(data):
    _, rlm = scripted(cell("x = 1"), "FINAL(context)", "FINAL(context + str(x))")
    with rlm.session("first") as session:
        session.completion("?")
        with pytest.raises(ContextError):
            session.load(data)
        assert session.completion("?").answer == "first1"


def test_a_context_for_which_there_is_no_room_takes_a_new_process():
    client, rlm = scripted(cell("x = 1"), "FINAL(ok)", cell("FINAL(len(context))"), memory=300 * 2**20)
    with rlm.session("first") as session:
        session.completion("?")
        assert not session.load("y" * (250 * 2**20))
        assert session.load("y")
        assert session.completion("?").value == 1
    assert "your earlier variables are lost" in client.shown(2)


def test_the_new_context_is_there_again_after_a_crash():
    _, rlm = scripted(cell("import os; os._exit(3)"), "FINAL(context)")
    with rlm.session("first") as session:
        session.load("second")
        assert session.completion("?").answer == "second"


def test_what_a_worker_says_of_its_context_cannot_break_the_host():
    with Sandbox("text", query=str) as repl:
        repl.execute(
            "import sys\n"
            "import rlm.sandbox.child.server as s\n"
            "s.describe = lambda context: {'type': 7, 'length': 'x', 'keys': [1, 'a'], 'head': {}}"
        )
        repl.load("more")
        assert isinstance(repl.context["type"], str)


# Stopped and failed questions


def test_a_question_that_is_stopped_in_a_cell_leaves_its_variables():
    client, rlm = scripted(cell("x = 1\nwhile True: pass"), "FINAL(x)")
    cancel = Cancel()

    def stop(event) -> None:
        if type(event).__name__ == "CellStarted":
            threading.Timer(0.3, cancel.set).start()

    rlm.on_event = stop
    with rlm.session("text") as session:
        assert session.completion("Loop.", cancel=cancel).stop_reason == "cancelled"
        assert session.completion("x?").value == 1
    assert "this question was stopped (cancelled)" in client.shown(1)


def test_nothing_runs_on_after_a_question_was_stopped():
    _, rlm = scripted(cell("while True: pass"))
    cancel = Cancel()
    rlm.on_event = lambda event: type(event).__name__ == "CellStarted" and cancel.set()
    with rlm.session() as session:
        session.completion("Loop.", cancel=cancel)
        used = session._repl._session.cpu_seconds()
        time.sleep(0.2)
        assert session._repl._session.cpu_seconds() - used < 0.1


def test_a_question_that_is_stopped_in_a_sub_call_leaves_the_session():
    cancel = Cancel()

    def answer(prompt: str) -> str:
        cancel.set()
        raise ClientError("stopped")

    client = ScriptedClient([cell("y = 2\nllm_query('x' + context)"), "FINAL(y)"])
    with RLM(root_client=client, sub_client=SubClient(answer)).session("text") as session:
        assert session.completion("Ask.", cancel=cancel).stop_reason == "cancelled"
        assert session.completion("y?").value == 2


def test_a_question_that_fails_leaves_the_session():
    client, rlm = scripted(cell("x = 1"), ClientError("gone"), "FINAL(x)")
    with rlm.session("text") as session:
        with pytest.raises(RLMError, match="gone"):
            session.completion("?")
        assert session.completion("Again?").value == 1
    assert "stopped (error)" in client.shown(2)


def test_a_repl_whose_process_is_killed_between_questions_starts_again():
    _, rlm = scripted(cell("x = 1"), "FINAL(ok)", cell("FINAL(context)"), cell("FINAL(context)"))
    with rlm.session("text") as session:
        session.completion("?")
        session._repl._session._launcher.tell(3, session._repl._session._number, 9)  # SIGNAL, SIGKILL
        assert session.completion("Still there?").answer == "text"


def test_variables_that_are_lost_between_questions_are_said_to_be():
    client, rlm = scripted(cell("lost = 8"), "FINAL('ok')", "FINAL('ok')")
    with rlm.session("text") as session:
        session.completion("?")
        session._repl._session._launcher.tell(3, session._repl._session._number, 9)  # SIGNAL, SIGKILL
        session.completion("Again?")
    assert "The session was rolled back to before your latest cell" in client.shown(2)
    assert "Your variables" not in client.shown(2)


# Another model


def test_another_model_takes_over():
    _, rlm = scripted(cell("x = 1"), "FINAL(ok)")
    client, others = scripted("FINAL(x)")
    with rlm.session("text") as session:
        session.completion("First?")
        session.rlm = others
        assert session.completion("Second?").value == 1
    assert "The user asked: First?" in client.shown(0)


def test_a_closed_session_says_so():
    _, rlm = scripted("FINAL(1)")
    with rlm.session() as session:
        pass
    with pytest.raises(SandboxError, match="closed"):
        session.completion("?")
