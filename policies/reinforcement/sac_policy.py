"""Stable-Baselines3's policy of SAC around a `VisuomotorPolicy`: its encoder and its Gaussian head act, critics judge.

The critics have an encoder of their own, a copy of the actor's at first. Shared, pictures would be read once, but the
critics' loss would then move the features from under the actor's head: a clone would forget how to fly before anything
had been learned about its flights.
"""

from __future__ import annotations

import copy
import math
from typing import Any, cast

import gymnasium
import torch
from stable_baselines3.common.policies import BaseModel, BasePolicy
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor, nn
from torch.nn import functional

from forestpilot.policies.networks.heads.gaussian import GaussianHead
from forestpilot.policies.networks.heads.normal import LOG_STD_MAX, LOG_STD_MIN, bounded_log_std, log_density
from forestpilot.policies.networks.memories.none import NoMemory
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.actor_critic import Observations, encode
from forestpilot.policies.reinforcement.rewards import FACTS
from forestpilot.sim.errors import InvalidArgumentError

ACTION_SIZE = 2
MOST_RAW = 0.99
"""Bound of what the head's network says of a deviation before it is squashed, where one is set."""


def require_sac_policy(policy: VisuomotorPolicy) -> None:
    """Raise InvalidArgumentError where SAC cannot train a policy.

    Transitions are drawn one by one, so a memory would have nothing to remember; and actions must be drawn from a
    density whose gradient is known, which is what the Gaussian head predicts.
    """
    config = policy.config
    if not isinstance(policy.memory, NoMemory):
        raise InvalidArgumentError(
            f"SAC learns from single transitions and the policy has the memory {config.memory.part}; give "
            "--train.policy.memory none, or a start that was cloned so"
        )
    if not isinstance(policy.head, GaussianHead) or config.chunk > 1:
        raise InvalidArgumentError(
            f"SAC needs a density of single actions and the policy has the head {config.head.part} with chunks of "
            f"{config.chunk}; give --train.policy.head gaussian --train.policy.chunk 1, or a start that was cloned so"
        )


