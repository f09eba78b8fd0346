"""Files, folders and globs to a context: what is found, how it is read, what is told of it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from rlm.cli import documents
from rlm.errors import ContextError

ROOT = Path(__file__).parents[1]


def loaded(folder: Path, *sources: str) -> documents.Documents:
    return documents.load([str(folder / source) for source in sources])


def test_one_text_file_is_its_path(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("ünicode")
    assert loaded(tmp_path, "a.txt").context == file


def test_a_folder_is_a_dict_without_what_is_binary_or_ignored(tmp_path):
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("one")
    (folder / "sub" / "b.txt").write_text("two")
    (folder / "c.log").write_text("ignored")
    (folder / "sub" / "d.bin").write_bytes(b"\0\1\2")
    (folder / ".gitignore").write_text("*.log\n")
    found = loaded(tmp_path, "docs")
    assert found.context == {"docs/.gitignore": "*.log\n", "docs/a.txt": "one", "docs/sub/b.txt": "two"}
    assert found.notes == ("1 skipped: .gitignore excludes them", "1 skipped: binary, not text")
    assert "- docs/a.txt: 3 characters" in found.about


def test_a_glob_and_a_file_make_a_dict(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.md", "b.md", "c.txt"):
        Path(name).write_text(name)
    assert set(documents.load(["*.md", "c.txt"]).context) == {"a.md", "b.md", "c.txt"}


FOUND = "1 skipped: .gitignore excludes them"


@pytest.mark.parametrize(
    ("ignored", "files", "sources", "names", "notes"),
    [
        pytest.param(
            "data/\n*.log",
            "a.txt b.log data/c.txt node_modules/d.txt",
            ["**/*"],
            "a.txt",
            ["2 skipped: .gitignore excludes them", "1 skipped: folders such as .git and node_modules"],
            id="glob",
        ),
        pytest.param(
            "*.log", "d/a.txt d/b.log d/e/c.txt", ["d*"], "d/a.txt d/e/c.txt", [FOUND], id="glob-folder"
        ),
        pytest.param("data/", "data/a.txt", ["data"], "data/a.txt", [], id="ignored-folder"),
        pytest.param("data/*", "data/a.txt", ["data"], "data/a.txt", [], id="ignored-content"),
        pytest.param("data/\n.env", "data/a data/.env", ["data"], "data/a", [FOUND], id="other-patterns"),
        pytest.param("*.log", "src/a.py src/b.log", ["src"], "src/a.py", [FOUND], id="rules-above"),
        pytest.param("*.log", "../other/a.log", ["../other"], "other/a.log", [], id="outside"),
        pytest.param(
            "*.log", "d/a.log d/b.log d/.gitignore", ["d"], "d/.gitignore d/b.log", [FOUND], id="negated"
        ),
        pytest.param(
            "!\n\\\nfoo\\\n[z-a]\n*.log", "d/a b.log d/b.log", ["d"], "d/a", [FOUND], id="no-pattern"
        ),
        pytest.param("", "src/a.py src/b.py", ["src", "src/a.py"], "src/a.py src/b.py", [], id="twice"),
        pytest.param("", "~$a.txt", ["~$a.txt"], "~$a.txt", [], id="no-home"),
    ],
)
def test_what_is_found_in_a_repository(tmp_path, monkeypatch, ignored, files, sources, names, notes):
    for name in [*(f"repo/{name}" for name in files.split()), "repo/.git/HEAD"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("!b.log")
    (tmp_path / "repo" / ".gitignore").write_text(ignored)
    monkeypatch.chdir(tmp_path / "repo")
    found = documents.load(sources)
    assert (sorted(found.names), list(found.notes)) == (names.split(), notes)


def test_no_file_takes_the_key_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x/src/a.py", "a.py", "src/a.py"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    found = documents.load(["x/src", "a.py", "src/a.py"])
    assert sorted(found.context.values()) == ["a.py", "src/a.py", "x/src/a.py"]


def test_a_link_is_followed_where_it_is_named(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").symlink_to(tmp_path / "b.txt")
    (tmp_path / "b.txt").write_text("b")
    os.mkfifo(tmp_path / "d" / "pipe")
    assert loaded(tmp_path, "d/*.txt").context == tmp_path / "d" / "a.txt"
    with pytest.raises(ContextError, match="1 skipped: symbolic links; 1 skipped: no files"):
        loaded(tmp_path, "d")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("~nouser/x", "There is no file or folder ~nouser/x."),
        ("", "The name of a file is empty."),
        (" ", "The name of a file is empty."),
        ("x" * 300, f"There is no file or folder {'x' * 300}."),
        ("a\0b", "There is no file or folder a\0b."),
        ("**/nothing", "Nothing matches **/nothing."),
        ("bin", "There is no text in bin: 1 skipped: .gitignore excludes them; 2 skipped: binary, not text."),
    ],
)
def test_what_is_not_there_is_told_in_one_line(tmp_path, monkeypatch, source, says):
    monkeypatch.chdir(tmp_path)
    Path("bin").mkdir()
    for name in ("a", "b", "c.log"):
        (tmp_path / "bin" / name).write_bytes(b"\0")
    Path(".gitignore").write_text("*.log")
    Path(".git").mkdir()
    with pytest.raises(ContextError) as caught:
        documents.load([source])
    assert str(caught.value) == says


def test_a_file_that_vanishes_is_skipped(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    found = documents._Found()
    found.add(str(tmp_path))
    (tmp_path / "a.txt").unlink()
    result = documents._several(found)
    assert list(result.context.values()) == ["b.txt"]
    assert result.notes == ("1 skipped: No such file or directory",)


def test_lines_end_as_they_do_in_the_file(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert set(loaded(tmp_path, "a.txt", "b.txt").context.values()) == {"one\r\ntwo"}


def test_an_encoding_is_detected_and_said(tmp_path):
    text = "Grüße aus Köln, schöne Straßen und süße Äpfel. " * 20
    (tmp_path / "a.txt").write_bytes(text.encode("utf-16"))
    found = loaded(tmp_path, "a.txt")
    assert found.context.lstrip("\ufeff") == text
    assert found.notes == ("a.txt: read as utf_16",)


ASCII = "Plain words stand in this line.\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param(ASCII * 40_000 + "Grüße aus Köln\n", "cp1252", id="late"),
        pytest.param(ASCII * 1000 + "Das Mädchen läuft über die Brücke.\n" + ASCII, "cp1252", id="rare"),
        pytest.param("\n" + "汉字是中国人的文字\n" * 60_000, "gbk", id="cut-in-a-character"),
        pytest.param("El niño comió en el jardín; mañana será otro día.\n" * 9, "cp1252", id="most-used"),
        pytest.param("Grüße\n", "cp1252", id="short"),
        pytest.param("Grüße\n", "utf_32", id="marked"),
    ],
)
def test_no_character_is_lost_in_another_encoding(tmp_path, text, encoding):
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    found = loaded(tmp_path, "a.txt")
    assert found.context == text
    assert "read as" in found.notes[0]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        pytest.param("Grüße aus Köln\n" * 70_000, b"\xff", id="late"),
        pytest.param(ASCII * 100, bytes(range(128, 256)) * 2, id="garbage"),
    ],
)
def test_damaged_text_is_read_and_the_damage_told(tmp_path, good, bad):
    (tmp_path / "a.txt").write_bytes(good.encode() + bad + good.encode())
    found = loaded(tmp_path, "a.txt")
    assert found.context == good + bad.decode(errors="replace") + good
    assert found.notes == (f"a.txt: read as utf_8, damaged characters: {len(bad)}",)


def test_bytes_of_no_encoding_are_an_error(tmp_path):
    (tmp_path / "a.txt").write_bytes(bytes(range(1, 256)) * 9)
    with pytest.raises(ContextError, match="no known encoding"):
        loaded(tmp_path, "a.txt")


@pytest.mark.parametrize(
    ("name", "text", "shape"),
    [
        ("a.csv", "date,item\n1,rug\n2,lamp\n", "2 rows, 2 columns: date, item"),
        ("a.csv", 'a,"b\nc"\n1,"x\ny"\n\n2,z\n', "2 rows, 2 columns: a, b\nc."),
        ("a.csv", 'a,b\n1,"x\n2,y\n', "delimiter ,, 2 columns: a, b."),
        ("a.json", '{"%s": 1}' % ("x" * 1000), f"the keys {'x' * 60}…."),
        ("a.json", '[{"id": 1, "name": "x"}]', "a list of 1, the first an object with the keys id, name"),
        ("a.jsonl", '{"id": 1}\n{"id": 2}\n', "one value a line, the first an object with the keys id"),
    ],
)
def test_the_shape_of_tables_and_json_is_told(tmp_path, name, text, shape):
    (tmp_path / name).write_text(text)
    assert shape in loaded(tmp_path, name).about


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "b.csv"])
def test_a_table_that_is_none_is_text(tmp_path, name):
    (tmp_path / name).write_text("" if name == "b.csv" else "{")
    assert loaded(tmp_path, name).about == f"It is the text of the file {name}."


def test_a_binary_file_that_was_named_is_an_error(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")
    with pytest.raises(ContextError, match="binary"):
        loaded(tmp_path, "a.bin")


def test_too_much_together_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "TOGETHER", 10)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("more than five")
    with pytest.raises(ContextError, match="one text file alone"):
        loaded(tmp_path, "a.txt", "b.txt")


def test_a_pdf_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(ContextError, match=r"rlm-ollama\[docs\]"):
        loaded(tmp_path, "a.pdf")


def test_binary_files_do_not_count_for_what_is_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "TOGETHER", 10)
    (tmp_path / "a.bin").write_bytes(b"\0" * 20)
    (tmp_path / "b.txt").write_text("one")
    (tmp_path / "c.txt").write_text("two")
    assert sorted(loaded(tmp_path, "*").context.values()) == ["one", "two"]


@pytest.fixture
def markitdown(tmp_path, monkeypatch):
    """Puts a module of that name in place, with this body of `convert`."""
    monkeypatch.delitem(sys.modules, "markitdown", raising=False)

    def put(body: str) -> None:
        folder = tmp_path / "modules"
        folder.mkdir()
        (folder / "markitdown.py").write_text(CONVERTER + body)
        monkeypatch.syspath_prepend(folder)

    yield put
    sys.modules.pop("markitdown", None)


CONVERTER = """
from types import SimpleNamespace as Result
class MissingDependencyException(Exception): pass
class FileConversionException(Exception): pass
class MarkItDown:
    def __init__(self, *, enable_plugins): assert not enable_plugins
    def convert(self, path): """


def test_a_document_is_converted(tmp_path, markitdown):
    markitdown("return Result(text_content=f'# {path.read_text()}')")
    (tmp_path / "a.HTML").write_text("one")
    found = loaded(tmp_path, "a.HTML")
    assert (found.context, found.notes) == ("# one", ("a.HTML: text taken from html",))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return Result(text_content=' ')", "maybe only pictures"),
        (
            "raise FileConversionException('broken')",
            r"no text can be had from this msg \(FileConversionException\)",
        ),
        (
            "raise FileConversionException('threw MissingDependencyException')",
            r"pip install 'rlm-ollama\[docs\]'",
        ),
        ("0\nimport nosuchmodule", r"pip install 'rlm-ollama\[docs\]'"),
    ],
)
def test_a_document_without_text_says_why(tmp_path, markitdown, body, says):
    markitdown(body)
    (tmp_path / "a.msg").write_bytes(b"x")
    with pytest.raises(ContextError, match=says):
        loaded(tmp_path, "a.msg")


def test_every_kind_that_is_converted_has_its_reader_in_the_extra():
    extra = re.search(r"markitdown\[(.*?)\]", (ROOT / "pyproject.toml").read_text())
    readers = set(extra[1].split(","))
    assert {kind[1:] for kind in documents.CONVERTED} - {"html", "htm", "epub", "msg"} | {
        "outlook"
    } == readers


def test_html_is_its_source_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    (tmp_path / "a.html").write_text("<p>one")
    found = loaded(tmp_path, "a.html")
    assert found.context == tmp_path / "a.html"
    assert "its source" in found.notes[0]
