"""A dataset as RLDS and TensorFlow Datasets have it: steps in records, and their description."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.export import ExportError, png, tfrecord
from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.data_collection.export.rlds import RldsConfig, RldsExporter
from forestpilot.data_collection.export.rlds_import import RldsImporter
from forestpilot.data_collection.export.tfrecord import BrokenRecordError, RecordFile, read_record, records_of
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

STEPS = 12


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A success, one that was put elsewhere before step 5, and one that ran out of time."""
    dataset = Dataset.create(tmp_path_factory.mktemp("data") / "dataset", small_spec(), ENV_ID)
    late = {"terminated": np.zeros(STEPS, bool), "truncated": np.arange(STEPS) == STEPS - 1}
    dataset.add(make_episode(0, STEPS))
    dataset.add(dataclasses.replace(make_episode(1, STEPS), displaced=np.arange(STEPS) == 5))
    dataset.add(dataclasses.replace(make_episode(2, STEPS, outcome="timeout"), **late))
    return dataset


@pytest.fixture(scope="module")
def exported(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RldsExporter().export(dataset, tmp_path_factory.mktemp("rlds") / "out")


def examples(folder: Path) -> list[dict[str, list[Any]]]:
    """What each record holds, by name."""
    records = [record for path in sorted(folder.glob("*.tfrecord-*")) for record in records_of(path)]
    found = []
    for record in records:
        features = read_record(record).features.feature
        found.append({name: list(getattr(own, own.WhichOneof("kind")).value) for name, own in features.items()})
    return found


def described(feature: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Features of features.json by their names in a record."""
    if "sequence" in feature:
        feature = feature["sequence"]["feature"]
    if "featuresDict" not in feature:
        yield path, feature
        return
    for name, inner in feature["featuresDict"]["features"].items():
        yield from described(inner, f"{path}/{name}".strip("/"))


def test_every_feature_is_described_as_it_is_stored(exported: Path) -> None:
    told = dict(described(json.loads((exported / "features.json").read_text())))
    stored = examples(exported)
    assert {"steps/observation/left", "steps/action", "episode_metadata/seed"} <= set(told)
    for example in stored:
        assert set(example) == set(told)
        count = len(example["steps/is_first"])
        for name, feature in told.items():
            assert feature["pythonClassName"].startswith("tensorflow_datasets.core.features.")
            rows = count if name.startswith("steps/") else 1
            if "tensor" in feature:
                sizes = feature["tensor"]["shape"].get("dimensions", [])
                assert len(example[name]) == rows * math.prod(map(int, sizes)), name
            else:
                assert len(example[name]) == rows and isinstance(example[name][0], bytes), name
    picture = told["steps/observation/left"]["image"]
    assert picture == {"dtype": "uint8", "encodingFormat": "png", "shape": {"dimensions": ["12", "16", "3"]}}


def test_the_info_counts_what_lies_in_each_file(exported: Path) -> None:
    info = json.loads((exported / "dataset_info.json").read_text())
    (split,) = info["splits"]
    files = sorted(path.name for path in exported.glob("*.tfrecord-*"))
    assert files == [f"{info['name']}-train.{info['fileFormat']}-00000-of-00001"]
    assert split["shardLengths"] == [str(len(examples(exported)))] == ["4"]
    assert int(split["numBytes"]) == sum(record.length for record in records_of(exported / files[0]))


def test_steps_are_what_was_seen_done_and_got(exported: Path, dataset: Dataset) -> None:
    whole = load_episode(dataset.episodes[0].path)
    first, *_, late = examples(exported)
    assert whole.expert_actions is not None
    np.testing.assert_array_equal(np.float32(first["steps/action"]).reshape(-1, 2)[:-1], whole.expert_actions[:, 1])
    np.testing.assert_array_equal(np.float32(first["steps/reward"]), [*whole.rewards, 0])
    pictures = [png.unpack(data, (12, 16)) for data in first["steps/observation/center"]]
    np.testing.assert_array_equal(pictures, whole.observations["center"])
    assert first["steps/is_first"] == [1] + [0] * STEPS and first["steps/is_last"] == [0] * STEPS + [1]
    assert first["steps/is_terminal"] == first["steps/is_last"]
    assert first["steps/discount"] == [1.0] * (STEPS - 1) + [0.0, 0.0]
    assert not any(late["steps/is_terminal"]) and late["steps/discount"] == [1.0] * STEPS + [0.0]
    assert first["steps/labelled"] == [1] * STEPS + [0]
    assert first["steps/language_instruction"][0] == b"fly to the goal through the forest at 5 m/s"


def test_an_episode_ends_where_the_vehicle_was_put_elsewhere(exported: Path) -> None:
    ends = [len(example["steps/is_first"]) for example in examples(exported)]
    assert ends == [STEPS + 1, 5, STEPS - 5 + 1, STEPS + 1]
    assert [example["episode_metadata/first_step"] for example in examples(exported)] == [[0], [0], [5], [0]]


def test_files_have_a_largest_size(dataset: Dataset, tmp_path: Path) -> None:
    config = RldsConfig()
    object.__setattr__(config, "file_mb", 1e-3)
    out = RldsExporter().export(dataset, tmp_path / "out", config)
    names = sorted(path.name.rpartition("-train")[2] for path in out.glob("*.tfrecord-*"))
    assert names == [f".tfrecord-{number:05d}-of-00003" for number in range(3)]
    assert len(RldsImporter(out).import_to(tmp_path / "back")) == 3


def test_a_record_is_framed_and_summed_as_tensorflow_does(tmp_path: Path) -> None:
    """Bytes that TensorFlow's own `TFRecordWriter` has written for a list of one integer, 7, called a."""
    file = RecordFile(tmp_path / "x")
    file.write({"a": np.array([7])})
    file.close()
    written = "0e00000000000000c5e5693f0a0c0a0a0a016112051a030a0107fa9aa804"
    assert (tmp_path / "x").read_bytes().hex() == written


def test_what_was_altered_is_named(exported: Path, tmp_path: Path) -> None:
    (path,) = exported.glob("*.tfrecord-*")
    data = bytearray(path.read_bytes())
    copy = tmp_path / "copy"
    for place, told in ((0, "altered at byte 0"), (len(data) - 5, "altered after byte")):
        changed = bytearray(data)
        changed[place] ^= 1
        copy.write_bytes(changed)
        with pytest.raises(BrokenRecordError, match=told):
            list(map(read_record, records_of(copy)))
    for length in (3, len(data) - 1):
        copy.write_bytes(data[:length])
        with pytest.raises(BrokenRecordError, match="cut off"):
            list(records_of(copy))


def test_an_episode_that_no_record_can_hold_is_refused(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfrecord, "RECORD_BYTES", 1000)
    with pytest.raises(ExportError, match=r"an episode takes .* bytes"):
        RldsExporter().export(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pictures_are_packed_without_loss_and_only_unpacked_to_their_size() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    packed = png.pack(pictures)
    np.testing.assert_array_equal([png.unpack(data, (5, 7)) for data in packed], pictures)
    for data in (packed[0][:40], b"", b"\xff\xd8\xff\xe0 JPEG"):
        with pytest.raises(ValueError, match="PNG"):
            png.unpack(data, (5, 7))
    with pytest.raises(ValueError, match="no PNG of 70x50 pixels"):
        png.unpack(packed[0], (50, 70))


def _rewritten(folder: Path, change: Any) -> None:
    """The records of a folder, changed, with sums that fit."""
    (path,) = folder.glob("*.tfrecord-*")
    messages = [read_record(record) for record in records_of(path)]
    path.unlink()
    file = RecordFile(path)
    for message in messages:
        values = {}
        for name, own in message.features.feature.items():
            kind = own.WhichOneof("kind")
            listed = list(getattr(own, kind).value)
            dtype = {"float_list": np.float32, "int64_list": np.int64}.get(kind)
            values[name] = listed if dtype is None else np.array(listed, dtype)
        change(values)
        file.write(values)
    file.close()


def _resampled(values: dict[str, Any]) -> None:
    values["episode_metadata/control_hz"] = np.array([30])


def _lossy(values: dict[str, Any]) -> None:
    values["steps/observation/left"] = [b"\xff\xd8\xff\xe0 JPEG"] * len(values["steps/observation/left"])


def _without_a_camera(values: dict[str, Any]) -> None:
    del values["steps/observation/left"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_resampled, r"\[30\] steps a second, what was exported 10"),
        (_lossy, "left is no PNG of 16x12 pixels, as it was exported"),
        (_without_a_camera, "has 0 pictures of left, exported were 13"),
    ],
)
def test_what_somebody_changed_is_named(dataset: Dataset, tmp_path: Path, change: Any, told: str) -> None:
    folder = RldsExporter().export(dataset, tmp_path / "out")
    _rewritten(folder, change)
    with pytest.raises(ImportDataError, match=told):
        RldsImporter(folder).import_to(tmp_path / "back")
