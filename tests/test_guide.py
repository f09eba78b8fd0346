"""What small models get beyond the plain loop, and what other models do not."""

from __future__ import annotations

import ast
import itertools
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import ScriptedClient, SubClient, cell

from rlm import RLM, examples, prompts
from rlm.clients.base import Options
from rlm.errors import ClientError, ConfigurationError, ContextError
from rlm.guide import is_small
from rlm.sandbox import Sandbox
from rlm.sandbox.child.finding import REPEATED
from rlm.sandbox.child.labels import COUNTED, EMPTY, LABELLED, MIXED, PAIRED, Labels, compared
from rlm.types import Completion, Related, Usage

NEEDLE = "The badge of the gatekeeper has the number 4417."
TEXT = "\n".join([*(f"line {n} of nothing much" for n in range(300)), NEEDLE, "the end"])


def run(*replies: str, context: object = TEXT, question: str = "Which badge has the gatekeeper?", **options):
    client = ScriptedClient(replies)
    options = {"guided": True, "sub_client": SubClient(str.upper)} | options
    return client, RLM(root_client=client, **options).completion(question, context)


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("qwen3:4b", True),
        ("local:qwen2.5-coder-1.5b", True),
        ("qwen3:0.6b", True),
        ("local:/models/mine.gguf", True),
        ("llama3.1:8b", True),
        ("llama3.1:70b", False),
        ("qwen3:30b-a3b", False),
        ("mixtral:8x7b", False),
        ("openai:gpt-5", False),
        ("scripted", False),
    ],
)
def test_a_models_size_is_read_from_its_name(name, small):
    assert is_small(name) is small


def test_lines_with_rare_words_of_the_question_are_shown_with_it():
    client, result = run("FINAL(4417)")
    assert NEEDLE in client.shown(0)
    assert "If the lines above have the answer" in client.shown(0)
    assert (result.answer, result.guided, result.mode) == ("4417", True, "repl")


def test_a_name_that_is_nowhere_is_said_to_be_so_and_no_line_is_taken_for_it():
    client, _ = run(
        cell("search('gate-keeper')"), "FINAL(it is not there)", question="Where is gate-house 7?"
    )
    assert "No line or item has 'gate-house'." in client.shown(0)
    assert NEEDLE not in client.shown(0)
    assert "If the lines above" not in client.shown(0)


CHAIN = ["The key K71 hangs on the board of Mr Ostrom.", "He keeps Ostrom's board in the room B209."]


def test_a_line_brings_those_that_its_rare_names_lead_to():
    text = "\n".join([*TEXT.splitlines()[:200], *CHAIN, "Nobody sleeps in the room B209 .", TEXT, "B7 B8"])
    client, _ = run("FINAL(B209)", context=text, question="Where does the key K71 hang?")
    assert "\n".join([*CHAIN, "Nobody sleeps in the room B209 .\n\n"]) in client.shown(0)
    client, _ = run("FINAL(B209)", context=text.splitlines(), question="Where does the key K71 hang?")
    assert f"200: {CHAIN[0]}\n201: {CHAIN[1]}\n202: Nobody" in client.shown(0)


@pytest.mark.parametrize("context", [None, 7, [], {}, [None, 3], {"a": None}, "", {1, 2}])
def test_a_context_without_lines_has_nothing_of_a_question(context):
    client = ScriptedClient([cell("kept = 8\nprint(kept)"), "FINAL(8)", "FINAL(kept)"])
    with RLM(root_client=client, sub_client=SubClient(str.upper), guided=True).session(context) as session:
        session.completion("Where does the gate-house key hang?")
        assert session.completion("Where does the key hang?").answer == "8"


def test_a_name_that_many_lines_have_leads_nowhere():
    text = "\n".join([*(f"Then Ostrom said {n}." for n in range(100)), *CHAIN])
    client, _ = run("FINAL(B209)", context=text, question="Where does the key K71 hang?")
    assert CHAIN[0] in client.shown(0)
    assert CHAIN[1] not in client.shown(0)


def test_of_a_long_item_the_beginning_is_shown_too():
    reports = [f"Report {n}\n" + "nothing much to say\n" * 40 for n in range(9)]
    reports[6] += NEEDLE
    client, _ = run("FINAL(Report 6)", context=reports)
    assert f"\n6 ('Report 6'): {NEEDLE}\n" in client.shown(0)
    talks = [f"Q: What is the number of K{n}10?\nA: It is {n}07." for n in range(9)]
    client, _ = run("FINAL(607)", context=talks, question="What is the number of K610?")
    assert f"\n6: {talks[6]}\n" in client.shown(0)


def test_the_answer_of_another_name_is_asked_back_for():
    text = TEXT + "\nThe house gate-lodge has the number 5150."
    client, result = run(
        cell("print(search('gate-lodge'))"),
        "FINAL(5150)",
        "FINAL(it is not in the data)",
        context=text,
        question="What is the number of gate-house?",
    )
    assert "That is of 'gate-lodge'. No line or item has 'gate-house'." in client.shown(2)
    assert result.answer == "it is not in the data"


def test_true_or_false_is_asked_back_for_where_more_is_asked_for():
    replies = cell("'gate-house' in context"), "FINAL(False)", "FINAL(it is not in the data)"
    client, result = run(*replies, question="What is the number of gate-house?")
    assert "False does not answer the question. No line or item has 'gate-house'." in client.shown(2)
    assert result.answer == "it is not in the data"
    client, result = run(*replies[:2], question="Does it mention gate-house?")
    assert result.answer == "False"


@pytest.mark.parametrize(
    ("answer", "question", "says"),
    [
        ("Mr Smith", "Who has the badge?", "No output shows Mr Smith. If the data does not have the answer"),
        ("Smith", "Who has the badge?", "No output shows Smith."),
        ("Gatekeeper", "Who has the badge?", ""),
        ("Positive", "Is the text positive or negative?", ""),
        ("The Badge 4417", "Which badge has the gatekeeper?", ""),
        ("4", "How often is the badge mentioned?", "No code has counted anything yet"),
        ("4", "How many badges are there?", "No code has counted anything yet"),
        ("4417", "List all badges of gatekeepers.", "No code has listed anything yet"),
        ("4417", "Which badges are of gatekeepers?", "No code has listed anything yet"),
        ("4417, 4417", "Give all 2 badges of gatekeepers.", ""),
        ("4417", "Which is the badge of the gatekeeper?", ""),
        ("4417", "How many guards are there?", ""),
        ("4417", "What is the largest number of a badge?", "No code has compared anything yet"),
        ("Never", "How often is the badge mentioned?", ""),
        ("44.17", "What number has the badge?", ""),
        ("4,417", "What number has the badge?", ""),
    ],
)
def test_a_name_that_is_nowhere_and_a_count_without_code_are_asked_back_for(answer, question, says):
    client, result = run(f"FINAL({answer})", f"FINAL({answer})", question=question)
    assert result.answer == answer
    assert says in client.shown(1) if says else result.iterations == 1


_SERVICES, _LEVELS = ("billing", "mail", "mail"), ("INFO", "ERROR", "ERROR", "ERROR", "ERROR")
LOG = "\n".join(f"12:{n % 60:02} {_SERVICES[n % 3]} {_LEVELS[n % 5]}" for n in range(300))
ERRORS = "How many lines of billing are an ERROR?"


