"""Hazards: from the seed, awake when somebody comes, seen by renderers, physics and the expert."""

import copy
import dataclasses

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.sim.cameras import Camera
from forestpilot.sim.envs.any_vehicle import AnyVehicleEnv
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.worlds.hazards import HAZARDS
from forestpilot.sim.worlds.hazards.hazard import ALWAYS, NEVER, ROAD, RoadSite
from forestpilot.sim.worlds.hazards.room import kinds_on
from forestpilot.sim.worlds.hazards.traffic import Traffic
from forestpilot.sim.worlds.roads.road import PRESETS, make_road
from tests.sim.worlds import road_of, straight_route

SITE = RoadSite(straight_route(), 160, 5.0, 80.0, 120.0)


def drive(**kwargs):
    return make_env(TASKS.get("drive"), hazards=2, length=150.0, **kwargs)


@pytest.fixture
def env():
    env = drive()
    yield env
    env.close()


@pytest.mark.parametrize("name", kinds_on(ROAD))
def test_a_hazard_follows_from_the_seed_and_the_time(name):
    kind = HAZARDS.get(name)
    times = np.linspace(0.0, 40.0, 81)
    first, again, other = (kind.draw(SITE, np.random.default_rng(seed)) for seed in (3, 3, 4))
    boxes = first.boxes(times)
    assert boxes.shape == (81, len(first.solids), 8) and first.colors.shape == (len(first.solids), 3)
    assert np.array_equal(boxes, again.boxes(times)) and not np.array_equal(boxes, other.boxes(times))
    assert np.array_equal(boxes[40], first.boxes(times[40:41])[0])
    # Renderers and physics make each part once.
    assert np.ptp(boxes[:, :, 3:5], axis=0).max() == 0.0
    assert np.ptp(boxes[:, :, 6] - boxes[:, :, 5], axis=0).max() < 1e-9
    assert first.longest_s >= 0.0


def test_a_road_has_its_hazards_from_its_seed_and_is_else_the_same():
    config = dataclasses.replace(PRESETS["winding"], length_m=300.0)
    plain = make_road(config, 7)
    first, again = (make_road(dataclasses.replace(config, hazards=4), 7) for _ in range(2))
    assert plain.hazards == () and len(first.hazards) == 4
    assert np.array_equal(first.trees, plain.trees) and np.array_equal(first.route.x_m, plain.route.x_m)
    assert np.array_equal(Traffic(first.hazards).boxes(), Traffic(again.hazards).boxes())
    assert "4 hazards" in first.describe() and "hazard" not in plain.describe()


def test_who_is_asleep_stays_until_somebody_comes():
    deer = [HAZARDS.get("deer").draw(SITE, np.random.default_rng(seed)) for seed in range(12)]
    wakeful = next(one for one in deer if one.wake_m > 0)
    traffic = Traffic((wakeful,))
    asleep = traffic.boxes().copy()
    traffic.advance(5.0, 10.0)
    assert not traffic.is_awake.any() and np.array_equal(traffic.boxes(), asleep)
    traffic.advance(0.1, wakeful.place_m - wakeful.wake_m)
    soon = traffic.discs(np.array([0.0, 1.0]))
    assert traffic.is_awake.all() and not np.array_equal(soon[0], soon[1])
    kept = traffic.snapshot()
    traffic.advance(1.0, 0.0)
    assert np.allclose(traffic.discs(np.zeros(1))[0], soon[1]) and np.allclose(kept.discs(np.zeros(1))[0], soon[0])
    assert np.array_equal(Traffic((dataclasses.replace(wakeful, wake_m=ALWAYS),)).discs(np.zeros(1))[0], soon[0])


def test_discs_cover_what_is_in_the_way():
    traffic = Traffic(tuple(HAZARDS.get("deer").draw(SITE, np.random.default_rng(seed)) for seed in range(3)))
    ((x, y, radius),) = traffic.discs(np.zeros(1))[0, :1]
    assert traffic.clearance_m(np.array([[x, y]])) < 0.0 < radius
    assert Traffic().clearance_m(np.zeros((1, 2))) == np.inf and not Traffic()


