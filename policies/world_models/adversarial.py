"""A model trained against a discriminator over (state, action, next state): GAIL of the world (Xu, Li & Yu 2020,
arXiv:2010.11876, section 5; Ho & Ermon 2016).

The model imagines along what was done in the data, and the discriminator compares what it imagines with what was so:
where errors have led is seen, and held against the truth, as DAgger does for a policy. The error of a value then grows
with the horizon, not with its square (theorem 2 there). Gradients reach the model through what it has imagined, for it
is differentiable, instead of by a policy gradient.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from forestpilot.policies.world_models import LearnerConfig
from forestpilot.policies.world_models.base import Carry, Transition, WorldModel
from forestpilot.policies.world_models.cloned import negative_log_likelihood
from forestpilot.policies.world_models.learner import Learner, descend
from forestpilot.policies.world_models.options import AdversarialConfig
from forestpilot.policies.world_models.sequences import Windows, unroll

softplus = nn.functional.softplus


class Adversarial(Learner):
    """The discriminator and the model take turns."""

    Config: ClassVar[type[LearnerConfig]] = AdversarialConfig

    def __init__(self, config: AdversarialConfig, model: WorldModel, total_steps: int) -> None:
        super().__init__(config, model, total_steps)
        self.config = config
        self.critic = model.critic()
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), betas=(0.5, 0.99))

    def parts(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """The model and the discriminator."""
        return {**super().parts(), "critic": (self.critic, self.critic_optimizer)}

    def update(self, windows: Windows, step: int, rate: float, generator: torch.Generator) -> dict[str, float]:
        """A step of the discriminator, then one of the model; before that, cloning alone."""
        cloning = negative_log_likelihood(self.model, windows, windows.num_steps)
        if step < self.config.warm_up * self.total_steps:
            descend(cloning, self.model, self.optimizer, rate)
            return {"loss": float(cloning.detach()), "told_true": 0.0, "told_imagined": 0.0}
        imagined = self._imagined(windows)
        true = _transitions(windows)
        on_true = self.critic(true)
        on_imagined = self.critic(Transition(*(part.detach() for part in imagined)))
        telling = softplus(-on_true).mean() + softplus(on_imagined).mean()
        descend(telling, self.critic, self.critic_optimizer, self.config.critic_rate)
        self.critic.requires_grad_(False)
        fooling = softplus(-self.critic(imagined)).mean()
        loss = self.config.likelihood * cloning + self.config.adversary * fooling
        descend(loss, self.model, self.optimizer, rate)
        self.critic.requires_grad_(True)
        return {
            "loss": float(cloning.detach()),
            "told_true": float((on_true > 0).float().mean()),
            "told_imagined": float((on_imagined < 0).float().mean()),
        }

    def _imagined(self, windows: Windows) -> Transition:
        """The transitions that the model imagines along the windows, as rows; without noise, by which they would be
        told from true ones at once."""
        context = min(self.model.context, windows.num_steps)
        after = unroll(self.model, windows, context).after[context - 1 :]
        believed = Carry(*(torch.cat(parts) for parts in zip(*after)))
        imagined = (self.model.sight(believed), believed.vector, self.model.nearest(believed))
        told = (windows.sight, windows.vector, windows.nearest)
        along = [
            torch.cat([true[:, :context], own.unflatten(0, (len(after), -1)).transpose(0, 1)], dim=1)
            for true, own in zip(told, imagined, strict=True)
        ]
        return _transitions(windows._replace(sight=along[0], vector=along[1], nearest=along[2]))


def _transitions(windows: Windows) -> Transition:
    """The steps of windows as rows (B * L, ...)."""
    told = (windows.sight, windows.vector, windows.nearest)
    before = [part[:, :-1].flatten(0, 1) for part in told]
    after = [part[:, 1:].flatten(0, 1) for part in told]
    parts = [*before, windows.actions.flatten(0, 1), *after]
    return Transition(*parts)
