"""How long the expert thinks; `forestpilot grid --policy expert` tells how well it flies."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np

import sim  # noqa: F401  (registers the environments)


def bench_expert(seconds: float = 10.0) -> dict[str, Any]:
    """Measure the expert's query.

    Args:
        seconds: about how long to measure.

    Returns:
        `query_ms`: median, 95th percentile and largest time of one query (action and 21 costs) at states of its own
        trips at 1/10 trees/m2 and 10 m/s, the hardest.
    """
    return {"query_ms": _bench_queries(seconds)}


def _bench_queries(seconds: float) -> dict[str, float]:
    kwargs: dict[str, Any] = {"density": 1 / 10, "speed": 10.0, "expert": True, "width": 32, "height": 24}
    env = gymnasium.make("sim:ForestPilot/Drone-v0", disable_env_checker=True, **kwargs)
    vehicle: Any = env.unwrapped
    times_ms: list[float] = []
    deadline = time.perf_counter() + seconds
    seed = 0
    while time.perf_counter() < deadline:
        _, info = env.reset(seed=seed)
        over = False
        while not over and time.perf_counter() < deadline:
            times_ms.append(_query_ms(vehicle))
            _, _, terminated, truncated, info = env.step(info["expert_action"][1])
            over = terminated or truncated
        seed += 1
    env.close()
    middle, high = np.percentile(times_ms, (50, 95))
    return {"median": float(middle), "p95": float(high), "max": max(times_ms), "queries": len(times_ms)}


def _query_ms(vehicle: Any) -> float:
    """Time of one answer: the label of the center camera alone."""
    eyes, axes = vehicle.rig.poses(*vehicle.pose())
    started = time.perf_counter()
    vehicle._label(eyes[1:2], axes[1:2])
    return 1000 * (time.perf_counter() - started)
