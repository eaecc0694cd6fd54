"""The reference renderers: the same world as PyBullet visuals, drawn by TinyRenderer (on the CPU) or through EGL.

They show what the ray-caster is measured against: plain colours without texture, fog or shadows, but the same shapes,
camera and segmentation ids. Each renderer has its own PyBullet client, so it never disturbs the physics.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from forestpilot.sim.rendering.pybullet.meshes import scaled_mesh_file, unit_mesh_file
from forestpilot.sim.rendering.raycast.scene import box_table, wheel_table
from forestpilot.sim.rendering.vehicle_parts import part_turns
from forestpilot.sim.worlds.appearance import ROAD_SURFACES
from forestpilot.sim.worlds.world import CAR_CABIN, LOG, Ribbon, World

GROUND_HALF_SIZE_M = 400.0
STRIP_HEIGHT_M, STRIP_OVERLAP_M, POINTS_PER_STRIP = 0.03, 0.15, 6
"""Roads are strips of about three metres, this high above the ground and this far under one another's ends."""
GLASS_COLOR = (34, 44, 54)
TYRE_COLOR = (30, 30, 33)
OUT_OF_SIGHT = (0.0, 0.0, -500.0)
UNTURNED = (0.0, 0.0, 0.0, 1.0)
_PROBE_TIMEOUT_S = 60
PART_MESHES = {BALL: "sphere", BLOCK: "cube", DRUM: "drum"}
"""Unit mesh of each shape that vehicles are made of."""


def _egl_plugin() -> str | None:
    """Path of PyBullet's EGL plugin, or None if this build has none."""
    spec = importlib.util.find_spec("eglRenderer")
    return spec.origin if spec else None


@functools.cache
def egl_problem() -> str | None:
    """Why EGL cannot be used on this machine, or None if it works.

    Asked in another process, because the plugin ends the process where it finds no driver.
    """
    plugin = _egl_plugin()
    if plugin is None:
        return "this build of PyBullet has no eglRenderer plugin"
    script = (
        "import sys, pybullet as p; c = p.connect(p.DIRECT);"
        f"ok = p.loadPlugin({plugin!r}, '_eglRendererPlugin', physicsClientId=c) >= 0;"
        "ok = ok and p.getCameraImage(32, 24, renderer=p.ER_BULLET_HARDWARE_OPENGL)[2] is not None;"
        "print('drew' if ok else '', flush=True)"
    )
    try:
        probe = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"the EGL driver did not draw within {_PROBE_TIMEOUT_S} s"
    if "drew" in probe.stdout:
        return None
    return f"the EGL plugin could not start (exit status {probe.returncode}): there is no working EGL driver"


def _load_egl(client: int) -> int:
    """Load the EGL plugin into a client and return its id.

    Raises:
        ForestPilotError: EGL does not work here.
    """
    problem = egl_problem()
    if problem is None:
        with silent_descriptors():
            plugin = pybullet.loadPlugin(_egl_plugin(), "_eglRendererPlugin", physicsClientId=client)
        if plugin >= 0:
            return plugin
        problem = "PyBullet could not load its EGL plugin"
    raise ForestPilotError(
        f"renderer 'egl' does not work here: {problem}. Install an EGL driver (Debian and Ubuntu: libegl1 and "
        "libgl1-mesa-dri, or the graphics card's own driver), or choose renderer 'raycast' or 'tiny'."
    )


def crown_pose(tree: NDArray[np.float32]) -> tuple[str, tuple[float, float, float], tuple[float, float, float]]:
    """Unit shape, scale and position of a tree's crown; `tree` is a row (7,) of `World.trees`."""
    x, y, _, trunk_height, radius, height, kind = (float(value) for value in tree)
    if kind > 0.5:
        return "sphere", (radius, radius, radius), (x, y, trunk_height + 0.7 * radius)
    return "cone", (radius, radius, height), (x, y, trunk_height - 0.5)


