"""Settings of behavioural cloning from observation; no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.networks.config import PolicyConfig, ViewConfig
from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.options import PatchConfig
from forestpilot.policies.networks.heads import HEADS, HeadConfig
from forestpilot.policies.networks.heads.options import GaussianConfig, MixtureConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import ROUNDS, STEPS, Range, require_ranges
from forestpilot.sim.registry import part_of
from forestpilot.sim.seeds import TRAIN_SEEDS, seeds_of

Reads = Literal["all", "state", "pictures"]
"""What the inverse model may read of two observations: pictures, goal and state; goal and state; pictures and goal."""


@dataclass(frozen=True)
class InverseConfig:
    """The inverse model: what was done between two observations."""

    reads: Reads = "all"
    """What it reads of the observations before and after: pictures, state and goal (`all`), no pictures (`state`), or
    no state (`pictures`): the state holds speeds, tilt and rates, from which an action is easily told, and a camera
    alone does not have them."""
    encoder: EncoderConfig = field(
        default=PatchConfig(), metadata=part_of("forestpilot.policies.networks.encoders:ENCODERS")
    )
    """What reads the pictures, and the difference of each to the one before."""
    back: Annotated[int, Range(0, 16)] = 0
    """Pictures that it reads from before the one at which something was done, a step apart."""
    ahead: Annotated[int, Range(1, 16)] = 1
    """Pictures that it reads after it, a step apart: in one step a vehicle hardly turns."""
    head: HeadConfig = field(default=GaussianConfig(), metadata=part_of("forestpilot.policies.networks.heads:HEADS"))
    """Distribution of the action, p(a | o, o'); its answer is what `act` gives, such as the mean."""
    view: ViewConfig = ViewConfig(level=False)
    """What it sees of the pictures; not levelled, for the tilt tells what is being done."""
    features: Annotated[int, Range(1, 2048)] = 96
    """Size of the feature vector of a pair of observations."""
    steps: Annotated[int, STEPS] = 1500
    """Gradient steps of each round; it is trained afresh in each, from all own motion so far."""
    batch: Annotated[int, Range(1, 65_536)] = 128
    """Pairs per gradient step."""
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    """Peak of the one-cycle learning rate."""
    held_out: Annotated[float, Range(0, 1, above=True, below=True)] = 0.2
    """Share of the own episodes that it does not learn from, and that its errors are measured on."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.reads not in ("all", "state", "pictures"):
            raise InvalidArgumentError(f"inverse.reads is {self.reads!r}; allowed: all, state, pictures")
        require_learns_actions("inverse.head", self.head)


def require_learns_actions(name: str, head: HeadConfig) -> None:
    """Raise InvalidArgumentError where a head learns from costs: nobody has told any."""
    needs_costs = head.needs_costs
    if needs_costs is None:
        needs_costs = HEADS.get(head.part).needs_costs
    if needs_costs:
        raise InvalidArgumentError(
            f"{name} is {head.part}, which learns from costs, and inferred actions come with none; choose another one, "
            "for example mixture or gaussian"
        )


def _training() -> TrainConfig:
    return TrainConfig(policy=PolicyConfig(head=MixtureConfig()), side_labels="none")


@dataclass(frozen=True)
class BCOConfig(AlgorithmConfig):
    """Clone from observations without actions, BCO (Torabi, Warnell & Stone 2018): move, learn what actions do, infer
    what was done in the videos, clone that, and again."""

    out: str = not_the_result("runs/bco")
    """Run folder."""
    rounds: Annotated[int, ROUNDS] = 3
    """Rounds after the first, in which the learner moves by its own policy; none where alpha is 0."""
    expert_episodes: Annotated[int, Range(0, TRAIN_SEEDS)] = 60
    """Videos of the expert's: episodes without actions, recorded in the run folder."""
    demonstrations: tuple[str, ...] = of_this_machine(())
    """Datasets of videos, folders or addresses, besides (or, with --expert-episodes 0, instead of) the expert's; any
    actions in them are not read."""
    episodes: Annotated[int, Range(2, TRAIN_SEEDS)] = 60
    """Episodes of the learner's own in round 0, in which it moves at random."""
    alpha: Annotated[float, Range(0, 1000)] = 0.5
    """Episodes by its own policy in each later round, for each of round 0: BCO(alpha). 0 is BCO(0), which moves at
    random alone."""
    hold: Annotated[float, Range(0, 60)] = 1.0
    """Moving at random: how long an action is held at most, in seconds; each episode draws its own from one step up."""
    own_noise: Annotated[float, Range(0, 2)] = 0.2
    """Moving by its own policy: standard deviation of what is added to actions, -1 to 1; without any the inverse model
    could learn to answer what the policy would do."""
    inverse: InverseConfig = field(default_factory=InverseConfig)
    """What infers actions."""
    train: TrainConfig = field(default_factory=_training)
    """How each round's policy is cloned from inferred actions; its data, out, seed and steps are set by the run."""

    def __post_init__(self) -> None:
        if not self.alpha:
            object.__setattr__(self, "rounds", 0)
        super().__post_init__()
        require_learns_actions("train.policy.head", self.train.policy.head)
        if self.train.side_labels == "asked":
            raise InvalidArgumentError(
                "train.side_labels is asked, and nobody was asked in a video; give none, or geometric where all three "
                "cameras were filmed"
            )
        if self.rounds and not self.worlds_per_round:
            raise InvalidArgumentError(
                f"alpha is {self.alpha:g}: of {self.episodes} episodes that is none in a later round; give more"
            )

    @property
    def worlds_per_round(self) -> int:
        """Episodes of each later round, each in a training world of its own."""
        return round(self.alpha * self.episodes)

    @property
    def video_seeds(self) -> list[int]:
        """Training worlds of the expert's videos."""
        return seeds_of("train", self.expert_episodes, self.first_world)

    def seeds(self, round_number: int) -> list[int]:
        """Training worlds of the learner's own motion in a round; no world is used twice."""
        offset = self.first_world + self.expert_episodes
        if round_number == 0:
            return seeds_of("train", self.episodes, offset)
        offset += self.episodes + (round_number - 1) * self.worlds_per_round
        return seeds_of("train", self.worlds_per_round, offset)
