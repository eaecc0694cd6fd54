"""Noise on the inputs of a training: only where it is asked for, as strong as told, labels unchanged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.training.batches import Place, draw
from forestpilot.policies.training.input_noise import INPUT_NOISES, StateNoiseConfig, make_input_noise
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.made_up import MadeUpReader, make_policy
from tests.helpers.specs import make_spec, small_spec

SPEC = make_spec()


@pytest.mark.parametrize("name", INPUT_NOISES.names())
def test_labels_pictures_and_the_given_batch_stay_as_they_are(name: str) -> None:
    batch = MadeUpReader().sample(5, np.random.default_rng(0))
    state = batch.state.copy()
    options = {"causes": ("yaw_rate_radps",)} if name == "hide" else {}
    noise = make_input_noise(INPUT_NOISES.get(name).Config(**options), SPEC)
    changed = noise.apply(batch, np.random.default_rng(1))
    assert changed.actions is batch.actions and changed.costs is batch.costs and changed.views is batch.views
    assert np.array_equal(batch.state, state)
    assert np.array_equal(noise.apply(batch, np.random.default_rng(1)).state, changed.state)


def test_the_level_is_in_units_of_each_element() -> None:
    batch = MadeUpReader(length=50).sample(100, np.random.default_rng(0))
    noise = make_input_noise(StateNoiseConfig(level=0.2), SPEC)
    added = noise.apply(batch, np.random.default_rng(1)).state - batch.state
    assert np.allclose(added.std(axis=(0, 1)), 0.2 * np.array(SPEC.state_scale), rtol=0.1)


def test_elements_are_chosen_by_name() -> None:
    batch = MadeUpReader().sample(5, np.random.default_rng(0))
    noise = make_input_noise(StateNoiseConfig(elements=("yaw_rate_radps",)), SPEC)
    added = noise.apply(batch, np.random.default_rng(1)).state - batch.state
    assert (added.any(axis=(0, 1)) == [name == "yaw_rate_radps" for name in SPEC.state_names]).all()


def test_a_training_without_noise_draws_what_it_did_and_one_with_noise_the_same_besides() -> None:
    policy = make_policy()
    plain = TrainConfig(policy=policy.config, batch_windows=4)
    noisy = dataclasses.replace(plain, noise=StateNoiseConfig(level=0.5))
    still = draw(policy, MadeUpReader(), dataclasses.replace(plain, noise=StateNoiseConfig(level=0.0)), Place(0, 3))
    first = draw(policy, MadeUpReader(), plain, Place(0, 3))
    other = draw(policy, MadeUpReader(), noisy, Place(0, 3))
    assert np.array_equal(first.state, still.state)
    assert np.array_equal(first.views, other.views)
    assert np.array_equal(first.target.actions, other.target.actions)
    assert not np.array_equal(first.state, other.state)


@pytest.mark.parametrize("level", [-0.1, float("nan")])
def test_a_level_that_is_none_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"level is {level}; allowed: 0 to 100"):
        StateNoiseConfig(level=level)


def test_an_element_that_is_none_is_refused_before_the_folder_is_claimed(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    dataset.add(make_episode(1))
    noise = StateNoiseConfig(elements=("yaw_rate",))
    with pytest.raises(InvalidArgumentError, match=r"noise\.elements has 'yaw_rate'; did you mean 'yaw_rate_radps'"):
        clone(TrainConfig(data=(str(tmp_path / "data"),), out=str(tmp_path / "run"), noise=noise))
    assert not (tmp_path / "run" / "config.json").exists()
