"""Figures of studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.launch.pictures.plots import MUTED, add_axes, new_figure, save_figure
from forestpilot.launch.reading.study_results import INTERVAL_BARS, Curve, Panel, Point, StudyResult
from forestpilot.launch.studies.shifted_views import ShiftedViews

GREY = "#5b6670"
ORANGE = "#d1772f"
ARMS = (GREY, ORANGE, "#1f6fb2", "#2f9e57", "#9256c4", "#c23b4f", "#1d1d1b", "#c9a227", "#3fb8af", "#e377c2")
"""Colours of the things compared, in order."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
"""Their markers, for those who cannot tell the colours apart."""
PANELS_IN_A_ROW = 3
MOST_TICKS = 7
INK = "#1d1d1b"
CURVES = ("-", (0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)))
"""How the lines of what theory says are drawn, in order."""
ROOM_FOR_NAME = 0.09
"""Share of a logarithmic axis by which it is longer for the name of each of them."""
MOST_INSIDE = 6
"""More arms than these are named below the diagrams, where they hide nothing."""
LEAST_PERCENT = 10.0
"""Percentages have an axis of so many points at least, or one up to 100: where all are 0, nothing is magnified."""
MARGIN = 0.04
"""Room above and below the points, as a share of their axis."""
APART = 0.028
"""How far apart arms stand at a place, as a share of the x axis; less where there are many of them."""
SHARE_OF_GAP = 0.4
"""Share of the gap between two places that all arms together take at most."""
SLANTED = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
"""Names below an axis that would run into one another."""


def plot_study(result: StudyResult, path: Path | str) -> Path:
    """Draw the diagrams of a study, three in a row, four in two rows, a line for each arm, with 95 % intervals.

    Args:
        result: what came out.
        path: where the picture goes; the suffix chooses PNG, SVG or PDF.
    """
    count = len(result.panels)
    columns = 2 if count == 4 else min(count, PANELS_IN_A_ROW)
    rows = math.ceil(count / columns)
    figure = new_figure(max(6.4, 4.8 * columns), 0.4 + 4.0 * rows)
    for number, panel in enumerate(result.panels, start=1):
        axes = add_axes(figure, rows, columns, number)
        _draw_panel(axes, result, panel)
        if number == 1 and len(_places(panel)) > 1:
            _add_legend(figure, axes, columns)
    figure.suptitle(result.title, x=0.02, ha="left")
    return save_figure(figure, path)


def _add_legend(figure: Any, axes: Any, columns: int) -> None:
    """Name the arms in the first diagram, or below all where there are too many."""
    lines, names = axes.get_legend_handles_labels()
    if len(names) <= MOST_INSIDE:
        axes.legend(frameon=False)
    else:
        figure.legend(lines, names, loc="outside lower left", ncols=2 * columns, frameon=False)


def _places(panel: Panel) -> list[float]:
    """Places on the x axis, ascending. Where there is but one, the arms stand beside one another instead."""
    return sorted({point.x for point in panel.points})


def _draw_panel(axes: Any, result: StudyResult, panel: Panel) -> None:
    arms: dict[str, list[Point]] = {}
    for point in panel.points:
        arms.setdefault(point.arm, []).append(point)
    places = _places(panel)
    is_log = result.log_x and not panel.places
    apart = _apart(places, len(arms), is_log)
    for number, points in enumerate(arms.values()):
        x = np.array([point.x for point in points])
        if len(places) == 1:
            x = np.array([number])
        elif is_log:
            x = x * np.exp(apart * (number - (len(arms) - 1) / 2))
        else:
            x = x + apart * (number - (len(arms) - 1) / 2)
        _draw_arm(axes, x, points, number, line="-" if len(points) > 1 and not panel.places else "")
    if len(places) == 1:
        axes.set_xticks(range(len(arms)), list(arms), **SLANTED)
        axes.set_xlim(-0.6, len(arms) - 0.4)
    elif panel.places:
        axes.set_xticks(range(len(panel.places)), panel.places, rotation=12)
    else:
        axes.set_xlabel(panel.x_label or result.x_label)
        if result.log_x:
            axes.set_xscale("log")
            _plain_ticks(axes, places)
    _set_height(axes, panel, from_zero=len(places) == 1)
    for slope in panel.guides:
        _draw_guide(axes, panel, slope)
    if panel.curves:
        _draw_curves(axes, panel.curves)
    bars = "" if panel.bars == INTERVAL_BARS else f"\n({panel.bars})"
    axes.set_ylabel(panel.label + bars)


