"""What a policy looks at: which parts of a picture its turn depends on.

Each patch of the view is blurred in turn, and the map shows how far the turn moves: occlusion sensitivity (Zeiler &
Fergus 2014, arXiv:1311.2901, section 4.2), with a blur in place of the grey square, because a grey square in the sky
looks like a trunk (Fong & Vedaldi 2017, arXiv:1704.03296, section 4.3). It measures the policy that acts, memory and
head included. VisualBackProp (Bojarski et al. 2016, arXiv:1611.05418), which reads only what the convolutions respond
to, found much less of what moves the turn in the pretrained policies.

Covering the 7 % of the picture that are marked most with its mean colour turns the pretrained drone by 9.3 degrees on
average, the same shape elsewhere by 3.1, and by 3.8 when it is only moved sideways (155 frames); the pretrained car's
wheels by 2.7 against 0.9 and 1.6 (160 frames of winding roads).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from forestpilot.policies.networks.goal_encoders.base import repeated
from forestpilot.policies.networks.memories.base import State
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.sim.envs.task_spec import side_view
from forestpilot.sim.errors import InvalidArgumentError

PATCH_PX = 6
"""Side of the blurred squares, in view pixels."""
STRIDE_PX = 3
"""Distance from one of them to the next, in view pixels."""
BLUR_PX = (9, 15)
"""Rows and columns that a blurred pixel is the mean of: wider than high, as trunks are upright."""
LEAST_FORWARD = 1e-3
"""Rays that point less far ahead than this do not meet the view."""
TINT = (255, 150, 40)
"""Colour of what is looked at most."""


def saliency(
    policy: VisuomotorPolicy, observations: dict[str, np.ndarray], at: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
    """Where a policy looks during consecutive steps of one episode.

    A pixel's value is how far the turn moves when the patches that hold it are blurred, at this step alone: the memory
    is as the pictures before have left it. A policy that predicts costs is asked for the mean of its candidate turns,
    the cheap ones weighing most, because its cheapest turn jumps.

    Args:
        policy: what to look into.
        observations: `left`, `center`, `right` (T, H, W, 3) uint8 (only those the policy sees are needed), `state`
            (T, S) float32, `goal` (T, G) float32, from the episode's first step on.
        at: indices of the steps to look into, which is what takes long; the others only fill the memory. All by
            default.

    Returns:
        For each camera that the policy sees (T, H, W) float32, or as many steps as `at` names, in [0, 1],
        in the pixels of the camera's image. The most of each step, over all cameras, is 1; where the policy does not
        look it is 0.

    Raises:
        ValueError: something is missing, of another length, or of another camera.
    """
    steps = _require_steps(policy, observations)
    shown = list(range(steps))
    if at is not None:
        shown = list(at)
    if not shown:
        height, width, *_ = policy.prepare.image_shape
        return dict.fromkeys(policy.camera_names, np.zeros((0, height, width), np.float32))
    heat = _view_heat(policy, observations, shown)
    yaws = {"left": policy.spec.side_yaw_rad, "center": 0.0, "right": -policy.spec.side_yaw_rad}
    maps: dict[str, np.ndarray] = {}
    for number, name in enumerate(policy.camera_names):
        state, _ = side_view(policy.spec, observations["state"], observations["goal"], yaws[name])
        maps[name] = onto_image(policy.prepare, heat[:, number], state[shown])
    most = np.max(list(maps.values()), axis=(0, 2, 3))[:, None, None]
    for found in maps.values():
        np.divide(found, most, out=found, where=most > 0)
    return maps


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture in which what is looked at keeps its light and is tinted; the rest recedes, so it reads without colour.

    Args:
        image: (H, W, 3) uint8.
        heat: (H, W) in [0, 1].

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: the two differ in size.
    """
    if image.shape != (*heat.shape, 3):
        raise InvalidArgumentError(f"image is {image.shape} and heat {heat.shape}; they must be (H, W, 3) and (H, W)")
    share = np.clip(np.nan_to_num(np.asarray(heat, np.float32)), 0.0, 1.0)[..., None]
    picture = image.astype(np.float32)
    pale = 0.6 * (0.4 * picture + 0.6 * picture.mean(axis=-1, keepdims=True))
    lit = 0.55 * picture + 0.45 * np.array(TINT, np.float32)
    mixed: np.ndarray = (pale + share * (lit - pale)).round().astype(np.uint8)
    return mixed


