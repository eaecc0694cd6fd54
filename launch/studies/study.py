"""The base of all studies: what is compared with what, cell by cell, so that a killed study goes on.

A study brings its config, its arms, where they stand on the x axis, how one cell comes about and what the cells come
to. The base owns the rest: the run folder, which belongs to one config; the order of the cells and those that are on
disk already; workers; the results and the figure.

    RUN/config.json     the config
    RUN/cells/          a file for each arm, x and training seed, there whole or not at all
    RUN/results.json    everything that came out; results.csv: the same figures as a table
    RUN/figure.png      a diagram for each figure

A study of another package is a subclass and a line: `STUDIES.register("mine", "my_package.study:MyStudy", "...")`.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, TypeVar

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.episodes.seals import read_sealed, set_aside_damaged
from forestpilot.data_collection.rollouts.pool import RolloutPool, borrowed, require_pool
from forestpilot.data_collection.rollouts.pools import PoolConfig, pool_field
from forestpilot.launch.reading.study_results import CSV_FILE, JSON_FILE, ArmNote, StudyResult, write_study_results
from forestpilot.launch.studies.cells import Cell, CellStore
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import PROCESSES, Range, require_ranges
from forestpilot.sim.seeds import seeds_of

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.training.shard_pool import ShardPool

WORLDS_PER_SEED = 10_000
"""Training worlds set aside for each training seed, so that no two seeds share one."""


@dataclass(frozen=True)
class StudyConfig:
    """Settings that all studies have in common."""

    out: str = not_the_result("")
    """Run folder; the same command goes on where it was interrupted."""
    seeds: Annotated[int, Range(1, 100)] = 3
    """Number of training seeds; each has demonstrations and first weights of its own."""
    workers: Annotated[int, PROCESSES] = not_the_result(default_factory=usable_cores)
    """Number of processes, and of threads in training; by default one per core that it may use."""
    pool: PoolConfig = pool_field()
    """Who runs the episodes: processes of this machine (`local`), or the cores of a Ray cluster (`ray`)."""

    def __post_init__(self) -> None:
        require_ranges(self)

    def first_world(self, seed: int) -> int:
        """First training world of a training seed."""
        return seed * WORLDS_PER_SEED

    def require_training_worlds(self, count: int) -> None:
        """Check that `count` training worlds fit into what is set aside for each seed.

        Raises:
            ValueError: they do not.
        """
        if count > WORLDS_PER_SEED:
            raise InvalidArgumentError(
                f"{count} training worlds for each seed; at most {WORLDS_PER_SEED} are set aside"
            )
        seeds_of("train", count, self.first_world(self.seeds - 1))


@dataclass(frozen=True)
class Arm:
    """One of the things that a study compares; studies add what sets theirs apart."""

    name: str
    """Name in figures, tables and files."""
    meaning: str
    """What sets it apart, in a line."""


@dataclass(frozen=True)
class Bench:
    """A study's place of work."""

    folder: Path
    """Run folder."""
    pool: RolloutPool
    """Who drives and flies."""
    progress: Progress
    """Who watches."""
    shards: ShardPool | None = None
    """Who computes gradients side by side, for as long as the study takes; by default the process itself."""

    def clone(self, config: TrainConfig) -> VisuomotorPolicy:
        """Clone a policy, on all cores."""
        return clone(config, self.progress, self.shards)

    def evaluate(self, config: EvaluateConfig) -> list[dict[str, str]]:
        """Run an evaluation; the rows of its outcomes.csv, one for each test world."""
        evaluate(config, self.progress, self.pool)
        content = read_sealed(Path(config.out) / "outcomes.csv").decode()
        return list(csv.DictReader(io.StringIO(content, newline="")))


ConfigT = TypeVar("ConfigT", bound=StudyConfig)
ArmT = TypeVar("ArmT", bound=Arm)


@dataclass(frozen=True)
class Place(Generic[ArmT]):
    """A cell that a study has, run or not."""

    arm: ArmT
    """Which of the things compared."""
    x: float
    """Where on the x axis."""
    seed: int
    """Training seed."""


