"""Episodes as a world model sees them: state, goal, what was done, the strip of depths, and the view.

Datasets hold no depths. But an episode is simulated again from its seed and its actions, and the cameras' depths are
read then; its strips are kept in the folder `strips/` of the dataset, so that this is done once.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.rollouts.spare_envs import SpareEnvs
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.policies.world_models.strips import COLUMNS, StripReader
from forestpilot.sim.cameras import FIXED
from forestpilot.sim.envs.task_spec import HEADING, TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import IMAGE
from forestpilot.sim.tasks import TASKS

FOLDER = "strips"
"""Where in a dataset its episodes' strips are kept."""
LARGEST_DEVIATION = 1e-4
"""Of a state, in units of its elements' usual size, that is simulated again."""
RIDE_ALONG = {"side_cameras": FIXED, "dropped_pictures": 0.0}
"""Arguments of an environment that change what is seen, and not what happens."""


@dataclass(frozen=True)
class Seen:
    """What there was to see and feel in an episode of T steps."""

    seed: int
    """Seed of its world."""
    state: NDArray[np.float32]
    """(T+1, S)."""
    goal: NDArray[np.float32]
    """(T+1, G)."""
    actions: NDArray[np.float32]
    """(T, 2)."""
    strips: NDArray[np.float32]
    """(T+1, COLUMNS) metres."""
    views: NDArray[np.uint8]
    """(T+1, h, w, 3) of the center camera, levelled; (T+1, 0, 0, 3) where no model looks at them."""
    stretches: tuple[tuple[int, int], ...]
    """First step and step after the last of what happened in one go."""

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.actions)


def require_flights(spec: TaskSpec) -> None:
    """Raise InvalidArgumentError where a task's worlds cannot be modelled: its vehicle must be told headings, and the
    direction of its goal."""
    if spec.turn_kind != HEADING or spec.goal_kind == IMAGE:
        raise InvalidArgumentError(
            f"the task {spec.task} tells turns as {spec.turn_kind} and goals as {spec.goal_kind}; world models are "
            "learned of vehicles that are told headings (drone), with goals told by bearing or vector"
        )


def look_again(
    datasets: Sequence[Dataset], prepare: ViewPreparer | None, progress: Progress | None = None
) -> list[Seen]:
    """All episodes of some datasets, as a world model sees them.

    Args:
        datasets: of one task.
        prepare: makes views, for models that look at them.
        progress: who watches.

    Raises:
        DatasetError: an episode cannot be simulated again.
    """
    progress = progress or SilentProgress()
    headers = [(dataset, header) for dataset in datasets for header in dataset.episodes]
    found = []
    with SpareEnvs() as envs, progress.stage("look again", total=len(headers)) as stage:
        for dataset, header in headers:
            found.append(_seen(dataset, header, prepare, envs))
            stage.advance()
    return found


def _seen(dataset: Dataset, header: EpisodeHeader, prepare: ViewPreparer | None, envs: SpareEnvs) -> Seen:
    episode = load_episode(header.path, keys=("state", "goal") if prepare is None else ("center", "state", "goal"))
    state = episode.observations["state"]
    views = np.zeros((len(state), 0, 0, 3), np.uint8)
    if prepare is not None:
        views = prepare(episode.observations["center"], state)
    strips = _strips(dataset, header, episode, envs)
    goal = episode.observations["goal"]
    return Seen(header.meta.seed, state, goal, episode.actions, strips, views, tuple(header.stretches))


def _strips(dataset: Dataset, header: EpisodeHeader, episode: Episode, envs: SpareEnvs) -> NDArray[np.float32]:
    """(T+1, COLUMNS) an episode's strips: kept ones, or simulated again and kept."""
    with header.path.open("rb") as file:
        mark = zlib.crc32(file.read(256))  # its first line has a checksum of all that follows
    path = dataset.folder / FOLDER / f"{header.path.stem}-{mark:08x}.npy"
    shape = (episode.num_steps + 1, COLUMNS)
    with suppress(OSError, ValueError, EOFError):
        kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
        if kept.shape == shape and kept.dtype == np.float32:
            return kept
    strips = _simulate(episode, header.path, envs)
    with suppress(OSError):  # a dataset that cannot be written to is simulated again each time
        _keep(path, strips)
    return strips


def _keep(path: Path, strips: NDArray[np.float32]) -> None:
    path.parent.mkdir(exist_ok=True)
    content = io.BytesIO()
    np.save(content, strips)
    write_new_file(path, [content.getvalue()])


def _simulate(episode: Episode, path: Path, envs: SpareEnvs) -> NDArray[np.float32]:
    """An episode's strips, by simulating it again.

    Raises:
        DatasetError: the simulation does not come to the same states.
    """
    task = TASKS.get(str(episode.meta.task_spec["task"]))
    kwargs = {**episode.meta.env_kwargs}
    kwargs |= {name: value for name, value in RIDE_ALONG.items() if name in kwargs}
    env = envs.take(task, **kwargs)
    try:
        env.draw_only(("left", "center", "right"))
        observation, _ = env.reset(seed=episode.meta.seed)
        states = [observation["state"]]
        depths = [env.frames.depth]
        for action in episode.actions:
            observation = env.step(action)[0]
            states.append(observation["state"])
            depths.append(env.frames.depth)
        reader = StripReader(env.task_spec)
        scale = np.asarray(env.task_spec.state_scale)
    finally:
        envs.give_back(env)
    state = np.stack(states)
    if np.abs((state - episode.observations["state"]) / scale).max() > LARGEST_DEVIATION:
        raise DatasetError(
            f"{path} cannot be simulated again: its states are others. World models are learned from episodes that "
            "this version recorded; collect some anew"
        )
    return reader(np.stack(depths), state)
