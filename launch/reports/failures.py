"""The worst episodes: what happened in the seconds before it went wrong, where, and what the policy looked at."""

from __future__ import annotations

import math
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.launch.pages.figures import Line, seconds_figure
from forestpilot.launch.pages.media import Picture, picture_of
from forestpilot.launch.pictures.drawing import import_cv2
from forestpilot.launch.pictures.world_map import WorldMap
from forestpilot.launch.reading.evaluations import EpisodeRow, Evaluation, Setting
from forestpilot.launch.reports.arms import Arm, describe_setting
from forestpilot.launch.reports.behaviour import Trace, try_trace
from forestpilot.launch.reports.clips import write_clip
from forestpilot.launch.reports.saliency_frames import SaliencyFrames, look_closely
from forestpilot.sim.errors import ForestPilotError

MAP_PX = (420, 620)
"""Largest width and height of a map, pixels."""
AFTER_S = 1.0
"""What is shown after an event that did not end the episode, seconds."""


@dataclass(frozen=True)
class Choice:
    """An episode that the report looks at."""

    arm: Arm
    """Who made it."""
    setting: Setting
    """In which setting."""
    evaluation: Evaluation
    """Where it is stored."""
    row: EpisodeRow
    """What it came to."""

    @property
    def failed(self) -> bool:
        """Whether it is a failure; otherwise it is a near miss."""
        return not self.row.succeeded


@dataclass
class Scene:
    """One of the episodes looked at, as the page shows it."""

    choice: Choice
    """Which episode."""
    setting: str
    """Its world, in words."""
    command: str
    """What replays it."""
    event: str = ""
    """What happened, in words."""
    event_s: float = 0.0
    """When, in seconds since the start."""
    chart: Markup = Markup("")
    """Clearance, speed and turn around the event."""
    map: Picture | None = None
    """The world from above with the way so far."""
    video: bytes = b""
    """MP4 of the seconds before."""
    poster: Picture | None = None
    """The video's picture at the event."""
    video_kept: bool = True
    """Whether the video fits the report's budget."""
    frames: SaliencyFrames | None = None
    """What the policy looked at."""
    notes: list[str] = field(default_factory=list)
    """What cannot be shown, and why."""


def choose_episodes(arms: Sequence[Arm], count: int) -> list[Choice]:
    """The worst episodes of trained arms, taking turns between arms; then their nearest misses. Baselines only if there
    are no others: nobody needs to see six blind crashes.

    Args:
        arms: of all tasks.
        count: how many.
    """
    looked_at = [arm for arm in arms if arm.trained] or list(arms)
    by_arm = [sorted(_choices(arm), key=_badness) for arm in looked_at]
    failures = _in_turns([[choice for choice in choices if choice.failed] for choices in by_arm])
    near_misses = _in_turns([[choice for choice in choices if not choice.failed] for choices in by_arm])
    return [*failures, *near_misses][:count]


def _choices(arm: Arm) -> list[Choice]:
    return [Choice(arm, setting, evaluation, row) for (setting, _), (evaluation, row) in arm.episodes.items()]


def _badness(choice: Choice) -> tuple[bool, int, float, int]:
    """The order of `forestpilot replay --worst`: failures, the most interventions, the smallest clearance."""
    row = choice.row
    return row.succeeded, -row.interventions, row.min_clearance_m, row.seed


def _in_turns(lists: Sequence[list[Choice]]) -> list[Choice]:
    """The first of each list, then the second of each, and so on."""
    longest = max(map(len, lists), default=0)
    return [choices[i] for i in range(longest) for choices in lists if i < len(choices)]


@dataclass(frozen=True)
class Look:
    """How closely episodes are looked at."""

    seconds: float
    """Seconds before the event."""
    videos: bool
    """Whether to make videos."""
    size: tuple[int, int]
    """Width and height of videos in pixels."""


def make_scenes(choices: Sequence[Choice], look: Look, progress: Progress) -> list[Scene]:
    """Replay the episodes chosen, and draw what there is to see; what cannot be shown becomes a note of its scene."""
    scenes = []
    with progress.stage("replay the worst episodes", total=len(choices)) as stage:
        for choice in choices:
            scenes.append(_make_scene(choice, look))
            stage.advance(policy=choice.row.policy, world=choice.row.seed)
    return scenes


