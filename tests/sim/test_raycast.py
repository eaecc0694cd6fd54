"""The ray-caster's kernels against slow NumPy twins, and what a user of the renderer relies on."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.sim.cameras import Camera, Rig, chase_pose, rotation_matrix
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.rendering.protocol import FAR_M, GROUND_ID, NEAR_M, SKY_ID, VEHICLE_ID
from forestpilot.sim.rendering.raycast import intersect
from forestpilot.sim.rendering.raycast.intersect import Box, Upright, View, empty_sheet
from forestpilot.sim.rendering.raycast.textures import skyline, texture_bank
from forestpilot.sim.worlds.appearance import default_appearance, draw_appearance
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from tests.helpers.kernels import callable_kernel
from tests.sim.vehicles import drawn_car, drawn_quadrotor

F = np.float32
CAMERA = Camera(64, 48)
aim_rows = callable_kernel(intersect.aim_rows)
screen_box = callable_kernel(intersect.screen_box)
trace_box = callable_kernel(intersect.trace_box)
trace_cone = callable_kernel(intersect.trace_cone)
trace_cylinder = callable_kernel(intersect.trace_cylinder)
trace_ground = callable_kernel(intersect.trace_ground)
trace_log = callable_kernel(intersect.trace_log)
trace_sphere = callable_kernel(intersect.trace_sphere)
ATTITUDES = st.tuples(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(-3.1, 3.1))


def view_of(attitude, camera=CAMERA):
    """An empty image at this attitude, and its rays (H, W, 3) in float64."""
    _, axes = Rig(camera).poses((0, 0, 0), rotation_matrix(*attitude))
    slopes = ((np.arange(camera.width) + 0.5 - camera.width / 2) / camera.focal_px).astype(F)
    upward = (camera.height / 2 - np.arange(camera.height) - 0.5) / camera.focal_px
    right, up, forward = axes[1].astype(float)
    rays = forward + slopes[None, :, None].astype(float) * right + upward[:, None, None] * up
    shape = (camera.height, camera.width)
    return View(np.full(shape, FAR_M, F), np.full(shape, SKY_ID, np.int32), slopes, axes[1], F(camera.focal_px)), rays


def trace(kernel, view, *args):
    """Let a kernel trace into a sheet that shows nothing but sky yet, and write depth and ids into the view."""
    height, width = view.depth.shape
    sheet = empty_sheet(width, height)
    aim_rows(view, sheet)
    sheet.depth[:] = FAR_M
    sheet.ids[:] = SKY_ID
    kernel(view, sheet, *args)
    view.depth[:] = sheet.depth.T[:height]
    view.ids[:] = sheet.ids.T[:height]


def whole(view):
    return Box(0, view.depth.shape[0] - 1, 0, view.depth.shape[1] - 1)


def nearest(*hits):
    """The least of the depths that are no NaN and within the planes; FAR_M without any."""
    depth = np.stack([np.where((hit > NEAR_M) & (hit < FAR_M), hit, FAR_M) for hit in hits])
    return depth.min(axis=0)


def roots(a, b, c):
    """Both solutions of a t^2 - 2 b t + c = 0, NaN where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(b * b - a * c)
        return (b - spread) / a, (b + spread) / a


def cylinder_twin(rays, x, y, radius, low, high):
    dx, dy, dz = np.moveaxis(rays, -1, 0)
    t = roots(dx**2 + dy**2, dx * x + dy * y, x**2 + y**2 - radius**2)[0]
    return nearest(np.where((t * dz >= low) & (t * dz <= high), t, np.nan))


def sphere_twin(rays, x, y, z, radius):
    center = np.array([x, y, z])
    return nearest(roots((rays**2).sum(-1), rays @ center, center @ center - radius**2)[0])


def cone_twin(rays, x, y, radius, low, high):
    dx, dy, dz = np.moveaxis(rays, -1, 0)
    k2 = (radius / (high - low)) ** 2
    sides = roots(dx**2 + dy**2 - k2 * dz**2, dx * x + dy * y - k2 * dz * high, x**2 + y**2 - k2 * high**2)
    base = low / dz
    on_base = np.hypot(base * dx - x, base * dy - y) < radius
    return nearest(
        *(np.where((t * dz >= low) & (t * dz <= high), t, np.nan) for t in sides), np.where(on_base, base, np.nan)
    )


