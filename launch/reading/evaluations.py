"""Evaluations as a report reads them: every episode that can be read, and a note on every one that cannot."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from forestpilot.data_collection.rollouts.results import (
    RESULT_FIGURES,
    EpisodeFileError,
    load_result,
    read_result_file,
    result_path,
)
from forestpilot.launch.reading.json_files import read_config
from forestpilot.policies.evaluation.entrants import baseline_names, network_acted
from forestpilot.policies.evaluation.scores import OutcomeRow
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import INTERVENTIONS

OUTCOMES = {
    "success": "success",
    "helped": "arrived with help",
    "collision": "collision",
    "out_of_bounds": "out of bounds",
    "timeout": "out of time",
}
"""How an episode may end, and in which words."""
MAX_ROW_NOTES = 3
"""More broken rows than this are counted, not named one by one."""


class Setting(NamedTuple):
    """What worlds are like, and by which rule episodes through them are judged."""

    task: str
    """drone or drive."""
    preset: str
    """Preset of the worlds; empty where nobody noted it."""
    density: float | None
    """Trees per square metre; None on roads."""
    speed: float | None
    """Speed set point in m/s."""
    length: float | None = None
    """Length of the road in metres; None in forests."""
    interventions: str = "none"
    """When a car is put back: line, road or none."""


@dataclass(frozen=True)
class EpisodeRow:
    """One row of outcomes.csv."""

    policy: str
    """Name of the policy."""
    seed: int
    """Seed of the world."""
    outcome: str
    """success, collision, out_of_bounds or timeout."""
    progress_m: float
    """Metres made good towards the goal."""
    time_s: float
    """Duration in seconds."""
    min_clearance_m: float
    """Least distance to a tree or obstacle in metres."""
    mean_speed_mps: float
    """Mean speed in m/s."""
    distance_m: float
    """Length of the way in metres; 0 where an older version did not note it."""
    interventions: int
    """How often a car was put back."""
    density: float | None
    """Trees per square metre."""
    speed: float | None
    """Speed set point in m/s."""
    preset: str
    """Preset of the worlds."""

    @property
    def succeeded(self) -> bool:
        """Whether the goal was reached, and without help."""
        return self.outcome == "success" and self.interventions == 0

    @property
    def end(self) -> str:
        """The outcome in words; to arrive with somebody's help is no success."""
        return OUTCOMES["helped" if self.outcome == "success" and self.interventions else self.outcome]

    @property
    def for_scores(self) -> OutcomeRow:
        """This row as `forestpilot.policies.evaluation.scores.score` takes it."""
        return OutcomeRow.from_values(vars(self))


@dataclass(frozen=True)
class EpisodeFacts:
    """What the stored episodes of a policy say about it; the same in all of them."""

    fingerprint: str
    """Which weights acted; the name of a baseline; empty if unknown."""
    policy_path: str
    """Folder of the checkpoint, or name of the baseline; empty if unknown."""
    env_kwargs: Mapping[str, Any]
    """Arguments of the environment."""
    package_version: str
    """Version of ForestPilot that ran them; empty if unknown."""

    @property
    def trained(self) -> bool:
        """Whether a network acted, as far as one knows."""
        return network_acted(self.policy_path)


@dataclass
class Evaluation:
    """What `forestpilot evaluate` left in a folder."""

    folder: Path
    """The folder."""
    rows: list[EpisodeRow]
    """Every episode that could be read."""
    facts: dict[str, EpisodeFacts]
    """By policy."""
    finished: bool
    """Whether outcomes.csv is there; otherwise the rows are those episodes that were done."""
    rule: str
    """When cars are put back, for episodes that do not say so themselves: line, road or none."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""

    def setting(self, row: EpisodeRow) -> Setting:
        """The setting of an episode."""
        kwargs = self.facts[row.policy].env_kwargs
        if not is_drive(row):
            density = None if row.density is None else round(row.density, 5)
            return Setting("drone", row.preset, density, row.speed)
        rule = str(kwargs.get("interventions") or self.rule)
        return Setting("drive", row.preset, None, row.speed, kwargs.get("length"), rule)

    def result_path(self, row: EpisodeRow) -> Path:
        """Where the episode of a row is stored."""
        return result_path(self.folder / "episodes", row.policy, row.seed)


def is_drive(row: EpisodeRow) -> bool:
    """Whether a row is a drive: presets of roads and forests have different names, and only forests a density."""
    drive, drone = TASKS.get("drive"), TASKS.get("drone")
    return row.preset in drive.presets or (row.preset not in drone.presets and row.density is None)


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a folder, as far as it can be read.

    Args:
        folder: holds outcomes.csv, or the episodes of an evaluation that was interrupted.
    """
    notes: list[str] = []
    finished = (folder / "outcomes.csv").is_file()
    rows = _read_outcomes(folder / "outcomes.csv", notes) if finished else _read_episodes(folder / "episodes", notes)
    if not finished and rows:
        notes.append(
            f"{folder}: there is no outcomes.csv, so the evaluation was not finished. These are the {len(rows)} episodes "
            "that were; run the same command again to complete it."
        )
    if not rows:
        notes.append(f"{folder}: the evaluation holds no episode that can be read.")
    facts = {policy: _facts(folder, rows, policy) for policy in dict.fromkeys(row.policy for row in rows)}
    if finished and rows and not (folder / "summary.json").is_file():
        notes.append(f"{folder}: there is no summary.json; all figures here are counted from outcomes.csv.")
    return Evaluation(folder, rows, facts, finished, _rule(folder, rows), notes)


