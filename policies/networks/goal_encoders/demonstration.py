"""Demonstrations: attention over what a demonstrator saw, choice by choice, of which each step asks for its own."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from forestpilot.policies.networks.encoders.base import as_images
from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape, GoalView, shown_in
from forestpilot.policies.networks.goal_encoders.options import DemonstrationGoalConfig
from forestpilot.policies.networks.goal_encoders.order import PLACE, SHARPNESS, Progress, next_rows
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import LAST_NUMBERS, ORDER_CHOICES, ORDER_PLACES, ORDER_ROWS, WAY_PART

PATCH = 4
"""Side of a patch in pixels of the halved picture."""
HALF = 2
"""A demonstration is read at half the size of what is flown by."""
BEFORE = 0.0625
"""A choice is looked for at first so much of the way before the place at which it is behind one, 2.5 m of 40 m..."""
AROUND = 0.05
"""...give or take so much."""
NUM_ACTION = 2
MOTION = 16
"""Numbers that tell how a demonstrator moved when it saw a picture."""


def seen_before(told: Tensor) -> Tensor:
    """(n, rows) near 1 for the choice that is near at distances from the goal, as told (n,), near 0 for others."""
    left = WAY_PART * told / (1 - told)
    before = torch.tensor([1 - place + BEFORE for place in ORDER_PLACES])
    return torch.exp(-0.5 * ((left[:, None] - before) / AROUND).square())


class DemonstrationGoal(GoalEncoder):
    """A small CNN reads each picture of a demonstration; attention chooses among them (Duan et al. 2017, section 4.2).

    For each choice of an order, a row of gates or a junction, attention goes to the pictures that were seen just before
    it, and learns to look elsewhere; what they tell is put together. Which choice matters here follows from how far one
    has come, as where an order is told by name. So each can be learned of by itself, whatever the others are.

    What is found is to tell the order's name as well, which training knows: what is done by it says too little about
    what was shown until it is read, and it is not read before that says something.

    With `motion` the demonstrator's state and action join what its pictures tell: how it moved when it saw them.
    """

    Config: ClassVar[type[GoalEncoderConfig]] = DemonstrationGoalConfig
    reads_demonstration = True
    scale: Tensor

    def __init__(self, config: DemonstrationGoalConfig, shape: GoalShape) -> None:
        super().__init__(config, shape)
        height, width = shape.view_height // HALF, shape.view_width // HALF
        if min(height, width) < PATCH:
            raise InvalidArgumentError(
                f"half a view of {shape.view_width}x{shape.view_height} has no patch of {PATCH}x{PATCH} pixels; make "
                "policy.view larger"
            )
        first, second = config.channels
        self.size = PLACE + config.features
        self.naming = config.naming
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=PATCH, stride=PATCH),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
        )
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, 3, height, width)).numel()
        self.read = nn.Sequential(nn.Linear(flat, config.hidden), nn.ReLU())
        told = config.hidden
        self.move: nn.Module | None = None
        if config.motion:
            told += MOTION
            self.move = nn.Sequential(nn.Linear(len(shape.state_scale) + NUM_ACTION, MOTION), nn.ReLU())
            self.register_buffer("scale", torch.tensor((*shape.state_scale, *[1.0] * NUM_ACTION)), persistent=False)
        self.tell = nn.Linear(told, config.features)
        self.name = nn.Linear(config.features, ORDER_CHOICES) if config.naming else None
        self.progress = Progress()
        self.seek = nn.Linear(Progress.size, ORDER_ROWS)
        self.look = nn.Linear(Progress.size, ORDER_ROWS)
        with torch.no_grad():
            for layer, first_look in ((self.seek, seen_before), (self.look, next_rows)):
                layer.weight.copy_(first_look(self.progress.centers).T)
                layer.bias.zero_()

    def found(self, goal_view: GoalView) -> Tensor:
        """(B, 3, features) what demonstrations tell of each choice, from pictures (B, F, h, w, 3) uint8."""
        views, steps = shown_in(goal_view)
        batch, frames = views.shape[:2]
        pictures = avg_pool2d(as_images(views.flatten(0, 1)[:, None]), HALF)
        flat = self.convolutions(pictures).permute(0, 2, 3, 1).reshape(batch * frames, -1)
        seen = self.read(flat).view(batch, frames, -1)
        if self.move is not None:
            seen = torch.cat((seen, self.move(self._moved(steps) / self.scale)), dim=-1)
        weights = torch.softmax(SHARPNESS * self.seek(self.progress(steps[..., -LAST_NUMBERS:])), dim=1)
        return torch.tanh(self.tell(weights.transpose(1, 2) @ seen))

    def _moved(self, steps: Tensor) -> Tensor:
        """(B, F, S + 2) state and action of demonstrators, of steps (B, F, S + 3 + 2)."""
        state, _, action = steps.split((len(self.scale) - NUM_ACTION, PLACE, NUM_ACTION), dim=-1)
        return torch.cat((state, action), dim=-1)

    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """(B, T, 3) and pictures (B, F, h, w, 3) uint8 to (B, T, 3 + features): direction, distance, what is found."""
        found = self.found(goal_view)
        learns = self.training and torch.is_grad_enabled()
        self.names = self.name(found) if learns and self.name is not None else None
        place = goal[..., :PLACE]
        weights = torch.softmax(SHARPNESS * self.look(self.progress(place)), dim=-1)
        return torch.cat((place, weights @ found), dim=-1)