@pytest.mark.parametrize(
    ("code", "question", "says"),
    [
        ("print(context.count('billing'))", ERRORS, "takes no notice of 'ERROR'"),
        ("print(len(search('billing ERROR')))", ERRORS, ""),
        ("print(context.count('ERROR'))", "Is there an ERROR of billing?", ""),
        ("print(sum('mail' in line for line in lines))", "How often does mail occur?", "That counts lines"),
        ("print(len(re.findall('mail', context)))", "How often does mail occur?", ""),
        (
            "print(sum(Counter(line.split())['mail'] for line in lines))",
            "How often does mail occur?",
            "",
        ),
        (
            "n = 0\nfor line in lines:\n    n += line.count('mail')\nprint(n)",
            "How often does mail occur?",
            "",
        ),
        (
            "print(sum('mail' in line for line in lines))",
            'How often does "mail" occur?',
            r'r"\bmail\b", context',
        ),
    ],
)
def test_code_that_overlooks_a_part_of_the_question_is_told_so_once(code, question, says):
    code = f"lines = context.splitlines()\n{code}"
    client, result = run(cell(code), "FINAL(7)", "FINAL(7)", context=LOG, question=question)
    assert result.iterations == (3 if says else 2)
    assert says in client.shown()


TABLE = "who,where,state,price\n" + "".join(
    f"{who},{where},{state},{n}\n"
    for n, (who, where, state) in enumerate(
        itertools.product(["Ann", "Bo"], ["Oslo", "Rome"], ["OK", "NA", "UP"] * 8)
    )
)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (
            "What is the total price in Oslo?",
            "notice of 'Oslo', which the question names (row['where'] == 'Oslo')",
        ),
        ("How much is it in all in Rome?", "takes no notice of 'Rome'"),
        ("What is the average price of those that are OK?", "takes no notice of 'OK'"),
        ("What is the average price? Is that ok?", ""),
    ],
)
def test_a_total_or_mean_that_overlooks_a_kind_is_told_of_its_field(question, says):
    code = cell("print(sum(row['price'] for row in rows))")
    client, result = run(code, "FINAL(4560)", "FINAL(4560)", context=TABLE, question=question)
    assert says in client.shown()
    assert result.iterations == (3 if says else 2)


def test_code_that_overlooks_another_part_after_that_is_told_so_as_well():
    code = "sum(row['price'] for row in rows if row[{!r}] == {!r})"
    client, result = run(
        *[
            cell(code.format("who", "Ann")),
            "FINAL(1)",
            cell(code.format("where", "Rome")),
            "FINAL(2)",
            "FINAL(2)",
        ],
        context=TABLE,
        question="What is the total price of Ann in Rome?",
    )
    assert "takes no notice of 'Rome', which" in client.shown(2)
    assert "takes no notice of 'Ann', which" in client.shown(4)
    assert result.answer == "2"


def test_parts_of_dates_and_times_are_no_numbers_of_the_question():
    question = "What is the total price from 1:30 on 17/12/24 to 2024-02-03 06:00 of Ann?"
    client, _ = run(
        cell("sum(row['price'] for row in rows)"), *["FINAL(4560)"] * 2, context=TABLE, question=question
    )
    assert "takes no notice of 'Ann', which" in client.shown()


@pytest.mark.parametrize(
    ("question", "code", "answer", "says"),
    [
        (
            "By what share did the price fall?",
            "print(10)",
            "10",
            "not found '10': that is written in the code",
        ),
        ("Why did the price fall?", "print('wind')", "wind", "not found 'wind'"),
        ("Why did it fall?", "print('wind' if 'wind' in context else 'no')", "wind", ""),
        ("Was it 10 or 20?", "print(10)", "10", ""),
        ("Which state is the dearest?", "print(0.125)", "0.125", "which one it is, not for a number"),
        ("Compare the states: which costs most?", "print(1 / 8)", "0.125", "which one it is"),
        ("Which price is the highest?", "print(max(row['price'] for row in rows) / 7)", "13.57", ""),
        ("What is the mean in the state which costs most?", "print(1 / 8)", "0.125", ""),
    ],
)
def test_a_result_that_cannot_be_the_answer_is_asked_back_for(question, code, answer, says):
    client, result = run(cell(code), *[f"FINAL({answer})"] * 3, context=TABLE, question=question)
    assert says in client.shown()
    assert result.answer == answer
    assert (result.iterations > 2) == bool(says)


def test_code_that_overlooks_a_kind_is_told_of_its_field():
    context = "\n".join(
        f"2024-03-01 12:{n % 60:02} {_LEVELS[n % 5]} {_SERVICES[n % 3]}: up" for n in range(300)
    )
    code = cell("print(sum(row['level'] == 'INFO' for row in rows))")
    asks = {"context": context, "question": "How many mails are at info?"}
    client, _ = run(code, "FINAL(60)", "FINAL(60)", **asks)
    both = "(row['level'] == 'INFO' and row['name'] == 'mail')"
    said = f"takes no notice of 'mail', which the question names {both}."
    assert said in client.shown(2)
    both = cell("found = [row for row in rows if row['level'] == 'INFO' and row['name'] == 'mail']")
    client, _ = run(both, cell("print(len(found))"), "FINAL(40)", **asks)
    assert "takes no notice" not in client.shown()
    client, _ = run(both, code, "FINAL(60)", "FINAL(60)", **asks)
    assert said in client.shown()


def test_a_day_of_the_question_may_be_in_the_code_in_another_form():
    text = "".join(f"Date: Mar {n % 20 + 1:02}, 2023 | User: {n % 7} | Says: word {n}\n" for n in range(150))
    client, result = run(
        cell("print(sum(1 for row in rows if row['Date'] >= '2023-03-04'))"),
        "FINAL(126)",
        context=text,
        question="How many lines are dated Mar 04, 2023 or later?",
    )
    assert result.answer == "126"
    assert len(client.requests) == 2


def test_what_is_compared_is_not_to_be_written_in_the_code():
    code = cell("print('Mr Smith' if 'badge' in context else '')")
    client, result = run(code, "FINAL(Mr Smith)", "FINAL(Mr Smith)", question="Who has the largest badge?")
    assert "Your code has not found 'Mr Smith'" in client.shown(2)
    assert result.answer == "Mr Smith"
    client, result = run(code, "FINAL(Mr Smith)", question="Who has the largest badge, Mr Smith?")
    assert result.iterations == 2


def test_what_only_code_can_compare_is_asked_of_code():
    client, _ = run("FINAL(4417)", "FINAL(4417)", question="What is the largest badge of a gatekeeper?")
    assert client.shown(0).endswith(prompts.FIRST)
    assert "once more" not in client.shown(1)
    largest = TEXT + "\nThe largest badge is that of a gatekeeper, 4417."
    client, _ = run("FINAL(4417)", question="What is the largest badge of a gatekeeper?", context=largest)
    assert client.shown(0).endswith(prompts.OR_FINAL)


def test_each_thing_is_doubted_once_and_an_empty_final_has_the_lines_again():
    client, result = run(
        "FINAL(0)", "FINAL(Mr Smith)", "FINAL(Mr Smith)", question="How often is the gatekeeper mentioned?"
    )
    assert (result.answer, result.iterations) == ("Mr Smith", 3)
    client, _ = run("FINAL(None)", "FINAL(4417)")
    assert NEEDLE in client.shown(1).partition("has no answer in it")[2]


def test_what_code_counted_by_mistake_is_to_be_corrected():
    context = "\n".join(["id 500", "id 5001", "id 17"] * 20)
    client, _ = run(
        cell("print(context.count('500'))"), "FINAL(7)", context=context, question="Is 500 in it?"
    )
    assert '"500" is also in longer numbers, as in:\nid 5001' in client.shown(1)
    assert client.shown(1).endswith(prompts.CORRECT)
    client, _ = run(
        cell("print(context.count('500'))"), "FINAL(7)", context=context, question="Is 500?", guided=False
    )
    assert "longer numbers" in client.shown(1)
    assert "Give the answer as FINAL(…)" in client.shown(1)


def test_a_number_between_commas_is_seen_and_without_data_nothing_is_doubted():
    _, result = run(cell("print('318,40713,Bergen')"), "FINAL(40713)")
    assert result.iterations == 2
    _, result = run("FINAL(Shakespeare)", context=None, question="Who wrote Hamlet?")
    assert result.iterations == 1


