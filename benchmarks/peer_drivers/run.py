"""Runs one driver in its engine's environment: a JSON job on stdin; {"answer", "seconds"} is the last line.

    python -I run.py DRIVER.py < job.json

A driver is a file with `answer(context, question, *, base_url, model, max_iterations) -> str`. Its imports
and the reading of the context are not timed: the seconds run from the engine's construction to its result.
Standard library only.
"""

import json
import runpy
import sys
import time


def main() -> None:
    job = json.load(sys.stdin)
    with open(job.pop("context_file"), encoding="utf-8") as file:
        context = json.load(file)
    answer = runpy.run_path(sys.argv[1])["answer"]
    began = time.perf_counter()
    text = answer(context, **job)
    seconds = time.perf_counter() - began
    print("\n" + json.dumps({"answer": str(text), "seconds": seconds}), flush=True)


if __name__ == "__main__":  # an engine's worker process may import this module again
    main()
