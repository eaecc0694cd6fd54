"""What the study `few-labels` comes to: gaps that are closed, and the weights of a heap of drives."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.seals import read_sealed
from forestpilot.launch.reading.study_results import Interval
from forestpilot.launch.studies.cells import Cell, stack
from forestpilot.launch.studies.plots import ARMS
from forestpilot.launch.studies.roads import LEAST_DISTANCE_M, count_interventions
from forestpilot.launch.studies.statistics import difference_words, mean_interval, statistic_interval
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.policies.algorithms.semi.loop import TABLE

WEIGHT = "weight_of_"
"""Of who drove, in the figures of a cell."""
BINS = 20
"""Bars of the histogram of weights."""


def weights_in(policy: Path) -> dict[str, list[float]]:
    """Mean weight of each drive that an arm has weighed, by who drove it: `labelled`, the `expert`, or another."""
    table = read_sealed(round_folder(policy, 0) / "method" / TABLE).decode()
    found: dict[str, list[float]] = {}
    for row in csv.DictReader(io.StringIO(table, newline="")):
        who = "labelled" if row["good"] == "1" else row["dataset"].rpartition("-")[2]
        found.setdefault(who, []).append(float(row["weight"]))
    return found


def plot_weights(found: Sequence[dict[str, list[float]]], path: Path) -> Path:
    """Draw how many drives were given which weight, by who drove them, all training seeds together."""
    from forestpilot.launch.pictures.plots import add_axes, new_figure, save_figure

    figure = new_figure(6.4, 4.0)
    axes = add_axes(figure, 1, 1, 1)
    names = list(dict.fromkeys(name for weights in found for name in weights))
    values = [[weight for weights in found for weight in weights.get(name, [])] for name in names]
    largest = max(max(each) for each in values if each)
    axes.hist(values, bins=BINS, range=(0, largest), label=names, color=ARMS[: len(names)])
    axes.set_xlabel("mean weight of a drive's steps; 1: as likely among good ones as among all")
    axes.set_ylabel("drives")
    axes.legend(frameon=False)
    figure.suptitle("Who drove the heap, which nobody told the discriminator", x=0.02, ha="left")
    return save_figure(figure, path)


def roads_alone(cells: Sequence[Cell]) -> Interval:
    """Share of the roads that were driven without an intervention, in percent, by cells of one arm and x."""
    return mean_interval(100.0 * (count_interventions(cells) == 0))


def gaps_closed(cells: Sequence[Cell], most: int) -> list[str]:
    """Sentences on which share of the gap to the most labelled drives each method closes, at each smaller number."""
    by_place = _by_place(cells)
    sentences = []
    for (arm, x), own in by_place.items():
        if x >= most or arm in ("cloning", "heap", "weighted"):
            continue
        compared = (by_place["cloning", x], own, by_place["cloning", most])
        figures = np.concatenate([_events_and_km(each) for each in compared], axis=-1)
        alone, _, reference = _rates(figures.mean(axis=(0, 1))[None])[0]
        gain = difference_words(statistic_interval(figures, lambda means: _rates(means)[:, 1] - _rates(means)[:, 0]))
        told = f"{arm}, {x:g} labelled drives: {gain} interventions per km against cloning of these alone"
        if alone > reference:
            share = statistic_interval(figures, share_closed)
            told += f"; from there to {most} labelled drives it is {alone - reference:.1f}, of which it closes "
            told += f"{100 * share.mean:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f})"
        sentences.append(told)
    return sentences


def share_closed(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) share of the gap, of mean interventions and km (R, 6) with few labels, few and more beside, and many."""
    alone, own, reference = _rates(means).T
    return (alone - own) / np.maximum(alone - reference, 1e-3)


def _rates(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, n) interventions per km, of means (R, 2 n) of interventions and km."""
    return means[:, ::2] / means[:, 1::2]


def _events_and_km(cells: Sequence[Cell]) -> NDArray[np.float64]:
    """(seeds, roads, 2) interventions and km."""
    km = np.maximum(stack(cells, "distance_m"), LEAST_DISTANCE_M) / 1000
    return np.stack([count_interventions(cells), km], axis=-1)


def weighing(cells: Sequence[Cell], good: int) -> list[str]:
    """Sentences on the heap."""
    by_place = _by_place(cells)
    if ("weighted", good) not in by_place:
        return []
    told = []
    for arm, words in (("heap", "all of them alike"), ("cloning", f"the {good} alone")):
        figures = [_events_and_km(by_place[name, good]) for name in (arm, "weighted")]
        change = statistic_interval(
            np.concatenate(figures, axis=-1), lambda means: _rates(means)[:, 1] - _rates(means)[:, 0]
        )
        told.append(f"{difference_words(change)} against {words}")
    runs = by_place["weighted", good]
    names = [name for name in runs[0].figures if name.startswith(WEIGHT)]
    weights = {name.removeprefix(WEIGHT): [run.figures[name] for run in runs] for name in names}
    means = ", ".join(
        f"{who} {np.mean(each):.2f} ({min(each):.2f} to {max(each):.2f})" for who, each in weights.items()
    )
    return [
        f"weighted, {good} good drives and the heap, interventions per km: {', '.join(told)}",
        f"mean weight of a drive's steps, from the least to the largest seed: {means}",
    ]


def _by_place(cells: Sequence[Cell]) -> dict[tuple[str, float], list[Cell]]:
    found: dict[tuple[str, float], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.arm, cell.x), []).append(cell)
    return found
