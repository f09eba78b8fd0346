"""Every word that a model is shown. Knows the protocol, not how it is carried out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlm.sandbox.child.shown import clip
from rlm.types import Execution

PLACEHOLDERS = frozenset({"", "your answer", "answer", "none"})
# of the instructions and the REPL; a model that copies one has not answered

_SYSTEM = """\
You answer a question about data that you cannot see. The data is in the Python variable `context`. \
In each turn you write one short ```repl block of Python, and its output is shown to you. Variables are kept.

In the code you have:
- `search(pattern)`: list of the lines of `context` that match a regular expression, ignoring case
- `llm_query(prompt)`: a language model reads a text, as in `llm_query("Is this a complaint?\\n" + text)`. \
It sees only the prompt, up to CAPACITY characters
- `llm_query_batched(prompts)`: the same for a list of prompts at once

Search, count and compute with Python. Use llm_query only for what needs understanding of a text.
As soon as an output shows the answer, reply with FINAL(your answer).

Example
Question: Which customer from Oslo placed the most orders?
```repl
print(search("oslo"))
```
Output:
['customer 17 lives in Oslo', 'customer 40 lives in Oslo']
```repl
from collections import Counter
orders = search("order .* by customer (17|40)")
print(orders[:2])
print(Counter(line.split()[-1] for line in orders).most_common(3))
```
Output:
['order 5: 3 lamps by customer 17', 'order 12: a rug by customer 40']
[('17', 31), ('40', 6)]
FINAL(customer 17)"""


def system(capacity: int) -> str:
    """The root's instructions; `capacity`: characters that the sub model reads at once."""
    return _SYSTEM.replace("CAPACITY", f"{capacity:,}")


def question(prompt: str, context: dict[str, Any]) -> str:
    """The first message: what the context is, then the question."""
    hint = ": search for words of the question" if context.get("type") == "str" else ""
    return f"{describe(context)}\n\nQuestion: {prompt}\n\nWrite your first ```repl block{hint}."


def describe(context: dict[str, Any]) -> str:
    """The context's type, size and beginning, as the REPL reports them; never the data itself."""
    kind, length = context.get("type"), context.get("length", 0)
    items = f"{length:,} item{'s' * (length != 1)}"
    if kind == "NoneType":
        return "`context` is None: there is no data, only the question."
    if kind == "str":
        lines = context.get("lines", 0)
        size = f"`context` is a str of {length:,} characters in {lines:,} line{'s' * (lines != 1)}."
        head = str(context.get("head", ""))
        return f"{size} It begins:\n{head[:200]} …" if length > 200 else f"{size} It is:\n{head}"
    if kind == "dict":
        keys = ", ".join(context.get("keys", [])[:10])
        more = ", …" if length > 10 else ""
        values = " or ".join(context.get("items", []))
        head = "".join(f"\n{clip(text, 200)}" for text in context.get("head", [])[:1])
        size = f"`context` is a dict of {items}, keys: {clip(keys, 400)}{more}."
        return f"{size} Each value is {values}:{head}"
    if "items" in context:
        types = " or ".join(context["items"])
        head = "".join(f"\n{clip(text, 200)}" for text in context.get("head", [])[:2])
        return f"`context` is a {kind} of {items}, each a {types}. It begins:{head}"
    return f"`context` is of type {kind}."


def observation(executions: Sequence[Execution], limit: int) -> str:
    """What the root is shown after its cells ran; `limit`: characters for each cell."""
    following = CORRECT if executions[-1].error else NEXT
    return "\n\n".join([*(_observe(execution, limit) for execution in executions), following])


def _observe(execution: Execution, limit: int) -> str:
    shown = [text for text in (execution.stdout.rstrip(), execution.value) if text]
    parts = ["Output:\n" + clip("\n".join(shown), limit)] if shown else []
    if execution.error:
        parts.append("Error:\n" + clip(execution.error, limit))
    return "\n".join(parts) or "Output: nothing. Use print(...) to see a value."


CORRECT = "Correct this: write the next ```repl block."
NEXT = "If this answers the question, reply with FINAL(your answer). Otherwise write the next ```repl block."
SAME_AGAIN = (
    "You wrote the same code once more; its output is the same. "
    "Write different code, or reply with FINAL(your answer)."
)
NOT_SEEN_YET = (
    "Your FINAL was written before this output was there, so it does not count. "
    "Look at the output, then give FINAL(your answer)."
)
NO_ANSWER_IN_IT = (
    "Your FINAL has no answer in it. Write the answer itself between its parentheses, "
    "or one ```repl block if you do not know it yet."
)
EMPTY_REPLY = "Your reply was empty. Write one ```repl code block, or FINAL(your answer)."


def no_code(*, seen: bool) -> str:
    """To a reply with neither code nor a final answer; `seen`: whether any output has been shown yet."""
    if seen:
        return (
            "If that is your answer, reply with FINAL(your answer) alone. Otherwise write one ```repl block."
        )
    return "That had no code block. Write one ```repl code block that looks at `context`."


def cut_off(tokens: int) -> str:
    return f"Your reply was cut off after {tokens:,} tokens. Write one short ```repl block, without comments."


def no_variable(error: str) -> str:
    return f"Error:\n{error}\nGive FINAL(your answer) with the answer itself."


LAST_CALL = (
    "No more code can be run. Reply with FINAL(your answer): your best answer from the outputs above, "
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


TURNS_LEFT_OUT = "\n\n[Your first turns are left out here to save space; their variables are still there.]"
