"""What does theory say of cloning and of DAgger, computed exactly?

On the Reset Cliff (`forestpilot.sim.tabular.reset_cliff`) one wrong action costs all that is left of the episode. There
is no network and no picture: policies are tables of what was counted, any action where a state was never seen, and the
value of a table is computed, not sampled. All get the same number of answers, those to N episodes:

    cloning         the expert's own way
    dagger          the learner's way
    cloning-ladder  as cloning, where the expert's action leads back up from below the cliff
    dagger-ladder   as dagger, where the expert's action leads back up
    cloning-coin    as cloning, of an expert that tosses a coin between two actions that both lead on

Theory (Rajaraman et al. 2020): the states that cloning has never seen have a probability of 4 |S| H / 9 N at most,
summed over H steps; each costs H at most, so that the gap is 4 |S| H^2 / 9 N at most; if the expert is stochastic,
|S| H^2 log N / N up to a constant; and without a ladder no learner does better in every world than min(H, |S| H^2 / N),
up to a constant, DAgger included. With a ladder a mistake costs two steps to who has been told the way up, and DAgger's
gap grows with H, not with its square (Ross et al. 2011, theorem 3.2).

The measures: the gap in expected return to the expert, by horizon and by number of episodes, and the probability of
what was never seen. The answers are drawn anew for each training seed, several times; these draws are the worlds.

1,260 tables: about 0.7 minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.launch.reading.study_results import Curve, Panel, Point, StudyResult
from forestpilot.launch.studies.cells import Cell, cells_at, make_points, stack
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, mean_interval, slope_interval, slope_words
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range
from forestpilot.sim.tabular.bounds import (
    cloning_bound,
    expected_cloning_gap,
    minimax_rate,
    missing_mass_bound,
    stochastic_cloning_rate,
)
from forestpilot.sim.tabular.cloning import clone, demonstrate, missing_mass
from forestpilot.sim.tabular.dagger import dagger
from forestpilot.sim.tabular.mdp import expected_return, occupancy
from forestpilot.sim.tabular.reset_cliff import ResetCliff


@dataclass(frozen=True)
class TableArm(Arm):
    """A learner on a cliff."""

    learn: Callable[..., NDArray[np.int64]]
    """Takes world, expert, number of episodes and generator to counts."""
    ladder: bool = False
    """`ResetCliff.ladder`."""
    coin: bool = False
    """`ResetCliff.coin`."""


ARMS = (
    TableArm("cloning", "the expert's own way", demonstrate),
    TableArm("dagger", "the learner's way", dagger),
    TableArm("cloning-ladder", "cloning, where the expert's action leads back up", demonstrate, ladder=True),
    TableArm("dagger-ladder", "DAgger, where the expert's action leads back up", dagger, ladder=True),
    TableArm("cloning-coin", "cloning an expert that tosses a coin between two actions", demonstrate, coin=True),
)


BY_HORIZON = "horizon H, steps"
BY_EPISODES = "episodes N"
THEORY: Mapping[str, Callable[[ResetCliff], float]] = {
    "4 |S| H$^2$ / 9 N": cloning_bound,
    "min(H, |S| H$^2$ / N)": minimax_rate,
    "cloning, closed form": expected_cloning_gap,
    "min(H, |S| H$^2$ log N / N)": stochastic_cloning_rate,
    "4 |S| H / 9 N": missing_mass_bound,
}
"""Figures of theory by name."""
GAPS = tuple(THEORY)[:3]


@dataclass(frozen=True)
class Config(StudyConfig):
    """Cloning and DAgger on the Reset Cliff, exactly."""

    out: str = not_the_result("runs/study-reset-cliff")
    """Run folder; the same command goes on where it was interrupted."""
    horizons: Annotated[tuple[int, ...], Range(1, 10_000)] = (10, 20, 40, 80)
    """H, steps of an episode, ascending."""
    episodes: Annotated[tuple[int, ...], Range(1, 1_000_000)] = (1000, 2000, 4000, 8000)
    """N, episodes that are answered, ascending; for each the cliff is as hard as can be."""
    states: Annotated[int, Range(3, 1000)] = 8
    """|S|."""
    actions: Annotated[int, Range(3, 10_000)] = 400
    """|A|; many more than steps, so that nobody guesses the way up."""
    draws: Annotated[int, Range(2, 100_000)] = 12
    """How often the answers are drawn anew for each training seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("horizons", "episodes"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) < 2 or list(values) != sorted(set(values)):
                raise InvalidArgumentError(f"{name} is {values}; give at least two numbers, ascending, none twice")
        self.cliff(ARMS[0], self.horizons[0], self.episodes[0])

    def cliff(self, arm: TableArm, horizon: int, episodes: int) -> ResetCliff:
        """The world of an arm."""
        return ResetCliff(self.states, self.actions, horizon, episodes, arm.ladder, arm.coin)

    @property
    def middle_horizon(self) -> int:
        """The horizon at which the number of episodes is compared."""
        return self.horizons[len(self.horizons) // 2]

    def episodes_at(self, horizon: int) -> tuple[int, ...]:
        """Numbers of episodes at a horizon: all at the middle one, the largest at the others."""
        return self.episodes if horizon == self.middle_horizon else self.episodes[-1:]


class ResetCliffStudy(Study[Config, TableArm]):
    """Tables, by horizon."""

    name = "reset-cliff"
    question = "What does theory say of cloning and of DAgger, computed exactly?"
    minutes = 0.7
    full = Config()
    quick = Config(out="runs/study-reset-cliff-quick", horizons=(10, 20), episodes=(500, 1000), draws=2)

    def arms(self) -> Sequence[TableArm]:
        """The learners."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Horizons."""
        return self.config.horizons

    def run_cell(self, arm: TableArm, x: float, seed: int, bench: Bench) -> Cell:
        """Have the answers drawn, count them, and compute what the table is worth."""
        horizon = int(x)
        sizes = self.config.episodes_at(horizon)
        rows = []
        for number in range(self.config.draws):
            gaps = []
            missing = []
            for episodes in sizes:
                rng = np.random.default_rng([seed, number, horizon, episodes])
                gap, missed = self._learn(arm, horizon, episodes, rng)
                gaps.append(gap)
                missing.append(missed)
            rows.append({"seed": number, "lost": gaps, "missing": missing})
        return Cell(arm.name, x, seed, rows, horizon * sizes[-1])

    def _learn(self, arm: TableArm, horizon: int, episodes: int, rng: np.random.Generator) -> tuple[float, float]:
        """Gap and missing mass of one table."""
        cliff = self.config.cliff(arm, horizon, episodes)
        world = cliff.mdp()
        expert = cliff.expert()
        counts = arm.learn(world, expert, episodes, rng)
        gap = expected_return(world, expert) - expected_return(world, clone(counts))
        return gap, missing_mass(occupancy(world, expert), counts)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Gap by horizon and by number of episodes, missing mass; slopes."""
        config = self.config
        middle = config.middle_horizon
        at_middle = cells_at(cells, middle)
        return StudyResult(
            title=f"The Reset Cliff, {config.states} states, {config.actions} actions",
            x_label=BY_HORIZON,
            log_x=True,
            panels=(
                Panel(
                    "gap_by_horizon",
                    f"gap in return, N = {config.episodes[-1]:,}",
                    make_points(cells, lambda own: mean_interval(stack(own, "lost")[:, :, -1])),
                    "Expected return of the expert less that of the table, by horizon; computed, not sampled.",
                    log_y=True,
                    guides=(2.0, 1.0),
                    curves=self._curves(BY_HORIZON, GAPS),
                ),
                Panel(
                    "gap_by_episodes",
                    f"gap in return, H = {middle}",
                    self._points_by_episodes(at_middle, "lost"),
                    "The same by number of episodes.",
                    log_y=True,
                    x_label=BY_EPISODES,
                    curves=self._curves(BY_EPISODES, (*GAPS, "min(H, |S| H$^2$ log N / N)")),
                ),
                Panel(
                    "missing_mass",
                    f"probability of what was never seen, H = {middle}",
                    self._points_by_episodes(at_middle, "missing"),
                    "Probability of the expert's states that were never answered, summed over the steps.",
                    log_y=True,
                    x_label=BY_EPISODES,
                    curves=self._curves(BY_EPISODES, ("4 |S| H / 9 N",)),
                ),
            ),
            notes=(BOOTSTRAP_NOTE.format(worlds="draws"), *self._sentences(cells)),
        )

    def _points_by_episodes(self, cells: Sequence[Cell], name: str) -> list[Point]:
        """Points over the number of episodes, from cells of one horizon."""
        points = []
        for arm in ARMS:
            own = [cell for cell in cells if cell.arm == arm.name]
            figures = stack(own, name)
            for place, episodes in enumerate(self.config.episodes):
                value = mean_interval(figures[:, :, place])
                points.append(Point(arm.name, float(episodes), len(own), len(own[0].rows), value))
        return points

    def _curves(self, x_label: str, names: Sequence[str]) -> tuple[Curve, ...]:
        """What theory says, over the horizon at the largest number of episodes, or over that at the middle horizon."""
        config = self.config
        if x_label == BY_HORIZON:
            cliffs = [config.cliff(ARMS[0], horizon, config.episodes[-1]) for horizon in config.horizons]
            x = config.horizons
        else:
            cliffs = [config.cliff(ARMS[0], config.middle_horizon, episodes) for episodes in config.episodes]
            x = config.episodes
        return tuple(Curve(name, tuple(map(float, x)), tuple(map(THEORY[name], cliffs))) for name in names)

    def _sentences(self, cells: Sequence[Cell]) -> list[str]:
        """Slopes of each arm, and how near the missing mass comes to its bound."""
        sentences = []
        at_middle = cells_at(cells, self.config.middle_horizon)
        for arm in ARMS:
            own = [cell for cell in cells if cell.arm == arm.name]
            gaps = np.stack([stack(cells_at(own, x), "lost")[:, :, -1] for x in self.xs()], axis=-1)
            by_horizon = slope_words(slope_interval(self.config.horizons, gaps))
            at_one = stack([cell for cell in at_middle if cell.arm == arm.name], "lost")
            by_episodes = slope_words(slope_interval(self.config.episodes, at_one))
            sentences.append(f"{arm.name}: the gap grows as H^{by_horizon}, and as N^{by_episodes}")
        return sentences