def _rule(folder: Path, rows: list[EpisodeRow]) -> str:
    """The rule by which cars are put back, as the config or the rows tell it."""
    stored = read_config(folder, "evaluate")[0].config.get("interventions")
    if stored in INTERVENTIONS:
        return str(stored)
    return "line" if any(row.interventions for row in rows) else "none"


def _read_outcomes(path: Path, notes: list[str]) -> list[EpisodeRow]:
    """The rows of outcomes.csv that can be read; notes say which cannot, and why."""
    rows, broken = [], []
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.DictReader(file)
            for values in reader:
                try:
                    rows.append(_read_row(values))
                except (KeyError, TypeError, ValueError, OverflowError) as error:
                    broken.append(f"{path}: line {reader.line_num} is left out, {_reason(error)}.")
    except (OSError, csv.Error) as error:
        notes.append(f"{path} cannot be read ({error}).")
    notes += broken[:MAX_ROW_NOTES]
    if len(broken) > MAX_ROW_NOTES:
        notes.append(f"{path}: {len(broken) - MAX_ROW_NOTES} more lines are left out, because they cannot be read.")
    return rows


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no column {error.args[0]!r}"
    if isinstance(error, TypeError):
        return "it ends too early"
    return f"{error}"


def _read_row(values: Mapping[str, Any]) -> EpisodeRow:
    """A row of text as an episode.

    Raises:
        KeyError: a column is missing.
        TypeError: the row is too short.
        ValueError: a value is no number, or an outcome that no episode has.
    """
    if not values["policy"] or values["outcome"] not in OUTCOMES:
        raise ValueError(f"its policy is {values['policy']!r} and its outcome {values['outcome']!r}")
    figures = ("progress_m", "time_s", "min_clearance_m", "mean_speed_mps")
    return EpisodeRow(
        policy=values["policy"], seed=_seed(values["seed"]), outcome=values["outcome"],
        **{name: _number(name, values[name]) for name in figures},
        distance_m=_number("distance_m", values.get("distance_m") or 0.0),
        interventions=int(values.get("interventions") or 0),
        density=_optional("density", values.get("density")), speed=_optional("speed", values.get("speed")),
        preset=values.get("preset") or "",
    )  # fmt: skip


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise ValueError(f"its seed is {seed}")
    return seed


def _number(name: str, text: Any) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"its {name} is {text}")
    return value


def _optional(name: str, text: Any) -> float | None:
    return None if text in (None, "") else _number(name, text)


def _read_episodes(folder: Path, notes: list[str]) -> list[EpisodeRow]:
    """The episodes of an evaluation without outcomes.csv, as rows."""
    rows = []
    for path in sorted(folder.glob("*.npz")):
        try:
            episode = load_result(path)
            meta, _, _ = read_result_file(path, ("policy", "env_kwargs", *RESULT_FIGURES))
            rows.append(_read_row({key: "" if v is None else v for key, v in episode.row(meta["policy"]).items()}))
        except (EpisodeFileError, KeyError, TypeError, ValueError) as error:
            notes.append(f"{path} is left out: {error}.")
    return rows


def _facts(folder: Path, rows: list[EpisodeRow], policy: str) -> EpisodeFacts:
    """What the first readable episode of a policy says; nothing is known where there is none."""
    for row in rows:
        if row.policy != policy:
            continue
        try:
            meta, _, _ = read_result_file(result_path(folder / "episodes", policy, row.seed), ("env_kwargs",))
        except EpisodeFileError:
            continue
        kwargs = meta["env_kwargs"] if isinstance(meta["env_kwargs"], dict) else {}
        texts = (str(meta.get(key) or "") for key in ("fingerprint", "policy_path", "package_version"))
        fingerprint, policy_path, version = texts
        return EpisodeFacts(fingerprint, policy_path, kwargs, version)
    return EpisodeFacts("", policy if policy in baseline_names() else "", {}, "")
