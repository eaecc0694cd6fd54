"""Arms: what is compared. The same weights in several evaluations are one arm; two policies of one name are two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from forestpilot.launch.reading.evaluations import EpisodeRow, Evaluation, Setting
from forestpilot.launch.terminal.tables import format_density
from forestpilot.policies.evaluation.scores import Score, score
from forestpilot.sim.seeds import split_of

WorldKey = tuple[Setting, int]
"""A world that arms can be compared on: its setting, and its seed."""


@dataclass
class Arm:
    """Episodes of one policy, by world."""

    name: str
    """What it is called in the report."""
    task: str
    """drone or drive."""
    trained: bool
    """Whether a network acted, and not a baseline."""
    episodes: dict[WorldKey, tuple[Evaluation, EpisodeRow]] = field(default_factory=dict)
    """Its episode through each world, and the evaluation that has it."""

    @property
    def rows(self) -> list[EpisodeRow]:
        """All its episodes."""
        return [row for _, row in self.episodes.values()]

    @property
    def settings(self) -> list[Setting]:
        """The settings it was run in, in order."""
        return list(dict.fromkeys(setting for setting, _ in self.episodes))

    @property
    def counts_interventions(self) -> bool:
        """Whether cars were put back and went on, so that there is an autonomy."""
        return self.task == "drive" and all(setting.interventions != "none" for setting in self.settings)

    @cached_property
    def score(self) -> Score:
        """What all its episodes came to."""
        return self.score_of(self.episodes)

    def score_of(self, worlds: Iterable[WorldKey]) -> Score:
        """What its episodes through some worlds came to."""
        rows = [self.episodes[world][1].for_scores for world in worlds]
        return score(rows, self.counts_interventions)

    def in_setting(self, setting: Setting) -> list[WorldKey]:
        """Its worlds of one setting."""
        return [world for world in self.episodes if world[0] == setting]

    @property
    def splits(self) -> list[str]:
        """The splits that its worlds belong to."""
        return sorted({split_of(seed) for _, seed in self.episodes})


def gather_arms(evaluations: Sequence[Evaluation], notes: list[str]) -> list[Arm]:
    """The arms of all evaluations, in the order met; a note on each world that an arm was run in twice.

    Args:
        evaluations: with their rows.
        notes: gets a sentence where something was left out.
    """
    arms: dict[tuple[str, str, str], Arm] = {}
    for evaluation in evaluations:
        doubles = 0
        for row in evaluation.rows:
            setting = evaluation.setting(row)
            key = (row.policy, setting.task, _weights(evaluation, row.policy))
            facts = evaluation.facts[row.policy]
            arm = arms.setdefault(key, Arm(row.policy, setting.task, facts.trained))
            doubles += (setting, row.seed) in arm.episodes
            arm.episodes.setdefault((setting, row.seed), (evaluation, row))
        if doubles:
            what = "an episode" if doubles == 1 else f"{doubles} episodes"
            notes.append(f"{evaluation.folder}: {what} through a world that the same arm had been in: left out.")
    _tell_apart(list(arms.values()))
    return list(arms.values())


def _weights(evaluation: Evaluation, policy: str) -> str:
    """What makes policies of the same name the same: their weights; the evaluation's own where nobody noted them."""
    facts = evaluation.facts[policy]
    known = facts.fingerprint or (facts.policy_path if not facts.trained else "")
    return known or str(evaluation.folder.parent.resolve())


def _tell_apart(arms: list[Arm]) -> None:
    """Give arms of the same name and task names of their own, after the folder they were found in."""
    for arm in arms:
        same = [other for other in arms if (other.name, other.task) == (arm.name, arm.task)]
        if len(same) == 1:
            continue
        names = []
        for number, other in enumerate(same, start=1):
            evaluation = next(iter(other.episodes.values()))[0]
            folder = evaluation.folder
            place = folder.parent.name if folder.name == "evaluation" and folder.parent.name else folder.name
            name = f"{other.name} ({place or number})"
            names.append(f"{name} {number}" if name in names else name)
        for other, name in zip(same, names):
            other.name = name


def describe_setting(setting: Setting) -> str:
    """A setting in a few words."""
    speed = f"{setting.speed:g} m/s" if setting.speed is not None else "any speed"
    if setting.task == "drone":
        density = f", {format_density(setting.density)} trees/m²" if setting.density is not None else ""
        return f"{setting.preset or 'forest'}{density}, {speed}"
    length = f" of {setting.length:g} m" if setting.length else ""
    rule = {"line": "put back when 1 m off the line", "road": "put back when off the road"}
    return f"{setting.preset} road{length}, {speed}, {rule.get(setting.interventions, 'nobody intervenes')}"
