#!/usr/bin/env python3
"""A number hidden in 10,000 random lines, and a model that finds it through the RLM loop."""

import sys

from rlm.cli.demo import main

MODEL = "qwen3:0.6b"  # or "llama3.1:8b", "groq:openai/gpt-oss-20b", "local:qwen2.5-coder-0.5b", …

if __name__ == "__main__":
    sys.exit(main(model=MODEL))
