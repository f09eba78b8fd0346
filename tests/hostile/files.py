# What must not be written, removed or changed.

# %% new-file | landlock
open(target["folder"] + "/new.txt", "w").write("hello")

# %% overwritten-file | landlock
open(target["file"], "w").write("hello")

# %% appended | landlock
open(target["file"], "a").write("hello")

# %% written-in-place | landlock
os.pwrite(os.open(target["file"], os.O_WRONLY), b"hello", 3)

# %% opened-for-writing-through-proc | landlock
path = os.open(target["file"], os.O_PATH)
open(f"/proc/self/fd/{path}", "w").write("hello")

# %% mapped-and-written | landlock
import mmap
mmap.mmap(os.open(target["file"], os.O_RDWR), 10)[:5] = b"hello"

# %% truncated | landlock
os.truncate(target["file"], 3)

# %% truncated-on-opening | landlock
os.open(target["file"], os.O_RDONLY | os.O_TRUNC)

# %% deleted | landlock
os.unlink(target["file"])

# %% folder-deleted | landlock
import shutil
shutil.rmtree(target["folder"])

# %% renamed | landlock
os.rename(target["file"], target["folder"] + "/other.txt")

# %% moved-into-place | landlock
os.replace(target["folder"] + "/link", target["file"])

# %% hard-link | landlock
os.link(target["secret_file"], target["folder"] + "/hard")

# %% hard-link-of-a-descriptor | landlock
path = f"/proc/self/fd/{os.open(target['secret_file'], os.O_PATH)}"
libc.linkat(-100, path.encode(), -100, target["folder"].encode() + b"/hard", 0x400)

# %% symbolic-link | landlock
os.symlink("/etc/passwd", target["folder"] + "/soft")

# %% new-folder | landlock
os.mkdir(target["folder"] + "/new")

# %% new-pipe | landlock
os.mkfifo(target["folder"] + "/pipe")

# %% new-device | landlock | needs root
os.mknod(target["folder"] + "/null", 0o20666, os.makedev(1, 3))

# %% new-socket-file | landlock, seccomp
os.mknod(target["folder"] + "/socket", stat.S_IFSOCK | 0o666)

# %% file-without-a-name | landlock
file = os.open(target["folder"], os.O_TMPFILE | os.O_RDWR)
libc.linkat(-100, f"/proc/self/fd/{file}".encode(), -100, target["folder"].encode() + b"/appears", 0x400)

# %% mode | seccomp
os.chmod(target["file"], 0o777)

# %% mode-by-descriptor | seccomp
os.fchmod(os.open(target["folder"], os.O_RDONLY), 0o777)

# %% mode-by-fchmodat2 | seccomp
raw(452, -100, target["file"].encode(), 0o777, 0)

# %% owner | seccomp | needs root
os.chown(target["file"], 65534, 65534)

# %% owner-of-a-link | seccomp | needs root
os.lchown(target["folder"] + "/link", 65534, 65534)

# %% times | seccomp
os.utime(target["file"], (1, 1))

# %% times-of-a-folder | seccomp
os.utime(target["folder"], ns=(1, 1))

# %% attribute | seccomp
os.setxattr(target["file"], "user.hostile", b"hello")

# %% attribute-of-a-trusted-kind | seccomp | needs root
os.setxattr(target["file"], "trusted.hostile", b"hello")

# %% flags-of-a-file | landlock, seccomp
import fcntl
file = os.open(target["file"], os.O_RDONLY)
fcntl.ioctl(file, 0x40086602, (0xC0).to_bytes(8, "little"))

# %% preallocated | landlock
os.posix_fallocate(os.open(target["file"], os.O_RDWR), 0, 10**6)

# %% copied | landlock
import shutil
shutil.copytree(target["home"], target["folder"] + "/copy")

# %% library-changed | landlock
open(target["library_file"], "a").write("hello")

# %% library-deleted | landlock
os.unlink(target["library_file"])

# %% library-with-a-new-module | landlock
open(os.path.dirname(target["library_file"]) + f"/{target['marker']}.py", "w").write("print('hello')")

# %% standard-library-with-a-new-module | landlock
path = os.path.dirname(target["library_file"]) + f"/{target['marker']}.pth"
os.symlink(target["file"], path)

# %% library-mode | seccomp
os.chmod(target["library_file"], 0o666)
escaped()

# %% compiled-library | landlock
import py_compile
py_compile.compile(target["home"] + "/secretmodule.py", cfile=target["folder"] + "/secretmodule.pyc")

# %% temporary-file | landlock
import tempfile
tempfile.NamedTemporaryFile(prefix=target["marker"], delete=False).write(b"hello")

# %% temporary-folder | landlock
import tempfile
tempfile.mkdtemp(prefix=target["marker"])
escaped(bool(os.rmdir(tempfile.mkdtemp(prefix=target["marker"])) is None))

# %% shared-memory-folder | landlock
open(f"/dev/shm/{target['marker']}-mine", "w").write("hello")

# %% shared-memory-written | landlock
from multiprocessing import resource_tracker, shared_memory
resource_tracker.register = resource_tracker.unregister = lambda *_: None
shared_memory.SharedMemory(target["shared_memory"] + "-mine", create=True, size=4096)

# %% semaphore-by-name | landlock
libc.sem_open.restype = ctypes.c_void_p
escaped(bool(libc.sem_open(f"/{target['marker']}-mine".encode(), os.O_CREAT, 0o600, 1)))

