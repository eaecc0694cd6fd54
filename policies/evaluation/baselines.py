"""Baselines: pilots without learning, to measure policies against. A task names those that it has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER as CENTER
from forestpilot.data_collection.rollouts.pilots import Decision, Observations
from forestpilot.sim.envs.task_spec import TaskSpec

REACTIVE_LOOKAHEAD_M = 6.0
"""Distance beyond which nothing is in the way."""
REACTIVE_MARGIN_M = 0.5
"""Room to be kept beside an obstacle, metres."""
REACTIVE_OFF_GOAL_M_PER_RAD = 2.0
"""Free metres that a column must offer more for each radian away from the goal."""


class _Baseline:
    """A pilot that remembers nothing."""

    needs_expert = False

    def begin(self, slots: int) -> None:
        """Nothing to get ready."""

    def restart(self, slot: int, seed: int) -> None:
        """Nothing to forget."""


class BlindPilot(_Baseline):
    """Flies at the goal with its eyes closed: what a forest's density alone makes of an episode."""

    name = "blind"
    cameras = ()

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Turn to the goal, full speed."""
        goal = observations["goal"]
        max_turn_rad = _spec(infos).max_turn_rad
        turn = np.arctan2(goal[:, 1], goal[:, 0]) / float(max_turn_rad)
        return decided(np.stack([np.clip(turn, -1, 1), np.ones(len(turn))], axis=1))


class BlindDriver(_Baseline):
    """Drives straight on with its eyes closed, at the speed set point: what a road's bends alone make of an episode."""

    name = "blind"
    cameras = ()

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Wheels straight; pedals in proportion to what the speed lacks, all the way at 1 m/s."""
        spec = _spec(infos)
        state = observations["state"]
        lacking = state[:, spec.index("speed_set_point_mps")] - state[:, spec.index("forward_mps")]
        go = np.clip(lacking, -1.0, 1.0)
        return decided(np.stack([np.zeros(len(go)), go], axis=1))


class ReactivePilot(_Baseline):
    """Steers by the rendered depth of the center camera: the free column nearest to the goal's direction, no
    learning, no plan.
    """

    name = "reactive"
    cameras = ("center",)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Choose a column of the depth image for each episode."""
        spec = _spec(infos)
        turns = [free_turn_rad(info["depth"][CENTER], goal, spec) for info, goal in zip(infos, observations["goal"])]
        return decided(np.stack([np.array(turns) / spec.max_turn_rad, np.ones(len(turns))], axis=1))


def free_turn_rad(depth: np.ndarray, goal: np.ndarray, spec: TaskSpec) -> float:
    """Turn in radians to the free column of a depth image that lies nearest to the goal.

    Args:
        depth: (H, W) metres.
        goal: (2,) cosine and sine of the bearing to the goal.
        spec: says how wide the camera sees and how far the vehicle turns.
    """
    height, width = depth.shape
    half_fov_rad = math.radians(spec.horizontal_fov_deg / 2)
    focal = 0.5 * width / math.tan(half_fov_rad)
    bearings = np.arctan((width / 2 - np.arange(width) - 0.5) / focal)
    band = depth[height // 3 : 2 * height // 3].min(axis=0) / np.cos(bearings)
    ahead = np.minimum(band, REACTIVE_LOOKAHEAD_M)
    # A trunk blocks the columns beside it too, the more the nearer it stands.
    blocked_half_angle = np.arctan2(REACTIVE_MARGIN_M, ahead)
    gaps = np.abs(bearings[:, None] - bearings[None, :])
    free = np.where(gaps <= blocked_half_angle[None, :], ahead[None, :], REACTIVE_LOOKAHEAD_M).min(axis=1)
    target = math.atan2(goal[1], goal[0])
    if abs(target) > half_fov_rad and free.min() >= REACTIVE_LOOKAHEAD_M:
        return float(np.clip(target, -spec.max_turn_rad, spec.max_turn_rad))
    off_goal = np.abs(bearings - np.clip(target, -half_fov_rad, half_fov_rad))
    return float(bearings[np.argmax(free - REACTIVE_OFF_GOAL_M_PER_RAD * off_goal)])


def decided(actions: np.ndarray) -> Decision:
    """The decision for actions (n, 2) that neither an expert nor a human made."""
    return Decision(actions.astype(np.float32), np.full(len(actions), ACTOR_POLICY, np.uint8))


def _spec(infos: list[dict[str, Any]]) -> TaskSpec:
    """The task spec of the episodes, which all of a job's share."""
    spec: TaskSpec = infos[0]["task_spec"]
    return spec