def test_an_answer_that_says_so_is_not_asked_back_for():
    _, result = run("FINAL(gate-house is not in the data)", question="What is the number of gate-house?")
    assert result.iterations == 1


def test_a_model_that_is_not_small_gets_neither_lines_nor_doubt():
    client, result = run("FINAL(99999)", guided=None)
    assert NEEDLE not in client.shown(0)
    assert (result.answer, result.iterations, result.guided) == ("99999", 1, False)
    assert client.options[0].min_p is None


def test_an_answer_that_no_output_shows_is_asked_back_for_once():
    client, result = run("FINAL(99999)", "FINAL(99999)")
    assert "No output shows 99999." in client.shown(1)
    assert (result.answer, result.iterations) == ("99999", 2)


def test_an_answer_that_only_repeats_the_question_is_asked_back_for():
    client, result = run("FINAL(the gatekeeper)", "FINAL(4417)")
    assert "only repeats the question. Write the next" in client.shown(1)
    asked = "Which badge has the gatekeeper, or is there none?"
    client, _ = run("FINAL(the gatekeeper)", "FINAL(4417)", question=asked)
    assert "only repeats the question" in client.shown(1)
    assert result.answer == "4417"
    client, result = run(cell("print(context and 4417)"), "FINAL(the gatekeeper)", "FINAL(4417)")
    assert "only repeats the question. Your code has found:\n4417\nGive that" in client.shown(2)
    assert result.answer == "4417"


@pytest.mark.parametrize(
    ("answer", "doubted"), [("The guard gave it away", True), ("He gave it to Bo", False)]
)
def test_a_reason_that_has_one_word_more_is_none(answer, doubted):
    question = "Why did the guard give it away?"
    _, result = run(f"FINAL({answer})", f"FINAL({answer})", question=question)
    assert result.iterations == 1 + doubted


def test_a_quotation_may_be_in_the_code_as_a_pattern():
    code = cell(r"len(re.findall(r'badge\s+of the\s+gatekeeper', context))")
    _, result = run(code, "FINAL(1)", question='How many times is it "badge of the gatekeeper"?')
    assert result.iterations == 2


def test_where_code_found_nothing_to_compute_with_its_condition_is_told_and_no_lines():
    code = cell("sum(row['price'] for row in rows if row['who'] == 'Ann Hill of Oslo')")
    client, _ = run(
        code, *["FINAL(0)"] * 3, context=TABLE, question="What is the total price of Ann in Oslo?"
    )
    assert "No item has 'Ann Hill of Oslo' as its 'who'; it is 'Ann', 'Bo'." in client.shown(1)


def test_a_choice_that_the_question_gives_is_no_repetition():
    _, result = run("FINAL(more)", question="Is it more or less?")
    assert (result.answer, result.iterations) == ("more", 1)


def test_an_output_with_nothing_in_it_is_answered_with_the_lines():
    client, _ = run(cell("search('x{9}')\n[]"), "FINAL(4417)")
    assert "That found nothing." in client.shown(1)
    assert NEEDLE in client.shown(1)


@pytest.mark.parametrize(
    ("word", "question", "offered"),
    [
        ("axolotl", "What does the Axolotl do to a frog?", True),
        ("axolotl", "How many axolotls are there for a frog?", False),
        ("axolotl", "What does the fish do to a frog?", False),
        ("frog fly", "What does the frog fly to?", False),
    ],
)
def test_where_a_word_of_the_question_is_nowhere_it_may_be_said_that_it_is_not_there(word, question, offered):
    client, _ = run(
        cell(f"search({word!r})"),
        *["FINAL(it is not in the data)"] * 2,
        context="a fish and a frog\n" * 99,
        question=question,
    )
    assert "That found nothing." in client.shown(1)
    assert ("reply with FINAL(it is not in the data)" in client.shown(1)) == offered


def test_after_nothing_a_name_that_is_nowhere_is_not_shown_as_a_line():
    client, _ = run(cell("[]"), "FINAL(it is not there)", question="Where is gate-house 7?")
    assert "That found nothing. No line or item has 'gate-house'." in client.shown(1)
    assert "Answer from these lines" not in client.shown(1)


@pytest.mark.parametrize(
    ("question", "offered"),
    [
        ("Where is the gatekeeper?", True),
        ("How many gatekeepers are there?", False),
        ("Who is the oldest gatekeeper?", False),
        ("Where is the key?", False),
    ],
)
def test_after_a_sub_call_without_data_an_answer_is_offered_where_a_line_may_have_it(question, offered):
    client, _ = run(cell(f"llm_query({question!r})"), "FINAL(4417)", "FINAL(4417)", question=question)
    assert "has none of the data" in client.shown(1)
    assert ("If the lines above have the answer" in client.shown(1)) == offered
    assert "Write one short ```repl block" in client.shown(1) or offered


def test_of_a_long_list_no_answer_is_asked_for():
    client, _ = run(cell("context.splitlines()"), cell("len(context.splitlines())"), "FINAL(302)")
    assert "list of 302 items, the first 10" in client.shown(1)
    assert "Only a part is shown." in client.shown(1)
    assert "Give the answer as FINAL(…)" in client.shown(2)


def test_a_strong_models_plan_takes_no_turn_more_than_its_transcript():
    replies = (
        "I look at the data first.\n" + cell("print(type(context), len(context))\nprint(context[:80])"),
        "Four batches, then I count.\n"
        + cell(
            "lines = context.splitlines()\n"
            "parts = ['\\n'.join(lines[n::4]) for n in range(4)]\n"
            "found = llm_query_batched([f'Which badge has the gatekeeper? Text:\\n{p}' for p in parts])\n"
            "print([f for f in found if '4417' in f][0][-40:])"
        ),
        "I verify this in the text.\n" + cell("print([line for line in lines if '4417' in line])"),
        "It is certain.\nFINAL(The badge 4417, of some 9000 that there may be.)",
    )
    client, result = run(*replies, guided=None)
    assert (result.iterations, result.guided) == (4, False)
    assert result.answer == "The badge 4417, of some 9000 that there may be."
    said = [message["content"] for message in client.requests[-1]]
    assert [text for text in said if text in replies] == list(replies[:3])
    assert len(result.trajectory[1].executions[0].sub_calls) == 4
    assert NEEDLE in client.shown(3)


# The examples


@pytest.mark.parametrize(
    ("context", "shows"),
    [
        ("text", "for line in context.splitlines()"),
        ([{"a": 1}], "for order in context:"),
        ({"a": {"b": 1}}, "for key, order in context.items()"),
        (["a"], "for letter in context if"),
        ({"a": "b"}, "for name, letter in context.items()"),
        (None, "datetime.date"),
    ],
    ids=["str", "list of dict", "dict of dict", "list of str", "dict of str", "none"],
)
def test_the_example_fits_the_context(context, shows):
    client, _ = run("FINAL(1)", "FINAL(1)", context=context)
    assert shows in "".join(message["content"] for message in client.requests[0][1:-1])


def test_the_examples_have_code_that_is_python_and_what_the_repl_would_say():
    text = Path(examples.__file__).with_name("examples.md").read_text(encoding="utf-8")
    cells = re.findall(r"```repl\n(.*?)\n```", text, re.DOTALL)
    assert len(cells) == text.count("```repl")
    assert all(map(ast.parse, cells))
    assert text.count(LABELLED) == text.count("of `rows` have")
    assert text.count(COUNTED) == text.count("\n`by_month`")
    assert text.count(PAIRED) == text.count("\n`pairs`")
    assert text.count(prompts.ROWS.format("lines", "{").rstrip(".")) == text.count("`rows` is")


