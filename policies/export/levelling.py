"""Views made inside a graph: what `ViewPreparer` does to pictures, in operations that an exported network may have.

The bilinear weights are whole numbers of 64ths, as they are there, and what they are rounded from is computed in the
order of the kernel's machine code, so that views are the same but for two pixels in a million of noise. Another
processor may compute in another order: where a ray then falls on the other side of the border between two 64ths, a
pixel may read otherwise by a level.

A graph takes its time by the operation: the fewer, the better, and pixels are 64-bit words of three colours.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.views import OUTSIDE_GREY, WEIGHT_BITS, ViewPreparer

ONE = 1 << WEIGHT_BITS
"""Parts of a bilinear weight along one axis."""
LANES = (1, 1 << 20, 1 << 40)
"""Where red, green and blue ride in a word."""
LEAST_FORWARD = 1e-3
"""A ray that points ahead by less sees nothing."""


class _Tilt(NamedTuple):
    """Roll and pitch of cameras, each (N, 1, 1), or (1, 1, 1) where all stand alike."""

    sin_roll: Tensor
    sin_pitch: Tensor
    cos_roll: Tensor
    cos_pitch: Tensor


class GraphViews(nn.Module):
    """Turns camera pictures into level views.

    What is computed in single precision lies in float64, rounded: a graph has no operation that multiplies and adds and
    rounds once, as the kernel does.

    Args:
        prepare: what it repeats.
    """

    up: Tensor
    """(1, h, 1) float64, pixels from the horizon up to each row of a view."""
    left: Tensor
    """(1, 1, w) float64, pixels from the middle left to each column."""

    def __init__(self, prepare: ViewPreparer) -> None:
        super().__init__()
        self.tilt_index = prepare.tilt_index
        self.shrink = prepare.shrink
        self.height, self.width = (size // prepare.shrink for size in prepare.image_shape[:2])
        self.focal_px = _single(prepare.image_focal_px)
        self.inverse_focal = _single(1 / _single(prepare.view_focal_px))
        rows, columns, _ = prepare.view_shape
        above = _single(prepare.horizon_row) - 0.5 - torch.arange(rows, dtype=torch.float64)
        beside = columns * 0.5 - 0.5 - torch.arange(columns, dtype=torch.float64)
        self.register_buffer("up", above[None, :, None], persistent=False)
        self.register_buffer("left", beside[None, None, :], persistent=False)

    def forward(self, pictures: Tensor, state: Tensor | None, yaw_rad: float = 0.0) -> Tensor:
        """Pictures (N, H, W, 3) uint8 to views (N, h, w, 3) uint8.

        Args:
            pictures: of one camera.
            state: (N, S) float32 of the vehicle; None where the camera stood level.
            yaw_rad: of the camera, left positive.
        """
        if self.shrink > 1:
            pictures = _box_shrink(pictures, self.shrink)
        x, y, sees = self._looks_at(self._tilt(state, yaw_rad))
        red, green, blue = (pictures[..., colour].to(torch.int64) * lane for colour, lane in enumerate(LANES))
        words = (red + green + blue).flatten()
        column = x.to(torch.int64)
        row = y.to(torch.int64)
        right = ((x - column) * ONE + 0.5).to(torch.int64)
        lower = ((y - row) * ONE + 0.5).to(torch.int64)
        first = torch.arange(pictures.shape[0])[:, None, None] * (self.height * self.width)
        at = row * self.width + column + first
        left = ONE - right
        upper = words[at] * left + words[at + 1] * right
        under = words[at + self.width] * left + words[at + self.width + 1] * right
        half = (ONE * ONE // 2) * sum(LANES)
        total = upper * (ONE - lower) + under * lower + half
        total = torch.where(sees, total, torch.tensor(OUTSIDE_GREY * ONE * ONE * sum(LANES)))
        lanes = torch.tensor(LANES)[:, None, None] * (ONE * ONE)
        return torch.div(total[:, None], lanes, rounding_mode="trunc").to(torch.uint8).permute(0, 2, 3, 1)

    def _tilt(self, state: Tensor | None, yaw_rad: float) -> _Tilt:
        """Tilt of a camera; see `forestpilot.sim.envs.task_spec.side_view` for one at the side."""
        if state is None or not self.tilt_index:
            zero = torch.zeros(1, 1, 1, dtype=torch.float64)
            return _Tilt(zero, zero, zero + 1, zero + 1)
        roll_and_pitch = state[:, list(self.tilt_index)].double()[:, :, None]
        sines = torch.sin(roll_and_pitch)
        cosines = torch.cos(roll_and_pitch)
        if yaw_rad:
            sines, cosines = _from_the_side(sines, cosines, yaw_rad)
        return _Tilt(*_rounded(sines).split(1, dim=1), *_rounded(cosines).split(1, dim=1))

    def _looks_at(self, tilt: _Tilt) -> tuple[Tensor, Tensor, Tensor]:
        """Column and row (N, h, w) of the picture that each pixel of a view looks at, and whether there is one."""
        # What the kernel's machine code rounds, and in which order, is repeated here: the compiler may reorder it, and
        # has drawn the focal length out of the rays.
        forward = _rounded(tilt.cos_pitch - _rounded(tilt.sin_pitch * self.inverse_focal) * self.up)
        mixed = _rounded(_rounded(tilt.cos_pitch * self.inverse_focal) * self.up + tilt.sin_pitch)
        body_left = _rounded(_rounded(tilt.cos_roll * self.inverse_focal) * self.left + _rounded(tilt.sin_roll * mixed))
        body_up = _rounded(_rounded(tilt.cos_roll * mixed) - _rounded(tilt.sin_roll * self.inverse_focal) * self.left)
        over_forward = _rounded(torch.tensor(self.focal_px, dtype=torch.float64) / forward.clamp_min(_LEAST))
        x = _rounded(self.width * 0.5 - body_left * over_forward)
        y = _rounded(self.height * 0.5 - body_up * over_forward)
        sees = (x.clamp(0, self.width) == x) & (y.clamp(0, self.height) == y) & (forward > _LEAST)
        # Pixel centres lie at halves; the half pixel along the rim repeats the rim.
        rim_x, rim_y = _single(self.width - 1.001), _single(self.height - 1.001)
        return (x - 0.5).clamp(0, rim_x), (y - 0.5).clamp(0, rim_y), sees


def _from_the_side(sines: Tensor, cosines: Tensor, yaw_rad: float) -> tuple[Tensor, Tensor]:
    """Sines and cosines (N, 2, 1) of roll and pitch of a camera that is turned by so much."""
    sin_roll, sin_pitch = sines.split(1, dim=1)
    cos_roll, cos_pitch = cosines.split(1, dim=1)
    cos_yaw = math.cos(yaw_rad)
    sin_yaw = math.sin(yaw_rad)
    down_left = sin_pitch * sin_yaw + cos_pitch * sin_roll * cos_yaw
    down = cos_pitch * cos_roll
    nose_down = sin_pitch * cos_yaw - cos_pitch * sin_roll * sin_yaw
    length = torch.sqrt(down_left * down_left + down * down)
    return torch.cat((down_left / length, nose_down), dim=1), torch.cat((down / length, length), dim=1)


def _rounded(values: Tensor) -> Tensor:
    """Values of float64, rounded to single precision."""
    return values.float().double()


def _single(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float32))


_LEAST = _single(LEAST_FORWARD)


def _box_shrink(pictures: Tensor, factor: int) -> Tensor:
    """Mean of blocks of pictures (N, H, W, 3) uint8, as `ViewPreparer` takes it."""
    number, height, width, _ = pictures.shape
    rows = height // factor
    columns = width // factor
    top = (height - rows * factor) // 2
    left = (width - columns * factor) // 2
    blocks = pictures[:, top : top + rows * factor, left : left + columns * factor].to(torch.int64)
    sums = blocks.reshape(number, rows, factor, columns, factor, 3).sum((2, 4))
    return torch.div(sums + factor * factor // 2, factor * factor, rounding_mode="trunc")