def slab(start, step, half):
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(start - half) / step, (start + half) / step])
    return ends.min(axis=0), ends.max(axis=0)


def in_box_frame(rays, x, y, yaw):
    """Rays and middle in a box's own directions."""
    turn = np.array([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    return np.moveaxis(rays @ turn.T, -1, 0), turn @ np.array([x, y, 0])


def box_twin(rays, x, y, yaw, half_length, half_width, low, high):
    (a, b, c), middle = in_box_frame(rays, x, y, yaw)
    slabs = [
        slab(middle[0], a, half_length),
        slab(middle[1], b, half_width),
        slab((low + high) / 2, c, (high - low) / 2),
    ]
    enter, leave = np.max([pair[0] for pair in slabs], axis=0), np.min([pair[1] for pair in slabs], axis=0)
    return nearest(np.where(enter < leave, enter, np.nan))


def log_twin(rays, x, y, yaw, half_length, half_width, low, high):
    (a, b, c), middle = in_box_frame(rays, x, y, yaw)
    tall = (high - low) / 2
    side, up, mid_side, mid_up = b / half_width, c / tall, middle[1] / half_width, (low + high) / 2 / tall
    first, last = roots(side**2 + up**2, side * mid_side + up * mid_up, mid_side**2 + mid_up**2 - 1)
    ends = slab(middle[0], a, half_length)
    enter, leave = np.maximum(first, ends[0]), np.minimum(last, ends[1])
    return nearest(np.where(enter < leave, enter, np.nan))


def assert_agree(view, depth, ident):
    """Same pixels but for a few on the outline, and the same depth within a centimetre."""
    hit, expected = view.ids == ident, depth < FAR_M
    assert (hit != expected).sum() <= 3 + 0.003 * expected.sum()
    both = hit & expected
    # Where a ray touches the outline its depth is badly conditioned in float32.
    assert (np.abs(view.depth[both] - depth[both]) < 0.01).mean() >= 0.98 if both.any() else True


PLACES = st.tuples(st.floats(1.0, 40.0), st.floats(-math.pi, math.pi))


@settings(max_examples=60, deadline=None)
@given(ATTITUDES, PLACES, st.floats(0.1, 0.5), st.floats(0.3, 3.0), st.floats(1.0, 8.0))
def test_cylinder_kernel_agrees_with_numpy(attitude, place, radius, below, above):
    x, y = place[0] * math.cos(place[1]), place[0] * math.sin(place[1])
    view, rays = view_of(attitude)
    args = tuple(F(value) for value in (x, y, radius, -below, above))
    x, y, radius, low, high = args
    trace(trace_cylinder, view, whole(view), Upright(x, y, low, high), radius, np.int32(6))
    assert_agree(view, cylinder_twin(rays, *map(float, args)), 6)


@settings(max_examples=60, deadline=None)
@given(ATTITUDES, PLACES, st.floats(0.3, 3.0), st.floats(-2.0, 6.0))
def test_sphere_kernel_agrees_with_numpy(attitude, place, radius, height):
    distance = place[0] + 3.0
    x, y = distance * math.cos(place[1]), distance * math.sin(place[1])
    view, rays = view_of(attitude)
    args = tuple(F(value) for value in (x, y, height, radius))
    trace(trace_sphere, view, whole(view), args[:3], args[3], np.int32(7))
    assert_agree(view, sphere_twin(rays, *map(float, args)), 7)


@settings(max_examples=60, deadline=None)
@given(ATTITUDES, PLACES, st.floats(0.5, 2.5), st.floats(0.5, 4.0), st.floats(2.0, 7.0))
def test_cone_kernel_agrees_with_numpy(attitude, place, radius, low, tall):
    x, y = place[0] * math.cos(place[1]), place[0] * math.sin(place[1])
    view, rays = view_of(attitude)
    args = tuple(F(value) for value in (x, y, radius, low, low + tall))
    x, y, radius, low, high = args
    trace(trace_cone, view, whole(view), Upright(x, y, low, high), (radius, high - low), np.int32(9))
    assert_agree(view, cone_twin(rays, *map(float, args)), 9)


@pytest.mark.parametrize(("kernel", "twin"), [(trace_box, box_twin), (trace_log, log_twin)])
@settings(max_examples=60, deadline=None)
@given(ATTITUDES, PLACES, st.floats(-3.1, 3.1), st.floats(0.2, 3.0), st.floats(0.2, 1.5), st.floats(0.3, 2.0))
def test_box_and_log_kernels_agree_with_numpy(kernel, twin, attitude, place, yaw, half_length, half_width, tall):
    distance = place[0] + 3.5
    x, y, low = F(distance * math.cos(place[1])), F(distance * math.sin(place[1])), F(-1.0)
    view, rays = view_of(attitude)
    values = [0, 0, math.cos(yaw), math.sin(yaw), half_length, half_width, 0, tall, 0]
    solid, high = np.array(values, F), low + F(tall)
    reach = F(math.hypot(half_length, half_width))
    place = Upright(x, y, low, high)
    trace(kernel, view, screen_box(view, place, reach, reach), place, solid, np.int32(12))
    expected = twin(rays, float(x), float(y), yaw, half_length, half_width, float(low), float(high))
    assert_agree(view, expected, 12)


@settings(max_examples=60, deadline=None)
@given(ATTITUDES, st.floats(0.2, 5.0))
def test_ground_kernel_agrees_with_numpy(attitude, height):
    view, rays = view_of(attitude)
    trace(trace_ground, view, F(height))
    with np.errstate(divide="ignore"):
        assert_agree(view, nearest(np.where(rays[..., 2] < 0, -height / rays[..., 2], np.nan)), GROUND_ID)
    assert np.all(view.depth[view.ids == SKY_ID] == F(FAR_M))


@settings(max_examples=100, deadline=None)
@given(ATTITUDES, PLACES, st.floats(0.1, 2.5), st.floats(-3.0, 4.0), st.floats(0.5, 8.0))
def test_screen_box_holds_every_hit(attitude, place, radius, low, tall):
    x, y = F(place[0] * math.cos(place[1])), F(place[0] * math.sin(place[1]))
    view, rays = view_of(attitude)
    hits = cylinder_twin(rays, float(x), float(y), radius, low, low + tall) < FAR_M
    box = screen_box(view, Upright(x, y, F(low), F(low + tall)), F(radius), F(radius))
    outside = hits.copy()
    outside[box.first_row : box.last_row + 1, box.first_column : box.last_column + 1] = False
    assert not outside.any()


@pytest.fixture(scope="module")
def world():
    return make_forest(ForestConfig(trail=True), 7)


def draw(world, camera=CAMERA, attitude=(0.1, 0.1, 0.2), vehicle=None):
    renderer = make_renderer("raycast", camera, 3)
    renderer.set_world(world)
    return renderer.render(*Rig(camera).poses(world.start_m, rotation_matrix(*attitude)), vehicle)


@pytest.mark.parametrize("size", [(32, 24), (33, 47), (64, 48), (96, 72), (160, 120), (640, 360), (1280, 720)])
def test_every_size_is_drawn(world, size):
    frames = draw(world, Camera(*size))
    shape = (3, size[1], size[0])
    assert (frames.rgb.shape, frames.depth.shape, frames.segmentation.shape) == ((*shape, 3), shape, shape)
    assert (frames.rgb.dtype, frames.depth.dtype, frames.segmentation.dtype) == (np.uint8, np.float32, np.int32)
    assert {SKY_ID, GROUND_ID} < set(np.unique(frames.segmentation).tolist())
    assert frames.rgb.std() > 15, "not blank"


def test_large_and_small_images_show_the_same(world):
    small, large = draw(world, Camera(64, 48)), draw(world, Camera(640, 480))
    assert (small.segmentation == large.segmentation[:, 5::10, 5::10]).mean() > 0.95
    shrunk = large.rgb.reshape(3, 48, 10, 64, 10, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small.rgb).mean() < 12


def test_same_poses_give_the_same_bytes_in_another_renderer(world):
    first, second = draw(world), draw(make_forest(ForestConfig(trail=True), 7))
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()


def test_frames_belong_to_the_caller(world):
    renderer = make_renderer("raycast", CAMERA, 3)
    renderer.set_world(world)
    poses = Rig(CAMERA).poses(world.start_m, np.eye(3))
    first = renderer.render(*poses)
    copy = [array.copy() for array in first]
    renderer.render(*Rig(CAMERA).poses(world.goal_m, np.eye(3)))
    for kept, array in zip(copy, first, strict=True):
        np.testing.assert_array_equal(kept, array)


def test_ids_and_depth_mean_what_the_contract_says(world):
    frames = draw(world)
    ids, depth = frames.segmentation, frames.depth
    assert ids.min() >= GROUND_ID
    assert ids.max() < 2 * len(world.trees)
    assert np.all(depth[ids == SKY_ID] == F(FAR_M))
    assert np.all((depth[ids != SKY_ID] > NEAR_M) & (depth[ids != SKY_ID] < FAR_M))


def test_depth_of_a_trunk_dead_ahead():
    world = make_forest(ForestConfig(density_per_m2=0.0), 0)
    tree = np.array([[10.0, 0, 0.3, 6, 1.5, 4, 0]], np.float32)
    world = dataclasses.replace(world, trees=tree, appearance=default_appearance(tree))
    renderer = make_renderer("raycast", CAMERA, 3)
    renderer.set_world(world)
    frames = renderer.render(*Rig(CAMERA).poses((0, 0, 1.8), np.eye(3)))
    assert frames.segmentation[1, 24, 32] == 0
    assert frames.depth[1, 24, 32] == pytest.approx(10 - 0.3 - 0.1, abs=0.05)


def test_a_world_without_trees_is_ground_and_sky():
    frames = draw(make_forest(ForestConfig(density_per_m2=0.0), 0))
    assert set(np.unique(frames.segmentation).tolist()) == {SKY_ID, GROUND_ID}


def test_an_eye_inside_a_crown_sees_through_it(world):
    tree = world.trees[0]
    eye = np.array([tree[0], tree[1], tree[3] + 0.5 * tree[4]], np.float32)
    renderer = make_renderer("raycast", CAMERA, 1)
    renderer.set_world(world)
    for yaw in (0.0, 2.0, 4.0):
        axes = Rig(CAMERA).poses(eye, rotation_matrix(0, 0, yaw))[1][1:2]
        assert not (renderer.render(eye[None], axes).segmentation == 1).any()


def test_vehicle_is_drawn_only_when_given_and_over_what_is_behind_it(world):
    camera = Camera(320, 180)
    renderer = make_renderer("raycast", camera, 1)
    renderer.set_world(world)
    position = world.start_m
    eye, axes = chase_pose(position, 0.0)
    without = renderer.render(eye[None], axes[None])
    with_it = renderer.render(eye[None], axes[None], drawn_quadrotor(position, rotation_matrix(0.2, 0.1, 0)))
    body = with_it.segmentation == VEHICLE_ID
    assert 60 < body.sum() < 2000
    assert not (without.segmentation == VEHICLE_ID).any()
    assert np.all(np.abs(with_it.depth[body] - 3.5) < 0.8)
    np.testing.assert_array_equal(with_it.depth[~body], without.depth[~body])


def test_car_stands_on_the_ground_and_steers(world):
    renderer = make_renderer("raycast", Camera(320, 180), 1)
    renderer.set_world(world)
    eye, axes = chase_pose((0, 0, 0), 0.0, 7.5, 2.6)
    straight, left = (
        renderer.render(eye[None], axes[None], drawn_car((0, 0, 0), np.eye(3), angle)) for angle in (0.0, 0.5)
    )
    body = straight.segmentation == VEHICLE_ID
    assert 1500 < body.sum() < 12000
    assert 5.0 < straight.depth[body].min() < straight.depth[body].max() < 10.5
    assert (straight.rgb != left.rgb).any()
    heights = eye[2] + straight.depth[0] * (
        axes[2, 2] + (90 - np.arange(180)[:, None] - 0.5) / Camera(320, 180).focal_px * axes[1, 2]
    )
    assert -0.03 < heights[body[0]].min() < 0.1
    assert 1.3 < heights[body[0]].max() < 1.45


def test_ground_goes_on_beyond_the_forest(world):
    renderer = make_renderer("raycast", CAMERA, 3)
    renderer.set_world(world)
    frames = renderer.render(*Rig(CAMERA).poses((400.0, 300.0, 2.0), np.eye(3)))
    ground = frames.rgb[frames.segmentation == GROUND_ID]
    assert len(ground) > 1000
    assert ground.mean() > 20


def test_fog_leaves_no_step_at_the_far_plane():
    world = make_forest(ForestConfig(density_per_m2=0.0), 0)
    frames = draw(world, Camera(640, 480), attitude=(0, 0, 0))
    rows = frames.rgb[1].astype(float).mean(axis=1)
    horizon = int(np.argmax(frames.segmentation[1, :, 0] == GROUND_ID))
    assert np.abs(np.diff(rows[horizon - 3 : horizon + 3], axis=0)).max() < 6


def test_render_before_a_world_and_wrong_shapes_are_refused(world):
    renderer = make_renderer("raycast", CAMERA, 3)
    eyes, axes = Rig(CAMERA).poses((0, 0, 2), np.eye(3))
    with pytest.raises(ForestPilotError, match="set a world first"):
        renderer.render(eyes, axes)
    renderer.set_world(world)
    with pytest.raises(ValueError, match=r"3 cameras need \(3, 3\)"):
        renderer.render(eyes[:2], axes[:2])
    renderer.close()
    renderer.close()


def test_appearance_repeats_under_a_seed_and_varies_across_seeds(world):
    first, again, other = (draw_appearance(np.random.default_rng(seed), world.trees) for seed in (1, 1, 2))
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, vars(again)[name])
    assert np.abs(first.ground_colors - other.ground_colors).max() > 1
    assert first.bark_colors.shape == first.leaf_colors.shape == (len(world.trees), 3)
    assert np.linalg.norm(first.sun_direction) == pytest.approx(1)


def test_appearance_for_another_number_of_trees_is_refused(world):
    odd = dataclasses.replace(world, appearance=default_appearance(world.trees[:3]))
    with pytest.raises(ValueError, match="trees need"):
        draw(odd)
    boxes = np.zeros((2, 8), F)
    with pytest.raises(ValueError, match="2 boxes need"):
        draw(dataclasses.replace(world, boxes=boxes))
    with pytest.raises(ValueError, match="allowed: trail, asphalt, gravel, dirt"):
        draw(dataclasses.replace(world, surface="ice"))


def test_each_texel_knows_its_neighbours_around_the_tiles_rim():
    bank = texture_bank(smooth=True)
    assert not bank.quads.flags.writeable and not texture_bank(smooth=False).quads.size
    side = 64
    level = slice(256 * 256 + 128 * 128, 256 * 256 + 128 * 128 + side * side)
    texels = bank.texels[3, level].reshape(side, side)
    quads = bank.quads[3, level].astype("<i4").view(np.uint8).reshape(side, side, 4)
    below = np.roll(texels, -1, axis=0)
    expected = [texels, np.roll(texels, -1, axis=1), below, np.roll(below, -1, axis=1)]
    np.testing.assert_array_equal(quads, np.stack(expected, axis=-1))


def test_textures_are_tileable_grey_on_average_and_read_only():
    bank, line = texture_bank(smooth=False).texels, skyline()
    assert np.abs(bank.mean(axis=1) - 128).max() < 2
    assert not bank.flags.writeable
    tile = bank[-1, : 256 * 256].reshape(256, 256).astype(float)
    seam, inside = np.abs(tile[:, 0] - tile[:, -1]).mean(), np.abs(np.diff(tile, axis=1)).mean()
    assert seam < 2 * inside
    assert line.mean() == pytest.approx(1, abs=1e-3)
