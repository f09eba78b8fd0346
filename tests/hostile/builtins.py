# What Python itself is made of, replaced.

# %% builtins-that-exit | check, snapshots
import builtins
for name in ("print", "open", "len", "str", "isinstance", "dict", "repr", "list", "type"):
    setattr(builtins, name, lambda *_, **__: os._exit(3))

# %% builtins-that-raise | check, snapshots
import builtins
def fail(*_, **__):
    raise SystemExit
for name in ("exec", "compile", "eval", "__import__", "__build_class__", "isinstance", "len"):
    setattr(builtins, name, fail)

# %% builtins-that-lie | check, snapshots
import builtins
builtins.isinstance = lambda *_: True
builtins.len = lambda _: 0
builtins.str = builtins.repr = lambda *_: "lie"

# %% print-replaced | check, snapshots
import builtins
builtins.print = lambda *_, **__: None

# %% print-deleted | check, snapshots
import builtins
del builtins.print

# %% all-builtins-deleted | check, snapshots
import builtins
vars(builtins).clear()

# %% builtins-of-the-namespace | check, snapshots
__builtins__ = {"print": None}

# %% errors-replaced | check, snapshots
import builtins
builtins.BaseException = builtins.Exception = builtins.SystemExit = builtins.KeyboardInterrupt = ValueError
raise LookupError("not caught any more")

# %% build-of-classes | check, snapshots
import builtins
builtins.__build_class__ = builtins.super = builtins.property = None

# %% import-replaced | check, snapshots
import builtins
builtins.__import__ = lambda *_, **__: 1 / 0

# %% encoder-replaced | check, snapshots
import json
json.dumps = lambda *_, **__: '"evil"'

# %% decoder-replaced | check, snapshots
import json
json.loads = lambda *_, **__: {"do": "execute", "id": 1, "name": "x", "code": "1"}

# %% encoder-of-json-replaced | check, snapshots
import json
json._default_encoder = json._default_decoder = None
json.encoder.c_make_encoder = json.JSONEncoder.encode = lambda *_: "]"

# %% parser-replaced | check, snapshots
import ast
ast.parse = ast.walk = lambda *_, **__: []

# %% nodes-replaced | check, snapshots
import ast
ast.Expr = ast.Name = ast.Call = int
ast.Expression = None

# %% traceback-replaced | check, snapshots
import traceback
traceback.extract_tb = traceback.format_exception_only = lambda *_: os._exit(3)
1 / 0

# %% lines-replaced | check, snapshots
import linecache
linecache.cache = None
linecache.getline = linecache.checkcache = linecache.updatecache = None
1 / 0

# %% regular-expressions-replaced | check, snapshots
import re
re.compile = re.findall = re.sub = None
re._cache = None

# %% iterators-replaced | check, snapshots
import itertools
itertools.count = itertools.islice = None

# %% output-methods | check, snapshots
import sys
type(sys.stdout).write = type(sys.stdout).take = lambda *_: 1 / 0

# %% output-attributes | check, snapshots
import sys
sys.stdout.limit, sys.stdout.head, sys.stdout.tail, sys.stdout.dropped = None, 5, b"", "x"

# %% output-limit | check, snapshots
import sys
sys.stdout.limit = 10**12
print("x" * 10**8)

# %% output-closed | process
import sys
sys.stdout.close()

# %% modules-emptied-inside | check, snapshots
import json, sys
for name in ("json", "ast", "traceback", "linecache", "threading"):
    vars(sys.modules[name]).clear()

# %% path-emptied | check, snapshots
import sys
sys.path.clear()
sys.path = None

# %% finders | check, snapshots
import sys
class Finder:
    def find_spec(self, *_):
        os._exit(3)
sys.meta_path[:] = [Finder()]
sys.path_hooks.clear()

# %% profiler | check, snapshots
import sys
sys.setprofile(lambda *_: os._exit(3))

# %% tracer | process
import sys
def trace(*_):
    raise SystemExit
sys.settrace(trace)

# %% tracer-in-the-caller | process
import sys
def trace(*_):
    raise SystemExit
frame = sys._getframe()
while frame := frame.f_back:
    frame.f_trace = trace
sys.settrace(lambda *_: trace)

# %% audit-hook | check, snapshots
import sys
def hook(event, _):
    if event in ("compile", "exec"):
        os._exit(3)
sys.addaudithook(hook)

