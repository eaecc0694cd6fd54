"""Embeddings: the same moment from two views is the same point, checks measure what they say, training goes on where
it was killed, and a policy sees by a stored embedding."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import forestpilot.policies.training.resumable as training_module
from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.run import RunError
from forestpilot.launch.pictures.embedded import draw_alignment
from forestpilot.policies.embeddings import EMBEDDERS
from forestpilot.policies.embeddings.checks import (
    Ridge,
    Targets,
    alignment_error,
    embedded,
    nearest,
    probe,
    raw_pixels,
)
from forestpilot.policies.embeddings.contrast import contrast, n_pairs, semi_hard
from forestpilot.policies.embeddings.options import EmbedConfig, MultiViewConfig, SingleViewConfig
from forestpilot.policies.embeddings.paces import PaceHead
from forestpilot.policies.embeddings.recordings import Recording, moments_of, read_recordings, stacks_at, views_of
from forestpilot.policies.embeddings.single_view import _too_near
from forestpilot.policies.embeddings.stored import FILE, load_embedding
from forestpilot.policies.embeddings.training import CHECKS_FILE, embed
from forestpilot.policies.networks.checkpoint import CheckpointError, load_policy, save_policy
from forestpilot.policies.networks.config import USUAL_VIEW, PolicyConfig, ViewConfig
from forestpilot.policies.networks.embedding import Embedding
from forestpilot.policies.networks.encoders.options import EmbeddingConfig, EmbeddingShape
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import make_spec, small_spec

SHAPE = EmbeddingShape(channels=(4, 8, 8), features=16, size=8, frames=2)
VIEW = ViewConfig(12, 16)
MULTI = MultiViewConfig(episodes=2, moments=4, clips=16)


def filmed(folder: Path, worlds: range, key: str = "view_chase", steps: int = 20) -> Dataset:
    """Episodes whose third camera sees the own view upside down."""
    spec = small_spec()
    dataset = Dataset.create(folder, spec, ENV_ID)
    for seed in worlds:
        episode = make_episode(seed, steps=steps)
        pictures = episode.observations["center"][:, ::-1].copy()
        dataset.add(dataclasses.replace(episode, observations={**episode.observations, key: pictures}))
    return dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return filmed(tmp_path_factory.mktemp("filmed") / "data", range(5))


def small(data: Dataset, out: Path, **values: Any) -> EmbedConfig:
    usual = EmbedConfig(
        data=(str(data.folder),), out=str(out), embedder=MULTI, shape=SHAPE, steps=4, checkpoint_every=2, log_every=1
    )
    return dataclasses.replace(usual, **values)


def gliding(seed: int, steps: int = 30, speed: float = 1.0) -> Recording:
    """A bright bar that moves to the right; the other view has other colours and sees it from above."""
    columns = np.arange(VIEW.width)[None, None, :]
    place = (speed * np.arange(steps + 1))[:, None, None] % VIEW.width
    bar = np.broadcast_to(np.exp(-0.5 * np.square(columns - place)), (steps + 1, VIEW.height, VIEW.width))
    noise = np.random.default_rng(seed).uniform(0, 30, bar.shape)
    own = np.stack([200 * bar + noise, 60 + 0 * bar, noise], axis=-1).astype(np.uint8)
    other = np.stack([noise, 250 - 200 * bar, 60 + 0 * bar], axis=-1).astype(np.uint8)
    state = np.full((steps + 1, small_spec().state_size), speed, np.float32)
    progress_m = np.arange(steps + 1, dtype=np.float32)
    return Recording(seed, {"center": own, "view_chase": other}, state, progress_m, ((0, steps),))


def test_recordings_hold_the_views_of_several_datasets_of_the_same_worlds(data: Dataset, tmp_path: Path) -> None:
    tower = filmed(tmp_path / "tower", range(3), "view_tower")
    prepare = ViewPreparer(small_spec(), USUAL_VIEW)
    seen = read_recordings([data, tower], ("center",), prepare)
    assert [each.seed for each in seen] == [0, 1, 2, 3, 4]
    assert [len(each.views) for each in seen] == [3, 3, 3, 2, 2]
    assert views_of(tower) == ("view_tower",)
    pictures = make_episode(1).observations["center"]
    level = np.zeros_like(seen[1].state)
    np.testing.assert_array_equal(seen[1].views["view_chase"], prepare(pictures[:, ::-1].copy(), level))
    only = read_recordings([data, tower], ("center", "view_chase"), prepare)
    assert all(set(each.views) == {"center", "view_chase"} for each in only)
    with pytest.raises(DatasetError, match=r"not seen by view_tower; `collect --viewpoint`"):
        read_recordings([data], ("center", "view_tower"), prepare)


def test_runs_through_the_same_world_that_differ_are_refused(data: Dataset, tmp_path: Path) -> None:
    other = Dataset.create(tmp_path / "other", small_spec(), ENV_ID)
    episode = make_episode(0)
    changed = {**episode.observations, "state": episode.observations["state"] + 0.1}
    other.add(dataclasses.replace(episode, observations=changed))
    with pytest.raises(DatasetError, match="not of the same episode"):
        read_recordings([data, other], ("center",), ViewPreparer(small_spec(), USUAL_VIEW))


def test_stacks_do_not_reach_over_a_stretch() -> None:
    seen = dataclasses.replace(gliding(0, 10), stretches=((0, 4), (4, 10)))
    assert moments_of(seen, 3).tolist() == [2, 3, 6, 7, 8, 9, 10]
    stacks = stacks_at(np.arange(11).reshape(11, 1, 1, 1).astype(np.uint8), np.array([2, 7]), 3)
    assert stacks[..., 0, 0, 0].tolist() == [[0, 1, 2], [5, 6, 7]]


def test_n_pairs_is_cross_entropy_and_leaves_out_what_it_is_told_to() -> None:
    similarity = torch.tensor([[0.9, 0.1, 0.7], [0.0, 0.8, 0.2], [0.3, 0.1, 0.6]])
    rows = [-math.log(math.exp(row[i] / 0.5) / sum(math.exp(v / 0.5) for v in row)) for i, row in enumerate(similarity)]
    assert float(n_pairs(similarity, 0.5)) == pytest.approx(sum(rows) / 3, rel=1e-5)
    left_out = torch.tensor([[False, True, True], [True, False, True], [True, True, False]])
    assert float(n_pairs(similarity, 0.5, left_out)) == pytest.approx(0.0, abs=1e-6)


def test_the_triplet_is_against_the_nearest_wrong_one_that_is_farther() -> None:
    # Distances 2 - 2s; right 0.4: of 0.2, 0.6 and 1.8 the second is semi-hard.
    row = [0.8, 0.9, 0.7, 0.1]
    similarity = torch.full((4, 4), -1.0)
    similarity[0] = torch.tensor(row)
    similarity[range(1, 4), range(1, 4)] = 1.0
    wanted = [max(0.0, 0.4 - 0.6 + 0.5), 0.0, 0.0, 0.0]
    assert float(semi_hard(similarity, 0.5)) == pytest.approx(sum(wanted) / 4, abs=1e-6)
    # Where none is farther the farthest is taken.
    assert float(semi_hard(torch.tensor([[0.0, 0.5], [0.5, 1.0]]), 0.5)) == pytest.approx((2 - 1 + 0.5 + 0) / 2)


@pytest.mark.parametrize("loss", ["n-pairs", "triplet"])
def test_points_that_belong_together_lose_less(loss: Any) -> None:
    points = torch.eye(6)
    config = MultiViewConfig(loss=loss)
    assert float(contrast(config, points, points)) < 0.01 < float(contrast(config, points, points.roll(1, 0)))


def test_what_is_near_in_time_neither_attracts_nor_repels() -> None:
    places = np.array([[0, 5, 6], [0, 8, 7], [0, 20, 21], [1, 5, 6]])
    near = _too_near(places, 6)
    assert near.tolist() == [
        [False, True, False, False], [True, False, False, False], [False] * 4, [False] * 4,
    ]  # fmt: skip


@pytest.mark.parametrize("name", EMBEDDERS.names())
def test_a_way_of_learning_repeats_itself_and_learns(name: str) -> None:
    kind = EMBEDDERS.get(name)
    assert kind.Config.part == name
    recordings = [gliding(seed) for seed in range(2)]
    embedding = Embedding.seeded(SHAPE, VIEW, 0)
    learner = kind(kind.Config(episodes=2, moments=6), embedding)
    learner.require(recordings)
    loss, figures = learner.loss(recordings, np.random.default_rng(0))
    assert figures == learner.loss(recordings, np.random.default_rng(0))[1] and figures["loss"] == pytest.approx(
        loss.item()
    )
    loss.backward()
    for parameter_name, parameter in embedding.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), parameter_name


def trained(config: MultiViewConfig, recordings: list[Recording], steps: int) -> Embedding:
    """An embedding after some steps of 0.005."""
    embedding = Embedding.seeded(SHAPE, VIEW, 0)
    learner = EMBEDDERS.get("multi-view")(config, embedding)
    learner.require(recordings)
    optimizer = torch.optim.Adam(learner.learner.parameters(), 5e-3)
    for step in range(steps):
        loss, _ = learner.loss(recordings, np.random.default_rng([0, step]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return embedding


def test_the_pace_is_told_within_an_episode_and_what_is_common_to_it_is_left_out() -> None:
    config = MultiViewConfig(episodes=1, moments=2, clips=16, paces=3, flip=False, jitter=0)
    embedding = Embedding.seeded(SHAPE, VIEW, 0)
    head = PaceHead(config, embedding)
    recordings = [gliding(0, steps=30, speed=0.5)]
    with torch.no_grad():
        head.tell.weight.zero_()
        head.tell.bias.fill_(7.0)
    before = float(head.loss(embedding, recordings, np.random.default_rng(1)).detach())
    paces = np.log(np.arange(1, 4))
    assert before == pytest.approx(paces.var(), rel=0.5), "a constant explains nothing, whichever it is"
    assert float(head.loss(embedding, [gliding(0, steps=3)], np.random.default_rng(1))) == 0.0
    shown = [dataclasses.replace(gliding(seed, 30, 0.5)) for seed in range(3)]
    learned = EMBEDDERS.get("multi-view")(config, embedding)
    optimizer = torch.optim.Adam(learned.learner.parameters(), 5e-3)
    for step in range(60):
        loss = learned.heads["pace"].loss(embedding, shown, np.random.default_rng([0, step]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = float(learned.heads["pace"].loss(embedding, [gliding(9, 30, 0.5)], np.random.default_rng(1)).detach())
    assert after < 0.5 * before


def test_odometry_is_told_in_its_own_unit_and_an_unknown_element_is_refused() -> None:
    spec = small_spec()
    seen = [
        dataclasses.replace(gliding(0, 12), state_names=tuple(spec.state_names), state_mirror=spec.state_mirror)
        for _ in range(2)
    ]
    column = spec.index("forward_mps")
    for recording, value in zip(seen, (2.0, 6.0), strict=True):
        recording.state[:, column] = value
    config = MultiViewConfig(episodes=1, moments=2, clips=16, paces=1, odometry="forward_mps")
    learner = EMBEDDERS.get("multi-view")(config, Embedding.seeded(SHAPE, VIEW, 0))
    learner.require(seen)
    head = learner.heads["odometry"]
    assert set(learner.heads) == {"odometry"} and (float(head.mean), float(head.spread)) == (4.0, 2.0)
    with torch.no_grad():
        head.tell.weight.zero_()
        head.tell.bias.fill_(-1.0)  # 2 m/s
    slow, fast = (float(head.loss(learner.embedding, [each], np.random.default_rng(0)).detach()) for each in seen)
    assert (slow, fast) == (0.0, 4.0)
    loss, figures = learner.loss(seen, np.random.default_rng(0))
    loss.backward()
    assert 0 < figures["odometry"] < figures["loss"] and head.tell.weight.grad.abs().sum() > 0
    with pytest.raises(DatasetError, match="odometry is 'wings', and the state of these recordings has"):
        EMBEDDERS.get("multi-view")(dataclasses.replace(config, odometry="wings"), learner.embedding).require(seen)


def test_two_views_are_aligned_by_learning_and_not_by_pixels() -> None:
    recordings = [gliding(seed, steps=14) for seed in range(4)]
    embedding = trained(MultiViewConfig(episodes=2, moments=10, clips=8, flip=False), recordings, 60)
    held_out = gliding(9, steps=14)
    assert alignment_error(held_out, raw_pixels(2)) > 0.15 > 3 * alignment_error(held_out, embedded(embedding))


def test_alignment_is_the_mean_distance_in_time_as_a_share_of_the_length() -> None:
    seen = gliding(0, 10)
    points = {
        "center": np.arange(11, dtype=np.float32)[:, None],
        "view_chase": (np.arange(11, dtype=np.float32)[:, None] + 1),  # always one moment early
    }
    # From the own view 0 finds 0 (of 1), the others one moment before; the other way round likewise.
    assert alignment_error(seen, lambda _, view: points[view]) == pytest.approx((10 / 11) / 10)
    assert nearest(np.array([[0.4], [2.2]], np.float32), points["center"]).tolist() == [0, 2]


@pytest.mark.parametrize("size", [3, 60])
def test_ridge_regression_is_the_same_in_both_of_its_forms(size: int) -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(20, size)), rng.normal(size=(20, 2))
    weights = Ridge(inputs, targets).weights(0.3)
    x, y = inputs - inputs.mean(0), targets - targets.mean(0)
    wanted = np.linalg.solve(x.T @ x + 0.3 * 20 * np.eye(size), x.T @ y)
    np.testing.assert_allclose(weights, wanted, atol=1e-8)


def test_a_probe_reads_what_is_there_and_not_what_is_not() -> None:
    rng = np.random.default_rng(0)
    seen = []
    for seed in range(6):
        state = rng.normal(size=(31, small_spec().state_size)).astype(np.float32)
        seen.append(dataclasses.replace(gliding(seed), state=state))

    def points_of(recording: Recording, view: str) -> np.ndarray:
        return 2 * recording.state[moments_of(recording, 2), :1] + 1

    scores = probe(points_of, seen[:5], seen[5:], Targets(small_spec(), 2))
    first, second = small_spec().state_names[:2]
    assert scores[first] > 0.99 and scores[second] < 0.3


def test_a_run_goes_on_where_it_was_killed(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = embed(small(data, tmp_path / "whole"))
    keep = training_module.save_state

    def killed_after(*args: Any) -> None:
        keep(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_module, "save_state", killed_after)
    with pytest.raises(KeyboardInterrupt):
        embed(small(data, tmp_path / "cut"))
    monkeypatch.setattr(training_module, "save_state", keep)
    gone_on = embed(small(data, tmp_path / "cut"))
    for ours, theirs in zip(whole.embedding.parameters(), gone_on.embedding.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for name in ("metrics.csv", CHECKS_FILE):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    again = embed(small(data, tmp_path / "cut"))
    assert again.checks == gone_on.checks
    stored, facts = load_embedding(tmp_path / "cut")
    assert stored.shape == SHAPE and facts["about"]["worlds"] == [[0, 4]]
    with (tmp_path / "cut" / CHECKS_FILE).open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert rows[0]["figure"] == "alignment_error" and rows[0]["episodes"] == "1"
    assert draw_alignment(tmp_path / "figure.png", again).stat().st_size > 10_000


def test_what_cannot_be_learned_from_is_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="data names no dataset"):
        embed(EmbedConfig(out=str(tmp_path / "x")))
    with pytest.raises(DatasetError, match="world 0 of it is learned from"):
        embed(small(data, tmp_path / "x", held_out=(str(data.folder),)))
    with pytest.raises(DatasetError, match="too few worlds to keep some back: 1"):
        embed(small(filmed(tmp_path / "one", range(1)), tmp_path / "x"))
    plain = Dataset.create(tmp_path / "plain", small_spec(), ENV_ID)
    for seed in range(3):
        plain.add(make_episode(seed))
    with pytest.raises(DatasetError, match="seen by center alone"):
        embed(small(plain, tmp_path / "x"))
    with pytest.raises(DatasetError, match="1000 steps apart"):
        embed(small(data, tmp_path / "x", embedder=SingleViewConfig(far=1000)))
    with pytest.raises(InvalidArgumentError, match="far must be above near"):
        SingleViewConfig(near=4, far=4)
    with pytest.raises(InvalidArgumentError, match="loss is 'more'"):
        MultiViewConfig(loss="more")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="give center"):
        EmbedConfig(views=("view_chase",))
    grows = filmed(tmp_path / "grows", range(3))
    embed(small(grows, tmp_path / "run", steps=1))
    filmed(tmp_path / "grows", range(3, 5))
    with pytest.raises(RunError, match="learned from other episodes"):
        embed(small(grows, tmp_path / "run", steps=1))
    with pytest.raises(CheckpointError, match="holds no embedding"):
        load_embedding(tmp_path)


def test_a_policy_sees_by_a_stored_embedding_and_then_has_it_itself(data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    learned = embed(small(data, run, steps=1)).embedding
    encoder = EmbeddingConfig(run=str(run), frozen=True, shape=SHAPE)
    policy = VisuomotorPolicy.seeded(PolicyConfig(encoder=encoder, features=16), make_spec(), 0)
    of_frame = dict(learned.frame.named_parameters())
    for name, parameter in policy.encoder.embedding.named_parameters():
        assert torch.equal(parameter, of_frame[name]) and not parameter.requires_grad
    save_policy(tmp_path / "policy", policy)
    (run / FILE).unlink()
    again = load_policy(tmp_path / "policy")
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters(), strict=True))
    with pytest.raises(CheckpointError, match="holds no embedding"):
        VisuomotorPolicy.seeded(PolicyConfig(encoder=encoder), make_spec(), 0)
    embed(small(data, tmp_path / "other", steps=1, shape=EmbeddingShape(frames=1)))
    wrong = dataclasses.replace(encoder, run=str(tmp_path / "other"))
    with pytest.raises(CheckpointError, match="does not fit"):
        VisuomotorPolicy.seeded(PolicyConfig(encoder=wrong), make_spec(), 0)


def test_a_frozen_embedding_does_not_learn_and_the_rest_does() -> None:
    encoder = EmbeddingConfig(frozen=True, shape=SHAPE)
    policy = VisuomotorPolicy.seeded(PolicyConfig(encoder=encoder, features=16, view=VIEW), make_spec(), 0)
    views = torch.randint(0, 255, (2, 3, 1, VIEW.height, VIEW.width, 3), dtype=torch.uint8)
    spec = policy.spec
    policy(views, torch.randn(2, 3, spec.state_size), torch.randn(2, 3, spec.goal_size))[0].square().sum().backward()
    for name, parameter in policy.named_parameters():
        assert (parameter.grad is None) == name.startswith("encoder.embedding."), name
