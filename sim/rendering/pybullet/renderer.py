"""The same world as PyBullet visuals: what the reference renderers, TinyRenderer (on the CPU) and EGL, share.

They show what the ray-caster is measured against: plain colours without texture, fog or shadows, but the same shapes,
camera and segmentation ids. Each renderer has its own PyBullet client, so it never disturbs the physics.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forestpilot.sim.bullet_import import pybullet, silent_descriptors
from forestpilot.sim.cameras import Camera
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.looks import BALL, BLOCK, DRUM, VehicleLook
from forestpilot.sim.rendering.protocol import (
    FAR_M,
    GROUND_ID,
    NEAR_M,
    SKY_ID,
    VEHICLE_ID,
    Frames,
    VehiclePose,
    checked_poses,
)
from forestpilot.sim.rendering.pybullet.matrices import projection_of, quaternion_of, view_of
from forestpilot.sim.rendering.pybullet.meshes import unit_mesh_file
from forestpilot.sim.rendering.solids import all_boxes, solids_of, wheels_of
from forestpilot.sim.worlds.appearance import ROAD_SURFACES
from forestpilot.sim.worlds.tables import CAR_CABIN, LOG, SPHERE, Boxes, Trees
from forestpilot.sim.worlds.world import Ribbon, World

GROUND_HALF_SIZE_M = 400.0
STRIP_HEIGHT_M = 0.03
STRIP_OVERLAP_M = 0.15
POINTS_PER_STRIP = 6
"""Roads are strips of about three metres, this high above the ground and this far under one another's ends."""
GLASS_COLOR = (34, 44, 54)
TYRE_COLOR = (30, 30, 33)
OUT_OF_SIGHT = (0.0, 0.0, -500.0)
UNTURNED = (0.0, 0.0, 0.0, 1.0)
PART_MESHES = {BALL: "sphere", BLOCK: "cube", DRUM: "drum"}
"""Unit mesh of each shape that vehicles are made of."""


def crown_pose(tree: Trees) -> tuple[str, tuple[float, float, float], tuple[float, float, float]]:
    """Unit shape, scale and position of a tree's crown."""
    radius = tree.crown_radius_m
    if tree.kind == SPHERE:
        return "sphere", (radius, radius, radius), (tree.x_m, tree.y_m, tree.height_m + 0.7 * radius)
    return "cone", (radius, radius, tree.crown_height_m), (tree.x_m, tree.y_m, tree.height_m - 0.5)


