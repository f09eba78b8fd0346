"""An Ollama server: its address, its models, the window to ask for, its error answers. Generates nothing."""

from __future__ import annotations

import difflib
import json
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlm.clients import failures, wire
from rlm.clients.fit import NUM_CTX, ModelFacts, available_memory, choose
from rlm.errors import ClientError, ConfigurationError, InvalidReply, ModelNotFound, RequestRefused

if TYPE_CHECKING:
    import httpx2

METADATA_TIMEOUT = 30.0
# seconds; for questions that load no model

logger = logging.getLogger(__name__)

_facts: dict[tuple[str, str], ModelFacts] = {}
# what is known of each (host, model); touched on wire's loop alone, and so without a lock


@dataclass(frozen=True)
class Server:
    """One Ollama server."""

    host: str
    # base URL

    @property
    def label(self) -> str:
        return f"Ollama at {failures.public(self.host)}"

    @property
    def is_cloud(self) -> bool:
        return urlsplit(self.host).hostname == "ollama.com"

    def connect(self) -> httpx2.AsyncClient:
        """A pool of connections to it. Only wire limits the time between the pieces of a reply."""
        import httpx2

        key = os.environ.get("OLLAMA_API_KEY")
        bearer = (
            key
            and self.host.startswith("https://")
            and failures.api_key(key, "OLLAMA_API_KEY", label="Ollama")
        )
        return httpx2.AsyncClient(
            base_url=self.host,
            timeout=httpx2.Timeout(None, connect=wire.CONNECT_TIMEOUT),
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
            # As in Go, and so in Ollama's own client: a proxy is never asked for a loopback address.
            trust_env=not failures.on_this_machine(self.host),
            # Loading the certificates takes longer than a question to a server that uses none.
            verify=self.host.startswith("https://"),
        )

    async def facts(self, http: httpx2.AsyncClient, model: str) -> ModelFacts:
        """What the server says about a model; asked once."""
        key = (self.host, tagged(model))
        if key not in _facts:
            _facts[key] = ModelFacts.read(await self.ask(http, "POST", "/api/show", model=model))
        return _facts[key]

    async def window(self, http: httpx2.AsyncClient, model: str, num_ctx: int) -> int:
        """The window in tokens to ask for: what the model has; and on this machine, what the memory holds.

        A num_ctx other than the default is obeyed up to the model's length, with a warning beyond the memory.
        """
        facts = await self.facts(http, model)
        if facts.chats is False:
            raise RequestRefused(f'"{model}" on {self.label} is no chat model. Take another one.')
        longest = choose(num_ctx, facts, memory=None)
        if longest < num_ctx != NUM_CTX:
            logger.warning("num_ctx=%d is beyond %s, which has %d; that is used.", num_ctx, model, longest)
        if facts.remote or not failures.on_this_machine(self.host):
            return longest
        running = _entry(await self.ask(http, "GET", "/api/ps"), model)
        weights = 0 if running else _entry(await self.ask(http, "GET", "/api/tags"), model).get("size") or 0
        memory = available_memory()
        free = None if memory is None else max(0, memory - weights)
        fitting = choose(num_ctx, facts, memory=free, loaded=running.get("context_length") or 0)
        if num_ctx == NUM_CTX or fitting == longest:
            return fitting
        logger.warning("num_ctx=%d may not fit in memory; for %s about %d would.", longest, model, fitting)
        return longest

    async def loaded(self, http: httpx2.AsyncClient, model: str) -> int:
        """The window in tokens that the server has allocated for a model, 0 where it has not loaded it."""
        return _entry(await self.ask(http, "GET", "/api/ps"), model).get("context_length") or 0

    async def pull(self, http: httpx2.AsyncClient, model: str) -> AsyncIterator[tuple[int, int]]:
        """Makes the server download a model; yields the bytes that are there and those that are known of."""
        import httpx2

        failure: ClientError | None = None
        sizes: dict[str, tuple[int, int]] = {}
        status = ""
        try:
            async with http.stream("POST", "/api/pull", json={"model": model}) as response:
                if response.status_code != 200:
                    raise await self.failure(http, response, model)
                async for line in lines(response):
                    told = json.loads(line)
                    if "error" in told:
                        words = failures.quote(str(told["error"]))
                        raise ModelNotFound(f'{self.label} could not pull "{model}": {words}')
                    status = told["status"]
                    if told.get("total"):
                        sizes[told["digest"]] = told.get("completed") or 0, told["total"]
                    yield sum(done for done, _ in sizes.values()), sum(size for _, size in sizes.values())
        except httpx2.RequestError as error:
            failure = self.unreachable(error)
        except (ValueError, KeyError, TypeError):
            failure = InvalidReply(f"{self.label} does not tell how far it is with pulling.")
        if failure:
            raise failure
        if status != "success":
            raise InvalidReply(f'{self.label} ended the pull of "{model}" without success.')

    async def names(self, http: httpx2.AsyncClient, *, timeout: float = METADATA_TIMEOUT) -> list[str]:
        """The installed models."""
        listed = await self.ask(http, "GET", "/api/tags", timeout=timeout)
        return [entry["name"] for entry in _entries(listed) if "name" in entry]

    async def ask(
        self,
        http: httpx2.AsyncClient,
        method: str,
        path: str,
        *,
        model: str = "",
        body: dict[str, Any] | None = None,
        timeout: float | None = METADATA_TIMEOUT,
    ) -> dict[str, Any]:
        """The answer to a question that is one JSON object."""
        import httpx2

        failure: ClientError | None = None
        answer: object = None
        try:
            body = body or ({"model": model} if model else None)
            response = await http.request(method, path, json=body, timeout=timeout)
            if response.status_code != 200:
                raise await self.failure(http, response, model or (body or {}).get("model", ""))
            answer = response.json()
        except httpx2.RequestError as error:
            failure = self.unreachable(error)
        except ValueError:
            failure = InvalidReply(f"{self.label} answers {path} with something that is not JSON.")
        if failure:  # raised out here, where the request with its key does not become its context
            raise failure
        return answer if isinstance(answer, dict) else {}

    async def failure(self, http: httpx2.AsyncClient, response: httpx2.Response, model: str) -> ClientError:
        """The error that an error answer means."""
        said = (await response.aread()).decode(errors="replace")
        sign_in = _field(said, "signin_url")
        if "more system memory" in said:
            return RequestRefused(f"{self.label}: {failures.quote(said)} Use a smaller num_ctx or model.")
        return failures.failure(
            response.status_code,
            said,
            server=self.label,
            model=model,
            on_auth='Run "ollama signin"'
            + (f" or open {sign_in}" if sign_in else ", or set OLLAMA_API_KEY."),
            on_missing=await self._remedy(http, model) if response.status_code == 404 and model else "",
            retry_after=failures.retry_after(response.headers),
        )

    def unreachable(self, error: Exception, *, met: bool = False) -> ClientError:
        """The error that a lost connection means."""
        advice = 'Is "ollama serve" running? Set OLLAMA_HOST, or host=, if it runs elsewhere.'
        return failures.unreachable(error, server=self.label, url=self.host, advice=advice, met=met)

    async def _remedy(self, http: httpx2.AsyncClient, model: str) -> str:
        """What to do about a model that is not there."""
        try:
            names = await self.names(http)
        except ClientError:
            names = []
        near = difflib.get_close_matches(model, names, n=3, cutoff=0.5) or names[:5]
        return f'Run "ollama pull {model}", or let it be pulled (pull=True, --pull)' + (
            f", or use one that is there: {', '.join(near)}." if near else "."
        )


