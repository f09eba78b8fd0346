"""A batch of sub calls against a server of limited speed, and how often a run makes it load its model.

    python benchmarks/batch.py

The server is the stand-in for Ollama of the tests: it takes 200 ms for a reply and serves 8 at once, so that
64 sub prompts take 1.6 s at best; it loads the model anew at a request with other settings. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import threading
from pathlib import Path
from typing import Any

from rlm import RLM, __version__

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from servers import FakeOllama, Reply

PROMPTS, AT_ONCE, SECONDS = 64, 8, 0.2
IDEAL = PROMPTS / AT_ONCE * SECONDS
LIMIT = 1.15
# times the ideal
TURNS, CALLS, LOADS = 5, 20, 1
ROUNDS = 5


def batch(count: int) -> str:
    return f"```repl\nreplies = llm_query_batched([f'TURN, {{n}} ' + context for n in range({count})])\n```"


def scripted(turns: int, code: str) -> Any:
    """The model's side: so many cells, then an answer; sub calls are answered by the server itself."""

    def reply(body: dict[str, Any]) -> Reply:
        roles = [message["role"] for message in body["messages"]]
        if roles[0] != "system":
            return Reply("yes")
        given.append(roles.count("assistant"))
        turn = given[-1] - given[0]  # there are turns to go by before the first one
        return Reply(code.replace("TURN", str(turn)) if turn < turns else "FINAL(len(replies))")

    given: list[int] = []
    return reply


def seconds_of_a_batch() -> float:
    with FakeOllama() as server:
        server.script = scripted(1, batch(PROMPTS))
        server.slots, server.reply_seconds = threading.Semaphore(AT_ONCE), SECONDS
        result = RLM("tiny", host=server.url).completion("?", "data")
        assert result.answer == str(PROMPTS), result
        return result.trajectory[0].executions[0].seconds


def loads_of_a_run() -> int:
    with FakeOllama() as server:
        server.script = scripted(TURNS, batch(CALLS // TURNS))
        result = RLM("tiny", host=server.url).completion("?", "data")
        assert sum(len(e.sub_calls) for turn in result.trajectory for e in turn.executions) == CALLS
        return len(server.loads)


def main() -> int:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    times = [seconds_of_a_batch() for _ in range(ROUNDS)]
    median, loads = statistics.median(times), loads_of_a_run()
    print(f"rlm {__version__}, Python {platform.python_version()}, {platform.machine()}")
    ratio = f"{median:.2f} s, {median / IDEAL:.2f} x the ideal {IDEAL:.1f} s (limit {LIMIT})"
    print(f"{PROMPTS} sub prompts in one batch: {ratio}; the slowest of {ROUNDS} {max(times):.2f} s")
    print(f"{TURNS} turns with {CALLS} sub calls: {loads} load of the model (limit {LOADS})")
    print(json.dumps({"batch": median, "ideal": IDEAL, "ratio": median / IDEAL, "loads": loads}))
    return int(median > LIMIT * IDEAL or loads > LOADS)


if __name__ == "__main__":
    sys.exit(main())
