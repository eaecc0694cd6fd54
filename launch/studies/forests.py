"""Studies in the forest: test forests that policies fly through, and success in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Interval, Panel
from forestpilot.launch.studies.cells import Cell, make_points, stack
from forestpilot.launch.studies.statistics import mean_interval
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.evaluation.evaluate import EvaluateConfig

TASK = "drone"


class Crossing(Protocol):
    """The config of a study whose policies fly through test forests."""

    @property
    def test_worlds(self) -> int:
        """Test forests."""

    @property
    def speed(self) -> float:
        """Speed set point in m/s."""

    @property
    def workers(self) -> int:
        """Number of processes."""

    def mix(self) -> ScenarioMix:
        """The forests."""


def crossing(config: Crossing, policy: str, out: Path) -> EvaluateConfig:
    """Test forests that a policy flies through: `NAME=FOLDER`, or whatever else a `--policy` is."""
    return EvaluateConfig(
        policy=(policy,),
        out=str(out),
        task=TASK,
        episodes=config.test_worlds,
        speed=config.speed,
        options=config.mix().options,
        workers=config.workers,
    )


def fly(evaluation: EvaluateConfig, bench: Bench) -> list[dict[str, int]]:
    """Send a policy through test forests; one row for each."""
    return [{"seed": int(row["seed"]), "success": int(row["success"])} for row in bench.evaluate(evaluation)]


def success(cells: Sequence[Cell]) -> Interval:
    """Share of the test forests that were crossed, in percent, by cells that differ in their training seed only."""
    return mean_interval(100 * stack(cells, "success"))


def success_panel(cells: Sequence[Cell]) -> Panel:
    """Success of each arm at each x."""
    return Panel(
        "success",
        "success on test forests, %",
        make_points(cells, success),
        "Share of the test forests that were crossed.",
    )