class BulletRenderer:
    """Draws a world with PyBullet's getCameraImage; `name` is "tiny" or "egl"."""

    def __init__(self, name: str, camera: Camera, num_cameras: int) -> None:
        """Connect a PyBullet client of its own.

        Raises:
            ForestPilotError: name is "egl" and EGL does not work on this machine.
        """
        self.name = name
        self.camera = camera
        self.num_cameras = num_cameras
        self._client: int | None = pybullet.connect(pybullet.DIRECT)
        # EGL's files are read once and deleted; a cache of them would only grow.
        pybullet.setPhysicsEngineParameter(enableFileCaching=int(name == "tiny"), physicsClientId=self._client)
        self._plugin: int | None = None
        self._flag = pybullet.ER_TINY_RENDERER
        if name == "egl":
            try:
                self._plugin = _load_egl(self._client)
            except ForestPilotError:
                self.close()
                raise
            self._flag = pybullet.ER_BULLET_HARDWARE_OPENGL
        self._projection = _projection(camera, corner=name == "tiny")
        self._ids = np.zeros(0, np.int32)
        self._vehicle_bodies: dict[VehicleLook, list[int]] = {}
        self._sky = np.full(3, 255, np.uint8)
        self._light = [0.0, 0.0, 1.0]

    def set_world(self, world: World) -> None:
        """Rebuild the client's visuals; the client is reset, so nothing is left of the world before.

        With EGL some 0.3 MB per world stay with PyBullet's plugin; TinyRenderer's memory does not grow.
        """
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

    def _add_road(self, world: World) -> None:
        """Flat strips along every ribbon, a few centimetres above the ground lest the two flicker."""
        look = world.appearance
        color = look.trail_color if world.surface == "trail" else look.road_colors[ROAD_SURFACES.index(world.surface)]
        for ribbon in world.ribbons:
            for start, end in _strips(ribbon):
                (x, y), (ahead_x, ahead_y) = (start + end) / 2, end - start
                scale = (0.5 * float(np.hypot(ahead_x, ahead_y)) + STRIP_OVERLAP_M, ribbon.half_width_m, 1.0)
                place = (float(x), float(y), STRIP_HEIGHT_M)
                self._add("square", scale, place, color, GROUND_ID, yaw_rad=float(np.arctan2(ahead_y, ahead_x)))

    def _add_boxes(self, world: World) -> None:
        """One body per box and one per wheel of a parked car; logs and wheels are lying cylinders."""
        for index, box in enumerate(world.boxes):
            x, y, yaw, length, width, low, high, kind = (float(value) for value in box)
            place, color = (x, y, 0.5 * (low + high)), world.appearance.box_colors[index]
            half = (0.5 * length, 0.5 * width, 0.5 * (high - low))
            ident = 2 * len(world.trees) + index
            if kind == LOG:
                half = (half[1], half[0], half[2])
                self._add("drum", half, place, color, ident, yaw_rad=yaw - 0.5 * np.pi)
            else:
                color = GLASS_COLOR if kind == CAR_CABIN else color
                self._add("cube", half, place, color, ident, yaw_rad=yaw)

        for x, y, cosine, sine, half_width, radius, _, _, index in wheel_table(box_table(world.boxes)).tolist():
            yaw = math.atan2(sine, cosine) - 0.5 * math.pi
            ident = 2 * len(world.trees) + int(index)
            self._add("drum", (radius, half_width, radius), (x, y, radius), TYRE_COLOR, ident, yaw_rad=yaw)

    def _add_trees(self, world: World) -> None:
        """One body per trunk and one per crown."""
        look = world.appearance
        for index, tree in enumerate(world.trees):
            x, y, radius, height = (float(value) for value in tree[:4])
            self._add("cylinder", (radius, radius, height), (x, y, 0.0), look.bark_colors[index], 2 * index)
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
        if self.name == "egl":
            Path(mesh["fileName"]).unlink()
        if body < 0:
            raise ForestPilotError(
                f"PyBullet could not add a {shape} to the picture; make a new renderer and try again"
            )
        if body >= len(self._ids):
            self._ids = np.concatenate([self._ids, np.full(body + 1 + len(self._ids), SKY_ID, np.int32)])
        self._ids[body] = ident
        return body

    def _mesh(self, shape: str, scale: tuple[float, ...]) -> dict[str, Any]:
        """The arguments that make a scaled unit shape.

        EGL keeps one set of triangles per file name, with the scale it first saw, so there each body has its own file.
        """
        if self.name == "tiny":
            return {"fileName": unit_mesh_file(shape), "meshScale": scale}
        return {"fileName": scaled_mesh_file(shape, scale)}

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
        width, height = self.camera.width, self.camera.height
        rgba, buffer, bodies = pybullet.getCameraImage(
            width,
            height,
            viewMatrix=_view(eye, axes),
            projectionMatrix=self._projection,
            lightDirection=self._light,
            lightAmbientCoeff=0.6,
            lightDiffuseCoeff=0.45,
            lightSpecularCoeff=0.0,
            shadow=0,
            renderer=self._flag,
            physicsClientId=self._open_client(),
        )[2:5]
        depth, ids = frames.depth[index], frames.segmentation[index]
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
        turns = part_turns(vehicle.look, vehicle.steering_rad)
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
            if self._plugin is not None:
                pybullet.unloadPlugin(self._plugin, physicsClientId=self._client)
            pybullet.disconnect(physicsClientId=self._client)
        self._client = None


def _strips(ribbon: Ribbon) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Ends of the straight strips that follow a ribbon."""
    points = np.asarray(ribbon.points_m, np.float64)
    if ribbon.closed:
        points = np.concatenate([points, points[:1]])
    corners = np.concatenate([points[:-1:POINTS_PER_STRIP], points[-1:]])
    return itertools.pairwise(corners)


def _projection(camera: Camera, corner: bool) -> list[float]:
    """OpenGL projection matrix of a camera, column after column.

    Args:
        camera: size and field of view.
        corner: shift the picture by half a pixel, because TinyRenderer asks at pixels' corners, not at their centres.
    """
    depth = NEAR_M - FAR_M
    matrix = np.zeros((4, 4))
    matrix[0, 0] = 2 * camera.focal_px / camera.width
    matrix[1, 1] = 2 * camera.focal_px / camera.height
    matrix[2, 2], matrix[2, 3] = (FAR_M + NEAR_M) / depth, 2 * FAR_M * NEAR_M / depth
    matrix[3, 2] = -1.0
    if corner:
        matrix[0, 2], matrix[1, 2] = 1 / camera.width, 1 / camera.height
    return matrix.T.ravel().tolist()


def _view(eye: NDArray[np.float32], axes: NDArray[np.float32]) -> list[float]:
    """OpenGL view matrix of a pose, column after column."""
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.array([[1.0], [1.0], [-1.0]])
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    return matrix.T.ravel().tolist()


def quaternion_of(rotation: NDArray[np.float64]) -> list[float]:
    """Unit quaternion (x, y, z, w) of a rotation matrix (3, 3).

    Source: Bar-Itzhack 2000, "New method for extracting the quaternion from a rotation matrix": the eigenvector of the
    largest eigenvalue, which holds at every attitude.
    """
    r = np.asarray(rotation, np.float64)
    k = np.zeros((4, 4))
    k[:3, :3] = r + r.T - np.eye(3) * np.trace(r)
    k[:3, 3] = k[3, :3] = [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]
    k[3, 3] = np.trace(r)
    return np.linalg.eigh(k)[1][:, -1].tolist()
