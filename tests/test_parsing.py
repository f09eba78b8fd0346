"""Reply text to Action: each row is a way in which a model wrote its reply, or another engine's bug."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm.parsing import is_complete, parse, repeats_itself, split_thinking
from rlm.types import Final

CODE = "print(len(context))"


@pytest.mark.parametrize(
    ("reply", "cells"),
    [
        pytest.param(f"```repl\n{CODE}\n```", (CODE,), id="repl"),
        pytest.param(f"Let me look.\n\n```python\n{CODE}\n```\nDone.", (CODE,), id="python"),
        pytest.param(f"```py\n{CODE}\n```", (CODE,), id="py"),
        pytest.param(f"```Python\n{CODE}\n```", (CODE,), id="capital"),
        pytest.param(f"```tool_code\n{CODE}\n```", (CODE,), id="tool_code"),
        pytest.param(f"```\n{CODE}\n```", (CODE,), id="bare"),
        pytest.param(f"~~~python\n{CODE}\n~~~", (CODE,), id="tildes"),
        pytest.param(f"````python\n{CODE}\n````", (CODE,), id="four-backticks"),
        pytest.param(f"```repl\n{CODE}", (CODE,), id="unclosed"),
        pytest.param(f"```repl\n{CODE}```", (CODE,), id="closing-fence-without-newline"),
        pytest.param(
            f"```repl\n{CODE}```\nSo it is.", (CODE,), id="closing-fence-without-newline-then-prose"
        ),
        pytest.param(f"   ```repl\n   {CODE}\n   ```", (CODE,), id="indented-fence"),
        pytest.param(f"First: ```python\n{CODE}\n```", (CODE,), id="opens-at-the-end-of-a-line"),
        pytest.param(f"```python {CODE}```", (CODE,), id="whole-block-on-one-line"),
        pytest.param("```repl\na = 1\n```\nand\n```repl\nb = 2\n```", ("a = 1", "b = 2"), id="several"),
        pytest.param(
            "```repl\na = 1\n```python\nb = 2\n```", ("a = 1", "b = 2"), id="never-closed-then-next"
        ),
        pytest.param('```repl\ns = "```"\nprint(s)\n```', ('s = "```"\nprint(s)',), id="fence-in-string"),
        pytest.param(
            "```repl\ns = '''\n```\ntext\n```\n'''\nprint(s)\n```",
            ("s = '''\n```\ntext\n```\n'''\nprint(s)",),
            id="fences-in-triple-quoted-string",
        ),
        pytest.param(
            "```repl\nx = 'it''s'  # don't use ``` here\nprint(x)\n```",
            ("x = 'it''s'  # don't use ``` here\nprint(x)",),
            id="apostrophe-in-comment",
        ),
        pytest.param(f"```repl\r\n{CODE}\r\n```\r\n", (CODE,), id="windows-line-ends"),
        pytest.param(f"```json\r\n{{}}\r\n```\r\n```repl\r\n{CODE}\r\n```", (CODE,), id="crlf-after-json"),
        pytest.param("```json\n{}\n```", (), id="json-is-no-code"),
        pytest.param("```output\n12\n```", (), id="output-is-no-code"),
        pytest.param("```repl\n\n```", (), id="empty"),
        pytest.param(
            f"<think>\n```repl\nbad()\n```\n</think>\n```repl\n{CODE}\n```", (CODE,), id="in-thinking"
        ),
        pytest.param(
            f"so I would\n</think>\n```repl\n{CODE}\n```", (CODE,), id="thinking-opened-by-template"
        ),
        pytest.param('```repl\nx = t.split("</think>")\n```', ('x = t.split("</think>")',), id="tag-in-code"),
    ],
)
def test_code_blocks(reply, cells):
    assert parse(reply).cells == cells


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        pytest.param("FINAL(f(x) = 3)", "f(x) = 3", id="nested-parens"),
        pytest.param("FINAL([1,2,3])", "[1,2,3]", id="list"),
        pytest.param("FINAL(42)", "42", id="number"),
        pytest.param("FINAL(-0.5)", "-0.5", id="negative"),
        pytest.param('FINAL("Paris")', "Paris", id="string"),
        pytest.param("FINAL('it (really) is')", "it (really) is", id="parens-in-string"),
        pytest.param('FINAL("a ) b")', "a ) b", id="closing-paren-in-string"),
        pytest.param("FINAL(Paris, France)", "Paris, France", id="two-words"),
        pytest.param("FINAL(x = 3)", "x = 3", id="looks-like-a-keyword"),
        pytest.param("FINAL(The answer is 4 (four).)", "The answer is 4 (four).", id="prose"),
        pytest.param("FINAL(first\nsecond (2)\nthird)", "first\nsecond (2)\nthird", id="lines"),
        pytest.param('FINAL("""a\n(b)\nc""")', "a\n(b)\nc", id="triple-quoted"),
        pytest.param("Here it is.\n\n  FINAL(7)  \nThanks!", "7", id="own-line-among-prose"),
        pytest.param("**FINAL(7)**", "7", id="bold"),
        pytest.param("FINAL(7).", "7", id="full-stop"),
        pytest.param("`FINAL(7)`", "7", id="backticks"),
        pytest.param("FINAL(1)\nFINAL(2)", "1", id="first-counts"),
        pytest.param("```json\r\n{}\r\n```\r\nFINAL(42)\r\n", "42", id="windows-line-ends"),
        pytest.param("\ufeffFINAL(3)", "3", id="byte-order-mark"),
        pytest.param("Answer: FINAL(3)", "3", id="labelled"),
        pytest.param("## FINAL(3)", "3", id="heading"),
        pytest.param("FINAL(42) is my answer.", "42", id="prose-after-it"),
        pytest.param("FINAL(3) # done", "3", id="comment-after-it"),
        pytest.param(
            "FINAL(in Paris (France)) is my answer", "in Paris (France)", id="nested-and-prose-after"
        ),
        pytest.param("FINAL(see (a)\nand more text", "see (a)\nand more text", id="unclosed-with-parens"),
        pytest.param("FINAL(the answer", "the answer", id="unclosed"),
        pytest.param("FINAL(007)", "007", id="no-number-in-python"),
        pytest.param("FINAL(C:\\dir)", "C:\\dir", id="backslash"),
        pytest.param(r'FINAL("\d+")', r"\d+", id="unknown-escape"),
        pytest.param("<think>FINAL(1)</think>FINAL(2)", "2", id="in-thinking"),
        pytest.param("I'd say FINAL(1)\n</think>\nFINAL(2)", "2", id="in-thinking-opened-by-template"),
        pytest.param("```\nFINAL(The city is Paris)\n```", "The city is Paris", id="prose-in-a-fence"),
        pytest.param("```json\nFINAL(1)\n```\nFINAL(2)", "2", id="in-another-fence"),
    ],
)
def test_final(reply, text):
    final = parse(reply).final
    assert final is not None
    assert final.text == text


@pytest.mark.parametrize(
    ("reply", "final"),
    [
        pytest.param("FINAL([1, 2])", Final("[1, 2]", [1, 2]), id="value-is-kept"),
        pytest.param(
            "FINAL(479.19000000000005)", Final("479.19", 479.19000000000005), id="error-of-binary-sums"
        ),
        pytest.param("FINAL(-0.30000000000000004)", Final("-0.3", -0.30000000000000004), id="another-error"),
        pytest.param("FINAL(0.3333333333333333)", Final("0.3333333333333333", 1 / 3), id="no-error"),
        pytest.param("FINAL(4.50)", Final("4.50", 4.5), id="short-float"),
        pytest.param("FINAL(total)", Final("total", kind="expression"), id="bare-name"),
        pytest.param("FINAL(rows[0])", Final("rows[0]", kind="expression"), id="item"),
        pytest.param("FINAL(f'{n} lines')", Final("f'{n} lines'", kind="expression"), id="f-string"),
        pytest.param("FINAL_VAR(total)", Final("total", kind="variable"), id="variable"),
        pytest.param('FINAL_VAR("total")', Final("total", kind="variable"), id="variable-in-quotes"),
        pytest.param("FINAL_VAR(total)\n```", Final("total", kind="variable"), id="stray-fence"),
    ],
)
def test_kind_of_final(reply, final):
    assert parse(reply).final == final


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param("I will call FINAL(answer) when I am done.", id="mentioned-in-prose"),
        pytest.param("MY_FINAL(3)", id="other-name"),
        pytest.param("FINALLY (3)", id="other-word"),
        pytest.param("<think>FINAL(3)</think>", id="thinking"),
        pytest.param("<think>\nFINAL(3)\nand so on", id="unclosed-thinking"),
        pytest.param("```repl\nFINAL(3)\n```", id="in-code-it-is-a-call"),
        pytest.param("```text\nFINAL(3)\n```", id="in-another-fence"),
        pytest.param("", id="empty"),
    ],
)
def test_no_final(reply):
    assert parse(reply).final is None


def test_final_in_code_is_left_to_the_repl():
    assert parse("```repl\nx = 3\nFINAL(x)\n```").cells == ("x = 3\nFINAL(x)",)


def test_a_reply_that_ran_out_of_tokens_gives_no_half_answer():
    assert parse("FINAL(the answer is a long", cut=True).final is None
    assert parse("FINAL(the answer)", cut=True).final == Final("the answer")


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("Let me look.\n```repl\n", False),
        ("```", False),
        ("```repl\nx = 1\n", False),
        ("```repl\nx = 1\n```", True),
        ("```repl\nx = 1\n```\n", True),
        ("```repl\nprint(1)```", True),
        ('```repl\ns = """\n```', False),
        ('```repl\ns = """\n```\n"""\n```', True),
        ("```json\n{}\n```", False),
        ("<think>\n```repl\nx = 1\n```", False),
        ("FINAL(3)", False),
        ("FINAL(3)\n", True),
        ("FINAL(a\nb)\n", True),
        ("plain prose\n", False),
    ],
)
def test_generation_stops_at_the_end_of_the_first_block(text, complete):
    assert is_complete(text) is complete


@pytest.mark.parametrize(
    ("text", "answer", "thinking"),
    [
        ("<think>hm</think>\nyes", "yes", "hm"),
        ("<think>hm", "", "hm"),
        ("hm\n</think>\nyes", "yes", "hm"),
        ("yes", "yes", ""),
        ('```repl\n"</think>"\n```', '```repl\n"</think>"\n```', ""),
    ],
)
def test_thinking_is_kept_apart(text, answer, thinking):
    assert split_thinking(text) == (answer, thinking)


PIECES = st.sampled_from(
    ("```", "```repl\n", "```python\n", "\n", "FINAL(", "FINAL_VAR(", ")", "(", '"', "'", '"""', "'''", "\\")
    + ("#", "<think>", "</think>", "x = 1", "~~~", " ", "[", "{", "\x00", "\ud800", "é", "f'{", "**", "a b")
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
def test_parsing_never_raises(text):
    action = parse(text)
    assert all(cell.strip() for cell in action.cells)
    parse(text, cut=True)
    is_complete(text)
    split_thinking(text)


@pytest.mark.parametrize(
    "piece", ["```\n", '"""', "FINAL(", "FINAL(a)\n", "(", "[", "<think>", "'''\n```\n", "`", "-("]
)
def test_long_replies_are_parsed_in_time(piece):
    began = time.process_time()
    text = "FINAL(" + piece * (100_000 // len(piece))
    parse(text)
    parse(text[6:])
    is_complete(text + "\n")
    assert (
        time.process_time() - began < 10
    )  # seconds; it takes 0.2 at most, and minutes where it is quadratic


@pytest.mark.parametrize(
    ("text", "circles"),
    [
        ("FINAL(pabzud, " + "madzuz, mafbib, " * 20, True),
        ("FINAL(pabzud, " + "madzuz, mafbib, " * 20 + "madzu", True),
        ("I cannot find it. " * 20, True),
        ("madzuz, mafbib, " * 12, False),
        ("x = [" + ", ".join(map(str, range(200))), False),
        ("print('" + "=" * 79 + "')\n" + "y = 1\n" * 30, False),
        ("".join(f"row{n} = context[{n}]\n" for n in range(50)), False),
    ],
)
def test_a_reply_that_goes_round_in_circles(text, circles):
    assert repeats_itself(text) is circles


def test_the_beginning_of_a_circle_is_not_yet_one():
    text = "the first words, then " + "again " * 60
    assert next(n for n in range(len(text)) if repeats_itself(text[:n])) > 330
