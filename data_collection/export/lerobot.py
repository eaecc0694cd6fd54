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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import h5py
import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.export.feature_stats import FeatureStats
from forestpilot.data_collection.export.hdf5_parts import joined
from forestpilot.data_collection.export.keepsake import KEEPSAKE, KEEPSAKE_FILE, Keepsake, is_pictures
from forestpilot.data_collection.export.lessons import (
    LessonConfig,
    Stretch,
    all_have_costs,
    step_columns,
    stretches_of,
)
from forestpilot.data_collection.export.parquet import ParquetFile, write_tasks
from forestpilot.data_collection.export.parts import ExporterInParts, PartWriter, WrittenPart, placed
from forestpilot.data_collection.export.picture_file import PictureFile
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
FILES_A_CHUNK = 1000
ROWS_FILE = "rows.parquet"
"""A part's rows."""
INDEX_FILE = "episodes.parquet"
"""Where a part's episodes lie."""
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


class LerobotExporter(ExporterInParts):
    """Writes a folder that LeRobot trains from."""

    Config = LerobotConfig
    card_fields: ClassVar = {
        "tags": ["LeRobot"],
        "configs": [{"config_name": "default", "data_files": "data/*/*.parquet"}],
    }
    reading = "LeRobot 0.4 and later: `LeRobotDataset(NAME, root=FOLDER)`, or `--dataset.root=FOLDER` of its commands."

    def part_bytes(self, config: LerobotConfig) -> int:
        """See `ExporterInParts.part_bytes`."""
        return int(config.file_mb * 1_000_000)

    def open_part(
        self, dataset: Dataset, folder: Path, number: int, before: Mapping[str, Any], config: LerobotConfig
    ) -> PartWriter:
        """See `ExporterInParts.open_part`."""
        return _LerobotPart(dataset, folder, number, before, config)

    def put_together(self, dataset: Dataset, parts: Sequence[WrittenPart], out: Path, config: LerobotConfig) -> None:
        """See `ExporterInParts.put_together`."""
        facts = parts[-1].facts
        videos = [key for key, told in facts["features"].items() if told["dtype"] == "video"]
        for part in parts:
            chunk, number = divmod(part.number, FILES_A_CHUNK)
            name = f"chunk-{chunk:03d}/file-{number:03d}"
            placed(part.folder / ROWS_FILE, out / "data" / f"{name}.parquet")
            placed(part.folder / INDEX_FILE, out / "meta" / "episodes" / f"{name}.parquet")
            for key in videos:
                placed(part.folder / f"{key}.mp4", out / "videos" / key / f"{name}.mp4")
        if config.views == "together":
            joined([part.folder / KEEPSAKE_FILE for part in parts], out / KEEPSAKE)
        meta = out / "meta"
        write_tasks(meta / "tasks.parquet", facts["tasks"])
        (meta / "info.json").write_text(json.dumps(_info(dataset, facts, config), indent=4))
        stats = {name: FeatureStats.from_plain(own).as_lists() for name, own in facts["stats"].items()}
        (meta / "stats.json").write_text(json.dumps(stats, indent=4))


