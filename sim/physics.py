"""The PyBullet client: ground, gravity, and a pool of colliders that follows the vehicle."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2, PHYSICS_HZ
from forestpilot.sim.worlds.hazards.hazard import BASE, LENGTH, TOP, WIDTH, YAW, X, Y
from forestpilot.sim.worlds.hazards.traffic import Traffic, least_gap
from forestpilot.sim.worlds.tables import NO_BOXES
from forestpilot.sim.worlds.world import World

COLLIDER_HEIGHT_M = 7.0
"""Every trunk's collider is this tall: no vehicle gets above a trunk, so the real height does not matter. Crowns and
the low branches of young spruces give way."""
PARKING_Z_M = -1000.0
CONTACT_DISTANCE = 8
"""Place of the distance in what PyBullet tells of a contact."""
MOST_SPARE = 2
"""Connections that a process keeps for later."""
_spare: list[int] = []


class PhysicsClient:
    """One headless PyBullet simulation, stepped at 240 Hz, that repeats bit for bit after every reset."""

    def __init__(self) -> None:
        self.id = _connection()
        self.pool: ColliderPool | None = None
        self._is_due = False
        self.movers = MovingColliders(self.id, NO_BOXES)
        """Bodies of what moves by itself."""

    def reset_later(self, world: World, reach_m: float) -> None:
        """As `reset`, but nothing is built before `catch_up`: many episodes touch nothing and need no simulation."""
        self.pool = ColliderPool(self.id, world, reach_m)
        self.movers = MovingColliders(self.id, Traffic(world.hazards).boxes(), reach_m)
        self._is_due = True

    def catch_up(self) -> None:
        """Build what is due since `reset_later`."""
        if self._is_due:
            self._build()

    def reset(self, world: World, reach_m: float) -> None:
        """Empty the simulation and lay the ground; rebuilding is what makes episodes repeat exactly.

        Args:
            world: whose trees and boxes have colliders.
            reach_m: those within this distance of the vehicle have one, in metres.
        """
        self.reset_later(world, reach_m)
        self._build()

    def _build(self) -> None:
        self._is_due = False
        pybullet.resetSimulation(physicsClientId=self.id)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=1 / PHYSICS_HZ,
            numSolverIterations=4,
            deterministicOverlappingPairs=1,
            enableFileCaching=0,
            physicsClientId=self.id,
        )
        pybullet.setGravity(0, 0, -GRAVITY_MPS2, physicsClientId=self.id)
        ground = pybullet.createCollisionShape(pybullet.GEOM_PLANE, physicsClientId=self.id)
        pybullet.createMultiBody(0, ground, physicsClientId=self.id)
        self.movers.build()

    def step(self) -> None:
        """Advance by one sub-step of 1/240 s."""
        pybullet.stepSimulation(physicsClientId=self.id)

    def touches(self, body: int) -> bool:
        """Tell if the body touches anything, ground included."""
        contacts = pybullet.getContactPoints(bodyA=body, physicsClientId=self.id)
        return any(contact[CONTACT_DISTANCE] <= 0.0 for contact in contacts)

    def close(self) -> None:
        """Empty the simulation, and leave the connection to the next or disconnect; further calls do nothing."""
        if self.id < 0:
            return
        if len(_spare) < MOST_SPARE:
            pybullet.resetSimulation(physicsClientId=self.id)
            _spare.append(self.id)
        else:
            pybullet.disconnect(physicsClientId=self.id)
        self.id = -1


def _connection() -> int:
    """A connection whose simulation is empty; another one would take 29 MB and some 10 ms."""
    try:
        return _spare.pop()
    except IndexError:
        return int(pybullet.connect(pybullet.DIRECT))


class ColliderPool:
    """Cylinders and boxes that stand where the nearest trees and obstacles are; a body for each would make every step
    20 to 100 times slower.

    Bodies are made when first needed, one list per shape, and parked far below the ground when what they stand for is
    out of reach.

    Args:
        client_id: PyBullet's physics client id, freshly reset.
        world: its trees and boxes.
        reach_m: what lies within this distance gets a collider, in metres.
    """

    def __init__(self, client_id: int, world: World, reach_m: float) -> None:
        self._id = client_id
        trees = world.trees.astype(np.float64)
        boxes = world.boxes.astype(np.float64)
        self._positions = np.concatenate([trees[:, :2], boxes[:, :2]])
        self._radii = np.concatenate([trees[:, 2], np.hypot(boxes[:, 3], boxes[:, 4]) / 2])
        self._boxes = boxes
        self._num_trees = len(trees)
        self._reach = reach_m
        self.discs = np.column_stack([self._positions, self._radii])
        """(n, 3) x, y and radius of everything, in metres; boxes with their outer circle."""
        self._passed: list[tuple[float, float]] = []
        self._free: dict[float | tuple[float, ...], list[int]] = {}
        self._standing: dict[int, int] = {}

    @property
    def num_standing(self) -> int:
        """Number of trees and boxes that have a collider now."""
        return len(self._standing)

    def follow(self, x: float, y: float) -> None:
        """Stand colliders at everything within reach of (x, y) and park the others."""
        # First as it would have been on the way here, so that bodies are made in the same order.
        for place in self._passed:
            self._follow(*place)
        self._passed.clear()
        self._follow(x, y)

    def pass_by(self, x: float, y: float) -> None:
        """The vehicle was at (x, y) and touches nothing: what stands there is found out by the next `follow`."""
        self._passed.append((x, y))

    def _follow(self, x: float, y: float) -> None:
        distance = np.hypot(self._positions[:, 0] - x, self._positions[:, 1] - y) - self._radii
        wanted = np.flatnonzero(distance < self._reach).tolist()
        for thing in [t for t in self._standing if t not in wanted]:
            body = self._standing.pop(thing)
            self._move(body, (float(thing), 0.0, PARKING_Z_M), 0.0)
            self._free.setdefault(self._shape_of(thing), []).append(body)
        for thing in wanted:
            if thing not in self._standing:
                self._standing[thing] = self._stand(thing)

    def _shape_of(self, thing: int) -> float | tuple[float, ...]:
        """Radius of a tree's cylinder, or length, width and height of a box."""
        if thing < self._num_trees:
            return float(self._radii[thing])
        _, _, _, length, width, low, high, _ = self._boxes[thing - self._num_trees]
        return length, width, high - low

    def _stand(self, thing: int) -> int:
        """A body of the right shape, parked before or new, at its place."""
        shape = self._shape_of(thing)
        parked = self._free.get(shape)
        body = parked.pop() if parked else self._make(shape)
        x, y = self._positions[thing]
        if thing < self._num_trees:
            self._move(body, (x, y, COLLIDER_HEIGHT_M / 2), 0.0)
        else:
            _, _, yaw, _, _, low, high, _ = self._boxes[thing - self._num_trees]
            self._move(body, (x, y, (low + high) / 2), yaw)
        return body

    def _make(self, size: float | tuple[float, ...]) -> int:
        """A new body: a cylinder of this radius, or a box of this length, width and height."""
        if isinstance(size, tuple):
            return make_box(self._id, size)
        shape = pybullet.createCollisionShape(
            pybullet.GEOM_CYLINDER, radius=size, height=COLLIDER_HEIGHT_M, physicsClientId=self._id
        )
        return pybullet.createMultiBody(0, shape, useMaximalCoordinates=1, physicsClientId=self._id)

    def _move(self, body: int, place: tuple[float, float, float], yaw_rad: float) -> None:
        move_body(self._id, body, place, yaw_rad)


