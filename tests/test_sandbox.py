"""The REPL in its own process: what a cell may do, and that nothing it does harms the host."""

from __future__ import annotations

import os
import re
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm.cancel import Cancel
from rlm.errors import Cancelled, ClientError, ContextError, SandboxError
from rlm.sandbox import Sandbox
from rlm.sandbox.child.shown import Output, clip
from rlm.types import Answer, Final

pytestmark = pytest.mark.usefixtures("no_process_left")
TEXT = "alpha\nbeta\ngamma"


def echo(prompt: str) -> str:
    return prompt.upper()


@pytest.fixture
def repl() -> Iterator[Sandbox]:
    with Sandbox(TEXT, query=echo) as sandbox:
        yield sandbox


def value_of(context: object, code: str = "context", query: Callable[[str], str] = echo) -> str | None:
    with Sandbox(context, query=query) as sandbox:
        result = sandbox.execute(code)
        assert result.error is None, result.error
        return result.value


# What people expect of a REPL


def test_stdout_and_the_last_value_are_shown(repl):
    result = repl.execute("print('hello')\nlen(context)")
    assert (result.stdout, result.value, result.error) == ("hello\n", "16", None)


def test_nothing_is_shown_where_there_is_nothing(repl):
    result = repl.execute("x = 1")
    assert (result.stdout, result.value, result.error) == ("", None, None)


def test_variables_live_on(repl):
    repl.execute("x = 1")
    assert repl.execute("x += 1\nx").value == "2"


def test_variables_and_stdout_survive_an_exception(repl):
    result = repl.execute("kept = 7\nprint('before')\n1 / 0\nprint('after')")
    assert result.stdout == "before\n"
    assert "ZeroDivisionError: division by zero" in result.error
    assert repl.execute("kept").value == "7"


def test_an_error_names_the_cells_own_line(repl):
    repl.execute("def half(x):\n    return x / 0")
    result = repl.execute("a = 1\nhalf(a)")
    assert 'File "<cell 2>", line 2, in <module>\n    half(a)' in result.error
    assert 'File "<cell 1>", line 2, in half\n    return x / 0' in result.error
    assert "worker" not in result.error


def test_a_syntax_error_names_its_line(repl):
    assert "line 2" in repl.execute("a = 1\nb = = 2").error


def test_a_function_sees_a_global_that_a_later_cell_rebinds(repl):
    repl.execute("n = 1\ndef get():\n    return n")
    repl.execute("n = 2")
    assert repl.execute("get()").value == "2"


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("class A:\n    n = 3\nA().n", "3"),
        ("def g():\n    yield from 'ab'\nlist(g())", "['a', 'b']"),
        ("k = 2\n[k * i for i in range(3)]", "[0, 2, 4]"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nP(1)", "P(x=1)"),
        ("import threading\nt = threading.Thread(target=print)\nt.start(); t.join()\nt.is_alive()", "False"),
        ("re.findall('a', context)", "['a', 'a', 'a', 'a', 'a']"),
        ("'é\\ud800'", "'é\\ud800'"),
        ("__name__", "'__main__'"),
    ],
    ids=[
        "class",
        "yield",
        "comprehension",
        "dataclass",
        "thread",
        "module-never-imported",
        "surrogate",
        "main",
    ],
)
def test_python_works_as_usual(repl, code, value):
    result = repl.execute(code)
    assert (result.value, result.error) == (value, None)


def test_installed_packages_can_be_imported(repl):
    assert repl.execute("import rich\nrich.__name__").value == "'rich'"


def test_input_does_not_wait(repl):
    assert "input() is not available" in repl.execute("input('? ')").error


def test_the_environment_and_working_directory_are_not_the_hosts(repl, monkeypatch):
    assert repl.execute("import os\nsorted(k for k in os.environ if k != 'LC_CTYPE')").value == "[]"
    assert repl.execute("os.getcwd()").value == repr(os.sep)


