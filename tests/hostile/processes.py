# Nothing is started, and no other process is touched.

# %% system | seccomp
os.system(f"echo hello > {target['folder']}/new.txt")

# %% subprocess | seccomp
import subprocess
print(subprocess.run(["/bin/cat", target["secret_file"]], capture_output=True).stdout)

# %% popen | seccomp
print(os.popen(f"cat {target['secret_file']}").read())

# %% exec | seccomp
os.execv("/bin/sh", ["sh", "-c", f"echo hello > {target['folder']}/new.txt"])

# %% exec-of-python | seccomp
import sys
os.execv(sys.executable, [sys.executable, "-S", "-c", f"open({target['file']!r}, 'w')"])

# %% exec-by-the-loader | seccomp
import glob
loader = [*glob.glob("/lib64/ld-linux-*"), *glob.glob("/lib/ld-linux-*"), "/lib64/ld-linux-x86-64.so.2"][0]
os.execv(loader, [loader, "/bin/sh", "-c", f"echo hello > {target['folder']}/new.txt"])

# %% exec-of-nothing | seccomp
probe("execve", 0, 0, 0)

# %% execveat-of-nothing | seccomp
probe("execveat", -1, b"", 0, 0, 0x1000)

# %% exec-of-memory | seccomp
memory = os.memfd_create("x", 0)
os.write(memory, f"#!/bin/sh\necho hello > {target['folder']}/new.txt\n".encode())
os.execve(memory, ["x"], {})

# %% fork | seccomp
forked(os.fork())

# %% double-fork | seccomp
if (pid := os.fork()) == 0:
    if os.fork() == 0:
        import time
        os.setsid()
        time.sleep(1)
    os._exit(0)
forked(pid)

# %% child-that-stays | seccomp
import time
if os.fork() == 0:
    os.setsid()
    time.sleep(5)
    os._exit(0)
escaped()

# %% fork-in-a-thread | seccomp
import threading
thread = threading.Thread(target=lambda: forked(os.fork()))
thread.start()
thread.join()

# %% fork-of-libc | seccomp
forked(libc.fork())

# %% fork-by-number | seccomp
forked(raw(57) if target["machine"] == "x86_64" else syscall("clone", 17, 0, 0, 0, 0))

# %% clone | seccomp
forked(syscall("clone", 17, 0, 0, 0, 0))

# %% clone-with-the-parent-of-mine | seccomp
if syscall("clone", 0x8000 | 17, 0, 0, 0, 0) == 0:
    os._exit(0)
escaped()

# %% clone-without-a-signal | seccomp
if (pid := syscall("clone", 0, 0, 0, 0, 0)) == 0:
    os._exit(0)
escaped()

# %% clone3 | seccomp
arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)
forked(syscall("clone3", arguments, 88))

# %% clone-into-namespaces | seccomp | needs root
forked(syscall("clone", 0x10000000 | 17, 0, 0, 0, 0))

# %% clone-of-nonsense | seccomp
probe("clone", 0x00010000 | 17, 0, 0, 0, 0)

# %% posix_spawn | seccomp
pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"echo hello > {target['folder']}/new.txt"], {})
os.waitpid(pid, 0)

# %% multiprocessing | seccomp
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=os.getpid)
process.start()
process.join()
escaped()

# %% process-pool | seccomp
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
    escaped(pool.submit(os.getpid).result() > 0)

# %% terminal-fork | seccomp
import pty
pid, terminal = pty.fork()
forked(pid)

# %% fork-bomb | seccomp
import time
for _ in range(20):
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
escaped()

# %% many-threads | supervisor
import threading
event = threading.Event()
threading.stack_size(2**16)
for _ in range(200):
    threading.Thread(target=event.wait, daemon=True).start()
event.set()
escaped()

# %% many-threads-by-start_new_thread | supervisor
import _thread, time
_thread.stack_size(2**16)
for _ in range(200):
    _thread.start_new_thread(time.sleep, (0.3,))
escaped()

# %% kill-the-victim | seccomp
os.kill(target["victim"], 10)

# %% kill-the-host | seccomp
os.kill(target["host"], 10)

