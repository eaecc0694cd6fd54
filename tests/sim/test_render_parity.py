"""All renderers draw the same world, and PyBullet's ray test sees what the ray-caster sees."""

from pathlib import Path

import numpy as np
import pytest

from sim.bullet_import import pybullet
from sim.cameras import Camera, Rig, rotation_matrix
from sim.errors import ForestPilotError
from sim.rendering import bullet, make_renderer
from sim.rendering.protocol import FAR_M, GROUND_ID, SKY_ID, VEHICLE_ID
from sim.rendering.streamed import StreamedTinyRenderer
from sim.worlds.forest import ForestConfig, make_forest

CAMERA = Camera(64, 48)
SEEDS = (3, 1_000_004, 2_000_005)
CONE_SIDES = 96


def poses_in(world, seed, count=4):
    """Camera poses at random places and attitudes, none inside a trunk."""
    rng = np.random.default_rng(seed)
    while count:
        position = np.array([rng.uniform(-3, 35), rng.uniform(-10, 10), rng.uniform(1.2, 2.4)])
        if np.min(np.hypot(*(world.trees[:, :2] - position[:2]).T) - world.trees[:, 2]) > 0.4:
            count -= 1
            attitude = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(-np.pi, np.pi)
            yield Rig(CAMERA).poses(position, rotation_matrix(*attitude))


def add_colliders(client, world):
    """The world as PyBullet collision shapes; returns {body: segmentation id}."""
    ids = {}

    def add(ident, place, **shape):
        collider = pybullet.createCollisionShape(physicsClientId=client, **shape)
        ids[pybullet.createMultiBody(0, collider, basePosition=place, physicsClientId=client)] = ident

    add(GROUND_ID, (0, 0, 0), shapeType=pybullet.GEOM_PLANE)
    angle = 2 * np.pi * np.arange(CONE_SIDES) / CONE_SIDES
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(CONE_SIDES)], axis=1)
    here, there = np.arange(CONE_SIDES), (np.arange(CONE_SIDES) + 1) % CONE_SIDES
    apex, middle = np.full(CONE_SIDES, CONE_SIDES), np.full(CONE_SIDES, CONE_SIDES + 1)
    faces = np.concatenate([np.stack([here, there, apex], 1), np.stack([there, here, middle], 1)])
    for index, (x, y, radius, height, crown_radius, crown_height, kind) in enumerate(world.trees.astype(float)):
        add(2 * index, (x, y, height / 2), shapeType=pybullet.GEOM_CYLINDER, radius=radius, height=height)
        if kind > 0.5:
            place = (x, y, height + 0.7 * crown_radius)
            add(2 * index + 1, place, shapeType=pybullet.GEOM_SPHERE, radius=crown_radius)
        else:
            points = np.concatenate([ring * crown_radius, [[0, 0, crown_height], [0, 0, 0]]])
            add(
                2 * index + 1,
                (x, y, height - 0.5),
                shapeType=pybullet.GEOM_MESH,
                vertices=points.tolist(),
                indices=faces.ravel().tolist(),
                flags=pybullet.GEOM_FORCE_CONCAVE_TRIMESH,
            )
    return ids


def ray_test(client, ids, eye, axes):
    """Segmentation and depth of one camera by PyBullet's rays."""
    u = (np.arange(CAMERA.width) + 0.5 - CAMERA.width / 2) / CAMERA.focal_px
    v = (CAMERA.height / 2 - np.arange(CAMERA.height) - 0.5) / CAMERA.focal_px
    rays = (axes[2] + u[None, :, None] * axes[0] + v[:, None, None] * axes[1]).reshape(-1, 3).astype(float)
    starts = np.tile(eye.astype(float), (len(rays), 1))
    hits = pybullet.rayTestBatch(starts.tolist(), (starts + FAR_M * rays).tolist(), physicsClientId=client)
    found = np.array([ids.get(hit[0], SKY_ID) for hit in hits])
    depth = np.array([hit[2] for hit in hits]) * FAR_M
    return found.reshape(CAMERA.height, CAMERA.width), depth.reshape(CAMERA.height, CAMERA.width)


@pytest.mark.parametrize("seed", SEEDS)
def test_raycaster_sees_what_pybullets_rays_hit(seed):
    world = make_forest(ForestConfig(density_per_m2=1 / 15), seed)
    renderer = make_renderer("raycast", CAMERA, 3)
    renderer.set_world(world)
    client = pybullet.connect(pybullet.DIRECT)
    same, near = [], []
    try:
        ids = add_colliders(client, world)
        for eyes, axes in poses_in(world, seed):
            frames = renderer.render(eyes, axes)
            for index in range(3):
                found, depth = ray_test(client, ids, eyes[index], axes[index])
                agree = found == frames.segmentation[index]
                same.append(agree.mean())
                solid = agree & (found != SKY_ID)
                near.append((np.abs(depth - frames.depth[index])[solid] < 0.05).mean() if solid.any() else 1.0)
    finally:
        pybullet.disconnect(client)
    assert np.mean(same) >= 0.995
    assert np.mean(near) >= 0.999


