"""What a human steers by: sharp views of any size, who drives, what is held, and pictures drawn in time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.people.console import Key
from forestpilot.data_collection.people.scene import Mode, Scene
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.cockpit.cameras import CONFIDENCE, PATIENCE, SHARPNESS, Sharpness
from forestpilot.launch.cockpit.cockpit import HUMAN, Cockpit
from forestpilot.launch.cockpit.gauges import CockpitLayout, Rect
from forestpilot.launch.pictures.colors import EDGE, GOOD, POLICY
from forestpilot.launch.pictures.world_map import MOVING
from forestpilot.sim.tasks import TASKS, TaskOptions
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions
from tests.data_collection.live_doubles import FakeClock

SIZE = (960, 540)
FORWARD = np.float32([0.0, 1.0])


OPTIONS = {"drone": DroneOptions(), "drive": DriveOptions(length=150.0)}


def make_episode(task: str, options: TaskOptions | None = None) -> EpisodeRecorder:
    mix = ScenarioMix(domain_randomisation=False, options=options or OPTIONS[task])
    episode = EpisodeRecorder(task, mix.scenario(3, TASKS.get(task)), False, True)
    for _ in range(5):
        episode.step(FORWARD, ACTOR_HUMAN)
    return episode


@pytest.fixture(scope="module", params=["drone", "drive"])
def episode(request: pytest.FixtureRequest) -> Iterator[EpisodeRecorder]:
    episode = make_episode(request.param)
    yield episode
    episode.close()


@pytest.fixture(scope="module")
def flight() -> Iterator[EpisodeRecorder]:
    episode = make_episode("drone")
    yield episode
    episode.close()


def scene(episode: EpisodeRecorder, **changes) -> Scene:
    usual = Scene(
        episode=episode, mode=Mode.RUNNING, keys=Key.NONE, action=np.zeros(2, np.float32), actor=ACTOR_HUMAN,
        takes_turns=False, slow=False, late=0, number=3, total=100, saved=2, message="",
    )  # fmt: skip
    return dataclasses.replace(usual, **changes)


def cockpit(episode: EpisodeRecorder, size: tuple[int, int] = SIZE, **kwargs) -> Cockpit:
    made = Cockpit(size, timer=FakeClock().now, **kwargs)
    made.begin(episode)
    return made


def count(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((picture == color).all(axis=-1).sum())


def test_views_and_map_show_what_moves():
    pictures = []
    for movers in (0, 6):
        episode = make_episode("drone", DroneOptions(movers=movers))
        pictures.append(cockpit(episode).paint(scene(episode)))
        episode.close()
    layout = CockpitLayout(*SIZE)
    alone, among = pictures
    assert count(layout.map.cut(alone), MOVING) == 0 < count(layout.map.cut(among), MOVING)
    ahead = layout.center_view
    assert np.abs(ahead.cut(alone).astype(int) - ahead.cut(among)).max() > 50


@pytest.mark.parametrize("size", [(320, 180), (641, 361), (600, 600), (1920, 400), (400, 900)])
def test_a_picture_of_any_size_holds_everything(episode, size):
    layout = CockpitLayout(*size)
    for mode in Mode:
        picture = cockpit(episode, size).paint(scene(episode, mode=mode, message="world 2 saved"))
        assert picture.shape == (size[1], size[0], 3) and picture.dtype == np.uint8
    for area in (layout.bar, *layout.views, layout.controls, layout.chase, layout.map, layout.figures, layout.help):
        assert area.left >= 0 and area.top >= 0 and area.right <= size[0] and area.bottom <= size[1]
        assert area.width > 8 and area.height > 4


def test_the_views_are_drawn_anew_and_not_stretched(episode):
    layout = CockpitLayout(*SIZE)
    picture = cockpit(episode).paint(scene(episode))
    for view in layout.views:
        colors = np.unique(view.inner(2).cut(picture).reshape(-1, 3), axis=0)
        assert len(colors) > episode.observation["center"].shape[0] * episode.observation["center"].shape[1]
    assert layout.views[1].width > 1.3 * layout.views[0].width


def test_each_mode_looks_different(episode):
    painter = cockpit(episode)
    pictures = [painter.paint(scene(episode, mode=mode)) for mode in Mode]
    for i, one in enumerate(pictures):
        assert all((one != other).any() for other in pictures[:i])


def test_the_bar_says_who_drives_by_colour_and_by_words(episode):
    painter, bar = cockpit(episode), CockpitLayout(*SIZE).bar
    human = bar.cut(painter.paint(scene(episode, takes_turns=True)))
    policy = bar.cut(painter.paint(scene(episode, takes_turns=True, actor=ACTOR_POLICY)))
    alone = bar.cut(painter.paint(scene(episode)))
    paused = bar.cut(painter.paint(scene(episode, mode=Mode.PAUSED)))
    half = bar.width * bar.height // 2
    assert count(human, HUMAN) > half and count(policy, POLICY) > half and count(paused, EDGE) > half
    # Without any colour the words still differ: take each bar's ground away.
    letters = [(shown != ground).any(axis=-1) for shown, ground in ((human, HUMAN), (policy, POLICY), (alone, HUMAN))]
    assert (letters[0] != letters[1]).sum() > 100 and (letters[0] != letters[2]).sum() > 100


def test_a_title_may_stand_in_place_of_who_drives(flight):
    plain, titled = cockpit(flight).paint(scene(flight)), cockpit(flight, title="STEER ALONG").paint(scene(flight))
    assert (plain[: CockpitLayout(*SIZE).bar.height] != titled[: CockpitLayout(*SIZE).bar.height]).any()


@pytest.mark.parametrize("keys", [Key.LEFT, Key.FORWARD | Key.RIGHT, Key.BACK | Key.LEFT | Key.RIGHT])
def test_keys_that_are_held_light_up(flight, keys):
    painter, area = cockpit(flight), CockpitLayout(*SIZE).controls
    dark = count(area.cut(painter.paint(scene(flight))), HUMAN)
    one = count(area.cut(painter.paint(scene(flight, keys=Key.LEFT))), HUMAN)
    held = count(area.cut(painter.paint(scene(flight, keys=keys))), HUMAN)
    assert dark == 0 and held == pytest.approx(keys.value.bit_count() * one, rel=0.15)


def test_the_gauges_fill_to_the_side_of_the_action(flight):
    painter, area = cockpit(flight), CockpitLayout(*SIZE).controls

    def filled(turn: float, go: float) -> np.ndarray:
        shown = area.cut(painter.paint(scene(flight, action=np.float32([turn, go]))))
        return np.argwhere((shown == HUMAN).all(axis=-1)).mean(axis=0)

    assert filled(0.8, 0.0)[1] < filled(-0.8, 0.0)[1]  # left is on the left
    assert filled(0.0, 0.8)[0] < filled(0.0, -0.8)[0]  # forward is on top


@pytest.mark.parametrize("change", [{"late": 7}, {"saved": 3}, {"number": 4}, {"slow": True}, {"message": "saved"}])
def test_what_changes_is_shown(flight, change):
    painter = cockpit(flight)
    assert (painter.paint(scene(flight)) != painter.paint(scene(flight, **change))).any()


def test_late_frames_are_an_alert(flight):
    painter, area = cockpit(flight), CockpitLayout(*SIZE, TASKS.get("drone").map_share).figures
    lower = [area.cut(painter.paint(scene(flight, late=late)))[area.height // 2 :] for late in (0, 3)]
    calm, late = (int((np.ptp(picture.astype(int), axis=-1) > 50).sum()) for picture in lower)
    assert late > calm == 0  # coloured, not grey


def test_the_way_flown_grows_on_the_map_by_one_place_a_step():
    episode = make_episode("drone")
    painter = cockpit(episode)
    lengths = []
    for _ in range(10):
        painter.paint(scene(episode))
        painter.paint(scene(episode, mode=Mode.PAUSED))
        lengths.append(count(painter.paint(scene(episode))[SIZE[1] // 2 :], POLICY))
        episode.step(FORWARD, ACTOR_HUMAN)
    episode.close()
    assert lengths == sorted(lengths) and lengths[-1] > lengths[0] and len(painter._path) == 10


def test_the_goals_mark_stands_over_its_direction(flight):
    painter, view = cockpit(flight), CockpitLayout(*SIZE).views[1]
    top = Rect(view.left, view.top, view.width, view.height // 8)
    columns = []
    for bearing in (2.0, 0.4, 0.0, -0.4, -2.0):
        flight.observation["goal"] = np.float32([np.cos(bearing), np.sin(bearing)])
        shown = top.cut(painter.paint(scene(flight))).astype(int)
        columns.append(np.argwhere((shown == (96, 212, 120)).all(axis=-1)).mean(axis=0)[1])
    assert columns == sorted(columns)
    assert columns[0] < 0.05 * view.width and columns[-1] > 0.95 * view.width
    assert columns[2] == pytest.approx(view.width / 2, abs=2)


@pytest.mark.parametrize("goal_kind", ["vector", "image"])
def test_a_goal_told_otherwise_is_shown_over_the_center_view_too(goal_kind):
    episode = make_episode("drone", DroneOptions(goals="anywhere", goal_kind=goal_kind))
    picture = cockpit(episode).paint(scene(episode))
    view = CockpitLayout(*SIZE).center_view.cut(picture)
    assert count(view, GOOD) > 20
    episode.close()


@pytest.mark.parametrize("command", ["left", "right", "straight"])
def test_a_junction_ahead_puts_up_a_sign(command):
    episode = make_episode("drive")
    painter = cockpit(episode)
    without = painter.paint(scene(episode))
    episode.info["command"] = command
    with_sign = painter.paint(scene(episode))
    episode.close()
    view = CockpitLayout(*SIZE).views[1]
    changed = np.argwhere((without != with_sign).any(axis=-1)).mean(axis=0)
    assert view.top < changed[0] < view.top + view.height / 3
    assert changed[1] == pytest.approx(view.left + view.width / 2, abs=view.width / 20)


def test_cameras_that_jump_for_the_sake_of_training_stand_still_here():
    episode = make_episode("drive", DriveOptions(length=150.0, side_cameras="random"))
    painter, left = cockpit(episode), CockpitLayout(*SIZE).views[0]
    before = left.cut(painter.paint(scene(episode)))
    episode.env._place_cameras()  # draws other places for the side cameras
    after = left.cut(painter.paint(scene(episode)))
    episode.close()
    assert (before == after).all()


def test_views_get_coarser_while_drawing_takes_too_long_and_sharp_again_afterwards():
    sharpness = Sharpness()
    assert not any(sharpness.note(0.09, 10) for _ in range(PATIENCE - 1)) and sharpness.share == 1.0
    assert not sharpness.note(0.02, 10)  # one that is fast makes the count start anew
    assert [sharpness.note(0.09, 10) for _ in range(PATIENCE)] == [False] * (PATIENCE - 1) + [True]
    assert sharpness.share == SHARPNESS[1]
    for _ in range(50):
        sharpness.note(0.09, 10)
    assert sharpness.share == SHARPNESS[-1]
    for _ in range(CONFIDENCE):
        sharpness.note(0.005, 10)
    assert sharpness.share == SHARPNESS[-2]
    assert not any(sharpness.note(0.04, 10) for _ in range(2 * CONFIDENCE))  # sharper ones would take too long again


def test_a_slow_machine_gets_coarser_pictures_of_the_same_size(flight):
    clock = FakeClock()

    def slow() -> float:
        clock.sleep(0.09)
        return clock.now()

    painter = Cockpit(SIZE, timer=slow)
    painter.begin(flight)
    for _ in range(PATIENCE):
        assert painter.sharpness == 1.0
        painter.paint(scene(flight))
    assert painter.sharpness == SHARPNESS[1]
    assert painter.paint(scene(flight)).shape == (SIZE[1], SIZE[0], 3)
