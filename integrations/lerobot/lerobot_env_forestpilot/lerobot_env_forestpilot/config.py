"""How LeRobot is told of the environments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.utils.constants import ACTION, OBS_ENV_STATE, OBS_IMAGES, OBS_STATE

CAMERAS = ("left", "center", "right")
STATE_SIZES = {"Drone-v0": 10, "Drive-v0": 9}


@EnvConfig.register_subclass("forestpilot")
@dataclass
class ForestPilotEnv(EnvConfig):
    """A drone in a forest or a car on a forest road, from three cameras."""

    task: str | None = "Drone-v0"
    fps: int = 10
    """Steps per second: the environment's `control_hz`."""
    speed: float = 5.0
    """Speed set point in m/s."""
    width: int = 64
    """Of the pictures, pixels."""
    height: int = 48
    """Of the pictures, pixels."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the environment, for example `{"density": 0.04}`."""
    features: dict[str, PolicyFeature] = field(default_factory=dict)
    features_map: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in STATE_SIZES:
            raise ValueError(f"env.task is {self.task!r}; allowed: {', '.join(STATE_SIZES)}")
        self.features = {
            ACTION: PolicyFeature(FeatureType.ACTION, (2,)),
            "agent_pos": PolicyFeature(FeatureType.STATE, (STATE_SIZES[self.task],)),
            "environment_state": PolicyFeature(FeatureType.ENV, (2,)),
        }
        self.features_map = {ACTION: ACTION, "agent_pos": OBS_STATE, "environment_state": OBS_ENV_STATE}
        for camera in CAMERAS:
            key = f"pixels/{camera}"
            self.features[key] = PolicyFeature(FeatureType.VISUAL, (self.height, self.width, 3))
            self.features_map[key] = f"{OBS_IMAGES}.{camera}"

    @property
    def package_name(self) -> str:
        """What registers the environments."""
        return "lerobot_env_forestpilot"

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of the environment."""
        return {
            "speed": self.speed,
            "control_hz": self.fps,
            "width": self.width,
            "height": self.height,
            **self.options,
        }