# %% ask-for-the-host | seccomp
os.kill(target["host"], 0)
escaped()

# %% kill-the-parent | seccomp
os.kill(os.getppid(), 23)
escaped()

# %% kill-everybody | seccomp
os.kill(-1, 23)

# %% kill-the-group | seccomp
os.killpg(0, 23)
escaped()

# %% tkill | seccomp
syscall("tkill", target["victim"], 12)

# %% tgkill | seccomp
syscall("tgkill", target["victim"], target["victim"], 12)

# %% rt_sigqueueinfo | seccomp
information = (ctypes.c_int * 32)(10, 0, -1)
syscall("rt_sigqueueinfo", target["victim"], 10, information)

# %% rt_tgsigqueueinfo | seccomp
information = (ctypes.c_int * 32)(10, 0, -1)
syscall("rt_tgsigqueueinfo", target["victim"], target["victim"], 10, information)

# %% sigqueue-of-libc | seccomp
libc.sigqueue(target["victim"], 10, ctypes.c_void_p(0))

# %% pidfd_send_signal | seccomp
import signal
signal.pidfd_send_signal(os.pidfd_open(target["victim"]), 10)

# %% pidfd_open | seccomp
escaped(os.pidfd_open(target["host"]) > 0)

# %% signal-by-a-pipe | seccomp
import fcntl
end, start = os.pipe()
fcntl.fcntl(end, fcntl.F_SETOWN, target["victim"])
fcntl.fcntl(end, fcntl.F_SETSIG, 10)
fcntl.fcntl(end, fcntl.F_SETFL, os.O_ASYNC)
os.write(start, b"x")

# %% signal-by-a-socket-and-ioctl | seccomp
import fcntl, socket
end, start = socket.socketpair()
fcntl.ioctl(end, 0x8901, target["victim"].to_bytes(4, "little"))
fcntl.ioctl(end, 0x5452, (1).to_bytes(4, "little"))
start.send(b"x")

# %% signal-by-a-pipe-to-a-thread | seccomp
import fcntl
end, start = os.pipe()
fcntl.fcntl(end, 15, (2).to_bytes(4, "little") + target["victim"].to_bytes(4, "little"))
fcntl.fcntl(end, 15, (1).to_bytes(4, "little") + target["host"].to_bytes(4, "little"))
fcntl.fcntl(end, fcntl.F_SETFL, os.O_ASYNC)
os.write(start, b"x")

# %% signal-by-a-timer | seccomp
event = (ctypes.c_int * 16)(0, 0, 10, 4, target["victim"])
probe("timer_create", 1, event, ctypes.byref(ctypes.c_int()))

# %% nice-of-the-victim | seccomp
os.setpriority(os.PRIO_PROCESS, target["victim"], os.getpriority(os.PRIO_PROCESS, 0) + 1)

# %% affinity-of-the-victim | seccomp
os.sched_setaffinity(target["victim"], {min(os.sched_getaffinity(target["victim"]))})

# %% scheduler-of-the-victim | seccomp
os.sched_setscheduler(target["victim"], os.SCHED_BATCH, os.sched_param(0))

# %% attributes-of-the-victim | seccomp
probe("sched_setattr", target["victim"], 0, 0)

# %% real-time | seccomp, capabilities | needs root
os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
escaped()

# %% nicer-to-myself | seccomp, capabilities | needs root
os.nice(-5)
escaped()

# %% disk-priority-of-the-victim | seccomp
escaped(syscall("ioprio_set", 1, target["victim"], 2 << 13 | 7) == 0)

# %% limits-of-the-victim | seccomp
import resource
resource.prlimit(target["victim"], resource.RLIMIT_NOFILE, (100, 200))

# %% limits-of-the-host-read | seccomp
import resource
escaped(bool(resource.prlimit(target["host"], resource.RLIMIT_NOFILE)))

# %% own-limit-raised | limits
import resource
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
escaped()

# %% memory-of-the-victim-written | seccomp
buffer = ctypes.create_string_buffer(b"h")
mine, theirs = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 1), (ctypes.c_uint64 * 2)(target["victim_address"], 1)
escaped(syscall("process_vm_writev", target["victim"], mine, 1, theirs, 1, 0) == 1)

