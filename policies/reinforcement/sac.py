"""Soft actor-critic (Haarnoja et al. 2018) by Stable-Baselines3: our policy is its actor, its buffer holds views,
and demonstrations beside its own steps (Ball et al. 2023).

Read from top to bottom: the learner as `forestpilot reinforce` knows it; then what is drawn, and what critics and actor
learn from it. Stable-Baselines3 steps the environments and says when to learn.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import polyak_update
from torch import Tensor
from torch.nn import functional

from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement import LearnerConfig
from forestpilot.policies.reinforcement.demonstrations import demonstrated
from forestpilot.policies.reinforcement.envs import ForestVecEnv
from forestpilot.policies.reinforcement.learner import Learner, Start, Watch
from forestpilot.policies.reinforcement.replay_buffer import (
    ReplayBuffer,
    RowReward,
    Transitions,
    joined,
    recorded_reward,
    shifted,
)
from forestpilot.policies.reinforcement.replay_files import load_replay, save_replay, stored_replay
from forestpilot.policies.reinforcement.sac_options import SACConfig
from forestpilot.policies.reinforcement.sac_policy import (
    SquashedActor,
    VisuomotorCritic,
    VisuomotorSACPolicy,
    require_sac_policy,
    set_spread,
)

STATE_FILE = "state.safetensors"
TELL_EVERY = 100
"""Gradient steps between two rows of figures."""
EVENLY = -math.log(4.0)
"""Logarithm of the density of actions that are drawn evenly."""


class SACLearner(Learner):
    """SAC: a step of all environments, a few gradient steps on what the buffers hold, and again.

    A subclass may put another reward in place of that which the environments told, for its own steps and for
    demonstrations apart, when they are drawn: `own_reward` and `demonstration_reward`.
    """

    Config: ClassVar[type[LearnerConfig]] = SACConfig
    own_reward: RowReward = staticmethod(recorded_reward)
    demonstration_reward: RowReward = staticmethod(recorded_reward)

    def __init__(self, start: Start, config: SACConfig, envs: ForestVecEnv) -> None:
        super().__init__(start, config, envs)
        self.is_given = start.is_given
        space = cast(Any, envs.observation_space)
        self.own = ReplayBuffer.of_size(space, config.buffer_mb, envs.num_envs)
        """Its own steps."""
        self.demonstrations: ReplayBuffer | None = None
        """Those of others."""
        if start.demonstrations and config.demonstrated:
            self.demonstrations = demonstrated(start.demonstrations, envs, config.buffer_mb)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(start.seed)
            self.engine = self.make_engine()
        self._saved: Path | None = None

    def make_engine(self) -> Engine:
        """What learns."""
        return Engine(self)

    @classmethod
    def require(cls, policy: VisuomotorPolicy, config: Any) -> None:
        """See `Learner.require`."""
        require_sac_policy(policy)

    @classmethod
    def environments(cls, config: SACConfig) -> int:
        """See `Learner.environments`."""
        return config.environments

    @classmethod
    def std_of(cls, config: SACConfig, is_given: bool) -> float:
        """See `Learner.std_of`."""
        return config.std_of(is_given)

    def learn(self, steps: int, round_number: int, left: float, watch: Watch) -> None:
        """See `Learner.learn`."""
        engine = self.engine
        if not engine.num_timesteps:
            set_spread(self.policy, self.config.std_of(self.is_given))
        engine.begin(np.random.default_rng([self.seed, round_number]))
        self.envs.begin_round(round_number)
        with torch_threads(1):
            engine.learn(
                steps, callback=_Watching(engine, watch), log_interval=cast(Any, None), reset_num_timesteps=False
            )

    def log_prob(self, actions: NDArray) -> NDArray:
        """See `Learner.log_prob`."""
        return self.engine.last_log_prob

    def save(self, folder: Path) -> None:
        """See `Learner.save`; the replay buffer is stored too, each of its steps once over all rounds."""
        folder.mkdir(parents=True, exist_ok=True)
        engine = self.engine
        save_replay(self.own, folder, self._saved)
        facts = {
            "steps": engine.num_timesteps,
            "updates": engine.updates,
            "written": self.own.num_written,
            "rows": self.own.num_rows,
        }
        save_state(folder / STATE_FILE, engine.tensors(), facts)
        self._saved = folder

    @classmethod
    def require_whole(cls, folder: Path) -> None:
        """See `Learner.require_whole`."""
        _, facts = _stored_state(folder)
        for _ in stored_replay(folder, facts["written"], facts["rows"]):
            pass  # reading it is the check

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        tensors, facts = _stored_state(folder)
        path = folder / STATE_FILE
        self.engine.take_back(tensors, path)
        self.engine.num_timesteps = facts["steps"]
        self.engine.updates = facts["updates"]
        load_replay(self.own, folder, facts["written"])
        self._saved = folder


class Engine(SAC):
    """Stable-Baselines3's SAC, with our buffers, generators and gradient step."""

    actor: SquashedActor  # type: ignore[assignment]
    critic: VisuomotorCritic  # type: ignore[assignment]
    critic_target: VisuomotorCritic  # type: ignore[assignment]
    log_ent_coef: Tensor
    ent_coef_optimizer: torch.optim.Adam

    def __init__(self, learner: SACLearner) -> None:
        config: SACConfig = learner.config
        super().__init__(
            VisuomotorSACPolicy,
            learner.envs,
            learning_rate=config.learning_rate,
            learning_starts=config.first_steps,
            batch_size=config.batch,
            tau=config.smoothing,
            gamma=config.discount,
            gradient_steps=config.updates,
            ent_coef=f"auto_{config.temperature}",
            target_entropy=cast(Any, config.entropy),
            policy_kwargs={
                "visuomotor": learner.policy,
                "critic_layers": config.critic_layers,
                "n_critics": config.critics,
            },
            device="cpu",
            _init_setup_model=False,
        )
        self.replay_buffer = cast(Any, learner.own)
        self.set_logger(Logger(None, []))
        self._setup_model()
        self.learner = learner
        self.updates = 0
        """Gradient steps so far, in all rounds."""
        self.looks = config.discount
        """What a value one step later is worth."""
        self.random_steps = config.random_steps_of(learner.is_given)
        self.warm_up = config.warm_up_of(learner.is_given)
        self.figures: dict[str, list[float]] = defaultdict(list)
        """What gradient steps came to since they were told last, by name."""
        self.last_log_prob = np.zeros(0, np.float32)
        """(E,) how likely the actions were that it did last."""
        self.begin(np.random.default_rng(0))

    def begin(self, rng: np.random.Generator) -> None:
        """Begin new episodes, and draw from another generator."""
        self._rng = rng
        self._generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._last_obs = None
        self.learner.own.begin()
        self.figures.clear()

    # What it does.

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Actions (E, 2) to do and to keep, the same: evenly drawn at first, then the actor's."""
        if self.num_timesteps < self.random_steps:
            actions = self._rng.uniform(-1.0, 1.0, (n_envs, 2)).astype(np.float32)
            self.last_log_prob = np.full(n_envs, EVENLY, np.float32)
        else:
            with torch.no_grad():
                drawn, log_prob = self.actor.draw(tensors_of(cast(Any, self._last_obs)), self._generator)
            actions = drawn.numpy()
            self.last_log_prob = log_prob.numpy()
        return actions, actions

    # What it learns.

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Move critics, actor and temperature by so many gradient steps."""
        self.policy.set_training_mode(True)
        for _ in range(gradient_steps):
            self.step(self.draw(batch_size))
            self.updates += 1

    def draw(self, count: int) -> Transitions:
        """Transitions of its own and demonstrations, as the config shares them out, their views shifted."""
        learner = self.learner
        config: SACConfig = learner.config
        shown = 0 if learner.demonstrations is None else round(config.demonstrated * count)
        parts = []
        sources = (
            (learner.own, learner.own_reward, count - shown),
            (learner.demonstrations, learner.demonstration_reward, shown),
        )
        for buffer, reward_of, number in sources:
            if buffer is not None and number:
                parts.append(buffer.sample(number, self._rng, self.looks, config.bootstrap_steps, reward_of))
        drawn = joined(parts)
        for observations in (drawn.observations, drawn.next_observations):
            observations["views"] = shifted(observations["views"], config.shift_px, self._rng)
        return drawn

    def step(self, drawn: Transitions) -> None:
        """One gradient step of everything; while it warms up the actor rests."""
        seen = tensors_of(drawn.observations)
        temperature = self.log_ent_coef.detach().exp()
        features = self._move_critics(seen, drawn, temperature)
        if self.updates >= self.warm_up:
            self._move_actor(seen, features, temperature)
        polyak_update(self.critic.parameters(), self.critic_target.parameters(), self.tau)

    def _move_critics(self, seen: dict[str, Tensor], drawn: Transitions, temperature: Tensor) -> Tensor:
        """Move the critics towards reward and discounted soft value; returns features (B, F) of what was seen."""
        after = tensors_of(drawn.next_observations)
        with torch.no_grad():
            next_actions, next_log_prob = self.actor.draw(after, self._generator)
            next_values = self.critic_target.values(self.critic_target.features(after), next_actions).amin(dim=0)
            soft_values = next_values - temperature * next_log_prob
            targets = torch.from_numpy(drawn.rewards) + torch.from_numpy(drawn.discounts) * soft_values
        features = self.critic.features(seen)
        values = self.critic.values(features, torch.from_numpy(drawn.actions))
        loss = 0.5 * functional.mse_loss(values, targets.expand_as(values), reduction="none").mean(dim=1).sum()
        descend(self.critic.optimizer, loss)
        self.note(critic_loss=loss, value=values.mean())
        return features.detach()

    def _move_actor(self, seen: dict[str, Tensor], features: Tensor, temperature: Tensor) -> None:
        """Move the actor to what it aims for, and the temperature to where the actor keeps its entropy.

        The critics' features are those of just before they moved, so that pictures are read once.
        """
        actions, log_prob = self.actor.draw(seen, self._generator)
        loss = (temperature * log_prob - self.aim(seen, features, actions)).mean()
        descend(self.actor.optimizer, loss)
        too_likely = (log_prob.detach() + self.learner.config.entropy).mean()
        descend(self.ent_coef_optimizer, -self.log_ent_coef.squeeze() * too_likely)
        self.note(actor_loss=loss, entropy=-log_prob.mean(), temperature=temperature)

    def aim(self, seen: dict[str, Tensor], features: Tensor, actions: Tensor) -> Tensor:
        """(B,) what the actor climbs, besides its entropy: the least of what the critics say of actions (B, 2)."""
        return self.critic.values(features, actions).amin(dim=0)

    def note(self, **figures: Tensor) -> None:
        """Remember figures of a gradient step."""
        for name, value in figures.items():
            self.figures[name].append(value.item())

    # What is stored.

    def tensors(self) -> dict[str, Tensor]:
        """Critics, optimisers and temperature; the actor is the policy, which is stored by itself."""
        told = {"temperature.log": self.log_ent_coef.detach()}
        for name, critic in self._critics().items():
            told |= {f"{name}.{key}": value for key, value in critic.state_dict().items()}
        for name, optimizer in self._optimizers().items():
            for number, moments in optimizer.state_dict()["state"].items():
                told |= {f"{name}.{number}.{key}": torch.as_tensor(value) for key, value in moments.items()}
        return told

    def take_back(self, told: Mapping[str, Tensor], path: Path) -> None:
        """Be as `tensors` told.

        Raises:
            CheckpointError: tensors are missing, or do not fit.
        """
        if "temperature.log" not in told:
            raise CheckpointError(f"{path} lacks the temperature")
        for name, critic in self._critics().items():
            load_tensors(critic, _under(f"{name}.", told), path)
        with torch.no_grad():
            self.log_ent_coef.copy_(told["temperature.log"])
        for name, optimizer in self._optimizers().items():
            state: dict[int, dict[str, Tensor]] = defaultdict(dict)
            for key, value in _under(f"{name}.", told).items():
                number, _, moment = key.partition(".")
                state[int(number)][moment] = value
            optimizer.load_state_dict({**optimizer.state_dict(), "state": dict(state)})

    def _critics(self) -> dict[str, VisuomotorCritic]:
        return {"critic": self.critic, "slow": self.critic_target}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "adam_actor": self.actor.optimizer,
            "adam_critic": self.critic.optimizer,
            "adam_temperature": self.ent_coef_optimizer,
        }


class _Watching(BaseCallback):
    """Tells how far a round is, and what gradient steps came to."""

    def __init__(self, engine: Engine, watch: Watch) -> None:
        super().__init__()
        self._engine = engine
        self._watch = watch
        self._told = engine.updates

    def _on_rollout_start(self) -> None:
        if self._engine.updates >= self._told + TELL_EVERY:
            self._tell()

    def _on_step(self) -> bool:
        self._watch(self._engine.learner.envs.num_envs, {})
        return True

    def _on_training_end(self) -> None:
        if self._engine.updates > self._told:
            self._tell()

    def _tell(self) -> None:
        figures = self._engine.figures
        self._watch(0, {name: float(np.mean(values)) for name, values in figures.items()})
        figures.clear()
        self._told = self._engine.updates


def _stored_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a saving.

    Raises:
        CheckpointError: they are missing or damaged.
    """
    tensors, facts = load_state(folder / STATE_FILE)
    if not all(isinstance(facts.get(name), int) for name in ("steps", "updates", "written", "rows")):
        raise CheckpointError(f"{folder / STATE_FILE} does not say how many steps and updates it has seen")
    return tensors, facts


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient of a loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def tensors_of(observations: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Observations as tensors that share their memory."""
    return {name: torch.from_numpy(values) for name, values in observations.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
