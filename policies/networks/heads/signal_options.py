"""Options of the heads that learn from more of the expert's answer than its action or its costs alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.options import TurnCostsConfig
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class SoftTurnsConfig(HeadConfig):
    """Options of the head that learns the expert's soft choice among the candidate turns."""

    part: ClassVar[str] = "soft-turns"
    needs_costs: ClassVar[bool | None] = True

    temperature: Annotated[float, Range(0, 1e6, above=True)] = 0.1
    """Cost, in the expert's units, by which a candidate may be dearer and be chosen e times less: near 0 all of the
    choice is the cheapest's, a large one makes no difference between good and bad.
    """

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class CostsAndActionConfig(TurnCostsConfig):
    """Options of the head that learns costs and action together; costs are in the expert's units."""

    part: ClassVar[str] = "costs-and-action"
    needs_costs: ClassVar[bool | None] = True

    action_weight: Annotated[float, Range(0, 1e6)] = 1.0
    """Weight of the turn's squared error beside the costs' loss."""
    agreement: Annotated[float, Range(0, 2)] = 0.2
    """Difference between the cheapest turn and the regressed one, as a share of the largest turn, up to which the
    regressed one is taken; 0.2 is two candidates.
    """
