"""A dataset as RLDS and TensorFlow Datasets read it (google-research/rlds, "Dataset format"; TFDS 4.9).

features.json                                    types and shapes of everything, as TFDS describes them
dataset_info.json                                name, version, how many episodes lie in each file
<name>-train.tfrecord-00000-of-00001             an episode is one record: steps/<key>, episode_metadata/<key>
forestpilot/episodes.h5                          what the format has no place for, for the way back

A step is what was seen, what was done there and what came of it: observation, action, reward, discount, is_first,
is_last, is_terminal, language_instruction, and ours. The last step of an episode is the observation after the last
action: as RLDS has it, its action (the one before, once more), its reward and its discount mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import h5py
import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.export import png
from forestpilot.data_collection.export.hdf5_parts import joined
from forestpilot.data_collection.export.keepsake import KEEPSAKE, KEEPSAKE_FILE, Keepsake, is_pictures, left_over
from forestpilot.data_collection.export.lessons import (
    LessonConfig,
    Stretch,
    all_have_costs,
    step_columns,
    transitions_of,
)
from forestpilot.data_collection.export.parts import ExporterInParts, PartWriter, WrittenPart, placed
from forestpilot.data_collection.export.tfrecord import RecordFile
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.tasks import TASKS

FEATURES = "features.json"
INFO = "dataset_info.json"
RECORDS_FILE = "records"
"""A part's records."""
FILE_FORMAT = "tfrecord"
VERSION = "1.0.0"
STEPS = "steps"
OBSERVATION = f"{STEPS}/observation"
METADATA = "episode_metadata"
_PYTHON = "tensorflow_datasets.core.features"


@dataclass(frozen=True)
class RldsConfig(LessonConfig):
    """A folder, as `tfds.builder_from_directory` reads it: record files of steps, pictures as PNG, without loss."""

    part: ClassVar[str] = "rlds"
    file_mb: Annotated[int, Range(1, 100_000)] = 200
    """A file of this size in MB is the last of its episodes."""

    def __post_init__(self) -> None:
        require_ranges(self)


class RldsExporter(ExporterInParts):
    """Writes a folder that TensorFlow Datasets reads, without TensorFlow."""

    Config = RldsConfig
    card_fields: ClassVar = {"tags": ["rlds", "tfds"]}
    reading = "TensorFlow Datasets: `tfds.builder_from_directory(FOLDER)`. Pictures are PNG, without loss."

    def part_bytes(self, config: RldsConfig) -> int:
        """See `ExporterInParts.part_bytes`."""
        return int(config.file_mb * 1_000_000)

    def open_part(
        self, dataset: Dataset, folder: Path, number: int, before: Mapping[str, Any], config: RldsConfig
    ) -> PartWriter:
        """See `ExporterInParts.open_part`."""
        return _RldsPart(dataset, folder, before, config)

    def put_together(self, dataset: Dataset, parts: Sequence[WrittenPart], out: Path, config: RldsConfig) -> None:
        """See `ExporterInParts.put_together`."""
        name = f"forestpilot_{dataset.task_spec.task}"
        for part in parts:
            shard = f"{name}-train.{FILE_FORMAT}-{part.number:05d}-of-{len(parts):05d}"
            placed(part.folder / RECORDS_FILE, out / shard)
        joined([part.folder / KEEPSAKE_FILE for part in parts], out / KEEPSAKE)
        facts = parts[-1].facts
        (out / FEATURES).write_text(json.dumps(_described(facts["features"]), indent=4))
        (out / INFO).write_text(json.dumps(_info(name, dataset, facts), indent=2))


class _RldsPart(PartWriter):
    """A part: a record file, and the keepsake's episodes."""

    def __init__(self, dataset: Dataset, folder: Path, before: Mapping[str, Any], config: RldsConfig) -> None:
        self._config = config
        self._with_costs = all_have_costs(dataset.episodes)
        self._features: dict[str, Any] = dict(before.get("features", {}))
        self._lengths: list[int] = list(before.get("lengths", []))
        self._bytes_before = before.get("bytes", 0)
        self._number = sum(self._lengths)
        self._recorded = before.get("recorded", 0)
        self._records = RecordFile(folder / RECORDS_FILE)
        self._kept = h5py.File(folder / KEEPSAKE_FILE, "w")
        self._keepsake = Keepsake(self._kept, dataset.task_spec, self._recorded)

    def add(self, header: EpisodeHeader) -> None:
        """See `PartWriter.add`."""
        episode = load_episode(header.path)
        columns = step_columns(episode, self._config.action, self._with_costs)
        transitions = transitions_of(header, self._config.action)
        places = [(self._number + i, (own.start, own.stop + 1)) for i, own in enumerate(transitions)]
        loose = [] if self._config.action == "expert" else left_over(header.num_steps + 1, places)
        self._keepsake.add(episode, places, loose)
        for own in transitions:
            example = _example(episode, own, columns)
            self._features = self._features or {key: _feature(values) for key, values in example.items()}
            self._records.write({key: _stored(values) for key, values in example.items()})
        self._number += len(transitions)
        self._recorded += 1

    @property
    def num_bytes(self) -> int:
        """See `PartWriter.num_bytes`."""
        return self._records.num_bytes

    def close(self) -> None:
        """See `PartWriter.close`."""
        self._records.close()
        self._kept.close()

    def facts(self) -> dict[str, Any]:
        """See `PartWriter.facts`."""
        return {
            "features": self._features,
            "lengths": [*self._lengths, self._records.count],
            "bytes": self._bytes_before + self._records.num_bytes,
            "recorded": self._recorded,
        }


