"""Bad episodes: what can be wrong with one that its checksum cannot tell, and what to do about it.

Each check looks at one episode and says what it saw, with numbers; nothing is taken out by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.launch.inspection.records import Record
from forestpilot.launch.inspection.survey import Finding, Survey
from forestpilot.sim.outcomes import Outcome, told
from forestpilot.sim.seeds import split_of

SHORT_S = 1.5
"""An episode shorter than this shows next to nothing."""
FROZEN_S = 1.0
"""A camera that repeats one picture for this long while the vehicle moves is frozen."""
MOVING_MPS = 0.5
"""Faster than this is moving."""
STANDING_MPS = 0.3
"""Slower than this is standing."""
STANDING_SHARE = 0.5
"""Standing for more than this share of an episode teaches to stand."""
CONSTANT = 1e-3
"""Turns that spread less than this over a whole episode never changed."""
CONSTANT_S = 5.0
"""Over less time than this an unchanged turn is nothing special."""
AT_LIMIT = 0.98
"""Turns from here on, of 1, are at the limit."""
AT_LIMIT_SHARE = 0.5
"""Turns at the limit for more than this share of an episode are bang-bang labels."""
DARK = 12.0
"""Mean in grey levels (0 to 255) below which a picture shows nothing."""
FLAT = 2.0
"""Spread in grey levels below which it shows nothing either."""
BAD_PICTURES = 0.2
"""Share of such pictures that an episode may have."""
DROP = "If it is of no use, move it to the dataset's discarded/ folder; from there it can be moved back."


class Complaint(NamedTuple):
    """Something that is wrong with an episode."""

    kind: str
    """What sort of thing, as a short heading."""
    why: str
    """What was seen, with numbers."""
    advice: str = DROP
    """What to do."""


Check = Callable[[Survey, Record], Complaint | None]
"""Gives a complaint, or None where nothing is wrong."""


FAILED_DEMONSTRATIONS = {
    Outcome.COLLISION: "Crashed demonstration",
    Outcome.OUT_OF_BOUNDS: "Demonstration that left the way",
    Outcome.TIMEOUT: "Demonstration that ran out of time",
}
"""What demonstrations that failed are called, by their outcome."""


def find_bad(survey: Survey) -> list[Finding]:
    """Everything that is wrong in a dataset: files that cannot be read first, then by kind."""
    found = list(survey.unreadable)
    for check in CHECKS:
        for record in survey.records:
            complaint = check(survey, record)
            if complaint is not None:
                found.append(Finding(f"episodes/{record.path.name}", *complaint))
    return found


def by_kind(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """The findings in groups of one kind, in the order in which the kinds come first."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    return groups


def files_of(findings: Sequence[Finding]) -> int:
    """Number of files that something is wrong with."""
    return len({finding.file for finding in findings})


def longest_run(flags: NDArray[np.bool_]) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    starts = edges[::2]
    ends = edges[1::2]
    return int((ends - starts).max(initial=0))


def _foreign_world(survey: Survey, record: Record) -> Complaint | None:
    split = split_of(record.meta.seed)
    if split == "train":
        return None
    return Complaint(
        "Not a training world",
        f"world {record.meta.seed} is of the {split} split",
        "Take it out: training refuses the whole dataset, because results would be spoilt.",
    )


def _other_renderer(survey: Survey, record: Record) -> Complaint | None:
    if record.meta.renderer == survey.spec.renderer:
        return None
    return Complaint(
        "Another renderer",
        f"drawn by {record.meta.renderer}, the dataset by {survey.spec.renderer}",
        "Keep it only if you mean to mix them: their pictures differ.",
    )


def _nothing_to_learn(survey: Survey, record: Record) -> Complaint | None:
    if record.labelled.any() or "actions" in record.lacks:
        return None
    return Complaint("Nothing to learn from", f"none of its {record.num_steps} steps has a label")


def _short(survey: Survey, record: Record) -> Complaint | None:
    if record.time_s >= SHORT_S:
        return None
    return Complaint("Very short", f"{record.num_steps} steps, {record.time_s:.1f} s")


def _unfinished(survey: Survey, record: Record) -> Complaint | None:
    if record.meta.outcome != Outcome.RUNNING:
        return None
    return Complaint(
        "Stopped before the end",
        f"the recording ends after {record.time_s:.1f} s and {record.meta.progress_m:.0f} m",
        "What it shows is sound. Record the world again if you want the rest.",
    )