def test_a_text_of_json_is_said_to_be():
    client, _ = run("FINAL(1)", "FINAL(1)", context='{"a": {"b": 1}, "c": [1]}' + " " * 1000)
    assert "json.loads(context)" in client.shown(0)


ROWS = [
    ("a,b,c\n" + "1,2.5,x\n" * 500, {"a": 1, "b": 2.5, "c": "x"}),
    ("a;b;c\n" + "01;2;x\n" * 500, {"a": "01", "b": 2, "c": "x"}),
    ("a\tb\tc\n" + "1\t\tx\n" * 500, {"a": 1, "b": "", "c": "x"}),
    ('[{"a": 1}' + ', {"a": 1}' * 500 + "]", {"a": 1}),
    ('{"a": 1}\n' * 500, {"a": 1}),
    ("Name: Ann || Age: 31 || Says: hm: I || we\n" * 500, {"Name": "Ann", "Age": 31, "Says": "hm: I || we"}),
    (["level: INFO; text: a, b"] * 500, {"level": "INFO", "text": "a, b"}),
]


@pytest.mark.parametrize(("context", "first"), ROWS, ids=range(len(ROWS)))
def test_a_text_whose_lines_have_fields_is_given_as_rows(context, first):
    client, result = run("```repl\nrows[0], len(rows)\n```", "FINAL(1)", context=context)
    assert result.trajectory[0].executions[0].value in (f"({first}, 500)", f"({first}, 501)")
    assert f"`rows` is the list of them as dicts, the first {first}." in client.shown(0)


def test_a_message_of_several_lines_stays_in_its_row():
    context = "time: 1 | text: one\ntime: 2 | text: two\ntime: 3 | text: three\n  and more\n" * 50
    with Sandbox(context, query=sub_model) as repl:
        assert repl.execute("rows[2], len(rows)").value == (
            "({'time': 3, 'text': 'three\\n  and more'}, 150)"
        )


def test_days_of_rows_are_compared_by_time_however_they_are_written():
    lines = "\n".join(f"day: {day}, 2024 | n: x" for day in ("Feb 03", "Apr 09", "Nov 30", "Dec 01"))
    with Sandbox(lines, query=sub_model) as repl:
        said = repl.execute(
            "[row['day'] for row in rows if row['day'] >= '2024-04-09'], max(row['day'] for row in rows), "
            "sum(row['day'] > 'Mar 1, 2024' for row in rows), rows[0]['day'] < datetime.date(2024, 3, 1)"
        )
    assert said.value == "(['Apr 09, 2024', 'Nov 30, 2024', 'Dec 01, 2024'], 'Dec 01, 2024', 3, True)"


def test_rows_of_broken_json_are_none_and_that_is_said_and_without_fields_there_are_none():
    with Sandbox('{"a": 1}\n' * 500 + '{"a": \n', query=sub_model) as repl:
        assert "rows cannot be read: JSONDecodeError" in repl.execute("len(rows)").stdout
        assert (
            repl.execute("rows = [line for line in context.splitlines() if line]\nlen(rows)").value == "501"
        )
    with Sandbox("Well, I went, and saw.\n" * 500, query=sub_model) as repl:
        assert "name 'rows' is not defined" in repl.execute("len(rows)").error


def test_rows_go_with_their_context_and_are_the_models_own_where_it_sets_them():
    with Sandbox('{"a": 1}\n' * 500, query=sub_model) as repl:
        assert repl.execute("rows = rows[:2]; len(rows)").value == "2"
        assert "(`rows` is a list of 2 dicts, such as {'a': 1})" in repl.execute("rows[2]").error
        rows = "rows = [{**row, 'c': 'x'} for row in rows]"
        error = repl.execute(f"{rows}\n[row for row in rows if row['b'] == 'x']").error
        assert "KeyError: 'b' is no field of `rows`: use one of 'a', 'c', as in {'a': 1, 'c': 'x'}" in error
        assert error.endswith("\n'x' is not the 'b' of any item, but the 'c' of some: row['c'] == 'x'.")
        repl.load('{"b": 2}\n' * 500)
        assert repl.execute("len(rows), rows[0]").value == "(500, {'b': 2})"


def test_prose_with_commas_is_no_csv():
    client, _ = run("FINAL(1)", context="Well, I went, and saw.\nThen, at night, it rained.\n" * 100)
    assert "CSV" not in client.shown(0)


# What the REPL offers and says


def sub_model(prompt: str) -> str:
    """Labels a text by its first letter; none with a z."""
    text = prompt.split('Text: "')[1]
    return "none" if "z" in text else f"It is {'Vowel' if text[0] in 'aeiou' else 'other'}."


def asked(client: SubClient, prompt: str) -> str:
    return client.complete([{"role": "user", "content": prompt}], Options()).text


def test_classify_asks_about_each_text_once():
    sub = SubClient(sub_model)
    with Sandbox("text", query=lambda prompt: asked(sub, prompt)) as repl:
        code = "classify(['apple', 'pear', 'apple'] * 20, {'vowel': 'begins with one', 'other': ''})"
        shown = repl.execute(code)
        assert shown.value is not None
        assert "list of 60 items" in shown.value
        assert "['vowel', 'other', 'vowel'" in shown.value
        assert len(sub.prompts) == 2
        assert "- vowel: begins with one" in sub.prompts[0]
        repl.execute(code)
        assert len(sub.prompts) == 2
        repl.execute("classify(['apple'], ['vowel', 'other'])")
        assert len(sub.prompts) == 3


@pytest.mark.parametrize(
    ("context", "first"),
    [
        ("id,n,v\n" + "1212092628029698048,1,1.5\n" * 30, {"id": "1212092628029698048", "n": 1, "v": 1.5}),
        (
            "name,age,city\n" + "Ann,31,Oslo\n" * 30 + "Bob,,Oslo\n",
            {"name": "Ann", "age": 31, "city": "Oslo"},
        ),
        ('[{"a": "5"}' + ', {"a": "5"}' * 200 + "]", {"a": "5"}),
        ("a|b|c\n" + '1|"Hi|x\n' + "1|y|x\n" * 500, {"a": 1, "b": '"Hi', "c": "x"}),
        (
            "t: 1 | l: I | x: a\n" * 4 + "t: 2 | l: E | code: 7 | x: boom\n" * 300,
            {"t": 1, "l": "I", "x": "a"},
        ),
    ],
    ids=["long numbers", "an empty cell", "json", "quotes", "more fields"],
)
def test_the_first_row_is_shown_as_it_is_and_no_line_is_lost(context, first):
    client, result = run(cell("rows[0], len(rows)"), "FINAL(1)", "FINAL(1)", context=context)
    lines = context.count("\n") or context.count("{")
    assert result.trajectory[0].executions[0].value in (f"({first}, {lines})", f"({first}, {lines - 1})")
    if len(context) > 1000:
        assert f"the first {first}." in client.shown(0)


@pytest.mark.parametrize(
    "context",
    [
        '{"a": "x"}\n' * 3 + "[1]\n" * 300,
        ["a: 1; b: 2"] * 4 + [None] + ["x"] * 1000,
        "_" * 300 + "!: 1\n" * 300,
    ],
    ids=["other json", "other items", "a ruler"],
)
def test_what_only_begins_like_rows_is_described_all_the_same(context):
    client, _ = run(cell("len(context)"), "FINAL(1)", "FINAL(1)", context=context)
    assert f"{len(context):,} " in client.shown(0)


def test_rows_are_told_of_after_another_context_was_loaded_too():
    client = ScriptedClient(["FINAL(Nothing)", "FINAL(Ann)"])
    with RLM(root_client=client, guided=True).session("Nothing.") as session:
        session.completion("Who is it?")
        session.load(LINES)
        session.completion("Who is the last one?")
    assert "`rows` is the list of them" in client.shown(1)


