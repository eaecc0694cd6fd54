"""How long the experts think; `forestpilot grid --policy expert` tells how well one flies."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np

import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)


def bench_expert(seconds: float = 10.0) -> dict[str, Any]:
    """Measure a query of each expert.

    Args:
        seconds: about how long to measure.

    Returns:
        Median, 95th percentile and largest time of one label of all three cameras (actions, and 21 costs each) at
        states of its own episodes: `label_ms` of the drone's at 1/10 trees/m2 and 10 m/s, the hardest; `drive_label_ms`
        of the car's on winding roads. `query_ms` and `drive_query_ms`: a third of it, the share of one camera.
    """
    figures = {}
    for prefix, env_name, kwargs in (
        ("", "Drone-v0", {"density": 1 / 10, "speed": 10.0}),
        ("drive_", "Drive-v0", {"preset": "winding"}),
    ):
        labels_ms = _time_labels(env_name, kwargs, seconds / 2)
        figures[f"{prefix}query_ms"] = _summary(labels_ms / 3)
        figures[f"{prefix}label_ms"] = _summary(labels_ms)
    return figures


def _time_labels(env_name: str, kwargs: dict[str, Any], seconds: float) -> np.ndarray:
    """Milliseconds of each label along the expert's own episodes."""
    own: dict[str, Any] = {"expert": True, "width": 32, "height": 24, **kwargs}
    env = gymnasium.make(f"forestpilot:ForestPilot/{env_name}", disable_env_checker=True, **own)
    vehicle: Any = env.unwrapped
    times_ms: list[float] = []
    deadline = time.perf_counter() + seconds
    seed = 0
    # However short the time: the first reset may take all of it while Numba compiles.
    while not times_ms or time.perf_counter() < deadline:
        _, info = env.reset(seed=seed)
        over = False
        while not over and (not times_ms or time.perf_counter() < deadline):
            times_ms.append(_label_ms(vehicle))
            _, _, terminated, truncated, info = env.step(info["expert_action"][1])
            over = terminated or truncated
        seed += 1
    env.close()
    return np.array(times_ms)


def _summary(times_ms: np.ndarray) -> dict[str, float]:
    middle, high, longest = np.percentile(times_ms, (50, 95, 100))
    return {"median": float(middle), "p95": float(high), "max": float(longest), "queries": len(times_ms)}


def _label_ms(vehicle: Any) -> float:
    """Time of one label of all three cameras."""
    started = time.perf_counter()
    vehicle.expert_labels()
    return 1000 * (time.perf_counter() - started)