# FINAL


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        pytest.param("FINAL(42)", Answer("42", 42), id="number"),
        pytest.param("FINAL('Paris')", Answer("Paris", "Paris"), id="text"),
        pytest.param("FINAL([1, 'a', None])", Answer("[1, 'a', None]", [1, "a", None]), id="list"),
        pytest.param("FINAL({1, 2} - {2})", Answer("{1}", "{1}"), id="no-json"),
        pytest.param("FINAL(float('nan'))", Answer("nan", "nan"), id="nan"),
        pytest.param("x = 'Oslo'\nFINAL_VAR('x')", Answer("Oslo", "Oslo"), id="variable-by-name"),
        pytest.param("x = 'Oslo'\nFINAL_VAR(x)", Answer("Oslo", "Oslo"), id="variable-itself"),
        pytest.param("answer['content'] = 5\nanswer['ready'] = True", Answer("5", 5), id="answer-dict"),
        pytest.param("answer = {'content': 5, 'ready': True}", Answer("5", 5), id="answer-dict-replaced"),
        pytest.param("try:\n    FINAL(1)\nexcept Exception:\n    FINAL(2)", Answer("1", 1), id="in-try"),
        pytest.param("FINAL(1)\nraise ValueError", Answer("1", 1), id="code-after-it-does-not-run"),
    ],
)
def test_final_in_code_ends_the_cell_with_a_value(repl, code, answer):
    result = repl.execute(code)
    assert (result.final, result.error) == (answer, None)


@pytest.mark.parametrize(
    "code",
    [
        "import math\nFINAL(math)",
        "FINAL(x for x in 'a')",
        "FINAL()",
        "FINAL('')",
        "FINAL(None)",
        "FINAL(answer)",
        "FINAL_VAR('nothing')",
    ],
)
def test_an_empty_final_is_an_error(repl, code):
    result = repl.execute(code)
    assert result.final is None
    assert result.error


def test_a_final_does_not_stay_for_the_next_cell(repl):
    repl.execute("FINAL(1)")
    assert repl.execute("2").final is None


@pytest.mark.parametrize(
    ("final", "answer"),
    [
        pytest.param(Final("total", kind="expression"), Answer("9", 9), id="name"),
        pytest.param(Final("total + 1", kind="expression"), Answer("10", 10), id="expression"),
        pytest.param(
            Final("f'{total} lines'", kind="expression"), Answer("9 lines", "9 lines"), id="f-string"
        ),
        pytest.param(Final("total", kind="variable"), Answer("9", 9), id="variable"),
        pytest.param(Final("Paris", kind="expression"), None, id="a-word-that-is-no-variable"),
        pytest.param(Final("max", kind="expression"), None, id="a-builtin-is-no-answer"),
        pytest.param(Final("total / 0", kind="expression"), None, id="raises"),
        pytest.param(Final("nothing", kind="variable"), None, id="unknown"),
    ],
)
def test_a_final_in_text_is_looked_up(repl, final, answer):
    repl.execute("total = 9")
    assert repl.resolve(final).final == answer


def test_an_unknown_final_var_names_the_variables(repl):
    repl.execute("total = 9")
    assert "total" in repl.resolve(Final("totl", kind="variable")).error


# Sub calls


def test_llm_query_asks_the_host(repl):
    assert repl.execute("llm_query('say ' + context[:5])").value == "'SAY ALPHA'"


def test_a_reply_of_many_lines_arrives_whole():
    assert value_of("x", "len(llm_query('a' + context))", query=lambda prompt: "a\nb\n" * 50_000) == "200000"


def test_a_failed_sub_call_raises_and_is_no_answer():
    def fail(prompt: str) -> str:
        raise ClientError("the server is gone")

    with Sandbox(TEXT, query=fail) as repl:
        result = repl.execute("x = llm_query('a' + context)\nprint('not reached')")
        assert "LLMQueryError: the server is gone" in result.error
        assert result.stdout == ""
        assert "NameError" in repl.execute("x").error


def test_a_batch_keeps_its_order_and_runs_at_once():
    together = threading.Barrier(4, timeout=10)

    def meet(prompt: str) -> str:
        together.wait()
        return prompt * 2

    with Sandbox(None, query=meet, concurrency=4) as repl:
        assert repl.execute("llm_query_batched(['a', 'b', 'c', 'd'])").value == "['aa', 'bb', 'cc', 'dd']"


