"""From a camera image to the small view that a policy reads: levelled with the IMU, cropped around the horizon.

A quadrotor tilts to accelerate and its cameras tilt with it, so the same forest slides up and down the image. Roll
and pitch are known on board; turning the camera back is a pure rotation, which moves pixels by a homography that
needs no depth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from forestpilot.policies.networks.config import USUAL_VIEW, ViewConfig
from forestpilot.sim.envs.task_spec import TaskSpec, side_view
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.kernels import kernel

OUTSIDE_GREY = 128
"""Value of view pixels that the camera did not see; the encoder reads it as zero."""

WEIGHT_BITS = 6
"""Bits of the bilinear weight along one axis; both axes and 8 bits of colour fit the 20-bit lane of a packed pixel."""

ROLL = 0
PITCH = 1
"""Columns of a tilt."""


class Prepare(Protocol):
    """Turns images into views; picklable, so that rollout workers and data readers can be handed one."""

    def __call__(self, images: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Images (N, H, W, 3) uint8 and states (N, S) float32 to views (N, h, w, 3) uint8."""
        ...


class ViewPreparer:
    """Turns camera images into level views of a fixed size.

    Args:
        spec: the camera, and where roll and pitch stand in the state.
        config: the view.

    Raises:
        ValueError: the view is to be level, and the state tells only one of roll and pitch.
    """

    def __init__(self, spec: TaskSpec, config: ViewConfig = USUAL_VIEW) -> None:
        tilt = ("roll_rad", "pitch_rad")
        told = set(tilt) & set(spec.state_names)
        if config.level and len(told) == 1:
            raise InvalidArgumentError(
                "a level view needs both roll_rad and pitch_rad in the state; set view.level to False without"
            )
        self.image_shape = (spec.image_height, spec.image_width, 3)
        """(H, W, 3) of a camera image."""
        self.view_shape = (config.height, config.width, 3)
        """(h, w, 3) of a view."""
        self.tilt_index = tuple(spec.index(name) for name in tilt) if config.level and told else ()
        """Elements of the state that hold roll and pitch (nose down) in radians; empty where they do not matter."""
        # Several image pixels a view pixel are averaged first, or bilinear sampling would skip some of them.
        self.shrink = max(1, spec.image_width // config.width)
        """Side of the blocks of image pixels that are averaged first."""
        half_tangent = math.tan(math.radians(spec.horizontal_fov_deg) / 2)
        self.image_focal_px = (spec.image_width / self.shrink) / 2 / half_tangent
        """Focal length of the averaged image."""
        self.view_focal_px = config.width / 2 / half_tangent
        """Focal length of the view."""
        self.horizon_row = config.height / 2 - config.horizon_offset_px
        """Row of the view at which the horizon lies."""

    def tilt_of(self, state: np.ndarray) -> np.ndarray:
        """(N, 2) float32: roll and pitch by which images are turned back, of states (N, S)."""
        if not self.tilt_index:
            return np.zeros((len(state), 2), dtype=np.float32)
        return np.ascontiguousarray(state[:, self.tilt_index], dtype=np.float32)

    def __call__(self, images: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Prepare a batch.

        Args:
            images: (N, H, W, 3) uint8.
            state: (N, S) float32; roll and pitch must be those of the camera that took the image
                (for a side camera the state from `forestpilot.sim.envs.task_spec.side_view`).

        Returns:
            (N, h, w, 3) uint8, freshly allocated; grey where the camera did not look.

        Raises:
            ValueError: the images have another shape than the camera's.
        """
        if images.shape[1:] != self.image_shape or images.dtype != np.uint8:
            raise InvalidArgumentError(
                f"images must be (N, {self.image_shape}) uint8, got {images.shape} {images.dtype}; "
                "the policy was made for another camera"
            )
        if self.shrink > 1:
            images = _box_shrink(images, self.shrink)
        views = np.empty((len(images), *self.view_shape), dtype=np.uint8)
        lenses = _Lenses(
            image_focal=np.float32(self.image_focal_px),
            view_focal=np.float32(self.view_focal_px),
            horizon_row=np.float32(self.horizon_row),
        )
        _level_kernel(np.ascontiguousarray(images), self.tilt_of(state), lenses, views)
        return views


def camera_views(
    spec: TaskSpec, prepare: Prepare, cameras: Sequence[str], observations: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Views of a batch of observations, each levelled with the tilt of its own camera.

    Args:
        spec: says how the side cameras stand.
        prepare: makes a view.
        cameras: names of those that are seen, in order.
        observations: the environment's, batched.

    Returns:
        (B, C, h, w, 3) uint8.
    """
    state = observations["state"]
    goal = observations["goal"]
    yaws = {"left": spec.side_yaw_rad, "center": 0.0, "right": -spec.side_yaw_rad}
    views = []
    for name in cameras:
        camera_state = side_view(spec, state, goal, yaws[name])[0] if yaws[name] else state
        views.append(prepare(observations[name], camera_state))
    return views[0][:, None] if len(views) == 1 else np.stack(views, axis=1)


def _box_shrink(images: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of factor x factor pixels; rows and columns that fill no block are cut equally on both sides."""
    number, height, width, _ = images.shape
    rows = height // factor
    columns = width // factor
    top = (height - rows * factor) // 2
    left = (width - columns * factor) // 2
    blocks = images[:, top : top + rows * factor, left : left + columns * factor]
    blocks = blocks.reshape(number, rows, factor, columns, factor, 3)
    return ((blocks.sum(axis=(2, 4), dtype=np.uint32) + factor * factor // 2) // (factor * factor)).astype(np.uint8)


class _Lenses(NamedTuple):
    """Mapping of rays to pixels, in single precision."""

    image_focal: np.float32
    """Focal length of the image, its pixels."""
    view_focal: np.float32
    """Focal length of the view, its pixels."""
    horizon_row: np.float32
    """Row of the view at which the horizon lies."""


@kernel(nogil=True, boundscheck=False, fastmath=True)
def _level_kernel(images, tilt, lenses, views):  # type: ignore[no-untyped-def]
    """Sample every view pixel bilinearly from the tilted image; red, green and blue ride in one 64-bit word."""
    number, height, width, _ = images.shape
    _, view_height, view_width, _ = views.shape
    packed = np.empty(height * width, np.uint64)
    source = np.empty(view_width, np.int32)
    weight_x = np.empty(view_width, np.int32)
    weight_y = np.empty(view_width, np.int32)
    one = np.int32(1 << WEIGHT_BITS)
    scale = np.float32(1 << WEIGHT_BITS)
    half_width = np.float32(width * 0.5)
    half_height = np.float32(height * 0.5)
    inverse_focal = np.float32(1.0) / lenses.view_focal
    rounding = np.uint64((1 << (2 * WEIGHT_BITS - 1)) * (1 + (1 << 20) + (1 << 40)))
    grey = np.uint8(OUTSIDE_GREY)
    for n in range(number):
        image = images[n].reshape(-1)
        for i in range(height * width):
            packed[i] = (
                np.uint64(image[3 * i])
                | np.uint64(image[3 * i + 1]) << np.uint64(20)
                | np.uint64(image[3 * i + 2]) << np.uint64(40)
            )
        sin_roll = np.float32(math.sin(tilt[n, ROLL]))
        cos_roll = np.float32(math.cos(tilt[n, ROLL]))
        sin_pitch = np.float32(math.sin(tilt[n, PITCH]))
        cos_pitch = np.float32(math.cos(tilt[n, PITCH]))
        for row in range(view_height):
            # The ray (1, left, up) of the level camera, in body axes: Rx(-roll) Ry(-pitch) (1, left, up).
            up = (lenses.horizon_row - np.float32(row) - np.float32(0.5)) * inverse_focal
            forward = cos_pitch - sin_pitch * up
            down_mix = sin_pitch + cos_pitch * up
            for column in range(view_width):
                left = (np.float32(view_width * 0.5) - np.float32(column) - np.float32(0.5)) * inverse_focal
                body_left = cos_roll * left + sin_roll * down_mix
                body_up = cos_roll * down_mix - sin_roll * left
                over_forward = lenses.image_focal / max(forward, np.float32(1e-3))
                x = half_width - body_left * over_forward
                y = half_height - body_up * over_forward
                inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height) & (forward > np.float32(1e-3))
                # Pixel centres lie at halves; the half pixel along the rim repeats the rim.
                x = min(max(x - np.float32(0.5), np.float32(0.0)), np.float32(width - 1.001))
                y = min(max(y - np.float32(0.5), np.float32(0.0)), np.float32(height - 1.001))
                x_low = np.int32(x)
                y_low = np.int32(y)
                weight_x[column] = np.int32((x - np.float32(x_low)) * scale + np.float32(0.5))
                weight_y[column] = np.int32((y - np.float32(y_low)) * scale + np.float32(0.5))
                source[column] = y_low * np.int32(width) + x_low if inside else np.int32(-1)
            out = views[n, row].reshape(-1)
            for column in range(view_width):
                at = max(source[column], np.int32(0))
                right = weight_x[column]
                lower = weight_y[column]
                word = (
                    packed[at] * np.uint64((one - right) * (one - lower))
                    + packed[at + 1] * np.uint64(right * (one - lower))
                    + packed[at + width] * np.uint64((one - right) * lower)
                    + packed[at + width + 1] * np.uint64(right * lower)
                    + rounding
                )
                word = word >> np.uint64(2 * WEIGHT_BITS)
                seen = source[column] >= 0
                out[3 * column] = np.uint8(word & np.uint64(255)) if seen else grey
                out[3 * column + 1] = np.uint8((word >> np.uint64(20)) & np.uint64(255)) if seen else grey
                out[3 * column + 2] = np.uint8((word >> np.uint64(40)) & np.uint64(255)) if seen else grey
