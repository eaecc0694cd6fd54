"""Every episode of a dataset, read once: its numbers are kept, of its pictures only what tells whether they are sound.

A look changes nothing: a damaged file stays where it is and is reported.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import EPISODE_SUFFIX, Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.episode import (
    CAMERAS,
    BrokenEpisodeError,
    Episode,
    EpisodeError,
    EpisodeMeta,
    SchemaVersionError,
    load_episode,
)
from forestpilot.data_collection.rollouts.progress import Progress, SilentProgress
from forestpilot.data_collection.windows.side_labels import fixed_offsets, geometric_label
from forestpilot.launch.reading.datasets import IN_A_RUN
from forestpilot.sim.envs.task_spec import TaskSpec

CENTER = CAMERAS.index("center")
SIDES = [CAMERAS.index("left"), CAMERAS.index("right")]


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
    """(T,) at which steps there is something to learn."""
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

    @property
    def num_steps(self) -> int:
        """Number of actions T."""
        return len(self.actions)

    @property
    def time_s(self) -> float:
        """Duration in seconds."""
        return self.num_steps / self.meta.control_hz

    @property
    def taught(self) -> NDArray[np.float32]:
        """(T, C, 2) what each camera teaches as training does it by default: asked where it was asked, else the
        rule's."""
        return self.rule if self.asked is None else self.asked


@dataclass
class Finding:
    """Something that is wrong with a file."""

    file: str
    """Its place inside the dataset."""
    kind: str
    """What sort of thing, as a short heading."""
    why: str
    """What was seen, with numbers."""
    advice: str
    """What to do."""


@dataclass
class Survey:
    """What is in a dataset."""

    folder: Path
    """The dataset's folder."""
    spec: TaskSpec
    """Its task."""
    records: list[Record] = field(default_factory=list)
    """Episodes that can be read, by file name."""
    unreadable: list[Finding] = field(default_factory=list)
    """Files that cannot, those set aside earlier included."""
    num_discarded: int = 0
    """Episodes that somebody did not want."""

    @property
    def name(self) -> str:
        """What it is called on the page: the folder, with that of the run that it belongs to."""
        folder = self.folder.resolve()
        return f"{folder.parent.name}/{folder.name}" if folder.name == IN_A_RUN else folder.name

    @property
    def num_steps(self) -> int:
        """Steps in all readable episodes."""
        return sum(record.num_steps for record in self.records)

    @property
    def num_labels(self) -> int:
        """Steps with something to learn."""
        return sum(int(record.labelled.sum()) for record in self.records)

    def over_labels(self, read: Callable[[Record], NDArray[np.float32]]) -> NDArray[np.float32]:
        """(N, ...) what `read` gives of each record (T, ...), at the steps with something to learn."""
        return np.concatenate([read(record)[record.labelled] for record in self.records])

    def over_steps(self, read: Callable[[Record], NDArray[np.float32]]) -> NDArray[np.float32]:
        """(N, ...) what `read` gives of each record, at every step."""
        return np.concatenate([read(record) for record in self.records])


def survey_dataset(folder: Path, progress: Progress | None = None) -> Survey:
    """Read a dataset.

    Raises:
        DatasetError: no dataset is there, or none of its episodes can be read.
    """
    dataset = Dataset.open(folder, check=False)
    survey = Survey(folder, dataset.task_spec)
    paths = sorted(path for path in (folder / "episodes").glob(f"*{EPISODE_SUFFIX}") if path.name[0] != ".")
    with (progress or SilentProgress()).stage(f"read {folder}", total=len(paths)) as stage:
        for path in paths:
            _take_in(survey, path)
            stage.advance()
    survey.unreadable += _set_aside(folder)
    survey.num_discarded = len(list((folder / "discarded").glob(f"*{EPISODE_SUFFIX}")))
    if not survey.records:
        broken = f"; {len(survey.unreadable)} files cannot be read" if survey.unreadable else ""
        first = f", the first because: {survey.unreadable[0].why}" if survey.unreadable else ""
        raise DatasetError(f"{folder} is a dataset without an episode to look at{broken}{first}. Collect some first")
    return survey


def read_pictures(record: Record, steps: Sequence[int]) -> list[NDArray[np.uint8]]:
    """(C, H, W, 3) pictures of the cameras, before each of these steps."""
    pictures = []
    for step in steps:
        episode = load_episode(record.path, CAMERAS, step, step + 1)
        pictures.append(np.stack([episode.observations[camera][0] for camera in CAMERAS]))
    return pictures


