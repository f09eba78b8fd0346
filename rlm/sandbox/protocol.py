"""What the processes say to each other: the host, the launcher and the workers. No behaviour.

Host and worker exchange frames: HEADER (length, big-endian), then that many bytes of JSON (ASCII).
    host → worker   {"do": "start", "context": …, …}, see `child.server`; then, where the context is "text" or
                    "marshal", its bytes in frames of their own up to an empty one, or bare if size is given
                    {"do": "execute", "id": n, "name": "<cell 1>", "code": …}
                    {"do": "resolve", "id": n, "text": …, "variable": bool}
                    {"do": "check", "id": "a word"}
                    {"do": "variables", "id": n}, answered in "stdout": their names, one a line
                    {"do": "related", "id": n, "text": …}, answered in "value": the fields of types.Related
                    {"do": "load", "id": n, "kind": "text" | "marshal"}, with another context as an open file
                    {"do": "reply", "id": n, "text": …, "likely": {token: …} | "error": …}
    worker → host   {"do": "ready", "context": {…}, "missing": {…}, "held": {…}}
                    {"do": "refused", "error": …}
                    {"do": "call", "id": n, "prompt": …}
                    {"do": "done", "id": n, "stdout": …, "value": …, "error": …, "stopped": bool,
                     "limits": […], "final": {"text": …, "value": …}, "hint": …}; what is not there
                     is None
                    {"do": "done", "id": "a word", "shown": […]}, to a check: what each of its cells did
                    {"do": "done", "id": n, "context": {…} | "error": …}, to a load; neither: no room
                    {"do": "resumed"}, from a snapshot that has taken over
A descriptor may come with any other order: then the worker first leaves a snapshot behind, which sends a
byte there, so that the kernel tells the host its process id, and waits for a byte.

The host sends the launcher requests of 9 bytes: what to do, the session, an argument. A session is the
process id of its first worker.
"""

from __future__ import annotations

import struct
from enum import IntEnum

HEADER = struct.Struct(">I")
REQUEST = struct.Struct(">BIi")
ANSWER = struct.Struct(">i")
RUNNING, GONE = 1000, 1001
# answers to STATUS beside those of `subprocess.Popen.returncode`


class Do(IntEnum):
    """What the host may ask the launcher for."""

    SPAWN = 1
    # a worker, whose end of its connection comes as a descriptor; answered by the session, or -1
    ALLOW = 2
    # one fork of the session's worker, for its snapshot
    SIGNAL = 3
    # to the worker: the argument
    KEEP = 4
    # stops the process in the argument, a snapshot, until it is adopted; kills all others but the worker
    ADOPT = 5
    # the process in the argument, a snapshot, is the worker now; kills all others; answered by 0, or GONE
    STATUS = 6
    # of the worker; answered by how it ended, or RUNNING, or GONE
    CLOSE = 7
    # kills all of the session
