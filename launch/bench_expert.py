"""How long the expert thinks, and how well it flies."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import gymnasium
import numpy as np

import sim  # noqa: F401  (registers the environments)
from launch.tables import format_density

DENSITIES_PER_M2 = (1 / 49, 1 / 36, 1 / 25, 1 / 15, 1 / 10)
SPEEDS_MPS = (3.0, 5.0, 7.0, 10.0, 12.0)


def bench_expert(seconds: float = 10.0, worlds: int = 0) -> dict[str, Any]:
    """Measure the expert's query, and on demand its success.

    Args:
        seconds: about how long to measure queries.
        worlds: test worlds to fly for each density and speed; 0 flies none.

    Returns:
        `query_ms`: median, 95th percentile and largest time of one query (action and 21 costs) at states of its own
        flights at 1/10 trees/m2 and 10 m/s, the hardest; `success`: for each density and speed the successes of
        `worlds`.
    """
    figures: dict[str, Any] = {"query_ms": _bench_queries(seconds)}
    if worlds:
        figures["success"] = fly_grid(worlds)
    return figures


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


def fly_grid(worlds: int) -> dict[str, dict[str, str]]:
    """Successes of the expert: density to speed to `n/worlds`."""
    from launch.progress import make_progress
    from policies.evaluation import EvaluateConfig, evaluate

    progress = make_progress()
    grid: dict[str, dict[str, str]] = {}
    for density in DENSITIES_PER_M2:
        row = grid.setdefault(format_density(density), {})
        for speed in SPEEDS_MPS:
            with tempfile.TemporaryDirectory() as folder:
                cell = EvaluateConfig(
                    ("expert",), out=folder, episodes=worlds, speed=speed, density=density, preset="loquercio",
                    width=32, height=24,
                )  # fmt: skip
                row[f"{speed:g} m/s"] = f"{evaluate(cell, progress)[0].successes}/{worlds}"
    return grid