def test_a_copy_goes_on_as_the_environment_does(env):
    env.reset(seed=3)
    for _ in range(60):
        env.step(np.array([0.0, 0.4]))
    twin = copy.deepcopy(env)
    assert twin.state_hash() == env.state_hash() and np.array_equal(twin.frames.rgb, env.frames.rgb)
    twin.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hazards": 9}, r"hazards is 9 on a road of 150 m; allowed there: 0 to 3 \(one per 25 m\)"),
        ({"hazards": -1}, "hazards is -1"),
        ({"hazards": 2, "hazard_kinds": ("cow",)}, r"hazard_kinds has 'cow'; allowed on a road: deer, crossing, car"),
    ],
)
def test_hazards_without_room_or_of_no_road_are_refused_before_any_work(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make_env(TASKS.get("drive"), length=150.0, **options)


def test_a_forest_has_no_deer():
    with pytest.raises(InvalidArgumentError, match="nobody takes hazards"):
        AnyVehicleEnv("quadrotor", "forest", hazards=2)


def first_of(kind, **changes):
    """A road along +x with one hazard of a kind at 80 m, from the first seed whose hazard wakes."""
    kinds = (HAZARDS.get(kind).draw(SITE, np.random.default_rng(seed)) for seed in range(50))
    hazard = next(one for one in kinds if one.wake_m > 0)
    return dataclasses.replace(road_of(straight_route()), hazards=(dataclasses.replace(hazard, **changes),))


def put_on(env, world, x, speed):
    """Begin an episode of an environment in this world, at x on its line."""
    env._usual_course.make_world = lambda seed: world
    env.reset(seed=0)
    env.vehicle.put(np.array([x, 0.0]), 0.0, speed)
    env.course.follow(env.vehicle)


CLOSED = {"wake_m": ALWAYS, "times_s": np.array([0.0, 0.1, 60.0, 61.0])}


@pytest.mark.parametrize(("kind", "changes"), [("crossing", CLOSED), ("car", {"wake_m": NEVER})])
def test_who_runs_into_a_hazard_has_collided_and_is_put_back_before_it(kind, changes):
    for rule in ("none", "line"):
        env = drive(interventions=rule)
        put_on(env, first_of(kind, **changes), 70.0, 9.0)
        for _ in range(20):
            *_, terminated, _, info = env.step(np.array([0.0, 0.3]))
            if terminated or info["intervened"]:
                break
        if rule == "none":
            assert info["outcome"] == "collision" and info["clearance_m"] < 0.05
        else:
            assert (
                info["interventions"] == 1 and env.vehicle.base_position()[0] < 76.0 and env.vehicle.forward_mps < 0.1
            )
            assert env.vehicle.gap_m(env.course.traffic) > 2.0
        env.close()


def test_an_open_barrier_is_passed_under():
    env = drive()
    put_on(env, first_of("crossing", wake_m=NEVER), 70.0, 9.0)
    for _ in range(20):
        _, _, terminated, *_ = env.step(np.array([0.0, 0.3]))
        assert not terminated
    assert env.vehicle.base_position()[0] > 85.0
    env.close()


def test_who_waits_at_a_barrier_is_not_stuck():
    env = drive(interventions="line")
    put_on(env, first_of("crossing", **CLOSED), 72.0, 0.0)
    for _ in range(70):
        *_, info = env.step(np.array([0.0, 0.0]))
    assert info["interventions"] == 0
    put_on(env, first_of("crossing", wake_m=NEVER), 72.0, 0.0)
    for _ in range(55):
        *_, info = env.step(np.array([0.0, 0.0]))
    assert info["interventions"] == 1
    env.close()


def test_what_moves_is_touched_where_it_is_at_each_sub_step():
    """PyBullet alone does what the kernels do where nothing is near, and meets the barrier in the same sub-step."""
    paths = []
    for may_coast in (True, False):
        env = drive()
        env.vehicle.may_coast = may_coast
        put_on(env, first_of("crossing", wake_m=20.0, times_s=np.array([0.0, 1.0, 60.0, 61.0])), 55.0, 9.0)
        path = []
        for _ in range(30):
            _, _, terminated, *_ = env.step(np.array([0.0, 0.1]))
            path.append(env.vehicle.state.copy())
            if terminated:
                break
        paths.append(np.array(path))
        env.close()
    assert 5 < len(paths[0]) < 30 and np.array_equal(*paths)


def test_an_episode_that_begins_later_meets_the_same_hazards():
    env = drive(expert=True)
    _, info = env.reset(seed=3)
    actions = []
    while not env.course.traffic.is_awake.any():
        actions.append(info["expert_action"][1].tolist())
        *_, info = env.step(np.array(actions[-1]))
    late = drive(lead_in=actions)
    late.reset(seed=3)
    assert late.state_hash() == env.state_hash() and late.course.traffic.is_awake.any()
    assert np.array_equal(late.course.traffic.boxes(), env.course.traffic.boxes())
    env.close()
    late.close()


@pytest.mark.parametrize("renderer", ["raycast", "tiny"])
def test_pictures_show_where_everything_is_now(renderer):
    world = first_of("car", wake_m=ALWAYS)
    env = drive(renderer=renderer, observe=("rgb", "segmentation"))
    put_on(env, world, 66.0, 0.0)
    first_id = 2 * len(world.trees) + len(world.boxes)
    shares = []
    for _ in range(40):
        seen, *_ = env.step(np.array([0.0, -1.0]))
        shares.append(float((seen["center_segmentation"] >= first_id).mean()))
    # The car drives off.
    assert shares[0] > 0.005 and 0.0 < shares[-1] < 0.5 * shares[0]
    env.close()


def test_renderers_agree_on_what_moves():
    world = dataclasses.replace(
        road_of(straight_route()),
        hazards=tuple(
            HAZARDS.get(kind).draw(site, np.random.default_rng(5))
            for kind, site in (
                ("deer", SITE),
                ("crossing", SITE._replace(point=150)),
                ("car", SITE._replace(point=170)),
            )
        ),
    )
    traffic = Traffic(world.hazards)
    for hazard in world.hazards:
        traffic.wake(hazard.place_m)
    traffic.advance(1.5, 0.0)
    eyes = np.array([[64.0, 0.0, 1.3]])
    axes = np.array([[[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]])
    seen = []
    for name in ("raycast", "tiny"):
        renderer = make_renderer(name, Camera(96, 72), 1)
        renderer.set_world(world)
        renderer.move(traffic.boxes())
        seen.append(renderer.render(eyes, axes))
        renderer.close()
    ids = [frames.segmentation[0] for frames in seen]
    for number in range(len(traffic.boxes())):
        # A wheel is filed under its car, and is drawn as a finer cylinder by one of them.
        both = [np.count_nonzero(each == 2 * len(world.trees) + number) for each in ids]
        assert abs(both[0] - both[1]) <= 4 + 0.15 * max(both), (number, both)
    assert sum(np.count_nonzero(each >= 0) for each in ids) > 200


def test_a_late_driver_brakes_for_a_hazard_late():
    actions = {}
    for name in ("driving", "late"):
        env = drive(advisor={"part": "late", "delay_s": 1.0} if name == "late" else "", expert=True)
        put_on(env, first_of("crossing", wake_m=20.0), 58.0, 9.0)
        info = {}
        gos = []
        for _ in range(16):
            *_, info = env.step(np.array([0.0, 0.1]))
            gos.append(float(info["expert_action"][1, 1]))
        actions[name] = next(step for step, go in enumerate(gos) if go < -0.2)
        env.close()
    assert actions["late"] >= actions["driving"] + 9
