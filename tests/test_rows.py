"""Logs and tables as rows, and the kinds in them that a question names."""

from __future__ import annotations

import pytest

from rlm.sandbox import Sandbox
from rlm.sandbox.child import logs
from rlm.sandbox.child.finding import values
from rlm.sandbox.child.rows import first, head, read, records

LINES = [
    (
        '10.0.0.7 - ada [01/Mar/2024:00:00:01 +0000] "GET /a?b=1 HTTP/1.1" 404 17 "-" "curl/8"',
        {
            "ip": "10.0.0.7",
            "user": "ada",
            "method": "GET",
            "path": "/a?b=1",
            "status": 404,
            "agent": "curl/8",
        },
    ),
    ("2024-03-01T00:00:01 WARNING mail: 3 ERRORs so far", {"level": "WARNING", "name": "mail"}),
    (
        "2024-03-01 00:00:01,250 - app.db - ERROR - no route: x",
        {"time": "2024-03-01 00:00:01,250", "name": "app.db", "message": "no route: x"},
    ),
    (
        "2024-03-01 00:00:01.250 | INFO     | app:main:12 - up",
        {"level": "INFO", "name": "app:main:12", "message": "up"},
    ),
    (
        "2024-03-01 00:00:01,250 WARN  [pool-1] org.db.Pool: slow - x",
        {"thread": "pool-1", "name": "org.db.Pool"},
    ),
    ("2024-03-01 00:00:01,250 [main] INFO  org.db.Pool - up", {"thread": "main", "name": "org.db.Pool"}),
    ("[2024-03-01 00:00:01] [error] disk full", {"level": "error", "message": "disk full"}),
    ("ERROR 2024-03-01 00:00:01 mail: gone", {"level": "ERROR", "name": "mail", "message": "gone"}),
    ("WARNING:app.db:slow: 3 s", {"level": "WARNING", "name": "app.db", "message": "slow: 3 s"}),
    (
        "Mar  1 00:00:01 gate sshd[311]: Failed password for root",
        {"time": "Mar  1 00:00:01", "host": "gate", "program": "sshd", "pid": 311},
    ),
    ("2024-03-01T00:00:01.2+00:00 gate cron: up", {"host": "gate", "program": "cron", "message": "up"}),
    ("[00:01] Ada Byron: shall we: go?", {"time": "00:01", "name": "Ada Byron", "message": "shall we: go?"}),
    ("[06.01.24, 08:02:11] Ada: up", {"time": "06.01.24, 08:02:11", "name": "Ada", "message": "up"}),
    ("1/6/24, 8:02\u202fPM - Ada B: up", {"time": "1/6/24, 8:02\u202fPM", "name": "Ada B", "message": "up"}),
    (
        '::1 - - [1/Mar/2024:00:00:01 +0000] "GET / HTTP/1.1" 200 17 "-" "curl/8" to=app-3 rt=0.25',
        {"status": 200, "agent": "curl/8", "to": "app-3", "rt": 0.25},
    ),
    (
        '::1 - - [1/Mar/2024:00:00:01 +0000] "GET / HTTP/1.1" 200 17 "-" "curl/8" 0.25 "gzip"',
        {"status": 200, "agent": "curl/8", "more": '0.25 "gzip"'},
    ),
    (
        '::1 - - [1/Mar/2024:00:00:01 +0000] "GET / HTTP/1.1" 200 17 "-" "curl/8" status=HIT',
        {"status": 200, "agent": "curl/8"},
    ),
    ('time=00:01 level=warn msg="so \\"slow\\""', {"time": "00:01", "level": "warn", "msg": 'so "slow"'}),
]


@pytest.mark.parametrize(("line", "fields"), LINES, ids=range(len(LINES)))
def test_a_log_has_rows(line, fields):
    rows = read(f"{line}\n" * 5)
    assert len(rows) == 5
    assert rows[0] == first(f"{line}\n" * 5) == rows[0] | fields


@pytest.mark.parametrize(
    "line",
    [
        "Information is a good thing: it says what is.",
        "2024-03-01 was a fine day, and so was the next one.",
        "In 2024 the errors were few: three.",
        "a = b",
        "",
    ],
)
def test_what_is_no_log_has_none(line):
    assert logs.parser([line] * 3) is None
    assert read(f"{line}\n" * 5) is None


