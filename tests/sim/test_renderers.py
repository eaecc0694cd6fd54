"""The registry of renderers: one from elsewhere is used like ForestPilot's own."""

import numpy as np
import pytest

from forestpilot.sim.cameras import Camera
from forestpilot.sim.envs.drone import DroneEnv
from forestpilot.sim.registry import UnknownNameError
from forestpilot.sim.rendering import RENDERERS, Frames, make_renderer


class BlankRenderer:
    """Pictures of one grey."""

    name = "blank"

    def __init__(self, camera, num_cameras):
        self.shape = (num_cameras, camera.height, camera.width)

    def set_world(self, world):
        self.grey = 40 + len(world.trees) % 100

    def render(self, eyes, axes, vehicle=None):
        rgb = np.full((*self.shape, 3), self.grey, np.uint8)
        return Frames(rgb, np.ones(self.shape, np.float32), np.zeros(self.shape, np.int32))

    def close(self):
        pass


@pytest.fixture
def blank():
    RENDERERS.register("blank", BlankRenderer, "one grey")
    yield "blank"
    RENDERERS.unregister("blank")


def test_an_environment_draws_with_a_registered_renderer(blank):
    env = DroneEnv(renderer=blank, render_mode="rgb_array")
    observation, _ = env.reset(seed=3)
    assert (observation["center"] == 40 + len(env.world.trees) % 100).all()
    assert env.render().shape == (360, 640, 3)
    env.close()


def test_a_renderer_can_be_named_by_where_it_is():
    assert isinstance(make_renderer(f"{__name__}:BlankRenderer", Camera(), 3), BlankRenderer)


def test_an_unknown_renderer_is_answered_by_the_closest_known_one():
    with pytest.raises(UnknownNameError, match="did you mean 'raycast'"):
        make_renderer("raycasts", Camera(), 3)
    with pytest.raises(ValueError, match="at least 1"):
        make_renderer("raycast", Camera(), 0)


def test_names_are_known_without_loading_a_renderer():
    assert [line.name for line in RENDERERS.lines()][:3] == ["raycast", "tiny", "egl"]
    assert all(line.summary for line in RENDERERS.lines())
