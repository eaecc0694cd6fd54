"""The learner's own motion: at random, and by its own policy with noise. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.rollouts.pilots import Decision, Observations, Pilot, PilotFactory, cameras_of
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.registry import import_attribute
from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.tasks import TASKS


class _Held:
    """Random actions of an episode, each held for a while.

    Args:
        seed: of its world, from which they follow.
        longest: steps that one is held at most.
    """

    def __init__(self, seed: int, longest: int) -> None:
        self._rng = rng_for(seed, SeedStream.MOTION)
        # Some episodes tremble and some sweep: what an action comes to shows in the one, where it leads in the other.
        self._steps = round(math.exp(self._rng.uniform(0.0, math.log(max(1, longest)))))
        self._action = np.zeros(2, np.float32)
        self._left = 0

    def next(self) -> NDArray[np.float32]:
        """(2,) the action of the next step, each element evenly from -1 to 1."""
        if not self._left:
            self._action = self._rng.uniform(-1.0, 1.0, 2).astype(np.float32)
            self._left = int(self._rng.integers(1, 2 * self._steps))
        self._left -= 1
        return self._action


@dataclass(frozen=True)
class RandomMotion:
    """Makes a pilot that moves at random.

    Raises:
        InvalidArgumentError: see `BCOConfig`.
    """

    hold_s: float
    """How long an action is held at most, in seconds."""

    def __call__(self) -> Pilot:
        """The pilot."""
        return RandomPilot(self.hold_s)


class RandomPilot:
    """Draws its actions; what it sees is no matter.

    Args:
        hold_s: how long one is held at most, in seconds.
    """

    name = "random"
    needs_expert = False
    cameras: tuple[str, ...] = ()

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._seeds: dict[int, int] = {}
        self._held: dict[int, _Held] = {}

    def begin(self, slots: int) -> None:
        """Nothing to get ready."""

    def restart(self, slot: int, seed: int) -> None:
        """What is drawn follows from the world."""
        self._seeds[slot] = seed
        self._held.pop(slot, None)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """The next action of each episode."""
        spec: TaskSpec = infos[0]["task_spec"]
        longest = max(1, round(self._hold_s * spec.control_hz))
        actions = []
        for slot in slots.tolist():
            if slot not in self._held:
                self._held[slot] = _Held(self._seeds[slot], longest)
            actions.append(self._held[slot].next())
        return Decision(np.stack(actions), np.full(len(slots), ACTOR_POLICY, np.uint8))


@dataclass(frozen=True)
class OwnMotion:
    """Makes a pilot that moves by a policy, with noise."""

    policy: PilotFactory
    """Makes the policy's pilot."""
    std: float
    """Standard deviation of the noise on turn and go, -1 to 1."""

    def __call__(self) -> Pilot:
        """The pilot."""
        return NoisyPilot(self.policy(), self.std)


class NoisyPilot:
    """Does what a policy decides, and something else: normal noise is added to it.

    Args:
        policy: who decides.
        std: standard deviation of the noise.
    """

    needs_expert = False

    def __init__(self, policy: Pilot, std: float) -> None:
        self._policy = policy
        self._std = std
        self._noise: dict[int, np.random.Generator] = {}
        self.name = policy.name
        self.cameras = cameras_of(policy)

    def begin(self, slots: int) -> None:
        """Get the policy ready."""
        self._policy.begin(slots)

    def restart(self, slot: int, seed: int) -> None:
        """The noise of an episode follows from its world."""
        self._noise[slot] = rng_for(seed, SeedStream.MOTION)
        self._policy.restart(slot, seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """What the policy decides, with the noise."""
        decision = self._policy.act(observations, infos, slots)
        noise = np.stack([self._noise[int(slot)].normal(0.0, self._std, 2) for slot in slots])
        return decision._replace(actions=np.clip(decision.actions + noise, -1.0, 1.0).astype(np.float32))


@dataclass(frozen=True)
class BlindMotion:
    """Makes a pilot that goes where the task's blind baseline goes, and does something else beside it at random."""

    task: str
    """Name of the task."""
    hold_s: float
    """How long what is done beside it is held at most, in seconds."""
    sizes: tuple[float, float]
    """Least and largest size of what is done beside it, of which each episode has one."""

    def __call__(self) -> Pilot:
        """The pilot."""
        blind: type[Pilot] = import_attribute(TASKS.get(self.task).baselines["blind"])
        return StraySteps(blind(), self.hold_s, self.sizes)


class StraySteps(RandomPilot):
    """Does what a policy decides, and adds random actions that are held for a while, in each episode of another size.

    So a learner moves as fast as its policy, and turns as it likes.

    Args:
        policy: who decides.
        hold_s: how long what is added is held at most, in seconds.
        sizes: above 0; least and largest that is added, -1 to 1; each size is as likely as twice that.
    """

    def __init__(self, policy: Pilot, hold_s: float, sizes: tuple[float, float]) -> None:
        super().__init__(hold_s)
        self._policy = policy
        self._sizes = np.log(sizes)
        self.name = f"{policy.name} and random"
        self.cameras = cameras_of(policy)

    def begin(self, slots: int) -> None:
        """Get the policy ready."""
        self._policy.begin(slots)

    def restart(self, slot: int, seed: int) -> None:
        """What is added follows from the world."""
        super().restart(slot, seed)
        self._policy.restart(slot, seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """What the policy decides, and what is added to it."""
        decision = self._policy.act(observations, infos, slots)
        added = super().act(observations, infos, slots).actions
        worlds = [rng_for(self._seeds[slot], SeedStream.SCENARIO) for slot in slots.tolist()]
        sizes = np.exp([rng.uniform(*self._sizes) for rng in worlds])
        return decision._replace(actions=np.clip(decision.actions + sizes[:, None] * added, -1, 1).astype(np.float32))
