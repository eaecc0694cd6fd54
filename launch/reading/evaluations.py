"""Evaluations as a report reads them: every episode that can be read, and a note on every one that cannot."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.migration import episodes_folder
from forestpilot.data_collection.episodes.seals import DamagedFileError
from forestpilot.data_collection.rollouts.results import EpisodeFileError, read_result_file, result_path
from forestpilot.launch.reading.json_files import read_config, read_json
from forestpilot.launch.reading.tasks import task_named, task_of_preset
from forestpilot.policies.evaluation.entrants import network_acted
from forestpilot.policies.evaluation.gap import ImitationGap
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow, read_outcomes

MAX_ROW_NOTES = 3
"""More broken rows than this are counted, not named one by one."""
NOT_THE_WORLDS = ("side_cameras", "interventions")
"""Options that do not change which worlds are crossed."""
OLD_OPTIONS = ("density", "length")
"""Options of worlds in the episodes of version 0.1."""

Options = tuple[tuple[str, float | str], ...]
"""Scenario fields of a task by name."""


@dataclass(frozen=True)
class Setting:
    """Kind of worlds, and the rule by which episodes through them are judged."""

    task: str
    """Name of the task."""
    preset: str = ""
    """Preset of the worlds; empty where nobody noted it."""
    speed: float | None = None
    """Speed set point in m/s."""
    options: Options = ()
    """The task's own scenario fields that say which worlds these are, such as `density`."""
    rule: str = ""
    """When the vehicle is put back; empty where it never can be."""

    @property
    def counts_interventions(self) -> bool:
        """True where a vehicle that was put back goes on, so that there is an autonomy."""
        return self.rule not in ("", NO_RULE)

    @property
    def words(self) -> str:
        """The setting in a few words."""
        told: dict[str, Any] = {"preset": self.preset, "speed": self.speed, **dict(self.options)}
        if self.rule:
            told["interventions"] = self.rule
        return task_named(self.task).describe(told)


NO_RULE = "none"
"""The rule by which nobody is put back."""


@dataclass(frozen=True)
class EpisodeFacts:
    """Facts about a policy that its stored episodes tell; the same in all of them."""

    fingerprint: str = ""
    """Which weights acted; the name of a baseline; empty if unknown."""
    policy_path: str = ""
    """Folder of the checkpoint, or name of the baseline; empty if unknown."""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the environment."""
    package_version: str = ""
    """Version of ForestPilot that ran them; empty if unknown."""

    @property
    def trained(self) -> bool:
        """True where a network acted, as far as one knows."""
        return network_acted(self.policy_path)


@dataclass
class Evaluation:
    """Episodes that `forestpilot evaluate` left in a folder."""

    folder: Path
    """The folder."""
    rows: list[OutcomeRow]
    """Every episode that could be read."""
    facts: dict[str, EpisodeFacts]
    """By policy."""
    finished: bool
    """Whether outcomes.csv is there; otherwise the rows are those episodes that were done."""
    old_rule: str
    """When vehicles are put back, for episodes of version 0.1, which do not say so themselves."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""
    gaps: Mapping[str, ImitationGap] = field(default_factory=dict)
    """How far policies fall short of the expert, by policy, where somebody asked."""

    @property
    def says_something(self) -> bool:
        """True where some episode can be read."""
        return bool(self.rows)

    def setting(self, row: OutcomeRow) -> Setting:
        """The setting of an episode."""
        if row.task:
            return Setting(row.task, row.preset, row.speed, _world_options(row.options), row.rule)
        return self._old_setting(row)

    def _old_setting(self, row: OutcomeRow) -> Setting:
        """The setting of an episode of version 0.1, known by its preset and by what is stored beside it."""
        kwargs = self.facts[row.policy].env_kwargs
        task = task_of_preset(row.preset, has_density="density" in row.options)
        options = dict(row.options)
        for name in OLD_OPTIONS:
            if kwargs.get(name) is not None:
                options.setdefault(name, kwargs[name])
        rule = ""
        if task.put_back:
            rule = str(kwargs.get("interventions") or self.old_rule)
        return Setting(task.name, row.preset, row.speed, _world_options(options), rule)

    def result_path(self, row: OutcomeRow) -> Path:
        """File of a row's episode."""
        return result_path(episodes_folder(self.folder), row.policy, row.seed)


