"""What pilots are told that look at depths."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers.specs import make_spec


def told_to_pilots(count: int) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Observations of some forests, and infos with depths; the last one is the same for every count."""
    spec = make_spec()
    shape = (spec.image_height, spec.image_width)
    state = np.zeros((count, spec.state_size), np.float32)
    state[:, spec.index("speed_set_point_mps")] = 5.0
    observations = {
        "center": np.full((count, *shape, 3), 90, np.uint8),
        "state": state,
        "goal": np.tile(np.array([1.0, 0.0], np.float32), (count, 1)),
    }
    return observations, [{"depth": np.full((3, *shape), 6.0, np.float32)} for _ in range(count)]
