"""The tables of the study `horizon`: three worlds in which a learner's gap is computed, not sampled.

A world takes the sizes of the study to matrices and an expert; a learner takes these, and the expert's demonstrations
or answers, to a policy. All learners of a draw that see demonstrations see the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from forestpilot.launch.reading.study_results import Curve, Panel, StudyResult
from forestpilot.launch.studies.cells import Cell, make_points, stack
from forestpilot.launch.studies.slopes import Slope, slope_of
from forestpilot.launch.studies.statistics import mean_interval
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range
from forestpilot.sim.tabular.adversarial import match
from forestpilot.sim.tabular.bounds import Sizes, cliff_matching_rate, cloning_bound, matching_rate
from forestpilot.sim.tabular.cloning import clone, demonstrate
from forestpilot.sim.tabular.dagger import dagger
from forestpilot.sim.tabular.mdp import Floats, TabularMDP, expected_return, side_by_side
from forestpilot.sim.tabular.reset_cliff import ResetCliff
from forestpilot.sim.tabular.standard_imitation import StandardImitation

BY_HORIZON = "horizon H, steps"
World = tuple[TabularMDP, Floats]
"""Matrices, and the expert (H, S, A)."""


@dataclass(frozen=True)
class TablesConfig(StudyConfig):
    """Sizes of the tables."""

    horizons: Annotated[tuple[int, ...], Range(1, 10_000)] = (10, 20, 40, 80, 160)
    """H, steps of an episode in the tables, ascending."""
    episodes: Annotated[int, Range(1, 1_000_000)] = 8000
    """N, episodes that are demonstrated or answered in the tables, the same at every horizon; the worlds are as hard
    as can be for so many."""
    states: Annotated[int, Range(3, 1000)] = 8
    """|S| of the tables; where two worlds stand side by side, each has as many."""
    actions: Annotated[int, Range(3, 10_000)] = 400
    """|A| of the tables; many more than steps, so that nobody guesses the expert's."""
    draws: Annotated[int, Range(2, 100_000)] = 24
    """How often the demonstrations of a table are drawn anew for each training seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "horizons", tuple(self.horizons))
        if len(self.horizons) < 2 or list(self.horizons) != sorted(set(self.horizons)):
            raise InvalidArgumentError(f"horizons is {self.horizons}; give at least two numbers, ascending, none twice")
        # Rare states together are no likelier than one, also where two worlds share the episodes.
        least = 2 * max(self.states - 3, self.states // 2)
        if self.episodes < least:
            raise InvalidArgumentError(
                f"states is {self.states} and episodes {self.episodes}; so many states take at least {least} episodes"
            )

    @property
    def half_of_episodes(self) -> int:
        """Episodes that either of two worlds side by side gets."""
        return self.episodes // 2

    def cliff(self, horizon: int, episodes: int) -> ResetCliff:
        """A Reset Cliff with a ladder, as hard as can be for so many episodes."""
        return ResetCliff(self.states, self.actions, horizon, episodes, ladder=True)

    def imitation(self, horizon: int, episodes: int) -> StandardImitation:
        """Standard Imitation; half of its states are rare, for otherwise cloning would have no gap at all."""
        return StandardImitation(self.states, self.actions, horizon, episodes, rare=self.states // 2)


def cliff(config: TablesConfig, horizon: int) -> World:
    """The Reset Cliff."""
    world = config.cliff(horizon, config.episodes)
    return world.mdp(), world.expert()


def imitation(config: TablesConfig, horizon: int) -> World:
    """Standard Imitation."""
    world = config.imitation(horizon, config.episodes)
    return world.mdp(), world.expert()


def both(config: TablesConfig, horizon: int) -> World:
    """One of the two, each half of the time, and so with half of the episodes: each as hard as can be for these."""
    first = config.cliff(horizon, config.half_of_episodes)
    second = config.imitation(horizon, config.half_of_episodes)
    expert = np.concatenate([first.expert(), second.expert()], axis=1)
    return side_by_side(first.mdp(), second.mdp()), expert


CLONING_BOUND = "cloning: 4 |S| H$^2$ / 9 N"


@dataclass(frozen=True)
class Ground:
    """A world of every horizon."""

    name: str
    """Short name, in files and beside others."""
    title: str
    """What it is called in its diagram."""
    world: Callable[[TablesConfig, int], World]
    """Takes the study's sizes and a horizon to the world."""
    theory: Mapping[str, Callable[[Sizes], float]] = field(default_factory=dict)
    """What theory says of it, by name."""