def _apart(places: Sequence[float], arms: int, is_log: bool) -> float:
    """How far apart arms stand at a place, or their intervals would hide one another; on a logarithmic axis in its
    logarithm."""
    if len(places) < 2:
        return 0.0
    gaps = np.diff(np.log(places) if is_log else places)
    return float(min(APART * gaps.sum(), SHARE_OF_GAP * gaps.min() / arms))


def _set_height(axes: Any, panel: Panel, from_zero: bool) -> None:
    """Choose what the y axis shows.

    Args:
        axes: with all points drawn.
        panel: what they are of.
        from_zero: whether it begins at zero, unless something lies below.
    """
    if panel.log_y:
        axes.set_yscale("log")
        return
    ends = np.array([point.value for point in panel.points])
    low, high = float(ends.min()), float(ends.max())
    if from_zero and low >= 0:
        low = 0.0
    if panel.label.endswith("%"):
        least = min(LEAST_PERCENT, max(1.0, 100 - low))
        missing = max(0.0, least - (high - low))
        low = min(low, max(0.0, min(low - missing / 2, 100 - least)))
        high = max(high, low + least)
    elif not (from_zero and low == 0 < high):
        return  # as matplotlib has it
    margin = MARGIN * (high - low)
    axes.set_ylim(low - margin, high + margin)


def _draw_arm(axes: Any, x: np.ndarray, points: Sequence[Point], number: int, line: str) -> None:
    """The points of one arm with their intervals, and a line through them where there is something in between."""
    mean, low, high = np.array([point.value for point in points]).T
    axes.errorbar(
        x,
        mean,
        yerr=np.abs([mean - low, high - mean]),
        capsize=3,
        markersize=4 if line or len(points) > 1 else 5,
        label=points[0].arm,
        fmt=f"{MARKERS[number % len(MARKERS)]}{line}",
        color=ARMS[number % len(ARMS)],
    )


def _draw_guide(axes: Any, panel: Panel, slope: float) -> None:
    """A thin line of a power law through the first point of the first arm."""
    first = panel.points[0]
    x = np.array([first.x, _places(panel)[-1]])
    style = "--" if slope > 1 else ":"
    axes.plot(x, first.value.mean * (x / first.x) ** slope, style, color=MUTED, linewidth=1, label=f"slope {slope:g}")


def _draw_curves(axes: Any, curves: Sequence[Curve]) -> None:
    """Thin lines of what theory says, named in the diagram itself; the arms are named in the first one."""
    lines = []
    for curve, style in zip(curves, CURVES):
        lines += axes.plot(curve.x, curve.y, color=INK, linewidth=1, linestyle=style)
    if axes.get_yscale() == "log":
        low, high = axes.get_ylim()
        axes.set_ylim(top=high * (high / low) ** (ROOM_FOR_NAME * len(curves)))
    names = [curve.name for curve in curves]
    axes.add_artist(axes.legend(lines, names, framealpha=0.85, edgecolor="none", fontsize=8))


def _plain_ticks(axes: Any, values: Sequence[float]) -> None:
    """Write few values of a logarithmic axis as they are."""
    shown = values[:: math.ceil(len(values) / MOST_TICKS)]
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.minorticks_off()


def plot_shifted_views(views: ShiftedViews, path: Path | str) -> Path:
    """Draw a shifted view as rendered and as warped, where they differ, and by how much on average."""
    figure = new_figure(11.0, 6.2)
    _show(add_axes(figure, 2, 2, 1), views.center, "center camera")
    _show(add_axes(figure, 2, 2, 2), views.rendered, f"rendered {views.shown_shift_m:g} m to the left")
    warped = add_axes(figure, 2, 2, 3)
    _show(warped, views.warped, "center camera, warped")
    inset = warped.inset_axes((0.68, 0.62, 0.32, 0.38))
    inset.imshow(np.abs(views.rendered.astype(int) - views.warped).astype(np.uint8))
    inset.set_xticks([])
    inset.set_yticks([])
    inset.set_title("difference to rendered", fontsize=7, pad=2, backgroundcolor="white")
    chart = add_axes(figure, 2, 2, 4)
    for values, color, label in ((views.above, ORANGE, "above"), (views.below, GREY, "below")):
        chart.plot(views.shifts_m, values, "o-", color=color, label=f"{label} the horizon")
    chart.set_ylim(bottom=0)
    chart.set_xlabel("shift, m")
    chart.set_ylabel("mean error, grey levels of 255")
    chart.set_title(f"warped against rendered: {views.places} places on test roads", loc="left", fontsize=10)
    chart.legend(frameon=False)
    return save_figure(figure, path)


def _show(axes: Any, image: np.ndarray, title: str) -> None:
    axes.imshow(image)
    axes.set_title(title, loc="left", fontsize=10)
    axes.axis("off")
