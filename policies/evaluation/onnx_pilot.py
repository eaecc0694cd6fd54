"""Pilots that fly an ONNX file: `--policy onnx:FILE`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forestpilot.data_collection.rollouts.luggage import place
from forestpilot.data_collection.rollouts.pilots import Decision, Observations, Pilot
from forestpilot.data_collection.rollouts.pool import SLOTS
from forestpilot.policies.evaluation.baselines import decided
from forestpilot.policies.evaluation.entrants import Entrant
from forestpilot.policies.evaluation.kinds import PolicyKind
from forestpilot.policies.export.runner import OnnxPolicy
from forestpilot.sim.errors import ForestPilotError

if TYPE_CHECKING:
    from forestpilot.sim.tasks import Task


class OnnxPilot:
    """An exported policy, what it carries kept apart for each episode.

    Args:
        path: the file.
        name: what its episodes are filed under.
    """

    needs_expert = False

    def __init__(self, path: str, name: str) -> None:
        self.policy = OnnxPolicy(path)
        self.cameras = self.policy.cameras
        self.name = name

    def begin(self, slots: int) -> None:
        """Nothing is carried yet."""
        # Always the same batch, empty slots included, as a policy in torch flies.
        self._batch = max(slots, SLOTS)
        self._carry = self.policy.begin(self._batch)
        self._noise = self.policy.noise_for(range(self._batch))

    def restart(self, slot: int, seed: int) -> None:
        """Forget the slot's last episode."""
        for values in self._carry.values():
            values[slot] = 0
        if self._noise is not None:
            self._noise.restart(slot, seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """One step of the policy for the episodes in `slots`."""
        batch = {}
        for key, values in observations.items():
            batch[key] = np.zeros((self._batch, *values.shape[1:]), values.dtype)
            batch[key][slots] = values
        noise = None if self._noise is None else self._noise.next()
        actions, self._carry = self.policy.act(batch, self._carry, noise)
        return decided(actions[slots])


@dataclass(frozen=True)
class OnnxFactory:
    """Makes an `OnnxPilot`; picklable."""

    path: str = field(metadata=place())
    """The file."""
    name: str
    """What its episodes are filed under."""

    def __call__(self) -> Pilot:
        """The pilot."""
        return OnnxPilot(self.path, self.name)


class OnnxKind(PolicyKind):
    """Files that `forestpilot export onnx` wrote."""

    def entrant(self, target: str, place: str, task: Task, name: str) -> Entrant:
        """The file's pilot, with the camera that it has learned from."""
        policy = OnnxPolicy(place)  # what is damaged is told before the first episode, and not by a worker
        if policy.spec.task != task.name:
            raise ForestPilotError(
                f"{place} was trained for the task {policy.spec.task!r}, not for {task.name!r}; "
                f"forestpilot evaluate --task {policy.spec.task} runs it"
            )
        factory = OnnxFactory(str(Path(place).resolve()), name)
        return Entrant(name, target, factory, policy.fingerprint, policy.spec)


ONNX = OnnxKind()
