"""Options of the heads that come with ForestPilot, apart from their networks: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class RegressionConfig(HeadConfig):
    """Regression has no options."""

    part: ClassVar[str] = "regression"
    needs_costs: ClassVar[bool | None] = False


@dataclass(frozen=True)
class GaussianConfig(HeadConfig):
    """The Gaussian has no options."""

    part: ClassVar[str] = "gaussian"
    needs_costs: ClassVar[bool | None] = False


@dataclass(frozen=True)
class MixtureConfig(HeadConfig):
    """Options of the mixture."""

    part: ClassVar[str] = "mixture"
    needs_costs: ClassVar[bool | None] = False

    components: Annotated[int, Range(1, 256)] = 3
    """Number of normal distributions."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class CategoricalConfig(HeadConfig):
    """Options of the categorical head."""

    part: ClassVar[str] = "categorical"
    needs_costs: ClassVar[bool | None] = False

    bins: Annotated[int, Range(3, 1025)] = 33
    """Number of bins over the turn."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class TurnCostsConfig(HeadConfig):
    """Options of the head that predicts costs; costs are in the expert's units."""

    part: ClassVar[str] = "turn-costs"
    needs_costs: ClassVar[bool | None] = True

    hysteresis_per_rad: Annotated[float, Range(0, 1e6)] = 0.3
    """Cost per radian away from the heading, or steering, commanded last."""
    clip: Annotated[float, Range(0, 1e6, above=True)] = 30.0
    """Cost above the cheapest candidate beyond which all is equally bad."""
    scale: Annotated[float, Range(0, 1e6, above=True)] = 1.0
    """Divides the target of the network."""
    curve: Literal["linear", "sqrt"] = "sqrt"
    """`linear`, or `sqrt` to spread the small differences near the cheapest."""
    predict_go: bool = True
    """Learn the expert's go; False goes at the full set point."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.curve not in ("linear", "sqrt"):
            raise InvalidArgumentError(f"curve must be linear or sqrt, got {self.curve!r}")
