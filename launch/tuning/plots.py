"""Pictures of a search: which settings mattered, and which values went with which success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.launch.pictures.plots import BAND, GRID, MUTED, POINTS, new_figure, one_diagram, save_figure
from forestpilot.launch.tuning.search import Choice, Dimension, NumberRange
from forestpilot.launch.tuning.trials import COMPLETE, PRUNED, TrialRow, best_of, short, short_names, told_value
from forestpilot.sim.extras import require

BEST = "#d1772f"
"""Colour of the best trial."""
SHADES = ("#d8e6f2", "#9cc7ea", "#1f6fb2", "#0b2a4a")
"""From the worst trial to the best ones."""
SMOOTH = 24
"""Points of a trial's line between two axes."""
SPREAD = 0.05
"""How far trials with the same value of a list stand apart, as a share of the axis, so that they can be told apart."""
ROOM = 0.04
"""Free ends of an axis, as a share of it."""
ABSENT = -0.1
"""Where trials pass a field that they do not have, below its axis."""


def plot_importance(importance: Mapping[str, float], path: Path, trials: int) -> Path:
    """Draw how much each field mattered, as bars.

    Args:
        importance: share of each field, by dotted name.
        path: where the picture goes.
        trials: how many it was judged by.
    """
    ordered = sorted(importance.items(), key=lambda item: item[1])
    names = short_names([name for name, _ in ordered])
    shares = [100 * share for _, share in ordered]
    figure, axes = one_diagram(7.2, 1.5 + 0.42 * len(names))
    axes.grid(False, axis="y")
    axes.barh(range(len(names)), shares, color=BAND, edgecolor=POINTS, height=0.6)
    for place, share in enumerate(shares):
        axes.annotate(f"{share:.0f}", (share, place), (4, 0), textcoords="offset points", va="center", color=MUTED)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1.08 * max(shares, default=1.0))
    axes.set_xlabel(f"importance, % (PED-ANOVA, {trials} trials)")
    axes.set_title("What parted the better trials from the others", loc="left")
    return save_figure(figure, path)


def plot_parallel(dimensions: Sequence[Dimension], rows: Sequence[TrialRow], path: Path) -> Path:
    """Draw each trial as a line through its values; the darker, the better, the best one in orange.

    Args:
        dimensions: what was searched.
        rows: the trials; those that were ended early are dashed, others that came to no value left out.
        path: where the picture goes.
    """
    shown = [row for row in rows if row.state in (COMPLETE, PRUNED)]
    complete = [row.value for row in shown if row.value is not None]
    low, high = (min(complete), max(complete)) if complete else (0.0, 0.0)
    best = best_of(rows)
    figure = new_figure(max(6.4, 2.0 + 1.7 * len(dimensions)), 4.8)
    axes = figure.add_subplot()
    shades = require("matplotlib.colors").LinearSegmentedColormap.from_list("trials", SHADES)
    for row in sorted(shown, key=lambda row: (row.value is not None, row.value or 0.0, -row.number)):
        heights = [_height(each, row) for each in dimensions]
        style: dict[str, Any] = {"color": MUTED, "linewidth": 0.8, "linestyle": (0, (4, 3)), "alpha": 0.6}
        if row.value is not None:
            heights.append(_inside((row.value - low) / (high - low) if high > low else 0.5))
            style = {"color": shades((row.value - low) / (high - low) if high > low else 1.0), "linewidth": 1.3}
        if row is best:
            style = {"color": BEST, "linewidth": 2.4, "zorder": 5, "label": f"trial {row.number}, the best"}
        _draw_line(axes, heights, style)
    absent = {each.path for each in dimensions if any(each.path not in row.drawn for row in shown)}
    _draw_axes(axes, dimensions, absent, low, high)
    ended = sum(row.state != COMPLETE for row in shown)
    if ended:
        axes.plot([], [], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), label=f"{ended} ended early")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)
    axes.set_title(f"{len(shown)} trials, the darker the better", loc="left", pad=10)
    return save_figure(figure, path)


def _draw_axes(axes: Any, dimensions: Sequence[Dimension], absent: Set[str], low: float, high: float) -> None:
    """An upright line for each field, with its values beside it, and one for the success.

    Args:
        axes: where.
        dimensions: what was searched.
        absent: fields that not all trials have.
        low: least success.
        high: largest success.
    """
    names = [*short_names([each.path for each in dimensions]), "validation"]
    for place, name in enumerate(names):
        axes.plot([place, place], [0, 1], color=GRID, linewidth=1.4, zorder=0)
        ticks = {_inside(0.0): told_value(low), _inside(1.0): told_value(high)}
        if place < len(dimensions):
            ticks = _ticks(dimensions[place])
            if dimensions[place].path in absent:
                ticks[ABSENT] = "not there"
        elif low == high:
            ticks = {_inside(0.5): told_value(low)}
        for height, text in ticks.items():
            axes.annotate(
                text, (place, height), (5, 0), textcoords="offset points", va="center", fontsize=8, zorder=6,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
            )  # fmt: skip
        axes.annotate(name, (place, 1.03), ha="center", va="bottom", fontsize=9)
    axes.set_xlim(-0.35, len(names) - 0.6)
    axes.set_ylim(ABSENT - 0.04 if absent else -0.02, 1.1)
    axes.axis("off")


def _draw_line(axes: Any, heights: Sequence[float], style: Mapping[str, Any]) -> None:
    """A smooth line through the heights of a trial."""
    part = np.linspace(0, 1, SMOOTH)
    ease = (1 - np.cos(np.pi * part)) / 2
    x = [place + part for place in range(len(heights) - 1)]
    y = [here + (there - here) * ease for here, there in pairwise(heights)]
    if x:
        axes.plot(np.concatenate(x), np.concatenate(y), solid_capstyle="round", **style)


def _height(dimension: Dimension, row: TrialRow) -> float:
    """Where a trial crosses a field's axis, 0 to 1; below it where it has no value."""
    if dimension.path not in row.drawn:
        return ABSENT
    value = row.drawn[dimension.path]
    if isinstance(dimension, Choice):
        # Golden steps: neighbours in time are far apart, and none is where another is.
        aside = SPREAD * ((row.number * 0.618034) % 1 - 0.5)
        return _inside(_place_in_list(dimension, dimension.values.index(value))) + aside
    return _inside(_share(dimension, value))


def _ticks(dimension: Dimension) -> dict[float, str]:
    """Heights and names of the values beside an axis."""
    if isinstance(dimension, Choice):
        return {
            _inside(_place_in_list(dimension, number)): short(value) for number, value in enumerate(dimension.values)
        }
    middle = (dimension.low + dimension.high) / 2
    if dimension.log:
        middle = (dimension.low * dimension.high) ** 0.5
    values = (dimension.low, middle, dimension.high)
    return {_inside(_share(dimension, value)): f"{value:.3g}" for value in values}


def _place_in_list(dimension: Choice, number: int) -> float:
    return number / (len(dimension.values) - 1) if len(dimension.values) > 1 else 0.5


def _share(dimension: NumberRange, value: float) -> float:
    """Where a number lies in its range, 0 to 1."""
    low, high, at = dimension.low, dimension.high, value
    if dimension.log:
        low, high, at = np.log([low, high, at])
    return float((at - low) / (high - low))


def _inside(share: float) -> float:
    """A share of an axis, its free ends left out."""
    return ROOM + (1 - 2 * ROOM) * share
