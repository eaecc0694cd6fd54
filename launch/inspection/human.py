"""A human's hand: how much of the time keys are held, how far labels jump, and how late they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import read_json
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.people.reaction import Delay, estimate_delay
from forestpilot.data_collection.people.recorded import expert_turns
from forestpilot.data_collection.people.relabelling import RELABELLING_FILE
from forestpilot.launch.inspection.checks import AT_LIMIT
from forestpilot.launch.inspection.records import Record
from forestpilot.launch.inspection.survey import Survey
from forestpilot.sim.errors import ForestPilotError

EXCERPT_S = 20.0
"""Length of the excerpt that is drawn, seconds."""
JUMP = 0.5
"""A change of the turn by more than this, of 1, is a jump."""


@dataclass(frozen=True)
class Hand:
    """A human's steering, in figures."""

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


def hand_of(survey: Survey, replays: int, progress: Progress | None = None) -> Hand | None:
    """Steering of the human whose data this is; None where there is none.

    Args:
        survey: the dataset.
        replays: episodes that may be simulated again to ask the expert, where its answers are not recorded.
        progress: who watches.
    """
    records = [record for record in survey.records if record.human_steps.any()]
    if not records:
        return None
    turns = np.concatenate([record.turn[record.human_steps] for record in records])
    changes = np.concatenate([_changes(record)[record.human_steps[1:]] for record in records])
    known, expert_turns = _with_expert(records, replays, progress or SilentProgress())
    own_turns = [np.where(record.human_steps, record.turn, np.nan) for record in known]
    return Hand(
        episodes=len(records),
        steps=len(turns),
        held=_held(records),
        jumps=float((changes > JUMP).mean()) if len(changes) else 0.0,
        at_limit=float((np.abs(turns) >= AT_LIMIT).mean()),
        delay=estimate_delay(own_turns, expert_turns, survey.spec.control_hz),
        compared=len(known),
        shifted=_noted_shift(survey.folder),
    )


def _changes(record: Record) -> NDArray[np.float32]:
    """(T - 1,) how far the turn moves from each step to the next."""
    return np.abs(np.diff(record.turn))


def _held(records: Sequence[Record]) -> float | None:
    """Share of the human's steps at which a key was held; None where no keys are recorded."""
    held = [record.keys[record.human_steps] > 0 for record in records if record.keys is not None]
    if not held:
        return None
    return float(np.concatenate(held).mean())


def _with_expert(
    records: Sequence[Record], replays: int, progress: Progress
) -> tuple[list[Record], list[NDArray[np.float32]]]:
    """Episodes with the expert's turns at their states, recorded or asked for now."""
    known: list[Record] = []
    turns: list[NDArray[np.float32]] = []
    others: list[Record] = []
    for record in records:
        recorded = _recorded_expert(record)
        if recorded is None:
            others.append(record)
        else:
            known.append(record)
            turns.append(recorded)
    left = others[: max(0, replays - len(known))]
    if not left:
        return known, turns
    with progress.stage("ask the expert", total=len(left)) as stage:
        for record in left:
            try:
                turns.append(expert_turns(record.meta, record.actions, record.state))
                known.append(record)
            except ForestPilotError as error:
                progress.note(f"{record.path.name} is not compared with the expert: {error}")
            stage.advance()
    return known, turns


def _recorded_expert(record: Record) -> NDArray[np.float32] | None:
    """(T,) the expert's turns, if it answered wherever the human's label is; unasked answers are zero."""
    if record.expert is None or not record.expert[record.human_steps].any(axis=1).all():
        return None
    return record.expert_turn


def _noted_shift(folder: Path) -> str:
    """Note of relabelling about the delay that it shifted out."""
    try:
        noted = read_json(folder / RELABELLING_FILE)
        return str(noted.get("delay", {}).get("note", ""))
    except (OSError, ValueError, AttributeError):
        return ""


@dataclass(frozen=True)
class Excerpt:
    """A stretch of an episode."""

    record: Record
    """The episode."""
    part: slice
    """Its steps."""
    steering: float
    """How far the human's turn moves in it, all steps together."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return (self.part.stop - self.part.start) / self.record.meta.control_hz


def excerpt_of(survey: Survey) -> Excerpt | None:
    """The stretch of `EXCERPT_S` in which the human's turn changes most; None without keys."""
    best: Excerpt | None = None
    for record in survey.records:
        if record.keys is None or not record.human_steps.any():
            continue
        excerpt = _liveliest(record)
        if best is None or excerpt.steering > best.steering:
            best = excerpt
    return best


def _liveliest(record: Record) -> Excerpt:
    """The stretch of an episode in which the human's turn changes most."""
    length = min(record.num_steps, round(EXCERPT_S * record.meta.control_hz))
    changes = np.concatenate([[0.0], _changes(record) * record.human_steps[1:]])
    steering = np.convolve(changes, np.ones(length), "valid")
    start = int(steering.argmax())
    return Excerpt(record, slice(start, start + length), float(steering[start]))
