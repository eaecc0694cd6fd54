"""What a report reads: runs that are whole, cut short or damaged; arms, pairs and figures counted from them."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch import cli
from forestpilot.launch.pages.blocks import Table, Text, figure, interval, p_value, percent
from forestpilot.launch.pages.figures import Axes, Line, lines_figure, shares_figure, smoothed
from forestpilot.launch.reading.evaluations import Setting, read_evaluation
from forestpilot.launch.reading.runs import read_runs
from forestpilot.launch.reading.tables import number, read_dagger, read_study, read_training
from forestpilot.launch.reports.arms import gather_arms
from forestpilot.launch.reports.behaviour import copycat_figures
from forestpilot.launch.reports.comparison import compare_arms
from forestpilot.launch.reports.failures import choose_episodes
from forestpilot.launch.reports.learning import rounds_section, study_section, training_section
from forestpilot.launch.reports.results import GAP_MEANING, results_section
from forestpilot.policies.evaluation.baselines import BlindPilot
from forestpilot.policies.evaluation.gap import ImitationGap
from forestpilot.policies.evaluation.outcome_rows import OUTCOME_FIELDS
from forestpilot.sim.tasks.drone import DRONE, DroneOptions

FIRST = 2_000_000
GAP = "imitation gap (95 %)"


def outcome(policy: str, seed: int, success: bool = True, **changes: Any) -> dict[str, Any]:
    """A row of outcomes.csv."""
    row = {
        "policy": policy, "seed": FIRST + seed, "outcome": "success" if success else "collision",
        "success": int(success), "progress_m": 35.0, "time_s": 8.0, "min_clearance_m": 0.3 if success else -0.01,
        "mean_speed_mps": 4.5, "distance_m": 36.0, "interventions": 0, "off_line_s": 0.0, "density": 0.04,
        "speed": 5.0, "preset": "default",
    }  # fmt: skip
    return row | changes


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    """An evaluation with these rows."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "outcomes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*OUTCOME_FIELDS, "density"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (folder / "summary.json").write_text("{}")
    return folder


def test_broken_rows_are_left_out_and_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "e", *(outcome("a", seed) for seed in range(4)))
    lines = (folder / "outcomes.csv").read_text().splitlines()
    lines[2] = lines[2].replace("35.0", "far")
    lines[3] = "a,2000002,succ"
    lines += ["a,2000009,exploded,1,1,1,1,1,1,0,0,0.04,5,default", "a,-3,success,1,1,1,1,1,1,0,0,0.04,5,default"]
    lines += ["a,2000010,success,1,nan,1,1,1,1,0,0,0.04,5,default"]
    (folder / "outcomes.csv").write_text("\n".join(lines) + "\n")
    evaluation = read_evaluation(folder)
    assert [row.seed - FIRST for row in evaluation.rows] == [0, 3]
    told = " ".join(evaluation.notes)
    assert "line 3 is left out" in told and "far" in told
    assert "line 4" in told and "line 6" in told and "exploded" in told
    assert "2 more lines" in told


def test_an_evaluation_without_a_summary_or_with_no_rows_says_so(tmp_path: Path) -> None:
    folder = write(tmp_path / "e", outcome("a", 0))
    (folder / "summary.json").unlink()
    assert "no summary.json" in read_evaluation(folder).notes[0]
    (folder / "outcomes.csv").write_text("policy,seed\n")
    assert "no episode that can be read" in read_evaluation(folder).notes[0]
    (folder / "outcomes.csv").write_bytes(bytes(range(256)) * 8)
    assert read_evaluation(folder).rows == []


def test_an_older_table_without_newer_columns_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text(
        "policy,seed,outcome,success,progress_m,time_s,min_clearance_m,mean_speed_mps,density,speed,preset\n"
        "a,2000000,success,1,35,8,0.3,4.5,0.04,5,default\n"
    )
    (row,) = read_evaluation(tmp_path).rows
    assert (row.distance_m, row.interventions, row.end) == (0.0, 0, "success")


def test_an_evaluation_that_was_killed_is_read_from_its_episodes(tmp_path: Path) -> None:
    mix = ScenarioMix(speeds=(12.0, 12.0), options=DroneOptions(density=(0.1,)), width=32, height=24)
    episodes = tuple(mix.scenario(seed, DRONE) for seed in (FIRST, FIRST + 1))
    with RolloutPool(1) as pool:
        finished = pool.run(
            Job("drone", episodes, BlindPilot, results_folder=str(tmp_path / "episodes"), policy="blind")
        )
    evaluation = read_evaluation(tmp_path)
    assert not evaluation.finished
    assert [row.outcome for row in evaluation.rows] == [episode.outcome for episode in finished]
    assert evaluation.setting(evaluation.rows[0]) == Setting("drone", "default", 12.0, (("density", 0.1),))
    assert not evaluation.facts["blind"].trained
    assert "was not finished" in evaluation.notes[0]
    path = evaluation.result_path(evaluation.rows[0])
    path.write_bytes(path.read_bytes()[:200])
    evaluation = read_evaluation(tmp_path)
    assert len(evaluation.rows) == 1
    assert f"{path} is left out" in evaluation.notes[0]