# %% audit-hook-that-raises | check, snapshots
import sys
def hook(event, _):
    raise SystemExit
sys.addaudithook(hook)

# %% collector-callbacks | check, snapshots
import gc
gc.callbacks.append(lambda *_: os._exit(3))
gc.set_threshold(1)

# %% packing-replaced | check, snapshots | failed once
import struct, sys
struct.Struct = struct.pack = struct.unpack = None
names = sys._getframe(1).f_globals
names["HEADER"] = None

# %% socket-class | check, snapshots
import socket
socket.socket.sendall = socket.socket.recv_into = lambda *_: os._exit(3)

# %% socket-class-that-lies | check, snapshots
import socket
socket.socket.sendall = lambda self, data: None

# %% locks-replaced | check, snapshots | failed once
import threading
threading.Lock = threading.Condition = threading.current_thread = threading.main_thread = None

# %% condition-broken | check, snapshots
import threading
threading.Condition.__enter__ = threading.Condition.wait = threading.Condition.notify_all = lambda *_: 1 / 0

# %% functions-of-os | check, snapshots
import posix
for name in ("_exit", "read", "write", "fork", "waitpid", "getpid", "kill", "close", "pipe", "stat", "listdir"):
    setattr(os, name, None)
    setattr(posix, name, None)

# %% signal-functions | check, snapshots
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal = signal.getsignal = signal.pthread_sigmask = signal.set_wakeup_fd = None

# %% handlers-of-every-signal | check, snapshots | failed once
import signal
for number in signal.valid_signals() - {9, 19}:
    signal.signal(number, lambda *_: os._exit(3))

# %% wake-up-descriptor | check, snapshots
import signal
for fd in channels():
    os.set_blocking(fd, False)
    signal.set_wakeup_fd(fd)

# %% recursion-limit-smallest | check, snapshots
import sys
for limit in range(1, 100):
    try:
        sys.setrecursionlimit(limit)
        break
    except RecursionError:
        pass

# %% given-names-deleted | check, snapshots
del llm_query, llm_query_batched, search, FINAL, FINAL_VAR, answer

# %% given-names-overwritten | check, snapshots
llm_query = llm_query_batched = search = FINAL = FINAL_VAR = answer = None

# %% context-deleted | check, snapshots
del context

# %% final-in-the-repl | process
repl = llm_query.__self__
repl.final = 5
repl.running = repl.asking = True

# %% names-of-the-repl | check, snapshots
llm_query.__self__.names = {}

# %% execute-patched | check, snapshots
type(llm_query.__self__).execute = lambda *_: {"stdout": "forged", "value": "forged", "final": {"text": "x"}}

# %% globals-of-the-worker | check, snapshots
for name in ("show", "clip", "_explain", "_answer", "Finished", "CellStopped"):
    llm_query.__func__.__globals__[name] = None

# %% globals-found-by-frames | check, snapshots
import sys
frame = sys._getframe()
while frame := frame.f_back:
    frame.f_globals.update(json=None, os=None, sys=None, ast=None)

# %% defaults-of-functions | check, snapshots
import gc, types
for thing in gc.get_objects():
    if type(thing) is types.FunctionType and thing.__kwdefaults__:
        thing.__kwdefaults__ = dict.fromkeys(thing.__kwdefaults__, 5)

# %% small-number-changed | check, snapshots
ctypes.c_int.from_address(id(42) + 24).value = 43

# %% type-of-a-singleton | check, snapshots
ctypes.c_void_p.from_address(id(Ellipsis) + 8).value = id(int)
ctypes.c_void_p.from_address(id(None) + 8).value = id(str)

# %% slots-of-a-type | snapshots
for offset in range(48, 200, 8):
    ctypes.c_void_p.from_address(id(str) + offset).value = 0

# %% frozen-types-opened | check, snapshots
import gc
gc.get_referents(str.__dict__)[0].update(join=None, encode=None, splitlines=None, format=None)
ctypes.pythonapi.PyType_Modified(ctypes.py_object(str))

# %% dict-methods-replaced | check, snapshots
import gc
gc.get_referents(dict.__dict__)[0].update(get=None, items=None, update=None, pop=None)
ctypes.pythonapi.PyType_Modified(ctypes.py_object(dict))

# %% pending-calls | check, snapshots
call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: os._exit(3))
ctypes.pythonapi.Py_AddPendingCall(call, 0)
