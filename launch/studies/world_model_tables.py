"""What the study `world-model` comes to: errors by horizon with their slopes, and success inside the models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.reading.study_results import Curve, Panel, Point
from forestpilot.launch.studies.cells import Cell, group_by_arm_and_x, make_points, stack
from forestpilot.launch.studies.forests import success
from forestpilot.launch.studies.statistics import difference_words, log_slope, mean_interval, statistic_interval

PAIRS = (("strip-cloned", "strip-adversarial"), ("image-cloned", "image-adversarial"))
"""Models whose difference is told."""
INSIDE = (("strip-cloned", "dagger-strip-cloned"), ("strip-adversarial", "dagger-strip-adversarial"))
"""Models that are planned with, and policies that were learned inside."""


def panels_of(cells: Sequence[Cell], models: Sequence[Cell], steps: NDArray[np.int64]) -> tuple[Panel, ...]:
    """Errors by horizon, and success.

    Args:
        cells: all of them.
        models: those of models, which imagine along validation flights.
        steps: numbers of imagined steps.
    """
    return (
        Panel(
            "value_error",
            "error of the value over H steps",
            _by_horizon(models, "value_error", steps),
            "Distance of the imagined sum of progress minus danger from the true one; a step of full progress is 1.",
            log_y=True,
            guides=(2.0, 1.0),
        ),
        Panel(
            "nearest_error",
            "nearest distance off after H steps, m",
            _by_horizon(models, "nearest_error", steps),
            "How far the imagined distance to the nearest thing is from the true one.",
        ),
        Panel(
            "success",
            "success on test forests, %",
            make_points(cells, success),
            "Share of the test forests that a pilot crossed that plans inside the model, or whose policy was learned "
            "there.",
            x_label="flights learned from",
            curves=_beside(cells),
        ),
    )


def _by_horizon(cells: Sequence[Cell], name: str, steps: NDArray[np.int64]) -> list[Point]:
    """A point for each arm and number of imagined steps."""
    points = []
    for group in group_by_arm_and_x(cells):
        errors = stack(group, name)
        for upto in steps:
            off = mean_interval(errors[..., upto - 1])
            points.append(Point(group[0].arm, float(upto), len(group), len(group[0].rows), off))
    return points


def _beside(cells: Sequence[Cell]) -> tuple[Curve, ...]:
    """Lines across the arms: success of blind flight and of the cloned policy."""
    groups = group_by_arm_and_x(cells)
    across = (-0.4, len(groups) - 0.6)
    curves = []
    for name, told in (("cloned", "cloned policy"), ("blind", "blind flight")):
        share = 100 * float(stack(groups[0], name).mean())
        curves.append(Curve(told, across, (share, share)))
    return tuple(curves)


def slopes(models: Sequence[Cell], steps: NDArray[np.int64]) -> list[str]:
    """Sentences on how fast errors grow."""

    def exponents(means: NDArray[np.float64]) -> NDArray[np.float64]:
        return log_slope(steps.astype(float), means)

    sentences = []
    for group in group_by_arm_and_x(models):
        told = []
        for name, what in (("value_error", "value"), ("nearest_error", "nearest distance")):
            slope = statistic_interval(stack(group, name)[..., steps - 1], exponents)
            told.append(f"{what} H^{slope.mean:.2f} ({slope.low:.2f} to {slope.high:.2f})")
        sentences.append(f"{group[0].arm}: errors grow like {', '.join(told)}")
    return sentences


def differences(cells: Sequence[Cell]) -> list[str]:
    """Sentences on success inside the models, against one another, blind flight and the cloned policy; paired by seed
    and forest."""
    by_arm = {group[0].arm: group for group in group_by_arm_and_x(cells)}
    first_arm = next(iter(by_arm.values()))
    sentences = [
        f"{told}: {mean_interval(100 * stack(first_arm, name)).mean:.0f} % success"
        for name, told in (("cloned", "policy cloned from the same flights"), ("blind", "blind flight"))
    ]
    for arm, group in by_arm.items():
        own = stack(group, "success")
        over_blind = _gain(own, stack(group, "blind"))
        over_cloned = _gain(own, stack(group, "cloned"))
        sentences.append(
            f"{arm}: {over_blind} points of success against blind flight, {over_cloned} against the policy cloned from "
            "the same flights"
        )
    for first, second in PAIRS:
        off = [stack(by_arm[name], "value_error")[..., -1] for name in (first, second)]
        more = mean_interval(off[1] - off[0])
        sentences.append(
            f"{second} against {first}: error of the value at the last horizon {more.mean:+.2f} ({more.low:+.2f} to "
            f"{more.high:+.2f}), success {_gain_of(by_arm, second, first)} points"
        )
    sentences += [
        f"learned inside against planning, {second} against {first}: {_gain_of(by_arm, second, first)} points of "
        "success"
        for first, second in INSIDE
    ]
    return sentences


def _gain_of(by_arm: dict[str, list[Cell]], arm: str, other: str) -> str:
    return _gain(stack(by_arm[arm], "success"), stack(by_arm[other], "success"))


def _gain(own: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """Difference of two successes (seeds, worlds) in points, in words."""
    return difference_words(mean_interval(100 * (own - other)))
