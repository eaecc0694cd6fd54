"""Studies in the forest: test forests that policies fly through, and success in them."""

from __future__ import annotations

from collections.abc import Sequence

from forestpilot.launch.reading.study_results import Interval, Panel
from forestpilot.launch.studies.cells import Cell, make_points, stack
from forestpilot.launch.studies.statistics import mean_interval
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.evaluation.evaluate import EvaluateConfig


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
