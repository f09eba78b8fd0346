"""No engine: the whole context in one prompt."""

import json
from typing import Any

import openai


def answer(context: Any, question: str, *, base_url: str, model: str, max_iterations: int) -> str:
    text = context if isinstance(context, str) else json.dumps(context)
    client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0)
    reply = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": f"{text}\n\n{question}"}]
    )
    return reply.choices[0].message.content or ""
