"""Figures of results. matplotlib is imported when the first one is drawn, and never opens a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from forestpilot.data_collection.episodes.files import written_whole
from forestpilot.sim.extras import require
from forestpilot.sim.worlds.words import format_density

POINTS = "#1f6fb2"
"""Colour of measured points."""
BAND = "#9cc7ea"
"""Colour of intervals."""
GRID = "#d9dde1"
"""Colour of grids."""
MUTED = "#5b6670"
"""Colour of lesser text."""
MAX_TICKS = 12
"""More rounds than this are not all named below the axis."""


class Round(Protocol):
    """A DAgger round, as much of it as the plot needs."""

    @property
    def round(self) -> int:
        """Number of the round; 0 is behavioural cloning."""

    @property
    def labels(self) -> int:
        """Labelled states so far."""

    @property
    def validation_success(self) -> float | None:
        """Success rate on the validation worlds, 0 to 1; None if the round was not validated."""

    @property
    def validation_episodes(self) -> int:
        """Number of validation worlds."""

    @property
    def low(self) -> float | None:
        """Lower end of the 95 % Wilson interval."""

    @property
    def high(self) -> float | None:
        """Upper end of the 95 % Wilson interval."""


def plot_rounds(rounds: Sequence[Round], path: Path | str, chosen: int, title: str = "Success by DAgger round") -> Path:
    """Draw the validation success of each round with its 95 % Wilson interval, and the number of labels below it.

    Args:
        rounds: results of the rounds; those without validation are left out.
        path: where the picture goes; the suffix chooses PNG, SVG or PDF.
        chosen: number of the round whose policy was kept.
        title: heading of the figure.

    Raises:
        ValueError: no round was validated.
    """
    shown: list[Round] = []
    intervals: list[tuple[float, float, float]] = []
    for r in rounds:
        if r.validation_success is not None and r.low is not None and r.high is not None:
            shown.append(r)
            intervals.append((r.low, r.validation_success, r.high))
    if not shown:
        raise ValueError("no round has validation episodes; there is nothing to plot")
    x = list(map(attrgetter("round"), shown))
    low, rate, high = 100 * np.array(intervals).T
    figure, axes = one_diagram(7.2, 4.2)
    axes.fill_between(x, low, high, color=BAND, alpha=0.45, linewidth=0, label="95 % Wilson interval")
    axes.errorbar(x, rate, yerr=(rate - low, high - rate), fmt="o-", color=POINTS, capsize=3, label="success")
    axes.plot(chosen, rate[x.index(chosen)], "o", markersize=13, markerfacecolor="none", color=POINTS, label="chosen")
    axes.set_ylim(0, 104)
    every = len(x) // 10 if len(x) > MAX_TICKS else 1
    axes.set_xticks(x[::every])
    axes.set_xlabel("DAgger round (0: behavioural cloning)")
    axes.set_ylabel(f"validation worlds completed, % of {shown[0].validation_episodes}")
    axes.set_title(title, loc="left")
    axes.legend(loc="lower right", frameon=False)
    labels = f"{shown[0].labels:,} labels in round {x[0]}, {shown[-1].labels:,} in round {x[-1]}"
    axes.annotate(labels, (0, -0.2), xycoords="axes fraction", color=MUTED, fontsize=8)
    return save_figure(figure, path)


def plot_success_grid(
    cells: Mapping[tuple[float, float], tuple[int, int]], path: Path | str, title: str = "Success on the test forests"
) -> Path:
    """Draw success by density and speed as a table of coloured cells.

    Args:
        cells: (trees per square metre, speed in m/s) to (successes, episodes).
        path: where the picture goes.
        title: heading of the figure.

    Raises:
        ValueError: there are no cells.
    """
    if not cells:
        raise ValueError("there are no cells to plot")
    densities = sorted({density for density, _ in cells})
    speeds = sorted({speed for _, speed in cells})
    rates = np.full((len(densities), len(speeds)), np.nan)
    for (density, speed), (successes, episodes) in cells.items():
        rates[densities.index(density), speeds.index(speed)] = 100 * successes / episodes
    figure, axes = one_diagram(1.6 + 1.1 * len(speeds), 1.4 + 0.6 * len(densities))
    axes.grid(False)
    axes.imshow(rates, cmap="RdYlGn", vmin=0, vmax=100, aspect="auto", alpha=0.75)
    for (density, speed), (successes, episodes) in cells.items():
        where = (speeds.index(speed), densities.index(density))
        axes.annotate(f"{successes}/{episodes}", where, ha="center", va="center")
    axes.set_xticks(range(len(speeds)), list(map("{:g}".format, speeds)))
    axes.set_yticks(range(len(densities)), list(map(format_density, densities)))
    axes.set_xlabel("speed, m/s")
    axes.set_ylabel("trees per m$^2$")
    axes.set_title(title, loc="left")
    return save_figure(figure, path)


def one_diagram(width_in: float, height_in: float) -> tuple[Any, Any]:
    """A figure of its own with a single diagram: (figure, axes)."""
    figure = new_figure(width_in, height_in)
    return figure, add_axes(figure)


def new_figure(width_in: float, height_in: float) -> Any:
    """An empty figure outside pyplot's global state, so that no backend is chosen for the whole process."""
    figure = require("matplotlib.figure").Figure(figsize=(width_in, height_in), layout="constrained")
    require("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Any, rows: int = 1, columns: int = 1, number: int = 1) -> Any:
    """Add the `number`-th of rows x columns diagrams, counted from 1, to a figure."""
    axes = figure.add_subplot(rows, columns, number)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def save_figure(figure: Any, path: Path | str) -> Path:
    """Write a figure, whole or not at all; the suffix of the path chooses PNG, SVG or PDF."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        figure.savefig(unfinished, dpi=150, format=path.suffix.removeprefix("."))
    return path
