"""Augmentation of batches of windows in torch: mirror images, and light changes of brightness, contrast and colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from forestpilot.data_collection.windows.windows import Batch
from forestpilot.sim.envs.task_spec import TaskSpec

CAMERA_DIM = 2
WIDTH_DIM = 4
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


def flip_batch(batch: Batch, spec: TaskSpec, flip: torch.Tensor) -> Batch:
    """Mirror some windows left to right: pictures, state, goal, turns and costs, as if the world had been mirrored.

    With three cameras the left and right one change places.

    Args:
        batch: windows as torch tensors; left as they are.
        spec: tells the sign of each element of state and goal in the mirrored world.
        flip: (B,) bool, which windows.

    Returns:
        A batch of new tensors.

    Raises:
        ValueError: the candidate turns are not symmetric, so that mirrored costs would belong to other turns.
    """
    turns = np.asarray(spec.candidate_turns_rad)
    if batch.costs is not None and not np.allclose(turns, -turns[::-1], atol=1e-6):
        raise ValueError("costs can only be mirrored where the candidate turns are symmetric about straight ahead")
    sign = torch.where(flip, -1.0, 1.0)[:, None]
    actions = batch.actions.clone()
    actions[..., 0] *= sign
    return Batch(
        views=_mirrored(batch.views, flip, (CAMERA_DIM, WIDTH_DIM)),
        state=batch.state * _signs(flip, spec.state_mirror),
        goal=batch.goal * _signs(flip, spec.goal_mirror),
        actions=actions,
        costs=None if batch.costs is None else _mirrored(batch.costs, flip, (2,)),
        mask=batch.mask.clone(),
    )


def photometric(
    views: torch.Tensor, generator: torch.Generator | None = None, config: PhotometricConfig = PhotometricConfig()
) -> torch.Tensor:
    """Change brightness, contrast and colour of each window a little and add some noise; all frames of a window alike.

    Noise is cut from one bank of normal numbers at random places, since drawing it anew for every pixel would cost more
    than everything else together.

    Args:
        views: (B, T, C, h, w, 3), uint8, or floating point from 0 to 1.
        generator: where the amounts are drawn.
        config: how far.

    Returns:
        New tensor of the same shape, type and range.
    """
    windows = len(views)
    full = 255.0 if views.dtype == torch.uint8 else 1.0

    def uniform(limit: float, *shape: int) -> torch.Tensor:
        return (torch.rand(windows, *shape, generator=generator) * 2.0 - 1.0) * limit

    gain = (1.0 + uniform(config.contrast, 1)) * (1.0 + uniform(config.gain, 3))
    offset = full * (0.5 + uniform(config.brightness, 1)) - gain * (0.5 * full)
    if views.dtype == torch.uint8:
        offset = offset + 0.5  # the cast to uint8 cuts off: this makes it round
    noise = full * config.noise * torch.rand(windows, generator=generator)
    frame = views[0, 0].numel() if windows else 0
    bank = torch.randn(frame + NOISE_PLACES, generator=generator)
    places = torch.randint(NOISE_PLACES, views.shape[:2], generator=generator).tolist() if windows else []
    changed = torch.empty_like(views, memory_format=torch.contiguous_format)
    values = torch.empty(views.shape[1:])
    # Window by window, so that the intermediate floats stay in the processor's cache.
    for window in range(windows):
        torch.mul(views[window], gain[window], out=values).add_(offset[window])
        amount = float(noise[window])
        for step, place in enumerate(places[window]):
            values[step].view(-1).add_(bank[place : place + frame], alpha=amount)
        changed[window] = values.clamp_(0.0, full)
    return changed


def _mirrored(values: torch.Tensor, flip: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    mirrored = values.clone()
    mirrored[flip] = values[flip].flip(dims)
    return mirrored


def _signs(flip: torch.Tensor, mirror: tuple[float, ...]) -> torch.Tensor:
    """(B, 1, N): the mirror signs where flipped, ones elsewhere."""
    signs = torch.tensor(mirror, dtype=torch.float32)
    return torch.where(flip[:, None], signs, torch.ones_like(signs))[:, None]
