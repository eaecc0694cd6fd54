"""What models of the world have in common.

A model carries what it believes from step to step. It is told what is seen (`start`, `correct`), or goes on by itself
(`advance`): so one loop clones transitions, imagines, plans and is told apart from the truth by a discriminator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.config import USUAL_VIEW
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.policies.world_models import WorldModelConfig
from forestpilot.policies.world_models.strips import FAR_M
from forestpilot.sim.envs.task_spec import TaskSpec

LayerT = TypeVar("LayerT", nn.Linear, nn.Conv1d)
NEAR_M = 3.0
"""Nearness is 1 / (1 + d / NEAR_M): one where something touches, a half at this distance, and fewer than a fifth far
away."""
FARTHEST = 1 / (1 + FAR_M / NEAR_M)
"""Nearness of what is farthest away."""
DANGER_M = (0.4, 1.6)
"""Nearer than the second of these, what stands there is a danger; nearer than the first, a crash."""
LEAST_CHANGE = 0.005
"""What hardly ever changes is counted in this."""
WIDEST = 100.0
"""No element of state and goal is larger."""
FIRST_LOG_STD = -0.7
"""Errors are a half of the usual change at first."""
DANGER = 1.0
"""What a step in full danger costs, in steps of full progress."""


class Observed(NamedTuple):
    """What is told a model of a step, for B episodes."""

    sight: Tensor
    """(B, ...) a strip of nearness (B, COLUMNS), or views (B, 3, h, w) from 0 to 1."""
    vector: Tensor
    """(B, V) state, in units of its elements' usual size, and goal."""
    nearest: Tensor
    """(B,) nearness of the nearest thing of the strip: what is learned of it, for the reward."""
    perceived: Tensor
    """(B, ...) the sight as the model holds it: see `WorldModel.perceive`."""


class Usual(NamedTuple):
    """What is usual in the episodes that are learned from, of state and goal (V,) as in `Observed.vector`."""

    mean: Tensor
    """(V,)."""
    std: Tensor
    """(V,)."""
    least: Tensor
    """(V,) the smallest values."""
    most: Tensor
    """(V,) the largest ones."""
    change: Tensor
    """(V,) standard deviation of the changes in a step."""
    sight_change: Tensor
    """() the same of what is seen, over all of its numbers."""


class Carry(NamedTuple):
    """What a model believes, for B episodes."""

    sight: Tensor
    """(B, ...) what is seen, as the model holds it."""
    vector: Tensor
    """(B, V) state and goal."""
    memory: Tensor
    """(B, M) what else it remembers; M may be 0."""


class Transition(NamedTuple):
    """What a discriminator judges, of B steps: (s, a, s')."""

    sight: Tensor
    """(B, ...) as in `Observed`."""
    vector: Tensor
    """(B, V)."""
    nearest: Tensor
    """(B,)."""
    action: Tensor
    """(B, 2)."""
    next_sight: Tensor
    """(B, ...)."""
    next_vector: Tensor
    """(B, V)."""
    next_nearest: Tensor
    """(B,)."""


