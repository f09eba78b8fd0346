"""Sandbox: starts the REPL's process, runs cells in it, holds its limits and ends it."""

from __future__ import annotations

import json
import secrets
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

from rlm.cancel import Cancel
from rlm.errors import ConfigurationError, ContextError, RLMError, SandboxError
from rlm.sandbox import limits
from rlm.sandbox.connection import Connection, WorkerDied
from rlm.sandbox.context import as_file, believable, checked, named
from rlm.sandbox.policy import KINDS, POLICIES, Kind, Policy, Report
from rlm.sandbox.session import TICK, Session
from rlm.types import Answer, Completion, Execution, Final, Query, Related

BRIEFLY = 0.3
# seconds that a cell has to stop in where no other follows
_Call = Callable[[Connection, "_Clock", object, object], None]
# what is done with a sub call: by which connection it came, the cell's clock, its number and prompt


class Sandbox:
    """A REPL with the context as the variable `context`; a context manager.

    What a cell breaks is put right in three steps, and the model is told which one it took: it is interrupted
    and its variables are kept; its process is ended and the copy from before the cell takes over; or the
    session starts anew, with the context and without variables.

    Args:
        context: str, bytes that are UTF-8 text, list, dict or another plain value, or None;
            a `Path` is a UTF-8 text file that this process never holds in memory.
        query: answers one sub prompt, by a text or a Completion, or raises RLMError; called from several
            threads at once.
        concurrency: how many sub calls run at once.
        cell_timeout: seconds of a cell's own work; waiting for sub calls does not count.
        stop_grace: seconds between asking a cell to stop and ending its process.
        output_limit: characters of output kept for each cell, head and tail.
        memory: bytes of address space beyond the context.
        max_sub_calls: of the whole session.
        kind: process: a process of its own; inprocess: a thread of this process, which nothing confines.
        policy: strict: refuses to run unconfined; best-effort: takes the protections there are; off: none.
        snapshots: whether a copy of the process is kept while a cell runs.
        without: layers of confinement to leave out, to measure what each one stops.

    Raises:
        ConfigurationError: the policy or a layer has no such name.
        ContextError: the context is of another type, is missing, or is not text.
        SandboxError: the process does not start, or cannot be confined as the policy asks.
    """

    def __init__(
        self,
        context: Any = None,
        *,
        query: Query,
        concurrency: int = 4,
        cell_timeout: float = limits.CELL_TIMEOUT,
        stop_grace: float = limits.STOP_GRACE,
        output_limit: int = limits.OUTPUT,
        memory: int = limits.MEMORY,
        max_sub_calls: int = limits.SUB_CALLS,
        kind: Kind = "process",
        policy: Policy = "strict",
        snapshots: bool = True,
        without: Collection[str] = (),
        cancel: Cancel | None = None,
    ) -> None:
        validate(kind, policy)
        if kind == "inprocess":
            policy, snapshots = "off", False
            warnings.warn(_INPROCESS, RuntimeWarning, stacklevel=_level_of_the_caller())
        self.cell_timeout = cell_timeout
        self.context: dict[str, Any] = {}
        # what the worker says of the context: its type, size, beginning
        self.report = Report(policy)
        # which protections the process has
        self.on_call: Callable[[str], object] = lambda _prompt: None
        # is called with the prompt of each sub call that a cell asks for, before its turn comes
        self._done: dict[str, Any] = {}
        # what the worker has said of the present cell
        self._context = checked(context)
        self._query = query
        self._stop_grace = stop_grace
        self._output_limit = output_limit
        self._memory = memory
        self._sub_calls_left = self._max_sub_calls = max_sub_calls
        self._snapshots = snapshots
        self._kind = kind
        self._without = _layers(policy, without) if kind == "process" else frozenset()
        self._cancel = cancel or Cancel()
        self._cells = self._pending = 0
        self._at_work = True
        # whether an order is under way, or the session is being started
        self._counting, self._one_at_a_time = threading.Lock(), threading.Lock()
        self._hit: list[str] = []
        # limits that the present cell has hit
        self.news: list[str] = []
        # what has become of the session where no cell could tell; whoever tells of it clears it
        self._pool = _pool(concurrency)
        self._underway: int | str | None = None
        # id of an order that was given and whose end has not been seen
        self._session: Session | None = None
        self._closed = False
        try:
            self._start()
        except BaseException:  # Ctrl-C too must leave no process behind
            self.close()
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and forgets sub calls that have not begun; a cell of another thread ends too."""
        self._closed = True
        if self._session:
            self._session.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def attach(
        self,
        query: Query,
        *,
        concurrency: int,
        cell_timeout: float,
        max_sub_calls: int,
        cancel: Cancel,
    ) -> None:
        """Takes these in the place of what it was made with, and counts sub calls anew."""
        self._query, self._cancel = query, cancel
        self.cell_timeout = cell_timeout
        self._sub_calls_left = self._max_sub_calls = max_sub_calls
        self._pool.shutdown(wait=False)
        self._pool = _pool(concurrency)

    def load(self, context: Any) -> bool:
        """Puts another context in the place of the present one; whether the variables are kept.

        They are lost where the process could not take it, and another one was started.

        Raises:
            ContextError: as for a new sandbox; the present context stays.
            SandboxError: the process cannot be started again.
        """
        context = checked(context)
        with self._one_at_a_time:
            self._check_open()
            assert self._session, "started in __init__"
            self._cancel = Cancel()  # that of an earlier run stays thrown
            with self._counting:
                self._at_work = True
            try:
                done = self._handed_over(context) if sys.platform != "win32" else {}
                if done.get("error"):
                    raise ContextError(f"Cannot use {named(context)}: {str(done['error'])[:500]}.")
                before, self._context = self._context, context
                if kept := "context" in done:
                    self.context = believable(done["context"])
                else:
                    self._session.close()
                    try:
                        self._start()
                    except BaseException:  # then the next cell starts it with the present one
                        self._context = before
                        raise
                return kept
            finally:
                self._rest()

    def stop(self, *, recover: bool = True) -> str:
        """Ends a cell that was left when a run was cancelled, so that further ones can run.

        recover: whether to; else a cell that does not stop soon is left to `close`.

        Returns what has become of the variables, where not all of them are kept.

        Raises:
            SandboxError: the process cannot be started again.
        """
        with self._one_at_a_time:
            if self._underway is None or self._closed:
                return ""
            assert self._session, "started in __init__"
            self._cancel = Cancel()
            clock, refuse = _Clock(0.0, lambda: 0.0), partial(self._hand_over, _cancelled)
            try:
                grace = self._stop_grace if recover else min(self._stop_grace, BRIEFLY)
                self._done |= self._serve(self._session, self._underway, clock, grace, refuse)
                self._tidy_up(self._session)
                said = ""
            except WorkerDied:
                said = self._recover("your latest cell") if recover else ""
            self._underway = None
            self._rest()
            return said

    def stopped(self, code: str) -> Execution:
        """What a cell had done that was left when the run was cancelled, and then ended by `stop`."""
        done = self._done | {"stopped": False, "error": "The cell was stopped."}
        return self._execution(done, code, 0.0)

    def variables(self) -> list[str]:
        """Names of the variables that cells have set."""
        told = self._order({"do": "variables"}, "").stdout.split("\n")
        return [name for name in told if name.isidentifier() and name != "context"]

    def related(self, question: str) -> Related:
        """What the context has of a question."""
        told = self._order({"do": "related", "text": question}, "").value
        try:  # the process has been the model's, and may say anything
            said = json.loads(told or "")
            named = {str(name): str(field) for name, field in said["named"].items()}
            return Related(str(said["lines"]), str(said["missing"]), str(said["unsaid"]), named)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return Related()

    def execute(self, code: str) -> Execution:
        """Runs one cell. Whatever the code does is in the Execution.

        Raises:
            Cancelled: the switch was thrown meanwhile.
            SandboxError: the process died and could not be started again, or the sandbox is closed.
        """
        self._cells += 1
        return self._order({"do": "execute", "name": f"<cell {self._cells}>", "code": code}, code)

    def resolve(self, final: Final) -> Execution:
        """Looks up the value that a FINAL(…) in a reply's text names.

        Its `final` is None where the REPL has no such value; for FINAL_VAR, its `error` then says so.
        """
        order = {"do": "resolve", "text": final.text, "variable": final.kind == "variable"}
        return self._order(order, f"FINAL({final.text})")

    def _start(self) -> None:
        try:
            self._session = self._new_session()
            self.context, self.report = self._session.load(
                self._context,
                output_limit=self._output_limit,
                memory=self._memory,
                without=self._without,
                policy=self.report.policy,
                cancel=self._cancel,
            )
            self._sound = self._shown(_Clock(limits.CHECK_TIMEOUT, lambda: 0.0)) if self._snapshots else ""
        except WorkerDied as error:
            raise SandboxError(
                f"The REPL process did not start: {str(error) or 'it ended at once.'}"
            ) from error
        except OSError as error:
            raise SandboxError(f"The REPL process did not start: {error}.") from error
        if self.report.policy == "strict" and self.report.open and not self._without:
            raise SandboxError(
                f'{self.report} With policy="best-effort" it runs all the same; do that only in a container '
                "or virtual machine that holds no secrets, or with data and a model that you trust."
            )

    def _new_session(self) -> Session:
        if self._kind == "inprocess":
            from rlm.sandbox.inprocess import Thread

            return Thread()
        if sys.platform == "win32":
            raise SandboxError(
                'The REPL\'s process does not run on Windows. Run under WSL, or take sandbox="inprocess": '
                "then the model's code runs in this process, with all your rights."
            )
        from rlm.sandbox.process import Process

        return Process()

    def _order(self, order: dict[str, Any], code: str) -> Execution:
        with self._one_at_a_time:
            return self._ordered(order, code)

    def _ordered(self, order: dict[str, Any], code: str) -> Execution:
        self._check_open()
        assert self._session, "started in __init__"
        with self._counting:
            self._at_work = True
        began = time.monotonic()
        self._hit = []
        self._done = {}
        try:
            clock = _Clock(self.cell_timeout, self._session.cpu_seconds)
            number = secrets.randbits(53)  # a thread that an earlier cell has left behind cannot guess it
            self._done = self._obeyed(order | {"id": number}, clock, self._stop_grace, self._call)
            self._tidy_up(self._session)
        except WorkerDied as death:
            if death.limit and death.limit not in self._hit:
                self._hit.append(death.limit)
            between_cells = order["do"] in ("variables", "related")
            how = str(death) or self._session.how_it_ended()
            said = f"{how} {self._recover('your latest cell' if between_cells else 'this cell')}"
            self.news += [said] * between_cells  # no cell's error would tell of it
            self._underway = None
            self._done["error"] = "\n".join(str(text) for text in (self._done.get("error"), said) if text)
        self._rest()
        return self._execution(self._done, code, time.monotonic() - began)

    def _rest(self) -> None:
        """Between orders nothing runs, but what reads the reply to a sub call of a thread."""
        with self._counting:
            self._at_work = False
            if not self._pending and self._session:
                self._session.freeze()

    def _tidy_up(self, session: Session) -> None:
        """After a cell: leaves a sound REPL."""
        if self._snapshots:
            session.settle()
            self._check()

    def _handed_over(self, context: Any) -> dict[str, Any]:
        """What the worker says to another context; nothing where it cannot take it."""
        assert self._session
        kind, file = as_file(context)
        number = secrets.randbits(53)
        clock = _Clock(limits.START_TIMEOUT, lambda: 0.0)
        with file:
            try:
                self._session.hand_over({"do": "load", "id": number, "kind": kind}, file.fileno())
                return self._serve(self._session, number, clock, 0.0, self._call)
            except WorkerDied:
                return {}
            except BaseException:  # Ctrl-C: nobody knows which context it has; the next cell starts it anew
                self._session.close()
                raise

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxError("The sandbox is closed.")

    def _obeyed(self, order: dict[str, Any], clock: _Clock, grace: float, call: _Call) -> dict[str, Any]:
        assert self._session
        self._underway = order["id"]
        self._session.order(order, snapshot=self._snapshots and order["do"] in ("execute", "resolve"))
        done = self._serve(self._session, order["id"], clock, grace, call)
        self._underway = None
        return done

    def _check(self) -> None:
        """Makes the worker show that cells still work; a thread that prints may spoil one attempt."""
        clock = _Clock(limits.CHECK_TIMEOUT, lambda: 0.0)
        try:
            if any(self._shown(clock) == self._sound for _ in range(3)):
                return
        except WorkerDied as death:
            raise WorkerDied(_BROKEN) from death
        raise WorkerDied(_BROKEN)

    def _shown(self, clock: _Clock) -> str:
        """What the worker makes of the check's cells, without the word that is another one each time."""
        word = secrets.token_hex(8)

        def echo(connection: Connection, _clock: _Clock, number: object, prompt: object) -> None:
            if prompt == word:
                reply = {"do": "reply", "id": number, "text": word}
                connection.send(reply, patience=limits.CHECK_TIMEOUT)
            else:  # of a thread that an earlier cell has left running
                self._call(connection, _Clock(0.0, lambda: 0.0), number, prompt)

        done = self._obeyed({"do": "check", "id": word}, clock, 0.0, echo)
        return json.dumps(done.get("shown")).replace(word, "")

    def _recover(self, latest: str) -> str:
        """Puts another process in the place of one that is broken, and says what that means.

        latest: the cell that has broken it, or after which it broke.
        """
        assert self._session
        self._check_open()
        if cells := self._session.roll_back():
            back = latest if cells == 1 else f"the last {cells} cells"
            return f"The session was rolled back to before {back}: older variables are kept."
        self._session.close()
        try:
            self._start()
        except ContextError as error:  # a file that is not there any more
            raise SandboxError(f"The REPL cannot be started again: {error}") from error
        if self._closed:  # meanwhile
            self._session.close()
        return "The session was restarted: `context` is there again, all your variables are lost."

    def _serve(
        self, session: Session, order: object, clock: _Clock, grace: float, call: _Call
    ) -> dict[str, Any]:
        """Answers the cell's sub calls until it is done, and stops it when its time is up."""
        stopping = False
        while True:
            self._cancel.check()
            left = clock.left()
            if left <= 0 and (stopping or not grace):
                text = f"TimeoutError: the cell ran for {clock.seconds:g} s, did not stop and was killed."
                raise WorkerDied(text, limit="time")
            if left <= 0:
                stopping = True
                clock.left(grace)
                session.interrupt()
            frame = session.connection.receive(min(TICK, max(left, 0.0)))
            if frame is None and not session.alive():  # a copy of the worker may hold its connection
                raise WorkerDied("The processes of the session were ended from outside.")
            if frame is None:
                continue
            if frame.get("do") == "done" and frame.get("id") == order:
                if frame.get("stopped") and not stopping:
                    raise WorkerDied(_BROKEN)
                return frame  # another one is forged, or is late because a forged one came before it
            if frame.get("do") == "call":
                clock.pause()
                session.settle()  # what else runs would not be charged while a sub call is under way
                clock.resume()
                call(session.connection, clock, frame.get("id"), frame.get("prompt"))

    def _call(self, connection: Connection, clock: _Clock, number: object, prompt: object) -> None:
        """Has a sub call answered, or refused if there were too many."""
        self._sub_calls_left -= 1
        query = self._query
        if self._sub_calls_left < 0:
            query = self._refuse
            if "sub_calls" not in self._hit:
                self._hit.append("sub_calls")
        self._hand_over(query, connection, clock, number, prompt)

    def _hand_over(
        self,
        query: Query,
        connection: Connection,
        clock: _Clock,
        number: object,
        prompt: object,
    ) -> None:
        """Puts a sub call with those that wait for their turn; announces it if it goes to the sub model."""
        if not isinstance(number, int) or not isinstance(prompt, str) or len(prompt) > limits.MAX_PROMPT:
            raise WorkerDied("The cell broke the session's connection.")
        if self._waits(len(prompt) + limits.CALL_SIZE) > limits.MAX_PENDING:
            raise WorkerDied("The cell asked the sub model for too much at once.", limit="sub_calls")
        clock.pause()
        if query is self._query:
            self.on_call(prompt)
        try:
            self._pool.submit(self._answer, query, connection, clock, number, prompt)
        except RuntimeError:
            self._check_open()  # closed by another thread
            raise

    def _refuse(self, _prompt: str) -> str:
        raise RLMError(self._told("sub_calls"))

    def _answer(self, query: Query, connection: Connection, clock: _Clock, number: int, prompt: str) -> None:
        reply: dict[str, Any] = {"do": "reply", "id": number}
        try:
            if connection.open:  # else its cell is gone, and nobody is to pay for the call
                answer = query(prompt)
                reply |= _told(answer) if isinstance(answer, Completion) else {"text": answer}
        except RLMError as error:
            reply["error"] = str(error)
        except BaseException as error:  # a user's client may raise anything; only the model can hear it here
            reply["error"] = f"{type(error).__name__}: {error}"
        finally:
            clock.resume()
            with suppress(WorkerDied):  # nobody waits for it any more
                connection.send(reply)
            self._waits(-len(prompt) - limits.CALL_SIZE)
            with self._counting:
                if not self._pending and not self._at_work and self._session:
                    self._session.freeze()

    def _waits(self, more: int) -> int:
        """Counts the characters of prompts that wait for the sub model or are with it."""
        with self._counting:
            self._pending += more
            return self._pending

    def _told(self, limit: str) -> str:
        number = {
            "time": self.cell_timeout,
            "memory": self._memory,
            "output": self._output_limit,
            "frame": limits.MAX_FRAME,
            "sub_calls": self._max_sub_calls,
            "threads": limits.THREADS,
        }[limit]
        return limits.told(limit, number)

    def _execution(self, done: dict[str, Any], code: str, seconds: float) -> Execution:
        """Takes from the worker's words only text, and an answer that is plain data."""

        def text(key: str) -> str | None:
            return str(done[key])[:most] if done.get(key) is not None else None

        most = self._output_limit + limits.GAP
        error, final = text("error"), done.get("final")
        if done.get("stopped"):
            self._hit.insert(0, "time")
            kept = "; variables set until then are kept" if error is None else ""
            stopped = f"TimeoutError: the cell was stopped after {self.cell_timeout:g} s{kept}"
            error = "\n".join(filter(None, (stopped, error)))
        claimed = done.get("limits")
        for limit in claimed if isinstance(claimed, list) else ():
            if limit in ("memory", "output", "threads") and limit not in self._hit:
                self._hit.append(limit)
        return Execution(
            code,
            stdout=text("stdout") or "",
            value=text("value"),
            error=error,
            final=_answer(str(final.get("text")), final.get("value")) if isinstance(final, dict) else None,
            seconds=seconds,
            limits=tuple(map(self._told, self._hit)),
            hint=text("hint") or "",
        )


