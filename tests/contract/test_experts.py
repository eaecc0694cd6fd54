"""What every registered expert must satisfy: it answers at any state and in time, and its advice leads to the goal."""

import math
import time

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env
from forestpilot.sim.courses import COURSES
from forestpilot.sim.experts import EXPERTS
from forestpilot.sim.experts.expert import UnsuitableExpertError
from forestpilot.sim.experts.playful import PlayfulExpert
from forestpilot.sim.experts.sloppy import SloppyExpert
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.vehicles import VEHICLES

HABITS = {
    "drone": ("own", "undecided", "moody", "late", "sloppy", "playful"),
    "drive": ("own", "moody", "late", "sloppy"),
}
"""Experts that may be chosen for a task besides its own."""
SHORT = {"drive": {"length": 200.0}}
"""Options of worlds that are through in no time, for experts that were chosen."""
CHOSEN = [(task, name) for task, names in HABITS.items() for name in names if name != "own"]


def env_of(name: str, expert: str = "own"):
    task = TASKS.get(name)
    options = task.Options(**SHORT.get(name, {}) if expert != "own" else {})
    mix = ScenarioMix(width=32, height=24, expert=EXPERTS.get(expert).Config(), options=options)
    return make_env(task, **mix.scenario(11, task).env_kwargs)


@pytest.fixture(params=[*((name, "own") for name in TASKS), *CHOSEN], ids="-".join, scope="module")
def env(request):
    env = env_of(*request.param)
    env.reset(seed=11)
    yield env
    env.close()


def test_every_expert_teaches_a_task():
    """Its own, or one that it may be chosen for."""
    taught = {name for names in HABITS.values() for name in names}
    for name in TASKS:
        env = env_of(name)
        taught |= {known for known in EXPERTS if EXPERTS.get(known) is env._chosen_expert.kind}
        env.close()
    assert set(EXPERTS) == taught


def test_it_answers_wherever_the_vehicle_is_put(env):
    rng = np.random.default_rng(0)
    x_min, x_max, y_min, y_max = env.world.bounds_m
    for _ in range(40):
        place = np.array([rng.uniform(x_min - 5, x_max + 5), rng.uniform(y_min - 5, y_max + 5)])
        env.vehicle.put(place, rng.uniform(-math.pi, math.pi), rng.uniform(0.0, env.course.max_speed_mps))
        env.course.follow(env.vehicle)
        env._place_cameras()
        labels = env.expert_labels()
        assert np.isfinite(labels.actions).all() and np.isfinite(labels.costs).all()
        assert np.abs(labels.actions).max() <= 1.0
        assert labels.actions.shape == (3, 2) and labels.costs.shape == (3, env.task_spec.num_candidates)


def test_it_answers_in_time(env):
    """Its answer at three cameras takes less than a control step, or nobody could drive with it beside."""
    env.reset(seed=11)
    took_s = []
    for _ in range(20):
        started = time.perf_counter()
        labels = env.expert_labels()
        took_s.append(time.perf_counter() - started)
        env.step(labels.actions[1])
    assert np.median(took_s) < 1.0 / env.task_spec.control_hz


def test_its_turn_is_among_the_cheapest(env):
    if isinstance(env._expert, SloppyExpert):
        pytest.skip("its costs are those of who does not wander")
    env.reset(seed=11)
    turns = np.array(env.task_spec.candidate_turns_rad) / env.task_spec.max_turn_rad
    spacing = turns[1] - turns[0]
    over = False
    for _ in range(60):
        labels = env.expert_labels()
        for action, costs in zip(labels.actions, labels.costs):
            assert abs(action[0] - turns[np.argmin(costs)]) <= 1.01 * spacing
        *_, terminated, truncated, _ = env.step(labels.actions[1])
        over = terminated or truncated
        if over:
            break


def test_it_reaches_the_goal_by_its_own_advice(env):
    env.reset(seed=11)
    playful = isinstance(env._expert, PlayfulExpert)
    over = False
    while not over:
        *_, terminated, truncated, info = env.step(env.expert_labels().actions[1])
        over = terminated or truncated
    assert info["outcome"] in (("success", "timeout") if playful else ("success",))


@pytest.mark.parametrize("name", EXPERTS.names())
def test_an_expert_of_something_else_says_so(name):
    class Stranger(VEHICLES.get("car")):
        name = "stranger"
        turn_kind = "steering"

    class Elsewhere(COURSES.get("forest")):
        name = "elsewhere"

    if name == "driving":
        with pytest.raises(UnsuitableExpertError, match="elsewhere"):
            EXPERTS.get(name)(Stranger(-1), Elsewhere(), None)
        return
    with pytest.raises(UnsuitableExpertError, match="stranger"):
        EXPERTS.get(name)(Stranger(-1), Elsewhere(), None)
