"""Figures of studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.launch.pictures.plots import MUTED, add_axes, new_figure, save_figure
from forestpilot.launch.reading.study_results import INTERVAL_BARS, Panel, Point, StudyResult
from forestpilot.launch.studies.shifted_views import ShiftedViews

GREY = "#5b6670"
ORANGE = "#d1772f"
ARMS = (GREY, ORANGE, "#1f6fb2", "#2f9e57", "#9256c4", "#c23b4f", "#1d1d1b", "#c9a227", "#3fb8af", "#e377c2")
"""Colours of the things compared, in order."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
"""Their markers, for those who cannot tell the colours apart."""
PANELS_IN_A_ROW = 3
MOST_TICKS = 7


def plot_study(result: StudyResult, path: Path | str) -> Path:
    """Draw the diagrams of a study, three in a row at most, a line for each arm, with 95 % intervals.

    Args:
        result: what came out.
        path: where the picture goes; the suffix chooses PNG, SVG or PDF.
    """
    count = len(result.panels)
    columns = min(count, PANELS_IN_A_ROW)
    rows = math.ceil(count / columns)
    figure = new_figure(max(6.4, 4.8 * columns), 0.4 + 4.0 * rows)
    for number, panel in enumerate(result.panels, start=1):
        axes = add_axes(figure, rows, columns, number)
        _draw_panel(axes, result, panel)
        if number == 1 and len(_places(panel)) > 1:
            axes.legend(frameon=False)
    figure.suptitle(result.title, x=0.02, ha="left")
    return save_figure(figure, path)


def _places(panel: Panel) -> list[float]:
    """Places on the x axis, ascending. Where there is but one, the arms stand beside one another instead."""
    return sorted({point.x for point in panel.points})


def _draw_panel(axes: Any, result: StudyResult, panel: Panel) -> None:
    arms: dict[str, list[Point]] = {}
    for point in panel.points:
        arms.setdefault(point.arm, []).append(point)
    places = _places(panel)
    for number, points in enumerate(arms.values()):
        x = np.array([point.x for point in points])
        if len(places) == 1:
            x = np.array([number])
        elif panel.places:
            x = x + 0.08 * (number - (len(arms) - 1) / 2)
        elif result.log_x:  # side by side, or the intervals hide one another
            x = x * 1.03 ** (number - (len(arms) - 1) / 2)
        _draw_arm(axes, x, points, number, line="" if panel.places else "-")
    if len(places) == 1:
        axes.set_xticks(range(len(arms)), list(arms), rotation=20)
        axes.set_xlim(-0.6, len(arms) - 0.4)
        axes.set_ylim(bottom=0)
    elif panel.places:
        axes.set_xticks(range(len(panel.places)), panel.places, rotation=12)
    else:
        axes.set_xlabel(result.x_label)
        if result.log_x:
            axes.set_xscale("log")
            _plain_ticks(axes, places)
    if panel.log_y:
        axes.set_yscale("log")
    for slope in panel.guides:
        _draw_guide(axes, panel, slope)
    bars = "" if panel.bars == INTERVAL_BARS else f"\n({panel.bars})"
    axes.set_ylabel(panel.label + bars)


def _draw_arm(axes: Any, x: np.ndarray, points: Sequence[Point], number: int, line: str) -> None:
    """The points of one arm with their intervals, and a line through them where there is something in between."""
    mean, low, high = np.array([point.value for point in points]).T
    axes.errorbar(
        x,
        mean,
        yerr=np.abs([mean - low, high - mean]),
        capsize=3,
        markersize=4,
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
