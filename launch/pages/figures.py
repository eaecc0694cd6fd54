"""Diagrams as inline SVG: their text is the page's, and their colours change with the page's from light to dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from forestpilot.launch.pictures.plots import add_axes, new_figure
from forestpilot.sim.extras import require

INK = "#1a1c1e"
"""Colour of text; the page has its own for the dark."""
GRID = "#d9dde1"
"""Colour of grids, likewise."""
MUTED = "#5b6670"
"""Colour of lesser lines, likewise."""
SERIES = ("#1f6fb2", "#c2601a", "#23854a", "#8a4fc0", "#c03048", "#52606c")
"""Colours of what is compared, in order."""
MARKERS = ("o", "s", "^", "D", "v", "X", "P")
"""Marks of what is compared, as matplotlib knows them; there is one more than colours, so that thirteenth and first
differ."""
MARKER_SIGNS = ("●", "■", "▲", "◆", "▼", "✖", "✚")
"""The same as text."""
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)))
"""Dashes of what is compared, as matplotlib knows them."""
WIDTH_IN = 4.2
"""Width of a diagram: that of a phone, so that its text stays as large as the page's."""
HEIGHT_IN = 2.8
"""Height of an ordinary diagram."""
MAX_MARKS = 24
"""Curves of more points than this have a mark now and then."""
MAX_POINTS = 240
"""Curves of more points than this are drawn as means of neighbours."""

_VARIABLES = {INK: "--ink", GRID: "--grid", MUTED: "--muted"}
_VARIABLES |= {color: f"--series-{number}" for number, color in enumerate(SERIES)}
"""The stylesheet's name of each colour."""
_numbers = count(1)


@dataclass(frozen=True)
class Line:
    """A curve, with an interval at each point if there is one."""

    style: int
    """Which of the things compared it is: decides colour, mark and dashes."""
    x: Sequence[float]
    """Where."""
    y: Sequence[float]
    """How much."""
    low: Sequence[float] = ()
    """Lower ends of the intervals."""
    high: Sequence[float] = ()
    """Upper ends."""
    ring_at: float | None = None
    """Point to put a ring around."""


@dataclass(frozen=True)
class Axes:
    """Axes of a diagram of curves."""

    x_label: str
    """What the x axis says."""
    y_label: str
    """What the y axis says."""
    y_range: tuple[float | None, float | None] = (None, None)
    """Ends of the y axis; None where the data decide."""
    log: str = ""
    """Axes that are logarithmic: "", "x", "y" or "xy"."""
    guides: Sequence[float] = ()
    """x of thin vertical lines."""
    whole_x: bool = False
    """Whether x are whole numbers."""


class Panel(NamedTuple):
    """One of several small diagrams below one another."""

    label: str
    """What the y axis says."""
    lines: Sequence[Line]
    """Curves."""


def color_of(style: int) -> str:
    """Colour of the `style`-th of the things compared."""
    return SERIES[style % len(SERIES)]


def sign_of(style: int) -> str:
    """Its mark, as a character."""
    return MARKER_SIGNS[style % len(MARKER_SIGNS)]


def dashes_of(style: int) -> Any:
    """Its dashes, as matplotlib knows them."""
    return DASHES[style % len(DASHES)]


def marker_of(style: int) -> str:
    """Its mark, as matplotlib knows it."""
    return MARKERS[style % len(MARKERS)]


def swatch(style: int, mark: bool = True) -> Markup:
    """A piece of its line, with its mark if it has one there, to stand before its name."""
    color = f"var({_VARIABLES[color_of(style)]})"
    line = f'<line x1="0" y1="7" x2="34" y2="7" stroke="{color}" stroke-width="2"{_dash_array(style)}/>'
    sign = ""
    if mark:
        sign = f'<text x="17" y="11.5" text-anchor="middle" font-size="12" fill="{color}">{sign_of(style)}</text>'
    return Markup(f'<svg class="swatch" viewBox="0 0 34 14" aria-hidden="true">{line}{sign}</svg>')


def _dash_array(style: int) -> str:
    """The dashes as an attribute of an SVG line."""
    if dashes_of(style) == "-":
        return ""
    _, lengths = dashes_of(style)
    array = " ".join(f"{1.2 * length:g}" for length in lengths)
    return f' stroke-dasharray="{array}"'


def lines_figure(lines: Sequence[Line], look: Axes, alt: str) -> Markup:
    """Curves with marks, and bars for their intervals.

    Args:
        lines: what to draw.
        look: what the axes say, and how they are.
        alt: the diagram in words, for who cannot see it.
    """
    with diagram_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = add_diagram(figure)
        for x in look.guides:
            axes.axvline(x, color=MUTED, linewidth=0.8, linestyle=":")
        for line in lines:
            _draw_line(axes, line)
        for name in look.log:
            _logarithmic(axes, name)
        axes.set_ylim(*look.y_range)
        if look.whole_x:
            _whole_ticks(axes, lines)
        label_axes(axes, look.x_label, look.y_label)
        return as_svg(figure, alt)


def _draw_line(axes: Any, line: Line) -> None:
    """A curve with its marks, the bars of its intervals, and a ring around one point."""
    color = color_of(line.style)
    y = np.asarray(line.y, float)
    if len(line.low):
        error = np.abs([y - np.asarray(line.low, float), np.asarray(line.high, float) - y])
        axes.errorbar(line.x, y, yerr=error, fmt="none", ecolor=color, elinewidth=1.2, capsize=2.5)
    axes.plot(
        line.x,
        y,
        color=color,
        linestyle=dashes_of(line.style),
        marker=marker_of(line.style),
        markevery=1 if len(line.x) <= MAX_MARKS else len(line.x) // 8,
        markersize=4.5,
        linewidth=1.6,
    )
    if line.ring_at is not None and line.ring_at in list(line.x):
        at = list(line.x).index(line.ring_at)
        axes.plot([line.ring_at], [y[at]], "o", markersize=12, markerfacecolor="none", color=INK, markeredgewidth=1.2)


