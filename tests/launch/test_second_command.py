"""Whatever writes into a folder waits where somebody else does, and says who: every verb."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.export import EXPORTERS
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.launch.studies.keyboard import Keyboard
from forestpilot.launch.verbs import demo, grid, relabel, report
from forestpilot.policies.algorithms.behavioural_cloning import BehaviouralCloning, BehaviouralCloningConfig, clone
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.training.train_config import TrainConfig
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec


class Told(Exception):
    """What would be waited for."""


class Impatient(SilentProgress):
    """Goes when it is told to wait."""

    def note(self, message: str) -> None:
        if "is being written" in message:
            raise Told(message)


@contextmanager
def held(folder: Path, only: str = "") -> Iterator[None]:
    """Somebody else writes there."""
    begun, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with written_by_one(folder, only=only):
            begun.set()
            enough.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert begun.wait(60)
    try:
        yield
    finally:
        enough.set()
        thread.join()


def made_up_dataset(folder: Path) -> Dataset:
    dataset = Dataset.create(folder, small_spec(), ENV_ID)
    dataset.add(make_episode(1, steps=3))
    return dataset


def collect_by_hand(out: str) -> object:
    return collect(CollectConfig(out, pilot="keyboard"), Impatient(), roll_in=print)


def learn_in_rounds(out: str) -> object:
    return BehaviouralCloning(BehaviouralCloningConfig(out=out), Impatient()).run()


def run_study(out: str) -> object:
    return Keyboard(dataclasses.replace(Keyboard.quick, out=out)).run(Impatient())


VERBS: dict[str, Callable[[str], object]] = {
    "collect": lambda out: collect(CollectConfig(out), Impatient()),
    "collect by hand": collect_by_hand,
    "train": lambda out: clone(TrainConfig(data=("nowhere",), out=out), Impatient()),
    "bc": learn_in_rounds,
    "evaluate": lambda out: evaluate(EvaluateConfig(("blind",), out, episodes=1), Impatient()),
    "study": run_study,
    "grid": lambda out: grid.run(grid.GridConfig(out=out)),
    "demo": lambda out: demo.run(demo.DemoConfig(out=out)),
    "relabel": lambda out: relabel.run(relabel.Config(Path("nowhere"), Path(out))),
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_second_waits(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (grid, demo, relabel):
        monkeypatch.setattr(module, "make_progress", Impatient)
    with held(tmp_path), pytest.raises(Told, match=f"{tmp_path} is being written by .*process.*waiting"):
        VERBS[verb](str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_dataset_of_a_run_is_the_runs(tmp_path: Path) -> None:
    with held(tmp_path / "dataset"), pytest.raises(Told, match="dataset is being written"):
        learn_in_rounds(str(tmp_path))


def test_labels_are_shifted_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relabel, "make_progress", Impatient)
    made_up_dataset(tmp_path)
    with held(tmp_path), pytest.raises(Told):
        relabel.run(relabel.Config(tmp_path, shift_only=True))


@pytest.mark.parametrize("file", ["export", "report"])
def test_one_file_is_written_by_one_and_its_neighbours_by_others(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made_up_dataset(tmp_path / "data")
    monkeypatch.setattr(report, "make_progress", Impatient)

    def write(name: str) -> Any:
        if file == "report":
            return report.run(report.ReportConfig((tmp_path / "data",), tmp_path / name))
        return EXPORTERS.get("robomimic")().export(dataset, tmp_path / name, progress=Impatient())

    with held(tmp_path, only="a.out"):
        with pytest.raises(Told, match=rf"{tmp_path}/a\.out is being written"):
            write("a.out")
        if file == "export":
            assert write("b.out").exists()
