"""Stored episodes, simulated again: the same world and actions lead through the same states, or the replay fails.

What is stored of an episode is its world's seed and its actions, not its pictures. The hash of each state is compared
with the stored one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)
from forestpilot.data_collection.rollouts.results import read_result_file
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.registry import load_plugins
from forestpilot.sim.worlds.hazards.traffic import Traffic


class ReplayDivergedError(ForestPilotError):
    """The simulation did not repeat a stored episode."""

    exit_code = 1


@dataclass(frozen=True)
class StoredEpisode:
    """An episode as it is kept."""

    actions: NDArray[np.float32]
    """(T, 2) float32, turn and go."""
    state_hashes: NDArray[np.uint64]
    """(T + 1,) uint64."""
    env_id: str
    """Id of the environment, for example `forestpilot:ForestPilot/Drive-v0`; the module may be left out."""
    env_kwargs: dict[str, Any]
    """Arguments the environment was made with."""
    seed: int
    """Seed of the world."""
    policy: str
    """Name of the policy that acted."""
    policy_path: str
    """Folder of its checkpoint, or the name of a baseline."""
    outcome: str
    """How it ended."""


@dataclass(frozen=True)
class ReplayedStep:
    """One state of a replayed episode, with what follows from it."""

    index: int
    """0 at the start."""
    position_m: NDArray[np.float64]
    """(3,) metres."""
    rotation: NDArray[np.float64]
    """(3, 3) body to world."""
    observation: dict[str, NDArray[Any]]
    """What the policy saw."""
    action: NDArray[np.float32] | None
    """(2,) what it did; None at the last state."""
    info: dict[str, Any]
    """The environment's info at this state."""
    traffic: Traffic
    """What moves by itself, as it is at this state."""


def load_stored_episode(path: Path) -> StoredEpisode:
    """A stored episode.

    Raises:
        EpisodeFileError: the file is missing, truncated or lacks a part.
    """
    keys = ("env_id", "env_kwargs", "seed", "policy", "policy_path", "outcome")
    meta, actions, state_hashes = read_result_file(path, keys)
    return StoredEpisode(actions, state_hashes, **{key: meta[key] for key in keys})


def make_replay_env(episode: StoredEpisode, expert: bool = False) -> gymnasium.Env[Any, Any]:
    """The environment the episode was made in, with the expert's labels if asked for."""
    kwargs = {**episode.env_kwargs, "expert": expert, "render_mode": None}
    load_plugins()  # a process that only replays has asked no registry yet, which would have
    return gymnasium.make(f"forestpilot:{episode.env_id.rpartition(':')[2]}", disable_env_checker=True, **kwargs)


def replay_episode(episode: StoredEpisode, env: gymnasium.Env[Any, Any] | None = None) -> Iterator[ReplayedStep]:
    """Simulate an episode again; each of its T + 1 states is checked before it is handed out.

    Args:
        episode: what was stored.
        env: environment to run it in, left open; by default one is made and closed.

    Raises:
        ReplayDivergedError: names the step at which the states differ.
    """
    own = env is None
    env = env if env is not None else make_replay_env(episode)
    vehicle: Any = env.unwrapped
    steps = len(episode.actions)
    try:
        observation, info = env.reset(seed=episode.seed)
        for index in range(steps + 1):
            _check_state(episode, index, vehicle.state_hash())
            position, rotation = vehicle.pose()
            action = episode.actions[index] if index < steps else None
            traffic = vehicle.course.traffic.snapshot()
            yield ReplayedStep(index, position, rotation, observation, action, info, traffic)
            if action is not None:
                observation, _, terminated, truncated, info = env.step(action)
                if (terminated or truncated) != (index + 1 == steps):
                    raise _diverged(episode, index + 1, f"the episode is {info['outcome']}")
        if info["outcome"] != episode.outcome:
            raise _diverged(episode, steps, f"it ended as {info['outcome']}, not as {episode.outcome}")
    finally:
        if own:
            env.close()


def _check_state(episode: StoredEpisode, index: int, simulated: int) -> None:
    stored = int(episode.state_hashes[index])
    if simulated != stored:
        raise _diverged(episode, index, f"the state's hash is {simulated:016x}, stored was {stored:016x}")


def _diverged(episode: StoredEpisode, index: int, what: str) -> ReplayDivergedError:
    return ReplayDivergedError(
        f"the replay of {episode.policy} in world {episode.seed} diverged at step {index} of {len(episode.actions)}: "
        f"{what}. Another version of ForestPilot, PyBullet or NumPy than the one it was run with gives other numbers; "
        "evaluate again"
    )


def heading_rad(rotation: NDArray[np.float64]) -> float:
    """Heading of a body-to-world rotation (3, 3) in radians."""
    return math.atan2(rotation[1, 0], rotation[0, 0])
