"""Policies of version 0.1: their configs become configs of this version, and the weights that come along still fly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.migration import migrate_config, migrate_policy_config
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.policies.networks.checkpoint import describe_policy, load_policy, save_policy
from forestpilot.policies.networks.heads.mixture import MixtureConfig
from forestpilot.policies.networks.heads.regression import RegressionConfig
from forestpilot.policies.networks.memories.transformer import TransformerConfig
from forestpilot.policies.networks.visuomotor import PolicyConfig
from forestpilot.sim.tasks import TASKS
from tests.helpers.made_up import make_observations

OLD: dict[str, Any] = {
    "cameras": "all",
    "memory": "transformer",
    "head": "mixture",
    "view_height": 24,
    "level_view": False,
    "channels": [4, 5, 6],
    "memory_layers": 2,
    "memory_heads": 3,
    "cost_clip": 12.0,
    "mixture_components": 5,
    "turn_bins": 11,
}


def test_flat_fields_become_options_of_the_parts_they_are_for() -> None:
    config = from_plain(PolicyConfig, migrate_policy_config(OLD))
    assert config.memory == TransformerConfig(layers=2, heads=3)
    assert config.head == MixtureConfig(components=5)
    assert (config.view.height, config.view.width, config.view.level) == (24, 64, False)
    assert to_plain(config)["encoder"] == {"part": "cnn", "channels": [4, 5, 6]}


def test_options_without_a_part_are_of_the_part_that_has_them() -> None:
    assert migrate_policy_config({"cost_clip": 5.0}) == {"head": {"clip": 5.0}}
    assert migrate_policy_config({"head": "regression", "cost_clip": 5.0}) == {"head": {"part": "regression"}}


def test_what_is_of_this_version_stays() -> None:
    values = to_plain(PolicyConfig(head=MixtureConfig(4)))
    assert migrate_policy_config(values) == values
    assert migrate_config({"train": {"policy": values}}) == {"train": {"policy": values}}
    assert migrate_config({"train": {"policy": OLD}})["train"]["policy"] == migrate_policy_config(OLD)
    assert migrate_config({"policy": ["a", "b"]}) == {"policy": ["a", "b"]}


def test_a_stored_policy_keeps_the_arithmetic_that_it_was_trained_with() -> None:
    stored = to_plain(PolicyConfig())
    assert stored.pop("even_rows") is True
    assert from_plain(PolicyConfig, migrate_policy_config(stored)).even_rows is False
    assert migrate_config({"train": {"policy": stored}})["train"]["policy"]["even_rows"] is False
    # What somebody wrote names a few settings; it gets the others as everybody does.
    assert from_plain(PolicyConfig, migrate_policy_config({"memory": "none", "head": "regression"})).even_rows is True


@pytest.mark.parametrize("task", ["drone", "drive"])
def test_weights_of_version_0_1_are_loaded_and_saved_as_they_were(tmp_path: Path, task: str) -> None:
    folder = TASKS.get(task).pretrained
    assert folder is not None
    description = describe_policy(folder)
    assert description["package_version"] == "0.1.0"
    assert isinstance(description["config"]["memory"], str), "as version 0.1 called it"
    policy = load_policy(folder)
    if task == "drive":
        assert policy.config.head == RegressionConfig()
    assert save_policy(tmp_path, policy) == describe_policy(folder)["policy_id"]
    again = load_policy(tmp_path)
    assert again.config == policy.config
    observations = make_observations(np.random.default_rng(0), 2, policy.spec)
    assert np.array_equal(policy.act(observations)[0], again.act(observations)[0])
