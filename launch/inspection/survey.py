"""A look at every episode of a dataset, which changes nothing: a damaged file stays where it is and is reported."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import EPISODE_SUFFIX, Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.episode import CAMERAS, Episode, load_episode
from forestpilot.data_collection.episodes.errors import BrokenEpisodeError, EpisodeError, SchemaVersionError
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.windows.decoded import DECODED_FOLDER, decoded_bytes
from forestpilot.launch.inspection.records import Record, read_record
from forestpilot.launch.reading.datasets import IN_A_RUN
from forestpilot.sim.envs.task_spec import TaskSpec


@dataclass(frozen=True)
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
    """Content of a dataset."""

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
        """Name on the page: the folder, with that of the run that it belongs to."""
        folder = self.folder.resolve()
        if folder.name == IN_A_RUN:
            return f"{folder.parent.name}/{folder.name}"
        return folder.name

    @property
    def disk(self) -> str:
        """Disk space that it takes, in words."""
        episodes_mb = sum(path.stat().st_size for path in _episode_files(self.folder / "episodes")) / 1e6
        decoded_mb = decoded_bytes(self.folder) / 1e6
        if not decoded_mb:
            return f"{episodes_mb:.1f} MB"
        return (
            f"{episodes_mb:.1f} MB, and {decoded_mb:.1f} MB of decoded pictures in {DECODED_FOLDER}/ (can be deleted)"
        )

    @property
    def num_steps(self) -> int:
        """Steps in all readable episodes."""
        return steps_of(self.records)

    @property
    def num_labels(self) -> int:
        """Steps with something to learn."""
        return sum(int(record.labelled.sum()) for record in self.records)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What some episodes lack, such as `actions`."""
        return tuple(dict.fromkeys(name for record in self.records for name in record.lacks))

    @property
    def labels(self) -> NDArray[np.float32]:
        """(N, 2) what the center camera teaches, at the steps with something to learn."""
        return self.over_labels(_label)

    @property
    def turns_deg(self) -> NDArray[np.floating]:
        """(N,) turns that the center camera teaches, degrees, left positive."""
        return self.degrees(self.labels[:, 0])

    @property
    def limit_deg(self) -> float:
        """Largest turn in degrees."""
        return float(np.degrees(self.spec.max_turn_rad))

    def degrees(self, turns: NDArray[np.floating]) -> NDArray[np.floating]:
        """Turns in [-1, 1] as degrees, left positive."""
        return np.degrees(turns * self.spec.max_turn_rad)

    def over_labels(self, read: Callable[[Record], NDArray[np.float32]]) -> NDArray[np.float32]:
        """(N, ...) what `read` gives of each record (T, ...), at the steps with something to learn."""
        return np.concatenate([read(record)[record.labelled] for record in self.records])

    def over_steps(self, read: Callable[[Record], NDArray[np.float32]]) -> NDArray[np.float32]:
        """(N, ...) what `read` gives of each record, at every step."""
        return np.concatenate(list(map(read, self.records)))


def steps_of(records: Sequence[Record]) -> int:
    """Steps of some episodes together."""
    return sum(record.num_steps for record in records)


def _label(record: Record) -> NDArray[np.float32]:
    return record.label


def survey_dataset(folder: Path, progress: Progress | None = None, human_delay_s: float = 0.0) -> Survey:
    """Read a dataset.

    Args:
        folder: the dataset.
        progress: who watches.
        human_delay_s: how late people drive: what they did is moved back by it, as training does.

    Raises:
        DatasetError: no dataset is there, or none of its episodes can be read.
    """
    dataset = Dataset.open(folder, check=False)
    survey = Survey(folder, dataset.task_spec)
    paths = [path for path in _episode_files(folder / "episodes") if not path.name.startswith(".")]
    with (progress or SilentProgress()).stage(f"read {folder}", total=len(paths)) as stage:
        for path in paths:
            _take_in(survey, path, human_delay_s)
            stage.advance()
    survey.unreadable += _set_aside(folder)
    survey.num_discarded = len(_episode_files(folder / "discarded"))
    if not survey.records:
        why = _why_none(survey)
        raise DatasetError(f"{folder} is a dataset without an episode to look at{why}. Collect some first")
    return survey


def _episode_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{EPISODE_SUFFIX}"))


def _why_none(survey: Survey) -> str:
    """Reason why no episode can be read; empty where there is none at all."""
    if not survey.unreadable:
        return ""
    first = survey.unreadable[0]
    return f"; {len(survey.unreadable)} files cannot be read, the first because: {first.why}"


def _take_in(survey: Survey, path: Path, human_delay_s: float) -> None:
    """Add an episode to the survey, or the reason why it cannot be read."""
    try:
        episode = load_episode(path)
        episode.validate()
        _require_task(survey.spec, episode)
    except SchemaVersionError as error:
        kind = "Another version of the format"
        why = _cause(error, path)
        advice = "Read it with the ForestPilot that wrote it, or move it to discarded/: training stops at it."
    except DatasetError as error:
        kind = "Another task"
        why = _cause(error, path)
        advice = "Move it to a dataset of its own: training stops at it."
    except BrokenEpisodeError as error:
        kind = "Damaged"
        why = _cause(error, path)
        advice = "Training sets it aside in quarantine/. Record its world again, or restore it from a copy."
    except EpisodeError as error:
        kind = "Values that cannot be right"
        why = _cause(error, path)
        advice = "Take it out: training does not look for this."
    except OSError as error:
        kind = "Cannot be read"
        why = error.strerror or str(error)
        advice = "Look at its permissions and at the disk; its content may be fine."
    else:
        survey.records.append(read_record(survey.spec, path, episode, human_delay_s))
        return
    survey.unreadable.append(Finding(f"episodes/{path.name}", kind, why, advice))


def _require_task(spec: TaskSpec, episode: Episode) -> None:
    """Raise DatasetError where an episode is of another task, or lacks an observation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another renderer is found by the checks, with the file's name
        try:
            theirs = TaskSpec.from_dict(episode.meta.task_spec)
        except ValueError as error:
            raise DatasetError(f"its task is not this version's: {error}") from error
        require_same_task(spec, theirs, "the episode")
    missing = [key for key in (*CAMERAS, "state", "goal") if key not in episode.observations]
    if missing:
        raise DatasetError(f"the episode lacks {', '.join(missing)}, which this page is about")


def _cause(error: Exception, path: Path) -> str:
    """The message, without the path that stands beside it anyway."""
    return str(error).replace(f"{path} ", "").replace(f"{path.name} ", "").removeprefix("is ").strip()


def _set_aside(folder: Path) -> list[Finding]:
    """Files in quarantine/, with the reasons noted there."""
    reasons: dict[str, str] = {}
    noted = folder / "quarantine" / "reasons.txt"
    if noted.is_file():
        for line in noted.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, reason = line.partition("\t")
            reasons[name] = reason
    findings = []
    for path in _episode_files(folder / "quarantine"):
        why = reasons.get(path.name, "no reason was noted")
        advice = "It is out of the dataset already. Collect its seed again, or delete it."
        findings.append(Finding(f"quarantine/{path.name}", "Set aside as damaged", why, advice))
    return findings
