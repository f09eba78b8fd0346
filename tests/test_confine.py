"""What the REPL's process may do, its limits, and the processes around it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import children, descendants, lives, sessions
from fakes import ScriptedClient, SubClient, cell

from rlm import RLM, events, sandbox
from rlm.errors import ConfigurationError, SandboxError
from rlm.sandbox import Sandbox, launch
from rlm.sandbox.limits import LAYERS

pytestmark = pytest.mark.usefixtures("no_process_left")


def echo(prompt: str) -> str:
    return prompt.upper()


# The report


def test_this_machine_confines_the_repl():
    report = sandbox.report("strict")
    assert report.open == ()
    assert set(report.missing.values()) == {""}
    assert str(report) == "The REPL is confined."


@pytest.mark.parametrize(
    ("layer", "opened"),
    [
        ("limits", {"memory"}),
        ("capabilities", {"privileges"} if os.geteuid() == 0 else set()),
        ("landlock", {"files", "writing"}),
        ("seccomp", {"network", "programs", "forks"}),
    ],
)
def test_the_report_measures_what_a_missing_layer_leaves_open(layer, opened):
    with Sandbox(None, query=echo, without={layer}) as repl:
        assert set(repl.report.open) >= opened
        assert repl.report.missing[layer] == "left out"


def test_off_leaves_all_open_and_says_so():
    report = sandbox.report("off")
    assert {"files", "network", "forks", "memory"} <= set(report.open)
    assert str(report).startswith("The REPL is not confined: files, ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"policy": "lax"}, "policy must be one of strict, best-effort, off, not 'lax'"),
        ({"kind": "docker"}, "sandbox must be one of process, inprocess, not 'docker'"),
        ({"without": {"sel"}}, f"There is no layer sel; there are {', '.join(LAYERS)}"),
    ],
)
def test_a_wrong_name_is_a_clear_error(options, says):
    with pytest.raises(ConfigurationError, match=says):
        Sandbox(None, query=echo, **options)


# A machine that lacks a layer: the launcher has no Landlock rules, as where the kernel has none


class NoLandlock(launch.Launcher):
    def command(self) -> list[str]:
        program, *rest = super().command()
        boot = rest.index("-c") + 1
        broken = "from rlm.sandbox.child import confine\ndef no(folders): raise confine.Unavailable\n"
        rest[boot] = rest[boot].replace("launcher.main", f"{broken}confine.prepare_files = no\nlauncher.main")
        return [program, *rest]


@pytest.fixture
def _no_landlock():
    kept, launch._shared = launch._shared, NoLandlock()
    yield
    launch._shared.end()
    launch._shared = kept


@pytest.mark.usefixtures("_no_landlock")
def test_strict_refuses_to_run_with_a_layer_missing_and_says_what_to_do():
    with pytest.raises(SandboxError, match=r'files.*no Landlock.*policy="best-effort"'):
        Sandbox(None, query=echo)


@pytest.mark.usefixtures("_no_landlock")
def test_best_effort_runs_and_the_observer_is_told_what_is_open():
    seen: list[events.Event] = []
    client = ScriptedClient([cell("print(1)"), "FINAL(1)"])
    result = RLM(root_client=client, policy="best-effort", on_event=seen.append).completion("?", "data")
    assert result.answer == "1"
    (notice,) = [event.text for event in seen if isinstance(event, events.Notice)]
    assert "The REPL is not confined: files, writing" in notice
    assert "landlock: the kernel" in notice


# What must go on working


@pytest.mark.parametrize(
    "code",
    [
        "import sqlite3\nsqlite3.connect(':memory:').execute('select 41 + 1').fetchone()[0]",
        "import asyncio\nasync def f(): return 42\nasyncio.run(f())",
        "import threading as t\nr = []\na = t.Thread(target=r.append, args=[42])\na.start(); a.join(); r[0]",
        "from concurrent.futures import ThreadPoolExecutor as P\nsum(P(8).map(int, ['40', '2']))",
        "import zoneinfo\nzoneinfo.ZoneInfo('Europe/Oslo') and 42",
        "import datetime\ndatetime.datetime.now().year > 2000 and 42",
        "import time\ntime.sleep(0.01) or 42",
        "import zlib, bz2, lzma, hashlib, decimal, ssl, ctypes\nlen(zlib.compress(b'')) and 42",
        "import uuid, xml.etree.ElementTree\nuuid.uuid4() and 42",
        "import os, tempfile\nlen(os.urandom(42))",
        "import rich.console\n42",
        "import signal as s\ns.signal(s.SIGALRM, print)\ns.setitimer(0, 0.01); s.pause() or 42",
        "import io, csv, pathlib, glob, inspect, typing, textwrap, difflib\nglob.glob('/etc/*') or 42",
    ],
    ids=lambda code: code.split()[1].strip(","),
)
def test_python_works_in_a_confined_process(code):
    with Sandbox("text", query=echo) as repl:
        result = repl.execute(code)
        assert (result.value, result.error) == ("42", None)


# Limits


def events_of(code: str, **options: object) -> list[events.Event]:
    seen: list[events.Event] = []
    client = ScriptedClient([cell(code), "FINAL(done)"])
    RLM(root_client=client, on_event=seen.append, **options).completion("?", "some data")
    return [*seen, client.shown()]


@pytest.mark.parametrize(
    ("code", "options", "event", "shown"),
    [
        pytest.param("while True: pass", {"cell_timeout": 0.2}, "the cell ran for 0.2 s", "0.2 s", id="time"),
        pytest.param(
            "x = bytearray(10**9)", {"memory": 2**28}, "may use 256 MiB", "limit is 256 MiB", id="memory"
        ),
        pytest.param("print('a' * 200_000)", {}, "100,000 characters", "characters left out", id="output"),
        pytest.param(
            "import threading as t, time\nfor _ in range(99): t.Thread(target=time.sleep, args=[9]).start()",
            {},
            "may run 64 threads",
            "the limit is 64",
            id="threads",
        ),
        pytest.param(
            "import gc, os\nc = [o for o in gc.get_objects() if type(o).__name__ == 'Channel'][-1]\n"
            "os.write(c.connection.fileno(), b'\\xff' * 4)",
            {},
            "may have 33,554,432 bytes",
            "the limit is 33,554,432",
            id="frame",
        ),
        pytest.param(
            "for n in range(3): print(llm_query('a' + str(n)))",
            {"max_sub_calls": 2, "sub_client": ScriptedClient(["one", "two"])},
            "2 sub calls",
            "may make 2 sub calls",
            id="sub-calls",
        ),
    ],
)
def test_a_limit_is_told_to_the_model_and_to_the_observer(code, options, event, shown):
    *seen, observation = events_of(code, **options)
    (hit,) = [e.text for e in seen if isinstance(e, events.LimitHit)]
    assert event in hit
    assert shown in observation


def test_memory_is_given_back_and_the_session_goes_on():
    with Sandbox("text", query=echo, memory=2**28) as repl:
        for _ in range(3):
            assert "MemoryError" in repl.execute("kept = 7\nx = [0] * 10**9").error
        assert repl.execute("x = bytearray(10**8); kept").value == "7"


def test_the_processors_time_is_charged_while_a_sub_call_is_under_way():
    asked, go = threading.Event(), threading.Event()

    def slow(prompt: str) -> str:
        asked.set()
        go.wait(20)
        return "late"

    with Sandbox("text", query=slow, cell_timeout=0.4, stop_grace=5) as repl:
        began = time.monotonic()
        result = repl.execute(
            "import threading\nt = threading.Thread(target=llm_query, args=['x'], daemon=True); t.start()\n"
            "while True: pass"
        )
        go.set()
        assert asked.is_set()
        assert "stopped after 0.4 s" in result.error
        assert time.monotonic() - began < 10


def test_threads_left_behind_stand_still_between_cells():
    with Sandbox("text", query=echo) as repl:
        repl.execute(
            "import threading\nn = 0\ndef count():\n    global n\n    while True: n += 1\n"
            "threading.Thread(target=count, daemon=True).start()"
        )
        before = repl._session.cpu_seconds()
        time.sleep(0.3)
        assert repl._session.cpu_seconds() - before < 0.1
        assert repl.execute("a = n\nimport time; time.sleep(0.05)\nn > a").value == "True"


def test_calls_of_a_process_that_is_gone_are_not_made():
    asked = []

    def slow(prompt: str) -> str:
        asked.append(prompt)
        time.sleep(0.05)
        return "a reply"

    with Sandbox("text", query=slow, concurrency=2) as repl:
        repl.execute(
            "import os, threading, time\n"
            "threading.Thread(target=llm_query_batched, args=[['x'] * 200], daemon=True).start()\n"
            "time.sleep(0.3); os._exit(1)"
        )
        began = time.monotonic()
        assert repl.execute("llm_query('y' + context)").value == "'a reply'"
        assert time.monotonic() - began < 3
    assert 0 < len(asked) < 100


def test_replies_are_kept_where_a_batch_is_larger_than_the_limit():
    with Sandbox("text", query=echo, max_sub_calls=100) as repl:
        result = repl.execute(
            "replies = llm_query_batched([f'{n}' for n in range(3000)])\nreplies[99], replies[100]"
        )
        assert "2900 of 3000 sub calls failed" in result.stdout
        assert "('99', <llm_query failed: limit reached: a run may make 100 sub calls" in result.value
        assert repl.execute("len(replies)").value == "3000"


def test_a_time_out_is_told_where_the_session_breaks_too():
    with Sandbox("text", query=echo, cell_timeout=0.3, stop_grace=5) as repl:
        result = repl.execute("import traceback\ntraceback.extract_tb = None\nwhile True: pass")
        assert result.error.startswith("TimeoutError: the cell was stopped after 0.3 s\n")
        assert "rolled back" in result.error
        assert "the cell ran for 0.3 s" in result.limits[0]


# Snapshots


def test_a_snapshot_stands_still():
    with Sandbox("text", query=echo) as repl:
        repl.execute("x = 1")
        (snapshot,) = (s.process for s in repl._session._spares)
        wait_until(lambda: Path(f"/proc/{snapshot}/stat").read_text().rpartition(") ")[2][0] == "T")
        assert "rolled back" in repl.execute("import os; os._exit(1)").error
        assert repl.execute("x").value == "1"


def test_a_snapshot_is_there_for_every_cell():
    with Sandbox("text", query=echo) as repl:
        for number in range(50):
            repl.execute(f"n = {number}")
        assert repl._session._missed == 0
        assert "rolled back to before this cell" in repl.execute("n = 'lost'\nimport os; os._exit(1)").error
        assert repl.execute("n").value == "49"


def test_a_process_that_dies_between_cells_costs_the_last_cell_alone():
    with Sandbox("text", query=echo) as repl:
        repl.execute("kept = 7")
        repl.execute("import os, threading\nlost = 8\nthreading.Timer(0.5, os._exit, [3]).start()")
        time.sleep(0.6)  # between cells it stands still
        assert "exit code 3" in repl.execute("import time; time.sleep(5)").error
        assert repl.execute("kept").value == "7"


def test_without_a_fork_the_session_goes_on_without_snapshots():
    with Sandbox("text", query=echo, without={"supervisor"}) as repl:
        repl.execute("kept = 7")
        assert str(repl.report) == "The REPL is confined, with a layer less (supervisor: left out)."
        for _ in range(5):
            assert repl.execute("kept").value == "7"
        assert "restarted" in repl.execute("import os; os._exit(1)").error


# The launcher


def test_200_engines_in_8_threads_share_a_launcher_and_nothing_else():
    def work(number: int) -> None:
        root = ScriptedClient(
            [
                cell(f"mine = {number}\nprint(mine)"),
                cell("reply = llm_query(context)"),
                cell("FINAL(' '.join([context, str(mine), reply, llm_query('a' + context)]))"),
            ]
        )
        rlm = RLM(root_client=root, sub_client=SubClient(echo))
        answer = rlm.completion("?", f"context {number}").answer
        assert answer == f"context {number} {number} CONTEXT {number} ACONTEXT {number}"

    def all_of(numbers: range) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, numbers))
        wait_until(lambda: not sessions())

    def held() -> tuple[set[int], int, int]:
        return children(), len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{launcher}/fd"))

    def memory() -> int:
        return sum(resident(pid) for pid in (os.getpid(), launcher))

    launcher = launch.launcher()._process.pid
    all_of(range(40))
    before, size = held(), memory()
    all_of(range(200))
    wait_until(lambda: held() == before)
    assert memory() - size < 20 * 2**20


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_launcher_that_died_is_replaced():
    with Sandbox("text", query=echo) as repl:
        repl.execute("x = 1")
        process = launch.launcher()._process
        process.kill()
        process.wait()
        assert "restarted" in repl.execute("x").error
        assert repl.execute("context").value == "'text'"


STUBBORN = """
import gc, os, signal, socket
def snapshot(spare):
    if os.fork():
        os.close(spare)
        return False
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    socket.socket(fileno=spare).sendall(b".")
    while True:
        pass
