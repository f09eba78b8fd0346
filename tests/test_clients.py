"""One contract for every client, then what is particular to each. To add a client, add a Case."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import AsyncGeneratorType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import (
    CACHED_TOKENS,
    ENDLESS_PIECES,
    OVERFLOW,
    PROMPT_TOKENS,
    FakeAnthropic,
    FakeOllama,
    FakeOpenAI,
    FakeOpenRouter,
    FakeServer,
    Reply,
    shown,
)

from rlm.cancel import Cancel
from rlm.clients import failures, fit, llama_cpp, remote, wire
from rlm.clients.anthropic import Anthropic, merged
from rlm.clients.base import Options, first_tokens
from rlm.clients.fit import ModelFacts
from rlm.clients.ollama import Ollama, ollama_host
from rlm.clients.ollama_server import Server
from rlm.clients.openai import OpenAI
from rlm.clients.openrouter import OpenRouter
from rlm.errors import (
    AuthenticationError,
    Cancelled,
    ClientError,
    ConfigurationError,
    ContextOverflow,
    InvalidReply,
    ModelNotFound,
    ReplyTimeout,
    RequestRefused,
    ServerBusy,
    Unreachable,
)
from rlm.types import Message, Usage

ODD_MESSAGES = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["system", "user", "assistant"]),
        content=st.one_of(
            st.sampled_from(["", " ", "\n", "Hi ", "\ud800", "a\x00b"]), st.text(alphabet=st.characters())
        ),
    ),
    min_size=1,
    max_size=6,
)
BREAKS = ["cut", "reset", "garbage", "shape", "error", "unfinished"]
KEY = "sk-secret-0123456789abcdef"
SYSTEM = Message(role="system", content="Be brief.")


def user(content: str) -> Message:
    return Message(role="user", content=content)


def assistant(content: str) -> Message:
    return Message(role="assistant", content=content)


@dataclass(frozen=True)
class Case:
    """A client, and the server that it talks to."""

    server: type[FakeServer]
    build: Callable[..., Any]
    # (url, **options of the client) -> client
    reports_cache: bool = True
    sends_key: bool = True


CASES = {
    "ollama": Case(
        FakeOllama,
        lambda url, **options: Ollama("tiny", host=url, **options),
        reports_cache=False,
        sends_key=False,
    ),
    "openai": Case(
        FakeOpenAI, lambda url, **options: OpenAI("m", base_url=f"{url}/v1", api_key=KEY, **options)
    ),
    "openrouter": Case(
        FakeOpenRouter,
        lambda url, **options: OpenRouter("anthropic/m", base_url=f"{url}/v1", api_key=KEY, **options),
    ),
    "anthropic": Case(
        FakeAnthropic, lambda url, **options: Anthropic("m", base_url=url, api_key=KEY, **options)
    ),
}


@pytest.fixture(autouse=True)
def _quick_retries_and_no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BACKOFF", 0.001)
    # A port may come back, with another server behind it.
    monkeypatch.setattr("rlm.clients.ollama._windows", {})
    monkeypatch.setattr("rlm.clients.ollama._confirmed", set())
    monkeypatch.setattr("rlm.clients.ollama_server._facts", {})
    for name in list(os.environ):
        if (
            name.endswith(("_API_KEY", "_BASE_URL"))
            or name.lower().endswith("_proxy")
            or name == "OLLAMA_HOST"
        ):
            monkeypatch.delenv(name)
    # A client that went through a proxy would meet this dead end.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def serving(server: FakeServer) -> Iterator[FakeServer]:
    with server:
        yield server
    assert server.violations == []
    assert server.crashes == []


@pytest.fixture
def server(case: Case) -> Iterator[FakeServer]:
    yield from serving(case.server())


@pytest.fixture
def connect(case: Case, server: FakeServer) -> Iterator[Callable[..., Any]]:
    """Builds clients of the server and closes them."""
    built = []

    def connect(**options: Any) -> Any:
        built.append(case.build(server.url, **options))
        return built[-1]

    yield connect
    for client in built:
        client.close()


@pytest.fixture
def client(connect: Callable[..., Any]) -> Any:
    return connect()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TestContract:
    def test_the_reply_arrives(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("Four of them, says café ☕.")]
        completion = client.complete([SYSTEM, user("How many?")], Options())
        assert completion.text == "Four of them, says café ☕."
        assert completion.finish_reason == "stop"

    def test_usage_is_what_the_server_counted(self, case: Case, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("one two three")]
        completion = client.complete([user("?")], Options())
        cached = CACHED_TOKENS if case.reports_cache else 0
        assert completion.usage == Usage(PROMPT_TOKENS, 3, cached)

    def test_thinking_is_kept_apart(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("Four.", thinking="Two and two.")]
        completion = client.complete([user("?")], Options())
        assert (completion.text, completion.thinking) == ("Four.", "Two and two.")

    def test_thinking_in_the_text_is_kept_apart(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("<think>Two ``` and two.</think>\n\nFour.", step=3)]
        shown: list[str] = []
        seen: list[str] = []
        options = Options(on_text=shown.append, until=lambda text: bool(seen.append(text)))
        completion = client.complete([user("?")], options)
        assert (completion.text, completion.thinking) == ("Four.", "Two ``` and two.")
        assert "".join(shown) == "Four."
        assert all("Four.".startswith(text) for text in seen)

    def test_thinking_that_nothing_opened_is_taken_back(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("Two and two.</think>\n\nFour.", step=5)]
        shown: list[str] = []
        completion = client.complete([user("?")], Options(on_text=shown.append, on_restart=shown.clear))
        assert (completion.text, completion.thinking) == ("Four.", "Two and two.")
        assert "".join(shown) == "Four."

    @pytest.mark.parametrize("said", [Reply("", "hm hm", "length"), Reply("<think>hm hm", finish="length")])
    def test_a_reply_spent_on_thinking_is_asked_for_again(
        self, client: Any, server: FakeServer, said: Reply
    ) -> None:
        server.replies = [said, Reply("Four.")]
        completion = client.complete([user("?")], Options(max_tokens=50, think=True))
        assert (completion.text, completion.finish_reason) == ("Four.", "stop")
        assert completion.usage.prompt_tokens == 2 * PROMPT_TOKENS
        assert completion.usage.completion_tokens == 3
        assert (completion.lost.prompt_tokens, completion.lost.completion_tokens) == (PROMPT_TOKENS, 2)
        assert [limit(chat) for chat in server.chats] == [50, 100]

    def test_a_reply_that_is_nothing_but_thinking_is_no_answer(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("", "hm hm", "length"), Reply("", "hm hm hm", "length"), Reply("no more")]
        completion = client.complete([user("?")], Options())
        assert (completion.text, completion.finish_reason) == ("", "length")
        assert completion.usage.completion_tokens == 5
        assert len(server.chats) == 2

    def test_without_room_for_more_the_first_reply_stays(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("", "hm hm", "length"), Reply(failure="overflow")]
        completion = client.complete([user("?")], Options())
        assert (completion.thinking, completion.finish_reason) == ("hm hm", "length")
        assert completion.usage.completion_tokens == 2

    def test_a_reply_that_ran_out_of_tokens_says_so(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("one two", finish="length")]
        assert client.complete([user("?")], Options(max_tokens=2)).finish_reason == "length"

    def test_text_is_shown_as_it_arrives(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("one two three")]
        seen: list[str] = []
        client.complete([user("?")], Options(on_text=seen.append))
        assert seen == ["one ", "two ", "three"]

    def test_generation_stops_when_the_text_is_complete(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(endless=True)]
        completion = client.complete([user("?")], Options(until=lambda text: text.count("word") == 5))
        assert completion.text == "word " * 5
        assert completion.usage.estimated_tokens > 0
        assert server.hung_up.wait(5)
        assert 5 <= server.generated < ENDLESS_PIECES / 2

    def test_usage_is_exact_when_the_model_stops_by_itself_right_there(
        self, client: Any, server: FakeServer
    ) -> None:
        server.replies = [Reply("one two stop")]
        completion = client.complete([user("?")], Options(until=lambda text: text.endswith("stop")))
        assert completion.text == "one two stop"
        assert (completion.usage.completion_tokens, completion.usage.estimated_tokens) == (3, 0)

    def test_cancel_before_the_first_byte(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(stalls="before")]
        cancel = Cancel()
        thrower = threading.Thread(target=lambda: (until(lambda: server.chats), cancel.set("timeout")))
        thrower.start()
        start = time.monotonic()
        with pytest.raises(Cancelled) as caught:
            client.complete([user("?")], Options(cancel=cancel))
        assert time.monotonic() - start < 1
        assert caught.value.reason == "timeout"
        assert server.hung_up.wait(5)
        thrower.join()

    def test_cancel_in_the_middle_of_a_reply(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(endless=True)]
        cancel, begun = Cancel(), threading.Event()
        thrower = threading.Thread(target=lambda: (begun.wait(), cancel.set()))
        thrower.start()
        start = time.monotonic()
        with pytest.raises(Cancelled):
            client.complete([user("?")], Options(cancel=cancel, on_text=lambda _: begun.set()))
        assert time.monotonic() - start < 1
        assert server.hung_up.wait(5)
        thrower.join()

    def test_a_cancelled_call_is_not_sent(self, client: Any, server: FakeServer) -> None:
        client.complete([user("before")], Options())
        cancel = Cancel()
        cancel.set()
        for _ in range(5):
            with pytest.raises(Cancelled):
                client.complete([user("?")], Options(cancel=cancel))
        time.sleep(0.05)
        assert len(server.chats) == 1

    def test_no_server_is_unreachable_at_once(self, case: Case, caplog: pytest.LogCaptureFixture) -> None:
        url = f"http://127.0.0.1:{closed_port()}"
        client = case.build(url)
        start = time.monotonic()
        with pytest.raises(Unreachable, match=url):
            client.complete([user("?")], Options())
        assert time.monotonic() - start < 1
        assert "Trying again" not in caplog.text
        client.close()

    def test_a_dropped_connection_is_tried_again(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(breaks="drop"), Reply("yes")]
        assert client.complete([user("?")], Options()).text == "yes"

    def test_a_dropped_connection_is_unreachable_in_the_end(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(breaks="drop")] * 9
        with pytest.raises(Unreachable):
            client.complete([user("?")], Options())
        assert len(server.chats) == wire.ATTEMPTS

    def test_a_refused_key_is_named_but_not_shown(self, case: Case, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(failure="auth")]
        with pytest.raises(AuthenticationError) as caught:
            client.complete([user("?")], Options())
        shown = f"{caught.value} {caught.value!r} {caught.value.__cause__}"
        assert KEY not in shown
        assert KEY[:8] not in shown
        assert "_API_KEY" in shown or '"ollama signin" or open https://ollama.com/connect' in shown
        assert (server.headers[0].get("authorization") == f"Bearer {KEY}") == case.sends_key
        assert len(server.chats) == 1

    def test_a_key_in_a_refusal_is_not_shown(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(failure="refused")]
        with pytest.raises(RequestRefused) as caught:
            client.complete([user("?")], Options())
        assert KEY not in f"{caught.value} {caught.value.__cause__}"
        assert "400" in str(caught.value)

    @pytest.mark.parametrize(
        "reply",
        [Reply(failure="auth"), Reply(failure="refused"), Reply("x y", breaks="error"), Reply(breaks="drop")],
        ids=["auth", "refused", "error", "drop"],
    )
    def test_no_key_is_in_what_an_error_holds(
        self, case: Case, client: Any, server: FakeServer, reply: Reply
    ) -> None:
        server.replies = [reply] * 9
        with pytest.raises(ClientError) as caught:
            client.complete([user("?")], Options())
        assert KEY not in "".join(traceback.format_exception(caught.value))
        for error in chain(caught.value):
            assert KEY not in f"{error} {error!r} {vars(error)}"
            for frame, _ in traceback.walk_tb(error.__traceback__):
                assert KEY not in repr(frame.f_locals)
            if case.sends_key:  # an exception of an SDK holds the request, and that the key
                assert not hasattr(error, "request")

    def test_an_unknown_model_is_not_found(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(failure="missing")]
        with pytest.raises(ModelNotFound, match=client.model):
            client.complete([user("?")], Options())
        assert len(server.chats) == 1

    def test_a_busy_server_is_tried_again(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(failure="busy"), Reply(failure="busy"), Reply("yes")]
        assert client.complete([user("?")], Options()).text == "yes"
        assert len(server.chats) == 3

    def test_a_server_that_stays_busy_is_given_up(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(failure="busy")] * 9
        with pytest.raises(ServerBusy):
            client.complete([user("?")], Options())
        assert len(server.chats) == wire.ATTEMPTS

    def test_the_pause_that_the_server_asks_for_is_kept(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(failure="busy", retry_after="0.3"), Reply("yes")]
        start = time.monotonic()
        assert client.complete([user("?")], Options()).text == "yes"
        assert time.monotonic() - start >= 0.3

    def test_a_pause_too_long_to_wait_for_is_an_error(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(failure="busy", retry_after="86400")]
        with pytest.raises(ServerBusy) as caught:
            client.complete([user("?")], Options())
        assert caught.value.retry_after == 86400
        assert len(server.chats) == 1

    def test_a_prompt_too_long_is_an_overflow_with_its_numbers(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply(failure="overflow")]
        with pytest.raises(ContextOverflow) as caught:
            client.complete([user("?")], Options())
        assert (caught.value.prompt_tokens, caught.value.window) == OVERFLOW
        assert "5000" in str(caught.value)
        assert len(server.chats) == 1

    @pytest.mark.parametrize("breaks", BREAKS)
    def test_a_broken_reply_is_asked_for_again(self, client: Any, server: FakeServer, breaks: Any) -> None:
        server.replies = [Reply("one two three", breaks=breaks), Reply("all of it")]
        assert client.complete([user("?")], Options()).text == "all of it"

    @pytest.mark.parametrize("breaks", BREAKS)
    def test_a_reply_that_stays_broken_is_invalid(self, client: Any, server: FakeServer, breaks: Any) -> None:
        server.replies = [Reply("one two three", breaks=breaks)] * 9
        with pytest.raises(InvalidReply):
            client.complete([user("?")], Options())
        assert len(server.chats) == wire.ATTEMPTS

    @pytest.mark.parametrize("breaks", BREAKS)
    def test_no_half_read_reply_waits_for_the_collector(
        self, client: Any, server: FakeServer, breaks: Any
    ) -> None:
        server.replies = [Reply("one two three", breaks=breaks)] * 9
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(InvalidReply):
                client.complete([user("?")], Options())
            until(lambda: not any(isinstance(one, AsyncGeneratorType) for one in gc.get_objects()))
        finally:
            gc.enable()

    def test_a_retried_reply_is_shown_once(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("one two three", breaks="cut"), Reply("all of it")]
        shown: list[str] = []
        client.complete([user("?")], Options(on_text=shown.append, on_restart=shown.clear))
        assert "".join(shown) == "all of it"

    def test_the_tokens_of_a_broken_reply_are_counted(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("one two three", breaks="cut"), Reply("all of it")]
        completion = client.complete([user("?")], Options())
        assert completion.usage.completion_tokens == 4
        assert (completion.lost.completion_tokens, completion.lost.estimated_tokens > 0) == (1, True)

    def test_the_tokens_of_a_call_without_a_reply_are_counted(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("one two three", breaks="error")] * 9
        with pytest.raises(InvalidReply) as caught:
            client.complete([user("?")], Options())
        assert caught.value.usage.completion_tokens == wire.ATTEMPTS

    def test_the_tokens_of_a_cancelled_call_are_counted(self, client: Any, server: FakeServer) -> None:
        server.replies = [Reply("one two three", breaks="cut"), Reply(endless=True)]
        cancel = Cancel()
        options = Options(cancel=cancel, on_text=lambda text: text == "word " and cancel.set())
        with pytest.raises(Cancelled) as caught:
            client.complete([user("How many?")], options)
        assert caught.value.usage.completion_tokens >= 2
        assert caught.value.usage.prompt_tokens > 0

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(messages=ODD_MESSAGES, think=st.sampled_from([None, True, False, "low"]))
    def test_no_messages_make_a_request_that_is_refused(
        self, client: Any, server: FakeServer, messages: list[Message], think: Any
    ) -> None:
        before = [Message(**message) for message in messages]
        assert client.complete(messages, Options(max_tokens=2000, temperature=0.6, think=think)).text
        assert messages == before
        assert server.violations == []

    def test_silence_before_the_reply_times_out(
        self, connect: Callable[..., Any], server: FakeServer
    ) -> None:
        server.replies = [Reply(stalls="before")]
        start = time.monotonic()
        with pytest.raises(ReplyTimeout, match=r"0\.2 s"):
            connect(first_timeout=0.2).complete([user("?")], Options())
        assert time.monotonic() - start < 1
        assert server.hung_up.wait(5)
        assert len(server.chats) == 1

    def test_silence_within_the_reply_times_out(
        self, connect: Callable[..., Any], server: FakeServer
    ) -> None:
        server.replies = [Reply("one two", stalls="within")]
        start = time.monotonic()
        with pytest.raises(ReplyTimeout, match=r"0\.2 s"):
            connect(chunk_timeout=0.2).complete([user("?")], Options())
        assert time.monotonic() - start < 1
        assert server.hung_up.wait(5)

    def test_a_reply_that_is_as_long_as_wanted_outlives_what_comes_after_it(
        self, connect: Callable[..., Any], server: FakeServer
    ) -> None:
        server.replies = [Reply("one two", stalls="within")]
        options = Options(until=lambda text: text.startswith("one"))
        completion = connect(chunk_timeout=1.0).complete([user("?")], options)
        assert (completion.text.strip(), completion.finish_reason) == ("one", "stop")
        assert completion.usage.estimated_tokens
        assert len(server.chats) == 1

    def test_eight_threads_get_their_own_answers(self, client: Any, server: FakeServer) -> None:
        prompts = [f"question {n} of many" for n in range(32)]
        with ThreadPoolExecutor(8) as threads:
            completions = list(threads.map(lambda text: client.complete([user(text)], Options()), prompts))
        assert [completion.text for completion in completions] == [f"echo: {text}" for text in prompts]

    def test_a_pickled_client_connects_again(self, client: Any, server: FakeServer) -> None:
        client.complete([user("before")], Options())
        copy = pickle.loads(pickle.dumps(client))
        assert copy.complete([user("after")], Options()).text == "echo: after"
        assert (copy.name, copy.window()) == (client.name, client.window())
        copy.close()

    def test_a_closed_client_connects_again(self, client: Any, server: FakeServer) -> None:
        client.complete([user("?")], Options())
        client.close()
        client.close()
        assert client.complete([user("again")], Options()).text == "echo: again"

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts sockets there")
    def test_a_dropped_client_leaves_no_connection(self, case: Case, server: FakeServer) -> None:
        client = case.build(server.url)
        client.complete([user("?")], Options())
        before = open_sockets()
        del client
        gc.collect()
        until(lambda: open_sockets() < before)

    def test_what_it_shows_of_itself_holds_no_key(self, client: Any) -> None:
        assert KEY not in f"{client!r} {client} {client.name}"
        assert client.model in repr(client)

    def test_nothing_logged_holds_the_key(
        self, client: Any, server: FakeServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server.replies = [Reply(failure="busy"), Reply(breaks="cut"), Reply("yes")]
        assert client.complete([user("?")], Options()).text == "yes"
        assert "Trying again" in caplog.text
        assert KEY not in caplog.text

    def test_it_says_how_many_calls_at_once_do_any_good(self, client: Any) -> None:
        assert client.concurrency >= 1


def limit(body: dict[str, Any]) -> int:
    """The tokens that a request allows for its reply."""
    return int(body["options"]["num_predict"] if "options" in body else body["max_tokens"])


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and all that it was raised from or during."""
    yield error
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from chain(other)


