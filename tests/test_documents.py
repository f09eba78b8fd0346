"""Files, folders and globs to a context: what is found, how it is read, what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm import documents
from rlm.errors import ContextError


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


def test_an_encoding_is_detected_and_said(tmp_path):
    text = "Grüße aus Köln, schöne Straßen und süße Äpfel. " * 20
    (tmp_path / "a.txt").write_bytes(text.encode("utf-16"))
    found = loaded(tmp_path, "a.txt")
    assert found.context.lstrip("\ufeff") == text
    assert found.notes == ("a.txt: read as utf_16",)


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
