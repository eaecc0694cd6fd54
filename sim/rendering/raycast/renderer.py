"""The fast renderer: a ray-caster on the CPU that draws all cameras in one call.

Order of work per camera: the ground plane fills the image; every trunk, crown and box within the far plane is
bounded by a screen rectangle, and its kernel keeps the nearest hits there; then each pixel is shaded once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from forestpilot.sim.cameras import Camera
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.rendering.protocol import Frames, VehiclePose, checked_poses
from forestpilot.sim.rendering.raycast.columns import (
    BASE,
    BODY,
    CROWN_HEIGHT,
    CROWN_KIND,
    CROWN_RADIUS,
    FORWARD,
    GROVE_END,
    GROVE_HEIGHT,
    GROVE_RADIUS,
    HALF_LENGTH,
    HALF_WIDTH,
    KIND,
    RIGHT,
    TOP,
    TRUNK_HEIGHT,
    TRUNK_RADIUS,
    X,
    Y,
    Z,
)
from forestpilot.sim.rendering.raycast.intersect import (
    EXACT,
    FAR,
    HALF,
    KERNEL,
    ZERO,
    Box,
    Floats,
    Ids,
    Scalar,
    Sheet,
    Upright,
    View,
    aim_rows,
    empty_sheet,
    fused,
    screen_box,
    trace_box,
    trace_cone,
    trace_cylinder,
    trace_ground,
    trace_log,
    trace_sphere,
)
from forestpilot.sim.rendering.raycast.scene import Scene, make_scene
from forestpilot.sim.rendering.raycast.shade import copy_sheet, shade_sheet, smooth_edges
from forestpilot.sim.rendering.raycast.vehicle import draw_vehicle
from forestpilot.sim.rendering.raycast.vehicle_parts import Parts, place_parts
from forestpilot.sim.rendering.solids import WHEELS, move_solids
from forestpilot.sim.worlds.tables import CAR_BODY, Boxes
from forestpilot.sim.worlds.world import LOG, World

F = np.float32
NO_SOLIDS = np.zeros((0, KIND + 1), F)
SMOOTH_FROM_PX = 128
"""Images at least this wide have smooth edges and read textures between texels, which small ones would not show."""


class Lens(NamedTuple):
    """What all of a renderer's cameras share."""

    slopes: Floats
    """(W,) rightward slope of each column's rays."""
    focal_px: np.float32
    """Focal length in pixels."""


class Fine(NamedTuple):
    """Twice as fine an image for smoothing edges."""

    lens: Lens
    depth: Floats
    ids: Ids
    """(2 H, 2 W) never read nor written: a view has a size by them."""
    sheet: Sheet


@helper(**EXACT)
def _in_sight(box: Box) -> bool:
    """Whether a rectangle holds any pixel."""
    return (box.first_row <= box.last_row) & (box.first_column <= box.last_column)


@helper(**EXACT)
def _trace_trunk(view: View, sheet: Sheet, x: Scalar, y: Scalar, low: Scalar, tree: Floats, ident: int) -> None:
    """Draw a trunk whose axis is at (x, y) from the eye, unless the eye is inside it."""
    radius = tree[TRUNK_RADIUS]
    if fused(y, y, x * x) <= radius * radius:
        return
    place = Upright(x, y, low, low + tree[TRUNK_HEIGHT])
    box = screen_box(view, place, radius, radius)
    if _in_sight(box):
        trace_cylinder(view, sheet, box, place, radius, ident)


@helper(**EXACT)
def _trace_crown(view: View, sheet: Sheet, x: Scalar, y: Scalar, low: Scalar, tree: Floats, ident: int) -> None:
    """Draw a crown, unless the eye is inside it: from there the leaves are transparent."""
    radius = tree[CROWN_RADIUS]
    away2 = fused(y, y, x * x)
    if tree[CROWN_KIND] > HALF:
        z = fused(F(0.7), radius, low) + tree[TRUNK_HEIGHT]
        if fused(z, z, away2) <= radius * radius:
            return
        box = screen_box(view, Upright(x, y, z, z), radius, radius)
        if _in_sight(box):
            trace_sphere(view, sheet, box, (x, y, z), radius, ident)
        return
    base = low + tree[TRUNK_HEIGHT] - HALF
    apex = base + tree[CROWN_HEIGHT]
    inner = radius * apex / tree[CROWN_HEIGHT]
    if base <= ZERO and apex >= ZERO and away2 <= inner * inner:
        return
    place = Upright(x, y, base, apex)
    box = screen_box(view, place, radius, F(0.02))
    if _in_sight(box):
        trace_cone(view, sheet, box, place, (radius, tree[CROWN_HEIGHT]), ident)