class _LerobotPart(PartWriter):
    """A part: a file of rows, one of each camera's pictures, one that tells where each episode lies, and the keepsake's
    episodes."""

    def __init__(
        self, dataset: Dataset, folder: Path, number: int, before: Mapping[str, Any], config: LerobotConfig
    ) -> None:
        self._dataset = dataset
        self._spec = dataset.task_spec
        self._with_costs = all_have_costs(dataset.episodes)
        self._config = config
        self._folder = folder
        self._place = divmod(number, FILES_A_CHUNK)
        self._features: dict[str, dict[str, Any]] = dict(before.get("features", {}))
        self._tasks: dict[str, int] = dict(before.get("tasks", {}))
        self._stats = {name: FeatureStats.from_plain(own) for name, own in before.get("stats", {}).items()}
        self._num_episodes = before.get("episodes", 0)
        self._num_rows = before.get("rows", 0)
        self._recorded = before.get("recorded", 0)
        self._rows = ParquetFile(folder / ROWS_FILE, STEPS_TOGETHER)
        self._index = ParquetFile(folder / INDEX_FILE, EPISODES_TOGETHER)
        self._pictures: dict[str, PictureFile] = {}
        self._kept: h5py.File | None = None
        self._keepsake: Keepsake | None = None
        if config.views == "together":
            self._kept = h5py.File(folder / KEEPSAKE_FILE, "w")
            self._keepsake = Keepsake(self._kept, self._spec, self._recorded)

    def add(self, header: EpisodeHeader) -> None:
        """See `PartWriter.add`."""
        episode = load_episode(header.path)
        stretches = stretches_of(header, self._config.action)
        if self._config.views == "together":
            self._add_view(episode, stretches)
        else:
            answered = stretches_of(header, "expert")
            for camera, own in views_apart(episode, self._spec):
                self._add_view(own, stretches if camera == CENTER else answered)
        self._recorded += 1

    def _add_view(self, episode: Episode, stretches: list[Stretch]) -> None:
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
        self._rows.write(own)
        entry |= _place("data", self._place)
        for name, pictures in episode.observations.items():
            if not is_pictures(pictures):
                continue
            key = f"{PICTURES}{name}"
            frames = pictures[stretch.start : stretch.stop]
            self._note(key, frames, entry)
            from_s, to_s = self._picture_file(key).write(frames)
            entry |= _place(f"videos/{key}", self._place)
            entry[f"videos/{key}/from_timestamp"] = from_s
            entry[f"videos/{key}/to_timestamp"] = to_s
        entry |= _place("meta/episodes", self._place)
        self._index.write({name: [value] for name, value in entry.items()})
        self._num_episodes += 1
        self._num_rows += length

    def _picture_file(self, key: str) -> PictureFile:
        """The video of a camera."""
        if key not in self._pictures:
            crf = None if self._config.pictures == "lossless" else self._config.crf
            self._pictures[key] = PictureFile(self._folder / f"{key}.mp4", self._spec.control_hz, crf)
        return self._pictures[key]

    def _note(self, name: str, values: np.ndarray, entry: dict[str, Any]) -> None:
        """Count what a feature holds, over all episodes and for this one."""
        self._features.setdefault(name, _feature(name, values, self._spec))
        own = FeatureStats.of(values)
        entry |= {f"stats/{name}/{kind}": value for kind, value in own.as_lists().items()}
        self._stats[name] = own if name not in self._stats else self._stats[name] + own

    @property
    def num_bytes(self) -> int:
        """See `PartWriter.num_bytes`."""
        return max(file.num_bytes for file in self._files())

    def close(self) -> None:
        """See `PartWriter.close`."""
        for file in self._files():
            file.close()
        if self._kept is not None:
            self._kept.close()

    def _files(self) -> list[ParquetFile | PictureFile]:
        return [self._rows, self._index, *self._pictures.values()]

    def facts(self) -> dict[str, Any]:
        """See `PartWriter.facts`."""
        described = {key: {**self._features[key], "info": own.describe()} for key, own in self._pictures.items()}
        return {
            "features": self._features | described,
            "tasks": self._tasks,
            "stats": {name: own.to_plain() for name, own in self._stats.items()},
            "episodes": self._num_episodes,
            "rows": self._num_rows,
            "recorded": self._recorded,
        }


def _info(dataset: Dataset, facts: Mapping[str, Any], config: LerobotConfig) -> dict[str, Any]:
    """What info.json says."""
    return {
        "codebase_version": VERSION,
        "robot_type": f"forestpilot_{dataset.task_spec.task}",
        "total_episodes": facts["episodes"],
        "total_frames": facts["rows"],
        "total_tasks": len(facts["tasks"]),
        "chunks_size": FILES_A_CHUNK,
        "data_files_size_in_mb": config.file_mb,
        "video_files_size_in_mb": config.file_mb,
        "fps": dataset.task_spec.control_hz,
        "splits": {"train": f"0:{facts['episodes']}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": VIDEO_PATH,
        "features": facts["features"],
    }


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
