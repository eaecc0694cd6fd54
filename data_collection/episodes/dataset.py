"""A dataset: a folder of episodes, written and read by any number of processes at once.

dataset.json          format version, environment, control rate, renderer, task spec
episodes/             one file per episode, named after its DAgger round and world seed
quarantine/           files that were found damaged, and reasons.txt with one line for each
discarded/            episodes that the human who made them did not want
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.bounded import read_json
from forestpilot.data_collection.episodes.episode import (
    CAMERAS,
    Episode,
    PackedEpisode,
    pack_valid_episode,
    write_valid_episode,
)
from forestpilot.data_collection.episodes.episode_file import SCHEMA_VERSION
from forestpilot.data_collection.episodes.errors import EpisodeError, SchemaVersionError
from forestpilot.data_collection.episodes.files import remove_stale_temporaries, write_new_file
from forestpilot.data_collection.episodes.header import EpisodeHeader, read_header
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.goals import BEARING, DEMONSTRATED, DEMONSTRATED_FRAMES, DEMONSTRATION, GOAL_IMAGE, IMAGE, PLACE
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.viewpoints.viewpoint import is_view

DATASET_FORMAT = "forestpilot-dataset"
DATASET_FILE = "dataset.json"
LEFT_BY_A_KILL = ("config.json", "episodes")
"""What a folder may hold besides hidden files where whoever began a dataset there was killed before it was one."""
EPISODE_SUFFIX = ".hdf5"


class DatasetError(ForestPilotError):
    """A folder that is no dataset, or one that cannot take what was offered."""


class SpecMismatchError(DatasetError):
    """Data of different tasks: the message names each difference."""


class LackingError(DatasetError):
    """A dataset without something that somebody needs of it; the message names it."""


class RendererWarning(UserWarning):
    """Data drawn by different renderers is used together."""


class QuarantineWarning(UserWarning):
    """A damaged episode was set aside."""


def require_same_task(ours: TaskSpec, theirs: TaskSpec, what: str) -> None:
    """Raise if two specs differ in anything but the renderer; warn if they differ in that.

    Args:
        ours: the spec that is asked for.
        theirs: the spec that was found.
        what: where it was found, for the message.

    Raises:
        SpecMismatchError: naming each difference.
    """
    if ours == theirs:  # naming differences takes as long as reading an episode
        return
    differences = [line for line in ours.differences(theirs) if not line.startswith("renderer:")]
    if differences:
        raise SpecMismatchError(
            f"{what} is of another task (wanted against found): {'; '.join(differences)}. "
            "Only data of one and the same task can be joined"
        )
    if ours.renderer != theirs.renderer:
        warnings.warn(
            f"data drawn by renderer {theirs.renderer!r} joins data drawn by {ours.renderer!r}: their pictures differ",
            RendererWarning,
            stacklevel=3,
        )


class Dataset:
    """The episodes in a folder, in the order of their file names.

    Make one with `Dataset.create` or `Dataset.open`. Other processes may add episodes meanwhile; `refresh` finds them.

    Attributes:
        folder: the folder.
        task_spec: the task that every episode is of.
        env_id: Gymnasium id of the environment.
        episodes: headers of the episodes, sorted by file name.
    """

    def __init__(self, folder: Path, task_spec: TaskSpec, env_id: str) -> None:
        self.folder = folder
        self.task_spec = task_spec
        self.env_id = env_id
        self._headers: dict[str, EpisodeHeader] = {}
        self._unmovable: set[str] = set()
        self.episodes: list[EpisodeHeader] = []

    @classmethod
    def create(cls, folder: str | Path, task_spec: TaskSpec, env_id: str) -> Dataset:
        """Make a dataset; where one of the same task is already, open it, so that a resumed command goes on.

        Raises:
            SpecMismatchError: the folder holds a dataset of another task.
            DatasetError: the folder holds other files.
            DiskFullError: no space left.
        """
        folder = Path(folder)
        if not (folder / DATASET_FILE).exists():
            if folder.exists() and any(
                not entry.name.startswith(".") for entry in folder.iterdir() if entry.name not in LEFT_BY_A_KILL
            ):
                raise DatasetError(f"{folder} holds files but no dataset; give an empty or a new folder")
            (folder / "episodes").mkdir(parents=True, exist_ok=True)
            write_new_file(folder / DATASET_FILE, [_description(task_spec, env_id).encode()])
        dataset = cls.open(folder)
        require_same_task(task_spec, dataset.task_spec, f"the dataset in {folder}")
        if dataset.env_id != env_id:
            raise SpecMismatchError(
                f"the dataset in {folder} is of {dataset.env_id}, not of {env_id}; give another folder"
            )
        return dataset

    @classmethod
    def open(cls, folder: str | Path, check: bool = True) -> Dataset:
        """Open a dataset and check every file; damaged ones are moved to quarantine/ with their reason, and a warning.

        Args:
            folder: the dataset's folder.
            check: False leaves the episodes alone until `refresh`, for a worker that only adds to them.

        Raises:
            DatasetError: no dataset is there, or its description cannot be read.
            SchemaVersionError: the dataset or one of its episodes is of another format version.
        """
        if "://" in str(folder):
            raise DatasetError(
                f"{folder} is an address, which `forestpilot train --data` reads; this wants a folder: copy it here"
            )
        folder = Path(folder)
        description = _read_description(folder / DATASET_FILE)
        dataset = cls(folder, _task_spec(description["task_spec"], folder), description["env_id"])
        (folder / "episodes").mkdir(exist_ok=True)
        with suppress(OSError):  # a read-only folder can still be read
            remove_stale_temporaries(folder / "episodes")
        if check:
            dataset.refresh()
        return dataset

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What some of its episodes lack: `actions`, pictures of `left`, `center`, `right`."""
        return tuple(dict.fromkeys(name for header in self.episodes for name in header.lacks))

    def require(self, what: Sequence[str], who: str) -> None:
        """Check that no episode lacks what somebody needs.

        Args:
            what: for example `actions`, `center`.
            who: needs it, for the message.

        Raises:
            LackingError: it says what is lacking, and what learns without.
        """
        missing = [name for name in self.lacks if name in what]
        if not missing:
            return
        cure = "collect without --observations-only" if "actions" in missing else "import their videos too"
        learner = (
            "; `forestpilot bco` learns from what was seen alone, `forestpilot semi` beside few labels"
            if missing == ["actions"]
            else ""
        )
        folder = next(h.path.parent.parent for h in self.episodes if set(h.lacks) & set(missing))
        raise LackingError(f"{folder} lacks {', '.join(missing)}, and {who} needs them; {cure}{learner}")

    @property
    def total_steps(self) -> int:
        """Steps in all episodes."""
        return sum(header.num_steps for header in self.episodes)

    @property
    def file_bytes(self) -> int:
        """Size of all episodes on disk in bytes."""
        return sum(header.file_bytes for header in self.episodes)

    def path_of(self, dagger_round: int, seed: int, take: int = 0) -> Path:
        """Where the episode of a DAgger round and world seed lies or would lie; its `take` where there are several."""
        again = f"-t{take}" if take else ""
        return self.folder / "episodes" / f"r{dagger_round:04d}-s{seed:08d}{again}{EPISODE_SUFFIX}"

    def has(self, dagger_round: int, seed: int, take: int = 0) -> bool:
        """True where the episode is on disk now, whoever wrote it."""
        return self.path_of(dagger_round, seed, take).exists()

    def add(self, episode: Episode) -> Path:
        """Write an episode; when this returns, it survives kill -9 and power loss.

        Raises:
            EpisodeError: the episode is not valid, or does not have the shapes of the task.
            SpecMismatchError: it is of another task.
            DatasetError: the episode of this round and seed is there already.
            DiskFullError: no space left; everything written before is whole.
        """
        meta = episode.meta
        path = self.path_of(meta.dagger_round, meta.seed, episode.rerun.take)
        self._require_fit(episode, path.name)
        if path.exists():
            raise DatasetError(
                f"{path.name} is there already; ask has(round, seed) first, or record another seed or round"
            )
        return self._write(path, episode)

    def replace(self, episode: Episode) -> Path:
        """Write an episode in place of the one of the same round and seed; a kill leaves the old one or the new.

        Raises:
            DatasetError: there is none to replace; otherwise as `add`.
        """
        path = self.path_of(episode.meta.dagger_round, episode.meta.seed, episode.rerun.take)
        self._require_fit(episode, path.name)
        if not path.exists():
            raise DatasetError(f"there is no {path.name} to replace; add() makes a new one")
        return self._write(path, episode)

    def pack(self, episode: Episode) -> PackedEpisode:
        """The file of an episode as `add` would write it, for `put`: in another process, or on another machine.

        Raises:
            EpisodeError: the episode is not valid, or does not have the shapes of the task.
            SpecMismatchError: it is of another task.
        """
        meta = episode.meta
        name = self.path_of(meta.dagger_round, meta.seed, episode.rerun.take).name
        self._require_fit(episode, name)
        return PackedEpisode(name, pack_valid_episode(episode))

    def put(self, packed: PackedEpisode) -> Path:
        """Write an episode that was packed, in place of one of the same round and seed; when this returns, it survives
        kill -9 and power loss. `refresh` finds it.

        Raises:
            DiskFullError: no space left; everything written before is whole.
        """
        path = self.folder / "episodes" / packed.name
        write_new_file(path, packed.parts)
        return path

    def discard(self, path: Path) -> Path:
        """Take an episode that nobody wants out of the dataset, into discarded/, from where it can be moved back.

        Returns:
            Where it lies now.
        """
        folder = self.folder / "discarded"
        folder.mkdir(exist_ok=True)
        target = _free_name(folder, path)
        path.rename(target)
        self._headers.pop(path.name, None)
        self.episodes = list(self._headers.values())
        return target

    def _write(self, path: Path, episode: Episode) -> Path:
        meta = episode.meta
        write_valid_episode(path, episode)
        header = EpisodeHeader(
            path=path,
            num_steps=episode.num_steps,
            has_expert_costs=episode.labels.has_costs,
            file_bytes=path.stat().st_size,
            meta=meta,
            actor=episode.actor,
            labelled=episode.labelled_steps,
            displaced=episode.displaced,
            rerun=episode.rerun,
            lacks=episode.lacks,
        )
        self._headers = dict(sorted({**self._headers, path.name: header}.items()))
        self.episodes = list(self._headers.values())
        return path

    def refresh(self) -> list[EpisodeHeader]:
        """Find the episodes that other processes have added (or taken away) since the last look.

        Returns:
            Headers of the new episodes, sorted by file name. Only new files are read.
        """
        with os.scandir(self.folder / "episodes") as entries:
            names = sorted(
                entry.name for entry in entries if entry.name.endswith(EPISODE_SUFFIX) and entry.name[0] != "."
            )
        new = []
        for name in names:
            if name not in self._headers and name not in self._unmovable:
                header = self._check(self.folder / "episodes" / name)
                if header:
                    self._headers[name] = header
                    new.append(header)
        self._headers = {name: self._headers[name] for name in names if name in self._headers}
        self.episodes = list(self._headers.values())
        return new

    def quarantine(self, path: Path, reason: str) -> None:
        """Set a damaged file aside in quarantine/, note why in reasons.txt, and warn."""
        folder = self.folder / "quarantine"
        try:
            folder.mkdir(exist_ok=True)
            target = _free_name(folder, path)
            path.rename(target)
            with open(folder / "reasons.txt", "a", encoding="utf-8") as reasons:
                reasons.write(f"{target.name}\t{' '.join(reason.split())}\n")
            done = f"moved to {target}"
        except FileNotFoundError:
            return  # another process was quicker
        except OSError as error:
            self._unmovable.add(path.name)
            done = f"left out; it could not be moved ({error.strerror})"
        self._headers.pop(path.name, None)
        self.episodes = list(self._headers.values())
        warnings.warn(f"damaged episode {done}: {reason}", QuarantineWarning, stacklevel=2)

    def summary(self) -> dict[str, Any]:
        """Counts: episodes, steps, successes, bytes on disk; and episodes, steps, successes of each DAgger round."""
        rounds: dict[int, dict[str, int]] = {}
        for header in self.episodes:
            counts = rounds.setdefault(header.meta.dagger_round, {"episodes": 0, "steps": 0, "successes": 0})
            counts["episodes"] += 1
            counts["steps"] += header.num_steps
            counts["successes"] += header.meta.outcome == Outcome.SUCCESS
        totals = {key: sum(counts[key] for counts in rounds.values()) for key in ("episodes", "steps", "successes")}
        return {**totals, "file_bytes": self.file_bytes, "rounds": dict(sorted(rounds.items()))}

    def _check(self, path: Path) -> EpisodeHeader | None:
        try:
            header = read_header(path)
        except FileNotFoundError:
            return None
        except EpisodeError as error:
            self.quarantine(path, str(error))
            return None
        require_same_task(self.task_spec, _task_spec(header.meta.task_spec, path), str(path))
        return header

    def _require_fit(self, episode: Episode, name: str) -> None:
        spec = self.task_spec
        require_same_task(spec, _task_spec(episode.meta.task_spec, name), f"episode {name}")
        episode.validate()
        shapes: dict[str, tuple[int, ...]] = {"state": (spec.state_size,), "goal": (spec.goal_size,)}
        if spec.goal_kind != BEARING:
            shapes[PLACE] = (3,)
        pictures: tuple[str, ...] = (*CAMERAS, GOAL_IMAGE) if spec.goal_kind == IMAGE else CAMERAS
        # What only some of the vehicle's cameras saw, or a third one, is an episode too: it says what it lacks.
        pictures = tuple(key for key in pictures if key in episode.observations or key not in CAMERAS)
        views = [key for key in episode.observations if is_view(key)]
        if not (views or pictures):
            raise EpisodeError(f"{name} has no picture of any camera")
        shapes |= dict.fromkeys((*pictures, *views), (spec.image_height, spec.image_width, 3))
        if spec.goal_kind == DEMONSTRATION:
            shapes[DEMONSTRATED] = (DEMONSTRATED_FRAMES, spec.image_height, spec.image_width, 3)
        for key, shape in shapes.items():
            found = episode.observations[key].shape[1:] if key in episode.observations else None
            if found != shape:
                raise EpisodeError(
                    f"observations[{key!r}] of {name} has shape {found} per step; the task spec says {shape}"
                )
        costs = episode.expert_costs
        if costs is not None and costs.shape[2] != spec.num_candidates:
            raise EpisodeError(
                f"expert_costs of {name} has {costs.shape[2]} candidates; the task spec has {spec.num_candidates}"
            )