async def lines(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The lines of a stream. httpx2's own would split at U+0085 too, which may stand inside JSON."""
    rest = b""
    async for data in response.aiter_bytes():
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


def ollama_host(value: str | None = None) -> str:
    """The base URL that a host means by Ollama's own rule (envconfig/config.go); None: OLLAMA_HOST."""
    value = (os.environ.get("OLLAMA_HOST", "") if value is None else value).strip().strip("\"'").strip()
    scheme, separator, rest = value.partition("://")
    if value == "ollama.com":
        scheme, rest = "https", "ollama.com:443"
    elif not separator:
        scheme, rest = "http", value
    if scheme.lower() not in ("http", "https"):
        raise ConfigurationError(f'"{value}" is no address of Ollama. Write it as http://server:11434.')
    default = {"http": "80", "https": "443"}[scheme.lower()] if separator else "11434"
    address, _, path = rest.partition("/")
    if "@" in address:
        raise ConfigurationError(
            f"Ollama's address has a user or a password, which is not supported: {scheme.lower()}://…@"
            f"{address.rpartition('@')[2]}. Give the address without them; a key goes into OLLAMA_API_KEY."
        )
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):  # no port, or a bare IPv6 address
        host, port = address, default
    if not (port.isdecimal() and int(port) <= 65535):
        logger.warning('"%s" has no valid port; %s is used.', value, default)
        port = default
    host = host.strip("[]")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    base = f"{scheme.lower()}://[{host}]:{port}" if ":" in host else f"{scheme.lower()}://{host}:{port}"
    return f"{base}/{path.strip('/')}".rstrip("/")


def tagged(model: str) -> str:
    """A model's full name: Ollama adds the tag `latest` where there is none."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def _entries(listed: dict[str, Any]) -> list[dict[str, Any]]:
    """The models in the reply of /api/ps or /api/tags."""
    return [entry for entry in listed.get("models") or [] if isinstance(entry, dict)]


def _entry(listed: dict[str, Any], model: str) -> dict[str, Any]:
    return next((entry for entry in _entries(listed) if entry.get("name") == tagged(model)), {})


def _field(said: str, name: str) -> str:
    """A text field of a JSON object, "" where there is none."""
    try:
        return str(json.loads(said).get(name) or "")
    except (ValueError, AttributeError):
        return ""
