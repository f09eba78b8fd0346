# What must not be read: files, other processes, memory that is shared.

# %% home-file | landlock
print(open(target["secret_file"]).read())

# %% ssh-key | landlock
import pathlib
print((pathlib.Path(target["home"]) / ".ssh" / "id_ed25519").read_text())

# %% dotenv-by-descriptor | landlock
print(os.read(os.open(target["home"] + "/.env", os.O_RDONLY | os.O_NOFOLLOW), 1000))

# %% etc-passwd | landlock
escaped("root:" in open("/etc/passwd").read())

# %% etc-shadow | landlock | needs root
escaped("root:" in open("/etc/shadow").read())

# %% account-database | landlock
import pwd
escaped(bool(pwd.getpwuid(0).pw_dir))

# %% through-a-symlink | landlock
print(open(target["folder"] + "/link").read())

# %% through-proc-self-root | landlock
print(open("/proc/self/root" + target["secret_file"]).read())

# %% through-proc-self-cwd | landlock
print(open("/proc/self/cwd/../../../../../../../../" + target["secret_file"]).read())

# %% through-the-library-and-up | landlock
print(open(os.path.dirname(os.__file__) + "/../" * 20 + target["secret_file"]).read())

# %% from-another-current-folder | landlock
os.chdir(target["home"])
print(open("notes.txt").read())

# %% relative-to-an-open-folder | landlock
folder = os.open(target["home"], os.O_PATH | os.O_DIRECTORY)
print(os.read(os.open("notes.txt", os.O_RDONLY, dir_fd=folder), 1000))

# %% path-descriptor-opened-again | landlock
path = os.open(target["secret_file"], os.O_PATH)
print(open(f"/proc/self/fd/{path}").read())

# %% openat2 | landlock, seccomp
how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
print(os.read(syscall("openat2", -100, target["secret_file"].encode(), how, 24), 1000))

# %% file-handle | seccomp | needs root
handle, mount = (ctypes.c_char * 136)(), ctypes.c_int()
handle[0:4] = (128).to_bytes(4, "little")
syscall("name_to_handle_at", -100, target["secret_file"].encode(), handle, ctypes.byref(mount), 0)
print(os.read(syscall("open_by_handle_at", -100, handle, os.O_RDONLY), 1000))

# %% open_tree | seccomp
escaped(syscall("open_tree", -100, target["home"].encode(), 0) >= 0)

# %% listing-of-a-folder | landlock
escaped("notes.txt" in os.listdir(target["home"]))

# %% glob-of-everything | landlock
import glob
escaped(len(glob.glob(target["home"] + "/**", recursive=True)) > 2)

# %% walk-from-the-root | landlock
escaped(len(next(os.walk("/"), (0, (), ()))[1]) > 3)

# %% mapped-file | landlock
import mmap
print(mmap.mmap(os.open(target["secret_file"], os.O_RDONLY), 0, prot=mmap.PROT_READ)[:])

# %% sendfile-into-a-pipe | landlock
end, start = os.pipe()
os.sendfile(start, os.open(target["secret_file"], os.O_RDONLY), 0, 1000)
print(os.read(end, 1000))

# %% sqlite-database | landlock
import sqlite3
print(sqlite3.connect(target["home"] + "/notes.db").execute("select * from notes").fetchall())

# %% sqlite-attach | landlock
import sqlite3
database = sqlite3.connect("file::memory:", uri=True)
database.execute("attach ? as other", [f"file:{target['home']}/notes.db?immutable=1"])
print(database.execute("select * from other.notes").fetchall())

# %% linecache | landlock
import linecache
print(linecache.getline(target["secret_file"], 1))

# %% zipfile | landlock
import zipfile
print(zipfile.ZipFile(target["home"] + "/notes.zip").read("notes.txt"))

# %% import-from-home | landlock
import sys
sys.path.insert(0, target["home"])
import secretmodule
print(secretmodule.SECRET)

# %% zipimport | landlock
import zipimport
print(zipimport.zipimporter(target["home"] + "/notes.zip").get_data("notes.txt"))

# %% loader-of-importlib | landlock
from importlib.machinery import SourceFileLoader
print(SourceFileLoader("x", target["secret_file"]).get_data(target["secret_file"]))

# %% run-path | landlock
import runpy
print(runpy.run_path(target["secret_file"])["SECRET"])

# %% fopen-of-libc | landlock
libc.fopen.restype = ctypes.c_void_p
text = ctypes.create_string_buffer(1000)
file = libc.fopen(target["secret_file"].encode(), b"r")
print(file and libc.fgets(text, 1000, ctypes.c_void_p(file)) and text.value)

# %% link-error-of-the-loader | landlock
try:
    ctypes.CDLL(target["secret_file"])
except OSError as error:
    escaped("invalid ELF" in str(error) or "too short" in str(error))

