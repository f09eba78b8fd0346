"""What holds on this machine: policies, and the report that a REPL's process measured of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Policy = Literal["strict", "best-effort", "off"]
Kind = Literal["process", "inprocess"]
KINDS: tuple[Kind, ...] = ("process", "inprocess")
POLICIES: tuple[Policy, ...] = ("strict", "best-effort", "off")


@dataclass(frozen=True)
class Report:
    """Which protections a REPL has, measured in its process before any cell ran."""

    policy: Policy
    missing: Mapping[str, str] = field(default_factory=dict)
    # of each layer of confinement, "" or why it is not there
    held: Mapping[str, bool] = field(default_factory=dict)
    # of each thing that must not work, whether it was refused when the process tried it

    @property
    def confined(self) -> bool:
        """Whether all was refused that the process tried; it tries nothing where nothing is to hold it."""
        return bool(self.held) and not self.open

    @property
    def open(self) -> tuple[str, ...]:
        """What the code of a model could do."""
        return tuple(name for name, held in self.held.items() if not held)

    @property
    def complete(self) -> bool:
        """Whether nothing is open and no layer is missing."""
        return self.confined and not any(self.missing.values())

    def __str__(self) -> str:
        if self.complete:
            return "The REPL is confined."
        if not self.held:
            return "The REPL is not confined."
        reasons = "; ".join(f"{layer}: {why}" for layer, why in self.missing.items() if why)
        if not self.open:
            return f"The REPL is confined, with a layer less ({reasons})."
        return f"The REPL is not confined: {', '.join(self.open)} left open" + (
            f" ({reasons})." if reasons else "."
        )
