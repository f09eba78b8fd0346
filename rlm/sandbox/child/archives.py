"""Mailboxes (mbox) and git logs, read into fields. Standard library only: it runs in a clean interpreter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from textwrap import dedent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from email.message import Message

Row = dict[str, Any]

_MAIL = re.compile(r"^From \S+ .*\d{4}(?: [+-]\d{4})?\r?\n(?=[!-9;-~]+:)", re.MULTILINE)
# the line before a mail: RFC 4155
_COMMIT = re.compile(r"^commit (?=[0-9a-f]{7,64}\b.*\r?\n(?:Merge: .*\r?\n)?Author: )", re.MULTILINE)
_HEADERS = ("Date", "From", "To", "Cc", "Subject")
# of a mail that are fields
_NAMED = re.compile(r"(\w+): +(.*)")
_CHANGED = re.compile(
    r"^ (?P<files>\d+) files? changed(?:, (?P<insertions>\d+) insertions?\(\+\))?"
    r"(?:, (?P<deletions>\d+) deletions?\(-\))?\s*$",
    re.MULTILINE,
)
# the last line of git's --stat


def reader(text: str) -> Callable[[str], Iterator[Row]] | None:
    """What reads a text that begins as a mailbox or a git log does; None for any other."""
    return mails if _MAIL.match(text) else commits if _COMMIT.match(text) else None


def mails(text: str) -> Iterator[Row]:
    """A row for each mail of a mailbox: its usual headers, and its text as `body`."""
    import email  # takes 20 ms, and few contexts need it
    import email.utils

    for part in _MAIL.split(text)[1:]:
        mail = email.message_from_string(part)
        headers = {name: _decoded(str(mail[name] or "")) for name in _HEADERS}
        yield headers | {
            "Date": _date(headers["Date"], email.utils.parsedate_to_datetime),
            "body": _body(mail),
        }


def commits(text: str) -> Iterator[Row]:
    """A row for each commit of a git log; with --stat, how many files and lines it has changed."""
    has_stat = _CHANGED.search(text)
    for part in _COMMIT.split(text)[1:]:
        head, _, rest = part.replace("\r\n", "\n").partition("\n\n")
        commit, *lines = head.split("\n")
        row: Row = {"commit": commit.split()[0]}
        row |= {found[1]: found[2] for line in lines if (found := _NAMED.match(line))}
        for name in row.keys() & {"Date", "AuthorDate", "CommitDate"}:
            row[name] = _date(row[name], lambda date: datetime.strptime(date, "%a %b %d %H:%M:%S %Y %z"))
        message = re.match(r"(?:(?: {4}.*)?\n)*", rest + "\n")
        row["message"] = dedent(message[0]).strip() if message else ""
        changed = _CHANGED.search(rest)
        for name in _CHANGED.groupindex if has_stat else ():
            row[name] = int((changed and changed[name]) or 0)
        yield row


def _date(text: str, parse: Callable[[str], datetime]) -> str:
    """As in 2024-03-01 17:05:00 +0200, in the order of time within a zone; what is no date as it is."""
    try:
        return parse(text).strftime("%Y-%m-%d %H:%M:%S %z").rstrip()
    except (ValueError, TypeError, IndexError, OverflowError):
        return text


def _decoded(text: str) -> str:
    """A header's value in the letters that are meant, on one line."""
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        meant = str(make_header(decode_header(text))) if "=?" in text else text
    except (LookupError, ValueError, HeaderParseError):  # in an encoding that nobody knows, or cut off
        meant = text
    return " ".join(meant.split())


def _body(mail: Message) -> str:
    """The text of a mail, plain if it has that; without what is attached."""
    texts = [
        part for part in mail.walk() if part.get_content_maintype() == "text" and not part.get_filename()
    ]
    best = next(
        (part for part in texts if part.get_content_subtype() == "plain"), texts[0] if texts else None
    )
    if best is None:
        return ""
    text = str(best.get_payload())
    if str(best["Content-Transfer-Encoding"]).strip().lower() in ("base64", "quoted-printable"):
        with suppress(LookupError, ValueError, TypeError):  # a charset that nobody knows, say
            text = bytes(best.get_payload(decode=True)).decode(best.get_content_charset("utf-8"), "replace")
    return text.strip()
