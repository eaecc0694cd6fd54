"""Evaluation: intervals that are right, results that repeat and resume, splits that are kept apart."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.episodes.run import RunError
from forestpilot.data_collection.episodes.seals import DamagedFileError
from forestpilot.data_collection.rollouts import results
from forestpilot.data_collection.rollouts.replay import load_stored_episode, replay_episode
from forestpilot.data_collection.rollouts.results import EpisodeFileError, result_path
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.policies.evaluation.baselines import BlindPilot, decided
from forestpilot.policies.evaluation.entrants import policy_names
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.intervals import (
    paired_difference,
    poisson_interval,
    rate_interval,
    wilson_interval,
)
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow, read_outcomes, write_outcomes
from forestpilot.policies.evaluation.scores import compare, read_summary, results_table, score, write_results
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.views import ViewConfig
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DRONE, DroneOptions
from tests.helpers.damage import damages, json_of, without_seals

ROAD_60 = DriveOptions(length=60.0, interventions="line")
ROAD_100 = DriveOptions(length=100.0, interventions="line")


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


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (100, 81.36, 121.63)]
)
def test_poisson_interval_against_published_values(count, low, high):
    assert np.allclose(poisson_interval(count), (low, high), atol=0.01)


def test_no_events_prove_little():
    assert np.allclose(rate_interval([0] * 100, [60.0] * 100), (0.0, 0.0, 3.689 / 6000), atol=1e-6)


def test_rate_interval_is_never_narrower_than_poisson_and_wider_where_worlds_differ():
    even, uneven = [2] * 20, [0] * 18 + [20] * 2
    rate, low, high = rate_interval(even, [10.0] * 20)
    assert rate == pytest.approx(0.2)
    assert np.allclose((low, high), np.array(poisson_interval(40)) / 200)
    assert rate_interval(uneven, [10.0] * 20)[2] > 1.5 * high
    assert rate_interval(uneven, [10.0] * 20) == rate_interval(uneven, [10.0] * 20)


def test_rate_interval_covers_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        _, low, high = rate_interval(rng.poisson(0.1, 50).tolist(), [1.0] * 50, resamples=200)
        covered += low <= 0.1 <= high
    assert covered >= 188


@pytest.mark.parametrize(("counts", "exposures"), [([], []), ([1], [0.0]), ([1, 2], [1.0])])
def test_rates_without_exposure_are_refused(counts, exposures):
    with pytest.raises(ValueError, match="one positive exposure per count"):
        rate_interval(counts, exposures)


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
    assert len(list((tmp_path / "evaluation" / "episodes").glob("*.npz"))) == 12


class Listener(SilentProgress):
    """Remembers what is told."""

    told = ""

    def note(self, message):
        self.told += message + "\n"


def test_damaged_outcomes_are_noticed_and_mended_by_the_same_evaluation(tmp_path):
    asked = config(tmp_path, policy=("blind", "reactive"), episodes=2)
    evaluate(asked)
    folder = tmp_path / "evaluation"
    names = ("outcomes.csv", "summary.json", "episodes/blind-02000001.npz")
    whole = {name: (folder / name).read_bytes() for name in names}
    for data in damages(whole["outcomes.csv"], 200):
        (folder / "outcomes.csv").write_bytes(data)
        with pytest.raises(DamagedFileError, match="run the same `forestpilot evaluate` again"):
            read_outcomes(folder / "outcomes.csv")
    for data in damages(whole["summary.json"], 100):
        (folder / "summary.json").write_bytes(data)
        if json_of(data) != json_of(whole["summary.json"]):
            with pytest.raises(DamagedFileError, match="run the same `forestpilot evaluate` again"):
                read_summary(folder)
    for name in names:
        (folder / name).write_bytes(whole[name][:-30])
    told = Listener()
    evaluate(asked, told)
    for name in names:
        assert (folder / name).read_bytes() == whole[name], name
        assert (folder / f"{name}.damaged").read_bytes() == whole[name][:-30]
        assert f"{name}.damaged" in told.told


def test_a_summary_says_what_it_is_of(tmp_path):
    evaluate(config(tmp_path, task="drive", policy=("me=blind",), options=ROAD_60, speed=None, episodes=1))
    summary = read_summary(tmp_path / "evaluation")
    assert (summary["format"], summary["task"], summary["rule"], summary["preset"]) == (2, "drive", "line", "winding")
    assert summary["options"]["length"] == 60.0 and summary["counts_interventions"]
    assert summary["policies"] == [
        {
            "name": "me",
            "policy": "blind",
            "fingerprint": "blind",
            "renderer": "raycast",
            "control_hz": 10,
            "versions": [package_version()],
        }
    ]


def test_episodes_that_another_version_ran_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "package_version", lambda: "0.1.9")
    evaluate(config(tmp_path, policy=("blind",), episodes=1))
    monkeypatch.undo()
    notes = NoteTaker()
    evaluate(config(tmp_path, policy=("blind",), episodes=2), notes)
    (told,) = read_summary(tmp_path / "evaluation")["policies"]
    assert told["versions"] == sorted(["0.1.9", package_version()])
    assert notes.notes[-1].endswith(
        f"are taken as they are: 1 by ForestPilot 0.1.9, 1 by ForestPilot {package_version()}"
    )


def test_a_table_that_nobody_says_anything_of_is_not_overwritten(tmp_path):
    write_outcomes(tmp_path / "evaluation" / "outcomes.csv", [row("mine", 1, 1)])
    before = contents(tmp_path)
    with pytest.raises(RunError, match=r"holds an outcomes.csv of mine, which would be lost"):
        evaluate(config(tmp_path, policy=("blind",)))
    assert contents(tmp_path) == before


def test_a_baseline_with_a_name_of_its_own_is_stored_under_it(tmp_path):
    first = evaluate(config(tmp_path, policy=("blind", "other=blind", "blind"), episodes=1))
    assert [s.policy for s in first] == ["blind", "other", "blind-2"]
    stored = {path.name for path in (tmp_path / "evaluation" / "episodes").glob("*.npz")}
    assert stored == {f"{name}-02000000.npz" for name in ("blind", "other", "blind-2")}


class Straight(BlindPilot):
    """A pilot of somebody's own: full speed ahead."""

    def act(self, observations, infos, slots):
        assert infos[0]["task_spec"].task == "drone"
        return decided(np.tile([0.0, 1.0], (len(slots), 1)))


