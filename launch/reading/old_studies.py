"""Studies of version 0.1, which left a table without the words to explain it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from forestpilot.launch.reading.study_results import Interval, Panel, Point, StudyResult

_ROAD = "Bars are 95 % intervals over training seeds and test worlds."
_SEEDS = "Bars reach from the least to the largest training seed."


class OldFigure(NamedTuple):
    """A figure of a study of version 0.1, in words."""

    label: str
    """Text of the y axis, with its unit."""
    x_label: str
    """Text of the x axis."""
    meaning: str
    """What was counted, and what its bars are."""


FIGURES = {
    "falls_per_km": OldFigure(
        "falls off the road per km", "labelled states", f"How often the car left the road. {_ROAD}"
    ),
    "autonomy": OldFigure("autonomy, %", "demonstrated drives", f"PilotNet's: 1 − 6 s × interventions / time. {_ROAD}"),
    "interventions_per_km": OldFigure(
        "interventions per km", "demonstrated drives", f"How often the car was put back. {_ROAD}"
    ),
    "cost": OldFigure(
        "sum of the costs J(T)", "steps T", f"A step costs its distance from the line, 1 m at most. {_ROAD}"
    ),
    "success": OldFigure("success, %", "DAgger round", f"Share of the test forests that were crossed. {_ROAD}"),
    "labels": OldFigure("labels so far", "DAgger round", f"States that the expert was asked about. {_SEEDS}"),
    "visited": OldFigure(
        "states visited, thousands", "DAgger round", f"States seen in training, labelled or not. {_SEEDS}"
    ),
    "helped_steps": OldFigure(
        "steps flown by the expert", "DAgger round", f"Steps that the expert flew itself. {_SEEDS}"
    ),
    "context_switches": OldFigure(
        "changes of pilot", "DAgger round", f"How often the pilot changed in mid-episode. {_SEEDS}"
    ),
    "demonstrated_falls_per_km": OldFigure(
        "falls per km while demonstrating",
        "demonstrated drives",
        f"How often the demonstrator left the road. {_SEEDS}",
    ),
    "demonstrated_change_deg": OldFigure(
        "change of steering, degrees",
        "demonstrated drives",
        f"How far demonstrated steering moves from one step to the next, on average. {_SEEDS}",
    ),
    "crashes": OldFigure(
        "crashes while training", "DAgger round", f"Training episodes that ended in a crash. {_SEEDS}"
    ),
}
"""What the columns of version 0.1 are."""
UNKNOWN = "As the study defines it, and so are its bars."


def old_study_result(rows: Sequence[Mapping[str, str]]) -> StudyResult | None:
    """The rows of a results.csv as a result with words; None without rows."""
    points: dict[str, list[Point]] = {}
    for row in rows:
        value = Interval(float(row["mean"]), float(row["low"]), float(row["high"]))
        point = Point(row["arm"], float(row["x"]), _count(row, "seeds"), _count(row, "worlds"), value)
        points.setdefault(row["figure"], []).append(point)
    if not points:
        return None
    panels = []
    x_label = ""
    for name, own in points.items():
        figure = FIGURES.get(name, OldFigure(name.replace("_", " "), "", UNKNOWN))
        panels.append(Panel(name, figure.label, own, figure.meaning, bars=""))
        x_label = x_label or figure.x_label
    xs = [point.x for own in points.values() for point in own]
    log_x = min(xs) > 0 and max(xs) >= 10 * min(xs)
    return StudyResult("", x_label or "x", log_x, tuple(panels), ())


def _count(row: Mapping[str, str], name: str) -> int:
    """A whole number; 0 where the first tables had no such column."""
    return int(float(row.get(name) or 0))
