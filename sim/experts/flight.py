"""The flight expert: the rollout planner asked at the drone's own pose and at the poses of its side cameras."""

from __future__ import annotations

import math

import numpy as np

from sim.experts.planner import NUM_CANDIDATES, RolloutPlanner
from sim.vehicles.quadrotor import MAX_TURN_RAD, Quadrotor
from sim.worlds.world import World


class FlightExpert:
    """Answers, for each camera heading, what a privileged pilot would do; sees geometry and no pixels.

    Args:
        world: the forest it flies in.
    """

    def __init__(self, world: World) -> None:
        self._planner = RolloutPlanner(world.clearance, world.bounds_m, world.goal_m)

    def label(
        self, quadrotor: Quadrotor, eyes_m: np.ndarray, axes: np.ndarray, speed_mps: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions and candidate costs for each camera, as if the drone headed where that camera looks.

        Args:
            quadrotor: the drone, its state read.
            eyes_m: (C, 3) camera positions; each view is labelled at its own offset from their mean.
            axes: (C, 3, 3) camera axes, rows right, up, forward.
            speed_mps: speed set point in m/s.

        Returns:
            (C, 2) float32 actions and (C, K) float32 costs.
        """
        motion = quadrotor.motion_state()
        offsets = eyes_m[:, :2] - eyes_m[:, :2].mean(axis=0)
        actions = np.zeros((len(axes), 2), np.float32)
        costs = np.zeros((len(axes), NUM_CANDIDATES), np.float32)
        for c in range(len(axes)):
            shifted = motion.copy()
            shifted[:2] += offsets[c]
            advice = self._planner.advise(shifted, math.atan2(axes[c, 2, 1], axes[c, 2, 0]), speed_mps)
            actions[c] = advice.turn_rad / MAX_TURN_RAD, 2 * advice.speed_fraction - 1
            costs[c] = advice.costs
        return actions, costs
