"""What a dataset holds, in numbers: counts, worlds, steering, corrections at side cameras, takeovers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY, CAMERAS
from forestpilot.data_collection.rollouts.takeover import Handovers, count_handovers
from forestpilot.launch.inspection.checks import AT_LIMIT
from forestpilot.launch.inspection.survey import SIDES, Record, Survey
from forestpilot.launch.terminal.tables import format_density
from forestpilot.sim.seeds import split_of

DRIVERS = {ACTOR_EXPERT: "expert", ACTOR_POLICY: "policy", ACTOR_HUMAN: "human"}
STRAIGHT_DEG = 2.0
"""A turn of less than this, in degrees, is straight ahead."""
ONE_SIDED = 0.65
"""Share of the turns to one side from which the data lean to it."""


class Round(NamedTuple):
    """The episodes of one DAgger round, 0 for demonstrations."""

    number: int
    episodes: int
    steps: int
    labels: int
    drivers: dict[str, float]
    """Share of the steps that each of `DRIVERS` drove."""
    outcomes: Counter[str]
    handovers: Handovers
    control_hz: int

    @property
    def mean_takeover_s(self) -> float:
        """Mean time from a takeover to the handing back, seconds; 0 without takeovers."""
        return self.handovers.intervention_steps / self.control_hz / max(1, self.handovers.takeovers)


class Worlds(NamedTuple):
    """Episodes in worlds of one kind."""

    kind: str
    episodes: int
    steps: int
    least_mps: float
    """Smallest speed set point."""
    largest_mps: float


class Seeds(NamedTuple):
    """World seeds of one split."""

    split: str
    episodes: int
    worlds: int
    """Different seeds."""
    first: int
    last: int


class Steering(NamedTuple):
    """What the labels teach about the turn, as shares of all labels."""

    straight: float
    left: float
    right: float
    at_limit: float
    spread_deg: float
    """Standard deviation in degrees."""
    change_deg: float
    """Mean change from one step to the next, in degrees."""

    @property
    def leaning(self) -> str:
        """The side that the data lean to: left, right, or empty."""
        turning = self.left + self.right
        if turning and max(self.left, self.right) / turning > ONE_SIDED:
            return "left" if self.left > self.right else "right"
        return ""


@dataclass(frozen=True)
class Corrections:
    """How the turn that a side camera teaches differs from the center camera's, in degrees."""

    camera: str
    """left or right."""
    labels: int
    """How many."""
    shift_m: tuple[float, float]
    """Mean and spread of its shift against the center camera in metres, left positive."""
    yaw_deg: tuple[float, float]
    """Of its yaw in degrees, left positive."""
    rule_deg: tuple[float, float]
    """Mean and spread of the geometric rule's correction."""
    asked_deg: tuple[float, float] | None
    """Of the expert's, who was asked at the camera's pose; None where nobody was."""
    asked_minus_rule_deg: tuple[float, float] | None
    """Of the difference between the two."""


def drivers_of(records: Sequence[Record]) -> dict[str, float]:
    """Share of the steps that each of `DRIVERS` drove, those who did not drive left out."""
    actors = np.concatenate([record.actor for record in records])
    shares = {name: float((actors == actor).mean()) for actor, name in DRIVERS.items()}
    return {name: share for name, share in shares.items() if share > 0}


def rounds_of(survey: Survey) -> list[Round]:
    """The dataset by DAgger round."""
    rounds = []
    for number in sorted({record.meta.dagger_round for record in survey.records}):
        records = [record for record in survey.records if record.meta.dagger_round == number]
        rounds.append(
            Round(
                number=number,
                episodes=len(records),
                steps=sum(record.num_steps for record in records),
                labels=sum(int(record.labelled.sum()) for record in records),
                drivers=drivers_of(records),
                outcomes=Counter(record.meta.outcome for record in records),
                handovers=count_handovers(record.actor for record in records if _is_roll_in(record)),
                control_hz=survey.spec.control_hz,
            )
        )
    return rounds


def _is_roll_in(record: Record) -> bool:
    """Whether somebody could take over: a demonstration is no takeover, however it begins."""
    return record.meta.dagger_round > 0 or bool((record.actor == ACTOR_POLICY).any())


