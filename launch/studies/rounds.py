"""Studies whose policies come from rounds of DAgger: an arm and a seed are one run of the loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from forestpilot.launch.studies.roads import TASK, RoadStudyConfig, study_training
from forestpilot.launch.studies.study import Arm, Bench, ConfigT, Study
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.algorithms.rounds import RoundResult
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, Range

EXPERT_DRIVES: Mapping[str, Any] = {"beta": "exponential", "beta_decay": 1.0}
"""Settings of DAgger with which the expert drives in every round: cloning with more and more data."""
LEARNER_DRIVES: Mapping[str, Any] = {"beta": "indicator"}
"""Settings with which the learner drives alone after round 0."""


@dataclass(frozen=True)
class RoundsArm(Arm):
    """An arm that differs from the others in a few settings of DAgger."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `DaggerConfig` and their values."""


class RoundsStudy(Study[ConfigT, RoundsArm]):
    """A study whose arms are runs of DAgger that differ in a few settings."""

    def __init__(self, config: ConfigT) -> None:
        super().__init__(config)
        self._trained: dict[tuple[str, int], list[RoundResult]] = {}

    @abstractmethod
    def dagger(self, folder: Path, arm: RoundsArm, seed: int) -> DaggerConfig:
        """The run of one arm and seed.

        Args:
            folder: run folder of the loop.
            arm: which of the things compared.
            seed: training seed.
        """

    def run_folder(self, arm: RoundsArm, seed: int, bench: Bench) -> Path:
        """Run folder of the loop of one arm and seed."""
        return bench.folder / "runs" / f"{arm.name}-seed-{seed}"

    def rounds(self, arm: RoundsArm, seed: int, bench: Bench) -> list[RoundResult]:
        """All rounds of one arm and seed, run where they are not done yet.

        Raises:
            ValueError: the run may end early, and rounds of the arms could not be compared.
        """
        key = (arm.name, seed)
        if key not in self._trained:
            config = self.dagger(self.run_folder(arm, seed, bench), arm, seed)
            if config.stop_when is not None:
                raise InvalidArgumentError(
                    f"arm {arm.name} has stop_when; a study compares rounds that all of its arms have"
                )
            self._trained[key] = run_dagger(config, bench.progress, bench.pool, shard_pool=bench.shards)
        return self._trained[key]


@dataclass(frozen=True)
class RoadRoundsConfig(RoadStudyConfig):
    """Settings that studies of DAgger on roads have in common."""

    rounds: Annotated[int, Range(1, 10_000)] = 5
    """Rounds after the first, which every arm begins with: cloning of the expert."""
    drives: Annotated[int, EPISODES] = 6
    """Drives recorded in each round."""
    train: TrainConfig = field(default_factory=lambda: study_training(400))
    """How each round is trained; data, out and seed are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_training_worlds((self.rounds + 1) * self.drives)


RoadRoundsConfigT = TypeVar("RoadRoundsConfigT", bound=RoadRoundsConfig)


class RoadRoundsStudy(RoundsStudy[RoadRoundsConfigT]):
    """A study of DAgger on roads."""

    def dagger(self, folder: Path, arm: RoundsArm, seed: int) -> DaggerConfig:
        """The run of one arm and seed: the same network, worlds and gradient steps in every arm."""
        config = self.config
        steps = config.train.steps
        return DaggerConfig(
            out=str(folder),
            task=TASK,
            seed=seed,
            first_world=config.first_world(seed),
            rounds=config.rounds,
            expert_episodes=config.drives,
            episodes=config.drives,
            first_steps=steps,
            steps=steps,
            last_steps=steps,
            validation_episodes=1,
            validate_from=config.rounds,
            mix=config.mix(interventions="road"),
            train=config.train,
            workers=config.workers,
            **arm.settings,
        )
