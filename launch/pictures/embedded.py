"""A figure of an embedding: which moment of another view it takes to be the same, and which one raw pixels do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.pictures.plots import BAND, GRID, MUTED, POINTS, new_figure, save_figure
from forestpilot.policies.embeddings.checks import embedded, nearest, raw_pixels
from forestpilot.policies.embeddings.options import OWN_VIEW
from forestpilot.policies.embeddings.recordings import Recording, moments_of
from forestpilot.policies.embeddings.training import Embedded

SHOWN = 7
"""Moments that are shown."""
PIXELS = "#c2662d"
"""Colour of raw pixels."""


def draw_alignment(path: Path, learned: Embedded) -> Path:
    """Draw the held-out recording whose alignment error is the median: some moments of the vehicle's own view, the
    nearest of another view by points and by pixels, and the time of the nearest against the time of all moments.

    Args:
        path: PNG file to write.
        learned: the embedding, and recordings of which one at least has two views.
    """
    frames = learned.embedding.shape.frames
    several = [seen for seen in learned.held_out if len(seen.views) > 1]
    seen = sorted(several, key=lambda each: learned.checks.alignment[each.seed])[len(several) // 2]
    other = next(view for view in sorted(seen.views) if view != OWN_VIEW)
    moments = moments_of(seen, frames)
    found = [
        nearest(points(seen, OWN_VIEW), points(seen, other))
        for points in (embedded(learned.embedding), raw_pixels(frames))
    ]
    figure = new_figure(9.6, 6.4)
    grid = figure.add_gridspec(4, SHOWN, height_ratios=(1, 1, 1, 2.6))
    shown = np.linspace(0, len(moments) - 1, SHOWN + 2).round().astype(int)[1:-1]
    hz = learned.spec.control_hz
    told = other.removeprefix("view_")
    rows = (
        (OWN_VIEW, "own view", shown),
        (other, f"{told}, nearest\nby points", found[0][shown]),
        (other, f"{told}, nearest\nby pixels", found[1][shown]),
    )
    for row, (view, name, places) in enumerate(rows):
        for column, place in enumerate(places):
            axes = figure.add_subplot(grid[row, column])
            _show(axes, seen.views[view][moments[place]], f"{moments[place] / hz:.1f} s")
            if not column:
                axes.set_ylabel(name, rotation=0, ha="right", va="center", color=MUTED, fontsize=8)
    _times(figure.add_subplot(grid[3, :]), seen, moments, found, hz)
    errors = [100 * float(np.mean(list(each.values()))) for each in (learned.checks.alignment, learned.checks.pixels)]
    figure.suptitle(
        f"{told} beside own view, world {seen.seed}: alignment error on {len(learned.held_out)} recordings "
        f"{errors[0]:.1f} % by points, {errors[1]:.1f} % by pixels",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    return save_figure(figure, path)


def _show(axes: Any, view: NDArray[np.uint8], title: str) -> None:
    axes.imshow(view)
    axes.set_title(title, fontsize=7, color=MUTED, pad=2)
    axes.set_xticks([])
    axes.set_yticks([])


def _times(axes: Any, seen: Recording, moments: NDArray[np.int64], found: list[NDArray[np.int64]], hz: float) -> None:
    """Time of the nearest moment of the other view, against the moment's own."""
    times = moments / hz
    axes.plot(times, times, color=BAND, linewidth=6, alpha=0.6, label="the same moment")
    axes.plot(times, moments[found[1]] / hz, ".", color=PIXELS, markersize=5, label="nearest by pixels")
    axes.plot(times, moments[found[0]] / hz, ".", color=POINTS, markersize=5, label="nearest by points")
    axes.set_xlabel("time in the own view, s")
    axes.set_ylabel("time of the nearest, s")
    axes.grid(color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=8)
