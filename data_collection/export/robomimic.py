"""A dataset as one HDF5 file in robomimic's layout (robomimic.github.io, "Dataset Contents and Usage").

data                    attributes: total (steps), env_args (JSON: env_name, type, env_kwargs)
data/demo_<n>           attribute: num_samples
    actions (T, 2)      rewards (T,)      dones (T,)
    obs/<key>           left, center, right (T, H, W, 3) uint8; state, goal
    next_obs/<key>      the same one step later
    actor, labelled     who acted and where somebody said what to do; robomimic leaves them alone
mask/<name>             names of demonstrations: train, valid, success
episodes/episode_<n>    <key> (T+1, ...): what was seen in an episode; a link to its own file, or a copy
forestpilot/episode_<n> of copies: what robomimic has no place for, for the way back

What was seen stands there once, in `episodes`; `obs` and `next_obs` are rows of it (virtual datasets). Where `episodes`
are links, which are relative, no picture is copied, and the file is of no use without the dataset. (Rows of a file that
is gone would read as zeros; rows of what lies behind a link to nowhere are an error.)

An episode is one demonstration; where the vehicle was put elsewhere on the way, it is one for each stretch, because
robomimic takes the steps of a demonstration for one after another. Robomimic learns from all labels alike: what an
episode's labels weigh stands in the attribute `rerun`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import h5py
import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import ROBOMIMIC_GYM, Episode, load_episode
from forestpilot.data_collection.episodes.episode_file import open_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.migration import migrate_env_id
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.rerun import FIRST_RUN, RERUN_ATTRIBUTE
from forestpilot.data_collection.export.hdf5_parts import joined, size_of
from forestpilot.data_collection.export.keepsake import Keepsake
from forestpilot.data_collection.export.lessons import (
    LessonConfig,
    Stretch,
    env_kwargs_of,
    stretches_of,
    transitions_of,
    wanted_actions,
)
from forestpilot.data_collection.export.parts import ExporterInParts, PartWriter, WrittenPart, folder_around
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.ranges import SEEDS, Range, require_ranges

EPISODES = "episodes"
"""Where what was seen stands."""
BACK = "forestpilot"
"""Where a copy keeps what robomimic has no place for."""
EPISODE_OBS = "data/demo_0/obs"
"""Where an episode's own file has what was seen."""
PART_NAME = "part.hdf5"
STEPS_PER_CHUNK = 8
"""Steps that are compressed together: about what robomimic reads at once."""


@dataclass(frozen=True)
class RobomimicConfig(LessonConfig):
    """One HDF5 file, as robomimic reads it."""

    part: ClassVar[str] = "robomimic"
    copy: bool = False
    """Copy the pictures, so that the file can be carried elsewhere and any HDF5 library unpacks it; else it links to
    the dataset, takes next to no room and no time, and whoever reads it needs hdf5plugin."""
    next_obs: bool = True
    """Tell the observation after each step, which robomimic wants unless hdf5_load_next_obs is false. Where the vehicle
    was then put elsewhere it is not known, and the step is left out."""
    valid_share: Annotated[float, Range(0, 1, below=True)] = 0.1
    """Share of the demonstrations in mask/valid; the others are in mask/train."""
    seed: Annotated[int, SEEDS] = 0
    """Of the choice which demonstrations those are."""

    def __post_init__(self) -> None:
        require_ranges(self)


class _Demo(NamedTuple):
    """A demonstration: an episode, or a stretch of one."""

    header: EpisodeHeader
    """Its episode."""
    steps: Stretch
    """Which steps of it."""


