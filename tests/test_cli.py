"""The scripts as people run them: what they print, their exit codes, Ctrl-C."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import descendants, lives
from fakes import ScriptedClient, SubClient, cell, failing
from rich.console import Console
from rich.markdown import Markdown
from servers import FakeOllama, Reply

from rlm import RLM, Cancel, cli, events
from rlm.cli.demo import main as demo_main
from rlm.cli.display import Display, code, markdown, prepare, summary
from rlm.tasks import niah
from rlm.types import SubCall, Usage

ROOT = Path(__file__).parents[1]
MODEL = "qwen3:0.6b"
GOLD = niah.sample(1, lines=50).gold
LOOK = Reply(cell("search('secret')"))


def start(server: FakeOllama, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "example_niah.py"), "--lines", "50", "--seed", "1", *arguments],
        env=os.environ | {"OLLAMA_HOST": server.url, "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def demo(server: FakeOllama, *arguments: str) -> tuple[int, str, str]:
    with start(server, *arguments) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


# The demo


def test_the_demo_shows_the_work_and_the_answer():
    with FakeOllama(LOOK, Reply(f"FINAL({GOLD})"), models=[MODEL]) as server:
        code, out, err = demo(server)
    assert (code, err) == (0, "")
    assert "A number is hidden in 50 random lines (seed 1)." in out
    assert "search('secret')" in out
    assert f"['The secret number is {GOLD}.']" in out
    assert f"Answer: {GOLD} · right" in out
    assert "2 iterations · " in out
    assert "\x1b" not in out  # plain lines where the output is no terminal


def test_a_default_model_of_another_provider_is_taken_as_it_is(capsys, monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    assert demo_main([], model="groq:openai/gpt-oss-20b") == cli.WRONG_USAGE
    out, err = capsys.readouterr()
    assert "GROQ_API_KEY" in err
    assert "embedded" not in out


def test_the_demo_fails_when_the_answer_is_wrong():
    with FakeOllama(Reply("FINAL(1234567)"), Reply("FINAL(1234567)"), models=[MODEL]) as server:
        code, out, _ = demo(server)
    assert code == 1
    assert f"Answer: 1234567 · wrong, it is {GOLD}" in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--model", "opnai:gpt-6-luna"], 2, 'do you mean "openai:"?'),
        (["--model", "groq:"], 2, "GROQ_API_KEY"),
        (["--model", "local:/nowhere/x.gguf"], 2, "/nowhere/x.gguf"),
        (["--model", "nosuch"], 1, "ollama pull nosuch"),
        (["--model", "x", "--host", "127.0.0.1:1"], 1, 'Is "ollama serve" running?'),
        (["--lines", "0"], 2, "--lines must be at least 1"),
        (["--nonsense"], 2, "unrecognized arguments: --nonsense"),
    ],
    ids=["prefix", "key", "file", "model", "host", "lines", "flag"],
)
def test_a_wrong_call_is_one_clear_line(arguments, code, says):
    with FakeOllama(models=[MODEL]) as server:
        got, _, err = demo(server, *arguments)
    assert got == code
    assert says in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1 or err.startswith("usage:")


def test_ctrl_c_in_a_reply_stops_the_model_and_says_what_was_found():
    with FakeOllama(LOOK, Reply(endless=True), models=[MODEL]) as server:
        process = start(server)
        while server.generated < 20 and process.poll() is None:
            threading.Event().wait(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert server.hung_up.wait(5)  # the server is told to stop generating
    assert process.returncode == 130
    assert f"Answer: ['The secret number is {GOLD}.'] · stopped" in out
    assert err == ""


def test_ctrl_c_in_a_cell_leaves_no_process():
    with FakeOllama(Reply(cell("print('started')\nwhile True: pass")), models=[MODEL]) as server:
        process = spinning(server)
        started = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert_gone(started)


def test_a_killed_host_leaves_no_process():
    with FakeOllama(Reply(cell("while True: pass")), models=[MODEL]) as server:
        process = spinning(server)
        started = descendants(process.pid)
        process.kill()
        process.communicate()
        assert_gone(started)


def spinning(server: FakeOllama) -> subprocess.Popen[str]:
    """The demo, in the middle of a cell that never ends."""
    process = start(server)
    for line in process.stdout:
        if "while True" in line:
            break
    assert len(descendants(process.pid)) >= 2  # the launcher and the worker
    return process


def assert_gone(processes: set[int]) -> None:
    """None of them is left within a second."""
    for _ in range(50):
        left = {pid for pid in processes if lives(pid)}
        if not left:
            return
        time.sleep(0.02)
    pytest.fail(f"still there: {left}")


# The command


def test_the_command_knows_its_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("rlm-ollama ")


def test_an_error_of_the_system_is_one_line(capsys):
    def body(_cancel: Cancel) -> int:
        raise OSError(36, "File name too long", "x")

    assert cli.guarded(body) == cli.FAILED
    assert capsys.readouterr().err == "Error: [Errno 36] File name too long: 'x'\n"


def test_an_unknown_command_names_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["dmeo"])
    assert stop.value.code == 2
    assert "demo" in capsys.readouterr().err


# The display


def rendered(client: ScriptedClient, *, terminal: bool = False, verbose: bool = False, **options) -> str:
    console = Console(file=io.StringIO(), width=60, force_terminal=terminal, color_system=None)
    with Display(console, verbose=verbose) as display:
        RLM(root_client=client, on_event=display, **options).completion("How many?", "a\nb")
    return console.file.getvalue()


def test_the_display_shows_code_output_and_tokens_of_each_turn():
    out = rendered(ScriptedClient([cell("print('hello')\n1 / 0"), "FINAL(1)"]))
    assert "scripted · context: str, 3 characters" in out
    assert re.search(r"^print\('hello'\) *\n1 / 0 *\n", out, re.MULTILINE)
    assert "  hello" in out
    assert "ZeroDivisionError" in out
    assert "turn 1 · " in out
    assert "10 tokens in, 2 out" in out


def test_the_display_shows_long_output_in_part_unless_asked():
    replies = [cell("print('\\n'.join(map(str, range(100))))"), "FINAL(1)"]
    assert "… 88 lines left out …" in rendered(ScriptedClient(replies))
    assert "\n  50" in rendered(ScriptedClient(replies), verbose=True)


def test_the_display_counts_sub_calls_and_names_failures():
    replies = [cell("try:\n    llm_query('x' + context)\nexcept Exception:\n    pass"), "FINAL(1)"]
    out = rendered(ScriptedClient(replies), sub_client=SubClient(failing))
    assert "1 sub call failed: no answer to" in out
    assert out.count("1 sub call") == 2


def test_sub_calls_of_a_batch_that_fail_are_one_line():
    replies = [cell("llm_query_batched(['x' + context] * 9)"), "FINAL(1)"]
    out = rendered(ScriptedClient(replies), sub_client=SubClient(failing))
    assert re.findall(r"\d+ sub calls? failed: no answer", out) == ["9 sub calls failed: no answer"]


def test_the_display_works_in_a_terminal_and_cleans_up():
    out = rendered(ScriptedClient([cell("print('hello')"), "FINAL(1)"]), terminal=True)
    assert "hello" in out
    assert out.count("\x1b[?25l") == out.count("\x1b[?25h") == 1  # the cursor is there again


def test_a_reply_that_begins_anew_is_shown_once():
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    display = Display(console)
    for event in (
        events.TurnStarted(1),
        events.TextStreamed("one two"),
        events.TextRestarted(),
        events.TextStreamed("all"),
    ):
        display(event)
    console.print(display._work_in_progress())
    assert "all" in console.file.getvalue()
    assert "one" not in console.file.getvalue()


ASKED, ANSWERED = events.SubCallStarted("?"), events.SubCallFinished(SubCall("?", "!", Usage(9, 1)))


@pytest.mark.parametrize(
    ("work", "bar", "status"),
    [
        pytest.param([ASKED] * 70 + [ANSWERED] * 63, 36, "630 tokens · sub calls 63 of 70", id="batch"),
        pytest.param([ASKED, ANSWERED] * 7 + [ASKED], 0, "70 tokens · sub calls 7 of 8", id="one by one"),
        pytest.param(
            [ASKED] * 5 + [ANSWERED] * 5 + [ASKED] * 10 + [ANSWERED] * 2,
            8,
            "70 tokens · sub calls 7 of 15",
            id="the second batch of a cell",
        ),
        pytest.param(
            [*[ASKED, ANSWERED] * 5, events.CellStarted("y"), *[ASKED] * 10, *[ANSWERED] * 2],
            8,
            "70 tokens · sub calls 2 of 10",
            id="another cell",
        ),
        pytest.param([ASKED, ANSWERED, events.TurnStarted(2)], 0, "10 tokens", id="another turn"),
    ],
)
def test_a_batch_has_a_bar_and_below_it_how_far_it_is(work, bar, status):
    console = Console(file=io.StringIO(), width=70, force_terminal=True, color_system=None)
    display = Display(console, collapse=True)
    for event in (events.TurnStarted(1), events.CellStarted("x"), *work):
        display(event)
    console.print(display._work_in_progress())
    above, last = console.file.getvalue().splitlines()[-2:]
    assert last.rstrip().endswith(status)
    assert above.count("━") == bar


def test_markup_in_outputs_is_shown_as_it_is():
    assert "[bold]x[/bold] [/]" in rendered(ScriptedClient([cell("print('[bold]x[/bold] [/]')"), "FINAL(1)"]))


WIDE = [f"{'|'.join(f'{word}{n}' for n in range(30))}\n" for word in ("column", "value")]


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("There are **two** of `them`.", True),
        ('# Title\n\n* **Cost:** $5\n* *really* **(old)**, **"Moby"** and **`x`**', True),
        ("1. one\n2. two\n   - below\n\n```python\ndef f():\n    return 1\n```\nend", True),
        (f"| name | about |\n|---|---|\n| rug | {'soft ' * 30}|", True),
        ("Take __init__.py.", False),
        ("'*.py', '*.md' and '**/*.c', '**/*.h'", False),
        ("2**3 and 4**5", False),
        ("<div>hello</div> <http://x>", False),
        ("1. x\n5. y", False),
        ("1. x\n3. y\n2. z", False),
        ("def f():\n    return 1", False),
        ("a [link](http://x)", False),
        ("a \\* b &amp; c", False),
        ("-", False),
        ("> 5", False),
        ("a\n====", False),
        ("[a]: b", False),
        (f"{WIDE[0]}{'|'.join(['---'] * 30)}\n{WIDE[1]}", False),
    ],
)
def test_an_answer_is_rendered_only_where_nothing_of_it_is_lost(text, rendered):
    console = Console(file=io.StringIO(), width=60, force_terminal=True)
    assert isinstance(markdown(text, console), Markdown) == rendered


def test_rendered_lines_stay_lines():
    console = Console(file=io.StringIO(), width=60, color_system=None)
    console.print(markdown("**one**\ntwo", console))
    assert [line.strip() for line in console.file.getvalue().splitlines()] == ["one", "two"]


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [(True, "1 of 2 MB from the mirror"), (False, "Downloading 2 MB from the mirror …\n")],
)
def test_a_download_shows_its_progress(terminal, shown):
    class Slow:
        def prepare(self, on_progress, cancel):
            on_progress(1_000_000, 2_000_000, "the mirror")
            time.sleep(0.5)
            on_progress(2_000_000, 2_000_000, "the mirror")

    console = Console(file=io.StringIO(), width=80, force_terminal=terminal, color_system=None)
    prepare(Slow(), console, Cancel())
    assert shown in console.file.getvalue()
    assert console.file.getvalue().count("MB") == 1 or terminal


def test_what_would_steer_the_terminal_is_not_passed_on():
    out = rendered(ScriptedClient([cell("print('\\x1b[2Jx\\x1b]0;title\\x07 \\ud800')"), "FINAL(1)"]))
    assert "[2Jx" in out
    assert not set("\x1b\x07\ud800") & set(out)


def test_the_summary_is_one_line():
    result = RLM(root_client=ScriptedClient(["FINAL(1)"])).completion("?")
    assert summary(result).startswith("1 iteration · 0.")
    assert summary(result).endswith("10 tokens in, 2 out · final")


@pytest.mark.parametrize(
    ("colours", "keyword"), [(None, "94"), ("15;0", "94"), ("0;15", "34"), ("0;default;7", "34")]
)
def test_code_stands_out_from_the_background(monkeypatch, colours, keyword):
    monkeypatch.delenv("COLORFGBG", raising=False)
    if colours:
        monkeypatch.setenv("COLORFGBG", colours)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(code("return 1"))
    assert f"\x1b[{keyword};49mreturn" in console.file.getvalue()
