"""The verb study: names, sizes, and the smallest study from end to end."""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forestpilot.launch.studies.shifted_views as shifted_views_module
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.launch import cli
from forestpilot.launch.config import ConfigError
from forestpilot.launch.pictures.plots import add_axes, new_figure
from forestpilot.launch.reading.study_results import Curve, Interval, Panel, Point, StudyResult, read_study_results
from forestpilot.launch.studies import STUDIES, compounding_error, dagger_road, plots, reset_cliff, three_cameras
from forestpilot.launch.studies.cells import Cell, make_points, stack
from forestpilot.launch.studies.compounding_error import CompoundingError
from forestpilot.launch.studies.dagger_road import DaggerRoad
from forestpilot.launch.studies.plots import _draw_panel, plot_shifted_views, plot_study
from forestpilot.launch.studies.reset_cliff import ResetCliffStudy
from forestpilot.launch.studies.roads import study_training
from forestpilot.launch.studies.shifted_views import shifted_views, warp_shifted
from forestpilot.launch.studies.statistics import mean_interval
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.launch.studies.three_cameras import ThreeCameras
from forestpilot.launch.verbs import study
from forestpilot.policies.networks.encoders.options import PatchConfig
from forestpilot.policies.training.shard_pool import ShardPool
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cameras import Camera
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.registry import UnknownNameError


def test_the_task_leads_to_the_study_that_asks_the_same_of_it() -> None:
    assert study.parse(["three-cameras", "--task", "drone", "--quick"], "study").name == "three-cameras-drone"
    assert study.parse(["three-cameras", "--task=drive", "--seeds", "2"], "study").config.seeds == 2
    with pytest.raises(ConfigError, match="--task is 'boat'; three-cameras is asked of drive, drone"):
        study.parse(["three-cameras", "--task", "boat"], "study")


def test_who_names_no_study_is_told_the_known_ones_and_who_misspells_one_the_closest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["study"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in STUDIES)
    assert cli.main(["study", "three-cameas"]) == 2
    assert "did you mean 'three-cameras'?" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="compounding-error"):
        study.parse([], "forestpilot study")
    with pytest.raises(UnknownNameError, match="compounding-error"):
        study.parse(["xyzzy"], "forestpilot study")


def test_each_study_has_sizes_of_its_own_and_a_quick_way() -> None:
    full = study.parse(["three-cameras", "--seeds", "5"], "forestpilot study").config
    assert isinstance(full, three_cameras.Config) and full.seeds == 5 and full.demonstrations == (4, 16, 64)
    quick = study.parse(["dagger-road", "--quick", "--out", "here"], "forestpilot study").config
    assert quick == dataclasses.replace(DaggerRoad.quick, out="here")
    shorter = study.parse(["compounding-error", "--horizon", "300"], "forestpilot study").config
    assert shorter.out == "runs/study-compounding-error"


def test_help_lists_all_studies_and_how_long_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["study", "--help"])
    shown = capsys.readouterr().out
    assert all(f"{name} " in shown for name in STUDIES)
    assert shown.count(" minutes\n") == len(STUDIES)


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_help_shows_a_studys_sizes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["study", name, "--help"])
    shown = capsys.readouterr().out
    assert "--seeds" in shown and f"runs/study-{name}" in shown
    assert f"About {STUDIES.get(name).minutes:g} minutes on two cores" in shown


def test_figures_of_one_and_of_two_panels_are_drawn(tmp_path: Path) -> None:
    points = [Point(arm, x, 3, 8, Interval(x, 0.9 * x, 1.2 * x)) for arm in ("a", "b") for x in (10.0, 100.0)]
    one = Panel("cost", "J", points, log_y=True, guides=(2.0, 1.0))
    for panels in ((one,), (one, Panel("other", "other", points))):
        path = plot_study(StudyResult("title", "x", True, panels, ()), tmp_path / f"{len(panels)}.png")
        assert path.stat().st_size > 10_000


def test_what_theory_says_is_drawn_and_named_beside_what_came_out() -> None:
    points = [Point("a", x, 3, 8, Interval(x, 0.9 * x, 1.2 * x)) for x in (10.0, 100.0)]
    panel = Panel("gap", "gap", points, log_y=True, x_label="N", curves=(Curve("1 / N", (10.0, 100.0), (5.0, 50.0)),))
    axes = drawn(panel, log_x=True)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1 / N"]
    assert axes.get_xlabel() == "N" and axes.get_lines()[-1].get_ydata().tolist() == [5.0, 50.0]


def test_diagrams_over_different_axes_have_tables_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"horizons": (2, 3), "episodes": (4, 5), "states": 4, "actions": 3, "seeds": 1, "draws": 2, "workers": 1}
    study.run(ResetCliffStudy(reset_cliff.Config(out=str(tmp_path), **sizes)))
    shown = capsys.readouterr().out
    assert shown.count("horizon H, steps") == shown.count("episodes N") == 1 and "grows as H^" in shown
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert {row["x"] for row in rows if row["figure"] == "missing_mass"} == {"4", "5"}
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    with pytest.raises(InvalidArgumentError, match=r"horizons is \(5, 4\); give at least two"):
        reset_cliff.Config(horizons=(5, 4))


