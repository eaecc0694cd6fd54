"""How does what is lost grow with the horizon H: like H^2, like H, or not at all?

    cloning   learns from the expert's episodes
    DAgger    learns from the expert's answers along its own way
    GAIL      visits what the demonstrations visit, as often as they do

Where: in worlds of tables, in which the gap in return is computed and nothing sampled but the demonstrations
(`forestpilot.sim.tabular`), and on roads of growing length. The tables are those of the Reset Cliff, on which one wrong
action costs all that is left, with a ladder, so that DAgger can be told the way up; of Standard Imitation, where
nothing that is done changes where one is, and half of the states are as rare as is worst for cloning; and of both, one
of the two, each half of the time. All learners have N demonstrated or answered episodes, the same N at every horizon.
GAIL is its game solved exactly: the discriminator is any table from 0 to 1, transitions are known, rewards are not
read, and what matching leaves free is done at random (`forestpilot.sim.tabular.adversarial`).

Theory: cloning's gap is |S| H^2 / N at most, up to a constant (Rajaraman et al. 2020), reached on the cliff; DAgger's
grows like H where mistakes can be mended (Ross et al. 2011, theorem 3.2). Adversarial imitation's grows like H instead
of H^2 (Xu, Li & Yu 2020, in the effective horizon), H sqrt(|S| / N) for known transitions (Xu, Li & Yu 2021), reached
in Standard Imitation; there cloning's is smaller, for it errs only where it has seen nothing. On the Reset Cliff it
does not grow at all, sqrt(|S| / N) whatever H is: who slips falls, and matches nothing after that, so that slips are
left to the last step. No world of the two has both slopes; `both` has.

On a road where nobody intervenes who leaves it loses the rest, metres lost; where the car is put back at 1 m off the
line, interventions are counted. If mistakes come at a constant rate, metres lost grow like L^2 (until most cars are
lost, then like L), and interventions like L, whoever drives. There GAIL is PPO from the clone with a discriminator of
pictures: it has the clone's demonstrations, no label more, and steps in the environment besides.

3,240 tables, 6 runs of 6 rounds, and 3 of GAIL: about 30 minutes on two cores; `--parts tables` alone takes five.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.launch.reading.study_results import Panel, StudyResult
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.horizon_roads import Roads, RoadsConfig
from forestpilot.launch.studies.horizon_tables import Tables, TablesConfig
from forestpilot.launch.studies.roads import QUICK_SIZES, study_training
from forestpilot.launch.studies.slopes import Slope, slope_panel, slope_sentences
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE
from forestpilot.launch.studies.study import Arm, Bench, Place, Study
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.sim.errors import InvalidArgumentError

PARTS: Mapping[str, type[Study[Any, Any]]] = {"tables": Tables, "roads": Roads}
"""Where the horizon grows."""
ARMS = (
    Arm("cloning", "learns from the expert's episodes"),
    Arm("DAgger", "learns from as many answers of the expert, along its own way"),
    Arm("GAIL", "visits what the demonstrations visit, as often as they do"),
)
"""The learners; a part has arms of its own, whose points go by these names."""


@dataclass(frozen=True)
class Config(RoadsConfig, TablesConfig):
    """Slopes of the gap by horizon: cloning, DAgger and GAIL in tables, and on roads of growing length."""

    out: str = not_the_result("runs/study-horizon")
    """Run folder; the same command goes on where it was interrupted."""
    parts: tuple[str, ...] = tuple(PARTS)
    """Where: in `tables`, on `roads`, or both."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts or len(set(self.parts)) < len(self.parts) or not set(self.parts) <= set(PARTS):
            raise InvalidArgumentError(f"parts is {self.parts}; allowed: {', '.join(PARTS)}, each once")


class Horizon(Study[Config, Arm]):
    """Tables and roads, side by side."""

    name = "horizon"
    question = "How does what is lost grow with the horizon: like its square, linearly, or not at all?"
    minutes = 30
    full = Config()
    quick = Config(
        out="runs/study-horizon-quick",
        horizons=(5, 10),
        episodes=500,
        actions=50,
        draws=2,
        test_length=160.0,
        doublings=1,
        **QUICK_SIZES,
        rounds=1,
        drives=2,
        train=study_training(40),
        gail_rounds=1,
        gail_steps=64,
        ppo=PPOConfig(environments=4, rollout=16, batch=32, warm_up=1),
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._parts: list[Any] = [part(config) for name, part in PARTS.items() if name in config.parts]

    def arms(self) -> Sequence[Arm]:
        """The learners that one of the parts has."""
        names = {part.learner(arm) for part in self._parts for arm in part.arms()}
        return [arm for arm in ARMS if arm.name in names]

    def xs(self) -> Sequence[float]:
        """Horizons and lengths."""
        return sorted({x for part in self._parts for x in part.xs()})

    def plan(self) -> list[Place[Arm]]:
        """Every cell of the tables, then those of the roads: horizons are not lengths."""
        return [place for part in self._parts for place in part.plan()]

    def run_cell(self, arm: Arm, x: float, seed: int, bench: Bench) -> Cell:
        """As the arm's part has it."""
        part = next(part for part in self._parts if arm in part.arms())
        return part.run_cell(arm, x, seed, bench)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """The diagrams of both parts, and one of the slopes."""
        panels: list[Panel] = []
        slopes: list[Slope] = []
        for part in self._parts:
            names = {arm.name for arm in part.arms()}
            own = [cell for cell in cells if cell.arm in names]
            panels += part.panels(own)
            slopes += part.slopes(own)
        return StudyResult(
            title=f"What is lost by horizon; N = {self.config.episodes:,} in tables",
            x_label=panels[0].x_label,
            log_x=True,
            panels=(*panels, slope_panel(slopes, "slope")),
            notes=(BOOTSTRAP_NOTE.format(worlds="draws or roads"), *slope_sentences(slopes)),
        )

    def draw(self, result: StudyResult, folder: Path) -> list[Path]:
        """Draw whole rows of diagrams: tables alone leave no place for that of the slopes, which stand in the table."""
        from forestpilot.launch.studies.plots import PANELS_IN_A_ROW

        panels = result.panels
        if len(panels) % PANELS_IN_A_ROW:
            panels = panels[:-1]
        return super().draw(dataclasses.replace(result, panels=panels), folder)