def test_a_table_is_reported_without_the_simulator(tmp_path: Path) -> None:
    folder = write(tmp_path / "e", outcome("a", 0), outcome("b", 0, success=False))
    code = (
        "import sys\nfrom forestpilot.launch import cli\n"
        "assert cli.main(['report', sys.argv[1], '--failures', '0', '--replays', '0']) == 0\n"
        "print(sorted({'pybullet', 'torch', 'numba', 'cv2', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_nested_runs_are_found_and_other_folders_named(tmp_path: Path) -> None:
    run = tmp_path / "demo"
    write(run / "evaluation", outcome("a", 0))
    write(run / "drive" / "evaluation", outcome("a", 0, preset="winding", density=None))
    write(run / "rounds" / "round-00", outcome("a", 0))
    (run / "rounds.csv").write_text("round,labels\n0,10\n")
    (run / "metrics.csv").write_text("round,step,loss\n0,50,1.0\n")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    runs = read_runs([run, run / "evaluation", tmp_path / "file", tmp_path / "empty", tmp_path / "gone"])
    found = [evaluation.folder.relative_to(run).as_posix() for evaluation in runs.evaluations]
    assert sorted(found) == ["drive/evaluation", "evaluation"], "each once, none among the rounds"
    assert (len(runs.daggers), len(runs.trainings), runs.says_something) == (1, 1, True)
    told = "\n".join(runs.notes)
    assert "file is no folder" in told and "empty holds no run" in told and "nothing of that name" in told


def test_policies_of_one_name_are_told_apart_by_their_run(tmp_path: Path) -> None:
    first = read_evaluation(write(tmp_path / "one" / "evaluation", outcome("dagger", 0), outcome("blind", 0)))
    second = read_evaluation(write(tmp_path / "two" / "evaluation", outcome("dagger", 0), outcome("blind", 1)))
    arms = gather_arms([first, second], [])
    assert [arm.name for arm in arms] == ["dagger (one)", "blind", "dagger (two)"]
    assert len(arms[1].episodes) == 2, "the baseline is the same wherever it flies"


def test_a_world_that_an_arm_was_run_in_twice_counts_once(tmp_path: Path) -> None:
    first = read_evaluation(write(tmp_path / "a", outcome("blind", 0), outcome("blind", 1)))
    second = read_evaluation(write(tmp_path / "b", outcome("blind", 1), outcome("blind", 2)))
    notes: list[str] = []
    (arm,) = gather_arms([first, second], notes)
    assert arm.score.episodes == 3
    assert "an episode through a world" in notes[0] and str(tmp_path / "b") in notes[0]


def test_settings_are_told_in_words() -> None:
    drone = Setting("drone", "loquercio", 10.0, (("density", 0.1),))
    assert drone.words == "loquercio forest, 1/10 trees/m2, 10 m/s"
    drive = Setting("drive", "winding", 10.0, (("length", 600.0),), "line")
    assert drive.words == "winding road of 600 m, 10 m/s, put back when 1 m off the line"
    assert Setting("gone", "plain", 3.0).words == "plain, 3 m/s", "a plug-in that is not installed any more"


def test_arms_are_compared_over_the_worlds_they_share(tmp_path: Path) -> None:
    rows = [outcome("a", seed, success=seed < 3) for seed in range(12)]
    rows += [outcome("b", seed) for seed in range(10)]
    rows += [outcome("c", seed, speed=9.0) for seed in range(5)]
    arms = gather_arms([read_evaluation(write(tmp_path, *rows))], [])
    pairs, notes = compare_arms(arms)
    (pair,) = pairs
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (3, 0, 7, 0)
    assert pair.p == pair.p_holm == 2 / 2**7
    assert pair.difference == pytest.approx(0.7) and pair.low < 0.7 < pair.high
    assert pair.shown and pair.verdict == "b succeeds in more of these worlds than a."
    assert notes[0] == "a (12 worlds) and b (10) share only 10; the comparison is over these."
    assert notes[1:] == [f"{name} and c share no world and are not compared." for name in "ab"]


def gap_told(policy: str, worlds: int) -> dict[str, Any]:
    """An imitation gap as summary.json has it."""
    return dataclasses.asdict(ImitationGap(policy, worlds, 35.0, 29.5, gap=5.5, low=2.25, high=8.75))


def results_table(*folders: Path) -> tuple[Table, list[str]]:
    """The table of results of these evaluations, and the texts around it."""
    arms = gather_arms(list(map(read_evaluation, folders)), [])
    blocks = results_section("drone", arms, compare_arms(arms)[0]).blocks
    (table,) = (block for block in blocks if isinstance(block, Table))
    return table, [block.text for block in blocks if isinstance(block, Text)]


def column(table: Table, name: str) -> dict[str, str]:
    """The cells of a column, by arm."""
    return {str(row[0].text): row[table.header.index(name)] for row in table.rows}


def test_the_gap_to_the_expert_is_a_column_where_somebody_asked_for_it(tmp_path: Path) -> None:
    rows = [outcome(name, seed) for name in ("asked", "expert") for seed in range(6)]
    evaluation = write(tmp_path / "e", *rows)
    table, texts = results_table(evaluation)
    assert GAP not in table.header and GAP_MEANING not in texts, "nobody asked"

    (evaluation / "summary.json").write_text(json.dumps({"imitation_gap": [gap_told("asked", 6)]}))
    table, texts = results_table(evaluation)
    assert column(table, GAP) == {"asked": "5.5 (2.2 to 8.8)", "expert": "–"}
    assert GAP_MEANING in texts


def test_a_gap_of_other_worlds_than_the_table_tells_of_is_left_out(tmp_path: Path) -> None:
    here = write(tmp_path / "a", *(outcome("p", seed) for seed in range(6)))
    (here / "summary.json").write_text(json.dumps({"imitation_gap": [gap_told("p", 5)]}))
    assert GAP not in results_table(here)[0].header, "of five worlds, and the table tells of six"


def test_the_page_shows_the_gap_and_what_it_means(tmp_path: Path) -> None:
    evaluation = write(tmp_path / "e", *(outcome("asked", seed) for seed in range(6)))
    page = tmp_path / "page.html"
    told = []
    for summary in ({}, {"imitation_gap": [gap_told("asked", 6)]}):
        (evaluation / "summary.json").write_text(json.dumps(summary))
        assert cli.main(["report", str(evaluation), "--out", str(page), "--failures", "0", "--replays", "0"]) == 0
        told.append(page.read_text(encoding="utf-8"))
    before, after = told
    assert GAP not in before and "5.5 (2.2 to 8.8)" not in before
    assert GAP in after and "5.5 (2.2 to 8.8)" in after and "less 10 for a crash" in after


def test_many_pairs_are_corrected(tmp_path: Path) -> None:
    rows = [outcome(name, seed, success=seed >= worst) for name, worst in (("a", 0), ("b", 6), ("c", 6))
            for seed in range(20)]  # fmt: skip
    pairs, _ = compare_arms(gather_arms([read_evaluation(write(tmp_path, *rows))], []))
    assert [pair.p for pair in pairs] == [0.03125, 0.03125, 1.0]
    assert [pair.p_holm for pair in pairs] == [0.09375, 0.09375, 1.0]
    assert not pairs[0].shown and "No difference" in pairs[0].verdict


def test_the_worst_episodes_are_those_of_policies_that_learned(tmp_path: Path) -> None:
    rows = [outcome("blind", seed, success=False) for seed in range(9)]
    rows += [outcome("bc", seed, success=seed > 3, min_clearance_m=-0.01 * seed) for seed in range(9)]
    rows += [outcome("dagger", seed, success=seed != 5, min_clearance_m=0.1 * seed) for seed in range(9)]
    arms = gather_arms([read_evaluation(write(tmp_path, *rows))], [])
    chosen = [(choice.row.policy, choice.row.seed - FIRST, choice.failed) for choice in choose_episodes(arms, 7)]
    assert chosen[:5] == [("bc", 3, True), ("dagger", 5, True), ("bc", 2, True), ("bc", 1, True), ("bc", 0, True)]
    assert chosen[5:] == [("bc", 8, False), ("dagger", 0, False)], "then the nearest misses"
    blind = [choice.row.policy for choice in choose_episodes(arms[:1], 2)]
    assert blind == ["blind", "blind"], "where there is nothing else"


def test_a_dagger_run_that_was_killed_tells_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "dagger.json").write_text(json.dumps({"rounds": 6, "task": "drone"}))
    assert "no round of DAgger is finished" in read_dagger(tmp_path).notes[0]
    (tmp_path / "rounds.csv").write_text(
        "round,labels,validation_success,validation_episodes,low,high,takeovers,new_thing\n"
        "0,100,0.5,40,0.35,0.65,0,1.5\n1,200,,0,,,3,2\n3,400,0.75,40,0.6,0.86,7,2\n4,50"
    )
    run = read_dagger(tmp_path)
    told = " ".join(run.notes)
    assert "lacks round 2" in told and "rounds 0 to 3 of 6" in told and "1 of 4 rows" in told and "no policy" in told
    section = rounds_section([run])
    table = section.blocks[-1]
    assert "takeovers" in table.header and "new thing" in table.header, "columns are shown by name"
    assert list(table.rows[2]) == ["3", "400", "75 %", "60–86 %", "40", "7", "2"]
    assert [line.title for line in section.blocks[1].diagrams] == ["Success by round", "Success by number of labels"]


