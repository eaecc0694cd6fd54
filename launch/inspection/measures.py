"""What a dataset holds, in numbers: counts, worlds, steering, corrections at side cameras, takeovers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.rollouts.takeover import Handovers, count_handovers
from forestpilot.launch.inspection.checks import AT_LIMIT
from forestpilot.launch.inspection.records import SIDES, Record
from forestpilot.launch.inspection.survey import Survey, steps_of
from forestpilot.launch.reading.evaluations import NO_RULE
from forestpilot.launch.reading.tasks import task_named
from forestpilot.sim.seeds import split_of

DRIVERS = {ACTOR_EXPERT: "expert", ACTOR_POLICY: "policy", ACTOR_HUMAN: "human"}
"""Who drove, in a word."""
STRAIGHT_DEG = 2.0
"""A turn of less than this, in degrees, is straight ahead."""
ONE_SIDED = 0.65
"""Share of the turns to one side from which the data lean to it."""
SAME_PLACE = 1e-4
"""Offsets that spread less than this, in metres and radians, are those of a fixed camera."""


class Round(NamedTuple):
    """The episodes of one DAgger round, 0 for demonstrations."""

    number: int
    """Number of the round."""
    episodes: int
    """Number of episodes."""
    steps: int
    """Steps in them."""
    labels: int
    """Of these, steps with something to learn."""
    drivers: dict[str, float]
    """Share of the steps that each of `DRIVERS` drove."""
    outcomes: Counter[str]
    """How often episodes ended in each way."""
    handovers: Handovers
    """Takeovers."""
    control_hz: int
    """Actions per second."""

    @property
    def mean_takeover_s(self) -> float:
        """Mean time from a takeover to the handing back, seconds; 0 without takeovers."""
        return self.handovers.intervention_steps / self.control_hz / max(1, self.handovers.takeovers)


class Worlds(NamedTuple):
    """Episodes in worlds of one kind."""

    kind: str
    """The kind, in words."""
    episodes: int
    """Number of episodes."""
    steps: int
    """Steps in them."""
    least_mps: float
    """Smallest speed set point."""
    largest_mps: float
    """Largest speed set point."""


class Seeds(NamedTuple):
    """World seeds of one split."""

    split: str
    """Name of the split."""
    episodes: int
    """Number of episodes."""
    worlds: int
    """Different seeds."""
    first: int
    """Smallest seed."""
    last: int
    """Largest seed."""


class Steering(NamedTuple):
    """Turns that the labels teach, as shares of all labels."""

    straight: float = 0.0
    """Less than `STRAIGHT_DEG` to either side."""
    left: float = 0.0
    """More to the left."""
    right: float = 0.0
    """More to the right."""
    at_limit: float = 0.0
    """At the limit of the turn."""
    spread_deg: float = 0.0
    """Standard deviation in degrees."""
    change_deg: float = 0.0
    """Mean change from one step to the next, in degrees."""

    @property
    def leaning(self) -> str:
        """The side that the data lean to: left, right, or empty."""
        turning = self.left + self.right
        if not turning or max(self.left, self.right) / turning <= ONE_SIDED:
            return ""
        return "left" if self.left > self.right else "right"


class Spread(NamedTuple):
    """Values in two figures."""

    mean: float
    """Mean."""
    deviation: float
    """Standard deviation."""


@dataclass(frozen=True)
class Corrections:
    """Differences of the turn that a side camera teaches from the center camera's, in degrees."""

    camera: str
    """left or right."""
    labels: int
    """How many."""
    shift_m: Spread
    """Its shift against the center camera in metres, left positive."""
    yaw_deg: Spread
    """Its yaw in degrees, left positive."""
    rule_deg: Spread
    """The geometric rule's correction."""
    asked_deg: Spread | None
    """That of the expert, who was asked at the camera's pose; None where nobody was."""
    asked_minus_rule_deg: Spread | None
    """The difference between the two."""


def drivers_of(records: Sequence[Record]) -> dict[str, float]:
    """Share of the steps that each of `DRIVERS` drove, those who did not drive left out."""
    actors = np.concatenate([record.actor for record in records])
    shares = {}
    for actor, name in DRIVERS.items():
        share = float((actors == actor).mean())
        if share > 0:
            shares[name] = share
    return shares


def rounds_of(survey: Survey) -> list[Round]:
    """The dataset by DAgger round."""
    by_round: dict[int, list[Record]] = {}
    for record in survey.records:
        by_round.setdefault(record.meta.dagger_round, []).append(record)
    return [_round(survey, number, records) for number, records in sorted(by_round.items())]


def _round(survey: Survey, number: int, records: Sequence[Record]) -> Round:
    return Round(
        number=number,
        episodes=len(records),
        steps=steps_of(records),
        labels=sum(int(record.labelled.sum()) for record in records),
        drivers=drivers_of(records),
        outcomes=Counter(record.meta.outcome for record in records),
        handovers=count_handovers(record.actor for record in filter(_is_roll_in, records)),
        control_hz=survey.spec.control_hz,
    )


