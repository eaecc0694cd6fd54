"""The study of imitation by number of flights: what its arms share, and what it counts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import forestpilot.launch.studies.adversarial as module
from forestpilot.launch.studies.adversarial import ARMS, CLONING, AdversarialStudy, Config
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.demonstrations import parts_of
from forestpilot.launch.verbs.study import _tables
from forestpilot.policies.algorithms.adversarial.config import AdversarialConfig
from forestpilot.sim.errors import InvalidArgumentError


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A place of work whose demonstrations are there."""

    def demonstrate(name: str, task: str, mix: Any, worlds: range, numbers: Any, *_: Any) -> list[Any]:
        return [SimpleNamespace(folder=f"{name}-from-{start}") for start, _ in parts_of(numbers, len(worlds))]

    monkeypatch.setattr(module, "demonstrate_first", demonstrate)
    return SimpleNamespace(folder=tmp_path)


def test_all_arms_have_the_same_flights_and_begin_with_the_same_clone(bench: Any) -> None:
    study = AdversarialStudy(Config())
    shared = {arm.name: study._shared(arm, 16, 2, bench) for arm in ARMS}
    outs = [values.pop("out") for values in shared.values()]
    assert len(set(outs)) == len(ARMS) and all(values == shared["cloning"] for values in shared.values())
    assert shared["cloning"]["demonstrations"] == ("seed-2-from-0", "seed-2-from-1", "seed-2-from-4")
    clone = Path(outs[0])
    for arm in ARMS:
        if arm.adversary is not None:
            config = study._adversarial({**shared[arm.name], "out": "out"}, arm, clone)
            assert isinstance(config, AdversarialConfig) and config.start == str(clone) and not config.clones
            assert config.adversary == arm.adversary and config.method == getattr(study.config, arm.learner)
    dagger = study._dagger({**shared["DAgger"], "out": "out"})
    assert dagger.first_steps == study.config.clone_steps and dagger.seeds(1)[0] == 20_000 + 64


def test_no_more_worlds_than_a_seed_has_and_each_number_once() -> None:
    with pytest.raises(InvalidArgumentError, match="ascending"):
        Config(flights=(4, 1))
    with pytest.raises(InvalidArgumentError, match="10000 are set aside"):
        Config(flights=(9_990,))


def test_what_it_took_is_told_and_what_it_gained() -> None:
    cells = []
    for seed in range(2):
        for number, arm in enumerate(ARMS):
            for x in (1.0, 2.0):
                rows = [{"seed": world, "success": int(number > 0), "gap": 3.0 - number} for world in range(4)]
                cells.append(Cell(arm.name, x, seed, rows, 100 * number, {"learned_steps": 1000.0 * number}))
    result = AdversarialStudy(Config(flights=(1, 2), seeds=2)).summarise(cells)
    assert len(_tables(result)) == 1, "all figures stand in one table"
    panels = {panel.name: panel for panel in result.panels}
    assert list(panels) == ["success", "imitation_gap", "env_steps", "labels"]
    assert not any(point.value.mean for point in panels["env_steps"].points if point.arm == CLONING.name)
    assert {point.value.mean for point in panels["env_steps"].points if point.arm == "DAgger"} == {1000.0}
    assert any("GAIL against cloning" in note and "+100.0" in note for note in result.notes)
