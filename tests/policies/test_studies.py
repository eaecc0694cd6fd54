"""Studies: what is compared is what is meant, cells survive a kill, intervals are right."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.progress import SilentProgress
from forestpilot.launch.studies import common, compounding_error, dagger_road, gates, three_cameras
from forestpilot.launch.studies.common import (
    Cell,
    CellStore,
    autonomy,
    compare_arms,
    interventions_per_km,
    write_results,
)
from forestpilot.launch.studies.statistics import log_slope, mean_interval, rate_interval, t_interval
from forestpilot.policies.algorithms.dagger.loop import DaggerConfig, RoundResult
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError


class Fakes:
    """Stands in for everything that takes long, and remembers what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.collected: list[Any] = []
        self.trained: list[TrainConfig] = []
        self.dagger: list[DaggerConfig] = []
        self.driven: list[tuple[str, str]] = []
        self.fail_after = 10**9
        for module in (three_cameras, dagger_road, compounding_error):
            monkeypatch.setattr(module, "drive_test_roads", self.drive)
        monkeypatch.setattr(three_cameras, "collect", self.collect)
        monkeypatch.setattr(three_cameras, "clone", lambda config, progress: self.trained.append(config))
        for module in (dagger_road, compounding_error):
            monkeypatch.setattr(module, "run_dagger", self.run_dagger)
        monkeypatch.setattr(compounding_error, "costs_of_episode", self.costs)

    def collect(self, config: Any, progress: Any, pool: Any) -> Any:
        self.collected.append(config)
        return SimpleNamespace(total_steps=100 * config.episodes)

    def run_dagger(self, config: DaggerConfig, progress: Any, pool: Any) -> list[RoundResult]:
        self.dagger.append(config)
        return [
            RoundResult(r, config.beta_of(r), 4 * (r + 1), 1000 * (r + 1), 1.0, None, 0, None, None)
            for r in range(config.rounds + 1)
        ]

    def drive(self, config, folder, name, out, interventions, progress, pool) -> list[dict[str, Any]]:
        if len(self.driven) >= self.fail_after:
            raise KeyboardInterrupt
        self.driven.append((name, interventions))
        worse = {"center": 6, "constant": 4, "geometric": 2, "asked": 1, "expert": 6}.get(name, 2)
        return [
            {"seed": seed, "outcome": "success", "distance_m": 500.0, "time_s": 60.0, "interventions": worse + seed % 2}
            for seed in range(config.test_roads)
        ]

    def costs(self, path: Path, horizon: int) -> np.ndarray:
        power = 1.0 if path.name.startswith("cloning") else 0.0
        return 0.001 * np.arange(1, horizon + 1) ** power


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    return Fakes(monkeypatch)


def quick(study: Any, folder: Path, **changes: Any) -> Any:
    return dataclasses.replace(study.QUICK, out=str(folder), **changes)


def run(study: Any, config: Any) -> Any:
    return study.run_study(config, SilentProgress(), None)


def test_arms_of_a_seed_share_demonstrations_and_steps_and_differ_in_their_labels(fakes: Fakes, tmp_path: Path) -> None:
    run(three_cameras, quick(three_cameras, tmp_path))
    assert len(fakes.trained) == 2 * 2 * 5
    assert {c.side_labels for c in fakes.trained} == {"none", "constant", "geometric", "asked"}
    assert len({c.steps for c in fakes.trained}) == 1
    seeds = {(c.mix.side_cameras, s) for c in fakes.collected for s in range(c.seed, c.seed + c.episodes)}
    roads = {s for _, s in seeds}
    assert roads == {0, 1, 2, 10_000, 10_001, 10_002}, "a smaller number is a prefix of a larger one"
    assert seeds == set(itertools.product(("random", "random-speed", "fixed"), roads))
    by_arm = {
        Path(c.out).name.rsplit("-", 3)[0]: {Path(d).name[7:].split("-from")[0] for d in c.data} for c in fakes.trained
    }
    assert by_arm["constant"] == {"fixed"} and by_arm["any-speed"] == {"random-speed"}
    assert by_arm["asked"] == by_arm["geometric"] == by_arm["center"] == {"random"}
    assert {how for _, how in fakes.driven} == {"line"}


