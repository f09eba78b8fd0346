"""The limits of a REPL, its layers of confinement, and the line that tells of a limit that was hit."""

from __future__ import annotations

import sys

LAYERS = (
    ("limits", "capabilities", "landlock", "seccomp", "supervisor")
    if sys.platform == "linux"
    else ("limits", "seatbelt")
)
# what each one stops stands in child/confine.py
CELL_TIMEOUT = 60.0
# seconds of a cell's own work; waiting for models is not counted
STOP_GRACE = 2.0
# seconds between asking a cell to stop and killing its process
START_TIMEOUT = 30.0
# seconds for the process to start, on top of the hand-over of the context
CHECK_TIMEOUT = 2.0
# seconds for the process to show, after a cell, that it still works
SEND_TIMEOUT = 10
# seconds that a process may leave what it is sent unread
STANDSTILL = 1.0
# seconds for a process to stop
ADOPTION = 5.0
# seconds for a snapshot to take the place of a process that was ended
MISSED = 3
# snapshots that may fail before no more are tried: a cell may have taken the fork for itself
MEMORY = 4 * 2**30
# bytes of address space that the REPL may use beyond the context
LEAST_MEMORY = 64 * 2**20
# what Python itself needs to go on
OUTPUT = 100_000
# characters of a cell's output that are kept, head and tail
GAP = 200
# more characters that a text cut in public may have: it says how much is left out
SUB_CALLS = 10_000
# sub calls of one session
THREADS = 64
# at once
DESCRIPTORS = 256
# open at once
SUPERVISOR = 1000
# the descriptor on which a worker sends its listener: beyond what a cell can have, so that none sends another

MAX_FRAME = 32 * 2**20
# bytes of one frame
MAX_ITEMS = 4_000_000
# commas, brackets and braces of one frame: small JSON can become large objects
DEPTH = 100
# levels of lists and dicts in an answer's value
MAX_PENDING = 256 * 2**20
# characters of prompts that wait for the sub model
CALL_SIZE = 2_000
# characters that a waiting call counts for beside its prompt
MAX_PROMPT = 4 * 2**20
# characters of one sub prompt; JSON may take six bytes for each
MAX_ANSWER = 4 * 2**20
# characters of a final answer


def told(limit: str, number: float) -> str:
    """One line about a limit that a cell has hit; the parameter of RLM that raises it, where there is one."""
    return {
        "time": f"limit reached: the cell ran for {number:g} s (cell_timeout)",
        "memory": f"limit reached: the REPL may use {number / 2**20:,.0f} MiB beyond its context (memory)",
        "output": f"limit reached: of a cell's output {number:,} characters are kept",
        "frame": f"limit reached: a message of the REPL may have {number:,} bytes",
        "sub_calls": f"limit reached: a run may make {number:,} sub calls (max_sub_calls)",
        "threads": f"limit reached: the REPL may run {number:,} threads at once",
    }[limit]
