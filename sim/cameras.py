"""Pinhole cameras: intrinsics, the rig of three on the vehicle, and the chase camera behind it.

A camera pose is an eye (3,) in metres and an axes matrix (3, 3) whose rows are the camera's right, up and forward
directions in world coordinates (x forward, y left, z up). Image row 0 is on top. Pixel (v, u) looks along
`forward + (u + 0.5 - W / 2) / f * right + (H / 2 - v - 0.5) / f * up`, f the focal length in pixels.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forestpilot.sim.errors import InvalidArgumentError

FloatArray = NDArray[np.float32]

CAMERA_NAMES = ("left", "center", "right")
"""Order of the rig's cameras wherever images are stacked."""
CENTER = CAMERA_NAMES.index("center")
RIGHT = 0
UP = 1
FORWARD = 2
"""Rows of a camera's axes; it looks along the last one."""

MIN_SIZE_PX = (32, 24)
MAX_SIZE_PX = (1280, 720)

FIXED = "fixed"
RANDOM = "random"
RANDOM_SPEED = "random-speed"
RANDOM_PATH = "random-path"
SIDE_CAMERAS = (FIXED, RANDOM, RANDOM_SPEED, RANDOM_PATH)
"""Where side cameras may stand from picture to picture: see `forestpilot.sim.envs.side_cameras`."""
SHIFT, YAW, FASTER, ACROSS, YAW_RATE, BEARING = range(6)
"""Columns of camera offsets, left positive: shift in metres, yaw in radians, and what the vehicle would do otherwise if
it stood there: speed along and across the heading there in m/s, yaw rate in rad/s, bearing to the goal in radians. The
first two are always there, the third is where the expert is asked, the last three where a vehicle drifts."""

CHASE_AIM_M = 3.0
"""How far beyond the vehicle the chase camera aims, in metres."""


@dataclass(frozen=True)
class Camera:
    """Size and field of view of a pinhole camera with square pixels."""

    width: int = 64
    """Image width in pixels, 32 to 1280."""
    height: int = 48
    """Image height in pixels, 24 to 720."""
    horizontal_fov_deg: float = 80.0
    """Horizontal field of view in degrees, between 10 and 150."""

    def __post_init__(self) -> None:
        for name, value, low, high in zip(
            ("width", "height"), (self.width, self.height), MIN_SIZE_PX, MAX_SIZE_PX, strict=True
        ):
            if isinstance(value, bool) or int(value) != value or not low <= value <= high:
                raise InvalidArgumentError(
                    f"camera {name} is {value!r}; give a whole number of pixels from {low} to {high}"
                )
        if not 10.0 <= self.horizontal_fov_deg <= 150.0:
            raise InvalidArgumentError(
                f"horizontal_fov_deg is {self.horizontal_fov_deg!r}; give degrees from 10 to 150"
            )

    @property
    def focal_px(self) -> float:
        """Focal length in pixels, the same along both image axes."""
        return 0.5 * self.width / math.tan(math.radians(self.horizontal_fov_deg) / 2)

    @property
    def vertical_fov_deg(self) -> float:
        """Vertical field of view in degrees, which square pixels imply."""
        return math.degrees(2 * math.atan(0.5 * self.height / self.focal_px))

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """Matrix K (3, 3) that takes (right, down, forward) coordinates to homogeneous pixel coordinates."""
        f = self.focal_px
        return np.array([[f, 0.0, self.width / 2], [0.0, f, self.height / 2], [0.0, 0.0, 1.0]])


def rotation_matrix(roll_rad: float, pitch_rad: float, yaw_rad: float) -> NDArray[np.float64]:
    """Body-to-world rotation Rz(yaw) Ry(pitch) Rx(roll), (3, 3): positive yaw turns left, pitch dips the nose."""
    cr = math.cos(roll_rad)
    sr = math.sin(roll_rad)
    cp = math.cos(pitch_rad)
    sp = math.sin(pitch_rad)
    cy = math.cos(yaw_rad)
    sy = math.sin(yaw_rad)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


