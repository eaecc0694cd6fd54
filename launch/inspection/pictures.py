"""Sample pictures of a dataset: what each camera saw at typical and at extreme labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.launch.inspection.measures import degrees
from forestpilot.launch.inspection.survey import CENTER, Record, Survey, read_pictures
from forestpilot.launch.pages.media import picture_of

KINDS = (
    ("Hardest left", 1.0), ("Left", 0.9), ("Straight ahead", 0.5), ("Right", 0.1), ("Hardest right", 0.0),
)  # fmt: skip
"""Which labels are shown: a name, and the quantile of the turn."""


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


def sample_pictures(survey: Survey) -> list[Sample]:
    """Steps at typical and extreme labels, each from another episode where there are enough."""
    where = [
        (number, step)
        for number, record in enumerate(survey.records)
        for step in np.flatnonzero(record.labelled).tolist()
    ]
    if not where:
        return []
    turns = survey.over_labels(lambda record: record.label)[:, 0]
    speeds = survey.over_labels(lambda record: record.speed_mps)
    turns = np.where(speeds >= 0.5 * np.median(speeds), turns, np.inf)  # the first moment of an episode shows little
    chosen: list[Sample] = []
    for title, quantile in KINDS:
        number, step = where[_nearest(turns, where, quantile, {id(sample.record) for sample in chosen}, survey)]
        record = survey.records[number]
        chosen.append(Sample(title, record, step, read_pictures(record, [step])[0]))
    darkest = min((survey.records[number] for number, _ in where), key=_brightness)
    steps = np.flatnonzero(darkest.labelled)
    step = int(steps[np.argsort(darkest.brightness[CENTER, steps])[len(steps) // 2]])
    chosen.append(Sample("From the darkest episode", darkest, step, read_pictures(darkest, [step])[0]))
    return chosen


def _brightness(record: Record) -> float:
    return float(np.median(record.brightness[CENTER]))


def _nearest(
    turns: NDArray[np.float32], where: list[tuple[int, int]], quantile: float, used: set[int], survey: Survey
) -> int:
    """Place of the label nearest to a quantile, in an episode that is not shown yet if there is one."""
    target = 0.0 if quantile == 0.5 else float(np.quantile(turns[np.isfinite(turns)], quantile))
    order = np.argsort(np.abs(turns - target), kind="stable")
    fresh = (place for place in order[:2000] if id(survey.records[where[place][0]]) not in used)
    return int(next(fresh, order[0]))


def strip(survey: Survey, sample: Sample) -> Markup:
    """The three pictures of a sample side by side, each with what it teaches."""
    cells = []
    for camera, picture in enumerate(sample.pictures):
        turn = float(degrees(survey, sample.record.taught[sample.step, camera, 0]))
        encoded, name = picture_of(picture, "png"), CAMERAS[camera]
        image = f'src="{encoded.uri}" width="{encoded.width}" height="{encoded.height}" alt="{name} camera"'
        words = f"<span>{name}</span><span>{in_words(turn)}</span>"
        cells.append(f'<div style="flex:0 0 31.5%;max-width:none"><img class="pixels" {image}>{words}</div>')
    return Markup('<div class="frames" style="gap:2.5%">' + "".join(cells) + "</div>")


def caption(survey: Survey, sample: Sample) -> str:
    """Where a sample is from."""
    record = sample.record
    go, speed = float(record.label[sample.step, 1]), float(record.speed_mps[sample.step])
    seconds = sample.step / record.meta.control_hz
    taught = f"{go:+.2f}".replace("-", "−")
    return f"{record.path.name} after {seconds:.1f} s, {speed:.1f} m/s; go {taught}."


def in_words(turn_deg: float) -> str:
    """`12° left`; `straight` for next to nothing."""
    if abs(turn_deg) < 0.5:
        return "straight"
    return f"{abs(turn_deg):.0f}° {'left' if turn_deg > 0 else 'right'}"
