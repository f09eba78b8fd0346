"""Thinking that a server leaves in the text is kept apart, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm.clients.thinking import Reply


def read(pieces: list[str], thinking: str = "") -> tuple[str, str, str]:
    """The reply's text, its thinking, and what a live display shows in the end."""
    reply, shown = Reply(), ""
    reply.add("", thinking)
    for piece in pieces:
        new = reply.add(piece)
        shown = reply.text if new is None else shown + new
    shown += reply.end()
    return reply.text, reply.thinking.strip(), shown


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("said", "text", "thinking"),
    [
        pytest.param("Four.", "Four.", "", id="none"),
        pytest.param("<think>Hm.</think>Four.", "Four.", "Hm.", id="at-the-beginning"),
        pytest.param("\n<think>\nHm.\n</think>\n\nFour.", "Four.", "Hm.", id="with-blank-lines"),
        pytest.param("<think>\n\n</think>\n\nFour.", "Four.", "", id="empty"),
        pytest.param("<think>a</think><think>b</think>Four.", "Four.", "ab", id="twice"),
        pytest.param("<think>Hm. 1 < 2 </thin", "", "Hm. 1 < 2 </thin", id="unclosed"),
        pytest.param("<think>", "", "", id="the-tag-alone"),
        pytest.param("Hm.</think>\n\nFour.", "Four.", "Hm.", id="never-opened"),
        pytest.param("```\nx\n```</think>\n\nFour.", "Four.", "```\nx\n```", id="never-opened-with-code"),
        pytest.param("<thinking hard>", "<thinking hard>", "", id="another-tag"),
        pytest.param("<thi", "<thi", "", id="half-a-tag"),
        pytest.param("  Four. ", "  Four. ", "", id="blanks"),
        pytest.param("I <think> so</th", "I <think> so</th", "", id="in-prose"),
        pytest.param('```\ns.split("</think>")\n```', '```\ns.split("</think>")\n```', "", id="in-code"),
        pytest.param(
            "<think>a</think>It ends with </think>.", "It ends with </think>.", "a", id="about-the-tag"
        ),
    ],
)
def test_thinking_is_kept_apart(said: str, text: str, thinking: str, step: int) -> None:
    pieces = [said[start : start + step] for start in range(0, len(said), step)]
    assert read(pieces) == (text, thinking, text)


def test_blank_lines_after_thinking_that_came_by_itself_are_dropped() -> None:
    assert read(["\n", "\nFour."], thinking="Hm.") == ("Four.", "Hm.", "Four.")


@given(st.lists(st.text(alphabet="<think>/ \na`"), max_size=20))
def test_the_cuts_make_no_difference(pieces: list[str]) -> None:
    assert read(pieces) == read(["".join(pieces)])


@given(st.lists(st.text()))
def test_a_text_without_tags_is_unchanged(pieces: list[str]) -> None:
    said = "".join(pieces).replace("<", "")
    assert read([piece.replace("<", "") for piece in pieces]) == (said, "", said)
