"""The study of routes shown once: its arms learn from the same drives, and differ in what they are told alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forestpilot.data_collection.rollouts.collect import CollectConfig
from forestpilot.launch.studies import demonstrations
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.routes import ARMS, Config, Routes
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.worlds.roads.routes import ROUTES


@dataclasses.dataclass
class Asked:
    """What the study asked for."""

    collected: dict[str, CollectConfig] = dataclasses.field(default_factory=dict)
    trained: list[TrainConfig] = dataclasses.field(default_factory=list)
    driven: list[EvaluateConfig] = dataclasses.field(default_factory=list)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()

    def collect(config: CollectConfig, *_: Any) -> Any:
        asked.collected[config.out] = config
        return SimpleNamespace(folder=config.out, total_steps=146 * config.episodes)

    def evaluated(_: Bench, config: EvaluateConfig) -> list[dict[str, str]]:
        asked.driven.append(config)
        figures = {"outcome": "success", "distance_m": "200", "time_s": "30"}
        return [{"seed": str(road), "interventions": str(road % 2), **figures} for road in range(config.episodes)]

    monkeypatch.setattr(demonstrations, "collect", collect)
    monkeypatch.setattr(Bench, "clone", lambda _, config: asked.trained.append(config))
    monkeypatch.setattr(Bench, "evaluate", evaluated)
    return asked


def test_arms_differ_in_what_they_are_told_alone_and_drive_routes_they_do_not_know(
    asked: Asked, tmp_path: Path
) -> None:
    result = Routes(dataclasses.replace(Routes.quick, out=str(tmp_path), workers=1, seeds=1)).run()
    arms = dict(zip([arm.name for arm in ARMS], asked.trained, strict=True))
    for name in {field.name for field in dataclasses.fields(TrainConfig)} - {"data", "out", "policy"}:
        assert len({getattr(config, name) for config in asked.trained}) == 1, name
    shown = [config.data for name, config in arms.items() if name != "named"]
    assert len(set(shown)) == 1 and arms["named"].data != shown[0]
    assert arms["shown"].policy.goal_encoder != arms["pictures"].policy.goal_encoder
    kinds = {config.mix.options.goal_kind: config.mix.options.routes for config in asked.collected.values()}  # type: ignore[union-attr]
    assert kinds == {"order": ("training",), "demonstration": ("training",)}
    others = (*ROUTES.held_out[1:], ROUTES.held_out[0])
    assert all(first != second for first, second in zip(ROUTES.held_out, others))
    by_policy: dict[str, list[tuple[str, ...]]] = {}
    for config in asked.driven:
        assert config.options.interventions == "road"  # type: ignore[union-attr]
        by_policy.setdefault(Path(config.out).parent.name.split("-")[0], []).append(config.options.routes)  # type: ignore[union-attr]
    assert set(by_policy) == set(arms)
    assert all(driven == [("held-out",), ("training",), others] for driven in by_policy.values())
    rates = {panel.name: {point.value.mean for point in panel.points} for panel in result.panels}
    shares = {name: {50.0} for name in ("success_held_out", "success_trained", "success_both")}
    assert rates == {**shares, "interventions": {0.5}}
    assert "chance on a route: 3.7 % (1 of 27)" in result.notes


def test_the_note_tells_the_share_of_the_success_of_who_is_told_the_name() -> None:
    study = Routes(dataclasses.replace(Routes.quick, seeds=1))
    rates = {"named": (1, 1, 1, 1), "shown": (1, 1, 1, 0), "untold": (0, 0, 0, 0)}
    cells = [Cell(arm, 2, 0, [_row(value) for value in values]) for arm, values in rates.items()]
    notes = study.summarise(cells).notes
    assert any("shown against named" in note and "75 % of its success" in note for note in notes)
    assert any("untold against named" in note and "0 % of its success" in note for note in notes)


def _row(success: int) -> dict[str, int]:
    return {"success": success, "success trained": success, "success both": success, "interventions": 1 - success}


def test_numbers_of_drives_ascend() -> None:
    with pytest.raises(InvalidArgumentError, match="ascending"):
        Config(drives=(9, 3))
