"""Goals in hindsight in an algorithm that flies: the learner's own flights, failed ones too, teach where they led."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.algorithms.behavioural_cloning import BehaviouralCloning, BehaviouralCloningConfig
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.loop import Dagger, run_dagger
from forestpilot.policies.networks.config import PolicyConfig, ViewConfig
from forestpilot.policies.networks.heads.options import RegressionConfig, TurnCostsConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tasks.drone import DroneOptions

POLICY = PolicyConfig(view=ViewConfig(16, 32), features=16, window=2, head=RegressionConfig())
TRAIN = TrainConfig(policy=POLICY, batch_windows=4, relabel="final", tensorboard=False)
GOALS = DroneOptions(goals="anywhere", goals_within=12.0)
MIX = ScenarioMix(width=32, height=24, control_hz=5, options=GOALS)


def tiny(out: Path, **changes: Any) -> dict[str, Any]:
    values = {
        "rounds": 1, "expert_episodes": 1, "episodes": 2, "first_steps": 2, "steps": 2, "last_steps": 2,
        "validation_episodes": 1, "workers": 1, "mix": MIX, "train": TRAIN, "out": str(out),
    }  # fmt: skip
    return values | changes


def test_the_learner_learns_from_where_its_own_flights_led(tmp_path: Path) -> None:
    config = DaggerConfig(**tiny(tmp_path))
    assert [result.round for result in run_dagger(config)] == [0, 1]
    dagger = Dagger(config)
    dagger.run()  # finished already; opens what there is
    flown = [header for header in dagger.dataset.episodes if header.meta.dagger_round == 1]
    assert all((header.actor == ACTOR_POLICY).all() for header in flown)
    reader = dagger.reader()
    assert reader.num_labels == dagger.dataset.total_steps and not reader.has_costs
    reader.close()


def test_a_head_that_learns_from_costs_is_refused_where_the_learner_acts(tmp_path: Path) -> None:
    costly = dataclasses.replace(TRAIN, policy=dataclasses.replace(POLICY, head=TurnCostsConfig()))
    with pytest.raises(InvalidArgumentError, match=r"relabel is final.*--train\.policy\.head mixture"):
        Dagger(DaggerConfig(**tiny(tmp_path, train=costly)))
    names = {field.name for field in dataclasses.fields(BehaviouralCloningConfig)}
    values = {name: value for name, value in tiny(tmp_path, train=costly).items() if name in names}
    BehaviouralCloning(BehaviouralCloningConfig(**values))  # the expert flies all, and says what turns cost


def test_goals_told_by_bearing_alone_are_refused_before_any_flight(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="collect others with"):
        Dagger(DaggerConfig(**tiny(tmp_path, mix=dataclasses.replace(MIX, options=DroneOptions()))))
    assert not any(tmp_path.iterdir())
