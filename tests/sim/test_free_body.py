"""A body that touches nothing moves without PyBullet as it moves with it: the same bits, whatever happens before and
after."""

import math

import gymnasium
import numpy as np
import pytest

import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)
from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.physics import PhysicsClient
from forestpilot.sim.vehicles import vehicle as vehicle_module
from forestpilot.sim.vehicles.car import Car
from forestpilot.sim.vehicles.free_body import equals_pybullet, free_step
from forestpilot.sim.vehicles.quadrotor import FlightCommand, Quadrotor
from forestpilot.sim.vehicles.vehicle import Vehicle
from tests.sim.worlds import forest_of

NO_TREES = np.zeros((0, 7), np.float32)
EPISODES = [
    ("ForestPilot/Drone-v0", {"density": 1 / 10, "speed": 7.0}),
    ("ForestPilot/Drive-v0", {"preset": "obstacles", "interventions": "road"}),
    ("ForestPilot/Drive-v0", {"preset": "winding", "interventions": "line"}),
    ("ForestPilot/Vehicle-v0", {"vehicle": "car", "course": "forest", "density": 1 / 15}),
]


@pytest.fixture
def physics():
    client = PhysicsClient()
    yield client
    client.close()


@pytest.fixture(scope="module", autouse=True)
def on_a_machine_where_both_agree():
    if not equals_pybullet():
        pytest.skip("this machine's PyBullet rounds differently, so it does every sub-step itself")


def start(physics: PhysicsClient, trees: np.ndarray = NO_TREES) -> Quadrotor:
    physics.reset(forest_of(trees), reach_m=2.0)
    drone = Quadrotor(physics.id)
    drone.create(np.array([0.0, 0.0, 1.8]), 0.0)
    return drone


def put_anywhere(drone: Quadrotor, rng: np.random.Generator, trial: int) -> None:
    """Any attitude, every third nearly upright, every fourth not turning, some spins too fast for Bullet."""
    quaternion = rng.normal(0, 1, 4) * ((1e-3, 1e-3, 1, 1) if trial % 3 == 0 else (1, 1, 1, 1))
    drone.state[:3] = rng.normal((0, 0, 200), 20, 3)
    drone.state[7:10] = rng.normal(0, 12, 3)
    drone.state[10:] = rng.normal(0, 10 ** rng.uniform(-6, 2.2), 3) * (trial % 4 > 0)
    drone._frame[:] = quaternion if trial % 2 else quaternion / np.linalg.norm(quaternion)
    drone._is_ahead = True
    drone.catch_up()
    drone.read()


def test_a_free_body_moves_as_pybullet_moves_it_from_any_state(physics):
    drone = start(physics)
    rng = np.random.default_rng(0)
    for trial in range(1500):
        put_anywhere(drone, rng, trial)
        state = drone.state.copy()
        frame = drone._frame.copy()
        for _ in range(rng.integers(1, 8)):
            drone._wrench[:] = rng.normal(0, 1, 6) * (8.0, 8.0, 8.0, 0.05, 0.05, 0.05) * (trial % 7 > 0)
            free_step(state, frame, drone._wrench, drone._mass_properties)
            drone._push()
            physics.step()
            assert drone.read().tobytes() == state.tobytes(), f"trial {trial}"


def actions_of(seed: int) -> np.ndarray:
    """Blind and lively: some of these end in a trunk or in a box."""
    rng = np.random.default_rng(seed)
    turns = np.repeat(rng.normal(0, 0.4, 20), 5)
    return np.stack([np.clip(turns, -1, 1), rng.uniform(-0.5, 1, 100)], axis=1)


def trip(env: gymnasium.Env, seed: int) -> tuple[list[int], str]:
    """Hash of every state, and what became of it."""
    env.reset(seed=seed)
    told = []
    for action in actions_of(seed):
        _, _, terminated, _, info = env.step(action)
        told.append(env.unwrapped.state_hash())
        if terminated:
            break
    return told, f"{info['outcome']} {info['progress_m']!r} {info.get('interventions')}"


