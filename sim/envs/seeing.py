"""What is seen of an episode, by whom: settings of cameras, pictures and labels, and the task spec that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import gymnasium
import numpy as np

from forestpilot.sim.cameras import CAMERA_NAMES, Camera, Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.envs.dashboards import DASHBOARDS, NONE
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.rendering import Frames
from forestpilot.sim.rendering.protocol import FAR_M, SKY_ID
from forestpilot.sim.vehicles.rigid_body import PHYSICS_HZ
from forestpilot.sim.vehicles.vehicle import Vehicle

RENDER_MODES = ("rgb_array", "depth_array", "human")
IMAGES = ("rgb", "depth", "segmentation")
"""Kinds of images that may be observed."""
LONGEST_S = 86_400.0
"""Longest time limit: a day."""


@dataclass(frozen=True)
class Seeing:
    """Settings of what is drawn, how large, how often, and for whom; all plain values."""

    width: int = 64
    """Width of each camera image in pixels, 32 to 1280."""
    height: int = 48
    """Height of each camera image in pixels, 24 to 720."""
    renderer: str = "raycast"
    """Name of the renderer."""
    control_hz: int = 10
    """Actions per second; divides 240."""
    expert: bool = False
    """Put the expert's labels into `info`."""
    rig: Mapping[str, float] | Rig | None = None
    """Where the cameras stand: fields of `Rig` and `horizontal_fov_deg` by name, the others as the vehicle has them."""
    observe: tuple[str, ...] = ("rgb",)
    """Kinds of images that are observed: `rgb`, `depth`, `segmentation`."""
    dropped_pictures: float = 0.0
    """Share of the steps, 0 to 1, whose pictures do not arrive: all cameras are blank then, and the state is told."""
    dashboard: str = NONE
    """Name of the dashboard in the pictures: `none`, or `brake-light`."""
    render_mode: str | None = None
    """None, `rgb_array`, `depth_array` or `human`."""
    render_width: int = 640
    """Width of the chase view in pixels."""
    render_height: int = 360
    """Height of the chase view in pixels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "observe", tuple(self.observe))
        if self.control_hz < 1 or PHYSICS_HZ % self.control_hz:
            raise InvalidArgumentError(
                f"control_hz is {self.control_hz}; it must divide {PHYSICS_HZ}, for example 10 or 20"
            )
        if self.render_mode not in (None, *RENDER_MODES):
            allowed = ", ".join(repr(mode) for mode in RENDER_MODES)
            raise InvalidArgumentError(f"render_mode is {self.render_mode!r}; allowed: None, {allowed}")
        if not 0.0 <= self.dropped_pictures <= 1.0:
            raise InvalidArgumentError(f"dropped_pictures is {self.dropped_pictures}; allowed: a share, 0 to 1")
        unknown = [kind for kind in self.observe if kind not in IMAGES]
        if unknown or not self.observe:
            raise InvalidArgumentError(f"observe is {self.observe}; allowed are one or more of {', '.join(IMAGES)}")

    def rig_of(self, vehicle: type[Vehicle]) -> Rig:
        """The rig, on this kind of vehicle.

        Raises:
            ValueError: `rig` names a field that a rig does not have.
        """
        if isinstance(self.rig, Rig):
            return self.rig
        given = dict(self.rig or {})
        fov_deg = given.pop("horizontal_fov_deg", Camera.horizontal_fov_deg)
        usual = vehicle.rig(Camera(self.width, self.height, fov_deg))
        values = {name: getattr(usual, name) for name in ("side_yaw_rad", "side_offset_m", "forward_m", "up_m")}
        if unknown := [name for name in given if name not in values]:
            raise InvalidArgumentError(
                f"rig has {', '.join(unknown)}; allowed: horizontal_fov_deg, {', '.join(values)}"
            )
        return Rig(usual.camera, **{**values, **given})


AS_USUAL = Seeing()


def steps_within(time_limit_s: float, control_hz: int) -> int:
    """Number of control steps, at least one, until a time limit in seconds.

    Raises:
        ValueError: the limit is no time to drive or fly in.
    """
    if not 0.0 < time_limit_s <= LONGEST_S:
        raise InvalidArgumentError(
            f"time_limit_s is {time_limit_s}; give a number of seconds above 0, up to {LONGEST_S:g}"
        )
    return max(1, round(time_limit_s * control_hz))


def image_key(camera: str, kind: str) -> str:
    """Key of a camera's image in an observation: `left`, `left_depth`, `left_segmentation`."""
    if kind == "rgb":
        return camera
    return f"{camera}_{kind}"


def blank_frames(camera: Camera) -> Frames:
    """Pictures of cameras that are not drawn."""
    shape = (len(CAMERA_NAMES), camera.height, camera.width)
    return Frames(
        rgb=np.zeros((*shape, 3), np.uint8),
        depth=np.full(shape, FAR_M, np.float32),
        segmentation=np.full(shape, SKY_ID, np.int32),
    )


def image_space(kind: str, height: int, width: int) -> gymnasium.spaces.Box:
    """What images of a kind may hold: (H, W, 3) uint8 colours, (H, W) float32 metres or (H, W) int32 ids."""
    if kind == "rgb":
        return gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
    if kind == "depth":
        return gymnasium.spaces.Box(0.0, 1000.0, (height, width), np.float32)
    limits = np.iinfo(np.int32)
    return gymnasium.spaces.Box(limits.min, limits.max, (height, width), np.int32)


def make_task_spec(task: str, vehicle: type[Vehicle], course: Course, rig: Rig, seeing: Seeing) -> TaskSpec:
    """Make the task spec: what data and policies must know of this environment."""
    elements = (*vehicle.state_elements, *DASHBOARDS.get(seeing.dashboard).elements)
    return TaskSpec(
        task=task,
        image_height=rig.camera.height,
        image_width=rig.camera.width,
        horizontal_fov_deg=rig.camera.horizontal_fov_deg,
        side_yaw_rad=rig.side_yaw_rad,
        control_hz=seeing.control_hz,
        renderer=seeing.renderer,
        max_turn_rad=vehicle.max_turn_rad,
        candidate_turns_rad=tuple(vehicle.candidate_turns_rad().tolist()),
        state_names=tuple(element.name for element in elements),
        state_scale=tuple(element.scale for element in elements),
        state_mirror=tuple(element.mirror for element in elements),
        goal_mirror=course.goal_mirror,
        goal_kind=course.goal_kind,
        turn_kind=vehicle.turn_kind,
        wheelbase_m=vehicle.wheelbase_m,
        side_offset_m=rig.side_offset_m,
    )
