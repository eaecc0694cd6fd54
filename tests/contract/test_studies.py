"""Every registered study: it says what it asks and how long it takes, has two sizes, and goes on when it is killed."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.launch.reading.study_results import read_study_results
from forestpilot.launch.studies import STUDIES, gates
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.study import Arm, Study
from forestpilot.policies.evaluation.offline_scores import MEANINGS

KILLED_AFTER = 3
NEVER = 10**9
QUICK_CELLS = 30
"""More would not be quick."""
COUNTED = (
    "coverage",
    "falls_per_km",
    "change_deg",
    "turn_error_deg",
    "log_likelihood",
    "step_ms",
    "steps",
    "validated",
    "go_error",
    "lamp_effect",
    "crashes",
    "minutes",
    "learned_steps",
    "learned_crashes",
    "alignment",
    "speed_r2",
)
FIGURES = (*gates.FIGURES, *MEANINGS, *COUNTED)
"""What studies count while they train."""


def made_up_cell(config: Any, arm: Arm, x: float, seed: int) -> Cell:
    """A cell with all that the studies measure, which follows from its place alone."""
    number = len(arm.name) + 2 * x + 3 * seed
    rows = []
    for world in range(getattr(config, "test_roads", 4)):
        steps = range(getattr(config, "horizon", 1))
        rows.append(
            {
                "seed": world,
                "outcome": "success",
                "success": int((number + world) % 2),
                "distance_m": 100.0 + world,
                "time_s": 20.0 + world,
                "interventions": float((number + world) % 5),
                "gap": float((number + world) % 7),
                "gaps": (2, 3)[world % 2],
                "crashed_ahead": int((number + world) % 3 == 0),
                "passed": [1, int(number % 2), 0, 0, 0, 0],
                "costs": [0.01 * (1 + (number + step) % 7) for step in steps],
                **{f"success {kind}": (number + world + kind) % 2 for kind in range(4)},
                "lost": [1.0 + number] * np.size(getattr(config, "episodes", 1)),
                "missing": [1.0 + world + number] * np.size(getattr(config, "episodes", 1)),
                **dict.fromkeys(("cliff", "imitation", "both", "lost_m"), 1.0 + world + number),
                "success trained": int((number + world) % 2 == 0),
                "success both": int((number + world) % 5 == 0),
                "success anywhere": int((number + 2 * world) % 3 == 0),
                "one": [20.0, 1.0 + world, 2.0 * number],
                "two": [world, 0.5 * world, 1.0 * number * world],
                "value_error": [0.1 * (1 + world) * (1 + step + number) for step in steps],
                "nearest_error": [0.2 * (1 + world) * (1 + step + number) for step in steps],
                "blind": world % 2,
                "cloned": int((number + world) % 3 == 0),
            }
        )
    return Cell(arm.name, x, seed, rows, int(100 * (1 + x)), dict.fromkeys(FIGURES, number))


@pytest.fixture(params=STUDIES.names())
def study(request: pytest.FixtureRequest) -> type[Study[Any, Any]]:
    return STUDIES.get(request.param)


class Stub:
    """Runs cells in no time, and is killed when it is told to."""

    def __init__(self, study: type[Study[Any, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, float, int]] = []
        self.kill_after = NEVER
        monkeypatch.setattr(study, "run_cell", lambda own, *place: self.run_cell(own, *place))

    def run_cell(self, study: Study[Any, Any], arm: Arm, x: float, seed: int, bench: Any) -> Cell:
        if len(self.done) == self.kill_after:
            raise KeyboardInterrupt
        self.done.append((arm.name, x, seed))
        return made_up_cell(study.config, arm, x, seed)


def quick_in(study: type[Study[Any, Any]], folder: Path) -> Study[Any, Any]:
    return study(dataclasses.replace(study.quick, out=str(folder), workers=1))


def test_it_says_what_it_asks_what_it_compares_and_how_long_it_takes(study: type[Study[Any, Any]]) -> None:
    told = sys.modules[study.__module__].__doc__ or ""
    assert study.question.endswith("?") and study.minutes > 0
    assert STUDIES.get(study.name) is study
    assert f"about {study.minutes:g} minutes on two cores" in told and "?" in told.splitlines()[0]
    for arm in study(study.full).arms():
        assert arm.meaning and f"    {arm.name} " in told, "the module's docstring lists the arms"


def test_full_and_quick_are_of_one_kind_and_have_folders_of_their_own(study: type[Study[Any, Any]]) -> None:
    assert type(study.full) is type(study.quick)
    assert study.quick.out == f"{study.full.out}-quick"
    places = [(place.arm.name, place.x, place.seed) for place in study(study.quick).plan()]
    assert len(set(places)) == len(places)
    assert 0 < len(places) <= QUICK_CELLS < len(study(study.full).plan()) * 6
    assert {seed for _, _, seed in places} == set(range(study.quick.seeds))


def test_killed_and_resumed_equals_uninterrupted(
    study: type[Study[Any, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub = Stub(study, monkeypatch)
    whole = quick_in(study, tmp_path / "whole").run()
    assert len(stub.done) == len(set(stub.done)) == len(quick_in(study, tmp_path).plan())
    resumed = quick_in(study, tmp_path / "killed")
    stub.done.clear()
    stub.kill_after = KILLED_AFTER
    with pytest.raises(KeyboardInterrupt):
        resumed.run()
    assert not (tmp_path / "killed" / "results.json").exists()
    stub.kill_after = NEVER
    assert quick_in(study, tmp_path / "killed").run() == whole
    assert len(stub.done) == len(set(stub.done)), "no cell is run twice"
    for name in ("results.json", "results.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_its_results_are_complete(
    study: type[Study[Any, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Stub(study, monkeypatch)
    chosen = quick_in(study, tmp_path)
    result = chosen.run()
    assert read_study_results(tmp_path) == result
    assert result.study == study.name and result.question == study.question and result.title and result.x_label
    arms = [arm.name for arm in chosen.arms()]
    assert [arm.name for arm in result.arms] == arms
    assert {point.arm for panel in result.panels for point in panel.points} == set(arms)
    for panel in result.panels:
        assert panel.label and panel.meaning.endswith(".") and panel.bars
        shown = list(dict.fromkeys(point.arm for point in panel.points))
        assert shown == [arm for arm in arms if arm in shown], "in the order of the arms"
        for point in panel.points:
            mean, low, high = point.value
            assert low <= mean <= high
            assert point.seeds == chosen.config.seeds and point.worlds >= 2
