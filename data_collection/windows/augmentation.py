"""Augmentation of batches of windows: mirror images, and light changes of brightness, contrast and colour.

Pictures are mirrored and changed in one pass of one kernel: each pass over a batch costs as much as a layer does.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.windows.torch_stream import TorchStream
from forestpilot.data_collection.windows.windows import Batch
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.goals import mirror_of_steps
from forestpilot.sim.kernels import kernel
from forestpilot.sim.tasks import TASKS

FULL_SCALE = 255.0
NOISE_PLACES = 2**15
"""Places at which a frame's noise can be cut from the bank of normal numbers."""


@dataclass(frozen=True)
class PhotometricConfig:
    """Amounts by which pictures are changed; every amount is the largest one drawn, uniformly to both sides."""

    brightness: float = 0.12
    """Added to every pixel, as a share of full scale."""
    contrast: float = 0.2
    """Relative change of the distance from mid grey."""
    gain: float = 0.08
    """Relative change of each colour channel."""
    noise: float = 0.02
    """Largest standard deviation of the pixel noise, as a share of full scale; drawn from 0 up."""

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "gain", "noise"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 to below 1")


def augment(
    batch: Batch,
    spec: TaskSpec,
    rng: np.random.Generator,
    *,
    flip: bool,
    jitter: bool,
    photometric: PhotometricConfig = PhotometricConfig(),
    fresh_noise: bool = True,
) -> Batch:
    """Mirror half of the windows left to right, and change the light of each one a little.

    A mirrored window is as if the world had been mirrored: pictures, state, goal, turns and costs; with three cameras
    the left and right one change places. All frames of a window are brightened, tinted and so on alike; noise differs
    from pixel to pixel.

    Args:
        batch: windows; left as they are.
        spec: tells the sign of each element of state and goal in the mirrored world.
        rng: draws what is mirrored and changed.
        flip: whether to mirror.
        jitter: whether to change the light.
        photometric: how far.
        fresh_noise: draw the normal numbers of the noise anew, and as up to version 0.2 all of the light from torch's
            generator, seeded from `rng`; False takes the same normal numbers each time, from other places, which is
            half the time.

    Returns:
        New arrays where something changes; what neither changes is shared with the batch.

    Raises:
        ValueError: the candidate turns are not symmetric, so that mirrored costs would belong to other turns.
    """
    windows, steps = batch.views.shape[:2]
    frame_values = batch.views[0, 0].size
    mirrored = np.zeros(windows, dtype=np.bool_)
    light = _same_light(windows, steps, frame_values)
    if flip:
        mirrored = rng.random(windows) < 0.5
    if jitter:
        stream = TorchStream(int(rng.integers(2**63))) if fresh_noise else _KeptNoise(rng)
        light = _draw_light(stream, windows, steps, frame_values, photometric)
    if flip:
        batch = _mirror_vectors(batch, spec, mirrored)
    if flip or jitter:
        batch = _repaint_all(batch, mirrored, light)
    return batch


def mirror(batch: Batch, spec: TaskSpec, mirrored: NDArray[np.bool_]) -> Batch:
    """Mirror some windows left to right.

    Args:
        batch: windows; left as they are.
        spec: as for `augment`.
        mirrored: (B,) which windows.

    Returns, Raises: as `augment`.
    """
    windows, steps = batch.views.shape[:2]
    light = _same_light(windows, steps, batch.views[0, 0].size)
    return _repaint_all(_mirror_vectors(batch, spec, mirrored), mirrored, light)


class _Light(NamedTuple):
    """How a pixel of each window changes: value * gain + offset + deviation * noise, then cut off to a byte."""

    gain: NDArray[np.float32]
    """(B, 3), for each colour."""
    offset: NDArray[np.float32]
    """(B, 3), with the half that makes cutting off round."""
    deviation: NDArray[np.float32]
    """(B,) standard deviation of the noise in grey levels."""
    bank: NDArray[np.float32]
    """Normal numbers. Drawing them anew for every pixel would cost more than everything else together."""
    places: NDArray[np.int64]
    """(B, T) where in the bank the noise of each frame begins."""


