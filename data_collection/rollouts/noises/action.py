"""Action noise: DART (Laskey et al. 2017, "DART: Noise Injection for Robust Imitation Learning", arXiv:1703.09327).

What the expert executes gets Gaussian noise, and what it meant is the label: it shows how to come back from where a
learner's mistakes lead, and nobody flies with the learner. The noise is best as large as those mistakes. Its level is
given; or its covariance is that of a learner's error on held-out demonstrations (section 4, eq. 3), times a factor,
because the final learner errs less than that one, or more (eq. 4; the paper sets the sum of the squared errors
instead).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.seals import read_sealed_json, write_sealed_json
from forestpilot.data_collection.rollouts.noises.noise import Noise, NoiseConfig, Occasion
from forestpilot.data_collection.rollouts.pilots import (
    Decision,
    ExpertPilot,
    Observations,
    Pilot,
    PilotFactory,
    cameras_of,
)
from forestpilot.data_collection.rollouts.pool import Job, roll_out
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.seeds import SeedStream, rng_for, seeds_of
from forestpilot.sim.tasks import TASKS

NOISE_FILE = "noise.json"
"""Where in a dataset the covariance stands that was fitted."""
USUAL_LEVEL = 0.2
Covariance = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class ActionNoiseConfig(NoiseConfig):
    """Noise on what the expert does; the labels are what it meant (DART)."""

    part: ClassVar[str] = "action"
    level: Annotated[float | None, Range(0, 2)] = None
    """Standard deviation of the noise on turn and go, which go from -1 to 1; 0.2 unless given or fitted."""
    fit: str = ""
    """Folder of a policy, as `forestpilot train` makes one: the noise gets the covariance of its errors in validation
    worlds, along the expert's way."""
    scale: Annotated[float, Range(0, 10_000, above=True)] = 1.0
    """With fit: the covariance is multiplied by this."""
    flights: Annotated[int, Range(1, 10_000)] = 20
    """With fit: validation worlds in which the errors are measured."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.fit and self.level is not None:
            raise InvalidArgumentError(
                f"noise.level is {self.level} and noise.fit {self.fit!r}: the level is given or fitted, not both"
            )
        if not self.fit and self.scale != 1.0:
            raise InvalidArgumentError("noise.scale has no effect without noise.fit, the policy to fit to")

    @property
    def learner(self) -> str:
        """The policy that the noise is fitted to."""
        return self.fit


class ActionNoise(Noise):
    """The expert's hands tremble."""

    Config = ActionNoiseConfig

    def __init__(self, config: ActionNoiseConfig) -> None:
        super().__init__(config)
        self._config = config

    def pilot(self, occasion: Occasion) -> PilotFactory:
        """The expert with noise; fitted noise is fitted once for a dataset.

        Raises:
            InvalidArgumentError: it is to be fitted, and there is no learner.
            DamagedFileError: the covariance that was fitted is not as it was written.
        """
        config = self._config
        if not config.fit:
            level = USUAL_LEVEL if config.level is None else config.level
            return NoisyExpertFactory(((level**2, 0.0), (0.0, level**2)))
        path = occasion.dataset / NOISE_FILE
        if not path.exists():
            covariance = config.scale * error_covariance(occasion, config.flights)
            write_sealed_json(path, {"fit": config.fit, "covariance": covariance.tolist()})
        (a, b), (c, d) = read_sealed_json(path)["covariance"]
        return NoisyExpertFactory(((a, b), (c, d)))


def error_covariance(occasion: Occasion, flights: int) -> NDArray[np.float64]:
    """(2, 2) second moment of a learner's error (turn, go) at the states of demonstrations that it has not seen.

    Args:
        occasion: task, worlds, learner.
        flights: validation worlds in which the expert demonstrates and the learner says what it would do.

    Raises:
        InvalidArgumentError: there is no learner.
    """
    if occasion.learner is None:
        raise InvalidArgumentError("noise.fit needs the policy that the noise is fitted to, and nobody has loaded it")
    task = TASKS.get(occasion.task)
    scenarios = tuple(occasion.mix.scenario(seed, task) for seed in seeds_of("validation", flights))
    watched = WatchedExpert(occasion.learner())
    for _ in roll_out(Job(occasion.task, scenarios, lambda: watched)):
        pass
    errors = np.concatenate([watched.errors[scenario.seed] for scenario in scenarios]).astype(np.float64)
    covariance: NDArray[np.float64] = errors.T @ errors / len(errors)
    return covariance


@dataclass(frozen=True)
class NoisyExpertFactory:
    """Makes a `NoisyExpert`; picklable."""

    covariance: Covariance
    """Of the noise on (turn, go)."""

    def __call__(self) -> Pilot:
        """The pilot."""
        return NoisyExpert(self.covariance)


class NoisyExpert(ExpertPilot):
    """Does what the expert advises, and a little besides.

    Args:
        covariance: of the noise on (turn, go), in action units.
    """

    def __init__(self, covariance: Covariance) -> None:
        (turn, _), (_, go) = covariance
        self.name = f"expert with noise {np.sqrt(turn):.3g} {np.sqrt(go):.3g}"
        # A symmetric root, which there is also where one of them has no noise.
        values, vectors = np.linalg.eigh(np.array(covariance))
        self._root = vectors * np.sqrt(np.maximum(values, 0.0))
        self._hands: dict[int, np.random.Generator] = {}

    def restart(self, slot: int, seed: int) -> None:
        """The noise of an episode follows from its world."""
        self._hands[slot] = rng_for(seed, SeedStream.NOISE)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """The advised action of each episode, with noise, cut off where actions end."""
        advised = super().act(observations, infos, slots)
        noise = np.stack([self._root @ self._hands[int(slot)].standard_normal(2) for slot in slots])
        actions = np.clip(advised.actions + noise, -1.0, 1.0)
        return advised._replace(actions=actions.astype(np.float32))


class WatchedExpert(ExpertPilot):
    """The expert acts, and a learner says what it would do.

    Args:
        learner: who is asked.

    Attributes:
        errors: of each world by its seed, (T, 2): what the learner would do, less what the expert does.
    """

    def __init__(self, learner: Pilot) -> None:
        self._learner = learner
        self.cameras = cameras_of(learner)
        self._errors: dict[int, list[np.ndarray]] = {}
        self._seeds: dict[int, int] = {}

    @property
    def errors(self) -> dict[int, NDArray[np.float32]]:
        """See the class."""
        return {seed: np.stack(errors) for seed, errors in self._errors.items()}

    def begin(self, slots: int) -> None:
        """Get the learner ready."""
        self._learner.begin(slots)

    def restart(self, slot: int, seed: int) -> None:
        """A new episode."""
        self._seeds[slot] = seed
        self._errors[seed] = []
        self._learner.restart(slot, seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """What the expert advises; the learner's errors are noted."""
        advised = super().act(observations, infos, slots)
        thought = self._learner.act(observations, infos, slots)
        for slot, error in zip(slots, thought.actions - advised.actions):
            self._errors[self._seeds[int(slot)]].append(error)
        return advised