def test_any_pilot_flies_by_the_name_of_its_module(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "my_pilots", sys.modules[__name__])
    scores = evaluate(config(tmp_path, policy=("my_pilots:Straight", "mine=my_pilots:Straight"), episodes=1))
    assert [s.policy for s in scores] == ["Straight", "mine"] and scores[0].mean_speed_mps > 1.0
    policies = read_summary(tmp_path / "evaluation")["policies"]
    assert {p["policy"] for p in policies} == {"my_pilots:Straight"}
    assert policies[0]["fingerprint"].startswith("my_pilots:Straight@")
    stored = load_stored_episode(next((tmp_path / "evaluation" / "episodes").glob("mine-*.npz")))
    assert stored.policy_path == "my_pilots:Straight"
    assert len(list(replay_episode(stored))) == len(stored.actions) + 1, "a replay needs the actions, not the pilot"


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("nowhere.at_all:Pilot", "cannot be imported"),
        ("math:Pilot", "has no 'Pilot'"),
        ("math:pi", "makes a pilot"),
        ("expet", "did you mean 'expert'"),
    ],
)
def test_a_pilot_that_is_not_there_is_told_before_anything_moves(tmp_path, policy, message):
    with pytest.raises(ForestPilotError, match=message):
        evaluate(config(tmp_path, policy=("expert", policy)))
    assert not (tmp_path / "evaluation").exists()


def test_an_evaluation_of_version_0_1_goes_on_in_the_folder_that_it_has(tmp_path):
    first = evaluate(config(tmp_path, policy=("blind",), episodes=1))
    (tmp_path / "evaluation" / "episodes").rename(tmp_path / "evaluation" / "trips")
    second = evaluate(config(tmp_path, policy=("blind",), episodes=2))
    assert len(list((tmp_path / "evaluation" / "trips").glob("*.npz"))) == 2
    assert not (tmp_path / "evaluation" / "episodes").exists()
    assert first[0].episodes == 1 and second[0].episodes == 2


