"""TinyRenderer at its fastest, for the benchmark: only trees near and ahead are in its scene.

TinyRenderer goes through every body of its client for every image. Here a pool of trees stands in for the forest: the
few that are near and in sight of a camera are moved to where trees of the world stand, the way a simulator streams its
surroundings. Shapes cannot be scaled once they are made, so every tree of the pool has the world's mean size: good for
measuring time, not for learning from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import Camera
from forestpilot.sim.rendering.protocol import Frames, VehiclePose, checked_poses
from forestpilot.sim.rendering.pybullet.renderer import OUT_OF_SIGHT, UNTURNED, BulletRenderer, crown_pose
from forestpilot.sim.worlds.world import World

REACH_M = 25.0
"""Trees farther away than this are left out."""


class StreamedTinyRenderer(BulletRenderer):
    """TinyRenderer with a pool of trees that follows the cameras."""

    def __init__(self, camera: Camera, num_cameras: int) -> None:
        """Prepare a renderer of `num_cameras` images per call."""
        super().__init__("tiny", camera, num_cameras)
        self._trees = np.zeros((0, 7), np.float32)
        self._slots: dict[int, tuple[int, int]] = {}
        self._free: dict[bool, list[tuple[int, int]]] = {}

    def _add_trees(self, world: World) -> None:
        """Remember the trees; the pool grows when they come into sight."""
        self._trees = world.trees
        self._slots, self._free = {}, {False: [], True: []}
        self._mean_tree = world.trees.mean(axis=0) if len(world.trees) else np.zeros(7, np.float32)

    def render(self, eyes: ArrayLike, axes: ArrayLike, vehicle: VehiclePose | None = None) -> Frames:
        """Move the pool to the trees in sight, then draw as the base class does."""
        eyes, axes = checked_poses(eyes, axes, self.num_cameras)
        wanted = set(self._in_sight(eyes, axes).tolist())
        for index in [index for index in self._slots if index not in wanted]:
            slot = self._slots.pop(index)
            self._move(slot, OUT_OF_SIGHT, OUT_OF_SIGHT)
            self._free[self._is_sphere(index)].append(slot)
        for index in wanted - self._slots.keys():
            self._show(index)
        return super().render(eyes, axes, vehicle)

    def _in_sight(self, eyes: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.int64]:
        """Indices of the trees within reach that some camera may see."""
        slope = 0.5 * self.camera.width / self.camera.focal_px
        radius = self._trees[:, 4] + 1.0
        seen = np.zeros(len(self._trees), bool)
        for eye, axis in zip(eyes, axes, strict=True):
            offset = self._trees[:, :2] - eye[:2]
            aside, ahead = np.abs(offset @ axis[0, :2]), offset @ axis[2, :2]
            near = (offset**2).sum(axis=1) < REACH_M**2
            seen |= near & (ahead > -radius) & (aside - slope * ahead < radius * np.hypot(1, slope))
        return np.flatnonzero(seen)

    def _is_sphere(self, index: int) -> bool:
        return bool(self._trees[index, 6] > 0.5)

    def _show(self, index: int) -> None:
        """Stand a pooled tree of the right kind where tree `index` stands."""
        tree = self._mean_tree.copy()
        tree[[0, 1, 6]] = self._trees[index, [0, 1, 6]]
        shape, scale, crown_place = crown_pose(tree)
        trunk_place = (float(tree[0]), float(tree[1]), 0.0)
        free = self._free[self._is_sphere(index)]
        if free:
            slot = free.pop()
            self._move(slot, trunk_place, crown_place)
        else:
            radius, height = float(tree[2]), float(tree[3])
            trunk = self._add("cylinder", (radius, radius, height), trunk_place, (110, 85, 60), 2 * index)
            slot = (trunk, self._add(shape, scale, crown_place, (66, 110, 48), 2 * index + 1))
        self._ids[slot[0]], self._ids[slot[1]] = 2 * index, 2 * index + 1
        self._slots[index] = slot

    def _move(self, slot: tuple[int, int], *places: tuple[float, ...]) -> None:
        """Move a pooled tree's trunk and crown."""
        for body, place in zip(slot, places, strict=True):
            pybullet.resetBasePositionAndOrientation(body, place, UNTURNED, physicsClientId=self._open_client())
