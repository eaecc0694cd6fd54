"""Pictures that do not arrive: which steps' pictures are dropped follows from the world's seed and the step."""

from __future__ import annotations

import numpy as np

from forestpilot.sim.seeds import SeedStream


def is_dropped(seed: int, step: int, share: float) -> bool:
    """Whether the pictures of a step are dropped, each step by itself; what a smaller share drops, a larger one does.

    Args:
        seed: the world's.
        step: steps taken before, 0 at the start.
        share: of the steps whose pictures are dropped; nothing is drawn where it is 0.
    """
    if share == 0.0:
        return False
    return bool(np.random.default_rng([seed, int(SeedStream.DROPPED), step]).random() < share)
