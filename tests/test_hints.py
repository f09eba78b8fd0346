"""What a cell is told of the data it looks for, which rows a context has, and what is shown of it."""

from __future__ import annotations

import json

import pytest

from rlm.sandbox import Sandbox
from rlm.sandbox.child import blocks
from rlm.sandbox.child.finding import is_searchable, named, related
from rlm.sandbox.child.hints import loose, unmatched
from rlm.sandbox.child.rows import first, read

LOG = "\n".join(
    [
        '10.0.0.7 - - [01/Mar/2024] "GET /a.html HTTP/1.1" 200 5001',
        '10.0.0.8 - - [01/Mar/2024] "GET /b.html HTTP/1.1" 500 17',
        '10.0.0.9 - - [02/Mar/2024] "GET /c.html HTTP/1.1" 404 900',
    ]
    * 20
)
ROWS = [
    {"name": "Ada", "city": "Oslo", "who": "Ada <ada@home>"},
    {"name": "Bo", "city": "Bergen", "who": "Bo <bo@home>"},
]


def test_nested_data_counts_by_all_that_is_in_it():
    records = {"records": [{"name": "x" * 90, "nr": n} for n in range(1000)]}
    assert is_searchable(records, 200_000)
    assert not is_searchable(records, 90_000)
    endless: list[object] = ["x"]
    endless.append(endless)
    assert not is_searchable(endless, 10_000)


def test_words_are_found_in_any_case_also_beside_a_letter_that_grows():
    assert [chr(n) for n in range(0x110000) if len(chr(n).lower()) > 1] == ["İ"]
    text = "İstanbul has letters\nRefund denied\n" + "nothing here\n" * 50
    assert related("Was there a refund?", text)[0][0].startswith("Refund denied")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ('re.search(r"HTTP/1.1 500", line)', 'It has "HTTP/1.1", as in:\n10.0.0.8'),
        ('re.findall(r"(\\d+) gone", context)', 'nothing for "(\\d+) gone". It has "(\\d+) "'),
        ('[l for l in lines if "get /a" in l]', '"get /a" is there only in other letters'),
        ('[l for l in lines if "zebra" in l]', 'The data has nothing for "zebra".'),
        ('[l for l in lines if l.startswith("GET")]', 'No line begins with "GET". It is within lines'),
        (
            '[l for l in lines if l.split()[2] == "500"]',
            "is not at [2] but at [7] of a line's split(): ['10.0",
        ),
        ('[l for l in lines if "GET /a.htmx" in l]', 'It has "GET /a.", as in:'),
        (
            '[r for r in rows if r["city"] == "oslo"]',
            "No item has 'oslo' as its 'city'; it is 'Oslo', 'Bergen'.",
        ),
        (
            '[r for r in rows if r["who"] == "bo@home"]',
            "'bo@home' is only a part of a 'who', as of 'Bo <bo@home>': 'bo@home' in row['who'].",
        ),
        (
            '[r for r in rows if r.get("town", "") == "Oslo"]',
            "'Oslo' is not the 'town' of any item, but the 'city' of some: row['city'] == 'Oslo'.",
        ),
        ('re.search(r"\\d{1,3} gone", line)', 'It has "\\d{1,3} ", as in:'),
    ],
)
def test_what_is_looked_for_in_vain_is_named_with_the_nearest_that_is_there(code, says):
    assert says in unmatched(code, LOG, ROWS)


@pytest.mark.parametrize(
    "code",
    [
        'search("get /a")',
        're.search("get /a", line, re.IGNORECASE)',
        '[l for l in lines if "get /a" in l.lower()]',
        '[r for r in rows if r["city"] == "Oslo"]',
        '[r for r in rows if r["street"] == "Main Road"]',
        're.search(r"[broken", line)',
        "x = 1",
    ],
)
def test_what_is_there_and_what_cannot_be_judged_is_not_complained_of(code):
    assert not unmatched(code, LOG, ROWS)


def test_a_context_that_takes_long_to_look_through_is_not():
    assert not unmatched('"zebra" in context', "x" * 6_000_000, [])
    assert not unmatched('"zebra" in context', 17, [])


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ('re.search("500", line)', '"500" is also in longer numbers, as in:'),
        ('re.search(r"\\bget\\b", line)', '"get" is there in capitals too'),
        ('re.search(r"\\b500\\b", line)', ""),
        ('re.search("GET", line)', ""),
        ('re.search("get", line, re.I)', ""),
        ('"mar" in line', ""),
    ],
)
def test_what_is_counted_by_mistake_is_named(code, says):
    said = loose(code, LOG.replace("/Mar/", "/May/"))
    assert said.startswith(says)
    assert bool(said) == bool(says)


