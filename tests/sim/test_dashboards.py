"""Dashboards: a lamp in the pictures and in the state that shows the brake of the step before."""

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.sim.envs.any_vehicle import AnyVehicleEnv
from forestpilot.sim.envs.dashboards import BRAKE_LIGHT, DARK_COLOR, LIT_COLOR, dashboard_of, masks
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.rendering.protocol import VEHICLE_ID
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions

CAMERAS = ("left", "center", "right")
GAS, BRAKE = np.array([0.0, 0.6]), np.array([0.0, -0.6])


def drive(**kwargs):
    return make_env(TASKS.get("drive"), length=60.0, **kwargs)


def test_the_lamp_shows_the_brake_of_the_step_before_in_every_picture_and_in_the_state():
    env = drive(dashboard="brake-light", observe=("rgb", "depth", "segmentation"))
    plain = drive()
    cowl, lamp = masks(48, 64)
    seen, bare = env.reset(seed=5)[0], plain.reset(seed=5)[0]
    place = env.task_spec.index(BRAKE_LIGHT)
    for action in (GAS, GAS, BRAKE, BRAKE, GAS):
        color = LIT_COLOR if action is BRAKE else DARK_COLOR
        seen, bare = env.step(action)[0], plain.step(action)[0]
        assert seen["state"][place] == (color == LIT_COLOR)
        for name in CAMERAS:
            assert (seen[name][lamp] == color).all() and (seen[name][~cowl] == bare[name][~cowl]).all()
            assert (seen[f"{name}_segmentation"][cowl] == VEHICLE_ID).all() and seen[f"{name}_depth"][cowl].max() < 1.0
        assert np.array_equal(seen["state"][:place], bare["state"])
    assert env.observation_space.contains(seen) and env.reset(seed=5)[0]["state"][place] == 0.0
    env.close()
    plain.close()


@pytest.mark.parametrize(("height", "width"), [(48, 64), (24, 33), (120, 160)])
def test_a_mirrored_dashboard_is_the_same(height, width):
    for mask in masks(height, width):
        assert mask.any() and np.array_equal(mask, mask[:, ::-1])


def test_the_usual_view_of_a_policy_holds_the_lamp():
    env = drive(dashboard="brake-light")
    env.reset(seed=5)
    prepare = ViewPreparer(env.task_spec)
    views = {}
    for action in (GAS, BRAKE):
        seen = env.step(action)[0]
        views[tuple(action)] = prepare(seen["center"][None], seen["state"][None])[0].astype(int)
    redder = views[tuple(BRAKE)] - views[tuple(GAS)]
    assert (redder[..., 0] > 100).sum() >= 20
    env.close()


def test_a_vehicle_without_a_brake_has_no_lamp():
    with pytest.raises(InvalidArgumentError, match="a quadrotor has no brake; allowed for it: none"):
        AnyVehicleEnv("quadrotor", "road", dashboard="brake-light")
    with pytest.raises(ValueError, match="brake-light"):
        drive(dashboard="brake-lihgt")


def test_a_policy_brings_the_dashboard_that_it_was_taught_with():
    env = drive(dashboard="brake-light")
    taught = dashboard_of(env.task_spec.state_names)
    env.close()
    usual = TASKS.get("drive").evaluation_options
    assert taught == "brake-light" and usual.with_dashboard(taught).dashboard == taught
    assert usual.with_dashboard("none") is usual
    asked = DriveOptions(dashboard=taught)
    assert asked.with_dashboard(taught) is asked and asked.with_dashboard("none") is asked
    with pytest.raises(InvalidArgumentError, match="which this task does not have"):
        TASKS.get("drone").evaluation_options.with_dashboard(taught)
    scenarios = EvaluateConfig(("x",), task="drive", episodes=2).scenarios(dashboard=taught)
    assert [one.env_kwargs["dashboard"] for one in scenarios] == [taught, taught]


def test_drives_without_a_dashboard_say_nothing_of_it():
    rng = np.random.default_rng(0)
    assert "dashboard" not in DriveOptions().draw(rng)
    assert DriveOptions(dashboard="brake-light").draw(rng)["dashboard"] == "brake-light"