def _free_name(folder: Path, path: Path) -> Path:
    """A name in a folder for a file that moves there; numbered where it is taken."""
    target = folder / path.name
    copies = 1
    while target.exists():
        copies += 1
        target = folder / f"{path.stem}.{copies}{path.suffix}"
    return target


def require_one_task(datasets: Sequence[Dataset]) -> TaskSpec:
    """The task spec that all datasets share.

    Raises:
        ValueError: no dataset given.
        SpecMismatchError: two of them are of different tasks.
    """
    if not datasets:
        raise ValueError("no dataset given; give at least one")
    for dataset in datasets[1:]:
        require_same_task(datasets[0].task_spec, dataset.task_spec, f"the dataset in {dataset.folder}")
    return datasets[0].task_spec


def join_datasets(datasets: Sequence[Dataset]) -> Dataset:
    """All episodes of some datasets, to be read as those of one; it is no place to add to.

    Raises:
        ValueError: no dataset given.
        SpecMismatchError: two of them are of different tasks.
    """
    joined = Dataset(datasets[0].folder if datasets else Path(), require_one_task(datasets), datasets[0].env_id)
    joined.episodes = [header for dataset in datasets for header in dataset.episodes]
    return joined


@cache
def package_version() -> str:
    """Version of the installed ForestPilot, or `unknown` when it runs from a checkout that is not installed."""
    try:
        return metadata.version("forestpilot")
    except metadata.PackageNotFoundError:
        return "unknown"


