"""Replayed episodes as a recording for rerun's viewer (rerun.io): `replay --rerun FILE.rrd`.

<policy>-<seed>-<end>/map/...        trunks, boxes, ribbons, start and goal, and the way through them; always there
                      vehicle        where it is, and which way it looks
                      moving         what moves by itself
                      cameras/...    left, center, right, as the policy sees them, to the pixel
                      costs          of the candidate turns, left to right
                      figures/...    speed, clearance, turn, the expert's turn

Timelines are `step` and `time` of the episode, so that several episodes run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.files import written_whole
from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.products import telling
from forestpilot.launch.films.scene import EpisodeScene
from forestpilot.launch.pictures.drawing import Moment
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.extras import require
from forestpilot.sim.worlds.world import Boxes, Trees, World

APPLICATION = "forestpilot"
TRUNK = (110, 80, 55)
CROWN = (60, 120, 60, 70)
GROUND = (150, 140, 120)
OBSTACLE = (170, 120, 70)
MOVER = (200, 90, 60)
WAY = (70, 130, 230)
GOAL = (235, 190, 60)
ARROW_M = 1.5
"""Length of the arrow that tells the heading."""


class Recorded(NamedTuple):
    """An episode with all that a recording holds of it."""

    world: World
    """What is crossed."""
    moments: list[Moment]
    """One for each state."""
    candidate_turns_rad: tuple[float, ...]
    """Candidate turns, (K,)."""
    control_hz: int
    """States per second."""


def record(episode: StoredEpisode, costs: str, tell: Callable[[int], Any]) -> Recorded:
    """Replay an episode, as a task of a rollout pool.

    Args:
        episode: what was stored of it.
        costs: whose costs: `expert`, `policy` or `none`.
        tell: is told of states that were simulated.
    """
    with telling(tell) as stage, EpisodeScene(episode, costs, stage=stage) as scene:
        hz = scene.spec.control_hz
        moments = [_slimmed(scene.at(index / hz)) for index in range(len(episode.actions) + 1)]
        scene.finish()
        return Recorded(scene.world, moments, scene.spec.candidate_turns_rad, hz)


def _slimmed(moment: Moment) -> Moment:
    """The moment without what the moments before it tell as well: it goes to another process."""
    moving = None if moment.moving is None else moment.moving._replace(ways_m=())
    return replace(moment, path_m=moment.path_m[-1:], marks_m=None, moving=moving)


@contextmanager
def written(path: Path) -> Iterator[Recording]:
    """A recording to add episodes to; the file is there when the `with` block is done, whole or not at all."""
    with written_whole(path) as temporary:
        recording = Recording(temporary)
        yield recording
        recording.close()


class Recording:
    """A file that is being written.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._rr = require("rerun")
        self._blueprint = require("rerun.blueprint")
        self._stream = self._rr.RecordingStream(APPLICATION)
        self._stream.save(str(path))
        self._roots: list[str] = []

    def add(self, root: str, recorded: Recorded) -> None:
        """Log an episode under a name."""
        self._roots.append(root)
        self._log_map(root, recorded)
        for index, moment in enumerate(recorded.moments):
            self._stream.set_time("step", sequence=index)
            self._stream.set_time("time", duration=index / recorded.control_hz)
            self._log_moment(root, moment, np.degrees(recorded.candidate_turns_rad))

    def close(self) -> None:
        """Say how the viewer shows it, and finish the file."""
        self._stream.send_blueprint(self._layout())
        self._stream.disconnect()

    def _always(self, path: str, *what: Any) -> None:
        self._stream.log(path, *what, static=True)

    def _log_map(self, root: str, recorded: Recorded) -> None:
        rr = self._rr
        world = recorded.world
        self._always(root, rr.ViewCoordinates.RIGHT_HAND_Z_UP)
        if len(world.trees):
            trees = Trees.of(world.trees)
            middle = np.stack([trees.x_m, trees.y_m, trees.height_m / 2], axis=1)
            trunks = rr.Cylinders3D(lengths=trees.height_m, radii=trees.radius_m, centers=middle, colors=TRUNK)
            self._always(f"{root}/map/trunks", trunks)
            size = np.stack([trees.crown_radius_m, trees.crown_radius_m, trees.crown_height_m / 2], axis=1)
            above = np.stack([trees.x_m, trees.y_m, trees.height_m + trees.crown_height_m / 2], axis=1)
            self._always(f"{root}/map/crowns", rr.Ellipsoids3D(half_sizes=size, centers=above, colors=CROWN))
        if len(world.boxes):
            self._always(f"{root}/map/boxes", self._boxes(world.boxes, OBSTACLE))
        strips = [_on_the_ground(ribbon.points_m, ribbon.closed) for ribbon in world.ribbons]
        if strips:
            widths = [ribbon.half_width_m for ribbon in world.ribbons]
            self._always(f"{root}/map/ribbons", rr.LineStrips3D(strips, radii=widths, colors=GROUND))
        ends = np.stack([world.start_m, world.goal_m])
        labels = ["start", "goal"]
        self._always(f"{root}/map/ends", rr.Points3D(ends, radii=0.3, colors=[WAY, GOAL], labels=labels))
        way = np.concatenate([moment.path_m for moment in recorded.moments])
        self._always(f"{root}/map/way", rr.LineStrips3D([way], radii=0.05, colors=WAY))
        self._always(f"{root}/end", rr.TextDocument(recorded.moments[-1].end))

    def _log_moment(self, root: str, moment: Moment, candidates_deg: NDArray[np.float64]) -> None:
        rr = self._rr
        log = self._stream.log
        place = np.asarray(moment.path_m[-1])
        heading = [[ARROW_M * np.cos(moment.yaw_rad), ARROW_M * np.sin(moment.yaw_rad), 0.0]]
        log(f"{root}/vehicle", rr.Arrows3D(vectors=heading, origins=[place], radii=0.1, colors=WAY))
        if moment.moving is not None:
            log(f"{root}/moving", self._boxes(moment.moving.boxes, MOVER))
        for camera, picture in zip(CAMERA_NAMES, moment.views):
            log(f"{root}/cameras/{camera}", rr.Image(picture))
        if moment.costs is not None:
            # The viewer counts bars from left to right, turns are positive to the left.
            log(f"{root}/costs", rr.BarChart(moment.costs[::-1], abscissa=-candidates_deg[::-1]))
        for name, value in _figures(moment):
            log(f"{root}/figures/{name}", rr.Scalars([value]))

    def _boxes(self, table: NDArray[Any], color: tuple[int, ...]) -> Any:
        boxes = Boxes.of(np.asarray(table))
        middle = np.stack([boxes.x_m, boxes.y_m, (boxes.base_m + boxes.top_m) / 2], axis=1)
        sizes = np.stack([boxes.length_m, boxes.width_m, boxes.top_m - boxes.base_m], axis=1)
        zeros = np.zeros(len(middle))
        turns = np.stack([zeros, zeros, np.sin(boxes.yaw_rad / 2), np.cos(boxes.yaw_rad / 2)], axis=1)
        return self._rr.Boxes3D(centers=middle, sizes=sizes, quaternions=turns, colors=color)

    def _layout(self) -> Any:
        """A tab for each episode: the map, below it what the policy sees, and beside it costs and figures."""
        views = self._blueprint
        tabs = []
        for root in self._roots:
            cameras = [views.Spatial2DView(origin=f"{root}/cameras/{camera}", name=camera) for camera in CAMERA_NAMES]
            seen = views.Vertical(
                views.Spatial3DView(origin=root, contents=[f"{root}/map/**", f"{root}/vehicle", f"{root}/moving"]),
                views.Horizontal(*cameras),
                row_shares=[3, 1],
            )
            told = views.Vertical(
                views.BarChartView(origin=f"{root}/costs", name="costs"),
                views.TimeSeriesView(origin=f"{root}/figures", name="figures"),
            )
            tabs.append(views.Horizontal(seen, told, column_shares=[3, 1], name=root))
        return views.Blueprint(views.Tabs(*tabs), collapse_panels=True)


def _figures(moment: Moment) -> Iterable[tuple[str, float]]:
    """Numbers of a moment by name; angles in degrees, left positive."""
    yield "speed_mps", moment.speed_mps
    if moment.clearance_m is not None:
        yield "clearance_m", moment.clearance_m
    for name, turn_rad in (("turn_deg", moment.turn_rad), ("expert_turn_deg", moment.expert_turn_rad)):
        if turn_rad is not None:
            yield name, float(np.degrees(turn_rad))


def _on_the_ground(points_m: NDArray[Any], closed: bool) -> NDArray[np.float64]:
    """(n, 3) points of a line on the ground, given (n, 2)."""
    whole = np.concatenate([points_m, points_m[:1]]) if closed else points_m
    return np.column_stack([whole, np.zeros(len(whole))])
