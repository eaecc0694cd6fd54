"""Diagrams of a dataset, drawn as those of `forestpilot.launch.pages.figures`: they follow the page from light to dark,
and nothing in them is told by colour alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.data_collection.people.console import Key
from forestpilot.launch.inspection.measures import degrees, has_sides_of_their_own, set_point_mps
from forestpilot.launch.inspection.survey import SIDES, Record, Survey
from forestpilot.launch.pages.figures import (
    DASHES,
    HEIGHT_IN,
    INK,
    MUTED,
    WIDTH_IN,
    add_diagram,
    as_svg,
    color_of,
    diagram_style,
    label_axes,
)
from forestpilot.launch.pictures.plots import add_axes, new_figure

BINS = 41
SHADES = 8
"""Strengths in which the cells of a map are drawn."""
NAMES = {
    "forward_mps": "forward, m/s", "left_mps": "to the left, m/s", "up_mps": "up, m/s", "roll_rad": "roll, °",
    "pitch_rad": "pitch, °", "roll_rate_radps": "roll rate, °/s", "pitch_rate_radps": "pitch rate, °/s",
    "yaw_rate_radps": "yaw rate, °/s", "speed_set_point_mps": "set point, m/s", "altitude_m": "altitude, m",
    "steering_rad": "steering, °",
}  # fmt: skip
"""State elements as they stand under a diagram; angles are drawn in degrees."""
Values = NDArray[np.floating]


def histograms_figure(
    series: Sequence[tuple[int, Values]], x_label: str, y_label: str, alt: str, *,
    span: tuple[float, float] | None = None, log: bool = False,
) -> Markup:  # fmt: skip
    """Histograms over one another, as outlines with dashes of their own.

    Args:
        series: (style, values) of each.
        x_label: what is counted, with its unit.
        y_label: what the counts are shares of.
        alt: the diagram in words.
        span: ends of the x axis; by default those of the values.
        log: logarithmic shares, so that rare values are seen beside frequent ones.
    """
    edges = _edges(np.concatenate([values for _, values in series]), span)
    with diagram_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = add_diagram(figure)
        for style, values in series:
            _outline(axes, style, values, edges)
        if log:
            axes.set_yscale("log")
            axes.set_ylim(0.5 * 100 / max(len(values) for _, values in series), 150)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", nbins=6)
        label_axes(axes, x_label, y_label)
        return as_svg(figure, alt)


def _edges(values: Values, span: tuple[float, float] | None, bins: int = BINS) -> Values:
    """Edges of bins; a single value stands in the middle of some."""
    low, high = span if span is not None else (float(values.min()), float(values.max()))
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


def _outline(axes: Any, style: int, values: Values, edges: Values) -> None:
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    shares = 100 * counts / max(1, len(values))
    axes.stairs(shares, edges, color=color_of(style), linewidth=1.6, linestyle=DASHES[style % len(DASHES)])
    axes.stairs(shares, edges, color=color_of(style), fill=True, alpha=0.12, linewidth=0)


def map_figure(
    x: Values, y: Values, x_label: str, y_label: str, alt: str, *,
    x_span: tuple[float, float] | None = None, y_span: tuple[float, float] | None = None, identity: bool = False,
) -> Markup:  # fmt: skip
    """How often two values come together: the stronger a cell, the more often, by powers of the count.

    Args:
        x: (N,) first values.
        y: (N,) second values.
        x_label: what x is.
        y_label: what y is.
        alt: the diagram in words.
        x_span: ends of the x axis; by default those of the values.
        y_span: ends of the y axis.
        identity: draw the line on which both are equal.
    """
    x_edges, y_edges = _edges(x, x_span, 36), _edges(y, y_span, 24)
    counts = np.histogram2d(
        np.clip(x, x_edges[0], x_edges[-1]), np.clip(y, y_edges[0], y_edges[-1]), (x_edges, y_edges)
    )[0]
    with diagram_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = add_diagram(figure)
        _shade(axes, counts, x_edges, y_edges)
        if identity:
            ends = max(x_edges[0], y_edges[0]), min(x_edges[-1], y_edges[-1])
            axes.plot(ends, ends, color=INK, linewidth=1, linestyle=DASHES[1])
        axes.set_xlim(x_edges[0], x_edges[-1])
        axes.set_ylim(y_edges[0], y_edges[-1])
        label_axes(axes, x_label, y_label)
        return as_svg(figure, alt)


def _shade(axes: Any, counts: Values, x_edges: Values, y_edges: Values) -> None:
    """Cells with their strength by the logarithm of the count; all of one strength are one path."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    strength = np.log1p(counts) / max(math.log1p(counts.max()), 1e-9)
    level = np.ceil(strength * SHADES).astype(int)
    for shade in range(1, SHADES + 1):
        i, j = np.nonzero(level == shade)
        if len(i):
            corners = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1), (i, j))
            cells = np.stack([np.stack([x_edges[a], y_edges[b]], axis=1) for a, b in corners], axis=1)
            path = Path.make_compound_path_from_polys(cells)
            # Smoothed edges would show as a grid between the cells.
            axes.add_patch(PathPatch(path, color=color_of(0), alpha=shade / SHADES, linewidth=0, antialiased=False))