class Study(ABC, Generic[ConfigT, ArmT]):
    """A comparison of several arms, each trained with several seeds and run through the same test worlds.

    Args:
        config: the sizes.
    """

    name: ClassVar[str]
    """Name under which it is registered."""
    question: ClassVar[str]
    """What it asks, in a line."""
    task: ClassVar[str] = ""
    """Task that it is about, where the question is asked of others too: `--task NAME` then leads to the study that is
    registered under this one's name and NAME."""
    minutes: ClassVar[float]
    """How long the full study takes on two cores."""
    full: ClassVar[StudyConfig]
    """The study itself."""
    quick: ClassVar[StudyConfig]
    """Shows in a minute or two that everything works; its figures mean nothing. It has a folder of its own."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    @abstractmethod
    def arms(self) -> Sequence[ArmT]:
        """Arms that are compared, in the order of the figures."""

    @abstractmethod
    def xs(self) -> Sequence[float]:
        """Places on the x axis at which every arm has a cell, ascending."""

    @abstractmethod
    def run_cell(self, arm: ArmT, x: float, seed: int, bench: Bench) -> Cell:
        """Make one policy and run it through the test worlds.

        What was done before the study was killed is found in the run folder, and is not done again.
        """

    @abstractmethod
    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Figures with intervals, and sentences on the differences between arms.

        Args:
            cells: all of them, seed by seed, in each seed arm by arm.
        """

    def draw(self, result: StudyResult, folder: Path) -> list[Path]:
        """Draw pictures of the result into the run folder; returns their paths."""
        from forestpilot.launch.studies.plots import plot_study

        return [plot_study(result, folder / "figure.png")]

    def plan(self) -> list[Place[ArmT]]:
        """Every cell of the study, in the order in which they are run."""
        places = []
        for seed in range(self.config.seeds):
            for arm in self.arms():
                places += [Place(arm, x, seed) for x in self.xs()]
        return places

    def run(self, progress: Progress | None = None, pool: RolloutPool | None = None) -> StudyResult:
        """Run the cells that are not on disk yet, and write down what all of them come to.

        Args:
            progress: who watches.
            pool: who drives and flies; by default workers are started.

        Raises:
            ForestPilotError: the run folder belongs to another config; the settings that differ are named.
        """
        progress = progress or SilentProgress()
        require_pool(pool, self.config.pool)
        with written_by_one(self.config.out, progress):
            run = Run.claim(self.config.out, f"study {self.name}", self.config)
            from forestpilot.policies.training.shard_pool import ShardPool  # imports torch

            with (
                borrowed(pool, self.config.workers, self.config.pool) as workers,
                ShardPool(self.config.workers) as shards,
            ):
                cells = self._run_cells(Bench(run.folder, workers, progress, shards))
            result = self._complete(self.summarise(cells))
            set_aside_damaged(run.folder, (CSV_FILE, JSON_FILE), progress)
            write_study_results(run.folder, result)
            run.record()
        return result

    def _run_cells(self, bench: Bench) -> list[Cell]:
        store = CellStore(bench.folder, bench.progress)
        plan = self.plan()
        cells: list[Cell] = []
        with bench.progress.stage(self.name, total=len(plan)) as stage:
            for place in plan:
                arm = place.arm
                cell = store.load(arm.name, place.x, place.seed)
                if cell is None:
                    cell = self.run_cell(arm, place.x, place.seed, bench)
                    store.save(cell)
                cells.append(cell)
                stage.advance(arm=arm.name, x=f"{place.x:g}", seed=place.seed)
        return cells

    def _complete(self, result: StudyResult) -> StudyResult:
        """The result with what the study says of itself, so that whoever reads it needs nothing else."""
        arms = tuple(ArmNote(arm.name, arm.meaning) for arm in self.arms())
        return dataclasses.replace(result, study=self.name, question=self.question, arms=arms)
