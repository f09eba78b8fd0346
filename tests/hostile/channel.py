# The worker's own socket in the hands of the cell.

# %% oversized-frame | host
send(b"\xff\xff\xff\xff")

# %% oversized-frame-with-data | host
send((2**30).to_bytes(4, "big") + bytes(2**16))

# %% frame-of-nothing | host
send(bytes(4))

# %% many-frames-of-nothing | host
send(bytes(4) * 10**4)

# %% no-json | host
forge(b"abc")

# %% no-object | host
forge([])

# %% number-as-a-frame | host
forge(5)

# %% no-utf-8 | host
forge(b'{"do": "\xff\xfe\xfd"}')

# %% utf-16 | host
forge('{"do": "done", "id": 2}'.encode("utf-16"))

# %% deep-json | host
forge(b"[" * 10**5 + b"]" * 10**5)

# %% deep-json-in-a-frame | host
forge(b'{"do": "done", "id": %d, "final": ' % order_id() + b'{"value":' * 10**5 + b"1" + b"}" * 10**5 + b"}")

# %% numbers-that-are-none | host
forge(b'{"do": "done", "id": %d, "value": NaN, "final": {"text": "x", "value": Infinity}}' % order_id())

# %% number-beyond-all | host
forge(b'{"do": "done", "id": %d, "final": {"text": "x", "value": [1e999]}}' % order_id())

# %% number-of-many-digits | host
forge(b'{"do": "done", "id": ' + b"9" * 10**5 + b"}")

# %% double-keys | host
forge(b'{"do": "call", "do": "done", "id": 0, "id": %d, "value": "1", "value": {}}' % order_id())

# %% lone-surrogates-in-a-frame | host
forge(b'{"do": "done", "id": %d, "stdout": "\\ud800", "value": "\\udfff"}' % order_id())

# %% half-a-frame | snapshots
send(b"\0\0\0\x64{")
while True:
    pass

# %% half-a-head | snapshots
send(b"\0\0")
while True:
    pass

# %% byte-by-byte | host
import time
for byte in b'\0\0\0\x0e{"do": "call"}':
    send(bytes([byte]))
    time.sleep(0.001)

# %% forged-result | host
for number in (order_id(), *range(20)):
    forge({"do": "done", "id": number, "stdout": "forged", "value": "forged"})

# %% forged-result-of-wrong-types | host
for number in (order_id(), *range(20)):
    forge({"do": "done", "id": number, "stdout": {"a": 1}, "value": [1], "error": 5, "final": "no", "stopped": "no"})

# %% forged-answer-of-wrong-types | host
for number in (order_id(), *range(20)):
    forge({"do": "done", "id": number, "final": {"text": ["x"], "value": {"a": None}}, "stdout": 1.5})

# %% forged-result-with-an-id-of-another-type | host
for number in (None, str(order_id()), True, [order_id()], {"id": 3}, -1, 2**70):
    forge({"do": "done", "id": number, "stdout": "forged"})

# %% results-for-later-cells | host
for number in (*range(50), order_id() + 1, "x"):
    forge({"do": "done", "id": number, "stdout": "forged", "value": "forged"})

# %% results-from-a-thread | host
import threading, time
def forever():
    for number in range(200):
        forge({"do": "done", "id": number, "stdout": "forged"})
        time.sleep(0.001)
threading.Thread(target=forever, daemon=True).start()

# %% huge-result | host
for number in (order_id(), 1, 2, 3):
    forge({"do": "done", "id": number, "stdout": "x" * 10**7})

# %% calls-of-wrong-types | host
for prompt in (None, 5, [], {}, True, "", "\ud800", "x" * 10**6):
    for number in (None, "1", [], {}, 1.5, -1):
        forge({"do": "call", "id": number, "prompt": prompt})

# %% calls-without-fields | host
forge({"do": "call"})
forge({"id": 1})
forge({})

# %% calls-with-the-same-id | host
for _ in range(100):
    forge({"do": "call", "id": 1, "prompt": "again"})

# %% call-with-a-huge-prompt | host
forge({"do": "call", "id": 1, "prompt": "x" * (30 * 2**20)})

# %% flood-of-calls | host | may use up sub calls
for number in range(3000):
    forge({"do": "call", "id": number, "prompt": "x"})

# %% flood-of-calls-from-a-thread | host | may use up sub calls
import threading
def flood():
    while True:
        forge({"do": "call", "id": 1, "prompt": "x"})
threading.Thread(target=flood, daemon=True).start()

# %% flood-of-bytes | host
for _ in range(100):
    send(b"\0\0\0\x02{}" * 1000)

# %% flood-of-unknown-frames | host
import time
until = time.monotonic() + 3
while time.monotonic() < until:
    forge({"do": "nothing"})

# %% next-order-stolen | snapshots | may break one cell
import threading
threading.Thread(target=lambda: [os.read(fd, 10) for fd in channels()], daemon=True).start()

# %% replies-stolen | snapshots | may break one cell
import threading
def steal():
    while True:
        [os.read(fd, 3) for fd in channels()]
threading.Thread(target=steal, daemon=True).start()
llm_query("anybody" + context)

# %% orders-read-from-a-copy | snapshots | may break one cell
import socket, threading
copies = [os.dup(fd) for fd in channels()]
threading.Thread(target=lambda: [os.read(fd, 2**16) for fd in copies for _ in range(10)], daemon=True).start()

# %% without-blocking | check, snapshots
for fd in channels():
    os.set_blocking(fd, False)

# %% shut-for-writing | snapshots
import socket
for fd in channels():
    socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_WR)

# %% shut-for-reading | snapshots | may break one cell
import socket
for fd in channels():
    socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RD)

# %% shut-by-libc | snapshots
for fd in channels():
    libc.shutdown(fd, 2)

# %% descriptors-sent | host
import socket
for fd in channels():
    s = socket.socket(fileno=os.dup(fd))
    s.sendmsg([b"\0\0\0\x02{}"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, (s.fileno()).to_bytes(4, "little") * 50)])

# %% credentials-sent | host
import socket, struct
for fd in channels():
    s = socket.socket(fileno=os.dup(fd))
    s.sendmsg([b"\0\0\0\x02{}"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", os.getpid(), 0, 0))])

# %% owner-of-the-socket | seccomp
import fcntl
for fd in channels():
    fcntl.fcntl(fd, fcntl.F_SETOWN, target["host"])
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC)
    escaped(fcntl.fcntl(fd, fcntl.F_GETOWN) == target["host"])

# %% lock-of-the-channel-kept | check, snapshots
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == "Channel":
        thing.sending.acquire()

# %% channel-emptied | check, snapshots
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == "Channel":
        vars(thing).clear()

# %% replies-poisoned | check, snapshots | failed once
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == "Channel":
        thing.replies.update({number: {"text": "forged"} for number in range(1000)})

# %% reply-read-drop-by-drop | host | may lose variables, failed once
import gc, time
def drip():
    while True:
        time.sleep(3)
        channel.connection.recv(230_000)
channel = next(thing for thing in gc.get_objects() if type(thing).__name__ == "Channel")
channel.next_order = drip
channel.send({"do": "call", "id": 1, "prompt": "x" * 4_000_000})
time.sleep(0.15)  # the host's other thread is in the middle of its reply, and holds the connection
