"""What moves in the forest: walkers on free lines, seen by physics and by the experts."""

import copy
import math

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.sim.experts import EXPERTS
from forestpilot.sim.tasks.drone import DRONE, DroneOptions
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.hazards.free_lines import APART_M, ROOM_M, SHORTEST_M
from forestpilot.sim.worlds.hazards.traffic import Traffic
from forestpilot.sim.worlds.hazards.walker import SPEED_MPS, Walker
from forestpilot.sim.worlds.tables import Trees
from forestpilot.sim.worlds.world import World

FOUR = ForestConfig(movers=4)
SMALL = {"expert": True, "width": 32, "height": 24}


def walkers_of(world: World) -> list[Walker]:
    assert all(isinstance(hazard, Walker) for hazard in world.hazards)
    return list(world.hazards)  # type: ignore[arg-type]


def line_of(walker: Walker) -> np.ndarray:
    """(n, 2) points of its line, 0.05 m apart at most."""
    count = math.ceil(math.hypot(*(walker.ends_m[1] - walker.ends_m[0])) / 0.05) + 1
    return np.linspace(*walker.ends_m, count)


def test_a_forest_is_the_same_with_and_without_movers():
    alone = make_forest(ForestConfig(), 7)
    among = make_forest(FOUR, 7)
    assert alone.hazards == () and len(among.hazards) == 4
    assert np.array_equal(alone.trees, among.trees)
    assert np.array_equal(alone.appearance.sun_direction, among.appearance.sun_direction)


def test_walkers_follow_from_the_seed():
    times_s = np.linspace(0.0, 30.0, 100)
    for one, other in zip(make_forest(FOUR, 3).hazards, make_forest(FOUR, 3).hazards, strict=True):
        assert np.array_equal(one.boxes(times_s), other.boxes(times_s))
        assert np.array_equal(one.colors, other.colors)
    ends = {tuple(walker.ends_m.ravel()) for seed in range(5) for walker in walkers_of(make_forest(FOUR, seed))}
    assert len(ends) == 20


@pytest.mark.parametrize("seed", range(6))
def test_lines_are_free_of_trunks_and_apart(seed):
    world = make_forest(ForestConfig(movers=10, density_per_m2=1 / 15), seed)
    trees = Trees.of(world.trees)
    lines = [line_of(walker) for walker in walkers_of(world)]
    assert len(lines) >= 8
    for number, line in enumerate(lines):
        assert math.hypot(*(line[-1] - line[0])) >= SHORTEST_M - 1e-6
        gaps = np.hypot(line[:, :1] - trees.x_m, line[:, 1:] - trees.y_m) - trees.radius_m
        assert gaps.min() > ROOM_M - 0.01
        for other in lines[:number]:
            assert np.hypot(*(line[:, None] - other).transpose(2, 0, 1)).min() > APART_M - 0.1


def test_walkers_go_to_and_fro_on_their_line_at_their_speed():
    times_s = np.arange(0.0, 60.0, 0.01)
    for walker in walkers_of(make_forest(FOUR, 11)):
        places = walker.poses(times_s)[:, :2]
        start, end = walker.ends_m
        way = (end - start) / math.hypot(*(end - start))
        along = (places - start) @ way
        assert np.allclose(start + along[:, None] * way, places)
        assert np.ptp(along) == pytest.approx(math.hypot(*(end - start)), abs=0.05)
        steps_mps = np.hypot(*np.diff(places, axis=0).T) / 0.01
        assert SPEED_MPS[0] <= np.median(steps_mps) <= SPEED_MPS[1] and steps_mps.max() < SPEED_MPS[1] + 1e-6


def test_where_there_is_no_free_line_there_is_no_walker():
    assert make_forest(ForestConfig(movers=4, width_m=2.0, density_per_m2=0.0), 0).hazards == ()


@pytest.mark.parametrize("movers", [-1, 11])
def test_a_wrong_number_is_refused(movers):
    with pytest.raises(ValueError, match="movers"):
        ForestConfig(movers=movers)
    with pytest.raises(ValueError, match="movers"):
        DroneOptions(movers=movers)


def test_scenarios_tell_of_movers_only_where_there_are_any():
    rng = np.random.default_rng(0)
    assert "movers" not in DroneOptions().draw(rng)
    assert DroneOptions(movers=3).draw(rng)["movers"] == 3
    assert "3 movers" in DRONE.describe({"movers": 3})


