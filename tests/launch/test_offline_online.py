"""Rank correlations are those of the books, found policies are the same when the study is gone on with."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.launch.reading.study_results import read_study_results, write_study_results
from forestpilot.launch.studies import teacher_signal
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.offline_online import Config, OfflineOnline, find_policies, rank_interval
from forestpilot.launch.studies.rank_correlation import kendall, ranks, spearman
from forestpilot.launch.studies.teacher_signal import TeacherSignal, has_two_ways
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tasks import TASKS
from tests.helpers.made_up import make_policy
from tests.helpers.specs import make_drive_spec

FIGURES = {"l2": 0.1, "f1": 0.5}
SHAPE = {"view": {"height": 8, "width": 16}, "head": {"part": "regression"}}


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlations_are_scipys_ties_included(seed):
    from scipy import stats  # here: each process that collects tests would take a second for it

    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 6, (2, 20)).astype(float)
    assert np.allclose(ranks(first), stats.rankdata(first))
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert spearman(first, np.ones(20)) == kendall(np.ones(20), second) == 0.0


def cells(errors: list[float]) -> list[Cell]:
    """Policies of which each flies through one forest more than the one before."""
    made = []
    for number, error in enumerate(errors):
        rows = [{"seed": world, "success": int(world < number)} for world in range(len(errors))]
        made.append(Cell(f"p{number}", 0.0, 0, rows, 0, {"l2": error, "accuracy": error}))
    return made


def test_less_error_counts_as_more_and_intervals_hold_the_figure():
    falling = [1.0 / (1 + n) for n in range(12)]
    whole = rank_interval(cells(falling), "l2", spearman)
    assert whole.mean == pytest.approx(1.0) and 0.8 < whole.low <= whole.high == pytest.approx(1.0)
    assert rank_interval(cells(falling), "accuracy", kendall).mean == pytest.approx(-1.0)
    rng = np.random.default_rng(0)
    mean, low, high = rank_interval(cells(list(rng.random(12))), "l2", spearman)
    assert low < mean < high and low < 0 < high, "chance is not shown to say anything"
    assert rank_interval(cells([0.5] * 12), "l2", kendall) == (0.0, -1.0, 1.0), "no order at all"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for number in range(5):
        save_policy(folder / "study-a" / "policies" / f"p{number}", make_policy(number, **SHAPE))
    save_policy(folder / "study-a" / "best", make_policy(0, **SHAPE))  # the same weights again
    save_policy(folder / "study-b-quick" / "p", make_policy(9, **SHAPE))
    save_policy(folder / "road", make_policy(8, make_drive_spec(), **SHAPE))
    return folder


def test_policies_of_the_task_are_found_once_each(runs):
    found = find_policies((str(runs),), 60)
    assert len(found) == 5 and len({arm.name for arm in found}) == 5
    assert all("quick" not in arm.folder and "road" not in arm.folder for arm in found)
    assert len(find_policies((str(runs),), 4)) == 3, "every second"
    assert find_policies((str(runs / "nowhere"),), 60) == []
    with pytest.raises(InvalidArgumentError, match="only 1 of the task drone"):
        find_policies((str(runs / "study-a" / "best"),), 60)


def test_policies_of_other_cameras_are_left_out_and_those_of_other_rates_are_not(tmp_path):
    spec = task_spec_of(TASKS.get("drone"), ScenarioMix())
    for number in range(4):
        slow = dataclasses.replace(spec, control_hz=5)
        save_policy(tmp_path / f"slow-{number}", make_policy(number, slow, **SHAPE))
    save_policy(tmp_path / "wide", make_policy(4, dataclasses.replace(spec, side_yaw_rad=1.0), **SHAPE))
    assert sorted(Path(arm.folder).name for arm in find_policies((str(tmp_path),), 60)) == [
        "slow-0", "slow-1", "slow-2", "slow-3",
    ]  # fmt: skip


def test_found_policies_are_planned_and_others_that_come_later_are_not(runs, tmp_path, monkeypatch):
    study = OfflineOnline(Config(out=str(tmp_path), policies=(str(runs),), workers=1))
    plan = study.plan()
    assert len(plan) == 5 and {place.seed for place in plan} == {0}
    rows = [{"seed": 0, "success": 1}, {"seed": 1, "success": 0}]
    monkeypatch.setattr(
        OfflineOnline, "run_cell", lambda own, arm, x, seed, bench: Cell(arm.name, x, seed, rows, 0, FIGURES)
    )
    result = study.run()
    assert [point.x for point in result.panels[0].points] == [0.0, 1.0] * 2 and result.panels[0].places == ("F1", "L2")
    later = OfflineOnline(Config(out=str(tmp_path), policies=()))
    assert [place.arm.name for place in later.plan()] == [place.arm.name for place in plan]
    (picture,) = study.draw(result, tmp_path)
    assert picture.stat().st_size > 1000
    assert len(OfflineOnline(Config(policies=())).plan()) == 45, "where there are none it trains its own"


def test_two_ways_are_two_cheap_turns_with_a_dear_one_between():
    level = np.zeros(21)
    valley = np.abs(np.arange(21) - 7.0)
    trunk = np.minimum(np.abs(np.arange(21) - 4.0), np.abs(np.arange(21) - 15.0))
    uneven = trunk + (np.arange(21) > 9) * 2.0  # the other way costs 2 more: it is no choice
    assert has_two_ways(np.stack([level, valley, trunk, uneven])).tolist() == [False, False, True, False]


def test_the_grounds_differ_in_worlds_and_weather_as_told():
    flight, drive = TeacherSignal.full.grounds()
    for ground in (flight, drive):
        assert [mix.domain_randomisation for mix in ground.settings] == [False, True, False, True]
        assert ground.settings[0].presets == ground.settings[1].presets != ground.settings[2].presets
        assert not ground.demonstrations.domain_randomisation
    assert drive.settings[0].options.interventions == "line" and flight.settings[2].options.density == (1 / 15,)
    assert {arm.head.part for arm in TeacherSignal(TeacherSignal.full).arms()} == {
        "regression", "categorical", "soft-turns", "turn-costs", "costs-and-action",
    }  # fmt: skip


def test_named_places_are_kept_in_results_and_old_results_have_none(tmp_path):
    made = []
    for arm in TeacherSignal(TeacherSignal.quick).arms():
        for x in (0.0, 1.0):
            row = {**{f"success {kind}": 1.0 for kind in range(4)}, "one": [4.0, 1.0, 2.0], "two": [0.0, 0.0, 0.0]}
            made.append(Cell(arm.name, x, 0, [row, row]))
    result = TeacherSignal(TeacherSignal.quick).summarise(made)
    assert [panel.places for panel in result.panels] == [teacher_signal.SETTINGS] * 2 + [teacher_signal.STATES] * 2
    regret = {(point.arm, point.x): point.value.mean for point in result.panels[2].points}
    assert regret["costs", 0.0] == 0.25 and regret["costs", 1.0] == 0.0
    write_study_results(tmp_path, result)
    assert read_study_results(tmp_path).panels[0].places == teacher_signal.SETTINGS
