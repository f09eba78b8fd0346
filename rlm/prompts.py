"""What the root is told, and a sub call that is too long. Knows the protocol, not how it is carried out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rlm import asks
from rlm.sandbox.child.finding import words
from rlm.sandbox.child.hints import NO_DATA, NOTHING, UNFOUND
from rlm.sandbox.child.labels import COUNTED, LABELLED, PAIRED
from rlm.sandbox.child.shown import clip
from rlm.types import Execution, Related

PLACEHOLDERS = frozenset({"", "()", "your answer", "answer", "none"})
# of the instructions and the REPL; a model that copies one has not answered

REPEATED = 300
# characters of a question that are repeated after an output
LONG_ANSWER = 400
# characters of an output that a model would take long to copy
SAMPLE, WHOLE = 200, 1000
# characters of the context or of an item that are shown; of a text that is shown as a whole

_SYSTEM = """\
You answer a question about data that is far too long to read. The data is in the Python variable `context`: \
write code that finds, counts or computes what is asked for.

In each turn you write one short ```repl block of Python. It runs, and you see its output. Variables are kept.
When an output shows the answer, reply with FINAL(…), the answer between its parentheses, and no code.

In the code you have:
- `search(pattern)`: list of the lines of `context` that match a regular expression, ignoring case
- `llm_query(prompt)`: a language model reads a text, as in `llm_query("Is this a complaint?\\n" + text)`. \
It sees only the prompt, up to CAPACITY characters
- `llm_query_batched(prompts)`: the same for a list of prompts at once
- `classify(texts, labels)`: list of the label of each text, which a language model reads

Search, count and compute with Python. Use classify and llm_query only for what needs reading."""


def system(capacity: int) -> str:
    """The root's instructions; `capacity`: characters that the sub model reads at once."""
    return _SYSTEM.replace("CAPACITY", f"{capacity:,}")


def kept(variables: Sequence[str]) -> str:
    """Of the model's earlier code."""
    return f"Your variables are still there: {clip(', '.join(variables), 500)}." if variables else ""


def first_message(
    given: Sequence[str],
    asked: str,
    related: Related,
    context: Mapping[str, Any],
    *,
    asked_before: bool = False,
) -> str:
    """The parts of a question's message: what is given, what of it has words of the question, what to do.

    context: as the REPL reports it.
    """
    some = _told(related, "lines" if context.get("type") == "str" else "items")
    compares = None if is_in_view(context) else asks.A_SUPERLATIVE.search(asked)
    told = related.lines and (not compares or related.says(compares[0]))
    todo = FOLLOW_UP + FIRST if asked_before else OR_FINAL if told else FIRST
    return "\n\n".join(filter(None, [*given, some, f"Question: {asked}", todo]))


def _told(related: Related, kind: str = "lines") -> str:
    """What a context has of a question, or has not."""
    if related.unsaid in UNLABELLED:
        return _LABELS
    if related.lines:
        return _STRANGE.format(related.lines) if related.unsaid else _SOME.format(kind, related.lines)
    return nowhere(related.missing)


UNLABELLED = ("labels", "labels of each", "labels of pairs")
_LABELS = "The data does not name the labels: first have each text read with classify."
_LABELLED = "The label of a row is row['label'], not in its text. Write other code."
_STRANGE = "No line has a word of the question. These are unlike all others:\n{}"
_SOME = "Some {} with words of the question:\n{}"


def nowhere(name: str) -> str:
    return f"No line or item has {name!r}." if name else ""


def conversation(exchanges: Sequence[tuple[str, str]], room: int) -> str:
    """Earlier questions and answers in so many characters: long ones in part, the oldest left out."""
    told: list[str] = []
    for asked, answered in reversed(exchanges):
        most = max(room // 4, 100)
        text = f"The user asked: {clip(asked, most)}\nYou answered: {clip(answered, most)}"
        if told and len(text) > room:
            break
        room -= len(text)
        told.insert(0, text)
    left_out = len(exchanges) - len(told)
    gap = [f"[{left_out:,} earlier question{'s' * (left_out != 1)} left out]"] if left_out else []
    return "\n\n".join(["This conversation so far:", *gap, *told]) if told else ""


def unanswered(reason: str) -> str:
    return f"[nothing: this question was stopped ({reason})]"


FIRST = "Write one short ```repl block that finds or computes the answer and prints it."
OR_FINAL = (
    "If the lines above have the answer, give it as FINAL(…). "
    "Otherwise write one short ```repl block that finds or computes it and prints it."
)
DIRECT = "You answer a question about a text. Reply with the answer alone, as short as it can be."