@helper(**EXACT)
def _trace_tree(
    view: View, sheet: Sheet, trees: Floats, t: int, eye: Floats, half_width: Scalar, widen: Scalar
) -> None:
    """Draw a tree unless it is behind the camera, beyond the far plane or beside the picture."""
    tree = trees[t]
    x = tree[X] - eye[X]
    y = tree[Y] - eye[Y]
    z = HALF * (tree[TRUNK_HEIGHT] + tree[CROWN_HEIGHT]) - eye[Z]
    reach = tree[CROWN_RADIUS] + HALF * (tree[TRUNK_HEIGHT] + tree[CROWN_HEIGHT]) + tree[CROWN_RADIUS]
    ahead = x * view.axes[FORWARD, X] + y * view.axes[FORWARD, Y] + z * view.axes[FORWARD, Z]
    aside = abs(x * view.axes[RIGHT, X] + y * view.axes[RIGHT, Y] + z * view.axes[RIGHT, Z])
    if (ahead < -reach) | (ahead > FAR + reach) | (aside - half_width * ahead > reach * widen):
        return
    _trace_trunk(view, sheet, x, y, -eye[Z], tree, np.int32(2 * t))
    _trace_crown(view, sheet, x, y, -eye[Z], tree, np.int32(2 * t + 1))


@helper(**EXACT)
def _trace_wheels(view: View, sheet: Sheet, wheels: Floats, eye: Floats, first_id: int) -> None:
    """Draw the wheels of parked cars, lying cylinders with the ids of the cars' bodies."""
    for w in range(wheels.shape[0]):
        wheel = wheels[w]
        place = Upright(wheel[X] - eye[X], wheel[Y] - eye[Y], -eye[Z], wheel[TOP] - eye[Z])
        box = screen_box(view, place, wheel[HALF_WIDTH], wheel[HALF_WIDTH])
        if _in_sight(box):
            trace_log(view, sheet, box, place, wheel, np.int32(first_id + int(wheel[BODY])))


@helper(**EXACT)
def _trace_boxes(view: View, sheet: Sheet, boxes: Floats, eye: Floats, first_id: int) -> None:
    """Draw all boxes, their ids counted from first_id; logs are lying cylinders."""
    for b in range(boxes.shape[0]):
        solid = boxes[b]
        radius = math.sqrt(solid[HALF_LENGTH] * solid[HALF_LENGTH] + solid[HALF_WIDTH] * solid[HALF_WIDTH])
        place = Upright(solid[X] - eye[X], solid[Y] - eye[Y], solid[BASE] - eye[Z], solid[TOP] - eye[Z])
        box = screen_box(view, place, radius, radius)
        if not _in_sight(box):
            continue
        if solid[KIND] == F(LOG):
            trace_log(view, sheet, box, place, solid, np.int32(first_id + b))
        else:
            trace_box(view, sheet, box, place, solid, np.int32(first_id + b))


@helper(**EXACT)
def trace_world(view: View, sheet: Sheet, scene: Scene, eye: Floats) -> None:
    """Fill depth and ids of one camera with the ground, all trees and all boxes."""
    aim_rows(view, sheet)
    trace_ground(view, sheet, eye[Z])
    half_width = HALF * F(view.depth.shape[1]) / view.focal_px
    half_height = HALF * F(view.depth.shape[0]) / view.focal_px
    widen = math.sqrt(F(1) + half_width * half_width + half_height * half_height)
    first = 0
    for g in range(scene.groves.shape[0]):
        grove = scene.groves[g]
        x = grove[X] - eye[X]
        y = grove[Y] - eye[Y]
        z = HALF * grove[GROVE_HEIGHT] - eye[Z]
        reach = grove[GROVE_RADIUS] + HALF * grove[GROVE_HEIGHT]
        ahead = x * view.axes[FORWARD, X] + y * view.axes[FORWARD, Y] + z * view.axes[FORWARD, Z]
        aside = abs(x * view.axes[RIGHT, X] + y * view.axes[RIGHT, Y] + z * view.axes[RIGHT, Z])
        last = int(grove[GROVE_END])
        if (ahead > -reach) & (ahead < FAR + reach) & (aside - half_width * ahead < reach * widen):
            for place in range(first, last):
                _trace_tree(view, sheet, scene.trees, scene.order[place], eye, half_width, widen)
        first = last
    first_id = 2 * scene.trees.shape[0]
    _trace_wheels(view, sheet, scene.wheels, eye, first_id)
    _trace_boxes(view, sheet, scene.boxes, eye, first_id)


@helper(**KERNEL)
def _view(lens: Lens, axes: Floats, frames: Frames, camera: int) -> View:
    """One camera's rays and the images that it writes."""
    return View(frames.depth[camera], frames.segmentation[camera], lens.slopes, axes[camera], lens.focal_px)