GROUNDS = (
    Ground(
        "cliff",
        "Reset Cliff",
        cliff,
        {CLONING_BOUND: cloning_bound, "GAIL: (|S| / N)$^{1/2}$": cliff_matching_rate},
    ),
    Ground(
        "imitation",
        "Standard Imitation",
        imitation,
        {CLONING_BOUND: cloning_bound, "GAIL: H (|S| / N)$^{1/2}$": matching_rate},
    ),
    Ground("both", "both, each half of the time", both),
)


def clone_demonstrations(world: TabularMDP, expert: Floats, episodes: int, rng: np.random.Generator) -> Floats:
    """Cloning."""
    return clone(demonstrate(world, expert, episodes, rng))


def clone_answers(world: TabularMDP, expert: Floats, episodes: int, rng: np.random.Generator) -> Floats:
    """DAgger."""
    return clone(dagger(world, expert, episodes, rng))


def match_demonstrations(world: TabularMDP, expert: Floats, episodes: int, rng: np.random.Generator) -> Floats:
    """GAIL."""
    return match(world, demonstrate(world, expert, episodes, rng))


@dataclass(frozen=True)
class TableArm(Arm):
    """A learner of tables."""

    learn: Callable[[TabularMDP, Floats, int, np.random.Generator], Floats]
    """Takes world, expert, number of episodes and generator to a policy (H, S, A)."""


TABLE_ARMS = (
    TableArm("cloning", "does what was demonstrated", clone_demonstrations),
    TableArm("DAgger", "as many answers of the expert, along the learner's own way", clone_answers),
    TableArm("GAIL", "matches the state-action visits of the demonstrations", match_demonstrations),
)


class Tables(Study[TablesConfig, TableArm]):
    """Gaps in the three worlds, by horizon."""

    def arms(self) -> Sequence[TableArm]:
        """The learners."""
        return TABLE_ARMS

    def learner(self, arm: TableArm) -> str:
        """Name of an arm's learner."""
        return arm.name

    def xs(self) -> Sequence[float]:
        """Horizons."""
        return self.config.horizons

    def run_cell(self, arm: TableArm, x: float, seed: int, bench: Bench) -> Cell:
        """Learn from each draw of the demonstrations in each world, and compute what is lost."""
        config = self.config
        horizon = int(x)
        rows: list[dict[str, float]] = [{"seed": number} for number in range(config.draws)]
        for place, ground in enumerate(GROUNDS):
            world, expert = ground.world(config, horizon)
            most = expected_return(world, expert)
            for number, row in enumerate(rows):
                rng = np.random.default_rng([seed, number, horizon, config.episodes, place])
                row[ground.name] = most - expected_return(world, arm.learn(world, expert, config.episodes, rng))
        return Cell(arm.name, x, seed, rows, horizon * config.episodes)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """The diagrams alone."""
        return StudyResult("Tables", BY_HORIZON, True, self.panels(cells), ())

    def panels(self, cells: Sequence[Cell]) -> tuple[Panel, ...]:
        """A diagram for each world."""
        return tuple(self._panel(ground, cells) for ground in GROUNDS)

    def slopes(self, cells: Sequence[Cell]) -> list[Slope]:
        """How the gap of each learner grows in each world."""
        slopes = []
        for ground in GROUNDS:
            for arm in TABLE_ARMS:
                own = [cell for cell in cells if cell.arm == arm.name]
                slopes.append(slope_of(own, ground.name, arm.name, ground.name))
        return slopes

    def _panel(self, ground: Ground, cells: Sequence[Cell]) -> Panel:
        sizes = [self.config.cliff(horizon, self.config.episodes) for horizon in self.config.horizons]
        x = tuple(map(float, self.config.horizons))
        return Panel(
            f"gap_{ground.name}",
            f"{ground.title}: gap in return",
            make_points(cells, lambda own: mean_interval(stack(own, ground.name))),
            "Expected return of the expert less that of the policy, by horizon; computed, not sampled.",
            log_y=True,
            x_label=BY_HORIZON,
            curves=tuple(Curve(name, x, tuple(map(rate, sizes))) for name, rate in ground.theory.items()),
        )
