"""Options of the heads that come with ForestPilot, apart from their networks: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.sim.errors import InvalidArgumentError


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

    components: int = 3
    """Number of normal distributions."""

    def __post_init__(self) -> None:
        if self.components < 1:
            raise InvalidArgumentError(f"components must be at least 1, got {self.components}")


@dataclass(frozen=True)
class CategoricalConfig(HeadConfig):
    """Options of the categorical head."""

    part: ClassVar[str] = "categorical"
    needs_costs: ClassVar[bool | None] = False

    bins: int = 33
    """Number of bins over the turn."""

    def __post_init__(self) -> None:
        if self.bins < 3:
            raise InvalidArgumentError(f"bins must be at least 3, got {self.bins}")


@dataclass(frozen=True)
class TurnCostsConfig(HeadConfig):
    """Options of the head that predicts costs; costs are in the expert's units."""

    part: ClassVar[str] = "turn-costs"
    needs_costs: ClassVar[bool | None] = True

    hysteresis_per_rad: float = 0.3
    """Cost per radian away from the heading, or steering, commanded last."""
    clip: float = 30.0
    """Cost above the cheapest candidate beyond which all is equally bad."""
    scale: float = 1.0
    """Divides the target of the network."""
    curve: Literal["linear", "sqrt"] = "sqrt"
    """`linear`, or `sqrt` to spread the small differences near the cheapest."""
    predict_go: bool = True
    """Learn the expert's go; False goes at the full set point."""

    def __post_init__(self) -> None:
        if self.curve not in ("linear", "sqrt"):
            raise InvalidArgumentError(f"curve must be linear or sqrt, got {self.curve!r}")
        if self.clip <= 0 or self.scale <= 0 or self.hysteresis_per_rad < 0:
            raise InvalidArgumentError(
                f"clip and scale must be positive, hysteresis_per_rad not negative; got {self.clip}, {self.scale} and "
                f"{self.hysteresis_per_rad}"
            )
