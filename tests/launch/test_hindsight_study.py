"""The study of goals in hindsight: its arms learn from as many labels, and differ in goals and relabelling alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.collect import CollectConfig
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.studies import demonstrations
from forestpilot.launch.studies.demonstrations import demonstrate_labels
from forestpilot.launch.studies.hindsight import ARMS, CELL_M, HEADINGS, Hindsight, coverage_percent
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.goals import GOAL_MIRRORS, PLACE, VECTOR
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

FLIGHT_STEPS = 7


def recorded(config: CollectConfig, *_: Any) -> Any:
    """As if every flight had as many steps."""
    worlds = range(config.seed, config.seed + config.episodes)
    headers = [SimpleNamespace(meta=SimpleNamespace(seed=seed), num_labels=FLIGHT_STEPS) for seed in worlds]
    return SimpleNamespace(folder=config.out, episodes=headers, total_steps=FLIGHT_STEPS * len(worlds))


@dataclasses.dataclass
class Asked:
    """What the study asked for."""

    collected: dict[str, CollectConfig] = dataclasses.field(default_factory=dict)
    trained: list[TrainConfig] = dataclasses.field(default_factory=list)
    flown: list[EvaluateConfig] = dataclasses.field(default_factory=list)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()

    def collect(config: CollectConfig, *_: Any) -> Any:
        asked.collected[config.out] = config
        return recorded(config)

    def evaluated(_: Bench, config: EvaluateConfig) -> list[dict[str, str]]:
        asked.flown.append(config)
        return [{"seed": "1", "success": "1"}] * config.episodes

    monkeypatch.setattr(demonstrations, "collect", collect)
    monkeypatch.setattr(Bench, "clone", lambda _, config: asked.trained.append(config))
    monkeypatch.setattr(Bench, "evaluate", evaluated)
    monkeypatch.setattr("forestpilot.launch.studies.hindsight.coverage_percent", lambda data: 3.0)
    return asked


def test_arms_differ_in_goals_and_relabelling_alone_and_have_as_many_labels(asked: Asked, tmp_path: Path) -> None:
    result = Hindsight(dataclasses.replace(Hindsight.quick, out=str(tmp_path), workers=1, seeds=1)).run()
    arms = dict(zip([arm.name for arm in ARMS], asked.trained, strict=True))
    assert {config.relabel for config in asked.trained} == {"none", "final", "future"}
    changed = ("data", "out", "relabel", "relabel_within", "side_labels", "policy")
    plain = {field.name for field in dataclasses.fields(TrainConfig)} - set(changed)
    for name in plain:
        assert len({getattr(config, name) for config in asked.trained}) == 1, name
    assert arms["play"].data == arms["play-hindsight"].data == arms["play-final"].data
    assert {name for name, config in arms.items() if config.side_labels == "none"} == {
        "one-goal-center",
        "many-goals-center",
    }
    assert arms["many-goals"].data == arms["many-goals-hindsight"].data != arms["play"].data
    assert {config.policy.goal_encoder.part for name, config in arms.items() if "picture" in name} == {"picture"}
    assert len(asked.collected) == 5 and len({config.episodes for config in asked.collected.values()}) == 1
    assert {config.mix.expert.part for config in asked.collected.values()} == {"own", "playful"}
    assert [config.options.goals for config in asked.flown] == ["ahead", "anywhere"] * len(ARMS)
    assert {panel.name for panel in result.panels} == {"success_one", "success_anywhere", "coverage"}


@pytest.mark.parametrize("labels", [1, 7, 8, 100, 701])
def test_no_more_flights_are_recorded_than_the_labels_take(
    labels: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demonstrations, "collect", recorded)
    bench = SimpleNamespace(folder=tmp_path, progress=None, pool=None)
    found = demonstrate_labels("some", "drone", ScenarioMix(), 30, labels, 1, bench)
    assert len(found.episodes) == -(-labels // FLIGHT_STEPS)
    assert found.episodes[0].meta.seed == 30


def test_coverage_counts_places_and_headings_once(tmp_path: Path) -> None:
    spec = small_spec(goal_kind=VECTOR, goal_mirror=GOAL_MIRRORS[VECTOR])
    episode = make_episode(1, 2, spec)
    episode.observations[PLACE] = np.array([[0.0, 0.0, 0.1], [0.5, 0.5, 0.2], [0.5, 0.5, -0.1]], np.float32)
    dataset = Dataset.create(tmp_path, spec, ENV_ID)
    dataset.add(episode)
    cells = 60 * 30 / CELL_M**2 * HEADINGS
    assert coverage_percent(dataset) == pytest.approx(100 * 2 / cells)
