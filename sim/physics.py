"""The PyBullet client: ground, gravity, and a pool of tree colliders that follows the vehicle."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from sim.bullet_import import pybullet
from sim.vehicles.rigid_body import GRAVITY_MPS2

PHYSICS_HZ = 240
COLLIDER_HEIGHT_M = 7.0
"""Every trunk's collider is this tall: vehicles stay below the lowest crown, so the real height does not matter."""
PARKING_Z_M = -1000.0


class PhysicsClient:
    """One headless PyBullet simulation, stepped at 240 Hz, that repeats bit for bit after every reset."""

    def __init__(self) -> None:
        self.id = pybullet.connect(pybullet.DIRECT)
        self.pool: TreePool | None = None

    def reset(self, trees: np.ndarray, reach_m: float) -> None:
        """Empty the simulation and lay the ground; rebuilding is what makes episodes repeat exactly.

        Args:
            trees: (n, 7) trees of the world.
            reach_m: trees within this distance of the vehicle have colliders, in metres.
        """
        pybullet.resetSimulation(physicsClientId=self.id)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=1 / PHYSICS_HZ, numSolverIterations=4, deterministicOverlappingPairs=1, enableFileCaching=0,
            physicsClientId=self.id,
        )  # fmt: skip
        pybullet.setGravity(0, 0, -GRAVITY_MPS2, physicsClientId=self.id)
        ground = pybullet.createCollisionShape(pybullet.GEOM_PLANE, physicsClientId=self.id)
        pybullet.createMultiBody(0, ground, physicsClientId=self.id)
        self.pool = TreePool(self.id, trees, reach_m)

    def step(self) -> None:
        """Advance by one sub-step of 1/240 s."""
        pybullet.stepSimulation(physicsClientId=self.id)

    def touches(self, body: int) -> bool:
        """Whether the body touches anything, ground included."""
        contacts = pybullet.getContactPoints(bodyA=body, physicsClientId=self.id)
        return any(contact[8] <= 0.0 for contact in contacts)

    def close(self) -> None:
        """Disconnect; further calls do nothing."""
        if self.id >= 0:
            pybullet.disconnect(physicsClientId=self.id)
            self.id = -1


class TreePool:
    """Cylinders that stand where the nearest trees are; a body per tree would make each step 20 to 100 times slower.

    Bodies are made when first needed, one list per trunk radius, and parked far below the ground when their tree is
    out of reach.

    Args:
        client_id: PyBullet's physics client id, freshly reset.
        trees: (n, 7) trees of the world.
        reach_m: trees whose surface lies within this distance get a collider, in metres.
    """

    def __init__(self, client_id: int, trees: np.ndarray, reach_m: float) -> None:
        self._id = client_id
        self._positions = trees[:, :2].astype(np.float64)
        self._radii = trees[:, 2].astype(np.float64)
        self._reach = reach_m
        self._free: dict[float, list[int]] = {}
        self._standing: dict[int, int] = {}

    @property
    def num_standing(self) -> int:
        """Number of trees that have a collider now."""
        return len(self._standing)

    def follow(self, x: float, y: float) -> None:
        """Stand colliders at every tree within reach of (x, y) and park the others."""
        distance = np.hypot(self._positions[:, 0] - x, self._positions[:, 1] - y) - self._radii
        wanted = np.flatnonzero(distance < self._reach).tolist()
        for tree in [t for t in self._standing if t not in wanted]:
            body = self._standing.pop(tree)
            self._move(body, float(tree), 0.0, PARKING_Z_M)
            self._free.setdefault(float(self._radii[tree]), []).append(body)
        for tree in wanted:
            if tree not in self._standing:
                body = self._take(float(self._radii[tree]))
                self._move(body, self._positions[tree, 0], self._positions[tree, 1], COLLIDER_HEIGHT_M / 2)
                self._standing[tree] = body

    def _take(self, radius: float) -> int:
        """A parked body of this radius, or a new one."""
        parked = self._free.get(radius)
        if parked:
            return parked.pop()
        shape = pybullet.createCollisionShape(
            pybullet.GEOM_CYLINDER, radius=radius, height=COLLIDER_HEIGHT_M, physicsClientId=self._id
        )
        return pybullet.createMultiBody(0, shape, useMaximalCoordinates=1, physicsClientId=self._id)

    def _move(self, body: int, x: float, y: float, z: float) -> None:
        pybullet.resetBasePositionAndOrientation(body, (x, y, z), (0, 0, 0, 1), physicsClientId=self._id)


@njit(cache=True)
def path_clearance(path: np.ndarray, trees: np.ndarray) -> float:
    """Least distance in metres from the points (n, >= 2) of a path to the surface of any trunk of (m, 7) trees."""
    least = 1e9
    for k in range(trees.shape[0]):
        x, y, radius = trees[k, 0], trees[k, 1], trees[k, 2]
        for i in range(path.shape[0]):
            dx, dy = path[i, 0] - x, path[i, 1] - y
            least = min(least, math.sqrt(dx * dx + dy * dy) - radius)
    return least