def test_a_field_that_only_some_lines_have_is_empty_in_the_others_and_a_traceback_goes_on():
    lines = [
        "Mar  1 00:00:01 gate sshd[311]: up",
        "Mar  1 00:00:02 gate kernel: up",
        "Mar  1 00:00:03 gate sshd[311]: Traceback",
        "  File x",
        "Mar  1 00:00:04 gate kernel: down",
    ]
    rows = read("\n".join(lines))
    assert [row["pid"] for row in rows] == [311, "", 311, ""]
    assert rows[2]["message"] == "Traceback\n  File x"


def test_lines_of_other_forms_are_rows_of_their_own():
    at = "2024-03-01 00:00:0"
    rows = read(
        "\n".join(f"{at}{n} INFO DB: up" for n in range(4)) + f"\n{at}4 ERROR disk full\n{at}5 down\n  why"
    )
    assert rows[4] == {"time": f"{at}4", "level": "ERROR", "name": "", "message": "disk full"}
    assert rows[5] == {"time": f"{at}5", "level": "", "name": "", "message": "down\n  why"}
    gate = 'fe80::1 - - [01/Mar/2024] "GET /a HTTP/1.1" 200 17\n' * 4
    rows = read(f'{gate}fe80::1 - - [01/Mar/2024] "-" 408 -\n')
    assert (rows[4]["status"], rows[4]["path"], rows[4]["bytes"]) == (408, "", "")
    rows = read([f"{at}{n} ERROR app: down\nwhy: {n}" for n in range(5)])
    assert [row["message"] for row in rows] == [f"down\nwhy: {n}" for n in range(5)]


def test_a_chat_may_begin_with_notices():
    notices = [f"06/01/2024, 08:0{n} - Ada added Bo {n}" for n in range(4)]
    said = ["06/01/2024, 08:05 - Ada: Welcome!", "And more.", *["13/01/2024, 18:05 - Bo: Thanks."] * 2]
    rows = read("\n".join([*notices, *said]))
    assert rows[0] == {"time": "06/01/2024, 08:00", "name": "", "message": "Ada added Bo 0"}
    assert [row["name"] for row in rows[4:]] == ["Ada", "Bo", "Bo"]
    assert rows[4]["message"] == "Welcome!\nAnd more."


MAILS = """\
From ada@home Mon Aug 22 08:28:00 2022
Date: Mon, 22 Aug 2022 08:28:00 +0200
From: Ada Byron <ada@home>
To: bo@home,
 cy@home
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=

Hello,
>From now on.

From bo@home Mon Aug 22 09:28:00 2022
Date: some day
From: =?nobody?q?Bo?=
Subject: Re: Hello
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="x"

--x
Content-Type: text/html

<b>Hi</b>
--x
Content-Type: text/plain; charset=latin-1
Content-Transfer-Encoding: base64

R3L832U=
--x
Content-Type: text/plain
Content-Disposition: attachment; filename="a.txt"

attached
--x--
"""


def test_a_mailbox_has_a_row_for_each_mail():
    first_mail, second = read(MAILS)
    assert first_mail == {
        "Date": "2022-08-22 08:28:00 +0200",
        "From": "Ada Byron <ada@home>",
        "To": "bo@home, cy@home",
        "Cc": "",
        "Subject": "Grüße",
        "body": "Hello,\n>From now on.",
    }
    assert (second["Date"], second["From"], second["body"]) == ("some day", "=?nobody?q?Bo?=", "Grüße")
    assert len(read(MAILS.replace("\n", "\r\n"))) == 2


@pytest.mark.parametrize("charset", ["nobody", "latin-1", "", "utf-8", "\0", "idna"])
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "7bit", "8bit", "x"])
@pytest.mark.parametrize("kind", ["text/plain", "text", "image/png", "multipart/mixed", ""])
def test_any_mail_has_a_row(charset, encoding, kind):
    head = f"Content-Type: {kind}; charset={charset}\nContent-Transfer-Encoding: {encoding}"
    mail = f"From a Mon Aug 22 09:28:00 2022\nSubject: =?utf-8?b?A?=\n{head}\n\nR3L832 =E4 Grüße €\n"
    rows = read(mail * 2)
    assert [row["Subject"] for row in rows] == ["=?utf-8?b?A?="] * 2
    if encoding.endswith("bit") and kind == "text/plain":
        assert rows[0]["body"] == "R3L832 =E4 Grüße €"