def test_a_batch_shows_which_call_failed():
    def fail_on_b(prompt: str) -> str:
        if prompt == "b":
            raise ClientError("too hard")
        return prompt.upper()

    with Sandbox(None, query=fail_on_b) as repl:
        result = repl.execute("r = llm_query_batched(['a', 'b', 'c'])\n[bool(x) for x in r], r[0], r[2]")
        assert result.value == "([True, False, True], 'A', 'C')"
        assert "1 of 3 sub calls failed (index 1): too hard" in result.stdout
        assert "TypeError" in repl.execute("'\\n'.join(r)").error
        assert "too hard" in repl.execute("llm_query_batched(['b', 'b'])").error


def test_sub_calls_from_threads_get_their_own_replies(repl):
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    r = list(pool.map(lambda i: llm_query(f'p{i}'), range(40)))\n"
        "r == [f'P{i}' for i in range(40)]"
    )
    assert repl.execute(code).value == "True"


def test_a_thread_that_outlives_its_cell_still_gets_its_reply(repl):
    repl.execute(
        "import threading, time\nr = []\n"
        "t = threading.Thread(target=lambda: (time.sleep(0.2), r.append(llm_query('late ' + context[:1]))))\n"
        "t.start()"
    )
    assert repl.execute("t.join()\nr").value == "['LATE A']"


def test_a_sub_call_without_any_data_is_refused_with_what_to_do():
    with Sandbox(TEXT, query=echo) as repl:
        error = repl.execute("llm_query('Where is the harbour?')").error
        assert "has none of the data" in error
        assert 'search("harbour")' in error
        assert "has none of the data" in repl.execute("llm_query_batched(['Where is it?'])").error
        assert "Look at the data first" in repl.execute("llm_query('What is it?')").error
    assert value_of(None, "llm_query('What is 2 + 2?')") == "'WHAT IS 2 + 2?'"
    with Sandbox("a,b,c\n" + "1,2,3\n" * 9, query=echo) as repl:
        error = repl.execute("llm_query('What is it?')").error
        assert "in `rows` as well, a list of dicts; the first is {'a': 1, 'b': 2, 'c': 3}" in error


def test_a_module_that_is_not_there_is_told_with_what_is():
    with Sandbox("a,b,c\n" + "1,2,3\n" * 9, query=echo) as repl:
        error = repl.execute("import pandas as pd\npd.read_csv(context)").error
    assert "No module named 'pandas'" in error
    assert "use Python's standard library) Its records are in `rows` as well" in error
    with Sandbox("text", query=echo) as repl:
        assert repl.execute("import pandas").error.endswith("use Python's standard library)")


@pytest.mark.parametrize("prompt", ["3", "['a']", "None"])
def test_a_prompt_that_is_no_str_is_an_error(prompt):
    with Sandbox(None, query=echo) as repl:
        assert "llm_query takes str" in repl.execute(f"p = {prompt}\nllm_query(p)").error


# search


@pytest.mark.parametrize(
    ("context", "code", "value"),
    [
        ("One fish\nTwo Fish\nred", "search('fish')", "['One fish', 'Two Fish']"),
        ("One fish\nTwo Fish\nred", "search('^two')", "['Two Fish']"),
        ("One fish\nTwo Fish\nred", "search('^fish')", "[]"),
        ("a (b\nc", "search('(b')", "['a (b']"),
        (["red", "blue"], "search('u')", "['1: blue']"),
        ({"k": "red", "m": {"n": 5}}, "search('5')", "[\"'m': {'n': 5}\"]"),
        ("x" * 500 + "needle" + "y" * 500, "[len(r) for r in search('needle')]", "[246]"),
        ("aa\naa", "len(search('a'))", "2"),
    ],
    ids=["lines", "beginning", "no-match", "no-regex", "list", "dict", "long-line", "a-line-once"],
)
def test_search(context, code, value):
    assert value_of(context, code) == value


def test_search_without_a_match_shows_the_nearest_lines():
    with Sandbox("the treaty was signed in Lisbon\nnothing here", query=echo) as repl:
        result = repl.execute("search('treaty of Paris')")
        assert result.value == "[]"
        assert "the treaty was signed in Lisbon" in result.stdout


