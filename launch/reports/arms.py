"""Arms: what is compared. The same weights in several evaluations are one arm; two policies of one name are two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from forestpilot.launch.reading.evaluations import Evaluation, Setting
from forestpilot.policies.evaluation.gap import ImitationGap
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow
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
    """Name of the task."""
    trained: bool
    """Whether a network acted, and not a baseline."""
    episodes: dict[WorldKey, tuple[Evaluation, OutcomeRow]] = field(default_factory=dict)
    """Its episode through each world, and the evaluation that has it."""

    def row(self, world: WorldKey) -> OutcomeRow:
        """Its episode through a world."""
        _, row = self.episodes[world]
        return row

    @property
    def rows(self) -> list[OutcomeRow]:
        """All its episodes."""
        return list(map(self.row, self.episodes))

    @property
    def settings(self) -> list[Setting]:
        """The settings it was run in, in order."""
        return list(dict.fromkeys(setting for setting, _ in self.episodes))

    @property
    def counts_interventions(self) -> bool:
        """True where vehicles were put back and went on, so that there is an autonomy."""
        return all(setting.counts_interventions for setting in self.settings)

    @cached_property
    def score(self) -> Score:
        """Score of all its episodes."""
        return self.score_of(self.episodes)

    def score_of(self, worlds: Iterable[WorldKey]) -> Score:
        """Score of its episodes through some worlds."""
        return score(list(map(self.row, worlds)), self.counts_interventions)

    @property
    def gap(self) -> ImitationGap | None:
        """How far it falls short of the expert; None where nobody asked, or where several evaluations have it."""
        (evaluation, row), *others = self.episodes.values()
        gap = evaluation.gaps.get(row.policy)
        if gap is None or gap.worlds != len(self.episodes) or any(other is not evaluation for other, _ in others):
            return None
        return gap

    def in_setting(self, setting: Setting) -> list[WorldKey]:
        """Its worlds of one setting."""
        return [world for world in self.episodes if world[0] == setting]

    @property
    def splits(self) -> str:
        """The splits that its worlds belong to."""
        return "/".join(sorted({split_of(seed) for _, seed in self.episodes}))

    @property
    def place(self) -> str:
        """Name of the folder that it was found in: of the run, where its evaluation lies in one."""
        evaluation, _ = next(iter(self.episodes.values()))
        folder = evaluation.folder
        if folder.name == "evaluation" and folder.parent.name:
            return folder.parent.name
        return folder.name


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
            arm = arms.setdefault(key, Arm(row.policy, setting.task, evaluation.facts[row.policy].trained))
            if (setting, row.seed) in arm.episodes:
                doubles += 1
            else:
                arm.episodes[setting, row.seed] = (evaluation, row)
        if doubles:
            what = "an episode" if doubles == 1 else f"{doubles} episodes"
            notes.append(f"{evaluation.folder}: {what} through a world that the same arm had been in: left out.")
    _tell_apart(list(arms.values()))
    return list(arms.values())


def _weights(evaluation: Evaluation, policy: str) -> str:
    """Fingerprint by which policies of one name are the same: their weights', or the evaluation's own folder."""
    facts = evaluation.facts[policy]
    if facts.fingerprint:
        return facts.fingerprint
    if not facts.trained:
        return facts.policy_path
    return str(evaluation.folder.parent.resolve())


def _tell_apart(arms: list[Arm]) -> None:
    """Give arms of the same name and task names of their own, after the folder they were found in."""
    groups: dict[tuple[str, str], list[Arm]] = {}
    for arm in arms:
        groups.setdefault((arm.name, arm.task), []).append(arm)
    for group in groups.values():
        if len(group) > 1:
            _name_apart(group)


def _name_apart(group: list[Arm]) -> None:
    """Give arms of one name names of their own."""
    taken: set[str] = set()
    for number, arm in enumerate(group, start=1):
        name = f"{arm.name} ({arm.place or number})"
        if name in taken:
            name = f"{name} {number}"
        taken.add(name)
        arm.name = name
