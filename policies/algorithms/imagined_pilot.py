"""Pilots that plan inside a model of the world: `--policy imagined:RUN`, a run of `forestpilot imagine`."""

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
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.errors import ForestPilotError

if TYPE_CHECKING:
    from forestpilot.policies.world_models.base import Observed
    from forestpilot.sim.tasks import Task

WORLD_FILE = "world.safetensors"
"""Of the folder of a model; named here too, so that nobody imports torch for it."""


class ImaginedPilot:
    """Plans with a model, which is told at each step what is seen.

    Args:
        folder: run folder of the model.
        name: what its episodes are filed under.
    """

    needs_expert = False
    cameras = CAMERA_NAMES

    def __init__(self, folder: str, name: str) -> None:
        from forestpilot.policies.world_models.base import make_preparer
        from forestpilot.policies.world_models.planning import Planner
        from forestpilot.policies.world_models.stored import load_model
        from forestpilot.policies.world_models.strips import StripReader

        self.model, _ = load_model(folder)
        self.name = name
        self._planner = Planner(self.model)
        self._strips = StripReader(self.model.spec)
        self._prepare = make_preparer(self.model.spec)
        self._scale = np.asarray(self.model.spec.state_scale, np.float32)

    def begin(self, slots: int) -> None:
        """Nothing is believed yet."""
        import torch

        # Always the same batch, empty slots included, as a policy flies.
        self._batch = max(slots, SLOTS)
        self._carry: Any = None
        self._last_turn = torch.zeros(self._batch)
        self._is_new = torch.ones(self._batch, dtype=torch.bool)

    def restart(self, slot: int, seed: int) -> None:
        """Forget the slot's last episode."""
        self._last_turn[slot] = 0.0
        self._is_new[slot] = True

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Tell the model what is seen, plan, and go on in imagination with what is done."""
        import torch

        from forestpilot.policies.networks.threads import torch_threads
        from forestpilot.policies.world_models.base import Carry

        with torch_threads(1), torch.no_grad():
            observed = self._observed(observations, infos, slots)
            carry = self.model.start(observed)
            if self._carry is not None:
                known = self.model.correct(self._carry, observed)
                is_new = self._is_new[:, None]
                carry = Carry(*(torch.where(is_new.expand_as(new), new, old) for new, old in zip(carry, known)))
            self._is_new[:] = False
            turn = self._planner.plan(carry, self._last_turn)
            action = torch.stack([turn, torch.ones_like(turn)], dim=1)
            self._carry = self.model.advance(carry, action)
            self._last_turn = turn.clone()
        return decided(action.numpy()[slots])

    def _observed(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Observed:
        """What is told the model, for all slots; zeros where none is in the air."""
        import torch

        from forestpilot.policies.world_models.base import Observed, to_nearness

        state = observations["state"]
        strips = self._strips(np.stack([info["depth"] for info in infos]), state)
        nearness = self._in_slots(to_nearness(torch.from_numpy(strips)).numpy(), slots)
        vector = self._in_slots(np.concatenate([state / self._scale, observations["goal"]], axis=1), slots)
        sight = nearness
        if self.model.sees_views:
            views = self._prepare(observations["center"], state)
            sight = self._in_slots(views.transpose(0, 3, 1, 2).astype(np.float32) / 255, slots)
        seen = torch.from_numpy(sight)
        nearest = torch.from_numpy(nearness.max(1))
        return Observed(seen, torch.from_numpy(vector), nearest, self.model.perceive(seen))

    def _in_slots(self, values: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Values (n, ...) of the episodes in `slots`, as (batch, ...)."""
        whole = np.zeros((self._batch, *values.shape[1:]), np.float32)
        whole[slots] = values
        return whole


@dataclass(frozen=True)
class ImaginedFactory:
    """Makes an `ImaginedPilot`; picklable."""

    folder: str = field(metadata=place(WORLD_FILE))
    """Run folder of the model."""
    name: str
    """What its episodes are filed under."""

    def __call__(self) -> Pilot:
        """The pilot, its model loaded."""
        return ImaginedPilot(self.folder, self.name)


class ImaginedKind(PolicyKind):
    """Models that `forestpilot imagine` has learned, planned with."""

    def entrant(self, target: str, place: str, task: Task, name: str) -> Entrant:
        """The pilot that plans with the model, with the cameras that it has learned from."""
        from forestpilot.policies.world_models.stored import fingerprint_of_model, load_model

        model, _ = load_model(place)  # what is damaged is told before the first episode, and not by a worker
        if model.spec.task != task.name:
            raise ForestPilotError(
                f"{place} was learned of the task {model.spec.task!r}, not of {task.name!r}; "
                f"forestpilot evaluate --task {model.spec.task} flies with it"
            )
        factory = ImaginedFactory(str(Path(place).resolve()), name)
        return Entrant(name, target, factory, fingerprint_of_model(place), model.spec)


IMAGINED = ImaginedKind()