def test_evaluating_again_repeats_nothing_and_changes_nothing(tmp_path):
    first = evaluate(config(tmp_path, policy=("expert",)))
    folder = tmp_path / "evaluation"
    table = (folder / "outcomes.csv").read_bytes()
    removed = folder / "episodes" / "expert-02000001.npz"
    removed.unlink()
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("episodes/*.npz")}
    assert evaluate(config(tmp_path, policy=("expert",))) == first
    assert (folder / "outcomes.csv").read_bytes() == table and removed.exists()
    assert {p: p.stat().st_mtime_ns for p in kept} == kept


def test_episodes_at_another_speed_are_neither_taken_for_these_nor_overwritten(tmp_path):
    evaluate(config(tmp_path, policy=("blind",), episodes=1))
    (tmp_path / "evaluation" / "config.json").unlink()  # as version 0.2 leaves it where it is killed
    before = contents(tmp_path)
    with pytest.raises(RunError, match=r"another 'blind' \(speed: 10.0 there, 6.0 asked\).*give another --out"):
        evaluate(config(tmp_path, policy=("blind",), episodes=1, speed=6.0))
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("without", ["episodes", "summary.json"])
def test_other_weights_under_the_same_name_are_refused(tmp_path, monkeypatch, without):
    monkeypatch.setitem(sys.modules, "my_pilots", sys.modules[__name__])
    asked = config(tmp_path, policy=("my_pilots:Straight",), episodes=1)
    evaluate(asked)
    folder = tmp_path / "evaluation"
    (folder / without).rename(tmp_path / "elsewhere")
    before = contents(tmp_path)
    monkeypatch.setattr("forestpilot.policies.evaluation.entrants._code_fingerprint", lambda reference: "edited")
    with pytest.raises(RunError, match=r"another 'Straight' \(fingerprint my_pilots:Straight@.* there, edited asked"):
        evaluate(asked)
    assert contents(tmp_path) == before


def test_an_evaluation_says_what_it_is_before_it_begins(tmp_path):
    class Killed(Exception):
        """As good as."""

    class Pool:
        workers = 1

        def run(self, job, progress, name):
            raise Killed

    with pytest.raises(Killed):
        evaluate(config(tmp_path, policy=("blind",)), pool=Pool())
    with pytest.raises(RunError, match=r"speed_mps: 10.0 there, 6.0 asked"):
        evaluate(config(tmp_path, policy=("blind",), speed=6.0))


@pytest.mark.parametrize("name", ["..", ".", "-x", "+x", "@x", ".x", "a\nb", "a\0b", "'x", "x" * 200])
def test_a_name_that_no_file_and_no_cell_can_have_is_refused(name):
    with pytest.raises(ValueError, match="is to be called"):
        EvaluateConfig(policy=(f"{name}=blind",))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("lr=0.1", "lr=0.1"),
        ("=cmd|calc", "_cmd|calc"),
        ("a\nb", "a_b"),
        ("-x", "_x"),
        ("y" * 150, "y" * 100),
    ],
)
def test_the_name_of_a_folder_is_made_safe(folder, name):
    assert policy_names((f"runs/{folder}",)) == [name]


def test_a_table_can_be_opened_in_a_spreadsheet_and_comes_back(tmp_path):
    strange = row("=cmd", 1, 1, preset="@home", options={"shape": "+1", "density": -0.5})
    write_outcomes(tmp_path / "outcomes.csv", [strange])
    cells = next(csv.DictReader((tmp_path / "outcomes.csv").open()))
    assert (cells["policy"], cells["preset"], cells["shape"], cells["density"]) == ("'=cmd", "'@home", "'+1", "-0.5")
    assert read_outcomes(tmp_path / "outcomes.csv")[0].policy == "=cmd"