def silhouette_iou(first, second):
    """Intersection over union of all pixels that show a tree."""
    trees, others = first.segmentation >= 0, second.segmentation >= 0
    return (trees & others).sum() / max((trees | others).sum(), 1)


def compare(name, seed):
    """Frames of a world at random poses by the ray-caster and by another renderer."""
    world = make_forest(ForestConfig(), seed)
    renderers = [make_renderer(each, CAMERA, 3) for each in ("raycast", name)]
    for renderer in renderers:
        renderer.set_world(world)
    pairs = [tuple(renderer.render(*pose) for renderer in renderers) for pose in poses_in(world, seed)]
    for renderer in renderers:
        renderer.close()
    return pairs


def assert_same_pictures(pairs):
    for ours, theirs in pairs:
        assert silhouette_iou(ours, theirs) >= 0.85
        agree = ours.segmentation == theirs.segmentation
        assert agree.mean() > 0.97
        assert np.median(np.abs(ours.depth - theirs.depth)[agree]) < 0.05
        assert theirs.rgb.shape == ours.rgb.shape
        assert theirs.rgb.std() > 5


@pytest.mark.parametrize("seed", SEEDS)
def test_tiny_renderer_shows_the_same_silhouettes(seed):
    assert_same_pictures(compare("tiny", seed))


def test_egl_shows_the_same_silhouettes():
    problem = bullet.egl_problem()
    if problem:
        pytest.skip(f"EGL is not available: {problem}")
    assert_same_pictures(compare("egl", SEEDS[0]))


def test_missing_egl_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(bullet, "egl_problem", lambda: "there is no driver")
    with pytest.raises(ForestPilotError, match=r"there is no driver.*Install an EGL driver.*'raycast' or 'tiny'"):
        make_renderer("egl", CAMERA, 3)


def test_tiny_draws_the_vehicle_only_when_given():
    world = make_forest(ForestConfig(), 3)
    renderer = make_renderer("tiny", Camera(160, 120), 1)
    renderer.set_world(world)
    eyes, axes = Rig(CAMERA).poses(world.start_m, np.eye(3))
    pose = (world.start_m + np.array([1.5, 0, 0]), rotation_matrix(0.1, 0.2, 0.3))
    counts = [
        int((renderer.render(eyes[1:2], axes[1:2], vehicle).segmentation == VEHICLE_ID).sum())
        for vehicle in (None, pose, None)
    ]
    renderer.close()
    assert counts[0] == counts[2] == 0
    assert counts[1] > 50


def test_closed_and_empty_bullet_renderers_say_so():
    renderer = make_renderer("tiny", CAMERA, 1)
    eyes, axes = Rig(CAMERA).poses((0, 0, 2), np.eye(3))
    with pytest.raises(ForestPilotError, match="set a world first"):
        renderer.render(eyes[:1], axes[:1])
    renderer.close()
    renderer.close()
    with pytest.raises(ForestPilotError, match="was closed"):
        renderer.set_world(make_forest(ForestConfig(), 3))


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from Linux's /proc")
@pytest.mark.parametrize(("name", "worlds"), [("raycast", 100), ("tiny", 12)])
def test_setting_worlds_does_not_leak(name, worlds):
    renderer = make_renderer(name, CAMERA, 3)
    forests = [make_forest(ForestConfig(), seed) for seed in range(3)]
    poses = Rig(CAMERA).poses(forests[0].start_m, np.eye(3))
    for step in range(worlds + 3):
        renderer.set_world(forests[step % 3])
        renderer.render(*poses)
        if step == 2:
            before = resident_mb()
    renderer.close()
    assert resident_mb() - before < 4


def test_streamed_scene_shows_the_near_trees_where_they_stand():
    world = make_forest(ForestConfig(), 3)
    camera = Camera(160, 120)
    streamed, ours = StreamedTinyRenderer(camera, 3), make_renderer("raycast", camera, 3)
    for renderer in (streamed, ours):
        renderer.set_world(world)
    for x in (0.0, 4.0, 8.0):
        pose = Rig(camera).poses((x, 0.5, 1.8), np.eye(3))
        theirs, mine = streamed.render(*pose), ours.render(*pose)
        near = (mine.segmentation >= 0) & (mine.segmentation % 2 == 0) & (mine.depth < 15)
        # Mean-sized trunks stand in for all: the same ground under them, not the same outline.
        assert np.isin(np.unique(theirs.segmentation), np.arange(-2, 2 * len(world.trees))).all()
        assert (theirs.segmentation[near] == mine.segmentation[near]).mean() > 0.4
    streamed.close()
