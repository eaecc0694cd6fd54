"""The study of memories: its arms differ in their memory alone, and pictures are dropped wherever they are seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forestpilot.data_collection.rollouts.collect import CollectConfig
from forestpilot.launch.studies import demonstrations, memory
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.memory import ARMS, Config, Memories
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.train_config import TrainConfig
from tests.helpers.specs import make_spec


@dataclasses.dataclass
class Asked:
    """What the study asked for."""

    collected: list[CollectConfig] = dataclasses.field(default_factory=list)
    trained: list[TrainConfig] = dataclasses.field(default_factory=list)
    flown: list[EvaluateConfig] = dataclasses.field(default_factory=list)
    held_out: set[float] = dataclasses.field(default_factory=set)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()

    def collect(config: CollectConfig, *_: Any) -> Any:
        asked.collected.append(config)
        return SimpleNamespace(folder=config.out, total_steps=100)

    def evaluated(_: Bench, config: EvaluateConfig) -> list[dict[str, str]]:
        asked.flown.append(config)
        return [{"seed": "1", "success": "1", "outcome": "success", "progress_m": "40.0"}] * config.episodes

    error = SimpleNamespace(figures={"turn_error_deg": SimpleNamespace(value=3.0)})
    monkeypatch.setattr(demonstrations, "collect", collect)
    monkeypatch.setattr(Bench, "clone", lambda _, config: asked.trained.append(config))
    monkeypatch.setattr("forestpilot.policies.networks.checkpoint.load_policy", lambda folder: None)
    monkeypatch.setattr("forestpilot.policies.evaluation.offline.score_offline", lambda *_: error)
    monkeypatch.setattr(memory, "expert_returns", lambda *_: {1: 42.0})
    monkeypatch.setattr(Bench, "evaluate", evaluated)
    monkeypatch.setattr(Memories, "_held_out", lambda self, dropped, bench: asked.held_out.add(dropped))
    return asked


def test_arms_differ_in_their_memory_alone_and_pictures_are_dropped_wherever_they_are_seen(
    asked: Asked, tmp_path: Path
) -> None:
    result = Memories(dataclasses.replace(Memories.quick, out=str(tmp_path), workers=1, seeds=1)).run()
    assert {config.policy.memory.part for config in asked.trained} == set(MEMORIES)
    assert len(asked.trained) == len(asked.flown) == len(ARMS) * 2
    policies = [dataclasses.replace(config.policy, memory=ARMS[0].memory) for config in asked.trained]
    alike = [
        dataclasses.replace(config, out="", policy=policy, dropped_pictures=0.0)
        for config, policy in zip(asked.trained, policies, strict=True)
    ]
    assert len(set(alike)) == 1, "the same demonstrations, steps and seed"
    assert [c.dropped_pictures for c in asked.trained] == [c.dropped_pictures for c in asked.flown]
    assert {c.dropped_pictures for c in asked.trained} == asked.held_out == {0.0, 0.5}
    demonstrators = {config.mix.expert for config in asked.collected} | {config.expert for config in asked.flown}
    assert demonstrators == {Config().demonstrator}
    assert {config.mix.dropped_pictures for config in asked.collected} == {0.0}
    gap = next(panel for panel in result.panels if panel.name == "imitation_gap")
    assert {point.value.mean for point in gap.points} == {2.0}


def test_every_memory_fits_into_the_window_of_the_study() -> None:
    for arm in ARMS:
        for config in (Memories.full, Memories.quick):
            VisuomotorPolicy(dataclasses.replace(config.train.policy, memory=arm.memory), make_spec())


def test_what_each_memory_gives_is_told_against_none() -> None:
    def cell(arm: str, seed: int, success: int, error: float) -> Cell:
        rows = [{"seed": 1, "success": success, "gap": 1.0}]
        return Cell(arm, 0.0, seed, rows, 10, {"turn_error_deg": error + 0.1 * seed})

    cells = [cell("none", 0, 0, 4.0), cell("lstm", 0, 1, 2.0), cell("none", 1, 0, 4.0), cell("lstm", 1, 1, 2.0)]
    (told,) = Memories(Memories.quick).summarise(cells).notes[1:]
    assert told.startswith("lstm against none, 0 % dropped: +100.0 (+100.0 to +100.0) points of success, -2.0 (-2.0")


@pytest.mark.parametrize("dropped", [(), (0.5, 0.25), (0.5, 0.5), (-0.1,), (1.2,)])
def test_shares_that_are_none_are_refused(dropped: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="dropped is"):
        Config(dropped=dropped)