@pytest.mark.parametrize("policy", ["../../x", "/etc/x", "..", "a\\b", "a\x1b[2J"])
def test_a_table_from_elsewhere_names_no_file_outside_its_folder(tmp_path, policy):
    write_outcomes(tmp_path / "outcomes.csv", [row("good", 1, 1)])
    path = tmp_path / "outcomes.csv"
    path.write_text(path.read_text().replace("good,", f"{policy},"))
    without_seals(tmp_path)
    with pytest.raises(ValueError, match="its policy is"):
        read_outcomes(path)
    with pytest.raises(EpisodeFileError, match="can be called"):
        result_path(tmp_path, policy, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"speed": 6.0}, r"speed_mps: 10.0 there, 6.0 asked"),
        (
            {"task": "drive", "options": ROAD_60, "policy": ("blind",)},
            "task: drone there, drive asked; .*options: density",
        ),
        ({"policy": ("reactive",)}, "policy: blind there, reactive asked"),
        ({"policy": ("blind=reactive",)}, "policy: blind there, blind=reactive asked"),
        ({"width": 40}, "width: 32 there, 40 asked"),
    ],
)
def test_a_folder_with_another_evaluation_is_refused_and_stays_as_it_is(tmp_path, change, told):
    evaluate(config(tmp_path, policy=("blind",), episodes=1))
    folder = tmp_path / "evaluation"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=f"{told}.*give another --out.* rm -r {folder}"):
        evaluate(config(tmp_path, **{"policy": ("blind",), "episodes": 1, **change}))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_evaluation_gets_more_policies_and_worlds_in_its_folder(tmp_path):
    evaluate(config(tmp_path, policy=("blind",), episodes=1))
    scores = evaluate(config(tmp_path, policy=("expert", "blind"), episodes=2, workers=2))
    assert [(score.policy, score.episodes) for score in scores] == [("expert", 2), ("blind", 2)]
    assert [score.episodes for score in evaluate(config(tmp_path, policy=("expert", "blind"), episodes=1))] == [1, 1]


def test_worlds_of_several_densities_are_drawn_by_their_seeds(tmp_path):
    mixed = config(tmp_path, policy=("expert",), options=DroneOptions(density=(0.02, 0.1)), episodes=6)
    assert {s.env_kwargs["density"] for s in mixed.scenarios()} == {0.02, 0.1}
    assert mixed.scenarios() == mixed.scenarios()


def test_reports_on_training_worlds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="training worlds mean nothing"):
        config(tmp_path, split="train")


def test_a_policy_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ForestPilotError, match="blind, reactive, expert"):
        evaluate(config(tmp_path, policy=("runs/nowhere",)))


def test_names_are_short_and_distinct():
    assert policy_names(("x-2=blind", "x=blind", "x=expert")) == ["x-2", "x-3", "x-4"]
    assert policy_names(("blind", "runs/a", "other/a", "best=runs/a")) == ["blind", "a", "a-2", "best"]


def row(policy: str, seed: int, success: int, **changes: Any) -> OutcomeRow:
    values: dict[str, Any] = {
        "outcome": "success" if success else "collision",
        "progress_m": 35.0,
        "mean_speed_mps": 4.0,
        "min_clearance_m": 0.3,
        "time_s": 9.0,
        "distance_m": 36.0,
    }
    return OutcomeRow(policy, seed, **{**values, **changes})


def drive(policy: str, seed: int, interventions: int, **changes: Any) -> OutcomeRow:
    """A road of 600 m, driven to its end in a minute."""
    figures = {"time_s": 60.0, "distance_m": 600.0, "mean_speed_mps": 10.0, "interventions": interventions}
    return row(policy, seed, 1, **figures, **changes)


def test_arms_are_compared_world_by_world():
    rows = [row("a", s, s % 2) for s in range(10)] + [row("b", s, 1) for s in range(5, 15)]
    result = compare(rows, "a", "b")
    assert result["worlds"] == 5 and result["difference"] == pytest.approx(0.4)
    with pytest.raises(ValueError, match="no world in common"):
        compare([row("a", 1, 1), row("b", 2, 1)], "a", "b")


def test_table_tells_timeouts_apart_from_crashes():
    rows = [row("a", 1, 1), row("a", 2, 0, outcome="timeout"), row("a", 3, 0)]
    header, line = results_table([score(rows)])
    table = dict(zip(header, line, strict=True))
    assert (table["success"], table["collision"], table["out of time"]) == ("1/3", "1", "1")


def test_autonomy_is_pilotnets():
    result = score([drive("a", seed, int(seed < 2)) for seed in range(10)], counts_interventions=True)
    assert result.interventions == 2 and result.distance_km == pytest.approx(6.0)
    assert result.autonomy == pytest.approx(1 - 6 * 2 / 600)
    assert result.autonomy_low < result.autonomy < result.autonomy_high <= 1.0
    assert result.interventions_per_km == pytest.approx(2 / 6)
    assert result.interventions_per_km_low < 2 / 6 < result.interventions_per_km_high
    assert result.successes == 8, "a road on which the car was put back is no success"


