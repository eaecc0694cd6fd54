"""A dataset as one HDF5 file in robomimic's layout (robomimic.github.io, "Dataset Contents and Usage").

data                    attributes: total (steps), env_args (JSON: env_name, type, env_kwargs)
data/demo_<n>           attribute: num_samples
    actions (T, 2)      rewards (T,)      dones (T,)
    obs/<key>           left, center, right (T, H, W, 3) uint8; state, goal
    next_obs/<key>      the same one step later, if asked for
    actor, labelled     who acted and where somebody said what to do; robomimic leaves them alone
mask/<name>             names of demonstrations: train, valid, success
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import h5py
import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import ROBOMIMIC_GYM, Episode, load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.migration import migrate_env_id
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.export.exporter import Exporter, ExporterConfig
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


class RobomimicExporter(Exporter):
    """Writes one HDF5 file that robomimic trains from."""

    Config = RobomimicConfig

    def write(self, dataset: Dataset, out: Path, config: RobomimicConfig, progress: Progress) -> None:
        """See `Exporter.write`."""
        with h5py.File(out, "w") as file, progress.stage("export", total=len(dataset)) as stage:
            data = file.create_group("data")
            data.attrs["total"] = dataset.total_steps
            data.attrs["env_args"] = _env_args(dataset.episodes[0])
            for number, header in enumerate(dataset.episodes):
                _write_demo(data.create_group(f"demo_{number}"), load_episode(header.path), config)
                stage.advance(steps=header.num_steps)
            for name, members in _masks(dataset.episodes, config).items():
                file[f"mask/{name}"] = np.array(members, dtype=h5py.string_dtype())


def _env_args(header: EpisodeHeader) -> str:
    """The environment as robomimic makes it again: `gym.make(env_name, **env_kwargs)`."""
    name = migrate_env_id(header.meta.env_id)
    return json.dumps({"env_name": name, "type": ROBOMIMIC_GYM, "env_kwargs": header.meta.env_kwargs})


def _write_demo(demo: h5py.Group, episode: Episode, config: RobomimicConfig) -> None:
    steps = episode.num_steps
    demo.attrs["num_samples"] = steps
    demo.attrs["episode_meta"] = episode.meta.to_json()
    dones = (episode.terminated | episode.truncated).astype(np.int64)
    arrays: dict[str, Any] = {"actions": _actions(episode, config), "rewards": episode.rewards, "dones": dones}
    arrays |= {"actor": episode.actor, "labelled": episode.labelled_steps}
    for key, values in episode.observations.items():
        arrays[f"obs/{key}"] = values[:steps]
        if config.next_obs:
            arrays[f"next_obs/{key}"] = values[1:]
    for key, values in arrays.items():
        chunk = (min(STEPS_PER_CHUNK, steps), *values.shape[1:])
        # gzip, because every HDF5 library brings it.
        demo.create_dataset(key, data=values, chunks=chunk, compression="gzip", compression_opts=1)


def _actions(episode: Episode, config: RobomimicConfig) -> np.ndarray:
    """(T, 2) float32 in [-1, 1]."""
    if config.actions == "done":
        return episode.actions
    lesson = episode.labels.lesson(episode.meta.control_hz)
    return np.where(lesson.known[:, None], lesson.actions, episode.actions)


def _masks(headers: list[EpisodeHeader], config: RobomimicConfig) -> dict[str, list[str]]:
    """Names of the demonstrations for training, for validation, and of those that reached the goal."""
    names = [f"demo_{number}" for number in range(len(headers))]
    order = np.random.default_rng(config.seed).permutation(len(names))
    valid = set(order[: round(config.valid_share * len(names))].tolist())
    masks: dict[str, list[str]] = {"train": [], "valid": [], "success": []}
    for number, (name, header) in enumerate(zip(names, headers)):
        masks["valid" if number in valid else "train"].append(name)
        if header.meta.outcome == Outcome.SUCCESS:
            masks["success"].append(name)
    return masks