def test_arms_at_a_single_x_stand_beside_one_another(tmp_path: Path) -> None:
    panel = Panel("rate", "falls", [Point(arm, 48.0, 3, 8, Interval(1.0, 0.5, 2.0)) for arm in ("a", "b", "c")])
    axes = add_axes(new_figure(4.0, 3.0))
    _draw_panel(axes, StudyResult("title", "drives", False, (panel,), ()), panel)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b", "c"]
    assert axes.get_xlabel() == ""


def test_a_diagram_without_an_arm_leaves_its_place_in_the_table_empty() -> None:
    both, one = (
        Panel(name, name, points_at(values))
        for name, values in (("rate", {"a": {1: 2.0}, "b": {1: 3.0}}), ("error", {"a": {1: 0.5}}))
    )
    assert [row[:4] for row in study._rows("x", [both, one])[1:]] == [
        ("a", "1", "2 (2 to 2)", "0.5 (0.5 to 0.5)"),
        ("b", "1", "3 (3 to 3)", "-"),
    ]


def drawn(panel: Panel, log_x: bool = False) -> Any:
    """Axes with a panel."""
    axes = add_axes(new_figure(4.0, 3.0))
    _draw_panel(axes, StudyResult("title", "drives", log_x, (panel,), ()), panel)
    return axes


def points_at(values: dict[str, dict[float, float]], half: float = 0.0) -> list[Point]:
    """Points of arms by x, with intervals of so much to both sides."""
    return [
        Point(arm, x, 3, 8, Interval(mean, mean - half, mean + half))
        for arm, own in values.items()
        for x, mean in own.items()
    ]


@pytest.mark.parametrize(
    ("values", "half", "limits"),
    [
        ((0.0, 0.0), 0.0, (0.0, 10.0)),
        ((50.0, 51.0), 0.0, (45.5, 55.5)),
        ((100.0, 100.0), 0.0, (99.0, 100.0)),
        ((99.4, 99.8), 0.1, (99.0, 100.0)),
        ((20.0, 60.0), 5.0, (15.0, 65.0)),
    ],
)
@pytest.mark.parametrize("arms", [1, 2])
def test_percentages_are_not_magnified(
    values: tuple[float, float], half: float, limits: tuple[float, float], arms: int
) -> None:
    points = points_at({f"arm-{number}": {4.0: values[0], 16.0: values[1]} for number in range(arms)}, half)
    low, high = drawn(Panel("success", "success, %", points)).get_ylim()
    room = 0.05 * (limits[1] - limits[0])
    assert limits[0] - room <= low <= limits[0] and limits[1] <= high <= limits[1] + room


def test_percentages_at_a_single_x_begin_at_zero() -> None:
    low, high = drawn(Panel("success", "success, %", points_at({"a": {4.0: 60.0}, "b": {4.0: 80.0}}))).get_ylim()
    assert -5 < low < 0 < 80 < high < 90


def test_what_is_negative_at_a_single_x_is_seen() -> None:
    values = {"a": {48.0: -250.0}, "b": {48.0: -3.0}, "c": {48.0: 0.2}}
    low, high = drawn(Panel("log_likelihood", "log-likelihood", points_at(values, 0.1))).get_ylim()
    assert low < -250.1 and high > 0.3


def test_places_that_are_no_numbers_are_not_joined() -> None:
    points = points_at({"a": {0.0: 3.0, 1.0: 4.0}, "b": {0.0: 1.0, 1.0: 2.0}})
    for places, joined in ((("forest", "road"), False), ((), True)):
        axes = drawn(Panel("cost", "cost", points, places=places))
        lines = [container.lines[0].get_linestyle() for container in axes.containers]
        assert [line not in ("None", "", " ") for line in lines] == [joined, joined]


@pytest.mark.parametrize("log_x", [True, False])
def test_arms_at_the_same_x_stand_apart_and_nearer_to_it_than_to_the_next(log_x: bool) -> None:
    values = {f"arm-{number}": {4.0: 1.0, 60.0: 1.0, 256.0: 1.0} for number in range(10)}
    axes = drawn(Panel("cost", "cost", points_at(values)), log_x)
    x = np.array([container.lines[0].get_xdata() for container in axes.containers])
    assert (np.diff(x, axis=0) > 0).all(), "none hides another"
    if log_x:
        x = np.log(x)
    assert (x[-1, :-1] - x[0, :-1] < 0.5 * np.diff(x, axis=1).min()).all()


def test_many_arms_are_named_where_they_hide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure) or path)
    for count in (3, 10):
        points = points_at({f"arm-{number}": {4.0: 1.0, 60.0: 2.0} for number in range(count)})
        plot_study(StudyResult("title", "x", True, (Panel("cost", "J", points),), ()), tmp_path / "figure.png")
    few, many = figures
    assert len(few.axes[0].get_legend().get_texts()) == 3 and not few.legends
    assert len(many.legends[0].get_texts()) == 10 and many.axes[0].get_legend() is None