def test_no_intervention_is_not_proof_of_full_autonomy():
    result = score([drive("a", seed, 0) for seed in range(100)], counts_interventions=True)
    assert result.autonomy == result.autonomy_high == 1.0
    assert result.autonomy_low == pytest.approx(1 - 6 * 3.689 / 6000, abs=1e-5)


def test_who_runs_out_of_time_would_have_needed_help():
    """Or a car that crawls along its line would be perfectly autonomous."""
    late = drive("a", 0, 0, outcome="timeout")
    result = score([late], counts_interventions=True)
    assert result.interventions == 1 and result.autonomy == pytest.approx(0.9)


def test_autonomy_is_never_negative():
    assert score([drive("a", 0, 40)], counts_interventions=True).autonomy == 0.0


def test_flights_have_no_autonomy():
    result = score([row("a", 1, 1)])
    assert result.autonomy is None and result.interventions_per_km is None


def test_the_table_of_drives_shows_autonomy_and_interventions(tmp_path):
    rows = [drive("a", seed, seed % 2) for seed in range(4)] + [drive("b", seed, 0) for seed in range(4)]
    scores = write_results(tmp_path, rows, counts_interventions=True)
    header, first, second = results_table(scores)
    table = dict(zip(header, first, strict=True))
    assert table["autonomy"] == "95.00 %" and table["interventions"] == "2" and table["distance"] == "2.4 km"
    assert table["per km (95 %)"].startswith("0.833 (") and table["roads without any"] == "2/4"
    assert second[header.index("autonomy")] == "100.00 %"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["scores"][0]["autonomy"] == pytest.approx(0.95)
    assert summary["paired"][0]["difference"] == pytest.approx(0.5)
    stored = list(csv.DictReader((tmp_path / "outcomes.csv").open()))
    assert [r["interventions"] for r in stored] == ["0", "1", "0", "1", "0", "0", "0", "0"]


def test_rows_come_back_as_they_were_written_with_the_options_of_their_tasks(tmp_path):
    flight = row("a", 1, 1, task="drone", renderer="raycast", speed=5.0, preset="default", options={"density": 0.04})
    on_road = drive("b", 2, 1, task="drive", rule="line", options={"length": 600.0, "side_cameras": "fixed"})
    write_outcomes(tmp_path / "outcomes.csv", [flight, on_road])
    assert read_outcomes(tmp_path / "outcomes.csv") == [flight, on_road]


def test_rows_of_version_0_1_are_read(tmp_path):
    path = tmp_path / "outcomes.csv"
    path.write_text(
        "policy,seed,outcome,success,progress_m,time_s,min_clearance_m,mean_speed_mps,density,speed,preset\n"
        "a,2000000,success,1,40.1,8.2,0.31,4.9,0.04,5.0,loquercio\n"
    )
    (only,) = read_outcomes(path)
    assert only.succeeded and only.preset == "loquercio" and only.options == {"density": 0.04}
    assert (only.task, only.rule, only.distance_m, only.interventions) == ("", "", 0.0, 0)


def test_a_row_that_cannot_be_read_is_told_and_left_out(tmp_path):
    path = tmp_path / "outcomes.csv"
    write_outcomes(path, [row("a", 1, 1), row("a", 2, 1)])
    path.write_text(path.read_text().replace("a,2,success", "a,2,sucess"))
    without_seals(tmp_path)
    told: list[tuple[int, Exception]] = []
    assert [r.seed for r in read_outcomes(path, lambda line, error: told.append((line, error)))] == [1]
    assert told[0][0] == 3 and "sucess" in str(told[0][1])
    with pytest.raises(ValueError, match="sucess"):
        read_outcomes(path)


def test_summaries_say_their_format(tmp_path):
    write_results(tmp_path, [row("a", 1, 1)], about={"task": "drone"})
    assert (read_summary(tmp_path)["format"], read_summary(tmp_path)["task"]) == (2, "drone")
    (tmp_path / "summary.json").write_text('{"scores": [], "paired": []}')
    assert read_summary(tmp_path)["format"] == 1, "as version 0.1 wrote it"
    (tmp_path / "summary.json").write_text('{"format": 9, "scores": [], "paired": []}')
    with pytest.raises(ValueError, match="update ForestPilot"):
        read_summary(tmp_path)


