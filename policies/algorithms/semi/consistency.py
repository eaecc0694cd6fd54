"""Consistency: what the policy is sure of for a view, it learns for the same view spoilt.

FixMatch (Sohn et al. 2020, arXiv:2001.07685): of an unlabelled picture, weakly augmented, the model's own answer is
taken for the label where it is confident, and learned for a strongly augmented version of the picture. There,
confidence is the largest class probability. Turns are continuous, and heads differ in what they say of their doubts; so
the policy is sure here where its answers to a view and to its mirror image agree, whatever its head.

Weak is what every batch of training is: mirrored or not, in slightly different light. Strong is much more light or
dark, other contrast and colours, and a rectangle cut out (Cutout, DeVries & Taylor 2017, arXiv:1708.04552), which looks
as what the camera did not see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from forestpilot.policies.algorithms.semi.config import ConsistencyConfig
from forestpilot.policies.algorithms.semi.method import Method
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.views import OUTSIDE_GREY
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.batches import Objective, TrainingBatch
from forestpilot.policies.training.mixed import rows_of_first
from forestpilot.sim.goals import mirror_of_steps


class Consistency(Method[ConsistencyConfig]):
    """The policy's own answers, where it is sure of them, learned for spoilt views."""

    Config = ConsistencyConfig

    def objective(self) -> Objective:
        """Labels, and agreement with oneself."""
        return ConsistencyObjective(self.config, self.setting.share)


@dataclass(frozen=True)
class ConsistencyObjective(Objective):
    """Labels by the head's own loss in the first windows of a batch; in the others the policy's own answers."""

    config: ConsistencyConfig
    """How sure it must be, and how views are spoilt."""
    share: float
    """Share of the windows that have no labels."""

    def losses(self, policy: VisuomotorPolicy, prediction: Tensor, batch: TrainingBatch) -> Tensor:
        """See `Objective.losses`."""
        count = rows_of_first(len(prediction), self.share)
        told = _part(batch, slice(None, count))
        unlabelled = _part(batch, slice(count, None))
        with torch.no_grad():
            answers, is_sure = self._own_answers(policy, prediction[count:], unlabelled)
        spoilt = replace(unlabelled, views=self._spoilt(unlabelled.views, batch.generator))
        target = unlabelled.target._replace(actions=answers)
        by_labels = policy.head.loss(prediction[:count], told.target, batch.generator)
        by_itself = policy.head.loss(_predict(policy, spoilt), target, batch.generator)
        weight = self.config.weight * min(1.0, batch.target.progress / max(self.config.ramp, 1e-6))
        return torch.cat((by_labels, weight * is_sure * by_itself))

    def _own_answers(self, policy: VisuomotorPolicy, prediction: Tensor, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Mean (B, T, K, 2) of the answers to views and to their mirror images, and (B, T) bool where they agree."""
        answers = policy.head.act(prediction, generator=batch.generator)
        back = torch.tensor([-1.0, 1.0], device=answers.device)
        mirrored = back * policy.head.act(_predict(policy, mirror(batch, policy)), generator=batch.generator)
        apart = (answers[..., 0] - mirrored[..., 0]).abs().amax(-1)
        return (answers + mirrored) / 2, apart <= self.config.within

    def _spoilt(self, views: Tensor, generator: torch.Generator) -> Tensor:
        """Views (B, T, C, h, w, 3) uint8 in other light and with a rectangle cut out, alike in all frames of each."""
        device = views.device
        amounts = self.config.light * (2 * torch.rand(len(views), 5, generator=generator) - 1).to(device)
        gain = ((1 + amounts[:, :1]) * (1 + amounts[:, 1:4]))[:, None, None, None, None]
        offset = 255 * amounts[:, 4].view(-1, 1, 1, 1, 1, 1)
        spoilt = ((views.float() - 128) * gain + 128 + offset).clamp(0, 255).to(torch.uint8)
        size = torch.tensor(views.shape[3:5], device=device)
        sides, places = torch.rand(2, len(views), 2, generator=generator).to(device)
        sides = self.config.cut * sides * size
        first = places * (size - sides)
        rows, columns = (_inside(int(size[i]), first[:, i], sides[:, i]) for i in range(2))
        is_cut = (rows[:, :, None] & columns[:, None])[:, None, None, :, :, None]
        return spoilt.masked_fill(is_cut, OUTSIDE_GREY)


def mirror(batch: TrainingBatch, policy: VisuomotorPolicy) -> TrainingBatch:
    """What a batch shows, as if its worlds had been mirrored left to right; labels stay as they are."""
    spec = policy.spec
    device = batch.state.device
    goal_view = None if batch.goal_view is None else batch.goal_view.flip(-2)
    goal_steps = None
    if batch.goal_steps is not None:
        goal_steps = batch.goal_steps * torch.from_numpy(mirror_of_steps(spec.state_mirror)).to(device)
    return replace(
        batch,
        views=batch.views.flip((2, 4)),
        state=batch.state * torch.tensor(spec.state_mirror, dtype=torch.float32, device=device),
        goal=batch.goal * torch.tensor(spec.goal_mirror, dtype=torch.float32, device=device)[: spec.goal_size],
        goal_view=goal_view,
        goal_steps=goal_steps,
    )


def _part(batch: TrainingBatch, rows: slice) -> TrainingBatch:
    """Some windows of a batch."""
    target = batch.target
    costs = None if target.costs is None else target.costs[rows]
    own: dict[str, Any] = {name: value[rows] for name, value in vars(batch).items() if isinstance(value, Tensor)}
    own["target"] = Target(target.actions[rows], target.known[rows], costs, target.progress)
    return replace(batch, **own)


def _predict(policy: VisuomotorPolicy, batch: TrainingBatch) -> Tensor:
    """Predictions (B, T, *P) float32."""
    prediction, _ = policy(batch.views, batch.state, batch.goal, goal_view=batch.goal_seen, shown=batch.shown)
    return prediction.float()


def _inside(size: int, first: Tensor, length: Tensor) -> Tensor:
    """(B, size) bool: which places lie in an interval of each row."""
    places = torch.arange(size, device=first.device)
    return (places >= first[:, None]) & (places < (first + length)[:, None])
