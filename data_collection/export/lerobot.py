"""A dataset as LeRobot reads it (format v3.0, huggingface/lerobot, "LeRobotDataset v3.0").

meta/info.json                                       features, frames per second, counts, paths
meta/stats.json                                      least, largest, mean, spread and quantiles of every feature
meta/tasks.parquet                                   one sentence for each task
meta/episodes/chunk-000/file-000.parquet             where each episode's rows and pictures lie
data/chunk-000/file-000.parquet                      all steps: state, goal, action, labels, who acted, reward
videos/observation.images.<camera>/chunk-.../...mp4  the pictures, episode after episode
forestpilot/episodes.h5                              what the format has no place for, for the way back

A row is an observation and what was done there; the observation after the last action has no row, and lies in the last
file. Where the vehicle was put elsewhere on the way, a new episode begins: LeRobot takes rows for one after another.
Side cameras are pictures like others: a policy that flies here must be told to see the center camera only, or all; or
each camera's view is an episode of its own (see `views`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.export.exporter import Exporter
from forestpilot.data_collection.export.feature_stats import FeatureStats
from forestpilot.data_collection.export.keepsake import KEEPSAKE, Keepsake, is_pictures
from forestpilot.data_collection.export.lessons import (
    LessonConfig,
    Stretch,
    all_have_costs,
    step_columns,
    stretches_of,
)
from forestpilot.data_collection.export.parquet import FILES_A_CHUNK, ParquetFiles, write_tasks
from forestpilot.data_collection.export.picture_files import PictureFiles
from forestpilot.data_collection.export.views import views_apart
from forestpilot.sim.cameras import CENTER
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.tasks import TASKS

VERSION = "v3.0"
PICTURES = "observation.images."
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
ENVIRONMENT_STATE = "observation.environment_state"
"""Where LeRobot's policies look for what is no state of the robot's own: the goal."""
STEPS_TOGETHER = 1000
"""Least rows of data that are written as one group."""
EPISODES_TOGETHER = 100
"""Rows of meta/episodes that are written as one group, for they have hundreds of columns."""
OF_EVERY_DATASET = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True)
class LerobotConfig(LessonConfig):
    """A folder, as LeRobot 0.4 and later read it: videos and Parquet tables."""

    part: ClassVar[str] = "lerobot"
    pictures: Literal["video", "lossless"] = "video"
    """H.264 as everybody plays it, or without loss (RGB, 5 to 10 times as large)."""
    crf: Annotated[int, Range(0, 51)] = 18
    """Quality of the video: constant rate factor of x264, 0 is best; of no matter without loss."""
    file_mb: Annotated[int, Range(1, 100_000)] = 200
    """A file of this size in MB is the last of its episodes."""
    views: Literal["together", "apart"] = "together"
    """Pictures of all cameras side by side in each step (`together`), or every camera's view an episode of its own
    (`apart`): three times as much to learn for a policy that sees the center camera only, and no way back."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.views == "apart" and self.action == "executed":
            raise InvalidArgumentError(
                "views is apart and action is executed: nobody acted at the side cameras; choose taught or expert"
            )


class LerobotExporter(Exporter):
    """Writes a folder that LeRobot trains from."""

    Config = LerobotConfig
    card_fields: ClassVar = {
        "tags": ["LeRobot"],
        "configs": [{"config_name": "default", "data_files": "data/*/*.parquet"}],
    }
    reading = "LeRobot 0.4 and later: `LeRobotDataset(NAME, root=FOLDER)`, or `--dataset.root=FOLDER` of its commands."

    def write(self, dataset: Dataset, out: Path, config: LerobotConfig, progress: Progress) -> None:
        """See `Exporter.write`."""
        out.mkdir(parents=True)
        with ExitStack() as files, progress.stage("export", total=len(dataset)) as stage:
            writer = _Writer(out, dataset, config, files)
            for header in dataset.episodes:
                episode = load_episode(header.path)
                stretches = stretches_of(header, config.action)
                if config.views == "together":
                    writer.add(episode, stretches)
                else:
                    answered = stretches_of(header, "expert")
                    for camera, own in views_apart(episode, dataset.task_spec):
                        writer.add(own, stretches if camera == CENTER else answered)
                stage.advance(steps=header.num_steps)
        writer.finish()


