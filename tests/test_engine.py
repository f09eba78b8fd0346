"""The root loop: what the model is shown, what counts as an answer, and how a run ends."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest
from fakes import ScriptedClient, SubClient, cell, failing

from rlm import RLM, Cancel, RLMResult, events, prompts
from rlm.cloud_client import CloudClient
from rlm.errors import ClientError, ConfigurationError, ContextError, ContextOverflow, Unreachable
from rlm.sandbox import Sandbox
from rlm.types import Completion, Usage

pytestmark = pytest.mark.usefixtures("no_process_left")
TEXT = "the cat sat\non the mat\n" * 100


def ask(
    client: ScriptedClient, context: object = TEXT, prompt: str = "How many cats?", **options
) -> RLMResult:
    return RLM(root_client=client, **options).completion(prompt, context)


# The loop


def test_the_model_is_asked_shown_and_heard():
    client = ScriptedClient([cell("print(context.count('cat'))"), "FINAL(100)"])
    result = ask(client)
    assert (result.answer, result.value, result.iterations, result.stop_reason) == ("100", 100, 2, "final")
    assert "Output:\n100" in client.shown()
    assert result.total_time > 0


def test_none_is_an_answer_when_it_is_given_twice_and_other_placeholders_are_not():
    result = ask(ScriptedClient(["FINAL(None)", "FINAL(None)"]))
    assert (result.answer, result.iterations) == ("None", 2)
    assert ask(ScriptedClient(["FINAL(None)", "FINAL()", "FINAL(None)", "FINAL(2)"])).answer == "2"


def test_the_model_sees_the_question_and_the_shape_but_not_the_data():
    client = ScriptedClient(["FINAL(1)"])
    ask(client, "x" * 5000 + "SECRET" + "x" * 5000, "What is hidden?")
    first = client.requests[0]
    assert [message["role"] for message in first][:2] == ["system", "user"]
    assert "What is hidden?" in first[-1]["content"]
    assert "str of 10,006 characters in 1 line" in first[-1]["content"]
    assert "SECRET" not in json.dumps(first)


@pytest.mark.parametrize(
    ("context", "says"),
    [
        (["a", "b"], "`context` is a list of 2 items, each a str. It begins:\n'a'\n'b'"),
        ({"k": 1}, "`context` is a dict of 1 item, each value a int. It begins:\n'k': 1"),
        (None, "`context` is None"),
        ("short", "`context` is a str of 5 characters in 1 line. It is:\nshort"),
    ],
    ids=["list", "dict", "none", "short"],
)
def test_the_context_is_described(context, says):
    client = ScriptedClient(["FINAL(1)"])
    ask(client, context)
    assert says in client.shown(0)


def test_the_history_only_grows():
    client = ScriptedClient([cell("1"), cell("2"), cell("3"), "FINAL(3)"])
    ask(client)
    for earlier, later in zip(client.requests, client.requests[1:], strict=False):
        assert later[: len(earlier)] == earlier
        assert [message["role"] for message in later[-2:]] == ["assistant", "user"]


def test_braces_in_prompt_and_context_do_no_harm():
    client = ScriptedClient(["FINAL({a} {0} {})"])
    result = ask(client, "{context} {0}", "What is {this}? {}")
    assert result.answer == "{a} {0} {}"
    assert "What is {this}? {}" in client.shown()


def test_cells_of_one_reply_run_in_order_until_an_error():
    client = ScriptedClient(
        [cell("a = 1") + "\n" + cell("1 / 0") + "\n" + cell("a = 2"), cell("a"), "FINAL(a)"]
    )
    result = ask(client)
    assert result.answer == "1"
    assert len(result.trajectory[0].executions) == 2


def test_a_client_may_return_a_plain_str():
    class Plain:
        def complete(self, messages, options):
            return "FINAL(7)"

    assert RLM(root_client=Plain()).completion("?").answer == "7"


# Answers


def test_final_in_code_ends_the_run_with_a_value():
    result = ask(ScriptedClient([cell("FINAL({'cats': context.count('cat')})")]))
    assert (result.answer, result.value, result.iterations) == ("{'cats': 100}", {"cats": 100}, 1)


def test_a_final_beside_code_does_not_count_until_the_output_was_seen():
    client = ScriptedClient([cell("print(context.count('cat'))") + "\nFINAL(12)", "FINAL(100)"])
    result = ask(client)
    assert result.answer == "100"
    assert prompts.NOT_SEEN_YET in client.shown()


@pytest.mark.parametrize("final", ["FINAL_VAR(n)", 'FINAL_VAR("n")', "FINAL(n)"])
def test_a_final_that_names_a_variable_of_the_same_reply_counts(final):
    result = ask(ScriptedClient([cell("n = context.count('cat')") + f"\n{final}"]))
    assert (result.answer, result.value) == ("100", 100)


def test_a_final_that_names_a_variable_of_a_failed_cell_does_not_count():
    client = ScriptedClient([cell("n = 1\n1 / 0") + "\nFINAL_VAR(n)", "FINAL(2)"])
    assert ask(client).answer == "2"


def test_a_final_var_that_does_not_exist_is_explained():
    client = ScriptedClient([cell("total = 5"), "FINAL_VAR(totl)", "FINAL_VAR(total)"])
    assert ask(client).answer == "5"
    assert "there is no variable 'totl'" in client.shown()
    assert "total" in client.shown()


def test_a_word_that_is_no_variable_is_the_answer_itself():
    assert ask(ScriptedClient(["FINAL(Paris)"])).answer == "Paris"


@pytest.mark.parametrize(
    "placeholder", ["FINAL(your answer)", "FINAL(answer)", "FINAL()", "Final(your answer).", "FINAL(...)"]
)
def test_the_instructions_placeholder_is_no_answer(placeholder):
    client = ScriptedClient([cell("1"), placeholder, placeholder, "FINAL(3)"])
    assert ask(client).answer == "3"
    assert "Your FINAL has no answer in it." in client.shown()


def test_an_answer_that_was_paid_for_is_not_lost_at_the_budget():
    for last in ("FINAL(Paris)", cell("FINAL('Paris')"), cell("x = 'Paris'") + "\nFINAL_VAR(x)"):
        result = ask(ScriptedClient([cell("1"), last]), budget=24)
        assert (result.answer, result.stop_reason) == ("Paris", "final")


def test_an_expression_that_fails_is_no_answer():
    client = ScriptedClient([cell("total = 6"), "FINAL(total / n)", "FINAL(total / 2)"])
    assert ask(client).answer == "3.0"
    assert "name 'n' is not defined" in client.shown()


@pytest.mark.parametrize("word", ["math", "count", "Counter"])
def test_a_word_that_names_a_module_or_function_is_the_answer_itself(word):
    code = "import math\nfrom collections import Counter\ndef count(): pass\nmath.pi"
    assert ask(ScriptedClient([cell(code), f"FINAL({word})"])).answer == word


def test_every_result_turns_into_json():
    for reply in ("FINAL({1, 2})", "FINAL(b'x')", "FINAL({(1, 2): 3})", cell("FINAL({1, 2})")):
        json.dumps(asdict(ask(ScriptedClient([reply]))))


def test_lone_surrogates_are_shown_to_the_model_by_their_number():
    client = ScriptedClient([cell("print('a\\ud800b')"), "FINAL(1)"])
    ask(client)
    assert "a\\ud800b" in client.shown()
    json.dumps(client.requests, ensure_ascii=False).encode()


@pytest.mark.parametrize("reply", [None, 5, Completion(None)], ids=["none", "number", "no-text"])
def test_a_client_that_returns_nonsense_is_a_clear_error(reply):
    class Odd:
        def complete(self, messages, options):
            return reply

    with pytest.raises(ClientError, match="Odd returned no Completion"):
        RLM(root_client=Odd()).completion("?")


def test_a_sub_client_that_raises_what_nobody_catches_does_not_hang():
    def interrupt(prompt: str) -> str:
        raise asyncio.CancelledError

    client = ScriptedClient([cell("llm_query('a' + context[:3])"), "FINAL(1)"])
    assert ask(client, sub_client=SubClient(interrupt), timeout=20).stop_reason == "final"
    assert "CancelledError" in client.shown()


def test_cancelling_one_task_leaves_the_others_that_share_its_switch():
    async def main() -> list[object]:
        shared = Cancel()
        slow = RLM(root_client=ScriptedClient([cell("while True: pass")]))
        quick = RLM(root_client=ScriptedClient([cell("import time; time.sleep(0.5)"), "FINAL(1)"]))
        first = asyncio.ensure_future(slow.acompletion("?", TEXT, cancel=shared))
        second = asyncio.ensure_future(quick.acompletion("?", TEXT, cancel=shared))
        await asyncio.sleep(0.2)
        first.cancel()
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = asyncio.run(main())
    assert isinstance(first, asyncio.CancelledError)
    assert second.answer == "1"


def test_a_falsy_answer_keeps_its_value():
    client = ScriptedClient([cell("1"), "FINAL(0)"])
    assert ask(client, max_iterations=1).value == 0


def test_a_reply_without_code_is_asked_for_code():
    client = ScriptedClient(["I will think about it.", cell("1"), "FINAL(1)"])
    assert ask(client).answer == "1"
    assert "no code block" in client.requests[1][-1]["content"]


def test_prose_after_an_output_is_taken_as_the_answer_when_the_model_insists():
    client = ScriptedClient([cell("print(100)"), "There are 100 cats.", "As I said: 100 cats."])
    result = ask(client)
    assert (result.answer, result.stop_reason) == ("As I said: 100 cats.", "final")


def test_an_empty_reply_is_no_answer():
    client = ScriptedClient(["", cell("1"), "FINAL(1)"])
    assert ask(client).answer == "1"
    assert prompts.EMPTY_REPLY in client.requests[1][-1]["content"]


def test_a_reply_that_was_cut_off_does_not_run():
    client = ScriptedClient([Completion("```repl\nx = '", finish_reason="length"), "FINAL(1)"])
    result = ask(client)
    assert result.trajectory[0].executions == ()
    assert "cut off" in client.shown()


def test_thinking_is_kept_apart():
    client = ScriptedClient(["<think>FINAL(1)</think>FINAL(2)", Completion("FINAL(3)", thinking="hm")])
    result = ask(client)
    assert result.answer == "2"
    assert result.trajectory[0].thinking == "FINAL(1)"
    assert result.trajectory[0].reply == "FINAL(2)"


# Loops


def test_a_repeated_cell_is_noticed_and_sampled_differently():
    client = ScriptedClient([cell("len(context)"), cell("len(context)"), "FINAL(1)"])
    ask(client, temperature=0.5)
    assert prompts.SAME_AGAIN in client.shown()
    assert len(client.requests[2]) == len(client.requests[1])  # the copy is not added to the history
    assert client.options[2].temperature > client.options[1].temperature == 0.5


def test_a_model_that_goes_round_in_circles_is_asked_for_its_answer():
    client = ScriptedClient([cell("len(context)")] * 5 + ["FINAL(2300)"])
    result = ask(client)
    assert (result.answer, result.stop_reason) == ("2300", "max_iterations")


# Ends


@pytest.mark.parametrize(
    ("last", "answer"),
    [
        ("FINAL(3)", "3"),
        ("It is 3.", "It is 3."),
        ("FINAL_VAR(n)", "2"),
        (cell("FINAL(n + 1)"), "3"),
        (cell("n"), "2"),
        ("FINAL_VAR(nope)", "2"),
        ("FINAL(your answer)", "2"),
        ("", "2"),
    ],
    ids=["final", "prose", "variable", "code-with-final", "code", "no-variable", "placeholder", "empty"],
)
def test_at_the_iteration_limit_the_model_is_asked_for_its_best_answer(last, answer):
    client = ScriptedClient([cell("n = 1"), cell("n = 2\nn"), last])
    result = ask(client, max_iterations=2)
    assert (result.answer, result.stop_reason, result.iterations) == (answer, "max_iterations", 2)
    assert prompts.LAST_CALL in client.shown()
    assert client.requests[-1][-1]["role"] == "user"


def test_the_budget_ends_the_run_with_what_was_found():
    client = ScriptedClient([cell("print('found it')"), cell("print('found more')"), "FINAL(1)"])
    result = ask(client, budget=12)
    assert (result.answer, result.stop_reason) == ("found it", "budget")


def test_a_turn_that_is_stopped_in_the_middle_is_recorded():
    replies = [
        cell("print('found it')") + "\n" + cell("llm_query_batched(['a'] * 3)\nllm_query('a' + context)"),
        "FINAL(1)",
    ]
    cancel = Cancel()
    rlm = RLM(root_client=ScriptedClient(replies), sub_client=SubClient(str.upper), budget=250)
    result = rlm.completion("?", TEXT, cancel=cancel)
    assert (result.answer, result.iterations, result.stop_reason) == ("found it", 1, "budget")
    assert result.usage["total_prompt_tokens"] == 310
    assert cancel.reason is None  # the caller's own switch is not touched


@pytest.mark.parametrize(
    ("code", "beside"),
    [
        ("None", "FINAL(your answer)"),
        ("None", "FINAL(…)"),
        ("1/0", "FINAL_VAR(total)"),
        ("1/0", "FINAL(total)"),
    ],
)
def test_a_final_that_is_no_answer_is_not_the_best_there_is(code: str, beside: str):
    replies = [cell("print('found it')"), f"{cell(code)}\n{beside}", "FINAL(1)"]
    assert ask(ScriptedClient(replies), budget=24).answer == "found it"


@pytest.mark.parametrize("replies", [[cell("FINAL(42)")], [cell("total = 42"), "FINAL(total)"]])
def test_an_answer_that_is_given_in_the_moment_of_the_stop_is_kept(replies, monkeypatch):
    cancel, tidy_up, cells = Cancel(), Sandbox._tidy_up, []

    def stopped(sandbox: Sandbox, session: object) -> None:
        cells.append(session)
        if len(cells) == len(replies):
            cancel.set("cancelled")
        tidy_up(sandbox, session)

    monkeypatch.setattr(Sandbox, "_tidy_up", stopped)
    rlm = RLM(root_client=ScriptedClient(replies))
    result = rlm.completion("?", TEXT, cancel=cancel)
    assert (result.answer, result.value, result.stop_reason) == ("42", 42, "cancelled")


def test_prose_after_code_is_asked_back_for_though_there_was_prose_before_it():
    client = ScriptedClient(
        ["I will think.", cell("print(100)") + "\nFINAL(12)", "Let me look at the output.", "FINAL(100)"]
    )
    assert ask(client).answer == "100"


def test_a_run_that_gets_no_reply_has_no_turn():
    with pytest.raises(Unreachable) as caught:
        ask(ScriptedClient([Unreachable("Cannot reach it.")]))
    assert caught.value.result.iterations == 0


def test_the_last_event_is_the_end_also_of_a_run_that_failed():
    seen: list[events.Event] = []
    with pytest.raises(Unreachable):
        ask(ScriptedClient([Unreachable("Cannot reach it.")]), on_event=seen.append)
    assert isinstance(seen[-1], events.RunFinished)
    assert seen[-1].result.stop_reason == "error"


def test_what_a_client_was_given_does_not_change_afterwards():
    class Keeping(ScriptedClient):
        def complete(self, messages, options):
            kept.append(messages)
            return super().complete(messages, options)

    kept: list[list[dict[str, str]]] = []
    client = Keeping([cell(f"print('{n} ' * 900)") for n in range(20)] + ["FINAL(1)"], window=4096)
    ask(client, max_iterations=30)
    assert kept == client.requests


def test_the_time_limit_ends_the_run_with_what_was_found():
    client = ScriptedClient([cell("print('found it')"), cell("while True: pass")])
    began = time.monotonic()
    result = ask(client, timeout=0.7)
    assert (result.answer, result.stop_reason) == ("found it", "timeout")
    assert time.monotonic() - began < 5


def test_cancelling_ends_the_run_with_what_was_found():
    cancel = Cancel()
    client = ScriptedClient([cell("print('found it')"), cell("while True: pass")])
    threading.Timer(0.5, cancel.set).start()
    result = RLM(root_client=client).completion("?", TEXT, cancel=cancel)
    assert (result.answer, result.stop_reason) == ("found it", "cancelled")


@pytest.mark.parametrize("reason", ["cancelled", "timeout"])
def test_what_a_stopped_cell_had_done_is_kept(reason):
    cancel = Cancel()

    def observe(event: events.Event) -> None:
        if isinstance(event, events.SubCallFinished):
            cancel.set(reason)

    loop = "print('found it')\nwhile True: llm_query('Read: ' + context[:3])"
    client, sub = ScriptedClient([cell("print('before')"), cell(loop)]), SubClient(str.upper)
    rlm = RLM(root_client=client, sub_client=sub, on_event=observe)
    result = rlm.completion("?", TEXT, cancel=cancel)
    assert (result.answer, result.stop_reason) == ("found it", reason)
    stopped = result.trajectory[-1].executions[-1]
    assert (stopped.code, stopped.stdout, stopped.error) == (loop, "found it\n", "The cell was stopped.")
    assert stopped.sub_calls[0].prompt == "Read: the"


def test_cancelling_the_task_ends_the_run():
    started = threading.Event()
    observe = lambda event: started.set() if isinstance(event, events.CellStarted) else None  # noqa: E731

    async def main() -> None:
        client = ScriptedClient([cell("while True: pass")])
        task = asyncio.ensure_future(RLM(root_client=client, on_event=observe).acompletion("?", TEXT))
        await asyncio.to_thread(started.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_acompletion_gives_the_same_result():
    assert asyncio.run(RLM(root_client=ScriptedClient(["FINAL(5)"])).acompletion("?")).answer == "5"


def test_a_failed_root_call_is_an_error_that_carries_what_was_reached():
    client = ScriptedClient([cell("print('found it')"), Unreachable("Cannot reach it.")])
    with pytest.raises(Unreachable) as caught:
        ask(client)
    assert caught.value.result is not None
    assert (caught.value.result.answer, caught.value.result.stop_reason) == ("found it", "error")
    assert caught.value.result.usage["total_prompt_tokens"] == 10


# Sub calls


def test_sub_calls_go_to_the_sub_client_and_are_recorded():
    sub = SubClient(str.upper)
    client = ScriptedClient([cell("llm_query('a' + context[:3])"), "FINAL(1)"])
    result = ask(client, sub_client=sub)
    assert "'ATHE'" in client.shown()
    (call,) = result.trajectory[0].executions[0].sub_calls
    assert (call.prompt, call.reply, call.usage, call.error) == ("athe", "ATHE", Usage(100, 10), None)


def test_without_a_sub_client_the_root_answers_sub_calls():
    client = ScriptedClient([cell("llm_query('a' + context[:3])"), "sub reply", "FINAL(1)"])
    ask(client)
    assert client.requests[1] == [{"role": "user", "content": "athe"}]
    assert client.options[1].until is None
    assert "'sub reply'" in client.shown()


def test_usage_adds_up_over_root_and_sub_calls():
    client = ScriptedClient([cell("x = llm_query_batched(['a'] * 7)"), "FINAL(1)"])
    result = ask(client, sub_client=SubClient(str.upper))
    assert result.usage["total_prompt_tokens"] == 2 * 10 + 7 * 100
    assert result.usage["total_completion_tokens"] == 2 * 2 + 7 * 10
    assert result.trajectory[0].usage == Usage(710, 72)
    assert result.trajectory[0].root_usage == Usage(10, 2)


def test_the_tokens_of_a_failed_call_are_counted():
    def broken(prompt):
        error = ClientError("it broke off")
        error.usage = Usage(50, 5)
        raise error

    code = "try:\n    llm_query('a' + context)\nexcept Exception:\n    pass"
    result = ask(ScriptedClient([cell(code), "FINAL(1)"]), sub_client=SubClient(broken))
    assert (result.usage["total_prompt_tokens"], result.usage["total_completion_tokens"]) == (70, 9)
    (call,) = result.trajectory[0].executions[0].sub_calls
    assert (call.usage, call.error) == (Usage(50, 5), "it broke off")


def test_tokens_lost_to_thinking_are_counted_and_the_next_reply_has_more_room():
    spent = Usage(100, 8192, reasoning_tokens=8192)
    reply = Completion(cell("1"), Usage(200, 8200, reasoning_tokens=8192), lost=spent)
    client = ScriptedClient([reply, "FINAL(1)"])
    result = ask(client)
    assert result.usage["total_completion_tokens"] == 8202
    assert result.usage["total_reasoning_tokens"] == 8192
    assert client.options[1].max_tokens == 2 * client.options[0].max_tokens


def test_the_observer_is_told_that_a_reply_begins_anew():
    class Restarting(ScriptedClient):
        def complete(self, messages, options):
            options.on_text("FIN")
            options.on_restart()
            options.on_text("FINAL(1)")
            return super().complete(messages, options)

    seen = []
    ask(Restarting(["FINAL(1)"]), on_event=seen.append)
    streamed = [event for event in seen if isinstance(event, (events.TextStreamed, events.TextRestarted))]
    assert streamed == [events.TextStreamed("FIN"), events.TextRestarted(), events.TextStreamed("FINAL(1)")]


def test_a_batch_is_bounded_by_the_clients_concurrency():
    sub = SubClient(lambda prompt: time.sleep(0.02) or prompt, concurrency=3)
    client = ScriptedClient(
        [
            cell("r = llm_query_batched([str(i) for i in range(20)])\nr == [str(i) for i in range(20)]"),
            "FINAL(1)",
        ]
    )
    ask(client, sub_client=sub)
    assert "True" in client.shown()
    assert sub.most_at_once == 3


def test_a_failed_sub_call_raises_in_the_repl_and_is_recorded():
    client = ScriptedClient([cell("llm_query('a' + context[:3])"), "FINAL(1)"])
    result = ask(client, sub_client=SubClient(failing))
    assert "LLMQueryError: no answer to 'athe'" in client.shown()
    assert result.trajectory[0].executions[0].sub_calls[0].error == "no answer to 'athe'"


def test_a_sub_prompt_that_does_not_fit_is_told_both_numbers():
    def overflow(prompt: str) -> str:
        raise ContextOverflow("too long", prompt_tokens=9000, window=4096)

    client = ScriptedClient([cell("llm_query('a' * 30_000 + context)"), "FINAL(1)"])
    ask(client, sub_client=SubClient(overflow, window=4096))
    assert "32,300 characters (9,000 tokens)" in client.shown()
    assert "reads about 10,452 characters (4,096 tokens)" in client.shown()
    client = ScriptedClient([cell("llm_query('a' * 30_000 + context)"), "FINAL(1)"])
    ask(client, sub_client=SubClient(overflow))  # which does not say its window
    assert "reads about 5,844 characters (4,096 tokens)" in client.shown()


def test_the_model_is_told_what_the_sub_model_can_read():
    small, large = ScriptedClient(["FINAL(1)"]), ScriptedClient(["FINAL(1)"])
    ask(small, sub_client=SubClient(str, window=4096))
    ask(large, sub_client=SubClient(str, window=131_072))
    assert "up to 10,452 characters" in small.requests[0][0]["content"]
    assert "up to 380,628 characters" in large.requests[0][0]["content"]


def test_what_a_sub_client_raises_is_recorded():
    def broken(prompt: str) -> str:
        raise ValueError("a fault of its own")

    client = ScriptedClient([cell("llm_query('a' + context[:3])"), "FINAL(1)"])
    result = ask(client, sub_client=SubClient(broken))
    assert result.trajectory[0].executions[0].sub_calls[0].error == "a fault of its own"
    assert "a fault of its own" in client.shown()


def test_the_sub_calls_of_an_answer_are_recorded():
    result = ask(ScriptedClient(["FINAL(llm_query('a' + context[:3]))"]), sub_client=SubClient(str.upper))
    assert result.answer == "ATHE"
    assert [call.reply for call in result.trajectory[0].executions[0].sub_calls] == ["ATHE"]


def test_no_reply_may_take_more_than_half_of_the_window():
    client = ScriptedClient([cell("print(1)"), "FINAL(1)"], window=8192)
    ask(client, max_reply=8192, sub_client=SubClient(str, window=8192))
    assert client.options[0].max_tokens == 4096
    assert "Output:\n1" in client.shown()


def test_an_empty_sub_reply_is_an_error():
    client = ScriptedClient([cell("llm_query('a' + context[:3])"), "FINAL(1)"])
    ask(client, sub_client=SubClient(lambda prompt: " "))
    assert "the model's reply was empty" in client.shown()


# Windows


def test_long_outputs_are_shown_in_part_and_say_so():
    client = ScriptedClient([cell("print('a' * 50_000)"), "FINAL(1)"], window=8192)
    ask(client)
    assert len(client.shown()) < 3000
    assert "characters left out" in client.shown()


def test_old_outputs_are_left_out_before_the_window_overflows():
    notices = []
    turns = [cell(f"x = {n}\nprint('{n} ' * 900)") for n in range(30)]
    client = ScriptedClient([*turns, "FINAL(done)"], window=4096)
    result = ask(
        client, prompt="What is it?", max_iterations=40,
        on_event=lambda e: notices.append(e) if isinstance(e, events.Notice) else None,
    )  # fmt: skip
    assert result.answer == "done"
    for request in client.requests:
        assert sum(len(message["content"]) for message in request) <= (4096 - 512) * 4
        assert "What is it?" in request[len(client.requests[0]) - 1]["content"]
    assert "left out here to save space" in json.dumps(client.requests[-1])
    assert notices


def test_an_overflow_that_the_server_reports_is_mended_once():
    client = ScriptedClient(
        [
            cell("print('a' * 1500)"),
            cell("print('b' * 1500)"),
            ContextOverflow("no", prompt_tokens=5000, window=2000),
            "FINAL(1)",
        ],
        window=8192,
    )
    assert ask(client).answer == "1"
    assert len(json.dumps(client.requests[3])) < len(json.dumps(client.requests[2]))


def test_an_overflow_without_numbers_leaves_out_old_outputs_and_is_final_where_there_are_none():
    unsaid = ContextOverflow("no")
    client = ScriptedClient([cell("print('a' * 1500)"), cell("print('b' * 1500)"), unsaid, "FINAL(1)"])
    assert ask(client).answer == "1"
    assert len(json.dumps(client.requests[3])) < len(json.dumps(client.requests[2]))
    client = ScriptedClient([unsaid, "FINAL(1)"])
    with pytest.raises(ContextOverflow):
        ask(client)
    assert len(client.requests) == 1


class Windowless(ScriptedClient):
    """Does what it is told where it is asked for its window."""

    def __init__(self, answer: Callable[[], int]) -> None:
        super().__init__(["FINAL(1)"])
        self.window = answer


def test_a_server_that_is_not_there_when_the_window_is_asked_for_ends_the_run_like_any_other():
    def nobody() -> int:
        raise Unreachable("nobody is there")

    seen = []
    with pytest.raises(Unreachable) as caught:
        ask(Windowless(nobody), on_event=seen.append)
    assert caught.value.result.stop_reason == "error"
    assert isinstance(seen[-1], events.RunFinished)


@pytest.mark.parametrize("how", ["cancelled", "timeout"])
def test_a_run_can_be_stopped_while_the_window_is_asked_for(how: str):
    never, cancel = threading.Event(), Cancel()
    threading.Timer(0.1, cancel.set, ["cancelled"]).start() if how == "cancelled" else None
    rlm = RLM(root_client=Windowless(lambda: never.wait(20) or 1), timeout=0.1 if how == "timeout" else None)
    began = time.monotonic()
    assert rlm.completion("?", TEXT, cancel=cancel).stop_reason == how
    assert time.monotonic() - began < 5
    never.set()


# Events and record


def test_an_observer_sees_the_run_in_order():
    seen: list[events.Event] = []
    client = ScriptedClient([cell("llm_query('a' + context[:3])"), "FINAL(1)"])
    ask(client, sub_client=SubClient(str.upper), on_event=seen.append)
    assert [type(event).__name__ for event in seen] == [
        "RunStarted", "TurnStarted", "CellStarted", "SubCallStarted", "SubCallFinished", "CellFinished",
        "TurnFinished", "TurnStarted", "TurnFinished", "RunFinished",
    ]  # fmt: skip


def test_the_size_of_a_batch_is_known_before_its_first_reply():
    asked, all_asked = [], threading.Event()

    def watch(event: events.Event) -> None:
        if isinstance(event, events.SubCallStarted):
            asked.append(event.prompt)
            if len(asked) == 20:
                all_asked.set()

    sub = SubClient(lambda prompt: str(all_asked.wait(20)), concurrency=1)
    client = ScriptedClient(
        [cell("llm_query_batched([f'{n} {context[:3]}' for n in range(20)])"), "FINAL(1)"]
    )
    result = ask(client, sub_client=sub, on_event=watch)
    assert [call.reply for call in result.trajectory[0].executions[0].sub_calls] == ["True"] * 20


def test_a_faulty_observer_does_not_end_the_run(caplog):
    def fail(event: events.Event) -> None:
        raise ValueError("mine")

    assert ask(ScriptedClient(["FINAL(1)"]), on_event=fail).answer == "1"
    assert "The observer failed at RunStarted" in caplog.text


def test_the_record_is_small_and_turns_into_json():
    context = "x" * 1_000_000
    client = ScriptedClient([cell("print(context)\ny = llm_query('a' + context)"), "FINAL(1)"])
    record = json.dumps(asdict(ask(client, context, sub_client=SubClient(str.upper, window=2**20))))
    assert len(record) < len(context) / 5


def test_requests_in_the_record_do_not_alias():
    client = ScriptedClient([cell("1"), cell("2"), "FINAL(2)"])
    result = ask(client)
    assert [turn.observation.count("Output") for turn in result.trajectory[:2]] == [1, 1]
    first = len(client.requests[0])
    assert [len(request) for request in client.requests] == [first, first + 2, first + 4]


# Configuration


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_iterations": 0}, "max_iterations must be a whole number of at least 1"),
        ({"max_iterations": 2.5}, "max_iterations must be"),
        ({"max_iterations": True}, "max_iterations must be"),
        ({"num_ctx": 0}, "num_ctx must be a number above 0"),
        ({"timeout": -1}, "timeout must be a number above 0"),
        ({"timeout": float("inf")}, "timeout must be a number above 0"),
        ({"budget": "much"}, "budget must be a number above 0"),
        ({"cell_timeout": None}, "cell_timeout must be a number above 0"),
        ({"temperature": False}, "temperature must be a number"),
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"model": None}, "model must be a str"),
        ({"host": 5}, "host must be a str"),
        ({"root_client": "qwen3:4b"}, "root_client must have a method complete"),
        ({"on_event": "print"}, "on_event must be callable"),
        ({"model": "opnai:gpt-6-luna"}, "do you mean"),
        ({"model": ""}, "empty"),
        ({"model": "groq:"}, "GROQ_API_KEY"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_a_clear_error(options, says):
    with pytest.raises(ConfigurationError, match=says):
        RLM(**options)


def test_the_same_mistake_again_and_again_is_a_loop():
    client = ScriptedClient([*(f"```repl\nlen({', '.join('1' * n)})\n```" for n in range(2, 9)), "FINAL(7)"])
    result = ask(client)
    assert [options.temperature for options in client.options] == pytest.approx(
        [0.6, 0.6, 0.9, 1.2, 1.2, 1.2]
    )
    assert (result.stop_reason, len(result.trajectory)) == ("max_iterations", 6)


def test_what_went_wrong_three_times_in_the_same_way_is_taken_out_of_the_history():
    cells = [
        f"```repl\n{code}\n```" for code in ("len(context)", "len(1, 1)", "len(2, 2, 2)", "len(3, 3, 3, 3)")
    ]
    client = ScriptedClient([*cells, "FINAL(7)"])
    result = ask(client)
    shown = "\n".join(message["content"] for message in client.requests[4])
    assert "len(context)" in shown
    assert "len(1, 1)" not in shown
    assert "len(2, 2, 2)" not in shown
    assert "Other code for this has failed: TypeError: len() takes exactly one argument (4 given)" in shown
    assert [len(turn.executions) for turn in result.trajectory] == [
        1,
        1,
        1,
        1,
        0,
    ]  # but not out of the record


def test_answers_with_nothing_in_them_leave_the_history_as_it_is():
    client = ScriptedClient(["```repl\nlen(context)\n```", *["FINAL(your answer)"] * 3, "FINAL(7)"])
    ask(client)
    assert "len(context)" in "\n".join(message["content"] for message in client.requests[-1])


def test_code_that_looks_for_the_same_in_vain_is_a_loop():
    cells = [
        f"```repl\nprint([line for line in context.splitlines() if 'zebra' in line][:{n}])\n```"
        for n in range(9)
    ]
    client = ScriptedClient([*cells[:6], "FINAL(7)"])
    ask(client)
    assert [options.temperature for options in client.options] == pytest.approx(
        [0.6, 0.6, 0.9, 1.2, 1.2, 1.2]
    )


@pytest.mark.parametrize("prompt", ["", "  \n", None, 3])
def test_an_empty_prompt_is_a_clear_error(prompt):
    with pytest.raises(ConfigurationError, match="prompt is empty"):
        RLM(root_client=ScriptedClient([])).completion(prompt)


def test_a_context_of_an_unsupported_type_is_a_clear_error():
    with pytest.raises(ContextError, match="of type object"):
        ask(ScriptedClient([]), object())


def test_an_rlm_is_cheap_and_picklable(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    for rlm in (RLM("qwen3:4b"), RLM("openai:gpt-6-luna"), RLM(root_client=CloudClient("gpt-6-luna"))):
        copy = pickle.loads(pickle.dumps(rlm))
        assert copy.max_iterations == 15
        assert copy.root.name == rlm.root.name


def test_one_rlm_serves_several_threads():
    class Counting:
        """Finds the number in the question and asks the REPL for its double."""

        def complete(self, messages, options):
            number = messages[-1]["content"].split("double of ")[1].split("?")[0]
            return (
                f"FINAL({number} is known)"
                if "quick" in number
                else cell(f"FINAL({number} * 2 + len(context))")
            )

    rlm = RLM(root_client=Counting())
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: rlm.completion(f"What is the double of {n}?", "x" * n).value, range(24))
        )
    assert answers == [3 * n for n in range(24)]


def test_an_error_of_a_client_of_the_users_own_ends_in_that_error():
    class Broken:
        def complete(self, messages, options):
            raise ClientError("my server is away")

    with pytest.raises(ClientError, match="my server is away"):
        RLM(root_client=Broken()).completion("?")