@pytest.mark.parametrize("year", ["99999999999", "2022 +99999999999999999999"])
def test_a_date_that_cannot_be_is_as_it_is_written(year):
    mail = f"From a Mon Aug 22 09:28:00 2022\nDate: Mon, 22 Aug {year} 08:28:00 +0200\nTo: Bo\n\nHi\n"
    assert read(mail * 2)[0]["Date"].startswith("Mon, 22 Aug")


COMMITS = """\
commit 7ee51287a88a5839def75447d46346218fa07103 (HEAD -> main)
Merge: 7ee5128 8ff5128
Author: Ada <ada@home>
Date:   Tue Oct 17 04:27:00 2023 +0200

    Mend it

    All of it.

 a.py |    8 ++++----
 b.py |    4 ++++
 2 files changed, 8 insertions(+), 4 deletions(-)

commit 8ee51287a88a5839def75447d46346218fa07103
Author: Bo <bo@home>
Date:   yesterday

    Begin
"""


def test_a_git_log_has_a_row_for_each_commit():
    merged, begun = read(COMMITS)
    assert merged == {
        "commit": "7ee51287a88a5839def75447d46346218fa07103",
        "Merge": "7ee5128 8ff5128",
        "Author": "Ada <ada@home>",
        "Date": "2023-10-17 04:27:00 +0200",
        "message": "Mend it\n\nAll of it.",
        "files": 2,
        "insertions": 8,
        "deletions": 4,
    }
    assert (begun["Date"], begun["message"], begun["files"]) == ("yesterday", "Begin", 0)
    assert len(read(COMMITS.replace("\n", "\r\n"))) == 2


def test_what_is_no_archive_has_no_rows():
    assert read("From the hills of 1984\nwe saw: much\n" * 9) is None
    assert read("commit yourself\nAuthor: Ada\n\nto it\n" * 9) is None


RECIPES = "".join(
    f"=== {n}. Soup {n} ===\nFrom: Aunt Ann\nServes: {n}    Level: so  so\n\nSee:\n  * salt: {n} g\n\n"
    for n in range(1, 5)
)


def test_sections_with_a_title_and_fields_are_rows():
    rows = read(f"Our book\n\n{RECIPES}==== 5. Stew ====\n\n- **From:** Bo\n- **Serves:** 2\n\nIt is old.\n")
    assert rows[0] == {
        "title": "1. Soup 1",
        "From": "Aunt Ann",
        "Serves": 1,
        "Level": "so  so",
        "text": "See:\n  * salt: 1 g",
    }
    assert rows[4] == {"title": "5. Stew", "From": "Bo", "Serves": 2, "Level": "", "text": "It is old."}
    assert len(rows) == 5
    assert read(RECIPES.replace("\n", "\r\n")) == read(RECIPES)
    other = RECIPES.replace(
        "From: Aunt Ann\nServes: 3    Level: so  so\n", "Serves: 3    Level: ok\nFrom: Ann\n"
    )
    assert [row["From"] for row in read(other)] == ["Aunt Ann", "Aunt Ann", "Ann", "Aunt Ann"]
    assert read(f"Name{' ' * 50_000}x: y\n" * 4) is None
    assert read(f"Title\n\nName: x{' ' * 15_000}y\n\n" * 4) is None


@pytest.mark.parametrize(
    "text",
    [
        "ACT 1\n\nROMEO: !\nJULIET: !\n\nACT 2\n\nJULIET: !\nNURSE: No.\n\nACT 3\n\nROMEO: Oh.\nNURSE: ?\n",
        "# Setup\n\nNote: read this.\nTip: do that.\n\n# Use\n\nRun it.\n\n# End\n\nIt ends.\n",
        "Bills\n\nQuestion: How?\nAnswer: So.\nQuestion: Why?\nAnswer: No.\n\n" * 4,
        "interface A {\n  id: number;\n  name: string;\n}\n\n" * 4,
        "Chapter\n\nIt was late.\nIt rained.\n\n" * 4,
    ],
    ids=range(5),
)
def test_other_texts_with_titles_have_no_rows(text):
    assert read(text) is None


