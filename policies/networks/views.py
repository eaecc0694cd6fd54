"""From a camera image to the small view that a policy reads: levelled with the IMU, cropped around the horizon.

A quadrotor tilts to accelerate and its cameras tilt with it, so the same forest slides up and down the image. Roll
and pitch are known on board; turning the camera back is a pure rotation, which moves pixels by a homography that
needs no depth.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numba import njit

OUTSIDE_GREY = 128
"""Value of view pixels that the camera did not see; the encoder reads it as zero."""

_WEIGHT_BITS = 6
"""Bits of the bilinear weight along one axis; both axes and 8 bits of colour fit the 20-bit lane of a packed pixel."""


class Prepare(Protocol):
    """How images become views; picklable, so that rollout workers and data readers can be handed one."""

    def __call__(self, images: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Images (N, H, W, 3) uint8 and states (N, S) float32 to views (N, h, w, 3) uint8."""
        ...


class ViewPreparer:
    """Turns camera images into level views of a fixed size.

    Args:
        image_height: height of the camera image in pixels.
        image_width: width of the camera image in pixels.
        horizontal_fov_deg: horizontal field of view of the camera, and of the view.
        view_height: height of the view in pixels.
        view_width: width of the view in pixels.
        horizon_offset_px: how many view pixels above the middle row the horizon lies; positive shows more ground.
        roll_index: element of the state that holds the roll in radians.
        pitch_index: element of the state that holds the pitch in radians, positive nose down.
        level: undo roll and pitch; False looks straight through the tilted camera.
    """

    def __init__(
        self,
        image_height: int,
        image_width: int,
        horizontal_fov_deg: float,
        view_height: int,
        view_width: int,
        horizon_offset_px: float = 0.0,
        roll_index: int | None = None,
        pitch_index: int | None = None,
        level: bool = True,
    ) -> None:
        if level and (roll_index is None or pitch_index is None):
            raise ValueError(
                "a level view needs roll_rad and pitch_rad in the state; set level_view to False without them"
            )
        self.image_shape = (image_height, image_width, 3)
        self.view_shape = (view_height, view_width, 3)
        self.roll_index = roll_index if level else None
        self.pitch_index = pitch_index if level else None
        # Several image pixels a view pixel are averaged first, or bilinear sampling would skip some of them.
        self.shrink = max(1, image_width // view_width)
        half_tangent = math.tan(math.radians(horizontal_fov_deg) / 2)
        self.image_focal_px = (image_width / self.shrink) / 2 / half_tangent
        self.view_focal_px = view_width / 2 / half_tangent
        self.horizon_row = view_height / 2 - horizon_offset_px

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
            raise ValueError(
                f"images must be (N, {self.image_shape}) uint8, got {images.shape} {images.dtype}; "
                "the policy was made for another camera"
            )
        number = len(images)
        tilt = np.zeros((number, 2), dtype=np.float32)
        if self.roll_index is not None and self.pitch_index is not None:
            tilt[:, 0] = state[:, self.roll_index]
            tilt[:, 1] = state[:, self.pitch_index]
        if self.shrink > 1:
            images = _box_shrink(images, self.shrink)
        views = np.empty((number, *self.view_shape), dtype=np.uint8)
        _level_kernel(
            np.ascontiguousarray(images),
            tilt,
            np.float32(self.image_focal_px),
            np.float32(self.view_focal_px),
            np.float32(self.horizon_row),
            views,
        )
        return views


def _box_shrink(images: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of factor x factor pixels; rows and columns that fill no block are cut equally on both sides."""
    number, height, width, _ = images.shape
    rows, columns = height // factor, width // factor
    top, left = (height - rows * factor) // 2, (width - columns * factor) // 2
    blocks = images[:, top : top + rows * factor, left : left + columns * factor]
    blocks = blocks.reshape(number, rows, factor, columns, factor, 3)
    return ((blocks.sum(axis=(2, 4), dtype=np.uint32) + factor * factor // 2) // (factor * factor)).astype(np.uint8)


@njit(cache=True, nogil=True, boundscheck=False, fastmath=True)
def _level_kernel(images, tilt, image_focal, view_focal, horizon_row, views):  # type: ignore[no-untyped-def]
    """Sample every view pixel bilinearly from the tilted image; red, green and blue ride in one 64-bit word."""
    number, height, width, _ = images.shape
    _, view_height, view_width, _ = views.shape
    packed = np.empty(height * width, np.uint64)
    source = np.empty(view_width, np.int32)
    weight_x = np.empty(view_width, np.int32)
    weight_y = np.empty(view_width, np.int32)
    one = np.int32(1 << _WEIGHT_BITS)
    scale = np.float32(1 << _WEIGHT_BITS)
    half_width, half_height = np.float32(width * 0.5), np.float32(height * 0.5)
    inverse_focal = np.float32(1.0) / view_focal
    rounding = np.uint64((1 << (2 * _WEIGHT_BITS - 1)) * (1 + (1 << 20) + (1 << 40)))
    grey = np.uint8(OUTSIDE_GREY)
    for n in range(number):
        image = images[n].reshape(-1)
        for i in range(height * width):
            packed[i] = (
                np.uint64(image[3 * i])
                | np.uint64(image[3 * i + 1]) << np.uint64(20)
                | np.uint64(image[3 * i + 2]) << np.uint64(40)
            )
        sin_roll, cos_roll = np.float32(math.sin(tilt[n, 0])), np.float32(math.cos(tilt[n, 0]))
        sin_pitch, cos_pitch = np.float32(math.sin(tilt[n, 1])), np.float32(math.cos(tilt[n, 1]))
        for row in range(view_height):
            # The ray (1, left, up) of the level camera, in body axes: Rx(-roll) Ry(-pitch) (1, left, up).
            up = (horizon_row - np.float32(row) - np.float32(0.5)) * inverse_focal
            forward = cos_pitch - sin_pitch * up
            down_mix = sin_pitch + cos_pitch * up
            for column in range(view_width):
                left = (np.float32(view_width * 0.5) - np.float32(column) - np.float32(0.5)) * inverse_focal
                body_left = cos_roll * left + sin_roll * down_mix
                body_up = cos_roll * down_mix - sin_roll * left
                over_forward = image_focal / max(forward, np.float32(1e-3))
                x = half_width - body_left * over_forward
                y = half_height - body_up * over_forward
                inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height) & (forward > np.float32(1e-3))
                # Pixel centres lie at halves; the half pixel along the rim repeats the rim.
                x = min(max(x - np.float32(0.5), np.float32(0.0)), np.float32(width - 1.001))
                y = min(max(y - np.float32(0.5), np.float32(0.0)), np.float32(height - 1.001))
                x_low, y_low = np.int32(x), np.int32(y)
                weight_x[column] = np.int32((x - np.float32(x_low)) * scale + np.float32(0.5))
                weight_y[column] = np.int32((y - np.float32(y_low)) * scale + np.float32(0.5))
                source[column] = y_low * np.int32(width) + x_low if inside else np.int32(-1)
            out = views[n, row].reshape(-1)
            for column in range(view_width):
                at = max(source[column], np.int32(0))
                right, lower = weight_x[column], weight_y[column]
                word = (
                    packed[at] * np.uint64((one - right) * (one - lower))
                    + packed[at + 1] * np.uint64(right * (one - lower))
                    + packed[at + width] * np.uint64((one - right) * lower)
                    + packed[at + width + 1] * np.uint64(right * lower)
                    + rounding
                )
                word = word >> np.uint64(2 * _WEIGHT_BITS)
                seen = source[column] >= 0
                out[3 * column] = np.uint8(word & np.uint64(255)) if seen else grey
                out[3 * column + 1] = np.uint8((word >> np.uint64(20)) & np.uint64(255)) if seen else grey
                out[3 * column + 2] = np.uint8((word >> np.uint64(40)) & np.uint64(255)) if seen else grey