class _Writer:
    """The files of one export, open until `files` is closed.

    Args:
        out: folder, empty.
        dataset: what is exported.
        config: options of the export.
        files: closes what is open.
    """

    def __init__(self, out: Path, dataset: Dataset, config: LerobotConfig, files: ExitStack) -> None:
        self._out = out
        self._spec = dataset.task_spec
        self._with_costs = all_have_costs(dataset.episodes)
        self._config = config
        file_bytes = config.file_mb * 1_000_000
        self._rows = files.enter_context(ParquetFiles(out / "data", file_bytes, STEPS_TOGETHER))
        self._index = files.enter_context(ParquetFiles(out / "meta" / "episodes", file_bytes, EPISODES_TOGETHER))
        self._keepsake: Keepsake | None = None
        if config.views == "together":
            self._keepsake = files.enter_context(Keepsake(out / KEEPSAKE, dataset.task_spec))
        self._files = files
        self._file_bytes = file_bytes
        self._pictures: dict[str, PictureFiles] = {}
        self._stats: dict[str, FeatureStats] = {}
        self._features: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, int] = {}
        self._num_episodes = 0
        self._num_rows = 0

    def add(self, episode: Episode, stretches: list[Stretch]) -> None:
        """Write an episode, as one for each of the stretches."""
        columns = dict(_columns(episode, self._config, self._with_costs))
        numbers = range(self._num_episodes, self._num_episodes + len(stretches))
        if self._keepsake is not None:
            self._keepsake.add(episode, list(zip(numbers, stretches)), loose=[episode.num_steps])
        task = TASKS.get(self._spec.task).sentence(episode.meta.env_kwargs)
        for stretch in stretches:
            self._add_stretch(episode, stretch, columns, self._tasks.setdefault(task, len(self._tasks)), task)

    def _add_stretch(
        self, episode: Episode, stretch: Stretch, columns: Mapping[str, np.ndarray], task_index: int, task: str
    ) -> None:
        length = stretch.stop - stretch.start
        own = {name: values[stretch.start : stretch.stop] for name, values in columns.items()}
        own |= _of_every_dataset(length, self._spec.control_hz, self._num_episodes, self._num_rows, task_index)
        entry: dict[str, Any] = {
            "episode_index": self._num_episodes,
            "tasks": [task],
            "length": length,
            "dataset_from_index": self._num_rows,
            "dataset_to_index": self._num_rows + length,
        }
        for name, values in own.items():
            self._note(name, values, entry)
        entry |= _place("data", self._rows.write(own))
        for name, pictures in episode.observations.items():
            if not is_pictures(pictures):
                continue
            key = f"{PICTURES}{name}"
            frames = pictures[stretch.start : stretch.stop]
            self._note(key, frames, entry)
            clip = self._picture_files(key).write(frames)
            entry |= _place(f"videos/{key}", clip.file)
            entry[f"videos/{key}/from_timestamp"] = clip.from_s
            entry[f"videos/{key}/to_timestamp"] = clip.to_s
        entry |= _place("meta/episodes", self._index.next_file)
        self._index.write({name: [value] for name, value in entry.items()})
        self._num_episodes += 1
        self._num_rows += length

    def _picture_files(self, key: str) -> PictureFiles:
        """The videos of a camera."""
        if key not in self._pictures:
            crf = None if self._config.pictures == "lossless" else self._config.crf
            own = PictureFiles(self._out / "videos" / key, self._spec.control_hz, self._file_bytes, crf)
            self._pictures[key] = self._files.enter_context(own)
        return self._pictures[key]

    def _note(self, name: str, values: np.ndarray, entry: dict[str, Any]) -> None:
        """Count what a feature holds, over all episodes and for this one."""
        self._features.setdefault(name, _feature(name, values, self._spec))
        own = FeatureStats.of(values)
        entry |= {f"stats/{name}/{kind}": value for kind, value in own.as_lists().items()}
        self._stats[name] = own if name not in self._stats else self._stats[name] + own

    def finish(self) -> None:
        """Write what is known at the end."""
        meta = self._out / "meta"
        write_tasks(meta / "tasks.parquet", self._tasks)
        for key, pictures in self._pictures.items():
            self._features[key]["info"] = pictures.describe()
        info = {
            "codebase_version": VERSION,
            "robot_type": f"forestpilot_{self._spec.task}",
            "total_episodes": self._num_episodes,
            "total_frames": self._num_rows,
            "total_tasks": len(self._tasks),
            "chunks_size": FILES_A_CHUNK,
            "data_files_size_in_mb": self._config.file_mb,
            "video_files_size_in_mb": self._config.file_mb,
            "fps": self._spec.control_hz,
            "splits": {"train": f"0:{self._num_episodes}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": VIDEO_PATH,
            "features": self._features,
        }
        (meta / "info.json").write_text(json.dumps(info, indent=4))
        stats = {name: own.as_lists() for name, own in self._stats.items()}
        (meta / "stats.json").write_text(json.dumps(stats, indent=4))


def _columns(episode: Episode, config: LerobotConfig, with_costs: bool) -> Iterator[tuple[str, np.ndarray]]:
    """What is written of the steps of an episode besides pictures, (T, ...) each."""
    steps = episode.num_steps
    for key, values in episode.observations.items():
        if not is_pictures(values):
            yield _name_of(key), values[:steps]
    told = step_columns(episode, config.action, with_costs)
    for name in ("action", "executed_action", "expert_action", "expert_costs"):
        if name in told:
            yield name, told[name]
    for name in ("labelled", "actor", "intervention"):
        yield name, told[name][:, None]
    yield "next.reward", episode.rewards[:, None]
    yield "next.done", (episode.terminated | episode.truncated)[:, None]
    yield "next.success", told["success"][:, None]


def _name_of(key: str) -> str:
    """LeRobot's name of an observation."""
    return {"state": "observation.state", "goal": ENVIRONMENT_STATE}.get(key, f"observation.{key}")


def _of_every_dataset(length: int, fps: int, episode: int, row: int, task: int) -> dict[str, np.ndarray]:
    """The columns that LeRobot adds by itself, (length,) each."""
    frames = np.arange(length, dtype=np.int64)
    return {
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(length, episode, np.int64),
        "index": row + frames,
        "task_index": np.full(length, task, np.int64),
    }


def _place(what: str, file: tuple[int, int]) -> dict[str, int]:
    """Entries that say in which file something lies."""
    chunk, number = file
    return {f"{what}/chunk_index": chunk, f"{what}/file_index": number}


def _feature(name: str, values: np.ndarray, spec: TaskSpec) -> dict[str, Any]:
    """The description of a feature in info.json."""
    if is_pictures(values):
        return {"dtype": "video", "shape": list(values.shape[1:]), "names": ["height", "width", "channels"]}
    names = {
        "observation.state": list(spec.state_names),
        "action": ["turn", "go"],
        "executed_action": ["turn", "go"],
        "expert_action": ["turn", "go"],
    }.get(name)
    return {"dtype": str(values.dtype), "shape": list(values.shape[1:]) or [1], "names": names}