# The context


@pytest.mark.parametrize(
    "context",
    [
        "",
        "plain",
        "é€😀\x00\r\n",
        "lone \ud800 surrogate",
        "\ufeff with a mark",
        [1, "a", None, 2.5, True],
        {"a": [1, {"b": "c"}], 3: ("t", b"bytes")},
        {"empty": {}},
        [],
        None,
    ],
    ids=repr,
)
def test_the_context_arrives_as_it_is(context):
    assert value_of(context) == (None if context is None else repr(context))


def test_subclasses_of_plain_types_arrive_as_plain_types():
    class Name(str):
        pass

    context = OrderedDict(a=[Name("x")], b=OrderedDict(c=1))
    assert value_of(context) == "{'a': ['x'], 'b': {'c': 1}}"


def test_sets_among_other_types_arrive_as_sets():
    context = OrderedDict(a={1}, b={frozenset({2}): 3})
    assert value_of(context) == "{'a': {1}, 'b': {frozenset({2}): 3}}"


def test_numbers_of_other_libraries_arrive_as_numbers():
    class Scalar:
        shape = ()

        def item(self) -> float:
            return 2.5

    assert value_of([Scalar()]) == "[2.5]"


def test_a_number_that_has_no_text_is_no_reason_not_to_start():
    assert value_of([10**6000], "context[0] == 10**6000") == "True"


def test_bytes_that_are_text_arrive_as_text():
    assert value_of("grün".encode()) == "'grün'"


def test_a_path_is_read_as_text(tmp_path: Path):
    (tmp_path / "a b.txt").write_text("grün\nrot", encoding="utf-8")
    assert value_of(tmp_path / "a b.txt") == "'grün\\nrot'"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte-order-mark"])
@pytest.mark.parametrize("text", ["grün", "green", ""])
def test_the_mark_at_the_beginning_of_a_file_is_no_text(tmp_path: Path, mark: bytes, text: str):
    (tmp_path / "a.txt").write_bytes(mark + text.encode())
    assert value_of(tmp_path / "a.txt") == value_of(mark + text.encode()) == repr(text)


def test_a_file_that_tells_no_size_is_read():
    assert value_of(Path("/proc/self/limits"), "'Max open files' in context") == "True"


@pytest.mark.parametrize(
    ("context", "says"),
    [
        pytest.param(object(), "context is of type object", id="object"),
        pytest.param({"a": [1, date(2026, 1, 1)]}, "context['a'][1] is of type date", id="inside"),
        pytest.param([array("d", [1.0])], "context[0] is of type array", id="array"),
        pytest.param([...], "context[0] is of type ellipsis", id="ellipsis"),
        pytest.param(Path("/dev/null"), "is a device", id="device"),
        pytest.param(Path("a" * 5000), "Cannot read the context", id="long-path"),
        pytest.param(Path("/nowhere/at/all.txt"), "does not exist", id="missing"),
        pytest.param(Path("/"), "is a folder", id="folder"),
        pytest.param(b"\xff\xfe\x00", "not UTF-8 text", id="bytes"),
    ],
)
def test_a_context_that_cannot_be_used_is_a_clear_error(context, says):
    with pytest.raises(ContextError, match=says.replace("[", r"\[").replace("'", ".")):
        Sandbox(context, query=echo)


def test_a_context_that_contains_itself_arrives_or_is_a_clear_error():
    loop: list[object] = []
    loop.append(loop)
    assert value_of(loop, "context[0] is context") == "True"
    loop.append(OrderedDict())
    with pytest.raises(ContextError, match="contains itself"):
        Sandbox(loop, query=echo)


