"""How large a window to ask of Ollama: what the model has, what the memory holds. Knows no HTTP."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUM_CTX = 131072
# tokens; the ceiling where the user names no window
MINIMUM = 4096
# tokens; asked for even where the memory seems to hold less, since below it no RLM works
STEP = 1024
# tokens; the window is rounded down to a multiple
KV_SHARE = 0.8
# of the memory beside the weights; the rest is for the server's other buffers and everyone else


@dataclass(frozen=True)
class ModelFacts:
    """What /api/show says about a model."""

    length: int | None = None
    # tokens that it was trained for
    kv_bytes: int | None = None
    # memory that one token of context takes, with a cache of 16-bit floats
    thinks: bool | None = None
    # None: the server does not say
    levels: bool = False
    # thinks at a level, always, and takes no True or False for it
    chats: bool | None = None
    # False: it does something else, such as embeddings
    remote: bool = False
    # runs elsewhere, this server only passes it on

    @classmethod
    def read(cls, shown: dict[str, Any]) -> ModelFacts:
        """Reads the reply of /api/show."""
        info = shown.get("model_info") or {}
        capabilities = shown.get("capabilities")
        return cls(
            length=_number(info, "context_length") or None,
            kv_bytes=kv_bytes_per_token(info),
            thinks=None if capabilities is None else "thinking" in capabilities,
            levels="gptoss" in str(info.get("general.architecture")).replace("-", ""),
            chats=None if capabilities is None else "completion" in capabilities,
            remote=bool(shown.get("remote_host")),
        )


def kv_bytes_per_token(info: dict[str, Any]) -> int | None:
    """Bytes of KV cache for each token: layers x KV heads x (key + value length) x 2 bytes.

    Sliding windows and compressed caches take less, so this errs on the careful side; None: not known.
    """
    layers, heads = _number(info, "block_count"), _number(info, "attention.head_count")
    kv_heads = _value(info, "attention.head_count_kv")
    head_size = _number(info, "embedding_length") // heads if heads else 0
    sizes = [_number(info, f"attention.{part}_length") or head_size for part in ("key", "value")]
    total = sum(kv_heads) if isinstance(kv_heads, list) else layers * int(kv_heads or heads)
    return total * sum(sizes) * 2 or None


def choose(asked: int, facts: ModelFacts, *, memory: int | None, loaded: int = 0) -> int:
    """The num_ctx to ask for where `asked` is a ceiling.

    `memory`: bytes free for the cache, None where it is not known; `loaded`: the window that the server
    already holds for this model, which therefore fits.
    """
    longest = min(asked, facts.length or asked)
    if memory is None or not facts.kv_bytes:
        return longest
    fits = int(memory * KV_SHARE) // facts.kv_bytes // STEP * STEP
    return min(longest, max(fits, loaded, MINIMUM))


def available_memory() -> int | None:
    """Bytes that programs can still have, as Linux says; elsewhere half of what is built in, or None."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return None


def _value(info: dict[str, Any], key: str) -> Any:
    """The metadata `<architecture>.<key>`."""
    return info.get(f"{info.get('general.architecture', '')}.{key}")


def _number(info: dict[str, Any], key: str) -> int:
    value = _value(info, key)
    return value if isinstance(value, int) else 0
