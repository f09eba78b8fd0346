"""The servers between the engines and a model: a proxy that counts, and one that answers from a script.

They know OpenAI's Chat Completions and the timings of llama.cpp's server, and no engine.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

CHAT = "/v1/chat/completions"
UPSTREAM_TIMEOUT = 3600.0
# seconds without a byte of the model; an engine is killed long before


@dataclass(frozen=True)
class Traffic:
    """What an engine asked of the model."""

    requests: int = 0
    refused: int = 0
    # requests that the server answered with an error
    uncounted: int = 0
    # requests that were broken off before the server told their tokens
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.requests + other.requests,
            self.refused + other.refused,
            self.uncounted + other.uncounted,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


class Server(ThreadingHTTPServer):
    """On a free port of this machine, as long as the `with` lasts."""

    daemon_threads = True
    request_queue_size = 64
    handler: type[Handler]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.handler)
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news, and a traceback would tear the progress lines."""


class Handler(BaseHTTPRequestHandler):
    """One request: it ends with its connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def begin(self, status: int, content_type: str, length: int | None = None) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, status: int, data: bytes, content_type: str = "application/json") -> None:
        self.begin(status, content_type, len(data))
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


class _Relay(Handler):
    server: Proxy

    def do_GET(self) -> None:
        with self.server.upstream() as connection:
            connection.request("GET", self.path, headers=self.server.headers)
            response = connection.getresponse()
            self.send(response.status, response.read())

    def do_POST(self) -> None:
        data = self.body()
        if self.path != CHAT:
            return self.send(404, b'{"error": {"message": "only chat completions are measured"}}')
        with self.server.counting() as count, self.server.upstream() as connection:
            connection.request("POST", CHAT, self.server.amended(data), self.server.headers)
            with _hangs_up_with(self.connection, connection.sock):
                response = connection.getresponse()
                self.relay(response, count)
        return None

    def relay(self, response: http.client.HTTPResponse, count: _Count) -> None:
        kind = response.headers.get("Content-Type", "application/json")
        if response.status != 200:
            count.refused = True
            self.send(response.status, response.read(), kind)
        elif kind.startswith("text/event-stream"):
            self.begin(200, kind)
            while line := response.readline():
                if line.startswith(b"data: {"):
                    count.read(json.loads(line[6:]))
                self.wfile.write(line)
        else:
            reply = response.read()
            count.read(json.loads(reply))
            self.send(200, reply, kind)


class _Count:
    """The tokens of one request, as far as the server has told them."""

    def __init__(self) -> None:
        self.refused = False
        self.tokens: tuple[int, int] | None = None

    def read(self, message: dict[str, Any]) -> None:
        timings, usage = message.get("timings"), message.get("usage")
        if timings:  # in every piece of a stream: engines that stop it early miss the usage at its end
            prompt = timings.get("cache_n", 0) + timings["prompt_n"]
            self.tokens = (prompt, timings["predicted_n"])
        if usage:
            self.tokens = (usage["prompt_tokens"], usage["completion_tokens"])

    def traffic(self) -> Traffic:
        missing = self.tokens is None and not self.refused
        return Traffic(1, int(self.refused), int(missing), *(self.tokens or (0, 0)))


class Proxy(Server):
    """Hands requests on to a model's server, at one temperature for all, and counts them.

    url: the server's address, without /v1.
    temperature: takes the place of whatever an engine asks for.
    """

    handler = _Relay

    def __init__(self, url: str, *, temperature: float, api_key: str = "none") -> None:
        super().__init__()
        self.url = url
        self.temperature = temperature
        self.headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._traffic = Traffic()
        self._active = 0

    def amended(self, data: bytes) -> bytes:
        request = {**json.loads(data), "temperature": self.temperature}
        if request.get("stream"):
            request["timings_per_token"] = True
        return json.dumps(request).encode()

    @contextlib.contextmanager
    def upstream(self) -> Iterator[http.client.HTTPConnection]:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=UPSTREAM_TIMEOUT)
        with contextlib.closing(connection):
            yield connection

    @contextlib.contextmanager
    def counting(self) -> Iterator[_Count]:
        count = _Count()
        with self.lock:
            self._active += 1
        try:
            yield count
        finally:
            with self.lock:
                self._active -= 1
                self._traffic += count.traffic()

    def take(self, patience: float = 30.0) -> Traffic:
        """The traffic since the last call, once no request is under way: its engine has ended."""
        until = time.monotonic() + patience
        while self._active and time.monotonic() < until:
            time.sleep(0.02)
        with self.lock:
            taken, self._traffic = self._traffic, Traffic()
        return taken


@contextlib.contextmanager
def _hangs_up_with(client: socket.socket, upstream: socket.socket) -> Iterator[None]:
    """Stops the model when the engine is gone, be it while the model still reads its prompt."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if select.select([client], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    if not client.recv(1, socket.MSG_PEEK):
                        upstream.shutdown(socket.SHUT_RDWR)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Reciter(Handler):
    server: Scripted

    def do_GET(self) -> None:
        self.send(200, b'{"object": "list", "data": [{"id": "scripted", "object": "model"}]}')

    def do_POST(self) -> None:
        request = json.loads(self.body())
        text = self.server.next_reply()
        if text is None:
            return self.send(400, b'{"error": {"message": "the script is over"}}')
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        head = {"id": "1", "created": 1, "model": "scripted"}
        if not request.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            reply = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            return self.send(200, json.dumps(reply).encode())
        self.begin(200, "text/event-stream")
        for delta, finish in (({"role": "assistant", "content": text}, None), ({}, "stop")):
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            self.piece({**head, "object": "chat.completion.chunk", "choices": choices})
        self.piece({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        return None

    def piece(self, data: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())


class Scripted(Server):
    """Answers with the given replies in order, in no time; then with an error."""

    handler = _Reciter

    def __init__(self, replies: Sequence[str]) -> None:
        super().__init__()
        self._replies = iter(replies)

    def next_reply(self) -> str | None:
        with self.lock:
            return next(self._replies, None)
