"""Which client a model's name means, and what CloudClient makes of it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from servers import FakeAnthropic, FakeOpenAI

from rlm.clients.anthropic import Anthropic
from rlm.clients.ollama import Ollama
from rlm.clients.openai import OpenAI
from rlm.clients.resolve import PROVIDERS, UNSUPPORTED, resolve, split
from rlm.cloud_client import CLOUDS, CloudClient
from rlm.errors import ConfigurationError
from rlm.types import Message

KEY = "sk-secret-0123456789abcdef"
QUESTION = [Message(role="user", content="hi")]


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")) or name == "OLLAMA_HOST":
            monkeypatch.delenv(name)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for every provider."""
    for provider in CLOUDS.values():
        assert provider.variable
        monkeypatch.setenv(provider.variable, f"{KEY}-{provider.prefix}")


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server
    assert server.violations == []


OLLAMA_NAMES = [
    "qwen3:4b",
    "llama3.2",
    "mistral:7b",
    "gemma3:27b-it-qat",
    "gpt-oss:20b",
    "gpt-oss:120b-cloud",
    "openchat:7b",
    "openhermes:latest",
    "openthinker:7b",
    "granite4:3b",
    "command-r:35b",
    "cogito:8b",
    "hf.co/unsloth/Qwen3-4B-GGUF:Q4_K_M",
    "someone/their-model:v2",
    "registry.example:5000/library/name:tag",
    "groq",
    "openai",
]


class TestSplit:
    @pytest.mark.parametrize("name", OLLAMA_NAMES)
    def test_a_name_without_a_known_prefix_is_ollamas(self, name: str) -> None:
        assert split(name) == (PROVIDERS["ollama"], name)

    @pytest.mark.parametrize("prefix", PROVIDERS)
    def test_a_known_prefix_is_a_provider(self, prefix: str) -> None:
        assert split(f"{prefix}:some/model:tag") == (PROVIDERS[prefix], "some/model:tag")
        assert split(f" {prefix.upper()}: name ") == (PROVIDERS[prefix], "name")

    @pytest.mark.parametrize("prefix", PROVIDERS)
    def test_a_prefix_alone_means_the_providers_default(self, prefix: str) -> None:
        assert split(f"{prefix}:") == (PROVIDERS[prefix], PROVIDERS[prefix].default_model)

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("opnai:gpt-4o", "openai:"),
            ("anthropc:claude-haiku-4-5", "anthropic:"),
            ("togther:x", "together:"),
            ("firework:x", "fireworks:"),
            ("open-router:x", "openrouter:"),
        ],
    )
    def test_a_misspelled_prefix_is_caught(self, name: str, meant: str) -> None:
        with pytest.raises(ConfigurationError, match=f'do you mean "{meant}"'):
            split(name)

    @pytest.mark.parametrize("name", ["llama3:8b", "llama2:7b", "codellama:7b", "olmo2:7b"])
    def test_a_model_of_ollama_is_no_misspelled_provider(self, name: str) -> None:
        assert split(name) == (PROVIDERS["ollama"], name)

    @pytest.mark.parametrize("prefix", sorted(UNSUPPORTED))
    def test_a_provider_without_a_client_is_said_to_have_none(self, prefix: str) -> None:
        with pytest.raises(ConfigurationError, match=r"groq:.*CloudClient"):
            split(f"{prefix}:some-model")

    @pytest.mark.parametrize("name", ["", "  "])
    def test_an_empty_name_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="empty"):
            split(name)


