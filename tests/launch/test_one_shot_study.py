"""The study of tasks shown once: its arms learn from as many labels, and differ in what they are told alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forestpilot.data_collection.rollouts.collect import CollectConfig
from forestpilot.launch.studies import demonstrations
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.one_shot import ARMS, Config, OneShot
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.worlds.coloured import HELD_OUT_ORDERS, TRAINING_ORDERS


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
        worlds = range(config.seed, config.seed + config.episodes)
        headers = [SimpleNamespace(meta=SimpleNamespace(seed=seed), num_labels=60) for seed in worlds]
        return SimpleNamespace(folder=config.out, episodes=headers, total_steps=60 * len(worlds))

    def evaluated(_: Bench, config: EvaluateConfig) -> list[dict[str, str]]:
        asked.flown.append(config)
        return [{"seed": str(world), "success": str(world % 2)} for world in range(config.episodes)]

    monkeypatch.setattr(demonstrations, "collect", collect)
    monkeypatch.setattr(Bench, "clone", lambda _, config: asked.trained.append(config))
    monkeypatch.setattr(Bench, "evaluate", evaluated)
    return asked


def test_arms_differ_in_what_they_are_told_alone_and_fly_by_orders_they_do_not_know(
    asked: Asked, tmp_path: Path
) -> None:
    result = OneShot(dataclasses.replace(OneShot.quick, out=str(tmp_path), workers=1, seeds=1)).run()
    arms = dict(zip([arm.name for arm in ARMS], asked.trained, strict=True))
    plain = {field.name for field in dataclasses.fields(TrainConfig)} - {"data", "out", "policy"}
    for name in plain:
        assert len({getattr(config, name) for config in asked.trained}) == 1, name
    assert {name: config.policy.goal_encoder.part for name, config in arms.items()} == {
        "named": "order",
        "shown": "demonstration",
        "maml": "maml",
        "untold": "told",
    }
    assert arms["shown"].data == arms["maml"].data == arms["untold"].data != arms["named"].data
    kinds = {config.mix.options.goal_kind: config.mix.options.orders for config in asked.collected.values()}  # type: ignore[union-attr]
    assert kinds == {"order": TRAINING_ORDERS[:3], "demonstration": TRAINING_ORDERS[:3]}
    by_policy: dict[str, list[tuple[str, ...]]] = {}
    for config in asked.flown:
        by_policy.setdefault(Path(config.out).parent.name.split("-")[0], []).append(config.options.orders)  # type: ignore[union-attr]
    others = (*HELD_OUT_ORDERS[1:], HELD_OUT_ORDERS[0])
    assert set(by_policy) == set(arms)
    assert all(flown == [HELD_OUT_ORDERS, TRAINING_ORDERS[:3], others] for flown in by_policy.values())
    assert all(first != second for first, second in zip(HELD_OUT_ORDERS, others))
    both = next(panel for panel in result.panels if panel.name == "success_both")
    assert {point.value.mean for point in both.points} == {50.0}
    assert "chance on an order: 3.7 % (1 of 27)" in result.notes


def test_the_note_tells_the_share_of_the_success_of_who_is_told_the_name() -> None:
    study = OneShot(dataclasses.replace(OneShot.quick, seeds=1))
    rates = {"named": (1, 1, 1, 1), "shown": (1, 1, 1, 0), "maml": (1, 0, 0, 0), "untold": (0, 0, 0, 0)}
    cells = [Cell(arm, 3, 0, [_row(value) for value in values]) for arm, values in rates.items()]
    notes = study.summarise(cells).notes
    assert any("shown against named" in note and "75 % of its success" in note for note in notes)
    assert any("untold against named" in note and "0 % of its success" in note for note in notes)


def _row(success: int) -> dict[str, int]:
    return {"success": success, "success trained": success, "success both": success}


def test_numbers_of_training_tasks_ascend() -> None:
    with pytest.raises(InvalidArgumentError, match="ascending"):
        Config(orders=(9, 3))
