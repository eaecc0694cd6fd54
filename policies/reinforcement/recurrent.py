"""PPO for policies with a memory, by sb3-contrib's RecurrentPPO.

That was made for LSTMs, and carries two states of one layer for the actor and two for the critic. Here the whole state
of whatever memory a policy has, flattened, travels as the first of them, and the others, of which nothing is needed,
are zeros: so every memory that is registered learns.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from torch import Tensor

from forestpilot.policies.networks.memories.base import State
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.actor_critic import ExploringPolicy, Observations, previous_turn
from forestpilot.policies.reinforcement.rollouts import OwnPace, OwnShuffle


class PackedMemory:
    """A memory's state as one row of numbers per episode, and back.

    Args:
        policy: whose memory it is.
    """

    def __init__(self, policy: VisuomotorPolicy) -> None:
        one = policy.memory.initial(1)
        self._shapes = [tensor.shape[1:] for tensor in one]
        self._kinds = [tensor.dtype for tensor in one]
        self.size = sum(math.prod(shape) for shape in self._shapes)
        """Numbers per episode."""

    def pack(self, state: State) -> Tensor:
        """(N, size) float32."""
        return torch.cat([tensor.flatten(1).float() for tensor in state], dim=1)

    def unpack(self, rows: Tensor) -> State:
        """The state of rows (N, size)."""
        parts = rows.split([math.prod(shape) for shape in self._shapes], dim=1)
        return tuple(
            part.reshape(len(rows), *shape).to(kind) for part, shape, kind in zip(parts, self._shapes, self._kinds)
        )


class RecurrentForestActorCritic(ExploringPolicy, RecurrentActorCriticPolicy):  # type: ignore[misc]
    """Stable-Baselines3's policy class around a policy with a memory; the value network has none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        ExploringPolicy.__init__(self, *args, **kwargs)
        self.packed = PackedMemory(self.actor.policy)
        # All that RecurrentPPO asks of the LSTM that it expects here.
        self.lstm_actor = SimpleNamespace(num_layers=1, hidden_size=self.packed.size)  # type: ignore[assignment]

    def forward(  # type: ignore[override]
        self, obs: Observations, lstm_states: RNNStates, episode_starts: Tensor, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, RNNStates]:
        """Actions (N, 2), values (N, 1), how likely the actions were (N,), and the memory after the step."""
        features = self.actor.encode(obs)
        prediction, memory = self._predicted(features[:, None], lstm_states, episode_starts)
        actions = self.choose(prediction, obs, deterministic)
        nothing = torch.zeros_like(memory)
        states = RNNStates((memory, nothing), (nothing, nothing))
        return actions, self.critic(obs, features), self.log_prob_of(actions), states

    def evaluate_actions(  # type: ignore[override]
        self, obs: Observations, actions: Tensor, lstm_states: RNNStates, episode_starts: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values (S * T, 1), how likely the actions are (S * T,), and the entropy, of S sequences padded to T steps.

        No episode begins within a sequence, so that a memory reads each of them at once.
        """
        sequences = lstm_states.pi[0].shape[1]
        features = self.actor.encode(obs)
        starts = episode_starts.view(sequences, -1)[:, 0]
        prediction, _ = self._predicted(features.unflatten(0, (sequences, -1)), lstm_states, starts)
        previous = previous_turn(obs)
        log_prob = self.actor.explorer.log_prob(prediction, actions, previous)
        return self.critic(obs, features), log_prob, self.actor.explorer.entropy(prediction, previous)

    def predict_values(self, obs: Observations, lstm_states: Any, episode_starts: Tensor) -> Tensor:  # type: ignore[override]
        """Values (N, 1), whatever is remembered."""
        return self.values(obs)

    def _predicted(self, features: Tensor, states: RNNStates, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions (S * T, *P) for features (S, T, F), and the memory after them (1, S, size)."""
        before = states.pi[0][0] * (1 - starts)[:, None]
        features, memory = self.actor.policy.memory(features, self.packed.unpack(before))
        return self.actor.policy.head(features).flatten(0, 1), self.packed.pack(memory)[None]


class RecurrentRollout(OwnShuffle, RecurrentDictRolloutBuffer):  # type: ignore[misc]
    """A rollout in sequences."""


class RecurrentEngine(OwnPace, RecurrentPPO):
    """sb3-contrib's RecurrentPPO with a rollout that is shuffled by a generator of our own."""

    policy: RecurrentForestActorCritic

    def __init__(self, *args: Any, rollout_buffer_class: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # it does not ask which buffer is wanted

    def _setup_model(self) -> None:
        super()._setup_model()
        usual = self.rollout_buffer
        assert isinstance(usual, RecurrentDictRolloutBuffer)
        self.rollout_buffer = RecurrentRollout(
            self.n_steps,
            self.observation_space,
            self.action_space,
            usual.hidden_state_shape,
            self.device,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            n_envs=self.n_envs,
        )
        self.rollout_buffer.shuffler = np.random.default_rng(0)
