"""Few labels: what the methods make of videos and of demonstrations of unknown quality."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.policies.algorithms.bco.config import InverseConfig
from forestpilot.policies.algorithms.semi import MethodConfig
from forestpilot.policies.algorithms.semi.config import (
    ConsistencyConfig,
    MaskedConfig,
    PseudoLabelsConfig,
    SemiConfig,
    WeightedConfig,
)
from forestpilot.policies.algorithms.semi.loop import Semi
from forestpilot.policies.networks.heads.options import MixtureConfig
from tests.policies.test_dagger import TINY_MIX, TINY_TRAIN

TRAIN = dataclasses.replace(
    TINY_TRAIN, side_labels="none", policy=dataclasses.replace(TINY_TRAIN.policy, head=MixtureConfig())
)
METHODS: list[MethodConfig] = [
    PseudoLabelsConfig(InverseConfig(steps=6, batch=16)),
    ConsistencyConfig(),
    MaskedConfig(steps=4, batch=8, width=8),
    WeightedConfig(steps=3, batch=8),
]


def tiny(out: Path, **changes: object) -> SemiConfig:
    values = {
        "expert_episodes": 0, "first_steps": 6, "validation_episodes": 1, "workers": 1, "mix": TINY_MIX,
        "train": TRAIN, "first_world": 100, "method": METHODS[0],
    }  # fmt: skip
    return SemiConfig(out=str(out), **{**values, **changes})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two flights with actions."""
    return collect(CollectConfig(str(tmp_path_factory.mktemp("done") / "data"), episodes=2, workers=1, mix=TINY_MIX))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two more."""
    out = str(tmp_path_factory.mktemp("others") / "data")
    return collect(CollectConfig(out, episodes=2, workers=1, mix=TINY_MIX, seed=50))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.part)
def test_it_runs(method: MethodConfig, done: Dataset, others: Dataset, tmp_path: Path) -> None:
    config = tiny(tmp_path, method=method, demonstrations=(str(done.folder),), unlabelled=(str(others.folder),))
    (result,) = Semi(config).run()
    assert result.labels == done.total_steps