def onto_image(prepare: ViewPreparer, heat: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Values in the pixels of the views, put where the camera image had those pixels.

    Args:
        prepare: made the views.
        heat: (T, h, w) float32.
        state: (T, S) float32, of the camera that took the images.

    Returns:
        (T, H, W) float32; 0 where the view does not reach.
    """
    view_height, view_width, *_ = prepare.view_shape
    forward, left, up = _level_rays(prepare, state)
    scale = prepare.view_focal_px / np.maximum(forward, LEAST_FORWARD)
    column = view_width / 2 - left * scale
    row = prepare.horizon_row - up * scale
    inside = (forward > LEAST_FORWARD) & (column >= 0) & (column <= view_width) & (row >= 0) & (row <= view_height)
    grid = torch.from_numpy(np.stack([2 * column / view_width - 1, 2 * row / view_height - 1], axis=-1)).float()
    values = torch.from_numpy(np.ascontiguousarray(heat, np.float32))[:, None]
    sampled = F.grid_sample(values, grid, padding_mode="border", align_corners=False)[:, 0].numpy()
    return np.where(inside, sampled, np.float32(0.0))


def _level_rays(prepare: ViewPreparer, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rays of the image's pixels (forward, left, up), each (T, H, W), in the axes of a level camera."""
    height, width, *_ = prepare.image_shape
    focal = prepare.image_focal_px * prepare.shrink
    # The ray (1, left, up) of each image pixel in body axes.
    up = (_middle(height, prepare.shrink) - np.arange(height)[:, None] - 0.5) / focal
    left = (_middle(width, prepare.shrink) - np.arange(width)[None, :] - 0.5) / focal
    roll, pitch = prepare.tilt_of(state).astype(np.float64).T[:, :, None, None]
    # Ry(pitch) Rx(roll) turns it into the level camera's axes.
    level_left = np.cos(roll) * left - np.sin(roll) * up
    rolled_up = np.sin(roll) * left + np.cos(roll) * up
    forward = np.cos(pitch) + np.sin(pitch) * rolled_up
    level_up = np.cos(pitch) * rolled_up - np.sin(pitch)
    return forward, level_left, level_up


def _middle(size: int, shrink: int) -> float:
    """Middle of the blocks of pixels that were averaged, which may leave some pixels out at the rim."""
    return size % shrink // 2 + size // shrink * shrink / 2


def _require_steps(policy: VisuomotorPolicy, observations: dict[str, np.ndarray]) -> int:
    """Number of steps.

    Raises:
        ValueError: something that the policy sees is missing, or of another length.
    """
    needed = policy.observation_keys
    if missing := [name for name in needed if name not in observations]:
        raise InvalidArgumentError(f"observations lack {', '.join(missing)}; this policy sees {', '.join(needed)}")
    lengths = {name: len(observations[name]) for name in needed}
    if len(set(lengths.values())) > 1:
        raise InvalidArgumentError(f"observations must be of the same steps, but their lengths are {lengths}")
    return lengths["state"]


@torch.inference_mode()
def _view_heat(policy: VisuomotorPolicy, observations: dict[str, np.ndarray], shown: Sequence[int]) -> np.ndarray:
    """Change of the turn at some steps when a pixel of a view is blurred, (n, C, h, w) float32 in action units."""
    views = torch.from_numpy(policy.views_of(observations))
    state = torch.from_numpy(np.array(observations["state"], np.float32))
    goal = torch.from_numpy(np.array(observations["goal"], np.float32))
    goal_view = policy.goal_view_of({key: observations[key][:1] for key in policy.observation_keys})
    _, cameras, height, width, _ = views.shape
    covers = _patches(cameras, height, width)
    weight = covers.flatten(1).float()
    weight = weight / weight.sum(0)
    memory: State = policy.memory.initial(1)
    maps: dict[int, Tensor] = {}
    for step, (view, step_state, step_goal) in enumerate(zip(views, state, goal, strict=True)):
        looked_into = step in shown
        batch = view[None]
        if looked_into:
            batch = torch.cat((batch, torch.where(covers[..., None], _blurred(view), view)))
        rows = len(batch)
        remembered = tuple(part.expand(rows, *part.shape[1:]).contiguous() for part in memory)
        prediction, after = policy(
            batch[:, None],
            step_state.expand(rows, 1, -1),
            step_goal.expand(rows, 1, -1),
            remembered,
            repeated(goal_view, rows),
        )
        memory = tuple(part[:1] for part in after)
        if looked_into:
            turn = policy.head.smooth_turn(prediction[:, 0])
            maps[step] = ((turn[1:] - turn[0]).abs() @ weight).view(view.shape[:3])
    return torch.stack([maps[step] for step in shown]).numpy()


def _patches(cameras: int, height: int, width: int) -> Tensor:
    """Pixels of each patch, (K, C, h, w) bool; those over the rim are cut off, so that it is covered as often."""
    overlap = PATCH_PX - STRIDE_PX
    tops = range(-overlap, height, STRIDE_PX)
    lefts = range(-overlap, width, STRIDE_PX)
    corners = list(itertools.product(range(cameras), tops, lefts))
    covers = torch.zeros(len(corners), cameras, height, width, dtype=torch.bool)
    for cover, (camera, top, left) in zip(covers, corners):
        cover[camera, max(0, top) : top + PATCH_PX, max(0, left) : left + PATCH_PX] = True
    return covers


def _blurred(view: Tensor) -> Tensor:
    """A step's views (C, h, w, 3) uint8, blurred."""
    rows, columns = BLUR_PX
    images = view.permute(0, 3, 1, 2).float()
    means = F.avg_pool2d(images, BLUR_PX, 1, (rows // 2, columns // 2), count_include_pad=False)
    return means.round().to(torch.uint8).permute(0, 2, 3, 1)
