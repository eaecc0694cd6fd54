"""The expert: its costs say where the trunks are, at any state, and its flights reach the goal."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.sim.experts.flight import CANDIDATE_TURNS_RAD, FlightPlanner, PlannerConfig
from forestpilot.sim.experts.lane_functions import exponential
from forestpilot.sim.experts.planner import COLLISION_COST
from forestpilot.sim.tasks.drone import DRONE
from forestpilot.sim.vehicles.quadrotor import (
    BODY_RADIUS_M,
    MAX_TURN_RAD,
    MODEL_STEP_S,
    TILT_LAG_S,
    FlightMotion,
    motion_step,
)
from forestpilot.sim.worlds.clearance import build_clearance_map
from forestpilot.sim.worlds.forest import PRESETS, make_forest

BOUNDS = (-5.0, 55.0, -15.0, 15.0)
GOAL = np.array([40.0, 0.0])


def planner(*trees: tuple[float, float, float], **config: float) -> FlightPlanner:
    """A planner among trunks given as (x, y, radius)."""
    array = np.zeros((len(trees), 7), np.float32)
    array[:, :3] = np.array(trees).reshape(-1, 3)
    return FlightPlanner(build_clearance_map(array, BOUNDS), BOUNDS, GOAL, PlannerConfig(**config))


def cruising(x: float = 0.0, y: float = 0.0, speed: float = 5.0, heading: float = 0.0) -> FlightMotion:
    return FlightMotion(x, y, speed * math.cos(heading), speed * math.sin(heading), 0.0, 0.0, 0.0, 0.0)


def test_flies_straight_in_free_air():
    advice = planner().advise(cruising(), 0.0, 5.0)
    assert abs(advice.turn_rad) < math.radians(2)
    assert advice.costs[10] < 0.1
    assert np.all(np.diff(advice.costs[10:]) > 0) and np.all(np.diff(advice.costs[:11]) < 0)


def test_turns_towards_a_goal_at_the_side():
    assert planner().advise(cruising(20.0, -10.0), 0.0, 5.0).turn_rad > math.radians(15)
    assert planner().advise(cruising(20.0, 10.0), 0.0, 5.0).turn_rad < -math.radians(15)


def test_avoids_a_trunk_ahead_on_the_free_side():
    left_free = planner((3.0, -0.15, 0.3), (3.0, -1.0, 0.3)).advise(cruising(), 0.0, 5.0)
    right_free = planner((3.0, 0.15, 0.3), (3.0, 1.0, 0.3)).advise(cruising(), 0.0, 5.0)
    assert left_free.turn_rad > math.radians(3) and right_free.turn_rad < -math.radians(3)


def test_a_trunk_costs_the_same_however_near_the_goal():
    """A policy cannot see the goal: an expert that ignored what stands behind it would teach to fly into trunks."""
    far = planner((9.0, 0.1, 0.3)).advise(cruising(0.0), 0.0, 5.0).costs
    near = planner((38.0, 0.1, 0.3)).advise(cruising(29.0), 0.0, 5.0).costs
    assert near[10] > 0.2
    assert np.allclose(near[5:16], far[5:16], atol=0.35)


def test_unavoidable_collisions_cost_the_more_the_sooner():
    wall = [(x, y, 0.4) for x in (2.5,) for y in np.arange(-14, 14, 0.7)]
    near = planner(*wall).advise(cruising(0.0), 0.0, 10.0).costs
    far = planner(*wall).advise(cruising(-3.0), 0.0, 10.0).costs
    assert near.min() >= COLLISION_COST and near[10] > far[10]


def test_answers_when_heading_away_or_standing_still():
    for yaw in (math.pi, 2.0, -2.5):
        advice = planner((3.0, 1.0, 0.3)).advise(cruising(speed=0.0), yaw, 5.0)
        assert np.isfinite(advice.costs).all() and abs(advice.turn_rad) <= MAX_TURN_RAD + 1e-9


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), y=st.floats(-6, 6), yaw=st.floats(-0.8, 0.8))
def test_a_mirrored_forest_has_mirrored_costs(seed, y, yaw):
    trees = make_forest(PRESETS["loquercio"], seed).trees
    mirrored = trees.copy()
    mirrored[:, 1] *= -1
    costs = []
    for array, sign in ((trees, 1), (mirrored, -1)):
        plan = FlightPlanner(build_clearance_map(array, BOUNDS), BOUNDS, GOAL)
        costs.append(plan.advise(cruising(5.0, sign * y, 5.0, sign * yaw), sign * yaw, 5.0).costs[::sign])
    collided = (costs[0] > COLLISION_COST) != (costs[1] > COLLISION_COST)
    assert collided.sum() <= 1, "only a grazed trunk may be judged differently"
    assert np.allclose(costs[0][~collided], costs[1][~collided], rtol=0.05, atol=0.5)


def slow_candidate_cost(plan_config: PlannerConfig, trees, motion, heading, speed, discs=None) -> float:
    """The planner's definition, told slowly: exact distances, no pruning, no shared beginnings."""
    c = plan_config
    blend = 1 - math.exp(-MODEL_STEP_S / TILT_LAG_S)
    total_s = min(max(c.horizon_m / speed, c.horizon_s[0]), c.horizon_s[1])
    bearing = math.atan2(GOAL[1] - motion[1], GOAL[0] - motion[0])
    angle = heading - bearing
    best = math.inf
    for switch in c.switch_s:
        for offset in np.arange(-4, 5) * c.second_heading_step_rad:
            cost = (
                0.8 * abs(angle)
                + 0.8 * angle**2
                + 0.4 * abs(offset)
                + c.change_weight * abs(bearing + offset - heading)
            )
            state = motion
            for step in range(round(total_s / MODEL_STEP_S)):
                aim = heading if step < round(switch / MODEL_STEP_S) else bearing + offset
                state = motion_step(state, speed, math.cos(aim), math.sin(aim), blend, MODEL_STEP_S)
                round_things = [*trees, *(discs[step] if discs is not None else ())]
                gaps = [math.hypot(state[0] - t[0], state[1] - t[1]) - t[2] for t in round_things]
                gap = min(2.0, *gaps) - BODY_RADIUS_M
                if gap < c.safety_margin_m:
                    cost += COLLISION_COST * (1 + 1.5 * (total_s - step * MODEL_STEP_S) / total_s)
                    break
                if gap < 1.5:
                    cost += MODEL_STEP_S * speed * c.clearance_weight * math.exp(-gap / c.clearance_decay_m)
            best = min(best, cost)
    return best


