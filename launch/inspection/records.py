"""Episodes as a survey keeps them: their numbers, and of their pictures only what tells whether they are sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import CAMERAS, Episode, load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, Teacher
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.windows.side_labels import fixed_offsets, geometric_label
from forestpilot.sim.cameras import YAW
from forestpilot.sim.envs.task_spec import TaskSpec

CENTER = CAMERAS.index("center")
SIDES = [CAMERAS.index("left"), CAMERAS.index("right")]
EVERY_PIXEL = 7
"""Every how many-th value of a picture its spread is counted from."""


@dataclass
class Record:
    """One episode without its pictures. T steps; C is the number of cameras, left, center and right."""

    path: Path
    """The file."""
    meta: EpisodeMeta
    """The episode as a whole."""
    actions: NDArray[np.float32]
    """(T, 2) turn and go as executed."""
    actor: NDArray[np.uint8]
    """(T,) who acted, as in `Episode`."""
    labelled: NDArray[np.bool_]
    """(T,) at which steps there is something to learn; not where a moved label would lie beyond the end."""
    label: NDArray[np.float32]
    """(T, 2) what the center camera teaches: a watching human's action, else the expert's, else what was done."""
    rule: NDArray[np.float32]
    """(T, C, 2) what the geometric rule would teach at each camera."""
    asked: NDArray[np.float32] | None
    """(T, C, 2) what the expert answered at each camera; None where it is not what is learned."""
    offsets: NDArray[np.float32]
    """(T, C, 2 or 3) shift in metres, yaw in radians, maybe change of speed in m/s of each camera."""
    state: NDArray[np.float32]
    """(T, S) state before each action."""
    speed_mps: NDArray[np.float32]
    """(T,) speed over ground before each action."""
    keys: NDArray[np.uint8] | None
    """(T,) keys held; None where nobody could steer."""
    expert: NDArray[np.float32] | None
    """(T, 2) the expert's answer at the center camera, where it is recorded."""
    brightness: NDArray[np.float32]
    """(C, T + 1) mean grey level of each picture, 0 to 255."""
    contrast: NDArray[np.float32]
    """(C, T + 1) standard deviation of each picture."""
    repeated: NDArray[np.bool_]
    """(C, T) whether the picture after a step is, pixel for pixel, the one before it."""
    has_human: bool
    """Whether the labels are a human's, who steered along."""
    lacks: tuple[str, ...] = ()
    """What it lacks, as `Episode.lacks`."""

    @property
    def num_steps(self) -> int:
        """Number of actions T."""
        return len(self.actions)

    @property
    def time_s(self) -> float:
        """Duration in seconds."""
        return self.num_steps / self.meta.control_hz

    @property
    def drops_pictures(self) -> bool:
        """Whether it was asked for that some of its pictures are black."""
        return bool(self.meta.env_kwargs.get("dropped_pictures"))

    @property
    def taught(self) -> NDArray[np.float32]:
        """(T, C, 2) what each camera teaches as training does it by default: asked where it was asked, else the
        rule's."""
        if self.asked is None:
            return self.rule
        return self.asked

    @property
    def turn(self) -> NDArray[np.float32]:
        """(T,) turn that the center camera teaches, -1 to 1."""
        return self.label[:, 0]

    @property
    def expert_turn(self) -> NDArray[np.float32] | None:
        """(T,) the expert's turn at the center camera, where it is recorded."""
        if self.expert is None:
            return None
        return self.expert[:, 0]

    @property
    def human_steps(self) -> NDArray[np.bool_]:
        """(T,) at which steps the label is a human's."""
        return self.labelled & (self.has_human | (self.actor == ACTOR_HUMAN))


def read_record(spec: TaskSpec, path: Path, episode: Episode, human_delay_s: float = 0.0) -> Record:
    """Numbers of an episode.

    Args:
        spec: the dataset's task.
        path: the file.
        episode: its content, checked.
        human_delay_s: how late people drive, as training would be told.
    """
    steps = episode.num_steps
    state = episode.observations["state"][:steps]
    forward_mps = state[:, spec.index("forward_mps")]
    labels = episode.labels
    lesson = labels.lesson(episode.meta.control_hz, human_delay_s)
    offsets = _offsets(spec, episode)
    looks = _Looks(episode)
    return Record(
        path=path,
        meta=episode.meta,
        actions=episode.actions,
        actor=episode.actor,
        labelled=lesson.known,
        label=lesson.actions,
        rule=_rule(spec, lesson.actions, offsets, forward_mps),
        asked=labels.expert_actions(),
        offsets=offsets,
        state=state,
        speed_mps=np.hypot(forward_mps, state[:, spec.index("left_mps")]),
        keys=episode.keys,
        expert=None if episode.expert_actions is None else episode.expert_actions[:, CENTER],
        brightness=looks.brightness,
        contrast=looks.contrast,
        repeated=looks.repeated,
        has_human=labels.teacher is Teacher.WATCHER,
        lacks=episode.lacks,
    )


def _offsets(spec: TaskSpec, episode: Episode) -> NDArray[np.float32]:
    """(T, C, 2) shift and yaw of the cameras before each action."""
    steps = episode.num_steps
    if episode.camera_offsets is None:
        return np.broadcast_to(fixed_offsets(spec), (steps, len(CAMERAS), 2))
    return episode.camera_offsets[:steps, :, : YAW + 1]


def _rule(
    spec: TaskSpec, label: NDArray[np.float32], offsets: NDArray[np.float32], forward_mps: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(T, C, 2) what the geometric rule would teach at each camera."""
    taught = []
    for camera in range(len(CAMERAS)):
        taught.append(geometric_label(spec, label, offsets[:, camera, :2], forward_mps))
    return np.stack(taught, axis=1)


class _Looks:
    """Figures of an episode's pictures, camera by camera."""

    def __init__(self, episode: Episode) -> None:
        brightness = []
        contrast = []
        repeated = []
        for camera in CAMERAS:
            flat = episode.observations[camera].reshape(episode.num_steps + 1, -1)
            brightness.append(flat.mean(axis=1, dtype=np.float32))
            contrast.append(flat[:, ::EVERY_PIXEL].std(axis=1, dtype=np.float32))
            repeated.append((flat[1:] == flat[:-1]).all(axis=1))
        self.brightness: NDArray[np.float32] = np.stack(brightness)
        """(C, T + 1) mean."""
        self.contrast: NDArray[np.float32] = np.stack(contrast)
        """(C, T + 1) standard deviation."""
        self.repeated: NDArray[np.bool_] = np.stack(repeated)
        """(C, T) whether each picture repeats the one before."""


def read_pictures(record: Record, step: int) -> NDArray[np.uint8]:
    """(C, H, W, 3) pictures of the cameras, before a step."""
    episode = load_episode(record.path, CAMERAS, step, step + 1)
    return np.stack([episode.observations[camera][0] for camera in CAMERAS])
