"""What heads have in common: the contract, and one network that predicts every action of a chunk by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.even_linear import EvenLinear
from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.exploring import Explorer, HeadExplorer
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError


class Target(NamedTuple):
    """Labels at some steps; `...` is (B, T) in training."""

    actions: Tensor
    """(..., K, 2) float32: what to do at the step and at the K - 1 steps after it."""
    known: Tensor
    """(..., K) bool: which of these actions there are. A step whose own action is unknown weighs nothing anyway."""
    costs: Tensor | None
    """(..., C) float32: the planner's cost of each candidate turn at the step; None where nobody asked it."""
    progress: float = 1.0
    """Where the round's training is, from 0 at its first gradient step to 1 at its last: some losses are warmed up."""


class ActContext(NamedTuple):
    """Facts that a head may know besides its prediction when it acts."""

    previous_turn: Tensor | None = None
    """(...) what the turn commanded last would be now, in action units; NaN where there was none."""
    noise: Tensor | None = None
    """(..., *N) float32 standard normal, of the head's `noise_shape` N; None where nobody has drawn any."""


NO_CONTEXT = ActContext()
"""Nothing is known but the prediction."""


class Head(nn.Module, ABC):
    """A network on the features that says what its outputs mean.

    A subclass is made with its options, the size of the features, the task and the number of actions K that one
    prediction holds, and registered in `forestpilot.policies.networks.heads.HEADS`. Whatever it draws, it draws from
    the generator it is given: then a training that was killed and resumed equals one that was not. The generator is
    the CPU's, so that the same is drawn whatever computes; what it has drawn moves to where the prediction is.

    Raises:
        ValueError: more than one action a prediction is asked of a head that predicts one.
    """

    Config: ClassVar[type[HeadConfig]]
    """Its options."""
    needs_costs: ClassVar[bool] = False
    """Whether the loss needs the planner's costs, so that a human's actions are not enough."""
    predicts_chunks: ClassVar[bool] = True
    """Whether a prediction may hold more than one action."""
    draws_noise: ClassVar[bool] = False
    """Whether `act` draws: each episode of a batch then has a generator of its own, and is acted on by itself, unless
    the head has a `noise_shape`.
    """
    noise_shape: tuple[int, ...] = ()
    """Shape of the standard normal noise that `act` takes from its context, drawn for each episode from its own
    generator; all episodes of a batch are then acted on at once. Empty for heads that draw otherwise, or not at all.
    """
    keeps_noise: bool = False
    """Whether that noise is drawn once for an episode, instead of at every step."""

    def __init__(self, config: HeadConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__()
        if chunk > 1 and not self.predicts_chunks:
            raise InvalidArgumentError(
                f"policy.chunk is {chunk}, but the head {config.part!r} predicts one action at a time; set it to 1, "
                "or choose another policy.head"
            )
        self.chunk = chunk
        """Actions in a prediction, K."""
        self.config_part = config.part
        """Name that it is registered under."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Features (..., F) to predictions (..., *P); what P is, is the head's own business."""

    @abstractmethod
    def loss(self, prediction: Tensor, target: Target, generator: torch.Generator | None = None) -> Tensor:
        """Loss of each step (...).

        Args:
            prediction: (..., *P).
            target: what to learn.
            generator: draws whatever is drawn.
        """

    @abstractmethod
    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """Actions (..., K, 2) in [-1, 1].

        Args:
            prediction: (..., *P).
            context: what else is known.
            generator: draws whatever is drawn; only of use where `draws_noise`.
        """

    def costs(self, prediction: Tensor) -> Tensor | None:
        """Predicted cost of each candidate turn (..., C), for the overlay; None where a head predicts none."""
        return None

    def explorer(self, std: float) -> Explorer:
        """How a policy with this head tries other actions, for reinforcement learning.

        Args:
            std: standard deviation at first, in units of the action.

        Raises:
            InvalidArgumentError: this head does not say how likely an action is.
        """
        raise InvalidArgumentError(
            f"the {self.config_part} head does not say how likely an action is, and reinforcement learning needs that; "
            "choose another one: gaussian, regression, mixture, categorical or turn-costs"
        )

    def smooth_turn(self, prediction: Tensor) -> Tensor:
        """A turn (...) in action units that moves with the prediction, to ask what it depends on."""
        return self.act(prediction)[..., 0, 0]

    def diagnostics(self, prediction: Tensor, target: Target, mask: Tensor) -> dict[str, float]:
        """Figures of this head alone for the log, name to value, over the steps in `mask` (...)."""
        return {}


class ActionsHead(Head):
    """A small network with P outputs for each action of a chunk; predictions are (..., K, P).

    Args:
        outputs: number of outputs P for one action.
    """

    def __init__(self, config: HeadConfig, features: int, spec: TaskSpec, chunk: int, outputs: int) -> None:
        super().__init__(config, features, spec, chunk)
        self.outputs = outputs
        self.network = small_network(features, chunk * outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Features (..., F) to predictions (..., K, P)."""
        prediction: Tensor = self.network(features)
        return prediction.unflatten(-1, (self.chunk, self.outputs))

    @abstractmethod
    def action_loss(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Loss of each action (..., K) for predictions (..., K, P) and actions (..., K, 2)."""

    def loss(self, prediction: Tensor, target: Target, generator: torch.Generator | None = None) -> Tensor:
        """Mean loss (...) of the actions that are known."""
        if self.chunk == 1:
            return self.action_loss(prediction, target.actions).squeeze(-1)
        # What is unknown may be anything, and not even a number: it is taken out before it is learned and weighed.
        losses = self.action_loss(prediction, target.actions.where(target.known[..., None], 0.0))
        known = target.known.to(losses.dtype)
        return (losses * known).sum(-1) / known.sum(-1).clamp_min(1.0)


class DistributionHead(ActionsHead):
    """A head that predicts how likely each action is."""

    @abstractmethod
    def log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Logarithm of the density (..., K) of actions (..., K, 2) given predictions (..., K, P)."""

    def turn_log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """The same of the turn alone, so that heads can be compared; by default `log_prob`, for most distribute nothing
        else."""
        return self.log_prob(prediction, actions)

    @abstractmethod
    def sample(self, prediction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions (..., K, 2) drawn from the distributions; one may lie outside [-1, 1]."""

    def explorer(self, std: float) -> Explorer:
        """By its own distribution of the turn, and with this standard deviation around its go."""
        return HeadExplorer(
            lambda prediction, actions: self.turn_log_prob(prediction, actions[:, None])[:, 0],
            lambda prediction, generator: self.sample(prediction, generator)[:, 0],
            lambda prediction: self.act(prediction)[:, 0, 1],
            std,
        )


def small_network(features: int, outputs: int) -> nn.Sequential:
    """The network of most heads: one hidden layer as wide as the features."""
    # What a linear layer makes of (B, T, F) is a view: changed in place, it would cost autograd a copy.
    return nn.Sequential(nn.Linear(features, features), nn.ReLU(), EvenLinear(features, outputs))


def go_error(go: Tensor, actions: Tensor) -> Tensor:
    """Squared error of go: raw outputs (...) against actions (..., 2)."""
    _, wanted = actions.unbind(-1)
    return (torch.tanh(go) - wanted).square()