def test_a_killed_study_goes_on_with_the_cells_it_lacks(fakes: Fakes, tmp_path: Path) -> None:
    config = quick(three_cameras, tmp_path)
    fakes.fail_after = 5
    with pytest.raises(KeyboardInterrupt):
        run(three_cameras, config)
    fakes.fail_after = 10**9
    result = run(three_cameras, config)
    assert len(fakes.driven) == 20, "no cell is driven twice"
    assert run(three_cameras, config) == result
    assert len(fakes.driven) == 20
    with pytest.raises(ForestPilotError, match=r"length: 100.0 there, 160.0 asked"):
        run(three_cameras, dataclasses.replace(config, length=160.0))
    assert run(three_cameras, dataclasses.replace(config, workers=7)) == result, "where it runs is no part of it"


def test_three_cameras_reports_autonomy_and_paired_differences(fakes: Fakes, tmp_path: Path) -> None:
    result = run(three_cameras, quick(three_cameras, tmp_path))
    by_name = {panel.name: {(p.arm, p.x): p.value for p in panel.points} for panel in result.panels}
    assert by_name["autonomy"]["asked", 3].mean == pytest.approx(100 * (1 - 6 * 1.5 / 60))
    assert by_name["interventions_per_km"]["asked", 3].mean == pytest.approx(3.0)
    assert any(note.startswith("asked against center: -10.00 interventions per km") for note in result.notes)
    rows = list(csv.DictReader(write_results(tmp_path, result).open()))
    assert len(rows) == 2 * 2 * 5 and rows[0]["seeds"] == "2" and rows[0]["worlds"] == "4"


def test_dagger_arms_differ_only_in_who_drives(fakes: Fakes, tmp_path: Path) -> None:
    config = quick(dagger_road, tmp_path, rounds=2)
    result = run(dagger_road, config)
    shown = {Path(c.out).name.rsplit("-seed", 1)[0]: [c.beta_of(r) for r in range(3)] for c in fakes.dagger}
    assert shown == {"expert": [1, 1, 1], "indicator": [1, 0, 0], "0.5^i": [1, 0.5, 0.25], "0.9^i": [1, 0.9, 0.81]}
    others = ("out", "beta", "beta_decay", "seed", "first_world")
    plain = [{k: v for k, v in dataclasses.asdict(c).items() if k not in others} for c in fakes.dagger]
    assert all(p == plain[0] for p in plain) and plain[0]["mix"]["interventions"] == "road"
    assert {how for _, how in fakes.driven} == {"road"}
    assert [p.x for p in result.panels[0].points if p.arm == "indicator"] == [1000, 2000, 3000]


def test_the_exponent_of_the_cost_is_found(fakes: Fakes, tmp_path: Path) -> None:
    result = run(compounding_error, quick(compounding_error, tmp_path))
    notes = {note.split(":")[0]: note for note in result.notes}
    assert "T^1.9" in notes["cloning"] or "T^2.0" in notes["cloning"], notes["cloning"]
    assert "T^1.00 (1.00 to 1.00)" in notes["DAgger"]
    assert result.panels[0].guides == (2.0, 1.0)
    assert {how for _, how in fakes.driven} == {"none"}


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


def test_damaged_cells_are_named(tmp_path: Path) -> None:
    store = CellStore(tmp_path)
    cell = Cell("asked", 8, 1, [{"interventions": 1.0}], 5)
    store.save(cell)
    assert store.load("asked", 8, 1) == cell
    assert store.load("asked", 8, 2) is None
    store.path("asked", 8, 1).write_text('{"arm": "asked"')
    with pytest.raises(ForestPilotError, match="delete it"):
        store.load("asked", 8, 1)


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


