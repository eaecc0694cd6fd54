"""The course along a forest road: to the end of the route, put back on the line where the rule says so."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from forestpilot.sim.courses.course import Course, NotBegunError, require_choice
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.hazards.traffic import NOW
from forestpilot.sim.worlds.roads.lane import first_in_lane
from forestpilot.sim.worlds.roads.road import COMMAND_NAMES, FOLLOW, PRESETS, RoadConfig, RoadWorld, make_road
from forestpilot.sim.worlds.roads.route_table import RouteTable
from forestpilot.sim.worlds.roads.speeds import speed_profile
from forestpilot.sim.worlds.world import World

if TYPE_CHECKING:
    from typing_extensions import Self

LANE_M = 1.0
"""A car further from the line than this has departed: the limit at which PilotNet's drivers took over (Bojarski et al.
2016, arXiv:1604.07316, section 7.1)."""
LOST_M = 2.0
"""Without interventions a drive ends this far beyond the edge of its road."""
STUCK_MPS = 0.5
STUCK_S = 5.0
"""A car slower than this for so long is stuck, which counts as an intervention."""
RESTART_AHEAD_M = 2.0
"""A car that was put back starts this much further along the line: past what it stood against."""
SLOWEST_SHARE = 0.1
"""No road asks for less than this share of the speed set point, of 10 m/s at most, on average."""
HELD_UP_M = 15.0
"""Who stands this near before something in the lane is held up, and not stuck."""
ROOM_AHEAD_M = 7.0
ROOM_BEHIND_M = 3.0
"""A car is put back to a place with so much free lane before and behind its middle."""
LONGEST_HOLD_S = 30.0
"""No hazard holds up who waits for it longer than this, besides one that drives ahead."""
INTERVENTIONS = ("none", "line", "road")

COMMAND_GOALS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -1.0]], np.float32)
"""What `goal` reads for each command: follow, left, straight, right."""


class RoadCourse(Course):
    """Drive a road to the end of its route.

    Args:
        preset: `easy`, `winding`, `junctions` or `obstacles`.
        interventions: `none`, `line` or `road`.
        speed: speed set point, 1 m/s and up.
        max_speed_mps: largest one that is allowed.
        **changes: fields of `RoadConfig` that differ from the preset's; None leaves one as it is.
    """

    name = "road"
    reset_options = ("speed", "length")

    def __init__(
        self,
        preset: str = "winding",
        interventions: str = "none",
        speed: float = 10.0,
        max_speed_mps: float = 20.0,
        **changes: Any,
    ) -> None:
        require_choice("preset", preset, tuple(PRESETS))
        require_choice("interventions", interventions, INTERVENTIONS)
        super().__init__(speed, max_speed_mps)
        given = {name: value for name, value in changes.items() if value is not None}
        self.config: RoadConfig = dataclasses.replace(PRESETS[preset], **given)
        self.rule = interventions
        self._table: RouteTable | None = None

    @property
    def table(self) -> RouteTable:
        """The route of this episode, with speeds."""
        if self._table is None:
            raise NotBegunError("no episode has begun; call reset() first")
        return self._table

    def with_options(self, options: dict[str, Any]) -> Self:
        """Another `speed` in m/s or `length` in metres."""
        changed = super().with_options(options)
        if "length" in options:
            changed.config = dataclasses.replace(self.config, length_m=float(options["length"]))
        return changed

    def make_world(self, seed: int) -> RoadWorld:
        """The road of a seed."""
        return make_road(self.config, seed)

    def begin(self, world: World, vehicle: Vehicle) -> None:
        """A vehicle stands at the start of a road."""
        assert isinstance(world, RoadWorld)
        self._table = RouteTable(world.route, speed_profile(world.route, world.grip, self.speed_mps))
        self.index = 0
        """Point of the line that the vehicle is at."""
        self._interventions = 0
        self._intervened = False
        self._slow_steps = 0
        super().begin(world, vehicle)

    def time_limit_s(self) -> float:
        """Twice what the road's speeds need, and 20 s."""
        needed_s = float(np.sum(self.table.spacing_m / self.table.rows["speed_mps"]))
        held_up_s = sum(hazard.longest_s for hazard in self.world.hazards)
        return min(2 * needed_s + 20.0 + held_up_s, self.longest_s())

    def longest_s(self) -> float:
        """A bound for every road of this length."""
        held_up_s = LONGEST_HOLD_S * self.config.hazards
        return 2 * self.config.length_m / (SLOWEST_SHARE * min(self.speed_mps, 10.0)) + 20.0 + held_up_s

    def follow(self, vehicle: Vehicle) -> None:
        """Find the vehicle on the route, near where it was."""
        x, y, _ = vehicle.base_position()
        self.index, self._along_m, self._offset_m = self.table.locate(x, y, self.index)

    def way_m(self, vehicle: Vehicle) -> float:
        """Along the route."""
        return self.table.distance_m(self.index, self._along_m)

    def intervene(self, vehicle: Vehicle, collided: bool, control_hz: int) -> bool:
        """Put the vehicle back on the line where a safety driver would take over."""
        self._intervened = self.rule != "none" and (collided or self._must_intervene(vehicle, control_hz))
        if self._intervened:
            self._put_back(vehicle)
        return self._intervened

    def _must_intervene(self, vehicle: Vehicle, control_hz: int) -> bool:
        vx, vy, _ = vehicle.velocity_mps
        slow = vx**2 + vy**2 < STUCK_MPS**2 and not self._is_taken(self.index, HELD_UP_M, vehicle)
        self._slow_steps = self._slow_steps + 1 if slow else 0
        if self._slow_steps >= STUCK_S * control_hz:
            return True
        if self.rule == "road":
            return self._off_road()
        return abs(self._offset_m) > LANE_M

    def _put_back(self, vehicle: Vehicle) -> None:
        """Set the vehicle on the line, a little further along, at a speed that the road allows."""
        self._interventions += 1
        self._slow_steps = 0
        self.index += round(RESTART_AHEAD_M / self.table.spacing_m)
        if not self.table.route.closed:
            self.index = min(self.index, len(self.table.rows) - 1)
        speed_mps = float(np.hypot(*vehicle.velocity_mps[:2]))
        if self.traffic and self._go_before_traffic(vehicle):
            speed_mps = 0.0
        point = self.table.point(self.index)
        speed = min(speed_mps, point.speed_mps)
        vehicle.put(np.array([point.x_m, point.y_m]), point.heading_rad, speed)
        self.follow(vehicle)

    def _go_before_traffic(self, vehicle: Vehicle) -> bool:
        """Go back along the line to where nothing that moves is near; returns whether that is further back."""
        behind = round(ROOM_BEHIND_M / self.table.spacing_m)
        first = self.index
        while self._is_taken(self.index - behind, ROOM_BEHIND_M + ROOM_AHEAD_M, vehicle):
            if self.index <= behind and not self.table.route.closed:
                break
            self.index -= 1
        return self.index < first

    def _is_taken(self, index: int, ahead_m: float, vehicle: Vehicle) -> bool:
        """Tell if something that moves is in the lane, as wide as the vehicle, from a point of the line on."""
        if not self.traffic:
            return False
        half_width_m = max(radius for _, radius in vehicle.body_discs)
        points = round(ahead_m / self.table.spacing_m)
        free = first_in_lane(
            self.table.rows, self.table.route.closed, index, points, self.traffic.discs(NOW), half_width_m
        )
        return bool(np.isfinite(free[0]))

    def _off_road(self) -> bool:
        point = self.table.point(self.index)
        return bool(self._offset_m > point.left_m or self._offset_m < -point.right_m)

    def goal(self, vehicle: Vehicle) -> np.ndarray:
        """The route command: (0, 0) follow, (0, 1) left, (1, 0) straight, (0, -1) right."""
        return COMMAND_GOALS[self._command()].copy()

    def _command(self) -> int:
        """The route command here."""
        commands = self.table.route.command
        if self.index < 0:
            return FOLLOW
        return int(commands[self.index % len(commands)])

    def distance_left_m(self, vehicle: Vehicle) -> float:
        """Distance to the end along the route."""
        return float(self.table.route.length_m - 0.5 - self.table.distance_m(self.index, self._along_m))

    def is_reached(self, vehicle: Vehicle) -> bool:
        """At the end of the route."""
        return self.distance_left_m(vehicle) <= 0.0

    def is_left(self, vehicle: Vehicle) -> bool:
        """Without interventions, `LOST_M` beyond the edge of the road."""
        point = self.table.point(self.index)
        inside = -point.right_m - LOST_M <= self._offset_m <= point.left_m + LOST_M
        return self.rule == "none" and not inside

    def info(self, vehicle: Vehicle) -> dict[str, Any]:
        """Place on the road, and how often the vehicle was put back."""
        return {
            "lateral_offset_m": float(self._offset_m),
            "heading_error_rad": self.table.heading_error_rad(self.index, vehicle.yaw_rad),
            "off_road": self._off_road(),
            "lane_departure": self._intervened or abs(self._offset_m) > LANE_M,
            "intervened": self._intervened,
            "interventions": self._interventions,
            "command": COMMAND_NAMES[self._command()],
        }

    def state_bytes(self) -> bytes:
        """State of the course: how often the vehicle was put back."""
        return np.array([self._interventions], np.float64).tobytes()
