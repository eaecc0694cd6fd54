"""Diagrams of a dataset, drawn as those of `forestpilot.launch.pages.figures`: they follow the page from light to dark,
and nothing in them is told by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.data_collection.people.console import Key
from forestpilot.launch.inspection.human import Excerpt
from forestpilot.launch.inspection.measures import has_sides_of_their_own, set_point_mps
from forestpilot.launch.inspection.records import SIDES
from forestpilot.launch.inspection.survey import Survey
from forestpilot.launch.pages.figures import (
    HEIGHT_IN,
    INK,
    MUTED,
    WIDTH_IN,
    add_diagram,
    as_svg,
    color_of,
    dashes_of,
    diagram_style,
    label_axes,
)
from forestpilot.launch.pictures.plots import add_axes, new_figure
from forestpilot.sim.extras import require

BINS = 41
"""Bins of a histogram."""
STATE_BINS = 30
"""Bins of the small histograms of states."""
MAP_COLUMNS = 36
"""Cells of a map from left to right."""
MAP_ROWS = 24
"""Cells of a map from bottom to top."""
SHADES = 8
"""Strengths in which the cells of a map are drawn."""
NAMES = {
    "forward_mps": "forward, m/s",
    "left_mps": "to the left, m/s",
    "up_mps": "up, m/s",
    "roll_rad": "roll, °",
    "pitch_rad": "pitch, °",
    "roll_rate_radps": "roll rate, °/s",
    "pitch_rate_radps": "pitch rate, °/s",
    "yaw_rate_radps": "yaw rate, °/s",
    "speed_set_point_mps": "set point, m/s",
    "altitude_m": "altitude, m",
    "steering_rad": "steering, °",
}
"""State elements as they stand under a diagram; angles are drawn in degrees."""
Values = NDArray[np.floating]
Span = tuple[float, float]
"""Both ends of an axis."""


class Counted(NamedTuple):
    """Values that are counted along an axis."""

    values: Values
    """(N,) values."""
    label: str
    """What they are, with their unit."""
    span: Span | None = None
    """Ends of the axis; by default those of the values."""

    def edges(self, bins: int) -> Values:
        """(bins + 1,) edges of bins."""
        return _edges(self.values, self.span, bins)

    def clipped(self, edges: Values) -> Values:
        """The values, those outside the edges put into the outermost bins."""
        return np.clip(self.values, edges[0], edges[-1])


Series = Sequence[tuple[int, Values]]
"""(style, values) of what is drawn over one another."""


def histograms_figure(
    series: Series, x_label: str, y_label: str, alt: str, *, span: Span | None = None, log: bool = False
) -> Markup:
    """Histograms over one another, as outlines with dashes of their own.

    Args:
        series: (style, values) of each.
        x_label: what is counted, with its unit.
        y_label: what the counts are shares of.
        alt: the diagram in words.
        span: ends of the x axis; by default those of the values.
        log: logarithmic shares, so that rare values are seen beside frequent ones.
    """
    most = max(len(values) for _, values in series)
    edges = _edges(np.concatenate([values for _, values in series]), span, BINS)
    with diagram_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = add_diagram(figure)
        for style, values in series:
            _outline(axes, style, values, edges)
        if log:
            axes.set_yscale("log")
            axes.set_ylim(0.5 * 100 / most, 150)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", nbins=6)
        label_axes(axes, x_label, y_label)
        return as_svg(figure, alt)


def _edges(values: Values, span: Span | None, bins: int) -> Values:
    """Edges of bins; a single value stands in the middle of some."""
    low, high = span or (float(values.min()), float(values.max()))
    if high - low < 1e-6:
        low -= 0.5
        high += 0.5
    return np.linspace(low, high, bins + 1)


def _outline(axes: Any, style: int, values: Values, edges: Values) -> None:
    """Shares of the values in each bin, in percent, as a line and a pale area."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    shares = 100 * counts / max(1, len(values))
    axes.stairs(shares, edges, color=color_of(style), linewidth=1.6, linestyle=dashes_of(style))
    axes.stairs(shares, edges, color=color_of(style), fill=True, alpha=0.12, linewidth=0)


