"""ForestPilot's environments in LeRobot: `--env.type=forestpilot --env.task=Drone-v0`.

LeRobot 0.6 finds this package by its name; 0.4.4 is told of it, `--env.discover_packages_path=lerobot_env_forestpilot`.
Worlds are those of the seeds: `--seed=2000000 --eval.n_episodes=100` are the first 100 test worlds, those of
`forestpilot evaluate --episodes 100`.
"""

from __future__ import annotations

import gymnasium

from lerobot_env_forestpilot.config import ForestPilotEnv

__all__ = ["ForestPilotEnv"]

for _task in ("Drone-v0", "Drive-v0"):
    gymnasium.register(
        id=f"lerobot_env_forestpilot/{_task}",
        entry_point="lerobot_env_forestpilot.env:LerobotView",
        kwargs={"task": _task},
    )