def _example(episode: Episode, own: Stretch, columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Some steps of an episode, and the observation after the last: (n+1, ...) each, by their place in the record."""
    count = own.stop - own.start
    at_end = np.arange(count + 1) == count
    done = {name: values[own.start : own.stop] for name, values in columns.items()}
    told = {name: np.concatenate([values, values[-1:]]) for name, values in done.items()}
    for name in ("labelled", "intervention", "success"):
        told[name] = told[name] & ~at_end
    terminated = bool(episode.terminated[own.stop - 1])
    reward = np.concatenate([episode.rewards[own.start : own.stop], np.zeros(1, np.float32)])
    leads_on = np.ones(count + 1, np.float32)
    leads_on[count - terminated :] = 0.0
    task = TASKS.get(episode.meta.task_spec["task"]).sentence(episode.meta.env_kwargs)
    example: dict[str, Any] = {
        f"{OBSERVATION}/{key}": values[own.start : own.stop + 1] for key, values in episode.observations.items()
    }
    steps = told | {
        "reward": reward,
        "discount": leads_on,
        "is_first": np.arange(count + 1) == 0,
        "is_last": at_end,
        "is_terminal": at_end & terminated,
        "language_instruction": [task] * (count + 1),
    }
    example |= {f"{STEPS}/{name}": values for name, values in steps.items()}
    meta = episode.meta
    facts = {"seed": meta.seed, "dagger_round": meta.dagger_round, "outcome": meta.outcome, "policy_id": meta.policy_id}
    facts |= {"env_id": meta.env_id, "control_hz": meta.control_hz, "first_step": own.start}
    return example | {f"{METADATA}/{name}": value for name, value in facts.items()}


def _stored(values: Any) -> Any:
    """Lists of bytes, or arrays of numbers."""
    if isinstance(values, str):
        return [values.encode()]
    if isinstance(values, int):
        return np.array([values])
    if isinstance(values, list):
        return [value.encode() for value in values]
    return png.pack(values) if is_pictures(values) else values


def _feature(values: Any) -> dict[str, Any]:
    """How TFDS describes a feature; of steps, that of one step."""
    if isinstance(values, (str, list)):
        return {"pythonClassName": f"{_PYTHON}.text_feature.Text", "text": {}}
    if isinstance(values, int):
        return _tensor("int64", ())
    if is_pictures(values):
        shape = {"dimensions": list(map(str, values.shape[1:]))}
        image = {"dtype": "uint8", "encodingFormat": "png", "shape": shape}
        return {"pythonClassName": f"{_PYTHON}.image_feature.Image", "image": image}
    return _tensor(str(values.dtype), values.shape[1:])


def _tensor(dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    sizes: dict[str, Any] = {"dimensions": list(map(str, shape))} if shape else {}
    kind = "tensor_feature.Tensor" if shape else "scalar.Scalar"
    return {"pythonClassName": f"{_PYTHON}.{kind}", "tensor": {"dtype": dtype, "encoding": "none", "shape": sizes}}


def _described(features: Mapping[str, Any]) -> dict[str, Any]:
    """The whole description: features by their places in the record, one inside the other."""
    tree: dict[str, Any] = {}
    for path, feature in features.items():
        *outer, name = path.split("/")
        inside = tree
        for part in outer:
            inside = inside.setdefault(part, {})
        inside[name] = feature
    inner = {key: {name: own for name, own in branch.items() if name != "observation"} for key, branch in tree.items()}
    inner[STEPS]["observation"] = _dict_of(tree[STEPS]["observation"])
    steps = {
        "pythonClassName": f"{_PYTHON}.dataset_feature.Dataset",
        "sequence": {"feature": _dict_of(inner[STEPS]), "length": "-1"},
    }
    return _dict_of({STEPS: steps, METADATA: _dict_of(inner[METADATA])})


def _dict_of(features: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_PYTHON}.features_dict.FeaturesDict",
        "featuresDict": {"features": dict(sorted(features.items()))},
    }


def _info(name: str, dataset: Dataset, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What dataset_info.json says."""
    task = TASKS.get(dataset.task_spec.task).sentence(dataset.episodes[0].meta.env_kwargs)
    split = {
        "name": "train",
        "numBytes": str(facts["bytes"]),
        "shardLengths": list(map(str, facts["lengths"])),
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    }
    return {
        "name": name,
        "version": VERSION,
        "description": f"{task}; recorded by ForestPilot {package_version()}",
        "fileFormat": FILE_FORMAT,
        "location": {"urls": ["https://github.com/forestpilot/forestpilot"]},
        "splits": [split],
    }
