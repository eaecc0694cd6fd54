"""The study of the horizon: tables and roads each have places of their own, and slopes are those of what came out."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.seals import read_sealed, read_sealed_json
from forestpilot.launch.config import ConfigError
from forestpilot.launch.reading.study_results import StudyResult, read_study_results
from forestpilot.launch.studies import rounds
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.horizon import Horizon
from forestpilot.launch.studies.horizon_roads import interventions, lost_m
from forestpilot.launch.studies.horizon_tables import Tables
from forestpilot.launch.studies.slopes import slope_of
from forestpilot.launch.studies.study import Bench
from forestpilot.launch.verbs import study
from forestpilot.policies.algorithms.adversarial import loop
from forestpilot.policies.algorithms.adversarial.config import AdversarialConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.reinforcement.adversaries.options import GAILConfig
from forestpilot.sim.errors import InvalidArgumentError

TINY = {"horizons": (2, 6), "episodes": 40, "states": 4, "actions": 20, "draws": 2, "seeds": 1, "workers": 1}


def slopes_of(result: StudyResult) -> dict[tuple[str, str], float]:
    """Slope by place and arm."""
    panel = next(panel for panel in result.panels if panel.name == "slopes")
    return {(panel.places[int(point.x)], point.arm): point.value.mean for point in panel.points}


def horizon(folder: Path, **changes: Any) -> Horizon:
    """The study in its quick sizes and smaller ones."""
    return Horizon(dataclasses.replace(Horizon.quick, out=str(folder), **{**TINY, **changes}))


@pytest.fixture
def rewarded(monkeypatch: pytest.MonkeyPatch) -> list[AdversarialConfig]:
    """What was asked for of adversarial imitation, which does nothing."""
    rewarded: list[AdversarialConfig] = []

    def made(config: AdversarialConfig, _: Progress) -> SimpleNamespace:
        rewarded.append(config)
        return SimpleNamespace(run=lambda *_, **__: [SimpleNamespace(labels=9)])

    monkeypatch.setattr(loop, "Adversarial", made)
    return rewarded


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch, rewarded: list[AdversarialConfig]) -> list[EvaluateConfig]:
    """What was asked for of roads on which cloning loses half of them, and others a quarter of the shortest."""
    driven: list[EvaluateConfig] = []

    def evaluate(_: Bench, config: EvaluateConfig) -> list[dict[str, str]]:
        driven.append(config)
        length_m = config.options.length
        clones = config.policy[0].startswith("road-cloning")
        lost = length_m**2 / 320 if clones else 20.0
        row = {"outcome": "out_of_bounds", "progress_m": str(length_m - lost), "interventions": str(int(length_m / 40))}
        return [{"seed": str(seed), **row} for seed in range(config.episodes)]

    monkeypatch.setattr(Bench, "evaluate", evaluate)
    monkeypatch.setattr(rounds, "run_dagger", lambda *_, **__: [SimpleNamespace(labels=7)])
    return driven


def test_tables_and_roads_stand_side_by_side_with_their_slopes(driven: list[EvaluateConfig], tmp_path: Path) -> None:
    result = horizon(tmp_path, parts=("tables", "roads")).run()
    gaps = ["gap_cliff", "gap_imitation", "gap_both", "lost_m", "interventions"]
    assert [panel.name for panel in result.panels] == [*gaps, "slopes"]
    found = slopes_of(result)
    assert found["road, alone", "cloning"] == pytest.approx(2) and found["road, alone", "DAgger"] == pytest.approx(0)
    assert found["road, put back", "cloning"] == pytest.approx(1)
    assert found["cliff", "GAIL"] < 0.6 and found["cliff", "cloning"] > 1.2 and len(found) == 3 * 3 + 2 * 3
    assert len(driven) == 2 * 2 * 3
    assert [config.options.interventions for config in driven] == ["none", "line"] * 6
    assert {config.options.length for config in driven} == {80.0, 160.0}
    assert read_study_results(tmp_path) == result
    rows = list(csv.DictReader(read_sealed(tmp_path / "results.csv").decode().splitlines()))
    assert {row["arm"] for row in rows} == {"cloning", "DAgger", "GAIL"}
    assert sum(row["figure"] == "slopes" for row in rows) == 15


def test_gail_goes_on_from_the_last_clone_with_its_drives_alone(
    driven: list[EvaluateConfig], rewarded: list[AdversarialConfig], tmp_path: Path
) -> None:
    horizon(tmp_path, parts=("roads",)).run()
    clone = tmp_path / "runs" / "road-cloning-seed-0"
    (config,) = rewarded  # once for both lengths
    assert config.start == str(clone / "rounds" / "round-01") and config.demonstrations == (str(clone / "dataset"),)
    assert config.expert_episodes == 0 and isinstance(config.adversary, GAILConfig)
    assert config.first_world == 2 * 2, "the clone's roads are not its own"
    assert config.mix.options.interventions == "none" and config.rounds == 1 and config.steps == 64
    own = [config.policy[0] for config in driven if "GAIL" in config.policy[0]]
    assert own == [f"road-GAIL={tmp_path / 'runs' / 'road-GAIL-seed-0' / 'rounds' / 'round-01'}"] * 4
    cells = [read_sealed_json(path) for path in sorted((tmp_path / "cells").iterdir())]
    assert {cell["arm"]: cell["labels"] for cell in cells}["road-GAIL"] == 7, "as many as the clone had"


def test_one_part_alone_is_drawn_and_goes_on_where_it_was_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = horizon(tmp_path, parts=("tables",))
    study.run(one)
    shown = capsys.readouterr().out
    assert "cliff, slope: cloning" in shown and "road, alone" not in shown
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    cells = sorted((tmp_path / "cells").iterdir())
    assert len(cells) == 2 * 3
    figures = (tmp_path / "results.csv").read_bytes()
    cells[0].unlink()
    horizon(tmp_path, parts=("tables",)).run()
    assert (tmp_path / "results.csv").read_bytes() == figures


def test_learners_of_a_draw_see_the_same_demonstrations(tmp_path: Path) -> None:
    arms = {arm.name: arm for arm in Tables(horizon(tmp_path).config).arms()}
    seen = []

    def learn(world: Any, expert: Any, episodes: int, rng: np.random.Generator) -> np.ndarray:
        seen.append((world.states, rng.integers(1 << 30)))
        return expert

    for name in ("cloning", "GAIL"):
        tables = Tables(horizon(tmp_path).config)
        cell = tables.run_cell(dataclasses.replace(arms[name], learn=learn), 2, 0, None)
        assert [row["both"] for row in cell.rows] == [0.0, 0.0], "the expert loses nothing"
    assert seen[:6] == seen[6:] and len(set(seen[:6])) == 6
    assert {states for states, _ in seen} == {4, 8}


def test_what_a_road_cost_is_read_from_its_outcome() -> None:
    row = {"outcome": "out_of_bounds", "progress_m": "30.5", "interventions": "2"}
    assert lost_m(row, 80.0) == 49.5 and interventions(row) == 2
    assert lost_m({**row, "outcome": "success"}, 80.0) == 0.0
    assert interventions({**row, "outcome": "timeout"}) == 3


def test_where_nothing_is_lost_there_is_no_slope() -> None:
    cells = [Cell("a", x, seed, [{"lost": 0.0}] * 3) for x in (1.0, 2.0) for seed in range(2)]
    assert tuple(slope_of(cells, "here", "a", "lost").value) == (0.0, 0.0, 0.0)


def test_sizes_that_cannot_be_are_refused() -> None:
    for options, said in (
        (["--parts", "tables", "tables"], "allowed: tables, roads, each once"),
        (["--parts", "forest"], "allowed: tables, roads, each once"),
        (["--horizons", "9", "3"], r"horizons is \(9, 3\); give at least two"),
        (["--test-length", "100", "--doublings", "2"], "the shortest test roads have 25 m; allowed: 40 m or more"),
        (["--states", "40", "--episodes", "73"], "states is 40 and episodes 73; so many states take at least 74"),
    ):
        with pytest.raises((ConfigError, InvalidArgumentError), match=said):
            study.parse(["horizon", *options], "study")
