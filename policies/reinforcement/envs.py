"""Environments side by side over a few processes, as Stable-Baselines3 steps them (`VecEnv`).

This process runs its own share of them, every further one another share. Observations, actions and rewards lie in
memory that all share; what crosses is what the policy reads, its views already made, so that pictures are levelled on
all cores and a rollout holds them as small as the network sees them. Only rows on episodes that have ended go through
pipes.

Worlds are training worlds, each drawn from (seed, round, slot, how many the slot has had in this round): how many
processes there are changes nothing, and a round that is begun again meets the same worlds.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from forestpilot.policies.reinforcement.rewards import ENVIRONMENT_TERMS, Rewards, Step
from forestpilot.policies.reinforcement.shares import Board, Helper, RolledOut, Share, Worlds


class ForestVecEnv(VecEnv):
    """Environments of one task side by side, which begin anew by themselves.

    Args:
        worlds: what is run and observed.
        count: environments.
        workers: processes, this one included.
        rewards: what a learner is rewarded by.

    Attributes:
        episodes: those that have ended since `begin_round`, in the order of (step, slot).
        step_terms: sums of the reward's terms over all steps since then, (terms,).
        steps_done: number of these steps.
    """

    def __init__(self, worlds: Worlds, count: int, workers: int, rewards: Rewards) -> None:
        self.worlds = worlds
        self.rewards = rewards
        space = worlds.space()
        self._board = Board(space, count)
        shares = [list(range(count))[part::workers] for part in range(min(workers, count))]
        self._share = Share(worlds, shares[0], self._board)
        self._helpers: list[Helper] = []
        self._round = 0
        self.episodes: list[RolledOut] = []
        self.step_terms = np.zeros(len(rewards.names))
        self.steps_done = 0
        self._sums = np.zeros((count, len(rewards.names)))
        self._before: dict[str, NDArray] = {}
        super().__init__(count, space, gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32))
        try:
            for slots in shares[1:]:
                self._helpers.append(Helper(worlds, slots, count, self._board))
        except BaseException:
            self.close()
            raise

    def begin_round(self, round_number: int) -> None:
        """From the next `reset` on the worlds are those of a round."""
        self._round = round_number
        self.episodes = []
        self.step_terms[:] = 0
        self.steps_done = 0

    def reset(self) -> dict[str, NDArray]:
        """Begin a new episode in every environment; what was under way is forgotten."""
        self._everywhere("begin", self._round)
        self._sums[:] = 0
        self.rewards.begin()
        self._before = self._observed()
        return self._before

    def step_async(self, actions: NDArray) -> None:
        """Let all environments do one step."""
        self._board.actions[:] = actions
        for helper in self._helpers:
            helper.ask("step")

    def step_wait(self) -> tuple[dict[str, NDArray], NDArray, NDArray, list[dict[str, Any]]]:
        """What came of it: observations, rewards, whether episodes ended, infos."""
        ended = self._share.step()
        for helper in self._helpers:
            ended += helper.answer()
        board = self._board
        step = self._step_done()
        rewards, terms = self.rewards(step)
        self.step_terms += terms.sum(0)
        self.steps_done += self.num_envs
        self._sums += terms
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for episode in sorted(ended, key=lambda episode: episode.slot):
            row = episode.slot
            sums = dict(zip(self.rewards.names, self._sums[row].tolist(), strict=True))
            self.episodes.append(dataclasses.replace(episode, terms=sums))
            infos[row] = {
                "terminal_observation": {key: value[row].copy() for key, value in board.last.items()},
                "TimeLimit.truncated": bool(board.truncated[row]),
                "episode_ended": self.episodes[-1],
            }
            self._sums[row] = 0
        self._before = self._observed()
        return self._before, rewards, board.terminated | board.truncated, infos

    def _step_done(self) -> Step:
        """The step that all environments have just done."""
        board = self._board
        done = board.terminated | board.truncated
        after = {key: value.copy() for key, value in board.now.items()}
        if done.any():
            for key, value in after.items():
                value[done] = board.last[key][done]
        terms = {name: board.terms[:, column].copy() for column, name in enumerate(ENVIRONMENT_TERMS)}
        return Step(self._before, board.actions.copy(), after, terms, board.terminated.copy(), board.truncated.copy())

    def _observed(self) -> dict[str, NDArray]:
        """A copy: the next step overwrites the board, and learners still hold this."""
        return {key: value.copy() for key, value in self._board.now.items()}

    def _everywhere(self, name: str, *args: Any) -> list[RolledOut]:
        for helper in self._helpers:
            helper.ask(name, *args)
        ended = getattr(self._share, name)(*args)
        for helper in self._helpers:
            ended += helper.answer()
        return ended

    def close(self) -> None:
        """End the processes, free the environments."""
        for helper in self._helpers:
            helper.close()
        self._helpers = []
        self._share.close()

    def __enter__(self) -> ForestVecEnv:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Attributes that Stable-Baselines3 asks for; environments of other processes are not asked."""
        if attr_name == "render_mode":
            return [None] * len(list(self._get_indices(indices)))
        raise AttributeError(f"environments of {type(self).__name__} do not tell {attr_name}")

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: what environments are like is said when they are made."""
        raise NotImplementedError(f"{type(self).__name__} does not set {attr_name}")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Refused, likewise."""
        raise NotImplementedError(f"{type(self).__name__} does not call {method_name}")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Nothing is wrapped."""
        return [False] * len(list(self._get_indices(indices)))
