"""Targeted intervention: the mask is found that drives best, or that is nearest to the expert's answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.policies.algorithms.intervention import Intervention, InterventionConfig, Tried
from forestpilot.policies.evaluation.masked import MaskedFactory, answers_by_mask
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.sim.errors import InvalidArgumentError
from tests.policies.test_dagger import TINY_MIX, TINY_TRAIN

CAUSES = ("yaw_rate_radps", "picture:0.5:1:0:1")


def tiny(out: Path, **changes) -> InterventionConfig:
    policy = dataclasses.replace(TINY_TRAIN.policy, causes=CAUSES)
    values = {
        "rounds": 2, "expert_episodes": 2, "episodes": 3, "first_steps": 6, "validation_episodes": 1, "queries": 20,
        "workers": 1, "mix": TINY_MIX, "train": dataclasses.replace(TINY_TRAIN, policy=policy),
    }  # fmt: skip
    return InterventionConfig(out=str(out), **{**values, **changes})


def test_weights_say_what_showing_a_cause_adds() -> None:
    masks = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], float)
    scores = 3.0 + 2.0 * masks[:, 0] - 4.0 * masks[:, 1]
    assert np.allclose(Tried(masks, scores).weights() * scores.std(), [2.0, -4.0], rtol=0.01)
    assert not Tried(masks, np.full(4, 7.0)).weights().any()
    assert not Tried(np.zeros((0, 2)), np.zeros(0)).weights().any()
    always = Tried(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 1.0])).weights()
    assert abs(always[0]) < 1e-6 and always[1] > 1, "of what was always shown nothing is known"


def test_masks_follow_from_world_and_run() -> None:
    factory = MaskedFactory("nowhere", "masked", (0.0, 1.0, 0.5), 0)
    masks = np.array([factory.mask_of(world) for world in range(200)])
    assert not masks[:, 0].any() and masks[:, 1].all() and 0.4 < masks[:, 2].mean() < 0.6
    other = dataclasses.replace(factory, seed=1)
    assert any(factory.mask_of(world)[2] != other.mask_of(world)[2] for world in range(20))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Intervention:
    """A finished run that asked the expert."""
    algorithm = Intervention(tiny(tmp_path_factory.mktemp("asked") / "run", by="asking"))
    algorithm.run()
    return algorithm


def test_asking_takes_the_mask_that_is_nearest_to_the_expert_where_masks_are_apart(asked: Intervention) -> None:
    folder = asked.folder
    policy = load_policy(folder / "rounds" / "round-00")
    paths = [header.path for header in asked.episodes_of(1)]
    masks = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
    said, wanted = answers_by_mask(policy, masks, paths)
    states = sum(header.num_labels for header in asked.episodes_of(1))
    assert said.shape == (4, states, 2) and wanted.shape == (states, 2)
    apart = said.var(axis=0).sum(-1)
    far = np.argsort(-apart, kind="stable")[:20]
    scores = -np.square(said[:, far] - wanted[far]).sum(-1).mean(-1)
    expected = Tried(np.array(masks), scores).weights() > 0
    assert load_policy(folder / "rounds" / "round-01").mask.bool().tolist() == expected.tolist()
    assert policy.mask.tolist() == [1.0, 1.0], "round 0 shows all"


def test_only_the_mask_differs_from_round_to_round(asked: Intervention) -> None:
    first, last = (load_policy(asked.folder / "rounds" / name).state_dict() for name in ("round-00", "round-02"))
    assert all(np.array_equal(first[name], last[name]) for name in first if name != "mask")


def test_driving_asks_nobody_and_adds_up_the_rewards(tmp_path: Path) -> None:
    algorithm = Intervention(tiny(tmp_path / "run", rounds=1))
    algorithm.run()
    headers = [header for header in Dataset.open(tmp_path / "run" / "dataset").episodes if header.meta.dagger_round]
    assert len(headers) == 3 and not any(header.num_labels for header in headers)
    tried = algorithm._tried(1)
    assert tried.masks.shape == (3, 2) and tried.scores.shape == (3,)
    shown = load_policy(tmp_path / "run" / "rounds" / "round-01").mask.bool().tolist()
    assert shown == (tried.weights() > 0).tolist()


def test_there_must_be_something_to_intervene_on(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"train\.policy\.causes names 0 causes; give 1 to 8"):
        Intervention(tiny(tmp_path / "run", train=TINY_TRAIN))
    with pytest.raises(InvalidArgumentError, match="by is 'guessing'; allowed: driving, asking"):
        tiny(tmp_path, by="guessing")
    assert not (tmp_path / "run").exists()