def test_a_file_that_is_no_text_is_a_clear_error(tmp_path: Path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n" + bytes(range(256)) * 100_000)
    with pytest.raises(ContextError, match=r"picture\.png: it is not UTF-8 text \(byte 0x89"):
        Sandbox(tmp_path / "picture.png", query=echo)


def test_the_context_is_described():
    with Sandbox("one\ntwo\n", query=echo) as repl:
        assert repl.context == {
            "type": "str",
            "length": 8,
            "lines": 2,
            "head": "one\ntwo\n",
        }


@given(st.text())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_unchanged(repl, text):
    assert repl.execute(f"FINAL({'x' + text!r})").final == Answer("x" + text, "x" + text)


# Bounds


@given(st.text(min_size=1, max_size=400), st.integers(min_value=3, max_value=60))
def test_clipping_keeps_head_and_tail_and_says_what_is_left_out(text, limit):
    clipped = clip(text, limit)
    if len(text) <= limit:
        assert clipped == text
    else:
        assert clipped.startswith(text[: limit * 2 // 3])
        assert clipped.endswith(text[-(limit - limit * 2 // 3) :])
        assert f"[{len(text) - limit:,} characters left out]" in clipped


@given(st.lists(st.text(max_size=30), max_size=30), st.integers(min_value=3, max_value=60))
def test_output_is_clipped_like_a_text(pieces, limit):
    output = Output(limit)
    for piece in pieces:
        output.write(piece)
    assert output.take() == clip("".join(pieces), limit)
    assert output.take() == ""


def test_long_output_is_kept_at_both_ends():
    with Sandbox(None, query=echo, output_limit=100) as repl:
        result = repl.execute("print('a' * 1_000_000 + 'the end')")
        assert result.stdout.startswith("aaaa")
        assert result.stdout.endswith("the end\n")
        assert "999,908 characters left out" in result.stdout


def test_a_long_list_is_shown_by_its_length_and_beginning():
    value = value_of(None, "list(range(1000))")
    assert value == "list of 1,000 items, the first 10:\n[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"


# Hostile and broken cells


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(3)",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "raise BaseException('x')",
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "class R:\n    def __repr__(self): raise ValueError('bad repr')\nR()",
        "def f(): f()\nf()",
        "import sys; sys.stdout = None; sys.stderr = None",
        "'\\x00' + 1",
        "\x00",
    ],
)
def test_the_session_goes_on_after(repl, code):
    repl.execute("kept = 1")
    repl.execute(code)
    result = repl.execute("print(kept)")
    assert (result.stdout, result.error) == ("1\n", None)


CRASHES = [
    pytest.param("import os; os._exit(7)", "exit code 7", id="exit"),
    pytest.param("import ctypes; ctypes.string_at(0)", "SIGSEGV", id="segfault"),
    pytest.param("import os; os.abort()", "crashed", id="abort"),
    pytest.param("import os; os.closerange(3, 100)", "exit code 1", id="descriptors"),
    pytest.param("import os, signal; signal.alarm(1); signal.pause()", "SIGALRM", id="alarm"),
]


@pytest.mark.parametrize(("code", "says"), CRASHES)
def test_a_crash_rolls_the_session_back_to_before_the_cell(repl, code, says):
    repl.execute("kept = 7")
    result = repl.execute(f"kept = 8\n{code}")
    assert says in result.error
    assert "rolled back" in result.error
    assert repl.execute("kept, context, llm_query('a' + context)[:2]").value == f"(7, {TEXT!r}, 'AA')"


@pytest.mark.parametrize(("code", "says"), CRASHES)
def test_a_crash_without_a_snapshot_restarts_the_session_with_the_context(code, says):
    with Sandbox(TEXT, query=echo, snapshots=False) as repl:
        repl.execute("lost = 7")
        result = repl.execute(code)
        assert says in result.error
        assert "restarted" in result.error
        assert repl.execute("context, 'lost' in globals()").value == f"({TEXT!r}, False)"


def test_one_session_survives_many_crashes(repl):
    repl.execute("n = 0")
    for _ in range(5):
        repl.execute("n += 1")
        repl.execute("import os; os._exit(1)")
    assert repl.execute("n").value == "5"


def test_a_cell_that_breaks_the_sessions_python_is_rolled_back(repl):
    repl.execute("kept = 7")
    result = repl.execute("print('shown')\nimport ast\nast.parse = lambda *_: ast.Module([], [])")
    assert result.stdout == "shown\n"
    assert "broke the session's own Python" in result.error
    assert repl.execute("kept").value == "7"


def test_replaced_builtins_are_put_back(repl):
    repl.execute("import builtins, sys\nkept = 7\nbuiltins.print = builtins.len = None\nsys.stdout = None")
    result = repl.execute("print(kept, len('ab'))")
    assert (result.stdout, result.error) == ("7 2\n", None)


def test_a_cell_that_runs_too_long_is_stopped_and_its_variables_are_kept():
    with Sandbox(TEXT, query=echo, cell_timeout=0.3) as repl:
        result = repl.execute("x = 5\nprint('on my way')\nwhile True:\n    pass")
        assert "stopped after 0.3 s" in result.error
        assert result.stdout == "on my way\n"
        assert repl.execute("x").value == "5"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
            id="catches-all",
        ),
        pytest.param(
            "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", id="ignores"
        ),
        pytest.param("sum(range(10**13))", id="in-c-code"),
    ],
)
def test_a_cell_that_cannot_be_stopped_is_killed(code):
    with Sandbox(TEXT, query=echo, cell_timeout=0.3) as repl:
        repl.execute("x = 5")
        result = repl.execute(code)
        assert "TimeoutError" in result.error
        assert repl.execute("context").value == repr(TEXT)


def test_waiting_for_a_model_is_not_charged_to_the_cell():
    def slow(prompt: str) -> str:
        time.sleep(1.0)
        return "done"

    with Sandbox(TEXT, query=slow, cell_timeout=0.5) as repl:
        assert repl.execute("llm_query('a' + context)").value == "'done'"
        assert "stopped after 0.5 s" in repl.execute("llm_query('a' + context)\nwhile True: pass").error
        assert repl.execute("llm_query('b' + context)").value == "'done'"


CHANNEL = (
    "[o for o in __import__('gc').get_objects() if type(o).__name__ == 'Channel'][-1].connection.fileno()"
)
# the worker's own socket, as hostile code finds it
ORDER = """
import json, os, sys
frame = sys._getframe()
while "order" not in frame.f_locals: frame = frame.f_back
order = frame.f_locals["order"]["id"]
"""
# the number that a result must have


def forging(frame: str) -> str:
    """Code that sends the bytes `f`, which this line of it makes, as a frame."""
    send = "data = len(f).to_bytes(4, 'big') + f\nwhile data: data = data[os.write(CHANNEL, data):]"
    return f"{ORDER}{frame}\n{send}".replace("CHANNEL", CHANNEL)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\xff\xff\xff\xff", id="oversized"),
        pytest.param(b"\x00\x00\x00\x03abc", id="no-json"),
        pytest.param(b"\x00\x00\x00\x02[]", id="wrong-type"),
    ],
)
def test_a_forged_frame_ends_the_process_not_the_host(repl, frame):
    code = f"import os, socket\ns = socket.socket(fileno=os.dup(CHANNEL))\ns.sendall({frame!r})"
    repl.execute("kept = 7")
    result = repl.execute(code.replace("CHANNEL", CHANNEL))
    assert "rolled back" in result.error
    assert repl.execute("kept").value == "7"
    assert repl.execute("context").value == repr(TEXT)


