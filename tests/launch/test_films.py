"""Films of several kinds: by one clock, slowly, as a GIF, on one page, and the nearest misses."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.replay import (
    ReplayDivergedError,
    StoredEpisode,
    load_stored_episode,
    replay_episode,
)
from forestpilot.data_collection.rollouts.results import result_path
from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.launch import cli
from forestpilot.launch.films.contact_sheet import GAP_PX, TILE_PX, contact_sheet, moment_times
from forestpilot.launch.films.episode_video import episode_frames, frames_at
from forestpilot.launch.films.gif import write_gif
from forestpilot.launch.films.jobs import FilmJob, film_jobs
from forestpilot.launch.films.pace import HOLD_S, FilmConfig, Piece, Tick, ticks
from forestpilot.launch.films.reel import AFTER_S, BEFORE_S, clip_ticks, closest_moment, describe_settings, title_card
from forestpilot.launch.films.scene import EpisodeScene
from forestpilot.launch.films.side_by_side import COLORS, SideBySidePainter, policy_colors, side_by_side_frames
from forestpilot.launch.films.video import VideoError
from forestpilot.launch.films.webp import write_webp
from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.launch.reading.outcomes import ReplayError, read_outcomes
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.sim.tasks.drone import DRONE, DroneOptions

SEEDS = (2_000_000, 2_000_001)
SMALL = ("--size", "320x180", "--fps", "5")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The expert arrives in both worlds; who flies blind hits a tree before."""
    folder = tmp_path_factory.mktemp("films") / "evaluation"
    evaluate(
        EvaluateConfig(
            ("blind", "expert"), str(folder), episodes=2, options=DroneOptions(density=(0.1,)), speed=10.0, workers=1
        )
    )
    return folder


def episode(evaluation: Path, policy: str, seed: int = SEEDS[0]) -> StoredEpisode:
    return load_stored_episode(result_path(evaluation / "episodes", policy, seed))


def read_frames(path: Path) -> tuple[list[np.ndarray], Fraction]:
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], Fraction(rate)


def test_time_runs_evenly_from_start_to_end() -> None:
    found = ticks(1.0, [Piece(2.0)], 4)
    assert [tick.time_s for tick in found] == pytest.approx([1.0, 1.25, 1.5, 1.75, 2.0])
    assert {tick.slow for tick in found} == {1.0}


def test_a_slow_piece_takes_as_many_times_more_frames() -> None:
    found = ticks(0.0, [Piece(1.0), Piece(2.0, 4.0), Piece(3.0)], 10)
    times = np.array([tick.time_s for tick in found])
    assert len(found) == 10 + 40 + 10 + 1
    assert np.all(np.diff(times) > 0) and times[-1] == 3.0
    slow = np.array([tick.slow for tick in found])
    assert np.diff(times)[12:48] == pytest.approx(0.025) and slow[20] == 4.0 and slow[5] == slow[-1] == 1.0


def test_time_that_runs_backwards_or_too_fast_is_refused() -> None:
    for start_s, pieces, fps in ((2.0, [Piece(1.0)], 10), (0.0, [Piece(1.0, 0.5)], 10), (0.0, [Piece(1.0)], 0)):
        with pytest.raises(ValueError, match=r"fps|end"):
            ticks(start_s, pieces, fps)


def test_slowness_is_told() -> None:
    assert [Tick(0.0, slow).badge for slow in (4.0, 2.5, 1.0)] == ["1/4 speed", "1/2.5 speed", ""]


def test_a_scene_shows_the_way_between_two_states(evaluation: Path) -> None:
    states = [step.position_m for step in replay_episode(episode(evaluation, "expert"))]
    with EpisodeScene(episode(evaluation, "expert"), expert=False) as scene:
        assert scene.duration_s == pytest.approx((len(states) - 1) / 10)
        between = scene.at(1.03)
        np.testing.assert_allclose(between.path_m[-1], 0.7 * states[10] + 0.3 * states[11])
        assert len(between.path_m) == 12 and between.outcome == "running"
        end = scene.at(99.0)
        np.testing.assert_array_equal(end.path_m[-1], states[-1])
        assert end.outcome == "success" and end.time_s == pytest.approx(scene.duration_s)


