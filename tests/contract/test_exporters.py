"""Every exporter: what `EXPORTERS` promises of it, tested by being registered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, join_datasets
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.export import EXPORTERS, Exporter, ExporterConfig, ExportError
from forestpilot.data_collection.export.parts import ExporterInParts
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

LENGTHS = (7, 12, 9)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three short episodes."""
    dataset = Dataset.create(tmp_path_factory.mktemp("data") / "dataset", small_spec(), ENV_ID)
    for seed, steps in enumerate(LENGTHS):
        dataset.add(make_episode(seed, steps))
    return dataset


@pytest.fixture(params=EXPORTERS.names())
def exporter(request: pytest.FixtureRequest) -> Exporter:
    """Each of them."""
    return EXPORTERS.get(request.param)()


class Told:
    """Keeps what it is told, and may be told to stop."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.count = 0
        self.total: int | None = None
        self.stop_after = stop_after

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        self.total = total
        return self._stage()

    @contextmanager
    def _stage(self) -> Iterator[Stage]:
        yield self

    def advance(self, count: int = 1, **fields: object) -> None:
        self.count += count
        if self.count >= self.stop_after:
            raise KeyboardInterrupt

    def note(self, message: str) -> None: ...


def contents(place: Path) -> dict[str, bytes]:
    """Every file at a place, by its path in it."""
    if place.is_file():
        return {place.name: place.read_bytes()}
    return {str(file.relative_to(place)): file.read_bytes() for file in place.rglob("*") if file.is_file()}


def test_its_options_are_its_own_and_survive_being_stored(exporter: Exporter) -> None:
    config = exporter.Config()
    assert isinstance(config, ExporterConfig)
    assert config.part in EXPORTERS
    plain = {key: value for key, value in to_plain(config).items() if key != "part"}
    assert from_plain(type(config), plain) == config


def test_it_makes_what_it_says_and_tells_how_far_it_is(exporter: Exporter, dataset: Dataset, tmp_path: Path) -> None:
    told = Told()
    out = exporter.export(dataset, tmp_path / "out", progress=told)
    assert out == tmp_path / "out"
    assert {entry.name for entry in tmp_path.iterdir()} - {"out.md"} == {"out"}
    assert sum(map(len, contents(out).values())) > 1000
    assert told.count == told.total == len(LENGTHS)


def copying(exporter: Exporter) -> ExporterConfig:
    """Options with which nothing stays in the dataset."""
    names = {field.name for field in dataclasses.fields(exporter.Config)}
    return exporter.Config(**dict.fromkeys(names & {"copy"}, True))


def test_a_longer_episode_makes_a_larger_export(exporter: Exporter, dataset: Dataset, tmp_path: Path) -> None:
    """Every step is written: a longer episode is larger by more than its pictures could be squeezed to."""
    sizes = []
    for steps in (20, 40, 60):
        other = Dataset.create(tmp_path / f"data-{steps}", small_spec(), ENV_ID)
        other.add(make_episode(5, steps))
        out = exporter.export(other, tmp_path / f"out-{steps}", copying(exporter))
        sizes.append(sum(map(len, contents(out).values())))
    assert sizes[1] - sizes[0] > 20 * 100
    assert sizes[2] - sizes[1] > 20 * 100


def test_an_episode_that_begins_again_takes_nothing_from_the_first(exporter: Exporter, tmp_path: Path) -> None:
    """Both are of the same round and world."""
    other = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    other.add(make_episode(5, 40))
    config = copying(exporter)
    alone = sum(map(len, contents(exporter.export(other, tmp_path / "alone", config)).values()))
    other.add(dataclasses.replace(make_episode(5, 20), rerun=Rerun(take=1)))
    both = sum(map(len, contents(exporter.export(other, tmp_path / "both", config)).values()))
    assert both - alone > 20 * 100


def test_what_nobody_labelled_stands_beside_what_the_expert_did(exporter: Exporter, tmp_path: Path) -> None:
    """One was driven by hand, and nobody was asked; the features of both are the same."""
    mixed = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    mixed.add(make_episode(5, 40))
    mixed.add(make_episode(6, 40, expert=False, policy_id="human"))
    mixed.add(make_episode(7, 40))
    assert sum(map(len, contents(exporter.export(mixed, tmp_path / "out")).values())) > 1000


def test_what_is_there_already_stays(exporter: Exporter, dataset: Dataset, tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_bytes(b"mine")
    folder.mkdir()
    (folder / "mine").write_bytes(b"mine")
    for taken in (file, folder):
        with pytest.raises(ExportError, match="already"):
            exporter.export(dataset, taken)
    assert file.read_bytes() == (folder / "mine").read_bytes() == b"mine"


def test_interrupted_it_leaves_nothing(exporter: Exporter, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        exporter.export(dataset, tmp_path / "out", progress=Told(stop_after=2))
    assert not list(tmp_path.iterdir())


OTHER_OPTIONS: dict[str, dict[str, Any]] = {"video": {"crf": 30}}
"""Options that make another export, where who acted is none of them."""


def interrupted(exporter: Exporter, dataset: Dataset, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that stops after its second episode; its parts are of one episode, if it is made in parts."""
    if isinstance(exporter, ExporterInParts):
        monkeypatch.setattr(type(exporter), "part_bytes", lambda self, config: 1)
    with pytest.raises(KeyboardInterrupt):
        exporter.export(dataset, out, copying(exporter), progress=Told(stop_after=2))


