"""Colours of pictures and videos, as RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(h, w, 3) RGB."""
Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

INK: Color = (236, 238, 240)
"""Text."""
DIM: Color = (150, 158, 166)
"""Lesser text."""
PANEL: Color = (24, 28, 32)
"""Ground that text stands on."""
EDGE: Color = (52, 58, 64)
"""Thin frames."""
POLICY: Color = (84, 200, 255)
"""Whoever drives, and the way driven."""
EXPERT: Color = (255, 186, 64)
"""The expert."""
GOOD: Color = (96, 212, 120)
"""Success, and what is cheap."""
BAD: Color = (244, 84, 72)
"""Failure, and what is dear."""
