"""Config of DAgger, and named starting points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.rollouts.gates import GATES, Gate, GateConfig
from forestpilot.data_collection.rollouts.gates.human import HumanGateConfig
from forestpilot.data_collection.rollouts.gates.no_gate import NoGateConfig
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.networks.config import PolicyConfig, ViewConfig
from forestpilot.policies.networks.encoders.options import CNNConfig
from forestpilot.policies.networks.heads.options import MixtureConfig, RegressionConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cameras import RANDOM
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import SHARE, Range
from forestpilot.sim.registry import part_of
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions


@dataclass(frozen=True)
class DaggerConfig(AlgorithmConfig):
    """Demonstrate, clone, then improve in closed loop; the same command goes on where it stopped."""

    out: str = not_the_result("runs/dagger")
    """Run folder."""
    gate: GateConfig = field(
        default=NoGateConfig(), metadata=part_of("forestpilot.data_collection.rollouts.gates:GATES")
    )
    """Who gets help, and what is labelled."""
    ensemble: Annotated[int, Range(2, 64)] = 3
    """Policies trained side by side where the gate looks at how far they are apart; the first of them acts."""
    label_budget: Annotated[int, Range(0, 1_000_000_000)] = 0
    """Keep at most so many labels in all rounds after the first, spread evenly over them: a round flies on, eight
    episodes at a time, until its share is there, and drops what is too much. 0: each round flies its episodes and keeps
    all."""
    most_episodes: Annotated[int, Range(0, 1_000_000)] = 0
    """With a label budget: episodes after which a round ends even if its share is not spent; 0 for 5 x episodes."""
    beta: Literal["indicator", "exponential", "linear"] = "indicator"
    """Probability that the expert acts: 1 in round 0 and 0 after (indicator), decay**round, or falling linearly."""
    beta_decay: Annotated[float, SHARE] = 0.5
    """Base of the exponential schedule."""
    beta_linear_rounds: Annotated[int, Range(1, 10_000)] = 5
    """Round in which the linear schedule reaches 0."""
    replay_failures: bool = False
    """Begin again some time before each crash of the learner's; the expert takes it on from there, and labels it."""
    replay_seconds: Annotated[float, Range(0, 3600, above=True)] = 2.0
    """With replay_failures: how long before the crash, in seconds."""
    replay_pilot: Literal["expert", "learner"] = "expert"
    """With replay_failures: who flies on from there. The expert labels either."""
    replay_weight: Annotated[float, Range(0, 1000, above=True)] = 1.0
    """With replay_failures: how many times as often as others these labels are learned from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_gate()
        self._require_replays()

    def _require_replays(self) -> None:
        """Raise InvalidArgumentError where options of replayed failures have no effect."""
        if not self.replay_failures:
            for name in ("replay_seconds", "replay_pilot", "replay_weight"):
                if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                    raise InvalidArgumentError(f"{name} has no effect without replay_failures")
        elif self.needs_human:
            raise InvalidArgumentError("replay_failures is for the expert, and here a human is at the gate")

    def _require_gate(self) -> None:
        """Raise InvalidArgumentError where the gate, its ensemble and its budget do not go together."""
        gate = self.gate_class
        name = self.gate.part
        if not gate.takes_beta and self.beta != "indicator":
            raise InvalidArgumentError(f"gate is {name} and beta is {self.beta}: one of them says who acts, not both")
        if (self.label_budget or gate.needs_budget) and self.label_budget < max(1, self.rounds):
            raise InvalidArgumentError(
                f"label_budget is {self.label_budget}; say how many labels may be kept in all, at least one for each "
                f"of {self.rounds} rounds, for example --label-budget {1000 * max(1, self.rounds)}"
            )
        if self.label_budget and not gate.spends_labels:
            raise InvalidArgumentError(
                f"label_budget does not apply to the gate {name}; a human hands back when they have had enough"
            )

    @property
    def gate_class(self) -> type[Gate]:
        """The gate, which says what it needs."""
        return GATES.get(self.gate.part)

    @property
    def needs_human(self) -> bool:
        """True where a human is at the gate."""
        return self.gate_class.needs_human()

    @property
    def takes_turns(self) -> bool:
        """True where a gate says who drives, not the chance beta."""
        return not self.gate_class.takes_beta

    @property
    def members(self) -> int:
        """Policies trained side by side."""
        return self.ensemble if self.gate_class.needs_ensemble else 1

    @property
    def worlds_per_round(self) -> int:
        """Training worlds set aside for each later round."""
        if not self.label_budget:
            return self.episodes
        return self.most_episodes or 5 * self.episodes

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


FULL_MIX = ScenarioMix(
    presets=("default", "loquercio", "loquercio"),
    speeds=(3.0, 12.0),
    options=DroneOptions(density=(1 / 36, 1 / 25, 1 / 15, 1 / 12)),
)
DRIVE_MIX = ScenarioMix(
    presets=("winding", "winding", "junctions", "junctions", "obstacles"),
    speeds=(8.0, 12.0),
    options=DriveOptions(length=300.0, side_cameras="random-speed", interventions="road"),
)
DRIVE_POLICY = PolicyConfig(
    # With the patch stem and half the batch the demo's car needed help six times where this one needed it once.
    encoder=CNNConfig(),
    # Where the wheels point already is left out: who sees it learns to keep them there. So is memory, which could tell.
    view=ViewConfig(horizon_offset_px=6.0),
    state_inputs=("forward_mps", "speed_set_point_mps"),
    memory=NoMemoryConfig(),
    window=1,
    head=RegressionConfig(),
)
DEMO = DaggerConfig(
    rounds=5,
    # With 700, 500 and 1200 steps 98.4 % of the validation forests are crossed at last (three training seeds, 900
    # forests), with 800, 500 and 1500 98.5 (two, 600), with 700, 400 and 1000 98.0 (one, 300), with 600, 300 and 1000
    # 96.3 (one, 300).
    first_steps=700,
    steps=500,
    last_steps=1200,
    stop_when=0.925,
    least_rounds=3,
    validation_episodes=60,
    validate_from=2,
    # With side cameras on their rig it took two rounds more.
    mix=ScenarioMix(options=DroneOptions(side_cameras=RANDOM)),
    # So few steps get further at a high rate, and the average of the weights takes its noise away.
    train=TrainConfig(learning_rate=2e-3, ema_decay=0.99),
)
PRESETS: dict[str, DaggerConfig] = {
    "demo": DEMO,
    "full": DaggerConfig(
        rounds=64,
        first_steps=1500,
        last_steps=14000,
        stop_when=0.9875,
        least_rounds=24,
        validation_episodes=240,
        validate_from=24,
        validate_every=8,
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
        # As many as the policy that comes with the package completes, a fifth of whose roads have obstacles.
        stop_when=0.825,
        least_rounds=7,
        validation_episodes=40,
        validate_from=6,
        mix=DRIVE_MIX,
        train=TrainConfig(policy=DRIVE_POLICY, batch_windows=192, cache_gb=8.0),
    ),
    "human": DaggerConfig(
        gate=HumanGateConfig(),
        rounds=3,
        episodes=10,
        expert_episodes=20,
        validation_episodes=20,
        # A human says what to do, not what everything else would cost.
        train=TrainConfig(policy=PolicyConfig(head=MixtureConfig())),
    ),
    "human-drive": DaggerConfig(
        task="drive",
        gate=HumanGateConfig(),
        rounds=3,
        episodes=4,
        expert_episodes=12,
        validation_episodes=8,
        mix=ScenarioMix(speeds=(8.0, 8.0), options=DriveOptions(length=200.0)),
        train=TrainConfig(policy=DRIVE_POLICY, batch_windows=64),
    ),
}
"""Named starting points: `demo` takes minutes, `full` most of an hour on two cores; `drive` learns the road. In
`human` and `human-drive` somebody at the keyboard takes over, for a quarter of an hour or so."""
