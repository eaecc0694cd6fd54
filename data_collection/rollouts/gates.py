"""Gates: when a learner gets help, and at which states anybody is asked what should have been done.

A gate looks at every step and says three things of it: somebody should take over, the helper may hand back, or the
learner may go on but the expert should be asked for a label. What follows is told once, in `GatedPilot`:

- `ExpertGate` stands in for a watching human (HG-DAgger: Kelly et al. 2019, arXiv:1810.02890): takes over when the
  expert's cost of the learner's turn, or the clearance, says so. Only what the helper did is labelled.
- `UncertaintyGate` never takes over; it asks where an ensemble disagrees about the turn (EnsembleDAgger: Menda et al.
  2019, arXiv:1807.08364, without its takeover; active learning from queries as in Laskey et al. 2016, SHIV).
- `NoveltyGate` takes over where the ensemble disagrees more than at all but a share of the states, and hands back when
  learner and expert agree: the share is what a budget of labels allows (ThriftyDAgger: Hoque et al. 2021,
  arXiv:2109.08273; of its two reasons, novelty and risk, the first).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from forestpilot.data_collection.episodes.episode import ACTOR_EXPERT
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER, Decision, ExpertPilot, Observations, Pilot
from forestpilot.data_collection.rollouts.takeover import Takeover


@dataclass(frozen=True)
class GateLimits:
    """When gates open and close."""

    regret: float = 25.0
    """Expert gate: take over when the expert's cost of the learner's turn is this much above its best; a collision
    costs 200."""
    calm_regret: float = 4.0
    """Expert gate: hand back once it is below this."""
    clearance_m: float = 0.15
    """Expert gate: take over below this distance to an obstacle, in metres, unless the learner's turn is a calm one."""
    unsure_deg: float = 1.5
    """Uncertainty gate: ask where the ensemble's turns spread by more than this, standard deviation in degrees."""
    agree_deg: float = 6.0
    """Budget gate: hand back once the learner's turn is this near to the expert's, in degrees."""
    calm_s: float = 1.0
    """Hand back when this long, in seconds, nothing has spoken against it."""

    def __post_init__(self) -> None:
        if not 0 < self.calm_regret <= self.regret:
            raise ValueError(f"regret is {self.regret}, calm_regret {self.calm_regret}; it takes 0 < calm <= regret")
        if min(self.clearance_m, self.unsure_deg, self.agree_deg, self.calm_s) < 0:
            raise ValueError("clearance_m, unsure_deg, agree_deg and calm_s must be 0 or more")


class Judgement(NamedTuple):
    """What a gate says of n episodes."""

    take: np.ndarray
    """(n,) bool: somebody should take over."""
    give: np.ndarray
    """(n,) bool: the helper may hand back."""
    ask: np.ndarray
    """(n,) bool: the expert should be asked, even if the learner drives."""


class Gate(Protocol):
    """Says of every step whether the learner needs help."""

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """Judge n episodes, given their infos with the expert's answers, the learner's decision and the expert's actions
        (n, 2)."""


@dataclass(frozen=True)
class ExpertGate:
    """Takes over when the expert's costs, or the clearance, say that the learner is in trouble."""

    limits: GateLimits

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """See `Gate.judge`."""
        regret = np.array(
            [turn_regret(info["expert_costs"][EXPERT_CENTER], turn) for info, turn in zip(infos, learner.actions[:, 0])]
        )
        near = np.array([info["clearance_m"] < self.limits.clearance_m for info in infos])
        calm = regret < self.limits.calm_regret
        return Judgement((regret > self.limits.regret) | (near & ~calm), calm, np.zeros(len(infos), bool))


@dataclass(frozen=True)
class UncertaintyGate:
    """Asks where the ensemble disagrees; the learner always drives."""

    limits: GateLimits

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """See `Gate.judge`."""
        nowhere = np.zeros(len(infos), bool)
        return Judgement(nowhere, ~nowhere, _spread(learner) > np.radians(self.limits.unsure_deg))


@dataclass(frozen=True)
class NoveltyGate:
    """Takes over where the ensemble disagrees more than `threshold_rad`, until learner and expert agree."""

    limits: GateLimits
    threshold_rad: float
    """Standard deviation of the ensemble's turns, in radians."""
    max_turn_rad: float
    """Turn of action 1, in radians."""

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """See `Gate.judge`."""
        apart_rad = np.abs(learner.actions[:, 0] - expert[:, 0]) * self.max_turn_rad
        agree = apart_rad < np.radians(self.limits.agree_deg)
        return Judgement(_spread(learner) > self.threshold_rad, agree, np.zeros(len(infos), bool))


class GatedPilot:
    """The learner drives, the expert takes over where the gate says so; what nobody asked for is not labelled.

    Args:
        learner: the pilot that is being taught; for gates that look at disagreement, an ensemble.
        gate: says when.
        calm_steps: steps in a row that must be calm before the helper hands back.
    """

    needs_expert = True

    def __init__(self, learner: Pilot, gate: Gate, calm_steps: int) -> None:
        self._learner, self._gate, self._expert = learner, gate, ExpertPilot()
        self._calm_steps = calm_steps
        self._takeovers: dict[int, Takeover] = {}
        self.name = learner.name

    def begin(self, slots: int) -> None:
        """Get the learner ready."""
        self._learner.begin(slots)

    def restart(self, slot: int, seed: int) -> None:
        """A new episode starts with the learner driving."""
        self._takeovers[slot] = Takeover(ACTOR_EXPERT, self._calm_steps)
        self._learner.restart(slot, seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """The learner always decides, so that its memory follows the episode; the expert overrules it while it helps."""
        learner = self._learner.act(observations, infos, slots)
        expert = self._expert.act(observations, infos, slots).actions
        judged = self._gate.judge(infos, learner, expert)
        who = [self._takeovers[int(slot)].step(bool(t), bool(g)) for slot, t, g in zip(slots, judged.take, judged.give)]
        actor = np.array(who, np.uint8)
        helped = actor == ACTOR_EXPERT
        actions = np.where(helped[:, None], expert, learner.actions).astype(np.float32)
        return Decision(actions, actor, helped | judged.ask, learner.disagreement)


def turn_regret(costs: np.ndarray, turn: float) -> float:
    """The expert's cost of a turn above that of its best candidate.

    Args:
        costs: (K,) of candidate turns that are evenly spaced over [-1, 1] in action units.
        turn: in action units.
    """
    return float(np.interp(turn, np.linspace(-1.0, 1.0, len(costs)), costs) - costs.min())


def novelty_threshold(disagreement: np.ndarray, share: float) -> float:
    """The disagreement that only this share of the states seen so far exceeds; infinite before any was seen.

    Args:
        disagreement: (n,) of states that the learner came to, as in `Episode.disagreement`.
        share: of the states at which help is affordable, 0 to 1.
    """
    if not len(disagreement):
        return float("inf")
    return float(np.quantile(disagreement, 1.0 - min(max(share, 0.0), 1.0)))


def _spread(decision: Decision) -> np.ndarray:
    if decision.disagreement is None:
        raise ValueError("this gate looks at an ensemble's disagreement, and the learner is a single policy")
    return decision.disagreement
