"""Importing rlm costs next to nothing, and a client that is not used is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "{'openai', 'anthropic', 'ollama', 'httpx', 'httpx2', 'xllamacpp', 'rich', 'asyncio'}"


def loaded(code: str) -> set[str]:
    """Which of the heavy modules are loaded after this code, in a fresh interpreter."""
    program = f"{code}\nimport sys\nprint(*sorted({HEAVY} & set(sys.modules)))"
    return set(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_rlm_loads_nothing_heavy():
    assert loaded("import rlm; rlm.RLMResult") == set()


@pytest.mark.parametrize(
    ("code", "not_loaded"),
    [
        ("from rlm import RLM; RLM('qwen3:4b')", {"openai", "anthropic", "xllamacpp", "rich"}),
        (
            "from rlm import RLM; RLM('local:qwen2.5-coder-1.5b')",
            {"openai", "anthropic", "xllamacpp", "rich"},
        ),
        ("import os; os.environ['OPENAI_API_KEY'] = 'k'; from rlm import RLM; RLM('openai:')", {"anthropic"}),
        ("from rlm.cloud_client import CloudClient", {"openai", "anthropic"}),
    ],
    ids=["ollama", "local", "openai", "cloud"],
)
def test_a_client_that_is_not_used_is_not_imported(code, not_loaded):
    assert not loaded(code) & not_loaded


def test_importing_rlm_prints_and_writes_nothing():
    process = subprocess.run([sys.executable, "-c", "import rlm"], capture_output=True, check=True)
    assert process.stdout == process.stderr == b""
