"""The flight expert: for each candidate heading it tries to hold the heading for a while, then one of nine second
headings around the bearing to the goal. A rollout pays for closeness to trunks, for collision (the sooner the dearer)
and for leaving the flight area; a candidate pays besides for its angle from the goal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from forestpilot.sim.cameras import ACROSS, CENTER, FASTER, FORWARD, Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.expert import (
    CameraViews,
    Labels,
    RecallingExpert,
    UnsuitableExpertError,
)
from forestpilot.sim.experts.flight_rollouts import plan_turns
from forestpilot.sim.experts.lanes import NEVER
from forestpilot.sim.experts.planner import Advice, Ground, RolloutPlanner
from forestpilot.sim.records import record_of
from forestpilot.sim.vehicles.quadrotor import (
    MAX_TURN_RAD,
    MODEL_STEP_S,
    FlightMotion,
    Quadrotor,
)
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.clearance import ClearanceMap
from forestpilot.sim.worlds.world import World

CANDIDATE_TURNS_RAD = Quadrotor.candidate_turns_rad()
"""(K,) heading changes in radians, ascending, relative to the heading."""
REFINEMENTS_RAD = (math.radians(3.0), math.radians(1.5))
NO_REFINEMENTS = np.empty(0)
NO_DISCS = np.empty((0, 0, 3))
"""Nothing moves."""
VELOCITY = slice(2, 4)
ACCELERATION = slice(4, 6)
ACCELERATION_AHEAD = slice(6, 8)
"""Columns of an array of `FlightMotion`."""


@dataclass(frozen=True)
class PlannerConfig:
    """Costs and horizon of the rollout planner."""

    horizon_m: float = 14.0
    """Length of a rollout in metres, where the time limits below allow it."""
    horizon_s: tuple[float, float] = (1.2, 4.5)
    """Shortest and longest rollout in seconds."""
    clearance_weight: float = 2.5
    """Cost per metre flown at zero clearance."""
    clearance_decay_m: float = 0.3
    """Clearance over which that cost falls by e, in metres."""
    safety_margin_m: float = 0.06
    """A rollout that comes closer than this to a trunk counts as a collision, in metres."""
    second_heading_step_rad: float = 0.26
    """Spacing of the nine second headings around the bearing to the goal, in radians."""
    switch_s: tuple[float, float] = (0.35, 0.9)
    """Times at which a rollout turns from its first to its second heading, in seconds."""
    change_weight: float = 0.15
    """Cost per radian between first and second heading."""
    outside_weight: float = 3.0
    """Cost per metre flown outside the flight area, and per metre of distance to it."""

    def constants(self) -> FlightCosts:
        """Constants that the kernels need."""
        least_s, most_s = self.horizon_s
        first_s, second_s = self.switch_s
        return FlightCosts(
            self.horizon_m,
            least_s,
            most_s,
            self.clearance_weight,
            self.clearance_decay_m,
            self.safety_margin_m,
            self.second_heading_step_rad,
            first_s,
            second_s,
            self.change_weight,
            self.outside_weight,
        )


class FlightCosts(NamedTuple):
    """`PlannerConfig` as the kernels take it."""

    horizon_m: float
    least_s: float
    most_s: float
    clearance_weight: float
    clearance_decay_m: float
    safety_margin_m: float
    second_heading_step_rad: float
    first_switch_s: float
    second_switch_s: float
    change_weight: float
    outside_weight: float


class FlightArea(NamedTuple):
    """The rectangle to stay in, in metres."""

    west: float
    east: float
    south: float
    north: float


class FlightMoment(NamedTuple):
    """All that the flight expert reads, besides where the cameras stand."""

    motion: FlightMotion
    discs: np.ndarray
    """(T, M, 3) where what moves will be: see `FlightPlanner.advise_all`."""


class FlightPlanner(RolloutPlanner):
    """Rolls out the quadrotor's motion model among trunks, and among what moves.

    Args:
        clearance: the world's clearance map.
        bounds_m: (x_min, x_max, y_min, y_max) of the flight area in metres.
        goal_m: (>= 2,) position of the goal in metres.
        config: costs and horizon.
    """

    def __init__(
        self,
        clearance: ClearanceMap,
        bounds_m: tuple[float, float, float, float],
        goal_m: np.ndarray,
        config: PlannerConfig = PlannerConfig(),
    ) -> None:
        super().__init__(CANDIDATE_TURNS_RAD, REFINEMENTS_RAD)
        self._config = config
        self._goal_m = np.array(goal_m[:2], np.float64)
        self._plan = record_of(config.constants(), Ground.of(clearance), FlightArea(*bounds_m))
        self._distance = clearance.distance_m
        self._steps_rad = np.array(REFINEMENTS_RAD)

    def times_s(self, speed_mps: float) -> np.ndarray:
        """(T,) float64 seconds from now at which the steps of a rollout end, at a speed set point in m/s."""
        shortest_s, longest_s = self._config.horizon_s
        total_s = min(max(self._config.horizon_m / speed_mps, shortest_s), longest_s)
        return MODEL_STEP_S * np.arange(1, int(total_s / MODEL_STEP_S + 0.5) + 1)

    def costs(self, turns_rad: np.ndarray, *state: Any) -> np.ndarray:
        """(n,) float64 costs of heading changes (n,).

        Args:
            turns_rad: heading changes in radians.
            *state: `FlightMotion`, heading in radians, speed set point in m/s, above 0; then, where something moves,
                discs as `advise_all` takes them.
        """
        motion, yaw_rad, speed_mps, *moving = state
        states = (np.array([motion]), np.array([yaw_rad]), self._goals(1), float(speed_mps))
        costs, _ = self._plan_turns(states, turns_rad, NO_REFINEMENTS, *moving)
        return costs[0]

    def advise_all(
        self,
        motions: np.ndarray,
        yaws_rad: np.ndarray,
        speed_mps: float,
        goals_m: np.ndarray | None = None,
        discs: np.ndarray = NO_DISCS,
    ) -> list[Advice]:
        """`advise` at several states at once, in less time than one after the other.

        Args:
            motions: (S, 8) float64, each a `FlightMotion`.
            yaws_rad: (S,) float64 headings.
            speed_mps: speed set point, above 0.
            goals_m: (S, 2) float64, where to fly to from each state; the goal by default.
            discs: (T, M, 3) float64, x, y and radius in metres of what moves, at each of `times_s`.

        Raises:
            ValueError: there are discs, and not for as many times.
        """
        if goals_m is None:
            goals_m = self._goals(len(motions))
        states = (motions, yaws_rad, goals_m, float(speed_mps))
        costs, turns = self._plan_turns(states, self.turns_rad, self._steps_rad, discs)
        return [Advice(turn, row) for turn, row in zip(turns.tolist(), costs.astype(np.float32))]

    def _goals(self, count: int) -> np.ndarray:
        """(count, 2) the goal, as often as asked."""
        goals = np.empty((count, 2))
        goals[:] = self._goal_m
        return goals

    def _plan_turns(
        self,
        states: tuple[np.ndarray, np.ndarray, np.ndarray, float],
        turns_rad: np.ndarray,
        steps_rad: np.ndarray,
        discs: np.ndarray = NO_DISCS,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(S, n) float64 costs of the turns (n,) at states as the kernel takes them, and (S,) the best, refined by
        these steps (r,)."""
        if discs.shape[1] and len(discs) != len(self.times_s(states[-1])):
            raise InvalidArgumentError(
                f"discs are given for {len(discs)} times; a rollout at {states[-1]:g} m/s has "
                f"{len(self.times_s(states[-1]))} steps: ask for them at times_s()"
            )
        num_states = len(states[0])
        turns = np.empty((num_states, len(turns_rad)))
        turns[:] = turns_rad
        costs = np.full_like(turns, NEVER)
        chosen = np.empty(num_states)
        plan_turns(states, turns, steps_rad, self._plan, self._distance, discs, costs, chosen)
        return costs, chosen


