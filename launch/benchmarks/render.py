"""`forestpilot bench render`: the ray-caster against TinyRenderer on one forest, along one episode, interleaved."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from forestpilot.sim.cameras import Camera, Rig, rotation_matrix
from forestpilot.sim.rendering import Frames, Renderer, make_renderer
from forestpilot.sim.rendering.pybullet.streamed import StreamedTinyRenderer
from forestpilot.sim.worlds.appearance import draw_appearance
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.world import World

NUM_TREES = 300
SIDE_M = 92.0
"""Side of the square forest from which the trees are taken, at 1/25 trees per square metre."""
BLOCK = 20
"""Control steps that one renderer draws before the next one has its turn."""
SPEED_MPS = 5.0
CONTROL_HZ = 10
WANTED = {"raycast_ms": 0.45, "times_faster_than_tiny": 50.0, "times_faster_than_streamed_tiny": 15.0}
"""The project's budgets: at most so many ms for three 64x48 images of 300 trees, and at least these ratios."""

Poses = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.ndarray, np.ndarray], Frames]


def bench_render(seconds: float = 20.0, width: int = 64, height: int = 48, seed: int = 0) -> dict[str, Any]:
    """CPU time of one call for three images with RGB, depth and segmentation, 300 trees, one process, one thread.

    Args:
        seconds: about how long to measure; every renderer draws the same poses, in turns.
        width: image width in pixels.
        height: image height in pixels.
        seed: seed of the forest.

    Returns:
        Figures in ms of CPU time per call (median over turns of a turn's mean), the two ratios, and the budgets.
    """
    world = bench_world(seed)
    camera = Camera(width, height)
    renderers: dict[str, Renderer] = {
        "raycast": make_renderer("raycast", camera, 3),
        "tiny": make_renderer("tiny", camera, 3),
        "streamed_tiny": StreamedTinyRenderer(camera, 3),
    }
    poses = _episode(Rig(camera))
    for renderer in renderers.values():
        renderer.set_world(world)
        renderer.render(*poses[0])
    times = _interleaved({name: renderer.render for name, renderer in renderers.items()}, poses, seconds)
    for renderer in renderers.values():
        renderer.close()
    medians = {name: float(np.median(turns)) for name, turns in times.items()}
    return {
        "images": f"3 x {width}x{height}, RGB + depth + segmentation, {len(world.trees)} trees",
        **{f"{name}_ms": value for name, value in medians.items()},
        "raycast_fastest_ms": min(times["raycast"]),
        "times_faster_than_tiny": medians["tiny"] / medians["raycast"],
        "times_faster_than_streamed_tiny": medians["streamed_tiny"] / medians["raycast"],
        "turns": len(times["raycast"]),
        "wanted": WANTED,
    }


def bench_world(seed: int = 0) -> World:
    """A square forest thinned to exactly NUM_TREES trees."""
    world = make_forest(ForestConfig(length_m=SIDE_M, width_m=SIDE_M), seed)
    rng = np.random.default_rng(seed)
    keep = np.sort(rng.permutation(len(world.trees))[:NUM_TREES])
    trees = world.trees[keep]
    return dataclasses.replace(world, trees=trees, appearance=draw_appearance(rng, trees))


def _episode(rig: Rig) -> list[Poses]:
    """Camera poses of a winding episode through the forest, tilted as a quadrotor is."""
    steps = int((SIDE_M - 30.0) / SPEED_MPS * CONTROL_HZ)
    poses = []
    for step in range(steps):
        ahead = step * SPEED_MPS / CONTROL_HZ
        bend = math.sin(ahead / 6.0)
        position = np.array([ahead, 8.0 * math.sin(ahead / 12.0), 1.8])
        poses.append(rig.poses(position, rotation_matrix(0.2 * bend, 0.08, 0.5 * math.cos(ahead / 12.0))))
    return poses


def _interleaved(draws: dict[str, Draw], poses: Sequence[Poses], seconds: float) -> dict[str, list[float]]:
    """Mean ms of CPU time per call of every turn, for each way to draw; all draw the same poses in the same order.

    Not time that passes: on a busy machine whoever takes longer is interrupted more often.
    """
    times: dict[str, list[float]] = {name: [] for name in draws}
    end = time.perf_counter() + seconds
    first = 0
    while first == 0 or time.perf_counter() < end:
        turn = [poses[(first + step) % len(poses)] for step in range(BLOCK)]
        first += BLOCK
        for name, draw in draws.items():
            start = time.process_time()
            for eyes, axes in turn:
                draw(eyes, axes)
            times[name].append((time.process_time() - start) / BLOCK * 1e3)
    return times