def test_what_only_tells_times_is_no_chat():
    assert read("06/01/2024, 08:01 - Ada came\n" * 5) is None
    assert read("3:16 And he said: go\n" * 5) is None
    said = ["Starting", "Reading", "Done", "Error: no", "Retry: 3", "Loading of it: 4"]
    assert read("\n".join(f"2024-03-01 10:00:01 {text}" for text in said)) is None


def test_a_csv_may_have_quotes_in_its_first_lines_and_a_mark_of_byte_order():
    rows = read('\ufeffno,who,note\n1,Ada,"ring, twice"\n2,Bo,"say ""hi""\nand go"\n3,Cy,\n')
    assert rows[0] == {"no": 1, "who": "Ada", "note": "ring, twice"}
    assert first('\ufeff"no","who","note"\n' + '1,"Ada",x\n' * 3) == {"no": 1, "who": "Ada", "note": "x"}
    assert first('\ufeff[{"a": 1}]') == {"a": 1}
    assert rows[1]["note"] == 'say "hi"\nand go'
    assert len(rows) == 3
    assert read('a,b,c\r1,2,"x\n' * 5) is None


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["143,12", "1.234,50", "-0,50", "90"], [143.12, 1234.5, -0.5, 90]),
        (["3,1", "3,10", "3,2"], ["3,1", "3,10", "3,2"]),
        (["1,234", "12,345,678.5", "7"], [1234, 12345678.5, 7]),
        (["1.5", "NA", "2"], [1.5, "NA", 2]),
        (["N/A", "-", "7"], ["N/A", "-", 7]),
        (["0,125", "1,250", "2,5"], ["0,125", "1,250", "2,5"]),
        (["5"] * 30 + ["1,234"], [5] * 30 + [1234]),
        (["1,2,3", "4,5,6", "7"], ["1,2,3", "4,5,6", "7"]),
        (["NA", "", "-"], ["NA", "", "-"]),
        (["02", "1", "3"], ["02", "1", "3"]),
    ],
)
def test_numbers_in_a_column(texts, found):
    rows = read("a;b;c\n" + "".join(f"x;{text};y\n" for text in texts))
    assert [row["b"] for row in rows] == found


def test_one_column_tells_whether_commas_or_points_stand_before_decimals():
    rows = read("a;b;c\n1.234;143,12;12.03.2024\n2;7,50;13.03.2024\n12.345.678;1,00;14.03.2024\n")
    assert [(row["a"], row["b"]) for row in rows] == [(1234, 143.12), (2, 7.5), (12345678, 1)]
    assert rows[0]["c"] < "2.4.2024"


def test_the_first_rows_of_a_long_array_are_read_alone():
    text = "[" + ", ".join(f'{{"n": {n}, "in": {{"a": 1}}}}' for n in range(2000)) + ", oops]"
    assert head(text)[:2] == [{"n": 0, "in": {"a": 1}}, {"n": 1, "in": {"a": 1}}]
    assert 100 < len(head(text)) < 2000


ORDERS = [
    {"nr": n, "city": ("Oslo", "Narvik")[n % 2], "item": ("lamp", "rug", "box")[n % 3], "to": f"Ann {n}"}
    for n in range(60)
]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("How many lamps went to narvik?", {"Narvik": "city", "lamp": "item"}),
        ("Were there more lamps or rugs?", {}),
        ("Which city has the most orders?", {}),
        ("What did Ann 7 order?", {}),
        ("How many boxes are there?", {"box": "item"}),
    ],
)
def test_kinds_that_a_question_names_are_values_of_a_field_with_few_of_them(question, found):
    assert values(question, ORDERS) == found


def test_a_name_that_no_field_has_is_taken_for_the_one_that_tells_kinds_apart():
    lines = (f"2024-03-01 12:00:{n:02} {('INFO', 'ERROR')[n % 2]} {'abcd'[n % 4]}: {n}" for n in range(60))
    with Sandbox("\n".join(lines), query=str) as repl:
        error = repl.execute("Counter(row['service'] for row in rows if row['level'] == 'INFO')").error
        told = "use row['name'], which is 'a', 'b', 'c', …, or one of 'time', 'level', 'message'"
        assert error.endswith(f"'service' is no field of `rows`: {told}")
        hint = repl.execute("[row for row in rows if row['level'] == 'INFO' and 'service' in row]").hint
        assert hint.startswith(f"'service' is no field of any item: {told}.")
        error = repl.execute("Counter(row['service'] for row in rows)").error
        assert "use one of 'time', 'level', 'name', 'message', as in {'time':" in error