def _world_options(options: Mapping[str, float | str]) -> Options:
    """The options that say which worlds these are, in order."""
    kept = {}
    for name, value in sorted(options.items()):
        if name in NOT_THE_WORLDS:
            continue
        if isinstance(value, float):
            value = round(value, 5)
        kept[name] = value
    return tuple(kept.items())


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a folder, as far as it can be read.

    Args:
        folder: holds outcomes.csv, or the episodes of an evaluation that was interrupted.
    """
    notes: list[str] = []
    finished = (folder / "outcomes.csv").is_file()
    if finished:
        rows = _read_rows(folder / "outcomes.csv", notes)
    else:
        rows = _read_episodes(episodes_folder(folder), notes)
        if rows:
            notes.append(
                f"{folder}: there is no outcomes.csv, so the evaluation was not finished. These are the {len(rows)} "
                "episodes that were; run the same command again to complete it."
            )
    if not rows:
        notes.append(f"{folder}: the evaluation holds no episode that can be read.")
    if finished and rows and not (folder / "summary.json").is_file():
        notes.append(f"{folder}: there is no summary.json; all figures here are counted from outcomes.csv.")
    summary, problem = read_json(folder / "summary.json")
    notes += filter(None, [problem])
    facts = _facts_by_policy(folder, rows)
    return Evaluation(folder, rows, facts, finished, _old_rule(folder, rows), notes, _gaps(summary))


def _gaps(summary: Mapping[str, Any]) -> dict[str, ImitationGap]:
    """The imitation gaps that a summary.json tells, by policy; those that are none are left out."""
    stored = summary.get("imitation_gap")
    gaps = {}
    for values in stored if isinstance(stored, list) else []:
        try:
            gap = ImitationGap.from_values(values)
        except (TypeError, ValueError):
            continue
        gaps[gap.policy] = gap
    return gaps


def _read_rows(path: Path, notes: list[str]) -> list[OutcomeRow]:
    """The rows of outcomes.csv that can be read; notes say which cannot, and why."""
    broken: list[str] = []

    def leave_out(line: int, error: Exception) -> None:
        broken.append(f"{path}: line {line} is left out, {_reason(error)}.")

    try:
        rows = read_outcomes(path, leave_out)
    except DamagedFileError as error:
        notes.append(f"{error}. The rows below are counted from those episodes.")
        return _read_episodes(episodes_folder(path.parent), notes)
    except (OSError, csv.Error) as error:
        notes.append(f"{path} cannot be read ({error}).")
        return []
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


def _read_episodes(folder: Path, notes: list[str]) -> list[OutcomeRow]:
    """The episodes of an evaluation without outcomes.csv, as rows."""
    rows = []
    for path in sorted(folder.glob("*.npz")):
        try:
            meta, _, _ = read_result_file(path, ("policy", "env_kwargs", "seed", "outcome"))
            rows.append(OutcomeRow.of_episode(meta, meta["env_kwargs"]))
        except (EpisodeFileError, KeyError, TypeError, ValueError) as error:
            notes.append(f"{path} is left out: {error}.")
    return rows


def _facts_by_policy(folder: Path, rows: list[OutcomeRow]) -> dict[str, EpisodeFacts]:
    """Facts about each policy, from its first readable episode."""
    facts: dict[str, EpisodeFacts] = {}
    for row in rows:
        if row.policy in facts:
            continue
        try:
            meta, _, _ = read_result_file(result_path(episodes_folder(folder), row.policy, row.seed), ("env_kwargs",))
        except EpisodeFileError:
            continue
        facts[row.policy] = EpisodeFacts(
            fingerprint=str(meta.get("fingerprint") or ""),
            policy_path=str(meta.get("policy_path") or ""),
            env_kwargs=meta["env_kwargs"] if isinstance(meta["env_kwargs"], dict) else {},
            package_version=str(meta.get("package_version") or ""),
        )
    told = _facts_of_summary(folder)
    for policy in {row.policy for row in rows} - facts.keys():
        facts[policy] = told.get(policy, EpisodeFacts())
        if policy not in told and not network_acted(policy):  # in version 0.1 a baseline is known by its name
            facts[policy] = EpisodeFacts(policy_path=policy)
    return facts


def _facts_of_summary(folder: Path) -> dict[str, EpisodeFacts]:
    """Facts about each policy that summary.json tells, whatever its episodes are called."""
    policies = read_json(folder / "summary.json")[0].get("policies")
    facts = {}
    for told in policies if isinstance(policies, list) else []:
        if isinstance(told, dict) and told.keys() >= {"name", "policy", "fingerprint"}:
            facts[str(told["name"])] = EpisodeFacts(str(told["fingerprint"]), str(told["policy"]))
    return facts


def _old_rule(folder: Path, rows: list[OutcomeRow]) -> str:
    """The rule by which version 0.1 put cars back, as the config or the rows tell it."""
    run, _ = read_config(folder, "evaluate")
    stored = run.config.get("options", run.config).get("interventions")
    if stored:
        return str(stored)
    return "line" if any(row.interventions for row in rows) else NO_RULE