def test_an_error_over_a_key_of_the_codes_own_is_not_taken_for_a_field():
    with Sandbox(LINES, query=sub_model) as repl:
        error = repl.execute("counts = {}\nfor row in rows: counts[row['by']] += 1").error
        assert "is no field" not in error
        assert "(`rows` is a list of 200 dicts" in error
        assert repl.execute("rows[0]\nraise KeyError").error.endswith("'text': 'I have lost my purse'})")


def test_rows_keep_their_labels_when_others_are_read_and_a_failed_call_costs_no_label():
    lines = "".join(f"by: {n} | says: {word}\n" for n, word in enumerate(["apple", "pear", "fig", "elm"]))

    def fail(prompt: str) -> str:
        if "elm" in prompt:
            raise ClientError("gone")
        return sub_model(prompt)

    with Sandbox(lines, query=fail) as repl:
        repl.execute("classify([row['says'] for row in rows[:2]], ['vowel', 'other'])")
        shown = repl.execute(
            "print(classify([row['says'] for row in rows[2:]], {'vowel': 'a', 'other': 'b'}))"
        )
        assert shown.stdout.endswith("['other', '']\n")
        assert repl.execute("[row['label'] for row in rows]").value == "['vowel', 'other', 'other', '']"


def test_a_text_without_a_label_is_asked_about_again_and_then_told():
    sub = SubClient(sub_model)
    with Sandbox("text", query=lambda prompt: asked(sub, prompt)) as repl:
        shown = repl.execute("classify(['apple', 'zoo'], ['vowel', 'other'])")
    assert shown.value == "['vowel', '']"
    assert "1 text got no label but '', such as zoo" in shown.stdout
    assert len(sub.prompts) == 3


def test_rows_have_the_labels_of_their_texts_but_not_in_the_place_of_the_datas_own():
    lines = "".join(f"by: {n} | says: {word}\n" for n, word in enumerate(["apple", "pear", "apple", "fig"]))
    with Sandbox(lines, query=sub_model) as repl:
        shown = repl.execute("labels = classify([row['says'] for row in rows[:3]], ['vowel', 'other'])")
        assert (
            "classify: 2 vowel, 1 other\n3 of `rows` have their label now; the first is {'by': 0"
            in shown.stdout
        )
        assert repl.execute("[row['label'] for row in rows]").value == "['vowel', 'other', 'vowel', '']"
    with Sandbox(lines.replace("by", "label"), query=sub_model) as repl:
        repl.execute("labels = classify([row['says'] for row in rows], ['vowel', 'other'])")
        assert repl.execute("[row['label'] for row in rows]").value == "[0, 1, 2, 3]"


def test_labels_that_are_told_are_not_shown_once_more_and_need_no_call_themselves():
    sub = SubClient(sub_model)
    lines = "".join(f"by: {n} | says: {word}\n" for n, word in enumerate(["apple", "pear", "fig"]))
    with Sandbox(lines, query=lambda prompt: asked(sub, prompt)) as repl:
        first = repl.execute("classify([row['says'] for row in rows], ['vowel', 'other'])")
        assert first.value is None
        assert "classify: 2 other, 1 vowel\n" in first.stdout
        again = repl.execute("print(classify([row['label'] for row in rows], ['vowel', 'other']))")
        assert again.stdout.endswith("['vowel', 'other', 'other']\n")
        assert "is row['label'], as in {'by': 0, 'says': 'apple'" in repl.execute("[1]['apple']").error
    assert len(sub.prompts) == 3


def test_of_many_labels_only_the_numbers_are_printed():
    lines = "".join(f"by: {n} | says: {word}\n" for n, word in enumerate(["apple", "pear"] * 6))
    with Sandbox(lines, query=sub_model) as repl:
        shown = repl.execute("print(classify([row['says'] for row in rows], ['vowel', 'other']))")
        assert "computes the answer with row['label']" in prompts.observation([shown], 2000, "?", Related())
        few = repl.execute("print('labels:', classify([row['says'] for row in rows], ['vowel', 'other']))")
        assert few.stdout.endswith("'other', 'vowel', 'other']\n")
        repl.execute(
            "import io\nfile = io.StringIO()\n"
            "print(classify([row['says'] for row in rows], ['vowel', 'other']), file=file)"
        )
        assert repl.execute("file.getvalue()[:10]").value == "\"['vowel', \""


def test_a_field_that_is_called_as_a_label_is_not_the_texts_label():
    lines = "".join(f"kind: vowel | says: {word}\n" for word in ["pear", "fig", "plum"])
    with Sandbox(lines, query=sub_model) as repl:
        repl.execute("labels = classify([row['says'] for row in rows], ['vowel', 'other'])")
        assert repl.execute("[row['label'] for row in rows]").value == "['other', 'other', 'other']"
        assert repl.execute("labels").value == "['other', 'other', 'other']"


ASKS = "Each text is about love or money. Which category is more common?"
LINES = "by: Ann | text: I have lost my purse\n" * 200
LETTERS = "".join(
    f"City: {city} | Nr: {n} | Letter: {word}\n"
    for n, (city, word) in enumerate(
        itertools.product(["Oslo", "Rome", "Bern"], ["apple", "pear", "elm"] * 2)
    )
)


@pytest.mark.parametrize(
    ("question", "name", "value"),
    [
        ("Which cities have the label vowel more often than other?", "by_city", "{'vowel': 4, 'other': 2}"),
        ("Which label is the most common in each city?", "by_city", "{'vowel': 4, 'other': 2}"),
        ("Which label is the rarest in the city Oslo?", "by_city", None),
        ("Which letters and nrs have the label vowel?", "by_letter", None),
        ("Which letters and nrs have the label vowel?", "by_nr", None),
    ],
)
def test_labels_are_counted_by_a_field_whose_values_are_compared(question, name, value):
    client, _ = run(
        cell("classify([row['Letter'] for row in rows], ['vowel', 'other'])"),
        cell(f"print({name}['Oslo'])"),
        "FINAL(x)",
        "FINAL(x)",
        context=LETTERS,
        question=question,
        sub_client=SubClient(sub_model),
    )
    told = f"`{name}` is a dict of how many of each label there are: {name}['Oslo'] is {value}"
    assert (told in client.shown(1)) == bool(value)
    with_it = f"computes the answer with `{name}` or row['label']"
    assert (with_it if value else "computes the answer with row['label']") in client.shown(1)
    assert (value or f"name {name!r} is not defined") in client.shown(2)


def test_a_field_of_any_name_may_be_compared():
    rows = [{"price (€)": n % 2, "": n % 2, "cities": "Oslo Rome".split()[n % 2]} for n in range(9)]
    assert compared("Which cities are the dearest?", rows) == ["cities"]
    assert compared("Which label is the most common for every price?", rows) == []


@pytest.mark.parametrize(
    ("question", "context", "unsaid"),
    [
        ('Is each a "joy" (all is well) or a “woe” (all is not)? Count the woes.', LINES, "labels"),
        ('Is each a "joy" or a "woe"? Count the woes.', LINES, ""),
        ('Does each cost more than the "lamp" (the new one)?', LINES, ""),
        ('Which is more common, "joy" (the good one) or "woe" (the bad one)?', LINES, ""),
        ('Is each a "joy" (all is well) or a "woe" (all is not)? Count them.', "kind: woe | n: 1\n" * 99, ""),
    ],
)
def test_labels_that_come_with_their_meanings_are_labels_whatever_they_are_called(question, context, unsaid):
    with Sandbox(context, query=sub_model) as repl:
        assert repl.related(question).unsaid == unsaid


