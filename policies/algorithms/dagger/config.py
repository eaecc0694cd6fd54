"""What a run of DAgger is told: its config, and named starting points."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from typing import Literal, get_args

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.data_collection.rollouts.gates import GateLimits
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.networks.visuomotor import PolicyConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.seeds import seeds_of

Gates = Literal["none", "human", "expert", "uncertainty", "budget"]
GATES: tuple[str, ...] = get_args(Gates)
MEMBER_SEEDS = 1000
"""Between the seeds of two members of an ensemble."""


@dataclass(frozen=True)
class DaggerConfig:
    """Demonstrate, clone, then improve in closed loop; the same command goes on where it stopped."""

    out: str = not_the_result("runs/dagger")
    """Run folder."""
    task: str = "drone"
    """Task to learn: drone or drive."""
    seed: int = 0
    """Seed of the first weights and of sampling."""
    first_world: int = 0
    """First training world; each episode takes the next one."""
    rounds: int = 6
    """DAgger rounds after the first, which is behavioural cloning of the expert."""
    expert_episodes: int = 60
    """Episodes of the expert in round 0."""
    episodes: int = 60
    """Episodes of each later round."""
    demonstrations: tuple[str, ...] = of_this_machine(())
    """Datasets to clone in round 0 besides (or, with --expert-episodes 0, instead of) the expert's episodes, for example a
    human's."""
    gate: Gates = "none"
    """Who gets help and what is labelled: `none` (the expert labels every state), `human` (a human takes over by
    keyboard), `expert` (the expert does, where its costs say so; both: only what the helper did is labelled),
    `uncertainty` (the expert labels where an ensemble disagrees), `budget` (the expert takes over where it disagrees
    most)."""
    limits: GateLimits = GateLimits()
    """When the automatic gates open and close."""
    ensemble: int = 3
    """Policies trained side by side for the gates `uncertainty` and `budget`; the first of them acts."""
    label_budget: int = 0
    """Keep at most so many labels in all rounds after the first, spread evenly over them: a round flies on, eight episodes
    at a time, until its share is there, and drops what is too much. 0: each round flies its episodes and keeps all."""
    most_episodes: int = 0
    """With a label budget: episodes after which a round ends even if its share is not spent; 0 for 5 x episodes."""
    beta: Literal["indicator", "exponential", "linear"] = "indicator"
    """Probability that the expert acts: 1 in round 0 and 0 after (indicator), decay**round, or falling linearly."""
    beta_decay: float = 0.5
    """Base of the exponential schedule."""
    beta_linear_rounds: int = 5
    """Round in which the linear schedule reaches 0."""
    first_steps: int = 1200
    """Gradient steps in round 0."""
    steps: int = 900
    """Gradient steps in each later round."""
    last_steps: int = 1800
    """Gradient steps in the last round."""
    retrain: bool = False
    """Start each round from fresh weights instead of those of the round before."""
    validation_episodes: int = 40
    """Validation worlds run to choose the checkpoint."""
    validate_from: int = 0
    """First round whose policy is run on the validation worlds; round 0 and the last one always are."""
    mix: ScenarioMix = ScenarioMix()
    """Worlds and speeds of training and validation."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How each round is trained; its data, out, seed and steps are set by the run."""
    workers: int = not_the_result(default_factory=lambda: os.cpu_count() or 1)
    """Number of rollout processes, and of threads in training; by default one per core."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "demonstrations", tuple(self.demonstrations))
        if self.rounds < 0 or min(self.episodes, self.first_steps, self.steps, self.last_steps) < 1:
            raise ValueError("rounds must be 0 or more; episodes and steps at least 1")
        if self.expert_episodes < (0 if self.demonstrations else 1):
            raise ValueError("expert_episodes must be at least 1, or 0 where --demonstrations names datasets to clone")
        if self.validation_episodes < 1:
            raise ValueError("validation_episodes must be at least 1: the checkpoint is chosen by them")
        if not 0.0 <= self.beta_decay <= 1.0 or self.beta_linear_rounds < 1:
            raise ValueError("beta_decay must lie in 0 to 1 and beta_linear_rounds must be at least 1")
        self._require_gate()
        seeds_of("train", self.expert_episodes + self.rounds * self.worlds_per_round, self.first_world)

    def _require_gate(self) -> None:
        """Raise ValueError where the gate, its ensemble and its budget do not go together."""
        if self.gate not in GATES:
            raise ValueError(f"gate is {self.gate!r}; allowed: {', '.join(GATES)}")
        if self.gate != "none" and self.beta != "indicator":
            raise ValueError(f"gate is {self.gate} and beta is {self.beta}: one of them says who acts, not both")
        if self.label_budget < 0 or self.most_episodes < 0 or self.ensemble < 2:
            raise ValueError("label_budget and most_episodes must be 0 or more, ensemble at least 2")
        if (self.label_budget or self.gate == "budget") and self.label_budget < max(1, self.rounds):
            raise ValueError(
                f"label_budget is {self.label_budget}; say how many labels may be kept in all, at least one for each "
                f"of {self.rounds} rounds, for example --label-budget {1000 * max(1, self.rounds)}"
            )
        if self.gate == "human" and self.label_budget:
            raise ValueError("label_budget does not apply to a human; they hand back when they have had enough")
        if self.gate == "human" and self.train.policy.head == "turn-costs":
            # A human says what to do, not what everything else would cost.
            policy = dataclasses.replace(self.train.policy, head="mixture")
            object.__setattr__(self, "train", dataclasses.replace(self.train, policy=policy))

    @property
    def members(self) -> int:
        """Policies trained side by side."""
        return self.ensemble if self.gate in ("uncertainty", "budget") else 1

    @property
    def worlds_per_round(self) -> int:
        """Training worlds set aside for each later round."""
        return (self.most_episodes or 5 * self.episodes) if self.label_budget else self.episodes

    @property
    def labels_per_round(self) -> int:
        """A later round's share of the label budget; 0 for no bound."""
        return self.label_budget // max(1, self.rounds)

    def beta_of(self, round_number: int) -> float:
        """Probability that the expert acts in the roll-in of a round."""
        if self.beta == "indicator":
            return float(round_number == 0)
        if self.beta == "exponential":
            return self.beta_decay**round_number
        return max(0.0, 1.0 - round_number / self.beta_linear_rounds)

    def seeds(self, round_number: int) -> list[int]:
        """Training worlds of a round; no world is used twice."""
        if round_number == 0:
            return seeds_of("train", self.expert_episodes, self.first_world)
        offset = self.first_world + self.expert_episodes + (round_number - 1) * self.worlds_per_round
        return seeds_of("train", self.worlds_per_round, offset)

    def round_training(self, round_number: int, member: int = 0) -> TrainConfig:
        """The training of a round, of one member of the ensemble."""
        last = round_number == self.rounds
        steps = self.first_steps if round_number == 0 else self.last_steps if last else self.steps
        return dataclasses.replace(self.train, out=self.out, data=(), seed=self.seed_of(member), steps=steps)

    def seed_of(self, member: int) -> int:
        """Seed of the first weights and of the batches of a member of the ensemble."""
        return self.seed + MEMBER_SEEDS * member


