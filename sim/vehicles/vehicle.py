"""Vehicles: a rigid body with a controller, what it tells of itself, what planners and renderers must know of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from forestpilot.sim.cameras import Camera, Rig, SideRange
from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.vehicles.free_body import FreeBody, equals_pybullet
from forestpilot.sim.vehicles.rigid_body import POSITION
from forestpilot.sim.worlds.hazards.traffic import Traffic
from forestpilot.sim.worlds.world import World

NUM_CANDIDATES = 21
"""Number of candidate turns that an expert tells the cost of."""
MIDDLE_M = 0.5
"""No vehicle's centre of mass is further than this from its `base_position`."""
COASTED = ("apply", "begin", "create", "read", "_make_shape", "_push")
"""Methods whose work `coast` does or relies on."""


class StateElement(NamedTuple):
    """One element of the observed state."""

    name: str
    """Its name, with its unit."""
    scale: float
    """Typical size."""
    mirror: float
    """+1 or -1: its sign in the world mirrored left to right."""


class Vehicle(FreeBody, ABC):
    """A vehicle: what an environment asks of any.

    Args:
        client_id: PyBullet's physics client id.
    """

    name: ClassVar[str]
    """Name under which it is registered."""
    turn_kind: ClassVar[str]
    """Name in `TURNS` of what the first element of an action is."""
    max_turn_rad: ClassVar[float]
    """What turn = 1 asks for, in radians."""
    max_speed_mps: ClassVar[float]
    """Largest speed set point in m/s."""
    state_elements: ClassVar[tuple[StateElement, ...]]
    """The observed state, in order; must name `forward_mps`, `left_mps` and `yaw_rate_radps`."""
    wheelbase_m: ClassVar[float] = 0.0
    """Distance of the axles in metres; 0 without wheels."""
    steering_rad: float = 0.0
    """Angle of the front wheels, left positive; 0 without wheels."""
    side_range: ClassVar[SideRange] = SideRange()
    """How far its side cameras are drawn from its own pose and motion."""
    has_brake: ClassVar[bool] = False
    """Whether it has a brake that a lamp could show."""
    body_discs: ClassVar[tuple[tuple[float, float], ...]] = ((0.0, 0.3),)
    """The body as discs: how far ahead of `base_position` each is, and its radius, in metres."""
    may_coast: bool = True
    """False leaves every sub-step to PyBullet, for whoever pushes the body there."""

    @classmethod
    def state_index(cls, name: str) -> int:
        """Place of an element of the state by its name."""
        return [element.name for element in cls.state_elements].index(name)

    @classmethod
    def candidate_turns_rad(cls) -> np.ndarray:
        """(K,) candidate turns in radians, ascending, from full right to full left."""
        return np.linspace(-cls.max_turn_rad, cls.max_turn_rad, NUM_CANDIDATES)

    @classmethod
    def rig(cls, camera: Camera) -> Rig:
        """Where its three cameras stand, if nobody says otherwise."""
        return Rig(camera)

    @property
    @abstractmethod
    def look(self) -> VehicleLook:
        """Looks of the vehicle."""

    @classmethod
    @abstractmethod
    def reach_m(cls, speed_mps: float, control_hz: int) -> float:
        """Distance within which colliders must stand for one control step, in metres."""

    @abstractmethod
    def begin(self, world: World) -> None:
        """Make the body at the start of a world, in a freshly reset simulation."""

    @abstractmethod
    def put(self, place_m: np.ndarray, yaw_rad: float, speed_mps: float) -> None:
        """Stand at a place (>= 2,) in metres, moving along the heading."""

    @abstractmethod
    def command(self, action: np.ndarray, set_point_mps: float) -> Any:
        """Command of an action (2,) in [-1, 1]: what it asks for, held for one control step."""

    def brakes(self, action: np.ndarray) -> bool:
        """Tell if an action (2,) uses the brake."""
        return False

    @abstractmethod
    def apply(self, command: Any) -> None:
        """Run the controller once and hand PyBullet force and torque for the next sub-step."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A class that changes what `coast` relies on leaves sub-steps to PyBullet, unless it changes `coast` too."""
        super().__init_subclass__(**kwargs)
        for base in cls.__mro__:
            if "coast" in vars(base):
                return
            if not vars(base).keys().isdisjoint(COASTED):
                cls.coast = Vehicle.coast  # type: ignore[method-assign]
                return

    def coast(self, command: Any, discs: np.ndarray, path: np.ndarray) -> bool:
        """Go through the sub-steps of a control step at once, where nothing can be touched: for vehicles that have a
        kernel for that, and only where it does what PyBullet does, bit for bit.

        Args:
            command: as `apply` takes it.
            discs: (n, 3) x, y and radius of what stands in the world, in metres.
            path: (sub-steps, 3) is filled with the positions after each of them.

        Returns:
            True if the vehicle has moved; else the sub-steps are PyBullet's: `apply`, step and `read`.
        """
        return False

    @property
    def coasts(self) -> bool:
        """True if it has a `coast` of its own, which does what this machine's PyBullet does, and `may_coast`."""
        return self.may_coast and type(self).coast is not Vehicle.coast and equals_pybullet()

    @property
    def may_touch_ground(self) -> bool:
        """True where the ground may be touched now, which would be a collision."""
        return False

    @abstractmethod
    def observed_state(self, set_point_mps: float) -> np.ndarray:
        """(S,) float32, as `state_elements` name it."""

    @abstractmethod
    def clearance_m(self, world: World, path: np.ndarray) -> float:
        """Least distance in metres from the body to an obstacle along the last positions (n, 3) of its state."""

    def gap_m(self, traffic: Traffic) -> float:
        """Distance in metres from the body, as `body_discs`, to what moves in the world, where both are now."""
        x, y, _ = self.base_position().tolist()
        yaw = self.yaw_rad
        cosine = math.cos(yaw)
        sine = math.sin(yaw)
        places: dict[float, list[tuple[float, float]]] = {}
        for ahead, radius in self.body_discs:
            places.setdefault(radius, []).append((x + ahead * cosine, y + ahead * sine))
        return min(traffic.clearance_m(np.array(there)) - radius for radius, there in places.items())

    def least_gap_m(self, traffic: Traffic, known_m: float) -> float:
        """The less of a gap in metres that is known and `gap_m`, which is not worked out where that is plainly more."""
        reach_m = max(abs(ahead) + radius for ahead, radius in self.body_discs) + MIDDLE_M
        if traffic.clearance_m(self.state[None, :2]) - reach_m > known_m:
            return known_m
        return min(known_m, self.gap_m(traffic))

    @abstractmethod
    def motion_state(self) -> Any:
        """The state that the planner's motion model rolls on."""

    def base_position(self) -> np.ndarray:
        """(3,) the body frame's origin in metres."""
        return self.state[POSITION].copy()

    @property
    def forward_mps(self) -> float:
        """Speed along the heading in m/s."""
        velocity = self.heading_frame().velocity_mps
        return float(velocity[0])

    def state_bytes(self) -> bytes:
        """The full state of the motion, for hashes."""
        return self.state.tobytes()