def map_figure(x: Counted, y: Counted, alt: str, identity: bool = False) -> Markup:
    """A map of how often two values come together: the stronger a cell, the more often, by powers of the count.

    Args:
        x: first values.
        y: second values, as many.
        alt: the diagram in words.
        identity: draw the line on which both are equal.
    """
    x_edges = x.edges(MAP_COLUMNS)
    y_edges = y.edges(MAP_ROWS)
    counts, _, _ = np.histogram2d(x.clipped(x_edges), y.clipped(y_edges), (x_edges, y_edges))
    with diagram_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = add_diagram(figure)
        _shade(axes, counts, x_edges, y_edges)
        if identity:
            ends = (max(x_edges[0], y_edges[0]), min(x_edges[-1], y_edges[-1]))
            axes.plot(ends, ends, color=INK, linewidth=1, linestyle=dashes_of(1))
        axes.set_xlim(x_edges[0], x_edges[-1])
        axes.set_ylim(y_edges[0], y_edges[-1])
        label_axes(axes, x.label, y.label)
        return as_svg(figure, alt)


def _shade(axes: Any, counts: Values, x_edges: Values, y_edges: Values) -> None:
    """Cells with their strength by the logarithm of the count; all of one strength are one path."""
    strength = np.log1p(counts) / max(math.log1p(counts.max()), 1e-9)
    level = np.ceil(strength * SHADES).astype(int)
    for shade in range(1, SHADES + 1):
        i, j = np.nonzero(level == shade)
        if not len(i):
            continue
        around_x = x_edges[[i, i + 1, i + 1, i, i]]
        around_y = y_edges[[j, j, j + 1, j + 1, j]]
        cells = np.stack([around_x, around_y], axis=2).swapaxes(0, 1)
        path = require("matplotlib.path").Path.make_compound_path_from_polys(cells)
        # Smoothed edges would show as a grid between the cells.
        look = {"color": color_of(0), "alpha": shade / SHADES, "linewidth": 0, "antialiased": False}
        axes.add_patch(require("matplotlib.patches").PathPatch(path, **look))


def states_figure(survey: Survey, alt: str) -> Markup:
    """Small histograms of each element of the state."""
    names = survey.spec.state_names
    states = survey.over_steps(lambda record: record.state)
    rows = math.ceil(len(names) / 2)
    with diagram_style():
        figure = new_figure(WIDTH_IN, 0.3 + 1.15 * rows)
        for number, (name, values) in enumerate(zip(names, states.T, strict=True), start=1):
            axes = add_axes(figure, rows, 2, number)
            shown = np.degrees(values) if "_rad" in name else values
            _outline(axes, 0, shown, _edges(shown, None, STATE_BINS))
            axes.set_ylim(bottom=0)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            label_axes(axes, NAMES.get(name, name), "")
        return as_svg(figure, alt)


def speeds_figure(survey: Survey, alt: str) -> Markup:
    """Set points of the episodes, and speeds that were driven."""
    set_points = np.array([set_point_mps(survey, record) for record in survey.records])
    speeds = survey.over_steps(lambda record: record.speed_mps)
    span = (0.0, 1.05 * float(max(set_points.max(), speeds.max())))
    return histograms_figure([(0, set_points), (1, speeds)], "speed, m/s", "episodes or steps, %", alt, span=span)


class SideLabels(NamedTuple):
    """Labels of a side camera against those of the center camera."""

    camera: str
    """left or right."""
    shift_m: Values
    """(N,) where it stood, metres to the left."""
    yaw_deg: Values
    """(N,) where it looked, degrees to the left."""
    correction_deg: Values
    """(N,) its turn minus the center camera's, degrees."""


