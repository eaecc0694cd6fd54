"""The study of the brake light: what the lamp does to a policy is seen by switching it, and collisions are counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.launch.studies.causal_confusion import (
    CURES,
    CausalConfusion,
    Config,
    collisions_per_km,
    lamp_figures,
)
from forestpilot.launch.studies.cells import Cell
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from tests.helpers.made_up import make_policy_config, shaken

TINY = Config(length=100.0, hazards=1)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory):
    mix = dataclasses.replace(TINY.mix("fixed"), width=32, height=24)
    folder = tmp_path_factory.mktemp("held-out")
    return collect(CollectConfig(str(folder), "drive", episodes=2, seed=5, workers=1, mix=mix))


def policy_of(spec, **config) -> VisuomotorPolicy:
    shape = make_policy_config(head={"part": "regression"}, memory={"part": "none"}, window=1, **config)
    return shaken(VisuomotorPolicy.seeded(shape, spec, 0))


def test_the_lamp_does_nothing_to_who_does_not_see_it(held_out) -> None:
    covered = lamp_figures(policy_of(held_out.task_spec, hidden=("lamp",)), held_out)
    seen = lamp_figures(policy_of(held_out.task_spec), held_out)
    assert covered["lamp_effect"] == 0.0 != seen["lamp_effect"]
    assert covered["go_error"] > 0


def test_collisions_are_counted_by_the_way_that_was_driven() -> None:
    rows = [{"outcome": outcome, "distance_m": 250.0} for outcome in ("collision", "success", "timeout", "collision")]
    mean, low, high = collisions_per_km([Cell("lamp", 1, seed, rows) for seed in range(2)])
    assert mean == 2.0 and low < 2.0 < high


def test_all_arms_learn_from_the_same_drives_and_differ_as_told(tmp_path: Path) -> None:
    study = CausalConfusion(TINY)
    assert [arm.name for arm in study.arms()][:2] == ["no-lamp", "lamp"]
    assert {arm.by for arm in CURES} == {"", "driving", "asking"}
    assert study.config.mix("fixed").options.dashboard == "brake-light"
    assert not study.config.mix().domain_randomisation
