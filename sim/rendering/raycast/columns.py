"""Columns of the arrays that kernels read, by name: of vectors, colours, trees, boxes, wheels and groves.

Those of a road's chords stand in `road`. They are plain integers, which Numba writes into the kernels as constants.
"""

from forestpilot.sim.rendering.solids import SOLID
from forestpilot.sim.worlds.tables import Trees

X = 0
Y = 1
Z = 2
"""Components of a point or a direction."""

RIGHT = 0
UP = 1
FORWARD = 2
"""Rows of a camera's axes."""

RED = 0
GREEN = 1
BLUE = 2
"""Components of a colour."""

TRUNK_RADIUS = Trees._fields.index("radius_m")
TRUNK_HEIGHT = Trees._fields.index("height_m")
CROWN_RADIUS = Trees._fields.index("crown_radius_m")
CROWN_HEIGHT = Trees._fields.index("crown_height_m")
CROWN_KIND = Trees._fields.index("kind")
"""Columns of `Scene.trees`, after x and y."""

_SOLID = SOLID.names or ()
COSINE = _SOLID.index("cosine")
SINE = _SOLID.index("sine")
HALF_LENGTH = _SOLID.index("half_length_m")
HALF_WIDTH = _SOLID.index("half_width_m")
BASE = _SOLID.index("base_m")
TOP = _SOLID.index("top_m")
KIND = _SOLID.index("kind")
"""Columns of `Scene.boxes`, after x and y."""
BODY = KIND
"""Last column of `Scene.wheels`, whose others are those of boxes: the index of the car's body."""

GROVE_RADIUS = 2
GROVE_HEIGHT = 3
GROVE_END = 4
"""Columns of `Scene.groves`, after x and y."""
