"""rlms, of the paper's authors, with its own default REPL."""

from typing import Any

from rlm import RLM


def answer(context: Any, question: str, *, base_url: str, model: str, max_iterations: int) -> str:
    engine = RLM(
        backend="openai",
        backend_kwargs={"model_name": model, "base_url": base_url, "api_key": "none"},
        max_iterations=max_iterations,
    )
    return engine.completion(context, root_prompt=question).response