class SquashedActor(BasePolicy):
    """Draws actions from a normal distribution and squashes them by tanh; without drawing it acts as the head does.

    Args:
        observation_space: as `ForestVecEnv` observes.
        action_space: turn and go.
        visuomotor: the policy, trained in place.
    """

    def __init__(
        self, observation_space: gymnasium.Space, action_space: gymnasium.spaces.Box, visuomotor: VisuomotorPolicy
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=True)
        self.visuomotor = visuomotor

    def distribution(self, observations: Observations) -> tuple[Tensor, Tensor]:
        """Means and log standard deviations (B, 2) of the actions before they are squashed.

        The deviation has the bounds of the head's own, so that a clone's is taken over as it is; near the middle, where
        tanh is steep, it says the same.
        """
        features = encode(self.visuomotor, observations)
        mean, log_std = self.visuomotor.head(features)[:, 0].chunk(2, dim=-1)
        return mean, bounded_log_std(log_std)

    def draw(self, observations: Observations, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Actions (B, 2) and the logarithm of their density (B,), with gradients (Haarnoja et al. 2018, appendix C)."""
        mean, log_std = self.distribution(observations)
        noise = torch.randn(mean.shape, generator=generator)
        before = mean + torch.exp(log_std) * noise
        # log(1 - tanh(x)^2) without the loss of digits at large x.
        slope = 2.0 * (math.log(2.0) - before - functional.softplus(-2.0 * before))
        density = log_density(mean, log_std, before) - slope
        return torch.tanh(before), density.sum(-1)

    def action_log_prob(self, obs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`draw`, as Stable-Baselines3 calls it."""
        return self.draw(obs)

    def forward(self, obs: dict[str, Tensor], deterministic: bool = False) -> Tensor:
        """Actions (B, 2)."""
        if deterministic:
            return torch.tanh(self.distribution(obs)[0])
        return self.draw(obs)[0]

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self(observation, deterministic)


class VisuomotorCritic(BaseModel):
    """Values of actions: one encoder, and several small networks on its features and the action.

    Each layer is normalised (Ball et al. 2023, arXiv:2302.02948): without, critics think best of what they have not
    seen, and demonstrations beside a learner's first attempts make much of what they have not seen.

    Args:
        observation_space: as the actor's.
        action_space: turn and go.
        visuomotor: its encoder is copied, weights and all.
        layers: units of the hidden layers.
        count: networks; the least of their values is believed.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space,
        action_space: gymnasium.spaces.Box,
        visuomotor: VisuomotorPolicy,
        layers: tuple[int, ...],
        count: int,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.eyes = copy.deepcopy(visuomotor)
        self.eyes.head = nn.Identity()  # type: ignore[assignment]
        inputs = visuomotor.config.features + len(FACTS) + ACTION_SIZE
        self.networks = nn.ModuleList(_value_network(inputs, layers) for _ in range(count))

    def features(self, observations: Observations) -> Tensor:
        """(B, F) what the encoder makes of what is seen, and facts that only critics are told."""
        return torch.cat((encode(self.eyes, observations), observations["facts"].clamp(-1.0, 3.0)), dim=-1)

    def values(self, features: Tensor, actions: Tensor) -> Tensor:
        """(N, B) what each network says of actions (B, 2)."""
        inputs = torch.cat((features, actions), dim=-1)
        return torch.stack([network(inputs).squeeze(-1) for network in self.networks])

    def forward(self, obs: dict[str, Tensor], actions: Tensor) -> tuple[Tensor, ...]:
        """Values (B, 1) of each network, as Stable-Baselines3 calls it."""
        return tuple(self.values(self.features(obs), actions)[..., None])


class VisuomotorSACPolicy(SACPolicy):
    """Actor, critics and the slow copy of the critics that targets come from.

    Args:
        observation_space, action_space, lr_schedule: as Stable-Baselines3 gives them.
        visuomotor: the policy, trained in place.
        critic_layers: units of the hidden layers of each critic.
        n_critics: number of critics.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space,
        action_space: gymnasium.spaces.Box,
        lr_schedule: Any,
        visuomotor: VisuomotorPolicy,
        critic_layers: tuple[int, ...] = (256, 256),
        n_critics: int = 2,
        **_: Any,
    ) -> None:
        require_sac_policy(visuomotor)
        self._parts = (visuomotor, critic_layers, n_critics)
        super().__init__(observation_space, action_space, lr_schedule, n_critics=n_critics)

    def make_actor(self, features_extractor: Any = None) -> Any:
        """The actor."""
        return SquashedActor(self.observation_space, cast(Any, self.action_space), self._parts[0])

    def make_critic(self, features_extractor: Any = None) -> Any:
        """The critics."""
        return VisuomotorCritic(self.observation_space, cast(Any, self.action_space), *self._parts)


def set_spread(policy: VisuomotorPolicy, std: float) -> None:
    """Let a policy stray by so much everywhere, before it is squashed, whatever its head has learned of deviations."""
    assert isinstance(policy.head, GaussianHead)
    last = cast(nn.Linear, policy.head.network[-1])
    middle = (LOG_STD_MAX + LOG_STD_MIN) / 2
    raw = (math.log(std) - middle) / (LOG_STD_MAX - middle)
    with torch.no_grad():
        last.weight[ACTION_SIZE:] = 0
        last.bias[ACTION_SIZE:] = math.atanh(min(max(raw, -MOST_RAW), MOST_RAW))


def _value_network(inputs: int, layers: tuple[int, ...]) -> nn.Sequential:
    """From features and action to one value."""
    parts: list[nn.Module] = []
    for units in layers:
        parts += [nn.Linear(inputs, units), nn.LayerNorm(units), nn.ReLU()]
        inputs = units
    return nn.Sequential(*parts, nn.Linear(inputs, 1))