def test_who_flies_into_a_walker_collides():
    env = make_env(DRONE, density=0.0, movers=10, width=32, height=24)
    vehicle = env.unwrapped
    vehicle.draw_only(())
    outcomes = {}
    for seed in range(1_000_000, 1_000_008):
        _, info = env.reset(seed=seed)
        while info["outcome"] == "running":
            info = env.step(np.array([0.0, 1.0]))[4]
        outcomes[seed] = info["outcome"]
        if info["outcome"] == "collision":
            walkers = vehicle.course.traffic.boxes()[:, :2]
            assert np.hypot(*(walkers - vehicle.vehicle.base_position()[:2]).T).min() < 1.0
            assert info["clearance_m"] < 0.2
    env.close()
    assert set(outcomes.values()) == {"collision", "success"}


def outcomes_of(advisor: str, seeds: range) -> list[str]:
    env = make_env(DRONE, movers=4, advisor=advisor, **SMALL)
    env.unwrapped.draw_only(())
    outcomes = []
    for seed in seeds:
        _, info = env.reset(seed=seed)
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(info["expert_action"][1])
            over = terminated or truncated
        outcomes.append(info["outcome"])
    env.close()
    return outcomes


@pytest.mark.parametrize("advisor", [name for name in EXPERTS.names() if name not in ("driving", "late", "playful")])
def test_experts_reach_the_goal_among_walkers(advisor):
    assert outcomes_of(advisor, range(1_000_000, 1_000_004)) == ["success"] * 4


def test_who_plays_avoids_walkers():
    assert "collision" not in outcomes_of("playful", range(1_000_000, 1_000_004))


def test_the_expert_looks_where_walkers_will_be():
    """Blind to them, it would meet some of them in the same forests."""
    env = make_env(DRONE, movers=4, **SMALL)
    vehicle = env.unwrapped
    vehicle.draw_only(())
    hits = 0
    for seed in range(1_000_000, 1_000_006):
        env.reset(seed=seed)
        traffic = vehicle.course.traffic
        over = False
        while not over:
            vehicle.course.traffic = Traffic()
            action = vehicle.expert_labels().actions[1]
            vehicle.course.traffic = traffic
            _, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        hits += info["outcome"] == "collision"
    env.close()
    assert hits >= 1


def test_what_was_right_then_is_answered_later():
    """The late expert asks again about a moment that has passed, with walkers where they were going to be then."""
    env = make_env(DRONE, movers=4, **SMALL)
    vehicle = env.unwrapped
    _, info = env.reset(seed=1_000_003)
    expert = None
    for step in range(20):
        expert = vehicle._expert
        if step == 12:
            views, moment, then = vehicle.views, expert.moment(), expert.label(vehicle.views)
        info = env.step(info["expert_action"][1])[4]
    assert np.array_equal(expert.label_then(views, moment).costs, then.costs)
    env.close()


def test_a_copy_goes_on_among_the_same_walkers():
    lead_in = [[0.2, 1.0]] * 5
    env = make_env(DRONE, movers=4, lead_in=lead_in, **SMALL)
    env.reset(seed=1_000_003)
    for _ in range(10):
        env.step(np.array([0.1, 1.0]))
    twin = copy.deepcopy(env)
    assert env.unwrapped.course.traffic.time_s == pytest.approx(1.5)
    for _ in range(5):
        seen, *_ = env.step(np.array([-0.1, 0.8]))
        seen_by_twin, *_ = twin.step(np.array([-0.1, 0.8]))
        assert env.unwrapped.state_hash() == twin.unwrapped.state_hash()
        assert all(np.array_equal(seen[key], seen_by_twin[key]) for key in seen)
    env.close()
    twin.close()


def test_discs_cover_all_of_a_walker_and_no_disc_lies_in_another():
    traffic = Traffic(make_forest(FOUR, 5).hazards)
    traffic.wake(0.0)
    discs = traffic.discs(np.array([0.0, 2.0]))
    assert discs.shape == (2, 4, 3), "the crate covers all that is below it"
    for boxes, there in zip(traffic.boxes_at(np.array([0.0, 2.0])), discs):
        for x, y, yaw, length, width, *_ in boxes:
            for ahead, left in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                corner_x = x + 0.5 * (ahead * length * math.cos(yaw) - left * width * math.sin(yaw))
                corner_y = y + 0.5 * (ahead * length * math.sin(yaw) + left * width * math.cos(yaw))
                assert (np.hypot(there[:, 0] - corner_x, there[:, 1] - corner_y) <= there[:, 2] + 1e-9).any()
