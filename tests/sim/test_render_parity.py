"""All renderers draw the same world, and PyBullet's ray test sees what the ray-caster sees."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import Camera, Rig, chase_pose, rotation_matrix
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.rendering.protocol import FAR_M, GROUND_ID, SKY_ID, VEHICLE_ID
from forestpilot.sim.rendering.pybullet import egl
from forestpilot.sim.rendering.pybullet.streamed import StreamedTinyRenderer
from forestpilot.sim.rendering.solids import solids_of, wheels_of
from forestpilot.sim.worlds.appearance import draw_appearance
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.world import BARRIER, CAR_BODY, CAR_CABIN, LOG, Ribbon
from tests.sim.vehicles import drawn_car, drawn_quadrotor

CAMERA = Camera(64, 48)
SEEDS = (3, 1_000_004, 2_000_005)
CONE_SIDES = 96


def cluttered_world(seed, density=1 / 25):
    """A forest with a straight road through it and boxes of every kind scattered about."""
    world = make_forest(ForestConfig(density_per_m2=density), seed)
    rng = np.random.default_rng(seed)
    boxes = []
    for x in np.arange(4.0, 36.0, 4.0):
        y, yaw = rng.uniform(-5, 5), rng.uniform(-np.pi, np.pi)
        boxes += [
            [x, y, yaw, 2.4, 0.5, 0.0, 0.5, LOG],
            [x + 2, -y, yaw, 3.0, 1.6, 0.2, 0.8, CAR_BODY],
            [x + 2, -y, yaw, 1.6, 1.5, 0.8, 1.4, CAR_CABIN],
            [x, y + 3, yaw, 0.4, 1.2, 0.0, 1.0, BARRIER],
        ]
    table = np.array(boxes, np.float32)
    points = np.stack([np.arange(-5, 55, 0.5), np.zeros(120)], axis=1).astype(np.float32)
    return dataclasses.replace(
        world,
        boxes=table,
        ribbons=(Ribbon(points, 2.0, False),),
        surface="gravel",
        appearance=draw_appearance(rng, world.trees, table),
    )


def outside_of_boxes(position, boxes, margin=0.6):
    """Whether a position (3,) keeps clear of all boxes."""
    x, y, yaw, length, width = boxes[:, :5].T
    east, north = position[0] - x, position[1] - y
    along, aside = east * np.cos(yaw) + north * np.sin(yaw), north * np.cos(yaw) - east * np.sin(yaw)
    return bool(np.all((np.abs(along) > length / 2 + margin) | (np.abs(aside) > width / 2 + margin)))


def poses_in(world, seed, count=4):
    """Camera poses at random places and attitudes, none inside a trunk."""
    rng = np.random.default_rng(seed)
    while count:
        position = np.array([rng.uniform(-3, 35), rng.uniform(-10, 10), rng.uniform(1.2, 2.4)])
        free = np.min(np.hypot(*(world.trees[:, :2] - position[:2]).T) - world.trees[:, 2]) > 0.4
        if free and outside_of_boxes(position, world.boxes):
            count -= 1
            attitude = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(-np.pi, np.pi)
            yield Rig(CAMERA).poses(position, rotation_matrix(*attitude))


def add_colliders(client, world):
    """The world as PyBullet collision shapes; returns {body: segmentation id}."""
    ids = {}

    def add(ident, place, turn=(0, 0, 0), **shape):
        collider = pybullet.createCollisionShape(physicsClientId=client, **shape)
        pose = {"basePosition": place, "baseOrientation": pybullet.getQuaternionFromEuler(turn)}
        ids[pybullet.createMultiBody(0, collider, physicsClientId=client, **pose)] = ident

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
    for index, (x, y, yaw, length, width, low, high, kind) in enumerate(world.boxes.astype(float)):
        ident, place = 2 * len(world.trees) + index, (x, y, (low + high) / 2)
        if kind == LOG:
            turn = (0, math.pi / 2, yaw)
            add(ident, place, turn, shapeType=pybullet.GEOM_CYLINDER, radius=width / 2, height=length)
        else:
            half = (length / 2, width / 2, (high - low) / 2)
            add(ident, place, (0, 0, yaw), shapeType=pybullet.GEOM_BOX, halfExtents=half)
    for wheel in wheels_of(solids_of(world.boxes)):
        turn = (0, math.pi / 2, math.atan2(wheel["sine"], wheel["cosine"]))
        radius = float(wheel["half_width_m"])
        size = {"radius": radius, "height": 2 * float(wheel["half_length_m"])}
        place = (float(wheel["x_m"]), float(wheel["y_m"]), radius)
        add(2 * len(world.trees) + int(wheel["box"]), place, turn, shapeType=pybullet.GEOM_CYLINDER, **size)
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
    world = cluttered_world(seed, density=1 / 15)
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
    """Intersection over union of all pixels that show a tree or a box."""
    trees, others = first.segmentation >= 0, second.segmentation >= 0
    return (trees & others).sum() / max((trees | others).sum(), 1)


def compare(name, world, seed):
    """Frames of a world at random poses by the ray-caster and by another renderer."""
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
    assert_same_pictures(compare("tiny", make_forest(ForestConfig(), seed), seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_tiny_renderer_shows_the_same_boxes_on_a_road(seed):
    world = cluttered_world(seed)
    pairs = compare("tiny", world, seed)
    assert_same_pictures(pairs)
    first = 2 * len(world.trees)
    ours, theirs = (np.stack([pair[side].segmentation for pair in pairs]) for side in (0, 1))
    assert ((ours >= first) & (ours == theirs)).sum() > 0.85 * ((ours >= first) | (theirs >= first)).sum()
    assert np.unique(ours[ours >= first]).size > 8


def test_tiny_renderer_paints_the_road():
    world = dataclasses.replace(cluttered_world(3), boxes=np.zeros((0, 8), np.float32))
    renderer = make_renderer("tiny", CAMERA, 3)
    pictures = []
    for ribbons in (world.ribbons, ()):
        renderer.set_world(dataclasses.replace(world, ribbons=ribbons))
        pictures.append(renderer.render(*Rig(CAMERA).poses((0, 0, 1.5), np.eye(3))))
    renderer.close()
    changed = np.abs(pictures[0].rgb.astype(int) - pictures[1].rgb).max(axis=-1) > 10
    assert changed[1, 30:, 20:44].mean() > 0.8
    assert (pictures[0].segmentation[changed] == GROUND_ID).all()
    assert np.abs(pictures[0].depth - pictures[1].depth)[changed & (pictures[1].depth < 15)].max() < 0.5


def test_tiny_renderer_draws_the_same_car():
    world, camera = make_forest(ForestConfig(density_per_m2=0.0), 0), Camera(160, 120)
    eye, axes = chase_pose((0, 0, 0), 0.0, 7.5, 2.6)
    bodies = []
    for name in ("raycast", "tiny"):
        renderer = make_renderer(name, camera, 1)
        renderer.set_world(world)
        pose = drawn_car((0, 0, 0), rotation_matrix(0.05, -0.05, 0.6), 0.4)
        bodies.append(renderer.render(eye[None], axes[None], pose).segmentation == VEHICLE_ID)
        assert not (renderer.render(eye[None], axes[None]).segmentation == VEHICLE_ID).any()
        renderer.close()
    assert (bodies[0] & bodies[1]).sum() / (bodies[0] | bodies[1]).sum() > 0.85


def test_egl_shows_the_same_silhouettes():
    problem = egl.egl_problem()
    if problem:
        pytest.skip(f"EGL is not available: {problem}")
    assert_same_pictures(compare("egl", cluttered_world(SEEDS[0]), SEEDS[0]))


def test_missing_egl_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(egl, "egl_problem", lambda: "there is no driver")
    with pytest.raises(ForestPilotError, match=r"there is no driver.*Install an EGL driver.*'raycast' or 'tiny'"):
        make_renderer("egl", CAMERA, 3)


def test_tiny_draws_the_vehicle_only_when_given():
    world = make_forest(ForestConfig(), 3)
    renderer = make_renderer("tiny", Camera(160, 120), 1)
    renderer.set_world(world)
    eyes, axes = Rig(CAMERA).poses(world.start_m, np.eye(3))
    pose = drawn_quadrotor(world.start_m + np.array([1.5, 0, 0]), rotation_matrix(0.1, 0.2, 0.3))
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
