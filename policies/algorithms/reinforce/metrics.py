"""What is logged of a round of reinforcement learning: a row of metrics.csv per update."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from forestpilot.policies.algorithms.reinforce.episodes import RoundOfSteps, per_episode
from forestpilot.policies.reinforcement.envs import ForestVecEnv
from forestpilot.policies.training.metrics import MetricsLog
from forestpilot.policies.training.trackers import Tracker


class RoundMetrics:
    """Writes rows on the updates of a round; those of the round that are there already go.

    Args:
        folder: the run folder.
        round_number: the round.
        steps_before: steps in the environment of the rounds before.
        envs: where it is learned.
        tracker: is told every row too.
    """

    def __init__(
        self, folder: Path, round_number: int, steps_before: int, envs: ForestVecEnv, tracker: Tracker | None = None
    ) -> None:
        self._log = MetricsLog(folder, (round_number, 0), tracker)
        self._round = round_number
        self._steps_before = steps_before
        self._envs = envs
        self._told = 0
        self._steps = 0
        self._since_s = time.monotonic()

    def write(self, figures: Mapping[str, float]) -> None:
        """Add a row: figures of an update, and what became of the episodes that ended since the last one."""
        envs = self._envs
        new = envs.episodes[self._told :]
        done = RoundOfSteps(0, {}, tuple(new))
        now_s = time.monotonic()
        row = {
            "training_success": done.successes / max(1, len(new)),
            "training_crashes": done.crashes / max(1, len(new)),
            "episode_steps": sum(episode.steps for episode in new) / max(1, len(new)),
            **{f"reward_{name}": value for name, value in per_episode(envs.rewards.names, new).items()},
            **{
                f"{name}_{what}": value for name, state in envs.rewards.state().items() for what, value in state.items()
            },
            **figures,
            "steps_per_s": (envs.steps_done - self._steps) / max(1e-9, now_s - self._since_s),
        }
        self._told = len(envs.episodes)
        self._steps = envs.steps_done
        self._since_s = now_s
        self._log.write(self._round, envs.steps_done, self._steps_before + envs.steps_done, row)

    def close(self) -> None:
        """Seal the table."""
        self._log.close()
