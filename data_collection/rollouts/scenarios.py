"""Episodes through worlds, flown or driven: which to run, what is left of them, and the file that repeats one."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)
from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.seeds import SeedStream, rng_for


class EpisodeFileError(ForestPilotError):
    """A stored episode that is missing or damaged."""


@dataclass(frozen=True)
class Task:
    """What can be learned: an environment and its ordinary arguments."""

    env_id: str
    """Id for `gymnasium.make`, module included."""
    presets: tuple[str, ...]
    """Presets of its worlds, the ordinary one first."""
    speed_mps: float
    """Ordinary speed set point in m/s."""
    max_speed_mps: float
    """Largest speed set point in m/s."""

    @property
    def bare_env_id(self) -> str:
        """Id without the module, as episodes are filed under."""
        return self.env_id.split(":")[1]


TASKS = {
    "drone": Task("forestpilot:ForestPilot/Drone-v0", ("default", "loquercio"), 5.0, 12.0),
    "drive": Task("forestpilot:ForestPilot/Drive-v0", ("winding", "easy", "junctions", "obstacles"), 10.0, 20.0),
}


def task_of(name: str) -> Task:
    """The task of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in TASKS:
        raise InvalidArgumentError(f"task is {name!r}; allowed: {', '.join(TASKS)}")
    return TASKS[name]


@dataclass(frozen=True)
class Scenario:
    """One episode to run: a world and the arguments of its environment."""

    seed: int
    """World seed."""
    env_kwargs: dict[str, Any]
    """Arguments of the environment, plain JSON values."""


@dataclass
class EpisodeResult:
    """What is left of an episode: one row of results, and what it takes to repeat it."""

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

    @property
    def succeeded(self) -> bool:
        """Whether the goal was reached, and without being put back on the way."""
        return self.outcome == "success" and self.interventions == 0

    def row(self, policy: str) -> dict[str, Any]:
        """This episode as a row of outcomes.csv."""
        kwargs = self.scenario.env_kwargs
        return {
            "policy": policy,
            "seed": self.scenario.seed,
            "outcome": self.outcome,
            "success": int(self.succeeded),
            "progress_m": round(self.progress_m, 3),
            "time_s": round(self.time_s, 3),
            "min_clearance_m": round(self.min_clearance_m, 4),
            "mean_speed_mps": round(self.mean_speed_mps, 3),
            "density": kwargs.get("density"),
            "speed": kwargs.get("speed"),
            "preset": kwargs.get("preset"),
            "distance_m": round(self.distance_m, 3),
            "interventions": self.interventions,
            "off_line_s": round(self.off_line_s, 3),
        }


@dataclass(frozen=True)
class ScenarioMix:
    """Which worlds and speeds are run; each episode draws its own from its seed."""

    presets: tuple[str, ...] = ()
    """Presets of the worlds; each episode draws one. Forests: `default` (trunks 0.24-0.70 m), `loquercio` (0.6 m). Roads:
    `winding`, `easy`, `junctions`, `obstacles`. Empty for the first of these."""
    densities: tuple[float, ...] = (0.04,)
    """Drone: trees per square metre; each episode draws one. Published: 0.0204, 0.0278, 0.04."""
    speeds: tuple[float, ...] = ()
    """Least and largest speed set point in m/s; each episode draws one in between. Empty for 5 m/s (drone), 10 (drive)."""
    length: float = 600.0
    """Drive: length of the road in metres."""
    side_cameras: str = "fixed"
    """Drive: side cameras `fixed` at 0.5 m and 8 degrees, or drawn anew for every picture (`random`), and the speed
    that the expert is asked about with them (`random-speed`)."""
    interventions: str = "none"
    """Drive: put the car back when it is more than 1 m off its `line`, off the `road`, or never (`none`: the episode
    ends)."""
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
        if not self.densities:
            raise InvalidArgumentError("densities needs at least one entry")
        if self.speeds and not (len(self.speeds) == 2 and 1.0 <= self.speeds[0] <= self.speeds[1] <= 20.0):
            raise InvalidArgumentError(
                f"speeds are {self.speeds} m/s; allowed: 1 <= least <= largest <= 12 (drone) or 20 (drive)"
            )

    def complete(self, task: str) -> ScenarioMix:
        """This mix with the task's ordinary preset and speed where none is given.

        Raises:
            ValueError: unknown task, or a preset or speed that it does not have.
        """
        known = task_of(task)
        if unknown := [name for name in self.presets if name not in known.presets]:
            raise InvalidArgumentError(
                f"presets has {', '.join(unknown)}; the {task} task has {', '.join(known.presets)}"
            )
        speeds = self.speeds or (known.speed_mps, known.speed_mps)
        if speeds[1] > known.max_speed_mps:
            raise InvalidArgumentError(f"speeds are {speeds} m/s; the {task} task goes up to {known.max_speed_mps:g}")
        return dataclasses.replace(self, presets=self.presets or known.presets[:1], speeds=speeds)

    def scenario(self, seed: int, task: str = "drone") -> Scenario:
        """The episode through the world of this seed."""
        mix = self.complete(task)
        rng = rng_for(seed, SeedStream.SCENARIO)
        preset, density = mix.presets[rng.integers(len(mix.presets))], mix.densities[rng.integers(len(mix.densities))]
        kwargs: dict[str, Any] = {"preset": preset, "speed": round(float(rng.uniform(mix.speeds[0], mix.speeds[1])), 3)}
        if task == "drone":
            kwargs["density"] = density
        else:
            own = ("length", "side_cameras", "interventions")
            kwargs |= {key: getattr(mix, key) for key in own}
        shared = ("control_hz", "width", "height", "renderer", "domain_randomisation")
        return Scenario(seed, kwargs | {key: getattr(mix, key) for key in shared})


