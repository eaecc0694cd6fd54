"""Sample pictures of a dataset: what each camera saw at typical and at extreme labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.launch.inspection.records import CENTER, Record, read_pictures
from forestpilot.launch.inspection.survey import Survey
from forestpilot.launch.pages.media import picture_of


class Kind(NamedTuple):
    """Labels of which one is shown."""

    title: str
    """What they are called."""
    quantile: float
    """Where they lie among all turns."""


KINDS = (
    Kind("Hardest left", 1.0),
    Kind("Left", 0.9),
    Kind("Straight ahead", 0.5),
    Kind("Right", 0.1),
    Kind("Hardest right", 0.0),
)
"""Which labels are shown."""
SLOW_SHARE = 0.5
"""Labels below this share of the median speed are not shown: the first moment of an episode shows little."""
CANDIDATES = 2000
"""Labels nearest to a quantile among which one of another episode is looked for."""


class Sample(NamedTuple):
    """One step of an episode, as each camera saw it."""

    title: str
    """Why it was chosen."""
    record: Record
    """Its episode."""
    step: int
    """Which step."""
    pictures: NDArray[np.uint8]
    """(C, H, W, 3)."""


class Place(NamedTuple):
    """Place of a label."""

    record: Record
    """Its episode."""
    step: int
    """Its step."""


def sample_pictures(survey: Survey) -> list[Sample]:
    """Steps at typical and extreme labels, each from another episode where there are enough."""
    places: list[Place] = []
    for record in survey.records:
        for step in np.flatnonzero(record.labelled).tolist():
            places.append(Place(record, step))
    if not places:
        return []
    speeds = survey.over_labels(lambda record: record.speed_mps)
    turns = np.where(speeds >= SLOW_SHARE * np.median(speeds), survey.labels[:, 0], np.inf)
    shown: list[Sample] = []
    for kind in KINDS:
        used = {sample.record.path for sample in shown}
        shown.append(_sample(kind.title, places[_nearest(turns, places, kind.quantile, used)]))
    darkest = min((place.record for place in places), key=_brightness)
    steps = np.flatnonzero(darkest.labelled)
    middle = np.argsort(darkest.brightness[CENTER, steps])[len(steps) // 2]
    shown.append(_sample("From the darkest episode", Place(darkest, int(steps[middle]))))
    return shown


def _sample(title: str, place: Place) -> Sample:
    """Pictures of all cameras at a label."""
    return Sample(title, place.record, place.step, read_pictures(place.record, place.step))


def _brightness(record: Record) -> float:
    return float(np.median(record.brightness[CENTER]))


def _nearest(turns: NDArray[np.float32], places: list[Place], quantile: float, used: set[Path]) -> int:
    """Number of the label nearest to a quantile, in an episode that is not shown yet if there is one."""
    target = 0.0 if quantile == 0.5 else float(np.quantile(turns[np.isfinite(turns)], quantile))
    order = np.argsort(np.abs(turns - target), kind="stable")
    for number in order[:CANDIDATES]:
        if places[number].record.path not in used:
            return int(number)
    return int(order[0])


def strip(survey: Survey, sample: Sample) -> Markup:
    """The three pictures of a sample side by side, each with what it teaches."""
    cells = []
    turns_deg = survey.degrees(sample.record.taught[sample.step, :, 0])
    for name, picture, turn_deg in zip(CAMERAS, sample.pictures, turns_deg, strict=True):
        encoded = picture_of(picture, "png")
        image = f'src="{encoded.uri}" width="{encoded.width}" height="{encoded.height}" alt="{name} camera"'
        words = f"<span>{name}</span><span>{in_words(float(turn_deg))}</span>"
        cells.append(f'<div style="flex:0 0 31.5%;max-width:none"><img class="pixels" {image}>{words}</div>')
    return Markup('<div class="frames" style="gap:2.5%">' + "".join(cells) + "</div>")


def caption(sample: Sample) -> str:
    """Origin of a sample."""
    record = sample.record
    _, go = record.label[sample.step].tolist()
    seconds = sample.step / record.meta.control_hz
    taught = f"{go:+.2f}".replace("-", "−")
    return f"{record.path.name} after {seconds:.1f} s, {float(record.speed_mps[sample.step]):.1f} m/s; go {taught}."


def in_words(turn_deg: float) -> str:
    """`12° left`; `straight` for next to nothing."""
    if abs(turn_deg) < 0.5:
        return "straight"
    side = "left" if turn_deg > 0 else "right"
    return f"{abs(turn_deg):.0f}° {side}"