def test_the_example_of_labels_of_each_has_them_counted():
    client, _ = run(
        "FINAL(Oslo)", "FINAL(Oslo)", context=LETTERS, question="Which cities have the label vowel?"
    )
    assert "by_month" in str(client.requests[0])
    client, _ = run("FINAL(Oslo)", "FINAL(Oslo)", context=LETTERS, question="Is the label vowel in Oslo?")
    assert "by_month" not in str(client.requests[0])


def test_where_pairs_are_asked_for_all_of_them_are_given():
    client, result = run(
        cell("classify([row['Letter'] for row in rows], ['vowel', 'other'])"),
        cell("print([(a, b) for a, b in pairs if by_city[a] == by_city[b]])"),
        "FINAL(_)",
        context=LETTERS,
        question="List all pairs of cities with as many of the label vowel.",
        sub_client=SubClient(sub_model),
    )
    assert (
        "`pairs` is the list of all pairs of its keys, each pair once: [('Oslo', 'Rome'), …]"
        in client.shown(1)
    )
    assert "computes the answer with `by_city` or `pairs` or row['label']" in client.shown(1)
    assert result.value == [["Oslo", "Rome"], ["Oslo", "Bern"], ["Rome", "Bern"]]
    assert "for a, b in pairs" in str(client.requests[0])


def test_a_variable_of_the_models_own_is_not_replaced_by_all_pairs():
    with Sandbox(LETTERS, query=sub_model) as repl:
        repl.related("Which pairs of cities have the label vowel?")
        code = "classify([row['Letter'] for row in rows], ['vowel', 'other'])"
        assert "`pairs`" in repl.execute(code).stdout
        assert "`pairs`" in repl.execute(code).stdout
        assert "`pairs`" not in repl.execute(f"pairs = [1]\n{code}").stdout
        assert repl.execute("pairs").value == "[1]"
        repl.related("Which cities have the label vowel most often, in pairs of shoes?")
        assert "`pairs`" not in repl.execute(f"del pairs\n{code}").stdout


def test_more_pairs_than_can_be_held_are_not_given():
    lines = "".join(f"City: c{n % 201} | Letter: apple\n" for n in range(201 * REPEATED))
    with Sandbox(lines, query=sub_model) as repl:
        repl.related("Which pairs of cities have the label vowel?")
        shown = repl.execute("classify([row['Letter'] for row in rows], ['vowel', 'other'])")
        assert "`by_city`" in shown.stdout
        assert "pairs" not in shown.stdout


def test_an_answer_on_labels_is_asked_back_for_until_some_text_has_been_read():
    client, result = run("FINAL(love)", "FINAL(money)", question=ASKS, context=LINES)
    assert client.shown(1).startswith("Nothing has read the texts yet. The data does not name the labels")
    assert result.answer == "money"
    reads = cell("print(llm_query('Love or money? ' + context[:90]))")
    _, result = run(reads, "FINAL(love)", question=ASKS, context=LINES)
    assert (result.answer, result.iterations) == ("love", 2)


def test_classify_of_numbers_names_the_field_that_has_texts():
    with Sandbox("by: 17 | text: I have lost my purse again\n" * 9, query=sub_model) as repl:
        error = repl.execute("classify([row['by'] for row in rows], ['love', 'money'])").error
        assert "TypeError: classify takes str, not int: the texts of `rows` are each row['text']\n" in error
    with Sandbox("by: 17 | text: purse\n" * 9, query=sub_model) as repl:
        error = repl.execute("classify([row['by'] for row in rows], ['love', 'money'])").error
        assert "classify takes str, not int: make it a str first" in error


def test_a_label_that_is_looked_for_in_another_field_is_found():
    lines = "by: Ann | text: I have lost my purse\nby: Bob | text: He kissed me\n" * 100
    with Sandbox(lines, query=lambda prompt: "money" if "purse" in prompt else "love") as repl:
        counts = "sum(row['text'] == 'money' for row in rows)"
        assert repl.execute(counts).value == "0"
        repl.execute("classify([row['text'] for row in rows], ['love', 'money'])")
        found = repl.execute(counts)
        assert (found.value, found.stdout) == (
            "100",
            "'money' is the 'text' of no row: taken for its label\n",
        )
        assert repl.execute("len([row for row in rows if row['by'] != 'love'])").value == "100"
        assert repl.execute("sum(row['by'] == 'Ann' for row in rows)").stdout == ""
        assert repl.execute("sum(row['text'] == 'hate' for row in rows)").value == "0"
        assert repl.execute("own = [{'kind': 'love'}]\nown[0]['kind'] == 'love'").value == "True"


def test_a_final_without_an_answer_is_reminded_of_the_labels():
    client, _ = run("FINAL([])", "FINAL(money)", "FINAL(money)", question=ASKS, context=LINES)
    assert "The data does not name the labels: first have each text read with classify." in client.shown(1)
    assert "it is not in the data" not in client.shown(1)


def test_what_a_cell_has_shown_can_be_given_as_the_answer_where_all_is_asked_for():
    shows = cell("for n in range(80): print((n, n + 100))")
    client, result = run(shows, "FINAL(_)", question="List all pairs, please.")
    assert "If all of that is the answer, reply with FINAL(_). Otherwise write the next" in client.shown(1)
    assert result.value == [[n, n + 100] for n in range(80)]
    client, result = run(cell("print(list(range(900)))"), "FINAL(_)", question="List all numbers.")
    assert "Only a part is shown. If all of that is the answer, reply with FINAL(_)." in client.shown(1)
    assert result.value == list(range(900))
    client, _ = run(shows, "FINAL(7)", question="What does the gatekeeper say?")
    assert "FINAL(_)" not in client.shown(1)
    _, result = run(cell("6 * 7"), "FINAL(_)")
    assert result.answer == "42"


def test_a_dict_where_a_number_is_expected_is_shown():
    with Sandbox("text", query=sub_model) as repl:
        error = repl.execute("counts = {'a': 3}\nany(n > 1 for n in [counts])").error
    assert "(there n = {'a': 3}) (that is a dict: take what one of its keys has)" in error


GOOD, BAD = ([f"{word} {n}" for n in range(15)] for word in ("good", "bad"))


def leaning(prompt: str) -> Completion:
    """Says "fine" of everything, and is surer of it where the text is good than where it is bad."""
    text = prompt.split('Text: "')[1]
    chance = 0.95 if "good" in text else 0.75 if "bad" in text else 0.85
    told = {"Fine": chance / 2, "fin": chance / 2, " poor": 0.99 - chance, "The": 0.001, "?": 0.001}
    return Completion("fine", likely={token: math.log(share) for token, share in told.items()})


def test_what_a_model_leans_to_is_taken_off():
    sub = SubClient(leaning)
    code = f"classify({GOOD + BAD}, ['fine', 'poor']) == ['fine'] * 15 + ['poor'] * 15"
    again = f"classify({[text + ' more' for text in GOOD + BAD]}, ['fine', 'poor'])[-1]"
    _, result = run(cell(code), cell(again), "FINAL(1)", "FINAL(1)", sub_client=sub)
    assert [turn.executions[0].value for turn in result.trajectory[:2]] == ["True", "'poor'"]
    assert len(sub.prompts) == 2 * len(GOOD + BAD) + len(EMPTY) + MIXED
    assert {options.likely for options in sub.options} == {20}


def labelled(texts: list[str], answer, *labels: str) -> dict[str, str]:
    def ask(prompts: list[str]) -> list[dict[str, object]]:
        return [vars(answer(prompt)) for prompt in prompts]

    known = Labels(dict.fromkeys(labels, ""))
    assert known.read(texts, ask, ask) == []
    return known.known


