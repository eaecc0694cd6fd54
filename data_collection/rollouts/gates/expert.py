"""The expert at the gate: it stands in for a watching human (HG-DAgger: Kelly et al. 2019, arXiv:1810.02890)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from forestpilot.data_collection.rollouts.gates.gate import (
    Gate,
    GateConfig,
    Judgement,
    RoundSoFar,
    steps_of,
)
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER, Decision
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class ExpertGateConfig(GateConfig):
    """The expert takes over where its costs, or the clearance, say so; only what it did is labelled."""

    part: ClassVar[str] = "expert"
    regret: Annotated[float, Range(0, 1e6, above=True)] = 25.0
    """Take over when the expert's cost of the learner's turn is this much above its best; a collision costs 200."""
    calm_regret: Annotated[float, Range(0, 1e6, above=True)] = 4.0
    """Hand back once it is below this."""
    clearance_m: Annotated[float, Range(0, 100)] = 0.15
    """Take over below this distance to an obstacle, in metres, unless the learner's turn is a calm one."""
    calm_s: Annotated[float, Range(0, 3600)] = 1.0
    """Hand back when this long, in seconds, nothing has spoken against it."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.calm_regret > self.regret:
            raise InvalidArgumentError(
                f"calm_regret is {self.calm_regret} and regret {self.regret}; calm_regret must not be above regret"
            )


class ExpertGate(Gate):
    """Takes over when the expert's costs, or the clearance, say that the learner is in trouble."""

    Config = ExpertGateConfig

    def __init__(self, config: ExpertGateConfig, so_far: RoundSoFar) -> None:
        super().__init__(config, so_far)
        self._config = config
        self._calm_steps = steps_of(config.calm_s, so_far.control_hz)

    @property
    def calm_steps(self) -> int:
        """See `Gate.calm_steps`."""
        return self._calm_steps

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """See `Gate.judge`."""
        turns = learner.actions[:, 0]
        costs = [info["expert_costs"][EXPERT_CENTER] for info in infos]
        regret = np.array([turn_regret(cost, turn) for cost, turn in zip(costs, turns)])
        near = np.array([info["clearance_m"] < self._config.clearance_m for info in infos])
        calm = regret < self._config.calm_regret
        take = (regret > self._config.regret) | (near & ~calm)
        return Judgement(take, calm, np.zeros(len(infos), bool))


def turn_regret(costs: np.ndarray, turn: float) -> float:
    """The expert's cost of a turn above that of its best candidate.

    Args:
        costs: (K,) of candidate turns that are evenly spaced over [-1, 1] in action units.
        turn: in action units.
    """
    return float(np.interp(turn, np.linspace(-1.0, 1.0, len(costs)), costs) - costs.min())
