"""Files, folders and globs to a context: a text, or a dict of path -> text. Knows no model and no REPL."""

from __future__ import annotations

import csv
import glob
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm.errors import ContextError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

TOGETHER = 200_000_000
# bytes that several files, or one that has to be converted, may have; one of UTF-8 text may have any size
MOST_FILES = 20_000
HEAD = 65_536
# bytes that are looked at to tell what a file is
LISTED = 20
# files that the model is told by name
CONVERTED = frozenset((".pdf", ".docx", ".pptx", ".xlsx", ".xls", ".html", ".htm", ".epub", ".msg"))
# by markitdown
NEVER = frozenset((".git", ".hg", ".svn", ".venv", "__pycache__", "node_modules"))
# folders that nobody asks about


@dataclass(frozen=True)
class Documents:
    """What was found."""

    context: Any = None
    # None; a Path, where it is one file of UTF-8 text; a str; a dict of path -> text
    about: str = ""
    # for the model: names, sizes, what is in them
    notes: tuple[str, ...] = ()
    # for the user, a line each: what was skipped, how it was read
    names: tuple[str, ...] = ()


class _NoText(Exception):
    """The file has no text; says why."""


def load(sources: Sequence[str]) -> Documents:
    """Finds the files and reads those that have to be; nothing of a single UTF-8 file is kept here.

    Args:
        sources: files, folders and globs; `~` is the user's home.

    Raises:
        ContextError: one of them is missing or has no text, or all together are too large.
    """
    found = _Found()
    for source in sources:
        found.add(source)
    if not found.files:
        if sources:
            raise ContextError(f"There is no text in {', '.join(sources)}.")
        return Documents()
    if len(found.files) == 1:
        return _one(*found.files.popitem(), found.notes())
    return _several(found)


class _Found:
    """The files that sources name: key -> path, and what was left out."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.asked: set[str] = set()
        # keys of files that were named themselves: one without text is an error
        self.skipped: dict[str, int] = {}
        # reason -> number of files

    def add(self, source: str) -> None:
        path = Path(source).expanduser()
        if path.is_dir():
            return self._add_folder(path)
        if path.exists():
            return self._add_file(path, path.name, asked=True)
        names = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(source) else []
        if not names:
            kind = "Nothing matches" if glob.has_magic(source) else "There is no file or folder"
            raise ContextError(f"{kind} {source}.")
        for name in names:
            if os.path.isdir(name) and "**" not in source:
                self._add_folder(Path(name))
            elif os.path.isfile(name):
                self._add_file(Path(name), os.path.relpath(name), asked=False)
        return None

    def _add_file(self, path: Path, key: str, *, asked: bool) -> None:
        if path in self.files.values():
            return
        key = str(path) if key in self.files else key
        self.files[key] = path
        if asked:
            self.asked.add(key)
        if len(self.files) > MOST_FILES:
            raise ContextError(f"That is more than {MOST_FILES:,} files. Name a smaller folder, or a glob.")

    def _add_folder(self, folder: Path) -> None:
        folder = folder.absolute()
        for path in _walk(folder, _rules_above(folder), self.skip):
            self._add_file(path, str(path.relative_to(folder.parent)), asked=False)

    def skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def notes(self) -> tuple[str, ...]:
        return tuple(f"{count:,} skipped: {reason}" for reason, count in self.skipped.items())


Rules = Sequence[tuple[Path, "GitIgnoreSpec"]]


def _walk(folder: Path, rules: Rules, skip: Callable[[str], None]) -> Iterator[Path]:
    """Files in the folder and below, in order, without what .gitignore excludes."""
    rules = [*rules, *_rules(folder)]
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        skip("folders that cannot be read")
        return
    for path in entries:
        is_folder = path.is_dir()
        if path.name in NEVER or path.is_symlink():
            continue
        if any(_matches(spec, path, base, is_folder) for base, spec in rules):
            skip(".gitignore excludes them")
        elif is_folder:
            yield from _walk(path, rules, skip)
        elif path.is_file():
            yield path


def _matches(spec: GitIgnoreSpec, path: Path, base: Path, is_folder: bool) -> bool:
    return spec.match_file(path.relative_to(base).as_posix() + "/" * is_folder)


def _rules_above(folder: Path) -> Rules:
    """Those of the folders above, up to the root of the repository; none outside of one."""
    above: list[tuple[Path, GitIgnoreSpec]] = []
    for parent in folder.parents if not (folder / ".git").exists() else ():
        above += _rules(parent)
        if (parent / ".git").exists():
            return above
    return []


def _rules(folder: Path) -> Rules:
    from pathspec import GitIgnoreSpec

    with suppress(OSError):
        lines = (folder / ".gitignore").read_text("utf-8", "replace").splitlines()
        return [(folder, GitIgnoreSpec.from_lines(lines))]
    return []


def _one(key: str, path: Path, notes: tuple[str, ...]) -> Documents:
    """A file alone: its path, as long as it is UTF-8 text."""
    try:
        text, how = _read(path)
    except _NoText as reason:
        raise ContextError(f"Cannot use {path}: {reason}.") from reason
    shape = _shape(path, text)
    about = f"It is the text of the file {key}" + (f": {shape}." if shape else ".")
    return Documents(text, about, (*notes, *([f"{key}: {how}"] if how else [])), (key,))


def _several(found: _Found) -> Documents:
    total = sum(path.stat().st_size for path in found.files.values())
    if total > TOGETHER:
        raise ContextError(
            f"These {len(found.files):,} files have {total / 1e6:,.0f} MB; several together may have "
            f"{TOGETHER / 1e6:,.0f} MB. Name fewer of them, or one text file alone, which may have any size."
        )
    texts: dict[str, str] = {}
    notes: list[str] = []
    for key, path in found.files.items():
        try:
            text, how = _read(path)
            texts[key] = text.read_text("utf-8-sig") if isinstance(text, Path) else text
        except _NoText as reason:
            if key in found.asked:
                raise ContextError(f"Cannot use {path}: {reason}.") from reason
            found.skip(str(reason))
        else:
            notes += [f"{key}: {how}"] if how else []
    if not texts:
        raise ContextError(f"None of these {len(found.files):,} files has text.")
    lines = [_line(key, text, found.files[key]) for key, text in list(texts.items())[:LISTED]]
    more = [f"… and {len(texts) - LISTED:,} more"] if len(texts) > LISTED else []
    about = "\n".join(["Its keys are files, its values their texts:", *lines, *more])
    notes = notes[:5] + ([f"… and {len(notes) - 5:,} more such files"] if len(notes) > 5 else [])
    return Documents(texts, about, (*notes, *found.notes()), tuple(texts))


def _line(key: str, text: str, path: Path) -> str:
    shape = _shape(path, text)
    return f"- {key}: {len(text):,} characters" + (f", {shape}" if shape else "")


def _read(path: Path) -> tuple[Path | str, str]:
    """The text of a file, or its path where that is UTF-8 text, and how it had to be read otherwise."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD)
            if path.suffix.lower() in CONVERTED:
                return _converted(path, size)
            if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
                raise _NoText("binary, not text")
            if size > TOGETHER or _is_utf8(file, head):
                return path, ""
        return _decoded(path.read_bytes())
    except OSError as error:
        raise _NoText(error.strerror or "it cannot be read") from error