def _take_in(survey: Survey, path: Path) -> None:
    """Add an episode to the survey, or the reason why it cannot be read."""
    name = f"episodes/{path.name}"
    try:
        episode = load_episode(path)
        episode.validate()
        _require_task(survey.spec, episode)
        survey.records.append(_record(survey.spec, path, episode))
    except SchemaVersionError as error:
        advice = "Read it with the ForestPilot that wrote it, or move it to discarded/: training stops at it."
        survey.unreadable.append(Finding(name, "Another version of the format", _cause(error, path), advice))
    except DatasetError as error:
        advice = "Move it to a dataset of its own: training stops at it."
        survey.unreadable.append(Finding(name, "Another task", _cause(error, path), advice))
    except BrokenEpisodeError as error:
        advice = "Training sets it aside in quarantine/. Record its world again, or restore it from a copy."
        survey.unreadable.append(Finding(name, "Damaged", _cause(error, path), advice))
    except EpisodeError as error:
        advice = "Take it out: training does not look for this."
        survey.unreadable.append(Finding(name, "Values that cannot be right", _cause(error, path), advice))
    except OSError as error:
        advice = "Look at its permissions and at the disk; its content may be fine."
        survey.unreadable.append(Finding(name, "Cannot be read", error.strerror or str(error), advice))


def _require_task(spec: TaskSpec, episode: Episode) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another renderer is found by the checks, with the file's name
        try:
            theirs = TaskSpec.from_dict(episode.meta.task_spec)
        except ValueError as error:
            raise DatasetError(f"its task is not this version's: {error}") from error
        require_same_task(spec, theirs, "the episode")
    missing = [key for key in (*CAMERAS, "state", "goal") if key not in episode.observations]
    if missing:
        raise DatasetError(f"the episode has no observation {', '.join(missing)}")


def _cause(error: Exception, path: Path) -> str:
    """The message, without the path that stands beside it anyway."""
    return str(error).replace(f"{path} ", "").replace(f"{path.name} ", "").removeprefix("is ").strip()


def _set_aside(folder: Path) -> list[Finding]:
    """What lies in quarantine/, with the reasons noted there."""
    reasons: dict[str, str] = {}
    noted = folder / "quarantine" / "reasons.txt"
    if noted.is_file():
        lines = noted.read_text(encoding="utf-8", errors="replace").splitlines()
        reasons = {name: reason for name, _, reason in (line.partition("\t") for line in lines)}
    files = sorted(path.name for path in (folder / "quarantine").glob(f"*{EPISODE_SUFFIX}"))
    advice = "It is out of the dataset already. Collect its seed again, or delete it."
    return [
        Finding(f"quarantine/{name}", "Set aside as damaged", reasons.get(name, "no reason was noted"), advice)
        for name in files
    ]


def _record(spec: TaskSpec, path: Path, episode: Episode) -> Record:
    steps = episode.num_steps
    told = episode.expert_actions is not None and episode.human_actions is None
    asked = episode.expert_actions if told else None
    own = episode.actions if episode.human_actions is None else episode.human_actions
    label = own if asked is None else asked[:, CENTER]
    offsets = episode.camera_offsets
    if offsets is None:
        offsets = np.broadcast_to(fixed_offsets(spec), (steps + 1, len(CAMERAS), 2))
    state = episode.observations["state"][:steps]
    forward_mps = state[:, spec.index("forward_mps")]
    brightness, contrast, repeated = _look_at(episode)
    return Record(
        path=path, meta=episode.meta, actions=episode.actions, actor=episode.actor, labelled=episode.labelled_steps,
        label=label, asked=asked, offsets=offsets[:steps], state=state, keys=episode.keys,
        rule=np.stack(
            [geometric_label(spec, label, offsets[:steps, c, :2], forward_mps) for c in range(len(CAMERAS))], axis=1
        ),
        speed_mps=np.hypot(forward_mps, state[:, spec.index("left_mps")]),
        expert=None if episode.expert_actions is None else episode.expert_actions[:, CENTER],
        brightness=brightness, contrast=contrast, repeated=repeated, has_human=episode.human_actions is not None,
    )  # fmt: skip


def _look_at(episode: Episode) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """(C, T + 1) mean and (C, T + 1) spread of the pictures, and (C, T) whether each repeats the one before."""
    brightness, contrast, repeated = [], [], []
    for camera in CAMERAS:
        flat = episode.observations[camera].reshape(episode.num_steps + 1, -1)
        brightness.append(flat.mean(axis=1, dtype=np.float32))
        contrast.append(flat[:, ::7].std(axis=1, dtype=np.float32))
        repeated.append((flat[1:] == flat[:-1]).all(axis=1))
    return np.stack(brightness), np.stack(contrast), np.stack(repeated)