class WorldModel(nn.Module, ABC):
    """A model of what comes next; registered in `forestpilot.policies.world_models.WORLD_MODELS`.

    Args:
        config: its options.
        spec: the task.
    """

    Config: ClassVar[type[WorldModelConfig]]
    """Its options."""
    sees_views: ClassVar[bool]
    """Whether it looks at views; else at strips."""
    context: ClassVar[int]
    """Steps that it is told before it imagines."""
    remembers: ClassVar[bool]
    """Whether what it believes depends on more than what it was told last; else all steps are told side by side."""
    changes: Tensor
    """(V,) 0 for what stays as it is whatever is done, else 1."""

    def __init__(self, config: WorldModelConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        self.vector_size = spec.state_size + spec.goal_size
        self._forward = spec.index("forward_mps")
        self._left = spec.index("left_mps")
        self._set_point = spec.index("speed_set_point_mps")
        changes = torch.ones(self.vector_size)
        changes[self._set_point] = 0.0  # what is asked for is no part of the world
        self.register_buffer("changes", changes, persistent=False)
        for name, value in zip(Usual._fields, (0.0, 1.0, -WIDEST, WIDEST, 1.0)):
            self.register_buffer(f"usual_{name}", torch.full((self.vector_size,), value))
        self.register_buffer("usual_sight_change", torch.ones(()))
        self.log_std_sight = nn.Parameter(torch.tensor(FIRST_LOG_STD))
        self.log_std_vector = nn.Parameter(torch.full((self.vector_size,), FIRST_LOG_STD))

    @property
    def usual(self) -> Usual:
        """What is usual, as `fit` was told."""
        return Usual(*(getattr(self, f"usual_{name}") for name in Usual._fields))

    def fit(self, usual: Usual) -> None:
        """Count in what is usual, before anything is learned.

        Rates change up to a hundred times as much in a step as speeds do. And what is imagined stays within what was
        seen: a plan looks for the course of which the model promises most, and finds the one of which it knows least.
        """
        for name, values in usual._asdict().items():
            getattr(self, f"usual_{name}").copy_(values)

    @property
    def is_gaussian(self) -> bool:
        """Whether it says how large its errors are, and draws when it is given a generator."""
        return getattr(self.config, "noise", "none") == "gaussian"

    def perceive(self, sight: Tensor) -> Tensor:
        """What is seen, as the model holds it: by default as it is."""
        return sight

    @abstractmethod
    def start(self, observed: Observed) -> Carry:
        """What it believes once it has seen something, and nothing before."""

    @abstractmethod
    def correct(self, carry: Carry, observed: Observed) -> Carry:
        """What it believes once it is told what is seen now."""

    @abstractmethod
    def advance(self, carry: Carry, action: Tensor, generator: torch.Generator | None = None) -> Carry:
        """What it believes will be after an action (B, 2); with a generator one draw of what may be, where it is
        Gaussian."""

    @abstractmethod
    def sight(self, carry: Carry) -> Tensor:
        """What would be seen, as in `Observed.sight`."""

    @abstractmethod
    def nearest(self, carry: Carry) -> Tensor:
        """(B,) nearness of the nearest thing."""

    @abstractmethod
    def critic(self) -> nn.Module:
        """A discriminator of a `Transition`, to (B,) logits: true above 0."""

    @abstractmethod
    def eyes(self) -> tuple[nn.Module, int]:
        """New layers by which a policy inside reads sight and memory, side by side (B, ...), and how many features they
        make of them."""

    def extra_loss(self, carry: Carry, observed: Observed) -> Tensor:
        """What else it learns at a step, given what it believed would be there; () float32."""
        return torch.zeros(())

    def reward(self, vector: Tensor, nearest: Tensor) -> Tensor:
        """(B,) reward of being there: progress to the goal, as a share of the set point and 1 at most, minus danger."""
        forward_mps = vector[..., self._forward] * self.spec.state_scale[self._forward]
        left_mps = vector[..., self._left] * self.spec.state_scale[self._left]
        set_point_mps = vector[..., self._set_point] * self.spec.state_scale[self._set_point]
        goal = vector[..., self.spec.state_size :]
        towards_mps = forward_mps * goal[..., 0] + left_mps * goal[..., 1]
        return (towards_mps / set_point_mps.clamp(min=0.5)).clamp(-1, 1) - DANGER * danger(nearest)

    def read(self, vector: Tensor) -> Tensor:
        """(B, V) state and goal as networks read them."""
        usual = self.usual
        return (vector - usual.mean) / usual.std.clamp(min=LEAST_CHANGE)

    def _changed(self, vector: Tensor, change: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, V) the vector after a change (B, V), in units of what is usual, or a draw around it; within what is
        usual, and the direction of the goal is one of length 1."""
        usual = self.usual
        unit = self.changes * usual.change.clamp(min=LEAST_CHANGE)
        after = vector + unit * self._noisy(change, self.log_std_vector, generator)
        after = torch.where(self.changes > 0, within(after, usual.least, usual.most), vector)
        begin = self.spec.state_size
        direction = nn.functional.normalize(after[:, begin : begin + 2], dim=1)
        return torch.cat([after[:, :begin], direction, after[:, begin + 2 :]], dim=1)

    def _noisy(self, values: Tensor, log_std: Tensor, generator: torch.Generator | None) -> Tensor:
        """Values, or a draw around them."""
        if generator is None or not self.is_gaussian:
            return values
        return values + log_std.exp() * torch.randn(values.shape, generator=generator)

    def loss_of(self, carry: Carry, observed: Observed) -> Tensor:
        """() how unlikely what came is, given what it believed; squared error where it is deterministic."""
        usual = self.usual
        of_sight = self._unlikeliness((self.sight(carry) - observed.sight) / usual.sight_change, self.log_std_sight)
        error = (carry.vector - observed.vector) / usual.change.clamp(min=LEAST_CHANGE)
        of_vector = self._unlikeliness(error, self.log_std_vector)
        return of_sight + of_vector + self.extra_loss(carry, observed)

    def _unlikeliness(self, error: Tensor, log_std: Tensor) -> Tensor:
        if not self.is_gaussian:
            return error.square().mean()
        bounded = log_std.clamp(-5.0, 1.0)
        return (0.5 * (error / bounded.exp()).square() + bounded).mean()


def small_at_first(layer: LayerT) -> LayerT:
    """A layer whose outputs begin near zero: a model then begins with a world in which nothing changes."""
    nn.init.normal_(layer.weight, std=1e-3)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class _Within(torch.autograd.Function):
    """See `within`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, least: Tensor, most: Tensor) -> Tensor:
        """Clipped values."""
        ctx.save_for_backward(values, least, most)
        return torch.maximum(torch.minimum(values, most), least)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, where a step against it does not lead farther out."""
        values, least, most = ctx.saved_tensors
        (gradient,) = gradients
        leads_out = ((values < least) & (gradient > 0)) | ((values > most) & (gradient < 0))
        return gradient.masked_fill(leads_out, 0.0), None, None


def within(values: Tensor, least: Tensor | float, most: Tensor | float) -> Tensor:
    """Values clipped between bounds; those beyond a bound have the gradient of values that are not, where it leads
    back: without it they would never learn to come back, and what leads farther out would never end."""
    clipped: Tensor = _Within.apply(values, torch.as_tensor(least), torch.as_tensor(most))
    return clipped


def danger(nearest: Tensor) -> Tensor:
    """How dangerous the nearest thing is, 0 to 1, by its nearness."""
    least_m, most_m = DANGER_M
    distance_m = to_metres(nearest)
    return ((most_m - distance_m) / (most_m - least_m)).clamp(0, 1)


def to_nearness(metres: Tensor) -> Tensor:
    """Distances as nearness, see `NEAR_M`."""
    return 1 / (1 + metres / NEAR_M)


def to_metres(nearness: Tensor) -> Tensor:
    """Nearness as distances in metres, `FAR_M` at most."""
    return NEAR_M * (1 / nearness.clamp(min=FARTHEST, max=1.0) - 1)


def make_preparer(spec: TaskSpec) -> ViewPreparer:
    """Makes the views that image models look at: those of policies."""
    return ViewPreparer(spec, USUAL_VIEW)


class Critic(nn.Module):
    """A discriminator that joins features of two sights with vectors and action; changes are counted in what is usual,
    or it would see those of rates alone.

    Args:
        sights: takes both sights, on one axis of channels, to (B, F).
        features: F.
        usual: what is usual in the episodes.
    """

    mean: Tensor
    std: Tensor
    change: Tensor
    sight_change: Tensor

    def __init__(self, sights: nn.Module, features: int, usual: Usual) -> None:
        super().__init__()
        vector_size = len(usual.mean)
        for name in ("mean", "std", "change", "sight_change"):
            self.register_buffer(name, getattr(usual, name).clone())
        norm = nn.utils.parametrizations.spectral_norm
        self.sights = sights
        self.join = nn.Sequential(
            norm(nn.Linear(features + 2 * (vector_size + 1) + 2, 64)),
            nn.LeakyReLU(0.2),
            norm(nn.Linear(64, 64)),
            nn.LeakyReLU(0.2),
            norm(nn.Linear(64, 1)),
        )

    def forward(self, step: Transition) -> Tensor:
        """(B,) logits, above 0 where it takes the transition for a true one."""
        both = torch.cat([step.sight, (step.next_sight - step.sight) / self.sight_change], dim=1)
        change = (step.next_vector - step.vector) / self.change.clamp(min=LEAST_CHANGE)
        read = (step.vector - self.mean) / self.std.clamp(min=LEAST_CHANGE)
        nearer = (step.next_nearest - step.nearest) / self.sight_change
        near = torch.stack([step.nearest, nearer], dim=1)
        logits: Tensor = self.join(torch.cat([self.sights(both), read, change, near, step.action], dim=1))
        return logits[:, 0]