for thing in gc.get_objects():
    if type(thing).__name__ == "Worker":
        thing.snapshot = snapshot
"""


def test_no_process_outlives_a_launcher_that_was_killed():
    with Sandbox("text", query=echo) as repl:
        repl.execute(STUBBORN)
        repl.execute("x = 1")
        process = launch.launcher()._process
        started = descendants(process.pid)
        assert started
        process.kill()
        assert "restarted" in repl.execute("x").error
        wait_until(lambda: not any(map(lives, started)))


def test_a_context_that_is_gone_when_the_session_restarts_is_a_sandbox_error(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text("text")
    with Sandbox(file, query=echo, snapshots=False) as repl:
        file.unlink()
        with pytest.raises(SandboxError, match="cannot be started again"):
            repl.execute("import os; os._exit(1)")


def test_a_fork_of_the_host_has_sessions_of_its_own():
    with Sandbox("parent", query=echo) as repl:
        pid = os.fork()
        if pid == 0:
            with Sandbox("child", query=echo) as own:
                status = own.execute("context").value == "'child'"
            launch.restart()
            os._exit(not status)
        assert os.waitpid(pid, 0)[1] == 0
        assert repl.execute("context").value == "'parent'"


HOST = """
import sys, threading
from rlm.sandbox import Sandbox
repl = Sandbox("text", query=str)
repl.execute("kept = 1")
threading.Timer(0.3, lambda: print("spinning", flush=True)).start()
repl.execute(sys.argv[1])
"""


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import signal\nsignal.pthread_sigmask(0, range(1, 65))\nsum(range(10**13))",
        "import ctypes\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\nwhile True: pass",
        "import threading\nthreading.Thread(target=lambda: sum(range(10**13))).start()\nwhile True: pass",
    ],
    ids=["spins", "masks-signals", "clears-pdeathsig", "threads"],
)
def test_a_host_that_is_killed_leaves_no_process_behind(code):
    host = subprocess.Popen([sys.executable, "-c", HOST, code], stdout=subprocess.PIPE)
    assert host.stdout.readline() == b"spinning\n"
    started = descendants(host.pid)
    assert len(started) == 4  # the launcher, the worker, its snapshots before this cell and the one before
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    wait_until(lambda: not any(map(lives, started)), seconds=1.0)


@pytest.mark.parametrize(
    ("before", "says"),
    [
        pytest.param("for fd in range(3): os.close(fd)", "42", id="no-standard-descriptors"),
        pytest.param("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "42", id="ignores-sigchld"),
        pytest.param("signal.pthread_sigmask(0, signal.valid_signals())", "42", id="blocks-signals"),
        pytest.param("sys.executable = None", "set sys.executable", id="no-executable"),
        pytest.param("sys.executable = '/nowhere'", "/nowhere: No such file", id="wrong-executable"),
        pytest.param("sys.executable = '/bin/true'", "did not start: ", id="another-program"),
    ],
)
def test_a_host_of_an_unusual_kind_runs_cells_or_says_why_not(before, says, tmp_path):
    report = tmp_path / "report"
    code = f"""