def test_a_scene_shows_where_walkers_are_between_two_states() -> None:
    kwargs = {"movers": 3, "time_limit_s": 1.5}
    env = make_env(DRONE, **kwargs)
    vehicle: Any = env.unwrapped
    vehicle.draw_only(())
    env.reset(seed=SEEDS[0])
    hashes = [vehicle.state_hash()]
    boxes = [vehicle.course.traffic.boxes()]
    actions = np.tile(np.array([0.0, 0.5], np.float32), (15, 1))
    for action in actions:
        env.step(action)
        hashes.append(vehicle.state_hash())
        boxes.append(vehicle.course.traffic.boxes())
    env.close()
    stored = StoredEpisode(
        actions, np.array(hashes, np.uint64), DRONE.env_id, {"speed": 5.0, **kwargs}, SEEDS[0], "p", "", "timeout"
    )
    with EpisodeScene(stored, expert=False) as scene:
        scene.place_camera((64, 48))
        moving = scene.at(0.75).moving
        assert moving is not None and len(moving.ways_m) == 8
        np.testing.assert_allclose(moving.boxes[:, :2], (boxes[7] + boxes[8])[:, :2] / 2, atol=1e-5)
        end = scene.at(1.5).moving
        assert end is not None
        np.testing.assert_array_equal(end.boxes, boxes[15])
        scene.finish()


def test_a_slow_film_of_the_end_is_longer_and_says_so(evaluation: Path) -> None:
    with EpisodeScene(episode(evaluation, "blind"), "none") as scene:
        plain = list(episode_frames(scene, FilmConfig((320, 180), 10, last_s=1.0)))
    with EpisodeScene(episode(evaluation, "blind"), "none") as scene:
        slow = list(episode_frames(scene, FilmConfig((320, 180), 10, slow=4.0, last_s=1.0)))
    hold = round(HOLD_S * 10)
    assert (len(plain), len(slow)) == (11 + hold, 41 + hold)
    badge = np.s_[4:24, 4:90]
    assert np.abs(plain[0][badge].astype(int) - slow[0][badge]).mean() > 10
    np.testing.assert_array_equal(plain[0][100:, :200], slow[0][100:, :200])


