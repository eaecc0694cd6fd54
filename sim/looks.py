"""Looks of vehicles: balls, blocks and drums in the body's frame, a shadow, and where a chase camera stands.

A vehicle brings its look, and any renderer draws it; neither knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

NO_DASHBOARD = "none"
"""Name of the dashboard of whose vehicle nothing is in the pictures."""
BALL, BLOCK, DRUM = 0, 1, 2
"""Shapes of a part: an ellipsoid, a box, a cylinder along the part's own y axis."""

Color = tuple[float, float, float]
"""RGB, 0 to 255."""
Place = tuple[float, float, float]
"""x, y, z in metres."""

FRONT: Color = (235, 120, 40)
BACK: Color = (70, 74, 82)
"""Colours of the vehicles' front and rear, so that a viewer sees where they are going."""
WHITE: Color = (226, 228, 230)
DARK: Color = (44, 48, 56)


class Part(NamedTuple):
    """One solid of a vehicle."""

    shape: int
    """`BALL`, `BLOCK` or `DRUM`."""
    center: Place
    """In the body's frame."""
    half: Place
    """Half-axes along the part's own x, y and z in metres."""
    color: Color
    """RGB, 0 to 255."""
    yaw_rad: float = 0.0
    """Turn about the body's z axis."""
    pitch_rad: float = 0.0
    """Turn about the part's own y axis; positive dips its front."""
    opacity: float = 1.0
    """Below 1 for what turns too fast to be seen."""
    steered: bool = False
    """Whether it turns with the front wheels."""

    def mirrored(self) -> tuple[Part, Part]:
        """This part and its twin on the other side of the vehicle."""
        x, y, z = self.center
        return self, self._replace(center=(x, -y, z), yaw_rad=-self.yaw_rad)


class Shadow(NamedTuple):
    """A soft shadow on the ground: a rectangle with a fading rim."""

    half_length_m: float
    half_width_m: float
    rim_m: float
    """Width over which it fades."""
    height_m: float
    """Height above the body's origin of what casts it along the sun's rays."""
    sun_share: float
    """Share of the direct sun that it takes."""
    sky_share: float
    """Share of all light that it takes, right below the body."""


@dataclass(frozen=True)
class VehicleLook:
    """Looks of a vehicle: what is drawn of it, and from where a viewer sees it best; looks of equal parts are equal.

    Raises:
        ValueError: it has no parts, or one of an unknown shape or without extent.
    """

    parts: tuple[Part, ...]
    """Opaque parts first."""
    shadow: Shadow
    """What darkens the ground below it."""
    chase_distance_m: float = 3.5
    """How far behind the vehicle its chase camera stands; see `forestpilot.sim.cameras.chase_pose`."""
    chase_height_m: float = 1.2
    """How far above the body's origin it stands."""
    chase_nearest_m: float = 0.8
    """How near it comes where a trunk stands behind the vehicle."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("a vehicle's look has no parts; give at least one")
        for part in self.parts:
            if part.shape not in (BALL, BLOCK, DRUM):
                raise ValueError(f"a part's shape is {part.shape!r}; allowed: BALL, BLOCK, DRUM of sim.looks")
            if min(part.half) <= 0.0:
                raise ValueError(f"a part's half-axes are {part.half} m; all three must be above 0")