@pytest.mark.parametrize(("env_id", "kwargs"), EPISODES)
def test_whole_episodes_are_the_same_with_and_without_pybullet_in_between(env_id, kwargs, monkeypatch):
    trips = []
    touched = coasted = 0
    for kernels in (True, False):
        if not kernels:
            monkeypatch.setattr(Quadrotor, "coast", Vehicle.coast)
            monkeypatch.setattr(Car, "coast", Vehicle.coast)
        env = gymnasium.make(env_id, disable_env_checker=True, width=32, height=24, **kwargs)
        steps = count_steps(env.unwrapped.physics)
        trips.append([trip(env, seed) for seed in range(4)])
        env.close()
        coasted += len(steps) if kernels else -len(steps)
    touched = sum(outcome.startswith("collision") or outcome[-1] not in "0e" for _, outcome in trips[0])
    assert trips[0] == trips[1]
    assert touched and coasted < 0, "nothing was touched, or PyBullet did every sub-step"


def count_steps(physics: PhysicsClient) -> list[int]:
    """A list that grows with every sub-step of PyBullet."""
    steps: list[int] = []
    original = physics.step

    def step() -> None:
        steps.append(1)
        original()

    physics.step = step  # type: ignore[method-assign]
    return steps


def test_pybullet_goes_on_from_where_the_kernel_got(physics):
    """Half of the way in the kernel, half in PyBullet: the same place as all of it in PyBullet."""
    command = FlightCommand(0.8, 9.0, 2.0)
    ends = []
    for first in (True, False):
        drone = start(physics)
        if first:
            assert drone.coast(command, np.zeros((0, 3)), np.zeros((24, 3)))
        for _ in range(24 if first else 48):
            drone.apply(command)
            physics.step()
            drone.read()
        ends.append(drone.state_bytes())
    assert ends[0] == ends[1]


def test_what_pybullet_knows_may_be_old_until_it_is_told(physics):
    drone = start(physics)
    drone.catch_up()
    assert drone.coast(FlightCommand(0.0, 9.0, 1.8), np.zeros((0, 3)), np.zeros((24, 3)))
    ahead = drone.read().copy()
    old, _ = pybullet.getBasePositionAndOrientation(drone.body, physicsClientId=physics.id)
    assert old[0] == 0.0 < ahead[0]
    drone.catch_up()
    assert drone.read().tobytes() == ahead.tobytes()


def test_an_episode_that_touches_nothing_builds_nothing(monkeypatch):
    env = gymnasium.make("ForestPilot/Drone-v0", disable_env_checker=True, density=0.0, width=32, height=24)
    calls = []
    monkeypatch.setattr(pybullet, "resetSimulation", lambda **kwargs: calls.append(kwargs))
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.array([0.3, 1.0]))
    assert not calls and env.unwrapped.vehicle.body == -1
    env.close()


def test_pybullet_can_be_told_at_any_time_and_the_episode_goes_on_the_same():
    ends = []
    for asks in (True, False):
        env = gymnasium.make("ForestPilot/Drone-v0", disable_env_checker=True, density=0.1, width=32, height=24)
        env.reset(seed=3)
        for step, action in enumerate(actions_of(0)[:12]):
            env.step(action)
            if asks and step % 3 == 0:
                env.unwrapped.tell_pybullet()
                body, client = env.unwrapped.vehicle.body, env.unwrapped.physics.id
                place, _ = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
                assert place == tuple(env.unwrapped.vehicle.state[:3])
        ends.append(env.unwrapped.state_hash())
        env.close()
    assert ends[0] == ends[1]


@pytest.mark.parametrize("control_hz", [1, 10, 240])
@pytest.mark.parametrize("env_name", ["Drone", "Drive"])
def test_steps_of_any_length_need_no_pybullet_in_the_open(env_name, control_hz):
    env_id = f"ForestPilot/{env_name}-v0"
    env = gymnasium.make(env_id, disable_env_checker=True, control_hz=control_hz, width=32, height=24)
    steps = count_steps(env.unwrapped.physics)
    env.reset(seed=1)
    for _ in range(2):
        env.step(np.array([0.0, 1.0]))
    env.close()
    assert not steps


@pytest.mark.parametrize("velocity", [(0.0, 0.0, 0.0), (-3.0, -0.0, 2.0)])
@pytest.mark.parametrize("yaw_rad", [0.0, 0.7, -2.9, math.pi])
def test_a_placed_body_is_where_pybullet_would_tell(physics, monkeypatch, yaw_rad, velocity):
    drone = start(physics)
    drone.place(np.array([0.1, -0.2, 1.7]), yaw_rad, np.array(velocity))
    foreseen = drone.state.copy()
    drone.catch_up()
    monkeypatch.setattr(vehicle_module, "equals_pybullet", lambda: False)
    drone.place(np.array([0.1, -0.2, 1.7]), yaw_rad, np.array(velocity))
    assert drone.read().tobytes() == foreseen.tobytes()


