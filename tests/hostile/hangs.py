# Cells that do not end, or want more than there is.

# %% loop | clock
while True:
    pass

# %% loop-that-eats-everything | snapshots
while True:
    try:
        while True:
            pass
    except BaseException:
        pass

# %% nested-finally | snapshots
def again():
    try:
        while True:
            pass
    finally:
        again()
again()

# %% generator-that-refuses-to-close | clock
def endless():
    while True:
        try:
            yield 1
        except BaseException:
            pass
for _ in endless():
    pass

# %% regular-expression | clock
import re
re.match(r"(a+)+$", "a" * 40 + "b")

# %% search-with-a-bad-pattern | clock
search(r"(x+x+)+y", "x" * 40)

# %% big-power | clock
9 ** 9 ** 9

# %% big-power-with-modulus | clock
pow(3, 2**200000 + 1, 2**200001 + 3)

# %% sum | snapshots
sum(range(10**12))

# %% endless-iterator-in-c | snapshots
import collections, itertools
collections.deque(itertools.repeat(1), maxlen=0)

# %% search-in-an-endless-range | clock
-1 in (x for x in iter(int, 1))

# %% sorted-with-a-slow-key | clock
sorted(range(10**6), key=lambda x: sum(range(1000)))

# %% digits-of-a-big-number | clock
import sys
sys.set_int_max_str_digits(0)
len(str(7 ** (2 * 10**6)))

# %% product | snapshots
import itertools
max(itertools.product(range(10), repeat=12))

# %% sleep | clock
import time
time.sleep(1000)

# %% deadlock-in-c | snapshots
mutex = ctypes.create_string_buffer(64)
libc.pthread_mutex_lock(mutex)
libc.pthread_mutex_lock(mutex)

# %% ignored-signal | snapshots
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    pass

# %% swallowed-signal | snapshots
import signal
signal.signal(signal.SIGINT, lambda *_: None)
while True:
    pass

# %% masked-signals | snapshots
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
while True:
    pass

# %% waiting-for-a-signal | clock
import signal
signal.pause()

# %% stopped | snapshots
import os, signal
os.kill(os.getpid(), signal.SIGSTOP)

# %% deadlock | clock
import threading
lock = threading.Lock()
lock.acquire()
lock.acquire()

# %% waiting-for-itself | clock
import queue
queue.Queue().get()

# %% import-lock-held | snapshots
import _imp, threading
_imp.acquire_lock()
while True:
    try:
        threading.Event().wait()
    except BaseException:
        pass

# %% thread-that-holds-the-interpreter | snapshots
import threading, time
threading.Thread(target=lambda: sum(range(10**12)), daemon=True).start()
while True:
    time.sleep(1)

# %% thread-in-c-that-never-yields | snapshots
import re, threading
threading.Thread(target=re.match, args=(r"(a+)+$", "a" * 50 + "b"), daemon=True).start()

# %% interpreter-lock-held | snapshots
mutex = ctypes.create_string_buffer(64)
ctypes.PyDLL(None).pthread_mutex_lock(mutex)
ctypes.PyDLL(None).pthread_mutex_lock(mutex)

# %% long-turns-for-threads | snapshots
import sys, threading
sys.setswitchinterval(10**6)
threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()

# %% recursion-that-catches | snapshots
def deeper():
    try:
        deeper()
    finally:
        deeper()
deeper()

# %% recursion-in-the-encoder | snapshots
import json, sys
sys.setrecursionlimit(10**9)
deep = []
for _ in range(2 * 10**5):
    deep = [deep]
json.dumps(deep)

# %% recursion-in-repr | clock
import sys
sys.setrecursionlimit(10**9)
deep = []
for _ in range(2 * 10**5):
    deep = [deep]
repr(deep)

# %% recursion-in-pickle | snapshots
import pickle, sys
sys.setrecursionlimit(10**9)
deep = []
for _ in range(2 * 10**5):
    deep = (deep,)
pickle.dumps(deep)

# %% recursion-in-the-parser | process
eval("(" * 10**5 + ")" * 10**5)

# %% input | process
input("your name? ")

# %% standard-input | process
import sys
sys.stdin.read()

# %% empty-pipe | clock
import os
os.read(os.pipe()[0], 1)

# %% poll-of-nothing | clock
import select
select.select([], [], [])

# %% asyncio-that-shields | snapshots
import asyncio
async def main():
    while True:
        try:
            await asyncio.sleep(1000)
        except BaseException:
            pass
while True:
    try:
        asyncio.run(main())
    except BaseException:
        pass

# %% collector-without-end | snapshots
import gc
gc.set_threshold(1)
gc.callbacks.append(lambda *_: sum(range(10**9)))
[[] for _ in range(10**4)]

# %% print-without-end | clock
while True:
    print("again and again")

# %% one-long-line | clock
while True:
    print("x" * 10**6, end="")

# %% endless-generator-as-the-value | snapshots
list(iter(int, 1))

# %% endless-repr | clock
class Endless:
    def __repr__(self):
        while True:
            pass
Endless()

# %% endless-text-of-an-error | clock
class Endless(Exception):
    def __str__(self):
        while True:
            pass
raise Endless

# %% endless-error-chain | clock
def chain():
    try:
        raise ValueError
    except ValueError:
        chain()
chain()

# %% endless-clean-up | snapshots
class Endless:
    def __del__(self):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
Endless()

# %% one-big-block | limits
import mmap
blocks = mmap.mmap(-1, 6 * 2**30)
escaped()

# %% many-blocks | limits
blocks = [bytes(2**26) for _ in range(40)]
escaped()

# %% block-of-malloc | limits
libc.malloc.restype = ctypes.c_void_p
escaped(bool(libc.malloc(ctypes.c_size_t(3 * 2**30))))

# %% memory-of-a-file | limits, seccomp
memory = os.memfd_create("x")
os.truncate(memory, 5 * 2**30)
escaped()

# %% text-times-a-number | limits
text = "x" * (1200 * 2**20)
escaped()

# %% decompression-bomb | limits
import zlib
bomb = zlib.compress(bytes(2**26))
data = [zlib.decompress(bomb, 15, 2**26) for _ in range(17)]
escaped()

# %% list-that-grows | limits
grown = [None]
while len(grown) < 130 * 2**20:
    grown *= 2
escaped()

# %% locked-memory | limits, seccomp
import mmap
block = mmap.mmap(-1, 2**26)
escaped(libc.mlock(ctypes.byref(ctypes.c_char.from_buffer(block)), 2**26) == 0)

# %% sub-calls-without-end | host | may use up sub calls
while True:
    try:
        llm_query("again" + context)
    except Exception:
        pass

# %% sub-calls-from-threads-without-end | host | may use up sub calls
import threading
def ask():
    while True:
        llm_query("again" + context)
for _ in range(4):
    threading.Thread(target=ask, daemon=True).start()

# %% traceback-later | snapshots
import faulthandler
faulthandler.dump_traceback_later(0.1, exit=True, file=open("/dev/null", "w"))
while True:
    pass

# %% alarm-that-kills-later | snapshots | may break one cell
import signal
signal.signal(signal.SIGALRM, signal.SIG_DFL)
signal.setitimer(signal.ITIMER_REAL, 0.005)
