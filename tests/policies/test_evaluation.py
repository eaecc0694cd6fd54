"""Evaluation: intervals that are right, results that repeat and resume, splits that are kept apart."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collection.progress import SilentProgress
from data_collection.trips import TripMix, task_spec_of
from policies.checkpoint import save_policy
from policies.evaluation import EvaluateConfig, compare, evaluate, results_table, score
from policies.intervals import paired_difference, wilson_interval
from policies.pilots import PRETRAINED_FOLDER, policy_names
from policies.visuomotor import PolicyConfig, VisuomotorPolicy
from sim.errors import ForestPilotError


def config(tmp_path: Path, **changes) -> EvaluateConfig:
    values = {
        "out": str(tmp_path / "evaluation"),
        "episodes": 4,
        "speed": 10.0,
        "workers": 1,
        "width": 32,
        "height": 24,
    }
    return EvaluateConfig(**{**values, **changes})


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"), [(6, 10, 0.313, 0.832), (90, 100, 0.826, 0.945), (100, 100, 0.963, 1.0)]
)
def test_wilson_interval_against_published_values(successes, trials, low, high):
    assert np.allclose(wilson_interval(successes, trials), (low, high), atol=6e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_within_0_and_1(pair):
    low, high = wilson_interval(*pair)
    assert 0 <= low <= pair[0] / pair[1] <= high <= 1


@given(st.integers(0, 40), st.integers(0, 40))
def test_paired_difference_turns_its_sign_with_the_arms(a, b):
    d1, low1, high1 = paired_difference(a, b, 100)
    d2, low2, high2 = paired_difference(b, a, 100)
    assert d1 == -d2 and np.allclose((low1, high1), (-high2, -low2))
    assert low1 <= d1 <= high1


def test_outcomes_are_written_one_row_per_policy_and_world(tmp_path):
    scores = evaluate(config(tmp_path, policy=("expert", "blind", "reactive")))
    rows = list(csv.DictReader((tmp_path / "evaluation" / "outcomes.csv").open()))
    assert [r["policy"] for r in rows] == ["expert"] * 4 + ["blind"] * 4 + ["reactive"] * 4
    assert [int(r["seed"]) for r in rows[:4]] == [2_000_000, 2_000_001, 2_000_002, 2_000_003]
    assert scores[0].successes == 4 == sum(int(r["success"]) for r in rows[:4])
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert [s["policy"] for s in summary["scores"]] == ["expert", "blind", "reactive"]
    assert {p["second"] for p in summary["paired"]} == {"blind", "reactive"}
    assert len(list((tmp_path / "evaluation" / "trips").glob("*.npz"))) == 12


def test_evaluating_again_repeats_nothing_and_changes_nothing(tmp_path):
    first = evaluate(config(tmp_path, policy=("expert",)))
    folder = tmp_path / "evaluation"
    table = (folder / "outcomes.csv").read_bytes()
    removed = folder / "trips" / "expert-02000001.npz"
    removed.unlink()
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("trips/*.npz")}
    assert evaluate(config(tmp_path, policy=("expert",))) == first
    assert (folder / "outcomes.csv").read_bytes() == table and removed.exists()
    assert {p: p.stat().st_mtime_ns for p in kept} == kept


def test_trips_at_another_speed_are_not_taken_for_these(tmp_path):
    evaluate(config(tmp_path, policy=("expert",), episodes=2))
    slower = evaluate(config(tmp_path, policy=("expert",), episodes=2, speed=6.0))
    assert slower[0].mean_speed_mps < 7.0


def test_reports_on_training_worlds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="training worlds mean nothing"):
        config(tmp_path, split="train")


def test_a_policy_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ForestPilotError, match="blind, reactive, expert"):
        evaluate(config(tmp_path, policy=("runs/nowhere",)))


def test_names_are_short_and_distinct():
    assert policy_names(("blind", "runs/a", "other/a", "best=runs/a")) == ["blind", "a", "a-2", "best"]


def row(policy: str, seed: int, success: int) -> dict:
    outcome = "success" if success else "collision"
    return {"policy": policy, "seed": seed, "success": success, "outcome": outcome, "progress_m": 35.0,
            "mean_speed_mps": 4.0, "min_clearance_m": 0.3}  # fmt: skip


def test_arms_are_compared_world_by_world():
    rows = [row("a", s, s % 2) for s in range(10)] + [row("b", s, 1) for s in range(5, 15)]
    result = compare(rows, "a", "b")
    assert result["worlds"] == 5 and result["difference"] == pytest.approx(0.4)
    with pytest.raises(ValueError, match="no world in common"):
        compare([row("a", 1, 1), row("b", 2, 1)], "a", "b")


def test_table_tells_timeouts_apart_from_crashes():
    rows = [row("a", 1, 1), {**row("a", 2, 0), "outcome": "timeout"}, row("a", 3, 0)]
    header, line = results_table([score(rows)])
    table = dict(zip(header, line, strict=True))
    assert (table["success"], table["collision"], table["timeout"]) == ("1/3", "1", "1")


class NoteTaker:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name, total=None):
        return SilentProgress().stage(name, total)

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_a_policy_on_another_renderer_warns(tmp_path):
    mix = TripMix(width=32, height=24)
    policy = VisuomotorPolicy.seeded(PolicyConfig(view_height=16, view_width=32), task_spec_of("drone", mix), 0)
    save_policy(tmp_path / "policy", policy)
    notes = NoteTaker()
    evaluate(config(tmp_path, policy=(str(tmp_path / "policy"),), episodes=1, renderer="tiny"), notes)
    assert any("learned from 'raycast' pictures and flies on 'tiny' ones" in note for note in notes.notes)


def test_the_weights_that_come_with_it_fly(tmp_path):
    scores = evaluate(config(tmp_path, policy=("pretrained",), episodes=6, speed=5.0))
    assert scores[0].policy == "pretrained" and scores[0].successes >= 5
    assert sum(path.stat().st_size for path in PRETRAINED_FOLDER.iterdir()) < 2_000_000
