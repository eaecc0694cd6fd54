"""The worst episodes: what happened in the seconds before it went wrong, where, and what the policy looked at."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.launch.pages.blocks import SceneCard, figure
from forestpilot.launch.pages.figures import Line, Panel, seconds_figure
from forestpilot.launch.pages.media import Picture, picture_of
from forestpilot.launch.reading.evaluations import Evaluation, Setting
from forestpilot.launch.reading.outcomes import badness
from forestpilot.launch.reports.arms import Arm
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.outcomes import CRASHES
from forestpilot.sim.scratch import scratch

if TYPE_CHECKING:
    from forestpilot.launch.pictures.world_map import Moving
    from forestpilot.launch.reports.behaviour import Trace

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
    row: OutcomeRow
    """What it came to."""

    @property
    def failed(self) -> bool:
        """True for a failure; otherwise it is a near miss."""
        return not self.row.succeeded

    @property
    def command(self) -> str:
        """Command that replays it."""
        folder = shlex.quote(str(self.evaluation.folder))
        policy = shlex.quote(self.row.policy)
        return f"forestpilot replay {folder} --policy {policy} --seed {self.row.seed} --video videos/"


@dataclass(frozen=True)
class Look:
    """Closeness with which episodes are looked at."""

    seconds: float
    """Seconds before the event."""
    videos: bool
    """Whether to make videos."""
    size: tuple[int, int]
    """Width and height of videos in pixels."""


def choose_episodes(arms: Sequence[Arm], count: int) -> list[Choice]:
    """The worst episodes of trained arms, taking turns between arms; then their nearest misses. Baselines only if there
    are no others: nobody needs to see six blind crashes.

    Args:
        arms: of all tasks.
        count: how many.
    """
    failures: list[list[Choice]] = []
    near_misses: list[list[Choice]] = []
    for arm in [arm for arm in arms if arm.trained] or arms:
        choices = _choices(arm)
        failures.append([choice for choice in choices if choice.failed])
        near_misses.append([choice for choice in choices if not choice.failed])
    return [*_in_turns(failures), *_in_turns(near_misses)][:count]


def _choices(arm: Arm) -> list[Choice]:
    """An arm's episodes, the worst first."""
    choices = []
    for (setting, _), (evaluation, row) in arm.episodes.items():
        choices.append(Choice(arm, setting, evaluation, row))
    return sorted(choices, key=lambda choice: badness(choice.row))


def _in_turns(lists: Sequence[Sequence[Choice]]) -> list[Choice]:
    """The first of each list, then the second of each, and so on."""
    chosen: list[Choice] = []
    for side_by_side in zip_longest(*lists):
        chosen += filter(None, side_by_side)
    return chosen


def make_scenes(choices: Sequence[Choice], look: Look, progress: Progress) -> list[SceneCard]:
    """Replay the episodes chosen, and draw what there is to see; what cannot be shown becomes a note of its scene."""
    scenes = []
    with progress.stage("replay the worst episodes", total=len(choices)) as stage:
        for choice in choices:
            scene = _described(choice)
            _look_at(choice, look, scene)
            scenes.append(scene)
            stage.advance(policy=choice.row.policy, world=choice.row.seed)
    return scenes


def _described(choice: Choice) -> SceneCard:
    """An episode in words."""
    row = choice.row
    return SceneCard(
        heading=f"{choice.arm.name}, world {row.seed}",
        end=row.end,
        failed=choice.failed,
        driver=row.policy,
        world=row.seed,
        facts=_facts(row),
        setting=choice.setting.words,
        command=choice.command,
    )


def _facts(row: OutcomeRow) -> list[tuple[str, str]]:
    """Figures about an episode."""
    facts = [
        ("least clearance", figure(row.min_clearance_m, " m")),
        ("made good", f"{row.progress_m:.1f} m"),
        ("time", f"{row.time_s:.1f} s"),
        ("mean speed", f"{row.mean_speed_mps:.1f} m/s"),
    ]
    if row.interventions:
        facts.append(("put back", f"{row.interventions} ×"))
    return facts


class Span(NamedTuple):
    """States of an episode that are shown."""

    first: int
    """The first of them."""
    at: int
    """The one that the scene is about."""
    last: int
    """The last of them."""


