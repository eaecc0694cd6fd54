"""Every importer: what was exported without loss comes back equal, bit for bit, tested by being registered."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import OPTIONAL_ARRAYS, Episode, load_episode, without_actions
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.export import EXPORTERS, IMPORTERS, ImportDataError
from forestpilot.data_collection.export.keepsake import ALWAYS, KEEPSAKE
from forestpilot.data_collection.export.keepsake_import import KeepsakeImporter
from forestpilot.data_collection.export.parts import ExporterInParts
from forestpilot.sim.goals import GOAL_IMAGE
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

STEPS = 12
LOSSLESS: dict[str, dict[str, Any]] = {
    "lerobot": {"pictures": "lossless"},
    "robomimic": {"copy": True},
    "video": {"lossless": True},
}
"""Options without which a format loses something, or leaves it elsewhere."""

HOLDS_ALL_PICTURES = ("robomimic",)
"""Formats that have those of steps that are not exported too."""


class Exported(NamedTuple):
    """A dataset and what became of it."""

    name: str
    dataset: Dataset
    folder: Path
    """A file, of some formats."""


def episodes() -> list[Episode]:
    """A demonstration; one put elsewhere twice in a row; a learner's with labels at some steps, stopped early; and a
    second run through its world."""
    actor = np.full(STEPS, ACTOR_POLICY, np.uint8)
    actor[-1] = ACTOR_HUMAN
    learner = dataclasses.replace(
        make_episode(2, STEPS, outcome="running"),
        actor=actor,
        labelled=np.arange(STEPS) % 4 < 2,
        terminated=np.zeros(STEPS, bool),
        disagreement=np.linspace(0, 1, STEPS, dtype=np.float32),
    )
    return [
        make_episode(0, STEPS),
        dataclasses.replace(make_episode(1, STEPS), displaced=np.isin(np.arange(STEPS), (5, 6))),
        learner,
        dataclasses.replace(make_episode(2, 5), rerun=Rerun(take=1, weight=3.0)),
    ]


@pytest.fixture(scope="module", params=IMPORTERS.names())
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """What there is to import, once for each importer."""
    folder = tmp_path_factory.mktemp(request.param)
    dataset = Dataset.create(folder / "dataset", small_spec(), ENV_ID)
    for episode in episodes():
        dataset.add(episode)
    return Exported(request.param, dataset, export(request.param, dataset, folder / "out"))


def export(name: str, dataset: Dataset, out: Path, **options: Any) -> Path:
    exporter = EXPORTERS.get(name)()
    return exporter.export(dataset, out, exporter.Config(**LOSSLESS.get(name, {}), **options))


def require_keepsake(exported: Exported) -> None:
    if not issubclass(IMPORTERS.get(exported.name), KeepsakeImporter):
        pytest.skip(f"{exported.name} keeps all beside its pictures in plain text")


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to) if folder.is_dir() else shutil.copyfile(folder, to))


def keepsake_of(folder: Path) -> Path:
    """The file with what the format has no place for."""
    return folder / KEEPSAKE if folder.is_dir() else folder


def kept_in(file: h5py.File) -> h5py.Group:
    """Where it lies in there."""
    return file.get("forestpilot", file)


def require_equal(before: Episode, after: Episode, name: str) -> None:
    """Equal but for what the format lacks."""
    if "actions" in IMPORTERS.get(name).lacks:
        before = without_actions(before)
    assert after.meta == before.meta and after.rerun == before.rerun
    for name in (*ALWAYS, *OPTIONAL_ARRAYS):
        np.testing.assert_equal(getattr(after, name), getattr(before, name), err_msg=name)
    assert set(after.observations) == set(before.observations)
    for key, values in before.observations.items():
        assert after.observations[key].dtype == values.dtype
        np.testing.assert_array_equal(after.observations[key], values, err_msg=key)


def test_there_and_back_is_equal(exported: Exported, tmp_path: Path) -> None:
    back = IMPORTERS.get(exported.name)(exported.folder).import_to(tmp_path / "back")
    assert len(back) == len(exported.dataset) and back.env_id == exported.dataset.env_id
    for before, after in zip(exported.dataset.episodes, back.episodes):
        assert before.path.name == after.path.name
        require_equal(load_episode(before.path), load_episode(after.path), exported.name)


def test_what_was_put_together_of_several_parts_comes_back_too(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = EXPORTERS.get(exported.name)
    if not issubclass(exporter, ExporterInParts):
        pytest.skip(f"{exported.name} is made in one go")
    monkeypatch.setattr(exporter, "part_bytes", lambda self, config: 1)
    out = export(exported.name, exported.dataset, tmp_path / "out")
    back = IMPORTERS.get(exported.name)(out).import_to(tmp_path / "back")
    for before, after in zip(exported.dataset.episodes, back.episodes, strict=True):
        require_equal(load_episode(before.path), load_episode(after.path), exported.name)


def test_what_was_interrupted_goes_on(exported: Exported, tmp_path: Path) -> None:
    back = IMPORTERS.get(exported.name)(exported.folder).import_to(tmp_path / "back")
    kept, lost, *_ = (header.path for header in back.episodes)
    written = kept.stat().st_mtime_ns
    lost.unlink()
    read: list[str] = []
    importer = IMPORTERS.get(exported.name)(exported.folder)
    for episode in importer.episodes(lambda meta, rerun: back.has(meta.dagger_round, meta.seed, rerun.take)):
        read.append(back.path_of(episode.meta.dagger_round, episode.meta.seed, episode.rerun.take).name)
    assert read == [lost.name], "no other is unpacked"
    again = IMPORTERS.get(exported.name)(exported.folder).import_to(tmp_path / "back")
    assert len(again) == len(exported.dataset)
    assert kept.stat().st_mtime_ns == written, "what was there already is not written again"


def test_goals_that_are_pictures_come_back_too(exported: Exported, tmp_path: Path) -> None:
    spec = dataclasses.replace(small_spec(), goal_kind="image")
    episode = make_episode(0, STEPS, spec)
    goal = np.repeat(episode.observations["center"][:1], STEPS + 1, axis=0)
    episode = dataclasses.replace(episode, observations={**episode.observations, GOAL_IMAGE: goal})
    dataset = Dataset.create(tmp_path / "data", spec, ENV_ID)
    dataset.add(episode)
    out = export(exported.name, dataset, tmp_path / "out")
    back = IMPORTERS.get(exported.name)(out).import_to(tmp_path / "back")
    require_equal(episode, load_episode(back.episodes[0].path), exported.name)


def test_steps_that_nobody_answered_are_missed_where_only_answers_were_exported(
    exported: Exported, tmp_path: Path
) -> None:
    require_keepsake(exported)
    out = export(exported.name, exported.dataset, tmp_path / "out", action="expert")
    if exported.name in HOLDS_ALL_PICTURES:
        assert len(IMPORTERS.get(exported.name)(out).import_to(tmp_path / "back")) == len(exported.dataset)
        return
    with pytest.raises(ImportDataError, match=r"lacks \d of its 13 pictures: .* --to.action taught"):
        IMPORTERS.get(exported.name)(out).import_to(tmp_path / "back")


def _without(name: str) -> Callable[[h5py.Group], None]:
    def damage(file: h5py.Group) -> None:
        del file[name]

    return damage


def _linked(file: h5py.Group) -> None:
    del file["episode_0/arrays/actions"]
    file["episode_0/arrays/actions"] = h5py.ExternalLink("elsewhere.h5", "secret")


def _longer(file: h5py.Group) -> None:
    del file["episode_0/arrays/rewards"]
    file["episode_0/arrays/rewards"] = np.zeros(10**6, np.float32)


def _counted_beyond(file: h5py.Group) -> None:
    file["episode_0/stretches"][0, 2] = 10**9


def _renamed(file: h5py.Group) -> None:
    file["episode_0"].attrs["meta"] = "{}"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_without("episode_0/arrays/actions"), "episode_0"),
        (_without("episode_0/arrays/actor"), r"no /(forestpilot/)?episode_0/arrays/actor"),
        (_without("episode_1"), "no episode_1"),
        (_without("episode_0/obs"), "episode_0"),
        (_linked, r"no /(forestpilot/)?episode_0/arrays/actions|episode_0.* cannot be read"),
        (_longer, "arrays/rewards .* is float32"),
        (_counted_beyond, "counts 0 to 1000000000 of 12 steps"),
        (_renamed, "does not tell what it is"),
        (lambda file: file.attrs.pop("task_spec"), "does not tell the task"),
    ],
)
def test_a_keepsake_that_lacks_something_is_named(
    exported: Exported, tmp_path: Path, damage: Callable[[h5py.Group], None], told: str
) -> None:
    require_keepsake(exported)
    folder = copied(exported.folder, tmp_path / "damaged")
    with h5py.File(keepsake_of(folder), "r+") as file:
        damage(kept_in(file))
    with pytest.raises(ImportDataError, match=told):
        IMPORTERS.get(exported.name)(folder).import_to(tmp_path / "back")


def test_what_something_else_wrote_is_refused(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "nowhere", tmp_path / "empty", exported.dataset.folder):
        with pytest.raises(ImportDataError, match=r"is no \w+ dataset"):
            IMPORTERS.get(exported.name)(source).import_to(tmp_path / "back")
    assert not (tmp_path / "back").exists()
    require_keepsake(exported)
    folder = copied(exported.folder, tmp_path / "damaged")
    keepsake_of(folder).write_bytes(b"\x89HDF")
    with pytest.raises(ImportDataError, match="cannot be read"):
        IMPORTERS.get(exported.name)(folder).import_to(tmp_path / "back")
    if folder.is_dir():
        (folder / KEEPSAKE).unlink()
    else:
        with h5py.File(copied(exported.folder, folder), "r+") as file:
            del file["forestpilot"]
    with pytest.raises(ImportDataError, match="only what `forestpilot export` wrote"):
        IMPORTERS.get(exported.name)(folder).import_to(tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_every_byte_that_is_cut_off_is_noticed(exported: Exported, tmp_path: Path) -> None:
    """Every file, halved: an error that names it, or the same episodes, for some files only other tools read."""
    files = exported.folder.rglob("*") if exported.folder.is_dir() else [exported.folder]
    whole = [path.relative_to(exported.folder) for path in files if path.is_file()]
    before = {header.path.name: load_episode(header.path) for header in exported.dataset.episodes}
    for number, name in enumerate(whole):
        folder = copied(exported.folder, tmp_path / f"damaged-{number}")
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
        told = ""
        try:
            back = IMPORTERS.get(exported.name)(folder).import_to(tmp_path / f"back-{number}")
        except ImportDataError as error:
            told = str(error)
        if told:
            assert name.name in told or str(folder) in told
        else:
            assert {header.path.name for header in back.episodes} == set(before)
            for header in back.episodes:
                require_equal(before[header.path.name], load_episode(header.path), exported.name)
