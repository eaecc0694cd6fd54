"""How fast the environments step: physics at 240 Hz and three cameras, and what each part takes."""

from __future__ import annotations

import gc
import math
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)
from forestpilot.launch.benchmarks.hazards import bench_hazards

DENSITY_300_PER_M2 = 300 / 1800
"""Trees per square metre that put 300 trees on the 30 x 60 m of a forest."""
HAZARD_STEPS_PER_S = 10
"""Steps with hazards in view that are looked for, per second of the benchmark."""
PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "1/25": ("forestpilot:ForestPilot/Drone-v0", {"density": 1 / 25}),
    "300 trees": ("forestpilot:ForestPilot/Drone-v0", {"density": DENSITY_300_PER_M2}),
    "winding road": ("forestpilot:ForestPilot/Drive-v0", {"preset": "winding"}),
}
"""What is measured: an environment and its arguments."""
Flown = tuple[int, NDArray[np.float32]]


def bench_env(seconds: float = 20.0, resets: int = 1000) -> dict[str, Any]:
    """Step along the expert's episodes at 20 Hz control, in this process alone.

    Args:
        seconds: about how long to step; resets come on top.
        resets: how many times to reset for the time of one and for the growth of memory.

    Returns:
        For each place: `steps_per_s` without and `steps_per_s_with_expert` with the expert's labels, and the share of
        physics, rendering, expert and the rest (observation, outcome) in a step with labels. Of `resets` resets of each
        environment through new worlds: `reset_ms` and `growth_mb`. Under `3 hazards in view` what
        `forestpilot.launch.benchmarks.hazards` tells.
    """
    figures: dict[str, Any] = {place: _bench_place(place, seconds / len(PLACES)) for place in PLACES}
    for place in ("1/25", "winding road"):
        figures[place] |= _bench_resets(place, resets)
    figures["3 hazards in view"] = bench_hazards(math.ceil(HAZARD_STEPS_PER_S * seconds))
    return figures


def make(place: str, expert: bool) -> gymnasium.Env[Any, Any]:
    """The environment that is measured."""
    env_id, kwargs = PLACES[place]
    return gymnasium.make(env_id, disable_env_checker=True, control_hz=20, expert=expert, **kwargs)


def _bench_place(place: str, seconds: float) -> dict[str, Any]:
    with_labels = make(place, expert=True)
    plain = make(place, expert=False)
    episodes = [_expert_episode(with_labels, seed) for seed in range(2)]
    watch = Stopwatch()
    watch.attach(with_labels.unwrapped)
    rates: dict[str, list[float]] = {"plain": [], "labelled": []}
    deadline = time.perf_counter() + seconds
    # Interleaved, so that a slow minute of the machine falls on both.
    while time.perf_counter() < deadline or not rates["labelled"]:
        for episode in episodes:
            rates["plain"].append(_steps_per_s(plain, episode))
            rates["labelled"].append(_steps_per_s(with_labels, episode, watch))
    trees = len(plain.unwrapped.world.trees)  # type: ignore[attr-defined]
    with_labels.close()
    plain.close()
    return {
        "trees": trees,
        "steps_per_s": round(float(np.median(rates["plain"]))),
        "steps_per_s_with_expert": round(float(np.median(rates["labelled"]))),
        "share": watch.shares(),
    }


def _expert_episode(env: gymnasium.Env[Any, Any], seed: int) -> Flown:
    """The expert's actions through a world; run once, repeated for the measurement."""
    _, info = env.reset(seed=seed)
    actions = []
    over = False
    while not over:
        actions.append(info["expert_action"][1])
        _, _, terminated, truncated, info = env.step(actions[-1])
        over = terminated or truncated
    return seed, np.array(actions)


def _steps_per_s(env: gymnasium.Env[Any, Any], episode: Flown, watch: Stopwatch | None = None) -> float:
    seed, actions = episode
    env.reset(seed=seed)
    if watch is not None:
        watch.running = True
    started = time.perf_counter()
    for action in actions:
        env.step(action)
    elapsed = time.perf_counter() - started
    if watch is not None:
        watch.running = False
        watch.total_s += elapsed
    return len(actions) / elapsed


class Stopwatch:
    """Adds up the time that parts of an environment's step take, by wrapping the methods that do the work."""

    def __init__(self) -> None:
        """Start with nothing counted; only what happens while `running` is."""
        self.running = False
        self.total_s = 0.0
        self._parts_s = {"physics": 0.0, "render": 0.0, "expert": 0.0}

    def attach(self, vehicle: Any) -> None:
        """Wrap the parts of this environment."""
        vehicle._move = self._timed(vehicle._move, "physics")
        vehicle._renderer.render = self._timed(vehicle._renderer.render, "render")
        vehicle.expert_labels = self._timed(vehicle.expert_labels, "expert")

    def shares(self) -> dict[str, float]:
        """Share of each part in the whole, the rest included."""
        shares = {name: round(part / self.total_s, 3) for name, part in self._parts_s.items()}
        return {**shares, "rest": round(1 - sum(shares.values()), 3)}

    def _timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            started = time.perf_counter()
            result = function(*args)
            if self.running:
                self._parts_s[name] += time.perf_counter() - started
            return result

        return timed


def _bench_resets(place: str, resets: int) -> dict[str, Any]:
    """Time of a reset and growth of the process's memory, after a warm-up that fills every cache."""
    env = make(place, expert=False)
    for seed in range(50):
        env.reset(seed=seed)
    before_mb = resident_mb()
    started = time.perf_counter()
    for seed in range(100, 100 + resets):
        env.reset(seed=seed)
    elapsed = time.perf_counter() - started
    gc.collect()
    figures = {"resets": resets, "reset_ms": 1000 * elapsed / resets, "growth_mb": round(resident_mb() - before_mb, 1)}
    env.close()
    return figures


def resident_mb() -> float:
    """Memory of this process in MB: at present on Linux, its peak elsewhere."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