def test_costs_match_a_slow_twin():
    trees = [(5.0, 0.4, 0.3), (8.0, -0.8, 0.25), (9.5, 1.1, 0.35), (4.0, -2.0, 0.3)]
    motion = cruising(0.0, 0.1, 5.0)
    fast = planner(*trees).costs(CANDIDATE_TURNS_RAD, motion, 0.0, 5.0)
    slow = [slow_candidate_cost(PlannerConfig(), trees, motion, turn, 5.0) for turn in CANDIDATE_TURNS_RAD]
    assert np.allclose(fast, slow, rtol=0.08, atol=0.1)


def discs_of(plan: FlightPlanner, *movers: tuple[float, float, float, float, float], speed: float = 5.0) -> np.ndarray:
    """Discs given as (x, y, radius, vx, vy) at the times of a rollout's steps."""
    now = np.array(movers).reshape(-1, 5)
    moved = plan.times_s(speed)[:, None, None] * now[:, 3:]
    return np.concatenate([now[:, :2] + moved, np.broadcast_to(now[:, 2:3], (*moved.shape[:2], 1))], axis=2)


def test_costs_among_movers_match_a_slow_twin():
    trees = [(5.0, 0.4, 0.3), (8.0, -0.8, 0.25)]
    plan = planner(*trees)
    discs = discs_of(plan, (6.0, -4.0, 0.4, 0.0, 2.0), (9.0, 1.0, 0.35, -1.5, 0.0))
    motion = cruising(0.0, 0.1, 5.0)
    fast = plan.costs(CANDIDATE_TURNS_RAD, motion, 0.0, 5.0, discs)
    slow = [slow_candidate_cost(PlannerConfig(), trees, motion, turn, 5.0, discs) for turn in CANDIDATE_TURNS_RAD]
    assert np.allclose(fast, slow, rtol=0.08, atol=0.1)
    assert not np.allclose(fast, plan.costs(CANDIDATE_TURNS_RAD, motion, 0.0, 5.0), rtol=0.08, atol=0.1)


def test_a_mover_that_stands_still_is_a_trunk():
    plan = planner()
    among = plan.costs(CANDIDATE_TURNS_RAD, cruising(), 0.0, 5.0, discs_of(plan, (4.0, 0.1, 0.3, 0.0, 0.0)))
    trunk = planner((4.0, 0.1, 0.3)).costs(CANDIDATE_TURNS_RAD, cruising(), 0.0, 5.0)
    assert np.allclose(among, trunk, rtol=0.08, atol=0.1)


def test_passes_behind_what_crosses_from_either_side():
    """Where it will be counts, not where it is: who comes from the left is right of the way when the drone comes."""
    plan = planner()
    for side in (1.0, -1.0):
        discs = discs_of(plan, (5.0, side * 1.6, 0.35, 0.0, -side * 2.0))
        (advice,) = plan.advise_all(np.array([cruising()]), np.zeros(1), 5.0, discs=discs)
        assert side * advice.turn_rad > math.radians(3)


