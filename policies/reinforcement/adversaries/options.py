"""Options of the adversaries: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from forestpilot.data_collection.episodes.config_fields import of_this_machine
from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.options import PatchConfig
from forestpilot.policies.reinforcement.adversaries import AdversaryConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import STEPS, Range, require_ranges
from forestpilot.sim.registry import part_of

Regulariser = Literal["gradient-penalty", "spectral-norm", "none"]
"""What keeps a discriminator smooth."""
RewardForm = Literal["log-odds", "positive", "negative"]
"""What reward a discriminator's opinion becomes."""


@dataclass(frozen=True)
class DiscriminatorConfig(AdversaryConfig):
    """How a discriminator tells the expert's frames from the learner's."""

    encoder: EncoderConfig = field(
        default=PatchConfig(channels=(16, 24, 32)),
        metadata=part_of("forestpilot.policies.networks.encoders:ENCODERS"),
    )
    """From the views, state, goal (and action) of a frame to its features; weights of its own."""
    features: Annotated[int, Range(1, 2048)] = 64
    """Size of the feature vector of a frame."""
    regulariser: Regulariser = "gradient-penalty"
    """What keeps it smooth: a penalty where its gradient between an expert's frame and a learner's is steep (Gulrajani
    et al. 2017), or layers whose spectral norm is one (Miyato et al. 2018)."""
    penalty: Annotated[float, Range(0, 1e6)] = 10.0
    """With gradient-penalty: its weight against the cross entropy."""
    steepest: Annotated[float, Range(0, 1e6)] = 0.2
    """With gradient-penalty: norm of the gradient up to which there is none, per 64 grey levels of each pixel and per
    unit of each scaled element of state and goal."""
    steps: Annotated[int, STEPS] = 6
    """Gradient steps after each of the learner's rollouts. With many it soon knows the expert's few frames by heart,
    and an end is then worth more than going on."""
    batch: Annotated[int, Range(1, 65_536)] = 96
    """Frames of the expert in each gradient step, and as many of the learner."""
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 3e-4
    """Of Adam."""
    flip: bool = True
    """Mirror half of the frames, with their actions and states."""
    jitter: bool = True
    """Change the light of each frame a little, so that a world is not known by its colours."""
    shift_px: Annotated[int, Range(0, 64)] = 2
    """Move each view by up to so many pixels up or down and left or right (Yarats et al. 2021)."""
    clip: Annotated[float, Range(0, 1e6, above=True)] = 5.0
    """Bound of a normalised reward, in standard deviations."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class GAILConfig(DiscriminatorConfig):
    """Options of GAIL (Ho & Ermon 2016, arXiv:1606.03476)."""

    part: ClassVar[str] = "gail"

    action_noise: Annotated[float, Range(0, 1)] = 0.1
    """Standard deviation of the noise on the actions it sees, or it would know an expert that chooses between 21 turns
    by the gaps between them."""
    reward: RewardForm = "log-odds"
    """With D the chance that a frame is the expert's: log D - log(1 - D), which can be of either sign; -log(1 - D),
    which is never negative; log D, which is never positive."""


@dataclass(frozen=True)
class AIRLConfig(DiscriminatorConfig):
    """Options of AIRL with a reward of the state alone (Fu et al. 2018, arXiv:1710.11248)."""

    part: ClassVar[str] = "airl"


@dataclass(frozen=True)
class SQILConfig(AdversaryConfig):
    """Options of SQIL (Reddy et al. 2020, arXiv:1905.11108), which has no discriminator; it goes with --method sac."""

    part: ClassVar[str] = "sqil"

    absorbing: Annotated[float, Range(0, 1)] = 1.0
    """Share of all that could be earned that is earned after an episode of the expert's has ended: 1 as if it went on
    for ever, 0 nothing. The learner's earns nothing then, as before."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class FilmsConfig(AdversaryConfig):
    """What adversaries have in common that compare with films, in which nobody recorded what was done."""

    films: tuple[str, ...] = of_this_machine(())
    """Datasets of the expert's flights as somebody else's camera saw them; of the rest of them nothing is read but the
    goal."""
    view: str = "view_chase"
    """The observation that holds that camera's pictures."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "films", tuple(self.films))


@dataclass(frozen=True)
class EmbeddingRewardConfig(FilmsConfig):
    """Options of the reward by an embedding's distance (Sermanet et al. 2018, arXiv:1704.06888)."""

    part: ClassVar[str] = "embedding"

    run: str = of_this_machine("runs/embedding")
    """Run folder of `forestpilot embed`, or the folder of an embedding of `forestpilot third-person`."""
    form: Literal["progress", "closeness"] = "progress"
    """What is rewarded: that the view comes nearer to where the nearest film went on to, or that it is near."""
    weight: Annotated[float, Range(0, 1e6, above=True)] = 10.0
    """What similarities, -1 to 1, are multiplied by."""


@dataclass(frozen=True)
class DomainConfusedConfig(DiscriminatorConfig, FilmsConfig):
    """Options of the domain-confused discriminator (Stadie et al. 2017, arXiv:1703.01703)."""

    part: ClassVar[str] = "domain-confused"

    failures: tuple[str, ...] = of_this_machine(())
    """Datasets of a learner's flights, filmed from where the expert was: by them it is told who is no expert."""
    confusion: Annotated[float, Range(0, 1000)] = 0.3
    """Weight of not telling who filmed, against telling the expert."""
    regulariser: Regulariser = "none"
    """Not used: confusion is what keeps it from knowing films by heart."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("films", "failures"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.regulariser != "none":
            raise InvalidArgumentError(f"regulariser is {self.regulariser}; with domain-confused it is none")
