"""No noise: behavioural cloning as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from forestpilot.data_collection.rollouts.noises.noise import Noise, NoiseConfig, Occasion
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory


@dataclass(frozen=True)
class NoNoiseConfig(NoiseConfig):
    """The expert goes its way."""

    part: ClassVar[str] = "none"


class NoNoise(Noise):
    """The expert goes its way."""

    Config = NoNoiseConfig

    def pilot(self, occasion: Occasion) -> PilotFactory:
        """See `Noise.pilot`."""
        return ExpertPilot
