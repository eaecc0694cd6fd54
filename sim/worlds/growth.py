"""Grown trees: heights and crowns as forests and roadsides have them."""

from __future__ import annotations

import numpy as np

from forestpilot.sim.worlds.tables import CONE, SPHERE, Trees

SPHERE_SHARE = 0.4
"""Share of trees with round crowns."""


def draw_grown_trees(places: np.ndarray, radii_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw all of grown trees besides their places (n, 2) and the radii (n,) of their trunks, in metres.

    Returns:
        (n, 7) float32 as in `World.trees`.
    """
    count = len(places)
    heights = rng.uniform(3.8, 6.5, count)
    round_crowns = rng.random(count) < SPHERE_SHARE
    crown_radii = np.where(round_crowns, rng.uniform(1.1, 1.9, count), rng.uniform(0.9, 1.8, count)).astype(np.float32)
    crown_heights = np.where(round_crowns, 2 * crown_radii, rng.uniform(3.0, 6.0, count))
    columns = Trees(
        x_m=places[:, 0],
        y_m=places[:, 1],
        radius_m=radii_m,
        height_m=heights,
        crown_radius_m=crown_radii,
        crown_height_m=crown_heights,
        kind=np.where(round_crowns, SPHERE, CONE),
    )
    return np.stack(columns, axis=1).astype(np.float32)