def make_env(task: str, **kwargs: Any) -> VehicleEnv:
    """The task's environment without Gymnasium's wrappers.

    Raises:
        ValueError: unknown task, or an argument out of range.
    """
    env = gymnasium.make(task_of(task).env_id, disable_env_checker=True, **kwargs).unwrapped
    assert isinstance(env, VehicleEnv)
    return env


def task_spec_of(task: str, mix: ScenarioMix) -> TaskSpec:
    """The task spec that all episodes of a mix share."""
    env = make_env(task, **mix.scenario(0, task).env_kwargs)
    try:
        return env.task_spec
    finally:
        env.close()


RESULT_FIGURES = (
    "outcome", "progress_m", "time_s", "min_clearance_m", "mean_speed_mps", "distance_m", "interventions", "off_line_s",
    "fingerprint",
)  # fmt: skip


def result_path(folder: Path, policy: str, seed: int) -> Path:
    """Where the episode of a policy through a world is stored."""
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
    meta = {
        "task": task, "env_id": TASKS[task].env_id, "env_kwargs": finished.scenario.env_kwargs, "seed": finished.scenario.seed,
        "policy": policy, "policy_path": policy_path, "package_version": package_version(),
        "control_hz": finished.scenario.env_kwargs.get("control_hz"),
        **{key: getattr(finished, key) for key in RESULT_FIGURES},
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, actions=finished.actions, state_hashes=finished.state_hashes, meta=np.array(json.dumps(meta))
    )
    path = result_path(folder, policy, finished.scenario.seed)
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
        scenario=Scenario(meta["seed"], meta["env_kwargs"]), actions=actions, state_hashes=state_hashes, **figures
    )


def read_result_file(path: Path, keys: Sequence[str]) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """What `save_result` knew of an episode, its actions (T, 2) float32 and its state hashes (T+1,) uint64.

    Args:
        path: the file.
        keys: what must be known of the episode.

    Raises:
        EpisodeFileError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            actions, state_hashes = stored["actions"], stored["state_hashes"]
    except FileNotFoundError as error:
        raise EpisodeFileError(f"there is no episode {path}; evaluate again, it stores every episode") from error
    except Exception as error:  # zip and NumPy raise half a dozen types for broken files
        raise EpisodeFileError(
            f"the episode {path} cannot be read ({type(error).__name__} {error}); delete it and evaluate again"
        ) from error
    missing = set(keys) - set(meta)
    if missing:
        raise EpisodeFileError(f"the episode {path} lacks {', '.join(sorted(missing))}; delete it and evaluate again")
    if actions.shape != (len(state_hashes) - 1, 2):
        raise EpisodeFileError(f"{path} has actions {actions.shape} for {len(state_hashes)} states; evaluate again")
    return meta, actions, state_hashes
