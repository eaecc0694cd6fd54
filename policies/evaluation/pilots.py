"""Pilots that this floor adds: trained policies, alone, as an ensemble, or watched by a gate. All are made inside
rollout processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT
from forestpilot.data_collection.rollouts.gates import Gate
from forestpilot.data_collection.rollouts.gates.gated_pilot import GatedPilot
from forestpilot.data_collection.rollouts.luggage import place
from forestpilot.data_collection.rollouts.pilots import Decision, MixturePilot, Observations, Pilot, PilotFactory
from forestpilot.data_collection.rollouts.pool import SLOTS
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.policies.evaluation.baselines import decided
from forestpilot.policies.networks.device import DeviceName, device_of

CHECKPOINT_FILES = ("policy.json", "policy.safetensors")
"""Of the folder of a checkpoint; named here too, so that nobody imports torch for it."""


def get_ready(task: str, scenario: Scenario, ask: object = None) -> None:
    """Load the simulator, its kernels and what policies need: what the first episodes of a process would wait for.

    Args:
        task: name of the task.
        scenario: any of its scenarios.
        ask: for a worker's task; not used.
    """
    import forestpilot.policies.networks.checkpoint  # noqa: F401  (imports torch, which takes longest)

    recorder = EpisodeRecorder(task, scenario, expert=True, record=False)
    recorder.step(np.zeros(2, np.float32), ACTOR_EXPERT)
    recorder.close()


class PolicyPilot:
    """A trained policy, its memory kept apart for each episode.

    Args:
        folder: folder of its checkpoint.
        name: what its episodes are filed under.
        device: what it computes with.
    """

    needs_expert = False

    def __init__(self, folder: str, name: str, device: DeviceName = "cpu") -> None:
        from forestpilot.policies.networks.checkpoint import load_policy

        self.policy = load_policy(folder).to(device_of(device))
        self.cameras = self.policy.camera_names
        self.name = name

    def begin(self, slots: int) -> None:
        """An empty memory for each slot."""
        # Always the same batch, empty slots included: a product's last digits depend on its size, and an episode must
        # not depend on how many others are in the air.
        self._batch = max(slots, SLOTS)
        self._carry = self.policy.begin(self._batch)

    def restart(self, slot: int, seed: int) -> None:
        """Forget the slot's last episode."""
        self._carry.restart([slot], [seed])

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """One step of the policy for the episodes in `slots`."""
        from forestpilot.policies.networks.threads import torch_threads

        batch = {}
        for key, values in observations.items():
            batch[key] = np.zeros((self._batch, *values.shape[1:]), values.dtype)
            batch[key][slots] = values
        # With one thread: a batch this small is faster so, and its last digits do not depend on the machine.
        with torch_threads(1):
            actions, self._carry = self.policy.act(batch, self._carry)
        return decided(actions[slots])


@dataclass(frozen=True)
class PolicyFactory:
    """Makes a `PolicyPilot`, mixed with the expert where beta is above zero; picklable."""

    folder: str = field(metadata=place(*CHECKPOINT_FILES))
    """Folder of the checkpoint."""
    name: str
    """What its episodes are filed under."""
    beta: float = 0.0
    """Probability that the expert acts."""
    device: DeviceName = "cpu"
    """What it computes with."""

    def __call__(self) -> Pilot:
        """The pilot, its weights loaded."""
        pilot = PolicyPilot(self.folder, self.name, self.device)
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
        self.cameras = tuple(name for member in self._members for name in member.cameras)
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

    folders: tuple[str, ...] = field(metadata=place(*CHECKPOINT_FILES))
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

    def __call__(self) -> Pilot:
        """The pilot."""
        return GatedPilot(self.learner(), self.gate)
