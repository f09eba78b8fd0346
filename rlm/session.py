"""A conversation: one REPL that lives on over several questions, and what was asked and answered before."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rlm import prompts
from rlm.cancel import Cancel
from rlm.clients.base import CHARS_PER_TOKEN
from rlm.errors import ContextError, RLMError, SandboxError
from rlm.sandbox import Sandbox
from rlm.sandbox.context import as_text, checked

if TYPE_CHECKING:
    from rlm.engine import RLM
    from rlm.types import Query, Related, RLMResult

SHARE = 4
# the part of the root's window that earlier questions may take: one in so many


class Session:
    """Answers one question after the other; a context manager. `RLM.session` makes one.

    The model knows the earlier questions and its answers, and its variables live on. What a question's turns
    were is not kept: only the question, the answer and the variables. A question that was stopped or failed
    leaves the session usable.

    rlm: models and limits of the next question; another `RLM` may take its place at any time. `policy`,
        `sandbox` and `memory` are those of the REPL's start.
    about: what the model is told of the context beside its type and size; one line or a few.

    Raises, when it is entered:
        ContextError: the context is of another type, is missing, or is not text.
        SandboxError: the REPL process does not start.
    """

    def __init__(self, rlm: RLM, context: Any = None, *, about: str = "", goes_on: bool = True) -> None:
        self.rlm = rlm
        self.goes_on = goes_on
        # whether there may be another question
        self.about = about
        self.exchanges: list[tuple[str, str]] = []
        # questions so far and their answers
        self._context = context
        self._repl: Sandbox | None = None
        self._news: list[str] = []
        # what has happened since the last answer
        self._asked = self._closed = False
        self._one_at_a_time = threading.RLock()

    def __enter__(self) -> Session:
        self.repl(_unasked, cancel=Cancel())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the REPL; a question of another thread ends too."""
        self._closed = True
        if self._repl:
            self._repl.close()

    @property
    def context(self) -> dict[str, Any]:
        """What the REPL says of the context: type, length, beginning; empty before it has started."""
        return self._repl.context if self._repl else {}

    def completion(self, prompt: str, *, cancel: Cancel | None = None) -> RLMResult:
        """Answers the next question, as `RLM.completion` does."""
        with self._one_at_a_time:
            result: RLMResult | None = None
            try:
                result = self.rlm.answer(prompt, self, cancel)
                return result
            except RLMError as error:
                result = error.result
                raise
            finally:
                if result:
                    self._remember(prompt, result)
                self.keep_repl()

    def load(self, context: Any, *, about: str = "") -> bool:
        """Puts another context in the place of the present one; the model is told with the next question.

        Returns whether its variables were kept; a context for which the process had no room takes a new one.

        Raises:
            ContextError: as when the session began; the present context stays.
        """
        with self._one_at_a_time:
            kept = self._repl is None or self._repl.load(context)
            self._context, self.about = context, about
            news = [*self._news, prompts.CONTEXT_REPLACED] + [prompts.LOST] * (not kept)
            self._news = list(dict.fromkeys(news))
            return kept

    def clear(self) -> None:
        """Forgets the conversation; the context and the variables stay."""
        self.exchanges.clear()

    # What a run asks for

    def repl(self, query: Query, *, cancel: Cancel) -> Sandbox:
        """The REPL for one run's cells; it is started if it is not there."""
        rlm = self.rlm
        if self._closed:
            raise SandboxError("The session is closed.")
        if self._repl is None:
            self._repl = Sandbox(
                self._context,
                query=query,
                memory=rlm.memory,
                kind=rlm.sandbox,
                policy=rlm.policy,
                cancel=cancel,
            )
        self._repl.attach(
            query,
            concurrency=getattr(rlm.sub, "concurrency", 4),
            cell_timeout=rlm.cell_timeout,
            max_sub_calls=rlm.max_sub_calls,
            cancel=cancel,
        )
        return self._repl

    def question(self, prompt: str, repl: Sandbox, window: int, related: Related) -> str:
        """The root's first message: what was said before, the context, the question.

        window: the root's, in tokens.
        """
        earlier, kept = self.told(window), prompts.kept(repl.variables() if self._asked else [])
        self._news += repl.news
        repl.news = []
        given = [earlier, *self._news, kept, f"{prompts.describe(repl.context)}\n{self.about}".strip()]
        self._asked = True
        return prompts.first_message(given, prompt, related, repl.context, asked_before=bool(earlier))

    def told(self, window: int) -> str:
        """What was said before, in a part of a window of so many tokens."""
        return prompts.conversation(self.exchanges, int(window * CHARS_PER_TOKEN) // SHARE)

    def text(self, most: int) -> str:
        """The whole context as text, of up to so many characters.

        Raises:
            ContextError: it is longer, or no text.
        """
        text = as_text(checked(self._context))
        if len(text) > most:
            raise ContextError(
                f"The context has {len(text):,} characters, and the model reads about {most:,} at once: "
                "leave mode as it is, auto, and the REPL will do."
            )
        return text

    def keep_repl(self) -> None:
        """Makes the REPL ready for the next question, whatever has become of the last one."""
        if not self._repl or self._closed:
            return
        try:
            self._news += filter(None, [self._repl.stop(recover=self.goes_on)])
        except RLMError:  # the next question starts another one
            self._repl.close()
            self._repl = None
            self._news.append(prompts.LOST)

    def _remember(self, prompt: str, result: RLMResult) -> None:
        answered = result.stop_reason in ("final", "max_iterations")
        if answered:  # else nobody knows whether the model was told
            self._news = []
        self.exchanges.append((prompt, result.answer if answered else prompts.unanswered(result.stop_reason)))


def _unasked(_prompt: str) -> str:
    raise RLMError("no question is being answered")
