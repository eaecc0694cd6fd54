"""A learner behind a gate: the expert takes over where the gate says so."""

from __future__ import annotations

from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT
from forestpilot.data_collection.rollouts.gates.gate import Gate
from forestpilot.data_collection.rollouts.pilots import Decision, ExpertPilot, Observations, Pilot
from forestpilot.data_collection.rollouts.takeover import Takeover


class GatedPilot:
    """The learner drives, the expert takes over where the gate says so; what nobody asked for is not labelled.

    Args:
        learner: the pilot that is being taught; for gates that look at disagreement, an ensemble.
        gate: says when.
    """

    needs_expert = True

    def __init__(self, learner: Pilot, gate: Gate) -> None:
        self.name = learner.name
        self._learner = learner
        self._gate = gate
        self._expert = ExpertPilot()
        self._takeovers: dict[int, Takeover] = {}

    def begin(self, slots: int) -> None:
        """Get the learner ready."""
        self._learner.begin(slots)

    def restart(self, slot: int, seed: int) -> None:
        """A new episode starts with the learner driving."""
        self._takeovers[slot] = Takeover(ACTOR_EXPERT, self._gate.calm_steps)
        self._learner.restart(slot, seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """The learner always decides, so that its memory follows the episode; the expert overrules it."""
        learner = self._learner.act(observations, infos, slots)
        expert = self._expert.act(observations, infos, slots).actions
        judged = self._gate.judge(infos, learner, expert)
        actor = np.zeros(len(slots), np.uint8)
        for row, slot in enumerate(slots.tolist()):
            actor[row] = self._takeovers[slot].step(bool(judged.take[row]), bool(judged.give[row]))
        helped = actor == ACTOR_EXPERT
        actions = np.where(helped[:, None], expert, learner.actions).astype(np.float32)
        return Decision(actions, actor, helped | judged.ask, learner.disagreement)
