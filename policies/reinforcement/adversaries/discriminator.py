"""The discriminator of adversarial imitation: is a frame the expert's or the learner's?

GAIL (Ho & Ermon 2016, arXiv:1606.03476) asks that of what was seen and done, and rewards the learner for frames that
pass for the expert's. AIRL (Fu et al. 2018, arXiv:1710.11248) builds the answer of a reward of the state alone, a
shaping that is taken off again, and what the learner's own policy says of the action:

    log D / (1 - D) = f(s, s') - log pi(a|s),    f(s, s') = g(s) + discount h(s') - h(s)

so that g is the expert's reward where the learner has become it. The environment's reward is read by neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid
from torch.nn.utils.parametrizations import spectral_norm

from forestpilot.data_collection.windows.augmentation import augment
from forestpilot.data_collection.windows.batch import Batch
from forestpilot.policies.networks.config import part_class
from forestpilot.policies.networks.encoders import ENCODERS
from forestpilot.policies.networks.encoders.base import EncoderShape
from forestpilot.policies.networks.heads.base import small_network
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.adversaries.frames import Windows
from forestpilot.policies.reinforcement.adversaries.options import DiscriminatorConfig, GAILConfig
from forestpilot.sim.envs.task_spec import TaskSpec

GREY_LEVELS = 64.0
"""Grey levels in one unit of what encoders compute with."""


class Inputs(NamedTuple):
    """What a discriminator reads of B windows of T frames."""

    views: Tensor
    """(B, T, C, h, w, 3) uint8, or float32 in grey levels where a gradient is wanted."""
    numbers: Tensor
    """(B, T, I) float32: scaled state, goal, action where it is seen, and 1 for the absorbing state."""


class Scorer(nn.Module):
    """A number for each frame.

    Args:
        config: its shape.
        policy: whose views, state and goal it reads.
        sees_actions: whether it reads what was done.
    """

    def __init__(self, config: DiscriminatorConfig, policy: VisuomotorPolicy, sees_actions: bool) -> None:
        super().__init__()
        view = policy.config.view
        numbers = len(policy.state_index) + policy.spec.goal_size + 2 * sees_actions + 1
        shape = EncoderShape(view.height, view.width, len(policy.camera_names), numbers, config.features)
        self.encoder = part_class(ENCODERS, config.encoder)(config.encoder, shape)
        self.head = small_network(config.features, 1)
        if config.regulariser == "spectral-norm":
            for module in list(self.modules()):
                if isinstance(module, nn.Linear | nn.Conv2d):
                    spectral_norm(module)

    def forward(self, views: Tensor, numbers: Tensor) -> Tensor:
        """(N, C, h, w, 3) and (N, I) to (N,)."""
        score: Tensor = self.head(self.encoder(views, numbers))
        return score[:, 0]


class Discriminator(nn.Module):
    """What GAIL and AIRL have in common.

    Args:
        config: its shape.
        policy: the learner's policy, whose views, state and goal it reads.
        discount: per step.
    """

    frames: int
    """Frames in a window that it reads, T."""
    sees_actions: bool
    """Whether it reads what was done."""
    state_index: Tensor
    state_scale: Tensor

    def __init__(self, config: DiscriminatorConfig, policy: VisuomotorPolicy, discount: float) -> None:
        super().__init__()
        self.config = config
        self.discount = discount
        self.register_buffer("state_index", policy.state_index.clone(), persistent=False)
        self.register_buffer("state_scale", policy.state_scale.clone(), persistent=False)

    @property
    def action_noise(self) -> float:
        """Standard deviation of the noise that is put on actions before it reads them, while it learns."""
        return 0.0

    def inputs(self, windows: Windows) -> Inputs:
        """What it reads of some windows."""
        told = torch.from_numpy(windows.state)[..., self.state_index] / self.state_scale
        numbers = [told, torch.from_numpy(windows.goal)]
        if self.sees_actions:
            numbers.append(torch.from_numpy(windows.actions))
        numbers.append(torch.from_numpy(windows.absorbing.astype(np.float32))[..., None])
        return Inputs(torch.from_numpy(windows.views), torch.cat(numbers, dim=-1))

    def value(self, inputs: Inputs) -> Tensor:
        """(B,) what the discriminator's own networks say of windows."""
        raise NotImplementedError

    def log_odds(self, value: Tensor, log_prob: Tensor) -> Tensor:
        """(B,) log D - log(1 - D) for D the chance that a window is the expert's."""
        raise NotImplementedError

    def reward(self, value: Tensor) -> Tensor:
        """(B,) reward of windows, before it is normalised."""
        raise NotImplementedError


class GAILDiscriminator(Discriminator):
    """Tells by what was seen and what was done there."""

    frames = 1
    sees_actions = True
    config: GAILConfig

    def __init__(self, config: GAILConfig, policy: VisuomotorPolicy, discount: float) -> None:
        super().__init__(config, policy, discount)
        self.score = Scorer(config, policy, self.sees_actions)

    @property
    def action_noise(self) -> float:
        """See `Discriminator.action_noise`."""
        return self.config.action_noise

    def value(self, inputs: Inputs) -> Tensor:
        """The log odds."""
        odds: Tensor = self.score(inputs.views[:, 0], inputs.numbers[:, 0])
        return odds

    def log_odds(self, value: Tensor, log_prob: Tensor) -> Tensor:
        """The value itself."""
        return value

    def reward(self, value: Tensor) -> Tensor:
        """As the config's `reward` says."""
        if self.config.reward == "positive":
            return -logsigmoid(-value)
        if self.config.reward == "negative":
            return logsigmoid(value)
        return value