def test_a_number_beyond_all_is_no_answer(repl):
    forged = b'{"do": "done", "id": %d, "final": {"text": "inf", "value": 1e999}}'
    result = repl.execute(forging(f"f = {forged!r} % order"))
    assert result.final is None
    assert "rolled back" in result.error


def test_a_forged_result_has_only_text(repl):
    forged = b'{"do": "done", "id": %d, "stdout": {"a": 1}, "error": 5, "final": "no"}'
    result = repl.execute(forging(f"f = {forged!r} % order"))
    assert (result.stdout, result.error, result.final) == ("{'a': 1}", "5", None)
    assert repl.execute("context").value == repr(TEXT)


# Life and death


def test_the_error_of_a_thread_is_in_its_own_cells_output_alone(repl):
    own = repl.execute("import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()")
    assert "ZeroDivisionError" in own.stdout
    repl.execute(
        "go, gone = threading.Event(), threading.Event()\n"
        "def late():\n    go.wait()\n    print('late')\n    1 / 0\n"
        "left = threading.Thread(target=late)\nleft.start()"
    )
    result = repl.execute("go.set(); left.join()")
    assert (result.stdout, result.error) == ("late\n", None)


def test_the_number_of_cells_that_are_lost_is_right_also_where_snapshots_failed(repl):
    repl.execute("x = 1")
    repl.execute("keep = []\nwhile True: keep.append(open('/dev/null'))")
    for n in range(6):
        repl.execute(f"x = {n}")
    error = repl.execute("import os; os._exit(1)").error
    lost = int(re.search(r"the last (\d+) cells", error)[1])
    # x is what it was before those cells
    assert repl.execute("x").value == {8: "1", 7: "1"}.get(lost, str(6 - lost))