@kernel(**KERNEL)
def draw(scene: Scene, lens: Lens, sheet: Sheet, eyes: Floats, axes: Floats, frames: Frames) -> None:
    """Draw every camera, eyes (C, 3) and axes (C, 3, 3), into its frames."""
    for camera in range(eyes.shape[0]):
        view = _view(lens, axes, frames, camera)
        trace_world(view, sheet, scene, eyes[camera])
        shade_sheet(scene, view, sheet, eyes[camera])
        copy_sheet(view, sheet, frames.rgb[camera])


@kernel(**KERNEL)
def draw_edges(scene: Scene, sheet: Sheet, fine: Fine, eyes: Floats, axes: Floats, frames: Frames) -> None:
    """Smooth the edges of one camera's finished frame, eyes (1, 3) and axes (1, 3, 3), whose sheet `draw` has left."""
    fine_view = View(fine.depth, fine.ids, fine.lens.slopes, axes[0], fine.lens.focal_px)
    trace_world(fine_view, fine.sheet, scene, eyes[0])
    smooth_edges(scene, sheet, fine_view, fine.sheet, eyes[0], frames.rgb[0])


@kernel(**KERNEL)
def draw_vehicles(scene: Scene, lens: Lens, eyes: Floats, axes: Floats, parts: Parts, frames: Frames) -> None:
    """Draw the vehicle over every camera's finished frame; parts as from `place_parts`."""
    for camera in range(eyes.shape[0]):
        view = _view(lens, axes, frames, camera)
        draw_vehicle(scene, view, eyes[camera], parts, frames.rgb[camera])


def _lens(camera: Camera, samples: int) -> Lens:
    """The lens of a camera whose every pixel is split into samples x samples."""
    width = camera.width * samples
    focal_px = camera.focal_px * samples
    return Lens(((np.arange(width) + 0.5 - width / 2) / focal_px).astype(F), F(focal_px))


def _fine(camera: Camera) -> Fine:
    """What the edges of a camera's images are smoothed with, kept: new memory costs as much as a tenth of a picture."""
    width = 2 * camera.width
    height = 2 * camera.height
    size = (height, width)
    return Fine(_lens(camera, 2), np.empty(size, F), np.empty(size, np.int32), empty_sheet(width, height))


class RaycastRenderer:
    """Draws a world by casting rays at its analytic shapes; any attitude, any size, deterministic."""

    name = "raycast"

    def __init__(self, camera: Camera, num_cameras: int) -> None:
        """Prepare a renderer of `num_cameras` images per call, all with the intrinsics of `camera`."""
        self.camera = camera
        self.num_cameras = num_cameras
        self._smooth = camera.width >= SMOOTH_FROM_PX
        self._lens = _lens(camera, 1)
        self._fine = _fine(camera) if self._smooth else None
        self._sheet = empty_sheet(camera.width, camera.height)
        self._scene: Scene | None = None
        self._moving = NO_SOLIDS, NO_SOLIDS
        """Rows of the scene's boxes and wheels that move."""

    def set_world(self, world: World) -> None:
        """Draw this world from now on."""
        self._scene = make_scene(world, smooth=self._smooth)
        parked = int(np.count_nonzero(Boxes.of(world.boxes).kind == CAR_BODY))
        self._moving = self._scene.boxes[len(world.boxes) :], self._scene.wheels[WHEELS * parked :]

    def move(self, boxes: ArrayLike) -> None:
        """What moves is here; see `forestpilot.sim.rendering.protocol.Renderer.move`."""
        move_solids(np.ascontiguousarray(boxes, F), *self._moving)

    def render(self, eyes: ArrayLike, axes: ArrayLike, vehicle: VehiclePose | None = None) -> Frames:
        """Draw all cameras; see `forestpilot.sim.rendering.protocol.Renderer.render`.

        Raises:
            ForestPilotError: no world was set.
            ValueError: the poses do not have the shapes (num_cameras, 3) and (num_cameras, 3, 3).
        """
        if self._scene is None:
            raise ForestPilotError("render() was called before set_world(world); set a world first")
        count = self.num_cameras
        height = self.camera.height
        width = self.camera.width
        eyes, axes = checked_poses(eyes, axes, count)
        frames = Frames(
            rgb=np.empty((count, height, width, 3), np.uint8),
            depth=np.empty((count, height, width), F),
            segmentation=np.empty((count, height, width), np.int32),
        )
        if self._fine is None:
            draw(self._scene, self._lens, self._sheet, eyes, axes, frames)
        else:
            for camera in range(count):
                one = slice(camera, camera + 1)
                frame = Frames(frames.rgb[one], frames.depth[one], frames.segmentation[one])
                draw(self._scene, self._lens, self._sheet, eyes[one], axes[one], frame)
                draw_edges(self._scene, self._sheet, self._fine, eyes[one], axes[one], frame)
        if vehicle is not None:
            draw_vehicles(self._scene, self._lens, eyes, axes, place_parts(vehicle), frames)
        return frames

    def close(self) -> None:
        """Let go of the world."""
        self._scene = None
