# Cells that end the process, or what it needs to go on.

# %% sys-exit | process
import sys
sys.exit(3)

# %% _exit | snapshots
os._exit(7)

# %% exit-of-libc | snapshots
libc.exit(0)

# %% exit-in-a-thread | snapshots
import threading
thread = threading.Thread(target=os._exit, args=(3,))
thread.start()
thread.join()

# %% exit-after-the-cell | snapshots | may break one cell
import threading
threading.Timer(0.002, os._exit, (3,)).start()

# %% exit-of-one-thread | snapshots
raw(60 if target["machine"] == "x86_64" else 93, 0)

# %% abort | snapshots
os.abort()

# %% fatal-error-of-the-interpreter | snapshots
ctypes.pythonapi.Py_FatalError(b"enough")

# %% finalized-interpreter | snapshots
ctypes.pythonapi.Py_Finalize()

# %% segmentation-fault | snapshots
ctypes.string_at(0)

# %% bus-error | snapshots
import mmap
memory = os.memfd_create("x")
os.truncate(memory, 4096)
block = mmap.mmap(memory, 4096)
os.truncate(memory, 0)
block[0]

# %% illegal-instruction | snapshots
import mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\x0f\x0b" if target["machine"] == "x86_64" else bytes(4))
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()

# %% division-by-a-signal | snapshots
import signal
signal.raise_signal(signal.SIGFPE)

# %% stack-overflow | snapshots
import sys
sys.setrecursionlimit(10**9)
def deeper():
    return [*map(lambda _: deeper(), [1])]
deeper()

# %% broken-bytecode | snapshots
def f():
    pass
f.__code__ = f.__code__.replace(co_code=b"\x64\xff" * 8, co_stacksize=0)
f()

# %% freed-twice | snapshots
libc.malloc.restype = ctypes.c_void_p
block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(64)))
libc.free(block)
libc.free(block)

# %% damaged-heap | snapshots
ctypes.memset(id(object()) - 2**16, 0x41, 2**17)

# %% none-freed | snapshots
ctypes.c_long.from_address(id(None)).value = 1
[None for _ in range(100)]
del _

# %% all-memory-unmapped | snapshots
libc.munmap(ctypes.c_void_p(id(object) & ~0xFFF), ctypes.c_size_t(2**24))

# %% code-made-unreadable | snapshots
address = ctypes.cast(ctypes.pythonapi.Py_GetVersion, ctypes.c_void_p).value
libc.mprotect(ctypes.c_void_p(address & ~0xFFF), ctypes.c_size_t(2**20), 0)

# %% closed-descriptors | snapshots
os.closerange(0, 100)

# %% closed-descriptors-by-range | snapshots
raw(436, 3, 2**31 - 1, 0)

# %% closed-sockets | snapshots
for fd in channels():
    os.close(fd)

# %% other-files-over-the-sockets | snapshots
for fd in channels():
    os.dup2(os.pipe()[0], fd)

# %% devices-over-the-sockets | snapshots
null = os.memfd_create("x")
for fd in channels():
    os.dup2(null, fd)

# %% closed-standard-streams | process
import sys
sys.stdout.close()
sys.stdin and sys.stdin.close()
os.closerange(0, 3)

# %% killed | snapshots
os.kill(os.getpid(), 9)

# %% terminated-in-a-thread | snapshots
import signal, threading
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

# %% signal-without-a-name | snapshots
os.kill(os.getpid(), 40)

# %% broken-pipe-signal | snapshots
import signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
end, start = os.pipe()
os.close(end)
os.write(start, b"x")

# %% alarm | snapshots
import signal
signal.alarm(1)
signal.setitimer(signal.ITIMER_REAL, 0.01)
while True:
    pass

# %% interrupts-without-end | check, snapshots | may break one cell
import _thread, threading
def interrupt():
    while True:
        _thread.interrupt_main()
threading.Thread(target=interrupt, daemon=True).start()

# %% raised-in-the-main-thread | check, snapshots | may break one cell
import threading, time
def throw():
    for _ in range(30):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.main_thread().ident), ctypes.py_object(SystemExit))
        time.sleep(0.001)
threading.Thread(target=throw).start()

# %% raised-system-exit | process
raise SystemExit(0)

# %% system-exit-with-an-evil-code | process
class Code:
    def __str__(self):
        os._exit(3)
raise SystemExit(Code())

# %% keyboard-interrupt | process
raise KeyboardInterrupt

# %% generator-exit | process
raise GeneratorExit

# %% own-base-exception | process
class Over(BaseException):
    pass
raise Over("over")

# %% exception-group | process
raise BaseExceptionGroup("many", [SystemExit(1), KeyboardInterrupt(), ValueError()])

# %% error-whose-text-ends-the-process | snapshots
class Evil(Exception):
    def __str__(self):
        os._exit(3)
raise Evil

# %% error-whose-type-has-no-name | snapshots
class Meta(type):
    __name__ = property(lambda self: 1 / 0)
    __module__ = property(lambda self: 1 / 0)
raise Meta("Evil", (Exception,), {})()

# %% error-with-a-false-traceback | snapshots
class Evil(Exception):
    __traceback__ = property(lambda self: 1 / 0)
    __cause__ = __context__ = property(lambda self: self)
    __notes__ = property(lambda self: 1 / 0)
raise Evil

# %% syntax-error-of-other-types | process
raise SyntaxError("evil", (5, "no line", b"", [], None, object()))

# %% at-exit | process
import atexit
atexit.register(lambda: [None for _ in iter(int, 1)])
raise SystemExit

# %% names-deleted | check, snapshots | may lose variables
globals().clear()

# %% names-of-the-worker-deleted | check, snapshots
import sys
sys._getframe(1).f_globals.clear()
