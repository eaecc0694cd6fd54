"""What a viewpoint is: where a third camera stands, step by step, while a vehicle goes its way."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.cameras import FloatArray
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import PartConfig

if TYPE_CHECKING:
    from forestpilot.sim.rendering.protocol import VehiclePose
    from forestpilot.sim.worlds.world import World

VIEW_PREFIX = "view_"
"""What the keys of a third camera's pictures begin with, in episodes."""
MARGIN_M = 0.25
"""How far a camera keeps from trunks, in metres."""
NEAR_REACHES = 4.0
"""How far a camera stands from a vehicle so that it is well seen in small pictures, in reaches of the vehicle: then it
is about a quarter of the picture wide."""


@dataclass(frozen=True)
class ViewpointConfig(PartConfig):
    """Options of a viewpoint."""

    third_person: ClassVar[bool] = True
    """Whether there is a third camera."""


@dataclass(frozen=True)
class ThirdPersonConfig(ViewpointConfig):
    """What all third cameras have."""

    fov_deg: Annotated[float, Range(10, 150)] = 75.0
    """Horizontal field of view in degrees; the pictures are as large as those of the vehicle's own cameras."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class VehicleViewConfig(ViewpointConfig):
    """The vehicle's own cameras, and no third one."""

    part: ClassVar[str] = "vehicle"
    third_person: ClassVar[bool] = False


class Viewpoint(ABC):
    """Where a third camera stands; subclasses are registered in `VIEWPOINTS`.

    Args:
        config: its options, an instance of `Config`.

    Raises:
        InvalidArgumentError: they are another viewpoint's.
    """

    Config: ClassVar[type[ViewpointConfig]]
    """Its options."""

    def __init__(self, config: ViewpointConfig) -> None:
        if not isinstance(config, self.Config):
            raise InvalidArgumentError(f"{type(self).__name__} takes {self.Config.__name__}, not {config!r}")

    @abstractmethod
    def begin(self, world: World, vehicle: VehiclePose, period_s: float) -> None:
        """An episode begins.

        Args:
            world: what there is to stand in the way.
            vehicle: where the vehicle starts.
            period_s: time between two pictures in seconds.
        """

    @abstractmethod
    def pose(self, vehicle: VehiclePose) -> tuple[FloatArray, FloatArray]:
        """Eye (3,) in metres and axes (3, 3) of the next picture, given where the vehicle is now."""


class VehicleView(Viewpoint):
    """No third camera."""

    Config = VehicleViewConfig

    def begin(self, world: World, vehicle: VehiclePose, period_s: float) -> None:
        """Nothing to get ready."""

    def pose(self, vehicle: VehiclePose) -> tuple[FloatArray, FloatArray]:
        """Raise InvalidArgumentError: there is no camera."""
        raise InvalidArgumentError("the viewpoint `vehicle` has no camera of its own")


def view_key(viewpoint: str) -> str:
    """Key of a viewpoint's pictures in an episode, for example `view_chase`."""
    return VIEW_PREFIX + viewpoint


def is_view(key: str) -> bool:
    """Whether the observations of a key are pictures of a third camera."""
    return key.startswith(VIEW_PREFIX)


def near_look(look: VehicleLook) -> VehicleLook:
    """A look whose chase camera stands no further away than `NEAR_REACHES`: films are larger than observations."""
    reach_m = max(math.hypot(part.center[0], part.center[1]) + max(part.half[:2]) for part in look.parts)
    share = min(1.0, NEAR_REACHES * reach_m / look.chase_distance_m)
    return dataclasses.replace(
        look,
        chase_distance_m=share * look.chase_distance_m,
        chase_height_m=share * look.chase_height_m,
        chase_nearest_m=share * look.chase_nearest_m,
    )


def heading_rad(vehicle: VehiclePose) -> float:
    """Heading of a vehicle in radians."""
    rotation = np.asarray(vehicle.rotation, np.float64)
    return math.atan2(rotation[1, 0], rotation[0, 0])


def free_distance_m(
    trees: NDArray[np.float32],
    position_m: NDArray[np.float64],
    direction_rad: float,
    limit_m: float,
    nearest_m: float = 0.8,
) -> float:
    """Free distance from a position until one comes within `MARGIN_M` of a trunk: `nearest_m` to `limit_m`."""
    dx = math.cos(direction_rad)
    dy = math.sin(direction_rad)
    _, _, radius, *_ = trees.T
    relative = trees[:, :2] - np.asarray(position_m)[:2]
    along = relative @ (dx, dy)
    across = np.abs(relative @ (-dy, dx))
    reach = radius + MARGIN_M
    ahead = (along > 0) & (across < reach)
    if not ahead.any():
        return limit_m
    entry = along[ahead] - np.sqrt(reach[ahead] ** 2 - across[ahead] ** 2)
    return float(np.clip(entry.min(), nearest_m, limit_m))