def _make_scene(choice: Choice, look: Look) -> Scene:
    row = choice.row
    folder = shlex.quote(str(choice.evaluation.folder))
    name = shlex.quote(row.policy)
    setting = describe_setting(choice.setting)
    scene = Scene(choice, setting, f"forestpilot replay {folder} --policy {name} --seed {row.seed} --video videos/")
    trace, why = try_trace(choice.evaluation.result_path(row), keep_steps=True)
    if trace is None:
        scene.notes.append(f"No pictures of this episode: {why}.")
        return scene
    at = _event(trace, row, scene)
    steps = round(look.seconds * trace.spec.control_hz)
    first, last = max(0, at - steps), min(len(trace.path_m) - 1, at + round(AFTER_S * trace.spec.control_hz))
    scene.chart = _chart(trace, first, last, at, scene.event)
    scene.frames = look_closely(trace, first, at, choice.evaluation.facts[row.policy])
    try:
        scene.map = _map(trace, at, last)
        if look.videos:
            scene.video, scene.poster = _film(trace, first, last, at, look.size)
    except ForestPilotError as error:
        scene.notes.append(f"No map or video: {error}.")
    return scene


def _event(trace: Trace, row: EpisodeRow, scene: Scene) -> int:
    """The state that the scene is about, named in the scene."""
    last = len(trace.path_m) - 1
    if trace.intervened_at:
        at, scene.event = trace.intervened_at[0], "put back for the first time"
    elif row.succeeded:
        at, scene.event = int(trace.clearance_m.argmin()), "closest near_miss"
    else:
        at, scene.event = last, {"timeout": "out of time"}.get(row.outcome, row.outcome.replace("_", " "))
    scene.event_s = at * trace.dt_s
    return at


def _chart(trace: Trace, first: int, last: int, at: int, event: str) -> Markup:
    """Clearance, speed and turn, with the expert's turn, in the seconds around the event."""
    states = range(first, last + 1)
    actions = range(first, min(last + 1, len(trace.turn_deg)))

    def line(style: int, values: NDArray[np.float64], shown: range) -> Line:
        return Line(style, [(i - at) * trace.dt_s for i in shown], values[shown.start : shown.stop].tolist())

    turn = "steering, deg" if trace.spec.turn_kind == "steering" else "turn, deg"
    panels = [
        ("clearance, m", [line(0, trace.clearance_m, states)]),
        ("speed, m/s", [line(0, trace.speed_mps, states)]),
        (turn, [line(0, trace.turn_deg, actions), line(1, trace.expert_turn_deg, actions)]),
    ]
    clearance, speed = (f"{values[first]:.2f} to {values[at]:.2f}" for values in (trace.clearance_m, trace.speed_mps))
    alt = (
        f"In the {(at - first) * trace.dt_s:.1f} s before {event}: clearance {clearance} m, speed {speed} m/s, and the "
        "turn commanded beside the expert's"
    )
    return seconds_figure(panels, event, alt)


def _map(trace: Trace, at: int, last: int) -> Picture:
    """The world from above with the way up to the event."""
    painter = WorldMap(import_cv2(), trace.world, MAP_PX, text_size=12.0)
    half_fov = math.radians(trace.spec.horizontal_fov_deg) / 2
    marks = _marks(trace, at)
    image = painter.paint(trace.path_m[: at + 1], float(trace.yaw_rad[at]), half_fov, marks)
    return picture_of(image, "png")


def _marks(trace: Trace, at: int) -> NDArray[np.float64]:
    """Where it went wrong: the places where a car was put back, as far as they were reached; the end of a failure."""
    places = [trace.path_m[i - 1, :2] for i in trace.intervened_at if i <= at]
    if not places and trace.episode.outcome in ("collision", "out_of_bounds"):
        places = [trace.path_m[-1, :2]]
    return np.array(places).reshape(-1, 2)


def _film(trace: Trace, first: int, last: int, at: int, size: tuple[int, int]) -> tuple[bytes, Picture]:
    """The seconds around the event as an MP4, and its picture at the event."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        start_s, event_s, end_s = (index * trace.dt_s for index in (first, at, last))
        at_event = write_clip(path, trace.episode, start_s, event_s, end_s, size)
        return path.read_bytes(), picture_of(at_event, "jpg")