def test_interrupted_it_goes_on_and_ends_as_one_that_was_not(
    exporter: Exporter, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    interrupted(exporter, dataset, out, monkeypatch)
    assert not out.exists()
    kept = {path: path.stat().st_ino for path in tmp_path.glob(".out.parts/part-*")}
    told = Told()
    opened: list[int] = []
    if isinstance(exporter, ExporterInParts):
        assert len(kept) == 1
        monkeypatch.setattr(type(exporter), "open_part", counting(type(exporter).open_part, opened))
    exporter.export(dataset, out, copying(exporter), progress=told)
    assert told.count == told.total == len(LENGTHS)
    assert opened == [1, 2][: len(opened)], "what was finished is not written again"
    after_a_kill = contents(out)
    for left in (*tmp_path.glob("out*"), *tmp_path.glob(".*")):
        assert left.name in ("out", "out.md"), "nothing else is left"
        left.rename(tmp_path / f"killed-{left.name}")
    assert contents(exporter.export(dataset, out, copying(exporter))) == after_a_kill


def counting(method: Any, numbers: list[int]) -> Any:
    """`open_part`, which notes the numbers of parts."""

    def open_part(self: Any, dataset: Any, folder: Any, number: int, *rest: Any) -> Any:
        numbers.append(number)
        return method(self, dataset, folder, number, *rest)

    return open_part


@pytest.mark.parametrize("change", ["damage", "options", "data"])
def test_what_does_not_fit_any_more_is_written_anew(
    exporter: Exporter, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    if not isinstance(exporter, ExporterInParts):
        pytest.skip(f"{exporter.Config.part} is made in one go")
    out = tmp_path / "out"
    interrupted(exporter, dataset, out, monkeypatch)
    config = copying(exporter)
    (part,) = tmp_path.glob(".out.parts/part-*")
    if change == "damage":
        largest = max((path for path in part.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        data = bytearray(largest.read_bytes())
        data[len(data) // 2] ^= 1
        largest.write_bytes(data)
    elif change == "options":
        config = dataclasses.replace(config, **OTHER_OPTIONS.get(exporter.Config.part, {"action": "executed"}))
    else:
        dataset = join_datasets([dataset])
        dataset.episodes = dataset.episodes[:2]
    opened: list[int] = []
    monkeypatch.setattr(type(exporter), "open_part", counting(type(exporter).open_part, opened))
    exporter.export(dataset, out, config)
    assert opened == list(range(len(dataset)))
    assert contents(out) == contents(exporter.export(dataset, tmp_path / "other" / "out", config))


def test_an_empty_dataset_is_refused(exporter: Exporter, tmp_path: Path) -> None:
    empty = Dataset.create(tmp_path / "dataset", small_spec(), ENV_ID)
    with pytest.raises(ExportError, match="no episode"):
        exporter.export(empty, tmp_path / "out")
    assert not (tmp_path / "out").exists()
