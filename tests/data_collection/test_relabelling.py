"""Steering along with recorded episodes: they are shown as recorded, and a human's delay is found and taken out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_POLICY
from forestpilot.data_collection.people.console import Command, Key
from forestpilot.data_collection.people.live import LiveSession, LiveSummary
from forestpilot.data_collection.people.recorded import AlongDriver, RelabellingError, expert_turns, recorded_episodes
from forestpilot.data_collection.people.relabelling import STEERED, Relabelling
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER, ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.replay import ReplayDivergedError
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.data_collection.windows.windows import WindowReader
from tests.data_collection.steering_along import DELAY_STEPS, HZ, Human, record


def steer_along(source: Dataset, relabelling: Relabelling, human: Human) -> LiveSummary:
    job = Job("drone", recorded_episodes(source), ExpertPilot, dataset=str(relabelling.dataset.folder))
    return LiveSession(human, human, human, store=relabelling).run(job, AlongDriver())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return record(tmp_path_factory.mktemp("source") / "data", range(100, 106))


@pytest.fixture(scope="module")
def session(source: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Relabelling, LiveSummary]:
    relabelling = Relabelling.create(tmp_path_factory.mktemp("labels") / "data", source)
    return relabelling, steer_along(source, relabelling, Human())


def test_the_episodes_are_shown_as_they_were_recorded(
    source: Dataset, session: tuple[Relabelling, LiveSummary]
) -> None:
    relabelling, summary = session
    assert summary.episodes == len(source) == len(relabelling.dataset)
    for before, after in zip(source.episodes, relabelling.dataset.episodes):
        assert after.path.name == before.path.name
        stored, labelled = load_episode(before.path), load_episode(after.path)
        assert (labelled.actions == stored.actions).all()
        assert (labelled.actor == ACTOR_POLICY).all()
        for key, values in stored.observations.items():
            assert (labelled.observations[key] == values).all()
        assert labelled.meta == stored.meta
        assert labelled.keys is not None
        assert (labelled.keys[1:] & Key.FORWARD).all()


def test_the_delay_is_found_and_shifted_labels_are_nearer_to_the_experts(
    session: tuple[Relabelling, LiveSummary],
) -> None:
    relabelling, _ = session
    delay = relabelling.estimate()
    assert delay.trustworthy, delay
    # Keys move the axis at a limited rate, so labels are a little later than the human.
    assert DELAY_STEPS / HZ - 0.05 <= delay.delay_s <= DELAY_STEPS / HZ + 0.2
    unshifted = errors(relabelling.dataset)
    assert relabelling.shift(delay.delay_s, "found") == len(relabelling.dataset)
    assert errors(relabelling.dataset) < 0.7 * unshifted
    assert relabelling.shift(delay.delay_s, "found") == 0
    for header in Relabelling.open(relabelling.dataset.folder).dataset.episodes:
        assert header.num_labels == header.num_steps - np.ceil(delay.delay_s * HZ)
        assert not header.labelled[-1]
    assert relabelling.shift(0.0, "back again") == len(relabelling.dataset)
    assert errors(relabelling.dataset) == pytest.approx(unshifted)


def errors(dataset: Dataset) -> float:
    """Root mean square of the labels' turn against the expert's."""
    differences = []
    for header in dataset.episodes:
        episode = load_episode(header.path, ("state",))
        assert episode.human_actions is not None
        assert episode.expert_actions is not None
        known = episode.labelled_steps
        differences.append((episode.human_actions[:, 0] - episode.expert_actions[:, EXPERT_CENTER, 0])[known])
    return float(np.sqrt(np.mean(np.concatenate(differences) ** 2)))


def test_training_learns_what_the_human_did(session: tuple[Relabelling, LiveSummary]) -> None:
    dataset = session[0].dataset
    reader = WindowReader([Dataset.open(dataset.folder)], length=4)
    assert not reader.has_costs
    batch = reader.sample(16)
    human = np.concatenate([load_episode(header.path, ("state",)).human_actions for header in dataset.episodes])
    for actions, mask in zip(batch.actions, batch.mask):
        assert all((human == action).all(axis=1).any() for action in actions[mask])


def test_the_expert_can_be_asked_again(source: Dataset) -> None:
    episode = load_episode(source.episodes[0].path)
    assert episode.expert_actions is not None
    turns = expert_turns(episode.meta, episode.actions, episode.observations["state"])
    assert turns == pytest.approx(episode.expert_actions[:, EXPERT_CENTER, 0])
    with pytest.raises(ReplayDivergedError, match="from step 1 on"):
        expert_turns(episode.meta, -episode.actions, episode.observations["state"])


@pytest.fixture
def pair(source: Dataset, tmp_path: Path) -> tuple[Dataset, Relabelling]:
    """Two recorded episodes, and an empty dataset to steer along into."""
    two = Dataset.create(tmp_path / "two", source.task_spec, source.env_id)
    for header in source.episodes[:2]:
        two.add(load_episode(header.path))
    return two, Relabelling.create(tmp_path / "labels", two)


def test_where_the_vehicle_was_put_elsewhere_is_still_told(tmp_path: Path) -> None:
    """Or windows would reach over it."""
    noisy = record(tmp_path / "noisy", range(100, 101), steps=40, pose_noise={"every_s": 0.5})
    before = noisy.episodes[0].displaced
    assert before is not None and before.any()
    relabelling = Relabelling.create(tmp_path / "labels", noisy)
    steer_along(noisy, relabelling, Human())
    after = relabelling.dataset.episodes[0].displaced
    assert after is not None and (after == before).all()


def test_what_is_relabelled_is_not_shown_again(pair: tuple[Dataset, Relabelling]) -> None:
    two, relabelling = pair
    first = steer_along(two, relabelling, Human(script={30: Command.QUIT}))
    assert (first.episodes, first.quit) == (1, True)
    header = relabelling.dataset.episodes[0]
    assert header.num_steps == 30
    assert header.meta.outcome == "running"
    again = Relabelling.create(relabelling.dataset.folder, two)
    assert [again.has(episode) for episode in recorded_episodes(two)] == [True, False]
    assert steer_along(two, again, Human()).episodes == 1
    assert len(again.dataset) == 2


def test_discard_and_restart_do_as_in_collect(pair: tuple[Dataset, Relabelling]) -> None:
    two, relabelling = pair
    steps = two.episodes[0].num_steps
    script = {10: Command.RESTART, 10 + steps + 15: Command.DISCARD}
    summary = steer_along(two, relabelling, Human(script=script))
    assert (summary.episodes, summary.discarded) == (2, 1)
    discarded = sorted(path.name for path in (relabelling.dataset.folder / "discarded").iterdir())
    stem = two.episodes[0].path.stem
    assert discarded == [f"{stem}.hdf5", f"{stem}.npz"]
    assert len(list((relabelling.dataset.folder / STEERED).iterdir())) == 2


def test_a_closed_window_keeps_what_was_steered(pair: tuple[Dataset, Relabelling]) -> None:
    two, relabelling = pair
    human = Human()
    human.close_after = 25
    assert steer_along(two, relabelling, human).quit
    assert relabelling.dataset.episodes[0].num_steps == 25


def altered(two: Dataset, change: Callable[[Any], Any]) -> None:
    """Change the first recorded episode."""
    two.replace(change(load_episode(two.episodes[0].path)))


def test_an_episode_that_does_not_repeat_itself_is_told_and_kept_so_far(pair: tuple[Dataset, Relabelling]) -> None:
    two, relabelling = pair

    def push(episode: Any) -> Any:
        episode.observations["state"][40] += 0.01
        return episode

    altered(two, push)
    with pytest.raises(ReplayDivergedError, match=r"at step 40 of \d+ the state is off by 0\.01"):
        steer_along(two, relabelling, Human())
    header = relabelling.dataset.episodes[0]
    assert (header.num_steps, header.meta.outcome) == (40, "running")


def test_pictures_of_another_world_are_noticed(pair: tuple[Dataset, Relabelling]) -> None:
    two, relabelling = pair

    def dim(episode: Any) -> Any:
        episode.observations["center"] //= 2
        return episode

    altered(two, dim)
    with pytest.raises(ReplayDivergedError, match=r"at step 0 .* picture is off by"):
        steer_along(two, relabelling, Human())
    assert len(relabelling.dataset) == 0


def test_only_episodes_of_a_policy_through_training_worlds_are_shown(source: Dataset, tmp_path: Path) -> None:
    demonstrations = record(tmp_path / "expert", range(3), ACTOR_EXPERT, dagger_round=0, steps=20)
    with pytest.raises(RelabellingError, match="no policy drove in its 3 episodes"):
        recorded_episodes(demonstrations)
    assert len(recorded_episodes(source, rounds=(1, 2))) == len(source)
    with pytest.raises(RelabellingError, match="a policy drove in rounds 1"):
        recorded_episodes(source, rounds=(2,))
    test_worlds = record(tmp_path / "test", range(2_000_000, 2_000_001), steps=20)
    with pytest.raises(RelabellingError, match="world 2000000 of the test split; only training worlds"):
        recorded_episodes(test_worlds)


def test_folders_that_do_not_fit_are_refused(pair: tuple[Dataset, Relabelling], tmp_path: Path) -> None:
    two, relabelling = pair
    with pytest.raises(RelabellingError, match="is the dataset that is shown"):
        Relabelling.create(two.folder, two)
    with pytest.raises(RelabellingError, match="not made by relabelling"):
        Relabelling.create(record(tmp_path / "other", range(1), steps=20).folder, two)
    with pytest.raises(RelabellingError, match=r"has no relabelling\.json"):
        Relabelling.open(two.folder)
    steer_along(two, relabelling, Human(script={20: Command.QUIT}))
    note = relabelling.dataset.folder / "relabelling.json"
    note.write_text("{}")
    with pytest.raises(RelabellingError, match="cannot be read"):
        Relabelling.open(relabelling.dataset.folder)


def test_nothing_is_shifted_where_what_was_steered_is_missing(pair: tuple[Dataset, Relabelling]) -> None:
    two, relabelling = pair
    steer_along(two, relabelling, Human())
    files = sorted((relabelling.dataset.folder / STEERED).iterdir())
    files[1].write_bytes(files[1].read_bytes()[:100])
    before = [load_episode(header.path).human_actions for header in relabelling.dataset.episodes]
    with pytest.raises(RelabellingError, match=f"{files[1].name} is missing or damaged"):
        relabelling.shift(0.3, "given")
    after = [load_episode(header.path).human_actions for header in relabelling.dataset.episodes]
    assert all((a == b).all() for a, b in zip(before, after))
    assert json.loads((relabelling.dataset.folder / "relabelling.json").read_text())["delay"]["delay_s"] == 0.0


def test_an_episode_of_another_kind_counts_as_not_relabelled(pair: tuple[Dataset, Relabelling]) -> None:
    two, relabelling = pair
    assert not relabelling.has(Scenario(two.episodes[0].meta.seed, {}))


def test_episodes_of_another_run_are_not_taken_for_relabelled(
    pair: tuple[Dataset, Relabelling], tmp_path: Path
) -> None:
    two, relabelling = pair
    labels = relabelling.dataset.folder
    relabelling.dataset.add(load_episode(two.episodes[0].path))
    other = Dataset.create(tmp_path / "other", two.task_spec, two.env_id)
    stored = load_episode(two.episodes[0].path)
    other.add(dataclasses.replace(stored, actions=stored.actions * np.float32(0.5)))
    with pytest.raises(RelabellingError, match=f"relabelled episodes of {two.folder}: its r0001-s00000100"):
        Relabelling.create(labels, other)
    empty = Dataset.create(tmp_path / "empty", two.task_spec, two.env_id)
    with pytest.raises(RelabellingError, match=f"is none of those in {empty.folder}; give another --out"):
        Relabelling.create(labels, empty)
    moved = two.folder.rename(tmp_path / "moved")
    Relabelling.create(labels, Dataset.open(moved))
    assert json.loads((labels / "relabelling.json").read_text())["source"] == str(moved)


def test_a_folder_that_was_killed_before_its_note_is_gone_on_with(source: Dataset, tmp_path: Path) -> None:
    Dataset.create(tmp_path / "labels", source.task_spec, source.env_id)
    assert Relabelling.create(tmp_path / "labels", source).delay_s == 0.0
