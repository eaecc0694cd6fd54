"""Action chunks: what is learned at each step, and which action of which prediction is executed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.policies.networks.chunks import ChunkQueue
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.batches import Place, draw
from forestpilot.policies.training.loop import make_reader, train
from forestpilot.policies.training.train_config import TrainConfig
from tests.helpers.episodes import make_episode
from tests.helpers.made_up import MadeUpReader, make_observations, make_policy, make_policy_config
from tests.helpers.specs import make_spec


def predictions(batch: int, chunk: int, steps: int) -> np.ndarray:
    """(steps, B, K, 2): element k predicted at step t is 10 t + k, plus 1000 for each episode."""
    t, row, k = np.meshgrid(np.arange(steps), np.arange(batch), np.arange(chunk), indexing="ij")
    return np.repeat((1000 * row + 10 * t + k)[..., None], 2, axis=-1).astype(np.float32)


def executed(queue: ChunkQueue, chunks: np.ndarray) -> np.ndarray:
    return np.stack([queue.next(chunk)[:, 0] for chunk in chunks])


def test_receding_executes_some_actions_of_each_chunk() -> None:
    chunks = predictions(batch=2, chunk=4, steps=7)
    assert executed(ChunkQueue(2, 4, "receding", 3, 0.0), chunks)[:, 0].tolist() == [0, 1, 2, 30, 31, 32, 60]
    assert executed(ChunkQueue(2, 4, "receding", 1, 0.0), chunks)[:, 1].tolist() == [1000 + 10 * t for t in range(7)]


def test_averaging_takes_the_mean_of_what_is_said_of_the_present() -> None:
    chunks = predictions(batch=1, chunk=3, steps=4)
    even = executed(ChunkQueue(1, 3, "averaged", 1, 0.0), chunks)[:, 0]
    assert np.allclose(even, [0, (10 + 1) / 2, (20 + 11 + 2) / 3, (30 + 21 + 12) / 3])
    weights = np.exp(0.5 * np.arange(3))
    older = executed(ChunkQueue(1, 3, "averaged", 1, 0.5), chunks)[:, 0]
    assert older[3] == pytest.approx(np.average([30, 21, 12], weights=weights), rel=1e-5)


@pytest.mark.parametrize("execution", ["receding", "averaged"])
def test_a_restarted_episode_begins_with_a_prediction_of_its_own(execution: str) -> None:
    chunks = predictions(batch=3, chunk=3, steps=4)
    queue, fresh = (ChunkQueue(3, 3, execution, 2, 0.0) for _ in range(2))  # type: ignore[arg-type]
    queue.next(chunks[0])
    queue.restart(np.array([1]))
    assert queue.next(chunks[1])[1, 0] == fresh.next(chunks[1])[1, 0] == chunks[1, 1, 0, 0]


@pytest.mark.parametrize("cache_gb", [1.0, 0.0])
def test_each_step_learns_the_actions_of_the_next_steps(tmp_path: Path, cache_gb: float) -> None:
    spec = make_spec()
    dataset = Dataset.create(tmp_path, spec, "ForestPilot/Drone-v0")
    episode = make_episode(0, 9, spec)
    dataset.add(episode)
    config = TrainConfig(
        policy=make_policy_config(chunk=4, window=4, head="regression"),
        batch_windows=40,
        shards=1,
        flip=False,
        side_labels="none",
        cache_gb=cache_gb,
    )
    policy = VisuomotorPolicy.seeded(config.policy, spec, 0)
    batch = draw(policy, make_reader(policy, [dataset], config), config, Place(0, 0))
    assert batch.views.shape[:2] == (40, 4)
    assert batch.target.actions.shape == (40, 4, 4, 2)
    wanted = torch.from_numpy(np.array(episode.expert_actions[:, 1]))
    begins = set()
    for actions, known in zip(batch.target.actions, batch.target.known, strict=True):
        start = int((wanted - actions[0, 0]).abs().sum(-1).argmin())
        begins.add(start)
        for step in range(4):
            there = min(4, 9 - start - step)
            assert known[step].tolist() == [True] * there + [False] * (4 - there)
            assert torch.equal(actions[step, :there], wanted[start + step : start + step + there])
            assert (actions[step, there:] == 0).all()
    assert begins == set(range(6)), "windows reach to the end of an episode"


def test_a_reader_that_knows_nothing_of_chunks_will_do(tmp_path: Path) -> None:
    config = TrainConfig(
        policy=make_policy_config(chunk=3, head="mixture"), steps=60, learning_rate=5e-3, batch_windows=6,
        shards=1, log_every=20, tensorboard=False,
    )  # fmt: skip
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    batch = draw(policy, MadeUpReader(), config, Place(0, 0))
    assert batch.target.known[0].tolist() == [[True] * 3] * 3 + [[True, True, False], [True, False, False]]
    result = train(policy, MadeUpReader(), config, tmp_path)
    assert np.isfinite(result.figures["loss"])


def test_a_policy_executes_its_chunks() -> None:
    shape = {"chunk": 3, "head": "regression", "memory": "none"}
    receding = make_policy(**shape, chunk_steps=3).eval()
    fresh = make_policy(**shape).eval()
    rng = np.random.default_rng(0)
    episode = [make_observations(rng, 2, receding.spec) for _ in range(4)]
    carry, always = receding.begin(2), fresh.begin(2)
    actions, news = [], []
    for observations in episode:
        action, carry = receding.act(observations, carry)
        new, always = fresh.act(observations, always)
        actions.append(action)
        news.append(new)
    assert np.array_equal(actions[0], news[0]) and np.array_equal(actions[3], news[3])
    assert not np.array_equal(actions[1], news[1])
    assert np.allclose(carry.previous_turn_rad, actions[3][:, 0] * receding.spec.max_turn_rad)


def test_a_chunk_longer_than_the_window_is_refused_before_any_work() -> None:
    with pytest.raises(ValueError, match=r"policy.chunk is 6; allowed: 1 to policy.window = 5"):
        TrainConfig(policy=make_policy_config(chunk=6, head="regression"))