def shares_figure(values: Sequence[tuple[int, Sequence[float]]], x_label: str, alt: str) -> Markup:
    """Distributions: for each x the share of the episodes with at most that much, a step for every episode.

    Args:
        values: (style, one value for each episode) of every arm.
        x_label: what is distributed, with its unit.
        alt: the diagram in words.
    """
    with diagram_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = add_diagram(figure)
        for style, numbers in values:
            x = np.sort(np.asarray(numbers, float))
            if not len(x):
                continue
            share = np.arange(len(x) + 1) / len(x)
            where = np.linspace(0, len(x) - 1, min(len(x), 4)).round().astype(int)
            steps_x, steps_y = _thinned(np.concatenate([[x[0]], x]), 100 * share)
            axes.plot(
                steps_x,
                steps_y,
                color=color_of(style),
                drawstyle="steps-post",
                linewidth=1.6,
                linestyle=dashes_of(style),
            )
            axes.plot(x[where], 100 * share[where + 1], marker_of(style), color=color_of(style), markersize=5)
        axes.set_ylim(-2, 102)
        label_axes(axes, x_label, "episodes with at most that much, %")
        return as_svg(figure, alt)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every n-th point of a staircase, both ends kept."""
    if len(x) <= MAX_POINTS:
        return x, y
    kept = np.linspace(0, len(x) - 1, MAX_POINTS).round().astype(int)
    return x[kept], y[kept]


def seconds_figure(panels: Sequence[Panel], event: str, alt: str) -> Markup:
    """Small diagrams below one another over the same seconds.

    Args:
        panels: the diagrams.
        event: what happens at 0 s.
        alt: the diagrams in words.
    """
    with diagram_style():
        figure = new_figure(WIDTH_IN, 0.55 + 1.15 * len(panels))
        first = None
        for number, panel in enumerate(panels, start=1):
            axes = add_axes(figure, len(panels), 1, number)
            if first is None:
                first = axes
            else:
                axes.sharex(first)
            axes.axvline(0.0, color=MUTED, linewidth=1, linestyle=":")
            for line in panel.lines:
                axes.plot(line.x, line.y, color=color_of(line.style), linestyle=dashes_of(line.style), linewidth=1.6)
            is_last = number == len(panels)
            label_axes(axes, f"seconds before or after: {event}" if is_last else "", panel.label)
            axes.tick_params(labelbottom=is_last)
        return as_svg(figure, alt)


def smoothed(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """A long curve as means of neighbours, values that are no number left out."""
    points = np.column_stack([x, y]).astype(float)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return [], []
    means = [piece.mean(axis=0) for piece in np.array_split(points, min(len(points), MAX_POINTS // 2))]
    mean_x, mean_y = np.transpose(means).tolist()
    return mean_x, mean_y


def diagram_style() -> Any:
    """The settings of matplotlib that all diagrams share; draw within `with diagram_style():`."""
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "forestpilot",
        "font.size": 10.0,
        "font.family": "DejaVu Sans",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.labelsize": 10.0,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "path.simplify": True,
    }
    return require("matplotlib").rc_context(settings)


def add_diagram(figure: Any) -> Any:
    """The one diagram of a figure."""
    axes = add_axes(figure)
    axes.grid(color=GRID, linewidth=0.8)
    return axes


def label_axes(axes: Any, x_label: str, y_label: str) -> None:
    """Axis labels as they are: a dollar in a name starts no formula."""
    axes.set_xlabel(x_label.replace("$", r"\$"))
    axes.set_ylabel(y_label.replace("$", r"\$"))


def _logarithmic(axes: Any, name: str) -> None:
    """Make the x or y axis logarithmic, with numbers as people write them."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axes.set(**{f"{name}scale": "log"})
    axis = axes.xaxis if name == "x" else axes.yaxis
    low, high = axis.get_data_interval()
    few_decades = high < 300 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few_decades else (1.0,)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def _whole_ticks(axes: Any, lines: Sequence[Line]) -> None:
    """Ticks at the x of the curves, at most nine of them."""
    values: set[float] = set()
    for line in lines:
        values.update(line.x)
    every = max(1, math.ceil(len(values) / 9))
    shown = sorted(values)[::every]
    axes.set_xticks(shown, list(map("{:g}".format, shown)))


def as_svg(figure: Any, alt: str) -> Markup:
    """The figure as an SVG element: colours by name, ids of its own, and words for who cannot see it."""
    figure.patch.set_alpha(0.0)
    for axes in figure.axes:
        axes.patch.set_alpha(0.0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # Its rule for all elements would be one for the whole page.
    text = re.sub(r"<style.*?</style>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", text)
    text = re.sub(r' d="[^"]*"', _rounded, text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    prefix = f"f{next(_numbers)}-"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\1{prefix}", text)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _svg_tag(alt), text, count=1, flags=re.DOTALL)
    return Markup(text)


def _rounded(path: re.Match[str]) -> str:
    """A path with two decimals, which is a hundredth of a pixel."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", " ")


def _svg_tag(alt: str) -> str:
    label = str(escape(alt)).replace("\\", r"\\")
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return rf'<svg class="diagram" {names} viewBox="\1" role="img" aria-label="{label}">'
