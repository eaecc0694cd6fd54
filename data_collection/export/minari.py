"""A dataset as Minari reads it (minari.farama.org, "Dataset Standards", version 0.5.4).

data/metadata.json          spaces, environment, counts; jpeg_encoding: false, because Minari's JPEG is lossy
data/main_data.hdf5
    episode_<n>             attributes: id, seed, total_steps; and outcome, round, task in words
        observations/<key>  (T+1, ...): left, center, right (T+1, H, W, 3) uint8; state, goal
        actions (T, 2)      rewards (T,)      terminations (T,)      truncations (T,)
        infos/<key>         (T, ...): who acted, what was done, what the expert would have done
forestpilot/episodes.h5     what the format has no place for, for the way back

Minari takes what follows upon a step for its consequence. So where the vehicle was put elsewhere on the way, one
episode ends, truncated, one step early, for nobody knows what would have been seen; and another begins.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.export.hdf5_parts import joined, size_of
from forestpilot.data_collection.export.keepsake import KEEPSAKE, KEEPSAKE_FILE, Keepsake, is_pictures, left_over
from forestpilot.data_collection.export.lessons import (
    LessonConfig,
    Stretch,
    all_have_costs,
    env_kwargs_of,
    step_columns,
    transitions_of,
)
from forestpilot.data_collection.export.parts import ExporterInParts, PartWriter, WrittenPart
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tasks import TASKS

METADATA = "data/metadata.json"
MAIN_FILE = "main_data.hdf5"
MAIN_DATA = f"data/{MAIN_FILE}"
VERSION = "0.5.4"
STEPS_PER_CHUNK = 32
"""Steps that are compressed together: Minari reads whole episodes."""
_ID = re.compile(r"(?:[-\w][-\w/]*[-\w]+/)?[-\w]+?-v\d+")
"""How Minari wants datasets to be called."""


@dataclass(frozen=True)
class MinariConfig(LessonConfig):
    """A folder, as Minari reads it: one HDF5 file with the observation after each step, and without loss."""

    part: ClassVar[str] = "minari"
    id: str = ""
    """What Minari calls the dataset, such as forestpilot/flights-v0, which `minari.load_dataset` looks for in a folder
    of this name in ~/.minari/datasets; by default the name of the folder that is written, with -v0 where it has no
    version."""

    def __post_init__(self) -> None:
        if self.id and not _ID.fullmatch(self.id):
            raise InvalidArgumentError(
                f"--to.id is {self.id!r}; Minari wants letters, digits, _ and -, and a version at the end: flights-v0"
            )


class MinariExporter(ExporterInParts):
    """Writes a folder that `minari.MinariDataset(folder / "data")` reads."""

    Config = MinariConfig
    card_fields: ClassVar = {"tags": ["minari"]}
    reading = 'Minari 0.5: `minari.MinariDataset(FOLDER + "/data")`. Pictures are packed without loss.'

    def prepare(self, config: MinariConfig, out: Path) -> MinariConfig:
        """See `Exporter.prepare`."""
        if config.id:
            return config
        name = re.sub(r"[^-\w]", "-", out.resolve().name)
        return dataclasses.replace(config, id=name if _ID.fullmatch(name) else f"{name}-v0")

    def open_part(
        self, dataset: Dataset, folder: Path, number: int, before: Mapping[str, Any], config: MinariConfig
    ) -> PartWriter:
        """See `ExporterInParts.open_part`."""
        return _MinariPart(dataset, folder, before, config)

    def put_together(self, dataset: Dataset, parts: Sequence[WrittenPart], out: Path, config: MinariConfig) -> None:
        """See `ExporterInParts.put_together`."""
        joined([part.folder / MAIN_FILE for part in parts], out / MAIN_DATA)
        joined([part.folder / KEEPSAKE_FILE for part in parts], out / KEEPSAKE)
        facts = parts[-1].facts
        size_mb = round((out / MAIN_DATA).stat().st_size / 1e6, 1)
        counts = {"total_episodes": facts["episodes"], "total_steps": facts["steps"], "dataset_size": size_mb}
        (out / METADATA).write_text(json.dumps(counts | _description(dataset, config)))


class _MinariPart(PartWriter):
    """A part: two HDF5 files, of Minari's episodes and of the keepsake's."""

    def __init__(self, dataset: Dataset, folder: Path, before: Mapping[str, Any], config: MinariConfig) -> None:
        self._spec = dataset.task_spec
        self._with_costs = all_have_costs(dataset.episodes)
        self._config = config
        self._number = before.get("episodes", 0)
        self._steps = before.get("steps", 0)
        self._recorded = before.get("recorded", 0)
        self._file = h5py.File(folder / MAIN_FILE, "w")
        self._kept = h5py.File(folder / KEEPSAKE_FILE, "w")
        self._keepsake = Keepsake(self._kept, self._spec, self._recorded)

    def add(self, header: EpisodeHeader) -> None:
        """See `PartWriter.add`."""
        episode = load_episode(header.path)
        transitions = transitions_of(header, self._config.action)
        places = [(self._number + i, _observations_of(own)) for i, own in enumerate(transitions)]
        loose = [] if self._config.action == "expert" else left_over(header.num_steps + 1, places)
        self._keepsake.add(episode, places, loose)
        columns = _columns(episode, self._config, self._with_costs)
        for own in transitions:
            _write_episode(self._file, self._number, episode, own, columns, self._spec)
            self._number += 1
            self._steps += own.stop - own.start
        self._recorded += 1

    @property
    def num_bytes(self) -> int:
        """See `PartWriter.num_bytes`."""
        return size_of(self._file)

    def close(self) -> None:
        """See `PartWriter.close`."""
        self._file.close()
        self._kept.close()

    def facts(self) -> dict[str, Any]:
        """See `PartWriter.facts`."""
        return {"episodes": self._number, "steps": self._steps, "recorded": self._recorded}


def _observations_of(stretch: Stretch) -> tuple[int, int]:
    """(first observation, observation after the last) of some steps: one more than these."""
    return stretch.start, stretch.stop + 1


def _columns(episode: Episode, config: MinariConfig, with_costs: bool) -> dict[str, np.ndarray]:
    """What is written of the steps of an episode besides observations, (T, ...) each."""
    told = step_columns(episode, config.action, with_costs)
    return {
        "actions": told.pop("action"),
        "rewards": episode.rewards,
        "terminations": episode.terminated,
        "truncations": episode.truncated,
        **{f"infos/{name}": values for name, values in told.items()},
    }


def _write_episode(
    file: h5py.File, number: int, episode: Episode, own: Stretch, columns: dict[str, np.ndarray], spec: TaskSpec
) -> None:
    """Write some steps of an episode as one of Minari's."""
    group = file.create_group(f"episode_{number}")
    group.attrs["id"] = number
    group.attrs["seed"] = episode.meta.seed
    group.attrs["total_steps"] = own.stop - own.start
    group.attrs["outcome"] = episode.meta.outcome
    group.attrs["dagger_round"] = episode.meta.dagger_round
    group.attrs["policy_id"] = episode.meta.policy_id
    group.attrs["task"] = TASKS.get(spec.task).sentence(episode.meta.env_kwargs)
    arrays = {name: values[own.start : own.stop] for name, values in columns.items()}
    # Whoever learns values must not take the last step for one that leads nowhere.
    arrays["truncations"] = arrays["truncations"].copy()
    arrays["truncations"][-1] = not arrays["terminations"][-1]
    first, stop = _observations_of(own)
    arrays |= {f"observations/{key}": values[first:stop] for key, values in episode.observations.items()}
    for name, values in arrays.items():
        chunk = (min(STEPS_PER_CHUNK, len(values)), *values.shape[1:])
        # gzip, because every HDF5 library brings it.
        group.create_dataset(name, data=values, chunks=chunk, compression="gzip", compression_opts=1)