def of_texts_alone(prompt: str) -> Completion:
    if not re.search("good|bad", prompt):
        raise ClientError("out of luck")
    return leaning(prompt)


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        pytest.param(GOOD[:3] + BAD[:3], leaning, id="few"),
        pytest.param(GOOD + BAD, lambda prompt: Completion("fine"), id="not told"),
        pytest.param(GOOD + BAD, lambda prompt: replace(leaning(prompt), text="I say fine."), id="prose"),
        pytest.param(GOOD + BAD, lambda prompt: replace(leaning(prompt), likely={"?": -0.1}), id="no label"),
        pytest.param(
            GOOD + BAD,
            lambda prompt: replace(leaning(prompt), likely={"?": -0.1, " poor": -5.0}),
            id="another",
        ),
    ],
)
def test_labels_are_as_replied_where_nothing_better_is_known(texts, answer):
    assert set(labelled(texts, answer, "fine", "poor").values()) == {"fine"}


def test_labels_that_begin_alike_are_as_replied():
    assert set(labelled(GOOD + BAD, leaning, "fine", "finest", "poor").values()) == {"fine"}


def test_a_label_that_is_hardly_ever_likely_is_not_favoured_for_that():
    def answer(prompt: str) -> Completion:
        rare = 1e-9 if not re.search("good|bad", prompt) else 1e-3
        return Completion(
            "fine", likely={"fine": math.log(0.9), "rare": math.log(rare), "poor": math.log(0.09)}
        )

    assert set(labelled(GOOD + BAD, answer, "fine", "poor", "rare").values()) == {"fine"}


def test_calls_that_measure_the_leaning_may_fail_in_silence():
    sub = SubClient(of_texts_alone)
    _, result = run(
        cell(f"classify({GOOD + BAD}, ['fine', 'poor'])[-1]"), "FINAL(1)", "FINAL(1)", sub_client=sub
    )
    assert result.trajectory[0].executions[0].value == "'fine'"
    assert "sub calls failed" not in result.trajectory[0].executions[0].stdout


@pytest.mark.parametrize("likely", [None, {"fine": -math.inf}, {"fine": math.nan}, {b"fine": 1}, {1: -9999}])
def test_what_a_client_of_ones_own_says_of_tokens_does_no_harm(likely):
    code = cell(f"classify({GOOD + BAD}, ['fine', 'poor'])[-1]")
    sub = SubClient(lambda _: Completion("fine", likely=likely))
    _, result = run(code, "FINAL(1)", "FINAL(1)", sub_client=sub)
    assert result.trajectory[0].executions[0].value == "'fine'"


def test_labels_are_the_likeliest():
    sub = SubClient(lambda _: "love")
    code = "classify(['my purse is gone'], ['love', 'money']), llm_query(context[:90])"
    run(cell(code), "FINAL(1)", "FINAL(1)", sub_client=sub, temperature=0.5)
    assert [options.temperature for options in sub.options] == [0.0, 0.5]
    assert "best? Reply with the label alone.\n- love\n- money\n\nText: " in sub.prompts[0]


def test_code_that_finds_nothing_after_labels_are_read_is_told_where_they_are():
    client, _ = run(
        cell("classify([row['text'] for row in rows], ['love', 'money'])"),
        cell("print([row for row in rows if row['text'] == 'love'])"),
        cell("found = 1"),
        "FINAL(money)",
        question=ASKS,
        context=LINES,
        sub_client=SubClient(lambda _: "money"),
    )
    assert "That found nothing. No item has 'love' as its 'text'" in client.shown(2)
    assert "\nThe label of a row is row['label'], not in its text. Write other code." in client.shown(2)
    assert "That found nothing" not in client.shown(3)
    assert "block, which prints what the answer depends on." in client.shown(3)


def test_data_that_cannot_be_looked_through_costs_no_variable():
    with Sandbox([10**5000], query=sub_model) as repl:
        repl.execute("kept = 1")
        assert repl.related("What is the number of the badge?") == Related()
        assert repl.execute("kept").value == "1"


@pytest.mark.parametrize("show", ["print(pairs)", "pairs"])
def test_a_long_output_can_be_given_as_the_answer_by_its_variable(show):
    code = f"pairs = [(n, n * n) for n in range(19)] + [(0, 'x' * COUNT)]\n{show}"
    client, result = run(cell(code.replace("COUNT", "400")), "FINAL(pairs)")
    assert "If all of that is the answer, reply with FINAL(pairs)." in client.shown(1)
    assert result.value[:2] == [[0, 0], [1, 1]]
    client, _ = run(cell("pairs = list(range(90))\npairs"), "FINAL(pairs)")
    assert "Only a part is shown. If all of that is the answer, reply with FINAL(pairs)." in client.shown(1)
    client, _ = run(cell(code.replace("COUNT", "400")), "FINAL(1)", question="How many pairs are there?")
    assert "If all of that is the answer" not in client.shown(1)
    client, _ = run(cell(code.replace("COUNT", "4")), "FINAL(1)")
    assert "If all of that is the answer" not in client.shown(1)


def test_a_reply_that_repeats_itself_is_taken_for_cut_off():
    client, result = run("FINAL(" + "to and fro, " * 40, "FINAL(4417)")
    assert "Your reply was cut off" in client.shown(1)
    assert client.options[1].temperature > client.options[0].temperature
    assert result.answer == "4417"


def test_a_question_of_labels_that_the_data_does_not_name_is_answered_by_classify():
    client, _ = run(
        "```repl\nlabels = classify([row['text'] for row in rows], ['love', 'money'])\n```",
        "```repl\nprint(Counter(row['label'] for row in rows))\n```",
        "FINAL(money)",
        question=ASKS,
        context=LINES,
        sub_client=SubClient(lambda _: "money"),
    )
    assert "The data does not name the labels" in client.shown(0)
    assert "classify([row['Letter']" in client.requests[0][2]["content"]
    assert "computes the answer with row['label']" in client.shown(1)
    assert "Counter({'money': 200})" in client.shown(2)


@pytest.mark.parametrize(
    ("context", "texts"),
    [
        ("I have lost my purse\n" * 200, "context.splitlines()"),
        (["I have lost my purse"] * 200, "context"),
        (dict.fromkeys(range(200), "I have lost my purse"), "list(context.values())"),
        ([{"by": "Ann", "says": "I have lost my purse"}] * 200, "[order['letter'] for order in context]"),
        ({"a": {"says": "I have lost my purse"}}, "[order['letter'] for order in context.values()]"),
    ],
    ids=["str", "list of str", "dict of str", "list of dict", "dict of dict"],
)
def test_the_example_of_labels_fits_the_context(context, texts):
    client, _ = run("FINAL(money)", "FINAL(money)", question=ASKS, context=context)
    assert f"labels = classify({texts}, " in "".join(m["content"] for m in client.requests[0][1:-1])


@pytest.mark.parametrize(
    "context",
    [
        LINES.replace("by:", "category: love | by:"),
        "by,category,text\n" + "Ann,love,I have\n" * 200,
        [{"by": "Ann", "category": "love"}] * 200,
    ],
    ids=["fields", "header", "records"],
)
def test_labels_that_are_there_need_no_reading(context):
    client, _ = run("FINAL(love)", "FINAL(love)", question=ASKS, context=context)
    assert "does not name the labels" not in client.shown(0)


def test_a_line_with_a_label_is_shown_and_a_question_of_nothing_finds_nothing_strange():
    text = "\n".join([*HAY[:300], "The label on crate X-17 says fragile.", *HAY[:300]])
    client, _ = run("FINAL(fragile)", question="What does the label on crate X-17 say?", context=text)
    assert "The label on crate X-17 says fragile." in client.shown(0)
    client, _ = run("FINAL(1)", "FINAL(1)", question="How many lines are there?", context=text)
    assert "unlike all others" not in client.shown(0)


HAY = [
    f"{who} carried a {what} to the {place}."
    for who in ("Ann", "Ben")
    for what in ("chair", "lamp")
    for place in ("garden", "cellar")
] * 40


