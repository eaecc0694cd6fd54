"""Cells of a study: what is on disk of each policy, there whole or not at all, so that a killed study goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.migration import migrate_row
from forestpilot.data_collection.episodes.names import problem_of_name
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.seals import (
    DamagedFileError,
    read_sealed_json,
    set_aside,
    write_sealed_json,
)
from forestpilot.launch.reading.study_results import Interval, Point
from forestpilot.sim.errors import ForestPilotError

LEAST_TO_LARGEST = "least to largest seed"
"""What the ends of a figure are that was counted in training: too few seeds for an interval."""


@dataclass(frozen=True)
class Cell:
    """One policy of a study, run through the test worlds: what is on disk of it."""

    arm: str
    """Which of the things compared."""
    x: float
    """Where on the x axis, for example the number of demonstrations."""
    seed: int
    """Training seed."""
    rows: list[dict[str, Any]]
    """One row for each test world, in the same order in every cell."""
    labels: int = 0
    """Labelled states that the policy was trained on; 0 where nobody counted."""
    figures: dict[str, float] = field(default_factory=dict)
    """What else was counted while it was trained."""

    def column(self, name: str) -> NDArray[np.float64]:
        """One figure of every world; (worlds,) or, for a series, (worlds, n)."""
        return np.array([row[name] for row in self.rows], np.float64)


class CellStore:
    """Cells of a study as JSON files that are there whole or not at all.

    Args:
        folder: the study's run folder.
        progress: who is told of damage.
    """

    def __init__(self, folder: Path, progress: Progress | None = None) -> None:
        self._progress = progress or SilentProgress()
        self.folder = folder / "cells"
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, arm: str, x: float, seed: int) -> Path:
        """Place of a cell.

        Raises:
            ForestPilotError: the arm's name is none that a file can have.
        """
        if problem := problem_of_name(arm):
            raise ForestPilotError(f"an arm of a study cannot be called {arm!r}: {problem}")
        return self.folder / f"{arm}-{x:g}-seed-{seed}.json"

    def load(self, arm: str, x: float, seed: int) -> Cell | None:
        """A finished cell, or None; one that cannot be read is set aside, for the study runs it again."""
        path = self.path(arm, x, seed)
        if not path.exists():
            return None
        try:
            cell = Cell(**read_sealed_json(path))
            return dataclasses.replace(cell, figures=migrate_row(cell.figures))
        except (DamagedFileError, ValueError, TypeError, AttributeError) as error:
            self._progress.note(f"warning: {error}; it is now {set_aside(path)}, and is run again")
            return None

    def save(self, cell: Cell) -> None:
        """Store a finished cell."""
        write_sealed_json(self.path(cell.arm, cell.x, cell.seed), vars(cell))


def stack(cells: Sequence[Cell], name: str) -> NDArray[np.float64]:
    """A figure of cells that differ in their training seed only: (seeds, worlds) or (seeds, worlds, n)."""
    return np.stack([cell.column(name) for cell in cells])


def cells_at(cells: Sequence[Cell], x: float) -> list[Cell]:
    """The cells of one place on the x axis, all arms and seeds."""
    return [cell for cell in cells if cell.x == x]


def group_by_arm_and_x(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that differ in their training seed only, side by side; groups in the order in which they appear."""
    groups: dict[tuple[str, float], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.arm, cell.x), []).append(cell)
    return list(groups.values())


def make_points(cells: Sequence[Cell], measure: Callable[[Sequence[Cell]], Interval]) -> list[Point]:
    """A point for each arm and x.

    Args:
        cells: of the whole study.
        measure: takes the cells of all seeds of one arm and x to a figure.
    """
    points = []
    for group in group_by_arm_and_x(cells):
        first = group[0]
        points.append(Point(first.arm, float(first.x), len(group), len(first.rows), measure(group)))
    return points


def mean_labels(cells: Sequence[Cell]) -> float:
    """Labelled states behind a policy, on average over the training seeds."""
    return sum(cell.labels for cell in cells) / len(cells)


def seed_range(cells: Sequence[Cell], figure: Callable[[Cell], float]) -> Interval:
    """Mean of a figure over the training seeds, from the least to the largest."""
    values = [figure(cell) for cell in cells]
    return Interval(float(np.mean(values)), min(values), max(values))


def figure_range(name: str, cells: Sequence[Cell]) -> Interval:
    """The same of what was counted under a name."""
    return seed_range(cells, lambda cell: cell.figures[name])
