"""A policy that is learned inside a model of the world: it reads what the model believes, and chooses a turn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from forestpilot.policies.world_models.base import Carry, WorldModel, small_at_first
from forestpilot.policies.world_models.planning import FIRST_TURNS, first_turns


class DreamPolicy(nn.Module):
    """Chooses among the turns with which a planner's courses begin: the mean of a turn to the left and one to the right
    leads into the tree.

    Args:
        model: what it reads; not a part of it.
        features: width of its layers.
    """

    def __init__(self, model: WorldModel, features: int) -> None:
        super().__init__()
        self._read = model.read
        self._spec = model.spec
        self.eyes, seen = model.eyes()
        self.join = nn.Sequential(
            nn.Linear(seen + model.vector_size + 1, features),
            nn.SiLU(),
            nn.Linear(features, features),
            nn.SiLU(),
            small_at_first(nn.Linear(features, len(FIRST_TURNS) + 1)),
        )

    def forward(self, carry: Carry, last_turn: Tensor) -> Tensor:
        """(B, len(FIRST_TURNS) + 1) logits of the `first_turns`, by what is believed and what was done before (B,)."""
        seen = self.eyes(torch.cat([carry.sight, carry.memory], dim=1))
        logits: Tensor = self.join(torch.cat([seen, self._read(carry.vector), last_turn[:, None]], dim=1))
        return logits

    @torch.no_grad()
    def plan(self, carry: Carry, last_turn: Tensor) -> Tensor:
        """(B,) the turn that it would take, from -1 to 1; as a planner does."""
        best = self(carry, last_turn).argmax(1)
        return first_turns(carry.vector, self._spec).gather(1, best[:, None])[:, 0]