def _pool(concurrency: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(concurrency, thread_name_prefix="rlm-sub")


def _answer(text: str, value: Any) -> Answer:
    """The answer with its value, or with its text where the value has more levels than tools can take."""
    level, depth = [value], 0
    while level and depth <= limits.DEPTH:
        level = [
            item
            for outer in level
            if isinstance(outer, (list, dict))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1
    return Answer(text, text if level else value)


def validate(kind: str, policy: str) -> None:
    """Raises ConfigurationError where there is no such kind of sandbox, or no such policy."""
    for name, given, known in (("sandbox", kind, KINDS), ("policy", policy, POLICIES)):
        if given not in known:
            raise ConfigurationError(f"{name} must be one of {', '.join(known)}, not {given!r}.")


_BROKEN = "The cell broke the session's own Python, for example by changing a standard module."
_INPROCESS = (
    'sandbox="inprocess": the model\'s code runs in this process, with all your rights. It can read your '
    "files and keys, and what it does not end itself may hang or end the program."
)


def _level_of_the_caller() -> int:
    """The `stacklevel` of the nearest caller that is no module of ours."""
    level, frame = 0, sys._getframe()
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == "rlm":
        level, frame = level + 1, frame.f_back
    return level


def _layers(policy: Policy, without: Collection[str]) -> frozenset[str]:
    if unknown := set(without) - set(limits.LAYERS):
        raise ConfigurationError(
            f"There is no layer {', '.join(unknown)}; there are {', '.join(limits.LAYERS)}."
        )
    return frozenset(limits.LAYERS) if policy == "off" else frozenset(without)


def _cancelled(_prompt: str) -> str:
    raise RLMError("cancelled")


class _Clock:
    """Counts a cell's own time. While a sub call is under way, that is the processor's time alone."""

    def __init__(self, seconds: float, cpu_seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self._cpu_seconds = cpu_seconds
        self._lock = threading.Lock()
        self._left = seconds
        self._since = time.monotonic()
        self._used = 0.0
        self._waiting = 0

    def left(self, more: float | None = None) -> float:
        """Seconds left; with `more`, begins anew with so many."""
        with self._lock:
            self._count()
            self._left = self._left if more is None else more
            return self._left

    def pause(self) -> None:
        with self._lock:
            self._count()
            self._waiting += 1
            self._used = self._cpu_seconds()

    def resume(self) -> None:
        with self._lock:
            self._count()
            self._waiting -= 1

    def _count(self) -> None:
        now, used = time.monotonic(), self._cpu_seconds() if self._waiting else 0.0
        self._left -= max(used - self._used, 0.0) if self._waiting else now - self._since
        self._since, self._used = now, used


def _told(reply: Completion) -> dict[str, Any]:
    """What a worker is told of a reply; a client of the user's own may have put anything into it."""
    likely = {str(token): float(chance) for token, chance in (reply.likely or {}).items()}
    return {"text": reply.text, "likely": {token: max(c, -100.0) for token, c in likely.items() if c <= 0}}
