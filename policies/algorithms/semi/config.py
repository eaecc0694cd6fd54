"""Settings of semi-supervised imitation; no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.policies.algorithms.bco.config import InverseConfig, require_learns_actions
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.algorithms.semi import MethodConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.options import PatchConfig
from forestpilot.policies.networks.heads.options import MixtureConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, ROUNDS, STEPS, Range, require_ranges
from forestpilot.sim.registry import part_of
from forestpilot.sim.seeds import TRAIN_SEEDS, seeds_of

STATE: Final = "state"
"""A discriminator that reads no pictures."""


@dataclass(frozen=True)
class PseudoLabelsConfig(MethodConfig):
    """Actions of videos are inferred by an inverse model of the labelled episodes."""

    part: ClassVar[str] = "pseudo-labels"
    learns_actions: ClassVar[bool] = True
    inverse: InverseConfig = field(default_factory=lambda: InverseConfig(held_out=0.1))
    """What infers actions, and how much of the labelled episodes is kept to measure it on: one of them at least."""


@dataclass(frozen=True)
class ConsistencyConfig(MethodConfig):
    """The policy learns for spoilt views what it says itself, and is sure of, for the views as they are."""

    part: ClassVar[str] = "consistency"
    learns_actions: ClassVar[bool] = True
    weight: Annotated[float, Range(0, 1000)] = 1.0
    """Weight of a step of a video against one with a label."""
    within: Annotated[float, Range(0, 2, above=True)] = 0.1
    """The policy is sure where its answers to a view and to its mirror image are no further apart in turn than this, in
    units of the action, of which a drone's 1 is 60 degrees; what is learned is the mean of both."""
    ramp: Annotated[float, Range(0, 1)] = 0.4
    """Share of the gradient steps over which the weight rises from 0: a new policy agrees with itself on nothing."""
    light: Annotated[float, Range(0, 1)] = 0.4
    """Spoilt views: largest change of brightness (as a share of full scale), of contrast and of each colour."""
    cut: Annotated[float, Range(0, 1)] = 0.4
    """Spoilt views: largest side of a rectangle that is cut out, as a share of the view's height and width."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class MaskedConfig(MethodConfig):
    """The encoder learns to draw what is hidden of a picture; then the policy is cloned from the labelled episodes."""

    part: ClassVar[str] = "masked"
    hidden: Annotated[float, Range(0, 1, above=True, below=True)] = 0.6
    """Share of the patches of each view that is hidden."""
    patch: Annotated[int, Range(1, 256)] = 4
    """Side of a patch in pixels."""
    steps: Annotated[int, STEPS] = 1000
    """Gradient steps."""
    batch: Annotated[int, Range(1, 65_536)] = 96
    """Views per gradient step."""
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    """Peak of the one-cycle learning rate."""
    width: Annotated[int, Range(1, 65_536)] = 256
    """Units of the layer between the encoder's features and the pixels; of no use afterwards."""
    most_frames: Annotated[int, EPISODES] = 20_000
    """Of videos with more frames than this, every second one (third, ...) is learned from."""
    encoder: str = of_this_machine("")
    """Run of this algorithm whose masked encoder to begin with instead of learning one: it follows from videos and seed
    alone, whatever has labels."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class WeightedConfig(MethodConfig):
    """Demonstrations of unknown quality, each step weighed by how much likelier the known good ones are to have it."""

    part: ClassVar[str] = "weighted"
    needs_actions: ClassVar[bool] = True
    reads: Literal["state", "all"] = STATE
    """What the discriminator reads of a step: all of the state, goal and action (`state`), or what the policy reads and
    the action (`all`); by pictures it knows the few good demonstrations by their worlds."""
    steps: Annotated[int, STEPS] = 1500
    """Gradient steps of the discriminator."""
    batch: Annotated[int, Range(1, 65_536)] = 96
    """Frames of the good demonstrations in each of them, and as many of the others."""
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    """Of Adam."""
    penalty: Annotated[float, Range(0, 1e6)] = 10.0
    """Weight of the gradient penalty."""
    steepest: Annotated[float, Range(0, 1e6)] = 10.0
    """Norm of the gradient up to which there is no penalty, per 64 grey levels of each pixel and per unit of state,
    goal and action."""
    encoder: EncoderConfig = field(
        default=PatchConfig(channels=(16, 24, 32)),
        metadata=part_of("forestpilot.policies.networks.encoders:ENCODERS"),
    )
    """From the views, state, goal and action of a frame to its features, where all is read; weights of its own."""
    least: Annotated[float, Range(0, 1)] = 0.0
    """Steps that would weigh less than this do not weigh at all (delta of Li et al. 2023); 1 is what a step weighs of
    which good and other demonstrations have as many."""

    def __post_init__(self) -> None:
        require_ranges(self)


def _training() -> TrainConfig:
    return TrainConfig(policy=PolicyConfig(head=MixtureConfig()), side_labels="none")


@dataclass(frozen=True)
class SemiConfig(AlgorithmConfig):
    """Clone from few labelled episodes and many that have no labels: videos, or demonstrations of unknown quality."""

    out: str = not_the_result("runs/semi")
    """Run folder."""
    rounds: Annotated[int, ROUNDS] = 0
    """Further rounds, each with more labelled episodes of the expert's."""
    expert_episodes: Annotated[int, Range(0, TRAIN_SEEDS)] = 8
    """Labelled episodes of the expert's, recorded in the run folder."""
    demonstrations: tuple[str, ...] = of_this_machine(())
    """Datasets of labelled episodes besides (or, with --expert-episodes 0, instead of) the expert's; for the method
    weighted those that are known to be good."""
    videos: Annotated[int, Range(0, TRAIN_SEEDS)] = 0
    """Videos of the expert's, episodes without actions, filmed in the run folder besides (or instead of) --unlabelled.
    """
    unlabelled: tuple[str, ...] = of_this_machine(())
    """Datasets of videos, folders or addresses, whose actions are not read, should they have any; for the method
    weighted datasets of demonstrations of unknown quality."""
    method: MethodConfig = field(
        default_factory=PseudoLabelsConfig,
        metadata=part_of("forestpilot.policies.algorithms.semi:SEMI_METHODS"),
    )
    """What is made of what has no labels."""
    share: Annotated[float, Range(0, 1, above=True, below=True)] = 0.75
    """Share of the windows of each gradient step that come from what has no labels, where it is learned from."""
    train: TrainConfig = field(default_factory=_training)
    """How each round's policy is fitted; its data, out, seed and steps are set by the run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "unlabelled", tuple(self.unlabelled))
        if self.method.learns_actions:
            require_learns_actions("train.policy.head", self.train.policy.head)
        if self.method.needs_actions and self.videos:
            raise InvalidArgumentError(
                f"videos is {self.videos}, and the method {self.method.part} weighs what was done: give --unlabelled "
                "datasets with actions instead"
            )
        if self.train.batch_windows < 2 * self.train.shards:
            raise InvalidArgumentError(
                f"train.batch_windows is {self.train.batch_windows} in {self.train.shards} shards; each needs two "
                "windows, one with labels and one without"
            )

    @property
    def video_seeds(self) -> list[int]:
        """Training worlds of the videos, after those of the labelled episodes of all rounds."""
        offset = self.first_world + self.expert_episodes + self.rounds * self.worlds_per_round
        return seeds_of("train", self.videos, offset)