def test_a_warped_view_moves_the_ground_and_leaves_the_sky() -> None:
    camera, height_m = Camera(64, 48), 1.3
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 255, (48, 64, 1), dtype=np.uint8), 3, axis=2)
    warped = warp_shifted(camera, height_m, image, 0.5)
    np.testing.assert_array_equal(warped[:24], image[:24])
    np.testing.assert_array_equal(warp_shifted(camera, height_m, image, 0.0), image)
    # Ground straight ahead in the last row is height * focal / 23.5 away: half a metre there is 9.04 columns.
    exact = warp_shifted(camera, height_m, image, 9 * height_m / 23.5)
    np.testing.assert_array_equal(exact[47, 9:], image[47, :-9])


def test_rendered_views_differ_from_warped_ones_mostly_above_the_ground(tmp_path: Path) -> None:
    views = shifted_views("easy", 60.0, roads=1)
    assert views.rendered.shape == views.warped.shape == views.center.shape == (192, 256, 3)
    assert list(views.above) == sorted(views.above), "the further, the worse"
    assert all(above > 2 * below for above, below in zip(views.above, views.below, strict=True))
    assert plot_shifted_views(views, tmp_path / "views.png").stat().st_size > 50_000


@pytest.mark.slow
def test_the_smallest_studies_run_from_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = dataclasses.replace(study_training(3).policy, encoder=PatchConfig((4, 6, 8)), features=16)
    training = dataclasses.replace(study_training(3), batch_windows=4, policy=policy)
    monkeypatch.setattr(shifted_views_module, "shifted_views", functools.partial(shifted_views, roads=1))
    roads = {"test_roads": 2, "length": 40.0, "test_length": 40.0}
    tiny = {"seeds": 1, "workers": 1, "train": training, **roads}
    cameras = three_cameras.Config(out=str(tmp_path / "cameras"), demonstrations=(1,), **tiny)
    rounds = {"rounds": 1, "drives": 1}
    error = compounding_error.Config(out=str(tmp_path / "error"), shortest=5, horizon=20, horizons=3, **rounds, **tiny)
    falls = dagger_road.Config(out=str(tmp_path / "falls"), **rounds, **tiny)
    studies = ((ThreeCameras(cameras), 5, 2), (CompoundingError(error), 2, 1), (DaggerRoad(falls), 4, 1))
    for chosen, arms, pictures in studies:
        study.run(chosen)
        shown = capsys.readouterr().out
        assert "95 % intervals" in shown and "results.csv" in shown
        folder = Path(chosen.config.out)
        rows = list(csv.DictReader((folder / "results.csv").open()))
        assert len({row["arm"] for row in rows}) == arms
        assert len(list(folder.glob("*.png"))) == pictures


class Guesses(Study[StudyConfig, Arm]):
    """A study as another package might bring it."""

    name = "guesses"
    question = "Does guessing get better when it is repeated?"
    minutes = 0.1
    full = StudyConfig(out="runs/study-guesses")
    quick = StudyConfig(out="runs/study-guesses-quick", seeds=2, workers=1)

    def arms(self) -> Sequence[Arm]:
        return (Arm("low", "guesses low"), Arm("high", "guesses high"))

    def xs(self) -> Sequence[float]:
        return (1, 2)

    def run_cell(self, arm: Arm, x: float, seed: int, bench: Bench) -> Cell:
        worth = x * (2 if arm.name == "high" else 1)
        return Cell(arm.name, x, seed, [{"seed": world, "worth": worth + world} for world in range(3)])

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        points = make_points(cells, lambda group: mean_interval(stack(group, "worth")))
        panels = (Panel("worth", "worth, points", points, "What a guess is worth."),)
        return StudyResult("Guesses", "guesses", False, panels, ())


def test_policies_of_a_study_are_cloned_on_all_of_its_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[int] = []

    def cloned(config: TrainConfig, progress: Progress, shards: ShardPool) -> None:
        processes.append(shards.workers)

    monkeypatch.setattr("forestpilot.launch.studies.study.clone", cloned)

    class Trained(Guesses):
        def run_cell(self, arm: Arm, x: float, seed: int, bench: Bench) -> Cell:
            bench.clone(TrainConfig())
            return super().run_cell(arm, x, seed, bench)

    Trained(StudyConfig(out=str(tmp_path / "run"), seeds=1, workers=2)).run()
    assert processes == [2] * 4


@pytest.fixture
def guesses() -> Iterator[str]:
    STUDIES.register("guesses", Guesses, "whether guessing gets better")
    yield "guesses"
    STUDIES.unregister("guesses")


def test_a_study_of_another_package_runs_by_its_name(
    guesses: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["study", "guess"]) == 2
    assert "did you mean 'guesses'?" in capsys.readouterr().err
    assert cli.main(["study", guesses, "--quick", "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert "worth, points" in shown and str(tmp_path / "run" / "figure.png") in shown
    stored = read_study_results(tmp_path / "run")
    assert [point.value.mean for point in stored.panels[0].points] == [2.0, 3.0, 3.0, 5.0]
    assert stored.question == Guesses.question
    with pytest.raises(SystemExit):
        cli.main(["study", guesses, "--help"])
    assert Guesses.question in capsys.readouterr().out
