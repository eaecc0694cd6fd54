"""Pose noise: synthetic states. Every so often the vehicle is put beside its way, turned, faster or slower, where it is
free; it is drawn there, the expert is asked there, and goes on from there.

Three cameras are the case of a turn only that nobody goes on from. The work is the environment's
(`forestpilot.sim.envs.pose_noise`), so that an episode's seed, arguments and actions repeat it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from forestpilot.data_collection.rollouts.noises.noise import Noise, NoiseConfig, Occasion
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory
from forestpilot.sim.envs.pose_noise import PoseNoise


@dataclass(frozen=True)
class PoseNoiseConfig(PoseNoise, NoiseConfig):
    """Every so often the vehicle is put elsewhere, as far at most to both sides as these say."""

    part: ClassVar[str] = "pose"


class PoseNoiseOfExpert(Noise):
    """The expert goes on from wherever it is put."""

    Config = PoseNoiseConfig

    def __init__(self, config: PoseNoiseConfig) -> None:
        super().__init__(config)
        self._config = config

    def env_kwargs(self) -> dict[str, object]:
        """`pose_noise`."""
        return {"pose_noise": dataclasses.asdict(self._config)}

    def pilot(self, occasion: Occasion) -> PilotFactory:
        """See `Noise.pilot`."""
        return ExpertPilot
