# Who must not be reached. All listeners are on this machine.

# %% tcp-connect | seccomp
import socket
socket.create_connection(("127.0.0.1", target["tcp"]), 1).sendall(b"hello")

# %% tcp-without-blocking | seccomp
import socket
s = socket.socket()
s.setblocking(False)
s.connect_ex(("127.0.0.1", target["tcp"]))

# %% tcp-fast-open | seccomp
import socket
socket.socket().sendto(b"hello", 0x20000000, ("127.0.0.1", target["tcp"]))

# %% tcp-as-mapped-ipv6 | seccomp
import socket
socket.socket(socket.AF_INET6).connect(("::ffff:127.0.0.1", target["tcp"]))

# %% tcp-of-libc | seccomp
address = (2).to_bytes(2, "little") + target["tcp"].to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
escaped(libc.connect(libc.socket(2, 1, 0), address, 16) == 0)

# %% mptcp | seccomp
import socket
socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(("127.0.0.1", target["tcp"]))

# %% tcp-listen | seccomp
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
escaped(s.getsockname()[1] > 0)

# %% listen-without-bind | seccomp
import socket
s = socket.socket()
s.listen()
escaped(s.getsockname()[1] > 0)

# %% udp-sendto | seccomp
import socket
socket.socket(type=socket.SOCK_DGRAM).sendto(b"hello", ("127.0.0.1", target["udp"]))

# %% udp-connect-and-write | seccomp
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.connect(("127.0.0.1", target["udp"]))
os.write(s.fileno(), b"hello")

# %% udp-bind | seccomp
import socket
socket.socket(type=socket.SOCK_DGRAM).bind(("0.0.0.0", 0))
escaped()

# %% udp-lite | seccomp
import socket
escaped(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136).fileno() > 0)

# %% ping | seccomp | needs root
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
escaped(s.sendto(b"\x08\0\xf7\xff\0\0\0\0", ("127.0.0.1", 0)) > 0)

# %% raw-packets | seccomp | needs root
import socket
escaped(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).fileno() > 0)

# %% netlink-route | seccomp
import socket
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.bind((0, 0))
escaped()

# %% netlink-events | seccomp
import socket
escaped(socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15).fileno() > 0)

# %% vsock | seccomp
import socket
escaped(socket.socket(40, socket.SOCK_STREAM).fileno() > 0)

# %% bluetooth-and-others | seccomp
import socket
for family in (4, 5, 9, 15, 21, 23, 24, 29, 30, 31, 35, 37, 39, 41, 42, 43, 44, 45):
    try:
        escaped(socket.socket(family, socket.SOCK_DGRAM).fileno() > 0)
    except OSError as error:
        escaped(error.errno not in REFUSED)

# %% unix-by-path | seccomp
import socket
s = socket.socket(socket.AF_UNIX)
s.connect(target["unix"])

# %% unix-abstract | seccomp
import socket
s = socket.socket(socket.AF_UNIX)
s.connect(target["abstract"])

# %% unix-datagram | seccomp
import socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"hello", target["datagram"])

# %% unix-listener | seccomp
import socket
s = socket.socket(socket.AF_UNIX)
s.bind("\0" + target["marker"] + "-mine")
s.listen()
escaped()

# %% pair-that-sends-elsewhere | seccomp
import socket
a, b = socket.socketpair(type=socket.SOCK_DGRAM)
a.sendto(b"hello", target["datagram"])

# %% pair-that-connects-anew | seccomp
import socket
a, b = socket.socketpair(type=socket.SOCK_DGRAM)
a.connect(target["datagram"])
a.send(b"hello")

# %% pair-that-connects-by-libc | seccomp
pair = (ctypes.c_int * 2)()
libc.socketpair(1, 2, 0, pair)
escaped(libc.connect(pair[0], b"\x01\0" + target["datagram"].encode() + b"\0", len(target["datagram"]) + 3) == 0)
os.write(pair[0], b"hello")

# %% message-to-a-path | seccomp
import socket
a, b = socket.socketpair(type=socket.SOCK_DGRAM)
a.sendmsg([b"hello"], [], 0, target["datagram"])

# %% io_uring | seccomp
escaped(syscall("io_uring_setup", 4, (ctypes.c_uint32 * 30)()) > 0)

# %% io_setup | seccomp
escaped(syscall("io_setup", 4, ctypes.byref(ctypes.c_uint64())) == 0)

# %% hosts-file | landlock
import socket
escaped(bool(socket.getaddrinfo("localhost", 80)))

# %% names-of-interfaces | seccomp
import socket
escaped(bool(socket.if_nameindex()))

# %% question-to-a-name-server | seccomp
import random, socket
question = os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1"
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.sendto(question, ("::ffff:127.0.0.1", target["udp"]))

# %% urllib | seccomp
import urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{target['tcp']}/", timeout=0.2)

# %% http-client | seccomp
import http.client
http.client.HTTPConnection("127.0.0.1", target["tcp"], timeout=0.2).request("GET", "/")

# %% asyncio | seccomp
import asyncio
asyncio.run(asyncio.wait_for(asyncio.open_connection("127.0.0.1", target["tcp"]), 1))

# %% asyncio-server | seccomp
import asyncio
async def listen():
    escaped(bool((await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)).sockets))
asyncio.run(listen())

# %% log-handler | seccomp
import logging.handlers
logging.handlers.SysLogHandler(("127.0.0.1", target["udp"])).emit(logging.makeLogRecord({"msg": "hello"}))

# %% own-type-of-socket-object | seccomp
import _socket
_socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).connect(("127.0.0.1", target["tcp"]))

# %% network-device | landlock | needs root
escaped(os.open("/dev/net/tun", os.O_RDWR) > 0)

# %% address-of-the-vm | landlock | needs root
escaped(os.open("/dev/vsock", os.O_RDONLY) > 0)
