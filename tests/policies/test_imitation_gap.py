"""The imitation gap: returns are the environment's, the expert is run where it is not there, old results have none."""

import json
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.launch.reading.evaluations import read_evaluation
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.gap import expert_returns, gap_in, gap_interval
from forestpilot.launch.studies.study import Bench
from forestpilot.launch.verbs.evaluate import Config, run
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.gap import ImitationGap, imitation_gap
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow, read_outcomes
from forestpilot.policies.evaluation.scores import read_summary
from forestpilot.sim.outcomes import episode_return
from forestpilot.sim.tasks import TASKS

WORLDS = {"episodes": 2, "speed": 10.0, "workers": 1, "width": 32, "height": 24}


@pytest.mark.parametrize(
    ("task", "options", "turn"),
    [
        ("drone", {"density": 0.1}, 0.0),
        ("drive", {"length": 60.0, "interventions": "line"}, 0.4),
        ("drive", {"length": 60.0, "interventions": "none"}, -0.4),
    ],
)
def test_a_return_is_the_sum_of_the_rewards(task, options, turn):
    env = make_env(TASKS.get(task), speed=10.0, width=32, height=24, **options)
    env.draw_only(())
    _, info = env.reset(seed=2_000_001)
    total, over = 0.0, False
    while not over:
        _, reward, terminated, truncated, info = env.step(np.array([turn, 1.0], np.float32))
        total, over = total + reward, terminated or truncated
    env.close()
    told = episode_return(info["outcome"], info["progress_m"], info.get("interventions", 0))
    assert info["outcome"] != "success" or info["interventions"], "something was punished"
    assert total == pytest.approx(told)


def row(policy: str, seed: int, progress_m: float, outcome: str = "success", interventions: int = 0) -> OutcomeRow:
    return OutcomeRow(policy, seed, outcome, progress_m, 9.0, 0.3, 4.0, interventions=interventions)


def test_the_gap_is_paired_by_world():
    expert = [row("expert", 1, 35.0), row("expert", 2, 36.0), row("expert", 3, 30.0)]
    policy = [row("mine", 2, 20.0, "collision"), row("mine", 1, 35.0), row("mine", 9, 0.0)]
    gap = imitation_gap(policy, expert)
    assert (gap.policy, gap.worlds, gap.gap) == ("mine", 2, 13.0), "26 in one world, none in the other"
    assert (gap.expert_return, gap.policy_return) == (35.5, 22.5)
    assert gap.low == pytest.approx(13 - 12.706 * 13, abs=0.01) and gap.high == pytest.approx(
        13 + 12.706 * 13, abs=0.01
    )
    assert imitation_gap([row("mine", 1, 15.0, interventions=2)], expert).words == "40.0 (a single world)"
    with pytest.raises(ValueError, match="share no world"):
        imitation_gap([row("mine", 5, 1.0)], expert)


def test_the_expert_is_run_beside_the_evaluation_once(tmp_path, capsys, monkeypatch):
    asked = Config(policy=("blind",), out=str(tmp_path / "e"), **WORLDS)
    run(asked)
    folder = tmp_path / "e"
    stored = read_summary(folder)
    (values,) = stored["imitation_gap"]
    gap = ImitationGap.from_values(values)
    assert f"imitation gap {gap.words}" in capsys.readouterr().out and gap.gap > 5
    assert {r.policy for r in read_outcomes(folder / "outcomes.csv")} == {"blind"}, "the table has who was asked for"
    assert read_evaluation(folder).gaps == {"blind": gap}
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "expert").rglob("*.npz")}
    run(asked)
    assert {path: path.stat().st_mtime_ns for path in (folder / "expert").rglob("*.npz")} == stamps and len(stamps) == 2
    with_expert = evaluate_again(tmp_path / "f")
    assert [g["gap"] for g in with_expert["imitation_gap"]] == [gap.gap], "among the policies it is not run again"
    assert not (tmp_path / "f" / "expert").exists()


def evaluate_again(folder: Path) -> dict:
    evaluate(EvaluateConfig(policy=("teacher=expert", "blind"), out=str(folder), imitation_gap=True, **WORLDS))
    return read_summary(folder)


def test_it_can_be_left_out_and_old_summaries_have_none(tmp_path, capsys):
    run(Config(policy=("blind",), out=str(tmp_path), imitation_gap=False, **WORLDS))
    assert "imitation_gap" not in json.loads((tmp_path / "summary.json").read_text())
    assert not (tmp_path / "expert").exists() and "imitation gap" not in capsys.readouterr().out
    assert read_evaluation(tmp_path).gaps == {}


@pytest.mark.parametrize(
    "values", [{"policy": "a"}, {**vars(imitation_gap([row("a", 1, 1)], [row("b", 1, 2)])), "gap": float("nan")}]
)
def test_what_is_no_gap_is_refused(values):
    with pytest.raises((TypeError, ValueError)):
        ImitationGap.from_values(values)


def test_studies_share_the_experts_runs(tmp_path):
    asked = EvaluateConfig(policy=("blind",), out=str(tmp_path / "cell"), **WORLDS)
    with RolloutPool(1) as pool:
        bench = Bench(tmp_path, pool, SilentProgress())
        rows = bench.evaluate(asked)
        expert = expert_returns(asked, bench)
        assert expert_returns(asked, bench) == expert and expert.keys() == {2_000_000, 2_000_001}
    gaps = [gap_in(one, expert) for one in rows]
    direct = imitation_gap(
        read_outcomes(tmp_path / "cell" / "outcomes.csv"),
        read_outcomes(tmp_path / "expert" / "worlds" / "outcomes.csv"),
    )
    assert np.mean(gaps) == pytest.approx(direct.gap)
    cell = Cell("a", 1, 0, [{"gap": gap} for gap in gaps])
    assert gap_interval([cell]).mean == pytest.approx(direct.gap)