class RobomimicExporter(ExporterInParts):
    """Writes one HDF5 file that robomimic trains from."""

    Config = RobomimicConfig
    is_one_file: ClassVar = True
    card_fields: ClassVar = {"tags": ["robomimic"]}
    reading = "robomimic: `train.data = FILE`. Where pictures are links, it needs the dataset, and `hdf5plugin`."

    def needs_the_dataset(self, config: RobomimicConfig) -> bool:
        """See `Exporter.needs_the_dataset`."""
        return not config.copy

    def write(self, dataset: Dataset, out: Path, config: RobomimicConfig, progress: Progress) -> None:
        """See `Exporter.write`."""
        _note_weights(dataset.episodes, progress)
        super().write(dataset, out, config, progress)

    def open_part(
        self, dataset: Dataset, folder: Path, number: int, before: Mapping[str, Any], config: RobomimicConfig
    ) -> PartWriter:
        """See `ExporterInParts.open_part`."""
        return _RobomimicPart(dataset, folder, before, config)

    def put_together(self, dataset: Dataset, parts: Sequence[WrittenPart], out: Path, config: RobomimicConfig) -> None:
        """See `ExporterInParts.put_together`."""
        joined([part.folder / PART_NAME for part in parts], out, shared=("data", EPISODES, BACK)[: 2 + config.copy])


class _RobomimicPart(PartWriter):
    """A part: an HDF5 file; the first one tells what all come to."""

    def __init__(self, dataset: Dataset, folder: Path, before: Mapping[str, Any], config: RobomimicConfig) -> None:
        self._config = config
        self._folder = folder_around(folder)
        self._place = before.get("recorded", 0)
        self._number = before.get("demos", 0)
        self._file = h5py.File(folder / PART_NAME, "w")
        self._data = self._file.create_group("data")
        self._keepsake: Keepsake | None = None
        if config.copy:
            self._keepsake = Keepsake(self._file.create_group(BACK), dataset.task_spec, self._place)
        if not before:
            self._begin(dataset)

    def _begin(self, dataset: Dataset) -> None:
        """Write what is told of all episodes."""
        demos = [_demos(header, self._config) for header in dataset.episodes]
        self._data.attrs["total"] = sum(demo.steps.stop - demo.steps.start for own in demos for demo in own)
        self._data.attrs["env_args"] = _env_args(dataset.episodes[0])
        for name, members in _masks(demos, self._config).items():
            self._file[f"mask/{name}"] = np.array(members, dtype=h5py.string_dtype())

    def add(self, header: EpisodeHeader) -> None:
        """See `PartWriter.add`."""
        source = f"/{EPISODES}/episode_{self._place}"
        episode = load_episode(header.path, keys=None if self._config.copy else ())
        seen = _write_observations(self._file, source, header, episode, self._folder, self._config)
        arrays = _arrays(episode, self._config)
        for demo in _demos(header, self._config):
            group = self._data.create_group(f"demo_{self._number}")
            _write_demo(group, demo, arrays)
            _write_rows(group, demo, source, seen, self._config)
            self._number += 1
        if self._keepsake is not None:
            self._keepsake.add(episode, [(self._place, (0, header.num_steps + 1))])
        self._place += 1

    @property
    def num_bytes(self) -> int:
        """See `PartWriter.num_bytes`."""
        return size_of(self._file)

    def close(self) -> None:
        """See `PartWriter.close`."""
        self._file.close()

    def facts(self) -> dict[str, Any]:
        """See `PartWriter.facts`."""
        return {"demos": self._number, "recorded": self._place}


def _demos(header: EpisodeHeader, config: RobomimicConfig) -> list[_Demo]:
    """The demonstrations that an episode is written as."""
    choose = transitions_of if config.next_obs else stretches_of
    return [_Demo(header, steps) for steps in choose(header, config.action)]


def _note_weights(headers: Sequence[EpisodeHeader], progress: Progress) -> None:
    """Say what robomimic will not do."""
    if heavy := sum(header.rerun.weight != 1.0 for header in headers):
        progress.note(
            f"warning: labels have a weight in {heavy} of {len(headers)} episodes, and robomimic learns from all alike"
        )


def _env_args(header: EpisodeHeader) -> str:
    """The environment as robomimic makes it again, `gym.make(env_name, **env_kwargs)`: from the usual start, and nobody
    puts the vehicle elsewhere."""
    name = migrate_env_id(header.meta.env_id)
    return json.dumps({"env_name": name, "type": ROBOMIMIC_GYM, "env_kwargs": env_kwargs_of(header)})