def open_sockets() -> int:
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in the meantime
            count += os.readlink(path).startswith("socket:")
    return count


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def ollama() -> Iterator[FakeServer]:
    yield from serving(FakeOllama())


@pytest.fixture
def openai() -> Iterator[FakeServer]:
    yield from serving(FakeOpenAI())


@pytest.fixture
def anthropic() -> Iterator[FakeServer]:
    yield from serving(FakeAnthropic())


def ask(client: Any, *messages: Message, **options: Any) -> str:
    """One call by a client that is closed after it."""
    try:
        return client.complete(messages or [user("?")], Options(**options)).text
    finally:
        client.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(("module", "name"), [(llama_cpp, "_lock"), (remote, "_opening"), (wire, "_lock")])
def test_a_child_that_is_forked_while_a_lock_is_held_has_its_own(module: Any, name: str) -> None:
    with getattr(module, name):
        if not (child := os.fork()):
            os._exit(not getattr(module, name).acquire(timeout=5))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_run_that_is_stopped_does_not_wait_for_a_model_that_another_loads() -> None:
    cancel = Cancel()
    cancel.set("timeout")
    with llama_cpp._lock, pytest.raises(Cancelled), llama_cpp._alone(cancel):
        pass


@pytest.mark.parametrize(
    "tokens",
    [None, [], [{}], [{"top_logprobs": None}], [{"top_logprobs": [{"token": "a", "logprob": None}]}]],
)
def test_likely_tokens_in_another_form_are_none(tokens: Any) -> None:
    assert first_tokens(tokens) == {}