def worlds_of(survey: Survey) -> list[Worlds]:
    """Kinds of worlds, the most frequent first."""
    groups: dict[str, list[Record]] = {}
    for record in survey.records:
        groups.setdefault(_kind_of_world(record), []).append(record)
    rows = []
    for kind, records in groups.items():
        speeds = [set_point_mps(survey, record) for record in records]
        steps = sum(record.num_steps for record in records)
        rows.append(Worlds(kind, len(records), steps, min(speeds), max(speeds)))
    return sorted(rows, key=lambda row: (-row.episodes, row.kind))


def set_point_mps(survey: Survey, record: Record) -> float:
    """Speed set point of an episode in m/s."""
    return float(record.state[0, survey.spec.index("speed_set_point_mps")])


def _kind_of_world(record: Record) -> str:
    kwargs = record.meta.env_kwargs
    parts = [str(kwargs.get("preset", "preset unknown"))]
    if "density" in kwargs:
        parts.append(f"{format_density(kwargs['density'])} trees per m²")
    if "length" in kwargs:
        parts.append(f"{kwargs['length']:g} m")
    if kwargs.get("side_cameras", "fixed") != "fixed":
        parts.append(f"side cameras {kwargs['side_cameras']}")
    if kwargs.get("interventions", "none") != "none":
        parts.append(f"put back at the {kwargs['interventions']}")
    return ", ".join(parts)


def seeds_of_splits(survey: Survey) -> list[Seeds]:
    """The world seeds by split."""
    splits: dict[str, list[int]] = {}
    for record in survey.records:
        splits.setdefault(split_of(record.meta.seed), []).append(record.meta.seed)
    return [Seeds(name, len(seeds), len(set(seeds)), min(seeds), max(seeds)) for name, seeds in splits.items()]


def degrees(survey: Survey, turns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Turns in [-1, 1] as degrees, left positive."""
    return np.degrees(turns * survey.spec.max_turn_rad)


def steering_of(survey: Survey, turns: NDArray[np.float32], change_deg: float = 0.0) -> Steering:
    """What turns (N,) teach."""
    if not len(turns):
        return Steering(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    deg = degrees(survey, turns)
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
    """What the center camera's labels teach."""
    changes = [
        np.abs(np.diff(record.label[:, 0]))[record.labelled[1:] & record.labelled[:-1]] for record in survey.records
    ]
    joined = np.concatenate(changes)
    change_deg = float(degrees(survey, joined).mean()) if len(joined) else 0.0
    return steering_of(survey, survey.over_labels(lambda record: record.label)[:, 0], change_deg)


def all_cameras_steering(survey: Survey) -> Steering:
    """What the labels of all three cameras teach, as training uses them by default."""
    return steering_of(survey, survey.over_labels(lambda record: record.taught)[..., 0].ravel())


def corrections_of(survey: Survey) -> list[Corrections]:
    """How the side cameras' labels differ from the center camera's."""
    rows = []
    label = survey.over_labels(lambda record: record.label)[:, 0]
    if not len(label):
        return []
    asked = _asked_turns(survey)
    for camera in SIDES:
        offsets = survey.over_labels(lambda record, c=camera: record.offsets[:, c, :2])  # type: ignore[misc]
        rule = survey.over_labels(lambda record, c=camera: record.rule[:, c, 0])  # type: ignore[misc]
        rows.append(
            Corrections(
                camera=CAMERAS[camera],
                labels=len(label),
                shift_m=_mean_and_spread(offsets[:, 0]),
                yaw_deg=_mean_and_spread(np.degrees(offsets[:, 1])),
                rule_deg=_mean_and_spread(degrees(survey, rule - label)),
                asked_deg=None if asked is None else _mean_and_spread(degrees(survey, asked[:, camera] - label)),
                asked_minus_rule_deg=(
                    None if asked is None else _mean_and_spread(degrees(survey, asked[:, camera] - rule))
                ),
            )
        )
    return rows


def _asked_turns(survey: Survey) -> NDArray[np.float32] | None:
    """(N, C) the expert's turns at each camera, at the steps with labels; None unless every episode has them."""
    if any(record.asked is None for record in survey.records):
        return None
    return survey.over_labels(lambda record: record.taught)[..., 0]


def _mean_and_spread(values: NDArray[np.floating]) -> tuple[float, float]:
    return float(values.mean()), float(values.std())


def has_sides_of_their_own(survey: Survey) -> bool:
    """Whether the side cameras' offsets were drawn anew, so that corrections vary with them."""
    return any(float(np.ptp(record.offsets[:, SIDES, :2], axis=0).max()) > 1e-4 for record in survey.records)
