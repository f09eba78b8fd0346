"""`rlm bench` as people run it, against stand-in servers; and its figures, record and picture."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedClient, cell
from rich.console import Console
from servers import FakeOllama, FakeOpenAI, Handler, Reply, text_of

from rlm.cancel import Cancel
from rlm.cli import bench, bench_record, bench_report, heatmap
from rlm.cli.bench_plan import MODELS, grid
from rlm.cli.bench_trial import Case, Entrant, OnePrompt, Trial, trial
from rlm.clients.resolve import PROVIDERS
from rlm.engine import RLM
from rlm.errors import Cancelled, ClientError, ConfigurationError
from rlm.types import Completion, Usage

ROOT = Path(__file__).parents[1]
KEY = "sk-secret-0123456789"
SOLVES = cell("FINAL(search('secret number')[0].split()[-1])")
REPLIES = {"qwen3:0.6b": SOLVES, "qwen3:1.7b": "FINAL(1234567)"}
# what the stand-in models say; one finds the number, one does not


class Ollama(FakeOllama):
    """Has two models; `slow`: seconds before each of their replies but the first, the warm-up's."""

    def __init__(self, *replies: Reply, models: dict[str, str] = REPLIES, slow: float = 0.0) -> None:
        super().__init__(*replies, models=tuple(models))
        self.says = models
        self.slow = slow

    def stream(self, handler: Handler, reply: Reply, body: dict[str, Any]) -> None:
        asked = text_of(body["messages"][-1])
        if body["messages"][0]["role"] == "user":  # the warm-up, or the whole context in one prompt
            found = re.search(r"secret number is (\d{7})", asked)
            return super().stream(handler, replace(reply, text=found[1] if found else "Hello."), body)
        self.stopping.wait(self.slow)
        return super().stream(handler, replace(reply, text=self.says[body["model"]]), body)


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ollama]:
    with Ollama() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        yield server
    assert (server.violations, server.crashes) == ([], [])