# %% shared-memory-of-system-v-written | seccomp
address = syscall("shmat", target["shm_id"], 0, 0)
escaped(bool(ctypes.memmove(address + 1000, b"hello", 5)))

# %% new-queue | seccomp
escaped(syscall("msgget", 0, 0o1600) >= 0)

# %% new-message-queue | seccomp
queue = syscall("mq_open", target["marker"].encode() + b"-mine", os.O_CREAT | os.O_RDWR, 0o600, 0)
libc.mq_unlink(f"/{target['marker']}-mine".encode())
escaped()

# %% new-semaphores | seccomp
number = syscall("semget", 0, 1, 0o1600)
libc.semctl(number, 0, 0)
escaped()

# %% memory-that-nobody-sees | seccomp
escaped(syscall("memfd_secret", 0) > 0)

# %% big-file-in-memory | limits, seccomp
memory = os.memfd_create("x")
for _ in range(50):
    os.write(memory, bytes(2**20))
escaped(os.fstat(memory).st_size > 40 * 2**20)

# %% big-file | landlock
with open(target["folder"] + "/big", "wb") as file:
    for _ in range(50):
        file.write(bytes(2**20))

# %% sparse-file | landlock
os.truncate(os.open(target["folder"] + "/sparse", os.O_CREAT | os.O_RDWR), 2**40)

# %% many-files | landlock
for number in range(1000):
    open(f"{target['folder']}/{number}", "w").close()

# %% deep-folders | landlock
os.makedirs(target["folder"] + "/a" * 200)

# %% many-descriptors | limits
escaped(len([os.fdopen(fd, "rb") for _ in range(1000) for fd in os.pipe()]) > 1000)

# %% setting-of-the-kernel | landlock | needs root
path = "/proc/sys/kernel/printk_ratelimit"
escaped(os.write(os.open(path, os.O_WRONLY), open(path, "rb").read()) > 0)

# %% own-badness | landlock
open("/proc/self/oom_score_adj", "w").write("7")
escaped()

# %% own-name | landlock
open("/proc/self/comm", "w").write("innocent")
escaped()

# %% own-memory-through-proc | landlock
memory = os.open("/proc/self/mem", os.O_RDWR)
escaped(os.pwrite(memory, b"x", ctypes.addressof(ctypes.create_string_buffer(8))) == 1)

# %% own-limits-through-proc | landlock
escaped(os.open("/proc/self/coredump_filter", os.O_RDWR) > 0)

# %% groups-of-control | landlock
escaped(bool(os.listdir("/sys/fs/cgroup")) and os.access("/sys/fs/cgroup", os.R_OK))

# %% terminal | landlock | needs root
escaped(os.open("/dev/tty0" if os.path.exists("/dev/tty0") else "/dev/ptmx", os.O_RDWR | os.O_NOCTTY) > 0)

# %% new-terminal | landlock
escaped(os.openpty()[0] > 0)

# %% random-device | landlock
escaped(os.open("/dev/random", os.O_WRONLY) > 0)

# %% loop-device | landlock | needs root
escaped(os.open("/dev/loop-control", os.O_RDWR) > 0)

# %% fuse | landlock | needs root
escaped(os.open("/dev/fuse", os.O_RDWR) > 0)

# %% virtual-machine | landlock | needs root
escaped(os.open("/dev/kvm", os.O_RDWR) > 0)

# %% locked-file | landlock
import fcntl
fcntl.flock(os.open(target["file"], os.O_RDONLY), fcntl.LOCK_EX)
escaped()

# %% leased-library | seccomp
import fcntl
fcntl.fcntl(os.open(target["library_file"], os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK)
escaped()

# %% notified-of-a-folder | landlock
import fcntl
fcntl.fcntl(os.open(target["home"], os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_ACCESS)
escaped()

# %% watched-files | seccomp
escaped(libc.inotify_add_watch(libc.inotify_init1(0), target["home"].encode(), 0xFFF) > 0)

# %% watched-machine | seccomp | needs root
probe("fanotify_init", 0, 0)

# %% sqlite-database-written | landlock
import sqlite3
with sqlite3.connect(target["home"] + "/notes.db") as database:
    database.execute("create table mine (text)")

# %% shelf | landlock
import shelve
shelve.open(target["folder"] + "/shelf", flag="n")["x"] = 1

# %% log | landlock
import logging
logging.getLogger("x").addHandler(logging.FileHandler(target["folder"] + "/log.txt"))

# %% archive-unpacked | landlock
import zipfile
zipfile.ZipFile(target["home"] + "/notes.zip").extractall(target["folder"])

# %% archive-made | landlock
import io, tarfile
with tarfile.open(target["folder"] + "/new.tar", "w") as archive:
    archive.addfile(tarfile.TarInfo("x"), io.BytesIO())

# %% trace-of-the-interpreter | landlock
import faulthandler
faulthandler.dump_traceback(open(target["folder"] + "/trace.txt", "w"))

# %% fopen-for-writing | landlock
libc.fopen.restype = ctypes.c_void_p
libc.fopen(target["file"].encode(), b"w")

# %% openat2-for-writing | landlock, seccomp
how = (ctypes.c_uint64 * 3)(os.O_WRONLY | os.O_CREAT, 0o600, 0)
syscall("openat2", -100, target["folder"].encode() + b"/new.txt", how, 24)
