"""The cockpit of a human at the keys: the cameras large enough to steer by, and everything worth knowing around them.

The views are drawn anew from the cameras' own eyes, larger than the policy's and sharp; what the policy sees stands
small beside them.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.people.scene import Mode, Scene
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.replay import heading_rad
from forestpilot.launch.cockpit.cameras import CockpitCameras, Sharpness
from forestpilot.launch.cockpit.gauges import (
    CockpitLayout,
    Rect,
    draw_arrow,
    draw_axis,
    draw_bearing,
    draw_keys,
    draw_speed,
)
from forestpilot.launch.pictures.colors import BAD, DIM, EDGE, GOOD, INK, PANEL, POLICY, Color, Image
from forestpilot.launch.pictures.drawing import VIEW_NAMES
from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.launch.pictures.pen import Pen, darken, fitted
from forestpilot.launch.pictures.world_map import Moving, WorldMap
from forestpilot.sim.goals import DEMONSTRATED, GOAL_IMAGE, demonstrated_here
from forestpilot.sim.outcomes import succeeded, told
from forestpilot.sim.tasks import TASKS

HUMAN: Color = (255, 164, 72)
ALERT: Color = (255, 222, 100)
RECORDING: Color = (220, 24, 24)
STATES = {Mode.RUNNING: "REC", Mode.WAITING: "READY", Mode.ENDED: "SAVED"}
"""Word in the corner for what the session is doing; PAUSED for any other."""
NEAR_M = 0.4
"""Clearance in metres below which it is shown as an alert."""
FAR_M = 1.0
"""Clearance in metres above which nobody cares how much it is; a car's is not measured much further."""
TOLD_ELSEWHERE = ("speed", "interventions")
"""Arguments of the environment that the line about the world leaves out."""
GOAL_SHARE = 0.28
"""Share of the center view's width that the picture at the goal takes."""
COMMANDS_AHEAD = {"left": "turn left", "right": "turn right", "straight": "straight on"}


