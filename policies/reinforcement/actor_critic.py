"""Our policy as Stable-Baselines3's: the network that acts, how it explores, and a value network beside it.

What learns is the very `VisuomotorPolicy` that is handed in, in place: to take its weights out is to look at it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from torch import Tensor, nn

from forestpilot.policies.networks.heads.base import ActContext
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.rewards import FACTS
from forestpilot.policies.reinforcement.shares import PREVIOUS_TURN
from forestpilot.sim.errors import InvalidArgumentError

HIDDEN = 64
"""Units of the value network's hidden layer."""
Observations = Mapping[str, Tensor]


class Actor(nn.Module):
    """A policy that explores.

    Args:
        policy: what acts.
        std: how far it strays at first, in units of the action.

    Raises:
        InvalidArgumentError: its head predicts chunks, or does not say how likely an action is.
    """

    def __init__(self, policy: VisuomotorPolicy, std: float) -> None:
        super().__init__()
        if policy.config.chunk > 1:
            raise InvalidArgumentError(
                f"policy.chunk is {policy.config.chunk}, and reinforcement learning rewards one action at a time; "
                "begin with a policy of chunk 1"
            )
        self.policy = policy
        self.explorer = policy.head.explorer(std)

    def encode(self, seen: Observations) -> Tensor:
        """Features (N, F) of each observation by itself."""
        return encode(self.policy, seen)

    def predict(self, features: Tensor) -> Tensor:
        """Predictions (N, *P) of a policy without memory."""
        return self.policy.head(self.policy.memory(features[:, None])[0])[:, 0]

    def log_prob(self, seen: Observations, actions: Tensor) -> Tensor:
        """(N,) how likely a policy without memory tries these actions (N, 2)."""
        return self.explorer.log_prob(self.predict(self.encode(seen)), actions, previous_turn(seen))


class Critic(nn.Module):
    """A value network: features, and facts that only rewards know, to a value.

    It is told how much of the way and of the time is left, which no picture shows, so that what it does not foresee is
    what the policy did (asymmetric actor-critic, Pinto et al. 2018). The policy needs none of it to act.

    Args:
        policy: whose features it reads.
        through: `own`, `shared` or `detached`; see `PPOConfig.critic`.
    """

    def __init__(self, policy: VisuomotorPolicy, through: str) -> None:
        super().__init__()
        self.through = through
        self.eyes: VisuomotorPolicy | None = None
        if through == "own":
            self.eyes = copy.deepcopy(policy)
            self.eyes.memory = nn.Identity()  # type: ignore[assignment]
            self.eyes.head = nn.Identity()  # type: ignore[assignment]
        self.value = nn.Sequential(
            nn.Linear(policy.config.features + len(FACTS), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
        )

    def forward(self, seen: Observations, features: Tensor | None) -> Tensor:
        """Values (N, 1).

        Args:
            seen: observations.
            features: (N, F) of the policy; None where nobody has computed them, and it has eyes of its own.
        """
        if self.eyes is not None:
            features = encode(self.eyes, seen)
        assert features is not None
        if self.through == "detached":
            features = features.detach()
        value: Tensor = self.value(torch.cat((features, seen["facts"].clamp(-1.0, 3.0)), dim=-1))
        return value


class ExploringPolicy(ActorCriticPolicy):
    """What Stable-Baselines3's policy classes of ours have in common.

    Args:
        observation_space, action_space, lr_schedule, use_sde: Stable-Baselines3 gives them.
        actor: acts.
        critic: says what to expect.
        generator: draws what is tried.
        value_rate: how many times as fast the critic learns.
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lr_schedule: Any,
        use_sde: bool = False,
        *,
        actor: Actor,
        critic: Critic,
        generator: torch.Generator,
        value_rate: float = 1.0,
    ) -> None:
        # Not ActorCriticPolicy's own, which would build networks that nobody needs.
        BasePolicy.__init__(self, observation_space, action_space, normalize_images=False)
        self.actor = actor
        self.critic = critic
        self.generator = generator
        self._last = torch.zeros(0), torch.zeros(0)
        groups = [
            {"params": list(actor.parameters()), "times": 1.0},
            {"params": list(critic.parameters()), "times": value_rate},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=lr_schedule(1), eps=1e-5)

    def set_training_mode(self, mode: bool) -> None:
        """Always as it acts: with dropout an action would be less likely than when it was tried."""
        self.train(False)

    def choose(self, prediction: Tensor, seen: Observations, deterministic: bool) -> Tensor:
        """Actions (N, 2) for predictions (N, *P)."""
        previous = previous_turn(seen)
        self._last = prediction, previous
        if deterministic:
            return self.actor.policy.head.act(prediction, ActContext(previous))[:, 0]
        return self.actor.explorer.sample(prediction, previous, self.generator)

    def log_prob_of(self, actions: Tensor) -> Tensor:
        """(N,) how likely it tried actions (N, 2) when it was asked for some last."""
        prediction, previous = self._last
        return self.actor.explorer.log_prob(prediction, actions, previous)

    def values(self, seen: Observations) -> Tensor:
        """Values (N, 1)."""
        return self.critic(seen, None if self.critic.eyes is not None else self.actor.encode(seen))


class ForestActorCritic(ExploringPolicy):
    """Stable-Baselines3's policy class around a policy without memory."""

    def forward(self, obs: Observations, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """Actions (N, 2), values (N, 1), and how likely the actions were (N,)."""
        features = self.actor.encode(obs)
        actions = self.choose(self.actor.predict(features), obs, deterministic)
        return actions, self.critic(obs, features), self.log_prob_of(actions)

    def evaluate_actions(self, obs: Observations, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:  # type: ignore[override]
        """Values (N, 1), how likely the actions are (N,), and the entropy (N,) where there is a formula."""
        features = self.actor.encode(obs)
        prediction = self.actor.predict(features)
        previous = previous_turn(obs)
        log_prob = self.actor.explorer.log_prob(prediction, actions, previous)
        return self.critic(obs, features), log_prob, self.actor.explorer.entropy(prediction, previous)

    def predict_values(self, obs: Observations) -> Tensor:  # type: ignore[override]
        """Values (N, 1)."""
        return self.values(obs)

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self.choose(self.actor.predict(self.actor.encode(observation)), observation, deterministic)


def encode(policy: VisuomotorPolicy, seen: Observations) -> Tensor:
    """Features (N, F) of observations as `ForestVecEnv` makes them."""
    return policy.encode(seen["views"][:, None], seen["state"][:, None], seen["goal"][:, None], seen.get("goal_view"))[
        :, 0
    ]


def previous_turn(seen: Observations) -> Tensor:
    """(N,) the turn commanded last, in action units; NaN where there was none."""
    return seen[PREVIOUS_TURN][:, 0]
