"""minrlm with its default engine, which takes its context as a text."""

import json
from typing import Any

from minrlm import RLM

NO_LIMIT = 10**6
# seconds; the benchmark's own limit ends a run, as it does for the others


def answer(context: Any, question: str, *, base_url: str, model: str, max_iterations: int) -> str:
    text = context if isinstance(context, str) else json.dumps(context)
    engine = RLM(
        model,
        base_url=base_url,
        api_key="none",
        max_iterations=max_iterations,
        max_time_seconds=NO_LIMIT,
    )
    return engine.completion(question, text).response