class Moving(NamedTuple):
    """Where what moves near a vehicle is, sub-step by sub-step."""

    rows: np.ndarray
    """(r,) int64 rows of the table of boxes that they are."""
    ways: np.ndarray
    """(sub-steps, r, 8) the columns of `Boxes`."""


def swept_discs(moving: Moving) -> np.ndarray:
    """(r, 3) x, y and radius of discs that hold each box wherever it is on its way."""
    places = moving.ways[:, :, :2]
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    travel = np.hypot(*(places.max(axis=0) - middle).T)
    radii = np.hypot(moving.ways[0, :, LENGTH], moving.ways[0, :, WIDTH]) / 2
    return np.column_stack([middle, radii + travel])


class MovingColliders:
    """Boxes that are where hazards are, sub-step by sub-step; parked far below the ground where no vehicle is near.

    Args:
        client_id: PyBullet's physics client id.
        boxes: (m, 8) the columns of `Boxes`, of all hazards, one after the other; their sizes never change.
        reach_m: what comes within this distance of the vehicle has its body there, in metres.
    """

    def __init__(self, client_id: int, boxes: np.ndarray, reach_m: float = 0.0) -> None:
        self._id = client_id
        self._boxes = boxes.astype(np.float64)
        self._radii = np.hypot(self._boxes[:, LENGTH], self._boxes[:, WIDTH]) / 2
        self.reach_m = reach_m
        """What comes within this distance of the vehicle has its body there."""
        self.largest_m = float(np.max(self._radii, initial=0.0))
        """Radius of the largest box, on the ground."""
        self._bodies: list[int] = []
        self._here: list[int] = []

    def build(self) -> None:
        """Make the bodies, in a simulation that was just reset."""
        self._bodies = []
        self._here = []
        for number, box in enumerate(self._boxes):
            self._bodies.append(make_box(self._id, (box[LENGTH], box[WIDTH], box[TOP] - box[BASE])))
            self._park(number)

    def are_near(self, boxes: np.ndarray, place_m: np.ndarray, further_m: float) -> bool:
        """Tell if any of the boxes (m, 8) is within reach of a place (1, 2), or so much further."""
        gap = least_gap(boxes, place_m, math.inf, -math.inf)
        return bool(gap < self.reach_m + further_m)

    def move(self, rows: np.ndarray, boxes: np.ndarray, x: float, y: float) -> bool:
        """Put the bodies of what is within reach of a vehicle at (x, y) where it is now, and park the others.

        Args:
            rows: (r,) rows of all boxes that may be near.
            boxes: (r, 8) where those are.
            x: place of the vehicle in metres.
            y: likewise.

        Returns:
            Whether any body is there.
        """
        distance = np.hypot(boxes[:, X] - x, boxes[:, Y] - y) - self._radii[rows]
        here = []
        for number, row in enumerate(rows.tolist()):
            if distance[number] < self.reach_m:
                box = boxes[number]
                place = (box[X], box[Y], (box[BASE] + box[TOP]) / 2)
                move_body(self._id, self._bodies[row], place, box[YAW])
                here.append(row)
        for row in self._here:
            if row not in here:
                self._park(row)
        self._here = here
        return bool(here)

    def park_all(self) -> None:
        """Nothing that moves is near any more."""
        for number in self._here:
            self._park(number)
        self._here = []

    def _park(self, number: int) -> None:
        move_body(self._id, self._bodies[number], (4.0 * number, 100.0, PARKING_Z_M), 0.0)


def make_box(client_id: int, size_m: tuple[float, ...]) -> int:
    """A new body that nothing moves: a box of this length, width and height."""
    half = [value / 2 for value in size_m]
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client_id)
    return int(pybullet.createMultiBody(0, shape, useMaximalCoordinates=1, physicsClientId=client_id))


def move_body(client_id: int, body: int, place: tuple[float, float, float], yaw_rad: float) -> None:
    """Put a body's middle at a place, turned about the vertical."""
    turned = (0.0, 0.0, math.sin(yaw_rad / 2), math.cos(yaw_rad / 2))
    pybullet.resetBasePositionAndOrientation(body, place, turned, physicsClientId=client_id)