# %% kernel-messages | landlock | needs root
escaped(bool(os.read(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK), 8192)))

# %% kernel-messages-by-call | seccomp | needs root
escaped(syscall("syslog", 3, ctypes.create_string_buffer(1000), 1000) >= 0)

# %% environment-of-the-host | landlock
escaped(bool(open(f"/proc/{target['host']}/environ", "rb").read()))

# %% environment-of-the-parent | landlock
escaped(bool(open(f"/proc/{os.getppid()}/environ", "rb").read()) or bool(open(f"/proc/{os.getppid()}/maps").read()))

# %% command-of-the-host | landlock
escaped(bool(open(f"/proc/{target['host']}/cmdline", "rb").read()))

# %% maps-of-the-host | landlock
escaped("python" in open(f"/proc/{target['host']}/maps").read())

# %% memory-of-the-host | landlock
with open(f"/proc/{target['host']}/mem", "rb", 0) as memory:
    memory.seek(target["host_address"])
    print(memory.read(64))

# %% descriptor-of-the-host | landlock
print(open(f"/proc/{target['host']}/fd/{target['host_fd']}").read())

# %% descriptors-of-the-parent | landlock
escaped(bool(os.listdir(f"/proc/{os.getppid()}/fd")))

# %% root-of-the-host | landlock
print(open(f"/proc/{target['host']}/root" + target["secret_file"]).read())

# %% environment-of-the-victim | landlock
print(open(f"/proc/{target['victim']}/environ").read())

# %% environment-through-a-task | landlock
print(open(f"/proc/{target['victim']}/task/{target['victim']}/environ").read())

# %% list-of-processes | landlock
escaped(any(name.isdigit() for name in os.listdir("/proc")))

# %% connections-of-the-machine | landlock
escaped(bool(open("/proc/net/unix").read()))

# %% mounts | landlock
escaped(bool(open("/proc/self/mountinfo").read()))

# %% settings-of-the-kernel | landlock
escaped(bool(open("/proc/sys/kernel/random/boot_id").read() or open("/etc/machine-id").read()))

# %% devices-in-sys | landlock
escaped(bool(os.listdir("/sys/class/net")))

# %% process_vm_readv | seccomp
buffer = ctypes.create_string_buffer(64)
mine, theirs = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 64), (ctypes.c_uint64 * 2)(target["victim_address"], 64)
syscall("process_vm_readv", target["victim"], mine, 1, theirs, 1, 0)
print(buffer.raw)

# %% process_vm_readv-of-the-host | seccomp
buffer = ctypes.create_string_buffer(64)
mine, theirs = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 64), (ctypes.c_uint64 * 2)(target["host_address"], 64)
syscall("process_vm_readv", target["host"], mine, 1, theirs, 1, 0)
print(buffer.raw)

# %% ptrace-seize | seccomp
escaped(syscall("ptrace", 0x4206, target["victim"], 0, 0) == 0)

# %% ptrace-of-the-parent | seccomp
escaped(syscall("ptrace", 0x4206, os.getppid(), 0, 0) == 0)

# %% descriptor-of-the-victim | seccomp
victim = syscall("pidfd_open", target["victim"], 0)
print(os.pread(syscall("pidfd_getfd", victim, target["victim_fd"], 0), 1000, 0))

# %% kcmp | seccomp
escaped(syscall("kcmp", os.getpid(), target["victim"], 1, 0, 0) >= 0)

# %% key-by-number | seccomp
text = ctypes.create_string_buffer(1000)
syscall("keyctl", 11, target["key"], text, 1000, 0)
print(text.value)

# %% key-by-name | seccomp
text = ctypes.create_string_buffer(1000)
key = syscall("request_key", b"user", target["marker"].encode(), 0, 0)
syscall("keyctl", 11, key, text, 1000, 0)
print(text.value)

# %% shared-memory-of-system-v | seccomp
print(ctypes.string_at(syscall("shmat", target["shm_id"], 0, 0o10000), 64))

# %% shared-memory-by-name | landlock
from multiprocessing import resource_tracker, shared_memory
resource_tracker.register = resource_tracker.unregister = lambda *_: None
shared = shared_memory.SharedMemory(target["shared_memory"])
print(bytes(shared.buf[:64]))

# %% message-queue | seccomp
text = ctypes.create_string_buffer(8192)
queue = syscall("mq_open", target["queue"].encode(), os.O_RDONLY | os.O_NONBLOCK, 0, 0)
syscall("mq_timedreceive", queue, text, 8192, 0, 0)
print(text.value)

# %% own-environment | process
print(dict(os.environ))

# %% environment-of-libc | process
libc.getenv.restype = ctypes.c_char_p
print(libc.getenv(b"RLM_HOSTILE_SECRET"))

# %% inherited-descriptors | process
for fd in range(256):
    try:
        print(os.pread(fd, 1000, 0))
    except OSError:
        pass
