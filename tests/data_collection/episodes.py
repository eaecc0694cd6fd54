"""Episodes made up for the tests of data collection: small, random, valid."""

from __future__ import annotations

from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.episode import ACTOR_EXPERT, Episode, EpisodeMeta
from forestpilot.sim.envs.task_spec import TaskSpec

ENV_ID = "ForestPilot/Drone-v0"


def make_spec(**changes: Any) -> TaskSpec:
    values: dict[str, Any] = {
        "task": "drone",
        "image_height": 12,
        "image_width": 16,
        "horizontal_fov_deg": 80.0,
        "side_yaw_rad": 0.35,
        "control_hz": 10,
        "renderer": "raycast",
        "max_turn_rad": float(np.radians(60)),
        "candidate_turns_rad": tuple(np.radians(np.arange(-60, 61, 6)).tolist()),
        "state_names": (
            "forward_mps",
            "left_mps",
            "up_mps",
            "roll_rad",
            "pitch_rad",
            "roll_rate_radps",
            "pitch_rate_radps",
            "yaw_rate_radps",
            "speed_set_point_mps",
            "altitude_m",
        ),
        "state_scale": (5.0, 2.0, 1.0, 0.5, 0.5, 2.0, 2.0, 2.0, 5.0, 2.0),
        "state_mirror": (1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0),
        "goal_mirror": (1.0, -1.0),
    }
    return TaskSpec(**(values | changes))


DRIVE_STATE = (
    ("forward_mps", 10.0, 1.0),
    ("left_mps", 1.0, -1.0),
    ("roll_rad", 0.1, -1.0),
    ("pitch_rad", 0.1, 1.0),
    ("roll_rate_radps", 0.5, -1.0),
    ("pitch_rate_radps", 0.5, 1.0),
    ("yaw_rate_radps", 1.0, -1.0),
    ("steering_rad", 0.5, -1.0),
    ("speed_set_point_mps", 10.0, 1.0),
)
"""Name, scale and mirror sign of each element of a car's state."""


def make_drive_spec(**changes: Any) -> TaskSpec:
    """A task that steers."""
    names, scales, mirrors = zip(*DRIVE_STATE, strict=True)
    own: dict[str, Any] = {
        "task": "drive",
        "side_yaw_rad": 0.14,
        "side_offset_m": 0.5,
        "max_turn_rad": 0.52,
        "candidate_turns_rad": tuple(np.linspace(-0.52, 0.52, 21).tolist()),
        "state_names": names,
        "state_scale": scales,
        "state_mirror": mirrors,
        "turn_kind": "steering",
        "wheelbase_m": 2.4,
    }
    return make_spec(**(own | changes))


def random_offsets(rng: np.random.Generator, steps: int) -> np.ndarray:
    """(steps, 3, 2) float32: side cameras drawn anew for every picture."""
    offsets = np.zeros((steps, 3, 2), dtype=np.float32)
    offsets[:, 0, 0], offsets[:, 2, 0] = rng.uniform(0, 1.2, steps), rng.uniform(-1.2, 0, steps)
    offsets[:, (0, 2), 1] = rng.uniform(-0.2, 0.2, (steps, 2))
    return offsets


def make_episode(seed: int, steps: int = 20, spec: TaskSpec | None = None, expert: bool = True, **meta: Any) -> Episode:
    """An episode whose pictures tell seed, step and camera: pixel (0, 0) is (seed % 256, step, camera)."""
    spec = spec or make_spec()
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
    observations["goal"] = np.stack([np.cos(bearing), np.sin(bearing)], axis=1).astype(np.float32)
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