class TestResolve:
    def test_ollama_gets_its_settings(self) -> None:
        client = resolve("qwen3:4b", host="server:1234", num_ctx=9000, think="low")
        assert isinstance(client, Ollama)
        assert (client.model, client.host) == ("qwen3:4b", "http://server:1234")
        assert (client.num_ctx, client.think) == (9000, "low")

    def test_a_url_is_an_ollama_server_and_its_model(self) -> None:
        client = resolve("http://server:11434/qwen3:4b")
        assert isinstance(client, Ollama)
        assert (client.model, client.host) == ("qwen3:4b", "http://server:11434")

    @pytest.mark.parametrize("prefix", sorted(set(CLOUDS) - {"anthropic"}))
    @pytest.mark.usefixtures("keys")
    def test_an_openai_compatible_cloud(self, prefix: str) -> None:
        client = resolve(f"{prefix}:some/model")
        assert isinstance(client, OpenAI)
        assert (client.model, client.name) == ("some/model", f"{prefix}:some/model")
        assert client.base_url == (PROVIDERS[prefix].base_url or "https://api.openai.com/v1")
        assert client._key() == f"{KEY}-{prefix}"

    @pytest.mark.usefixtures("keys")
    def test_anthropic(self) -> None:
        client = resolve("anthropic:claude-haiku-4-5")
        assert isinstance(client, Anthropic)
        assert (client.model, client.base_url) == ("claude-haiku-4-5", "https://api.anthropic.com")

    @pytest.mark.parametrize("prefix", CLOUDS)
    def test_a_missing_key_is_named(self, prefix: str) -> None:
        with pytest.raises(ConfigurationError, match=str(PROVIDERS[prefix].variable)):
            resolve(f"{prefix}:model")

    @pytest.mark.usefixtures("keys")
    @pytest.mark.parametrize("name", ["qwen3:4b", *(f"{prefix}:some/model" for prefix in CLOUDS)])
    def test_a_name_resolves_to_itself(self, name: str) -> None:
        assert resolve(name).name == name  # type: ignore[attr-defined]

    def test_no_sdk_is_loaded_before_it_is_needed(self) -> None:
        code = (
            "import sys, rlm.clients.resolve as r, rlm.cloud_client\n"
            "heavy = {'openai', 'anthropic', 'httpx2', 'httpx2', 'xllamacpp'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
            "r.resolve('qwen3:4b'); r.resolve('openai:m'); r.resolve('anthropic:m')\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
            "print('light')\n"
        )
        environment = {**os.environ, "OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("light\n", "")


class TestCloudClient:
    @pytest.mark.usefixtures("keys")
    @pytest.mark.parametrize(
        ("model", "name"),
        [
            ("gpt-4o-mini", "openai:gpt-4o-mini"),
            ("chatgpt-4o-latest", "openai:chatgpt-4o-latest"),
            ("o3-mini", "openai:o3-mini"),
            ("claude-haiku-4-5", "anthropic:claude-haiku-4-5"),
            ("groq:openai/gpt-oss-20b", "groq:openai/gpt-oss-20b"),
            ("openrouter:", f"openrouter:{PROVIDERS['openrouter'].default_model}"),
            (None, f"openai:{PROVIDERS['openai'].default_model}"),
        ],
    )
    def test_the_name_shows_the_provider(self, model: str | None, name: str) -> None:
        assert CloudClient(model).name == name

    @pytest.mark.usefixtures("keys")
    @pytest.mark.parametrize(
        ("model", "name"),
        [
            ("llama-4", "together:llama-4"),
            ("together:llama-4", "together:llama-4"),
            ("gpt-oss", "together:gpt-oss"),
            (None, f"together:{PROVIDERS['together'].default_model}"),
        ],
    )
    def test_the_provider_may_be_given(self, model: str | None, name: str) -> None:
        assert CloudClient(model, provider="together").name == name

    def test_without_a_name_the_key_in_the_environment_decides(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GROQ_API_KEY", KEY)
        assert CloudClient().provider == "groq"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "GROQ_API_KEY"),
            ({"model": "gpt-4o-mini"}, "OPENAI_API_KEY"),
            ({"model": "qwen3"}, "groq:qwen3"),
            ({"model": "ollama:qwen3"}, 'no cloud provider "ollama"'),
            ({"model": "m", "provider": "azure"}, 'no cloud provider "azure"'),
            ({"base_url": "http://me:pass@localhost:8000/v1"}, "which model to ask for at http://localhost"),
        ],
    )
    def test_what_cannot_be_is_said(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            CloudClient(**options)

    def test_a_server_of_ones_own_needs_no_key_and_gets_none(
        self, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        client = CloudClient("my/model", base_url=f"{openai.url}/v1")
        assert client.complete(QUESTION).text == "echo: hi"
        client.close()
        assert openai.chats[0]["model"] == "my/model"
        assert KEY not in str(openai.headers)

    def test_a_server_elsewhere_is_sent_no_providers_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        client = CloudClient("my/model", base_url="https://vllm.example/v1")
        assert KEY not in client._client._settings()["api_key"]  # type: ignore[attr-defined]

    def test_a_given_key_is_sent(self, openai: FakeOpenAI) -> None:
        openai.key = KEY
        client = CloudClient("m", base_url=f"{openai.url}/v1", api_key=KEY)
        assert client.complete(QUESTION).text == "echo: hi"
        client.close()

    def test_it_speaks_to_anthropic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with FakeAnthropic(key=KEY) as server:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
            monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
            client = CloudClient("claude-haiku-4-5")
            assert client.complete(QUESTION).text == "echo: hi"
            client.close()
        assert server.violations == []

    def test_a_pickled_one_connects_again(self, openai: FakeOpenAI) -> None:
        client = CloudClient("m", base_url=f"{openai.url}/v1", api_key=KEY)
        client.complete(QUESTION)
        copy = pickle.loads(pickle.dumps(client))
        assert copy.complete(QUESTION).text == "echo: hi"
        assert (copy.name, copy.concurrency, copy.window()) == (client.name, client.concurrency, None)
        for either in (client, copy):
            either.close()

    def test_window_and_time_outs_are_the_clients(self) -> None:
        client = CloudClient(
            "m", base_url="http://localhost:1/v1", window=9, first_timeout=2, chunk_timeout=1
        )
        assert client.window() == 9
        inner = client._client
        assert (inner.first_timeout, inner.chunk_timeout) == (2, 1)  # type: ignore[attr-defined]

    def test_a_window_of_nothing_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="window"):
            CloudClient("m", base_url="http://localhost:1/v1", window=0)

    @pytest.mark.usefixtures("keys")
    def test_the_table_names_the_client(self) -> None:
        for provider in CLOUDS.values():
            client = CloudClient(provider=provider.prefix)._client
            assert type(client).__name__ == provider.client.partition(":")[2]

    def test_what_it_shows_of_itself_holds_no_key(self) -> None:
        client = CloudClient("gpt-4o-mini", api_key=KEY)
        assert repr(client) == "CloudClient('openai:gpt-4o-mini')"
        assert KEY not in repr(client._client)
