"""The study of world models: its arms learn from the same flights, and are held against the same pilots."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from forestpilot.launch.studies import world_model
from forestpilot.launch.studies.study import Bench
from forestpilot.launch.studies.world_model import ARMS, LONGEST_CONTEXT, Config, WorldModelStudy
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.world_models import training
from forestpilot.policies.world_models.options import ImagineConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.seeds import SPLIT_STARTS
from tests.helpers.flights import record_flights

HORIZON = 4


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[ImagineConfig]:
    """What models were learned with; flights are short, and nobody evaluates."""
    asked: list[ImagineConfig] = []
    imagine = training.imagine

    def noted(config: ImagineConfig, *args: Any) -> Any:
        asked.append(config)
        return imagine(config, *args)

    def flown(_: Bench, config: EvaluateConfig) -> list[dict[str, str]]:
        success = "0" if config.policy == ("blind",) else "1"
        return [{"seed": str(world), "success": success} for world in range(config.episodes)]

    steps = HORIZON + LONGEST_CONTEXT
    data = record_flights(tmp_path / "data", range(2), steps)
    held_out = record_flights(tmp_path / "held-out", range(SPLIT_STARTS["validation"], 1_000_003), steps)
    monkeypatch.setattr(world_model.WorldModelStudy, "_demonstrate", lambda *_: data)
    monkeypatch.setattr(world_model.WorldModelStudy, "_hold_out", lambda *_: held_out)
    monkeypatch.setattr(training, "imagine", noted)
    monkeypatch.setattr(Bench, "clone", lambda *_: None)
    monkeypatch.setattr(Bench, "evaluate", flown)
    return asked


def test_arms_learn_from_the_same_flights_and_stand_beside_blind_flight(
    learned: list[ImagineConfig], tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {"horizon": HORIZON, "steps": 1, "batch": 2, "window": 4, "workers": 1}
    result = WorldModelStudy(dataclasses.replace(WorldModelStudy.quick, out=str(tmp_path / "run"), **sizes)).run()
    assert [(config.model.part, config.learner.part) for config in learned] == [
        (arm.model.part, arm.learner.part) for arm in ARMS
    ]
    for name in {field.name for field in dataclasses.fields(ImagineConfig)} - {"model", "learner", "out"}:
        assert len({getattr(config, name) for config in learned}) == 1, name
    value, nearest, success = result.panels
    assert {point.x for point in value.points} == {2.0, 3.0, 4.0} == {point.x for point in nearest.points}
    assert [curve.y[0] for curve in success.curves] == [100.0, 0.0]
    assert all(point.value.mean == 100.0 and point.worlds == 2 for point in success.points)
    assert any("+100.0" in note and "blind flight" in note for note in result.notes)


def test_a_horizon_that_shows_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="shortest"):
        Config(horizon=2, shortest=2)
