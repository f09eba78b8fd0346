"""The namespace that the model sees, and the running of cells in it. Knows nothing of processes.

Standard library only: it runs in a clean interpreter.
"""

from __future__ import annotations

import ast
import builtins
import errno
import importlib
import json
import linecache
import re
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from itertools import combinations
from threading import __excepthook__ as show_error  # all as they are before any cell
from threading import enumerate as threads
from threading import get_ident, get_native_id
from typing import Any

from rlm.sandbox.child.finding import (
    as_regex,
    matches,
    missing,
    named,
    nearest,
    related,
    values,
    words,
)
from rlm.sandbox.child.hints import NO_DATA, NOTHING, fields_to_use, in_rows, loose, there_are_rows, unmatched
from rlm.sandbox.child.labels import (
    COUNTED,
    LABELLED,
    MOST_PAIRED,
    PAIRED,
    Labels,
    compared,
    paired,
    tallies,
)
from rlm.sandbox.child.rows import ABSENT, Day, brief, head, records
from rlm.sandbox.child.rows import read as read_rows
from rlm.sandbox.child.shown import SHOWN_ITEMS, Output, clip, explain, rounded, show
from rlm.sandbox.limits import MAX_ANSWER, MAX_PROMPT, THREADS

Ask = Callable[[list[str]], list[dict[str, Any]]]
# sends prompts to the sub model; returns {"text": …} or {"error": …} for each, in order

FEW, SHORT = 3, 80
# matches of search() and characters of their lines, up to which it also shows the lines around them
MAKE_STR = "make it a str first, say with str(…)"
TEXT = 20
# characters on average, from which on a field is taken for one of texts
MOST_SHOWN = 10_000
# values that a cell prints and `_` has
PLAIN = (str, int, float, list, tuple, dict, set, frozenset)
# types of these
PRINTED = 2000
# characters of a list, set or dict that print() writes in full
READY_MODULES = frozenset(
    "collections csv datetime functools io itertools json math operator random re statistics string".split()
)
# imported when a cell first names them: small models forget the import
READY_NAMES = {
    name: module
    for module, names in {
        "collections": "Counter OrderedDict defaultdict deque namedtuple",
        "datetime": "timedelta",
        "decimal": "Decimal",
        "functools": "reduce",
        "itertools": "combinations groupby permutations",
        "math": "ceil floor sqrt",
        "statistics": "mean median",
    }.items()
    for name in names.split()
}
# the same, from the modules named; no name that a model would give to data of its own
READY_CALLS = {"product": "itertools"}
# the same where they are called


HINTS = {
    "between instances of '(str|int|float)' and '(str|int|float)'": " (convert the str: int(…) or float(…))",
    "between instances of 'dict' and '": " (that is a dict: take what one of its keys has)",
    "'list' object has no attribute 'most_common'": " (Counter(…) has it, which counts what is in a list)",
    "dict' object has no attribute 'most_common'": " (Counter() has it, and adds up as well: sums[key] += n)",
    r"(?:invalid literal|could not convert).*: '[^']*\d[^']*[^\d']'": (
        " (that is more than a number, which int(re.search(r'\\d+', text)[0]) takes out of it)"
    ),
    "'list' object has no attribute 'group'": " (search(…) gives a list of lines)",
    "'NoneType' object (has no attribute 'group'|is not subscriptable)": (
        " (the pattern did not match here: test the match with if)"
    ),
}
# what to do about an error, by a pattern of its text


class CellStopped(BaseException):
    """The cell's time ran out. No Exception, so that `except Exception` in a loop does not hold it up."""


class Finished(SystemExit):
    """FINAL was called: the cell ends here, and a thread of it without a word."""


class LLMQueryError(RuntimeError):
    """A sub call failed; the text says why."""

    __module__ = "builtins"  # so that a traceback has the name alone


class FailedQuery:
    """Stands in a batch's results where a sub call failed; it is false, and no string."""

    def __init__(self, error: str) -> None:
        self.error = error

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<llm_query failed: {self.error}>"