def test_records_are_the_dicts_of_the_data_or_its_rows():
    assert records(ORDERS) == records(dict(enumerate(ORDERS))) == ORDERS
    assert records({"orders": ORDERS[:9], "of": 2024}) == ORDERS[:9]
    assert records("a,b,c\n" + "1,2,3\n" * 5)[0] == {"a": 1, "b": 2, "c": 3}
    lines = '{"a": 1}\n' * 600_000
    assert records(lines)[0] == {"a": 1}
    assert records(f'{{"all": [{lines.replace(chr(10), ",")}{{}}]}}') == []
    assert records("prose") == records(None) == records([1, "x"]) == []


def test_kinds_are_looked_for_in_any_data():
    assert values("How many?", []) == {}
    assert values("How many are red?", [{"a": 1}, {"b": "red"}]) == {}
    assert values("How many are red?", [{"a": None}, {"a": ["red"]}, {"a": "red"}] * 20) == {"red": "a"}


@pytest.mark.parametrize(
    "line",
    [
        "2024-03-01 00:00:01 " + "a" * 20_000 + "!",
        "2024-03-01 00:00:01" + " " * 20_000 + "!",
        "2024-03-01 00:00:01 - " * 900,
        "a=b=" * 5000 + "!\x00 !",
        'a="b c=d" ' * 2000 + "!",
        '10.0.0.7 - - [x] "GET ' + "/a" * 10_000,
        '10.0.0.7 - - [x] "GET ' + "/a " * 6000,
        "[[[ " * 5000,
        "1/6/24, 8:02" + " " * 20_000 + "!",
    ],
    ids=range(9),
)
def test_no_line_takes_long_to_be_refused(line):
    assert logs.parser([line] * 3) is None


PS = """\
USER         PID %CPU COMMAND
root           1  0.0 /sbin/init splash
ada        20773  1.5 python -c  x
ada        20774  0.0 sh
"""
STATS = """\
NAME    SIZE   AGE
a         10    5d
b          9    6d
c          8    6d
d 123456789     6d
e 1234567890123 6d
"""
IMAGES = """\
CONTAINER ID   IMAGE     PORTS        NAMES
3f2a1b0c9d8e   web:2     80/tcp       a b
aa2a1b0c9d8e   redis:7                cache
bb2a1b0c9d8e   redis:7                other
sha256:0123456789abcdef0123
"""


def test_tables_of_commands_have_rows():
    rows = read(PS)
    assert rows[1] == {"USER": "ada", "PID": 20773, "%CPU": 1.5, "COMMAND": "python -c  x"}
    assert len(rows) == 3
    rows = read(STATS)
    assert rows[3] == {"NAME": "d", "SIZE": 123456789, "AGE": "6d"}
    assert rows[4] == {"NAME": "e", "SIZE": 1234567890123, "AGE": "6d"}
    rows = read(PS + "ada\n● ada  1 0.5 sh -c\n")
    assert rows[3] == {"USER": "ada", "PID": "", "%CPU": "", "COMMAND": ""}
    assert rows[4] == {"USER": "ada", "PID": 1, "%CPU": 0.5, "COMMAND": "sh -c"}
    rows = read(IMAGES)
    assert rows[0] == {"CONTAINER ID": "3f2a1b0c9d8e", "IMAGE": "web:2", "PORTS": "80/tcp", "NAMES": "a b"}
    assert rows[1]["PORTS"] == ""
    assert rows[3] == {"CONTAINER ID": "sha256:0123456789abcdef0123", "IMAGE": "", "PORTS": "", "NAMES": ""}


@pytest.mark.parametrize(
    "text",
    [
        "THE RED FOX\nran over it all.\nand on and on.\nfine as it was.",
        "A  B  C\n1 2 3\n1 2\n1 2 3",
        "A  B\n1  2\n3  4\n",
        "X  O  X\nO  X  O\nX  O  X\nX  X  O",
        ["FREE CASH PRIZE", "see you later then", "can you call me", "ok I will do it"],
    ],
)
def test_what_is_no_table_has_no_rows(text):
    assert read(text) is None