def _task_spec(values: dict[str, Any], where: Path | str) -> TaskSpec:
    try:
        return TaskSpec.from_dict(values)
    except ValueError as error:
        raise SpecMismatchError(f"the task spec in {where} is not this version's: {error}") from error


def _description(task_spec: TaskSpec, env_id: str) -> str:
    return json.dumps(
        {
            "format": DATASET_FORMAT,
            "schema_version": SCHEMA_VERSION,
            "package_version": package_version(),
            "env_id": env_id,
            "fps": task_spec.control_hz,
            "renderer": task_spec.renderer,
            "task_spec": task_spec.to_dict(),
        },
        indent=2,
    )


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = read_json(path)
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path.parent} is no dataset: it has no {DATASET_FILE}. Make one with `forestpilot collect`"
        ) from error
    except ValueError as error:
        raise DatasetError(
            f"{path} cannot be read: {error}. Restore it from a copy; the episodes beside it are untouched"
        ) from error
    if not isinstance(description, dict) or description.get("format") != DATASET_FORMAT:
        raise DatasetError(f"{path} does not describe a ForestPilot dataset")
    if description.get("schema_version") != SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{path} has format version {description.get('schema_version')}; this ForestPilot reads {SCHEMA_VERSION}. "
            "Use the ForestPilot that wrote it, or collect the data again"
        )
    missing = {"env_id", "task_spec"} - set(description)
    if missing:
        raise DatasetError(f"{path} lacks {sorted(missing)}")
    return description
