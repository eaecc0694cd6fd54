"""Exponents of power laws in studies: how fast a gap grows, world by world and arm by arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forestpilot.launch.reading.study_results import Interval, Panel, Point
from forestpilot.launch.studies.cells import Cell, cells_at, stack
from forestpilot.launch.studies.statistics import slope_interval, slope_words


@dataclass(frozen=True)
class Slope:
    """How fast a figure grows over the x axis."""

    place: str
    """Where it was measured."""
    arm: str
    """Whose it is."""
    seeds: int
    """Training seeds behind it."""
    worlds: int
    """Draws or test worlds behind it, for each seed and x."""
    value: Interval
    """The exponent."""


def slope_of(cells: Sequence[Cell], place: str, arm: str, figure: str) -> Slope:
    """Slope of a figure's mean on logarithmic axes.

    Args:
        cells: of one arm, every training seed at every x.
        place: what to call where it was measured.
        arm: what to call whose it is.
        figure: name of a column that is one number for each world.
    """
    xs = sorted({cell.x for cell in cells})
    figures = np.stack([stack(cells_at(cells, x), figure) for x in xs], axis=-1)
    seeds, worlds, _ = figures.shape
    return Slope(place, arm, seeds, worlds, slope_interval(xs, figures))


def slope_panel(slopes: Sequence[Slope], label: str) -> Panel:
    """A diagram of slopes, the places side by side."""
    places = tuple(dict.fromkeys(slope.place for slope in slopes))
    arms = dict.fromkeys(slope.arm for slope in slopes)
    points = []
    for arm in arms:
        for slope in slopes:
            if slope.arm == arm:
                x = float(places.index(slope.place))
                points.append(Point(arm, x, slope.seeds, slope.worlds, slope.value))
    named = ", ".join(f"{number} {place}" for number, place in enumerate(places))
    return Panel(
        "slopes",
        label,
        points,
        "Exponent of the power law through the means of a diagram, by least squares of logarithms.",
        places=places,
        x_label=f"slope: {named}",
    )


def slope_sentences(slopes: Sequence[Slope]) -> list[str]:
    """A sentence for each place."""
    sentences = []
    for place in dict.fromkeys(slope.place for slope in slopes):
        own = [slope for slope in slopes if slope.place == place]
        told = ", ".join(f"{slope.arm} {slope_words(slope.value)}" for slope in own)
        sentences.append(f"{place}, slope: {told}")
    return sentences
