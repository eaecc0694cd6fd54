"""Options of world models and of how they are trained: commands read them, and print their help, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.policies.world_models import LearnerConfig, WorldModelConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import SEEDS, STEPS, Range, require_ranges
from forestpilot.sim.registry import part_of

Noise = Literal["none", "gaussian"]
"""What a model says of what it cannot know: nothing, or how large its errors are."""


def _require_noise(noise: str) -> None:
    if noise not in ("none", "gaussian"):
        raise InvalidArgumentError(f"noise is {noise!r}; allowed: none, gaussian")


@dataclass(frozen=True)
class StripConfig(WorldModelConfig):
    """A state-space model: the next state, goal and strip of depths follow from this one and the action."""

    part: ClassVar[str] = "strip"
    channels: Annotated[int, Range(4, 1024)] = 24
    """Channels of the convolutions along the strip."""
    features: Annotated[int, Range(4, 4096)] = 64
    """Width of the network that predicts state and goal."""
    noise: Noise = "gaussian"
    """`none` for a deterministic model, `gaussian` for one that also learns the standard deviation of each element."""

    def __post_init__(self) -> None:
        require_ranges(self)
        _require_noise(self.noise)


@dataclass(frozen=True)
class ImageConfig(WorldModelConfig):
    """A latent model: an encoder reads the view, a GRU goes on from there, a decoder draws what would be seen."""

    part: ClassVar[str] = "image"
    channels: Annotated[int, Range(4, 1024)] = 16
    """Channels of the encoder's first layer; the second has twice as many."""
    latent: Annotated[int, Range(4, 4096)] = 64
    """Numbers in which a view is encoded."""
    memory: Annotated[int, Range(4, 4096)] = 128
    """Width of the GRU."""
    noise: Noise = "gaussian"
    """`none` for a deterministic model, `gaussian` for one that also learns how large its errors are."""

    def __post_init__(self) -> None:
        require_ranges(self)
        _require_noise(self.noise)


@dataclass(frozen=True)
class ClonedConfig(LearnerConfig):
    """Maximum likelihood of the next state: from the true one before (teacher forcing), or from the model's own."""

    part: ClassVar[str] = "cloned"
    free_steps: Annotated[int, Range(0, 1023)] = 0
    """Steps at the end of each window at which the model goes on from what it has predicted itself; with 0 it is told
    the truth before every step."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class AdversarialConfig(LearnerConfig):
    """GAIL of the world: a discriminator over (state, action, next state) tells imagined from true transitions."""

    part: ClassVar[str] = "adversarial"
    warm_up: Annotated[float, Range(0, 1, below=True)] = 0.5
    """Share of the steps that only clone, before the discriminator comes in."""
    likelihood: Annotated[float, Range(0, 1000)] = 0.3
    """Weight of the likelihood of the true transitions beside the discriminator; 0 for the discriminator alone."""
    adversary: Annotated[float, Range(0, 1000)] = 0.3
    """Weight of the discriminator."""
    critic_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    """Learning rate of the discriminator."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if not self.likelihood and not self.adversary:
            raise InvalidArgumentError("likelihood and adversary are both 0: there is nothing to learn")


@dataclass(frozen=True)
class PlanConfig:
    """How courses are imagined and compared."""

    horizon: Annotated[int, Range(2, 200)] = 14
    """Steps that are imagined."""
    danger: Annotated[float, Range(0, 1000)] = 4.0
    """What a step in full danger costs, in steps of full progress."""
    change: Annotated[float, Range(0, 1000)] = 0.3
    """What it costs to turn otherwise than at the step before, for the largest turn, likewise."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class ImagineConfig:
    """Learn a model of the world from datasets; killed or interrupted, the same command goes on where it stopped."""

    data: tuple[str, ...] = of_this_machine(())
    """Dataset folders."""
    held_out: tuple[str, ...] = of_this_machine(())
    """Datasets of other worlds, along whose episodes the model's errors are measured; by default a part of `data` is
    kept back for that."""
    out: str = not_the_result("runs/world")
    """Run folder: the model, metrics.csv, errors by horizon, films. The same command again goes on."""
    model: WorldModelConfig = field(
        default=StripConfig(), metadata=part_of("forestpilot.policies.world_models:WORLD_MODELS")
    )
    """What is predicted: a `strip` of depths with the state, or the `image`."""
    learner: LearnerConfig = field(
        default=ClonedConfig(), metadata=part_of("forestpilot.policies.world_models:WORLD_LEARNERS")
    )
    """How it is trained: `cloned` or `adversarial`."""
    seed: Annotated[int, SEEDS] = 0
    """Seed of the first weights and of sampling."""
    steps: Annotated[int, STEPS] = 2000
    """Gradient steps."""
    batch: Annotated[int, Range(1, 65_536)] = 32
    """Windows per gradient step."""
    window: Annotated[int, Range(2, 1024)] = 10
    """Steps of a window."""
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 6e-3
    """Learning rate at the beginning; it falls along a cosine to a tenth."""
    keep_back: Annotated[float, Range(0, 1, above=True, below=True)] = 0.2
    """Without held_out: share of the episodes, the last ones, that the model does not learn from."""
    horizon: Annotated[int, Range(2, 1000)] = 40
    """Largest number of steps that are imagined when errors are measured."""
    films: Annotated[int, Range(0, 1000)] = not_the_result(0)
    """Held-out episodes of which a film shows the imagined beside the true."""
    checkpoint_every: Annotated[int, STEPS] = not_the_result(500)
    """Gradient steps between saved states."""
    log_every: Annotated[int, STEPS] = not_the_result(50)
    """Gradient steps between rows of metrics.csv."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "data", tuple(self.data))
        object.__setattr__(self, "held_out", tuple(self.held_out))
        free_steps = getattr(self.learner, "free_steps", 0)
        if free_steps >= self.window:
            raise InvalidArgumentError(
                f"learner.free-steps is {free_steps}; allowed: 0 to {self.window - 1}, fewer than window"
            )