def _failed_demonstration(survey: Survey, record: Record) -> Complaint | None:
    kind = FAILED_DEMONSTRATIONS.get(record.meta.outcome)
    if kind is None or (record.actor == ACTOR_POLICY).any():
        return None
    who = "human's" if (record.actor == ACTOR_HUMAN).any() else "expert's"
    return Complaint(
        kind,
        f"the {who} episode ended after {record.time_s:.1f} s and {record.meta.progress_m:.0f} m: "
        f"{told(record.meta.outcome)}",
        "Its last seconds teach how to fail: discard it and record the world again.",
    )


def _frozen(survey: Survey, record: Record) -> Complaint | None:
    if record.drops_pictures:
        return None
    moving = record.speed_mps > MOVING_MPS
    runs = [longest_run(repeated & moving) for repeated in record.repeated]
    worst = int(np.argmax(runs))
    longest_s = runs[worst] / record.meta.control_hz
    if longest_s < FROZEN_S:
        return None
    return Complaint(
        "Frozen pictures",
        f"the {CAMERAS[worst]} camera repeats one picture for {longest_s:.1f} s while the vehicle moves",
        "Discard it: the pictures do not belong to the labels.",
    )


def _too_dark(survey: Survey, record: Record) -> Complaint | None:
    if record.drops_pictures:
        return None
    dark = (record.brightness < DARK).mean(axis=1)
    flat = (record.contrast < FLAT).mean(axis=1)
    camera = int(np.argmax(np.maximum(dark, flat)))
    if max(dark[camera], flat[camera]) <= BAD_PICTURES:
        return None
    level = float(np.median(record.brightness[camera]))
    share = max(dark[camera], flat[camera])
    what = f"darker than {DARK:g} of 255" if dark[camera] == share else "of one even colour"
    return Complaint(
        "Pictures that show nothing",
        f"{100 * share:.0f} % of the {CAMERAS[camera]} camera's pictures are {what} (median brightness {level:.0f})",
        "A camera in the ground, or no light? " + DROP,
    )


def _constant(survey: Survey, record: Record) -> Complaint | None:
    turn = record.actions[:, 0]
    if "actions" in record.lacks or record.time_s < CONSTANT_S or turn.std() >= CONSTANT:
        return None
    return Complaint(
        "Never steered",
        f"the turn stays at {turn.mean():+.2f} for all {record.time_s:.1f} s",
        "A key that was stuck, a gamepad that was off, or a world without a bend? " + DROP,
    )


def _bang_bang(survey: Survey, record: Record) -> Complaint | None:
    if not record.labelled.any():
        return None
    share = float((np.abs(record.turn[record.labelled]) >= AT_LIMIT).mean())
    if share <= AT_LIMIT_SHARE:
        return None
    by_hand = record.has_human or bool((record.actor == ACTOR_HUMAN).any())
    gently = "Slow motion (L) helps to steer gently. " if by_hand else ""
    return Complaint(
        "Turned as far as it goes, most of the time",
        f"{100 * share:.0f} % of its labels are at the limit of the turn",
        f"Labels like these teach to swerve. {gently}{DROP}",
    )


def _standing(survey: Survey, record: Record) -> Complaint | None:
    share = float((record.speed_mps < STANDING_MPS).mean())
    if share <= STANDING_SHARE or record.time_s < CONSTANT_S:
        return None
    why = f"slower than {STANDING_MPS:g} m/s for {100 * share:.0f} % of {record.time_s:.1f} s"
    return Complaint("Stood still", why)


def _no_keys(survey: Survey, record: Record) -> Complaint | None:
    if record.keys is None or record.keys.any() or record.time_s < CONSTANT_S:
        return None
    steered = record.label if record.has_human else record.actions[record.actor == ACTOR_HUMAN]
    if not len(steered) or np.abs(steered).max() > CONSTANT:  # nobody was to steer, or a gamepad did
        return None
    return Complaint("Nobody touched a key", f"no steering key in {record.time_s:.1f} s that a human drove")


CHECKS: tuple[Check, ...] = (
    _foreign_world,
    _failed_demonstration,
    _frozen,
    _too_dark,
    _nothing_to_learn,
    _constant,
    _no_keys,
    _bang_bang,
    _standing,
    _short,
    _unfinished,
    _other_renderer,
)
