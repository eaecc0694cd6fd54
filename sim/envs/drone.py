"""`ForestPilot/Drone-v0`: fly through a dense forest from three camera images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forestpilot.sim.courses.coloured import ColouredCourse
from forestpilot.sim.courses.forest import ForestCourse
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.envs.seeing import Seeing
from forestpilot.sim.experts.flight import FlightExpert
from forestpilot.sim.experts.threader import Threader
from forestpilot.sim.goals import AHEAD, GOALS_WITHIN_M
from forestpilot.sim.vehicles.quadrotor import Quadrotor
from forestpilot.sim.worlds.coloured import ORDERS
from forestpilot.sim.worlds.rows import ASIDE_M


class DroneEnv(VehicleEnv):
    """Fly a quadrotor through a forest to a goal, 40 m away or anywhere, at a commanded speed, from three cameras.

    ## Action space
    `Box(-1, 1, (2,), float32)`: `turn` times 60 degrees is the change of heading asked for, left positive; `go` from
    -1 to 1 is the speed from 0 to the set point. Altitude is held on board. Values outside are clipped; NaN and
    other shapes raise.

    ## Observation space
    `Dict` of `left`, `center`, `right`: uint8 (height, width, 3) images, side cameras yawed by +-20 degrees, all
    tilting with the body; `goal`: float32 (2,), cosine and sine of the bearing to the goal from the heading; with
    `goal_kind="vector"` (3,), and the distance d as d / (d + 10 m). With `goal_kind="image"` `goal` reads 0, and
    `goal_image` (height, width, 3) is what the center camera would see at the goal, level, heading there as the goal
    lies from the start, drawn once an episode. On courses of coloured gates `goal_kind="order"` tells direction,
    distance and nine numbers (a one for the colour of each row), and `goal_kind="demonstration"` direction and
    distance, beside `demonstration` (12, height, width, 3), what the expert's center camera saw on such a way in
    another world, and `demonstration_steps` (12, 15), its state, goal and action there. And `state`: float32 (10,):

    | i | element | unit | frame |
    |---|---|---|---|
    | 0-2 | velocity forward, left, up | m/s | heading (yaw only) |
    | 3, 4 | roll, pitch (nose down positive) | rad | body |
    | 5-7 | roll, pitch, yaw rate | rad/s | body |
    | 8 | speed set point | m/s | |
    | 9 | altitude | m | world |

    ## Dynamics
    A PyBullet rigid body of 0.8 kg with rotor drag, motor lag and thrust limits, flown by a cascade controller at
    240 Hz: see `forestpilot.sim.vehicles.quadrotor`. Trees are cylinders; touching one, the ground or
    a walker is a collision.

    ## Reward
    Metres of progress towards the goal in this step, minus 10 for a collision or for leaving the flight area.

    ## Starting state
    Hovering at the origin, heading along +x, the goal straight ahead (with `goals="anywhere"` anywhere in the forest,
    where there is room; `reset(options={"goal": (x, y)})` says where). `reset(seed=s)` flies the world of seed `s`:
    seeds below 1,000,000 are for training, below 2,000,000 for validation, the others for tests. Without a seed a
    training world is drawn.

    ## Episode end
    Terminates on success (within `goal_radius_m` of the goal), collision, or out_of_bounds (outside the forest's
    rectangle, above 3 m, or through a gate of another colour than the order's). Truncates on timeout after
    `time_limit_s`.

    ## Info
    `is_success`, `outcome`, `progress_m`, `clearance_m` (least distance in this step from the body's 0.25 m radius
    to a trunk, or at its end to a walker), `speed_mps`, `world_seed`, the terms of the reward (`reward_progress`,
    `reward_crash`, `reward_intervention`), `place` where goals are told with more than their bearing (x and y in m,
    heading in rad), `camera_offsets` (3, 3): shift (m) and yaw (rad) of the cameras, and 0; where they are drawn
    (3, 6), what would be otherwise if the drone were there: speed along and across the heading (m/s), yaw rate (rad/s),
    bearing to the goal (rad); with `expert=True` also `expert_action` (3, 2) and `expert_costs` (3, 21): what the
    expert answers if the drone were there; row 1 is the drone's own.

    ## Arguments
    See `__init__`; all are plain JSON values, so that the spec serialises.

    ## Version history
    v0: first version.
    """

    def __init__(
        self,
        preset: str = "default",
        density: float = 1 / 25,
        speed: float = 5.0,
        width: int = 64,
        height: int = 48,
        renderer: str = "raycast",
        control_hz: int = 10,
        expert: bool = False,
        domain_randomisation: bool = True,
        trail: bool = False,
        time_limit_s: float | None = None,
        render_mode: str | None = None,
        render_width: int = 640,
        render_height: int = 360,
        rig: Mapping[str, float] | None = None,
        observe: Sequence[str] = ("rgb",),
        dropped_pictures: float = 0.0,
        gaps: int = 0,
        gaps_aside: float = ASIDE_M,
        advisor: str | Mapping[str, Any] = "",
        lead_in: Sequence[Sequence[float]] = (),
        pose_noise: Mapping[str, float] | None = None,
        side_cameras: str = "fixed",
        goals: str = AHEAD,
        goals_within: float = GOALS_WITHIN_M,
        goal_kind: str = "",
        movers: int = 0,
        order: str = "",
        shown: str = "",
    ) -> None:
        """Build the environment.

        Args:
            preset: `default` (trunks 0.24-0.70 m across) or `loquercio` (0.6 m), both 30 x 60 m.
            density: trees per square metre.
            speed: speed set point, 1 to 12 m/s.
            width, height: size of each camera image in pixels, 32x24 to 1280x720.
            renderer: `raycast`, `tiny` or `egl`.
            control_hz: actions per second, a divisor of 240.
            expert: put the expert's labels into `info`.
            domain_randomisation: draw colours, light, fog and textures per world.
            trail: a winding trail without trees leads to the goal.
            time_limit_s: seconds until timeout; by default twice the time of a straight flight and 5 s.
            render_mode: None, `rgb_array`, `depth_array` or `human`.
            render_width, render_height: size of the chase view in pixels.
            rig: where the cameras stand, for example `{"side_yaw_rad": 0.5, "horizontal_fov_deg": 100}`; see
                `forestpilot.sim.cameras.Rig`.
            observe: kinds of images that are observed: `rgb`, `depth`, `segmentation`.
            dropped_pictures: share of the steps, 0 to 1, at which all three cameras are black and only state and goal
                are told; which steps follows from the seed.
            gaps: rows of trunks stand across the way, each with so many gaps; 0 for none.
            gaps_aside: the middle of a row's gaps lies up to so many metres beside the straight way, 0 to 5.
            advisor: name of the expert that is asked for labels, or the name as `part` with options beside it, for
                example `{"part": "undecided", "left_share": 0.3}`; empty for the flight expert.
            lead_in: actions that are done before an episode begins: it begins where they lead.
            pose_noise: every so often the drone is put elsewhere, for example `{"every_s": 0.8, "shift_m": 1.0}`; see
                `forestpilot.sim.envs.pose_noise.PoseNoise`.
            side_cameras: `fixed` at 0.06 m and 20 degrees; drawn anew for every picture (`random`): up to 1.5 m
                to their side as far as there is room, up to 35 degrees to either, a fifth of the set point faster or
                slower and up to 0.3 of it sideways; so too, but at any speed (`random-speed`); or gliding from one
                such place to the next (`random-path`), for policies with a memory.
            goals: the goal lies `ahead`, 40 m away, or `anywhere` in the forest.
            goals_within: goals anywhere lie within so many metres of the start, 9 and up.
            goal_kind: how the goal is told: `bearing`, with its distance (`vector`), or as the picture there (`image`);
                by default `bearing` where it lies ahead and `vector` where it lies anywhere.
            movers: so many walkers, 0 to 10, go to and fro across the way at 1 to 3 m/s, where there is a free line
                between the trees.
            order: the way leads through three rows of coloured gates; this is the order of their colours, for example
                `red-blue-red`. Empty for a forest without them.
            shown: with `goal_kind="demonstration"`, the order that is demonstrated; by default `order`. Another one is
                a wrong demonstration: success still asks for `order`.

        Raises:
            ValueError: an argument is out of range; the message names what is allowed.
        """
        forest: dict[str, Any] = {
            "preset": preset,
            "density": density,
            "trail": trail,
            "domain_randomisation": domain_randomisation,
            "speed": speed,
            "max_speed_mps": Quadrotor.max_speed_mps,
            "gaps": gaps,
            "gaps_aside": gaps_aside,
            "goals": goals,
            "goals_within": goals_within,
            "goal_kind": goal_kind,
            "movers": movers,
        }
        has_gates = bool(order)
        missing = "there are no coloured gates; give order, for example red-blue-red"
        ORDERS.require_shown(has_gates, shown, goal_kind, missing, "goal_kind")
        course = ColouredCourse(order, shown, **forest) if has_gates else ForestCourse(**forest)
        seeing = Seeing(
            width=width,
            height=height,
            renderer=renderer,
            control_hz=control_hz,
            expert=expert,
            rig=rig,
            observe=tuple(observe),
            dropped_pictures=dropped_pictures,
            render_mode=render_mode,
            render_width=render_width,
            render_height=render_height,
        )
        super().__init__(
            "drone",
            Quadrotor,
            course,
            Threader if has_gates else FlightExpert,
            seeing,
            side_cameras,
            time_limit_s=time_limit_s,
            advisor=advisor,
            lead_in=lead_in,
            pose_noise=pose_noise,
        )
