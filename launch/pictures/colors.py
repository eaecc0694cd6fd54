"""Colours of pictures and videos, as RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

INK, DIM, PANEL, EDGE = (236, 238, 240), (150, 158, 166), (24, 28, 32), (52, 58, 64)
POLICY, EXPERT = (84, 200, 255), (255, 186, 64)
GOOD, BAD = (96, 212, 120), (244, 84, 72)
