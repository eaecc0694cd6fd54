"""Which episodes a training learned from: told, compared, and a finished policy is never written over."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.episodes.run import RunError
from forestpilot.data_collection.episodes.seals import DamagedFileError, read_sealed
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.algorithms.demonstrations import keep_demonstrations
from forestpilot.policies.networks.checkpoint import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    CheckpointError,
    describe_policy,
    is_whole,
    save_policy,
)
from forestpilot.policies.training.loop import STATE_FILE, train
from forestpilot.policies.training.metrics import METRICS_FILE, MetricsLog
from forestpilot.policies.training.train_config import TrainConfig
from tests.helpers.damage import damages, json_of
from tests.helpers.episodes import make_episode
from tests.helpers.made_up import MadeUpReader, make_policy, make_policy_config
from tests.helpers.specs import make_spec


class Listener(SilentProgress):
    """Remembers what is told."""

    def __init__(self) -> None:
        self.told = ""

    def note(self, message: str) -> None:
        self.told += message + "\n"


def make_dataset(folder: Path, episodes: int = 2) -> Dataset:
    spec = make_spec()
    dataset = Dataset.create(folder, spec, "ForestPilot/Drone-v0")
    for seed in range(episodes):
        if not dataset.has(0, seed):
            dataset.add(make_episode(seed, 12, spec))
    return dataset


def make_config(**values: object) -> TrainConfig:
    settings = {"data": ("data",), "out": "run", "steps": 4, "batch_windows": 2}
    settings |= {"log_every": 2, "checkpoint_every": 2, "tensorboard": False, "disk_cache_gb": 0.0}
    return TrainConfig(policy=make_policy_config(), **(settings | values))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, and a training of it that is finished."""
    folder = tmp_path_factory.mktemp("trained")
    make_dataset(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        clone(make_config())
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, to be damaged; the working folder."""
    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def content_of(folder: Path) -> dict[str, bytes]:
    names = (DESCRIPTION_FILE, WEIGHTS_FILE, METRICS_FILE, STATE_FILE)
    return {name: (folder / name).read_bytes() for name in names}


def test_a_finished_training_is_left_alone_and_says_so(folder: Path) -> None:
    before = {name: (folder / "run" / name).stat() for name in (DESCRIPTION_FILE, WEIGHTS_FILE, STATE_FILE)}
    listener = Listener()
    clone(make_config(), listener)
    assert "is finished already: its policy, trained on 2 episodes of 24 steps, is left as it is" in listener.told
    for name, stat in before.items():
        assert (folder / "run" / name).stat().st_mtime_ns == stat.st_mtime_ns


def test_a_policy_tells_what_it_was_trained_on(folder: Path) -> None:
    data = describe_policy(folder / "run")["extra"]["data"]
    assert data == fingerprint_of([Dataset.open(folder / "data")])
    assert (data["episodes"], data["steps"], data["labels"]) == (2, 24, 24)


def test_data_that_came_later_is_not_passed_off_as_trained_on(folder: Path) -> None:
    make_dataset(folder / "data", episodes=3)
    whole = content_of(folder / "run")
    with pytest.raises(RunError, match=r"trained on other episodes \(2 episodes of 24 steps then, 3 episodes of 36"):
        clone(make_config())
    assert content_of(folder / "run") == whole


def test_a_damaged_state_never_replaces_a_finished_policy(folder: Path) -> None:
    whole = content_of(folder / "run")
    for data in damages(whole[STATE_FILE], 3):
        (folder / "run" / STATE_FILE).write_bytes(data)
        clone(make_config())
        assert content_of(folder / "run") == {**whole, STATE_FILE: data}


@pytest.mark.parametrize("name", [DESCRIPTION_FILE, WEIGHTS_FILE, METRICS_FILE])
def test_a_damaged_result_is_mended_by_the_same_command(folder: Path, name: str) -> None:
    whole = content_of(folder / "run")
    damaged = whole[name][:-9]
    (folder / "run" / name).write_bytes(damaged)
    listener = Listener()
    clone(make_config(), listener)
    assert content_of(folder / "run") == whole
    assert (folder / "run" / f"{name}.damaged").read_bytes() == damaged
    assert "warning: " in listener.told
    assert f"{name}.damaged" in listener.told


def test_where_policy_and_state_are_damaged_the_state_is_refused(folder: Path) -> None:
    for name in (WEIGHTS_FILE, STATE_FILE):
        (folder / "run" / name).write_bytes((folder / "run" / name).read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="Delete it to start this training over"):
        clone(make_config())


def test_a_policy_from_elsewhere_is_not_written_over(folder: Path, tmp_path: Path) -> None:
    save_policy(tmp_path / "other", make_policy())
    with pytest.raises(RunError, match="did not make there; give another --out"):
        clone(make_config(out=str(tmp_path / "other")))
    assert is_whole(tmp_path / "other")


class KilledError(Exception):
    """Stands for the end of the process."""


class KilledLater(MadeUpReader):
    """Draws so many times."""

    has_gaps = False
    left = 3 * TrainConfig().shards

    def sample(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
        if self.left == 0:
            raise KilledError
        self.left -= 1
        return super().sample(*arguments, **options)  # type: ignore[arg-type]


FIRST = {"episodes": 2, "steps": 24, "labels": 24, "digest": "a"}


def interrupted(folder: Path) -> TrainConfig:
    """A training of four steps that ended in the fourth."""
    config = make_config()
    with pytest.raises(KilledError):
        train(make_policy(), KilledLater(), config, folder, data=FIRST)
    return config


def test_an_interrupted_training_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    config = interrupted(tmp_path)
    with pytest.raises(CheckpointError, match=r"began with other episodes \(2 episodes of 24 steps then, 3 episodes"):
        train(make_policy(), MadeUpReader(), config, tmp_path, data={**FIRST, "episodes": 3, "digest": "b"})
    assert train(make_policy(), MadeUpReader(), config, tmp_path, data=FIRST).steps == 2


def test_figures_of_an_interrupted_training_are_mended(tmp_path: Path) -> None:
    config = interrupted(tmp_path)
    path = tmp_path / METRICS_FILE
    first_row = path.read_text().splitlines()[1]
    path.write_text(path.read_text().replace(first_row, first_row.replace(",2,", ",1,", 1), 1))
    listener = Listener()
    train(make_policy(), MadeUpReader(), config, tmp_path, data=FIRST, progress=listener)
    assert "metrics.csv was cut or altered" in listener.told
    rows = list(csv.reader(path.read_text().splitlines()))
    assert ",".join(rows[1]) == first_row
    assert [row[1] for row in rows[1:]] == ["2", "4"]


def test_no_damaged_figures_are_read(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, (0, 0))
    for step in (2, 4):
        log.write(0, step, step, {"loss": 0.5 / step})
    log.close()
    path = tmp_path / METRICS_FILE
    whole = path.read_bytes()
    for data in damages(whole, 200):
        path.write_bytes(data)
        with pytest.raises(DamagedFileError, match=r"metrics\.csv has been cut or altered"):
            read_sealed(path)


def test_the_fingerprint_follows_content_not_place(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    first = fingerprint_of([dataset])
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")
    assert fingerprint_of([Dataset.open(tmp_path / "elsewhere")]) == first
    episode = make_episode(1, 12, make_spec())
    episode.rewards[3] += 1
    dataset.replace(episode)
    changed = fingerprint_of([dataset])
    assert changed["digest"] != first["digest"]
    assert changed["episodes"] == first["episodes"]


def test_a_damaged_note_of_the_demonstrations_is_made_again_where_they_are_the_same(
    tmp_path: Path,
) -> None:
    run, mine = tmp_path / "run", make_dataset(tmp_path / "mine")
    run.mkdir()
    keep_demonstrations(run, [mine])
    whole = (run / "demonstrations.json").read_bytes()
    for data in damages(whole, 100):
        (run / "demonstrations.json").write_bytes(data)
        keep_demonstrations(run, [mine])
        assert (run / "demonstrations.json").read_bytes() in (whole, data)
        assert json_of((run / "demonstrations.json").read_bytes()) == json_of(whole)
    save_policy(run / "rounds" / "round-00", make_policy(), {"demonstrations": {"episodes": 3}})
    (run / "demonstrations.json").write_bytes(whole[:-9])
    with pytest.raises(DatasetError, match="have changed since"):
        keep_demonstrations(run, [mine])
