"""Tables, plots and benchmarks."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.launch import cli
from forestpilot.launch.benchmarks.env import PLACES, Stopwatch
from forestpilot.launch.pictures.plots import plot_rounds, plot_success_grid
from forestpilot.launch.terminal.tables import fitting, format_columns, format_density, print_table
from forestpilot.launch.verbs.bench import BenchConfig, flatten, measure
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions


@dataclass(frozen=True)
class Round:
    """A DAgger round."""

    round: int
    labels: int
    validation_success: float | None
    validation_episodes: int
    low: float | None
    high: float | None


def test_rounds_are_plotted_with_their_intervals(tmp_path: Path) -> None:
    rounds = [Round(0, 100, 0.5, 40, 0.35, 0.65), Round(1, 200, None, 0, None, None), Round(2, 300, 1.0, 40, 0.91, 1.0)]
    path = plot_rounds(rounds, tmp_path / "plots" / "rounds.svg", chosen=2)
    text = path.read_text()
    assert path.parent.name == "plots"
    assert "<svg" in text
    assert [p.name for p in path.parent.iterdir()] == ["rounds.svg"]
    with pytest.raises(ValueError, match="no round"):
        plot_rounds(rounds[1:2], path, chosen=1)


def test_the_success_grid_is_plotted(tmp_path: Path) -> None:
    path = plot_success_grid({(0.04, 5.0): (98, 100), (0.04, 10.0): (50, 100)}, tmp_path / "grid.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no cells"):
        plot_success_grid({}, path)


def test_columns_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("policy", "n"), ("a", "100"), ("longer name", "9")]
    assert format_columns(rows) == ["policy         n", "a            100", "longer name    9"]
    print_table(rows, title="results")
    assert capsys.readouterr().out.splitlines()[0] == "results"


def test_densities_are_written_as_in_the_literature() -> None:
    assert [format_density(d) for d in (0.04, 1 / 49, 0.0)] == ["1/25", "1/49", "0"]


def test_an_evaluation_says_in_which_worlds() -> None:
    flights, drives = EvaluateConfig(episodes=40), EvaluateConfig(task="drive", episodes=40)
    assert flights.describe() == "40 test forests: default forest, 1/25 trees/m2, 5 m/s"
    assert "loquercio forest" in dataclasses.replace(flights, preset="loquercio").describe()
    assert drives.describe() == "40 test roads: winding road of 600 m, 10 m/s, put back when 1 m off the line"
    left_alone = dataclasses.replace(drives, options=DriveOptions(interventions="none"))
    assert left_alone.describe().endswith("nobody intervenes")
    mixed = dataclasses.replace(flights, options=DroneOptions(density=(0.04, 0.1)))
    assert "1/25" in mixed.describe() and "1/10" in mixed.describe()


def test_bench_env_prints_and_stores_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"width": 32, "height": 24}
    monkeypatch.setattr("forestpilot.launch.benchmarks.env._bench_resets", lambda place, resets: {"reset_ms": 1.0})
    monkeypatch.setattr("forestpilot.launch.benchmarks.hazards.REPEATS", 1)
    monkeypatch.setattr(
        "forestpilot.launch.benchmarks.hazards.ROAD", {"preset": "easy", "length": 150.0, "control_hz": 5, **small}
    )
    places = {place: (env_id, options | small) for place, (env_id, options) in PLACES.items()}
    places["winding road"][1]["length"] = 60.0
    monkeypatch.setattr("forestpilot.launch.benchmarks.env.PLACES", places)
    path = tmp_path / "out" / "env.json"
    assert cli.main(["bench", "env", "--seconds", "0.1", "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    assert figures["1/25"]["steps_per_s"] > 0
    assert sum(figures["1/25"]["share"].values()) == pytest.approx(1.0)
    assert 250 < figures["300 trees"]["trees"] < 350
    assert figures["winding road"]["steps_per_s"] > 0 and figures["winding road"]["reset_ms"] == 1.0
    assert figures["3 hazards in view"]["steps"] > 0 and figures["3 hazards in view"]["ratio"] > 0.0
    assert "1/25.share.render" in capsys.readouterr().out


def test_bench_expert_times_its_queries() -> None:
    figures = measure(BenchConfig("expert", seconds=0.3))
    assert 0 < figures["query_ms"]["median"] <= figures["query_ms"]["p95"] <= figures["query_ms"]["max"]
    for label, query in (("label_ms", "query_ms"), ("drive_label_ms", "drive_query_ms")):
        assert figures[label]["median"] == pytest.approx(3 * figures[query]["median"])


def test_benchmarks_need_some_time() -> None:
    with pytest.raises(ValueError, match=r"seconds is .*allowed: above 0"):
        BenchConfig("expert", seconds=0.0)


def test_nested_figures_become_rows() -> None:
    assert flatten({"a": {"b": 1.23456, "c": 2}, "d": "x"}) == [("a.b", "1.235"), ("a.c", "2"), ("d", "x")]


def test_the_stopwatch_counts_only_while_it_runs() -> None:
    env = make_env(TASKS.get("drone"), expert=True, width=32, height=24)
    watch = Stopwatch()
    watch.attach(env)
    env.reset(seed=0)
    watch.total_s = 0.01
    assert watch.shares() == {"physics": 0.0, "render": 0.0, "expert": 0.0, "rest": 1.0}
    watch.running = True
    for _ in range(5):
        env.step(env.action_space.sample())
    env.close()
    shares = watch.shares()
    assert min(shares["physics"], shares["render"], shares["expert"]) > 0, "each part of a step is timed"


HEADER = ("policy", "success", "95 % interval", "out of bounds", "clearance")
SCORES = [HEADER, ("pretrained", "100/100", "96-100 %", "0", "0.47 m"), ("blind", "1/100", "0-5 %", "99", "-0.10 m")]


@pytest.mark.parametrize(
    ("width", "headers"),
    [
        (80, [HEADER]),
        (60, [("policy", "success", "95 %\ninterval", "out of\nbounds", "clearance")]),
        (40, [("policy", "success", "95 %\ninterval"), ("policy", "out of\nbounds", "clearance")]),
        (
            10,
            [
                ("policy", "success"),
                ("policy", "95 %\ninterval"),
                ("policy", "out of\nbounds"),
                ("policy", "clearance"),
            ],
        ),
    ],
)
def test_a_narrow_terminal_gets_stacked_headers_then_several_tables(width, headers):
    parts = fitting(SCORES, width)
    assert [tuple(part[0]) for part in parts] == headers
    cells = [[cell for part in parts for cell in part[row][1:]] for row in (1, 2)]
    assert cells == [list(row[1:]) for row in SCORES[1:]]


def test_no_word_is_cut_in_a_terminal_of_80_columns(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    rows = [
        ("policy", "autonomy", "95 % interval", "interventions", "per km (95 %)", "roads without any", "out of time"),
        ("pretrained", "99.93 %", "99.61-100.00 %", "14", "0.233 (0.000-1.300)", "93/100", "0"),
    ]
    print_table(rows, title="roads")
    shown = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert "…" not in shown and max(map(len, shown.splitlines())) <= 80
    words = shown.split()
    assert {"interventions", "autonomy", "0.233", "(0.000-1.300)", "93/100", "without"} <= set(words)
    assert words.count("pretrained") == 2