def _is_utf8(file: Any, head: bytes) -> bool:
    """Whether the whole file is UTF-8; reads it a piece at a time."""
    import codecs

    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        decode(head)
        while piece := file.read(2**20):
            decode(piece)
        decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(data: bytes) -> tuple[str, str]:
    from charset_normalizer import from_bytes

    guess = from_bytes(data[: 2**20]).best()
    if guess is None:
        raise _NoText("no known encoding")
    return data.decode(guess.encoding, "replace"), f"read as {guess.encoding}"


def _converted(path: Path, size: int) -> tuple[Path | str, str]:
    kind = path.suffix.lower().lstrip(".")
    if find_spec("markitdown") is None:
        if kind in ("html", "htm"):
            text, how = _decoded(path.read_bytes()) if not _utf8(path) else (path, "")
            return text, how or "its source; for its text: pip install 'rlm-ollama[docs]'"
        raise _NoText(f"{kind} needs the extra docs: pip install 'rlm-ollama[docs]'")
    if size > TOGETHER:
        raise _NoText(f"{kind} of more than {TOGETHER / 1e6:,.0f} MB")
    from markitdown import MarkItDown

    try:
        text = str(MarkItDown(enable_plugins=False).convert(path).text_content)
    except Exception as error:  # the parsers of a dozen formats raise whatever they like
        raise _NoText(f"no text can be had from this {kind} ({type(error).__name__})") from error
    if not text.strip():
        raise _NoText(f"this {kind} has no text in it, maybe only pictures")
    return text, f"text taken from {kind}"


def _utf8(path: Path) -> bool:
    with path.open("rb") as file:
        return _is_utf8(file, b"")


def _shape(path: Path, text: Path | str) -> str:
    """What is in a table or JSON, for the model; "" for other files and where it is not what it says."""
    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".json", ".jsonl", ".ndjson"):
        return ""
    whole = not isinstance(text, Path) or text.stat().st_size <= TOGETHER // 10
    if isinstance(text, Path):
        with text.open("rb") as file:
            data = file.read() if whole else file.read(HEAD)
        text = data.decode("utf-8-sig", "replace")
    with suppress(ValueError, csv.Error, RecursionError, StopIteration):
        if kind in (".csv", ".tsv"):
            return _table(text, kind, whole)
        return _json(text, kind, whole)
    return ""


def _table(text: str, kind: str, whole: bool) -> str:
    line = text.partition("\n")[0]
    delimiter = "\t" if kind == ".tsv" else csv.Sniffer().sniff(line, ",;\t|").delimiter
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = next(records)
    rows = ""
    with suppress(csv.Error):  # of quotes that are none: then their number is not known
        rows = f"{sum(map(bool, records)):,} rows, " if whole else ""
    name = "tab" if delimiter == "\t" else delimiter
    return f"a table as CSV with the delimiter {name}, {rows}{len(columns)} columns: {_names(columns, 30)}"


def _json(text: str, kind: str, whole: bool) -> str:
    if kind != ".json":
        first = json.loads(text.partition("\n")[0])
        return f"JSON, one value a line, the first {_value(first)}"
    return f"JSON, {_value(json.loads(text))}" if whole else "JSON"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with the keys {_names(list(value), 20)}"
    if isinstance(value, list):
        return f"a list of {len(value):,}" + (f", the first {_value(value[0])}" if value else "")
    return f"a {type(value).__name__}"


def _names(names: Sequence[str], most: int) -> str:
    shown = [name if len(name) <= 60 else name[:60] + "…" for name in names[:most]]
    return ", ".join(shown) + (", …" if len(names) > most else "")
