"""Proximal policy optimisation (Schulman et al. 2017) by Stable-Baselines3, with our policy as its network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from torch import Tensor

from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.actor_critic import Actor, Critic, ForestActorCritic
from forestpilot.policies.reinforcement.envs import ForestVecEnv
from forestpilot.policies.reinforcement.learner import Learner, Start, Watch
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.policies.reinforcement.rollouts import Engine, Rollout
from forestpilot.sim.extras import require

STATE_FILE = "state.safetensors"
LAST_RATE = 0.1
"""Share of the learning rate that is left at the end of a run."""
FIGURES = {
    "train/policy_gradient_loss": "policy_loss",
    "train/value_loss": "value_loss",
    "train/approx_kl": "kl",
    "train/clip_fraction": "clipped",
    "train/explained_variance": "explained_variance",
}
"""What Stable-Baselines3 measures of an update, and what it is called here."""


class PPOLearner(Learner):
    """PPO: a rollout of all environments, a few passes over it, and again."""

    Config = PPOConfig

    def __init__(self, start: Start, config: PPOConfig, envs: ForestVecEnv) -> None:
        super().__init__(start, config, envs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(start.seed)
            self.actor = Actor(start.policy, config.std_of(start.is_given))
            self.critic = Critic(start.policy, config.critic)
        self.warm_up = config.warm_up_of(start.is_given)
        self.updates = 0
        """Updates so far, in all rounds."""
        self.first_rate = config.rate_of(start.is_given)
        self.rate = self.first_rate
        self._generator = torch.Generator()
        self._shuffler = np.random.default_rng(0)
        self.engine = self._make_engine()

    @classmethod
    def require(cls, policy: VisuomotorPolicy, config: PPOConfig) -> None:
        """See `Learner.require`."""
        if remembers(policy):
            require("sb3_contrib")
        Actor(policy, 1.0)

    @classmethod
    def environments(cls, config: PPOConfig) -> int:
        """See `Learner.environments`."""
        return config.environments

    def _make_engine(self) -> Any:
        config: PPOConfig = self.config
        kind, network = self._engine_and_network()
        engine = kind(
            network,
            self.envs,
            learning_rate=lambda _: self.rate,
            n_steps=config.rollout,
            batch_size=min(config.batch, config.rollout * config.environments),
            n_epochs=config.epochs,
            gamma=config.discount,
            gae_lambda=config.gae,
            clip_range=config.clip,
            ent_coef=config.entropy,
            max_grad_norm=config.grad_clip,
            target_kl=config.most_kl or None,
            rollout_buffer_class=Rollout,
            policy_kwargs={
                "actor": self.actor,
                "critic": self.critic,
                "generator": self._generator,
                "value_rate": config.value_learning_rate / self.first_rate,
            },
            device="cpu",
        )
        engine.set_logger(Logger(None, []))
        return engine

    def _engine_and_network(self) -> tuple[Any, Any]:
        """Stable-Baselines3's class of the loop, and that of the network, for policies with or without a memory."""
        if remembers(self.policy):
            from forestpilot.policies.reinforcement.recurrent import RecurrentEngine, RecurrentForestActorCritic

            return RecurrentEngine, RecurrentForestActorCritic
        return Engine, ForestActorCritic

    def learn(self, steps: int, round_number: int, left: float, watch: Watch) -> None:
        """See `Learner.learn`; whole rollouts, so that it may be a few steps more."""
        draws = np.random.SeedSequence([self.seed, round_number])
        first, second = draws.generate_state(2)
        self._generator.manual_seed(int(first))
        self.engine.rollout_buffer.shuffler = np.random.default_rng(second)
        self.rate = self.first_rate * (LAST_RATE + (1 - LAST_RATE) * left)
        self.envs.begin_round(round_number)
        with torch_threads(1):
            self.engine.learn(steps, callback=_Watching(self, watch), log_interval=None)

    @torch.no_grad()
    def log_prob(self, actions: NDArray) -> NDArray:
        """See `Learner.log_prob`."""
        found: NDArray = self.engine.policy.log_prob_of(torch.from_numpy(actions)).numpy()
        return found

    @classmethod
    def std_of(cls, config: PPOConfig, is_given: bool) -> float:
        """See `Learner.std_of`."""
        return config.std_of(is_given)

    def set_pace(self) -> None:
        """Before an update: the policy stays where it is while the value network is warmed up.

        A value network that knows nothing yet calls good actions bad, and a policy that learned before would be lost
        within a few updates. The policy's gradients are computed all the same, for Adam to know their size when it
        moves: its very first step is as long as the learning rate in every single weight.
        """
        self.engine.policy.optimizer.param_groups[0]["times"] = float(self.updates >= self.warm_up)
        self.updates += 1

    def figures(self) -> dict[str, float]:
        """What the last update came to."""
        seen = self.engine.logger.name_to_value
        figures = {ours: float(seen[theirs]) for theirs, ours in FIGURES.items() if theirs in seen}
        return {**figures, "spread": self.actor.explorer.spread(), "learning_rate": self.rate}

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"critic.{name}": tensor for name, tensor in self.critic.state_dict().items()}
        tensors |= {f"explorer.{name}": tensor for name, tensor in self.actor.explorer.state_dict().items()}
        for number, state in self.engine.policy.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
        save_state(folder / STATE_FILE, tensors, {"updates": self.updates})

    @classmethod
    def require_whole(cls, folder: Path) -> None:
        """See `Learner.require_whole`."""
        load_state(folder / STATE_FILE)

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        path = folder / STATE_FILE
        tensors, facts = load_state(path)
        load_tensors(self.critic, _under("critic.", tensors), path)
        load_tensors(self.actor.explorer, _under("explorer.", tensors), path)
        if not isinstance(facts.get("updates"), int):
            raise CheckpointError(f"{path} does not say how many updates it has seen")
        self.updates = facts["updates"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("adam.", tensors).items():
            number, _, kind = name.partition(".")
            state.setdefault(int(number), {})[kind] = tensor
        optimizer = self.engine.policy.optimizer
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


class _Watching(BaseCallback):
    """Tells how far a round is, and what each update came to."""

    def __init__(self, learner: PPOLearner, watch: Watch) -> None:
        super().__init__()
        self._learner = learner
        self._watch = watch
        self._has_learned = False

    def _on_rollout_start(self) -> None:
        if self._has_learned:
            self._tell()

    def _on_step(self) -> bool:
        self._watch(self._learner.envs.num_envs, {})
        return True

    def _on_rollout_end(self) -> None:
        self._learner.set_pace()
        self._has_learned = True

    def _on_training_end(self) -> None:
        self._tell()

    def _tell(self) -> None:
        self._watch(0, self._learner.figures())


def remembers(policy: VisuomotorPolicy) -> bool:
    """Tell if a policy carries anything from step to step."""
    return bool(policy.memory.initial(1))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