@dataclass(frozen=True)
class Rig:
    """Three cameras fixed to the body, ordered left, center, right; all tilt with the vehicle."""

    camera: Camera = field(default_factory=Camera)
    """The camera that all three positions carry."""
    side_yaw_rad: float = math.radians(20)
    """Yaw of the left camera about the body's z axis in radians; the right camera has the opposite."""
    side_offset_m: float = 0.06
    """Distance of the side cameras from the body's x axis in metres."""
    forward_m: float = 0.10
    """Distance of all three in front of the body's origin in metres."""
    up_m: float = 0.02
    """Height of all three above the body's origin in metres."""

    @property
    def offsets(self) -> FloatArray:
        """(3, 2) float32: shift to the left in metres and yaw in radians of left, center, right camera."""
        shift = self.side_offset_m
        yaw = self.side_yaw_rad
        return np.array([[shift, yaw], [0.0, 0.0], [-shift, -yaw]], np.float32)

    def poses(
        self, position: ArrayLike, rotation: ArrayLike, offsets: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Poses of the three cameras.

        Args:
            position: (3,) of the body in metres.
            rotation: (3, 3) body to world.
            offsets: (3, >= 2) as in `Rig.offsets`, where the cameras do not stand as they usually do.

        Returns:
            Eyes (3, 3) float32 in metres and axes (3, 3, 3) float32, the first index being left, center, right.
        """
        to_world = np.asarray(rotation, np.float64).T
        shifts, yaws = np.asarray(self.offsets if offsets is None else offsets, np.float64)[:, :2].T
        sines = np.sin(yaws)
        cosines = np.cos(yaws)
        body_axes = np.zeros((3, 3, 3))
        body_axes[:, RIGHT, 0] = sines
        body_axes[:, RIGHT, 1] = -cosines
        body_axes[:, UP, 2] = 1.0
        body_axes[:, FORWARD, 0] = cosines
        body_axes[:, FORWARD, 1] = sines
        body_eyes = np.empty((3, 3))
        body_eyes[:, 0] = self.forward_m
        body_eyes[:, 1] = shifts
        body_eyes[:, 2] = self.up_m
        axes = body_axes @ to_world
        eyes = np.asarray(position, np.float64) + body_eyes @ to_world
        return eyes.astype(np.float32), axes.astype(np.float32)


@dataclass(frozen=True)
class SideRange:
    """How far from a vehicle's own pose and motion its side cameras are drawn, where they do not stand fixed."""

    shift_m: float = 1.2
    """Furthest shift of each to its side, in metres."""
    yaw_rad: float = 0.2
    """Largest turn to either side, in radians."""
    along: float = 0.0
    """Largest change of speed along the heading, faster or slower, in speed set points."""
    across: float = 0.0
    """Largest change of speed across it, in speed set points."""
    yaw_rate_radps: float = 0.0
    """How fast a camera on a path turns."""
    room_m: float | None = None
    """Room that the vehicle needs to each side: a camera stands no further than a body can go straight aside. None
    where no camera is kept from standing in a trunk."""


def look_at(eye: ArrayLike, target: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Pose of an unrolled camera at `eye` (3,) looking at `target` (3,), metres; returns eye (3,), axes (3, 3) float32.

    Raises:
        ValueError: if the two coincide or lie above one another, for then "unrolled" means nothing.
    """
    start = np.asarray(eye, np.float64)
    forward = np.asarray(target, np.float64) - start
    if not np.hypot(forward[0], forward[1]) > 1e-9:
        raise InvalidArgumentError(f"look_at got eye {eye!r} and target {target!r}; move one of them sideways")
    forward = forward / np.linalg.norm(forward)
    right = np.array([forward[1], -forward[0], 0.0]) / np.hypot(forward[0], forward[1])
    axes = np.stack([right, np.cross(right, forward), forward])
    return start.astype(np.float32), axes.astype(np.float32)


def chase_pose(
    position: ArrayLike, yaw_rad: float, distance_m: float = 3.5, height_m: float = 1.2
) -> tuple[FloatArray, FloatArray]:
    """Pose of a camera without roll that stands behind and above the vehicle and looks at it.

    Args:
        position: (3,) of the vehicle in metres.
        yaw_rad: heading to look along, radians; smooth it over time for a calm video.
        distance_m: horizontal distance behind the vehicle.
        height_m: height above the vehicle.

    Returns:
        Eye (3,) and axes (3, 3), float32.
    """
    vehicle = np.asarray(position, np.float64)
    ahead = np.array([math.cos(yaw_rad), math.sin(yaw_rad), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    # Aiming beyond the vehicle puts it below the middle and the way ahead, up to the horizon, above it.
    return look_at(vehicle - distance_m * ahead + height_m * up, vehicle + CHASE_AIM_M * ahead + 0.3 * up)


def project(camera: Camera, eye: ArrayLike, axes: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """Pixel coordinates and depth of world points.

    Args:
        camera: intrinsics.
        eye: (3,) in metres.
        axes: (3, 3) rows right, up, forward.
        points: (n, 3) in metres.

    Returns:
        (n, 3) of column, row (pixel centres at .5) and depth along the forward axis in metres; column and row mean
        nothing where the depth is not positive.
    """
    right, up, forward = ((np.asarray(points, np.float64) - np.asarray(eye)) @ np.asarray(axes, np.float64).T).T
    with np.errstate(divide="ignore", invalid="ignore"):
        column = camera.width / 2 + camera.focal_px * right / forward
        row = camera.height / 2 - camera.focal_px * up / forward
    return np.stack([column, row, forward], axis=-1)