def _look_at(choice: Choice, look: Look, scene: SceneCard) -> None:
    """Replay an episode and add what there is to see to its scene."""
    from forestpilot.launch.reports.behaviour import try_trace
    from forestpilot.launch.reports.saliency_frames import look_closely

    trace, why = try_trace(choice.evaluation.result_path(choice.row), keep_steps=True)
    if trace is None:
        scene.notes.append(f"No pictures of this episode: {why}.")
        return
    at, scene.event = _event(trace, choice.row)
    scene.event_s = at * trace.dt_s
    first = max(0, at - round(look.seconds / trace.dt_s))
    last = min(len(trace.path_m) - 1, at + round(AFTER_S / trace.dt_s))
    span = Span(first, at, last)
    scene.chart = _chart(trace, span, scene.event)
    scene.frames, scene.why_no_frames = look_closely(trace, first, at, choice.evaluation.facts[choice.row.policy])
    try:
        scene.map = _map(trace, at)
        if look.videos:
            scene.video, scene.poster = _film(trace, span, look.size)
    except ForestPilotError as error:
        scene.notes.append(f"No map or video: {error}.")


def _event(trace: Trace, row: OutcomeRow) -> tuple[int, str]:
    """The state that a scene is about, and what happened there."""
    if trace.intervened_at:
        return trace.intervened_at[0], "put back for the first time"
    if row.succeeded:
        return int(trace.clearance_m.argmin()), "closest near miss"
    return len(trace.path_m) - 1, row.end


def _chart(trace: Trace, span: Span, event: str) -> Markup:
    """Clearance, speed and turn, with the expert's turn, in the seconds around the event."""

    def line(style: int, values: NDArray[np.float64]) -> Line:
        shown = values[span.first : span.last + 1]
        seconds = (np.arange(len(shown)) + span.first - span.at) * trace.dt_s
        return Line(style, seconds.tolist(), shown.tolist())

    panels = [
        Panel("clearance, m", [line(0, trace.clearance_m)]),
        Panel("speed, m/s", [line(0, trace.speed_mps)]),
        Panel(f"{trace.spec.turn.label}, deg", [line(0, trace.turn_deg), line(1, trace.expert_turn_deg)]),
    ]
    clearance = f"{trace.clearance_m[span.first]:.2f} to {trace.clearance_m[span.at]:.2f}"
    speed = f"{trace.speed_mps[span.first]:.2f} to {trace.speed_mps[span.at]:.2f}"
    alt = (
        f"In the {(span.at - span.first) * trace.dt_s:.1f} s before {event}: clearance {clearance} m, speed {speed} "
        "m/s, and the turn commanded beside the expert's"
    )
    return seconds_figure(panels, event, alt)


def _map(trace: Trace, at: int) -> Picture:
    """The world from above with the way up to the event."""
    from forestpilot.launch.pictures.opencv import import_cv2
    from forestpilot.launch.pictures.world_map import WorldMap

    painter = WorldMap(import_cv2(), trace.world, MAP_PX, text_size=12.0)
    half_fov = math.radians(trace.spec.horizontal_fov_deg) / 2
    image = painter.paint(
        trace.path_m[: at + 1], float(trace.yaw_rad[at]), half_fov, _marks(trace, at), _moving(trace, at)
    )
    return picture_of(image, "png")


def _moving(trace: Trace, at: int) -> Moving | None:
    """What moves by itself at a state, and where it went until then; None where nothing does."""
    from forestpilot.launch.pictures.world_map import Moving

    now = trace.steps[at].traffic
    if not now:
        return None
    return Moving(now.boxes(), [step.traffic.places_m() for step in trace.steps[: at + 1]])


def _marks(trace: Trace, at: int) -> NDArray[np.float64]:
    """Places where it went wrong: where a car was put back, as far as they were reached; the end of a failure."""
    states = [state - 1 for state in trace.intervened_at if state <= at]
    if not states and trace.episode.outcome in CRASHES:
        states = [-1]
    return trace.path_m[states, :2].reshape(-1, 2)


def _film(trace: Trace, span: Span, size: tuple[int, int]) -> tuple[bytes, Picture]:
    """The seconds around the event as an MP4, and its picture at the event."""
    from forestpilot.launch.reports.clips import Clip, write_clip

    clip = Clip(span.first * trace.dt_s, span.at * trace.dt_s, span.last * trace.dt_s)
    with scratch("report") as folder:
        path = folder / "clip.mp4"
        at_event = write_clip(path, trace.episode, clip, size)
        return path.read_bytes(), picture_of(at_event, "jpg")