def taught_at_sides(survey: Survey) -> list[SideLabels]:
    """Labels of both side cameras: the expert's answer, or the geometric rule's."""
    return _at_sides(survey, survey.over_labels(lambda record: record.taught))


def ruled_at_sides(survey: Survey) -> list[SideLabels]:
    """The geometric rule's answers at both side cameras."""
    return _at_sides(survey, survey.over_labels(lambda record: record.rule))


def _at_sides(survey: Survey, taught: Values) -> list[SideLabels]:
    """Corrections of labels (N, C, 2) at both side cameras."""
    offsets = survey.over_labels(lambda record: record.offsets)
    sides = []
    for side in SIDES:
        shift_m, yaw_rad, *_ = offsets[:, side].T
        correction = survey.degrees(taught[:, side, 0] - survey.labels[:, 0])
        sides.append(SideLabels(CAMERAS[side], shift_m, np.degrees(yaw_rad), correction))
    return sides


def joined(sides: Sequence[SideLabels]) -> SideLabels:
    """The labels of several side cameras, one after the other."""
    cameras, *columns = zip(*sides, strict=True)
    return SideLabels(" and ".join(cameras), *map(np.concatenate, columns))


def side_figures(survey: Survey, sides: Sequence[SideLabels]) -> dict[str, Markup]:
    """Corrections at the side cameras, against where the cameras stood: `shift` and `yaw`; none if they never move."""
    if not has_sides_of_their_own(survey):
        return {}
    both = joined(sides)
    correction = Counted(both.correction_deg, "correction of the turn, °")
    shift = Counted(both.shift_m, "shift of the camera, m, left positive")
    yaw = Counted(both.yaw_deg, "yaw of the camera, °, left positive")
    alt = "How the correction at the side cameras changes with their"
    return {
        "shift": map_figure(shift, correction, f"{alt} shift"),
        "yaw": map_figure(yaw, correction, f"{alt} yaw"),
    }


class Lever(NamedTuple):
    """One element of an action, and the keys that move it."""

    column: int
    """Which element."""
    name: str
    """What it is called."""
    up: Key
    """Key that moves it up."""
    down: Key
    """Key that moves it down."""


LEVERS = (Lever(0, "turn", Key.LEFT, Key.RIGHT), Lever(1, "go", Key.FORWARD, Key.BACK))


def hand_figure(excerpt: Excerpt, alt: str) -> Markup:
    """Keys that were held, and what became of them, over some seconds of an episode."""
    with diagram_style():
        figure = new_figure(WIDTH_IN, 3.4)
        for number, lever in enumerate(LEVERS, start=1):
            axes = add_axes(figure, len(LEVERS), 1, number)
            _draw_lever(axes, excerpt, lever)
            is_last = number == len(LEVERS)
            axes.tick_params(labelbottom=is_last)
            label_axes(axes, "seconds since the start of the episode" if is_last else "", lever.name)
        return as_svg(figure, alt)


def _draw_lever(axes: Any, excerpt: Excerpt, lever: Lever) -> None:
    """Keys, the expert's turn and the human's action."""
    record = excerpt.record
    part = excerpt.part
    seconds = np.arange(part.start, part.stop) / record.meta.control_hz
    if record.keys is not None:
        for key, side in ((lever.up, 1.0), (lever.down, -1.0)):
            held = np.where(record.keys[part] & key, side, 0.0)
            axes.fill_between(seconds, 0, held, step="post", color=MUTED, alpha=0.3, linewidth=0)
    if lever.column == 0 and record.expert_turn is not None:
        axes.plot(seconds, record.expert_turn[part], color=color_of(1), linestyle=dashes_of(1), linewidth=1.4)
    own = np.where(record.labelled[part], record.label[part, lever.column], np.nan)
    axes.plot(seconds, own, color=color_of(0), linewidth=1.8)
    axes.set_ylim(-1.1, 1.1)
