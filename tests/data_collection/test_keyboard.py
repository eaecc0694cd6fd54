"""Keys become smooth actions: bounded, without jumps, back to the middle; the same mirrored and at every rate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.people.console import Key
from forestpilot.data_collection.people.keyboard import KeyShaper, shaper_of
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DRIVE, DriveOptions
from forestpilot.sim.tasks.drone import DRONE, DroneOptions

ALL_KEYS = [Key(value) for value in range(16)]
STICKS = st.none() | st.tuples(st.floats(-1, 1), st.floats(-1, 1))
HELD = st.lists(st.tuples(st.sampled_from(ALL_KEYS), st.floats(0, 25), st.integers(1, 6)), max_size=12)
each_task = pytest.mark.parametrize("task", TASKS.names())


def held(shaper: KeyShaper, keys: Key, steps: int, dt_s: float = 0.1, speed_mps: float = 0.0) -> np.ndarray:
    return np.array([shaper.step(keys, dt_s, speed_mps=speed_mps) for _ in range(steps)])


@each_task
@given(script=HELD, start=st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_actions_stay_in_bounds_and_never_jump(task, script, start):
    shaper, own = shaper_of(task), TASKS.get(task).keys
    shaper.start_from(np.array(start))
    most = 0.1 * np.array(
        [
            max(own.turn_per_s * own.across, own.turn_back_per_s),
            max(own.go_per_s * own.across, own.go_back_per_s),
        ]
    )
    before = shaper.action
    for keys, speed, steps in script:
        for action in held(shaper, keys, steps, speed_mps=speed):
            assert np.abs(action).max() <= 1.0
            assert (np.abs(action - before) <= most + 1e-6).all()
            before = action


@each_task
@given(script=HELD)
def test_the_mirrored_keys_give_the_mirrored_turn(task, script):
    mirrored = {Key.LEFT: Key.RIGHT, Key.RIGHT: Key.LEFT}
    left, right = shaper_of(task), shaper_of(task)
    for keys, speed, steps in script:
        flipped = Key.NONE
        for key in (Key.LEFT, Key.RIGHT, Key.FORWARD, Key.BACK):
            flipped |= mirrored.get(key, key) if keys & key else Key.NONE
        ours, theirs = held(left, keys, steps, speed_mps=speed), held(right, flipped, steps, speed_mps=speed)
        np.testing.assert_array_equal(ours, theirs * [-1, 1])


@each_task
@given(script=HELD)
def test_the_control_rate_changes_nothing(task, script):
    coarse, fine = shaper_of(task), shaper_of(task)
    for keys, speed, steps in script:
        slow = held(coarse, keys, steps, 0.1, speed)[-1]
        fast = held(fine, keys, 4 * steps, 0.025, speed)[-1]
        np.testing.assert_allclose(slow, fast, atol=1e-5)


@each_task
@given(keys=st.sampled_from(ALL_KEYS), steps=st.integers(1, 30))
def test_keys_that_are_let_go_return_to_the_middle_and_stay(task, keys, steps):
    shaper, own = shaper_of(task), TASKS.get(task).keys
    held(shaper, keys, steps)
    back_s = 1 / min(own.turn_back_per_s, own.go_back_per_s)
    np.testing.assert_array_equal(held(shaper, Key.NONE, round(back_s / 0.1) + 3)[-2:], np.zeros((2, 2)))


@each_task
def test_opposite_keys_cancel(task):
    shaper = shaper_of(task)
    assert not held(shaper, Key.LEFT | Key.RIGHT | Key.FORWARD | Key.BACK, 5).any()
    held(shaper, Key.LEFT, 5)
    both, none = KeyShaper(TASKS.get(task).keys), KeyShaper(TASKS.get(task).keys)
    for other in (both, none):
        other.start_from(shaper.action)
    np.testing.assert_array_equal(held(both, Key.LEFT | Key.RIGHT, 3), held(none, Key.NONE, 3))


@each_task
def test_the_opposite_key_passes_the_middle_faster_than_letting_go(task):
    pressed, let_go = shaper_of(task), shaper_of(task)
    for shaper in (pressed, let_go):
        shaper.start_from(np.array([1.0, 1.0]))
    against, free = held(pressed, Key.RIGHT | Key.BACK, 1, 0.05)[0], held(let_go, Key.NONE, 1, 0.05)[0]
    assert (against < free).all()
    assert (held(pressed, Key.RIGHT | Key.BACK, 30)[-1] == [-1, -1]).all()


def test_a_drone_flies_at_half_speed_when_nothing_is_held_full_with_forward_and_stops_with_back():
    shaper = shaper_of("drone")
    assert held(shaper, Key.FORWARD, 10)[-1][1] == 1.0
    assert held(shaper, Key.NONE, 10)[-1][1] == 0.0
    assert held(shaper, Key.BACK, 10)[-1][1] == -1.0


def test_a_fast_car_is_steered_gently_and_a_slow_one_to_the_lock():
    turns = {v: held(shaper_of("drive"), Key.LEFT, 30, speed_mps=v)[-1][0] for v in (0.0, 5.0, 10.0, 20.0)}
    assert turns[0.0] == turns[5.0] == 1.0
    # The push to the side, speed squared times the turn, is the same.
    assert turns[10.0] * 10**2 == pytest.approx(turns[20.0] * 20**2) == pytest.approx(25.0)


def test_a_car_that_gets_faster_loses_its_turn_smoothly():
    shaper = shaper_of("drive")
    held(shaper, Key.LEFT, 30, speed_mps=5.0)
    turns = held(shaper, Key.LEFT, 10, speed_mps=10.0)[:, 0]
    assert turns[0] == pytest.approx(1.0 - 0.1 * TASKS.get("drive").keys.turn_back_per_s)
    assert turns[-1] == pytest.approx(0.25)


@given(sticks=st.tuples(st.floats(-1, 1), st.floats(-1, 1)), keys=st.sampled_from(ALL_KEYS))
def test_a_stick_decides_at_once_whatever_the_keys_say(sticks, keys):
    action = shaper_of("drone").step(keys, 0.1, sticks)
    other = shaper_of("drone").step(Key.NONE, 0.1, (-sticks[0], sticks[1]))
    assert np.abs(action).max() <= 1.0
    np.testing.assert_array_equal(action, other * [-1, 1])
    for moved, deflection in zip(action, sticks, strict=True):
        assert moved == 0.0 if abs(deflection) <= 0.12 else moved * deflection >= 0


def test_a_stick_is_still_in_its_dead_zone_gentle_in_its_middle_and_full_at_its_end():
    shaper = shaper_of("drone")
    turns = [float(shaper.step(Key.NONE, 0.1, (x, 0.0))[0]) for x in (0.1, 0.3, 0.6, 1.0)]
    assert turns[0] == 0.0 and 0 < turns[1] < 0.3 and turns[1] < turns[2] < 0.6 and turns[3] == 1.0


def test_a_stick_that_is_let_go_returns_like_a_key():
    shaper = shaper_of("drone")
    shaper.step(Key.NONE, 0.1, (1.0, 1.0))
    assert shaper.step(Key.NONE, 0.1)[0] == pytest.approx(1.0 - 0.1 * TASKS.get("drone").keys.turn_back_per_s)


def test_control_goes_on_from_where_another_left_it():
    shaper = shaper_of("drone")
    shaper.start_from(np.array([-0.7, 5.0]))
    np.testing.assert_allclose(shaper.action, [-0.7, 1.0])
    assert shaper.step(Key.RIGHT, 0.1)[0] == pytest.approx(-0.95)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"turn_per_s": 0.0}, "turn_per_s is 0.0"),
        ({"go_back_per_s": float("nan")}, "go_back_per_s is nan"),
        ({"full_turn_mps": -1.0}, "full_turn_mps is -1.0"),
        ({"across": 0.5}, "across is 0.5"),
        ({"dead_zone": 1.0}, "dead_zone is 1.0"),
        ({"expo": 1.5}, "expo 1.5"),
    ],
)
def test_a_shaping_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TASKS.get("drone").keys, **change)


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match="no task 'boat'"):
        shaper_of("boat")


def fingers(wanted: np.ndarray, shaped: np.ndarray, step: float) -> Key:
    """Keys that move what is shaped, by at most `step`, towards what is wanted; a turn that is reached is held."""
    keys, missing = Key.NONE, wanted - shaped
    if abs(missing[0]) > step / 4 or abs(wanted[0]) > step / 2:
        keys |= Key.LEFT if (missing[0] if abs(missing[0]) > step / 4 else wanted[0]) > 0 else Key.RIGHT
    if wanted[1] > 0.9 or missing[1] > 0.15:
        keys |= Key.FORWARD
    elif missing[1] < -0.15 and wanted[1] < -0.1:
        keys |= Key.BACK
    return keys


@pytest.mark.parametrize(("task", "delay_steps"), [("drone", 1), ("drone", 2), ("drive", 1), ("drive", 2)])
def test_fingers_with_a_reaction_time_reach_the_goal(task, delay_steps):
    """What the expert would do, seen 0.1 or 0.2 s late and pressed on keys, still arrives."""
    own, options = {"drone": (DRONE, DroneOptions()), "drive": (DRIVE, DriveOptions(length=150.0))}[task]
    mix = ScenarioMix(options=options, width=32, height=24)
    for seed in (1, 2):
        running, over = EpisodeRecorder(task, mix.scenario(seed, own), expert=True, record=False), False
        shaper = shaper_of(task)
        seen = [running.info["expert_action"][EXPERT_CENTER]] * delay_steps
        while not over:
            seen.append(running.info["expert_action"][EXPERT_CENTER])
            keys = fingers(seen.pop(0), shaper.action, 0.1 * TASKS.get(task).keys.turn_per_s)
            over = running.step(shaper.step(keys, 0.1, speed_mps=running.info["speed_mps"]), ACTOR_HUMAN)
        assert running.info["outcome"] == "success"
        running.close()
