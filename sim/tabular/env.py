"""The Reset Cliff as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tabular.reset_cliff import ResetCliff


class ResetCliffEnv(gymnasium.Env[np.int64, np.int64]):
    """Stay above the cliff: one action in each state leads on, all others fall.

    ## Action space
    `Discrete(actions)`; only the expert's action leads on.

    ## Observation space
    `Discrete(states)`: the state; the last is the one below the cliff.

    ## Dynamics
    The expert's action leads from a good state to a good state, drawn anew: nearly always the first, and each of the
    others once in `episodes + 1` times. Any other action leads below the cliff, and there all stays as it is; with
    `ladder=True` the expert's action leads out again.

    ## Reward
    1 for the expert's action in a good state, else 0. With `coin=True` the expert tosses a coin between two actions
    that both lead on, of which one pays.

    ## Starting state
    A good state, drawn in the same way.

    ## Episode end
    Truncated after `horizon` steps; nothing terminates it.

    ## Info
    `step` (how many were taken) and `expert_actions` (those that the expert may take here).

    ## Arguments
    Those of `ResetCliff`. `env.unwrapped.cliff` has the world's matrices and the expert: `cliff.mdp()`,
    `cliff.expert()`.

    ## Version history
    v0: first.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, **arguments: Any) -> None:
        self.cliff = ResetCliff(**arguments)
        self._mdp = self.cliff.mdp()
        self.observation_space = gymnasium.spaces.Discrete(self.cliff.states)
        self.action_space = gymnasium.spaces.Discrete(self.cliff.actions)
        self._state = 0
        self._step = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.int64, dict]:
        """Begin an episode; see the class."""
        super().reset(seed=seed)
        self._step = 0
        self._state = int(self.np_random.choice(self._mdp.states, p=self._mdp.start))
        return np.int64(self._state), self._info()

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Take an action; see the class.

        Raises:
            ValueError: there is no such action.
        """
        if not self.action_space.contains(action):
            last = self._mdp.actions - 1
            raise InvalidArgumentError(f"action is {action!r}; allowed: whole numbers from 0 to {last}")
        reward = float(self._mdp.rewards[self._state, action])
        self._state = int(self.np_random.choice(self._mdp.states, p=self._mdp.transitions[self._state, action]))
        self._step += 1
        return np.int64(self._state), reward, False, self._step >= self._mdp.horizon, self._info()

    def _info(self) -> dict[str, Any]:
        (actions,) = np.nonzero(self.cliff.expert()[0, self._state])
        return {"step": self._step, "expert_actions": actions}
