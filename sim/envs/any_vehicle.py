"""`ForestPilot/Vehicle-v0`: any registered vehicle on any registered course."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from forestpilot.sim.courses import COURSES
from forestpilot.sim.courses.course import Course
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.envs.seeing import Seeing
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts import DEFAULT_EXPERT, EXPERTS
from forestpilot.sim.vehicles import DEFAULT_VEHICLE, VEHICLES


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
        vehicle: str = DEFAULT_VEHICLE,
        course: str = "forest",
        advisor: str | Mapping[str, Any] = DEFAULT_EXPERT,
        task: str = "",
        side_cameras: str = "fixed",
        time_limit_s: float | None = None,
        lead_in: Sequence[Sequence[float]] = (),
        pose_noise: Mapping[str, float] | None = None,
        **options: Any,
    ) -> None:
        """Build the environment.

        Args:
            vehicle: name in `VEHICLES`.
            course: name in `COURSES`.
            advisor: name in `EXPERTS` of who is asked for labels, or the name as `part` with options beside it;
                empty for nobody.
            task: name under which data and policies are filed; by default vehicle and course.
            side_cameras: `fixed`, `random`, `random-speed`, or `random-path` for vehicles that drift.
            time_limit_s: seconds until timeout; the course's by default.
            lead_in: actions that are done before an episode begins: it begins where they lead.
            pose_noise: fields of `forestpilot.sim.envs.pose_noise.PoseNoise`: every so often the vehicle is put
                elsewhere.
            **options: fields of `forestpilot.sim.envs.seeing.Seeing`, and arguments of the course, for example
                `speed=3.0, density=0.02`.

        Raises:
            UnknownNameError: a name is not registered.
            ValueError: an argument is out of range, or neither of the course nor of `Seeing`; the message names what
                is allowed.
        """
        vehicle_class = VEHICLES.get(vehicle)
        course_class = COURSES.get(course)
        seeing, own = _split(options, course_class)
        usual_speed = inspect.signature(course_class).parameters["speed"].default
        own.setdefault("speed", min(usual_speed, vehicle_class.max_speed_mps))
        own.setdefault("max_speed_mps", vehicle_class.max_speed_mps)
        # The usual expert need not suit the vehicle: it is begun, and may say so, when somebody asks it.
        is_usual = advisor == DEFAULT_EXPERT
        super().__init__(
            task or f"{vehicle}-{course}",
            vehicle_class,
            course_class(**own),
            EXPERTS.get(DEFAULT_EXPERT) if is_usual else None,
            Seeing(**seeing),
            side_cameras,
            time_limit_s,
            "" if is_usual else advisor,
            lead_in,
            pose_noise,
        )


def _split(options: Mapping[str, Any], course: type[Course]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that say what is seen, and those of the course."""
    seen = {field.name for field in dataclasses.fields(Seeing)}
    parameters = inspect.signature(course).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = [name for name in options if name not in seen and name not in parameters and not takes_any]
    if unknown:
        allowed = ", ".join([*parameters, *sorted(seen)])
        raise InvalidArgumentError(f"nobody takes {', '.join(unknown)}; the course and the cameras take {allowed}")
    seeing = {name: value for name, value in options.items() if name in seen}
    return seeing, {name: value for name, value in options.items() if name not in seen}
