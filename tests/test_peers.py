"""The comparison with other engines: drivers, limit, record, proxy, tables. Needs none of the engines."""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import children, lives
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import peers
from peer_servers import CHAT, Handler, Proxy, Scripted, Server, Traffic

SETTINGS = peers.Settings("m", "a server", 1000, 20.0, 3, 0.0)
FINDS = "import re\ndef answer(context, question, **_): return re.search(r'\\d{7}', context)[0]\n"
ASKS = """
import json, urllib.request
def answer(context, question, *, base_url, model, max_iterations):
    body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0.9}
    request = urllib.request.Request(base_url + "/chat/completions", json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request, timeout=10))["choices"][0]["message"]["content"]
"""


def engine(folder: Path, text: str, name: str = "fake") -> peers.Engine:
    driver = folder / f"{name}.py"
    driver.write_text(text)
    return peers.Engine(name, "1", driver, installed=False)


def run(folder: Path, text: str, context: Any = "", url: str = "", limit: float = 20) -> peers.Run:
    job = peers.Job(context, "How many?", url, "m", 3)
    return peers.run_job(Path(sys.executable), engine(folder, text).driver, job, limit)


def test_a_driver_gets_the_job_and_its_last_line_is_the_answer(tmp_path: Path) -> None:
    text = "def answer(context, question, **job):\n print('noise')\n return [context, question, job]\n"
    got = run(tmp_path, text, {"a": ["ü\n"]}, "http://u")
    job = {"base_url": "http://u", "model": "m", "max_iterations": 3}
    assert (got.outcome, got.answer) == ("answer", str([{"a": ["ü\n"]}, "How many?", job]))
    assert got.seconds < got.whole


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("def answer(*_, **__): raise KeyError('why')", "KeyError: 'why'", id="raises"),
        pytest.param("import os\nos._exit(3)", "exit code 3", id="dies"),
        pytest.param("import not_there", "ModuleNotFoundError: No module named 'not_there'", id="import"),
    ],
)
def test_a_driver_that_fails_is_an_error_with_its_reason(tmp_path: Path, text: str, error: str) -> None:
    got = run(tmp_path, text)
    assert (got.outcome, got.error) == ("error", error)


def test_no_key_reaches_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert "secret" not in run(tmp_path, "import os\ndef answer(*_, **__): return os.environ").answer


@pytest.mark.skipif(sys.platform != "linux", reason="the processes are seen in /proc")
@pytest.mark.parametrize("returns", [False, True])
def test_nothing_of_an_engine_is_left(tmp_path: Path, returns: bool) -> None:
    note = tmp_path / "pids"
    text = (
        "import os, subprocess, sys, time\n"
        "def answer(*_, **__):\n"
        f" far = [subprocess.Popen(['sleep', '60'], start_new_session=not {returns}) for _ in range(2)]\n"
        f" open({str(note)!r}, 'w').write(' '.join(str(p.pid) for p in far))\n"
        f" time.sleep(0 if {returns} else 60)\n"
    )
    before = children()
    assert run(tmp_path, text, limit=2).outcome == ("answer" if returns else "time-out")
    pids = [int(pid) for pid in note.read_text().split()]
    deadline = time.monotonic() + 5
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(pids) == 2
    assert not any(map(lives, pids))
    assert children() == before


def test_the_proxy_counts_and_sets_the_temperature(tmp_path: Path) -> None:
    with Scripted(["seven"]) as model, Proxy(model.base_url[:-3], temperature=0.25) as proxy:
        assert json.loads(proxy.amended(b'{"temperature": 1}')) == {"temperature": 0.25}
        assert run(tmp_path, ASKS, url=proxy.base_url).answer == "seven"
        assert proxy.take() == Traffic(1, 0, 0, 10, 5)
        assert run(tmp_path, ASKS, url=proxy.base_url).outcome == "error"  # the script is over
        assert proxy.take() == Traffic(1, 1, 0, 0, 0)
        assert proxy.take() == Traffic()


class Endless(Server):
    """A model that goes on until nobody listens; silent: that never says a word."""

    silent = False

    class handler(Handler):  # noqa: N801
        server: Endless

        def do_POST(self) -> None:  # noqa: N802
            self.body()
            self.server.asked.set()
            self.begin(200, "text/event-stream")
            if self.server.silent:
                self.connection.recv(1)  # returns when the other side hangs up
            else:
                with contextlib.suppress(OSError):
                    for count in itertools.count(1):
                        timings = {"cache_n": 100, "prompt_n": 20, "predicted_n": count}
                        self.wfile.write(f"data: {json.dumps({'timings': timings})}\n\n".encode())
                        time.sleep(0.01)
            self.server.left.set()

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.left = threading.Event(), threading.Event()