@pytest.mark.parametrize(("gap_m", "is_free"), [(0.5, True), (0.12, True), (0.08, False), (-0.1, False)])
def test_nothing_is_foreseen_beside_a_trunk(physics, gap_m, is_free):
    drone = start(physics)
    trunk = np.array([[0.0, 0.25 + 0.3 + gap_m, 0.3]])
    before = drone.state_bytes()
    assert drone.coast(FlightCommand(0.0, 5.0, 1.8), trunk, np.zeros((12, 3))) == is_free
    assert (drone.state_bytes() == before) is not is_free


def test_nothing_is_foreseen_near_the_ground(physics):
    drone = start(physics)
    drone.place(np.array([0.0, 0.0, 0.3]), 0.0, np.zeros(3))
    assert not drone.coast(FlightCommand(0.0, 5.0, 1.8), np.zeros((0, 3)), np.zeros((12, 3)))


def test_a_body_that_has_touched_something_coasts_again(physics):
    """Through a trunk's edge and on: PyBullet's sub-steps first, then the kernel's, equal to PyBullet's alone."""
    trunk = np.array([[1.0, 0.5, 0.3, 7.0, 0.0, 0.0, 0.0]], np.float32)
    command = FlightCommand(0.0, 5.0, 1.8)
    ends = []
    for kernels in (True, False):
        drone = start(physics, trunk)
        assert physics.pool is not None
        physics.pool.follow(0.0, 0.0)
        drone.put(np.zeros(2), 0.0, 5.0)
        sideways_m = 0.0
        for _ in range(120):
            drone.apply(command)
            physics.step()
            sideways_m = min(sideways_m, drone.read()[1])
        assert sideways_m < -1e-3, "the trunk did not push it"
        if kernels:
            assert drone.coast(command, physics.pool.discs, np.zeros((24, 3)))
            drone.catch_up()
        for _ in range(12 if kernels else 36):
            drone.apply(command)
            physics.step()
            drone.read()
        ends.append(drone.state_bytes())
    assert ends[0] == ends[1]


def test_pybullet_goes_on_alone_after_sub_steps_that_nobody_read(physics):
    drone = start(physics)
    command = FlightCommand(0.5, 5.0, 1.8)
    for _ in range(2):
        drone.apply(command)
        physics.step()
    drone.read()
    assert not drone.coast(command, np.zeros((0, 3)), np.zeros((12, 3)))
    drone.put(np.zeros(2), 0.0, 3.0)
    assert drone.coast(command, np.zeros((0, 3)), np.zeros((12, 3)))


def test_where_pybullet_rounds_differently_it_does_every_sub_step(monkeypatch):
    monkeypatch.setattr(vehicle_module, "equals_pybullet", lambda: False)
    env = gymnasium.make("ForestPilot/Drone-v0", disable_env_checker=True, width=32, height=24)
    steps = count_steps(env.unwrapped.physics)
    env.reset(seed=0)
    env.step(np.array([0.0, 1.0]))
    env.close()
    assert len(steps) == 24


def test_a_vehicle_with_its_own_controller_or_body_does_not_coast_with_another_ones():
    class Glider(Quadrotor):
        def apply(self, command: FlightCommand) -> None:
            self._wrench[:] = 0.0
            self._push()

    class Gusts:
        def _push(self) -> None:
            super()._push()  # type: ignore[misc]

    class Shaken(Gusts, Quadrotor):
        pass

    class Racer(Quadrotor):
        max_speed_mps = 20.0

    class Own(Glider):
        def coast(self, command: FlightCommand, discs: np.ndarray, path: np.ndarray) -> bool:
            return False

    assert Glider.coast is Shaken.coast is Vehicle.coast
    assert Racer.coast is Quadrotor.coast
    assert Own.coast is not Vehicle.coast


def test_a_body_that_is_pushed_in_pybullet_may_not_coast():
    ways = []
    for push_n in (0.0, 4.0):
        env = gymnasium.make("ForestPilot/Drone-v0", disable_env_checker=True, density=0.0, width=32, height=24)
        drone = env.unwrapped.vehicle
        drone.may_coast = False
        env.reset(seed=0)
        place = drone.state[:3].tolist()
        client = env.unwrapped.physics.id
        push = [0.0, push_n, 0.0]
        pybullet.applyExternalForce(drone.body, -1, push, place, pybullet.WORLD_FRAME, physicsClientId=client)
        env.step(np.array([0.0, 0.0]))
        ways.append(drone.state[1])
        env.close()
    assert ways[1] > ways[0]
