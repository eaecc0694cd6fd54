"""What the study `few-labels` comes to: gaps that are closed, and the weights of a heap of flights."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.seals import read_sealed
from forestpilot.launch.studies.cells import Cell, stack
from forestpilot.launch.studies.plots import ARMS
from forestpilot.launch.studies.statistics import difference_words, mean_interval, statistic_interval
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.policies.algorithms.semi.loop import TABLE

BINS = 20
"""Bars of the histogram of weights."""


def weights_in(policy: Path) -> dict[str, list[float]]:
    """Mean weight of each flight that an arm has weighed, by who flew it: `labelled`, the `expert`, or another."""
    table = read_sealed(round_folder(policy, 0) / "method" / TABLE).decode()
    found: dict[str, list[float]] = {}
    for row in csv.DictReader(io.StringIO(table, newline="")):
        who = "labelled" if row["good"] == "1" else row["dataset"].rpartition("-")[2]
        found.setdefault(who, []).append(float(row["weight"]))
    return found


def plot_weights(found: Sequence[dict[str, list[float]]], path: Path) -> Path:
    """Draw how many flights were given which weight, by who flew them, all training seeds together."""
    from forestpilot.launch.pictures.plots import add_axes, new_figure, save_figure

    figure = new_figure(6.4, 4.0)
    axes = add_axes(figure, 1, 1, 1)
    names = list(dict.fromkeys(name for weights in found for name in weights))
    values = [[weight for weights in found for weight in weights.get(name, [])] for name in names]
    largest = max(max(each) for each in values if each)
    axes.hist(values, bins=BINS, range=(0, largest), label=names, color=ARMS[: len(names)])
    axes.set_xlabel("mean weight of a flight's steps; 1: as likely among the good ones as among all")
    axes.set_ylabel("flights")
    axes.legend(frameon=False)
    figure.suptitle("Who flew the heap, which nobody told the discriminator", x=0.02, ha="left")
    return save_figure(figure, path)


def gaps_closed(cells: Sequence[Cell], most: int) -> list[str]:
    """Sentences on which share of the gap to the most labelled flights each method closes, at each smaller number."""
    by_place = _by_place(cells)
    reference = by_place["cloning", most]
    sentences = []
    for (arm, x), own in by_place.items():
        if x >= most or arm in ("cloning", "heap", "weighted"):
            continue
        alone = by_place["cloning", x]
        gain = difference_words(mean_interval(100 * (stack(own, "success") - stack(alone, "success"))))
        values = np.stack([stack(each, "success") for each in (alone, own, reference)], axis=-1)
        gap = 100 * float((values[..., 2] - values[..., 0]).mean())
        told = f"{arm}, {x:g} labelled flights: {gain} points of success above cloning of these alone"
        if gap > 0:
            share = 100 * np.array(statistic_interval(values, share_closed))
            told += f"; the gap to {most} labelled flights is {gap:.1f}, and {_percent(share)} of it is closed"
        sentences.append(told)
    return sentences


def share_closed(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) of means (R, 3) of success with few labels, with few and more beside, with many labels."""
    alone, own, reference = means.T
    return (own - alone) / np.maximum(reference - alone, 1e-3)


def weighing(cells: Sequence[Cell], good: int) -> list[str]:
    """Sentences on the heap."""
    by_place = _by_place(cells)
    if ("weighted", good) not in by_place:
        return []
    alone, heap, weighted = (stack(by_place[arm, good], "success") for arm in ("cloning", "heap", "weighted"))
    gains = [difference_words(mean_interval(100 * (weighted - other))) for other in (heap, alone)]
    sentence = (
        f"weighted against all alike, {good} good flights and the heap: {gains[0]} points of success; against the "
        f"{good} alone: {gains[1]}"
    )
    runs = by_place["weighted", good]
    weights = {name.removeprefix("weight_of_"): [run.figures[name] for run in runs] for name in runs[0].figures}
    told = ", ".join(
        f"{name} {np.mean(each):.2f} ({min(each):.2f} to {max(each):.2f})" for name, each in weights.items()
    )
    return [sentence, f"mean weight of a flight's steps, from the least to the largest seed: {told}"]


def _by_place(cells: Sequence[Cell]) -> dict[tuple[str, float], list[Cell]]:
    found: dict[tuple[str, float], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.arm, cell.x), []).append(cell)
    return found


def _percent(interval: NDArray[np.float64]) -> str:
    mean, low, high = interval
    return f"{mean:.0f} % ({low:.0f} to {high:.0f})"
