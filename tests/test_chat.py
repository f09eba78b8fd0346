"""The chat as a person uses it: the real program in a pseudo-terminal, a stand-in for Ollama."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from conftest import descendants, lives
from fakes import cell
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from rich.console import Console
from servers import FakeOllama, Reply

from rlm import Cancel
from rlm.cli.ask import add_options, build
from rlm.cli.chat import Chat, fenced, main, paths, transcript
from rlm.cli.editor import _Completer, _history
from rlm.types import RLMResult

ROOT = Path(__file__).parents[1]
MODEL = "llama3.1:8b"
WAIT = 30
# seconds, for a busy machine


class Terminal:
    """The chat in a terminal of so many columns; `screen` is all that it has written since last asked."""

    def __init__(
        self, server: FakeOllama, folder: Path, *arguments: str, columns: int = 80, **env: str
    ) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            [str(ROOT / "chat.py"), *arguments],
            env=os.environ
            | {"OLLAMA_HOST": server.url, "XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm"}
            | {"PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": str(columns), "LINES": "40"}
            | env,
            dimensions=(40, columns),
            encoding="utf-8",
            timeout=WAIT,
            cwd=folder,
        )

    def ready(self) -> None:
        """Waits until it asks for a line: bracketed paste is turned on then."""
        self.until("\x1b\\[\\?2004h")

    def until(self, pattern: str) -> str:
        self.child.expect(pattern)
        return plain(self.child.before + self.child.after)

    def enter(self, text: str) -> str:
        """Enters a line and returns what came of it, up to the next prompt."""
        self.child.send(text + "\r")
        self.until("\x1b\\[\\?2004l")
        return self.until("\x1b\\[\\?2004h")

    def leaves(self) -> int:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


def plain(text: str) -> str:
    """Without what steers the terminal."""
    return re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>]|\][^\x07]*\x07)|\r", "", text)


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(models=[MODEL, "other:1b"]) as server:
        yield server
    assert (server.violations, server.crashes) == ([], [])


@pytest.fixture
def chat(server, tmp_path) -> Iterator:
    """Starts a chat; ends it, and nothing of it is left."""
    started: list[Terminal] = []

    def start(*arguments: str, **options) -> Terminal:
        terminal = Terminal(server, tmp_path, *arguments, **options)
        started.append(terminal)
        terminal.ready()
        return terminal

    yield start
    for terminal in started:
        family = descendants(terminal.child.pid)
        terminal.child.close(force=True)
        for _ in range(500):
            if not any(map(lives, family)):
                break
            time.sleep(0.02)
        assert not any(map(lives, family))


def asked(server: FakeOllama) -> list[str]:
    """The last messages of all requests; one that only loads a model has none."""
    return [body["messages"][-1]["content"] for body in server.chats if body["messages"]]


def last_question(server: FakeOllama) -> str:
    return asked(server)[-1]


# Questions


def test_a_question_is_answered_through_the_loop_in_one_line_a_turn(server, chat, tmp_path):
    (tmp_path / "book.txt").write_text("a rug\na lamp\nanother rug\n")
    server.replies += [
        Reply(cell("n = len(search('rug'))\nprint('secret output', n)")),
        Reply("FINAL(There are **two**.)"),
    ]
    terminal = chat("-c", "book.txt", "--plain")
    shown = terminal.enter("How many rugs?")
    assert re.search(r"^turn 1 · .* · print\('secret output', n\)$", shown, re.MULTILINE)
    assert "There are **two**." in shown
    assert "2 iterations" in shown
    assert "secret output 2" not in shown
    assert "It is the text of the file book.txt" in asked(server)[0]


@pytest.mark.model
def test_a_real_model_answers_over_a_real_book(chat, tmp_path):
    from rlm.tasks.book import verses

    lines = list(verses()[:6000])
    lines.insert(3500, "And the gatekeeper of the north gate was called Pelonias.")
    (tmp_path / "book.txt").write_text("\n".join(lines))
    terminal = chat("-m", "local:qwen2.5-coder-1.5b", "-c", "book.txt", "--plain")
    assert "Pelonias" in terminal.enter("What was the gatekeeper of the north gate called?")
    count = sum("wilderness" in line for line in lines)
    assert str(count) in terminal.enter("How many lines have the word wilderness?")
    terminal.enter("/save talk.md")
    assert "Pelonias" in (tmp_path / "talk.md").read_text()


def test_the_answer_is_shown_as_markdown_and_a_value_as_it_is(server, chat):
    server.replies += [Reply("FINAL(There are **two** of `them`.)"), Reply("FINAL(['**', '*a*', '**'])")]
    terminal = chat()
    assert "There are two of them." in terminal.enter("How many?")
    assert "['**', '*a*', '**']" in terminal.enter("Which?")


def test_the_conversation_and_the_variables_live_on(server, chat):
    server.replies += [Reply(cell("x = 41")), Reply("FINAL(ok)"), Reply("FINAL(x + 1)")]
    terminal = chat()
    terminal.enter("Remember 41.")
    assert "42" in terminal.enter("One more?")
    assert "The user asked: Remember 41." in last_question(server)
    assert "Your variables are still there: x" in last_question(server)


def test_verbose_keeps_code_and_outputs(server, chat):
    server.replies += [Reply(cell("print('out' + 'put')")), Reply("FINAL(1)")]
    shown = chat("--verbose", "--plain").enter("?")
    assert "print('out' + 'put')" in shown
    assert "output" in shown


def test_quiet_shows_the_answer_only(server, chat):
    server.replies += [Reply(cell("1 + 1")), Reply("FINAL(two)")]
    shown = chat("--quiet", "--plain").enter("?")
    assert [line for line in shown.splitlines() if line.strip(" >")] == ["two"]


def test_a_pasted_block_is_one_question(server, chat):
    server.replies += [Reply("FINAL(read)")]
    terminal = chat()
    terminal.child.send("\x1b[200~first line\n/second line\nthird line\x1b[201~")
    terminal.until("third line")
    terminal.enter("")
    assert "Question: first line\n/second line\nthird line\n" in last_question(server)


def test_alt_enter_begins_a_new_line(server, chat):
    server.replies += [Reply("FINAL(read)")]
    chat().enter("one\x1b\rtwo")
    assert "Question: one\ntwo\n" in last_question(server)


def test_what_was_entered_is_there_in_the_next_run(server, chat, tmp_path):
    server.replies += [Reply("FINAL(1)"), Reply("FINAL(2)")]
    terminal = chat()
    terminal.enter("An old question?")
    assert terminal.child.sendeof() is None
    assert terminal.leaves() == 0
    again = chat()
    again.child.send("\x12old")  # Ctrl-R
    again.until("question?")  # between highlighted pieces
    again.child.send("\r\r")  # takes what was found, and sends it
    again.until("2004l")
    again.until("2004h")
    assert "Question: An old question?" in last_question(server)
    assert (tmp_path / "state/rlm/history").stat().st_mode & 0o077 == 0


# Commands


def test_every_command(server, chat, tmp_path):
    for name in ("a b.txt", "out file.txt"):
        (tmp_path / name).write_text("some text")
    server.replies += [Reply(cell("print('hello' + 'world', '\\ud800')")), Reply("FINAL(the answer)")]
    terminal = chat("--plain")
    listed = terminal.enter("/help")
    assert all(
        name in listed for name in ("/context", "/model", "/recursive-model", "/think", "/clear", "/save")
    )
    assert all(name in listed for name in ("/last", "/usage", "/quit"))
    assert "Nothing has been asked yet." in terminal.enter("/last")
    terminal.enter("A question")
    last = terminal.enter("/last")
    assert "print('hello' + 'world', " in last
    assert "helloworld" in last
    assert "1 question · 2 turns · 0 sub calls" in terminal.enter("/usage")
    assert "model: other:1b" in terminal.enter("/model other:1b")
    assert "sub model: tiny" in terminal.enter("/recursive-model tiny")
    assert "sub model: other:1b" in terminal.enter("/recursive-model other:1b")
    terminal.enter(f"/model {MODEL}")
    assert "sub model: other:1b" in terminal.enter("/recursive-model")  # as it was named
    terminal.enter("/model other:1b")
    assert "think: off" in terminal.enter("/think off")
    assert "think: auto" in terminal.enter("/think auto")
    assert "/think takes on, off or auto." in terminal.enter("/think maybe")
    assert "context: str, 9 characters · a b.txt" in terminal.enter("/context a b.txt")
    assert "dict, 2 items" in terminal.enter("/context add out file.txt")
    assert "no context" in terminal.enter("/context clear")
    assert "forgotten" in terminal.enter("/clear")
    for name in ("my talk.md", "'my talk.md'", "~x.md"):
        assert f"1 question saved to {name.strip(chr(39))}." in terminal.enter(f"/save {name}")
    saved = (tmp_path / "my talk.md").read_text()
    assert "## A question\n\nthe answer\n" in saved
    assert "```python\nprint('hello' + 'world', '\\ud800')\n```" in saved
    assert "helloworld ?" in saved
    assert "*llama3.1:8b · 2 iterations" in saved
    server.replies += [Reply("FINAL(ok)")]
    terminal.enter("With the other model?")
    assert server.chats[-1]["model"] == "other:1b"
    assert "A question" not in last_question(server)
    terminal.child.send("/quit\r")
    assert terminal.leaves() == 0


def test_an_unknown_command_names_the_nearest(chat):
    assert "There is no /contxt. Do you mean /context?" in chat().enter("/contxt a.txt")


def test_a_path_at_the_beginning_is_no_command(server, chat):
    server.replies += [Reply("FINAL(a file)")]
    assert "a file" in chat().enter("/etc/passwd is what?")


def test_commands_are_completed(chat):
    terminal = chat()
    terminal.child.send("/recu\t")
    terminal.until("rsive-model")


def test_a_context_is_loaded_and_replaced_in_mid_session(server, chat, tmp_path):
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_text("second!")
    server.replies += [Reply(cell("x = len(context)")), Reply("FINAL(x)"), Reply(cell("FINAL([x, context])"))]
    terminal = chat("--plain")
    assert "5 characters · a.txt" in terminal.enter("/context a.txt")
    terminal.enter("How long?")
    assert "7 characters · b.txt" in terminal.enter("/context b.txt")
    assert "[5, 'second!']" in terminal.enter("And now?")
    assert "`context` is new" in last_question(server)
    assert "7 characters · b.txt" in terminal.enter("/context")
    assert "dict, 2 items · b.txt, a.txt" in terminal.enter("/context add a.txt")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/context nowhere.txt", "There is no file or folder nowhere.txt."),
        ("/context *.nothing", "Nothing matches *.nothing."),
        ("/model nosuch", "ollama pull nosuch"),
        ("/model opnai:x", 'do you mean "openai:"?'),
        ("/save /nowhere/x.md", "No such file or directory"),
        ("/save", "Name the file"),
        ("/save there.md", "there.md is there already"),
        ("/context ~nouser/x", "Error: "),
    ],
)
def test_an_error_is_one_line_and_the_session_goes_on(server, chat, tmp_path, command, says):
    (tmp_path / "there.md").write_text("mine")
    server.replies += [Reply("FINAL(still here)")]
    terminal = chat(columns=200)
    shown = terminal.enter(command)
    assert says in shown
    assert "Traceback" not in shown
    assert "still here" in terminal.enter("Are you there?")
    assert (tmp_path / "there.md").read_text() == "mine"
    assert server.chats[-1]["model"] == MODEL


# Interruptions


def test_ctrl_c_in_a_streaming_reply_stops_it_and_keeps_the_session(server, chat):
    server.replies += [Reply(cell("x = 7\nprint('found', x)")), Reply(endless=True), Reply("FINAL(x)")]
    terminal = chat("--plain")
    terminal.child.send("Go on\r")
    terminal.until("turn 1")
    while server.generated < 20:
        time.sleep(0.01)
    terminal.child.sendintr()
    shown = terminal.until("2004h")
    assert "Stopped. Found so far:\nfound 7" in shown
    assert server.hung_up.wait(WAIT)
    assert "\n7\n" in terminal.enter("x?")


def test_of_long_output_a_part_is_shown_as_it_is_after_ctrl_c(server, chat):
    server.replies += [Reply(cell("for n in range(100): print(f'__{n}__')")), Reply(endless=True)]
    terminal = chat()
    terminal.child.send("Go on\r")
    terminal.until("turn 2")
    while server.generated < 20:
        time.sleep(0.01)
    terminal.child.sendintr()
    shown = terminal.until("2004h").partition("Found so far:")[2]
    assert {"__0__", "88", "__99__"} < set(shown.split())
    assert "__50__" not in shown


def test_ctrl_c_in_a_sub_call_stops_it_and_keeps_the_session(server, chat):
    server.replies += [
        Reply(cell("y = 8\nprint('found', y)\nllm_query('Read this: ' + str(y))")),
        Reply(stalls="before"),
        Reply("FINAL(y)"),
    ]
    terminal = chat("--plain")
    terminal.child.send("Ask\r")
    while len(asked(server)) < 2:
        time.sleep(0.01)
    terminal.child.sendintr()
    shown = terminal.until("2004h")
    assert re.search("turn 1 · .* · 1 sub call · The cell was stopped.", shown)
    assert "Stopped. Found so far:\nfound 8" in shown
    assert server.hung_up.wait(WAIT)
    assert "\n8\n" in terminal.enter("y?")


def test_ctrl_c_at_an_empty_prompt_hints_at_quit_and_else_empties_it(server, chat):
    server.replies += [Reply("FINAL(ok)")]
    terminal = chat()
    terminal.child.sendintr()
    assert "/quit" in terminal.until("2004h")
    terminal.child.send("half a ques")
    terminal.until("ques")
    terminal.child.sendintr()
    terminal.enter("whole")
    assert "Question: whole\n" in last_question(server)


def test_end_of_input_leaves(chat):
    terminal = chat()
    terminal.child.sendeof()
    assert terminal.leaves() == 0


def test_a_server_that_dies_and_comes_back(server, chat):
    server.replies += [Reply("FINAL(one)"), *[Reply(breaks="drop")] * 4, Reply("FINAL(two)")]
    terminal = chat("--plain", columns=200)
    assert "one" in terminal.enter("First?")
    shown = terminal.enter("Second?")
    assert "Error: " in shown
    assert "Traceback" not in shown
    assert "two" in terminal.enter("Third?")


def test_a_server_that_is_gone_leaves_the_settings(server, chat):
    terminal = chat("--plain", columns=200)
    server.go_away(None)
    for line in ("/think on", "/model other:1b", "Is anybody there?"):
        shown = terminal.enter(line)
        assert 'Is "ollama serve" running?' in shown
        assert shown.count("Trying again") <= 1
        assert "Traceback" not in shown
    assert "think: auto" in terminal.enter("/think")
    assert f"model: {MODEL}" in terminal.enter("/model")


def test_ctrl_c_stops_a_command(chat, tmp_path):
    os.mkfifo(tmp_path / "endless.txt")
    terminal = chat()
    terminal.child.send("/context endless.txt\r")
    terminal.until("Loading")
    terminal.child.sendintr()
    assert "Stopped." in terminal.until("2004h")


def test_a_second_ctrl_c_asks_for_no_result(server, chat):
    server.replies += [Reply(cell("sum(range(10**12))")), Reply("FINAL(ok)")]  # takes no signal
    terminal = chat("--plain")
    terminal.child.send("Loop\r")
    while not server.chats:
        time.sleep(0.01)
    time.sleep(1)
    terminal.child.sendintr()
    time.sleep(0.5)
    terminal.child.sendintr()
    assert "Stopped.\n" in terminal.until("2004h")
    assert "ok" in terminal.enter("And now?")


# Looks


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_line_is_wider_than_the_window(server, chat, columns):
    words = " ".join(f"word{n}" for n in range(100))
    server.replies += [Reply(cell(f"x = '{words}'\nprint(x)")), Reply(f"FINAL(# Title\n\n{words})")]
    shown = chat(columns=columns).enter("What is it?")
    assert max(map(len, shown.splitlines())) <= columns
    assert "Title" in shown


@pytest.mark.parametrize("off", [{"NO_COLOR": "1"}, None], ids=["NO_COLOR", "--plain"])
def test_without_colour_no_colour_is_written(server, chat, off):
    server.replies += [Reply(cell("1 / 0")), Reply("FINAL(# Title **bold** `code`)")]
    terminal = chat(**off) if off else chat("--plain")
    terminal.child.send("?\r")
    terminal.child.expect("iterations")
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38;)[0-9;]*m", terminal.child.before)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("/context docs/My", "/context 'docs/My Docs"),
        ("/context add 'docs/My Docs/a", "/context add 'docs/My Docs/a.txt'"),
        ("/save it", "/save it's.txt"),
        ("/context it's.txt \"docs/It", "/context it's.txt \"docs/It's mine.txt\""),
        ("/model b", "/model b:1b"),
        ("/clear ", None),
    ],
)
def test_paths_with_spaces_are_completed_in_quotes(tmp_path, monkeypatch, typed, completed):
    monkeypatch.chdir(tmp_path)
    Path("docs/My Docs").mkdir(parents=True)
    for name in ("docs/My Docs/a.txt", "docs/It's mine.txt", "it's.txt"):
        Path(name).write_text("")
    commands = {"/context": "paths", "/save": "paths", "/model": lambda: ["a:1b", "b:1b"], "/clear": None}
    found = [
        typed[: len(typed) + completion.start_position] + completion.text
        for completion in _Completer(commands).get_completions(Document(typed), CompleteEvent())
    ]
    assert found == ([completed] if completed else [])


def test_without_a_home_there_is_a_history_of_this_run(monkeypatch):
    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert isinstance(_history(), InMemoryHistory)


# Without a terminal


def run(server: FakeOllama, folder: Path, *command: str, given: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *command],
        input=given,
        env=os.environ | {"OLLAMA_HOST": server.url, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_without_a_terminal_the_answer_alone_is_printed(server, tmp_path):
    (tmp_path / "book.txt").write_text("a rug\n")
    server.replies += [Reply(cell("print(context)")), Reply(cell("FINAL('one **rug** \\ud800')"))]
    done = run(server, tmp_path, str(ROOT / "chat.py"), "-c", "book.txt", given="How many \udcff rugs?\n")
    assert done == (0, "one **rug** ?\n", "")
    assert "How many \ufffd rugs?" in asked(server)[0]


def test_ask_gives_the_whole_result_as_json(server, tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    server.replies += [Reply(cell("sorted(context)")), Reply("FINAL(2)")]
    code, out, _ = run(server, tmp_path, "-c", ASK, "ask", "How many?", "a.txt", "b.txt", "--json")
    result = json.loads(out)
    assert (code, result["answer"], result["stop_reason"]) == (0, "2", "final")
    assert result["trajectory"][0]["executions"][0]["value"] == "['a.txt', 'b.txt']"


ASK = "import sys; from rlm import cli; sys.exit(cli.main())"
USAGE = ("total_prompt_tokens", "total_completion_tokens", "total_cached_tokens")


def test_files_may_follow_the_options(server, tmp_path):
    (tmp_path / "a.txt").write_text("one")
    server.replies += [Reply("FINAL(1)")]
    code, out, err = run(server, tmp_path, "-c", ASK, "ask", "How many?", "-m", MODEL, "a.txt")
    assert (code, out, err) == (0, "1\n", "")
    assert "the file a.txt" in last_question(server)


def test_a_run_that_fails_is_printed_as_json_too(server, tmp_path):
    server.replies += [Reply(cell("print('found')")), *[Reply(failure="refused")] * 4]
    code, out, err = run(server, tmp_path, "-c", ASK, "ask", "?", "--json")
    assert (code, json.loads(out)["stop_reason"], json.loads(out)["answer"]) == (1, "error", "found")
    assert err.startswith("Error: ")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("nosuch", "ollama pull nosuch"),
        ("groq:", "GROQ_API_KEY"),
        ("local:/nowhere/x.gguf", "/nowhere/x.gguf"),
        ("opnai:x", 'do you mean "openai:"?'),
    ],
)
def test_without_a_model_two_lines_say_how_to_get_one(server, tmp_path, model, says):
    code, out, err = run(server, tmp_path, str(ROOT / "chat.py"), "-m", model, given="?")
    assert (code, out) == (1, "")
    first, second = err.splitlines()
    assert says in first
    assert "local:" in second


def test_a_missing_file_is_one_line(server, tmp_path):
    code, out, err = run(server, tmp_path, str(ROOT / "chat.py"), "-c", "nowhere", given="?")
    assert (code, out, err) == (2, "", "Error: There is no file or folder nowhere.\n")


def test_an_answer_cannot_steer_the_terminal(server):
    server.replies += [Reply(cell("FINAL('a\\x1b[2Jb')"))]
    env = os.environ | {"OLLAMA_HOST": server.url, "PYTHONPATH": str(ROOT)}
    child = pexpect.spawn(sys.executable, ["-c", ASK, "ask", "?"], env=env, encoding="utf-8", timeout=WAIT)
    child.expect(pexpect.EOF)
    child.close()
    assert child.before.endswith("a\ufffd[2Jb\r\n")


def test_the_policy_is_that_of_the_repl(server):
    parser = argparse.ArgumentParser()
    add_options(parser)
    args = parser.parse_args(["--policy", "best-effort", "--host", server.url])
    assert build(args, Console(), Cancel()).policy == "best-effort"


def test_installed_models_are_asked_for_once(server):
    args = argparse.Namespace(model=MODEL, host=server.url, context=[], verbose=False)
    chat = Chat(args, Console())
    assert {MODEL, "other:1b"} < set(chat.models())
    assert chat.models() == chat.models()
    assert len(server.requests) == 1


def test_a_question_of_several_lines_has_its_first_as_heading():
    result = RLMResult("42", 1, 0.1, dict.fromkeys(USAGE, 0), "final")
    assert "## Sum\n\n```text\n# 1\n2\n```\n\n42\n" in transcript([("Sum\n# 1\n2", MODEL, result)])


def test_a_fence_is_longer_than_those_in_the_text():
    assert fenced("a\n````\nb", "text").startswith("`````text\n")


def test_paths_with_spaces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a b.txt").write_text("")
    assert paths("a b.txt") == ["a b.txt"]
    assert paths("'a b.txt' c.txt") == ["a b.txt", "c.txt"]
    assert paths("it's") == ["it's"]


def test_the_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("rlm-ollama ")
