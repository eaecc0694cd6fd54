"""Level views: where pixels go, what lies outside, and that a tilted camera's picture levels to the level camera's."""

from __future__ import annotations

import math
import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.policies.networks.views import OUTSIDE_GREY, ViewConfig, ViewPreparer
from forestpilot.sim.cameras import Camera, Rig, rotation_matrix
from forestpilot.sim.envs.task_spec import side_view
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from tests.helpers.specs import make_spec

FOCAL_PX = 32 / math.tan(math.radians(40))


def make_preparer(height: int = 48, width: int = 64, offset: float = 0.0, level: bool = True) -> ViewPreparer:
    spec = make_spec(image_height=height, image_width=width)
    return ViewPreparer(spec, ViewConfig(horizon_offset_px=offset, level=level))


def states(*tilts: tuple[float, float] | np.ndarray) -> np.ndarray:
    """States (N, S) of vehicles with these rolls and pitches."""
    spec = make_spec()
    made = np.zeros((len(tilts), spec.state_size), dtype=np.float32)
    made[:, [spec.index("roll_rad"), spec.index("pitch_rad")]] = tilts
    return made


def slow_level(image: np.ndarray, roll: float, pitch: float, offset: float = 0.0) -> np.ndarray:
    """The same picture by matrices, in floating point, one pixel at a time."""
    height, width, _ = image.shape
    view = np.full((32, 64, 3), float(OUTSIDE_GREY))
    to_body = rotation_matrix(roll, pitch, 0.0).T
    for row in range(32):
        for column in range(64):
            ray = to_body @ [1.0, (32 - column - 0.5) / FOCAL_PX, (16 - offset - row - 0.5) / FOCAL_PX]
            x, y = width / 2 - FOCAL_PX * ray[1] / ray[0], height / 2 - FOCAL_PX * ray[2] / ray[0]
            if ray[0] <= 0 or not (0 <= x <= width and 0 <= y <= height):
                continue
            x, y = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
            i, j = min(int(y), height - 2), min(int(x), width - 2)
            a, b = y - i, x - j
            top = (1 - b) * image[i, j] + b * image[i, j + 1].astype(float)
            bottom = (1 - b) * image[i + 1, j] + b * image[i + 1, j + 1].astype(float)
            view[row, column] = (1 - a) * top + a * bottom
    return view


def test_level_camera_gives_the_middle_rows_unchanged() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    assert np.array_equal(make_preparer()(images, states((0, 0), (0, 0), (0, 0))), images[:, 8:40])


def test_positive_horizon_offset_shows_more_ground() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), dtype=np.uint8)
    assert np.array_equal(make_preparer(offset=4)(images, states((0, 0))), images[:, 12:44])


def test_without_levelling_tilt_changes_nothing() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), dtype=np.uint8)
    assert np.array_equal(make_preparer(level=False)(images, states((0.3, -0.2))), images[:, 8:40])


@settings(max_examples=12, deadline=None)
@given(roll=st.floats(-1.0, 1.0), pitch=st.floats(-1.0, 1.0), offset=st.floats(-6, 6), seed=st.integers(0, 1000))
def test_kernel_equals_its_slow_twin(roll: float, pitch: float, offset: float, seed: int) -> None:
    roll, pitch = float(np.float32(roll)), float(np.float32(pitch))
    rng = np.random.default_rng(seed)
    # Smooth pictures: weights of six bits and positions of single precision may differ by a hundredth of a pixel.
    y, x = np.mgrid[0:48, 0:64]
    phase = rng.uniform(0, 6, 3)
    image = (127 + 100 * np.sin(0.2 * x[..., None] + 0.15 * y[..., None] + phase)).astype(np.uint8)
    view = make_preparer(offset=offset)(image[None], states((roll, pitch)))[0]
    error = np.abs(view - slow_level(image, roll, pitch, offset)).max(axis=-1)
    # A pixel whose ray grazes the rim may fall on either side of it.
    assert np.mean(error > 1.5) < 0.005


@settings(max_examples=60, deadline=None)
@given(
    roll=st.floats(-0.6, 0.6), pitch=st.floats(-0.6, 0.6), yaw=st.floats(-3, 3),
    bearing=st.floats(-0.5, 0.5), elevation=st.floats(-0.25, 0.25),
)  # fmt: skip
def test_a_point_of_the_world_lands_where_the_level_camera_sees_it(
    roll: float, pitch: float, yaw: float, bearing: float, elevation: float
) -> None:
    body = rotation_matrix(roll, pitch, yaw)
    heading = math.atan2(body[1, 0], body[0, 0])
    direction = np.array([math.cos(heading + bearing), math.sin(heading + bearing), math.tan(elevation)])
    forward, left, up = body.T @ direction
    x, y = 32 - FOCAL_PX * left / forward, 24 - FOCAL_PX * up / forward
    if not (forward > 0 and 2 < x < 62 and 2 < y < 46):
        return
    rows, columns = np.mgrid[0:48, 0:64] + 0.5
    blob = 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)
    image = np.repeat(blob[..., None], 3, axis=2).astype(np.uint8)
    view = make_preparer()(image[None], states((roll, pitch)))[0, :, :, 0].astype(float)
    view[view == OUTSIDE_GREY] = 0
    expected_x = 32 - FOCAL_PX * math.tan(bearing)
    expected_y = 16 - FOCAL_PX * math.tan(elevation) / math.cos(bearing)
    if not (4 < expected_x < 60 and 4 < expected_y < 28):
        return
    rows, columns = np.mgrid[0:32, 0:64] + 0.5
    weight = np.where(view > 60, view, 0)
    assert weight.sum() > 0
    assert (weight * columns).sum() / weight.sum() == pytest.approx(expected_x, abs=0.35)
    assert (weight * rows).sum() / weight.sum() == pytest.approx(expected_y, abs=0.35)


