"""Are demonstrations by keyboard any good to learn from, and does it matter that keys are shaped?

Three demonstrators drive the same roads, and policies are cloned from what they did:

    expert       the expert, whose steering is as fine as it likes
    shaped       somebody at the keyboard (`KeyPresser`), whose keys become a smooth axis
    raw          the same human, whose keys go straight through: the full deflection, or none
    shaped-back  the drives of `shaped`, with every label moved back by the time that the human is late
    raw-back     the drives of `raw`, likewise

Nobody labels anything afterwards: what was done is learned, as from people. Side cameras are labelled by PilotNet's
rule, which needs no expert. The measure: interventions per kilometre of the test roads, and what the demonstrations
were like.

15 policies: about 15 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.migration import EPISODES_OF_0_1
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.results import load_result
from forestpilot.data_collection.rollouts.scenarios import task_spec_of
from forestpilot.launch.reading.study_results import Interval, Panel, StudyResult
from forestpilot.launch.studies.cells import LEAST_TO_LARGEST, Cell, make_points, seed_range
from forestpilot.launch.studies.key_presser import KeyPresserFactory
from forestpilot.launch.studies.roads import (
    QUICK_SIZES,
    RATE_NOTE,
    TASK,
    RoadStudyConfig,
    compare_pairs,
    drive_test_roads,
    interventions_per_km,
    study_training,
)
from forestpilot.launch.studies.study import Arm, Bench, Study
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.ranges import EPISODES, Range
from forestpilot.sim.tasks import TASKS

DRIVEN = ("driven", EPISODES_OF_0_1)
"""Folders of a dataset in which its drives lie as they are replayed: of this version, and of 0.1."""


def _training(steps: int) -> TrainConfig:
    return dataclasses.replace(study_training(steps), side_labels="geometric")


@dataclass(frozen=True)
class Config(RoadStudyConfig):
    """Cloning from the expert's drives and from keys: shaped or raw, and with labels moved back or not."""

    out: str = not_the_result("runs/study-keyboard")
    """Run folder; the same command goes on where it was interrupted."""
    demonstrations: Annotated[int, EPISODES] = 48
    """Drives that each policy is cloned from."""
    reaction: Annotated[float, Range(0, 2)] = 0.2
    """Reaction time of the human at the keyboard, in seconds."""
    delay: Annotated[float, Range(0, 2)] = 0.3
    """By how much labels are moved back in the arms that do so, in seconds: the reaction and more, as keys are slow."""
    train: TrainConfig = field(default_factory=lambda: _training(1500))
    """How each policy is trained; data, out and seed are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        dataclasses.replace(self.train, human_delay=self.delay)
        self.require_training_worlds(self.demonstrations)


@dataclass(frozen=True)
class KeyboardArm(Arm):
    """A demonstrator, and how the policy learns from it."""

    demonstrator: str
    """Whose drives are learned from; see `DEMONSTRATORS`."""
    moved_back: bool = False
    """Whether every label is moved back by `Config.delay`."""


def _expert(config: Config) -> PilotFactory:
    return ExpertPilot


def _shaped_keys(config: Config) -> PilotFactory:
    return KeyPresserFactory(True, config.reaction, config.mix().control_hz)


def _raw_keys(config: Config) -> PilotFactory:
    return KeyPresserFactory(False, config.reaction, config.mix().control_hz)


DEMONSTRATORS: Mapping[str, Callable[[Config], PilotFactory]] = {
    "expert": _expert,
    "shaped": _shaped_keys,
    "raw": _raw_keys,
}
"""Who demonstrates, by name of the demonstrator."""
ARMS = (
    KeyboardArm("expert", "the expert's own drives", "expert"),
    KeyboardArm("shaped", "keys that become a smooth axis", "shaped"),
    KeyboardArm("raw", "keys that go straight through", "raw"),
    KeyboardArm("shaped-back", "the drives of `shaped`, labels moved back", "shaped", moved_back=True),
    KeyboardArm("raw-back", "the drives of `raw`, labels moved back", "raw", moved_back=True),
)
PAIRS = (
    ("expert", "shaped"),
    ("raw", "shaped"),
    ("shaped", "shaped-back"),
    ("raw", "raw-back"),
    ("raw-back", "shaped-back"),
    ("expert", "shaped-back"),
)
"""Arms whose difference is told."""


class Keyboard(Study[Config, KeyboardArm]):
    """Demonstrators, and what is learned from each."""

    name = "keyboard"
    question = "Are demonstrations by keyboard any good to learn from, and does it matter that keys are shaped?"
    minutes = 15
    full = Config()
    quick = Config(
        out="runs/study-keyboard-quick",
        test_length=100.0,
        **QUICK_SIZES,
        demonstrations=2,
        train=_training(40),
    )

    def arms(self) -> Sequence[KeyboardArm]:
        """The demonstrators, with labels as they are and moved back."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """The number of demonstrated drives."""
        return (self.config.demonstrations,)

    def run_cell(self, arm: KeyboardArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate, clone what was done, drive."""
        data = bench.folder / "demonstrations" / f"{arm.demonstrator}-seed-{seed}"
        self.demonstrate(data, arm.demonstrator, seed, bench)
        labels, figures = self.describe_demonstrations(data)
        policy = bench.folder / "policies" / f"{arm.name}-seed-{seed}"
        delay = self.config.delay if arm.moved_back else 0.0
        training = dataclasses.replace(
            self.config.train, data=(str(data),), out=str(policy), seed=seed, human_delay=delay
        )
        bench.clone(training)
        evaluation = self.config.evaluation(policy, arm.name, policy / "evaluation", "line")
        return Cell(arm.name, int(x), seed, drive_test_roads(evaluation, bench), labels, figures)

    def demonstrate(self, data: Path, demonstrator: str, seed: int, bench: Bench) -> None:
        """Record the drives that are not on disk yet, and forget what the expert would have done.

        Args:
            data: folder of the dataset.
            demonstrator: who drives.
            seed: training seed, whose worlds are driven.
            bench: where.
        """
        task = TASKS.get(TASK)
        task = TASKS.get(TASK)
        mix = self.config.mix("random", interventions="road")
        dataset = Dataset.create(data, task_spec_of(task, mix), task.bare_env_id)
        first = self.config.first_world(seed)
        scenarios = [mix.scenario(world, task) for world in range(first, first + self.config.demonstrations)]
        missing = tuple(scenario for scenario in scenarios if not dataset.has(0, scenario.seed))
        if missing:
            pilot = DEMONSTRATORS[demonstrator](self.config)
            driven = data / DRIVEN[0]
            job = Job(TASK, missing, pilot, dataset=str(data), results_folder=str(driven), policy=demonstrator)
            bench.pool.run(job, bench.progress, f"demonstrate {demonstrator}")
            dataset.refresh()
        for header in dataset.episodes:
            episode = load_episode(header.path)
            if episode.expert_actions is not None:
                dataset.replace(dataclasses.replace(episode, expert_actions=None, expert_costs=None))

    def describe_demonstrations(self, data: Path) -> tuple[int, dict[str, float]]:
        """Number of labels in a dataset of demonstrations, and what the drives were like."""
        changes = []
        labels = 0
        dataset = Dataset.open(data)
        for header in dataset.episodes:
            episode = load_episode(header.path)
            changes.append(np.abs(np.diff(episode.actions[:, 0])))
            labels += episode.num_steps
        interventions = 0
        distance_m = 0.0
        for folder in DRIVEN:
            for path in sorted((data / folder).glob("*.npz")):
                result = load_result(path)
                interventions += result.interventions
                distance_m += result.distance_m
        change_rad = np.concatenate(changes).mean() * dataset.task_spec.max_turn_rad
        return labels, {
            "falls_per_km": interventions / distance_m * 1000,
            "change_deg": float(np.degrees(change_rad)),
        }

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Interventions per km of each arm's policies, and what its demonstrations were like."""
        config = self.config
        return StudyResult(
            title=f"Cloning from {config.demonstrations} drives, {config.roads} roads at {config.speed:g} m/s",
            x_label="demonstrated drives",
            log_x=False,
            panels=(
                Panel(
                    "interventions_per_km",
                    "interventions per km",
                    make_points(cells, interventions_per_km),
                    "How often the car was put back.",
                ),
                Panel(
                    "demonstrated_falls_per_km",
                    "falls per km while demonstrating",
                    make_points(cells, _falls_per_km),
                    "How often the demonstrator left the road.",
                    bars=LEAST_TO_LARGEST,
                ),
                Panel(
                    "demonstrated_change_deg",
                    "change of steering in a step, degrees",
                    make_points(cells, _change_deg),
                    "How far demonstrated steering moves from one step to the next, on average.",
                    bars=LEAST_TO_LARGEST,
                ),
            ),
            notes=(
                f"{RATE_NOTE}. Of the demonstrations: mean of the training seeds, from the least to the largest",
                *compare_pairs(cells, PAIRS),
            ),
        )


def _falls_per_km(cells: Sequence[Cell]) -> Interval:
    return seed_range(cells, lambda cell: cell.figures["falls_per_km"])


def _change_deg(cells: Sequence[Cell]) -> Interval:
    return seed_range(cells, lambda cell: cell.figures["change_deg"])
