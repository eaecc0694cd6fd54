"""`ForestPilot/Vehicle-v0`: any registered vehicle on any registered course."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forestpilot.sim.courses import COURSES
from forestpilot.sim.envs.base import Seeing, VehicleEnv
from forestpilot.sim.experts import EXPERTS
from forestpilot.sim.vehicles import VEHICLES


class AnyVehicleEnv(VehicleEnv):
    """Put a vehicle on a course, both by name: a car in the forest, a drone along a road, or somebody else's rover.

    Spaces, dynamics, reward, starting state and episode end are those of the vehicle and of the course: see
    `ForestPilot/Drone-v0` and `ForestPilot/Drive-v0`. The state's elements stand in `env.unwrapped.task_spec`.

    ## Arguments
    See `__init__`; all are plain JSON values, so that the spec serialises.

    ## Version history
    v0: first version.
    """

    def __init__(
        self,
        vehicle: str = "quadrotor",
        course: str = "forest",
        advisor: str = "flight",
        task: str = "",
        speed: float | None = None,
        course_options: Mapping[str, Any] | None = None,
        side_cameras: str = "fixed",
        time_limit_s: float | None = None,
        **seeing: Any,
    ) -> None:
        """Build the environment.

        Args:
            vehicle: name in `VEHICLES`.
            course: name in `COURSES`.
            advisor: name in `EXPERTS` of who is asked for labels; empty for nobody.
            task: name under which data and policies are filed; by default vehicle and course.
            speed: speed set point in m/s; the course's ordinary one by default.
            course_options: other arguments of the course, for example `{"preset": "loquercio"}`.
            side_cameras: `fixed`, `random` or `random-speed`.
            time_limit_s: seconds until timeout; the course's by default.
            **seeing: fields of `forestpilot.sim.envs.base.Seeing`.

        Raises:
            UnknownNameError: a name is not registered.
            ValueError: an argument is out of range; the message names what is allowed.
        """
        vehicle_class = VEHICLES.get(vehicle)
        options = {"max_speed_mps": vehicle_class.max_speed_mps, **(course_options or {})}
        if speed is not None:
            options["speed"] = speed
        super().__init__(
            task or f"{vehicle}-{course}",
            vehicle_class,
            COURSES.get(course)(**options),
            EXPERTS.get(advisor) if advisor else None,
            Seeing(**seeing),
            side_cameras,
            time_limit_s,
        )
