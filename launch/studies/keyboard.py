"""Are demonstrations by keyboard any good to learn from, and does it matter that keys are shaped?

Three demonstrators drive the same roads, and policies are cloned from what they did:

    expert       the expert, whose steering is as fine as it likes
    shaped       somebody at the keyboard (`KeyPresser`), whose keys become a smooth axis
    raw          the same human, whose keys go straight through: the full deflection, or none
    shaped-back  the drives of `shaped`, with every label moved back by the time that the human is late
    raw-back     the drives of `raw`, likewise

Nobody labels anything afterwards: what was done is learned, as from people. Side cameras are labelled by PilotNet's
rule, which needs no expert.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.data_collection.rollouts.scenarios import load_result, task_of, task_spec_of
from forestpilot.launch.studies.common import (
    BOOTSTRAP_NOTE,
    LEAST_TO_LARGEST,
    TASK,
    Cell,
    CellStore,
    Panel,
    Point,
    RoadStudyConfig,
    StudyResult,
    compare_arms,
    drive_test_roads,
    interventions_per_km,
    study_training,
    training_seeds,
)
from forestpilot.launch.studies.key_presser import KeyPresserFactory
from forestpilot.launch.studies.statistics import Interval
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.training.train_config import TrainConfig

ARMS = ("expert", "shaped", "raw", "shaped-back", "raw-back")
BACK = "-back"
DEMONSTRATED = (
    ("falls_per_km", "falls per km while demonstrating"),
    ("change_deg", "change of steering in a step, degrees"),
)
"""Figures of the demonstrations, and what their axes say."""


@dataclass(frozen=True)
class Config(RoadStudyConfig):
    """Cloning from the expert's drives and from keys: shaped or raw, and with labels moved back or not."""

    out: str = "runs/study-keyboard"
    """Run folder; the same command goes on where it was interrupted."""
    demonstrations: int = 48
    """Drives that each policy is cloned from."""
    reaction: float = 0.2
    """Reaction time of the human at the keyboard, in seconds."""
    delay: float = 0.3
    """By how much labels are moved back in the arms that do so, in seconds: the reaction and more, as keys are slow."""
    train: TrainConfig = field(
        default_factory=lambda: dataclasses.replace(study_training(1500), side_labels="geometric")
    )
    """How each policy is trained; data, out and seed are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.demonstrations < 1 or not 0 <= self.reaction <= 2:
            raise ValueError(
                f"demonstrations is {self.demonstrations} and reaction {self.reaction}; allowed: at least 1, 0 to 2 s"
            )
        dataclasses.replace(self.train, human_delay=self.delay)
        training_seeds(self, self.demonstrations)

    def pilot(self, arm: str) -> PilotFactory:
        """Who demonstrates in an arm."""
        if arm == "expert":
            return ExpertPilot
        return KeyPresserFactory(arm.startswith("shaped"), self.reaction, self.mix().control_hz)


QUICK = Config(
    out="runs/study-keyboard-quick", seeds=2, length=100.0, test_length=100.0, test_roads=4, demonstrations=2,
    train=dataclasses.replace(study_training(40), side_labels="geometric"),
)  # fmt: skip


def run_study(config: Config, progress: Progress, pool: RolloutPool) -> StudyResult:
    """Run what is left of the study.

    Raises:
        ForestPilotError: the run folder belongs to another config.
    """
    folder = config.claim()
    store = CellStore(folder)
    plan = [(arm, seed) for seed in range(config.seeds) for arm in ARMS]
    cells: list[Cell] = []
    with progress.stage("keyboard", total=len(plan)) as stage:
        for arm, seed in plan:
            cell = store.load(arm, config.demonstrations, seed)
            if cell is None:
                cell = _run_cell(config, folder, arm, seed, progress, pool)
                store.save(cell)
            cells.append(cell)
            stage.advance(arm=arm, seed=seed)
    return summarise(config, cells)


def _run_cell(config: Config, folder: Path, arm: str, seed: int, progress: Progress, pool: RolloutPool) -> Cell:
    """Demonstrate, clone what was done, drive."""
    data = folder / "demonstrations" / f"{arm.removesuffix(BACK)}-seed-{seed}"
    figures = _demonstrate(config, data, arm, seed, progress, pool)
    own = folder / "policies" / f"{arm}-seed-{seed}"
    delay = config.delay if arm.endswith(BACK) else 0.0
    clone(dataclasses.replace(config.train, data=(str(data),), out=str(own), seed=seed, human_delay=delay), progress)
    rows = drive_test_roads(config, own, arm, own / "evaluation", "line", progress, pool)
    return Cell(arm, config.demonstrations, seed, rows, int(figures.pop("labels")), figures)


def _demonstrate(
    config: Config, data: Path, arm: str, seed: int, progress: Progress, pool: RolloutPool
) -> dict[str, float]:
    """Record the drives that are not on disk yet, and forget what the expert would have done; their figures."""
    mix = config.mix("random", interventions="road")
    spec = task_spec_of(TASK, mix)
    dataset = Dataset.create(data, spec, task_of(TASK).bare_env_id)
    first = config.first_world(seed)
    scenarios = tuple(mix.scenario(world, TASK) for world in range(first, first + config.demonstrations))
    missing = tuple(scenario for scenario in scenarios if not dataset.has(0, scenario.seed))
    if missing:
        pool.run(
            Job(TASK, missing, config.pilot(arm), dataset=str(data), results_folder=str(data / "driven"), policy=arm),
            progress, f"demonstrate {arm}",
        )  # fmt: skip
        dataset.refresh()
    changes, labels = [], 0
    for header in dataset.episodes:
        episode = load_episode(header.path)
        if episode.expert_actions is not None:
            dataset.replace(dataclasses.replace(episode, expert_actions=None, expert_costs=None))
        changes.append(np.abs(np.diff(episode.actions[:, 0])))
        labels += episode.num_steps
    driven = [load_result(path) for path in sorted((data / "driven").glob("*.npz"))]
    return {
        "labels": labels,
        "falls_per_km": sum(result.interventions for result in driven)
        / sum(result.distance_m for result in driven)
        * 1000,
        "change_deg": float(np.degrees(np.concatenate(changes).mean() * spec.max_turn_rad)),
    }


def summarise(config: Config, cells: Sequence[Cell]) -> StudyResult:
    """Interventions per km of each arm's policies, and what its demonstrations were like."""
    groups = {arm: [cell for cell in cells if cell.arm == arm] for arm in ARMS}

    def points(measure: str) -> list[Point]:
        return [
            Point(arm, float(config.demonstrations), len(group), config.test_roads, _measure(measure, group))
            for arm, group in groups.items()
        ]

    pairs = (
        ("expert", "shaped"), ("raw", "shaped"), ("shaped", "shaped-back"), ("raw", "raw-back"),
        ("raw-back", "shaped-back"), ("expert", "shaped-back"),
    )  # fmt: skip
    return StudyResult(
        title=f"Cloning from {config.demonstrations} drives, {config.roads} roads at {config.speed:g} m/s",
        x_label="demonstrated drives",
        log_x=False,
        panels=(
            Panel("interventions_per_km", "interventions per km", points("interventions_per_km")),
            *(
                Panel(f"demonstrated_{name}", label, points(name), bars=LEAST_TO_LARGEST)
                for name, label in DEMONSTRATED
            ),
        ),
        notes=(
            f"{BOOTSTRAP_NOTE}. Of the demonstrations: mean of the training seeds, from the least to the largest",
            *(text for pair in pairs if (text := compare_arms(list(cells), *pair))),
        ),
    )


def _measure(name: str, group: Sequence[Cell]) -> Interval:
    if name == "interventions_per_km":
        return interventions_per_km(group)
    values = np.array([cell.figures[name] for cell in group])
    return Interval(float(values.mean()), float(values.min()), float(values.max()))
