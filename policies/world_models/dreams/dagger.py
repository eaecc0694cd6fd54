"""DAgger inside a model of the world (Ross, Gordon & Bagnell 2011, arXiv:1011.0686).

The learner flies in imagination, from moments of recorded flights; the expert is a planner that imagines with the same
model. It says of every turn what the best course comes to that begins with it, and a label is as strong as that is good
(the costs of AggreVaTe, Ross & Bagnell 2014, arXiv:1406.5979). Nothing is simulated or drawn.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.policies.world_models.base import Carry, WorldModel, danger
from forestpilot.policies.world_models.dreams import DreamerConfig
from forestpilot.policies.world_models.dreams.dreamer import Dreamer, Moments, Starts
from forestpilot.policies.world_models.dreams.options import ImaginedDaggerConfig
from forestpilot.policies.world_models.dreams.policy import DreamPolicy
from forestpilot.policies.world_models.learner import descend
from forestpilot.policies.world_models.planning import FIRST_TURNS, Planner, turn_to_goal

AT_ONCE = 32
"""States that are labelled side by side."""


class ImaginedDagger(Dreamer):
    """Rounds of flying in imagination, labelling and fitting."""

    Config: ClassVar[type[DreamerConfig]] = ImaginedDaggerConfig

    def __init__(self, config: ImaginedDaggerConfig, model: WorldModel, policy: DreamPolicy, starts: Starts) -> None:
        super().__init__(config, model, policy, starts)
        self.config = config
        self._planner = Planner(model, config.plan)
        self._labelled: list[tuple[Moments, Tensor]] = []

    @property
    def steps(self) -> int:
        """As the options say."""
        return self.config.steps

    @property
    def work(self) -> int:
        """States that are labelled."""
        return self.config.states

    def learn(self, round_number: int, rng: np.random.Generator, stage: Stage) -> dict[str, float]:
        """Fly, label, fit to all labels so far."""
        moments = self._moments(round_number, rng)
        values = self._label(moments, stage)
        with torch.no_grad():
            chosen = self.policy(moments.carry, moments.last_turn).argmax(1)
        best = values.amax(1)
        short = best - values.gather(1, chosen[:, None])[:, 0]
        self._labelled.append((moments, values))
        return {"loss": self._fit(rng), "short_of_plan": float(short.mean()), "plan_value": float(best.mean())}

    @torch.no_grad()
    def _moments(self, round_number: int, rng: np.random.Generator) -> Moments:
        """Moments of imagined flights that are to be labelled."""
        config = self.config
        now = self._veered(self.starts.draw(config.flights, rng), rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        visited, dangers = [], []
        for _ in range(config.length):
            visited.append(now)
            turn = self.policy.plan(*now) if round_number else turn_to_goal(now.carry.vector, self.model.spec)
            now = Moments(self.model.advance(now.carry, _onward(turn), generator), turn)
            dangers.append(danger(self.model.nearest(now.carry)))
        ahead = [torch.stack(dangers[step : step + config.soon + 1]).amax(0) for step in range(config.length)]
        matters = (torch.cat(ahead) > 0).numpy()
        number = min(config.states, len(matters))
        share = 0.5 * matters / max(matters.sum(), 1) + 0.5 / len(matters)
        chosen = rng.choice(len(matters), number, replace=False, p=share / share.sum())
        return Moments.joined(visited).at(torch.from_numpy(chosen))

    @torch.no_grad()
    def _veered(self, moments: Moments, rng: np.random.Generator) -> Moments:
        """Moments after turns at random, held for some steps each."""
        number = len(moments.last_turn)
        turn = torch.from_numpy(rng.choice(np.array(FIRST_TURNS, np.float32), number))
        lasting = torch.from_numpy(rng.integers(self.config.veer + 1, size=number))
        carry, last_turn = moments
        for step in range(self.config.veer):
            goes_on = lasting > step
            after = self.model.advance(carry, _onward(turn))
            carry = Carry(*(torch.where(goes_on[:, None], new, old) for new, old in zip(after, carry)))
            last_turn = torch.where(goes_on, turn, last_turn)
        return Moments(carry, last_turn)

    def _label(self, moments: Moments, stage: Stage) -> Tensor:
        """(B, turns) what each turn is worth."""
        values = []
        for rows in torch.arange(len(moments.last_turn)).split(AT_ONCE):
            values.append(self._planner.values(*moments.at(rows)))
            stage.advance(len(rows))
        return torch.cat(values)

    def _fit(self, rng: np.random.Generator) -> float:
        """Gradient steps on all labels so far; returns the last loss."""
        moments = Moments.joined([each for each, _ in self._labelled])
        values = torch.cat([each for _, each in self._labelled])
        wanted = torch.softmax(values / self.config.temperature, dim=1)
        loss = torch.zeros(())
        for _ in range(self.config.steps):
            rows = torch.from_numpy(rng.integers(len(values), size=self.config.batch))
            logits = self.policy(*moments.at(rows))
            loss = torch.nn.functional.cross_entropy(logits, wanted[rows])
            descend(loss, self.policy, self.optimizer, self.config.learning_rate)
        return float(loss.detach())

    def tensors(self) -> dict[str, Tensor]:
        """The policy, and all labels so far."""
        found = super().tensors()
        for number, (moments, values) in enumerate(self._labelled):
            parts = {**moments.carry._asdict(), "last_turn": moments.last_turn, "values": values}
            found |= {f"labels/{number}/{name}": part.contiguous() for name, part in parts.items()}
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        super().restore(tensors)
        self._labelled = []
        while (begin := f"labels/{len(self._labelled)}/") + "values" in tensors:
            carry = Carry(*(tensors[begin + name] for name in Carry._fields))
            self._labelled.append((Moments(carry, tensors[begin + "last_turn"]), tensors[begin + "values"]))


def _onward(turn: Tensor) -> Tensor:
    """(B, 2) actions that turn so, at full speed."""
    return torch.stack([turn, torch.ones_like(turn)], dim=1)