def test_code_that_found_nothing_without_rows_is_told_of_them():
    with Sandbox(LOG, query=str) as repl:
        assert repl.execute("[l for l in context.split() if l == 'GET  /a']").hint.startswith(
            "Its records are in `rows` as well, a list of dicts; the first is {'ip': '10.0.0.7',"
        )
        assert not repl.execute("[row for row in rows if not row]").hint
        repl.execute("lines = context.splitlines()")
        assert not repl.execute("len([line for line in lines if line == 'x'])").hint


@pytest.mark.filterwarnings("ignore:sandbox=")
@pytest.mark.parametrize("kind", ["process", "inprocess"])
def test_a_cell_has_its_hint_and_its_error_has_the_values(kind):
    with Sandbox(LOG, query=str, kind=kind) as sandbox:
        assert "HTTP/1.1" in sandbox.execute('print([x for x in context if "HTTP/1.1 500" in x])').hint
        assert not sandbox.execute('print("HTTP/1.1 500" in context, 7)').hint
        assert "longer numbers" in sandbox.execute('print(len(re.findall("500", context)))').hint
        failed = sandbox.execute("for line in context.splitlines(): float(line.split()[0])")
        assert "(there line = '10.0.0.7 - -" in failed.error
        failed = sandbox.execute('re.findall("HTTP/1.1 500", context)[0]')
        assert 'nothing for "HTTP/1.1 500"' in failed.error


def test_a_text_with_capitals_is_looked_for_without_them_where_the_other_has_none():
    with Sandbox(["Oslo, May", "Bergen"], query=str) as sandbox:
        assert sandbox.execute("[x for x in context if 'Oslo' in x.lower()]").value == "['Oslo, May']"
        assert sandbox.execute("[x for x in context if 'Oslo' not in x.lower()]").value == "['Bergen']"
        assert sandbox.execute("[x for x in context if 'OSLO' in x]").value == "[]"


DEB = "\n\n".join(
    f"Package: {name}\nInstalled-Size: {size}\nVersion: {size}.1\nDescription: {name}\n long"
    for name, size in [("bash", 70), ("zlib", 9), ("perl", 300)]
)


def test_blocks_of_fields_are_rows():
    assert first(DEB)["Package"] == "bash"
    rows = read(DEB)
    assert [row["Installed-Size"] for row in rows] == [70, 9, 300]
    assert rows[0]["Description"] == "bash\n long"
    assert first("Dear Ada:\nhow are you\n\nDear Bo:\nfine\n\n") is None


@pytest.mark.parametrize("form", ["dict", "text"])
def test_the_only_list_or_dict_of_dicts_in_a_dict_is_rows(form):
    def given(data):
        return data if form == "dict" else json.dumps(data, indent=2)

    items = [{"n": n, "on": n % 2 == 0} for n in range(5)]
    assert read(given({"page": 1, "items": items})) == items
    keyed = {"services": {f"s{n}": {"on": True} for n in range(4)}}
    assert read(given(keyed))[3] == {"key": "s3", "on": True}
    assert first(given(keyed)) == {"key": "s0", "on": True}
    assert read(given({"a": items, "b": items})) is None
    assert read(given({"a": 1, "b": "text"})) is None


def test_numbers_with_gaps_and_units_in_the_header_are_read():
    text = "day,^GSPC,price (EUR)\n2024-01-01,1.123456789012345,\n2024-01-02,2.5,7\n2024-01-03,3.5,8\n"
    assert read(text)[1] == {"day": "2024-01-02", "^GSPC": 2.5, "price (EUR)": 7}
    with Sandbox(text, query=str) as sandbox:
        failed = sandbox.execute("max(row['price (EUR)'] for row in rows)")
    assert "(row['price (EUR)'] is '' in some of `rows`: leave those out)" in failed.error


CONFIG = "services:\n  mail:\n    host: a\n    timeout: 30\n  billing:\n    host: b\n    timeout: 47\n"
CHANGES = "# Changes\n\n## 1.3\n\n* repair the zsh completion\n\n## 1.2\n\n* other things\n"


def test_a_line_comes_with_what_it_belongs_to_and_what_belongs_to_it():
    lines, _, _ = related("What is the timeout of the billing service?", CONFIG)
    assert lines[0].startswith("services:\n  billing:\n")
    assert lines[0].endswith("timeout: 47")
    lines, _, _ = related("In which release was the zsh completion repaired?", CHANGES)
    assert lines[0] == "## 1.3\n* repair the zsh completion"
    lines, _, _ = related("Which version of the package bash is installed?", DEB)
    assert "Version: 70.1" in lines[0]
    assert blocks.above("a comment\n# one\n# two\nvalue", 24) == []