@pytest.mark.parametrize("name", ["three-cameras", "dagger-road", "compounding-error"])
def test_senseless_sizes_are_refused(name: str) -> None:
    study = {"three-cameras": three_cameras, "dagger-road": dagger_road, "compounding-error": compounding_error}[name]
    for change in ({"seeds": 0}, {"test_roads": 1}):
        with pytest.raises(ValueError, match="at least"):
            study.Config(**change)
    with pytest.raises(ValueError, match="the drive task has winding"):
        study.Config(roads="windy")
    for change in ({"length": 20.0}, {"test_length": 9000.0}, {"roads": "junctions", "length": 100.0}):
        with pytest.raises(ValueError, match=r"length is .* allowed for this kind of road"):
            study.Config(**change)
    own: dict[str, dict[str, Any]] = {
        "three-cameras": {"demonstrations": (8, 2)},
        "dagger-road": {"rounds": 0},
        "compounding-error": {"horizon": 50},
    }
    with pytest.raises(ValueError, match=r"ascending|at least"):
        study.Config(**own[name])


def test_senseless_sizes_of_the_study_of_gates_are_refused() -> None:
    for change in ({"seeds": 0}, {"test_worlds": 1}, {"labels": 0}, {"most_episodes": 0}):
        with pytest.raises(ValueError, match="at least"):
            gates.Config(**change)
    with pytest.raises(ValueError, match="at most 10000 are set aside"):
        gates.Config(most_episodes=5000)


def test_the_study_of_gates_gives_every_arm_the_same_labels_and_demonstrations() -> None:
    config = gates.Config()
    runs = {arm: config.dagger(Path("run"), arm, 1) for arm in gates.ARMS}
    same = (
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
    for run in runs.values():
        assert all(getattr(run, name) == getattr(runs["plain"], name) for name in same)
    assert {run.gate for run in runs.values()} == {"none", "expert", "uncertainty", "budget"}
    assert runs["beta"].beta_of(2) == 0.25 and runs["plain"].beta_of(1) == 0.0


def test_the_study_of_gates_puts_success_and_what_it_cost_side_by_side() -> None:
    config = dataclasses.replace(gates.QUICK, test_worlds=4)
    figures = dict.fromkeys(gates.FIGURES, 0.0)

    def cell(arm: str, number: int, seed: int) -> Cell:
        rows = [{"seed": world, "success": int(world < number + (arm == "beta"))} for world in range(4)]
        return Cell(arm, number, seed, rows, 100, {**figures, "visited": 2000.0, "crashes": float(seed)})

    cells = [cell(*which) for which in itertools.product(gates.ARMS, (0, 1), (0, 1))]
    result = gates.summarise(config, cells)
    by_name = {panel.name: panel.points for panel in result.panels}
    assert [p.value.mean for p in by_name["success"]][:4] == [0.0, 25.0, 25.0, 50.0]
    assert by_name["visited"][0].value == (2.0, 2.0, 2.0) and by_name["crashes"][0].value == (0.5, 0.0, 1.0)
    assert any(note.startswith("beta against plain: +25.0 points of success") for note in result.notes)
    assert not any("fewer labels" in note for note in result.notes)
    assert {panel.bars for panel in result.panels} == {"95 % interval", "least to largest seed"}
    fewer = [dataclasses.replace(c, labels=60) if c.arm == "budget" and c.seed else c for c in cells]
    assert any("budget (seed 1: 40 fewer)" in note for note in gates.summarise(config, fewer).notes)


def test_what_would_fail_after_hours_of_training_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"gets 400 m far .* larger test_length"):
        compounding_error.Config(test_length=300.0)
    training = common.study_training(5)
    for policy, message in (({"head": "turn-costs"}, "no costs"), ({"cameras": "all"}, "center only")):
        train = dataclasses.replace(training, policy=dataclasses.replace(training.policy, **policy))
        with pytest.raises(ValueError, match=message):
            three_cameras.Config(train=train)


def test_a_quick_try_leaves_the_studys_own_folder_alone() -> None:
    for study in (three_cameras, dagger_road, compounding_error):
        assert study.QUICK.out == f"{study.Config().out}-quick"


def test_more_roads_than_are_set_aside_are_refused() -> None:
    with pytest.raises(ValueError, match="set aside"):
        common.training_seeds(common.StudyConfig(), 10_001)
