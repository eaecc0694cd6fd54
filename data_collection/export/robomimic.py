"""A dataset as one HDF5 file in robomimic's layout (robomimic.github.io, "Dataset Contents and Usage").

data                    attributes: total (steps), env_args (JSON: env_name, type, env_kwargs)
data/demo_<n>           attribute: num_samples
    actions (T, 2)      rewards (T,)      dones (T,)
    obs/<key>           left, center, right (T, H, W, 3) uint8; state, goal
    next_obs/<key>      the same one step later, if asked for
    actor, labelled     who acted and where somebody said what to do; robomimic leaves them alone
mask/<name>             names of demonstrations: train, valid, success

An episode is one demonstration; where the vehicle was put elsewhere on the way, it is one for each stretch, because
robomimic takes the steps of a demonstration for one after another. Robomimic learns from all labels alike: what an
episode's labels weigh stands in the attribute `rerun`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import h5py
import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import ROBOMIMIC_GYM, Episode, load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.migration import migrate_env_id
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.rerun import FIRST_RUN, RERUN_ATTRIBUTE
from forestpilot.data_collection.export.exporter import Exporter, ExporterConfig
from forestpilot.data_collection.export.lessons import env_kwargs_of
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.ranges import SEEDS, Range, require_ranges

STEPS_PER_CHUNK = 8
"""Steps that are compressed together: about what robomimic reads at once."""


@dataclass(frozen=True)
class RobomimicConfig(ExporterConfig):
    """One HDF5 file, as robomimic reads it."""

    part: ClassVar[str] = "robomimic"
    actions: Literal["taught", "done"] = "taught"
    """What is to be learned: what the expert or a human said should be done, and what was done where nobody said
    anything (`taught`), or what was `done` throughout."""
    next_obs: bool = False
    """Write the observation after each step too; for algorithms that need it (hdf5_load_next_obs). Twice the size."""
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
    start: int
    """First step."""
    stop: int
    """Step after the last."""


class RobomimicExporter(Exporter):
    """Writes one HDF5 file that robomimic trains from."""

    Config = RobomimicConfig

    def write(self, dataset: Dataset, out: Path, config: RobomimicConfig, progress: Progress) -> None:
        """See `Exporter.write`."""
        demos = [_demos(header, config) for header in dataset.episodes]
        _note_weights(dataset.episodes, progress)
        with h5py.File(out, "w") as file, progress.stage("export", total=len(dataset)) as stage:
            data = file.create_group("data")
            data.attrs["total"] = sum(demo.stop - demo.start for own in demos for demo in own)
            data.attrs["env_args"] = _env_args(dataset.episodes[0])
            number = 0
            for header, own in zip(dataset.episodes, demos):
                episode = load_episode(header.path)
                arrays = _arrays(episode, config)
                for demo in own:
                    _write_demo(data.create_group(f"demo_{number}"), demo, arrays)
                    number += 1
                stage.advance(steps=header.num_steps)
            for name, members in _masks(demos, config).items():
                file[f"mask/{name}"] = np.array(members, dtype=h5py.string_dtype())


def _demos(header: EpisodeHeader, config: RobomimicConfig) -> list[_Demo]:
    """The demonstrations that an episode is written as."""
    demos = []
    for start, stop in header.stretches:
        # What was seen next, had the vehicle not been put elsewhere, nobody knows.
        known = stop - 1 if config.next_obs and stop < header.num_steps else stop
        if known > start:
            demos.append(_Demo(header, start, known))
    return demos


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


def _arrays(episode: Episode, config: RobomimicConfig) -> dict[str, np.ndarray]:
    """What is written of an episode, (T, ...) each."""
    steps = episode.num_steps
    dones = (episode.terminated | episode.truncated).astype(np.int64)
    arrays: dict[str, np.ndarray] = {"actions": _actions(episode, config), "rewards": episode.rewards, "dones": dones}
    arrays |= {"actor": episode.actor, "labelled": episode.labelled_steps}
    for key, values in episode.observations.items():
        arrays[f"obs/{key}"] = values[:steps]
        if config.next_obs:
            arrays[f"next_obs/{key}"] = values[1:]
    return arrays


def _write_demo(group: h5py.Group, demo: _Demo, arrays: Mapping[str, np.ndarray]) -> None:
    steps = demo.stop - demo.start
    group.attrs["num_samples"] = steps
    group.attrs["episode_meta"] = demo.header.meta.to_json()
    if demo.header.rerun != FIRST_RUN:
        group.attrs[RERUN_ATTRIBUTE] = json.dumps(dataclasses.asdict(demo.header.rerun))
    for key, values in arrays.items():
        chunk = (min(STEPS_PER_CHUNK, steps), *values.shape[1:])
        # gzip, because every HDF5 library brings it.
        own = values[demo.start : demo.stop]
        group.create_dataset(key, data=own, chunks=chunk, compression="gzip", compression_opts=1)


def _actions(episode: Episode, config: RobomimicConfig) -> np.ndarray:
    """(T, 2) float32 in [-1, 1]."""
    if config.actions == "done":
        return episode.actions
    lesson = episode.labels.lesson(episode.meta.control_hz)
    return np.where(lesson.known[:, None], lesson.actions, episode.actions)


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
