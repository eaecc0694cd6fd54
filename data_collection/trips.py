"""Trips through worlds, flown or driven: which to run, what is left of them, and the file that repeats one."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from data_collection.dataset import package_version
from data_collection.files import write_new_file
from sim.envs.base import VehicleEnv
from sim.envs.task_spec import TaskSpec
from sim.errors import ForestPilotError


class TripFileError(ForestPilotError):
    """A stored trip that is missing or damaged."""


ENV_IDS = {"drone": "sim:ForestPilot/Drone-v0"}


@dataclass(frozen=True)
class Trip:
    """One trip to run: a world and the arguments of its environment."""

    seed: int
    """World seed."""
    env_kwargs: dict[str, Any]
    """Arguments of the environment, plain JSON values."""


@dataclass
class FinishedTrip:
    """What is left of a trip: one row of results, and what it takes to repeat it."""

    trip: Trip
    """Which trip it was."""
    outcome: str
    """success, collision, out_of_bounds or timeout."""
    progress_m: float
    """Metres made good towards the goal."""
    time_s: float
    """Duration in seconds."""
    min_clearance_m: float
    """Least distance from the body to a trunk, in metres."""
    mean_speed_mps: float
    """Mean speed in m/s, the start from hover included."""
    actions: np.ndarray
    """(T, 2) float32."""
    state_hashes: np.ndarray
    """(T+1,) uint64, one per state from the start on."""
    fingerprint: str = ""
    """Which weights flew, so that an evaluation can tell whether a stored trip is still theirs."""

    def row(self, policy: str) -> dict[str, Any]:
        """This trip as a row of outcomes.csv."""
        kwargs = self.trip.env_kwargs
        return {
            "policy": policy,
            "seed": self.trip.seed,
            "outcome": self.outcome,
            "success": int(self.outcome == "success"),
            "progress_m": round(self.progress_m, 3),
            "time_s": round(self.time_s, 3),
            "min_clearance_m": round(self.min_clearance_m, 4),
            "mean_speed_mps": round(self.mean_speed_mps, 3),
            "density": kwargs.get("density"),
            "speed": kwargs.get("speed"),
            "preset": kwargs.get("preset"),
        }


@dataclass(frozen=True)
class TripMix:
    """Which worlds and speeds are run; each trip draws its own from its seed."""

    presets: tuple[str, ...] = ("default",)
    """Forest presets: `default` (trunks 0.24-0.70 m) or `loquercio` (0.6 m); each trip draws one."""
    densities: tuple[float, ...] = (0.04,)
    """Trees per square metre; each trip draws one. Published: 0.0204, 0.0278, 0.04."""
    speeds: tuple[float, float] = (5.0, 5.0)
    """Least and largest speed set point in m/s; each trip draws one in between."""
    control_hz: int = 10
    """Actions per second; must divide 240."""
    width: int = 64
    """Width of each camera image in pixels."""
    height: int = 48
    """Height of each camera image in pixels."""
    renderer: str = "raycast"
    """Renderer: raycast, tiny or egl."""
    domain_randomisation: bool = True
    """Draw colours, light, fog and textures per world."""

    def __post_init__(self) -> None:
        if not self.presets or not self.densities:
            raise ValueError("presets and densities need at least one entry each")
        if not 1.0 <= self.speeds[0] <= self.speeds[1] <= 12.0:
            raise ValueError(f"speeds are {self.speeds} m/s; allowed: 1 <= least <= largest <= 12")

    def trip(self, seed: int) -> Trip:
        """The trip through the world of this seed."""
        rng = np.random.default_rng([seed, 0xF117])
        kwargs: dict[str, Any] = {
            "preset": self.presets[rng.integers(len(self.presets))],
            "density": self.densities[rng.integers(len(self.densities))],
            "speed": round(float(rng.uniform(*self.speeds)), 3),
            "control_hz": self.control_hz, "width": self.width, "height": self.height,
            "renderer": self.renderer, "domain_randomisation": self.domain_randomisation,
        }  # fmt: skip
        return Trip(seed, kwargs)


def make_env(task: str, **kwargs: Any) -> VehicleEnv:
    """The task's environment without Gymnasium's wrappers.

    Raises:
        ValueError: unknown task, or an argument out of range.
    """
    if task not in ENV_IDS:
        raise ValueError(f"task is {task!r}; allowed: {', '.join(ENV_IDS)}")
    env = gymnasium.make(ENV_IDS[task], disable_env_checker=True, **kwargs).unwrapped
    assert isinstance(env, VehicleEnv)
    return env


def task_spec_of(task: str, mix: TripMix) -> TaskSpec:
    """The task spec that all trips of a mix share."""
    env = make_env(task, **mix.trip(0).env_kwargs)
    try:
        return env.task_spec
    finally:
        env.close()


TRIP_FIGURES = ("outcome", "progress_m", "time_s", "min_clearance_m", "mean_speed_mps", "fingerprint")


def trip_path(folder: Path, policy: str, seed: int) -> Path:
    """Where the trip of a policy through a world is stored."""
    return folder / f"{policy}-{seed:08d}.npz"


def save_trip(folder: Path, task: str, policy: str, policy_path: str, finished: FinishedTrip) -> Path:
    """Store what `replay` needs to repeat a trip: arguments, seed, actions and state hashes, whole or not at all.

    Args:
        folder: where the file goes.
        task: name of the task.
        policy: name under which the trip is filed.
        policy_path: folder of the checkpoint that flew, or name of the baseline.
        finished: the finished trip.
    """
    meta = {
        "task": task, "env_id": ENV_IDS[task], "env_kwargs": finished.trip.env_kwargs, "seed": finished.trip.seed,
        "policy": policy, "policy_path": policy_path, "package_version": package_version(),
        "control_hz": finished.trip.env_kwargs.get("control_hz"),
        **{key: getattr(finished, key) for key in TRIP_FIGURES},
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, actions=finished.actions, state_hashes=finished.state_hashes, meta=np.array(json.dumps(meta))
    )
    path = trip_path(folder, policy, finished.trip.seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_new_file(path, [buffer.getvalue()])
    return path


def load_trip(path: Path) -> FinishedTrip:
    """The trip that `save_trip` stored.

    Raises:
        TripFileError: the file is missing or damaged.
    """
    meta, actions, state_hashes = read_trip_file(path, ("seed", "env_kwargs", *TRIP_FIGURES))
    figures = {key: meta[key] for key in TRIP_FIGURES}
    return FinishedTrip(
        trip=Trip(meta["seed"], meta["env_kwargs"]), actions=actions, state_hashes=state_hashes, **figures
    )


def read_trip_file(path: Path, keys: Sequence[str]) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """What `save_trip` knew of a trip, its actions (T, 2) float32 and its state hashes (T+1,) uint64.

    Args:
        path: the file.
        keys: what must be known of the trip.

    Raises:
        TripFileError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            actions, state_hashes = stored["actions"], stored["state_hashes"]
    except FileNotFoundError as error:
        raise TripFileError(f"there is no trip {path}; evaluate again, it stores every trip") from error
    except Exception as error:  # zip and NumPy raise half a dozen types for broken files
        raise TripFileError(
            f"the trip {path} cannot be read ({type(error).__name__} {error}); delete it and evaluate again"
        ) from error
    missing = set(keys) - set(meta)
    if missing:
        raise TripFileError(f"the trip {path} lacks {', '.join(sorted(missing))}; delete it and evaluate again")
    if actions.shape != (len(state_hashes) - 1, 2):
        raise TripFileError(f"{path} has actions {actions.shape} for {len(state_hashes)} states; evaluate again")
    return meta, actions, state_hashes