def test_rounds_of_version_0_1_stand_below_the_names_of_this_one(tmp_path: Path) -> None:
    (tmp_path / "rounds.csv").write_text("round,trips,labels,helped_steps\n0,3,10,7\n")
    table = rounds_section([read_dagger(tmp_path)]).blocks[-1]
    assert table.header == ("round", "episodes", "labels", "steps driven for it")


def test_the_round_that_was_kept_is_told_with_its_worlds(tmp_path: Path) -> None:
    (tmp_path / "rounds.csv").write_text("round,labels,validation_success,low,high\n0,10,0.5,0.1,0.9\n")
    (tmp_path / "policy.json").write_text(json.dumps({"extra": {"chosen": {"round": 0}}}))
    rows = [outcome("round-00", seed, success=seed > 1, speed=3.0 + seed) for seed in range(8)]
    (tmp_path / "rounds" / "round-00").mkdir(parents=True)
    (tmp_path / "rounds" / "round-00" / "validation.json").write_text(json.dumps({"rows": rows}))
    run = read_dagger(tmp_path)
    assert (run.chosen, len(run.validation), run.notes) == (0, 8, [])
    by_setting = rounds_section([run]).blocks[-1]
    assert by_setting.header == ("validation worlds", "2–4 m/s", "4–6 m/s", "6–8 m/s", "8–10 m/s", "10–12 m/s")
    assert [cell.text for cell in by_setting.rows[0][1:]] == ["0 %", "50 %", "100 %", "100 %", "100 %"]