def whole(prompt: str, context: str, given: Sequence[str]) -> str:
    """The one message where the model reads the whole context; given: what is said before it."""
    return "\n\n".join(filter(None, [*given, context, f"Question: {prompt}"]))


FOLLOW_UP = "If the conversation above has the answer, reply with FINAL(…). Otherwise: "
CONTEXT_REPLACED = "`context` is new: the user has replaced it since the last answer."
LOST = "The REPL was restarted: your earlier variables are lost."


def is_in_view(context: Mapping[str, Any]) -> bool:
    """Whether `describe` shows all of it."""
    return context.get("type") == "str" and context.get("length", 0) <= WHOLE


def describe(context: dict[str, Any]) -> str:
    """The context's type, size and some of it, as the REPL reports them; never the data itself."""
    kind, length = context.get("type"), context.get("length", 0)
    if kind == "NoneType":
        return "`context` is None: there is no data, only the question."
    if kind == "str":
        return _describe_text(context, length)
    if kind != "dict" and "items" not in context:
        return f"`context` is of type {kind}."
    types, sizes = " or ".join(context.get("items", [])), context.get("sizes")
    each = f"each {'value ' * (kind == 'dict')}a {types}" if types else ""
    if sizes and sizes[1] > SAMPLE:
        each += f" of {' to '.join(f'{size:,}' for size in dict.fromkeys(sizes))} characters"
    head = [clip(text, SAMPLE) for text in context.get("head", [])[:2]]
    if kind == "dict":
        keys = context.get("keys", [])
        head = [f"{key}: {text}" for key, text in zip(keys, head, strict=False)]
        if len(keys) > 2:
            head.append(f"More keys: {clip(', '.join(keys[2:8]), SAMPLE)}{', …' * (length > 8)}")
    size = f"{length:,} item{'s' * (length != 1)}, {each}.{_form(context, 'items')}"
    return "\n".join([f"`context` is a {kind} of {size} It begins:", *(head or [""])])


def _describe_text(context: dict[str, Any], length: int) -> str:
    lines, head = context.get("lines", 0), str(context.get("head", ""))
    size = f"`context` is a str of {length:,} characters in {lines:,} line{'s' * (lines != 1)}."
    if is_in_view(context):
        return f"{size} It is:\n{head}"
    form = _form(context, "lines")
    if not form and re.match(r"\s*[\[{]\s*[\[{\"]", head):
        form = " It looks like JSON, which `json.loads(context)` reads."
    return f"{size}{form} It begins:\n{head[:SAMPLE].rstrip()} …"


def _form(context: dict[str, Any], kind: str) -> str:
    return ROWS.format(kind, context["row"]) if "row" in context else ""


ROWS = " Its {} have fields: `rows` is the list of them as dicts, the first {}."
# after a context's size


def observation(
    executions: Sequence[Execution], limit: int, asked: str, related: Related, *, guided: bool = False
) -> str:
    """What the root is shown after its cells ran; limit: characters of each; guided: as a small model is."""
    last = executions[-1]
    if not last.error and not (last.value or last.stdout.strip() or "print(" in last.code):
        following = PRINT
    elif not last.error and (last.value or last.stdout).strip() in NOTHING:
        following = nothing(asked, related, last.hint)
    elif last.hint and not last.error:
        following = f"{last.hint}\n{CORRECT if guided else next_step(asked, last)}"
    elif last.error and NO_DATA in last.error:
        computed = asks.A_NUMBER.search(asked) or asks.A_SUPERLATIVE.search(asked)
        in_lines = not computed and "print(search(" not in last.error
        following = f"Question: {_ending(asked)}\n{OR_FINAL if in_lines else FIRST}"
    elif last.error and not last.error.startswith("LLMQueryError"):
        following = CORRECT
    elif computes := _compute(last):
        following = f"Question: {_ending(asked)}\n{computes}"
    else:
        following = _narrow(asked, last) if _is_part(last, limit) else next_step(asked, last)
    return "\n\n".join([*(_observe(execution, limit) for execution in executions), following])


def _observe(execution: Execution, limit: int) -> str:
    shown = [text for text in (execution.stdout.rstrip(), execution.value) if text]
    parts = ["Output:\n" + clip("\n".join(shown), limit)] if shown else []
    if execution.error:
        parts.append("Error:\n" + clip(execution.error, limit))
    return "\n".join(parts) or "Output: nothing. Use print(...) to see a value."


