"""A process of the same user for hostile cells to attack. It says which signals it receives, one a line.

    python victim.py FILE  (with SECRET in its environment; ends when its standard input does)

Its first line is the address of the secret in its memory and the descriptor of the open FILE.
"""

import ctypes
import os
import signal
import sys

if __name__ == "__main__":
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, lambda number, _frame: os.write(1, b"%d\n" % number))
    secret = ctypes.create_string_buffer(os.environb[b"SECRET"])
    descriptor = os.open(sys.argv[1], os.O_RDONLY)
    ctypes.CDLL(None).prctl(
        0x59616D61, ctypes.c_long(-1), 0, 0, 0
    )  # PR_SET_PTRACER: where Yama guards, anybody
    os.write(1, b"%d %d\n" % (ctypes.addressof(secret), descriptor))
    while os.read(0, 1):
        pass
