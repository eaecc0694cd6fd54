"""Policies that are told by a mask which causes they may see: driven with masks drawn for each episode, and asked what
they would do under each (see `forestpilot.policies.networks.causes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.luggage import place
from forestpilot.data_collection.rollouts.pilots import Decision, Observations, Pilot
from forestpilot.policies.evaluation.pilots import CHECKPOINT_FILES, PolicyPilot
from forestpilot.sim.seeds import SeedStream

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy


@dataclass(frozen=True)
class MaskedFactory:
    """Makes a pilot that draws a mask for each episode; picklable."""

    folder: str = field(metadata=place(*CHECKPOINT_FILES))
    """Folder of the checkpoint of a policy with causes."""
    name: str
    """What its episodes are filed under."""
    chances: tuple[float, ...]
    """Chance that each cause is shown, 0 to 1."""
    seed: int = 0
    """Of the run, so that two runs draw other masks for the same world."""
    asks: bool = True
    """Whether the expert is asked what should be done in the states that it comes to."""

    def mask_of(self, world_seed: int) -> NDArray[np.float32]:
        """(K,) the mask of the episode in a world, 1 where a cause is shown."""
        rng = np.random.default_rng([world_seed, int(SeedStream.MASKS), self.seed])
        return (rng.random(len(self.chances)) < self.chances).astype(np.float32)

    def __call__(self) -> Pilot:
        """The pilot, its weights loaded."""
        return MaskedPilot(self)


class MaskedPilot(PolicyPilot):
    """A policy with a mask of its own for each episode."""

    def __init__(self, factory: MaskedFactory) -> None:
        super().__init__(factory.folder, factory.name)
        self._factory = factory

    def begin(self, slots: int) -> None:
        """An empty memory for each slot, and a mask."""
        super().begin(slots)
        self._carry.shown = self.policy.mask.repeat(self._batch, 1)

    def restart(self, slot: int, seed: int) -> None:
        """Forget the slot's last episode, and draw the next one's mask."""
        import torch

        super().restart(slot, seed)
        assert self._carry.shown is not None
        self._carry.shown[slot] = torch.from_numpy(self._factory.mask_of(seed))

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """One step of the policy for the episodes in `slots`."""
        decision = super().act(observations, infos, slots)
        if self._factory.asks:
            return decision
        return decision._replace(labelled=np.zeros(len(slots), bool))


def answers_by_mask(
    policy: VisuomotorPolicy, masks: Sequence[Sequence[float]], paths: Sequence[Path]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a policy would do under each mask in the labelled states of some episodes, and what the expert says.

    Args:
        policy: with causes; its own mask is left as it is.
        masks: M of them, each of K numbers, 1 where a cause is shown.
        paths: of the episodes.

    Returns:
        (M, n, 2) and (n, 2): turn and go.
    """
    from forestpilot.data_collection.episodes.episode import load_episode
    from forestpilot.policies.evaluation.offline import BATCH, follow

    keys = policy.observation_keys
    said: list[list[NDArray[np.float64]]] = [[] for _ in masks]
    wanted = []
    for first in range(0, len(paths), BATCH):
        episodes = [load_episode(path, keys) for path in paths[first : first + BATCH]]
        lessons = [episode.labels.lesson(policy.spec.control_hz) for episode in episodes]
        answers = np.zeros((BATCH, max(episode.num_steps for episode in episodes), 2), np.float32)
        known = np.zeros(answers.shape[:2], bool)
        for row, lesson in enumerate(lessons):
            known[row, : len(lesson.known)] = lesson.known
            answers[row, : len(lesson.known)] = np.where(lesson.known[:, None], lesson.actions, 0.0)
        wanted.append(answers[known].astype(np.float64))
        for mask, own in zip(masks, said):
            own.append(follow(policy, episodes, answers, mask)[0][known].astype(np.float64))
    return np.stack([np.concatenate(own) for own in said]), np.concatenate(wanted)