def test_a_film_in_parts_is_the_film(evaluation: Path, tmp_path: Path) -> None:
    stored = episode(evaluation, "expert")
    job = FilmJob(tmp_path / "deep" / "a.mp4", stored, FilmConfig((320, 180), 30))
    with EpisodeScene(stored, "expert") as scene:
        whole = list(episode_frames(scene, job.film))
    assert len(job.parts) == 2 and len(job.ticks) == len(whole) - 45
    drawn: list[np.ndarray] = []
    before: list[Tick] = []
    for part in job.parts:
        with EpisodeScene(stored, "expert") as scene:
            drawn += frames_at(scene, job.film, part, [tick.time_s for tick in before])
        before += part
    assert before == job.ticks
    assert all(np.array_equal(one, other) for one, other in zip(drawn, whole[:-45], strict=True))
    told: list[int] = []
    with RolloutPool(2) as pool:
        (future,) = film_jobs([job], pool, told.append)
        assert future.result(60) == job.path
    frames, rate = read_frames(job.path)
    assert rate == 30 and len(frames) == len(whole) and sum(told) == len(job.ticks)
    apart = [np.abs(seen.astype(int) - meant).mean() for seen, meant in zip(frames, whole, strict=True)]
    assert max(apart) < 8
    data = job.path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_what_is_skipped_is_compared_and_not_drawn(evaluation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = episode(evaluation, "expert")
    with EpisodeScene(stored) as scene:
        meant = scene.at(1.27)
    with EpisodeScene(stored) as scene:
        drawn: list[tuple[int, ...]] = []
        draw = scene._vehicle._draw
        monkeypatch.setattr(scene._vehicle, "_draw", lambda: (drawn.append(scene._vehicle._drawn), draw()))
        scene.skip_to(1.27)
        moment = scene.at(1.27)
    np.testing.assert_array_equal(moment.views, meant.views)
    assert drawn == [()] * 10 + [(0, 1, 2)] * 2, "states 2 to 11, then those on both sides of the moment"
    hashes = stored.state_hashes.copy()
    hashes[5] += np.uint64(1)
    with EpisodeScene(replace(stored, state_hashes=hashes)) as scene:
        scene.skip_to(2.0)
        with pytest.raises(ReplayDivergedError, match="step 5"):
            scene.at(2.0)


def test_a_part_that_fails_leaves_no_film(evaluation: Path, tmp_path: Path) -> None:
    stored = episode(evaluation, "expert")
    job = FilmJob(tmp_path / "a.mp4", replace(stored, outcome="timeout"), FilmConfig((320, 180), 5))
    with RolloutPool(1) as pool:
        (future,) = film_jobs([job], pool)
    with pytest.raises(ReplayDivergedError, match="not as timeout"):
        future.result(0)
    assert list(tmp_path.iterdir()) == []


def test_an_episode_that_is_over_holds_its_last_picture_while_the_clock_goes_on(evaluation: Path) -> None:
    with EpisodeScene(episode(evaluation, "blind")) as blind, EpisodeScene(episode(evaluation, "expert")) as expert:
        painter = SideBySidePainter((640, 270), [blind, expert])
        assert blind.duration_s < expert.duration_s - 0.5
        over = painter.paint(blind.duration_s)
        later = painter.paint(expert.duration_s)
    changed = np.abs(over.astype(int) - later).max(axis=2) > 8
    width = painter._panel[0]
    assert changed[40:, : width - 4].sum() == 0, "the first panel stands still"
    assert changed[40:, width + 8 : 2 * width].mean() > 0.3, "the second goes on"
    assert changed[:20, -80:].sum() > 5, "and so does the clock"


def test_all_ways_are_on_the_map(evaluation: Path) -> None:
    with EpisodeScene(episode(evaluation, "blind")) as blind, EpisodeScene(episode(evaluation, "expert")) as expert:
        painter = SideBySidePainter((960, 400), [blind, expert])
        picture = painter.paint(99.0)
    chart = picture[40:, 2 * painter._panel[0] + 20 :].astype(int)
    for color in policy_colors(["blind", "expert"]):
        assert (np.abs(chart - color).max(axis=2) < 12).sum() > 40


def test_every_policy_has_a_colour_of_its_own() -> None:
    colors = policy_colors(["a", "expert", "b", "c"])
    assert len(set(colors)) == 4 and colors[0] == COLORS[0] and colors[2] == COLORS[1]


def test_the_end_of_each_episode_is_shown_from_before_the_first_one_ends(evaluation: Path) -> None:
    with EpisodeScene(episode(evaluation, "blind")) as blind, EpisodeScene(episode(evaluation, "expert")) as expert:
        seconds = expert.duration_s - blind.duration_s + 1.0
        frames = list(side_by_side_frames([blind, expert], FilmConfig((320, 180), 10, last_s=1.0)))
    assert len(frames) == round(10 * seconds) + 1 + round(10 * HOLD_S)


def test_episodes_of_different_worlds_are_not_shown_together(evaluation: Path) -> None:
    with (
        EpisodeScene(episode(evaluation, "blind")) as one,
        EpisodeScene(episode(evaluation, "blind", SEEDS[1])) as other,
    ):
        with pytest.raises(ReplayError, match="same world"):
            list(side_by_side_frames([one, other], FilmConfig((320, 180), 10)))
        with pytest.raises(ReplayError, match="2 to 6 episodes"):
            list(side_by_side_frames([one], FilmConfig((320, 180), 10)))
        with pytest.raises(ReplayError, match="got 7"):
            list(side_by_side_frames([one] * 7, FilmConfig((320, 180), 10)))


def test_side_by_side_makes_one_film_and_one_gif_for_each_world(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    options = ["--side-by-side", "--video", out, "--gif", out, "--gif-fps", "5", "--best", "1", "--policy", "expert"]
    assert cli.main(["replay", str(evaluation), *options, "--policy", "blind", *SMALL]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("expert, blind  world 200000") and "success, collision  reproduced step by step" in line
    assert " MB, 480x270, 5 fps" in line
    (gif,), (video,) = (list((tmp_path / "out").glob(f"side-by-side-*.{kind}")) for kind in ("gif", "mp4"))
    assert len(list((tmp_path / "out").iterdir())) == 2
    frames, rate = read_frames(video)
    assert rate == 5 and frames[0].shape == (180, 320, 3)
    assert read_frames(gif)[0][0].shape == (270, 480, 3)


def test_a_sheet_holds_the_moment_before_the_end_and_the_end() -> None:
    times = moment_times(4.0, 0.1, 5)
    assert times == pytest.approx([0.0, 1.3, 2.6, 3.9, 4.0])
    assert moment_times(4.0, 0.1, 4, last_s=1.0) == pytest.approx([3.0, 3.45, 3.9, 4.0])
    assert moment_times(0.1, 0.1, 4) == pytest.approx([0.0, 0.0, 0.0, 0.1])
    with pytest.raises(ValueError, match="3 or more"):
        moment_times(4.0, 0.1, 2)


@pytest.mark.parametrize(("moments", "columns", "rows"), [(4, 2, 2), (9, 3, 3), (8, 4, 2)])
def test_a_sheet_is_a_grid_with_the_map_beside_it(evaluation: Path, moments: int, columns: int, rows: int) -> None:
    with EpisodeScene(episode(evaluation, "blind"), expert=False) as scene:
        page = contact_sheet(scene, moments)
        last = scene.at(99.0).chase
    assert page.shape[1] > columns * TILE_PX[0] + 150
    top = page.shape[0] - GAP_PX - rows * TILE_PX[1] - (rows - 1) * GAP_PX
    row, column = divmod(moments - 1, columns)
    down, right = top + row * (TILE_PX[1] + GAP_PX), GAP_PX + column * (TILE_PX[0] + GAP_PX)
    tile = page[down : down + TILE_PX[1], right : right + TILE_PX[0]]
    middle = np.s_[130:150, 20:300]
    assert np.abs(tile[middle].astype(int) - last[middle]).max() <= 2, "the last tile is the end"


def test_sheets_are_written_as_png(evaluation: Path, tmp_path: Path) -> None:
    options = ["--contact-sheet", str(tmp_path), "--moments", "4", "--worst", "1", "--policy", "blind"]
    assert cli.main(["replay", str(evaluation), *options]) == 0
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("blind-200000") and path.name.endswith("-collision.png")
    assert import_cv2().imread(str(path)).shape[1] > 1000


def moving_pictures(count: int = 12, noise: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    levels = np.linspace(0, noise, 5).astype(np.uint8)  # few, or finding a palette takes most of the time
    pictures = []
    for number in range(count):
        picture = np.full((120, 200, 3), (60, 90, 40), np.uint8)
        picture[20:60, 5 * number : 5 * number + 30] = (250, 120, 30)
        picture[60:] = rng.choice(levels, (60, 200, 3))
        pictures.append(picture)
    return pictures


def test_a_gif_keeps_colours_pace_and_frames(tmp_path: Path) -> None:
    pictures = moving_pictures()
    facts = write_gif(tmp_path / "deep" / "a.gif", iter(pictures), 10, 200)
    frames, rate = read_frames(facts.path)
    assert rate == 10 and len(frames) == facts.frames == 12 and not facts.reduced
    for shown, meant in zip(frames, pictures, strict=True):
        assert np.abs(shown.astype(int) - meant).mean() < 4
    assert facts.megabytes == facts.path.stat().st_size / 1e6
    assert b"NETSCAPE2.0" in facts.path.read_bytes(), "it runs forever"


def test_a_gif_is_made_smaller_until_it_fits_and_says_so(tmp_path: Path) -> None:
    pictures = moving_pictures(noise=200)
    whole = write_gif(tmp_path / "a.gif", pictures, 10, 200)
    less = write_gif(tmp_path / "b.gif", pictures, 10, 200, limit_mb=0.6 * whole.megabytes)
    least = write_gif(tmp_path / "c.gif", pictures, 10, 200, limit_mb=0.2 * whole.megabytes)
    assert less.width < 200 and less.fps == 10 and less.megabytes <= 0.6 * whole.megabytes
    assert least.fps == 5 and least.frames == 6 and read_frames(least.path)[1] == 5
    assert "reduced to meet the limit" in str(least) and "reduced" not in str(whole)


def test_a_webp_keeps_pace_and_frames_and_is_smaller_than_a_gif(tmp_path: Path) -> None:
    pictures = moving_pictures(noise=100)
    facts = write_webp(tmp_path / "deep" / "a.webp", iter(pictures), 10, 200)
    gif = write_gif(tmp_path / "a.gif", pictures, 10, 200)
    loaded, animation = import_cv2().imreadanimation(str(facts.path))
    assert loaded and len(animation.frames) == facts.frames == 12 and set(animation.durations.ravel()) == {100}
    assert animation.loop_count == 0, "it runs forever"
    for shown, meant in zip(animation.frames, pictures, strict=True):
        assert np.abs(shown[:60, :, 2::-1].astype(int) - meant[:60]).mean() < 6
    assert facts.megabytes < 0.6 * gif.megabytes and not facts.reduced
    less = write_webp(tmp_path / "b.webp", pictures, 10, 200, limit_mb=0.8 * facts.megabytes)
    assert less.reduced and less.width == 200 and less.megabytes <= 0.8 * facts.megabytes
    with pytest.raises(VideoError, match=r"even at quality 30.*--gif-mb"):
        write_webp(tmp_path / "c.webp", pictures, 10, 200, limit_mb=1e-4)
    with pytest.raises(VideoError, match="at least one frame"):
        write_webp(tmp_path / "c.webp", [], 10)
    assert not (tmp_path / "c.webp").exists()


def test_a_limit_that_cannot_be_met_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"even at \d+ pixels and 5 frames per second.*--gif-mb"):
        write_gif(tmp_path / "a.gif", moving_pictures(noise=200), 10, 200, limit_mb=0.01)
    with pytest.raises(VideoError, match="at least one frame"):
        write_gif(tmp_path / "a.gif", [], 10)
    assert list(tmp_path.iterdir()) == []


def test_the_moment_of_least_clearance_is_that_of_the_evaluation(evaluation: Path) -> None:
    rows = {(row.policy, row.seed): row.min_clearance_m for row in read_outcomes(evaluation)}
    near_miss = closest_moment(episode(evaluation, "expert"))
    assert near_miss.clearance_m == pytest.approx(rows["expert", SEEDS[0]], abs=1e-4)
    with EpisodeScene(near_miss.episode, expert=False) as scene:
        moment = scene.at(near_miss.time_s)
        assert moment.clearance_m == near_miss.clearance_m
        assert near_miss.caption == f"{100 * near_miss.clearance_m:.0f} cm at {moment.speed_mps:.1f} m/s"


def test_a_clip_lies_around_its_moment_and_is_slow_there(evaluation: Path) -> None:
    near_miss = replace(closest_moment(episode(evaluation, "expert")), time_s=3.0)
    found = clip_ticks(near_miss, 10.0, FilmConfig(fps=10, slow=4.0))
    assert found[0].time_s == pytest.approx(3.0 - BEFORE_S) and found[-1].time_s == pytest.approx(3.0 + AFTER_S)
    assert {tick.slow for tick in found if abs(tick.time_s - 3.0) < 0.35} == {4.0}
    assert {tick.slow for tick in found if abs(tick.time_s - 3.0) > 0.5} == {1.0}
    early, late = (
        clip_ticks(replace(near_miss, time_s=time_s), 10.0, FilmConfig(fps=10, slow=4.0)) for time_s in (0.1, 10.0)
    )
    assert early[0].time_s == 0.0 and late[-1].time_s == 10.0


def test_the_title_tells_worlds_and_clips(evaluation: Path) -> None:
    near_miss = closest_moment(episode(evaluation, "expert"))
    assert describe_settings(near_miss.episode) == "default forest, 1/10 trees/m2, 10 m/s"
    few, many = title_card([near_miss], (640, 360), 2), title_card([near_miss] * 30, (640, 360), 40)
    assert few.shape == many.shape == (360, 640, 3)
    assert (many > 100).sum() > (few > 100).sum() > 500
    assert (many[-8:] > 100).sum() == 0, "all lines are on the card"


def test_the_reel_starts_with_the_closest(evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep" / "reel.mp4"
    assert cli.main(["replay", str(evaluation), "--reel", str(path), "--slow", "2", *SMALL]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    rows = sorted((row for row in read_outcomes(evaluation) if row.succeeded), key=lambda row: row.min_clearance_m)
    assert len(rows) >= 2 and f"{len(rows)} clips, the closest {100 * rows[0].min_clearance_m:.0f} cm" in line
    assert line.startswith(f"expert  world {rows[0].seed}, {rows[1].seed}")
    frames, _ = read_frames(path)
    assert len(frames) > 15 + len(rows) * 10
    assert [entry.name for entry in path.parent.iterdir()] == ["reel.mp4"]


def test_a_pilot_of_ones_own_is_replayed_filmed_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pilot = "mine=forestpilot.policies.evaluation.baselines:BlindPilot"
    folder = tmp_path / "evaluation"
    worlds = DroneOptions(density=(0.1,))
    evaluate(EvaluateConfig((pilot,), str(folder), episodes=1, options=worlds, speed=10.0, workers=1))
    capsys.readouterr()
    assert cli.main(["replay", str(folder), "--video", str(tmp_path / "out"), "--costs", "policy", *SMALL]) == 0
    assert "mine  world 2000000" in capsys.readouterr().out, "who has no checkpoint is shown with the expert's costs"
    assert len(list((tmp_path / "out").glob("mine-2000000-*.mp4"))) == 1
    assert cli.main(["report", str(folder), "--failures", "1", "--replays", "0", "--no-videos"]) == 0
    assert "baselines:BlindPilot has no network to look into" in (folder / "report.html").read_text()


def test_without_a_success_there_is_no_reel(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["replay", str(evaluation), "--reel", str(tmp_path / "a.mp4"), "--policy", "blind"]) != 0
    assert "no episode succeeded" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "product",
    [
        ("--side-by-side", "--video", "out"), ("--side-by-side", "--gif", "out"), ("--gif", "out", "--workers", "2"),
        ("--gif", "out"), ("--webp", "out"), ("--contact-sheet", "out"), ("--reel", "out/reel.mp4"),
        ("--video", "out", "--last", "0.5", "--slow", "2"),
    ],
)  # fmt: skip
def test_a_diverging_replay_leaves_nothing_half_written(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], product: tuple[str, ...]
) -> None:
    folder = tmp_path / "evaluation"
    shutil.copytree(evaluation, folder)
    for seed in SEEDS:
        path = result_path(folder / "episodes", "expert", seed)
        with np.load(path) as stored:
            parts = dict(stored)
        parts["state_hashes"][-2] += np.uint64(1)
        np.savez(path, **parts)
    options = [str(tmp_path / part) if part.startswith("out") else part for part in product]
    assert cli.main(["replay", str(folder), "--workers", "1", *options, "--seed", str(SEEDS[0]), *SMALL]) == 1
    assert "diverged" in capsys.readouterr().err
    left = [path.name for path in (tmp_path / "out").iterdir()]
    assert [name for name in left if "expert" in name or "side" in name or "reel" in name] == []
    assert not any(name.startswith(".") or name.endswith(".tmp") for name in left)


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_replayed(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    for product in ("--video", "--gif", "--contact-sheet"):
        assert cli.main(["replay", str(evaluation), product, str(tmp_path / "file" / "out")]) != 0
        error = capsys.readouterr().err
        assert f"cannot write into {tmp_path}/file/out" in error and "replay 1/" not in error
    assert cli.main(["replay", str(evaluation), "--reel", str(tmp_path / "file" / "reel.mp4")]) != 0
    assert "cannot write into" in capsys.readouterr().err
