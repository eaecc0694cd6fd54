"""Results of episodes: what is left of one, and the file that repeats it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.bounded import parse_json, read_arrays
from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.names import problem_of_file_name
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.outcomes import succeeded
from forestpilot.sim.tasks import TASKS


class EpisodeFileError(ForestPilotError):
    """A stored episode that is missing or damaged."""


@dataclass(frozen=True)
class EpisodeResult:
    """Result of an episode: one row of results, and what it takes to repeat it."""

    scenario: Scenario
    """Which episode it was."""
    outcome: str
    """success, collision, out_of_bounds or timeout."""
    progress_m: float
    """Metres made good towards the goal."""
    time_s: float
    """Duration in seconds."""
    min_clearance_m: float
    """Least distance from the body to a trunk or obstacle, in metres."""
    mean_speed_mps: float
    """Mean speed in m/s, the start from rest included."""
    actions: np.ndarray
    """(T, 2) float32."""
    state_hashes: np.ndarray
    """(T+1,) uint64, one per state from the start on."""
    distance_m: float = 0.0
    """Length of the way that was covered, in metres."""
    interventions: int = 0
    """How often a car was put back on its line."""
    off_line_s: float = 0.0
    """Time that a car spent more than 1 m off its line, in seconds."""
    fingerprint: str = ""
    """Which weights acted, so that an evaluation can tell whether a stored episode is still theirs."""
    package_version: str = ""
    """Version of ForestPilot that ran a stored episode; empty for one that has just been run."""

    @property
    def succeeded(self) -> bool:
        """True where the goal was reached without being put back on the way."""
        return succeeded(self.outcome, self.interventions)

    @property
    def figures(self) -> dict[str, Any]:
        """Figures by name: all but the scenario and the arrays."""
        return {name: getattr(self, name) for name in RESULT_FIGURES}


RESULT_FIGURES = (
    "outcome",
    "progress_m",
    "time_s",
    "min_clearance_m",
    "mean_speed_mps",
    "distance_m",
    "interventions",
    "off_line_s",
    "fingerprint",
)


def result_path(folder: Path, policy: str, seed: int) -> Path:
    """Where the episode of a policy through a world is stored.

    Raises:
        EpisodeFileError: the policy's name is none that a file can have.
    """
    if problem := problem_of_file_name(policy):
        raise EpisodeFileError(f"no episode in {folder} can be called {policy!r}: {problem}")
    return folder / f"{policy}-{seed:08d}.npz"


def save_result(folder: Path, task: str, policy: str, policy_path: str, finished: EpisodeResult) -> Path:
    """Store what `replay` needs to repeat an episode: arguments, seed, actions and state hashes, whole or not at all.

    Args:
        folder: where the file goes.
        task: name of the task.
        policy: name under which the episode is filed.
        policy_path: folder of the checkpoint that acted, or name of the baseline.
        finished: the finished episode.
    """
    scenario = finished.scenario
    meta: dict[str, Any] = {
        "task": task,
        "env_id": TASKS.get(task).env_id,
        "env_kwargs": scenario.env_kwargs,
        "seed": scenario.seed,
        "policy": policy,
        "policy_path": policy_path,
        "package_version": package_version(),
        "control_hz": scenario.env_kwargs.get("control_hz"),
        **finished.figures,
    }
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, actions=finished.actions, state_hashes=finished.state_hashes, meta=np.array(json.dumps(meta))
    )
    path = result_path(folder, policy, scenario.seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_new_file(path, [buffer.getvalue()])
    return path


def load_result(path: Path) -> EpisodeResult:
    """The episode that `save_result` stored.

    Raises:
        EpisodeFileError: the file is missing or damaged.
    """
    meta, actions, state_hashes = read_result_file(path, ("seed", "env_kwargs", *RESULT_FIGURES))
    figures = {key: meta[key] for key in RESULT_FIGURES}
    return EpisodeResult(
        scenario=Scenario(meta["seed"], meta["env_kwargs"]),
        actions=actions,
        state_hashes=state_hashes,
        package_version=str(meta.get("package_version", "")),
        **figures,
    )


def read_result_file(path: Path, keys: Sequence[str]) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Read what `save_result` knew of an episode, its actions (T, 2) float32 and its state hashes (T+1,) uint64.

    Args:
        path: the file.
        keys: what must be known of the episode.

    Raises:
        EpisodeFileError: the file is missing or damaged.
    """
    try:
        stored = read_arrays(path, ("meta", "actions", "state_hashes"))
        meta = parse_json(str(stored["meta"]), finite=True)
        _require_result(meta, stored["actions"], stored["state_hashes"])
    except FileNotFoundError as error:
        raise EpisodeFileError(f"there is no episode {path}; evaluate again, it stores every episode") from error
    except (OSError, ValueError) as error:
        raise EpisodeFileError(f"the episode {path} cannot be read ({error}); delete it and evaluate again") from error
    missing = set(keys) - set(meta)
    if missing:
        raise EpisodeFileError(f"the episode {path} lacks {', '.join(sorted(missing))}; delete it and evaluate again")
    return meta, stored["actions"], stored["state_hashes"]


def _require_result(meta: Any, actions: np.ndarray, state_hashes: np.ndarray) -> None:
    """Raise ValueError where what was read is not what `save_result` writes."""
    if not isinstance(meta, dict) or not isinstance(meta.get("env_kwargs", {}), dict):
        raise ValueError("its facts are no mapping")
    if not isinstance(meta.get("seed", 0), int) or meta.get("seed", 0) < 0:
        raise ValueError(f"its seed is {meta['seed']!r}")
    if state_hashes.dtype != np.uint64 or state_hashes.ndim != 1:
        raise ValueError(f"its states are {state_hashes.dtype} {state_hashes.shape}; they must be uint64 (T+1)")
    if actions.dtype != np.float32 or actions.shape != (len(state_hashes) - 1, 2):
        raise ValueError(f"it has actions {actions.dtype} {actions.shape} for {len(state_hashes)} states")
    if not np.isfinite(actions).all():
        raise ValueError("its actions have NaN or infinity")
