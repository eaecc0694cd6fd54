"""What a noise is: it says who demonstrates, and what else the environment is told."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from forestpilot.data_collection.rollouts.pilots import PilotFactory
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.registry import PartConfig


@dataclass(frozen=True)
class NoiseConfig(PartConfig):
    """Options of a noise."""

    @property
    def learner(self) -> str:
        """Folder of a policy that it looks at; empty where it needs none."""
        return ""


@dataclass(frozen=True)
class Occasion:
    """What a noise may know of the demonstrations that it is for."""

    task: str
    """Name of the task."""
    mix: ScenarioMix
    """Worlds and speeds."""
    dataset: Path
    """Folder of the dataset, for what must stay the same when the command goes on."""
    learner: PilotFactory | None = None
    """The policy that it looks at, where it asks for one."""


class Noise(ABC):
    """Makes demonstrations show more than the expert's own way; subclasses are registered in `NOISES`.

    What it draws follows from a world's seed, so that a dataset is the same whoever records it, however often it was
    interrupted.

    Args:
        config: its options.
    """

    Config: ClassVar[type[NoiseConfig]]
    """Its options."""

    def __init__(self, config: NoiseConfig) -> None:
        if not isinstance(config, self.Config):
            raise InvalidArgumentError(f"{type(self).__name__} takes {self.Config.__name__}, not {config!r}")

    @abstractmethod
    def pilot(self, occasion: Occasion) -> PilotFactory:
        """Who demonstrates; picklable."""

    def env_kwargs(self) -> dict[str, object]:
        """Arguments of the environment besides the mix's, plain JSON values; stored with each episode."""
        return {}

    def scenario(self, scenario: Scenario) -> Scenario:
        """A scenario with the noise's own arguments."""
        return dataclasses.replace(scenario, env_kwargs={**scenario.env_kwargs, **self.env_kwargs()})
