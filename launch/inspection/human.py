"""A human's hand: how much of the time keys are held, how far labels jump, and how late they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import ACTOR_HUMAN
from forestpilot.data_collection.people.reaction import Delay, estimate_delay
from forestpilot.data_collection.people.relabelling import RELABELLING_FILE, expert_turns
from forestpilot.data_collection.rollouts.progress import Progress, SilentProgress
from forestpilot.launch.inspection.checks import AT_LIMIT
from forestpilot.launch.inspection.survey import Record, Survey
from forestpilot.sim.errors import ForestPilotError

EXCERPT_S = 20.0
"""Length of the excerpt that is drawn, seconds."""


@dataclass(frozen=True)
class Hand:
    """How a human steered."""

    episodes: int
    """Episodes in which a human steered."""
    steps: int
    """Steps at which the human steered."""
    held: float | None
    """Share of these steps at which a steering key was held; None where no keys are recorded."""
    jumps: float
    """Share of the changes from step to step that are larger than half the way from middle to limit."""
    at_limit: float
    """Share of the labels at the limit of the turn."""
    delay: Delay
    """How late the labels are, against the expert at the same states."""
    compared: int
    """Episodes that the delay was estimated from."""
    shifted: str
    """What `forestpilot relabel` noted about the delay it shifted out; empty where nothing."""


def human_driven_steps(record: Record) -> NDArray[np.bool_]:
    """(T,) at which steps the label is a human's."""
    return record.labelled & (record.has_human | (record.actor == ACTOR_HUMAN))


def hand_of(survey: Survey, replays: int, progress: Progress | None = None) -> Hand | None:
    """How the human steered whose data this is; None where there is none.

    Args:
        survey: the dataset.
        replays: episodes that may be simulated again to ask the expert, where its answers are not recorded.
        progress: who watches.
    """
    records = [record for record in survey.records if human_driven_steps(record).any()]
    if not records:
        return None
    turns = np.concatenate([record.label[human_driven_steps(record), 0] for record in records])
    changes = np.concatenate(
        [np.abs(np.diff(record.label[:, 0]))[human_driven_steps(record)[1:]] for record in records]
    )
    keyed = [record for record in records if record.keys is not None]
    held = np.concatenate([record.keys[human_driven_steps(record)] > 0 for record in keyed]) if keyed else None  # type: ignore[index]
    known, replayed = _with_expert(records, replays, progress)
    own = [np.where(human_driven_steps(record), record.label[:, 0], np.nan) for record in known]
    return Hand(
        episodes=len(records),
        steps=len(turns),
        held=None if held is None else float(held.mean()),
        jumps=float((changes > 0.5).mean()) if len(changes) else 0.0,
        at_limit=float((np.abs(turns) >= AT_LIMIT).mean()),
        delay=estimate_delay(own, replayed, survey.spec.control_hz),
        compared=len(known),
        shifted=_noted_shift(survey.folder),
    )


def _with_expert(
    records: Sequence[Record], replays: int, progress: Progress | None
) -> tuple[list[Record], list[NDArray[np.float32]]]:
    """Episodes with the expert's turns at their states, recorded or asked for now."""
    known = [record for record in records if record.expert is not None and _asked_everywhere(record)]
    turns = [record.expert[:, 0] for record in known if record.expert is not None]
    others = [record for record in records if not any(record is other for other in known)]
    left = others[: max(0, replays - len(known))]
    if left:
        with (progress or SilentProgress()).stage("ask the expert", total=len(left)) as stage:
            for record in left:
                try:
                    turns.append(expert_turns(record.meta, record.actions, record.state))
                    known.append(record)
                except ForestPilotError as error:
                    (progress or SilentProgress()).note(f"{record.path.name} is not compared with the expert: {error}")
                stage.advance()
    return known, turns


def _asked_everywhere(record: Record) -> bool:
    """Whether the expert answered wherever the human's label is; unasked answers are zero."""
    return record.expert is not None and bool(record.expert[human_driven_steps(record)].any(axis=1).all())


def _noted_shift(folder: Path) -> str:
    try:
        noted = json.loads((folder / RELABELLING_FILE).read_text(encoding="utf-8"))
        return str(noted.get("delay", {}).get("note", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def excerpt_of(survey: Survey) -> tuple[Record, slice] | None:
    """The stretch of `EXCERPT_S` in which the human's turn changes most; None without keys."""
    best: tuple[float, Record, slice] | None = None
    for record in survey.records:
        if record.keys is None or not human_driven_steps(record).any():
            continue
        length = min(record.num_steps, round(EXCERPT_S * record.meta.control_hz))
        changes = np.concatenate([[0.0], np.abs(np.diff(record.label[:, 0])) * human_driven_steps(record)[1:]])
        windows = np.convolve(changes, np.ones(length), "valid")
        start = int(windows.argmax())
        if best is None or windows[start] > best[0]:
            best = float(windows[start]), record, slice(start, start + length)
    return None if best is None else best[1:]