class Repl:
    """The names that a cell sees, and what becomes of a cell.

    ask: carries sub prompts to the sub model.
    memory: bytes that the process may use beyond the context; only told, not enforced here.
    mend: is called when a cell's code has run, before anything else; a process puts itself right with it.
    """

    mend: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self, ask: Ask, context: Any, *, output_limit: int, memory: int) -> None:
        self.ask = ask
        self.thread = get_ident()
        # that runs the cells
        self.output = Output(output_limit)
        self.output_limit = output_limit
        self.memory = memory
        self.final: dict[str, Any] | None = None
        self.strays: set[int | None] = set()
        # native ids of the threads that earlier cells have left running
        self._labels: dict[tuple[tuple[str, str], ...], Labels] = {}
        # what classify has found, by labels with their meanings
        self._has_labelled = False
        self._pairs: list[tuple[Any, Any]] | None = None
        # that were given
        self._question = ""
        # the latest that `related` was asked about
        self._said: list[str] | None = None
        # labels that classify has told of
        self._shown: list[Any] = []
        # what the cell has printed, for `_`
        self.running = self.asking = self.stop_asked = False
        self.module = types.ModuleType("__main__")
        self.names = self.module.__dict__
        self.context = context
        self.given: dict[str, Any] = {
            "llm_query": self.llm_query,
            "llm_query_batched": self.llm_query_batched,
            "search": self.search,
            "classify": self.classify,
            "print": self.print,
            "FINAL": self.FINAL,
            "FINAL_VAR": self.FINAL_VAR,
        }
        self.names["answer"] = {"content": "", "ready": False}
        self.restore()

    def restore(self) -> None:
        """Gives back the names that cells count on, where one has deleted them or made them useless."""
        self.names = self.module.__dict__
        self.names["__builtins__"] = builtins
        self.names.setdefault("context", self.context)
        for name, function in self.given.items():
            if not callable(self.names.get(name)):
                self.names[name] = function

    def replace(self, context: Any) -> None:
        """Puts another context in the place of the present one, whose rows go with it."""
        self.context = self.names["context"] = context
        self.names.pop("rows", None)
        self._has_labelled = False

    # What the model calls

    def llm_query(self, prompt: str, *pieces: str) -> str:
        """Asks the sub model; further arguments are appended to the prompt."""
        reply = self._ask(["\n\n".join(_texts("llm_query", [prompt, *pieces]))])[0]
        if "error" in reply:
            raise LLMQueryError(reply["error"])
        return str(reply["text"])

    def llm_query_batched(self, prompts: list[str]) -> list[str | FailedQuery]:
        """Asks the sub model all the prompts at once; results come in order."""
        if isinstance(prompts, str):
            raise TypeError("llm_query_batched takes a list of prompts, not one str: use llm_query(prompt)")
        replies = self._replies(_texts("llm_query_batched", prompts))
        return [FailedQuery(reply["error"]) if "error" in reply else reply["text"] for reply in replies]

    def _replies(self, prompts: list[str]) -> list[dict[str, Any]]:
        """What came of the prompts; says how many failed, and raises an LLMQueryError where all did."""
        replies = self._ask(prompts)
        failed = [index for index, reply in enumerate(replies) if "error" in reply]
        if failed:
            message = f"{len(failed)} of {len(replies)} sub calls failed (index {_listed(failed)}): "
            message += replies[failed[0]]["error"]
            if len(failed) == len(replies):
                raise LLMQueryError(message)
            self.output.write(message + "\n")
        return replies

    def classify(self, texts: list[str], labels: Any, *more: object) -> list[str]:
        """The label of each text, as the sub model reads it; no text is asked about twice.

        labels: a list, or a dict of label to meaning. A text that the sub model gives none has "".
        """
        if isinstance(texts, str) or isinstance(labels, str) or more:
            instead = ", and this is one text: search(pattern) finds lines in it" * isinstance(texts, str)
            raise TypeError(f"classify takes a list of texts and a list of labels{instead}")
        meanings = {str(label): str(labels[label]) if isinstance(labels, dict) else "" for label in labels}
        if len(meanings) < 2:
            raise ValueError("classify needs two labels or more")
        labelling = self._labels.setdefault(tuple(meanings.items()), Labels(meanings))
        known = labelling.known
        field = self._text_field()
        texts = _texts(
            "classify", texts, f"the texts of `rows` are each row[{field!r}]" if field else MAKE_STR
        )
        others = [text for text in texts if text not in meanings]
        if unread := labelling.read(others, self._replies, self._ask):
            some = "1 text" if len(unread) == 1 else f"{len(unread):,} texts"
            self.output.write(f"classify: {some} got no label but '', such as {unread[0]:.200}\n")
        found = [text if text in meanings else known.get(text, "") for text in texts]
        self._said = found if self._label_rows(known, found) else None
        return found

    def _text_field(self) -> str:
        """The field of `rows` with the longest texts, where the first of them have such; or ""."""
        lengths = Counter[str]()
        for row in (rows := self._rows()[:100]):
            lengths.update({field: len(text) for field, text in row.items() if type(text) is str})
        field, length = max(lengths.items(), key=lambda item: item[1], default=("", 0))
        return field if length > TEXT * len(rows) else ""

    def _label_rows(self, known: dict[str, str], latest: list[str]) -> bool:
        """Gives `rows` the labels that their texts have, unless the data has its own; says so."""
        rows = self._rows()
        if not self._has_labelled and any("label" in row for row in rows):
            return False
        self._has_labelled = True
        labelled = []
        for row in rows:
            found = [known[value] for value in row.values() if isinstance(value, str) and value in known]
            row["label"] = found[0] if found else row.get("label", "")
            labelled += [row] if row["label"] else []
        if labelled:
            counts = ", ".join(f"{n:,} {label or 'without'}" for label, n in Counter(latest).most_common(20))
            self.output.write(f"classify: {counts}\n{len(labelled):,}{LABELLED}{brief(labelled[0])}\n")
            self._give_tallies(labelled, known)
        return bool(labelled)

    def _give_tallies(self, labelled: list[dict[str, Any]], known: dict[str, str]) -> None:
        """Gives the numbers of labels by what the question compares, and the pairs of it; says so."""
        counts_by = tallies(self._question, labelled, known)
        of_pairs = paired(self._question, counts_by)
        for field, counted in counts_by.items():
            name = "by_" + re.sub(r"\W+", "_", field.lower())
            self.names[name] = counted
            key, each = next(iter(counted.items()))
            self.output.write(f"`{name}`{COUNTED}{name}[{key!r}] is {each}\n")
            is_free = self.names.get("pairs") is None or self.names["pairs"] is self._pairs
            if field == of_pairs and is_free and 1 < len(counted) <= MOST_PAIRED:
                self.names["pairs"] = self._pairs = list(combinations(counted, 2))
                self.output.write(f"`pairs`{PAIRED}[{self._pairs[0]}, …]\n")

    def search(self, pattern: str, text: Any = None) -> list[str]:
        """Lines of a str, items of a list or entries of a dict that match a regular expression.

        Ignores case, and takes a space for any run of spaces and hyphens. Without `text` it searches the
        context. Of a long line it gives what is around the match, of a long item the line. Where nothing
        matches it says which lines have some of the pattern's words.
        """
        if isinstance(pattern, re.Pattern):
            pattern = pattern.pattern
        if not isinstance(pattern, str):
            raise TypeError(f"search takes a pattern as a str, not {type(pattern).__name__}")
        text = self.names.get("context") if text is None else text
        regex = as_regex(pattern)
        found = dict(matches(regex, text))
        if not found and words(pattern):
            near = nearest(pattern, text)
            advice = "\n  ".join(["Lines with some of its words:", *near]) if near else "Try other words."
            self.output.write(f"search: nothing matches {pattern!r}. {advice}\n")
        if isinstance(text, str) and 0 < len(found) <= FEW and max(map(len, found.values())) < SHORT:
            around = (_around(place, text) for place in found)
            self.output.write("\n".join(["search: with the lines around:", *around]) + "\n")
        return list(found.values())

    def print(self, *values: Any, **options: Any) -> None:
        """Python's own, but of a long list, set or dict it shows some, and how many there are.

        Of many labels that classify has counted it shows nothing: their numbers are there already.
        """
        if not options.get("file"):
            if self._said and len(self._said) > SHOWN_ITEMS and len(values) == 1 and values[0] is self._said:
                return
            if len(self._shown) <= MOST_SHOWN:
                self._shown.append(values[0] if len(values) == 1 else values)
            values = tuple(value if isinstance(value, str) else _shown(value) for value in values)
        builtins.print(*values, **options)  # noqa: T201

    def FINAL(self, value: Any = None) -> None:  # noqa: N802
        """Ends the run with this answer."""
        if isinstance(value, dict) and value.keys() == {"content", "ready"}:
            value = value["content"]
        if value is None or value is Ellipsis or (isinstance(value, str) and not value.strip()):
            raise ValueError("FINAL needs the answer: FINAL(value)")
        if isinstance(
            value, (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, Iterator)
        ):
            raise ValueError(f"FINAL needs a value, and this is a {type(value).__name__}")
        self.final = _answer(value)
        raise Finished

    def FINAL_VAR(self, name: Any) -> None:  # noqa: N802
        """Ends the run with the value of a variable, given by its name."""
        if isinstance(name, str) and name in self.names:
            name = self.names[name]
        elif isinstance(name, str) and name.isidentifier():
            raise NameError(f"FINAL_VAR: {self._unknown(name)}")
        self.FINAL(name)

    def _ask(self, prompts: list[str]) -> list[dict[str, Any]]:
        main = get_ident() == self.thread
        self.asking = self.asking or main
        try:
            return self.ask(prompts)
        finally:
            if main:
                self.asking = False
                if self.stop_asked:  # a frame must not be cut in two, so the stop had to wait
                    self.stop_asked = False
                    raise CellStopped

    # What the host asks for

    def execute(self, name: str, code: str) -> dict[str, Any]:
        """Runs one cell; what went wrong in it is part of the result."""
        done: dict[str, Any] = {"limits": []}
        self.final = self._said = None
        self.stop_asked = False
        self.strays = {thread.native_id for thread in threads()} - {get_native_id()}
        with redirect_stdout(self.output), redirect_stderr(self.output):
            try:
                self.running = True
                try:
                    done["value"] = self._run(name, code)
                    done["hint"] = self._hint(code, done["value"] or self.output.head)
                    self._read_answer()
                except (Finished, CellStopped):
                    raise
                except SystemExit:
                    done["error"] = "SystemExit: this ends no session; call FINAL(answer) when you are done"
                except BaseException as error:  # whatever the model's code raises is data
                    done |= self._failure(code, error)
                self.running = False
            except Finished:
                self.running = False
            except CellStopped:
                self.running = False
                done["stopped"] = True
        self._shown = []
        stdout = self.output.take()
        if max(len(stdout), len(done.get("value") or "")) > self.output_limit:
            done["limits"].append("output")
        return done | {"final": self.final, "stdout": stdout}

    def _hint(self, code: str, output: str) -> str:
        """What is wrong with what the code looked for, as far as its output may come from that."""
        context, text = self.names.get("context"), output.strip()
        try:
            if text in NOTHING:
                told = [unmatched(code, context, self._rows()), in_rows(code, context)]
            else:
                told = [loose(code, context)] if text.isdecimal() else []
            return clip("\n".join(filter(None, told)), self.output_limit)
        except Exception:  # data may be anything; the cell itself went well
            return ""

    def resolve(self, text: str, variable: bool) -> dict[str, Any]:
        """Gives the value that a FINAL(…) in the reply's text names, if it names one.

        Prose may look like Python: an expression counts only if it names a variable of the model's own.
        """
        own = {name for name in self.names if name not in self.given and not name.startswith("__")}
        if isinstance(self.names.get(text), (types.ModuleType, types.FunctionType, type)):
            own.discard(text)  # a word such as "math" or "count" is an answer, the module or function is none
        text = text if not variable or text in self.names else text.strip("\"'")
        try:
            names = {n.id for n in ast.walk(ast.parse(text, mode="eval")) if isinstance(n, ast.Name)}
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            names = set()
        if names & own:
            return self.execute("<final>", f"FINAL({text})")
        return {"error": self._unknown(text) if variable else None}

    def _unknown(self, name: str) -> str:
        return f"there is no variable {name!r}. Your variables: {', '.join(self.variables())}"

    def _read_answer(self) -> None:
        """Takes the `answer` dict as final once it is marked ready, as models trained elsewhere do."""
        answer = self.names.get("answer")
        if type(answer) is not dict:
            return
        ready = answer.get("ready")
        if type(ready) in (bool, int, str) and ready:  # another type's own code would run in every later cell
            answer["ready"] = False
            self.FINAL(answer.get("content"))

    def _run(self, name: str, code: str) -> str | None:
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        tree = ast.parse(code, name)
        nodes = list(ast.walk(tree))
        for node in nodes:
            self._prepare(node)
        if "rows" not in self.names and any(map(_reads_rows, nodes)):
            self._give_rows()
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        value = None
        try:
            exec(compile(tree, name, "exec"), self.names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), name, "eval"), self.names)  # type: ignore[attr-defined]
        finally:
            self.mend()
            self.restore()
        value = None if value is self._said else value
        shown = [*self._shown, *([] if value is None else [value])]
        if len(shown) > MOST_SHOWN or not all(isinstance(item, PLAIN) for item in shown):
            self.names.pop("_", None)  # nothing is kept alive whose end may take the next cell's time
        elif shown:
            self.names["_"] = shown[0] if len(shown) == 1 else shown
        return None if value is None else show(value, self.output_limit)

    def _prepare(self, node: ast.AST) -> None:
        """Mends or refuses what small models often write, before any of the cell has run."""
        if isinstance(node, ast.Name) and node.id in READY_MODULES and node.id not in self.names:
            self.names[node.id] = importlib.import_module(node.id)
        if isinstance(node, ast.Name):
            self._make_ready(node.id, READY_NAMES)
        if isinstance(node, ast.Import):  # what is there already, as if it were a module
            node.names = [name for name in node.names if name.name not in self.given.keys() | {"context"}]
            node.names = node.names or [ast.copy_location(ast.alias("builtins", "_"), node)]
        match node:  # "Oslo" in line.lower() would never be found
            case ast.Compare(
                ast.Constant(str(text)) as left,
                [ast.In() | ast.NotIn()],
                [ast.Call(ast.Attribute(attr="lower" | "casefold"))],
            ):
                left.value = text.lower()
            case ast.Compare(
                ast.Subscript(_, ast.Constant(str(field)) as key),
                [ast.Eq() | ast.NotEq()],
                [ast.Constant(str(text))],
            ) if self._is_the_label(field, text):
                key.value = "label"
                self.output.write(f"{text!r} is the {field!r} of no row: taken for its label\n")
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return
        self._make_ready(node.func.id, READY_CALLS)
        if node.func.id == "FINAL_VAR" and any(isinstance(argument, ast.Name) for argument in node.args):
            node.func.id = "FINAL"  # the variable itself, not its name
        if self.names.get("context") is not None and node.func.id in ("llm_query", "llm_query_batched"):
            _refuse_without_data(node, self.names["context"])

    def _is_the_label(self, field: str, text: str) -> bool:
        """Whether classify has called some of the rows so, and none of them has the text in that field."""
        rows = self._rows() if self._has_labelled else []
        known = any(row.get("label") == text for row in rows)
        return known and any(field in row for row in rows) and not any(row.get(field) == text for row in rows)

    def _make_ready(self, name: str, modules: dict[str, str]) -> None:
        """Imports a name that has a module there, unless there is such a variable."""
        if name in modules and name not in self.names:
            self.names[name] = getattr(importlib.import_module(modules[name]), name)

    def _give_rows(self) -> None:
        """Reads the rows of the context, when a cell first names them."""
        try:
            found = read_rows(self.names.get("context"))
        except Exception as error:  # the cell then has no such name, and goes on with other code
            self.output.write(f"rows cannot be read: {type(error).__name__}: {error}\n")
            return
        if found is not None:
            self.names["rows"] = found

    def _rows(self) -> list[dict[str, Any]]:
        rows = self.names.get("rows")
        return [row for row in rows if type(row) is dict] if type(rows) is list else []

    def related(self, question: str) -> dict[str, Any]:
        """The fields of `types.Related` for the context."""
        context = self.names.get("context")
        self._question = question
        lines, missing, unsaid = related(question, context)
        if unsaid == "labels" and (by := compared(question, head(context))):
            unsaid = "labels of pairs" if paired(question, by) else "labels of each"
        text = "\n".join(clip(line, 600 if n else 1500) for n, line in enumerate(lines))
        fields = values(question, records(context))
        days = [name for name in fields if isinstance(name, Day)]
        known = {name.casefold() for name in fields}.union(*(day.casefold().split() for day in days))
        for day in days:  # code may have it in another form
            del fields[day]
        found = {name: "" for name in named(question, context) if name.casefold() not in known} | fields
        return {"lines": text, "missing": missing, "unsaid": unsaid, "named": found}

    def variables(self) -> list[str]:
        """Names of what cells have set, and the context's."""
        hidden = self.given.keys() | {"answer"}
        return [
            name
            for name, value in self.names.items()
            if name not in hidden and not name.startswith("_") and not isinstance(value, types.ModuleType)
        ]

    def _failure(self, code: str, error: BaseException) -> dict[str, Any]:
        """What the model is told of its mistake, and which limit it was."""
        text, limits = explain(error), []
        if isinstance(error, (AttributeError, IndexError, KeyError, TypeError, ValueError)):
            hint = next((hint for said, hint in HINTS.items() if re.search(said, text)), "")
            with suppress(Exception):  # data may be anything
                text += self._gap(text) or hint or self._reminder(error, text, code)
            if isinstance(error, LookupError | AttributeError) and (told := self._hint(code, "")):
                text += f"\n{told}"
        if isinstance(error, ModuleNotFoundError):
            there = there_are_rows(self.names.get("context"))
            text += f"\n(it is not installed: use Python's standard library) {there}".rstrip()
        no_thread = isinstance(error, RuntimeError) and "can't start new thread" in text
        if no_thread and threading.active_count() > THREADS // 2:
            limits.append("threads")
            text += f" (the limit is {THREADS} at once)"
        elif no_thread or isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            limits.append("memory")
            text += f" (the limit is {self.memory / 2**20:,.0f} MiB beyond the context)"
        return {"error": text, "limits": limits}

    def _gap(self, text: str) -> str:
        """Which field in the failed code is empty in some rows."""
        rows = self._rows()
        for name in re.findall(r"\[[\"'](.+?)[\"']\]", text):
            values = [row[name] for row in rows if name in row]
            absent = next((value for value in values if isinstance(value, str) and value in ABSENT), None)
            if absent is not None and (absent == "" or not all(isinstance(value, str) for value in values)):
                return f"\n(row[{name!r}] is {absent!r} in some of `rows`: leave those out)"
        return ""

    def _reminder(self, error: BaseException, text: str, code: str) -> str:
        """What the data is, for code that took it for something else."""
        context = self.names.get("context")
        rows = self._rows()
        key = error.args[0] if isinstance(error, KeyError) and error.args else None
        if rows and isinstance(key, str) and key not in rows[0] and f"[{key!r}]" in text.replace('"', "'"):
            return f" is no field of `rows`: {fields_to_use(rows, code)}"
        if rows and self._has_labelled and "indices must be integers" in text:
            return f"\n(the label of each of `rows` is row['label'], as in {brief(rows[0])})"
        if rows:
            if isinstance(key, str) and any(key in row for row in rows):
                return f" is in some of `rows` only: use row.get({key!r}, …)"
            return f"\n(`rows` is a list of {len(rows):,} dicts, such as {brief(rows[0])})"
        if not isinstance(context, (list, tuple, dict)) or not context:
            return ""
        kind, size = type(context).__name__, f"{len(context):,}"
        one = next(iter(context.items() if isinstance(context, dict) else context))
        some = f"{one[0]!r}: {show(one[1], 200)}" if isinstance(context, dict) else show(one, 200)
        return f"\n(`context` is a {kind} of {size} items, such as {some})"

    def thread_failed(self, how: threading.ExceptHookArgs) -> None:
        """Shows the error of a thread of this cell; that of an earlier one's is none of its output."""
        if get_native_id() not in self.strays:
            show_error(how)

    def stop(self, *_signal: object) -> None:
        """Ends the running cell; a signal handler."""
        if self.asking:
            self.stop_asked = True
        elif self.running:
            raise CellStopped