@dataclass(frozen=True)
class FlightExpertConfig(ExpertConfig):
    """The flight expert has no options."""

    part: ClassVar[str] = "flight"


class FlightExpert(RecallingExpert):
    """Answers, for each camera heading, what a privileged pilot would do; sees geometry and no pixels.

    Args:
        vehicle: a quadrotor, begun.
        course: any course with a goal to fly to, begun.
        rig: where the cameras stand.
        config: nothing; a subclass may have options.
    """

    Config: ClassVar[type[ExpertConfig]] = FlightExpertConfig

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: Any = None) -> None:
        if not isinstance(vehicle, Quadrotor):
            raise UnsuitableExpertError(f"the flight expert flies a quadrotor, not a {vehicle.name}")
        world = course.world
        self._quadrotor = vehicle
        self._course = course
        self._planner = FlightPlanner(world.clearance, world.bounds_m, world.goal_m, self.planning(world))

    def planning(self, world: World) -> PlannerConfig:
        """Costs and horizon of its planner in a world."""
        return PlannerConfig()

    def goals_m(self, motions: np.ndarray) -> np.ndarray | None:
        """(S, 2) float64, where to fly to from each state (S, 8); None for the goal."""
        return None

    def paces(self, motions: np.ndarray) -> list[float]:
        """Share of the speed set point, 0 to 1, at which to fly at each state (S, 8)."""
        return [1.0] * len(motions)

    def moment(self) -> FlightMoment:
        """State of the drone's motion, and where what moves will be."""
        discs = NO_DISCS
        if traffic := self._course.traffic:
            discs = traffic.discs(self._planner.times_s(self._course.speed_mps))
        return FlightMoment(self._quadrotor.motion_state(), discs)

    def label_then(self, views: CameraViews, moment: FlightMoment) -> Labels:
        """Actions and candidate costs as if the drone were at each camera's place, heading and speed."""
        offsets = views.eyes[:, :2] - views.eyes[CENTER, :2]
        motions = np.tile(moment.motion, (len(offsets), 1))
        motions[:, :2] += offsets
        yaws_rad = np.array([math.atan2(y, x) for x, y, _ in views.axes[:, FORWARD].tolist()])
        if views.offsets.shape[1] > ACROSS:
            self._drift(motions, yaws_rad, views.offsets)
        labels = Labels.empty(len(offsets))
        goals_m = self.goals_m(motions)
        advices = self._planner.advise_all(motions, yaws_rad, self._course.speed_mps, goals_m, moment.discs)
        for c, (advice, pace) in enumerate(zip(advices, self.paces(motions))):
            labels.actions[c] = advice.turn_rad / MAX_TURN_RAD, 2.0 * pace - 1.0
            labels.costs[c] = advice.costs
        return labels

    def _drift(self, motions: np.ndarray, yaws_rad: np.ndarray, offsets: np.ndarray) -> None:
        """Add to each of the motions (C, 8) the speeds along and across its heading (C,) that are asked about."""
        along = offsets[:, FASTER].astype(np.float64)
        across = offsets[:, ACROSS].astype(np.float64)
        cosines = np.cos(yaws_rad)
        sines = np.sin(yaws_rad)
        faster = np.stack([along * cosines - across * sines, along * sines + across * cosines], axis=1)
        motions[:, VELOCITY] += faster
        # Tilted as it is, a faster drone is held back by more drag.
        drag = self._quadrotor.parameters.drag_per_s[0] * faster
        motions[:, ACCELERATION] -= drag
        motions[:, ACCELERATION_AHEAD] -= drag