class _KeptNoise:
    """Draws as a `TorchStream` does, but from NumPy's generator, and has the same normal numbers each time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def rand(self, *shape: int) -> NDArray[np.float32]:
        """Float32 numbers uniform in [0, 1)."""
        return self._rng.random(shape, dtype=np.float32)

    def randn(self, count: int) -> NDArray[np.float32]:
        """The first `count` of the normal numbers, float32."""
        return _normal_numbers(count)

    def randint(self, high: int, *shape: int) -> NDArray[np.int64]:
        """Integers from 0 to below `high`."""
        return self._rng.integers(high, size=shape)


@functools.cache
def _normal_numbers(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(count, dtype=np.float32)


def _same_light(windows: int, steps: int, frame_values: int) -> _Light:
    """The light that changes nothing."""
    return _Light(
        gain=np.ones((windows, 3), dtype=np.float32),
        offset=np.full((windows, 3), 0.5, dtype=np.float32),
        deviation=np.zeros(windows, dtype=np.float32),
        bank=np.zeros(frame_values, dtype=np.float32),
        places=np.zeros((windows, steps), dtype=np.int64),
    )


def _draw_light(
    stream: TorchStream | _KeptNoise, windows: int, steps: int, frame_values: int, config: PhotometricConfig
) -> _Light:
    def uniform(limit: float, columns: int) -> NDArray[np.float32]:
        return (stream.rand(windows, columns) * np.float32(2.0) - np.float32(1.0)) * np.float32(limit)

    full = np.float32(FULL_SCALE)
    half = np.float32(0.5)
    gain = (np.float32(1.0) + uniform(config.contrast, 1)) * (np.float32(1.0) + uniform(config.gain, 3))
    offset = full * (half + uniform(config.brightness, 1)) - gain * (half * full)
    return _Light(
        gain=gain,
        offset=(offset + half).astype(np.float32),
        deviation=np.float32(FULL_SCALE * config.noise) * stream.rand(windows),
        bank=stream.randn(frame_values + NOISE_PLACES),
        places=stream.randint(NOISE_PLACES, windows, steps),
    )


def _repaint_all(batch: Batch, mirrored: NDArray[np.bool_], light: _Light) -> Batch:
    """The views of windows, and where goals are pictures those at their goals, mirrored and in another light."""
    batch = batch._replace(views=_repainted(batch.views, mirrored, light))
    if batch.goal_view is None:
        return batch
    if batch.goal_steps is None:
        at_goal = _repainted(batch.goal_view[:, None, None], mirrored, light)
        return batch._replace(goal_view=at_goal[:, 0, 0])
    shown = [_repainted(batch.goal_view[:, i, None, None], mirrored, light) for i in range(batch.goal_view.shape[1])]
    return batch._replace(goal_view=np.stack([frame[:, 0, 0] for frame in shown], axis=1))


def _repainted(views: NDArray[np.uint8], mirrored: NDArray[np.bool_], light: _Light) -> NDArray[np.uint8]:
    """Views (B, T, C, h, w, 3), mirrored and in another light."""
    rows = np.ascontiguousarray(views).reshape(*views.shape[:4], -1)
    out = np.empty_like(rows)
    _repaint(rows, mirrored, light, out)
    return out.reshape(views.shape)


@kernel(nogil=True, boundscheck=False, fastmath=True)
def _repaint(views, mirrored, light, out):  # type: ignore[no-untyped-def]
    """Mirror and change pictures (B, T, C, h, 3 w), row by row: flat loops, which LLVM vectorises."""
    windows, steps, cameras, height, size = views.shape
    gain, offset, deviation, bank, places = light
    row = np.empty(size, np.uint8)
    row_gain = np.empty(size, np.float32)
    row_offset = np.empty(size, np.float32)
    black = np.float32(0.0)
    white = np.float32(255.0)
    for window in range(windows):
        for i in range(size):
            row_gain[i] = gain[window, i % 3]
            row_offset[i] = offset[window, i % 3]
        for step in range(steps):
            noise_at = places[window, step]
            for camera in range(cameras):
                for y in range(height):
                    if mirrored[window]:
                        for i in range(0, size, 3):
                            for color in range(3):
                                row[i + color] = views[window, step, cameras - 1 - camera, y, size - 3 - i + color]
                    else:
                        for i in range(size):
                            row[i] = views[window, step, camera, y, i]
                    for i in range(size):
                        value = np.float32(row[i]) * row_gain[i] + row_offset[i]
                        value += deviation[window] * bank[noise_at + i]
                        out[window, step, camera, y, i] = np.uint8(np.int32(min(max(value, black), white)))
                    noise_at += size


def _mirror_vectors(batch: Batch, spec: TaskSpec, mirrored: NDArray[np.bool_]) -> Batch:
    """State, goal, turns and costs of the windows that are mirrored, as they read in the mirrored world."""
    turns = np.asarray(spec.candidate_turns_rad)
    if batch.costs is not None and not np.allclose(turns, -turns[::-1], atol=1e-6):
        raise ValueError("costs can only be mirrored where the candidate turns are symmetric about straight ahead")
    chosen = mirrored[:, None, None]
    actions = np.where(chosen, batch.actions * np.array([-1.0, 1.0], dtype=np.float32), batch.actions)
    costs = batch.costs
    if costs is not None:
        costs = np.where(chosen, costs[..., ::-1], costs)
    if batch.goal_steps is not None:
        steps = batch.goal_steps * mirror_of_steps(spec.state_mirror)
        batch = batch._replace(goal_steps=np.where(chosen, steps, batch.goal_steps))
    if batch.goal_order is not None:
        orders = TASKS.get(spec.task).orders
        turned = batch.goal_order if orders is None else orders.mirrored(batch.goal_order)
        batch = batch._replace(goal_order=np.where(mirrored[:, None], turned, batch.goal_order))
    return batch._replace(
        state=np.where(chosen, batch.state * np.array(spec.state_mirror, dtype=np.float32), batch.state),
        goal=np.where(chosen, batch.goal * np.array(spec.goal_mirror, dtype=np.float32), batch.goal),
        actions=actions,
        costs=costs,
    )
