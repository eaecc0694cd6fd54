"""Offline figures as they are told and stored: a table for people, offline.csv and offline.json."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from forestpilot.data_collection.episodes.names import table_cell
from forestpilot.data_collection.episodes.seals import read_sealed_json, write_sealed, write_sealed_json

CLASSES = ("left", "straight", "right")
"""Classes of turns."""
THRESHOLD = 0.25
"""Turn, as a share of the largest, beyond which it is a turn to the left or right: 15 degrees of the drone's 60."""
MEANINGS = {
    "accuracy": "share of the steps at which the policy's class is the demonstrator's",
    "precision": "of the steps at which the policy says a class, the share that has it; mean over the classes",
    "recall": "of the steps that have a class, the share at which the policy says so; mean over the classes",
    "f1": "harmonic mean of precision and recall; mean over the classes",
    "l2": "mean squared distance between the two actions, (turn, go) in action units",
    "turn_error_deg": "mean difference of the turns, degrees",
    "log_likelihood": "mean logarithm of the density of the demonstrator's turn, per unit of turn; distributions only",
}
"""Figures, and what each is."""
OFFLINE_FORMAT = 1
JSON_FILE = "offline.json"
CSV_FILE = "offline.csv"
_PERCENT = ("accuracy", "precision", "recall", "f1")


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    """The figure."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


@dataclass(frozen=True)
class OfflineScore:
    """Offline figures of a policy."""

    policy: str
    """What it is called."""
    episodes: int
    """Demonstrations."""
    steps: int
    """Labelled steps in them."""
    figures: Mapping[str, Estimate]
    """By name, see `MEANINGS`; those that the policy has."""
    confusion: list[list[int]]
    """Steps by the demonstrator's class (rows) and the policy's (columns), in the order of `CLASSES`."""
    threshold: float
    """Turn, as a share of the largest, beyond which it is one to the left or right."""
    threshold_deg: float
    """The same in degrees."""

    @property
    def shares(self) -> dict[str, float]:
        """Share of the steps that the demonstrator's classes have."""
        return {name: sum(row) / max(1, self.steps) for name, row in zip(CLASSES, self.confusion, strict=True)}


def offline_table(scores: Sequence[OfflineScore]) -> list[tuple[str, ...]]:
    """Rows of text, the header first."""
    header = ("policy", "accuracy", "precision", "recall", "F1", "L2", "turn error", "log-likelihood")
    return [header, *((s.policy, *(_cell(name, s.figures.get(name)) for name in MEANINGS)) for s in scores)]


def _cell(name: str, figure: Estimate | None) -> str:
    if figure is None:
        return "-"
    if name in _PERCENT:
        value, low, high = (100 * end for end in figure)
        return f"{value:.1f} % ({low:.1f}-{high:.1f})"
    if name == "turn_error_deg":
        return f"{figure.value:.2f} deg ({figure.low:.2f}-{figure.high:.2f})"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def describe_classes(score: OfflineScore) -> str:
    """The demonstrations and the classes in words."""
    shares = ", ".join(f"{100 * share:.0f} % {name}" for name, share in score.shares.items())
    return (
        f"{score.episodes} demonstrations, {score.steps:,} steps: {shares} (beyond {score.threshold_deg:g} degrees, "
        f"{score.threshold:g} of the largest turn)"
    )


def write_offline(folder: Path, scores: Sequence[OfflineScore], about: Mapping[str, Any] | None = None) -> None:
    """Write offline.csv, a line for each policy and figure, and offline.json, each whole or not at all.

    Args:
        folder: made if it is not there.
        scores: of all policies.
        about: what the figures are of: version, datasets, policies.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("policy", "figure", "value", "low", "high", "episodes", "steps", "threshold"))
    policies = []
    for score in scores:
        for name, figure in score.figures.items():
            cells = [f"{value:.6g}" for value in figure]
            writer.writerow([table_cell(score.policy), name, *cells, score.episodes, score.steps, score.threshold])
        figures = {name: figure._asdict() for name, figure in score.figures.items()}
        policies.append({**vars(score), "figures": figures})
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed(folder / CSV_FILE, text.getvalue().encode())
    told = {"format": OFFLINE_FORMAT, **(about or {}), "classes": CLASSES, "meanings": MEANINGS, "scores": policies}
    write_sealed_json(folder / JSON_FILE, told, indent=2)


def read_offline(folder: Path) -> list[OfflineScore]:
    """The scores that `write_offline` left in a folder.

    Raises:
        OSError: there are none.
        DamagedFileError: they are not as they were written.
        ValueError: they are of another format.
    """
    path = folder / JSON_FILE
    told = read_sealed_json(path, "run the same `forestpilot evaluate --offline` again")
    if told.get("format") != OFFLINE_FORMAT:
        raise ValueError(f"{path} has format {told.get('format')}, and this version reads {OFFLINE_FORMAT}")
    scores = []
    for values in told["scores"]:
        figures = {name: Estimate(**ends) for name, ends in values.pop("figures").items()}
        scores.append(OfflineScore(figures=figures, **values))
    return scores
