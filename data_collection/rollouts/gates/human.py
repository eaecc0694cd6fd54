"""A human at the gate (HG-DAgger: Kelly et al. 2019, arXiv:1810.02890): keys say when they take over and hand back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.rollouts.gates.gate import Gate, GateConfig, Judgement
from forestpilot.data_collection.rollouts.pilots import Decision


@dataclass(frozen=True)
class HumanGateConfig(GateConfig):
    """A human takes over by keyboard; only what they did is labelled."""

    part: ClassVar[str] = "human"


class HumanGate(Gate):
    """Leaves it to the human who watches."""

    Config = HumanGateConfig
    helper = ACTOR_HUMAN
    spends_labels = False
    judges = False

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """See `Gate.judge`."""
        nowhere = np.zeros(len(infos), bool)
        return Judgement(nowhere, nowhere, nowhere)
