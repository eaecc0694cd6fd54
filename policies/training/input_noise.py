"""Noise on what a policy is given, drawn anew in training: whoever leans on one element of the state learns not to.

A noise is a class and a line below; `forestpilot train --noise NAME` takes it, and its options with `--noise.OPTION`.
Pictures have their own, which is always on: see `forestpilot.data_collection.windows.augmentation`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from forestpilot.policies.networks.config import USUAL_VIEW, ViewConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import PartConfig, Registry, closest

if TYPE_CHECKING:
    from forestpilot.data_collection.windows.batch import Batch
    from forestpilot.sim.envs.task_spec import TaskSpec


@dataclass(frozen=True)
class InputNoiseConfig(PartConfig):
    """Options of a noise on inputs."""


class InputNoise(ABC):
    """Changes what windows show; labels stay. Subclasses are registered in `INPUT_NOISES`.

    Args:
        config: its options.
        spec: the task.
        view: what the policy sees of the pictures.
    """

    Config: ClassVar[type[InputNoiseConfig]]
    """Its options."""

    @abstractmethod
    def __init__(self, config: InputNoiseConfig, spec: TaskSpec, view: ViewConfig) -> None: ...

    @abstractmethod
    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with noise, in new arrays; what is drawn follows from `rng`."""


@dataclass(frozen=True)
class NoInputNoiseConfig(InputNoiseConfig):
    """Inputs as they were recorded."""

    part: ClassVar[str] = "none"


class NoInputNoise(InputNoise):
    """Leaves the inputs as they are, and draws nothing."""

    Config = NoInputNoiseConfig

    def __init__(self, config: NoInputNoiseConfig, spec: TaskSpec, view: ViewConfig) -> None:
        pass

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """See `InputNoise.apply`."""
        return batch


@dataclass(frozen=True)
class StateNoiseConfig(InputNoiseConfig):
    """Gaussian noise on the elements of the state."""

    part: ClassVar[str] = "state"
    level: Annotated[float, Range(0, 100)] = 0.1
    """Standard deviation, in units of each element: its usual size, as the task tells it (a drone's `forward_mps`
    10 m/s, its `yaw_rate_radps` 2 rad/s)."""
    elements: tuple[str, ...] = ()
    """Names of the elements that get noise; empty for all of them."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "elements", tuple(self.elements))


class StateNoise(InputNoise):
    """Adds to each element of the state, at each step, a normal number of its own.

    Raises:
        InvalidArgumentError: the task's state has no such element.
    """

    Config = StateNoiseConfig

    def __init__(self, config: StateNoiseConfig, spec: TaskSpec, view: ViewConfig) -> None:
        for name in config.elements:
            if name not in spec.state_names:
                raise InvalidArgumentError(f"noise.elements has {name!r}; {closest(name, spec.state_names)}")
        chosen = [not config.elements or name in config.elements for name in spec.state_names]
        self._deviations = np.where(chosen, config.level * np.array(spec.state_scale), 0.0).astype(np.float32)

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """See `InputNoise.apply`."""
        noise = rng.standard_normal(batch.state.shape, dtype=np.float32)
        return batch._replace(state=batch.state + self._deviations * noise)


@dataclass(frozen=True)
class HideConfig(InputNoiseConfig):
    """Causes that are hidden at random."""

    part: ClassVar[str] = "hide"
    causes: tuple[str, ...] = ()
    """What is hidden: elements of the state, parts of the picture, other causes (see policy.hidden)."""
    share: Annotated[float, Range(0, 1)] = 0.5
    """Share of the windows in which each cause is hidden, drawn by itself."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "causes", tuple(self.causes))


class Hide(InputNoise):
    """Hides causes throughout a window, so that the policy learns to do without (as Bansal et al. 2019, ChauffeurNet,
    drop the past motion); when it acts, it sees all.

    Raises:
        InvalidArgumentError: the task has no such cause.
    """

    Config = HideConfig

    def __init__(self, config: HideConfig, spec: TaskSpec, view: ViewConfig) -> None:
        if not config.causes:
            raise InvalidArgumentError("noise.causes is empty; say what to hide, for example --noise.causes roll_rad")
        from forestpilot.policies.networks.causes import hidden_parts

        self._share = config.share
        self._parts = hidden_parts(config.causes, spec, view)

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """See `InputNoise.apply`."""
        from forestpilot.policies.networks.views import OUTSIDE_GREY  # imports Numba

        hidden = rng.random((len(batch.state), len(self._parts.state))) < self._share
        elements = (hidden[:, :, None] & self._parts.state).any(1)[:, None]
        batch = batch._replace(state=np.where(elements, np.float32(0), batch.state))
        pixels = (hidden[:, :, None, None] & self._parts.pixels).any(1)[:, None, None, :, :, None]
        if not pixels.any():
            return batch
        return batch._replace(views=np.where(pixels, np.uint8(OUTSIDE_GREY), batch.views))


_HERE = "forestpilot.policies.training.input_noise"
INPUT_NOISES: Registry[type[InputNoise]] = Registry("input noise", f"{_HERE}:INPUT_NOISES")
INPUT_NOISES.register("none", NoInputNoise, "inputs as they were recorded")
INPUT_NOISES.register("state", StateNoise, "Gaussian noise on the elements of the state")
INPUT_NOISES.register("hide", Hide, "elements of the state, parts of the picture and other causes, hidden at random")


def make_input_noise(config: InputNoiseConfig, spec: TaskSpec, view: ViewConfig = USUAL_VIEW) -> InputNoise:
    """The noise of a config.

    Args:
        config: which, and its options.
        spec: the task.
        view: what the policy sees of the pictures.

    Raises:
        InvalidArgumentError: the task has nothing that it would change.
    """
    return INPUT_NOISES.get(config.part)(config, spec, view)
