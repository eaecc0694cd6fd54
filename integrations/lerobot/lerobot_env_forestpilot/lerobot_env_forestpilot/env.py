"""An environment as LeRobot's rollouts expect one."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from forestpilot.sim.tasks import TASKS

CAMERAS = ("left", "center", "right")
RENDER_SIZE = {"render_width": 320, "render_height": 192}


class LerobotView(gymnasium.Env[dict[str, Any], np.ndarray]):
    """A ForestPilot environment with observations by LeRobot's names: `pixels`, `agent_pos`, `environment_state`.

    Args:
        task: `Drone-v0` or `Drive-v0`.
        kwargs: arguments of the environment.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, task: str, **kwargs: Any) -> None:
        own = {"render_mode": "rgb_array", **RENDER_SIZE, **kwargs}
        self.env = gymnasium.make(f"forestpilot:ForestPilot/{task}", **own).unwrapped
        self.metadata = {**self.metadata, "render_fps": self.env.task_spec.control_hz}
        self.render_mode = "rgb_array"
        self.action_space = self.env.action_space
        spaces = self.env.observation_space.spaces
        pixels = gymnasium.spaces.Dict({camera: spaces[camera] for camera in CAMERAS})
        self.observation_space = gymnasium.spaces.Dict(
            {"pixels": pixels, "agent_pos": spaces["state"], "environment_state": spaces["goal"]}
        )
        self.task = TASKS.get(self.env.task_spec.task).sentence(kwargs)
        self.task_description = self.task
        limit_s = self.env.course.longest_s()
        self._max_episode_steps = round(limit_s * self.env.task_spec.control_hz)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict]:
        """Begin in the world of a seed."""
        observation, _ = self.env.reset(seed=seed, options=options)
        return _named(observation), {"is_success": False}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict]:
        """One step."""
        observation, reward, terminated, truncated, info = self.env.step(np.clip(action, -1.0, 1.0))
        told = {"is_success": bool(info["is_success"]), "outcome": info["outcome"], "world_seed": info["world_seed"]}
        return _named(observation), float(reward), terminated, truncated, told

    def render(self) -> np.ndarray:
        """The chase view."""
        return self.env.render()

    def close(self) -> None:
        """Free the simulation."""
        self.env.close()


def _named(observation: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "pixels": {camera: observation[camera] for camera in CAMERAS},
        "agent_pos": observation["state"],
        "environment_state": observation["goal"],
    }