# %% memory-of-the-victim-advised | seccomp
probe("process_madvise", -1, 0, 0, 0, 0)

# %% pages-of-the-victim-moved | seccomp
mask = ctypes.c_ulong(1)
escaped(syscall("migrate_pages", target["victim"], 64, ctypes.byref(mask), ctypes.byref(mask)) >= 0)

# %% badness-of-the-victim | landlock
open(f"/proc/{target['victim']}/oom_score_adj", "w").write("7")

# %% traced-by-the-parent | seccomp
probe("ptrace", 0x4200, 0, 0, 0)

# %% user-namespace | seccomp | needs root
syscall("unshare", 0x10000000)
escaped()

# %% mount-namespace | seccomp | needs root
syscall("unshare", 0x00020000)
escaped()

# %% network-namespace | seccomp | needs root
syscall("unshare", 0x40000000)
escaped()

# %% namespace-of-the-victim | landlock | needs root
escaped(os.open(f"/proc/{target['victim']}/ns/mnt", os.O_RDONLY) > 0)

# %% setns | seccomp
probe("setns", -1, 0)

# %% mount | seccomp
probe("mount", 0, 0, 0, 0, 0)

# %% new-mount-interface | seccomp | needs root
escaped(syscall("fsopen", b"tmpfs", 0) > 0)

# %% umount | seccomp | needs root
probe("umount2", b"/nowhere", 0)

# %% chroot | seccomp | needs root
probe("chroot", b"/nowhere")

# %% pivot_root | seccomp | needs root
probe("pivot_root", b"/nowhere", b"/nowhere")

# %% reboot | seccomp | needs root
probe("reboot", 0, 0, 0, 0)

# %% swap | seccomp | needs root
probe("swapon", 0, 0)

# %% quota | seccomp
probe("quotactl", 0x80000700, b"/nowhere", 0, 0)

# %% accounting | seccomp | needs root
probe("acct", b"/nowhere")

# %% name-of-the-machine | seccomp | needs root
probe("sethostname", 0, -1)

# %% clock-of-the-machine | seccomp
escaped(syscall("adjtimex", (ctypes.c_uint64 * 32)()) >= 0)

# %% other-user | seccomp | needs root
os.setresuid(65534, 65534, 65534)
escaped()

# %% other-groups | seccomp, capabilities | needs root
os.setgroups([])
escaped()

# %% capabilities-held | capabilities | needs root
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
syscall("capget", header, data)
escaped(any(data))

# %% capabilities-to-be-had | capabilities | needs root
escaped(any(libc.prctl(23, number, 0, 0, 0) == 1 for number in range(41)))

# %% capabilities-set | seccomp, capabilities | needs root
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[1, 1, 0, 0, 0, 0])
escaped(syscall("capset", header, data) == 0)

# %% privileges-by-exec | capabilities, seccomp
escaped(libc.prctl(39, 0, 0, 0, 0) == 0)

# %% ambient-capabilities-cleared | seccomp
escaped(libc.prctl(47, 4, 0, 0, 0) == 0)

# %% outliving-the-host | seccomp
escaped(libc.prctl(1, 0, 0, 0, 0) == 0)

# %% adopting-orphans | seccomp
escaped(libc.prctl(36, 1, 0, 0, 0) == 0)

# %% traceable-by-all | seccomp
escaped(libc.prctl(0x59616D61, -1, 0, 0, 0) == 0 or libc.prctl(4, 1, 0, 0, 0) == 0)

# %% filter-of-its-own | seccomp
probe("seccomp", 1, 0, 0)

# %% filter-with-a-listener | seccomp
probe("seccomp", 1, 8, 0)

# %% filter-by-prctl | seccomp
ctypes.set_errno(0)
escaped(libc.prctl(22, 2, 0, 0, 0) == 0 or ctypes.get_errno() not in REFUSED)

# %% bpf | seccomp
probe("bpf", 0, 0, 0)

# %% perf_event_open | seccomp
probe("perf_event_open", 0, 0, -1, -1, 0)