class Cockpit:
    """The `Painter` of live sessions: composes one picture after another.

    Args:
        size: width and height of the pictures in pixels.
        title: what to say in place of who drives, for sessions in which that is not the question.
        timer: tells the time in seconds, to notice when drawing takes too long.
    """

    def __init__(self, size: tuple[int, int], title: str = "", timer: Callable[[], float] = time.perf_counter) -> None:
        self._cv2 = import_cv2()
        self._title = title
        self._timer = timer
        self._layout = CockpitLayout(*size)
        self._pen = Pen(self._cv2, self._layout.text_size)
        width, height = size
        self._background: Image = np.full((height, width, 3), PANEL, np.uint8)
        self._sharpness = Sharpness()

    @property
    def sharpness(self) -> float:
        """Share of full size that the views are drawn at; less than 1 where the machine would not keep up."""
        return self._sharpness.share

    def begin(self, episode: EpisodeRecorder) -> None:
        """Get ready for a new world."""
        self._spec = episode.env.task_spec
        task = TASKS.get(episode.task)
        self._words = task.words
        self._layout = dataclasses.replace(self._layout, map_share=task.map_share)
        self._map_area = self._layout.map.inner(max(2, round(0.4 * self._pen.text_size)))
        self._map = WorldMap(self._cv2, episode.env.world, self._map_area.size, self._pen.text_size)
        kwargs = episode.scenario.env_kwargs
        self._description = task.describe({key: kwargs[key] for key in kwargs if key not in TOLD_ELSEWHERE})
        self._path: list[NDArray[np.float64]] = []
        self._ways: list[NDArray[np.float64]] = []
        self._step = -1
        self._cameras = CockpitCameras(episode.env, self._layout, self.sharpness)

    def paint(self, scene: Scene) -> Image:
        """The picture, (height, width, 3) uint8 RGB, freshly allocated."""
        started = self._timer()
        layout = self._layout
        picture = self._background.copy()
        self._paint_views(picture)
        self._paint_hints(picture, scene)
        self._paint_policy_views(picture, scene)
        self._paint_controls(picture, scene)
        self._paint_map(picture, scene)
        self._paint_figures(picture, scene)
        self._paint_bar(picture, scene)
        self._paint_help(picture, scene)
        self._paint_notice(picture, scene)
        if self._sharpness.note(self._timer() - started, self._spec.control_hz):
            self._cameras = CockpitCameras(scene.episode.env, layout, self.sharpness)
        return picture

    def _paint_views(self, picture: Image) -> None:
        """The three cameras and the view from behind, with their names."""
        names = (*VIEW_NAMES, "from behind")
        areas = (*self._layout.views, self._layout.chase)
        for name, image, area in zip(names, self._cameras.draw(), areas, strict=True):
            region = area.cut(picture)
            height, width, _ = region.shape
            region[:] = fitted(self._cv2, image, (width, height))
            self._pen.label(region, name, (0, height - round(1.9 * self._pen.text_size)), INK, 0.75)
            self._cv2.rectangle(region, (0, 0), (width - 1, height - 1), PANEL, 1)

    def _paint_hints(self, picture: Image, scene: Scene) -> None:
        """Show where to go over the center view: the goal's direction or picture, or at a junction the way to take."""
        command = scene.episode.info.get("command")
        if DEMONSTRATED in scene.episode.observation:
            self._paint_goal(picture, demonstrated_here(scene.episode.observation))
        elif GOAL_IMAGE in scene.episode.observation:
            self._paint_goal(picture, scene.episode.observation[GOAL_IMAGE])
        elif command is None:
            cosine, sine = scene.episode.observation["goal"][:2]
            half_fov = math.radians(self._spec.horizontal_fov_deg) / 2
            bearing = math.atan2(float(sine), float(cosine))
            draw_bearing(self._pen, picture, self._layout.center_view, bearing, half_fov, GOOD)
        elif command in COMMANDS_AHEAD:
            self._paint_command(picture, command)

    def _paint_goal(self, picture: Image, seen: Image) -> None:
        """What is seen at the goal, or was by a demonstrator who had come as far, in the upper left corner of the
        center view."""
        view = self._layout.center_view.cut(picture)
        width = max(1, round(GOAL_SHARE * view.shape[1]))
        height = max(1, round(width * seen.shape[0] / seen.shape[1]))
        corner = view[:height, :width]
        corner[:] = fitted(self._cv2, seen, (width, height))[: corner.shape[0]]
        self._cv2.rectangle(corner, (0, 0), (corner.shape[1] - 1, corner.shape[0] - 1), GOOD, 1)

    def _paint_command(self, picture: Image, command: str) -> None:
        """A road sign over the center view."""
        pen = self._pen
        area = self._layout.center_view
        size = round(1.6 * pen.text_size)
        text = COMMANDS_AHEAD[command]
        width = pen.width(text, 1.2) + 5 * size
        plate = Rect(area.left + (area.width - width) // 2, area.top + pen.pad, width, 3 * size)
        darken(plate.cut(picture))
        sign = (plate.left + round(1.7 * size), plate.top + plate.height // 2)
        draw_arrow(pen, picture, sign, size, command, ALERT)
        baseline = plate.top + (plate.height + round(1.2 * pen.text_size)) // 2
        pen.write(picture, text, (plate.left + round(3.6 * size), baseline), ALERT, 1.2)

    def _paint_policy_views(self, picture: Image, scene: Scene) -> None:
        """The recorded pictures, pixel by pixel: that is all a policy sees."""
        area = self._layout.policy_views
        pen = self._pen
        label = round(1.9 * pen.text_size)
        aspect = self._spec.image_width / self._spec.image_height
        height = min(area.height - label - pen.pad // 2, round((area.width - 4 * pen.pad) / 3 / aspect))
        width = round(height * aspect)
        if min(width, height) < 8:
            return
        left = area.left + (area.width - 3 * width - 2 * pen.pad) // 2
        pen.write(picture, "recorded, as a policy sees it", (left, area.top + label - pen.pad // 2), DIM, 0.8)
        for i, name in enumerate(VIEW_NAMES):
            small = self._cv2.resize(
                scene.episode.observation[name], (width, height), interpolation=self._cv2.INTER_NEAREST
            )
            start = left + i * (width + pen.pad)
            picture[area.top + label : area.top + label + height, start : start + width] = small

    def _paint_controls(self, picture: Image, scene: Scene) -> None:
        """Keys that are held, and the action they have become."""
        pen = self._pen
        area = self._layout.controls.inner(pen.pad)
        turn_action, go_action = map(float, scene.action)
        _, color = self._driver(scene)
        if self._title:  # under a title of its own it is the human's action that is shown, whoever drives
            color = HUMAN
        keys = Rect(area.left, area.top, min(round(1.6 * area.height), area.width // 3), area.height)
        draw_keys(pen, picture, keys, scene.keys, HUMAN)
        go = Rect(keys.right + 2 * pen.pad, area.top, round(5.5 * pen.text_size), area.height)
        draw_axis(pen, picture, go, go_action, color, True, self._words.go)
        turn = Rect(go.right, area.top + round(0.25 * area.height), area.right - go.right, area.height)
        # Left is positive, and on the left.
        draw_axis(pen, picture, turn, -turn_action, color, False, ("left", "", "right"))

    def _paint_map(self, picture: Image, scene: Scene) -> None:
        position, rotation = scene.episode.env.pose()
        traffic = scene.episode.env.course.traffic
        if scene.episode.num_steps != self._step:
            self._path.append(position.copy())
            self._ways.append(traffic.places_m())
            self._step = scene.episode.num_steps
        half_fov = math.radians(self._spec.horizontal_fov_deg) / 2
        moving = Moving(traffic.boxes(), self._ways) if traffic else None
        painted = self._map.paint(np.array(self._path), heading_rad(rotation), half_fov, moving=moving)
        area = self._map_area
        height, width, _ = painted.shape
        left = area.left + (area.width - width) // 2
        top = area.top + (area.height - height) // 2
        picture[top : top + height, left : left + width] = painted

    def _paint_figures(self, picture: Image, scene: Scene) -> None:
        """Speed against its set point, how near things are, time, and what is recorded."""
        pen = self._pen
        area = self._layout.figures.inner(pen.pad)
        speed_mps = scene.episode.info["speed_mps"]
        set_point = float(scene.episode.scenario.env_kwargs["speed"])
        step = min(round(2.0 * pen.text_size), area.height // 8)
        first = area.top + round(1.7 * pen.text_size)
        speed_color = ALERT if speed_mps > 1.1 * set_point else INK
        pen.write(picture, f"{speed_mps:.1f} m/s", (area.left, first), speed_color, 1.6)
        pen.write(picture, f"set point {set_point:.3g}", (area.left + round(11 * pen.text_size), first), DIM, 0.9)
        bar = Rect(area.left, first + round(0.9 * pen.text_size), area.width, round(0.7 * pen.text_size))
        draw_speed(pen, picture, bar, speed_mps, set_point)
        lines = [
            (way_left(scene.episode), INK),
            clearance_line(scene.episode.info["clearance_m"]),
            (f"{scene.episode.time_s:.1f} s", INK),
            (f"world {scene.episode.scenario.seed}: {self._description}", DIM),
            (f"{scene.saved} of {scene.total} episodes saved", DIM),
            (f"{scene.late} late frame{'s' * (scene.late != 1)}", ALERT if scene.late else DIM),
        ]
        for i, (line, color) in enumerate(lines, start=1):
            pen.write(picture, line, (area.left, bar.bottom + i * step), color, 0.95, room=area.width)

    def _driver(self, scene: Scene) -> tuple[str, Color]:
        """The driver in words and as a colour."""
        if scene.actor == ACTOR_HUMAN:
            return f"YOU {self._words.verb.upper()}", HUMAN
        return f"POLICY {self._words.third.upper()}", POLICY

    def _paint_bar(self, picture: Image, scene: Scene) -> None:
        """The bar on top: recording or not, who drives and the key that changes it, which episode."""
        pen = self._pen
        area = self._layout.bar
        who, color = self._driver(scene)
        region = area.cut(picture)
        baseline = (area.height + round(1.3 * pen.text_size)) // 2
        dot = (round(1.8 * pen.text_size), area.height // 2)
        if scene.mode == Mode.RUNNING:
            ink = PANEL
            region[:] = color
            self._cv2.circle(region, dot, pen.thick(0.75), PANEL, -1, self._cv2.LINE_AA)
            self._cv2.circle(region, dot, pen.thick(0.6), RECORDING, -1, self._cv2.LINE_AA)
        else:
            ink = INK
            region[:] = EDGE
            self._cv2.circle(region, dot, pen.thick(0.6), DIM, pen.thick(0.2), self._cv2.LINE_AA)
        pen.write(region, STATES.get(scene.mode, "PAUSED"), (round(3.2 * pen.text_size), baseline), ink, 1.3)
        if scene.slow:
            pen.write(region, "SLOW 1/2", (round(10.5 * pen.text_size), baseline), ink, 1.3)
        title = who
        if scene.takes_turns:
            how = "ENTER hands back" if scene.actor == ACTOR_HUMAN else "SPACE takes over"
            title = f"{who}   -   {how}"
        title = self._title or title
        pen.write(region, title, ((area.width - pen.width(title, 1.5)) // 2, baseline), ink, 1.5)
        count = f"episode {scene.number} of {scene.total}"
        pen.write(region, count, (area.width - pen.width(count, 1.1) - 2 * pen.pad, baseline), ink, 1.1)

    def _paint_help(self, picture: Image, scene: Scene) -> None:
        """The keys, and what just happened."""
        pen = self._pen
        area = self._layout.help
        area.cut(picture)[:] = EDGE
        keys = "arrows/WASD steer   P pause   L slow   R again   BACKSPACE discard last   Q save and quit"
        baseline = area.bottom - round(0.5 * pen.text_size)
        room = area.width - 2 * pen.pad
        if scene.message:
            width = min(pen.width(scene.message, 0.9), room // 2)
            pen.write(picture, scene.message, (area.right - pen.pad - width, baseline), ALERT, 0.9, room=width)
            room -= width + 2 * pen.pad
        pen.write(picture, keys, (area.left + pen.pad, baseline), INK, 0.85, room=room)

    def _paint_notice(self, picture: Image, scene: Scene) -> None:
        """Large words over the center view while nothing moves."""
        first, second, color = self._notice(scene)
        if not first:
            return
        pen = self._pen
        area = self._layout.center_view
        band = Rect(area.left, area.top + round(0.40 * area.height), area.width, round(6.4 * pen.text_size))
        darken(band.cut(picture))
        for text, row, ink, scale in ((first, 2.9, color, 2.0), (second, 5.3, INK, 1.1)):
            scale *= min(1.0, (band.width - 2 * pen.pad) / max(1, pen.width(text, scale)))
            left = band.left + (band.width - pen.width(text, scale)) // 2
            pen.write(picture, text, (left, band.top + round(row * pen.text_size)), ink, scale)

    def _notice(self, scene: Scene) -> tuple[str, str, Color]:
        if scene.mode == Mode.WAITING:
            first = f"; the policy {self._words.third} first" if scene.takes_turns else ""
            return "press a steering key to start", f"arrows or WASD, or Space{first}", HUMAN
        if scene.mode == Mode.PAUSED:
            more = "; Space takes over" if scene.takes_turns else ""
            return "PAUSED", f"P or a steering key goes on{more}", ALERT
        if scene.mode == Mode.AWAY:
            return "PAUSED", "come back here and press a steering key", ALERT
        if scene.mode == Mode.ENDED:
            outcome = scene.episode.info["outcome"]
            count = scene.episode.info.get("interventions", 0)
            color = GOOD if succeeded(outcome, count) else BAD
            return told(outcome, count).upper(), "a key goes on; R discards it and tries again", color
        return "", "", INK


def way_left(episode: EpisodeRecorder) -> str:
    """The distance that is left, and on a road how far off the line one is."""
    env = episode.env
    left_m = env.course.distance_left_m(env.vehicle)
    if "lateral_offset_m" not in episode.info:
        return f"{left_m:.0f} m to the goal"
    offset_m = episode.info["lateral_offset_m"]
    side = "left" if offset_m > 0 else "right"
    return f"{left_m:.0f} m to go, {abs(offset_m):.1f} m {side} of the line"


def clearance_line(clearance_m: float) -> tuple[str, Color]:
    """Clearance in words, and the colour to say it in."""
    if clearance_m < NEAR_M:
        return f"{clearance_m:.2f} m clear - CLOSE", ALERT
    if clearance_m < FAR_M:
        return f"{clearance_m:.2f} m clear", INK
    return f"more than {FAR_M:.0f} m clear", INK