def test_training_curves_go_on_over_rounds(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "round,step,loss,oddity\n0,50,1.0,\n0,100,0.5,2\n1,50,0.4,3\n1,100,nan,4\n1,15"
    )
    run = read_training(tmp_path)
    assert run.total_steps == [50, 100, 150, 200] and run.round_ends == [100]
    assert "1 of 5 rows" in run.notes[0]
    titles = [diagram.title for diagram in training_section([run]).blocks[1].diagrams]
    assert titles == ["Loss", "Oddity"]
    assert smoothed([1, 2, 3], [5.0, math.nan, 7.0]) == ([1.0, 3.0], [5.0, 7.0])
    assert smoothed([1], [math.nan]) == ([], [])


def test_a_study_is_drawn_from_its_table_or_said_to_be_unfinished(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "a-1-seed-0.json").write_text("{}")
    unfinished = study_section(read_study(tmp_path), 1)
    assert "1 of its cells" in unfinished.blocks[0].text
    (tmp_path / "results.csv").write_text(
        "figure,arm,x,seeds,roads,mean,low,high\nodd_figure,a,1,3,24,0.5,0.4,0.6\nodd_figure,b,2,3,24,0.7,0.6,0.9\n"
    )
    diagrams, table = study_section(read_study(tmp_path), 1).blocks
    assert diagrams.legend == [(0, "a"), (1, "b")] and diagrams.diagrams[0].title == "Odd figure"
    assert len(table.rows) == 2 and table.folded
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    assert "no column x, mean, low, high" in read_study(tmp_path).notes[0]


def trace(turns: list[float], expert: list[float], speeds: list[float] | None = None) -> Any:
    """As much of a trace as the figures need; 1 step a second."""
    return SimpleNamespace(
        turn_deg=np.array(turns), expert_turn_deg=np.array(expert), spec=SimpleNamespace(control_hz=1),
        speed_mps=np.array(speeds or [5.0] * (len(turns) + 1)),
    )  # fmt: skip