@pytest.mark.parametrize("form", ["\n".join, list], ids=["text", "list"])
def test_where_no_word_of_the_question_is_there_the_line_unlike_all_others_is_shown(form):
    hay = [*HAY[:70], "Cleo rubbed rosin on her bow before the concert.", *HAY[70:]]
    client, _ = run("FINAL(Cleo)", question="Who plays the violin?", context=form(hay))
    assert "These are unlike all others:\nCleo rubbed rosin" in client.shown(0)
    client, _ = run("FINAL(Ann)", "FINAL(Ann)", question="Who carried the violin?", context=form(hay))
    assert "unlike all others" not in client.shown(0)


def test_in_prose_no_line_is_taken_for_unlike_the_others():
    words = map("".join, itertools.product("bcdfgh", repeat=4))
    prose = "\n".join(" ".join(some) for some in zip(*[words] * 4, strict=True))
    client, _ = run("FINAL(1)", "FINAL(1)", question="Who plays the violin?", context=prose)
    assert "unlike all others" not in client.shown(0)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("classify('a', ['x', 'y'])", "takes a list of texts"),
        ("classify(['a'], ['x'])", "two labels or more"),
        ("classify(list(map(str, range(1001))), ['x', 'y'])", "1,001 different texts"),
        ("classify([1], ['x', 'y'])", "classify takes str, not int"),
        ("classify(context, ['x'], ['y'])", "of labels, and this is one text: search(pattern) finds lines"),
        ("classify(['a'], ['x'], ['y'])", "classify takes a list of texts and a list of labels"),
        ("total_lines = 3\ntotl_lines", "Did you mean: 'total_lines'?"),
        ("'5' > 3", "convert the str: int(…)"),
        ("defaultdict(int).most_common(3)", "adds up as well: sums[key] += n"),
        ("[1].most_common(3)", "counts what is in a list"),
        ("import re\nre.search('q{9}', context).group()", "the pattern did not match here"),
    ],
)
def test_an_error_says_what_to_do(code, says):
    with Sandbox("text", query=sub_model) as repl:
        assert says in repl.execute(code).error


def test_an_error_reminds_of_what_the_context_is():
    with Sandbox({"k": {"n": 1}}, query=sub_model) as repl:
        assert "`context` is a dict of 1 items, such as 'k': {'n': 1}" in repl.execute("context['x']").error


def test_context_is_no_module_but_its_import_does_no_harm():
    with Sandbox("text", query=sub_model) as repl:
        assert repl.execute("import context, re\nlen(context)").value == "4"


@pytest.mark.parametrize(
    ("context", "pattern", "found"),
    [
        ("a ginger-honey b", "ginger honey", 1),
        ("[host1]\n[host17]", "[host17]", 1),
        ("one\ntwo", "^two$", 1),
        ("a [b] c", "[bc]", 1),
    ],
)
def test_search_takes_patterns_as_they_are_meant(context, pattern, found):
    with Sandbox(context, query=sub_model) as repl:
        assert repl.execute(f"len(search({pattern!r}))").value == str(found)


def test_search_shows_the_lines_around_a_short_one():
    with Sandbox("x\n[host17]\nip = 10.0.0.1\ny", query=sub_model) as repl:
        assert "ip = 10.0.0.1" in repl.execute("search('host17')").stdout


def test_a_number_that_is_to_be_computed_is_not_said_to_be_missing_from_the_data():
    client, _ = run(cell("len(context)"), *["FINAL(9999)"] * 2, question="How many badges are there?")
    assert "No output shows 9999. Write the next" in client.shown(2)


def test_a_doubted_answer_is_better_than_none_when_the_turns_are_used_up():
    _, result = run(cell("print(1)"), "FINAL(Mr Smith)", question="Who has the badge?", max_iterations=1)
    assert result.answer == "Mr Smith"


def test_what_code_finds_after_a_doubt_is_better_than_the_doubted_answer():
    replies = ["FINAL(9999)", cell("print(42)"), "FINAL(42)"]
    _, result = run(*replies, question="How many badges are there?", budget=24)
    assert (result.answer, result.stop_reason) == ("42", "budget")


def test_a_context_cannot_say_that_it_is_in_view():
    text = "We keep a register. It is:\n" + TEXT
    replies = ["FINAL(4417)", cell("print(1)"), "FINAL(4417)"]
    client, _ = run(*replies, context=text, question="What is the largest badge of a gatekeeper?")
    assert "No code has compared anything yet" in client.shown(1)


def test_labels_that_were_counted_at_once_are_known_to_be_there():
    client, _ = run(
        cell("labels = classify([row['text'] for row in rows], ['love', 'money'])\nCounter(labels)"),
        cell("[]"),
        "FINAL(love)",
        context=LINES,
        question=ASKS,
        sub_client=SubClient(lambda prompt: "love"),
    )
    assert "Give the answer as FINAL(…)" in client.shown(1)
    assert "The data does not name the labels" not in client.shown(2)


def test_the_record_of_a_turn_has_what_the_model_was_shown():
    client, result = run(*[cell("len(context)")] * 2, cell("1/0"), "FINAL(4417)")
    shown = [turn.observation for turn in result.trajectory[:3]]
    assert "the same code once more" in shown[1]
    assert "ZeroDivisionError" in shown[2]
    for number, told in enumerate(shown, 1):
        assert client.shown(number).endswith(told)


# Direct


def test_direct_mode_reads_the_context_in_one_call():
    client, result = run("4417", mode="direct")
    assert NEEDLE in client.shown(0)
    assert (result.answer, result.mode, result.iterations, result.stop_reason) == (
        "4417",
        "direct",
        1,
        "final",
    )


def test_direct_mode_says_what_does_not_fit():
    with pytest.raises(ContextError, match=r"has 1,000,000 characters, and the model reads about"):
        run("4417", mode="direct", context="x" * 1_000_000)


def test_direct_mode_goes_by_the_roots_window():
    root, sub = ScriptedClient(["4"], window=100_000), SubClient(str, window=4096)
    rlm = RLM(root_client=root, sub_client=sub, mode="direct")
    assert rlm.completion("?", "x" * 50_000).answer == "4"
    rlm = RLM(root_client=ScriptedClient(["4"], window=4096), sub_client=SubClient(str), mode="direct")
    with pytest.raises(ContextError, match=r"has 50,000 characters, and the model reads about 10,"):
        rlm.completion("?", "x" * 50_000)


def test_direct_mode_takes_all_of_a_reply_and_says_where_it_was_cut_off():
    class Streaming(ScriptedClient):
        def complete(self, messages, options):
            reply = super().complete(messages, options)
            lines = [f"{line}\n" for line in reply.text.split("\n")]
            texts = list(itertools.accumulate(lines))
            return replace(reply, text=next((t for t in texts if options.until(t)), reply.text))

    code = "```python\na\n```\nand\n```python\nb\n```"
    cut = [Completion(text, Usage(9, 2), finish_reason="length") for text in ("It is", "FINAL(It is")]
    rlm = RLM(root_client=Streaming([code, *cut]), mode="direct")
    with rlm.session("a text", about="It is a poem.") as session:
        assert session.completion("?").answer == code
        assert session.completion("?").answer == "It is\n[cut off after 2 tokens]"
        assert session.completion("?").answer == "FINAL(It is\n[cut off after 2 tokens]"
    assert "It is a poem." in rlm.root.shown(0)


def test_direct_mode_takes_files_lists_and_dicts(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text("once upon a time", encoding="utf-8")
    assert "once upon a time" in run("1", mode="direct", context=file)[0].shown(0)
    assert "'k': 5" in run("1", mode="direct", context={"k": 5})[0].shown(0)


def test_a_mode_that_does_not_exist():
    with pytest.raises(ConfigurationError, match="mode must be auto, repl or direct"):
        RLM("tiny", mode="fast")
