"""This engine, over the same server as the others."""

from typing import Any

import rlm
from rlm.cloud_client import CloudClient


def answer(context: Any, question: str, *, base_url: str, model: str, max_iterations: int) -> str:
    client = CloudClient(model, base_url=base_url)
    return rlm.RLM(root_client=client, max_iterations=max_iterations).completion(question, context).answer