def test_scores_are_read_without_the_simulator_and_without_torch():
    script = (
        "import sys, forestpilot.policies.evaluation.scores\n"
        "print([name for name in ('pybullet', 'torch', 'scipy', 'numba') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "swim"}, "there is no task 'swim'"),
        ({"preset": "winding"}, "allowed: default, loquercio"),
        ({"task": "drive", "preset": "loquercio"}, "allowed: winding, easy"),
        ({"task": "drive", "speed": 25.0}, "1 to 20"),
        ({"speed": 15.0}, "1 to 12"),
        ({"options": DriveOptions()}, "the drone task takes DroneOptions"),
        ({"task": "drive", "policy": ("blind", "reactive")}, "'reactive' cannot drive; .* blind, expert"),
    ],
)
def test_arguments_that_do_not_fit_the_task_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        EvaluateConfig(**{"policy": ("expert",), **values})


def test_what_is_not_given_is_the_tasks_own():
    flight, drive = EvaluateConfig(), EvaluateConfig(task="drive")
    assert (flight.speed_mps, flight.worlds, flight.counts_interventions) == (5.0, "default", False)
    assert (drive.speed_mps, drive.worlds, drive.counts_interventions) == (10.0, "winding", True)
    assert not EvaluateConfig(task="drive", options=DriveOptions(interventions="none")).counts_interventions


def test_a_policy_of_the_other_task_is_refused_before_anything_moves(tmp_path):
    with pytest.raises(ForestPilotError, match="'drone', not for 'drive'"):
        evaluate(
            config(tmp_path, task="drive", speed=None, policy=("expert", f"flyer={TASKS.get('drone').pretrained}"))
        )
    assert not (tmp_path / "evaluation").exists()


def test_drives_are_evaluated_with_their_interventions(tmp_path):
    arguments = {"task": "drive", "policy": ("expert", "blind"), "options": ROAD_100, "speed": None, "episodes": 2}
    expert, blind = evaluate(config(tmp_path, **arguments))
    assert expert.successes == 2 and expert.autonomy == 1.0 and expert.autonomy_low < 1.0
    assert blind.interventions > 2 and blind.successes == 0 and blind.autonomy < 0.9
    again = evaluate(config(tmp_path, **arguments))
    assert again == [expert, blind], "stored drives are taken as they are"
    rows = list(csv.DictReader((tmp_path / "evaluation" / "outcomes.csv").open()))
    told = {(row["task"], row["preset"], row["rule"], row["length"], row["renderer"]) for row in rows}
    assert told == {("drive", "winding", "line", "100.0", "raycast")} and "density" not in rows[0]
    assert [row["fingerprint"] for row in rows] == ["expert", "expert", "blind", "blind"]
    arguments |= {"options": DriveOptions(length=100.0, interventions="none"), "policy": ("blind",)}
    ended = evaluate(config(tmp_path / "to the end", **arguments))[0]
    assert ended.autonomy is None and ended.interventions == 0 and ended.collisions + ended.out_of_bounds == 2


class NoteTaker:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name, total=None):
        return SilentProgress().stage(name, total)

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_a_policy_on_another_renderer_warns(tmp_path):
    mix = ScenarioMix(width=32, height=24)
    policy = VisuomotorPolicy.seeded(PolicyConfig(view=ViewConfig(16, 32)), task_spec_of(DRONE, mix), 0)
    save_policy(tmp_path / "policy", policy)
    notes = NoteTaker()
    evaluate(config(tmp_path, policy=(str(tmp_path / "policy"),), episodes=1, renderer="tiny"), notes)
    assert any("learned from 'raycast' pictures and runs on 'tiny' ones" in note for note in notes.notes)


def test_the_weights_that_come_with_it_fly(tmp_path):
    scores = evaluate(config(tmp_path, policy=("pretrained",), episodes=6, speed=5.0))
    assert scores[0].policy == "pretrained" and scores[0].successes >= 5
    assert sum(path.stat().st_size for path in TASKS.get("drone").pretrained.iterdir()) < 2_000_000


def test_the_weights_that_come_with_it_drive(tmp_path):
    arguments = {
        "task": "drive",
        "policy": ("pretrained",),
        "speed": None,
        "options": DriveOptions(length=150.0, interventions="line"),
    }
    for preset in ("winding", "junctions"):
        scores = evaluate(config(tmp_path / preset, **arguments, preset=preset, episodes=3))
        assert scores[0].successes == 3 and scores[0].autonomy == 1.0
    assert sum(path.stat().st_size for path in TASKS.get("drive").pretrained.iterdir()) < 2_000_000
