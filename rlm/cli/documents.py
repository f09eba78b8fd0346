"""Files, folders and globs to a context: a text, or a dict of path -> text. Knows no model and no REPL."""

from __future__ import annotations

import codecs
import csv
import glob
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
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
MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
# at the start of UTF-16 and UTF-32; that of UTF-32-LE begins as the first does
DOCS = "pip install 'rlm-ollama[docs]'"
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


class _NoText(OSError):
    """The file has no text; says why."""


def load(sources: Sequence[str]) -> Documents:
    """Finds the files and reads those that have to be; nothing of a single UTF-8 file is kept here.

    Args:
        sources: files, folders and globs; `~` is the user's home.

    Raises:
        ContextError: one of them is missing or has no text, or all together are too large.
    """
    if not sources:
        return Documents()
    found = _Found()
    for source in sources:
        found.add(source)
    one = len(found.files) == 1
    documents = _one(*found.files.popitem(), found.notes()) if one else _several(found)
    if documents.context is None:
        why = ": " + "; ".join(documents.notes) if documents.notes else ""
        raise ContextError(f"There is no text in {', '.join(sources)}{why}.")
    return documents


class _Found:
    """The files that sources name: key -> path, and what was left out."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.keys: dict[str, str] = {}
        # of the same files by their real paths, so that none is there twice
        self.asked: set[str] = set()
        # keys of files that were named themselves: one without text is an error
        self.skipped = Counter[str]()
        # reason -> number of files

    def add(self, source: str) -> None:
        if not source.strip():  # else it would be the present folder
            raise ContextError("The name of a file is empty.")
        path = Path(os.path.expanduser(source))  # unlike Path's own, leaves ~$report.docx as it is
        if os.path.isdir(path):
            return self._add_folder(Path(os.path.abspath(path)))
        if os.path.exists(path):
            return self._add_file(path, path.name, asked=True)
        if glob.has_magic(source):
            return self._add_glob(source, path)
        raise ContextError(f"There is no file or folder {source}.")

    def _add_file(self, path: Path, key: str, *, asked: bool) -> None:
        key = os.path.abspath(path) if key in self.files else key
        key = self.keys.setdefault(os.path.realpath(path), key)
        self.files.setdefault(key, path)
        if asked:
            self.asked.add(key)
        if len(self.files) > MOST_FILES:
            raise ContextError(f"That is more than {MOST_FILES:,} files. Name a smaller folder, or a glob.")

    def _add_folder(self, folder: Path) -> None:
        for path in _walk(folder, _rules_above(folder), self.skipped):
            self._add_file(path, str(path.relative_to(folder.parent)), asked=False)

    def _add_glob(self, source: str, pattern: Path) -> None:
        """Walks to what matches from the last folder before a wildcard: .gitignore holds from there on."""
        names = map(os.path.abspath, glob.glob(str(pattern), recursive=True))
        matches = [Path(name) for name in names if "**" not in source or os.path.isfile(name)]
        if not matches:
            raise ContextError(f"Nothing matches {source}.")
        folders = {match.parent for match in matches}
        only = {way: False for folder in folders for way in (folder, *folder.parents)}
        only |= dict.fromkeys(matches, True)
        base = next(way for way in Path(os.path.abspath(pattern)).parents if not glob.has_magic(str(way)))
        for path in _walk(base, _rules_above(base), self.skipped, only):
            self._add_file(path, os.path.relpath(path), asked=False)

    def notes(self) -> tuple[str, ...]:
        return tuple(f"{count:,} skipped: {reason}" for reason, count in self.skipped.items())


Rules = Sequence[tuple[Path, "GitIgnoreSpec"]]
Only = dict[Path, bool] | None
# what a glob matches -> True, folders on the way there -> False; None: everything


def _walk(folder: Path, rules: Rules, skipped: Counter[str], only: Only = None) -> Iterator[Path]:
    """Files in the folder and below, in order, without what .gitignore excludes."""
    rules = [*rules, *_rules(folder)]
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        skipped["folders that cannot be read"] += 1
        return
    for path in entries if only is None else filter(only.__contains__, entries):
        matches, is_folder = only is not None and only[path], os.path.isdir(path)
        if path.name in NEVER:
            skipped["folders such as .git and node_modules"] += 1
        elif os.path.islink(path) and not matches:
            skipped["symbolic links"] += 1
        elif _ignored(path, rules, is_folder):
            skipped[".gitignore excludes them"] += 1
        elif is_folder:
            yield from _walk(path, rules, skipped, None if matches else only)
        elif os.path.isfile(path):
            yield path
        else:
            skipped["no files, or they cannot be read"] += 1


def _ignored(path: Path, rules: Rules, is_folder: bool) -> bool:
    """By the last rule that says something, as git does it."""
    for base, spec in reversed(rules):
        ignored = spec.check_file(path.relative_to(base).as_posix() + "/" * is_folder).include
        if ignored is not None:
            return ignored
    return False


def _rules_above(folder: Path) -> Rules:
    """Those of the folders above, up to the root of the repository; none outside of one."""
    from pathspec import GitIgnoreSpec

    def inside(base: Path, pattern: Any) -> bool:
        return _ignored(folder / "any file", [(base, GitIgnoreSpec([pattern]))], False)

    above: list[tuple[Path, GitIgnoreSpec]] = []
    for parent in folder.parents if not os.path.exists(folder / ".git") else ():
        above = [*_rules(parent), *above]
        if os.path.exists(parent / ".git"):
            # who names a folder wants what is in it: without the patterns that exclude any file there
            return [
                (base, GitIgnoreSpec([p for p in spec.patterns if not inside(base, p)]))
                for base, spec in above
            ]
    return []


def _rules(folder: Path) -> Rules:
    from pathspec import GitIgnoreSpec

    patterns: list[Any] = []
    with suppress(OSError):
        for line in (folder / ".gitignore").read_text("utf-8-sig", "replace").splitlines():
            with suppress(ValueError, re.error):  # a line that is no pattern means nothing to git either
                patterns += GitIgnoreSpec.from_lines([line]).patterns
    return [(folder, GitIgnoreSpec(patterns))] if patterns else []


def _one(key: str, path: Path, notes: tuple[str, ...]) -> Documents:
    """A file alone: its path, as long as it is UTF-8 text."""
    try:
        text, how = _read(path)
        shape = _shape(path, text)
    except OSError as error:
        raise ContextError(f"Cannot use {path}: {error.strerror or error}.") from error
    about = f"It is the text of the file {key}" + (f": {shape}." if shape else ".")
    return Documents(text, about, (*notes, *([f"{key}: {how}"] if how else [])), (key,))


def _several(found: _Found) -> Documents:
    texts: dict[str, str] = {}
    notes: list[str] = []
    room = TOGETHER
    for key, path in found.files.items():
        try:
            text, how = _read(path, room)
        except OSError as error:
            if key in found.asked:
                raise ContextError(f"Cannot use {path}: {error.strerror or error}.") from error
            found.skipped[error.strerror or str(error)] += 1
        else:
            texts[key] = str(text)
            room -= len(texts[key])
            notes += [f"{key}: {how}"] if how else []
    lines = [_line(key, text, found.files[key]) for key, text in list(texts.items())[:LISTED]]
    more = [f"… and {len(texts) - LISTED:,} more"] if len(texts) > LISTED else []
    about = "\n".join(["Its keys are files, its values their texts:", *lines, *more])
    notes = notes[:5] + ([f"… and {len(notes) - 5:,} more such files"] if len(notes) > 5 else [])
    return Documents(texts or None, about, (*notes, *found.notes()), tuple(texts))


def _line(key: str, text: str, path: Path) -> str:
    shape = _shape(path, text)
    return f"- {key}: {len(text):,} characters" + (f", {shape}" if shape else "")


def _read(path: Path, room: int | None = None) -> tuple[Path | str, str]:
    """The text, and how it was read if not as UTF-8; of UTF-8 its path, if it is alone (no `room`)."""
    kind = path.suffix.lower()
    size = path.stat().st_size
    if kind in CONVERTED and find_spec("markitdown"):
        return _converted(path, size)
    if kind in CONVERTED and kind not in (".html", ".htm"):
        raise _NoText(f"{kind[1:]} needs the extra docs: {DOCS}")
    source = f"its source; for its text: {DOCS}" if kind in CONVERTED else ""
    with path.open("rb") as file:
        head = file.read(HEAD)
        if b"\0" in head and not head.startswith(MARKS):
            raise _NoText("binary, not text")
        if room is not None and size > room:
            raise ContextError(
                f"Several files together may have {TOGETHER / 1e6:,.0f} MB of text, and these have more. "
                "Name fewer of them, or one text file alone, which may have any size."
            )
        if room is None and (size > TOGETHER or _is_utf8(path)):
            return path, source
        file.seek(0)
        text, how = _decoded(file.read())
    return text, how or source


def _is_utf8(path: Path) -> bool:
    """Whether the whole file is UTF-8; reads it a piece at a time."""
    with suppress(UnicodeDecodeError), path.open("rb") as file:
        for _ in codecs.iterdecode(iter(lambda: file.read(2**20), b""), "utf-8"):
            pass
        return True
    return False


def _decoded(data: bytes) -> tuple[str, str]:
    """The text with nothing lost, except where a few bytes in much text are none, and that is told."""
    from charset_normalizer import from_bytes

    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig"), ""
    text = data.decode("utf-8-sig", "replace")
    lost = text.count("\ufffd")
    damaged = f"read as utf_8, damaged characters: {lost:,}"
    if lost * 10 < len(text) - len(text.encode("ascii", "ignore")):
        return text, damaged
    telling = islice((line for line in io.BytesIO(data) if not line.isascii()), 1000)
    marked = [f"utf_{bits}{order}" for bits in (32, 16) for order in ("", "_le", "_be")]
    guesses = list(from_bytes(b"".join(telling)[: 2**20], cp_exclusion=marked))
    # of those as likely as the first, cp1252, as the one in most use
    first = [(guess.chaos, guess.coherence) for guess in guesses[:1]]
    guesses.sort(key=lambda g: [(g.chaos, g.coherence)] != first or "cp1252" not in g.could_be_from_charset)
    likely = [name for guess in guesses for name in guess.could_be_from_charset]
    for encoding in marked if data.startswith(MARKS) else likely:
        with suppress(UnicodeDecodeError):
            return data.decode(encoding), f"read as {encoding}"
    if lost * 10 < len(text) and not data.startswith(MARKS):
        return text, damaged
    raise _NoText("no known encoding")


def _converted(path: Path, size: int) -> tuple[str, str]:
    kind = path.suffix.lower()[1:]
    if size > TOGETHER:
        raise _NoText(f"{kind} of more than {TOGETHER / 1e6:,.0f} MB")
    try:
        from markitdown import MarkItDown

        text = str(MarkItDown(enable_plugins=False).convert(path).text_content)
    except Exception as error:  # the parsers of a dozen formats raise whatever they like
        missing = isinstance(error, ImportError) or "MissingDependency" in str(error)
        reason = f"its reader is missing: {DOCS}" if missing else type(error).__name__
        raise _NoText(f"no text can be had from this {kind} ({reason})") from error
    if not text.strip():
        raise _NoText(f"this {kind} has no text in it, maybe only pictures")
    return text, f"text taken from {kind}"


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
