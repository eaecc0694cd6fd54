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
        Median, 95th percentile and largest time of one query (action and 21 costs) at states of its own episodes:
        `query_ms` of the drone's at 1/10 trees/m2 and 10 m/s, the hardest; `drive_query_ms` of the car's on winding
        roads.
    """
    return {
        "query_ms": _bench_queries("Drone-v0", {"density": 1 / 10, "speed": 10.0}, seconds / 2),
        "drive_query_ms": _bench_queries("Drive-v0", {"preset": "winding"}, seconds / 2),
    }


def _bench_queries(env_name: str, kwargs: dict[str, Any], seconds: float) -> dict[str, float]:
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
            times_ms.append(_query_ms(vehicle))
            _, _, terminated, truncated, info = env.step(info["expert_action"][1])
            over = terminated or truncated
        seed += 1
    env.close()
    middle, high = np.percentile(times_ms, (50, 95))
    return {"median": float(middle), "p95": float(high), "max": max(times_ms), "queries": len(times_ms)}


def _query_ms(vehicle: Any) -> float:
    """Time of one answer: a third of what the labels of all three cameras take."""
    started = time.perf_counter()
    labels = vehicle.expert_labels()
    return 1000 * (time.perf_counter() - started) / len(labels.actions)