# %% userfaultfd | seccomp | needs root
escaped(syscall("userfaultfd", 1) > 0)

# %% new-keyring | seccomp
escaped(syscall("keyctl", 1, 0, 0, 0, 0) > 0)

# %% new-key | seccomp
escaped(syscall("add_key", b"user", target["marker"].encode() + b"-mine", b"x", 1, -1) > 0)

# %% personality | seccomp
escaped(syscall("personality", 0x0040000) >= 0)

# %% call-of-32-bit | seccomp
import mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("53b814000000cd805bc3"))
escaped(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() == os.getpid())

# %% segments | seccomp
escaped(raw(154, 0, ctypes.create_string_buffer(16), 16) >= 0)

# %% snapshot-replaced-by-one-that-spins | host | may lose variables, failed once
import gc
def snapshot(spare):
    os.close(spare)
    if os.fork() == 0:
        while True:
            pass
    return False
for thing in gc.get_objects():
    if type(thing).__name__ == "Worker":
        thing.snapshot = snapshot

# %% snapshot-that-answers-and-spins | host | may lose variables, failed once
import gc, socket
def snapshot(spare):
    if os.fork():
        os.close(spare)
        return False
    socket.socket(fileno=spare).sendall(b".")
    while True:
        pass
for thing in gc.get_objects():
    if type(thing).__name__ == "Worker":
        thing.snapshot = snapshot

# %% snapshot-that-takes-the-place-of-the-worker | host | may lose variables, may break one cell, failed once
import gc, signal
def snapshot(spare):
    os.close(spare)
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return False
for thing in gc.get_objects():
    if type(thing).__name__ == "Worker":
        thing.snapshot = snapshot

# %% snapshot-that-both-processes-serve | host | may lose variables, may break one cell, failed once
import gc
def snapshot(spare):
    os.close(spare)
    os.fork()
    return False
for thing in gc.get_objects():
    if type(thing).__name__ == "Worker":
        thing.snapshot = snapshot

# %% snapshot-that-never-answers | host | may lose variables, failed once
import gc
def snapshot(spare):
    return False
for thing in gc.get_objects():
    if type(thing).__name__ == "Worker":
        thing.snapshot = snapshot

# %% snapshot-with-the-name-of-a-zombie | host | may lose variables, failed once
import gc, socket
def snapshot(spare):
    if os.fork():
        os.close(spare)
        return False
    libc.prctl(15, b"x) Z", 0, 0, 0)  # PR_SET_NAME: /proc/…/stat is "12 (x) Z) R …"
    socket.socket(fileno=spare).sendall(b".")
    while True:
        pass
for thing in gc.get_objects():
    if type(thing).__name__ == "Worker":
        thing.snapshot = snapshot

# %% worker-that-waits-awake | host | failed once
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == "Channel":
        type(thing)._look_before_sleeping.__globals__["AWAKE"] = 1e9

# %% fork-under-way-when-the-host-settles | host | may lose variables, may break one cell, failed once
import gc, mmap, threading, time
block = mmap.mmap(-1, 300 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
block.madvise(15)  # MADV_NOHUGEPAGE: the fork takes some milliseconds, and is in no list until its end
ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(block)), 1, len(block))
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b8390000000f0585c074fec3" "90909090" "48ffc975fbb8010000000f05c3"))
# fork(), where the child spins; and a write() that waits first, without a page fault
start = ctypes.addressof(ctypes.c_char.from_buffer(code))
fork = ctypes.CFUNCTYPE(ctypes.c_int)(start)
late = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_long, ctypes.c_long)(start + 16)
frame = b'\0\0\0\x27{"do": "call", "id": 1, "prompt": "xx"}'
def snapshot(spare):
    os.close(spare)
    late(worker.channel.connection.fileno(), frame, 0, 10)
    thread = threading.Thread(target=late, args=(worker.channel.connection.fileno(), frame, len(frame), 3 * 10**6))
    thread.start()
    if target["machine"] == "x86_64":
        fork()
    thread.join()
    return False
worker = next(thing for thing in gc.get_objects() if type(thing).__name__ == "Worker")
worker.snapshot = snapshot