def test_another_context_finds_room_where_a_cell_has_taken_all_descriptors():
    with Sandbox("first", query=echo) as repl:
        repl.execute("keep = []\nwhile True: keep.append(open('/dev/null'))")
        assert not repl.load("second")
        assert repl.execute("context").value == "'second'"


def test_product_is_there_where_it_is_called_and_stays_a_name_for_data(repl):
    assert repl.execute("list(product('ab', [1]))").value == "[('a', 1), ('b', 1)]"
    assert repl.execute("for product in ['lamp']: pass\nproduct").value == "'lamp'"
    with Sandbox("text", query=echo) as other:
        assert "NameError" in other.execute("print(product)").error


def test_a_value_without_a_text_does_not_cost_the_session(repl):
    result = repl.execute("import math\nn = math.factorial(3000)\nprint(n)")
    assert "Exceeds the limit (4300 digits)" in result.error
    assert repl.execute("n.bit_length()").value == "30332"
    with Sandbox([10**5000], query=echo) as other:
        assert "is not subscriptable" in other.execute("x = 1\ncontext[0]['x']").error
        assert other.execute("x").value == "1"


def test_a_sub_call_after_the_close_is_a_clear_error():
    with Sandbox("text", query=echo) as repl:
        repl._pool.shutdown()
        repl._closed = True
        with pytest.raises(SandboxError, match="closed"):
            repl.execute("llm_query('a' + context)")


def test_cells_of_two_threads_take_turns(repl):
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda n: repl.execute(f"x = {n}\nprint(x)\nx").value, range(40)))
    assert values == [str(n) for n in range(40)]


def test_two_at_once_do_not_mix():
    with Sandbox("one", query=echo) as first, Sandbox("two", query=echo) as second:
        first.execute("x = 'first'\nprint(x)")
        assert second.execute("print(context)\nx").stdout == "two\n"
        assert first.execute("print(context, x)").stdout == "one first\n"


def test_cancelling_ends_a_cell_at_once():
    cancel = Cancel()
    with Sandbox(TEXT, query=echo, cancel=cancel) as repl:
        threading.Timer(0.2, cancel.set).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            repl.execute("while True: pass")
        assert time.monotonic() - began < 5


def test_a_host_with_many_open_descriptors_can_run_cells():
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert value_of(TEXT, "len(context)") == "16"
    finally:
        for file in files:
            os.close(file)


def test_closing_twice_is_fine_and_then_nothing_runs():
    sandbox = Sandbox(TEXT, query=echo)
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxError, match="is closed"):
        sandbox.execute("1")


def test_a_sandbox_that_is_forgotten_ends_its_process():
    with pytest.warns(ResourceWarning):
        worker = Sandbox(TEXT, query=echo)._session._worker
    deadline = time.monotonic() + 2
    while os.path.exists(f"/proc/{worker}") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{worker}")


def test_closing_from_another_thread_ends_a_cell_for_good():
    sandbox = Sandbox(TEXT, query=echo)
    threading.Timer(0.2, sandbox.close).start()
    with pytest.raises(SandboxError, match="is closed"):
        sandbox.execute("while True: pass")


def test_a_forged_output_is_bounded(repl):
    result = repl.execute(
        forging("f = json.dumps({'do': 'done', 'id': order, 'stdout': 'x' * 10**6}).encode()")
    )
    assert 99_000 < len(result.stdout) < 101_000


def test_no_descriptor_is_left_open():
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    Sandbox(TEXT, query=echo).close()
    before = descriptors()
    for _ in range(5):
        with Sandbox(TEXT, query=echo) as repl:
            repl.execute("import os; os._exit(1)")
    assert descriptors() == before
