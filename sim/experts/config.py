"""Options of experts, apart from the experts: whoever only reads configs does not wait for the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from forestpilot.sim.registry import PartConfig


@dataclass(frozen=True)
class ExpertConfig(PartConfig):
    """Options of an expert; one that anybody may choose by name has a frozen subclass of its own."""


@dataclass(frozen=True)
class OwnConfig(ExpertConfig):
    """The task's own expert has no options."""

    part: ClassVar[str] = "own"