def states_figure(survey: Survey, alt: str) -> Markup:
    """What each element of the state has been, as small histograms."""
    names = survey.spec.state_names
    states = survey.over_steps(lambda record: record.state)
    rows = math.ceil(len(names) / 2)
    with diagram_style():
        figure = new_figure(WIDTH_IN, 0.3 + 1.15 * rows)
        for number, name in enumerate(names, start=1):
            axes = add_axes(figure, rows, 2, number)
            values = np.degrees(states[:, number - 1]) if "_rad" in name else states[:, number - 1]
            _outline(axes, 0, values, _edges(values, None, 30))
            axes.set_ylim(bottom=0)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            label_axes(axes, NAMES.get(name, name), "")
        return as_svg(figure, alt)


def speeds_figure(survey: Survey, alt: str) -> Markup:
    """Set points of the episodes, and speeds that were driven."""
    set_points = np.array([set_point_mps(survey, record) for record in survey.records])
    speeds = survey.over_steps(lambda record: record.speed_mps)
    span = 0.0, 1.05 * float(max(set_points.max(), speeds.max()))
    return histograms_figure([(0, set_points), (1, speeds)], "speed, m/s", "episodes or steps, %", alt, span=span)


def side_figures(survey: Survey, labels: Sequence[tuple[str, Values, Values]]) -> list[Markup]:
    """Corrections at the side cameras, against where the cameras stood.

    Args:
        survey: the dataset.
        labels: (name of the camera, (N, 2) offset in metres and radians, (N,) correction in degrees), left then right.
    """
    if not has_sides_of_their_own(survey):
        return []
    offsets = np.concatenate([offset for _, offset, _ in labels])
    corrections = np.concatenate([correction for _, _, correction in labels])
    return [
        map_figure(
            values,
            corrections,
            x_label,
            "correction of the turn, °",
            f"How the correction at the side cameras changes with their {what}",
        )
        for values, x_label, what in (
            (offsets[:, 0], "shift of the camera, m, left positive", "shift"),
            (np.degrees(offsets[:, 1]), "yaw of the camera, °, left positive", "yaw"),
        )
    ]


def hand_figure(survey: Survey, record: Record, part: slice, alt: str) -> Markup:
    """Keys that were held, and what became of them, over some seconds of an episode."""
    seconds = np.arange(part.start, part.stop) / record.meta.control_hz
    keys = record.keys[part] if record.keys is not None else np.zeros(len(seconds), np.uint8)
    panels = (
        (0, "turn", ((Key.LEFT, 1.0), (Key.RIGHT, -1.0))),
        (1, "go", ((Key.FORWARD, 1.0), (Key.BACK, -1.0))),
    )
    with diagram_style():
        figure = new_figure(WIDTH_IN, 3.4)
        for column, name, sides in panels:
            axes = add_axes(figure, 2, 1, column + 1)
            for key, side in sides:
                held = np.where(keys & key, side, 0.0)
                axes.fill_between(seconds, 0, held, step="post", color=MUTED, alpha=0.3, linewidth=0)
            if column == 0 and record.expert is not None:
                axes.plot(seconds, record.expert[part, 0], color=color_of(1), linestyle=DASHES[1], linewidth=1.4)
            own = np.where(record.labelled[part], record.label[part, column], np.nan)
            axes.plot(seconds, own, color=color_of(0), linewidth=1.8)
            axes.set_ylim(-1.1, 1.1)
            axes.tick_params(labelbottom=column == 1)
            label_axes(axes, "seconds since the start of the episode" if column else "", name)
        return as_svg(figure, alt)


def corrections_between(survey: Survey, which: str) -> list[tuple[str, Values, Values]]:
    """(camera, (N, 2) offsets, (N,) correction in degrees) of both side cameras, by the expert (`taught`) or by the
    geometric `rule`."""
    label = survey.over_labels(lambda record: record.label)[:, 0]
    taught = survey.over_labels(lambda record: getattr(record, which))[..., 0]
    offsets = survey.over_labels(lambda record: record.offsets[..., :2])
    return [(CAMERAS[side], offsets[:, side], degrees(survey, taught[:, side] - label)) for side in SIDES]
