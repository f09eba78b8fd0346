"""The usual forms of log lines, read into fields. Standard library only: it runs in a clean interpreter."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

Parse = Callable[[str], dict[str, str] | None]
# gives the fields of a line; None where it has another form

JUDGED = 3
# lines that must all have a form
_LEVELS = (
    "TRACE VERBOSE FINE DEBUG INFO NOTICE WARNING WARN ERROR ERR CRITICAL CRIT ALERT FATAL EMERG PANIC SEVERE"
)
_ANY_LEVEL = f"(?i:{'|'.join(_LEVELS.split())})"
_LEVEL = rf"[\[(<]?(?P<level>{_ANY_LEVEL})[\])>]?"
_DAY = r"\d{4}[-/]\d\d[-/]\d\d"
_DAY_OF_CHATS = r"\d\d?[./]\d\d?[./]\d\d(?:\d\d)?,? \d?"
_TIME = (
    rf"\u200e?\[?(?P<time>(?:(?:{_DAY}[T ])?\d|{_DAY_OF_CHATS})\d:\d\d(?::\d\d)?(?:[.,]\d+)?"
    r"(?:Z| ?[+-]\d\d:?\d\d|\s?[AaPp][Mm])?)\]?"
)
_NAME = rf"\[?(?!{_ANY_LEVEL}\b)(?P<name>(?=[\w.$/:-]*[^\W\d])[\w.$/:-]{{1,80}})\]?"
_NEXT = r"(?:\s*[-|]\s+|:\s*|\s+)"
# what stands between two fields
_REST = r"(?P<message>.*)"
_FORMS = (
    # web servers: Common and Combined Log Format
    r"(?P<ip>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "
    r'"(?:(?P<method>[A-Z]+) (?P<path>[^\s"]+)(?:\s[^"]*)?|[^"]*)" '
    r'(?P<status>\d{3}) (?:(?P<bytes>\d+)|-)(?: "(?P<referrer>[^"]*)" "(?P<agent>[^"]*)")?(?P<more>.*)',
    # programs: the usual orders of time, level and name
    rf"{_TIME}{_NEXT}{_LEVEL}{_NEXT}(?:\[(?P<thread>[^\]]+)\] )?{_NAME}(?:\s*[-|]\s+|:\s+){_REST}",
    rf"{_TIME}{_NEXT}\[(?P<thread>[^\]]+)\] {_LEVEL}{_NEXT}{_NAME}(?:\s*[-|]\s+|:\s+){_REST}",
    rf"{_TIME}{_NEXT}{_NAME}{_NEXT}{_LEVEL}{_NEXT}{_REST}",
    rf"{_LEVEL}{_NEXT}{_TIME}{_NEXT}{_NAME}:\s+{_REST}",
    rf"{_TIME}{_NEXT}{_LEVEL}{_NEXT}{_REST}",
    rf"{_LEVEL}{_NEXT}{_TIME}{_NEXT}{_REST}",
    rf"{_LEVEL}:(?P<name>[\w.]+):{_REST}",
    # syslog: RFC 3164, and with the time of RFC 5424
    rf"(?P<time>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d|{_DAY}T\S+) (?P<host>[\w.-]+) "
    rf"(?P<program>[\w./()-]+)(?:\[(?P<pid>\d+)\])?: {_REST}",
    # who said what
    rf"{_TIME}{_NEXT}<?(?P<name>[^\s:<>][^:<>]{{0,40}})(?:>|:)\s+{_REST}",
)
_TIMED = rf"{_TIME}{_NEXT}{_REST}"
# what is still a line of its own, though it has no more of a form than that
_PAIR = re.compile(r'([A-Za-z_][\w.]*)=("(?:[^"\\]|\\.)*"|[^\s"]\S*|)(?:\s+|$)')
# of logfmt
_PAIRS = re.compile(rf"(?:{_PAIR.pattern}){{2,}}")
_MORE = re.compile(rf"(?:{_PAIR.pattern})+")
_BEGINS_CHAT = re.compile(rf"\u200e?\[?{_DAY_OF_CHATS}")


def parser(lines: Sequence[str]) -> Parse | None:
    """What reads the lines of a log that begins with these; None where they are of no usual form."""
    if all(map(_logfmt, lines[:JUDGED])):
        return _logfmt
    forms = [re.compile(form, re.DOTALL) for form in (*_FORMS, _TIMED)]
    *forms_alone, chat, timed = forms
    for form in (*forms_alone, chat):
        begins = [form, timed] if form is chat and _BEGINS_CHAT.match(lines[0]) else [form]  # with notices
        if not all(any(f.fullmatch(line.rstrip()) for f in begins) for line in lines[:JUDGED]):
            continue
        found = [told for line in lines if (told := _told(form, line.rstrip()))]
        if len(found) >= JUDGED:
            filled = (name for fields in found for name in fields if name == "message" or fields[name])
            names = list(dict.fromkeys(filled))
            others = [other for other in forms if other.groupindex.keys() <= set(names)]
            return partial(_fields, [form, *others], names)
    return None


def _fields(forms: Sequence[re.Pattern[str]], names: Sequence[str], line: str) -> dict[str, str] | None:
    """The fields by the first form that the line has; one that this form has not is empty."""
    for found in filter(None, (_told(form, line) for form in forms)):
        more = {name: text for name, text in found.items() if text}
        return {name: found.get(name, "") for name in names} | more
    return None


def _told(form: re.Pattern[str], line: str) -> dict[str, str]:
    """The fields of a line in that form, none where it has another; `name=value` behind it are fields too."""
    match = form.fullmatch(line)
    found = {name: text or "" for name, text in match.groupdict().items()} if match else {}
    more = found.pop("more", "").strip()
    return (_pairs(more) if _MORE.fullmatch(more) else {"more": more}) | found if more else found


def _logfmt(line: str) -> dict[str, str] | None:
    """The fields of a line such as `time=12:00 level=info msg="all is well"`."""
    return _pairs(line) if _PAIRS.fullmatch(line) else None


def _pairs(text: str) -> dict[str, str]:
    pairs = _PAIR.findall(text)
    return {name: value[1:-1].replace('\\"', '"') if value[:1] == '"' else value for name, value in pairs}
