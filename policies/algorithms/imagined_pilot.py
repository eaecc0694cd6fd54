"""Pilots that are told what a model of the world believes.

`--policy imagined:RUN`, a run of `forestpilot imagine`, plans inside the model at every step; `--policy dreamed:RUN`,
one of `forestpilot dream`, has learned there what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

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
    from torch import Tensor

    from forestpilot.policies.world_models.base import Carry, Observed, WorldModel
    from forestpilot.sim.tasks import Task

WORLD_FILE = "world.safetensors"
"""Of the folder of a model; named here too, so that nobody imports torch for it."""
DREAM_FILE = "dream.safetensors"
"""Of the folder of a policy that was learned inside one; likewise."""


class Chooser(Protocol):
    """Chooses turns by what a model believes: a planner, or a policy that was learned inside."""

    def plan(self, carry: Carry, last_turn: Tensor) -> Tensor:
        """(B,) turns from -1 to 1, given what was done before, (B,)."""


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
        from forestpilot.policies.world_models.strips import StripReader

        self.model, self.chooser = self.load(folder)
        self.name = name
        self._strips = StripReader(self.model.spec)
        self._prepare = make_preparer(self.model.spec)
        self._scale = np.asarray(self.model.spec.state_scale, np.float32)

    def load(self, folder: str) -> tuple[WorldModel, Chooser]:
        """The model in a run folder, and what chooses by it: a planner."""
        from forestpilot.policies.world_models.planning import Planner
        from forestpilot.policies.world_models.stored import load_model

        model, _ = load_model(folder)
        return model, Planner(model)

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
            turn = self.chooser.plan(carry, self._last_turn)
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


class DreamedPilot(ImaginedPilot):
    """Flies as a policy chooses that was learned inside a model: it is told the same, and plans nothing."""

    def load(self, folder: str) -> tuple[WorldModel, Chooser]:
        """The model and the policy in a run folder."""
        from forestpilot.policies.world_models.dreams.stored import load_dream

        model, policy, _ = load_dream(folder)
        return model, policy


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


@dataclass(frozen=True)
class DreamedFactory:
    """Makes a `DreamedPilot`; picklable."""

    folder: str = field(metadata=place(WORLD_FILE, DREAM_FILE))
    """Run folder of the policy."""
    name: str
    """What its episodes are filed under."""

    def __call__(self) -> Pilot:
        """The pilot, its model and policy loaded."""
        return DreamedPilot(self.folder, self.name)


class ImaginedKind(PolicyKind):
    """Models that `forestpilot imagine` has learned, planned with."""

    factory: ClassVar[type[ImaginedFactory | DreamedFactory]] = ImaginedFactory

    def entrant(self, target: str, place: str, task: Task, name: str) -> Entrant:
        """The pilot, with the cameras that its model has learned from."""
        pilot = self.factory(str(Path(place).resolve()), name)
        model, weights = self.checked(place)  # what is damaged is told before the first episode, and not by a worker
        if model.spec.task != task.name:
            raise ForestPilotError(
                f"{place} was learned of the task {model.spec.task!r}, not of {task.name!r}; "
                f"forestpilot evaluate --task {model.spec.task} flies with it"
            )
        return Entrant(name, target, pilot, weights, model.spec)

    def checked(self, folder: str) -> tuple[WorldModel, str]:
        """The model in a folder, and which weights act."""
        from forestpilot.policies.world_models.stored import fingerprint_of_model, load_model

        return load_model(folder)[0], fingerprint_of_model(folder)


class DreamedKind(ImaginedKind):
    """Policies that `forestpilot dream` has learned inside a model."""

    file = DREAM_FILE
    factory = DreamedFactory

    def checked(self, folder: str) -> tuple[WorldModel, str]:
        """The model in a folder, and which weights act."""
        from forestpilot.policies.world_models.dreams.stored import fingerprint_of_dream, load_dream

        return load_dream(folder)[0], fingerprint_of_dream(folder)


IMAGINED = ImaginedKind()
DREAMED = DreamedKind()