class TestOllama:
    def test_the_request(self, ollama: FakeOllama) -> None:
        ask(Ollama("tiny", host=ollama.url), SYSTEM, user("Hi"), max_tokens=77, temperature=0.6)
        assert ollama.chats == [
            {
                "model": "tiny",
                "messages": [SYSTEM, user("Hi")],
                "stream": True,
                "truncate": False,
                "shift": False,
                "keep_alive": "30m",
                "options": {"num_ctx": 8192, "num_predict": 77, "temperature": 0.6},
            }
        ]

    def test_the_likeliest_first_tokens(self, ollama: FakeOllama) -> None:
        ollama.likely = [{"Yes": -0.1, "no": -2.5, "?": -9999.0}, {"sir": -0.2}]
        reply = Ollama("tiny", host=ollama.url).complete([user("Hi")], Options(likely=20))
        assert reply.likely == {"Yes": -0.1, "no": -2.5, "?": -9999.0}
        assert (ollama.chats[0]["logprobs"], ollama.chats[0]["top_logprobs"]) == (True, 20)

    @pytest.mark.parametrize(
        ("model", "of_client", "of_call", "sent"),
        [
            pytest.param("thinker:4b", None, None, None, id="nobody-asked"),
            pytest.param("thinker:4b", False, None, False, id="client"),
            pytest.param("thinker:4b", False, "high", "high", id="call-over-client"),
            pytest.param("thinker:4b", True, False, False, id="call-off"),
            pytest.param("tiny", True, True, None, id="cannot-think"),
            pytest.param("tiny", None, False, None, id="cannot-think-and-need-not"),
            pytest.param("gpt-oss:20b", None, None, None, id="levels-nobody-asked"),
            pytest.param("gpt-oss:20b", None, False, "low", id="levels-off"),
            pytest.param("gpt-oss:20b", True, None, "medium", id="levels-on"),
            pytest.param("gpt-oss:20b", None, "high", "high", id="levels"),
        ],
    )
    def test_think_is_sent_when_asked_for_and_possible(
        self, ollama: FakeOllama, model: str, of_client: Any, of_call: Any, sent: Any
    ) -> None:
        ollama.models["gpt-oss:20b"] = shown(capabilities=["completion", "thinking"], architecture="gptoss")
        ask(Ollama(model, host=ollama.url, think=of_client), think=of_call)
        assert ollama.chats[0].get("think") == sent

    def test_a_model_that_cannot_think_is_said_once(
        self, ollama: FakeOllama, caplog: pytest.LogCaptureFixture
    ) -> None:
        with closing(Ollama("tiny", host=ollama.url)) as client:
            for think in (False, True, True):
                client.complete([user("?")], Options(think=think))
        assert [record.getMessage() for record in caplog.records] == [
            f"Ollama at {ollama.url}: tiny cannot think; it goes on without."
        ]

    def test_a_refusal_to_think_is_remembered(self, ollama: FakeOllama) -> None:
        del ollama.models["tiny:latest"]["capabilities"]  # as an older Ollama, which does not tell them
        with closing(Ollama("tiny", host=ollama.url)) as client:
            for _ in range(2):
                assert client.complete([user("?")], Options(think=True)).text == "echo: ?"
        assert [chat.get("think") for chat in ollama.chats] == [True, None, None]
        assert ollama.violations.pop() == '"tiny" does not support thinking'

    def test_a_model_that_is_no_chat_model_is_said_at_once(self, ollama: FakeOllama) -> None:
        ollama.models["nomic:latest"] = shown(capabilities=["embedding"])
        with closing(Ollama("nomic", host=ollama.url)) as client, pytest.raises(RequestRefused) as caught:
            client.window()
        assert '"nomic"' in str(caught.value)
        assert "no chat model" in str(caught.value)

    def test_a_missing_model_is_pulled_where_that_is_wanted(self, ollama: FakeOllama) -> None:
        ollama.library["new:latest"] = shown(length=4000)
        seen: list[tuple[int, int, str]] = []
        with closing(Ollama("new", host=ollama.url, pull=True)) as client:
            client.prepare(lambda *progress: seen.append(progress))
            assert client.window() == 4000
        assert [(done, size) for done, size, _ in seen] == [
            (0, 100),
            (50, 100),
            (100, 100),
            (100, 100),
            (100, 100),
        ]
        assert ask(Ollama("new", host=ollama.url, pull=True)) == "echo: ?"
        assert [route for route, _ in ollama.requests].count("POST /api/pull") == 1

    @pytest.mark.parametrize("call", ["window", "prepare", "complete"])
    def test_a_pull_that_fails_says_why(self, ollama: FakeOllama, call: str) -> None:
        with (
            closing(Ollama("nope", host=ollama.url, pull=True)) as client,
            pytest.raises(ModelNotFound) as caught,
        ):
            getattr(client, call)(*([[user("?")], Options()] if call == "complete" else []))
        assert str(caught.value).endswith('could not pull "nope": pull model manifest: file does not exist')

    def test_preparing_loads_the_model_as_the_calls_will_want_it(self, ollama: FakeOllama) -> None:
        with closing(Ollama("tiny", host=ollama.url)) as client:
            client.prepare()
            assert ollama.loads == ["tiny:latest"]
            client.complete([user("?")], Options(max_tokens=7, temperature=0.1))
        assert ollama.loads == ["tiny:latest"]

    def test_a_model_in_the_cloud_is_not_loaded(self, ollama: FakeOllama) -> None:
        ollama.models["tiny:latest"] = {**shown(), "remote_host": "https://ollama.com"}
        with closing(Ollama("tiny", host=ollama.url)) as client:
            client.prepare()
            assert ollama.chats == []
            assert client.complete([user("?")], Options()).text == "echo: ?"
        assert "GET /api/ps" not in [route for route, _ in ollama.requests]

    def test_preparing_can_be_cancelled(self, ollama: FakeOllama) -> None:
        ollama.load_seconds = 3
        cancel = Cancel()
        threading.Timer(0.2, cancel.set).start()
        began = time.monotonic()
        with closing(Ollama("tiny", host=ollama.url)) as client, pytest.raises(Cancelled):
            client.prepare(cancel=cancel)
        assert time.monotonic() - began < 2

    def test_a_window_other_than_asked_for_is_said_once(
        self, ollama: FakeOllama, caplog: pytest.LogCaptureFixture
    ) -> None:
        ollama.most_context = 2048
        with closing(Ollama("tiny", host=ollama.url)) as client:
            for _ in range(2):
                client.complete([user("?")], Options())
        told = "has loaded tiny with a window of 2048 tokens, not the 8192 that it was asked for"
        assert caplog.text.count(told) == 1

    def test_no_prompt_is_cut_in_silence(self, ollama: FakeOllama) -> None:
        with closing(Ollama("tiny", host=ollama.url)) as client, pytest.raises(ContextOverflow) as caught:
            client.complete([user("word " * 10_000)], Options())
        assert (caught.value.prompt_tokens, caught.value.window) == (12_500, 8192)
        assert ollama.cut == 0

    def test_the_stand_in_cuts_a_prompt_that_does_not_forbid_it(self, ollama: FakeOllama) -> None:
        import httpx2

        body = {"model": "tiny", "messages": [user("Question?"), user("word " * 10_000)], "stream": True}
        settings = {"num_ctx": 4096, "num_predict": 9}
        reply = httpx2.post(f"{ollama.url}/api/chat", json=body | {"options": settings}, trust_env=False)
        assert reply.status_code == 200
        assert ollama.cut == 1
        assert "Question?" not in reply.text

    def test_a_reply_spent_on_thinking_is_asked_for_without(self, ollama: FakeOllama) -> None:
        ollama.replies = [Reply("", thinking="hm hm", finish="length")]
        assert ask(Ollama("thinker:4b", host=ollama.url)) == "echo: ?"
        assert [chat.get("think") for chat in ollama.chats] == [None, False]

    def test_the_model_is_asked_about_once(self, ollama: FakeOllama) -> None:
        with closing(Ollama("tiny", host=ollama.url)) as client:
            assert client.window() == 8192
            client.complete([user("?")], Options())
            client.complete([user("?")], Options())
        ask(Ollama("tiny:latest", host=ollama.url))
        assert [route for route, _ in ollama.requests].count("POST /api/show") == 1

    def test_root_and_sub_ask_for_the_same_window(self, ollama: FakeOllama) -> None:
        ollama.models["tiny:latest"] = shown(length=200_000, layers=10**9)
        for client in (Ollama("tiny", host=ollama.url), Ollama("tiny", host=ollama.url)):
            ask(client)
            ollama.loaded = {"tiny:latest": 65536}
        assert [chat["options"]["num_ctx"] for chat in ollama.chats] == [fit.MINIMUM] * 2

    def test_a_window_that_is_loaded_already_fits(self, ollama: FakeOllama) -> None:
        ollama.models["tiny:latest"] = shown(length=200_000, layers=10**9)
        ollama.loaded = {"tiny:latest": 65536}
        with closing(Ollama("tiny", host=ollama.url)) as client:
            assert client.window() == 65536

    def test_an_explicit_window_is_obeyed_beyond_the_memory(
        self, ollama: FakeOllama, caplog: pytest.LogCaptureFixture
    ) -> None:
        ollama.models["tiny:latest"] = shown(length=200_000, layers=10**9)
        ask(Ollama("tiny", host=ollama.url, num_ctx=150_000))
        assert ollama.chats[0]["options"]["num_ctx"] == 150_000
        assert "may not fit in memory" in caplog.text

    def test_an_explicit_window_stops_at_the_models_length(
        self, ollama: FakeOllama, caplog: pytest.LogCaptureFixture
    ) -> None:
        ask(Ollama("tiny", host=ollama.url, num_ctx=9000))
        assert ollama.chats[0]["options"]["num_ctx"] == 8192
        assert "num_ctx=9000 is beyond tiny, which has 8192" in caplog.text

    def test_an_explicit_window_holds_for_every_client_from_then_on(
        self, ollama: FakeOllama, caplog: pytest.LogCaptureFixture
    ) -> None:
        with closing(Ollama("tiny", host=ollama.url)) as first:
            first.complete([user("?")], Options())
            ask(Ollama("tiny", host=ollama.url, num_ctx=5000))
            first.complete([user("?")], Options())
            assert first.window() == 5000
        assert [chat["options"]["num_ctx"] for chat in ollama.chats] == [8192, 5000, 5000]
        assert "5000 from now on" in caplog.text

    def test_a_model_that_runs_elsewhere_is_not_measured_by_this_memory(self, ollama: FakeOllama) -> None:
        ollama.models["tiny:latest"] = {
            **shown(length=200_000, layers=10**9),
            "remote_host": "https://ollama.com",
        }
        with closing(Ollama("tiny", host=ollama.url)) as client:
            assert client.window() == fit.NUM_CTX

    def test_a_missing_model_is_named_with_its_near_misses(self, ollama: FakeOllama) -> None:
        ollama.models["qwen3:4b"] = shown()
        with pytest.raises(ModelNotFound) as caught:
            ask(Ollama("qwen3:4", host=ollama.url))
        assert '"ollama pull qwen3:4"' in str(caught.value)
        assert "qwen3:4b" in str(caught.value)
        assert ollama.chats == []

    def test_a_line_separator_in_the_text_ends_no_line(self, ollama: FakeOllama) -> None:
        ollama.replies = [Reply("one\u0085two\u2028three\x0cfour")]
        assert ask(Ollama("tiny", host=ollama.url)) == "one\u0085two\u2028three\x0cfour"

    def test_too_little_memory_is_said_and_not_tried_again(self, ollama: FakeOllama) -> None:
        said = "model requires more system memory (9.6 GiB) than is available (7.1 GiB)"
        ollama.chat_error = (500, {"error": said})
        with pytest.raises(RequestRefused, match="smaller num_ctx"):
            ask(Ollama("tiny", host=ollama.url))
        assert ollama.errors_sent == 1

    def test_the_unreachable_server_is_named_with_what_to_do(self) -> None:
        with pytest.raises(Unreachable, match=r'Is "ollama serve" running\?.*OLLAMA_HOST') as caught:
            ask(Ollama("tiny", host=f"127.0.0.1:{closed_port()}"))
        assert "\n" not in str(caught.value)

    def test_the_window_of_an_unreachable_server_is_an_error(self) -> None:
        with closing(Ollama("tiny", host=f"127.0.0.1:{closed_port()}")) as client, pytest.raises(Unreachable):
            client.window()

    def test_available_names_the_installed_models(self, ollama: FakeOllama) -> None:
        with closing(Ollama("tiny", host=ollama.url)) as client:
            assert client.available() == ["tiny:latest", "thinker:4b"]

    def test_a_silent_server_does_not_hold_up_available(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rlm.clients.ollama.AVAILABLE_TIMEOUT", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            start = time.monotonic()
            client = Ollama("tiny", host=f"127.0.0.1:{silent.getsockname()[1]}")
            with closing(client), pytest.raises(ClientError):
                client.available()
            assert time.monotonic() - start < 1

    def test_a_url_names_host_and_model(self, ollama: FakeOllama) -> None:
        client = Ollama(f"{ollama.url}/tiny", host="elsewhere")
        assert (client.host, client.model) == (ollama.url, "tiny")
        assert ask(client, user("hi")) == "echo: hi"

    @pytest.mark.parametrize("name", ["", "  ", "http://server:11434/"])
    def test_an_empty_name_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError):
            Ollama(name)

    def test_a_window_of_nothing_is_refused(self) -> None:
        with pytest.raises(ConfigurationError):
            Ollama("tiny", num_ctx=0)

    @pytest.mark.parametrize(
        ("host", "sent"), [("https://ollama.com", True), ("http://ollama.example", False)]
    )
    def test_the_key_goes_to_https_alone(
        self, host: str, sent: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OLLAMA_API_KEY", KEY)
        http = Server(ollama_host(host)).connect()
        assert (http.headers.get("authorization") == f"Bearer {KEY}") == sent
        wire.run(http.aclose())

    @pytest.mark.parametrize(
        ("value", "url"),
        [
            ("", "http://127.0.0.1:11434"),
            ("1.2.3.4", "http://1.2.3.4:11434"),
            (":56789", "http://127.0.0.1:56789"),
            ("1.2.3.4:56789", "http://1.2.3.4:56789"),
            ("http://1.2.3.4", "http://1.2.3.4:80"),
            ("https://1.2.3.4", "https://1.2.3.4:443"),
            ("https://1.2.3.4:56789", "https://1.2.3.4:56789"),
            ("example.com", "http://example.com:11434"),
            ("http://example.com/", "http://example.com:80"),
            ("example.com:56789/path/", "http://example.com:56789/path"),
            ("example.com/path", "http://example.com:11434/path"),
            ("ollama.com", "https://ollama.com:443"),
            ("[2001:db8::1]", "http://[2001:db8::1]:11434"),
            ("2001:db8::1", "http://[2001:db8::1]:11434"),
            ("https://[2001:db8::1]:56789/path", "https://[2001:db8::1]:56789/path"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
            (' "server:8080" ', "http://server:8080"),
            ("server:66000", "http://server:11434"),
            ("server:port", "http://server:11434"),
        ],
    )
    def test_a_host_means_what_it_means_to_ollama(
        self, value: str, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert ollama_host(value) == url
        monkeypatch.setenv("OLLAMA_HOST", value)
        assert ollama_host() == url
        assert Ollama("tiny").host == url

    def test_an_address_of_another_kind_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="ftp"):
            ollama_host("ftp://server")

    @pytest.mark.parametrize("value", ["http://me:secret@server:11434", "me:secret@server"])
    def test_an_address_with_a_password_is_refused_without_showing_it(self, value: str) -> None:
        with pytest.raises(ConfigurationError, match="a user or a password") as caught:
            ollama_host(value)
        assert "secret" not in str(caught.value)
        assert "@server" in str(caught.value)


class TestFit:
    # figures of real models, from their /api/show
    QWEN3_4B = {  # noqa: RUF012
        "general.architecture": "qwen3",
        "qwen3.context_length": 40960,
        "qwen3.block_count": 36,
        "qwen3.embedding_length": 2560,
        "qwen3.attention.head_count": 32,
        "qwen3.attention.head_count_kv": 8,
        "qwen3.attention.key_length": 128,
        "qwen3.attention.value_length": 128,
    }

    def test_the_cache_of_qwen3_4b_takes_144_kib_a_token(self) -> None:
        assert fit.kv_bytes_per_token(self.QWEN3_4B) == 144 * 1024

    def test_the_head_size_follows_from_the_embedding(self) -> None:
        info = {k: v for k, v in self.QWEN3_4B.items() if not k.endswith(("key_length", "value_length"))}
        assert fit.kv_bytes_per_token({**info, "qwen3.embedding_length": 4096}) == 144 * 1024

    def test_layers_may_have_heads_of_their_own(self) -> None:
        heads = [8] * 18 + [0] * 18
        assert fit.kv_bytes_per_token({**self.QWEN3_4B, "qwen3.attention.head_count_kv": heads}) == 72 * 1024

    def test_unknown_metadata_gives_no_size(self) -> None:
        assert ModelFacts.read({}) == ModelFacts()
        assert ModelFacts.read({"model_info": {"general.architecture": "x"}}).kv_bytes is None

    @pytest.mark.parametrize(
        ("asked", "length", "memory", "loaded", "chosen"),
        [
            pytest.param(131072, 40960, None, 0, 40960, id="model-is-shorter"),
            pytest.param(8000, 40960, 2**40, 0, 8000, id="ceiling"),
            pytest.param(131072, None, 2**40, 0, 131072, id="length-unknown"),
            pytest.param(131072, 131072, 2**30, 0, 12 * 1024, id="memory"),
            pytest.param(131072, 131072, 0, 0, fit.MINIMUM, id="no-memory"),
            pytest.param(131072, 2048, 0, 0, 2048, id="no-memory-and-short"),
            pytest.param(131072, 131072, 0, 32768, 32768, id="loaded"),
        ],
    )
    def test_the_window_is_the_smallest_limit(
        self, asked: int, length: int | None, memory: int | None, loaded: int, chosen: int
    ) -> None:
        facts = ModelFacts(length=length, kv_bytes=64 * 1024)
        assert fit.choose(asked, facts, memory=memory, loaded=loaded) == chosen

    @pytest.mark.skipif(sys.platform == "win32", reason="not known there")
    def test_this_machine_has_memory(self) -> None:
        assert 2**20 < (fit.available_memory() or 0) < 2**50


class TestOpenAI:
    def test_the_request_to_a_compatible_server(self, openai: FakeOpenAI) -> None:
        client = OpenAI("m", base_url=f"{openai.url}/v1")
        ask(client, SYSTEM, user("Hi"), max_tokens=77, temperature=0.6)
        assert openai.chats == [
            {
                "model": "m",
                "messages": [SYSTEM, user("Hi")],
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_tokens": 77,
                "temperature": 0.6,
            }
        ]

    def test_openai_itself_is_sent_max_completion_tokens(self) -> None:
        body = OpenAI("gpt-6-luna")._body([user("Hi")], Options(max_tokens=77))
        assert body["max_completion_tokens"] == 77
        assert not {"max_tokens", "temperature"} & set(body)

    def test_a_refused_parameter_is_left_out_from_then_on(self, openai: FakeOpenAI) -> None:
        openai.refuses = frozenset(("temperature", "max_tokens"))
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            for _ in range(2):
                completion = client.complete([user("hi")], Options(max_tokens=5, temperature=0.6))
                assert completion.text == "echo: hi"
        first, second, *answered = openai.chats
        assert {"temperature", "max_tokens"} <= set(first)
        assert len({frozenset(chat) for chat in (first, second)}) == 2
        assert len(answered) == 2
        for chat in answered:
            assert chat["max_completion_tokens"] == 5
            assert not {"temperature", "max_tokens"} & set(chat)

    def test_the_likeliest_first_tokens(self, openai: FakeOpenAI) -> None:
        openai.likely = [{"Yes": -0.1, "no": -2.5, "?": -9999.0}, {"sir": -0.2}]
        openai.replies = [Reply("Yes sir", thinking="Well well.")]
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            assert client.complete([user("Hi")], Options(likely=20)).likely == {
                "Yes": -0.1,
                "no": -2.5,
                "?": -9999.0,
            }
        assert (openai.chats[0]["logprobs"], openai.chats[0]["top_logprobs"]) == (True, 20)

    @pytest.mark.parametrize("refused", ["logprobs", "top_logprobs"])
    def test_a_server_that_tells_no_likelihoods_replies_without(
        self, openai: FakeOpenAI, refused: str
    ) -> None:
        openai.refuses = frozenset((refused,))
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            for _ in range(2):
                assert client.complete([user("hi")], Options(likely=20)).text == "echo: hi"
        assert ["top_logprobs" in chat for chat in openai.chats] == [True, False, False]
        assert not any("logprobs" in chat for chat in openai.chats[1:])

    @pytest.mark.parametrize("told", [[0.5], {"tokens": ["Yes"]}, {"content": 5}, "Yes", 0.5, True])
    def test_likelihoods_in_another_form_do_no_harm(self, openai: FakeOpenAI, told: Any) -> None:
        openai.logprobs = lambda: told  # type: ignore[method-assign]
        openai.likely = [{"Yes": -0.1}]
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            reply = client.complete([user("hi")], Options(likely=20))
        assert (reply.text, reply.likely) == ("echo: hi", {})

    def test_a_cloud_is_not_asked_for_likelihoods(self) -> None:
        body = OpenAI("m", base_url="https://cloud.example/v1", api_key="k")._body(
            [user("Hi")], Options(likely=20)
        )
        assert not {"logprobs", "top_logprobs"} & set(body)

    def test_without_its_usage_a_reply_is_estimated(self, openai: FakeOpenAI) -> None:
        openai.refuses = frozenset(("stream_options",))
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            usage = client.complete([user("hi")], Options()).usage
        assert usage.completion_tokens == 2
        assert usage.estimated_tokens == usage.prompt_tokens + usage.completion_tokens

    @pytest.mark.parametrize(
        "refused",
        [
            {"temperature"},
            {"max_tokens"},
            {"max_tokens", "max_completion_tokens"},
            {"reasoning_effort"},
            {"stream_options"},
        ],
        ids=["temperature", "limit", "both-limits", "effort", "usage"],
    )
    def test_many_threads_learn_what_is_refused(self, openai: FakeOpenAI, refused: set[str]) -> None:
        openai.refuses = frozenset(refused)
        options = Options(temperature=0.6, think="low")
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            with ThreadPoolExecutor(8) as threads:
                replies = list(
                    threads.map(lambda n: client.complete([user(str(n))], options).text, range(24))
                )
            assert replies == [f"echo: {n}" for n in range(24)]
            before = len(openai.chats)
            assert before <= 24 + 8 * len(refused)
            copy = pickle.loads(pickle.dumps(client))
            assert ask(copy, temperature=0.6, think="low") == "echo: ?"
            assert len(openai.chats) == before + 1

    @pytest.mark.parametrize(
        ("think", "sent"),
        [(None, None), (False, "none"), (True, "medium"), ("low", "low"), ("xhigh", "xhigh")],
    )
    def test_thinking_is_an_effort(self, openai: FakeOpenAI, think: Any, sent: str | None) -> None:
        ask(OpenAI("m", base_url=f"{openai.url}/v1"), think=think)
        assert openai.chats[0].get("reasoning_effort") == sent

    def test_a_model_that_must_think_thinks_as_little_as_it_can(self, openai: FakeOpenAI) -> None:
        openai.efforts = ("low", "medium", "high")
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            for think in (False, False, True, "high", "minimal"):
                assert client.complete([user("hi")], Options(think=think)).text == "echo: hi"
        sent = [chat.get("reasoning_effort") for chat in openai.chats]
        assert sent == ["none", "low", "low", "medium", "high", None]

    @pytest.mark.parametrize(("think", "warned"), [(False, False), ("low", True), (True, True)])
    def test_a_model_that_cannot_think_is_not_asked_to(
        self, openai: FakeOpenAI, think: Any, warned: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        openai.refuses = frozenset(("reasoning_effort",))
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            for _ in range(2):
                assert client.complete([user("hi")], Options(think=think)).text == "echo: hi"
        assert len(openai.chats) == 3
        assert ("does not take reasoning_effort" in caplog.text) == warned

    def test_a_parameter_that_was_not_sent_is_not_left_out(self, openai: FakeOpenAI) -> None:
        openai.replies = [Reply(failure="refused")]
        with pytest.raises(RequestRefused):
            ask(OpenAI("temperature", base_url=f"{openai.url}/v1", api_key="temperature"))
        assert len(openai.chats) == 1

    def test_reasoning_tokens_are_counted(self, openai: FakeOpenAI) -> None:
        openai.replies = [Reply("Four.", thinking="Two and two.")]
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            usage = client.complete([user("?")], Options()).usage
        assert (usage.completion_tokens, usage.reasoning_tokens) == (4, 3)

    def test_thinking_has_a_second_name(self, openai: FakeOpenAI) -> None:
        openai.thinking_field = "reasoning"
        openai.replies = [Reply("Four.", thinking="Two and two.")]
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            assert client.complete([user("?")], Options()).thinking == "Two and two."

    def test_the_key_in_the_environment_stays_away_from_other_servers(
        self, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        ask(OpenAI("m", base_url=f"{openai.url}/v1"))
        assert KEY not in str(openai.headers)

    def test_the_environment_names_address_and_key(
        self, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{openai.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
        ask(OpenAI("m"))
        assert openai.headers[0]["authorization"] == f"Bearer {KEY}"

    def test_a_missing_key_is_named(self) -> None:
        with pytest.raises(ConfigurationError, match="GROQ_API_KEY"):
            ask(OpenAI("m", base_url="https://groq.example/v1", label="Groq", variable="GROQ_API_KEY"))

    @pytest.mark.parametrize("key", ["sk-se\ncret-0123456789", "sk-secret-0123456789é"])
    def test_a_key_that_cannot_be_one_is_refused_unseen(self, key: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            ask(OpenAI("m", base_url="https://api.example/v1", api_key=key))
        assert "0123456789" not in str(caught.value)

    @pytest.mark.parametrize(
        "key", ["max_model_len", "context_length", "context_window", "max_context_length"]
    )
    def test_the_window_is_what_the_server_tells(self, openai: FakeOpenAI, key: str) -> None:
        openai.models = {"data": [{"id": "other", key: 1}, {"id": "m", key: 12_345}]}
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            assert [client.window(), client.window()] == [12_345, 12_345]
            assert pickle.loads(pickle.dumps(client)).window() == 12_345
        assert openai.requests == [("GET /v1/models", {})]

    @pytest.mark.parametrize(
        ("models", "window"),
        [
            pytest.param([{"id": "m", "context_length": 9000}], 9000, id="a-bare-list"),
            pytest.param({"data": [{"id": "x.gguf", "max_model_len": 9000}]}, 9000, id="a-single-model"),
            pytest.param(
                {"data": [{"id": "m", "meta": {"n_ctx": 9000, "n_ctx_train": 1}}]}, 9000, id="llama.cpp"
            ),
            pytest.param({"data": [{"id": "m", "meta": {"n_ctx_train": 40960}}]}, 4096, id="llama.cpp-older"),
            pytest.param({"data": [{"id": "m"}]}, None, id="not-told"),
            pytest.param({"data": [{"id": "a", "context_length": 1}, {"id": "b"}]}, None, id="others"),
            pytest.param({"data": [{"id": "m", "context_length": "long"}]}, None, id="no-number"),
            pytest.param({"data": [{"id": "m", "context_length": 0}]}, None, id="nothing"),
            pytest.param({"models": []}, None, id="another-shape"),
            pytest.param("no", None, id="no-object"),
        ],
    )
    def test_the_window_is_found_or_not_known(
        self, openai: FakeOpenAI, models: Any, window: int | None
    ) -> None:
        openai.models = models
        openai.props = {"default_generation_settings": {"n_ctx": 4096}}
        with closing(OpenAI("m", base_url=f"{openai.url}/v1")) as client:
            assert client.window() == window
            assert client.complete([user("hi")], Options()).text == "echo: hi"

    def test_lm_studio_tells_the_window_at_another_address(self, openai: FakeOpenAI) -> None:
        openai.lm_studio = {
            "data": [{"id": "m", "state": "loaded", "max_context_length": 9, "loaded_context_length": 4096}]
        }
        with closing(OpenAI("m", base_url=f"{openai.url}/v1/")) as client:
            assert client.window() == 4096

    def test_the_window_that_the_caller_gives_is_not_asked_for(self, openai: FakeOpenAI) -> None:
        with closing(OpenAI("m", base_url=f"{openai.url}/v1", window=8192)) as client:
            assert client.window() == 8192
        assert openai.requests == []

    @pytest.mark.parametrize(
        ("model", "window"),
        [
            ("gpt-4o-mini", 128_000),
            ("gpt-4.1-nano", 1_047_576),
            ("gpt-4", 8_192),
            ("o3-mini", 200_000),
            ("gpt-5-mini", 272_000),
            ("gpt-6-luna", 922_000),
            ("another", None),
        ],
    )
    def test_the_window_of_openais_models_is_known_by_their_names(
        self, model: str, window: int | None
    ) -> None:
        assert OpenAI(model, api_key=KEY).window() == window

    @pytest.mark.parametrize("client", [OpenAI, Anthropic])
    def test_a_server_that_does_not_answer_does_not_hold_up_the_window(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rlm.clients.sdk.WINDOW_TIMEOUT", 0.1)
        start = time.monotonic()
        with closing(client("m", base_url=f"http://127.0.0.1:{closed_port()}", api_key=KEY)) as nowhere:
            assert nowhere.window() is None
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with closing(client("m", base_url=url, api_key=KEY)) as waiting:
                assert waiting.window() is None
        assert client("m", base_url="https://api.example/v1").window() is None  # without a key
        assert time.monotonic() - start < 1

    def test_the_secrets_in_an_address_are_not_shown(self) -> None:
        client = OpenAI("m", base_url=f"http://me:{KEY}@127.0.0.1:{closed_port()}/v1?key={KEY}")
        with pytest.raises(Unreachable) as caught:
            ask(client)
        assert KEY not in f"{caught.value} {client!r} {client.server}"
        assert "http://127.0.0.1:" in str(caught.value)


class TestFinishReasons:
    @pytest.mark.parametrize(
        ("said", "taken"),
        [("eos", "stop"), ("tool_calls", "stop"), ("length", "length"), ("model_length", "length")],
    )
    def test_other_servers_words_are_understood(self, said: Any, taken: str, openai: FakeOpenAI) -> None:
        openai.replies = [Reply("half", finish=said)]
        client = OpenAI("m", base_url=f"{openai.url}/v1", api_key="k")
        with closing(client):
            assert client.complete([user("?")], Options()).finish_reason == taken

    @pytest.mark.parametrize("said", ["error", "insufficient_system_resource"])
    def test_a_reply_that_was_broken_off_is_asked_for_again(self, said: Any, openai: FakeOpenAI) -> None:
        openai.replies = [Reply("half", finish=said), Reply("whole")]
        assert ask(OpenAI("m", base_url=f"{openai.url}/v1", api_key="k")) == "whole"


class TestOpenRouter:
    @pytest.fixture
    def openrouter(self) -> Iterator[FakeServer]:
        yield from serving(FakeOpenRouter())

    @pytest.mark.parametrize(
        ("think", "sent"),
        [(None, None), (False, {"effort": "none"}), (True, {"effort": "medium"}), ("low", {"effort": "low"})],
    )
    def test_thinking_is_its_reasoning(self, openrouter: FakeOpenRouter, think: Any, sent: Any) -> None:
        ask(OpenRouter("m", base_url=f"{openrouter.url}/v1"), think=think)
        assert openrouter.chats[0].get("reasoning") == sent

    def test_thinking_that_is_mandatory_is_kept_low(self, openrouter: FakeOpenRouter) -> None:
        openrouter.mandatory = True
        with closing(OpenRouter("m", base_url=f"{openrouter.url}/v1")) as client:
            for think in (False, False, "high"):
                assert client.complete([user("hi")], Options(think=think)).text == "echo: hi"
        sent = [chat["reasoning"]["effort"] for chat in openrouter.chats]
        assert sent == ["none", "minimal", "minimal", "high"]

    def test_instructions_and_the_end_of_a_conversation_are_marked_for_claude(
        self, openrouter: FakeOpenRouter
    ) -> None:
        def marked(text: str) -> list[dict[str, Any]]:
            return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]

        client = OpenRouter("anthropic/claude", base_url=f"{openrouter.url}/v1")
        with closing(client):
            client.complete([SYSTEM, user("Hi"), assistant("Hello"), user("Bye")], Options())
            client.complete([SYSTEM, user("Hi")], Options())
            client.complete([user("Hi"), assistant("Hello"), user(" ")], Options())
            client.complete([SYSTEM] * 5 + [user("Hi")], Options())
        first, second, third, _ = (
            [message["content"] for message in chat["messages"]] for chat in openrouter.chats
        )
        assert first == [marked("Be brief."), "Hi", "Hello", marked("Bye")]
        assert second == [marked("Be brief."), "Hi"]
        assert third == ["Hi", "Hello", " "]

    def test_other_models_cache_unasked(self, openrouter: FakeOpenRouter) -> None:
        ask(
            OpenRouter("openai/gpt", base_url=f"{openrouter.url}/v1"),
            SYSTEM,
            user("a"),
            assistant("b"),
            user("c"),
        )
        assert openrouter.chats[0]["messages"] == [SYSTEM, user("a"), assistant("b"), user("c")]


class TestAnthropic:
    def test_the_request(self, anthropic: FakeAnthropic) -> None:
        ask(
            Anthropic("m", base_url=anthropic.url, api_key=KEY),
            SYSTEM,
            user("Hi"),
            max_tokens=77,
            temperature=0.6,
        )
        assert anthropic.chats == [
            {
                "model": "m",
                "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
                "messages": [user("Hi")],
                "max_tokens": 77,
                "stream": True,
            }
        ]

    def test_the_end_of_a_conversation_is_cached(self, anthropic: FakeAnthropic) -> None:
        client = Anthropic("m", base_url=anthropic.url, api_key=KEY)
        ask(client, user("Hi"), assistant("Hello"), user("Bye"))
        assert anthropic.chats[0]["cache_control"] == {"type": "ephemeral"}
        assert "system" not in anthropic.chats[0]

    def test_neighbours_of_one_role_are_joined(self, anthropic: FakeAnthropic) -> None:
        client = Anthropic("m", base_url=anthropic.url, api_key=KEY)
        assert ask(client, SYSTEM, user("a"), user("b"), assistant("c"), user("d")) == "echo: d"
        assert anthropic.chats[0]["messages"] == [user("a\n\nb"), assistant("c"), user("d")]

    def test_joining_leaves_the_callers_messages_alone(self) -> None:
        messages = [user("a"), user("b")]
        merged(messages)
        assert messages == [user("a"), user("b")]

    def test_a_stopped_reply_knows_its_true_prompt(self, anthropic: FakeAnthropic) -> None:
        anthropic.replies = [Reply(endless=True)]
        with closing(Anthropic("m", base_url=anthropic.url, api_key=KEY)) as client:
            usage = client.complete([user("?")], Options(until=lambda text: len(text) >= 35)).usage
        assert (usage.prompt_tokens, usage.cached_tokens) == (PROMPT_TOKENS, CACHED_TOKENS)
        assert usage.estimated_tokens == usage.completion_tokens >= 10

    @pytest.mark.parametrize(
        ("think", "thinking", "output"),
        [
            (None, None, None),
            (False, {"type": "disabled"}, None),
            (True, {"type": "adaptive"}, None),
            ("low", {"type": "adaptive"}, {"effort": "low"}),
        ],
    )
    def test_thinking_is_a_kind_and_an_effort(
        self, anthropic: FakeAnthropic, think: Any, thinking: Any, output: Any
    ) -> None:
        ask(Anthropic("m", base_url=anthropic.url, api_key=KEY), think=think)
        assert (anthropic.chats[0].get("thinking"), anthropic.chats[0].get("output_config")) == (
            thinking,
            output,
        )

    def test_an_older_model_is_given_a_budget(
        self, anthropic: FakeAnthropic, caplog: pytest.LogCaptureFixture
    ) -> None:
        anthropic.thinking, anthropic.takes_effort = ("enabled", "disabled"), False
        with closing(Anthropic("m", base_url=anthropic.url, api_key=KEY)) as client:
            for tokens in (4000, 1100, 1024):
                assert (
                    client.complete([user("hi")], Options(max_tokens=tokens, think="high")).text == "echo: hi"
                )
            client.complete([user("hi")], Options(think=False))
        sent = [chat.get("thinking") for chat in anthropic.chats[2:]]
        budgets = [{"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 1024}]
        assert sent == [*budgets, None, {"type": "disabled"}]
        assert "output_config" not in anthropic.chats[-2]
        assert "does not take output_config" in caplog.text
        assert "does not take thinking" not in caplog.text

    def test_a_model_that_cannot_but_think_is_left_to_it(self, anthropic: FakeAnthropic) -> None:
        anthropic.thinking = ("adaptive",)
        with closing(Anthropic("m", base_url=anthropic.url, api_key=KEY)) as client:
            for think in (False, False, True):
                assert client.complete([user("hi")], Options(think=think)).text == "echo: hi"
        sent = [chat.get("thinking") for chat in anthropic.chats]
        assert sent == [{"type": "disabled"}, None, None, {"type": "adaptive"}]

    def test_thinking_tokens_are_counted(self, anthropic: FakeAnthropic) -> None:
        anthropic.replies = [Reply("Four.", thinking="Two and two.")]
        with closing(Anthropic("m", base_url=anthropic.url, api_key=KEY)) as client:
            usage = client.complete([user("?")], Options()).usage
        assert (usage.completion_tokens, usage.reasoning_tokens) == (4, 3)

    def test_a_refusal_is_an_error_with_its_tokens(self, anthropic: FakeAnthropic) -> None:
        anthropic.replies = [Reply("No", finish="refusal")]
        with pytest.raises(RequestRefused, match="declined") as caught:
            ask(Anthropic("m", base_url=anthropic.url, api_key=KEY))
        assert caught.value.usage == Usage(PROMPT_TOKENS, 1, CACHED_TOKENS)

    def test_the_window_is_what_the_server_tells(self, anthropic: FakeAnthropic) -> None:
        with closing(Anthropic("m", base_url=anthropic.url, api_key=KEY)) as client:
            assert [client.window(), client.window()] == [123_000, 123_000]
        assert anthropic.requests == [("GET /v1/models/m", {})]

    @pytest.mark.parametrize("facts", [{"id": "m", "max_input_tokens": None}, {"id": "m"}, []])
    def test_a_window_that_is_not_told_is_not_known(self, anthropic: FakeAnthropic, facts: Any) -> None:
        anthropic.facts = facts
        with closing(Anthropic("m", base_url=anthropic.url, api_key=KEY)) as client:
            assert client.window() is None

    def test_every_claude_has_a_window(self) -> None:
        client = Anthropic("claude-haiku-4-5", base_url=f"http://127.0.0.1:{closed_port()}", api_key=KEY)
        with closing(client):
            assert client.window() == 200_000

    @pytest.mark.parametrize(
        ("messages", "turns"),
        [
            pytest.param([user("")], [user("(empty)")], id="empty"),
            pytest.param([user("a"), assistant(" "), user("b")], [user("a\n\nb")], id="empty-between"),
            pytest.param([assistant("a")], [user("(empty)"), assistant("a")], id="assistant-first"),
            pytest.param([user("a"), assistant("b \n")], [user("a"), assistant("b")], id="blanks-at-the-end"),
        ],
    )
    def test_messages_are_made_to_fit(self, messages: list[Message], turns: list[Message]) -> None:
        assert merged(messages) == turns

    def test_a_missing_key_is_named(self, anthropic: FakeAnthropic) -> None:
        with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
            ask(Anthropic("m", base_url=anthropic.url))


class TestFailures:
    def failure(self, status: int, said: str) -> ClientError:
        return failures.failure(status, said, server="S", model="m", on_auth="Auth.", on_missing="Missing.")

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, RequestRefused),
            (401, AuthenticationError),
            (402, RequestRefused),
            (403, AuthenticationError),
            (404, ModelNotFound),
            (422, RequestRefused),
            (429, ServerBusy),
            (500, ServerBusy),
            (502, ServerBusy),
            (503, ServerBusy),
            (529, ServerBusy),
        ],
    )
    def test_a_status_means_an_error(self, status: int, kind: type[ClientError]) -> None:
        assert type(self.failure(status, "words")) is kind

    def test_a_quota_used_up_is_no_busy_server(self) -> None:
        assert isinstance(self.failure(429, '{"error": {"code": "insufficient_quota"}}'), RequestRefused)

    @pytest.mark.parametrize(
        ("said", "numbers"),
        [
            pytest.param(
                "prompt is too long: 213462 tokens > 200000 maximum", (213462, 200000), id="anthropic"
            ),
            pytest.param(
                "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
                "(4000 in the messages, 1000 in the completion).",
                (5000, 4096),
                id="vllm",
            ),
            pytest.param(
                "This endpoint's maximum context length is 131072 tokens. However, you requested about "
                "140000 tokens (of text input).",
                (140000, 131072),
                id="openrouter",
            ),
            pytest.param('{"error":{"code":"context_length_exceeded"}}', (None, None), id="groq"),
            pytest.param(
                '{"error":{"type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}',
                (5000, 4096),
                id="llama-server",
            ),
        ],
    )
    def test_an_overflow_is_known_by_its_words(
        self, said: str, numbers: tuple[int | None, int | None]
    ) -> None:
        error = self.failure(400, said)
        assert isinstance(error, ContextOverflow)
        assert (error.prompt_tokens, error.window) == numbers

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ('{"error": {"message": "no"}}', "no"),
            ('{"error": "no"}', "no"),
            ('{"message": "no"}', "no"),
            ('{"detail": "no"}', "no"),
            ('{"error": "{\\"error\\": {\\"message\\": \\"no\\"}}"}', "no"),
            ("<html>\n  no </html>", "<html> no </html>"),
            ('{"error": null}', '{"error": null}'),
            ("[1]", "[1]"),
        ],
    )
    def test_a_servers_words_are_found(self, said: str, message: str) -> None:
        assert failures.quote(said) == message

    def test_long_words_are_cut_in_public(self) -> None:
        assert failures.quote("x" * 400).endswith("x … (100 characters left out)")

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("7", 7.0),
            ("0.5", 0.5),
            ("-3", 0.0),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
            ("soon", None),
            ("", None),
        ],
    )
    def test_retry_after_is_seconds_or_a_date(self, value: str, seconds: float | None) -> None:
        assert failures.retry_after({"retry-after": value}) == seconds

    @pytest.mark.parametrize(
        ("url", "here"),
        [
            ("http://localhost:1", True),
            ("http://127.0.0.5:1", True),
            ("http://[::1]:1", True),
            ("http://10.0.0.1", False),
            ("https://example.com", False),
        ],
    )
    def test_this_machine_is_the_loopback(self, url: str, here: bool) -> None:
        assert failures.on_this_machine(url) is here
