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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.export import png
from forestpilot.data_collection.export.exporter import Exporter
from forestpilot.data_collection.export.keepsake import KEEPSAKE, Keepsake, is_pictures, left_over
from forestpilot.data_collection.export.lessons import (
    LessonConfig,
    Stretch,
    all_have_costs,
    step_columns,
    transitions_of,
)
from forestpilot.data_collection.export.tfrecord import RecordFiles
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.tasks import TASKS

FEATURES = "features.json"
INFO = "dataset_info.json"
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


class RldsExporter(Exporter):
    """Writes a folder that TensorFlow Datasets reads, without TensorFlow."""

    Config = RldsConfig
    card_fields: ClassVar = {"tags": ["rlds", "tfds"]}
    reading = "TensorFlow Datasets: `tfds.builder_from_directory(FOLDER)`. Pictures are PNG, without loss."

    def write(self, dataset: Dataset, out: Path, config: RldsConfig, progress: Progress) -> None:
        """See `Exporter.write`."""
        out.mkdir(parents=True)
        name = f"forestpilot_{dataset.task_spec.task}"
        with_costs = all_have_costs(dataset.episodes)
        features: dict[str, Any] = {}
        number = 0
        with (
            Keepsake(out / KEEPSAKE, dataset.task_spec) as keepsake,
            RecordFiles(out / f"{name}-train.{FILE_FORMAT}", config.file_mb * 1_000_000) as files,
            progress.stage("export", total=len(dataset)) as stage,
        ):
            for header in dataset.episodes:
                episode = load_episode(header.path)
                columns = step_columns(episode, config.action, with_costs)
                transitions = transitions_of(header, config.action)
                places = [(number + i, (own.start, own.stop + 1)) for i, own in enumerate(transitions)]
                loose = [] if config.action == "expert" else left_over(header.num_steps + 1, places)
                keepsake.add(episode, places, loose)
                for own in transitions:
                    example = _example(episode, own, columns)
                    features = features or {key: _feature(values) for key, values in example.items()}
                    files.write({key: _stored(values) for key, values in example.items()})
                number += len(transitions)
                stage.advance(steps=header.num_steps)
        (out / FEATURES).write_text(json.dumps(_described(features), indent=4))
        (out / INFO).write_text(json.dumps(_info(name, dataset, files), indent=2))


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


def _info(name: str, dataset: Dataset, files: RecordFiles) -> dict[str, Any]:
    """What dataset_info.json says."""
    task = TASKS.get(dataset.task_spec.task).sentence(dataset.episodes[0].meta.env_kwargs)
    split = {
        "name": "train",
        "numBytes": str(files.total_bytes),
        "shardLengths": list(map(str, files.lengths)),
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
