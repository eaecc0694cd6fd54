"""Shifted cameras: what a simulator renders against what one picture can be warped into.

PilotNet's makers (Bojarski et al. 2016, section 5.2) had only recordings. They moved the camera in software and assumed
that "all points below the horizon are on flat ground and all points above the horizon are infinitely far away", which
distorts whatever stands upright: cars, poles, trees. A simulator can render what the shifted camera really sees. This
module does both and measures how far they are apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.launch.studies.roads import TASK
from forestpilot.sim.cameras import CAMERA_NAMES, Camera, Rig, rotation_matrix
from forestpilot.sim.rendering import Renderer, make_renderer
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.worlds.roads.road import RoadWorld

Image = NDArray[np.uint8]
CENTER = CAMERA_NAMES.index("center")
UP = 2
"""The axis that points up."""
SHIFTS_M = (0.25, 0.5, 0.75, 1.0, 1.2)
"""Shifts to the left that are measured, in metres; the same to the right."""
SHOWN_SHIFT_M = 1.0
WIDTH = 256
HEIGHT = 192
PLACES_PER_ROAD = 5


@dataclass(frozen=True)
class ShiftedViews:
    """Pictures of one place, and errors over many."""

    center: Image
    """(h, w, 3) from the center camera."""
    rendered: Image
    """(h, w, 3) from a camera shifted by `shown_shift_m`."""
    warped: Image
    """(h, w, 3) the center picture warped as if the world were flat ground and a far sky."""
    shown_shift_m: float
    """Shift of the pictures, metres, left positive."""
    shifts_m: tuple[float, ...]
    """Sizes of the measured shifts, metres."""
    above: tuple[float, ...]
    """Mean error of the warp above the horizon for each shift, grey levels of 255."""
    below: tuple[float, ...]
    """Mean error below the horizon."""
    places: int
    """Number of places measured."""


def shifted_views(preset: str, length: float, roads: int = 4) -> ShiftedViews:
    """Render and warp shifted views at places along some test roads.

    Args:
        preset: preset of the roads.
        length: their length in metres.
        roads: number of roads.
    """
    env = make_env(TASKS.get(TASK), preset=preset, length=length, width=WIDTH, height=HEIGHT)
    renderer = make_renderer("raycast", env.rig.camera, 1)
    places = []
    for seed in seeds_of("test", roads):
        world = env.make_world(seed)
        assert isinstance(world, RoadWorld)
        renderer.set_world(world)
        for index in np.linspace(0.1, 0.9, PLACES_PER_ROAD) * len(world.route.x_m):
            places.append(_look(env.rig, renderer, world, int(index)))
    renderer.close()
    env.close()
    above, below = np.mean([place.errors for place in places], axis=0).T
    shown = places[len(places) // 2]
    return ShiftedViews(
        center=shown.center,
        rendered=shown.rendered,
        warped=shown.warped,
        shown_shift_m=SHOWN_SHIFT_M,
        shifts_m=SHIFTS_M,
        above=tuple(above.tolist()),
        below=tuple(below.tolist()),
        places=len(places),
    )


class _Place(NamedTuple):
    center: Image
    rendered: Image
    warped: Image
    errors: NDArray[np.float64]
    """(shifts, 2) above and below the horizon."""


def _look(rig: Rig, renderer: Renderer, world: RoadWorld, index: int) -> _Place:
    """Everything at one point of a road, the car standing level on the line."""
    route = world.route
    position = np.array([route.x_m[index], route.y_m[index], 0.0])
    eyes, axes = rig.poses(position, rotation_matrix(0.0, 0.0, float(route.heading_rad[index])))
    eye = eyes[CENTER]
    right = axes[CENTER][0]

    def view(shift_m: float) -> Image:
        return renderer.render((eye - np.float32(shift_m) * right)[None], axes[CENTER][None]).rgb[0]

    center = view(0.0)
    height_m = float(eye[UP])
    errors = np.zeros((len(SHIFTS_M), 2))
    for i, size in enumerate(SHIFTS_M):
        for shift in (size, -size):
            error = np.abs(view(shift).astype(float) - warp_shifted(rig.camera, height_m, center, shift)).mean(axis=2)
            horizon = len(error) // 2
            errors[i] += 0.5 * np.array([error[:horizon].mean(), error[horizon:].mean()])
    return _Place(center, view(SHOWN_SHIFT_M), warp_shifted(rig.camera, height_m, center, SHOWN_SHIFT_M), errors)


def warp_shifted(camera: Camera, height_m: float, image: Image, shift_m: float) -> Image:
    """View of a level camera from `shift_m` further left, if all below the horizon were flat ground.

    Args:
        camera: intrinsics of both views.
        height_m: height above the ground.
        image: (h, w, 3) uint8 from the camera in its place.
        shift_m: shift in metres, left positive.

    Returns:
        (h, w, 3) uint8. A row below the horizon moves as a whole, by the shift over its distance; above it nothing
        moves. Columns that the camera did not see repeat the picture's edge.
    """
    rows = np.arange(camera.height) + 0.5 - camera.height / 2
    # Ground in this row lies at height * focal / row ahead, so that a metre is row / height pixels wide.
    moved_px = np.where(rows > 0, shift_m * rows / height_m, 0.0)
    columns = np.clip(np.arange(camera.width)[None, :] - moved_px[:, None], 0.0, camera.width - 1.0)
    left = np.floor(columns).astype(int)
    share = (columns - left)[..., None]
    row = np.arange(camera.height)[:, None]
    right = np.minimum(left + 1, camera.width - 1)
    blended = (1 - share) * image[row, left] + share * image[row, right]
    return blended.round().astype(np.uint8)
