"""`ForestPilot/Drive-v0`: drive a winding forest road from three camera images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forestpilot.sim.courses.course import require_choice
from forestpilot.sim.courses.road import RoadCourse
from forestpilot.sim.courses.routes import RouteCourse
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.envs.dashboards import NONE
from forestpilot.sim.envs.seeing import Seeing
from forestpilot.sim.experts.driving import DrivingExpert
from forestpilot.sim.goals import BEARING, ROAD_KINDS
from forestpilot.sim.vehicles.car import Car
from forestpilot.sim.worlds.roads.routes import ROUTES, is_route


class DriveEnv(VehicleEnv):
    """Drive a car along a forest road to its end, at up to a commanded speed, from three cameras.

    ## Action space
    `Box(-1, 1, (2,), float32)`: `turn` times 0.52 rad (30 degrees) is the steering angle asked for, left positive,
    reached at 1.2 rad/s; `go` above 0 is throttle (1: 4 m/s2), below 0 brake (-1: 7 m/s2), as far as the tyres grip.
    Values outside are clipped; NaN and other shapes raise.

    ## Observation space
    `Dict` of `left`, `center`, `right`: uint8 (height, width, 3) images from behind the windscreen, 1.3 m above the
    road; `goal`: float32 (2,), the route command: (0, 0) follow the road, and before a junction (0, 1) left, (1, 0)
    straight, (0, -1) right; on routes over three junctions, told otherwise than by commands, (3,): 0, 0, and the way d
    that is left of the length L as d / (d + L / 4), with `goal_kind="order"` (9,), the commands at the three junctions
    beside it. With `goal_kind="demonstration"` there are `demonstration` (12, height, width, 3), what the expert's
    center camera saw on such a route in another world, and `demonstration_steps` (12, 14), its state, goal and action
    there. And `state`: float32 (9,), with a dashboard (10,):

    | i | element | unit | frame |
    |---|---|---|---|
    | 0, 1 | velocity forward, left | m/s | heading (yaw only) |
    | 2, 3 | roll, pitch (nose down positive) | rad | body |
    | 4-6 | roll, pitch, yaw rate | rad/s | body |
    | 7 | steering angle | rad | |
    | 8 | speed set point | m/s | |
    | 9 | brake light, with `dashboard="brake-light"` | 1 or 0 | |

    ## Dynamics
    A PyBullet rigid body of 600 kg on four sprung wheels with slipping tyres at 240 Hz, grip by surface: see
    `forestpilot.sim.vehicles.car_dynamics`. Touching a trunk, an obstacle or a hazard is a collision; branches give
    way. Hazards move by themselves once the car has come near; what they do follows from the seed.

    ## Reward
    Metres of progress along the route in this step, minus 10 for a collision, for getting lost and for every
    intervention.

    ## Starting state
    At rest on the line. `reset(seed=s)` drives the road of seed `s`; splits as for the drone.

    ## Episode end
    Terminates on success (the end of the route), and without interventions on collision or out_of_bounds (2 m off the
    road of the route). Truncates on timeout after `time_limit_s`.

    With `interventions="line"` a car that is more than 1 m off the line, has collided or is stuck (5 s slower than
    0.5 m/s, and nothing that moves is in its lane) is put back on the line, as in PilotNet's evaluation, and counted;
    with `"road"` the same happens when its middle is off the road of the route, to which a junction's other arms do not
    belong. Its place is looked at once per control step.

    ## Info
    `is_success`, `outcome`, `progress_m` (along the route), `clearance_m` (distance from the body, as three discs, to a
    trunk, obstacle or hazard at the end of this step, before a car is put back; cut off at 1.15 m), `speed_mps`,
    `world_seed`,
    `lateral_offset_m` and `heading_error_rad` (from the line, left positive), `off_road`, `lane_departure` (more than
    1 m off the line, or just put back on it), `intervened`, `interventions`, `command`, the terms of the reward
    (`reward_progress`, `reward_crash`, `reward_intervention`), `camera_offsets` (3, 3): shift (m) and yaw (rad) of the
    cameras, and the change of speed (m/s) that the expert was asked about, 0 but for `side_cameras="random-speed"`;
    with `expert=True` also `expert_action` (3, 2) and `expert_costs` (3, 21): what the expert answers if the car stood
    as the left, center, right camera does.

    ## Arguments
    See `__init__`; all are plain JSON values, so that the spec serialises.

    ## Version history
    v0: first version.
    """

    def __init__(
        self,
        preset: str = "winding",
        speed: float = 10.0,
        width: int = 64,
        height: int = 48,
        renderer: str = "raycast",
        control_hz: int = 10,
        expert: bool = False,
        domain_randomisation: bool = True,
        side_cameras: str = "fixed",
        interventions: str = "none",
        route: str = "seed",
        length: float | None = None,
        max_curvature: float | None = None,
        time_limit_s: float | None = None,
        render_mode: str | None = None,
        render_width: int = 640,
        render_height: int = 360,
        rig: Mapping[str, float] | None = None,
        observe: Sequence[str] = ("rgb",),
        dropped_pictures: float = 0.0,
        advisor: str | Mapping[str, Any] = "",
        lead_in: Sequence[Sequence[float]] = (),
        pose_noise: Mapping[str, float] | None = None,
        hazards: int = 0,
        hazard_kinds: Sequence[str] = (),
        dashboard: str = NONE,
        goal_kind: str = "",
        shown: str = "",
    ) -> None:
        """Build the environment.

        Args:
            preset: `easy`, `winding`, `junctions` or `obstacles`.
            speed: speed set point, 1 to 20 m/s; the expert goes slower in bends and where it cannot see far.
            width, height: size of each camera image in pixels, 32x24 to 1280x720.
            renderer: `raycast`, `tiny` or `egl`.
            control_hz: actions per second, a divisor of 240.
            expert: put the expert's labels into `info`.
            domain_randomisation: draw surface, colours, light, fog and textures per world.
            side_cameras: `fixed` at 0.5 m and 8 degrees, or drawn anew for every picture (`random`: up to 1.2 m and
                11 degrees), and with them the speed that the expert is asked about (`random-speed`), which no picture
                shows.
            interventions: `none`, `line` or `road`.
            route: at junctions turn as the `seed` says, or always `left`, `straight` or `right`; or the turns at three
                junctions, which the road then has, for example `left-right-straight`.
            length: length of the route in metres; the preset's by default.
            max_curvature: tightest bend in 1/m; the preset's by default.
            time_limit_s: seconds until timeout; by default twice what the expert's speeds need, and 20 s.
            render_mode: None, `rgb_array`, `depth_array` or `human`.
            render_width, render_height: size of the chase view in pixels.
            rig: where the cameras stand, for example `{"side_yaw_rad": 0.2, "horizontal_fov_deg": 100}`; see
                `forestpilot.sim.cameras.Rig`.
            observe: kinds of images that are observed: `rgb`, `depth`, `segmentation`.
            dropped_pictures: share of the steps, 0 to 1, at which all three cameras are black and only state and goal
                are told; which steps follows from the seed.
            advisor: name of the expert that is asked for labels, or the name as `part` with options beside it, for
                example `{"part": "late", "delay_s": 0.3}`; empty for the driving expert.
            lead_in: actions that are done before an episode begins: it begins where they lead.
            pose_noise: every so often the car is put elsewhere, for example `{"every_s": 0.8, "shift_m": 1.0}`; see
                `forestpilot.sim.envs.pose_noise.PoseNoise`.
            hazards: number of hazards along the road, one per 25 m at most: what moves when somebody comes.
            hazard_kinds: kinds of hazards to draw from; `deer`, `crossing` and `car` by default.
            dashboard: `none`, or `brake-light`: all three pictures show a dashboard whose lamp is lit when the brake
                was used in the step before; element 9 of the state, `brake_light`, is 1 then, else 0.
            goal_kind: how a route over three junctions is told: by the command at each junction (`bearing`, the usual),
                by the way that is left alone (`way`), with the commands at all junctions (`order`), or with a
                demonstration of the same route in another world (`demonstration`).
            shown: with `goal_kind="demonstration"`, the route that is demonstrated; by default `route`. Another one is
                a wrong demonstration: success still asks for `route`.

        Raises:
            ValueError: an argument is out of range; the message names what is allowed.
        """
        road: dict[str, Any] = {
            "preset": preset,
            "interventions": interventions,
            "speed": speed,
            "max_speed_mps": Car.max_speed_mps,
            "route": route,
            "domain_randomisation": domain_randomisation,
            "length_m": None if length is None else float(length),
            "max_curvature_per_m": None if max_curvature is None else float(max_curvature),
            "hazards": hazards,
            "hazard_kinds": tuple(hazard_kinds),
        }
        has_route = is_route(route)
        missing = "there is no route over three junctions; give route, for example left-right-straight"
        require_choice("goal_kind", goal_kind or BEARING, ROAD_KINDS)
        ROUTES.require_shown(has_route, shown, goal_kind, missing, "goal_kind")
        course = RouteCourse(shown=shown, goal_kind=goal_kind, **road) if has_route else RoadCourse(**road)
        seeing = Seeing(
            width=width,
            height=height,
            renderer=renderer,
            control_hz=control_hz,
            expert=expert,
            rig=rig,
            observe=tuple(observe),
            dropped_pictures=dropped_pictures,
            dashboard=dashboard,
            render_mode=render_mode,
            render_width=render_width,
            render_height=render_height,
        )
        super().__init__(
            "drive", Car, course, DrivingExpert, seeing, side_cameras, time_limit_s, advisor, lead_in, pose_noise
        )
