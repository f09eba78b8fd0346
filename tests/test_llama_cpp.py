"""The embedded model, on its real file, which is downloaded where it is missing: `pytest -m model`."""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rlm import RLM, Cancel
from rlm.clients import llama_cpp
from rlm.clients.base import Options
from rlm.clients.llama_cpp import LlamaCpp
from rlm.errors import Cancelled, ConfigurationError, ContextOverflow
from rlm.tasks import niah
from rlm.tasks.scoring import score
from rlm.types import Message

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def client() -> LlamaCpp:
    client = LlamaCpp("qwen2.5-coder-0.5b", window=2048)
    client.prepare()
    return client


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


@pytest.mark.model
def test_it_answers_and_counts(client):
    pieces: list[str] = []
    reply = client.complete(user("Say hello."), Options(max_tokens=8, temperature=0, on_text=pieces.append))
    assert reply.text
    assert reply.text == "".join(pieces)
    assert 0 < reply.usage.completion_tokens <= 8
    assert reply.usage.prompt_tokens > 20
    assert reply.usage.estimated_tokens == 0


@pytest.mark.model
def test_the_likeliest_first_tokens_are_told(client):
    options = Options(max_tokens=4, temperature=0.0, likely=20)
    reply = client.complete(user("Is the sky blue? Reply with yes or no."), options)
    assert len(reply.likely) == 20
    assert sum(map(math.exp, reply.likely.values())) < 1.001
    assert reply.text.startswith(max(reply.likely, key=reply.likely.__getitem__))
    assert not client.complete(user("Is the sky blue?"), Options(max_tokens=4)).likely


@pytest.mark.model
def test_a_reply_that_runs_out_of_tokens_says_so(client):
    reply = client.complete(
        user("Write all the numbers from 1 to 100, with commas: 1, 2, 3"),
        Options(max_tokens=5, temperature=0.0),
    )
    assert reply.finish_reason == "length"


@pytest.mark.model
def test_it_stops_where_it_is_told(client):
    reply = client.complete(
        user("Write all the numbers from 1 to 100, with commas: 1, 2, 3"),
        Options(until=lambda text: len(text) > 20),
    )
    assert reply.finish_reason == "stop"
    assert 20 < len(reply.text) < 60
    assert reply.usage.completion_tokens < 30


@pytest.mark.model
def test_a_prompt_that_extends_the_last_one_comes_from_the_cache(client):
    history = user("Remember these words: " + "tulip harbour violin " * 60)
    first = client.complete(history, Options(max_tokens=8))
    history += [Message(role="assistant", content=first.text), *user("Which was the first?")]
    second = client.complete(history, Options(max_tokens=8))
    assert second.usage.cached_tokens > 0.9 * second.usage.prompt_tokens


@pytest.mark.model
def test_a_new_process_finds_the_instructions_read(tmp_path):
    code = (
        "from rlm.clients.base import Options; from rlm.clients.llama_cpp import LlamaCpp; import sys\n"
        "messages = [{'role': 'system', 'content': 'Answer in one word. ' * 40 + sys.argv[1]},"
        " {'role': 'user', 'content': 'Say hello.'}]\n"
        "print(LlamaCpp('qwen2.5-coder-0.5b').complete(messages, Options(max_tokens=4)).usage.cached_tokens)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    word = tmp_path.name + str(time.time())
    for _ in range(2):
        command = [sys.executable, "-c", code, word]
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert int(process.stdout) > 200
    assert sum(file.suffix == ".part" for file in llama_cpp._prompts_folder().iterdir()) == 0


@pytest.mark.model
def test_the_roots_cache_survives_sub_calls(client):
    history = user("Remember these words: " + "tulip harbour violin " * 60)
    first = client.complete(history, Options(max_tokens=8))
    with ThreadPoolExecutor(4) as pool:
        subs = [user(f"Is this {n} even?\n" + f"{n} " * 50) for n in range(4)]
        list(pool.map(lambda sub: client.complete(sub, Options(max_tokens=4)), subs))
    history += [Message(role="assistant", content=first.text), *user("Which was the first?")]
    assert client.complete(history, Options(max_tokens=4)).usage.cached_tokens > 200


@pytest.mark.model
def test_calls_at_once_share_one_model_and_get_their_own_replies(client):
    with ThreadPoolExecutor(8) as pool:
        prompts = [user(f"Repeat exactly this number and nothing else: {n}") for n in range(1000, 1008)]
        replies = list(
            pool.map(lambda p: client.complete(p, Options(max_tokens=8, temperature=0)).text, prompts)
        )
    assert [str(n) in reply for n, reply in zip(range(1000, 1008), replies, strict=True)].count(True) >= 6
    assert len(llama_cpp._loaded) == 1


@pytest.mark.model
def test_an_overlong_prompt_is_refused_with_both_numbers(client):
    with pytest.raises(ContextOverflow) as caught:
        client.complete(user("word " * 3000), Options())
    assert caught.value.prompt_tokens > 3000
    assert caught.value.window == 2048


@pytest.mark.model
def test_cancelling_ends_a_call_at_once(client):
    cancel = Cancel()
    threading.Timer(0.3, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        client.complete(user("Write a very long story."), Options(max_tokens=2000, cancel=cancel))
    assert time.monotonic() - began < 5
    assert client.complete(user("Say hello."), Options(max_tokens=4)).text


@pytest.mark.model
def test_it_is_picklable(client):
    assert pickle.loads(pickle.dumps(client)).complete(user("Say hello."), Options(max_tokens=4)).text


@pytest.mark.model
def test_a_file_that_is_no_model_is_a_clear_error(tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(ConfigurationError, match=r"cannot load .*broken\.gguf"):
        LlamaCpp(str(tmp_path / "broken.gguf")).prepare()


@pytest.mark.model
def test_a_real_run_finds_the_number():
    sample = niah.sample(1, lines=2000)
    result = RLM("local:qwen2.5-coder-1.5b").completion(sample.question, sample.context)
    assert score(result.answer, sample) == 1.0
    assert result.iterations <= 4


@pytest.mark.model
@pytest.mark.parametrize("sight", [None, "A number is hidden"], ids=["loads", "begins"])
def test_ctrl_c_ends_the_demo_whatever_it_is_doing(sight):
    command = [sys.executable, "-u", str(ROOT / "example_niah.py"), "--model", "local:qwen2.5-coder-1.5b"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    if sight is None:
        time.sleep(1)
    while sight and sight not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_without_the_extra_the_error_names_the_pip_command(tmp_path):
    """A folder that hides xllamacpp, in an interpreter of its own."""
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('not here')")
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(1000))
    code = f"from rlm import RLM; RLM('local:{tmp_path}/x.gguf').completion('?')"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "pip install 'rlm-ollama[local]'" in process.stderr