MINUTES = "Minute book\n\n" + "".join(
    f"MEETING of {n} May\n\nChair: {who}\nPresent: {who}, Bo\n\n1. All was read.\n"
    f"2. A {what} was bought for the village.\n\n"
    for n, (who, what) in enumerate([("Ann Hill", "roof"), ("Cy Dale", "sweeper"), ("Di Moor", "bell")], 1)
)


def test_a_line_comes_with_the_title_above_it_and_the_fields_under_that():
    lines, _, _ = related("Who was the chair when the sweeper was bought?", MINUTES)
    assert (
        lines[0]
        == "MEETING of 2 May\nChair: Cy Dale\nPresent: Cy Dale, Bo\n2. A sweeper was bought for the village."
    )
    assert blocks.above(MINUTES, MINUTES.index("Present: Cy")) == ["MEETING of 2 May"]
    assert blocks.above(MINUTES, MINUTES.index("MEETING of 2")) == []
    one = f"{MINUTES[: MINUTES.index('MEETING of 2')]}It rained.\n\nAnd then it was over, as it seemed.\n"
    assert blocks.above(one, one.index("And then")) == []
    mail = (
        "From a Mon Aug 22 09:28:00 2022\nMessage-ID: <1@home>\nFrom: Ann\nTo: Bo\n\n"
        "The keys of all the doors are lost.\n"
    )
    lines, _, _ = related("What is lost?", f"{mail}\n" * 2)
    assert lines == [
        "From a Mon Aug 22 09:28:00 2022\nFrom: Ann\nTo: Bo\nThe keys of all the doors are lost."
    ]


def test_of_the_best_line_more_is_shown():
    line = f"The doctor of Vesper came. {'He said a word. ' * 25}It was the wine."
    lines, _, _ = related("What was the matter with Vesper?", "all is well\n" * 30 + f"{line}\n")
    assert lines == [line]
    line = f"{'x' * 900} Vesper {'y' * 900}"
    lines, _, _ = related("What was the matter with Vesper?", "all is well\n" * 30 + f"{line}\n")
    assert "Vesper" in lines[0]


def test_links_of_a_wiki_are_followed():
    pages = "".join(f"# Page {n}\nIt is near [[Page {n - 1}]].\n" for n in range(9))
    wiki = f"# Iron Bridge\nIt is by [[J. Oakes]].\n{pages}# J. Oakes\nJ. Oakes was born in Yew.\n{pages}"
    assert "# J. Oakes\nJ. Oakes was born in Yew." in "\n".join(related("Who built Iron Bridge?", wiki)[0])


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What is the code of pale-fox?", "pale-fox"),
        ("What do pale-fox and line have?", "pale-fox"),
        ("How many e-mails are there?", ""),
        ("Who bought the second-hand sweeper?", ""),
        ("What port does auth-proxy use?", "auth-proxy"),
        ("When did pale-fox leave?", "pale-fox"),
        ("What do night-active insects do?", ""),
        ("What is in a-1.txt there?", "a-1.txt"),
        ("What is Ost-West about?", "Ost-West"),
        ("Where is a.b.c found?", "a.b.c"),
    ],
)
def test_a_compound_that_says_of_what_kind_something_is_is_no_name(question, name):
    assert related(question, "a line of text\n" * 9)[1] == name


def test_of_a_long_line_each_sentence_is_a_line():
    filler = "The baker of Ulm sold two loaves. " * 90
    prose = f"{filler}Marta Quill was born in Gera. {filler}Otto Quill was born in Jena. {filler}"
    lines, _, _ = related("Who is older, Marta Quill or Otto Quill?", prose)
    assert lines == ["Marta Quill was born in Gera.", "Otto Quill was born in Jena."]


def test_a_code_of_two_capitals_is_looked_for_as_a_word():
    codes = "\n".join(["FI\tFinland", "FO\tFaroe Islands", "FR\tFrance", "forests for foxes"])
    assert related("Which country has the code FO?", codes)[0][0].startswith("FO\tFaroe Islands")


def test_a_date_is_one_number_and_a_time_is_none():
    text = "2024-02-03 06:00 Quarry 35\n" * 3
    assert named("How many of 35 were there from 2024-02-03 06:00 to 17/02/24?", text) == ["35", "2024-02-03"]


def test_names_numbers_and_quotations_are_what_an_answer_depends_on():
    assert named('How many are from Oslo or "Ny by" in 2024, or from Rome?', "Oslo 2024\nNy by") == [
        "Oslo",
        "Ny by",
        "2024",
    ]