class BulletRenderer:
    """Draws a world with PyBullet's getCameraImage; subclasses say which of PyBullet's renderers does."""

    name: str
    """Name under which the renderer is registered."""
    flag: ClassVar[int]
    """PyBullet's number of it."""
    asks_at_corners: ClassVar[bool] = False
    """Whether it asks what is seen at a pixel's corner, not at its centre."""
    caches_files: ClassVar[bool] = True
    """Whether files that were read are kept in memory."""

    def __init__(self, camera: Camera, num_cameras: int) -> None:
        """Connect a PyBullet client of its own."""
        self.camera = camera
        self.num_cameras = num_cameras
        self._client: int | None = pybullet.connect(pybullet.DIRECT)
        pybullet.setPhysicsEngineParameter(enableFileCaching=int(self.caches_files), physicsClientId=self._client)
        self._projection = projection_of(camera, corner=self.asks_at_corners)
        self._ids = np.zeros(0, np.int32)
        self._vehicle_bodies: dict[VehicleLook, list[int]] = {}
        self._sky = np.full(3, 255, np.uint8)
        self._light = [0.0, 0.0, 1.0]
        self._moving: list[int] = []
        self._moving_wheels: list[int] = []

    def set_world(self, world: World) -> None:
        """Rebuild the client's visuals; the client is reset, so nothing is left of the world before."""
        pybullet.resetSimulation(physicsClientId=self._open_client())
        self._vehicle_bodies = {}
        self._ids = np.zeros(0, np.int32)
        look = world.appearance
        self._sky = look.haze_color.astype(np.uint8)
        size = (GROUND_HALF_SIZE_M, GROUND_HALF_SIZE_M, 1.0)
        self._add("square", size, (0, 0, 0), look.ground_colors.mean(axis=0), GROUND_ID)
        self._add_road(world)
        self._add_trees(world)
        self._add_boxes(world)
        self._light = look.sun_direction.tolist()

    def move(self, boxes: ArrayLike) -> None:
        """What moves is here; see `forestpilot.sim.rendering.protocol.Renderer.move`."""
        boxes = np.asarray(boxes, np.float32)
        for body, row in zip(self._moving, boxes.tolist(), strict=True):
            box = Boxes(*row)
            self._put(body, (box.x_m, box.y_m, 0.5 * (box.base_m + box.top_m)), box.yaw_rad)
        if not self._moving_wheels:
            return
        for body, wheel in zip(self._moving_wheels, wheels_of(solids_of(boxes)), strict=True):
            place = (float(wheel["x_m"]), float(wheel["y_m"]), float(0.5 * (wheel["base_m"] + wheel["top_m"])))
            self._put(body, place, math.atan2(wheel["sine"], wheel["cosine"]) - 0.5 * math.pi)

    def _put(self, body: int, place: tuple[float, float, float], yaw_rad: float) -> None:
        """Put the middle of a body somewhere, turned about the vertical."""
        turn = (0.0, 0.0, math.sin(0.5 * yaw_rad), math.cos(0.5 * yaw_rad))
        pybullet.resetBasePositionAndOrientation(body, place, turn, physicsClientId=self._open_client())

    def _add_road(self, world: World) -> None:
        """Flat strips along every ribbon, a few centimetres above the ground lest the two flicker."""
        look = world.appearance
        color = look.trail_color if world.surface == "trail" else look.road_colors[ROAD_SURFACES.index(world.surface)]
        for ribbon in world.ribbons:
            for start, end in _strips(ribbon):
                (x, y) = (start + end) / 2
                (ahead_x, ahead_y) = end - start
                scale = (0.5 * float(np.hypot(ahead_x, ahead_y)) + STRIP_OVERLAP_M, ribbon.half_width_m, 1.0)
                place = (float(x), float(y), STRIP_HEIGHT_M)
                self._add("square", scale, place, color, GROUND_ID, yaw_rad=float(np.arctan2(ahead_y, ahead_x)))

    def _add_boxes(self, world: World) -> None:
        """One body per box and one per wheel of a parked car; logs and wheels are lying cylinders."""
        first_id = 2 * len(world.trees)
        colors = np.concatenate([world.appearance.box_colors, *(hazard.colors for hazard in world.hazards)])
        boxes = all_boxes(world)
        self._moving = []
        self._moving_wheels = []
        for index, row in enumerate(boxes.tolist()):
            box = Boxes(*row)
            color = colors[index]
            half = (0.5 * box.length_m, 0.5 * box.width_m, 0.5 * (box.top_m - box.base_m))
            place = (box.x_m, box.y_m, 0.5 * (box.base_m + box.top_m))
            if box.kind == LOG:
                self._add_lying(half, place, box.yaw_rad, color, first_id + index)
                continue
            if box.kind == CAR_CABIN:
                color = GLASS_COLOR
            body = self._add("cube", half, place, color, first_id + index, yaw_rad=box.yaw_rad)
            if index >= len(world.boxes):
                self._moving.append(body)
        for wheel in wheels_of(solids_of(boxes)):
            radius = float(wheel["half_width_m"])
            half = (float(wheel["half_length_m"]), radius, radius)
            place = (float(wheel["x_m"]), float(wheel["y_m"]), radius)
            yaw_rad = math.atan2(wheel["sine"], wheel["cosine"])
            body = self._add_lying(half, place, yaw_rad, TYRE_COLOR, first_id + int(wheel["box"]))
            if wheel["box"] >= len(world.boxes):
                self._moving_wheels.append(body)

    def _add_lying(
        self,
        half: tuple[float, float, float],
        place: tuple[float, float, float],
        yaw_rad: float,
        color: ArrayLike,
        ident: int,
    ) -> int:
        """Add a cylinder along its own length; half-axes along its length, its width and upwards; returns its id."""
        half_length, half_width, half_height = half
        # The unit drum lies along its y axis.
        scale = (half_width, half_length, half_height)
        return self._add("drum", scale, place, color, ident, yaw_rad=yaw_rad - 0.5 * math.pi)

    def _add_trees(self, world: World) -> None:
        """One body per trunk and one per crown."""
        look = world.appearance
        for index, row in enumerate(world.trees.tolist()):
            tree = Trees(*row)
            scale = (tree.radius_m, tree.radius_m, tree.height_m)
            self._add("cylinder", scale, (tree.x_m, tree.y_m, 0.0), look.bark_colors[index], 2 * index)
            shape, scale, place = crown_pose(tree)
            self._add(shape, scale, place, look.leaf_colors[index], 2 * index + 1)

    def _add(
        self,
        shape: str,
        scale: tuple[float, ...],
        place: tuple[float, ...],
        color: ArrayLike,
        ident: int,
        yaw_rad: float = 0.0,
    ) -> int:
        """Add a body of a unit shape, scaled; returns PyBullet's id and remembers ours for it."""
        client = self._open_client()
        mesh = self._mesh(shape, scale)
        visual = pybullet.createVisualShape(
            pybullet.GEOM_MESH,
            **mesh,
            rgbaColor=[*(np.asarray(color, float) / 255).tolist(), 1.0],
            specularColor=[0, 0, 0],
            physicsClientId=client,
        )
        turn = (0.0, 0.0, math.sin(0.5 * yaw_rad), math.cos(0.5 * yaw_rad))
        body = pybullet.createMultiBody(0, -1, visual, place, turn, physicsClientId=client)
        self._mesh_was_read(mesh)
        if body < 0:
            raise ForestPilotError(
                f"PyBullet could not add a {shape} to the picture; make a new renderer and try again"
            )
        if body >= len(self._ids):
            self._ids = np.concatenate([self._ids, np.full(body + 1 + len(self._ids), SKY_ID, np.int32)])
        self._ids[body] = ident
        return body

    def _mesh(self, shape: str, scale: tuple[float, ...]) -> dict[str, Any]:
        """The arguments that make a scaled unit shape."""
        return {"fileName": unit_mesh_file(shape), "meshScale": scale}

    def _mesh_was_read(self, mesh: dict[str, Any]) -> None:
        """Called when PyBullet has read a mesh from its file."""

    def render(self, eyes: ArrayLike, axes: ArrayLike, vehicle: VehiclePose | None = None) -> Frames:
        """Draw all cameras; see `forestpilot.sim.rendering.protocol.Renderer.render`.

        Raises:
            ForestPilotError: no world was set, or the renderer was closed.
            ValueError: the poses do not have the shapes (num_cameras, 3) and (num_cameras, 3, 3).
        """
        if not len(self._ids):
            raise ForestPilotError("render() was called before set_world(world); set a world first")
        eyes, axes = checked_poses(eyes, axes, self.num_cameras)
        self._place_vehicle(vehicle)
        shape = (self.num_cameras, self.camera.height, self.camera.width)
        frames = Frames(np.empty((*shape, 3), np.uint8), np.empty(shape, np.float32), np.empty(shape, np.int32))
        for index in range(self.num_cameras):
            self._draw(eyes[index], axes[index], index, frames)
        return frames

    def _draw(self, eye: NDArray[np.float32], axes: NDArray[np.float32], index: int, frames: Frames) -> None:
        """Draw one camera into its place in the frames."""
        width = self.camera.width
        height = self.camera.height
        rgba, buffer, bodies = pybullet.getCameraImage(
            width,
            height,
            viewMatrix=view_of(eye, axes),
            projectionMatrix=self._projection,
            lightDirection=self._light,
            lightAmbientCoeff=0.6,
            lightDiffuseCoeff=0.45,
            lightSpecularCoeff=0.0,
            shadow=0,
            renderer=self.flag,
            physicsClientId=self._open_client(),
        )[2:5]
        depth = frames.depth[index]
        ids = frames.segmentation[index]
        depth[:] = FAR_M * NEAR_M / (FAR_M - (FAR_M - NEAR_M) * np.asarray(buffer, np.float64).reshape(height, width))
        # Index -1 (nothing) reads the last entry, which is always spare and says sky.
        ids[:] = self._ids[np.asarray(bodies).reshape(height, width)]
        ids[depth >= FAR_M * (1 - 1e-4)] = SKY_ID
        sky = ids == SKY_ID
        depth[sky] = FAR_M
        frames.rgb[index] = np.asarray(rgba, np.uint8).reshape(height, width, 4)[..., :3]
        frames.rgb[index][sky] = self._sky

    def _place_vehicle(self, vehicle: VehiclePose | None) -> None:
        """Move the vehicle's parts to its pose, or out of sight; they are made when first needed."""
        client = self._open_client()
        for look, bodies in self._vehicle_bodies.items():
            if vehicle is None or look != vehicle.look:
                for body in bodies:
                    pybullet.resetBasePositionAndOrientation(body, OUT_OF_SIGHT, UNTURNED, physicsClientId=client)
        if vehicle is None:
            return
        parts = vehicle.look.parts
        if vehicle.look not in self._vehicle_bodies:
            self._vehicle_bodies[vehicle.look] = [
                self._add(PART_MESHES[part.shape], part.half, OUT_OF_SIGHT, part.color, VEHICLE_ID) for part in parts
            ]
        position = np.asarray(vehicle.position, float)
        rotation = np.asarray(vehicle.rotation, float)
        turns = vehicle.part_turns()
        for body, part, turn in zip(self._vehicle_bodies[vehicle.look], parts, turns, strict=True):
            place = position + rotation @ np.array(part.center)
            turned = quaternion_of(rotation @ turn)
            pybullet.resetBasePositionAndOrientation(body, place, turned, physicsClientId=client)

    def _open_client(self) -> int:
        """The client, or an error if the renderer was closed."""
        if self._client is None:
            raise ForestPilotError(f"this {self.name!r} renderer was closed; make a new one with make_renderer")
        return self._client

    def close(self) -> None:
        """Disconnect the client; harmless when repeated."""
        if self._client is None:
            return
        with silent_descriptors():
            self._before_disconnecting(self._client)
            pybullet.disconnect(physicsClientId=self._client)
        self._client = None

    def _before_disconnecting(self, client: int) -> None:
        """Called while the client is still there."""


def _strips(ribbon: Ribbon) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Ends of the straight strips that follow a ribbon."""
    points = np.asarray(ribbon.points_m, np.float64)
    if ribbon.closed:
        points = np.concatenate([points, points[:1]])
    corners = np.concatenate([points[:-1:POINTS_PER_STRIP], points[-1:]])
    return itertools.pairwise(corners)
