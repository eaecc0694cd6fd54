"""Grounds of studies that ask the same of the forest and of the road: where is learned, and what is new later on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from forestpilot.data_collection.rollouts.pilots import MixturePilot, Pilot
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.evaluation.baselines import BlindDriver, BlindPilot
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions


@dataclass(frozen=True)
class Ground:
    """A task in worlds of one kind and in one weather, and what is new later on."""

    name: str
    """What it is called in figures."""
    task: str
    """Name of the task."""
    episodes: int
    """Episodes to learn from."""
    demonstrations: ScenarioMix
    """Worlds of these."""
    settings: tuple[ScenarioMix, ...]
    """Worlds of tests: as in training, in any weather, other worlds, both."""
    straight_on: type[BlindPilot] | type[BlindDriver]
    """Who leads off the expert's way."""
    state_inputs: tuple[str, ...] = ()
    """What of the state is seen; empty for all of it."""


@dataclass(frozen=True)
class WanderingFactory:
    """Makes a pilot that is the expert at some steps and goes straight on with its eyes closed at the others."""

    straight_on: type[BlindPilot] | type[BlindDriver]
    """Class of who goes straight on."""
    beta: float
    """Probability that the expert acts."""

    def __call__(self) -> Pilot:
        """The pilot."""
        return MixturePilot(self.straight_on(), self.beta)


def forest(episodes: int, speed_mps: float, density: float, new_density: float) -> Ground:
    """Flights through default forests; new ones are of the preset loquercio."""
    mix = ScenarioMix(
        presets=("default",),
        speeds=(speed_mps, speed_mps),
        options=DroneOptions((density,)),
        domain_randomisation=False,
    )
    other = dataclasses.replace(mix, presets=("loquercio",), options=DroneOptions((new_density,)))
    return Ground("forest", "drone", episodes, mix, _settings(mix, other), BlindPilot)


def road(episodes: int, speed_mps: float, length_m: float) -> Ground:
    """Drives along easy roads; new ones are winding. A car is put back when it is a metre off its line."""
    mix = ScenarioMix(
        presets=("easy",),
        speeds=(speed_mps, speed_mps),
        options=DriveOptions(length=length_m, side_cameras="random", interventions="road"),
        domain_randomisation=False,
    )
    tested = dataclasses.replace(mix, options=DriveOptions(length=length_m, interventions="line"))
    other = dataclasses.replace(tested, presets=("winding",))
    # Where the wheels point already is left out: who sees it learns to keep them there.
    seen = ("forward_mps", "speed_set_point_mps")
    return Ground("road", "drive", episodes, mix, _settings(tested, other), BlindDriver, seen)


def _settings(usual: ScenarioMix, other: ScenarioMix) -> tuple[ScenarioMix, ...]:
    """Training's weather and worlds, new weather, new worlds, both."""
    mixes = []
    for mix in (usual, other):
        for any_weather in (False, True):
            mixes.append(dataclasses.replace(mix, domain_randomisation=any_weather))
    same, weather, worlds, both = mixes
    return same, weather, worlds, both
