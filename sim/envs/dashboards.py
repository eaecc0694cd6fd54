"""Dashboards: what of the vehicle itself is in its pictures, and told by its state.

`brake-light` is the lamp of de Haan, Jayaraman & Levine 2019 (arXiv:1905.11979, "Causal confusion in imitation
learning", section 3): it shows whether the brake was used in the step before, by 0.35 m/s2 or more. Who learns from it
is told what the demonstrator does now by what it did a moment ago.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from forestpilot.sim.cameras import Camera
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.looks import NO_DASHBOARD
from forestpilot.sim.registry import Registry
from forestpilot.sim.rendering.protocol import VEHICLE_ID, Frames
from forestpilot.sim.vehicles.vehicle import StateElement, Vehicle

NONE = NO_DASHBOARD
BRAKE_LIGHT = "brake_light"
"""Name of the lamp's element of the state: 1 where it is lit, else 0."""
DISTANCE_M = 0.6
"""Depth of what belongs to the vehicle's inside."""
COWL_HALF_WIDTH = 0.3
COWL_HEIGHT = 0.3
"""The cowl is half an ellipse on the picture's lower edge, in its middle; shares of its width and height."""
LAMP_HALF_WIDTH = 0.06
LAMP_ROWS = (0.73, 0.82)
"""Where on it the lamp is; a usual view of the picture ends below."""
COWL_COLOR = (40, 40, 44)
LIT_COLOR = (255, 48, 28)
DARK_COLOR = (72, 24, 22)


class Dashboard(ABC):
    """What belongs to the vehicle in its pictures; one for each environment.

    Args:
        vehicle: class of the vehicle.
        camera: size of the pictures.

    Raises:
        ValueError: this kind of vehicle has nothing for it to show.
    """

    elements: ClassVar[tuple[StateElement, ...]] = ()
    """What it adds to the state, after the vehicle's own elements."""

    @abstractmethod
    def __init__(self, vehicle: type[Vehicle], camera: Camera) -> None: ...

    def begin(self) -> None:  # noqa: B027  (not every one remembers)
        """An episode begins; nothing was done before."""

    def note(self, vehicle: Vehicle, action: np.ndarray) -> None:  # noqa: B027
        """An action (2,) was held for a step."""

    def values(self) -> np.ndarray:
        """(n,) float32, as `elements` name them."""
        return np.zeros(0, np.float32)

    def draw(self, frames: Frames, camera: int) -> None:  # noqa: B027
        """Draw it over one camera's picture, depth and segmentation."""


class NoDashboard(Dashboard):
    """Nothing of the vehicle is in its pictures."""

    def __init__(self, vehicle: type[Vehicle], camera: Camera) -> None: ...


class BrakeLight(Dashboard):
    """A cowl with a lamp that is lit when the brake was used in the step before; left and right alike."""

    elements = (StateElement(BRAKE_LIGHT, 1.0, 1.0),)

    def __init__(self, vehicle: type[Vehicle], camera: Camera) -> None:
        if not vehicle.has_brake:
            raise InvalidArgumentError(
                f"dashboard is 'brake-light', but a {vehicle.name} has no brake; allowed for it: {NONE}"
            )
        self._cowl, self._lamp = masks(camera.height, camera.width)
        self._is_lit = False

    def begin(self) -> None:
        """The lamp is out."""
        self._is_lit = False

    def note(self, vehicle: Vehicle, action: np.ndarray) -> None:
        """Light the lamp, or put it out."""
        self._is_lit = vehicle.brakes(action)

    def values(self) -> np.ndarray:
        """(1,) whether it is lit."""
        return np.array([self._is_lit], np.float32)

    def draw(self, frames: Frames, camera: int) -> None:
        """Draw cowl and lamp."""
        frames.rgb[camera][self._cowl] = COWL_COLOR
        frames.rgb[camera][self._lamp] = LIT_COLOR if self._is_lit else DARK_COLOR
        frames.depth[camera][self._cowl] = DISTANCE_M
        frames.segmentation[camera][self._cowl] = VEHICLE_ID


def masks(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) bool each: the pixels of the cowl, lamp included, and those of the lamp, in pictures of this size."""
    across = (np.arange(width) + 0.5) / width - 0.5
    down = ((np.arange(height) + 0.5) / height)[:, None]
    cowl = (across / COWL_HALF_WIDTH) ** 2 + ((1.0 - down) / COWL_HEIGHT) ** 2 <= 1.0
    first, last = LAMP_ROWS
    lamp = (np.abs(across) <= LAMP_HALF_WIDTH) & (down >= first) & (down < last)
    return cowl | lamp, lamp


DASHBOARDS: Registry[type[Dashboard]] = Registry("dashboard", "forestpilot.sim.envs.dashboards:DASHBOARDS")
DASHBOARDS.register(NONE, NoDashboard, "nothing of the vehicle is in its pictures")
DASHBOARDS.register("brake-light", BrakeLight, "a lamp that shows the brake of the step before")


def dashboard_of(state_names: tuple[str, ...]) -> str:
    """Name of the dashboard whose elements a state has; `none` where it has no dashboard's."""
    for name in DASHBOARDS.names():
        elements = [element.name for element in DASHBOARDS.get(name).elements]
        if elements and set(elements) <= set(state_names):
            return name
    return NONE