def test_who_has_gone_when_the_drone_comes_costs_nothing():
    plan = planner()
    gone = discs_of(plan, (8.0, 0.0, 0.35, 0.0, 3.0))
    assert plan.costs(np.zeros(1), cruising(), 0.0, 5.0, gone)[0] < 0.1
    staying = discs_of(plan, (8.0, 0.0, 0.35, 0.0, 0.0))
    assert plan.costs(np.zeros(1), cruising(), 0.0, 5.0, staying)[0] > 0.2


def test_discs_at_other_times_than_a_rollouts_are_refused():
    plan = planner()
    with pytest.raises(ValueError, match="times_s"):
        plan.advise_all(np.array([cruising()]), np.zeros(1), 5.0, discs=np.zeros((3, 1, 3)))


def expert_outcomes(seeds: range, **kwargs: object) -> list[str]:
    env = make_env(DRONE, expert=True, width=32, height=24, **kwargs)
    outcomes = []
    for seed in seeds:
        _, info = env.reset(seed=seed)
        while info["outcome"] == "running":
            info = env.step(info["expert_action"][1])[4]
        outcomes.append(info["outcome"])
    env.close()
    return outcomes


@pytest.mark.parametrize(("density", "speed"), [(1 / 25, 5.0), (1 / 25, 10.0), (1 / 15, 5.0)])
def test_expert_reaches_the_goal_in_unseen_forests(density, speed):
    outcomes = expert_outcomes(range(2_000_000, 2_000_020), preset="loquercio", density=density, speed=speed)
    assert outcomes.count("success") >= 19


def test_expert_labels_side_cameras_at_their_own_heading():
    env = make_env(DRONE, expert=True)
    _, info = env.reset(seed=4)
    for _ in range(15):
        info = env.step(info["expert_action"][1])[4]
    side = env.rig.side_yaw_rad
    actions = info["expert_action"][:, 0] * MAX_TURN_RAD
    # All three aim at nearly the same direction in the world, so the views see it at angles that differ by their yaw.
    directions = actions + np.array([side, 0.0, -side])
    assert np.ptp(directions) < math.radians(8)
    env.close()


def test_config_reaches_the_kernels():
    timid = planner((5.0, 0.9, 0.3), clearance_weight=6.0).advise(cruising(), 0.0, 5.0)
    bold = planner((5.0, 0.9, 0.3), clearance_weight=0.1).advise(cruising(), 0.0, 5.0)
    assert timid.turn_rad < bold.turn_rad - math.radians(1)


def random_states(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Motions (n, 8) and headings (n,) in and around a forest, some of them wild."""
    motions = rng.normal(0.0, 2.0, (count, 8))
    motions[:, 0] = rng.uniform(-8.0, 58.0, count)
    motions[:, 1] = rng.uniform(-18.0, 18.0, count)
    motions[:, 2] += 5.0
    return motions, rng.normal(0.0, 1.0, count)


@pytest.mark.parametrize("num_states", [1, 3, 7])
def test_states_are_advised_together_as_they_are_one_by_one(num_states):
    world = make_forest(PRESETS["loquercio"], 5)
    flight = FlightPlanner(world.clearance, world.bounds_m, world.goal_m)
    motions, yaws = random_states(np.random.default_rng(num_states), 28)
    for first in range(0, len(yaws), num_states):
        together = flight.advise_all(motions[first : first + num_states], yaws[first : first + num_states], 5.0)
        for motion, yaw, advice in zip(motions[first:], yaws[first:], together):
            alone = flight.advise(FlightMotion(*motion), yaw, 5.0)
            assert advice.turn_rad == alone.turn_rad and np.array_equal(advice.costs, alone.costs)


def test_what_a_turn_costs_depends_on_no_other():
    """However many are tried at once: rollouts share a pool, and nothing else."""
    world = make_forest(PRESETS["loquercio"], 6)
    flight = FlightPlanner(world.clearance, world.bounds_m, world.goal_m)
    many = np.linspace(-MAX_TURN_RAD, MAX_TURN_RAD, 150)
    motions, yaws = random_states(np.random.default_rng(0), 10)
    for motion, yaw in zip(motions, yaws):
        costs = flight.costs(many, FlightMotion(*motion), yaw, 7.0)
        some = flight.costs(many[100:107], FlightMotion(*motion), yaw, 7.0)
        assert np.array_equal(some, costs[100:107])


def test_lanes_know_the_exponential():
    @njit
    def exponentials(x, out):
        for i in range(len(x)):
            out[i] = exponential(x[i])

    x = -np.concatenate([np.linspace(0.0, 6.0, 5000), np.geomspace(1e-12, 690.0, 5000), [1e6]])
    out = np.empty_like(x)
    exponentials(x, out)
    np.testing.assert_allclose(out, np.exp(np.maximum(x, -700.0)), rtol=4e-16)