def test_who_repeats_the_last_turn_is_seen_by_it() -> None:
    expert = [0.0] * 10 + [30.0] * 10
    late = [0.0] * 12 + [30.0] * 8
    copycat = copycat_figures([trace(late, expert)] * 2)
    prompt = copycat_figures([trace(expert, expert)] * 2)
    assert copycat is not None and prompt is not None
    assert (prompt.ratio, prompt.error_deg, prompt.change_error_deg, prompt.repeats) == (1.0, 0.0, 0.0, 0.0)
    assert copycat.change_error_deg == 30.0 and copycat.repeats == 1.0
    assert copycat.error_deg == pytest.approx(2 * 30.0 / 36), "late by two steps, the first of them at the change"
    still = copycat_figures([trace([0.0] * 20, expert)] * 2)
    assert still is not None
    assert still.ratio == 0.0 == still.ratio_high and math.isnan(still.autocorrelation)
    assert still.expert_autocorrelation == pytest.approx(0.9, abs=0.02)


def test_standing_counts_after_the_start_and_before_the_end() -> None:
    figures = copycat_figures([trace([1.0] * 7, [1.0] * 7, [0, 0, 5, 5, 0, 5, 5, 0])])
    assert figures is not None
    assert figures.standing == pytest.approx(0.2)
    assert math.isnan(figures.ratio) and math.isnan(figures.ratio_low)
    assert copycat_figures([]) is None and copycat_figures([trace([1.0], [1.0])]) is None


def test_figures_are_written_as_people_read_them() -> None:
    assert [percent(v) for v in (0.97, 1.0, 0.0, None, math.nan)] == ["97 %", "100 %", "0 %", "–", "–"]
    assert (percent(0.997), percent(0.99987), percent(0.001)) == ("99.7 %", "99.99 %", "0.1 %"), (
        "not quite all, or none"
    )
    assert (interval(0.741, 0.965), interval(None, 1.0)) == ("74–96 %", "–")
    assert (figure(-0.001, " m"), figure(-0.31, " m"), figure(math.nan)) == ("0.00 m", "−0.31 m", "–")
    assert (p_value(0.00001), p_value(0.0312), p_value(1.0)) == ("< 0.001", "= 0.031", "= 1")
    assert math.isnan(number(None)) and number("3") == 3.0


def test_diagrams_have_ids_of_their_own_and_take_their_colours_from_the_page() -> None:
    alt = 'names such as <script> and "$x$" \\1'
    axes = Axes("x $", "y", log="x")
    first, second = (
        lines_figure([Line(0, [1, 2], [1, 4], [0.5, 3], [2, 5]), Line(7, [1, 10], [2, 3])], axes, alt) for _ in range(2)
    )
    assert "&lt;script&gt;" in first and "<script" not in first and "x $" in first
    assert "var(--series-0)" in first and "var(--ink)" in first and "#1f6fb2" not in first
    assert "http://www.w3.org" in first and first.count("http") == 2, "only the names of SVG itself"
    ids = [{part.split('"')[0] for part in svg.split('id="')[1:]} for svg in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    assert len(shares_figure([(0, np.random.default_rng(0).random(5000)), (1, [])], "m", "many")) < 40_000


def test_a_damaged_json_becomes_a_note(tmp_path: Path) -> None:
    (tmp_path / "dagger.json").write_text('{"rounds": 6')
    (tmp_path / "rounds.csv").write_text("round,labels\n0,10\n")
    (tmp_path / "policy.json").write_text("[1]")
    told = " ".join(read_dagger(tmp_path).notes)
    assert (
        "dagger.json cannot be read" in told and "policy.json has been damaged or altered (it holds no mapping)" in told
    )


def test_runs_that_nobody_labels_are_drawn_by_steps_and_crashes(tmp_path: Path) -> None:
    header = "round,labels,validation_success,low,high,validation_episodes,visited,crashes,rollout_success\n"
    rows = ["0,0,0.4,0.3,0.5,40,0,0,0\n", "1,0,0.8,0.7,0.9,40,2048,17,0.5\n"]
    (tmp_path / "rounds.csv").write_text(header + "".join(rows))
    (tmp_path / "policy.json").write_text('{"extra": {"trained_by": "reinforcement learning", "chosen": {"round": 1}}}')
    section = rounds_section([read_dagger(tmp_path)])
    assert section.title == "Reinforcement learning, round by round"
    assert "nobody labels" in section.blocks[0].text and "expert labels the states" not in section.blocks[0].text
    titles = [diagram.title for diagram in section.blocks[1].diagrams]
    assert titles == ["Success by round", "Success by steps", "Crashes while training"]
    assert "rounds of reinforcement learning" in section.blocks[-1].caption
