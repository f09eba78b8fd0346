"""dspy.RLM with its LocalInterpreter, without its cache."""

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network

import dspy
from dspy.primitives.local_interpreter import LocalInterpreter


def answer(context: Any, question: str, *, base_url: str, model: str, max_iterations: int) -> str:
    dspy.configure(lm=dspy.LM(f"openai/{model}", api_base=base_url, api_key="none", cache=False))
    signature = f"context: {type(context).__name__}, question -> answer"
    engine = dspy.RLM(signature, max_iters=max_iterations, interpreter_factory=LocalInterpreter)
    return engine(context=context, question=question).answer