_LABELS_TOLD = re.compile(
    rf"{re.escape(LABELLED)}.*((?:\n`\w+`(?:{re.escape(COUNTED)}|{re.escape(PAIRED)}).*)*)\s*\Z"
)


def _compute(last: Execution) -> str:
    """After a cell that has shown nothing but that texts have their labels; "" after another."""
    told = None if last.value else _LABELS_TOLD.search(last.stdout)
    if not told:
        return ""
    given = " or ".join([*re.findall(r"^`\w+`", told[1], re.MULTILINE), "row['label']"])
    return f"Write the next ```repl block, which computes the answer with {given} and prints it."


def _is_part(execution: Execution, limit: int) -> bool:
    """Whether the model sees only some of what its code showed."""
    long = len(execution.stdout) + len(execution.value or "") > limit
    shown = f"{execution.stdout}\n{execution.value}"
    return long or bool(re.search(r"^\w+ of [\d,]+ items, the first \d+:$", shown, re.MULTILINE))


def _narrow(asked: str, last: Execution) -> str:
    """What may follow an output of which only a part is shown."""
    all_of_it = _all_of_it(asked, last)
    write = f"{all_of_it} Otherwise write" if all_of_it else "Write"
    todo = "narrow it down, or count or compute with all of it, and print the result"
    return f"Only a part is shown. {write} the next ```repl block: {todo}."


PRINT = "Write the next ```repl block, which prints what the answer depends on."
CORRECT = "Correct this: write the next ```repl block."


def nothing(asked: str, related: Related, hint: str) -> str:
    """After an output that has nothing in it; hint: see Execution."""
    if related.missing:
        told = f"{nowhere(related.missing)} {NOT_THERE} Otherwise write other code."
    elif related.unsaid in UNLABELLED:
        told = _LABELS
    elif related.lines and not (hint and asks.is_computed(asked)):
        told = f"{_told(related)}\nAnswer from these lines, or write other code."
    elif related.unsaid == "labelled":
        told = f"{hint}\n{_LABELLED}".lstrip()
    elif hint:
        absent = re.match(rf'{UNFOUND}(.+)"\.$', hint, re.MULTILINE)
        of_it = absent and absent[1].lower() in asked.lower() and not asks.A_NUMBER.search(asked)
        told = f"{hint}\n{f'{NOT_THERE} Otherwise write' if of_it else 'Write'} other code."
    else:
        found = words(_ending(asked))
        telling = "|".join(dict.fromkeys([*(word for word in found if not word.isalnum()), *found[-6:]][:6]))
        told = f'See how the data is written, say with print(search("{telling}")), or write other code.'
    return f"That found nothing. {told}"


def next_step(asked: str, last: Execution) -> str:
    """What may follow an output, or answer the question."""
    give = "Give the answer as FINAL(…), or write"
    if len(last.stdout or last.value or "") > LONG_ANSWER and (all_of_it := _all_of_it(asked, last)):
        instead = "write" if asks.ALL.search(_ending(asked)) else "give the answer as FINAL(…), or write"
        give = f"{all_of_it} Otherwise {instead}"
    return f"Question: {_ending(asked)}\n{give} the next ```repl block if the output does not have it."


def _all_of_it(asked: str, last: Execution) -> str:
    """How to answer with what a cell has shown, which is long to write again."""
    shown = re.fullmatch(r"(?:print\()?([^\W\d]\w*)\)?", last.code.strip().rpartition("\n")[2])
    name = shown[1] if shown else "_" if asks.ALL.search(_ending(asked)) else ""
    if not name or asks.A_NUMBER.search(_ending(asked)):
        return ""
    return f"If all of that is the answer, reply with FINAL({name})."


def _ending(asked: str) -> str:
    """A question, or the last sentences of a long one, which say what is wanted."""
    if len(asked) <= REPEATED:
        return asked
    tail = asked[-REPEATED:]
    return f"… {tail.partition('. ')[2] or tail}"


def start_again(mistake: str) -> str:
    """Stands in the place of code that went wrong in the same way several times."""
    return f"Other code for this has failed: {clip(mistake, 300)}\nWrite other code, simpler than that."


def same_again(execution: Execution) -> str:
    """To code that was run before."""
    computes = _compute(execution)
    return f"The labels are there already, each as row['label']. {computes}" if computes else SAME_AGAIN


