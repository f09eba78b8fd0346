"""The record of a benchmark: JSON lines, from which an interrupted one goes on. Runs no trial.

A header (seed, settings, versions, machine), a line for each trial as soon as it is over, a line for each
model that cannot be had, and at the end the summary, which is also the last line of the output.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rlm import __version__
from rlm.cli.bench_trial import Case, Entrant, Trial
from rlm.errors import ConfigurationError, RLMError


def header(settings: dict[str, Any]) -> dict[str, Any]:
    """What a reader must know to believe the figures, or to repeat them."""
    return {
        "type": "header",
        "begun": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": settings,
        "versions": {"rlm": __version__, "python": platform.python_version()},
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processor": processor(),
            "cores": os.cpu_count() or 1,
        },
    }


class Record:
    """The file, open for more lines; without a path it keeps nothing."""

    def __init__(self, path: Path | None, header: dict[str, Any], trials: Iterable[Trial]) -> None:
        """Writes the file anew, in one step: what an interrupted line or an old summary leaves is gone."""
        self._path = path
        if path:
            part = path.with_name(f"{path.name}.part")
            try:
                part.write_text("".join(map(_line, [header, *map(line, trials)])), encoding="utf-8")
                part.replace(path)
            except OSError as error:
                raise ConfigurationError(f"Cannot write {path}: {error.strerror}.") from error

    def add(self, entry: dict[str, Any]) -> None:
        """Appends a line; once this returns, it outlives this process."""
        if self._path:
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(_line(entry))
            except OSError as error:
                raise RLMError(f"Cannot write {self._path}: {error.strerror}.") from error


def line(trial: Trial) -> dict[str, Any]:
    """A trial as the record holds it."""
    return {"type": "trial", **asdict(trial)}


def read(path: Path) -> tuple[dict[str, Any], list[Trial]]:
    """The header and the trials of a record. A last line that was cut off is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}.") from error
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    try:
        first, *others = map(json.loads, lines)
        if first["type"] != "header" or not {"settings", "versions", "machine"} <= set(first):
            raise ValueError
        return first, [_trial(**entry) for entry in others if entry.pop("type") == "trial"]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConfigurationError(f"{path} is no record of this benchmark, as --json writes it.") from None


def check_new(path: Path) -> None:
    """Raises ConfigurationError for a file that is there: hours of work may be in it, or it is a device."""
    if path.exists():
        raise ConfigurationError(f"{path} is there already: go on by --resume {path}, or name another file.")


def check(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises ConfigurationError where a record was made with other settings, another rlm or machine."""
    was, asked = (
        {**one["settings"], **one["machine"], "rlm": one["versions"].get("rlm")} for one in (before, now)
    )
    if differ := [name for name in {**was, **asked} if was.get(name) != asked.get(name)]:
        told = "; ".join(f"{name} {_said(was.get(name))}, not {_said(asked.get(name))}" for name in differ)
        raise ConfigurationError(f"{path} was made with {told}. Repeat its settings, or begin a new record.")


def _trial(entrant: dict[str, Any], case: dict[str, Any], **fields: Any) -> Trial:
    return Trial(Entrant(**entrant), Case(**case), **fields)


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry) + "\n"


def _said(value: Any) -> str:
    return json.dumps(value).replace('"', "")


def processor() -> str:
    """The processor's name, where the system tells it."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor()