@pytest.mark.parametrize("camera", [0, 1, 2], ids=["left", "center", "right"])
def test_levelled_picture_of_a_tilted_camera_is_that_of_the_level_camera(camera: int) -> None:
    roll, pitch = 0.25, 0.2
    spec, rig = make_spec(), Rig(Camera())
    renderer = make_renderer("raycast", rig.camera, 1)
    world = make_forest(ForestConfig(), 5)
    renderer.set_world(world)
    eyes, axes = rig.poses((world.start_m[0], world.start_m[1], 1.7), rotation_matrix(roll, pitch, 0.3))
    tilted = np.array(renderer.render(eyes[camera : camera + 1], axes[camera : camera + 1]).rgb)
    forward = axes[camera, 2]
    level = np.array([[forward[1], -forward[0], 0], [0, 0, 1], [forward[0], forward[1], 0]])
    level[[0, 2]] /= np.hypot(forward[0], forward[1])
    expected = np.array(renderer.render(eyes[camera : camera + 1], level[None].astype(np.float32)).rgb)[0, 8:40].astype(
        float
    )
    renderer.close()

    state = np.zeros(spec.state_size, dtype=np.float32)
    state[spec.index("roll_rad")], state[spec.index("pitch_rad")] = roll, pitch
    yaw = (spec.side_yaw_rad, 0.0, -spec.side_yaw_rad)[camera]
    state = side_view(spec, state, np.array([1.0, 0.0], dtype=np.float32), yaw)[0]
    tilt = (float(state[spec.index("roll_rad")]), float(state[spec.index("pitch_rad")]))
    view = make_preparer()(tilted, states(tilt))[0]
    seen = (view != OUTSIDE_GREY).any(axis=-1)
    difference = np.abs(view - expected).mean(axis=-1)[seen]
    untouched = np.abs(tilted[0, 8:40] - expected).mean(axis=-1)[seen]
    assert seen.mean() > 0.6
    # Resampling softens edges; away from them the pictures agree, and far better than without levelling.
    assert np.median(difference) < 4
    assert difference.mean() < 0.5 * untouched.mean()


def test_pixels_the_camera_did_not_see_are_grey() -> None:
    images = np.zeros((1, 48, 64, 3), dtype=np.uint8)
    view = make_preparer()(images, states((0.0, 0.7)))[0]
    assert (view[0] == OUTSIDE_GREY).all()
    assert (view[-1] == 0).all()


@pytest.mark.parametrize(
    "tilt", [(math.pi, 0.0), (0.0, math.pi / 2), (0.0, -math.pi / 2), (math.nan, 0.0), (math.inf, 0.0)]
)
def test_any_attitude_is_survived(tilt: tuple[float, float]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), dtype=np.uint8)
    assert make_preparer()(images, states(tilt)).shape == (1, 32, 64, 3)


def test_larger_images_are_averaged_down() -> None:
    small = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(make_preparer(96, 128)(large, states((0, 0), (0, 0))), small[:, 8:40])


def test_each_frame_of_a_batch_stands_alone() -> None:
    rng = np.random.default_rng(0)
    images, tilts = rng.integers(0, 256, (6, 48, 64, 3), dtype=np.uint8), states(*rng.normal(0, 0.2, (6, 2)))
    together = make_preparer()(images, tilts)
    assert all(np.array_equal(together[i], make_preparer()(images[i : i + 1], tilts[i : i + 1])[0]) for i in range(6))


def test_preparer_travels_to_other_processes() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), dtype=np.uint8)
    copy = pickle.loads(pickle.dumps(make_preparer()))
    assert np.array_equal(copy(images, states((0.1, 0.1))), make_preparer()(images, states((0.1, 0.1))))


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="another camera"):
        make_preparer()(np.zeros((1, 24, 32, 3), dtype=np.uint8), states((0, 0)))


def test_a_vehicle_without_tilt_is_level_by_itself() -> None:
    names = tuple(
        name.replace("roll_rad", "bank_rad").replace("pitch_rad", "nose_rad") for name in make_spec().state_names
    )
    images = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), dtype=np.uint8)
    plain = ViewPreparer(make_spec(state_names=names))
    assert np.array_equal(plain(images, states((0.3, -0.2))), images[:, 8:40])


def test_a_level_view_needs_roll_and_pitch() -> None:
    names = tuple(name if name != "roll_rad" else "bank_rad" for name in make_spec().state_names)
    with pytest.raises(ValueError, match=r"set view\.level to False"):
        ViewPreparer(make_spec(state_names=names))
    assert ViewPreparer(make_spec(state_names=names), ViewConfig(level=False)).view_shape == (32, 64, 3)


def test_a_frame_takes_microseconds() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (256, 48, 64, 3), dtype=np.uint8)
    tilts = states(*rng.normal(0, 0.2, (256, 2)))
    preparer = make_preparer()
    preparer(images, tilts)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        preparer(images, tilts)
        times.append(time.perf_counter() - started)
    # 6 us a frame on an idle core; the bound leaves room for a busy machine.
    assert min(times) / 256 < 60e-6
