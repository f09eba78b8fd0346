"""Stand-ins for Ollama, OpenAI and Anthropic: real HTTP servers on the loopback, strict about their formats.

A request with a field that the real API does not know, or without one that it needs, is answered with 400
and noted in `violations`. What the next replies are stands in `replies`; without any, the last message comes
back.
"""

from __future__ import annotations

import itertools
import json
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

CACHED_TOKENS = 3
PROMPT_TOKENS = 11
OVERFLOW = (5000, 4096)
# tokens of the prompt and of the window that a reply with failure="overflow" tells
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# of reasoning, in the words of OpenAI
RESTART = 0.5
# seconds
ENDLESS_PIECES = 3000
# of an endless reply, should nobody stop it


Break = Literal["drop", "gone", "restart", "cut", "reset", "garbage", "shape", "error", "unfinished"]


@dataclass(frozen=True)
class Reply:
    """How a server answers one chat request."""

    text: str | None = None
    # None: "echo: " and the last message
    thinking: str = ""
    finish: Literal["stop", "length", "refusal"] = "stop"
    step: int | None = None
    # characters in a piece; None: word by word
    endless: bool = False
    # "word word word …" until the client hangs up
    failure: Literal["auth", "missing", "busy", "overflow", "refused"] | None = None
    # an error answer in place of a reply
    retry_after: str | None = None
    # header of such an answer
    breaks: Break | None = None
    # drop: the connection, before any answer; gone, restart: all of them, and no other is accepted any more,
    # or for a while; in the middle of the reply: cut it off, reset the connection, send what is not JSON, or
    # JSON of another shape, or an error; unfinished: end it in good order, but without its last message
    stalls: Literal["before", "within"] | None = None
    # silence before the answer begins, or after its first piece, until the client hangs up
    status: int | None = None
    # of an error answer in place of a reply, with `text`, as a page of HTML where there is none
    delay: float = 0.0
    # seconds before the answer begins
    usage: Literal["true", "none", "zero", "huge"] = "true"
    # what the server says of the tokens


