"""Three tasks: the rover in the orchard, the rover in the forest, the drone in the orchard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forestpilot.sim.tasks import NoOptions, Task, TaskOptions, TaskWords
from forestpilot.sim.tasks.keys import KeyShaping

BASELINES: Mapping[str, str] = {"expert": "forestpilot.data_collection.rollouts.pilots:ExpertPilot"}


@dataclass(frozen=True)
class OrchardOptions(TaskOptions):
    """Orchards to cross."""

    row_spacing: tuple[float, ...] = (4.0,)
    """Distance between two rows in metres; each episode draws one."""

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """`row_spacing` in metres."""
        return {"row_spacing": self.row_spacing[rng.integers(len(self.row_spacing))]}


ROVER = Task(
    name="rover",
    summary="drive a rover through an orchard",
    env_id="forestpilot_orchard:Orchard/Rover-v0",
    presets=("apples", "pears"),
    speed_mps=2.0,
    max_speed_mps=4.0,
    Options=OrchardOptions,
    evaluation_options=OrchardOptions(),
    baselines=BASELINES,
    keys=KeyShaping(turn_per_s=2.0, turn_back_per_s=3.0),
    words=TaskWords(vehicle="rover", world="orchard", worlds="orchards"),
)
FOREST_ROVER = Task(
    name="forest-rover",
    summary="drive a rover through a forest",
    env_id="forestpilot_orchard:Orchard/ForestRover-v0",
    presets=("default", "loquercio"),
    speed_mps=2.0,
    max_speed_mps=4.0,
    Options=NoOptions,
    baselines=BASELINES,
    words=TaskWords(vehicle="rover", world="forest", worlds="forests"),
)
ORCHARD_DRONE = Task(
    name="orchard-drone",
    summary="fly a quadrotor through an orchard",
    env_id="forestpilot_orchard:Orchard/Drone-v0",
    presets=("apples", "pears"),
    speed_mps=3.0,
    max_speed_mps=12.0,
    Options=OrchardOptions,
    evaluation_options=OrchardOptions(),
    baselines=BASELINES,
    words=TaskWords(vehicle="drone", episode="flight", episodes="flights", verb="fly", world="orchard"),
)
