"""What every renderer offers and what it returns."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forestpilot.sim.cameras import rotation_matrix
from forestpilot.sim.looks import VehicleLook

if TYPE_CHECKING:
    from forestpilot.sim.worlds.world import World

FAR_M = 60.0
"""Far plane: nothing beyond it is drawn, and the sky has this depth."""
NEAR_M = 0.05
"""Near plane in metres."""
SKY_ID, GROUND_ID, VEHICLE_ID = -1, -2, -3
"""Segmentation ids of what is no tree and no box; tree i is 2 * i (trunk) and 2 * i + 1 (crown), box i comes after
them as 2 * trees + i, and after those that stand come those of hazards."""


class VehiclePose(NamedTuple):
    """Where a vehicle is, and what is to be drawn there."""

    position: ArrayLike
    """(3,) of the body's origin in metres; where that lies on a vehicle, its look says."""
    rotation: ArrayLike
    """(3, 3) body to world."""
    look: VehicleLook
    """What is drawn."""
    steering_rad: float = 0.0
    """Angle of steered parts, left positive."""

    def part_turns(self) -> NDArray[np.float64]:
        """Rotations (n, 3, 3) from the own frame of each part of the look to the body's."""
        turns = _unsteered_turns(self.look).copy()
        for index, part in enumerate(self.look.parts):
            if part.steered:
                turns[index] = rotation_matrix(0.0, part.pitch_rad, part.yaw_rad + self.steering_rad)
        return turns


@functools.lru_cache(maxsize=32)
def _unsteered_turns(look: VehicleLook) -> NDArray[np.float64]:
    """Rotations of a look's parts where nothing is steered."""
    return np.stack([rotation_matrix(0.0, part.pitch_rad, part.yaw_rad) for part in look.parts])


class Frames(NamedTuple):
    """Images of C cameras, freshly allocated by every call: they belong to the caller."""

    rgb: NDArray[np.uint8]
    """(C, H, W, 3) uint8."""
    depth: NDArray[np.float32]
    """(C, H, W) float32, metres along the camera's forward axis; FAR_M for the sky."""
    segmentation: NDArray[np.int32]
    """(C, H, W) int32: 2 * tree for trunks, 2 * tree + 1 for crowns, 2 * trees + box for boxes (first those that stand,
    then those of hazards), SKY_ID, GROUND_ID or VEHICLE_ID."""


class Renderer(Protocol):
    """Draws a world for several cameras in one call; never steps physics."""

    name: str

    def set_world(self, world: World) -> None:
        """Draw this world from now on."""

    def move(self, boxes: ArrayLike) -> None:
        """From now on what moves is here: (m, 8) boxes as `Traffic.boxes` tells them, all hazards of the world one
        after the other. Until then they are where they are asleep."""

    def render(self, eyes: ArrayLike, axes: ArrayLike, vehicle: VehiclePose | None = None) -> Frames:
        """Draw eyes (C, 3) and axes (C, 3, 3) (rows right, up, forward); a vehicle only if its pose is given."""

    def close(self) -> None:
        """Free what the renderer holds; harmless when repeated."""


def checked_poses(eyes: ArrayLike, axes: ArrayLike, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Poses as contiguous float32, or a ValueError that says which shape was given."""
    eyes, axes = np.ascontiguousarray(eyes, np.float32), np.ascontiguousarray(axes, np.float32)
    if eyes.shape != (count, 3) or axes.shape != (count, 3, 3):
        raise ValueError(
            f"render got eyes {eyes.shape} and axes {axes.shape}; {count} cameras need ({count}, 3) and ({count}, 3, 3)"
        )
    return eyes, axes
