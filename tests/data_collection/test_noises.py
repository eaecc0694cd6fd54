"""Noise in demonstrations: hands tremble, or the vehicle is put elsewhere; labels stay clean, and all repeats."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.episodes.run import RunError
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.noises import NoiseConfig
from forestpilot.data_collection.rollouts.noises.action import NOISE_FILE, ActionNoiseConfig
from forestpilot.data_collection.rollouts.noises.pose import PoseNoiseConfig
from forestpilot.data_collection.rollouts.pilots import Decision
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tasks import TASKS
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

MIX = ScenarioMix(width=32, height=24, speeds=(12.0, 12.0))
DRIVES = ScenarioMix(width=32, height=24, speeds=(12.0, 12.0))
CENTER = 1


def collected(folder: Path, noise: NoiseConfig, learner: Any = None, **changes: Any) -> Dataset:
    values = {"episodes": 2, "workers": 1, "mix": MIX, **changes}
    return collect(CollectConfig(out=str(folder), noise=noise, **values), learner=learner)


def episodes_of(dataset: Dataset) -> list[Episode]:
    return [load_episode(header.path) for header in dataset.episodes]


def assert_repeats(episode: Episode, task: str) -> None:
    """Seed, arguments and actions lead through the same observations, bit for bit."""
    env = make_env(TASKS.get(task), **episode.meta.env_kwargs)
    observation, info = env.reset(seed=episode.meta.seed)
    for step, action in enumerate(episode.actions):
        for key, seen in episode.observations.items():
            assert np.array_equal(observation[key], seen[step]), (key, step)
        observation, *_, info = env.step(action)
    assert info["outcome"] == episode.meta.outcome
    env.close()


class LeftOfTheExpert:
    """Turns a tenth further left than the expert would."""

    name = "left"
    needs_expert = True
    cameras = ()

    def begin(self, slots: int) -> None: ...

    def restart(self, slot: int, seed: int) -> None: ...

    def act(self, observations: Any, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        advised = np.stack([info["expert_action"][CENTER] for info in infos])
        return Decision(advised + np.float32([0.1, 0.0]), np.full(len(slots), ACTOR_POLICY, np.uint8))


@pytest.fixture(scope="module")
def trembling(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return collected(tmp_path_factory.mktemp("action") / "data", ActionNoiseConfig(level=0.2))


@pytest.fixture(scope="module")
def displaced(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return collected(tmp_path_factory.mktemp("pose") / "data", PoseNoiseConfig(every_s=0.5))


def test_action_noise_is_on_what_is_done_and_not_on_the_labels(trembling: Dataset) -> None:
    for episode in episodes_of(trembling):
        assert episode.expert_actions is not None
        noise = episode.actions - episode.expert_actions[:, CENTER]
        inside = np.abs(episode.actions[:, 0]) < 1.0
        assert 0.1 < noise[inside, 0].std() < 0.3
        assert np.abs(episode.actions).max() <= 1.0
        assert episode.meta.policy_id == "expert with noise 0.2 0.2"
        taught = episode.labels.lesson(episode.meta.control_hz)
        assert np.array_equal(taught.actions, episode.expert_actions[:, CENTER]), "clean labels are learned"


def test_noisy_episodes_repeat(trembling: Dataset, displaced: Dataset) -> None:
    assert_repeats(episodes_of(trembling)[1], "drone")
    assert_repeats(episodes_of(displaced)[1], "drone")


@pytest.mark.parametrize("noise", [ActionNoiseConfig(level=0.2), PoseNoiseConfig(every_s=0.5)], ids=lambda n: n.part)
def test_what_is_drawn_follows_from_the_world(
    noise: NoiseConfig, trembling: Dataset, displaced: Dataset, tmp_path: Path
) -> None:
    """Recorded alone, in a command that goes on where another ended, an episode is the same."""
    first = {"action": trembling, "pose": displaced}[noise.part]
    collected(tmp_path / "data", noise, episodes=1)
    again = collected(tmp_path / "data", noise)
    for ours, theirs in zip(episodes_of(first), episodes_of(again), strict=True):
        assert np.array_equal(ours.actions, theirs.actions)
        assert np.array_equal(ours.observations["center"], theirs.observations["center"])


def test_fitted_noise_has_the_learners_errors_once_for_a_dataset(tmp_path: Path) -> None:
    noise = ActionNoiseConfig(fit="runs/learner", scale=4.0, flights=1)
    dataset = collected(tmp_path / "data", noise, LeftOfTheExpert, episodes=1)
    assert episodes_of(dataset)[0].meta.policy_id == "expert with noise 0.2 0", "twice 0.1 on the turn, none on go"
    episode = episodes_of(dataset)[0]
    assert episode.expert_actions is not None
    assert np.array_equal(episode.actions[:, 1], episode.expert_actions[:, CENTER, 1])
    assert (dataset.folder / NOISE_FILE).exists()
    assert len(collected(tmp_path / "data", noise, None, episodes=2)) == 2, "what was fitted is not fitted again"


def test_without_a_learner_nothing_is_fitted(tmp_path: Path) -> None:
    with pytest.raises(ForestPilotError, match=r"noise\.fit needs the policy"):
        collected(tmp_path / "data", ActionNoiseConfig(fit="runs/learner"))


def test_pose_noise_puts_the_vehicle_elsewhere_where_it_is_free(displaced: Dataset) -> None:
    noise = PoseNoiseConfig(every_s=0.5)
    for header, episode in zip(displaced.episodes, episodes_of(displaced), strict=True):
        assert header.displaced is not None and episode.displaced is not None
        steps = np.flatnonzero(episode.displaced)
        assert steps.tolist() == list(range(5, episode.num_steps, 5)), "every half second, from the first one on"
        altitude = [element == "altitude_m" for element in episode.meta.task_spec["state_names"]].index(True)
        assert np.allclose(episode.observations["state"][steps, altitude], 1.8), "level, at its altitude"
        env = make_env(TASKS.get("drone"), **episode.meta.env_kwargs)
        env.reset(seed=episode.meta.seed)
        for step, action in enumerate(episode.actions[:-1]):
            env.step(action)
            if episode.displaced[step + 1]:
                place_m = env.vehicle.base_position()[None]
                assert env.vehicle.clearance_m(env.world, place_m) >= noise.free_m
        env.close()


def test_a_car_is_put_elsewhere_too_and_repeats(tmp_path: Path) -> None:
    noise = PoseNoiseConfig(every_s=1.0, shift_m=0.5, yaw_rad=0.1)
    dataset = collected(tmp_path / "data", noise, task="drive", episodes=1, mix=DRIVES)
    episode = episodes_of(dataset)[0]
    assert episode.displaced is not None and episode.displaced.any()
    assert episode.meta.outcome == "success"
    assert_repeats(episode, "drive")


def put_elsewhere(seed: int, steps: int, at: tuple[int, ...]) -> Episode:
    displaced = np.zeros(steps, bool)
    displaced[list(at)] = True
    return dataclasses.replace(make_episode(seed, steps), displaced=displaced)


@pytest.mark.parametrize("disk_cache_bytes", [0, 10**8])
def test_no_window_reaches_over_a_place_where_the_vehicle_was_put_elsewhere(
    disk_cache_bytes: int, tmp_path: Path
) -> None:
    dataset = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    dataset.add(put_elsewhere(3, 20, at=(6, 9)))
    reader = WindowReader([dataset], 4, disk_cache_bytes=disk_cache_bytes)
    batch = reader.sample(200, np.random.default_rng(0))
    firsts = batch.views[:, 0, 0, 0, 0, 1].astype(int)
    lengths = batch.mask.sum(axis=1)
    assert set(firsts) == {0, 1, 2, 6, *range(9, 17)}
    assert set(lengths[firsts == 6]) == {3} and set(lengths[firsts != 6]) == {4}
    assert reader.num_episodes == 1 and reader.num_labels == 20
    reader.close()


def test_labels_are_drawn_as_often_as_they_weigh(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    dataset.add(make_episode(1, 30))
    heavy = dataclasses.replace(make_episode(2, 30), rerun=Rerun(1, 4.0))
    path = dataset.add(heavy)
    assert path.name == "r0000-s00000002-t1.hdf5" and dataset.has(0, 2, take=1) and not dataset.has(0, 2)
    reader = WindowReader([Dataset.open(tmp_path / "data")], 1)
    seeds = reader.sample(4000, np.random.default_rng(0)).views[:, 0, 0, 0, 0, 0]
    assert 0.77 < (seeds == 2).mean() < 0.83
    reader.close()


def test_only_what_says_something_new_has_the_new_version(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    versions = []
    for episode in (
        make_episode(1),
        put_elsewhere(2, 20, at=(5,)),
        dataclasses.replace(make_episode(3), rerun=Rerun(weight=2.0)),
    ):
        versions.append(dataset.add(episode).read_bytes().split()[2])
    assert versions == [b"1", b"3", b"3"]
    assert [header.rerun.weight for header in Dataset.open(dataset.folder).episodes] == [1.0, 1.0, 2.0]


def test_a_dataset_has_one_noise(trembling: Dataset) -> None:
    with pytest.raises(RunError, match=r"noise: .*level.*0\.2.* there, .*level.*0\.3.* asked"):
        collected(trembling.folder, ActionNoiseConfig(level=0.3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ActionNoiseConfig(level=-0.1), "level is -0.1; allowed: 0 to 2"),
        (lambda: ActionNoiseConfig(level=float("nan")), "level is nan"),
        (lambda: ActionNoiseConfig(level=0.1, fit="runs/x"), "the level is given or fitted"),
        (lambda: ActionNoiseConfig(scale=2.0), "noise.scale has no effect"),
        (lambda: PoseNoiseConfig(every_s=0.0), "every_s is 0.0; allowed: above 0"),
        (lambda: PoseNoiseConfig(shift_m=-1.0), "shift_m is -1.0"),
        (lambda: CollectConfig("x", pilot="keyboard", noise=PoseNoiseConfig()), "noise is pose, which is for the exp"),
        (lambda: make_env(TASKS.get("drone"), pose_noise={"shfit_m": 1.0}), "did you mean 'shift_m'"),
        (lambda: make_env(TASKS.get("drone"), lead_in=[[0.0]]), "action has shape"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_episode_begins_where_its_lead_in_leads(trembling: Dataset) -> None:
    episode = episodes_of(trembling)[0]
    kwargs = {**episode.meta.env_kwargs, "lead_in": episode.actions[:10].tolist()}
    env = make_env(TASKS.get("drone"), **kwargs)
    observation, info = env.reset(seed=episode.meta.seed)
    for key, seen in episode.observations.items():
        assert np.array_equal(observation[key], seen[10])
    assert info["reward_progress"] == 0.0
    observation, *_ = env.step(episode.actions[10])
    assert np.array_equal(observation["state"], episode.observations["state"][11])
    env.close()


def test_a_lead_in_that_ends_the_episode_is_refused(trembling: Dataset) -> None:
    episode = episodes_of(trembling)[0]
    env = make_env(TASKS.get("drone"), **episode.meta.env_kwargs, lead_in=episode.actions.tolist())
    with pytest.raises(ValueError, match=rf"is success after {episode.num_steps}; give fewer"):
        env.reset(seed=episode.meta.seed)
    env.close()