class AIRLDiscriminator(Discriminator):
    """Tells by a reward of the state, a shaping, and how likely the learner was to do what was done."""

    frames = 2
    sees_actions = False

    def __init__(self, config: DiscriminatorConfig, policy: VisuomotorPolicy, discount: float) -> None:
        super().__init__(config, policy, discount)
        self.own_reward = Scorer(config, policy, self.sees_actions)
        """g."""
        self.shaping = Scorer(config, policy, self.sees_actions)
        """h."""

    def value(self, inputs: Inputs) -> Tensor:
        """f(s, s')."""
        own = self.own_reward(inputs.views[:, 0], inputs.numbers[:, 0])
        here, there = self.shaping(inputs.views.flatten(0, 1), inputs.numbers.flatten(0, 1)).view(-1, 2).unbind(1)
        value: Tensor = own + self.discount * there - here
        return value

    def log_odds(self, value: Tensor, log_prob: Tensor) -> Tensor:
        """f(s, s') - log pi(a|s)."""
        return value - log_prob

    def reward(self, value: Tensor) -> Tensor:
        """f(s, s'): the shaping leaves the best policy what it is (Ng et al. 1999)."""
        return value


def augmented(
    windows: Windows, spec: TaskSpec, config: DiscriminatorConfig, rng: np.random.Generator, action_noise: float = 0.0
) -> Windows:
    """Windows mirrored, in another light, moved a little, and with noise on their actions.

    In the mirrored world, turns and the signed elements of state and goal have the other sign; the absorbing state
    stays as it is.

    Args:
        windows: left as they are.
        spec: tells the signs.
        config: how much.
        rng: draws.
        action_noise: standard deviation of the noise on actions.
    """
    mask = ~windows.absorbing
    batch = Batch(windows.views, windows.state, windows.goal, windows.actions, None, mask)
    batch = augment(batch, spec, rng, flip=config.flip, jitter=config.jitter, fresh_noise=False)
    views = shifted(batch.views, config.shift_px, rng)
    views = np.where(mask[:, :, None, None, None, None], views, windows.views)
    noise = rng.standard_normal(batch.actions.shape, dtype=np.float32) * np.float32(action_noise)
    actions = np.where(mask[:, :, None], np.clip(batch.actions + noise, -1.0, 1.0), windows.actions)
    return windows._replace(views=views, state=batch.state, goal=batch.goal, actions=actions)


def shifted(views: np.ndarray, most_px: int, rng: np.random.Generator) -> np.ndarray:
    """Views (B, T, C, h, w, 3), those of each window moved alike by up to `most_px` pixels; the rim is repeated."""
    if not most_px:
        return views
    windows, _, _, height, width, _ = views.shape
    down, right = rng.integers(-most_px, most_px + 1, (2, windows, 1))
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    moved = np.empty_like(views)
    for window, (own_rows, own_columns) in enumerate(zip(rows, columns, strict=True)):
        moved[window] = views[window][:, :, own_rows][:, :, :, own_columns]
    return moved


def cross_entropy(discriminator: Discriminator, sides: Sequence[Windows]) -> tuple[Tensor, list[Tensor]]:
    """Loss of telling the expert's windows from the learner's, each side weighing half, and the log odds of either.

    Args:
        discriminator: whose loss.
        sides: (expert's, learner's) windows.
    """
    odds = []
    for windows in sides:
        value = discriminator.value(discriminator.inputs(windows))
        odds.append(discriminator.log_odds(value, torch.from_numpy(windows.log_prob)))
    expert, learner = odds
    loss = binary_cross_entropy_with_logits(expert, torch.ones_like(expert))
    loss = loss + binary_cross_entropy_with_logits(learner, torch.zeros_like(learner))
    return loss / 2, odds


def gradient_penalty(discriminator: Discriminator, expert: Windows, learner: Windows, shares: Tensor) -> Tensor:
    """Mean square of how far the gradient's norm is above what is allowed, somewhere between windows of the two sides.

    As in Gulrajani et al. 2017 (arXiv:1704.00028, section 4), but from one side (Petzka et al. 2018, arXiv:1709.08894):
    a gradient that must not be small either makes the discriminator read meaning into the noise of pictures.

    Args:
        discriminator: whose gradient by its inputs.
        expert: B windows.
        learner: B windows.
        shares: (B,) of the expert's window in each mixture.
    """
    ends = [discriminator.inputs(windows) for windows in (expert, learner)]
    by_window = shares.view(-1, 1, 1)
    numbers = ends[0].numbers * by_window + ends[1].numbers * (1 - by_window)
    by_window = shares.view(-1, 1, 1, 1, 1, 1)
    views = ends[0].views * by_window + ends[1].views * (1 - by_window)
    mixed = Inputs(views.requires_grad_(), numbers.requires_grad_())
    value = discriminator.value(mixed).sum()
    by_views, by_numbers = torch.autograd.grad(value, mixed, create_graph=True)
    squares = (GREY_LEVELS * by_views).square().flatten(1).sum(1) + by_numbers.square().flatten(1).sum(1)
    above = (squares + 1e-12).sqrt() - discriminator.config.steepest
    return above.clamp_min(0).square().mean()
