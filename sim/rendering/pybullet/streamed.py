"""TinyRenderer at its fastest, for the benchmark: only trees near and ahead are in its scene.

TinyRenderer goes through every body of its client for every image. Here a pool of trees stands in for the forest: the
few that are near and in sight of a camera are moved to where trees of the world stand, the way a simulator streams its
surroundings. Shapes cannot be scaled once they are made, so every tree of the pool has the world's mean size: good for
measuring time, not for learning from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import Camera
from forestpilot.sim.rendering.protocol import Frames, VehiclePose, checked_poses
from forestpilot.sim.rendering.pybullet.renderer import OUT_OF_SIGHT, UNTURNED, crown_pose
from forestpilot.sim.rendering.pybullet.tiny import TinyRenderer
from forestpilot.sim.worlds.tables import CONE, SPHERE, Trees
from forestpilot.sim.worlds.world import World

REACH_M = 25.0
"""Trees farther away than this are left out."""


class Slot(NamedTuple):
    """A tree of the pool."""

    trunk: int
    """PyBullet's id of its trunk."""
    crown: int
    """PyBullet's id of its crown."""


class StreamedTinyRenderer(TinyRenderer):
    """TinyRenderer with a pool of trees that follows the cameras."""

    def __init__(self, camera: Camera, num_cameras: int) -> None:
        """Prepare a renderer of `num_cameras` images per call."""
        super().__init__(camera, num_cameras)
        self._trees = Trees.of(np.zeros((0, len(Trees._fields)), np.float32))
        self._slots: dict[int, Slot] = {}
        self._free: dict[int, list[Slot]] = {}

    def _add_trees(self, world: World) -> None:
        """Remember the trees; the pool grows when they come into sight."""
        self._trees = Trees.of(world.trees)
        self._slots = {}
        self._free = {CONE: [], SPHERE: []}
        if len(world.trees):
            self._mean_tree = Trees(*world.trees.mean(axis=0).tolist())

    def render(self, eyes: ArrayLike, axes: ArrayLike, vehicle: VehiclePose | None = None) -> Frames:
        """Move the pool to the trees in sight, then draw as the base class does."""
        eyes, axes = checked_poses(eyes, axes, self.num_cameras)
        wanted = set(self._in_sight(eyes, axes).tolist())
        for index in self._slots.keys() - wanted:
            slot = self._slots.pop(index)
            self._move(slot, OUT_OF_SIGHT, OUT_OF_SIGHT)
            self._free[self._kind(index)].append(slot)
        for index in wanted - self._slots.keys():
            self._show(index)
        return super().render(eyes, axes, vehicle)

    def _in_sight(self, eyes: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.int64]:
        """Indices of the trees within reach that some camera may see."""
        slope = 0.5 * self.camera.width / self.camera.focal_px
        radius = self._trees.crown_radius_m + 1.0
        seen = np.zeros(len(radius), bool)
        for eye, (right, _, forward) in zip(eyes, axes, strict=True):
            offset = np.stack([self._trees.x_m - eye[0], self._trees.y_m - eye[1]], axis=1)
            aside = np.abs(offset @ right[:2])
            ahead = offset @ forward[:2]
            near = (offset**2).sum(axis=1) < REACH_M**2
            seen |= near & (ahead > -radius) & (aside - slope * ahead < radius * np.hypot(1, slope))
        return np.flatnonzero(seen)

    def _kind(self, index: int) -> int:
        return int(self._trees.kind[index])

    def _show(self, index: int) -> None:
        """Stand a pooled tree of the right kind where tree `index` stands."""
        x = float(self._trees.x_m[index])
        y = float(self._trees.y_m[index])
        tree = self._mean_tree._replace(x_m=x, y_m=y, kind=self._kind(index))
        shape, scale, crown_place = crown_pose(tree)
        trunk_place = (x, y, 0.0)
        free = self._free[tree.kind]
        if free:
            slot = free.pop()
            self._move(slot, trunk_place, crown_place)
        else:
            trunk_scale = (tree.radius_m, tree.radius_m, tree.height_m)
            trunk = self._add("cylinder", trunk_scale, trunk_place, (110, 85, 60), 2 * index)
            slot = Slot(trunk, self._add(shape, scale, crown_place, (66, 110, 48), 2 * index + 1))
        self._ids[slot.trunk] = 2 * index
        self._ids[slot.crown] = 2 * index + 1
        self._slots[index] = slot

    def _move(self, slot: Slot, *places: tuple[float, ...]) -> None:
        """Move a pooled tree's trunk and crown."""
        for body, place in zip(slot, places, strict=True):
            pybullet.resetBasePositionAndOrientation(body, place, UNTURNED, physicsClientId=self._open_client())