def _write_observations(
    file: h5py.File, source: str, header: EpisodeHeader, episode: Episode, folder: Path, config: RobomimicConfig
) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Put what was seen in an episode under a name; returns shape and type by key. Links are as seen from `folder`."""
    if config.copy:
        for key, values in episode.observations.items():
            chunk = (min(STEPS_PER_CHUNK, len(values)), *values.shape[1:])
            # gzip, because every HDF5 library brings it.
            file.create_dataset(f"{source}/{key}", data=values, chunks=chunk, compression="gzip", compression_opts=1)
        return {key: (values.shape, values.dtype) for key, values in episode.observations.items()}
    file[source] = h5py.ExternalLink(os.path.relpath(header.path.resolve(), folder.resolve()), EPISODE_OBS)
    with open_episode(header.path) as demo:
        return {key: (values.shape, values.dtype) for key, values in demo["obs"].items()}


def _write_rows(
    group: h5py.Group,
    demo: _Demo,
    source: str,
    seen: dict[str, tuple[tuple[int, ...], Any]],
    config: RobomimicConfig,
) -> None:
    """The observations of a demonstration as rows of those of its episode."""
    start, stop = demo.steps
    for key, (shape, dtype) in seen.items():
        for name, later in (("obs", 0), ("next_obs", 1))[: 1 + config.next_obs]:
            _write_view(
                group.require_group(name), key, f"{source}/{key}", (shape, dtype), range(start + later, stop + later)
            )


def _write_view(group: h5py.Group, key: str, source: str, kind: tuple[tuple[int, ...], Any], rows: range) -> None:
    """Rows of a dataset of this file as a dataset. What h5py itself makes holds the time of day, and equal exports
    would be different files."""
    shape, dtype = kind
    whole = h5py.h5s.create_simple(shape)
    whole.select_hyperslab((rows.start, *(0 for _ in shape[1:])), (len(rows), *shape[1:]))
    part = h5py.h5s.create_simple((len(rows), *shape[1:]))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    properties.set_virtual(part, b".", source.encode(), whole)
    h5py.h5d.create(group.id, key.encode(), h5py.h5t.py_create(np.dtype(dtype), logical=True), part, dcpl=properties)


def _arrays(episode: Episode, config: RobomimicConfig) -> dict[str, np.ndarray]:
    """What is written of an episode besides what was seen, (T, ...) each."""
    return {
        "actions": wanted_actions(episode, config.action),
        "rewards": episode.rewards,
        "dones": (episode.terminated | episode.truncated).astype(np.int64),
        "actor": episode.actor,
        "labelled": episode.labelled_steps,
    }


def _write_demo(group: h5py.Group, demo: _Demo, arrays: dict[str, np.ndarray]) -> None:
    start, stop = demo.steps
    group.attrs["num_samples"] = stop - start
    group.attrs["episode_meta"] = demo.header.meta.to_json()
    if demo.header.rerun != FIRST_RUN:
        group.attrs[RERUN_ATTRIBUTE] = json.dumps(dataclasses.asdict(demo.header.rerun))
    for key, values in arrays.items():
        group.create_dataset(key, data=values[start:stop])


def _masks(demos: Sequence[Sequence[_Demo]], config: RobomimicConfig) -> dict[str, list[str]]:
    """Names of the demonstrations for training, for validation, and of those whose episode reached the goal.

    All that was recorded in one world is on one side: reruns of an episode begin in the middle of it.
    """
    worlds = list(dict.fromkeys(demo.header.meta.seed for own in demos for demo in own))
    order = np.random.default_rng(config.seed).permutation(len(worlds))
    valid = {worlds[place] for place in order[: round(config.valid_share * len(worlds))]}
    masks: dict[str, list[str]] = {"train": [], "valid": [], "success": []}
    for number, demo in enumerate(demo for own in demos for demo in own):
        name = f"demo_{number}"
        masks["valid" if demo.header.meta.seed in valid else "train"].append(name)
        if demo.header.meta.outcome == Outcome.SUCCESS:
            masks["success"].append(name)
    return masks
