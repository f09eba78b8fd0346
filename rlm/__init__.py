"""Recursive Language Models on your own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm.cancel import Cancel
from rlm.errors import RLMError
from rlm.types import RLMResult, Usage

if TYPE_CHECKING:
    from rlm.engine import RLM

__version__ = "0.1.0"
__all__ = ["RLM", "Cancel", "RLMError", "RLMResult", "Usage", "__version__"]


def __getattr__(name: str) -> Any:
    """Loads the engine when it is first used, so that importing rlm costs next to nothing."""
    if name == "RLM":
        from rlm.engine import RLM

        return RLM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