def _reads_rows(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "rows" and isinstance(node.ctx, ast.Load)


def _refuse_without_data(call: ast.Call, context: Any) -> None:
    """Stops a sub call of nothing but literal text: the sub model would answer from imagination."""
    prompts = [item for arg in call.args for item in (arg.elts if isinstance(arg, ast.List) else [arg])]
    if not prompts or not all(isinstance(p, ast.Constant) and isinstance(p.value, str) for p in prompts):
        return
    question = " ".join(str(getattr(prompt, "value", "")) for prompt in prompts)
    if name := missing(question, context):
        advice = f"No line or item has {name!r}."
    else:
        look = f'print(search("{"|".join(words(question)[:8]) or "word"}"))'
        advice = "Look at the data first:\n" + ("\n".join(nearest(question, context)) or look)
    raise LLMQueryError(f"{NO_DATA}. {advice}\n{there_are_rows(context)}".rstrip())


def _shown(value: Any) -> Any:
    if type(value) not in (list, tuple, set, frozenset, dict) or len(value) <= SHOWN_ITEMS:
        return value
    return value if len(repr(value)) <= PRINTED else show(value, PRINTED)


def _around(place: int, text: str) -> str:
    """The line that begins there, with the one before it and two after it, cut where they are long."""
    start = text.rfind("\n", 0, max(place - 1, 0)) + 1
    lines = text[max(start, place - 2 * SHORT) : place + 5 * SHORT].split("\n")
    return "\n".join(lines[:4]).rstrip()


def no_input(_prompt: object = "") -> str:
    raise RuntimeError("input() is not available here: nobody is there to answer")


def _texts(name: str, prompts: Any, otherwise: str = MAKE_STR) -> list[str]:
    """A list of texts that the sub model can be asked; otherwise: what to do where one is no str."""
    texts: list[str] = list(prompts)
    for prompt in texts:
        if not isinstance(prompt, str):
            raise TypeError(f"{name} takes str, not {type(prompt).__name__}: {otherwise}")
        if len(prompt) > MAX_PROMPT:
            raise ValueError(f"a prompt of {len(prompt):,} characters is too long for any model: split it")
    return texts


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return shown if len(numbers) <= 10 else f"{shown}, …"


def _answer(value: Any) -> dict[str, Any]:
    text = rounded(str(value)) if type(value) is float else clip(str(value), MAX_ANSWER)
    try:
        safe = len(json.dumps(value, allow_nan=False)) <= MAX_ANSWER
    except (TypeError, ValueError, RecursionError):
        safe = False
    return {"text": text, "value": value if safe else text}
