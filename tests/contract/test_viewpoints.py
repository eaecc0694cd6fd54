"""Every viewpoint: what `VIEWPOINTS` promises of it, tested by being registered."""

from __future__ import annotations

import numpy as np
import pytest

from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env
from forestpilot.sim.envs.third_camera import ThirdCamera
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.rendering.protocol import VEHICLE_ID
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.viewpoints import VIEWPOINTS, VehicleViewConfig

THIRD = [name for name in VIEWPOINTS if VIEWPOINTS.get(name).Config.third_person]
STEPS = 45


def watched(name: str, task: str, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a third camera sees of a vehicle that goes straight on: pictures, eyes, and pixels of the vehicle."""
    mix = ScenarioMix(width=32, height=24)
    env = make_env(TASKS.get(task), **mix.scenario(seed, TASKS.get(task)).env_kwargs)
    env.draw_only(())
    env.reset(seed=seed)
    camera = ThirdCamera(env, VIEWPOINTS.get(name).Config())
    rendered = camera._renderer.render
    eyes, seen = [], []

    def noting(eye, axes, vehicle):
        frames = rendered(eye, axes, vehicle)
        eyes.append(eye[0])
        seen.append(int((frames.segmentation[0] == VEHICLE_ID).sum()))
        return frames

    camera._renderer.render = noting
    pictures = []
    for _ in range(STEPS):
        pictures.append(camera.draw())
        env.step(np.array([0.0, 1.0]))
    env.close()
    return np.stack(pictures), np.stack(eyes), np.array(seen)


@pytest.mark.parametrize("name", VIEWPOINTS.names())
def test_its_options_are_its_own_and_survive_being_stored(name: str) -> None:
    config = VIEWPOINTS.get(name).Config()
    assert config.part == name
    assert from_plain(type(config), {key: value for key, value in to_plain(config).items() if key != "part"}) == config
    other = next(VIEWPOINTS.get(other).Config() for other in VIEWPOINTS if other != name)
    with pytest.raises(InvalidArgumentError, match="takes"):
        VIEWPOINTS.get(name)(other)


@pytest.mark.parametrize("task", TASKS.names())
@pytest.mark.parametrize("name", THIRD)
def test_it_sees_the_vehicle_at_the_size_of_observations(name: str, task: str) -> None:
    pictures, eyes, seen = watched(name, task)
    assert pictures.dtype == np.uint8 and pictures.shape == (STEPS, 24, 32, 3)
    assert np.isfinite(eyes).all()
    assert (seen > 3).sum() >= 2, "more than a speck, more than once"
    again, _, _ = watched(name, task)
    np.testing.assert_array_equal(pictures, again)


@pytest.mark.parametrize(("name", "moves"), [("tower", False), ("chase", True), ("side", True)])
def test_a_tower_stands_still_and_the_others_go_along(name: str, moves: bool) -> None:
    _, eyes, seen = watched(name, "drone")
    assert (np.linalg.norm(eyes[-1] - eyes[0]) > 1.0) == moves
    assert not moves or seen[2:].all(), "who goes along does not lose the vehicle in the open"


def test_the_vehicles_own_cameras_are_no_third_one() -> None:
    view = VIEWPOINTS.get("vehicle")(VehicleViewConfig())
    with pytest.raises(InvalidArgumentError, match="no camera of its own"):
        view.pose(None)
