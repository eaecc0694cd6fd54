"""Pilots that this floor adds: a trained policy, and two baselines without learning. All are made inside rollout
processes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.episode import ACTOR_POLICY
from forestpilot.data_collection.rollouts.gates import Gate, GatedPilot
from forestpilot.data_collection.rollouts.pilots import (
    Decision,
    ExpertPilot,
    MixturePilot,
    Observations,
    Pilot,
    PilotFactory,
)
from forestpilot.data_collection.rollouts.pool import SLOTS
from forestpilot.sim.envs.drive import STATE_ELEMENTS

BASELINES = ("blind", "reactive", "expert")
"""Pilots that `--policy` takes by name besides the folder of a checkpoint."""
PRETRAINED = "pretrained"
"""Name for the weights that come with ForestPilot."""
PRETRAINED_FOLDERS = {task: Path(__file__).parents[1] / "pretrained" / task for task in ("drone", "drive")}
REACTIVE_LOOKAHEAD_M = 6.0
REACTIVE_MARGIN_M = 0.5


def _by_policy(actions: np.ndarray) -> Decision:
    return Decision(actions.astype(np.float32), np.full(len(actions), ACTOR_POLICY, np.uint8))


class BlindPilot:
    """Flies at the goal with its eyes closed: what a forest's density alone makes of an episode."""

    name = "blind"
    needs_expert = False

    def begin(self, slots: int) -> None:
        """Nothing to get ready."""

    def restart(self, slot: int, seed: int) -> None:
        """Nothing to forget."""

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Turn to the goal, full speed."""
        goal = observations["goal"]
        turn = np.arctan2(goal[:, 1], goal[:, 0]) / math.radians(60)
        return _by_policy(np.stack([np.clip(turn, -1, 1), np.ones(len(turn))], axis=1))


class BlindDriver(BlindPilot):
    """Drives straight on with its eyes closed, at the speed set point: what a road's bends alone make of an episode."""

    _forward, _set_point = (
        [name for name, _, _ in STATE_ELEMENTS].index(wanted) for wanted in ("forward_mps", "speed_set_point_mps")
    )

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Wheels straight; pedals in proportion to what the speed lacks, all the way at 1 m/s."""
        state = observations["state"]
        go = np.clip(state[:, self._set_point] - state[:, self._forward], -1.0, 1.0)
        return _by_policy(np.stack([np.zeros(len(go)), go], axis=1))


class ReactivePilot:
    """Steers by the rendered depth of the center camera: the free column nearest to the goal's direction, no
    learning, no plan."""

    name = "reactive"
    needs_expert = False
    _half_fov_rad = math.radians(40)

    def begin(self, slots: int) -> None:
        """Nothing to get ready."""

    def restart(self, slot: int, seed: int) -> None:
        """Nothing to forget."""

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Choose a column of the depth image for each episode."""
        turns = [self._turn(info["depth"][1], goal) for info, goal in zip(infos, observations["goal"], strict=True)]
        return _by_policy(np.stack([np.array(turns) / math.radians(60), np.ones(len(turns))], axis=1))

    def _turn(self, depth: np.ndarray, goal: np.ndarray) -> float:
        height, width = depth.shape
        focal = 0.5 * width / math.tan(self._half_fov_rad)
        bearings = np.arctan((width / 2 - np.arange(width) - 0.5) / focal)
        band = depth[height // 3 : 2 * height // 3].min(axis=0) / np.cos(bearings)
        ahead = np.minimum(band, REACTIVE_LOOKAHEAD_M)
        # A trunk blocks the columns beside it too, the more the nearer it stands.
        blocked_half_angle = np.arctan2(REACTIVE_MARGIN_M, ahead)
        gaps = np.abs(bearings[:, None] - bearings[None, :])
        free = np.where(gaps <= blocked_half_angle[None, :], ahead[None, :], REACTIVE_LOOKAHEAD_M).min(axis=1)
        target = math.atan2(goal[1], goal[0])
        score = free - 2.0 * np.abs(bearings - np.clip(target, -self._half_fov_rad, self._half_fov_rad))
        if abs(target) > self._half_fov_rad and free.min() >= REACTIVE_LOOKAHEAD_M:
            return float(np.clip(target, -math.radians(60), math.radians(60)))
        return float(bearings[np.argmax(score)])


class PolicyPilot:
    """A trained policy, its memory kept apart for each episode.

    Args:
        folder: folder of its checkpoint.
        name: what its episodes are filed under.
    """

    needs_expert = False

    def __init__(self, folder: str, name: str) -> None:
        from forestpilot.policies.networks.checkpoint import load_policy

        self.policy = load_policy(folder)
        self.name = name

    def begin(self, slots: int) -> None:
        """An empty memory for each slot."""
        # Always the same batch, empty slots included: a product's last digits depend on its size, and an episode must not
        # depend on how many others are in the air.
        self._batch = max(slots, SLOTS)
        self._carry = self.policy.begin(self._batch)

    def restart(self, slot: int, seed: int) -> None:
        """Forget the slot's last episode."""
        self._carry.restart([slot])

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """One step of the policy for the episodes in `slots`."""
        from forestpilot.policies.networks.threads import torch_threads

        batch = {key: np.zeros((self._batch, *values.shape[1:]), values.dtype) for key, values in observations.items()}
        for key, values in observations.items():
            batch[key][slots] = values
        # With one thread: a batch this small is faster so, and its last digits do not depend on the machine.
        with torch_threads(1):
            actions, self._carry = self.policy.act(batch, self._carry)
        return _by_policy(actions[slots])


@dataclass(frozen=True)
class PolicyFactory:
    """Makes a `PolicyPilot`, mixed with the expert where beta is above zero; picklable."""

    folder: str
    """Folder of the checkpoint."""
    name: str
    """What its episodes are filed under."""
    beta: float = 0.0
    """Probability that the expert acts."""

    def __call__(self) -> Pilot:
        """The pilot, its weights loaded."""
        pilot = PolicyPilot(self.folder, self.name)
        return MixturePilot(pilot, self.beta) if self.beta > 0 else pilot


class EnsemblePilot:
    """Several policies see the same; the first acts, and how far they are apart says how sure it can be.

    Args:
        folders: folders of their checkpoints.
        name: what its episodes are filed under.
    """

    needs_expert = False

    def __init__(self, folders: tuple[str, ...], name: str) -> None:
        self._members = [PolicyPilot(folder, name) for folder in folders]
        self._max_turn_rad = self._members[0].policy.spec.max_turn_rad
        self.name = name

    def begin(self, slots: int) -> None:
        """Empty memories."""
        for member in self._members:
            member.begin(slots)

    def restart(self, slot: int, seed: int) -> None:
        """Forget the slot's last episode."""
        for member in self._members:
            member.restart(slot, seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """One step of all members; `Decision.disagreement` is the standard deviation of their turns."""
        decisions = [member.act(observations, infos, slots) for member in self._members]
        turns_rad = np.stack([decision.actions[:, 0] for decision in decisions]) * self._max_turn_rad
        return decisions[0]._replace(disagreement=turns_rad.std(axis=0).astype(np.float32))


@dataclass(frozen=True)
class EnsembleFactory:
    """Makes an `EnsemblePilot`; picklable."""

    folders: tuple[str, ...]
    """Folders of the checkpoints; the first acts."""
    name: str
    """What its episodes are filed under."""

    def __call__(self) -> Pilot:
        """The pilot, all weights loaded."""
        return EnsemblePilot(self.folders, self.name)


@dataclass(frozen=True)
class GatedFactory:
    """Makes a `GatedPilot`; picklable."""

    learner: PilotFactory
    """Makes the learner."""
    gate: Gate
    """Says when it gets help."""
    calm_steps: int
    """Steps in a row that must be calm before the helper hands back."""

    def __call__(self) -> Pilot:
        """The pilot."""
        return GatedPilot(self.learner(), self.gate, self.calm_steps)


def require_pilot(policy: str, task: str) -> None:
    """Raise ValueError where a `--policy` is a baseline that the task does not have."""
    if policy in BASELINES and (policy, task) not in _BASELINE_PILOTS:
        known = ", ".join(name for name, its_task in _BASELINE_PILOTS if its_task == task)
        raise ValueError(f"the baseline {policy!r} cannot {task}; for this task there are {known}, and checkpoints")


def pilot_factory(policy: str, name: str, task: str = "drone") -> PilotFactory:
    """The pilot behind a `--policy`: a baseline by name, or the checkpoint in a folder.

    Raises:
        ValueError: the task does not have this baseline.
    """
    require_pilot(policy, task)
    return _BASELINE_PILOTS.get((policy, task)) or PolicyFactory(policy, name)


_BASELINE_PILOTS: dict[tuple[str, str], PilotFactory] = {
    ("blind", "drone"): BlindPilot,
    ("reactive", "drone"): ReactivePilot,
    ("expert", "drone"): ExpertPilot,
    ("blind", "drive"): BlindDriver,
    ("expert", "drive"): ExpertPilot,
}
"""The baselines of each task; a free column in a depth image is no road, so `reactive` only flies."""


def split_name(policy: str, task: str = "drone") -> tuple[str, str]:
    """(name, what to load) of a `--policy`: `NAME=FOLDER`, a folder, or a baseline; the name is empty if none is
    given."""
    name, separator, target = policy.rpartition("=")
    if target == PRETRAINED:
        return name or PRETRAINED, str(PRETRAINED_FOLDERS[task])
    return (name, target) if separator else ("", policy)


def policy_names(policies: tuple[str, ...]) -> list[str]:
    """Short, distinct names for some policies: the one given, a baseline's own, or a checkpoint's folder; numbered
    where two agree."""
    names: list[str] = []
    for policy in policies:
        given, target = split_name(policy)
        name = given or (target if target in BASELINES else Path(target).resolve().name)
        count = sum(n == name or n.startswith(f"{name}-") for n in names)
        names.append(f"{name}-{count + 1}" if count else name)
    return names
