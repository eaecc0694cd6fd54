"""Settings of third-person imitation; no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.policies.algorithms.bco.config import BCOConfig, InverseConfig
from forestpilot.policies.embeddings import EmbedderConfig
from forestpilot.policies.embeddings.options import MultiViewConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.encoders.options import EmbeddingConfig, StackedConfig
from forestpilot.policies.networks.heads.options import MixtureConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import ROUNDS, STEPS, Range
from forestpilot.sim.registry import part_of
from forestpilot.sim.viewpoints import ViewpointConfig
from forestpilot.sim.viewpoints.chase import ChaseConfig

TOLD = ("speed_set_point_mps",)
"""The element of the state that is told of a video: what speed was asked for. Nobody reads the others off a picture."""


def of_films() -> InverseConfig:
    """What infers actions from pictures alone: a turn shows in how a small vehicle tilts, and in how all that is far
    away glides by over the next steps."""
    return InverseConfig(reads="pictures", encoder=StackedConfig(), back=1, ahead=3, steps=800)


def _training() -> TrainConfig:
    policy = PolicyConfig(encoder=EmbeddingConfig(frozen=True), state_inputs=TOLD, head=MixtureConfig())
    return TrainConfig(policy=policy, side_labels="none")


@dataclass(frozen=True)
class ThirdPersonConfig(BCOConfig):
    """Imitate from third-person videos without actions: move and be filmed, learn an embedding in which both views are
    the same (Sermanet et al. 2018), infer what was done in the videos, clone that on the embedding."""

    out: str = not_the_result("runs/third-person")
    """Run folder."""
    rounds: Annotated[int, ROUNDS] = 1
    """Rounds after the first, in which the learner moves by its own policy; none where alpha is 0."""
    viewpoint: ViewpointConfig = field(default=ChaseConfig(), metadata=part_of("forestpilot.sim.viewpoints:VIEWPOINTS"))
    """From where the teacher is looked at, and the learner's own motion is filmed: `chase`, `tower`, `side`. Of the
    teacher's videos nothing else is looked at; `vehicle` for its own view, as in bco, but without its state."""
    embedder: EmbedderConfig = field(
        default=MultiViewConfig(), metadata=part_of("forestpilot.policies.embeddings:EMBEDDERS")
    )
    """How the embedding is learned from the learner's own motion. Without effect where the policy's encoder is another
    one than `embedding`: the policy then learns from the videos' pictures as they are."""
    embedding_steps: Annotated[int, STEPS] = 800
    """Gradient steps of each round's embedding."""
    embedding_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    """Its learning rate at the beginning."""
    retrain: bool = True
    """Each round begins with fresh weights: its embedding is another than that of the round before."""
    motion: Literal["blind", "random"] = "blind"
    """How the learner moves in round 0: as the task's blind baseline does, to the goal at full speed, with random
    actions added; or at random alone, which seldom gets as fast as who is filmed."""
    strays: Annotated[tuple[float, float], Range(0, 1, above=True)] = (0.05, 0.5)
    """With `blind`: least and largest size of the random actions; each episode draws its own, small ones as often as
    large ones. Who only learns from large turns takes small ones for larger than they are."""
    inverse: InverseConfig = field(default_factory=of_films)
    """What infers actions, of pictures of the viewpoint before and after."""
    train: TrainConfig = field(default_factory=_training)
    """How each round's policy is cloned from inferred actions; its data, out, seed and steps are set by the run. Of the
    state it can read what is told of a video, the speed set point."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inverse.reads != "pictures":
            raise InvalidArgumentError(
                f"inverse.reads is {self.inverse.reads}; of a third-person video nothing but pictures can be read"
            )
        object.__setattr__(self, "strays", tuple(self.strays))
        if self.strays[0] > self.strays[1]:
            raise InvalidArgumentError(f"strays is {self.strays}; the least comes first")
        if self.motion not in ("blind", "random"):
            raise InvalidArgumentError(f"motion is {self.motion!r}; allowed: blind, random")
        policy = self.train.policy
        if set(policy.state_inputs) != set(TOLD):
            raise InvalidArgumentError(
                f"train.policy.state_inputs is {policy.state_inputs}; of a third-person video {TOLD[0]} alone is told"
            )
        if policy.cameras != "center" or self.train.side_labels != "none":
            raise InvalidArgumentError(
                "third-person videos are of one camera: train.policy.cameras must be center and train.side-labels none"
            )
        if self.embeds and not self.retrain:
            raise InvalidArgumentError("retrain is off, and each round has an embedding of its own; leave it on")

    @property
    def embeds(self) -> bool:
        """Whether the policy sees by an embedding."""
        return isinstance(self.train.policy.encoder, EmbeddingConfig)
