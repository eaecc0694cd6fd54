"""What hazards in view cost a step of the drive environment."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.tasks import TASKS

ROAD: dict[str, Any] = {"preset": "easy", "length": 150.0, "control_hz": 20}
IN_VIEW = 3
"""So many hazards are in the pictures of the steps that count."""
REPEATS = 6
"""Each step is timed so often, and the least time taken."""


def bench_hazards(least_steps: int) -> dict[str, Any]:
    """Drive the same actions along the same roads with hazards and without; nothing is touched.

    Args:
        least_steps: roads are looked through until so many steps count.

    Returns:
        `steps_per_s` and `steps_per_s_without` of CPU time, over the `steps` at which three hazards are in the pictures
        of the road with hazards, and their `ratio`.
    """
    roads = _roads(least_steps)
    taken_s = np.zeros(2)
    envs = [make_env(TASKS.get("drive"), **ROAD, hazards=count) for count in (IN_VIEW, 0)]
    for seed, actions, counts in roads:
        best = np.full((2, len(actions)), np.inf)
        for _ in range(REPEATS):
            # Interleaved, so that a slow minute of the machine falls on both.
            for number, env in enumerate(envs):
                best[number] = np.minimum(best[number], _step_times_s(env, seed, actions))
        taken_s += best[:, counts].sum(axis=1)
    for env in envs:
        env.close()
    steps = sum(int(counts.sum()) for _, _, counts in roads)
    with_s, without_s = taken_s.tolist()
    return {
        "steps": steps,
        "steps_per_s": round(steps / with_s),
        "steps_per_s_without": round(steps / without_s),
        "ratio": round(without_s / with_s, 3),
    }


def _roads(least_steps: int) -> list[tuple[int, NDArray[np.float32], NDArray[np.bool_]]]:
    """Seeds of roads, the expert's actions along each, and at which steps so many hazards are in view."""
    env = make_env(TASKS.get("drive"), **ROAD, hazards=IN_VIEW, expert=True)
    roads = []
    found = 0
    for seed in itertools.count():
        _, info = env.reset(seed=seed)
        actions = []
        counts = []
        over = False
        while not over:
            actions.append(info["expert_action"][1])
            _, _, terminated, truncated, info = env.step(actions[-1])
            counts.append(_hazards_in_view(env) >= IN_VIEW)
            over = terminated or truncated
        if any(counts):
            roads.append((seed, np.array(actions), np.array(counts)))
            found += sum(counts)
        if found >= least_steps:
            break
    env.close()
    return roads


def _hazards_in_view(env: VehicleEnv) -> int:
    """How many hazards any of the pictures shows a part of."""
    first = 2 * len(env.world.trees) + len(env.world.boxes)
    seen = np.unique(env.frames.segmentation) - first
    ends = np.cumsum([len(hazard.solids) for hazard in env.world.hazards])
    return len(np.unique(np.searchsorted(ends, seen[seen >= 0], side="right")))


def _step_times_s(env: VehicleEnv, seed: int, actions: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) CPU seconds of each step."""
    env.reset(seed=seed)
    taken = np.empty(len(actions))
    for step, action in enumerate(actions):
        started = time.process_time()
        env.step(action)
        taken[step] = time.process_time() - started
    return taken
