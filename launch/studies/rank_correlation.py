"""Rank correlations of two figures of the same policies, and pictures of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.pictures.plots import add_axes, new_figure, save_figure
from forestpilot.launch.reading.study_results import Interval
from forestpilot.launch.studies.plots import ARMS, MARKERS, PANELS_IN_A_ROW

Figures = NDArray[np.float64]


def ranks(values: Figures) -> Figures:
    """Ranks (P,) from 1 on; equal values share the mean of theirs."""
    below = (values[:, None] > values[None, :]).sum(1)
    equal = (values[:, None] == values[None, :]).sum(1)
    shared: Figures = below + (equal + 1) / 2
    return shared


def spearman(first: Figures, second: Figures) -> float:
    """Spearman's rho of two rows of figures (P,); 0 where one of them is the same everywhere."""
    a, b = (own - own.mean() for own in (ranks(first), ranks(second)))
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size else 0.0


def kendall(first: Figures, second: Figures) -> float:
    """Kendall's tau b, which allows for equal values; 0 where one of the rows is the same everywhere."""
    a, b = (np.sign(own[:, None] - own[None, :]) for own in (first, second))
    size = math.sqrt(float(np.abs(a).sum()) * float(np.abs(b).sum()))
    return float((a * b).sum()) / size if size else 0.0


WIDE_RATIO = 10.0
"""Figures that span more than this are drawn on a logarithmic axis, or most would lie on top of one another."""
CORRELATIONS: Mapping[str, Callable[[Figures, Figures], float]] = {"Spearman": spearman, "Kendall": kendall}
"""Both by name."""


@dataclass(frozen=True)
class Scatter:
    """One diagram: an offline figure of each policy, and its success."""

    label: str
    """Name of the figure."""
    x: Sequence[float]
    """The figure of each policy."""
    y: Sequence[float]
    """Its success, percent."""
    kinds: Sequence[str]
    """Which kind of policy each is."""
    correlations: Mapping[str, Interval]
    """Rank correlations by name."""


def plot_scatters(scatters: Sequence[Scatter], title: str, path: Path) -> Path:
    """Draw a diagram for each offline figure, three in a row; policies of a kind share a colour, if kinds are few."""
    rows = math.ceil(len(scatters) / PANELS_IN_A_ROW)
    kinds = list(dict.fromkeys(kind for scatter in scatters for kind in scatter.kinds))
    figure = new_figure(4.8 * PANELS_IN_A_ROW, 0.4 + 4.0 * rows)
    for number, scatter in enumerate(scatters, start=1):
        axes = add_axes(figure, rows, PANELS_IN_A_ROW, number)
        if len(kinds) > len(ARMS):
            axes.plot(scatter.x, scatter.y, "o", color=ARMS[0], markersize=5)
        for style, kind in enumerate(kinds if len(kinds) <= len(ARMS) else ()):
            own = [place for place, other in enumerate(scatter.kinds) if other == kind]
            x, y = ([values[place] for place in own] for values in (scatter.x, scatter.y))
            axes.plot(x, y, MARKERS[style], color=ARMS[style], markersize=5, label=kind)
        if min(scatter.x) > 0 and max(scatter.x) > WIDE_RATIO * min(scatter.x):
            axes.set_xscale("log")
        told = [f"{name} {v.mean:+.2f} ({v.low:+.2f} to {v.high:+.2f})" for name, v in scatter.correlations.items()]
        axes.set_title("\n".join(told), loc="left", fontsize=9)
        axes.set_xlabel(f"{scatter.label}, held-out demonstrations")
        axes.set_ylabel("success, test forests, %")
        if number == 1 and len(kinds) <= len(ARMS):
            axes.legend(frameon=False)
    figure.suptitle(title, x=0.02, ha="left")
    return save_figure(figure, path)
