"""Options of SAC, apart from its networks: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from forestpilot.policies.reinforcement import LearnerConfig
from forestpilot.sim.ranges import SHARE, STEPS, Range


@dataclass(frozen=True)
class SACConfig(LearnerConfig):
    """Options of soft actor-critic (Haarnoja et al. 2018, arXiv:1801.01290); where the run has demonstrations, they
    stay in its replay buffer (Ball et al. 2023, arXiv:2302.02948)."""

    part: ClassVar[str] = "sac"
    keeps_demonstrations: ClassVar[bool] = True

    environments: Annotated[int, Range(1, 4096)] = 8
    """Environments side by side, over all processes; how many processes there are does not change the result."""
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 3e-4
    """Adam's step size, for actor, critics and temperature alike."""
    batch: Annotated[int, Range(2, 65_536)] = 128
    """Transitions of a gradient step."""
    updates: Annotated[int, Range(1, 1024)] = 2
    """Gradient steps after each step of all environments together."""
    first_steps: Annotated[int, STEPS] = 2000
    """Steps in the environment before the first gradient step."""
    random_steps: Annotated[int, Range(-1, 1_000_000_000)] = -1
    """Steps in the environment at the beginning for which actions are drawn evenly; -1 for 2,000 from scratch, and none
    from a policy that is given."""
    warm_up: Annotated[int, Range(-1, 1_000_000_000)] = -1
    """Gradient steps in which only the critics learn, before the actor moves; -1 for 1,000 from a policy that is given,
    for critics that know nothing yet would undo what it knows, and none from scratch."""
    std: Annotated[float, Range(0, 1.6)] = 0.0
    """Standard deviation of actions at first, before they are squashed; 0 for 0.1 from a policy that is given, for its
    own says how far demonstrators differ, and 0.6 from scratch."""
    bootstrap_steps: Annotated[int, Range(1, 64)] = 3
    """Steps of a return before the critics' own value stands for the rest."""
    entropy: Annotated[float, Range(-20, 1.3)] = -2.0
    """Entropy of turn and go together that the temperature is moved to keep, in nats; drawn evenly they have 1.4."""
    temperature: Annotated[float, Range(0, 100, above=True)] = 0.01
    """What a nat of entropy is worth at first, on the scale of the rewards: a metre flown is worth 0.1."""
    smoothing: Annotated[float, Range(0, 1, above=True)] = 0.005
    """Share by which the slow critics follow at each gradient step."""
    critics: Annotated[int, Range(1, 16)] = 2
    """Number of critics; the least of their values is believed."""
    critic_layers: Annotated[tuple[int, ...], Range(1, 4096)] = (256, 256)
    """Units of the hidden layers of each critic, each normalised."""
    shift_px: Annotated[int, Range(0, 64)] = 2
    """Views are moved at random by up to so many pixels along both axes when they are drawn (DrQ); 0 for never."""
    buffer_mb: Annotated[float, Range(0.01, 1e6)] = 600.0
    """Memory of the replay buffer in MB, and about what it takes on the disk; the oldest steps make room. A step takes
    0.0062 MB with one camera (96,000 steps in 600 MB) and 0.0185 MB with three (32,000). Demonstrations have a buffer
    of the same size at most besides, of which they take what they need."""
    demonstrated: Annotated[float, SHARE] = 0.5
    """Share of a gradient step's transitions that are demonstrations, where the run has any (RLPD: half)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "critic_layers", tuple(self.critic_layers))

    def random_steps_of(self, is_given: bool) -> int:
        """Steps at the beginning for which actions are drawn evenly, for a policy that is given or a random one."""
        if self.random_steps >= 0:
            return self.random_steps
        return 0 if is_given else 2000

    def warm_up_of(self, is_given: bool) -> int:
        """Gradient steps in which only the critics learn."""
        if self.warm_up >= 0:
            return self.warm_up
        return 1000 if is_given else 0

    def std_of(self, is_given: bool) -> float:
        """Standard deviation of actions at first, before they are squashed."""
        return self.std or (0.1 if is_given else 0.6)


@dataclass(frozen=True)
class ThorConfig(SACConfig):
    """SAC's options, and what the planner's cost-to-go is used for (Sun et al. 2018; Ross & Bagnell 2014): see
    `forestpilot.policies.reinforcement.cost_to_go`. The planner is asked at every step."""

    part: ClassVar[str] = "thor"
    asks_planner: ClassVar[bool] = True

    horizon_s: Annotated[float, Range(0, 1000)] = 1.0
    """How far ahead it looks by itself, in seconds on average; what comes later is what the planner says of it. 0 looks
    one step ahead, and as far as `discount` says it is all up to the learner."""
    cost_m: Annotated[float, Range(0, 1e6)] = 1.0
    """Metres of progress that a unit of the planner's cost counts."""
    most_m: Annotated[float, Range(0, 1e6)] = 10.0
    """Most that the planner's costs count in any state, in metres: a crash costs 10."""
    expert_share: Annotated[float, Range(0, 1, below=True)] = 0.5
    """Share of the actor's aim that is the planner's cost of the turn that it would take, and not the critics' value: 0
    leaves it to the critics. What `go` is good for, critics alone know."""