SAME_AGAIN = (
    "You wrote the same code once more; its output is the same. Write different code, or reply with FINAL(…)."
)
NOT_SEEN_YET = (
    "Your FINAL was written before this output was there, so it does not count. "
    "Look at the output, then give FINAL(…)."
)
_NEXT = "Write the next ```repl block, which finds the answer and prints it"
_AGAIN = f"{_NEXT}; or give your FINAL once more if it is right."
NOT_WHICH_ONE = f"The question asks which one it is, not for a number. {_AGAIN}"
NOT_READ = f"Nothing has read the texts yet. {_LABELS} {FIRST}"
# to an answer on labels that the data does not name, where no text has been read


def only_the_question(output: str) -> str:
    """To an answer with nothing but words of the question; output: of the latest code, if there is any."""
    give = "Give that as FINAL(…), or write the next ```repl block."
    todo = f"Your code has found:\n{clip(output.strip(), REPEATED)}\n{give}" if output else _AGAIN
    return f"That only repeats the question. {todo}"


NOT_THERE = "If the data does not have the answer, reply with FINAL(it is not in the data)."


def not_there(answer: str, other: str, missing: str) -> str:
    """To an answer out of a line about another name, or to True or False where more is asked for."""
    said = f"That is of {other!r}." if other else f"{answer} does not answer the question."
    return " ".join(filter(None, [said, nowhere(missing), NOT_THERE, _AGAIN]))


def never_shown(what: str, *, computed: bool) -> str:
    """To an answer with a number or a name that the model has not been shown; computed: see `asks`."""
    return " ".join(filter(None, [f"No output shows {what}.", NOT_THERE * (not computed), _AGAIN]))


def not_yet(done: str) -> str:
    """To an answer that takes all of the data, before any code has run; done: "counted", say."""
    return f"No code has {done} anything yet, and you have seen only some of the data. {_NEXT}."


def took_no_notice(missed: Sequence[str], named: Mapping[str, str]) -> str:
    """To the result of code in which some of the question's names or numbers do not occur.

    named: all of the question's, with their fields.
    """
    told = f"Your code takes no notice of {' or '.join(map(repr, missed))}, which the question names"
    tests = " and ".join(f"row[{field!r}] == {name!r}" for name, field in named.items() if field)
    return f"{told}{f' ({tests})' * any(named[name] for name in missed)}. {_AGAIN}"


def written_in_code(answer: str) -> str:
    """To a result that code prints as it stands there."""
    return f"Your code has not found {answer!r}: that is written in the code itself. {_AGAIN}"


def counts_lines(word: str) -> str:
    """To a number of lines where occurrences of a word are asked for."""
    each = rf'len(re.findall(r"\b{re.escape(word)}\b", context, re.IGNORECASE))'
    return f"That counts lines, and a line may have it more than once: {each} counts each. {_AGAIN}"


def no_answer(asked: str, related: Related) -> str:
    """To a FINAL with nothing in it."""
    if related.unsaid in UNLABELLED:
        return f"Your FINAL has no answer in it. {_LABELS} {FIRST}"
    again = f"{_told(related)}\nQuestion: {_ending(asked)}\n" if related.lines else ""
    return (
        f"Your FINAL has no answer in it. {again}Write the answer itself between its parentheses, "
        f"or one ```repl block if you do not know it yet. {NOT_THERE}"
    )


EMPTY_REPLY = "Your reply was empty. Write one ```repl code block, or FINAL(…)."


def no_code(*, seen: bool) -> str:
    """To a reply with neither code nor a final answer; `seen`: whether any output has been shown yet."""
    if seen:
        return "Give the answer as FINAL(…) alone, or write the next ```repl block."
    return "That had no code block. Write one ```repl code block that looks at `context`."


def cut_off(tokens: int) -> str:
    return f"Your reply was cut off after {tokens:,} tokens. Write one short ```repl block, without comments."


def no_variable(error: str) -> str:
    return f"Error:\n{error}\nGive FINAL(…) with the answer itself."


LAST_CALL = (
    "No more code can be run. Reply with FINAL(…): your best answer from the outputs above, "
    "in one line, without code."
)


def left_out(characters: int) -> str:
    """Stands in the history where an old output was."""
    return f"Output: [{characters:,} characters, left out here to save space; the variables are still there]"


def too_long(prompt: int, tokens: int | None, capacity: int, window: int | None) -> str:
    """To the code whose sub prompt does not fit; the numbers are characters, tokens, characters, tokens."""
    has = f"{prompt:,} characters" + (f" ({tokens:,} tokens)" if tokens else "")
    takes = f"{capacity:,} characters" + (f" ({window:,} tokens)" if window else "")
    return f"the prompt has {has}, but the model reads about {takes} at once: split it into smaller pieces"


TURNS_LEFT_OUT = "[Your first turns are left out here to save space; their variables are still there.]"