import os, signal, sys
from rlm.sandbox import Sandbox
{before}
try:
    with Sandbox(42, query=str) as repl: said = repl.execute("context").value
except Exception as error:
    said = f"{{type(error).__name__}}: {{error}}"
with open({str(report)!r}, "w") as file: file.write(said)
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
    assert says in report.read_text()


def wait_until(there: Callable[[], bool], seconds: float = 2.0) -> None:
    deadline = time.monotonic() + seconds
    while not there() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert there()


# Without a process


@pytest.fixture
def here() -> Callable[..., Sandbox]:
    def start(context: object = None, **options: object) -> Sandbox:
        with pytest.warns(RuntimeWarning, match="with all your rights"):
            return Sandbox(context, query=echo, kind="inprocess", **options)

    return start


def test_inprocess_runs_here(here):
    with here("text") as repl:
        assert repl.execute("import os\nx = 5\nprint(context)\nos.getpid()").value == str(os.getpid())
        assert repl.execute("llm_query('a' + context), x").value == "('ATEXT', 5)"
        assert "ZeroDivisionError" in repl.execute("1 / 0").error
        assert repl.execute("FINAL(x)").final.value == 5
        assert str(repl.report) == "The REPL is not confined."


def test_inprocess_stops_a_loop(here):
    with here(cell_timeout=0.2) as repl:
        assert "stopped after 0.2 s" in repl.execute("x = 5\nwhile True: pass").error
        assert repl.execute("x").value == "5"


def test_inprocess_reads_a_file(here, tmp_path: Path):
    (tmp_path / "a.txt").write_text("grün", encoding="utf-8")
    with here(tmp_path / "a.txt") as repl:
        assert repl.execute("context").value == "'grün'"


def test_the_settings_reach_the_repl_through_rlm():
    with pytest.raises(ConfigurationError, match="policy must be one of"):
        RLM(policy="none")
    with pytest.raises(ConfigurationError, match="sandbox must be one of"):
        RLM(sandbox="docker")
    with pytest.raises(ConfigurationError, match="memory must be a whole number"):
        RLM(memory=1000)
    assert RLM(memory=64 * 2**30).memory == 2**36
    client = ScriptedClient([cell("import os\nos.getpid()"), "FINAL(1)"])
    rlm = pickle.loads(pickle.dumps(RLM("x", sandbox="inprocess", policy="off")))
    rlm.root = rlm.sub = client
    with pytest.warns(RuntimeWarning):
        rlm.completion("?")
    assert str(os.getpid()) in client.shown()