FULL_MIX = ScenarioMix(
    presets=("default", "loquercio", "loquercio"), densities=(1 / 36, 1 / 25, 1 / 15, 1 / 12), speeds=(3.0, 12.0)
)
DRIVE_MIX = ScenarioMix(
    presets=("winding", "winding", "junctions", "junctions", "obstacles"), speeds=(8.0, 12.0), length=300.0,
    side_cameras="random-speed", interventions="road",
)  # fmt: skip
DRIVE_POLICY = PolicyConfig(
    # Where the wheels point already is left out: who sees it learns to keep them there. So is memory, which could tell.
    memory="none", head="regression", window=1, state_inputs=("forward_mps", "speed_set_point_mps"),
    horizon_offset_px=6.0,
)  # fmt: skip
PRESETS: dict[str, DaggerConfig] = {
    "demo": DaggerConfig(),
    "full": DaggerConfig(
        rounds=64,
        first_steps=1500,
        last_steps=14000,
        validation_episodes=240,
        validate_from=61,
        mix=FULL_MIX,
        train=TrainConfig(cache_gb=6.0),
    ),
    "drive": DaggerConfig(
        task="drive",
        rounds=12,
        expert_episodes=320,
        episodes=50,
        first_steps=6000,
        steps=1000,
        last_steps=8000,
        validation_episodes=40,
        validate_from=9,
        mix=DRIVE_MIX,
        train=TrainConfig(policy=DRIVE_POLICY, batch_windows=192, cache_gb=8.0),
    ),
    "human": DaggerConfig(gate="human", rounds=3, episodes=10, expert_episodes=20, validation_episodes=20),
    "human-drive": DaggerConfig(
        task="drive",
        gate="human",
        rounds=3,
        episodes=4,
        expert_episodes=12,
        validation_episodes=8,
        mix=ScenarioMix(speeds=(8.0, 8.0), length=200.0),
        train=TrainConfig(policy=DRIVE_POLICY, batch_windows=64),
    ),
}
"""Named starting points: `demo` takes minutes, `full` most of an hour on two cores; `drive` learns the road. In
`human` and `human-drive` somebody at the keyboard takes over, for a quarter of an hour or so."""