@pytest.mark.parametrize("silent", [False, True])
def test_an_engine_that_hangs_up_stops_the_model(silent: bool) -> None:
    with Endless() as model, Proxy(model.base_url[:-3], temperature=0) as proxy:
        model.silent = silent
        connection = http.client.HTTPConnection(urlsplit(proxy.base_url).netloc, timeout=10)
        connection.request("POST", CHAT, b'{"stream": true}')
        assert model.asked.wait(5)
        response = connection.getresponse()
        if not silent:
            assert b"timings" in response.readline()
        response.close()
        connection.close()
        assert model.left.wait(5)
        traffic = proxy.take()
        assert (traffic.requests, traffic.uncounted, traffic.prompt_tokens) == (
            (1, 1, 0) if silent else (1, 0, 120)
        )


def test_resuming_repeats_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, record = tmp_path / "runs", tmp_path / "rows.jsonl"
    noted = FINDS.replace("return", f"open({str(runs)!r}, 'a').write('.'); return")
    engines = [engine(tmp_path, noted, "rlm-ollama"), engine(tmp_path, FINDS, "no-rlm")]
    options = "--tasks niah --length 1000 --limit 20 --overhead-runs 0 --server http://127.0.0.1:9"
    argv = [*options.split(), "--engines", "rlm-ollama,no-rlm", "--json", str(record)]
    assert peers.main([*argv, "--seeds", "1"], engines) == 0
    with pytest.raises(SystemExit, match="2"):
        peers.main([*argv, "--seeds", "2"], engines)  # it would mix two runs
    with record.open("a") as file:
        file.write('{"kind": "Row", "eng')  # killed while it wrote
    capsys.readouterr()
    assert peers.main([*argv, "--seeds", "2", "--resume"], engines) == 0
    assert runs.read_text() == ".."
    assert "[2/2] niah 1  no-rlm  answer  score 1.00" in capsys.readouterr().out
    assert peers.main([*argv, "--seeds", "2", "--resume", "--limit", "19"], engines) == 0
    assert runs.read_text() == "...."  # other settings are another table


def test_the_time_for_all_leaves_samples_for_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = "--tasks niah --seeds 2 --limit 60 --minutes 0.5 --overhead-runs 0 --server http://127.0.0.1:9"
    assert peers.main(argv.split(), [engine(tmp_path, FINDS, "rlms")]) == 0
    assert "2 samples are left" in capsys.readouterr().out


def row(outcome: peers.Outcome, score: float, seconds: float, task: str = "niah") -> peers.Row:
    traffic = Traffic(2, 0, 0, 1500, 70)
    return peers.Row("minrlm", "0.1.5", task, 0, outcome, score, seconds, traffic, "", "", "", SETTINGS)


def test_the_tables_say_what_was_measured() -> None:
    rows = [row("answer", 1, 4), row("answer", 0.5, 6, "logs"), row("time-out", 0, 120, "logs")]
    overheads = [
        peers.Overhead("minrlm", "0.1.5", 10, (0.3, 0.1, 0.2), (0.9, 0.8, 1.0)),
        peers.Overhead("rlms", "0.1.3", 10, (), (), "no"),
    ]
    file = io.StringIO()
    console = Console(file=file, width=200)
    console.print(peers.solve_table(rows, peers.ENGINES, ["niah", "logs"]))
    console.print(peers.overhead_table(overheads))
    shown = [" ".join(line.split()) for line in file.getvalue().splitlines() if line.startswith("| ")]
    assert shown == [
        "| engine | solved | niah | logs "
        "| seconds | tokens in | tokens out | requests | time-outs | errors |",
        "| minrlm 0.1.5 | 1/3 | 1/1 | 0/2 | 6.0 | 1,500 | 70 | 2 | 1 | 0 |",
        "| engine | context | seconds | best | whole process | runs |",
        "| minrlm 0.1.5 | 10 MB | 0.20 | 0.10 | 0.90 | 3 |",
        "| rlms 0.1.3 | 10 MB | failed | - | - | 0 |",
    ]
