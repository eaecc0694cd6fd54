"""Options of the heads that come with ForestPilot, apart from their networks: help needs them, and no torch."""

from __future__ import annotations

from collections.abc import Sequence
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
    over: Literal["turn", "turn-go"] = "turn"
    """What a bin is: a `turn`, with go predicted beside it, or a turn and a go together, `turn-go`."""
    go_bins: Annotated[int, Range(3, 129)] = 9
    """Number of bins over go, for each bin of turn; turn-go only."""

    def __post_init__(self) -> None:
        require_ranges(self)
        require_choice("over", self.over, ("turn", "turn-go"))


DrawEach = Literal["episode", "step"]
"""When a head that draws when it acts draws anew."""
DRAW_EACH: tuple[DrawEach, ...] = ("episode", "step")


@dataclass(frozen=True)
class GenerativeConfig(HeadConfig):
    """What heads have in common that make an action out of noise."""

    needs_costs: ClassVar[bool | None] = False

    width: Annotated[int, Range(1, 4096)] = 128
    """Units of the hidden layers."""
    draws: Annotated[int, Range(1, 256)] = 8
    """What is drawn so often for each action in a gradient step: noise with its level or time, or a cvae's z."""
    draw_each: DrawEach = "episode"
    """When that is drawn which becomes an action: for each `episode`, which keeps to one style, or at every `step`."""

    samples: Annotated[int, Range(1, 256)] = 1
    """Actions that are drawn when it acts; of several, the one that has the most others near it is taken."""

    def __post_init__(self) -> None:
        require_ranges(self)
        require_choice("draw_each", self.draw_each, DRAW_EACH)


@dataclass(frozen=True)
class CVAEConfig(GenerativeConfig):
    """Options of the conditional variational autoencoder."""

    part: ClassVar[str] = "cvae"

    width: Annotated[int, Range(1, 4096)] = 96
    """Units of the hidden layers of encoder and decoder."""
    draws: Annotated[int, Range(1, 256)] = 4
    """Draws of z for each action in a gradient step."""
    latent: Annotated[int, Range(1, 256)] = 4
    """Size of z, what the picture leaves open."""
    kl_weight: Annotated[float, Range(0, 1000)] = 1.0
    """Weight of the KL term; 1 is the ELBO, less lets z say more of the action than the prior allows."""
    kl_warmup: Annotated[float, Range(0, 1)] = 0.5
    """Share of a round's gradient steps over which that weight rises from 0; 0 for all of it from the start."""


@dataclass(frozen=True)
class DenoisingConfig(GenerativeConfig):
    """What diffusion and flow have in common."""

    scale: Annotated[float, Range(0, 100, above=True)] = 2.0
    """Multiplies actions, so that they spread about as much as the noise."""


@dataclass(frozen=True)
class DiffusionConfig(DenoisingConfig):
    """Options of the diffusion head."""

    part: ClassVar[str] = "diffusion"

    levels: Annotated[int, Range(2, 1000)] = 100
    """Noise levels in training (T of the paper)."""
    steps: Annotated[int, Range(1, 10)] = 10
    """Denoising steps when it acts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps > self.levels:
            raise InvalidArgumentError(f"steps is {self.steps}; allowed: 1 to levels = {self.levels}")


@dataclass(frozen=True)
class FlowConfig(DenoisingConfig):
    """Options of the rectified flow."""

    part: ClassVar[str] = "flow"

    steps: Annotated[int, Range(1, 4)] = 4
    """Euler steps when it acts."""


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


def require_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ValueError where an option is none of those allowed."""
    if value not in allowed:
        raise InvalidArgumentError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
