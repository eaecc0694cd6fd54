"""Studies: what is compared is what is meant, cells survive a kill, intervals are right."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.episodes.seals import DamagedFileError, read_sealed, read_sealed_json
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import (
    ArmNote,
    Curve,
    Interval,
    Panel,
    Point,
    StudyResult,
    read_study_results,
    write_study_results,
)
from forestpilot.launch.reading.tables import read_study
from forestpilot.launch.studies import (
    compounding_error,
    dagger_road,
    demonstrations,
    gates,
    keyboard,
    rounds,
    study,
    three_cameras,
)
from forestpilot.launch.studies.cells import Cell, CellStore, make_points, seed_range
from forestpilot.launch.studies.compounding_error import CompoundingError
from forestpilot.launch.studies.dagger_road import DaggerRoad
from forestpilot.launch.studies.demonstrations import hold_out, parts_of
from forestpilot.launch.studies.gates import Gates
from forestpilot.launch.studies.keyboard import Keyboard
from forestpilot.launch.studies.roads import autonomy, compare_arms, interventions_per_km, study_training
from forestpilot.launch.studies.statistics import log_slope, mean_interval, rate_interval, t_interval
from forestpilot.launch.studies.study import Bench, StudyConfig
from forestpilot.launch.studies.three_cameras import ThreeCameras
from forestpilot.launch.studies.three_cameras_drone import ThreeCamerasDrone
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.rounds import RoundResult
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.heads.turn_costs import TurnCostsConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError
from tests.helpers.damage import damages, json_of, without_seals

NEVER = 10**9
ACTIONS = ("center-actions", "fixed-asked", "fixed-constant", "random-asked", "random-geometric")
WORSE = {"center": 6, "constant": 4, "geometric": 2, "asked": 1, "expert": 6}
"""Interventions on every other test road, by arm; 2 for the others."""


class Fakes:
    """Stands in for everything that takes long, and remembers what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.collected: list[Any] = []
        self.trained: list[TrainConfig] = []
        self.dagger: list[DaggerConfig] = []
        self.driven: list[EvaluateConfig] = []
        self.fail_after = NEVER
        monkeypatch.setattr(study, "evaluate", self.evaluate)
        monkeypatch.setattr(demonstrations, "collect", self.collect)
        monkeypatch.setattr(Bench, "clone", lambda _, config: self.trained.append(config))
        monkeypatch.setattr(rounds, "run_dagger", self.run_dagger)
        monkeypatch.setattr(compounding_error, "costs_of_episode", self.costs)

    def collect(self, config: Any, progress: Any, pool: Any) -> Any:
        self.collected.append(config)
        return SimpleNamespace(folder=Path(config.out), total_steps=100 * config.episodes)

    def run_dagger(self, config: DaggerConfig, progress: Any, pool: Any, shard_pool: Any) -> list[RoundResult]:
        self.dagger.append(config)
        return [
            RoundResult(r, config.beta_of(r), 4 * (r + 1), 1000 * (r + 1), 1.0, None, 0, None, None)
            for r in range(config.rounds + 1)
        ]

    def evaluate(self, config: EvaluateConfig, progress: Any, pool: Any) -> None:
        if len(self.driven) >= self.fail_after:
            raise KeyboardInterrupt
        self.driven.append(config)
        arm = config.policy[0].partition("=")[0]
        rows = [
            {
                "seed": seed,
                "outcome": "success",
                "success": 1,
                "distance_m": 500.0,
                "time_s": 60.0,
                "interventions": WORSE.get(arm, 2) + seed % 2,
            }
            for seed in range(config.episodes)
        ]
        Path(config.out).mkdir(parents=True, exist_ok=True)
        with (Path(config.out) / "outcomes.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def rules(self) -> set[str]:
        """By which rule cars were put back."""
        return {config.options.interventions for config in self.driven}

    def costs(self, path: Path, horizon: int) -> np.ndarray:
        power = 1.0 if path.name.startswith("cloning") else 0.0
        return 0.001 * np.arange(1, horizon + 1) ** power


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    return Fakes(monkeypatch)


def quick(kind: Any, folder: Path, **changes: Any) -> Any:
    """A study of its quick sizes, in a folder of its own."""
    return kind(dataclasses.replace(kind.quick, out=str(folder), workers=1, **changes))


def test_fewer_demonstrations_are_the_first_of_more() -> None:
    assert parts_of((4, 60, 256), 4) == [(0, 4)]
    assert parts_of((4, 60, 256), 256) == [(0, 4), (4, 60), (60, 256)]


def test_held_out_demonstrations_are_of_validation_worlds_and_recorded_once(tmp_path: Path) -> None:
    mix = ScenarioMix(width=32, height=24)
    with RolloutPool(1) as pool:
        bench = Bench(tmp_path, pool, SilentProgress())
        fewer = hold_out("held-out/these", "drone", mix, 1, bench)
        stamps = {header.path: header.path.stat().st_mtime_ns for header in fewer.episodes}
        more = hold_out("held-out/these", "drone", mix, 2, bench)
    assert more.folder == tmp_path / "held-out" / "these"
    assert [header.meta.seed for header in more.episodes] == [1_000_000, 1_000_001]
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_arms_of_a_seed_share_demonstrations_and_steps_and_differ_in_their_labels(fakes: Fakes, tmp_path: Path) -> None:
    quick(ThreeCameras, tmp_path).run()
    assert len(fakes.trained) == 2 * 2 * 5
    assert {c.side_labels for c in fakes.trained} == {"none", "constant", "geometric", "asked"}
    assert len({c.steps for c in fakes.trained}) == 1
    seeds = {(c.mix.options.side_cameras, s) for c in fakes.collected for s in range(c.seed, c.seed + c.episodes)}
    roads = {s for _, s in seeds}
    assert roads == {0, 1, 2, 10_000, 10_001, 10_002}, "a smaller number is a prefix of a larger one"
    assert seeds == set(itertools.product(("random", "random-speed", "fixed"), roads))
    by_arm = {
        Path(c.out).name.rsplit("-", 3)[0]: {Path(d).name[7:].split("-from")[0] for d in c.data} for c in fakes.trained
    }
    assert by_arm["constant"] == {"fixed"} and by_arm["any-speed"] == {"random-speed"}
    assert by_arm["asked"] == by_arm["geometric"] == by_arm["center"] == {"random"}
    assert fakes.rules() == {"line"}


def test_a_drones_arms_differ_in_cameras_labels_and_heads_and_stop_when_twice_the_steps_are_no_better(
    fakes: Fakes, tmp_path: Path
) -> None:
    result = quick(ThreeCamerasDrone, tmp_path, seeds=1, doublings=3).run()
    cells = {Path(c.out).name.split("-seed")[0] for c in fakes.trained}
    assert cells == {f"{arm}-2" for arm in ("fixed", "random-constant", "fixed-geometric", *ACTIONS)} | {
        f"{arm}-{count}" for arm in ("center", "random") for count in (1, 2)
    }
    assert [c.steps for c in fakes.trained[:4]] == [10, 20, 10, 20], "twice the steps crossed as many, so it ends"
    for trained in fakes.trained:
        arm = Path(trained.out).name
        assert ("random" in str(trained.data)) == arm.startswith("random")
        assert trained.policy.needs_costs == (arm.split("-")[1] in ("1", "2"))
    assert {c.mix.options.side_cameras for c in fakes.collected} == {"fixed", "random"}
    splits = [c.split for c in fakes.driven[:3]]
    assert splits == ["validation", "validation", "test"] and "-10-steps" in str(fakes.driven[2].policy)
    assert any(note.startswith("random against center: +0.0 points of success (+0.0 to +0.0)") for note in result.notes)


def test_a_killed_study_goes_on_with_the_cells_it_lacks(fakes: Fakes, tmp_path: Path) -> None:
    cameras = quick(ThreeCameras, tmp_path)
    fakes.fail_after = 5
    with pytest.raises(KeyboardInterrupt):
        cameras.run()
    assert not (tmp_path / "results.json").exists()
    fakes.fail_after = NEVER
    result = cameras.run()
    assert len(fakes.driven) == 20, "no cell is driven twice"
    assert cameras.run() == result
    assert len(fakes.driven) == 20
    with pytest.raises(ForestPilotError, match=r"length: 100.0 there, 160.0 asked"):
        quick(ThreeCameras, tmp_path, length=160.0).run()
    elsewhere = ThreeCameras(dataclasses.replace(cameras.config, workers=7))
    assert elsewhere.run() == result, "where it runs is no part of it"


def test_the_loop_is_run_once_for_all_rounds_of_an_arm_and_not_at_all_if_its_cells_are_there(
    fakes: Fakes, tmp_path: Path
) -> None:
    quick(DaggerRoad, tmp_path, rounds=2).run()
    assert len(fakes.dagger) == 2 * 4, "one run for each arm and seed"
    assert quick(DaggerRoad, tmp_path, rounds=2).run().study == "dagger-road"
    assert len(fakes.dagger) == 2 * 4
    (tmp_path / "cells" / "0.5^i-1-seed-1.json").unlink()
    quick(DaggerRoad, tmp_path, rounds=2).run()
    assert len(fakes.dagger) == 2 * 4 + 1 and len(fakes.driven) == 2 * 4 * 3 + 1


def test_three_cameras_reports_autonomy_and_paired_differences(fakes: Fakes, tmp_path: Path) -> None:
    result = quick(ThreeCameras, tmp_path).run()
    by_name = {panel.name: {(p.arm, p.x): p.value for p in panel.points} for panel in result.panels}
    assert by_name["autonomy"]["asked", 3].mean == pytest.approx(100 * (1 - 6 * 1.5 / 60))
    assert by_name["interventions_per_km"]["asked", 3].mean == pytest.approx(3.0)
    assert any(note.startswith("asked against center: -10.00 interventions per km") for note in result.notes)
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert len(rows) == 2 * 2 * 5 and rows[0]["seeds"] == "2" and rows[0]["worlds"] == "4"
    assert [row["x"] for row in rows[:4]] == ["1", "3", "1", "3"], "arm by arm, ascending"


def test_dagger_arms_differ_only_in_who_drives(fakes: Fakes, tmp_path: Path) -> None:
    result = quick(DaggerRoad, tmp_path, rounds=2).run()
    shown = {Path(c.out).name.rsplit("-seed", 1)[0]: [c.beta_of(r) for r in range(3)] for c in fakes.dagger}
    assert shown == {"expert": [1, 1, 1], "indicator": [1, 0, 0], "0.5^i": [1, 0.5, 0.25], "0.9^i": [1, 0.9, 0.81]}
    others = ("out", "beta", "beta_decay", "seed", "first_world")
    plain = [{k: v for k, v in dataclasses.asdict(c).items() if k not in others} for c in fakes.dagger]
    assert all(p == plain[0] for p in plain) and plain[0]["mix"]["options"]["interventions"] == "road"
    assert fakes.rules() == {"road"}
    assert [p.x for p in result.panels[0].points if p.arm == "indicator"] == [1000, 2000, 3000]


def test_the_exponent_of_the_cost_is_found(fakes: Fakes, tmp_path: Path) -> None:
    result = quick(CompoundingError, tmp_path).run()
    notes = {note.split(":")[0]: note for note in result.notes}
    assert "T^1.9" in notes["cloning"] or "T^2.0" in notes["cloning"], notes["cloning"]
    assert "T^1.00 (1.00 to 1.00)" in notes["DAgger"]
    assert result.panels[0].guides == (2.0, 1.0)
    assert fakes.rules() == {"none"}


def test_results_carry_all_that_a_report_needs(fakes: Fakes, tmp_path: Path) -> None:
    result = quick(CompoundingError, tmp_path).run()
    stored = read_study_results(tmp_path)
    assert stored == result
    assert stored.study == "compounding-error" and stored.question and stored.x_label == "steps T" and stored.log_x
    assert [arm.name for arm in stored.arms] == ["cloning", "DAgger"] and all(arm.meaning for arm in stored.arms)
    assert all(panel.label and panel.meaning and panel.bars for panel in stored.panels)
    (tmp_path / "results.json").write_text('{"title": 3}')
    with pytest.raises(ForestPilotError, match="run the study again"):
        read_study_results(tmp_path)


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    points = [Point("a", 0.5, 3, 8, Interval(1 / 3, 0.1, 0.7))]
    panel = Panel("rate", "rate, 1/km", points, "How often.", log_y=True, bars="least to largest", guides=(1.0, 2.0))
    theory = Panel(
        "rate_by_n", "rate, 1/km", points, "How often.", x_label="N", curves=(Curve("1 / N", (0.5,), (2.0,)),)
    )
    result = StudyResult("t", "x, m", False, (panel, theory), ("n",), "s", "Why?", (ArmNote("a", "the only one"),))
    assert write_study_results(tmp_path, result) == tmp_path / "results.csv"
    assert read_study_results(tmp_path) == result


def info(offset: float, off_road: bool = False, outcome: str = "running") -> dict[str, Any]:
    return {"lateral_offset_m": offset, "off_road": off_road, "outcome": outcome}


def test_a_step_costs_its_distance_from_the_line_and_all_steps_after_a_fall() -> None:
    fallen = [info(0.0), info(-0.5), info(3.0), info(2.5, off_road=True), info(0.0, outcome="out_of_bounds")]
    assert compounding_error.step_costs(fallen, 7).tolist() == [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    crashed = [info(0.25), info(0.25, outcome="collision")]
    assert compounding_error.step_costs(crashed, 4).tolist() == [0.25, 1.0, 1.0, 1.0]
    assert compounding_error.step_costs([info(0.5)] * 9, 3).tolist() == [0.5, 0.5, 0.5]
    with pytest.raises(ValueError, match="smaller horizon"):
        compounding_error.step_costs([info(0.1, outcome="success")], 5)


def test_damaged_cells_are_set_aside_and_run_again(tmp_path: Path) -> None:
    store = CellStore(tmp_path)
    cell = Cell("asked", 8, 1, [{"interventions": 1.0}], 5)
    store.save(cell)
    assert store.load("asked", 8, 1) == cell
    assert store.load("asked", 8, 2) is None
    path = store.path("asked", 8, 1)
    whole = path.read_bytes()
    for data in damages(whole, 100):
        path.write_bytes(data)
        assert store.load("asked", 8, 1) == (cell if json_of(data) == json_of(whole) else None)
    assert any(file.read_bytes() == data for file in path.parent.glob("*.damaged"))
    path.write_text('{"arm": "asked"}')
    assert store.load("asked", 8, 1) is None


def test_damaged_results_of_a_study_are_named(tmp_path: Path) -> None:
    panel = Panel("rate", "rate", [Point("a", 0.5, 3, 8, Interval(0.3, 0.1, 0.7))], "How often.")
    result = StudyResult("t", "x, m", False, (panel,), ("n",), "s", "Why?", (ArmNote("a", "the only one"),))
    write_study_results(tmp_path, result)
    for name in ("results.csv", "results.json"):
        whole = (tmp_path / name).read_bytes()
        for data in damages(whole, 100):
            (tmp_path / name).write_bytes(data)
            is_other = name.endswith("csv") or json_of(data) != json_of(whole)
            read = read_sealed if name.endswith("csv") else read_sealed_json
            if is_other:
                with pytest.raises(DamagedFileError):
                    read(tmp_path / name)
        run = read_study(tmp_path)
        assert name == "results.csv" or "results.json has been damaged" in run.notes[0]
        (tmp_path / name).write_bytes(whole)
    assert read_study(tmp_path).result == result


def test_cells_of_version_0_1_are_read(tmp_path: Path) -> None:
    store = CellStore(tmp_path)
    old = (
        '{"arm": "plain", "x": 1, "seed": 0, "rows": [], "labels": 7, "figures": {"helped_steps": 3.0, "visited": 9.0}}'
    )
    (tmp_path / "cells" / "plain-1-seed-0.json").write_text(old)
    assert store.load("plain", 1, 0) == Cell("plain", 1, 0, [], 7, {"intervention_steps": 3.0, "visited": 9.0})


def test_points_are_placed_arm_by_arm_and_count_their_seeds_and_worlds() -> None:
    cells = [Cell(arm, x, seed, [{}] * 4, labels=seed) for seed in (0, 1) for arm in "ab" for x in (1, 2)]
    points = make_points(cells, lambda group: seed_range(group, lambda cell: float(cell.labels)))
    assert [(p.arm, p.x) for p in points] == [("a", 1.0), ("a", 2.0), ("b", 1.0), ("b", 2.0)]
    assert {(p.seeds, p.worlds, p.value) for p in points} == {(2, 4, Interval(0.5, 0.0, 1.0))}


def test_a_bootstrap_interval_covers_the_true_rate_about_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(5), 0
    for _ in range(60):
        by_road, by_seed = rng.gamma(4, 0.5, 30), rng.gamma(16, 1 / 16, 8)
        events = rng.poisson(0.5 * by_seed[:, None] * by_road)
        low, high = rate_interval(events.astype(float), np.full((8, 30), 0.5))[1:]
        covered += low <= 2.0 <= high
    assert 48 <= covered <= 60


def road(interventions: int, outcome: str = "success") -> dict[str, Any]:
    return {"outcome": outcome, "interventions": interventions, "time_s": 60.0, "distance_m": 500.0}


def test_a_road_not_finished_in_time_counts_as_one_more_intervention() -> None:
    cells = [Cell("a", 1, 0, [road(1), road(0, "timeout")])]
    assert interventions_per_km(cells).mean == pytest.approx(2.0)
    assert autonomy(cells).mean == pytest.approx(100 * (1 - 6 * 2 / 120))


def test_no_event_leaves_a_rate_that_may_still_be_nearly_four_per_exposure() -> None:
    rate = rate_interval(np.zeros((2, 5)), np.full((2, 5), 0.3))
    assert rate == pytest.approx((0.0, 0.0, 3.689 / 3), rel=1e-3)
    cells = [Cell("a", 1, s, [road(0)] * 5) for s in range(2)]
    assert autonomy(cells) == pytest.approx((100.0, 100 - 3.689, 100.0), rel=1e-3)
    assert interventions_per_km(cells).high == pytest.approx(3.689 / 5, rel=1e-3)
    stuck = [Cell("a", 1, 0, [{**road(4), "time_s": 20.0, "distance_m": 0.0}] * 2)]
    assert np.isfinite(interventions_per_km(stuck)).all(), "a car that never moved"


def one_road(arm: str, seed: int) -> Cell:
    return Cell(arm, 1, seed, [road(1)])


def test_t_intervals_are_students() -> None:
    mean, low, high = t_interval([1.0, 2.0, 3.0])
    assert (mean, high - mean) == pytest.approx((2.0, 4.303 / np.sqrt(3)), rel=1e-3)
    assert mean - low == pytest.approx(high - mean)
    with pytest.raises(ValueError, match="two training seeds"):
        t_interval([1.0])
    assert compare_arms([one_road(arm, 0) for arm in "ab"], "a", "b") is None


def test_slopes_and_means_of_one_seed() -> None:
    x = np.array([10.0, 100.0, 1000.0])
    assert log_slope(x, np.stack([3 * x**2, 0.1 * x])) == pytest.approx([2.0, 1.0])
    assert np.isfinite(log_slope(x, np.array([[0.0, 0.1, 1.0]]))).all()
    mean, low, high = mean_interval(np.arange(10.0)[None])
    assert low < mean == 4.5 < high


OWN_SIZES: list[tuple[Any, dict[str, Any]]] = [
    (three_cameras.Config, {"demonstrations": (8, 2)}),
    (dagger_road.Config, {"rounds": 0}),
    (compounding_error.Config, {"horizon": 50}),
    (keyboard.Config, {"demonstrations": 0}),
]
"""Configs of studies on roads, and a size of their own that makes no sense."""


@pytest.mark.parametrize(("config_class", "own"), OWN_SIZES)
def test_senseless_sizes_are_refused(config_class: Any, own: dict[str, Any]) -> None:
    for change in ({"seeds": 0}, {"test_roads": 1}):
        with pytest.raises(ValueError, match="allowed: "):
            config_class(**change)
    with pytest.raises(ValueError, match="the drive task has winding"):
        config_class(roads="windy")
    for change in ({"length": 20.0}, {"test_length": 9000.0}, {"roads": "junctions", "length": 100.0}):
        with pytest.raises(ValueError, match=r"length is .* allowed"):
            config_class(**change)
    with pytest.raises(ValueError, match=r"allowed|below|give"):
        config_class(**own)


def test_senseless_sizes_of_the_study_of_gates_are_refused() -> None:
    for change in ({"seeds": 0}, {"test_worlds": 1}, {"labels": 0}, {"most_episodes": 0}):
        with pytest.raises(ValueError, match="allowed: "):
            gates.Config(**change)
    with pytest.raises(ValueError, match="at most 10000 are set aside"):
        gates.Config(most_episodes=5000)


SAME_FOR_ALL_GATES = (
    "label_budget",
    "expert_episodes",
    "first_world",
    "first_steps",
    "steps",
    "last_steps",
    "mix",
    "train",
    "seed",
)


def test_the_study_of_gates_gives_every_arm_the_same_labels_and_demonstrations() -> None:
    whole = Gates(gates.Config())
    runs = {arm.name: whole.dagger(Path("run"), arm, 1) for arm in whole.arms()}
    for run in runs.values():
        assert all(getattr(run, name) == getattr(runs["plain"], name) for name in SAME_FOR_ALL_GATES)
    assert {run.gate.part for run in runs.values()} == {"none", "expert", "uncertainty", "budget"}
    assert runs["beta"].beta_of(2) == 0.25 and runs["plain"].beta_of(1) == 0.0


def gates_cell(arm: str, number: int, seed: int) -> Cell:
    """A policy that crosses one forest more in each round, and with `beta` another one."""
    rows = [{"seed": world, "success": int(world < number + (arm == "beta"))} for world in range(4)]
    figures = {**dict.fromkeys(gates.FIGURES, 0.0), "visited": 2000.0, "crashes": float(seed)}
    return Cell(arm, number, seed, rows, 100, figures)


def test_the_study_of_gates_puts_success_and_what_it_cost_side_by_side() -> None:
    whole = Gates(dataclasses.replace(Gates.quick, test_worlds=4))
    cells = [gates_cell(place.arm.name, int(place.x), place.seed) for place in whole.plan()]
    result = whole.summarise(cells)
    by_name = {panel.name: panel.points for panel in result.panels}
    assert [p.value.mean for p in by_name["success"]][:4] == [0.0, 25.0, 25.0, 50.0]
    assert by_name["visited"][0].value == (2.0, 2.0, 2.0) and by_name["crashes"][0].value == (0.5, 0.0, 1.0)
    assert any(note.startswith("beta against plain: +25.0 points of success") for note in result.notes)
    assert not any("fewer labels" in note for note in result.notes)
    assert {panel.bars for panel in result.panels} == {"95 % interval", "least to largest seed"}
    fewer = [dataclasses.replace(c, labels=60) if c.arm == "budget" and c.seed else c for c in cells]
    assert any("budget (seed 1: 40 fewer)" in note for note in whole.summarise(fewer).notes)


def test_the_study_of_keys_compares_demonstrators_and_their_pupils() -> None:
    whole = Keyboard(Keyboard.quick)
    road = {"seed": 1, "outcome": "success", "distance_m": 1000.0, "time_s": 125.0, "interventions": 2.0}
    cells = []
    for place in whole.plan():
        figures = {"falls_per_km": float(place.seed), "change_deg": 4.0}
        cells.append(Cell(place.arm.name, place.x, place.seed, [road, road], 300, figures))
    result = whole.summarise(cells)
    by_name = {panel.name: panel.points for panel in result.panels}
    assert [p.arm for p in by_name["demonstrated_change_deg"]] == [arm.name for arm in keyboard.ARMS]
    assert by_name["demonstrated_falls_per_km"][0].value == (0.5, 0.0, 1.0)
    assert by_name["interventions_per_km"][0].value.mean == 2.0


def test_what_would_fail_after_hours_of_training_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"gets 400 m far .* larger test_length"):
        compounding_error.Config(test_length=300.0)
    training = study_training(5)
    for policy, message in (({"head": TurnCostsConfig()}, "no costs"), ({"cameras": "all"}, "center only")):
        train = dataclasses.replace(training, policy=dataclasses.replace(training.policy, **policy))
        with pytest.raises(ValueError, match=message):
            three_cameras.Config(train=train)


def test_a_run_of_version_0_1_goes_on(fakes: Fakes, tmp_path: Path) -> None:
    cameras = quick(ThreeCameras, tmp_path)
    result = cameras.run()
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["verb"] == "study three-cameras"
    (tmp_path / "config.json").unlink()
    (tmp_path / "results.json").unlink()
    (tmp_path / "study.json").write_text(json.dumps(stored["config"]))
    assert quick(ThreeCameras, tmp_path).run() == result and len(fakes.driven) == 20
    with pytest.raises(ForestPilotError, match=r"study three-cameras.*give another --out"):
        quick(DaggerRoad, tmp_path).run()


def test_the_study_of_gates_of_version_0_1_goes_on(fakes: Fakes, tmp_path: Path) -> None:
    result = quick(Gates, tmp_path).run()
    stored = json.loads((tmp_path / "config.json").read_text())["config"]
    limits: dict[str, float] = {}
    for gate in ("expert", "uncertainty", "budget"):
        limits |= {name: value for name, value in stored.pop(gate).items() if name != "part"}
    old = {"limits": limits, "trips": stored.pop("episodes"), "most_trips": stored.pop("most_episodes")}
    (tmp_path / "study.json").write_text(json.dumps(stored | old))
    (tmp_path / "config.json").unlink()
    without_seals(tmp_path / "cells")
    for path in (tmp_path / "cells").iterdir():
        path.write_text(path.read_text().replace("intervention_steps", "helped_steps"))
    done = len(fakes.driven)
    assert quick(Gates, tmp_path).run() == result and len(fakes.driven) == done


def test_more_roads_than_are_set_aside_are_refused() -> None:
    with pytest.raises(ValueError, match="set aside"):
        StudyConfig().require_training_worlds(10_001)
