"""What went wrong, in rlm's terms: error answers, lost connections, keys. Knows providers' words, no SDK."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

from rlm.errors import (
    AuthenticationError,
    ClientError,
    ConfigurationError,
    ContextOverflow,
    ModelNotFound,
    RequestRefused,
    ServerBusy,
    Unreachable,
)

QUOTED = 300
# characters of a server's own words that an error repeats

SHORTEST_KEY = 8
# characters; anything shorter is a placeholder, and an ordinary word

_OVERFLOW = re.compile(
    r"exceed_context_size|context_length_exceeded|maximum context length|prompt is too long"
    r"|exceeds? (the )?(available )?context (size|window|length|limit)",
    re.IGNORECASE,
)
_COUNTS = (
    # how servers put the prompt's tokens and the window, each of them where it is known
    r"n_prompt_tokens\W+(?P<prompt>\d+)",  # llama.cpp, Ollama
    r"n_ctx\W+(?P<window>\d+)",
    r"prompt is too long: (?P<prompt>\d+) tokens > (?P<window>\d+)",  # Anthropic
    r"maximum context length (is|of) (?P<window>\d+)",  # OpenAI, vLLM, OpenRouter
    r"(resulted in|requested( about)?|\() ?(?P<prompt>\d+) (input )?tokens",
)


def failure(
    status: int,
    said: str,
    *,
    server: str,
    model: str,
    on_auth: str,
    on_missing: str,
    retry_after: float | None = None,
    secret: str = "",
) -> ClientError:
    """The error that a server's error answer means.

    `said` is the answer's body; `on_auth` and `on_missing` tell the reader what to do about a key that is
    not accepted and a model that is not there; `secret` is kept out of the text.
    """
    words = quote(said, secret=secret)
    if status < 500 and _OVERFLOW.search(said):
        return overflow(said, server=server, model=model)
    if status in (401, 403):
        # The server's own words may repeat the key.
        return AuthenticationError(f"{server} does not let this request in (HTTP {status}). {on_auth}")
    if status == 404:
        return ModelNotFound(f'{server} has no model "{model}". {on_missing}')
    if status == 402 or "insufficient_quota" in said:
        return RequestRefused(f"{server} wants to be paid first (HTTP {status}): {words}")
    if status in (408, 409, 425, 429) or status >= 500:
        return ServerBusy(
            f"{server} is overloaded or failing (HTTP {status}): {words}", retry_after=retry_after
        )
    return RequestRefused(f"{server} refused the request (HTTP {status}): {words}")


def overflow(said: str, *, server: str, model: str) -> ContextOverflow:
    """The error for a prompt that does not fit, with the numbers that the server gave."""
    found: dict[str, int] = {}
    for pattern in _COUNTS:
        if match := re.search(pattern, said):
            for name, value in match.groupdict().items():
                found.setdefault(name, int(value))
    prompt, window = found.get("prompt"), found.get("window")
    sizes = f": {prompt} tokens, the window holds {window}" if prompt and window else ""
    return ContextOverflow(
        f'The prompt does not fit the window of "{model}" on {server}{sizes}. Send less text in one call.',
        prompt_tokens=prompt,
        window=window,
    )


def is_overflow(said: str) -> bool:
    """Whether a server's words mean that the prompt does not fit."""
    return bool(_OVERFLOW.search(said))


def unreachable(
    cause: BaseException | None, *, server: str, url: str, advice: str, met: bool = False
) -> Unreachable:
    """The error for a connection that could not be made, or broke before the answer began.

    met: whether the server has answered before, so that it may be restarting.
    """
    error = Unreachable(f"Cannot reach {server}. {advice} ({type(cause).__name__}: {quote(str(cause))})")
    # Nothing listens on this machine: that does not change within seconds, so the reader learns it at once.
    error.retryable = met or not (type(cause).__name__ == "ConnectError" and on_this_machine(url))
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The pause in seconds that a server asks for: RFC 9110 Retry-After, as seconds or as a date."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError):
        return None


def quote(said: str, *, secret: str = "") -> str:
    """A server's words in one line, cut in public; of a JSON body, its message."""
    line = " ".join(_message(said).split())
    line = line.replace(secret, "…") if len(secret) >= SHORTEST_KEY else line
    return line if len(line) <= QUOTED else f"{line[:QUOTED]} … ({len(line) - QUOTED} characters left out)"


def _message(said: str) -> str:
    """The innermost text under the names that servers use; also where JSON lies in a string of JSON."""
    try:
        found = json.loads(said)
    except ValueError:
        return said
    while isinstance(found, dict):
        found = found.get("error") or found.get("message") or found.get("detail")
    return _message(found) if isinstance(found, str) else said


def api_key(given: str | None, variable: str, *, label: str) -> str:
    """The key that was given, or the one in the environment; raises ConfigurationError when there is none."""
    key = (given or os.environ.get(variable, "")).strip()
    if not key:
        raise ConfigurationError(
            f"{label} needs a key: set the environment variable {variable}, or pass api_key=."
        )
    if not key.isascii() or not key.isprintable():
        # An HTTP library would show such a key in its own error.
        raise ConfigurationError(
            f"The key for {label} holds characters that no key has. Set {variable} anew."
        )
    return key


def public(url: str) -> str:
    """A URL without what may be secret in it: a user's name and password, and the query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def on_this_machine(url: str) -> bool:
    """Whether a URL names a loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