class Refusal(Exception):
    """A request that the real server would not take."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeServer

    def do_GET(self) -> None:
        self.answer("GET", {})

    def do_POST(self) -> None:
        self.answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, method: str, body: dict[str, Any]) -> None:
        try:
            self.server.route(self, f"{method} {self.path}", body)
        except Refusal as refusal:
            self.server.violations.append(str(refusal))
            self.send_json(400, self.server.error_body("invalid_request_error", str(refusal)))
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()
            self.close_connection = True

    def send_json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def begin(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def wait_for_hang_up(self) -> None:
        self.close_connection = True
        while not self.server.stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                self.server.hung_up.set()
                return

    def reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *args: Any) -> None:
        pass


class FakeServer(ThreadingHTTPServer):
    """What the three have in common; used as a context manager."""

    daemon_threads = True
    request_queue_size = 64
    chat_path: str
    content_type: str

    def __init__(self, *replies: Reply, key: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = list(replies)
        self.script: Callable[[dict[str, Any]], Reply] | None = None
        # gives the reply to a request, where `replies` has none
        self.told: list[tuple[int, int]] = []
        # tokens of prompt and reply, of each reply that was told to its end
        self.key = key
        # None: any key will do
        self.requests: list[tuple[str, dict[str, Any]]] = []
        # all of them: "POST /api/chat" and the body
        self.headers: list[dict[str, str]] = []
        # of the chat requests, names in lower case
        self.violations: list[str] = []
        self.crashes: list[BaseException] = []
        self.generated = 0
        # pieces of replies sent
        self.likely: list[dict[str, float]] = []
        # log probabilities that come with the next pieces
        self.hung_up = threading.Event()
        # a client has closed its connection in the middle of a reply
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def chats(self) -> list[dict[str, Any]]:
        """Bodies of the chat requests."""
        return [body for route, body in self.requests if route == self.chat_path]

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._end()

    def _listen(self) -> None:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _end(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def go_away(self, seconds: float | None) -> None:
        """Ends all connections and takes none, for a while or for good."""
        self._end()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if seconds is not None:
            time.sleep(seconds)
            self.socket = socket.socket()
            self.server_bind()
            self.server_activate()
            self._listen()

    def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        error = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.crashes.append(error)

    def route(self, handler: Handler, route: str, body: dict[str, Any]) -> None:
        with self._lock:
            self.requests.append((route, body))
        if route != self.chat_path:
            raise Refusal(f"no such path: {route}")
        self.chat(handler, body)

    def chat(self, handler: Handler, body: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.headers.append(headers)
            reply = self.replies.pop(0) if self.replies else self.script(body) if self.script else Reply()
        try:
            json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Refusal("a lone surrogate is no text") from None
        self.check(body, headers)
        sent_key = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
        if reply.failure == "auth" or (self.key is not None and sent_key != self.key):
            handler.send_json(401, self.error_body("authentication_error", f"Incorrect API key: {sent_key}"))
        elif reply.failure:
            status, error = self.failure(reply.failure, body["model"], sent_key)
            handler.send_json(status, error, {"Retry-After": reply.retry_after} if reply.retry_after else {})
        elif reply.status:
            said = reply.text or "<html><body><h1>Out of order</h1></body></html>"
            answer = self.error_body("api_error", said) if reply.text else said
            handler.send_json(
                reply.status, answer, {"Retry-After": reply.retry_after} if reply.retry_after else {}
            )
        elif reply.breaks == "drop":
            handler.reset()
        elif reply.breaks in ("gone", "restart"):
            self.go_away(RESTART if reply.breaks == "restart" else None)
            handler.close_connection = True
        elif reply.stalls == "before":
            handler.wait_for_hang_up()
        else:
            self.stream(handler, reply, body)

    def stream(self, handler: Handler, reply: Reply, body: dict[str, Any]) -> None:
        text = f"echo: {text_of(body['messages'][-1])}" if reply.text is None else reply.text
        said = itertools.repeat("word ", ENDLESS_PIECES) if reply.endless else iter(pieces(text, reply.step))
        parts = itertools.chain(
            (("thinking", word) for word in pieces(reply.thinking, None)), (("text", w) for w in said)
        )
        time.sleep(reply.delay)
        handler.begin(self.content_type)
        for data in self.start(body):
            handler.send_chunk(data)
        sent = 0
        for kind, word in parts:
            handler.send_chunk(self.piece(kind, word))
            sent += 1
            with self._lock:
                self.generated += 1
            if reply.stalls == "within":
                return handler.wait_for_hang_up()
            if reply.breaks and self.break_off(handler, reply.breaks):
                return None
            if reply.endless:
                time.sleep(0.002)
        tokens = self.tokens(body), sent
        with self._lock:
            self.told.append(tokens)
        for data in self.end(reply, {"zero": (0, 0), "huge": (10**12, 10**12)}.get(reply.usage, tokens)):
            handler.send_chunk(data)
        handler.wfile.write(b"0\r\n\r\n")
        return None

    def tokens(self, body: dict[str, Any]) -> int:
        """Of a prompt."""
        return PROMPT_TOKENS

    def break_off(self, handler: Handler, how: str) -> bool:
        """Whether the reply is over."""
        if how == "reset":
            handler.reset()
        elif how == "cut":
            handler.close_connection = True
        elif how == "garbage":
            handler.send_chunk(self.frame("{not JSON", "content_block_delta"))
        elif how == "shape":
            handler.send_chunk(
                self.frame('{"choices": [{}], "message": 7, "type": "x"}', "content_block_delta")
            )
        elif how == "error":
            handler.send_chunk(self.frame(json.dumps(self.error_body("api_error", "out of luck")), "error"))
        if how in ("garbage", "shape", "error", "unfinished"):
            handler.wfile.write(b"0\r\n\r\n")
        return True

    def logprobs(self) -> Any:
        """Of the next piece."""
        top = [{"token": token, "logprob": chance} for token, chance in self.likely.pop(0).items()]
        return [top[0] | {"top_logprobs": top}]

    # What each of them does in its own way:

    def check(self, body: dict[str, Any], headers: dict[str, str]) -> None:
        raise NotImplementedError

    def error_body(self, kind: str, message: str) -> Any:
        raise NotImplementedError

    def failure(self, kind: str, model: str, key: str) -> tuple[int, Any]:
        raise NotImplementedError

    def frame(self, data: str, event: str = "") -> bytes:
        raise NotImplementedError

    def start(self, body: dict[str, Any]) -> Iterator[bytes]:
        raise NotImplementedError

    def piece(self, kind: str, text: str) -> bytes:
        raise NotImplementedError

    def end(self, reply: Reply, tokens: tuple[int, int]) -> Iterator[bytes]:
        raise NotImplementedError


class FakeOllama(FakeServer):
    """Ollama's native API: loads a model anew at a request with other settings, cuts long prompts unasked.

    Compared with Ollama 0.33. A token is four characters here.
    """

    chat_path = "POST /api/chat"
    content_type = "application/x-ndjson"

    FIELDS = frozenset(
        (
            "model",
            "messages",
            "stream",
            "format",
            "keep_alive",
            "tools",
            "options",
            "think",
            "truncate",
            "shift",
            "logprobs",
            "top_logprobs",
        )
    )
    OPTIONS = frozenset(("num_ctx", "num_predict", "temperature", "top_k", "top_p", "min_p", "seed", "stop"))

    def __init__(self, *replies: Reply, key: str | None = None, models: Sequence[str] = ()) -> None:
        super().__init__(*replies, key=key)
        self.models = {"tiny:latest": shown(), "thinker:4b": shown(capabilities=["completion", "thinking"])}
        self.models |= {name: shown() for name in models}
        self.loaded: dict[str, int] = {}
        # name -> context_length
        self.loads: list[str] = []
        # names of models, in the order of their loading
        self.load_seconds = self.reply_seconds = 0.0
        # how long it takes to load a model, and to begin a reply
        self.slots = threading.Semaphore(1000)
        # replies at once
        self.most_context = 2**40
        # tokens that it allocates at most
        self.counts = False
        # whether it tells how many tokens a prompt has; else PROMPT_TOKENS
        self.cut = 0
        # prompts that were cut in silence
        self.library: dict[str, dict[str, Any]] = {}
        # models that can be pulled
        self._settings: dict[str, tuple[Any, ...]] = {}
        self.chat_error: tuple[int, Any] | None = None
        # answers every chat request
        self.errors_sent = 0

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Bodies of the chat requests that ask for a reply, and do not only load the model."""
        return [body for body in self.chats if body["messages"]]

    def route(self, handler: Handler, route: str, body: dict[str, Any]) -> None:
        if route == self.chat_path:
            return super().route(handler, route, body)
        with self._lock:
            self.requests.append((route, body))
        if route == "POST /api/show":
            if set(body) != {"model"}:
                raise Refusal(f"/api/show takes model, not {sorted(body)}")
            if tagged(body["model"]) not in self.models:
                return handler.send_json(404, {"error": f"model '{body['model']}' not found"})
            return handler.send_json(200, self.models[tagged(body["model"])])
        if route == "GET /api/tags":
            return handler.send_json(200, {"models": [{"name": name, "size": 1000} for name in self.models]})
        if route == "GET /api/version":
            return handler.send_json(200, {"version": "0.33.0"})
        if route == "POST /api/pull":
            return self.pull(handler, body["model"])
        if route == "GET /api/ps":
            running = [{"name": name, "context_length": length} for name, length in self.loaded.items()]
            return handler.send_json(200, {"models": running})
        raise Refusal(f"no such path: {route}")

    def chat(self, handler: Handler, body: dict[str, Any]) -> None:
        if self.chat_error:
            self.errors_sent += 1
            return handler.send_json(*self.chat_error)
        if tagged(body["model"]) not in self.models:
            return handler.send_json(404, {"error": f"model '{body['model']}' not found"})
        if not body["messages"]:
            self.check(body | {"messages": [{"role": "user", "content": ""}], "stream": True}, {})
            self.load(body)
            return handler.send_json(200, {"model": body["model"], "done": True, "done_reason": "load"})
        self.load(body)
        tokens, window = count(body["messages"]), self.loaded[tagged(body["model"])]
        if tokens > window and body.get("truncate", True):
            self.cut += 1
            last = body["messages"][-1]
            body = body | {"messages": [last | {"content": text_of(last)[: 2 * window]}]}
        elif tokens > window:
            return handler.send_json(400, self.overflow(tokens, window))
        with self.slots:
            time.sleep(self.reply_seconds)
            return super().chat(handler, body)

    def load(self, body: dict[str, Any]) -> None:
        """Loads the model, unless it is there with these very settings."""
        name, options = tagged(body["model"]), body["options"]
        fixed = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")
        settings = (*map(options.get, fixed), body.get("shift", True))
        with self._lock:
            if self._settings.get(name) == settings:
                return
            self._settings[name] = settings
            self.loads.append(name)
            self.loaded[name] = min(options.get("num_ctx", 4096), self.most_context)
            time.sleep(self.load_seconds)

    def pull(self, handler: Handler, model: str) -> None:
        handler.begin(self.content_type)
        told: list[dict[str, Any]] = [{"status": "pulling manifest"}]
        if tagged(model) in self.library:
            self.models[tagged(model)] = self.library[tagged(model)]
            part = {"status": "pulling a1", "digest": "sha256:a1", "total": 100}
            told += [part, part | {"completed": 50}, part | {"completed": 100}]
            told += [{"status": "verifying sha256 digest"}, {"status": "success"}]
        else:
            told += [{"error": "pull model manifest: file does not exist"}]
        for line in told:
            handler.send_chunk(self.frame(json.dumps(line)))
        handler.wfile.write(b"0\r\n\r\n")

    def check(self, body: dict[str, Any], headers: dict[str, str]) -> None:
        unknown = (set(body) - self.FIELDS) | (set(body.get("options", {})) - self.OPTIONS)
        if unknown:
            raise Refusal(f"unknown fields: {sorted(unknown)}")
        check_messages(body)
        able = self.models[tagged(body["model"])].get("capabilities", ())
        if body.get("think") and "thinking" not in able:
            raise Refusal(f'"{body["model"]}" does not support thinking')
        for name in ("num_ctx", "num_predict"):
            if not isinstance(body["options"].get(name), int):
                raise Refusal(f"{name} must be a number, or a reply runs to ten windows")

    def error_body(self, kind: str, message: str) -> Any:
        if kind == "authentication_error":
            return {"error": "unauthorized", "signin_url": "https://ollama.com/connect?key=abc"}
        return {"error": message}

    def failure(self, kind: str, model: str, key: str) -> tuple[int, Any]:
        return {
            "missing": (404, {"error": f"model '{model}' not found"}),
            "busy": (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
            "overflow": (400, self.overflow(*OVERFLOW)),
            "refused": (400, {"error": "this request is beyond me"}),
        }[kind]

    def overflow(self, prompt: int, window: int) -> dict[str, str]:
        said = f"request ({prompt} tokens) exceeds the available context size ({window} tokens)"
        nested = {
            "code": 400,
            "message": f"{said}, try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": prompt,
            "n_ctx": window,
        }
        return {"error": json.dumps({"error": nested})}

    def frame(self, data: str, event: str = "") -> bytes:
        return data.encode() + b"\n"

    def start(self, body: dict[str, Any]) -> Iterator[bytes]:
        return iter(())

    def piece(self, kind: str, text: str) -> bytes:
        message = {"role": "assistant", "content": text if kind == "text" else ""}
        if kind == "thinking":
            message["thinking"] = text
        part: dict[str, Any] = {"model": "tiny", "message": message, "done": False}
        if self.likely:
            part["logprobs"] = self.logprobs()
        # Like Go: U+0085 goes out as it is.
        return self.frame(json.dumps(part, ensure_ascii=False))

    def tokens(self, body: dict[str, Any]) -> int:
        return count(body["messages"]) if self.counts else PROMPT_TOKENS

    def end(self, reply: Reply, tokens: tuple[int, int]) -> Iterator[bytes]:
        last: dict[str, Any] = {
            "model": "tiny",
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": reply.finish,
        }
        if reply.usage != "none":
            last |= {"prompt_eval_count": tokens[0], "eval_count": tokens[1]}
        yield self.frame(json.dumps(last))


class FakeOpenAI(FakeServer):
    """OpenAI's Chat Completions; `refuses` names parameters that it does not take."""

    chat_path = "POST /v1/chat/completions"
    content_type = "text/event-stream"

    FIELDS: dict[str, Callable[[Any], bool]] = {  # noqa: RUF012
        "model": lambda value: isinstance(value, str) and bool(value),
        "messages": lambda value: isinstance(value, list) and bool(value),
        "stream": lambda value: value is True,
        "stream_options": lambda value: value == {"include_usage": True},
        "max_tokens": lambda value: type(value) is int and value > 0,
        "max_completion_tokens": lambda value: type(value) is int and value > 0,
        "temperature": lambda value: type(value) in (int, float) and 0 <= value <= 2,
        "reasoning_effort": lambda value: value in EFFORTS,
        "logprobs": lambda value: value is True,
        "top_logprobs": lambda value: type(value) is int and 0 <= value <= 20,
    }

    def __init__(
        self, *replies: Reply, key: str | None = None, refuses: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(*replies, key=key)
        self.refuses = refuses
        self.efforts: Sequence[str] = EFFORTS
        # those that the model takes
        self.thinking_field = "reasoning_content"
        self.models: Any = {"object": "list", "data": [{"id": "m", "object": "model"}]}
        # the answer to GET /v1/models
        self.props: Any = {}
        self.lm_studio: Any = {}
        # the answers of llama.cpp's server to GET /props, and of LM Studio to GET /api/v0/models

    def route(self, handler: Handler, route: str, body: dict[str, Any]) -> None:
        answers = {
            "GET /v1/models": self.models,
            "GET /props": self.props,
            "GET /api/v0/models": self.lm_studio,
        }
        if route in answers:
            with self._lock:
                self.requests.append((route, body))
            return handler.send_json(200 if answers[route] else 404, answers[route])
        return super().route(handler, route, body)

    def chat(self, handler: Handler, body: dict[str, Any]) -> None:
        for name in sorted(self.refuses & set(body)):
            return self.refuse(
                handler,
                name,
                f"Unsupported parameter: '{name}' is not supported with this model. See the manual.",
            )
        if (effort := body.get("reasoning_effort", self.efforts[0])) not in self.efforts:
            taken = ", ".join(f"'{effort}'" for effort in self.efforts)
            return self.refuse(
                handler,
                "reasoning_effort",
                f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. "
                f"Supported values are: {taken}.",
            )
        return super().chat(handler, body)

    def refuse(self, handler: Handler, name: str, message: str) -> None:
        handler.send_json(400, {"error": {"message": message, "param": name, "code": "unsupported"}})

    def check(self, body: dict[str, Any], headers: dict[str, str]) -> None:
        if unknown := set(body) - set(self.FIELDS):
            raise Refusal(f"unknown fields: {sorted(unknown)}")
        if wrong := [name for name, value in body.items() if not self.FIELDS[name](value)]:
            raise Refusal(f"of the wrong type or out of range: {wrong}")
        self.check_messages(body)
        if not headers.get("authorization", "").startswith("Bearer "):
            raise Refusal("no Authorization header")
        if {"max_tokens", "max_completion_tokens"} <= set(body):
            raise Refusal("max_tokens and max_completion_tokens exclude each other")

    def check_messages(self, body: dict[str, Any]) -> None:
        check_messages(body)

    def error_body(self, kind: str, message: str) -> Any:
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def failure(self, kind: str, model: str, key: str) -> tuple[int, Any]:
        prompt, window = OVERFLOW
        too_long = (
            f"This model's maximum context length is {window} tokens. However, your messages resulted in "
            f"{prompt} tokens. Please reduce the length of the messages."
        )
        return {
            "missing": (404, self.error_body("invalid_request_error", f"The model '{model}' does not exist")),
            "busy": (503, self.error_body("server_error", "The engine is currently overloaded")),
            "overflow": (400, self.error_body("invalid_request_error", too_long)),
            "refused": (400, self.error_body("invalid_request_error", f"Not for you, {key}")),
        }[kind]

    def frame(self, data: str, event: str = "") -> bytes:
        return f"data: {data}\n\n".encode()

    def event(self, choices: list[Any], **more: Any) -> bytes:
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return self.frame(json.dumps({**head, "choices": choices, **more}))

    def delta(self, finish: str | None = None, **delta: str) -> bytes:
        return self.event([{"index": 0, "delta": delta, "finish_reason": finish}])

    def start(self, body: dict[str, Any]) -> Iterator[bytes]:
        self.asked_for_usage = body.get("stream_options") == {"include_usage": True}
        yield self.delta(role="assistant", content="")

    def piece(self, kind: str, text: str) -> bytes:
        part: dict[str, Any] = {"delta": {"content" if kind == "text" else self.thinking_field: text}}
        if kind == "text" and self.likely:
            part["logprobs"] = self.logprobs()
        return self.event([{"index": 0, "finish_reason": None, **part}])

    def logprobs(self) -> Any:
        return {"content": super().logprobs()}

    def end(self, reply: Reply, tokens: tuple[int, int]) -> Iterator[bytes]:
        yield self.delta(reply.finish)
        if self.asked_for_usage and reply.usage != "none":
            usage = {
                "prompt_tokens": tokens[0],
                "completion_tokens": tokens[1],
                "total_tokens": sum(tokens),
                "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS if tokens[0] else 0},
                "completion_tokens_details": {"reasoning_tokens": thought(reply)},
            }
            yield self.event([], usage=usage)
        yield self.frame("[DONE]")


class FakeOpenRouter(FakeOpenAI):
    """OpenRouter, with its `reasoning` and its marks for Anthropic's cache."""

    FIELDS = {  # noqa: RUF012
        **{name: check for name, check in FakeOpenAI.FIELDS.items() if name != "reasoning_effort"},
        "reasoning": lambda value: set(value) == {"effort"} and value["effort"] in EFFORTS,
    }

    mandatory = False
    # whether the model cannot but think

    def chat(self, handler: Handler, body: dict[str, Any]) -> None:
        if self.mandatory and body.get("reasoning") == {"effort": "none"}:
            message = "Reasoning is mandatory for this endpoint and cannot be disabled."
            return self.refuse(handler, "reasoning", message)
        return super().chat(handler, body)

    def check_messages(self, body: dict[str, Any]) -> None:
        check_blocks(body["messages"])
        plain = [{"role": message["role"], "content": text_of(message)} for message in body["messages"]]
        check_messages({**body, "messages": plain})


class FakeAnthropic(FakeServer):
    """Anthropic's Messages."""

    chat_path = "POST /v1/messages"
    content_type = "text/event-stream"

    FIELDS = frozenset(
        (
            "model",
            "messages",
            "max_tokens",
            "stream",
            "system",
            "cache_control",
            "thinking",
            "output_config",
        )
    )

    def __init__(self, *replies: Reply, key: str | None = None) -> None:
        super().__init__(*replies, key=key)
        self.thinking: Sequence[str] = ("adaptive", "disabled")
        # types that the model takes
        self.takes_effort = True
        self.facts: Any = {"id": "m", "type": "model", "max_input_tokens": 123_000, "max_tokens": 8192}
        # the answer to GET /v1/models/m

    def route(self, handler: Handler, route: str, body: dict[str, Any]) -> None:
        if route == "GET /v1/models/m":
            with self._lock:
                self.requests.append((route, body))
            return handler.send_json(200, self.facts)
        return super().route(handler, route, body)

    def chat(self, handler: Handler, body: dict[str, Any]) -> None:
        kind = body.get("thinking", {}).get("type")
        if kind and kind not in self.thinking:
            return self.refuse(handler, f'"thinking.type.{kind}" is not supported for this model.')
        if "output_config" in body and not self.takes_effort:
            return self.refuse(handler, "This model does not support the effort parameter.")
        return super().chat(handler, body)

    def refuse(self, handler: Handler, message: str) -> None:
        handler.send_json(400, self.error_body("invalid_request_error", message))

    def check(self, body: dict[str, Any], headers: dict[str, str]) -> None:
        if unknown := set(body) - self.FIELDS:
            raise Refusal(f"unknown fields: {sorted(unknown)}")
        if "anthropic-version" not in headers:
            raise Refusal("no anthropic-version header")
        if type(body.get("max_tokens")) is not int or body["max_tokens"] < 1:
            raise Refusal("max_tokens: field required, a number above 0")
        check_messages(body)
        self.check_thinking(body)
        roles = [message["role"] for message in body["messages"]]
        if set(roles) - {"user", "assistant"} or roles[0] != "user":
            raise Refusal(f"roles: {roles}")
        if any(one == next_one for one, next_one in itertools.pairwise(roles)):
            raise Refusal(f"roles must alternate: {roles}")
        system = [{"role": "system", "content": body["system"]}] if "system" in body else []
        check_blocks([*system, *body["messages"]], marks=3)
        if any(not text_of(message).strip() for message in [*system, *body["messages"]]):
            raise Refusal("text content blocks must contain non-whitespace text")
        if roles[-1] == "assistant" and text_of(body["messages"][-1])[-1].isspace():
            raise Refusal("final assistant content cannot end with trailing whitespace")
        if body.get("cache_control", {"type": "ephemeral"}) != {"type": "ephemeral"}:
            raise Refusal("cache_control")

    def check_thinking(self, body: dict[str, Any]) -> None:
        thinking = body.get("thinking", {"type": "disabled"})
        fields = {"type", "budget_tokens"} if thinking["type"] == "enabled" else {"type"}
        if thinking["type"] not in ("adaptive", "enabled", "disabled") or set(thinking) != fields:
            raise Refusal(f"thinking: {thinking}")
        if not 1024 <= thinking.get("budget_tokens", 1024) < max(body["max_tokens"], 1025):
            raise Refusal("thinking.budget_tokens must be at least 1024 and less than max_tokens")
        output = body.get("output_config", {"effort": "low"})
        if set(output) != {"effort"} or output["effort"] not in ("low", "medium", "high", "xhigh", "max"):
            raise Refusal(f"output_config: {output}")

    def error_body(self, kind: str, message: str) -> Any:
        return {"type": "error", "error": {"type": kind, "message": message}}

    def failure(self, kind: str, model: str, key: str) -> tuple[int, Any]:
        prompt, window = OVERFLOW
        too_long = f"prompt is too long: {prompt} tokens > {window} maximum"
        return {
            "missing": (404, self.error_body("not_found_error", f"model: {model}")),
            "busy": (529, self.error_body("overloaded_error", "Overloaded")),
            "overflow": (400, self.error_body("invalid_request_error", too_long)),
            "refused": (400, self.error_body("invalid_request_error", f"Not for you, {key}")),
        }[kind]

    def frame(self, data: str, event: str = "") -> bytes:
        return f"event: {event}\ndata: {data}\n\n".encode()

    def event(self, kind: str, **fields: Any) -> bytes:
        return self.frame(json.dumps({"type": kind, **fields}), kind)

    def start(self, body: dict[str, Any]) -> Iterator[bytes]:
        usage = {
            "input_tokens": PROMPT_TOKENS - CACHED_TOKENS - 2,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": CACHED_TOKENS,
            "output_tokens": 1,
        }
        message = {"id": "m1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
        yield self.event("message_start", message={**message, "stop_reason": None, "usage": usage})
        yield self.event("ping")
        yield self.event("content_block_start", index=0, content_block={"type": "text", "text": ""})

    def piece(self, kind: str, text: str) -> bytes:
        return self.event("content_block_delta", index=0, delta={"type": f"{kind}_delta", kind: text})

    def end(self, reply: Reply, tokens: tuple[int, int]) -> Iterator[bytes]:
        reason = {"stop": "end_turn", "length": "max_tokens"}.get(reply.finish, reply.finish)
        yield self.event("content_block_stop", index=0)
        usage = {"output_tokens": tokens[1], "output_tokens_details": {"thinking_tokens": thought(reply)}}
        yield self.event("message_delta", delta={"stop_reason": reason}, usage=usage)
        yield self.event("message_stop")


def check_messages(body: dict[str, Any]) -> None:
    if body.get("stream") is not True or not isinstance(body.get("model"), str):
        raise Refusal("model and stream: true are needed")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal("messages must be a list with something in it")
    for message in messages:
        if set(message) != {"role", "content"} or not isinstance(message["content"], str):
            raise Refusal(f"a message is a role and a text, not {message}")
        if message["role"] not in ("system", "user", "assistant"):
            raise Refusal(f"no such role: {message['role']}")


def check_blocks(messages: list[dict[str, Any]], marks: int = 4) -> None:
    """A content is a text, or blocks of text, of which a few may be marked for the cache."""
    blocks = [block for message in messages for block in message["content"] if isinstance(block, dict)]
    marked = [block for block in blocks if "cache_control" in block]
    if any(
        {**block, "cache_control": 0} != {"type": "text", "text": block.get("text"), "cache_control": 0}
        for block in blocks
    ):
        raise Refusal(f"blocks of another kind: {blocks}")
    if any(block["cache_control"] != {"type": "ephemeral"} or not block["text"].strip() for block in marked):
        raise Refusal("cache_control cannot be set for empty text blocks")
    if len(marked) > marks:
        raise Refusal(f"A maximum of {marks} blocks with cache_control may be provided.")


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def count(messages: Sequence[dict[str, Any]]) -> int:
    """Tokens, as FakeOllama counts them."""
    return sum(len(text_of(message)) for message in messages) // 4


def pieces(text: str, step: int | None) -> list[str]:
    """A reply's text as it is streamed."""
    if step:
        return [text[start : start + step] for start in range(0, len(text), step)]
    return re.findall(r"\S+\s*|\s+", text)


def thought(reply: Reply) -> int:
    """Tokens of a reply that were thinking."""
    return len(pieces(reply.thinking, None))


def tagged(model: str) -> str:
    return model if ":" in model else f"{model}:latest"


def shown(
    length: int = 8192,
    layers: int = 2,
    capabilities: list[str] | None = None,
    architecture: str = "tiny",
) -> dict[str, Any]:
    """A reply of /api/show; with two layers a token of context takes 64 bytes, which always fit."""
    facts = {
        "context_length": length,
        "block_count": layers,
        "attention.head_count": 4,
        "attention.head_count_kv": 1,
        "attention.key_length": 8,
        "attention.value_length": 8,
    }
    return {
        "capabilities": capabilities or ["completion"],
        "model_info": {"general.architecture": architecture}
        | {f"{architecture}.{name}": fact for name, fact in facts.items()},
    }
