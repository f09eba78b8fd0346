"""recursive-llm, which takes its context as a text."""

import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network

from rlm import RLM


def answer(context: Any, question: str, *, base_url: str, model: str, max_iterations: int) -> str:
    text = context if isinstance(context, str) else json.dumps(context)
    engine = RLM(f"openai/{model}", api_base=base_url, api_key="none", max_iterations=max_iterations)
    return engine.complete(question, text)