def _description(dataset: Dataset, config: MinariConfig) -> dict[str, Any]:
    """What metadata.json says of all episodes."""
    first = dataset.episodes[0]
    task = TASKS.get(dataset.task_spec.task).sentence(first.meta.env_kwargs)
    pilots = sorted({header.meta.policy_id for header in dataset.episodes})
    return {
        "dataset_id": config.id,
        "minari_version": VERSION,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": json.dumps(_observation_space(load_episode(first.path, stop=1))),
        "action_space": json.dumps(_box(-1.0, 1.0, (2,), np.float32)),
        "env_spec": _env_spec(first, dataset.task_spec),
        "control_hz": dataset.task_spec.control_hz,
        "action": config.action,
        "algorithm_name": ", ".join(pilots),
        "description": f"{task}; recorded by ForestPilot {package_version()}",
        "code_permalink": "https://github.com/forestpilot/forestpilot",
    }


def _observation_space(episode: Episode) -> dict[str, Any]:
    """Spaces as Minari writes them, in JSON."""
    spaces = {}
    for key, values in episode.observations.items():
        low, high = (0, 255) if is_pictures(values) else (-np.inf, np.inf)
        spaces[key] = _box(low, high, values.shape[1:], values.dtype)
    return {"type": "Dict", "subspaces": spaces}


def _box(low: float, high: float, shape: tuple[int, ...], dtype: Any) -> dict[str, Any]:
    bounds = {"low": np.full(shape, low, dtype).tolist(), "high": np.full(shape, high, dtype).tolist()}
    return {"type": "Box", "dtype": str(np.dtype(dtype)), "shape": list(shape), **bounds}


def _env_spec(header: EpisodeHeader, spec: TaskSpec) -> str:
    """The environment as Gymnasium makes it again."""
    import gymnasium

    import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)

    module, _, env_id = TASKS.get(spec.task).env_id.rpartition(":")
    importlib.import_module(module)
    env = gymnasium.spec(env_id)
    env.kwargs = env_kwargs_of(header)
    return env.to_json()
