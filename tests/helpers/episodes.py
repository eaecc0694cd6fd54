"""Episodes made up for tests: small, random, valid."""

from __future__ import annotations

from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.goals import BEARING, PLACE, tell_goal
from tests.helpers.specs import small_spec

ENV_ID = "ForestPilot/Drone-v0"


def random_offsets(rng: np.random.Generator, steps: int) -> np.ndarray:
    """(steps, 3, 2) float32: side cameras drawn anew for every picture."""
    offsets = np.zeros((steps, 3, 2), dtype=np.float32)
    offsets[:, 0, 0], offsets[:, 2, 0] = rng.uniform(0, 1.2, steps), rng.uniform(-1.2, 0, steps)
    offsets[:, (0, 2), 1] = rng.uniform(-0.2, 0.2, (steps, 2))
    return offsets


def make_episode(seed: int, steps: int = 20, spec: TaskSpec | None = None, expert: bool = True, **meta: Any) -> Episode:
    """An episode whose pictures tell seed, step and camera: pixel (0, 0) is (seed % 256, step, camera)."""
    spec = spec or small_spec()
    rng = np.random.default_rng(seed)
    size = (steps + 1, spec.image_height, spec.image_width, 3)
    observations = {}
    for index, camera in enumerate(("left", "center", "right")):
        pictures = rng.integers(0, 40, size, dtype=np.uint8)
        pictures[:, 0, 0, 0], pictures[:, 0, 0, 2] = seed % 256, index
        pictures[:, 0, 0, 1] = np.arange(steps + 1) % 256
        observations[camera] = pictures
    observations["state"] = rng.normal(0, 0.2, (steps + 1, spec.state_size)).astype(np.float32)
    bearing = rng.uniform(-1, 1, steps + 1)
    if spec.goal_kind == BEARING:
        observations["goal"] = np.stack([np.cos(bearing), np.sin(bearing)], axis=1).astype(np.float32)
    else:
        observations["goal"] = tell_goal(spec.goal_kind, 20 * np.cos(bearing), 20 * np.sin(bearing))
        observations[PLACE] = rng.uniform(-5, 5, (steps + 1, 3)).astype(np.float32)
    ended = np.arange(steps) == steps - 1
    facts: dict[str, Any] = {
        "outcome": "success",
        "seed": seed,
        "env_id": ENV_ID,
        "env_kwargs": {"speed": 5.0},
        "control_hz": spec.control_hz,
        "renderer": spec.renderer,
        "package_version": "0.1.0",
        "dagger_round": 0,
        "policy_id": "expert",
        "progress_m": 40.0,
        "task_spec": spec.to_dict(),
    }
    return Episode(
        observations=observations,
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        expert_actions=rng.uniform(-1, 1, (steps, 3, 2)).astype(np.float32) if expert else None,
        expert_costs=rng.uniform(0, 10, (steps, 3, spec.num_candidates)).astype(np.float32) if expert else None,
        actor=np.full(steps, ACTOR_EXPERT, dtype=np.uint8),
        rewards=rng.normal(size=steps).astype(np.float32),
        terminated=ended,
        truncated=np.zeros(steps, dtype=np.bool_),
        meta=EpisodeMeta(**(facts | meta)),
    )
