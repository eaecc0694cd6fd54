"""Behavioural cloning from observation: no action of the teacher's is read, and one's own motion tells what it was."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, LackingError
from forestpilot.data_collection.episodes.episode import load_episode, without_actions
from forestpilot.data_collection.episodes.header import read_header
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.policies.algorithms.bco.config import BCOConfig, InverseConfig
from forestpilot.policies.algorithms.bco.inverse import InverseModel, errors_of, train_inverse
from forestpilot.policies.algorithms.bco.loop import BCO, inferred_against
from forestpilot.policies.algorithms.bco.motion import BlindMotion, NoisyPilot, RandomPilot, StraySteps
from forestpilot.policies.algorithms.bco.transitions import PairReader, Pairs, known_steps
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.networks.config import ViewConfig
from forestpilot.policies.networks.encoders.options import StackedConfig
from forestpilot.policies.networks.heads.options import (
    DiffusionConfig,
    MixtureConfig,
    RegressionConfig,
    TurnCostsConfig,
)
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec
from tests.policies.test_dagger import TINY_MIX, TINY_TRAIN

TRAIN = dataclasses.replace(
    TINY_TRAIN, side_labels="none", policy=dataclasses.replace(TINY_TRAIN.policy, head=MixtureConfig())
)
INVERSE = InverseConfig(steps=6, batch=16)
VIEW = ViewConfig(12, 16, level=False)


def tiny(out: Path, **changes: object) -> BCOConfig:
    values = {
        "rounds": 1, "expert_episodes": 0, "episodes": 2, "alpha": 0.5, "first_steps": 6, "last_steps": 6,
        "validation_episodes": 1, "workers": 1, "mix": TINY_MIX, "train": TRAIN, "inverse": INVERSE,
        "first_world": 100,
    }  # fmt: skip
    return BCOConfig(out=str(out), **{**values, **changes})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two flights with actions."""
    return collect(CollectConfig(str(tmp_path_factory.mktemp("done") / "data"), episodes=2, workers=1, mix=TINY_MIX))


