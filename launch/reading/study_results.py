"""Results of a study on disk: every figure with its interval, and all that it takes to draw and explain it.

`results.json` is whole: what was asked, the arms, the axes with their units, what each figure means, how intervals were
made. Whoever reports on a study needs nothing else. `results.csv` has the same figures as a table.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from forestpilot.data_collection.episodes.names import table_cell
from forestpilot.data_collection.episodes.seals import read_sealed_json, write_sealed, write_sealed_json
from forestpilot.sim.errors import ForestPilotError

JSON_FILE = "results.json"
CSV_FILE = "results.csv"
CSV_COLUMNS = ("figure", "arm", "x", "seeds", "worlds", "mean", "low", "high", "bars")
INTERVAL_BARS = "95 % interval"


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    mean: float
    """The figure."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


@dataclass(frozen=True)
class Point:
    """A figure of one arm at one x, over all seeds and worlds."""

    arm: str
    """Which of the things compared."""
    x: float
    """Where on the x axis."""
    seeds: int
    """Training seeds behind it."""
    worlds: int
    """Test worlds that each of their policies has driven or flown through."""
    value: Interval
    """The figure with its interval."""


@dataclass(frozen=True)
class Curve:
    """What theory says, beside what came out."""

    name: str
    """What it is, as in the legend."""
    x: tuple[float, ...]
    """Where, ascending."""
    y: tuple[float, ...]
    """The figure there."""


@dataclass(frozen=True)
class Panel:
    """One diagram of a study's figure."""

    name: str
    """Name of the figure in results.csv."""
    label: str
    """Text of the y axis, with its unit."""
    points: list[Point]
    """What is drawn, arm by arm in ascending x."""
    meaning: str = ""
    """A sentence on what is counted or measured."""
    log_y: bool = False
    """Whether the y axis is logarithmic."""
    bars: str = INTERVAL_BARS
    """What the ends of a figure are."""
    guides: tuple[float, ...] = ()
    """Slopes of thin lines to compare with, on logarithmic axes."""
    places: tuple[str, ...] = ()
    """Names of the places 0, 1, ... on its x axis, where they are no numbers."""
    x_label: str = ""
    """Text of its x axis, where that is another than the study's."""
    curves: tuple[Curve, ...] = ()
    """What theory says, in thin lines."""


@dataclass(frozen=True)
class ArmNote:
    """One of the things that a study compares, in words."""

    name: str
    """Name in figures and tables."""
    meaning: str
    """What sets it apart, in a line."""


@dataclass(frozen=True)
class StudyResult:
    """All that came out of a study."""

    title: str
    """What was compared, in a line."""
    x_label: str
    """Text of the x axis, with its unit."""
    log_x: bool
    """Whether the x axis is logarithmic."""
    panels: tuple[Panel, ...]
    """The diagrams; those with the same x axis have the same arms at the same x."""
    notes: tuple[str, ...]
    """Sentences below the table: how intervals were made, and differences between arms."""
    study: str = ""
    """Name of the study."""
    question: str = ""
    """What the study asks."""
    arms: tuple[ArmNote, ...] = ()
    """What is compared, in the order of the figures."""


def write_study_results(folder: Path, result: StudyResult) -> Path:
    """Write results.csv and results.json, each whole or not at all; returns the path of the table."""
    path = folder / CSV_FILE
    write_sealed(path, _table(result).encode())
    write_sealed_json(folder / JSON_FILE, _plain(result), indent=2)
    return path


def read_study_results(folder: Path) -> StudyResult:
    """The results that `write_study_results` left in a folder.

    Raises:
        FileNotFoundError: there is no results.json; studies of version 0.1 write one when they are run again.
        ForestPilotError: the file is damaged.
    """
    path = folder / JSON_FILE
    values = read_sealed_json(path, "run the study again, it takes seconds")
    try:
        return _result(values)
    except (ValueError, TypeError, KeyError) as error:
        raise ForestPilotError(
            f"{path} cannot be read ({type(error).__name__}: {error}); run the study again, it takes seconds"
        ) from error


def _table(result: StudyResult) -> str:
    """One row for each figure, arm and x."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for panel in result.panels:
        for point in panel.points:
            figures = [f"{value:.6g}" for value in point.value]
            words = [table_cell(panel.name), table_cell(point.arm)]
            writer.writerow([*words, f"{point.x:g}", point.seeds, point.worlds, *figures, panel.bars])
    return text.getvalue()


def _plain(result: StudyResult) -> dict[str, Any]:
    """The result as JSON values; an interval is a mapping of its three numbers."""
    plain = dataclasses.asdict(result)
    for panel in plain["panels"]:
        for point in panel["points"]:
            point |= point.pop("value")._asdict()
    return plain


def _result(plain: Mapping[str, Any]) -> StudyResult:
    panels = tuple(_panel(values) for values in plain["panels"])
    arms = tuple(ArmNote(**values) for values in plain["arms"])
    known = {**plain, "panels": panels, "arms": arms, "notes": tuple(plain["notes"])}
    return StudyResult(**known)


def _panel(plain: Mapping[str, Any]) -> Panel:
    points = [_point(values) for values in plain["points"]]
    curves = [Curve(own["name"], tuple(own["x"]), tuple(own["y"])) for own in plain.get("curves", ())]
    told = {"points": points, "guides": tuple(plain["guides"]), "places": tuple(plain.get("places", ()))}
    return Panel(**{**plain, **told, "curves": tuple(curves)})


def _point(plain: Mapping[str, Any]) -> Point:
    value = Interval(plain["mean"], plain["low"], plain["high"])
    return Point(plain["arm"], plain["x"], plain["seeds"], plain["worlds"], value)