def _is_roll_in(record: Record) -> bool:
    """True where somebody could take over: a demonstration is no takeover, however it begins."""
    return record.meta.dagger_round > 0 or bool((record.actor == ACTOR_POLICY).any())


def worlds_of(survey: Survey) -> list[Worlds]:
    """Kinds of worlds, the most frequent first."""
    groups: dict[str, list[Record]] = {}
    for record in survey.records:
        groups.setdefault(_kind_of_world(survey, record), []).append(record)
    rows = []
    for kind, records in groups.items():
        speeds = [set_point_mps(survey, record) for record in records]
        rows.append(Worlds(kind, len(records), steps_of(records), min(speeds), max(speeds)))
    return sorted(rows, key=lambda row: (-row.episodes, row.kind))


def set_point_mps(survey: Survey, record: Record) -> float:
    """Speed set point of an episode in m/s."""
    return float(record.state[0, survey.spec.index("speed_set_point_mps")])


def _kind_of_world(survey: Survey, record: Record) -> str:
    """The worlds of an episode in words, whatever their speed; on a road with its side cameras."""
    told = dict(record.meta.env_kwargs)
    told.pop("speed", None)
    if told.get("interventions") == NO_RULE:
        del told["interventions"]
    kind = task_named(survey.spec.task).describe(told)
    side_cameras = told.get("side_cameras", "fixed")
    return kind if side_cameras == "fixed" else f"{kind}, side cameras {side_cameras}"


def seeds_of_splits(survey: Survey) -> list[Seeds]:
    """The world seeds by split."""
    splits: dict[str, list[int]] = {}
    for record in survey.records:
        splits.setdefault(split_of(record.meta.seed), []).append(record.meta.seed)
    return [Seeds(name, len(seeds), len(set(seeds)), min(seeds), max(seeds)) for name, seeds in splits.items()]


def steering_of(survey: Survey, turns: NDArray[np.float32], change_deg: float = 0.0) -> Steering:
    """Figures of turns (N,)."""
    if not len(turns):
        return Steering()
    deg = survey.degrees(turns)
    straight = np.abs(deg) < STRAIGHT_DEG
    return Steering(
        straight=float(straight.mean()),
        left=float(((deg > 0) & ~straight).mean()),
        right=float(((deg < 0) & ~straight).mean()),
        at_limit=float((np.abs(turns) >= AT_LIMIT).mean()),
        spread_deg=float(deg.std()),
        change_deg=change_deg,
    )


def center_steering(survey: Survey) -> Steering:
    """Figures of the center camera's labels."""
    changes = np.concatenate(list(map(_changes, survey.records)))
    change_deg = float(survey.degrees(changes).mean()) if len(changes) else 0.0
    return steering_of(survey, survey.labels[:, 0], change_deg)


def _changes(record: Record) -> NDArray[np.float32]:
    """Changes of the turn between neighbouring labels."""
    both = record.labelled[1:] & record.labelled[:-1]
    return np.abs(np.diff(record.turn))[both]


def all_cameras_steering(survey: Survey) -> Steering:
    """Figures of the labels of all three cameras, as training uses them by default."""
    return steering_of(survey, survey.over_labels(lambda record: record.taught)[..., 0].ravel())


def corrections_of(survey: Survey) -> list[Corrections]:
    """Differences of the side cameras' labels from the center camera's."""
    if not survey.num_labels:
        return []
    return [_corrections(survey, camera) for camera in SIDES]


def _corrections(survey: Survey, camera: int) -> Corrections:
    """Differences of one side camera's labels from the center camera's."""
    label = survey.labels[:, 0]
    shift_m, yaw_rad = survey.over_labels(lambda record: record.offsets[:, camera]).T
    rule = survey.over_labels(lambda record: record.rule[:, camera, 0])
    asked_deg: Spread | None = None
    asked_minus_rule_deg: Spread | None = None
    if _was_asked(survey):
        asked = survey.over_labels(lambda record: record.taught[:, camera, 0])
        asked_deg = _spread(survey.degrees(asked - label))
        asked_minus_rule_deg = _spread(survey.degrees(asked - rule))
    return Corrections(
        camera=CAMERAS[camera],
        labels=len(label),
        shift_m=_spread(shift_m),
        yaw_deg=_spread(np.degrees(yaw_rad)),
        rule_deg=_spread(survey.degrees(rule - label)),
        asked_deg=asked_deg,
        asked_minus_rule_deg=asked_minus_rule_deg,
    )


def _was_asked(survey: Survey) -> bool:
    """True where the expert was asked at each camera in every episode."""
    return all(record.asked is not None for record in survey.records)


def _spread(values: NDArray[np.floating]) -> Spread:
    return Spread(float(values.mean()), float(values.std()))


def has_sides_of_their_own(survey: Survey) -> bool:
    """True where the side cameras' offsets were drawn anew, so that corrections vary with them."""
    return any(float(np.ptp(record.offsets[:, SIDES, :2], axis=0).max()) > SAME_PLACE for record in survey.records)