@pytest.fixture(scope="module")
def seen(done: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same flights without."""
    videos = Dataset.create(tmp_path_factory.mktemp("seen") / "data", done.task_spec, done.env_id)
    for header in done.episodes:
        videos.add(without_actions(load_episode(header.path)))
    return videos


@pytest.fixture(scope="module")
def run(seen: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the flights without actions."""
    out = tmp_path_factory.mktemp("bco") / "run"
    BCO(tiny(out, demonstrations=(str(seen.folder),))).run()
    return out


def test_actions_that_are_there_are_not_read(run: Path, done: Dataset, tmp_path: Path) -> None:
    BCO(tiny(tmp_path / "run", demonstrations=(str(done.folder),))).run()
    ours, theirs = (load_policy(folder).state_dict() for folder in (run, tmp_path / "run"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    for header, other in zip(
        *(Dataset.open(folder / "inferred" / "round-01").episodes for folder in (run, tmp_path / "run"))
    ):
        np.testing.assert_array_equal(load_episode(header.path, ()).actions, load_episode(other.path, ()).actions)


def test_what_is_cloned_is_what_was_inferred(run: Path, done: Dataset) -> None:
    inferred = Dataset.open(run / "inferred" / "round-01")
    assert not (run / "inferred" / "round-00").exists()
    assert [header.num_labels for header in inferred.episodes] == [header.num_steps for header in done.episodes]
    ours, theirs = inferred_against(inferred, [done])
    assert ours.shape == theirs.shape == (done.total_steps, 2) and np.isfinite(ours).all() and np.abs(ours).max() <= 1
    assert not np.array_equal(ours, theirs)
    assert set(load_episode(inferred.episodes[0].path).observations) == {"center", "state", "goal"}


def test_own_motion_is_recorded_with_actions_and_without_anybodys_answers(run: Path) -> None:
    own = Dataset.open(run / "dataset").episodes
    assert [(header.meta.dagger_round, header.meta.policy_id) for header in own] == [
        (0, "random"), (0, "random"), (1, "round-00"),
    ]  # fmt: skip
    for header in own:
        episode = load_episode(header.path, ())
        assert episode.has_actions and episode.expert_actions is None and not header.num_labels


def test_each_round_says_how_far_its_inverse_model_is_off(run: Path) -> None:
    with (run / "inverse.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert [row["round"] for row in rows] == ["0", "1"]
    steps = [int(row["own_steps"]) for row in rows]
    own = Dataset.open(run / "dataset").episodes
    assert steps[0] == sum(header.num_steps for header in own if not header.meta.dagger_round)
    assert steps[1] == sum(header.num_steps for header in own)
    for row in rows:
        assert float(row["turn_error_deg"]) > 0 and float(row["go_error"]) > 0 and int(row["pairs"]) > 0


def test_bco_0_moves_at_random_alone(tmp_path: Path) -> None:
    config = tiny(tmp_path, alpha=0.0, rounds=3, demonstrations=("x",))
    assert config.rounds == 0 and config.seeds(0) == [100, 101]
    later = tiny(tmp_path, alpha=1.5, rounds=2, expert_episodes=4)
    used = [*later.video_seeds, *(seed for number in range(3) for seed in later.seeds(number))]
    assert used == list(range(100, 112))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": dataclasses.replace(TRAIN, side_labels="asked")}, "nobody was asked in a video"),
        (
            {"train": dataclasses.replace(TRAIN, policy=dataclasses.replace(TRAIN.policy, head=TurnCostsConfig()))},
            "train.policy.head is turn-costs, which learns from costs",
        ),
        ({"alpha": 0.1, "rounds": 1}, "of 2 episodes that is none"),
        ({"demonstrations": ()}, "expert_episodes must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        tiny(tmp_path, **{"demonstrations": ("x",), **changes})
    with pytest.raises(InvalidArgumentError, match="which learns from costs"):
        InverseConfig(head=TurnCostsConfig())


def test_videos_without_the_pictures_that_it_reads_are_refused(seen: Dataset, tmp_path: Path) -> None:
    empty = Dataset.create(tmp_path / "empty", seen.task_spec, seen.env_id)
    with pytest.raises(DatasetError, match="no episode to look at"):
        BCO(tiny(tmp_path / "run", demonstrations=(str(empty.folder),)))
    blind = Dataset.create(tmp_path / "blind", seen.task_spec, seen.env_id)
    episode = load_episode(seen.episodes[0].path)
    views = {"view_tower": episode.observations["center"]}
    kept = {key: episode.observations[key] for key in ("state", "goal")}
    blind.add(dataclasses.replace(episode, observations=views | kept))
    with pytest.raises(LackingError, match="lacks center, and this policy needs them"):
        BCO(tiny(tmp_path / "run", demonstrations=(str(blind.folder),)))
    assert not (tmp_path / "run").exists()


def moved(count: int, reads: str = "state") -> Pairs:
    """Made-up motion: turns set the yaw rate, go the speed; pictures slide by the turn."""
    spec = small_spec()
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
    before = rng.normal(0, 0.3, (count, spec.state_size + 2)).astype(np.float32)
    after = before + rng.normal(0, 0.01, before.shape).astype(np.float32)
    after[:, spec.index("yaw_rate_radps")] = 0.8 * actions[:, 0]
    after[:, spec.index("forward_mps")] += actions[:, 1]
    views = rng.integers(0, 256, (count, 12, 32, 3), dtype=np.uint8)
    columns = np.arange(16) + 8
    slid = columns[None] + np.round(4 * actions[:, :1]).astype(int)
    if reads == "state":
        return Pairs(before, after, np.zeros((count, 2, 0, 0, 3), np.uint8), actions)
    later = np.take_along_axis(views, slid[:, None, :, None], axis=2)
    return Pairs(before[:, -2:], after[:, -2:], np.stack([views[:, :, columns], later], axis=1), actions)


@pytest.mark.parametrize("head", [RegressionConfig(), MixtureConfig(), InverseConfig().head])
def test_the_inverse_model_learns_what_actions_do(head) -> None:
    pairs = moved(1200)
    model = InverseModel.seeded(InverseConfig("state", head=head, steps=300, features=32), small_spec(), 0)
    train_inverse(model, pairs, 0)
    errors = errors_of(model.infer(pairs), pairs.actions, small_spec())
    assert errors.turn_r2 > 0.9 and errors.go_r2 > 0.9
    blank = dataclasses.replace(pairs, actions=np.full_like(pairs.actions, np.nan))
    np.testing.assert_array_equal(model.infer(blank), model.infer(pairs))


def test_what_does_not_vary_is_not_explained() -> None:
    done = np.stack([np.linspace(-1, 1, 20), np.ones(20)], axis=1).astype(np.float32)
    errors = errors_of(done - np.float32([0.0, 0.1]), done, small_spec())
    assert (errors.turn_r2, errors.go_r2) == (1.0, 0.0)
    assert errors.turn_error_deg == 0.0 and errors.go_error == pytest.approx(0.1)


def test_from_pictures_alone_it_is_told_by_what_they_show() -> None:
    config = InverseConfig("pictures", view=VIEW, steps=40, batch=32, features=32)
    pairs = moved(300, "pictures")
    model = InverseModel.seeded(config, small_spec(), 0)
    first = train_inverse(model, pairs, 0)
    again = InverseModel.seeded(config, small_spec(), 0)
    assert train_inverse(again, pairs, 0) == first
    swapped = dataclasses.replace(pairs, views=pairs.views[:, ::-1].copy())
    assert not np.array_equal(model.infer(swapped), model.infer(pairs))


def test_pictures_alone_means_no_state() -> None:
    episode = make_episode(0, 6)
    state = {**episode.observations, "state": episode.observations["state"] + 1}
    other = dataclasses.replace(episode, observations=state)
    reader = PairReader(small_spec(), InverseConfig("pictures", view=VIEW))
    for ours, theirs in zip(vars(reader.pairs_of(episode)).values(), vars(reader.pairs_of(other)).values()):
        np.testing.assert_array_equal(ours, theirs)
    assert reader.pairs_of(episode).before.shape == (6, 2)


def test_all_pictures_around_a_step_are_read_in_their_order() -> None:
    episode = make_episode(0, 6)
    config = InverseConfig("pictures", view=VIEW, encoder=StackedConfig((4, 4, 4)), back=1, ahead=3, features=8)
    one = PairReader(small_spec(), InverseConfig("pictures", view=VIEW)).pairs_of(episode).views
    views = PairReader(small_spec(), config).pairs_of(episode).views
    assert views.shape == (6, 5, *one.shape[2:])
    seen = [*one[:, 0], one[-1, 1]]
    for step, wanted in ((0, (0, 0, 1, 2, 3)), (2, (1, 2, 3, 4, 5)), (5, (4, 5, 6, 6, 6))):
        np.testing.assert_array_equal(views[step], [seen[number] for number in wanted])
    pairs = PairReader(small_spec(), config).pairs_of(episode)
    model = InverseModel.seeded(config, small_spec(), 0)
    first = dataclasses.replace(pairs, views=pairs.views.copy())
    first.views[:, 0] = 0
    assert not np.array_equal(model.infer(first), model.infer(pairs)), "the picture before counts"


def test_what_is_added_is_of_the_sizes_that_are_asked_for() -> None:
    pilot = StraySteps(Still(), 1.0, (0.05, 0.5))
    pilot.begin(64)
    for slot in range(64):
        pilot.restart(slot, slot)
    infos = [{"task_spec": small_spec()}] * 64
    most = np.abs(np.stack([pilot.act({}, infos, np.arange(64)).actions for _ in range(60)])).max((0, 2))
    assert 0.04 < most.min() < 0.08 and 0.4 < most.max() <= 0.5 and 0.1 < np.median(most) < 0.25


def test_a_head_that_draws_infers_too() -> None:
    config = InverseConfig("state", head=DiffusionConfig(), steps=4, features=32)
    model = InverseModel.seeded(config, small_spec(), 0)
    pairs = moved(20)
    train_inverse(model, pairs, 0)
    np.testing.assert_array_equal(model.infer(pairs, 3), model.infer(pairs, 3))


def test_where_the_vehicle_was_put_elsewhere_nothing_is_inferred(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    path = dataset.add(dataclasses.replace(make_episode(0, 8), displaced=np.isin(np.arange(8), (3, 6))))
    assert known_steps(read_header(path)).tolist() == [True, True, False, True, True, False, True, True]


class Still:
    """Decides to do nothing."""

    name = "still"
    cameras = ()

    def begin(self, slots: int) -> None: ...

    def restart(self, slot: int, seed: int) -> None: ...

    def act(self, observations, infos, slots):
        from forestpilot.policies.evaluation.baselines import decided

        return decided(np.zeros((len(slots), 2)))


@pytest.mark.parametrize(
    "make", [lambda: RandomPilot(1.0), lambda: NoisyPilot(Still(), 0.2), lambda: StraySteps(Still(), 1.0, (0.4, 1.0))]
)
def test_motion_follows_from_the_world_and_not_from_the_slot(make) -> None:
    infos = [{"task_spec": small_spec()}] * 2
    ways = []
    for seeds in ((7, 8), (8, 7)):
        pilot = make()
        pilot.begin(2)
        for slot, seed in enumerate(seeds):
            pilot.restart(slot, seed)
        ways.append(np.stack([pilot.act({}, infos, np.arange(2)).actions for _ in range(40)]))
    np.testing.assert_array_equal(ways[0], ways[1][:, ::-1])
    assert np.abs(ways[0]).max() <= 1 and ways[0].std(0).min() > 0.05


def test_who_goes_blindly_goes_to_the_goal_on_the_whole() -> None:
    pilot = BlindMotion("drone", 1.0, (0.1, 1.0))()
    pilot.begin(6)
    for slot in range(6):
        pilot.restart(slot, slot)
    seen = {"goal": np.tile(np.array([np.cos(0.3), np.sin(0.3)], np.float32), (6, 1))}
    infos = [{"task_spec": small_spec()}] * 6
    done = np.stack([pilot.act(seen, infos, np.arange(6)).actions for _ in range(200)])
    assert abs(done[..., 0].mean() - 0.3 / small_spec().max_turn_rad) < 0.15 < done[..., 0].std(0).max()
    assert (done[..., 1] == 1).mean() > 0.3 and done[..., 1].std(0).max() > 0.1
