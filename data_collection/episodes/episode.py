"""The record of one episode, and the HDF5 file that keeps it.

A file is one line of text (format, schema version, CRC-32 and length of the rest, padded to 512 bytes, which HDF5
calls a user block), then an HDF5 file in robomimic's layout: `data/demo_0` with `actions`, `rewards`, `dones`,
`obs/<key>`, and `env_args`. `obs/<key>` has one row more than `actions`: what was seen after the last action. The file
is built in memory and reaches the disk under a temporary name, so a killed process or a full disk never leaves half an
episode under an episode's name, and one checksum over all bytes finds any later damage without unpacking them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import uuid
import zlib
from collections import ChainMap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import h5py
import hdf5plugin
import numpy as np

from forestpilot.data_collection.episodes.bounded import parse_json
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT as ACTOR_EXPERT
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, EpisodeLabels
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY as ACTOR_POLICY
from forestpilot.data_collection.episodes.layout import KINDS, MAX_STEPS, LayoutError, demo_of, misfit
from forestpilot.sim.cameras import BEARING, CAMERA_NAMES
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.outcomes import OUTCOMES
from forestpilot.sim.ranges import Range, RangeError, require_ranges

SCHEMA_VERSION = 1
"""Version of the episode file."""
LABELS_VERSION = 2
"""Version of an episode that says what is a label and what is not: who does not ask would learn the wrong thing."""
DISPLACED_VERSION = 3
"""Version of an episode in which the vehicle was put elsewhere, whose labels have a weight, or whose side cameras move
otherwise than the vehicle: who does not know would learn what never happened, or too little."""
READABLE_VERSIONS = (SCHEMA_VERSION, LABELS_VERSION, DISPLACED_VERSION)
"""A reader refuses any other."""
CAMERAS = CAMERA_NAMES
"""Names of the cameras, in the order of every camera axis in the project."""
OPTIONAL_ARRAYS = (
    "expert_actions",
    "expert_costs",
    "camera_offsets",
    "keys",
    "human_actions",
    "labelled",
    "disagreement",
    "displaced",
)
"""Arrays that an episode may lack."""
CHUNK_STEPS = 8
"""Steps per compressed chunk of an image: the usual window, so that a window touches at most two chunks."""
SMALL_CHUNK_STEPS = 512
"""Steps per compressed chunk of vectors: a whole episode, as a rule."""
ZSTD_LEVEL = 2
"""On rendered forests and roads 9 and 7 % smaller than level 1 and 1.1 times as slow to write; level 3 saves 1 % more
and takes 1.3 times as long. All are read at the same rate. Bitshuffle and Blosc2's filters lose: neighbouring bytes are
of different colours."""
HEADER_BYTES = 512
MAX_FILE_BYTES = 2**32
"""Larger files are no episodes: to sum up so much takes seconds."""
_CHECK_BYTES = 2**17
ROBOMIMIC_GYM = 2
"""robomimic's number for an environment that `gym.make` makes."""
_HEADER_LINE = re.compile(rb"ForestPilot episode (?P<version>\d+) crc32=(?P<crc>[0-9a-f]{8}) bytes=(?P<bytes>\d+)\n?")


class EpisodeError(ForestPilotError):
    """An episode whose arrays or metadata are not what the format asks for."""


class BrokenEpisodeError(EpisodeError):
    """An episode file that is truncated, altered or no episode file at all."""


class SchemaVersionError(ForestPilotError):
    """A file of another version of the format: intact, but not for this version of ForestPilot."""


_META_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("outcome", "env_id", "renderer", "package_version", "policy_id"), (str,)),
    **dict.fromkeys(("seed", "control_hz", "dagger_round"), (int,)),
    **dict.fromkeys(("env_kwargs", "task_spec"), (dict,)),
    "progress_m": (float, int),
}
"""Types that the facts about an episode may have."""


@dataclass(frozen=True)
class EpisodeMeta:
    """Facts about an episode as a whole; plain JSON values only."""

    outcome: str
    """One of `OUTCOMES`; `running` when the recording was stopped before the end."""
    seed: Annotated[int, Range(0, 2**63 - 1)]
    """Seed of the world."""
    env_id: str
    """Gymnasium id of the environment."""
    env_kwargs: dict[str, Any]
    """Arguments the environment was made with."""
    control_hz: Annotated[int, Range(1, 10_000)]
    """Actions per second."""
    renderer: str
    """Renderer that drew the images."""
    package_version: str
    """Version of ForestPilot that recorded the episode."""
    dagger_round: Annotated[int, Range(0, 1_000_000)]
    """DAgger round, 0 for demonstrations."""
    policy_id: str
    """Who acted: `expert`, `human`, or the name of a policy."""
    progress_m: Annotated[float, Range(-1e9, 1e9)]
    """Distance made good towards the goal in metres."""
    task_spec: dict[str, Any]
    """`TaskSpec.to_dict()` of the environment."""

    def __post_init__(self) -> None:
        for name, kinds in _META_KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds):
                raise EpisodeError(f"{name} is {value!r}; it must be {kinds[0].__name__}")
        if self.outcome not in OUTCOMES:
            raise EpisodeError(f"outcome is {self.outcome!r}; allowed: {', '.join(OUTCOMES)}")
        try:
            require_ranges(self)
        except RangeError as error:
            raise EpisodeError(str(error)) from error

    def to_json(self) -> str:
        """This record as one JSON object.

        Raises:
            EpisodeError: a value is no plain JSON value, or not finite.
        """
        try:
            return json.dumps(dataclasses.asdict(self), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EpisodeError(f"episode metadata must be plain, finite JSON values: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> EpisodeMeta:
        """The record that `to_json` wrote.

        Raises:
            EpisodeError: not JSON, or a key is missing or unknown.
        """
        try:
            return cls(**parse_json(text, finite=True))
        except (TypeError, ValueError) as error:
            raise EpisodeError(f"episode metadata cannot be read: {error}") from error


@dataclass(frozen=True)
class Rerun:
    """What sets an episode apart that is not the first through its world in its round."""

    take: Annotated[int, Range(0, 1_000_000)] = 0
    """Which run through the world it is: 0 for the first, 1 for one that begins again before a crash."""
    weight: Annotated[float, Range(0, 1_000_000, above=True)] = 1.0
    """How many times as often as others its labels are learned from."""

    def __post_init__(self) -> None:
        require_ranges(self)

    @classmethod
    def of(cls, demo: h5py.Group) -> Rerun:
        """What a file says.

        Raises:
            BrokenEpisodeError: it says something else than `json.dumps` of these fields.
        """
        if RERUN_ATTRIBUTE not in demo.attrs:
            return FIRST_RUN
        try:
            values = parse_json(str(demo.attrs[RERUN_ATTRIBUTE]), finite=True)
            if type(values["take"]) is not int:
                raise ValueError(f"take is {values['take']!r}; it must be a whole number")
            return cls(**values)
        except (TypeError, ValueError, KeyError) as error:
            raise BrokenEpisodeError(f"what it says of its run cannot be read: {error}") from error


FIRST_RUN = Rerun()
RERUN_ATTRIBUTE = "rerun"


@dataclass
class Episode:
    """T steps of one episode: what was seen before each action and after the last, what was done, what to do."""

    observations: dict[str, np.ndarray]
    """`left`, `center`, `right` (T+1, H, W, 3) uint8; `state` (T+1, S) and `goal` (T+1, 2) float32."""
    actions: np.ndarray
    """(T, 2) float32 in [-1, 1]: (turn, go) as executed."""
    actor: np.ndarray
    """(T,) uint8: who acted, `ACTOR_POLICY`, `ACTOR_EXPERT` or `ACTOR_HUMAN`."""
    rewards: np.ndarray
    """(T,) float32."""
    terminated: np.ndarray
    """(T,) bool, true at most at the last step."""
    truncated: np.ndarray
    """(T,) bool, true at most at the last step."""
    meta: EpisodeMeta
    """The episode as a whole."""
    expert_actions: np.ndarray | None = None
    """(T, 3, 2) float32: what the expert would do at the left, center and right camera's pose, if asked."""
    expert_costs: np.ndarray | None = None
    """(T, 3, K) float32: the expert's cost of each candidate turn, per camera pose."""
    camera_offsets: np.ndarray | None = None
    """(T+1, 3, 3) float32: shift in metres and yaw in radians of each camera against the center one, left positive, and
    the change of speed in m/s that the expert was asked about; (T+1, 3, 6), all that `forestpilot.sim.cameras` names,
    where the cameras of a drone were drawn; None where they stand as the task spec says. Version 0.1 wrote two columns
    where no change of speed was asked about."""
    keys: np.ndarray | None = None
    """(T,) uint8: steering keys that a human held, as in `forestpilot.data_collection.people.console.Key`; None where
    nobody could."""
    human_actions: np.ndarray | None = None
    """(T, 2) float32: what a human, watching, would have done; it is learned in place of what was done."""
    labelled: np.ndarray | None = None
    """(T,) bool: at which steps there is something to learn; gates leave the expert's answers zero elsewhere, for
    nobody asked. None for the rule of `labelled_steps`."""
    disagreement: np.ndarray | None = None
    """(T,) float32: standard deviation of an ensemble's turns in radians, where one drove."""
    displaced: np.ndarray | None = None
    """(T,) bool: at which steps the vehicle had just been put elsewhere, by pose noise: no window reaches over one."""
    rerun: Rerun = FIRST_RUN
    """Which run through its world it is, and how much its labels weigh."""

    @property
    def num_steps(self) -> int:
        """Number of actions T."""
        return len(self.actions)

    @property
    def labelled_steps(self) -> np.ndarray:
        """(T,) bool: `labelled`, or where it is None every step if an expert or a watching human told what to do, else
        those at which no policy acted."""
        return self.labels.labelled_steps

    @property
    def labels(self) -> EpisodeLabels:
        """Labels that it teaches, and by whom."""
        arrays = {"actions": self.actions, "actor": self.actor}
        for name in ("expert_actions", "expert_costs", "human_actions", "labelled"):
            values = getattr(self, name)
            if values is not None:
                arrays[name] = values
        return EpisodeLabels(arrays)

    def validate(self) -> None:
        """Check shapes, types, ranges and finiteness of every array.

        Raises:
            EpisodeError: naming the array, what it is and what it must be.
        """
        steps = self.num_steps
        if not 1 <= steps <= MAX_STEPS:
            raise EpisodeError(f"an episode needs at least one step, and has at most {MAX_STEPS:,}; got {steps}")
        for key, values in self.observations.items():
            _require(f"observations[{key!r}]", values, f"obs/{key}", steps)
        for name in KINDS:
            if getattr(self, name) is not None:
                _require(name, getattr(self, name), name, steps)
        for name in ("terminated", "truncated"):
            if getattr(self, name)[:-1].any():
                raise EpisodeError(
                    f"{name} is true before the last step; split the recording into one episode per episode"
                )
        self._require_ranges()

    def _require_ranges(self) -> None:
        for name in ("actions", "expert_actions", "human_actions"):
            values = getattr(self, name)
            if values is not None and np.abs(values).max() > 1.0 + 1e-5:
                raise EpisodeError(f"{name} reaches {np.abs(values).max():.3f}; allowed: -1 to 1")
        if self.actor.max() > ACTOR_HUMAN:
            raise EpisodeError(f"actor is {self.actor.max()}; allowed: 0 policy, 1 expert, 2 human")
        if self.camera_offsets is not None and self.camera_offsets.shape[2] not in (2, 3, 6):
            raise EpisodeError(f"camera_offsets has {self.camera_offsets.shape[2]} columns; it must have 2, 3 or 6")
        if self.camera_offsets is not None and self.camera_offsets[:, CAMERAS.index("center")].any():
            raise EpisodeError("camera_offsets moves the center camera, against which the others are measured")


def _require(name: str, values: np.ndarray, stored: str, steps: int) -> None:
    """Raise EpisodeError unless the array is of the type and shape under which it is stored, and all finite."""
    wrong = misfit(stored, values.dtype, values.shape, steps)
    if wrong:
        raise EpisodeError(f"{name} {wrong}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        step = int(np.argwhere(~np.isfinite(values))[0][0])
        raise EpisodeError(f"{name} has NaN or infinity, first at step {step}; record only finite numbers")


def save_episode(path: str | Path, episode: Episode) -> Path:
    """Write an episode so that the file is there whole or not at all, even after kill -9 or on a full disk.

    Args:
        path: file to make; one that is there already is replaced.
        episode: validated before anything is written.

    Returns:
        The path, once the bytes are on the disk.

    Raises:
        EpisodeError: the episode is not valid.
        DiskFullError: no space left; nothing that was written before is touched.
    """
    episode.validate()
    return write_valid_episode(Path(path), episode)


def write_valid_episode(path: Path, episode: Episode) -> Path:
    """`save_episode` for an episode that has been validated already."""
    image = _hdf5_image(episode)
    version = _version_of(episode)
    line = f"ForestPilot episode {version} crc32={zlib.crc32(image):08x} bytes={len(image)}\n"
    write_new_file(path, [line.encode().ljust(HEADER_BYTES - 1) + b"\n", image])
    return path


def _version_of(episode: Episode) -> int:
    """The oldest version of the format whose readers know all that this episode says."""
    drifting = episode.camera_offsets is not None and episode.camera_offsets.shape[2] > BEARING
    if drifting or episode.displaced is not None or episode.rerun != FIRST_RUN:
        return DISPLACED_VERSION
    plain = episode.labelled is None and episode.human_actions is None
    return SCHEMA_VERSION if plain else LABELS_VERSION


def _hdf5_image(episode: Episode) -> bytes:
    """The episode as the bytes of an HDF5 file, built in memory."""
    name = f"episode-{uuid.uuid4().hex}"
    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        data = file.create_group("data")
        data.attrs["total"] = episode.num_steps
        data.attrs["env_args"] = json.dumps(
            {"env_name": episode.meta.env_id, "type": ROBOMIMIC_GYM, "env_kwargs": episode.meta.env_kwargs}
        )
        demo = data.create_group("demo_0")
        demo.attrs["num_samples"] = episode.num_steps
        demo.attrs["episode_meta"] = episode.meta.to_json()
        if episode.rerun != FIRST_RUN:
            demo.attrs[RERUN_ATTRIBUTE] = json.dumps(dataclasses.asdict(episode.rerun))
        for key, values in _arrays_of(episode):
            chunk = min(
                CHUNK_STEPS if values.dtype == np.uint8 and values.ndim == 4 else SMALL_CHUNK_STEPS, len(values)
            )
            demo.create_dataset(key, data=values, chunks=(chunk, *values.shape[1:]), **hdf5plugin.Zstd(ZSTD_LEVEL))
        file.flush()
        return file.id.get_file_image()


def _arrays_of(episode: Episode) -> Iterable[tuple[str, np.ndarray]]:
    yield "actions", episode.actions
    yield "rewards", episode.rewards
    yield "dones", episode.terminated | episode.truncated
    yield "terminated", episode.terminated
    yield "truncated", episode.truncated
    yield "actor", episode.actor
    for name in OPTIONAL_ARRAYS:
        if getattr(episode, name) is not None:
            yield name, getattr(episode, name)
    for key, values in episode.observations.items():
        yield f"obs/{key}", values


def load_episode(
    path: str | Path, keys: Iterable[str] | None = None, start: int | None = None, stop: int | None = None
) -> Episode:
    """Read an episode, or some observations and some steps of it.

    Args:
        path: an episode file.
        keys: observation keys to read; None reads all.
        start: first step, default the first.
        stop: step after the last, default the end. Observations run one further, as in a whole episode.

    Raises:
        BrokenEpisodeError: the file is damaged; checked against its checksum.
        SchemaVersionError: the file is of another format version.
        EpisodeError: an observation key is not there, no step lies in the range, or what stands there is not valid.
    """
    check_bytes(path)
    with open_episode(path) as demo:
        first, last, _ = slice(start, stop).indices(int(demo.attrs["num_samples"]))
        if last <= first:
            raise EpisodeError(f"{Path(path).name} has {demo.attrs['num_samples']} steps; none in {start}:{stop}")
        episode = _read_steps(demo, Path(path).name, keys, first, last)
    try:
        episode.validate()
    except EpisodeError as error:
        raise EpisodeError(f"{Path(path).name} cannot be used: {error}") from error
    return episode


def _read_steps(demo: h5py.Group, name: str, keys: Iterable[str] | None, first: int, last: int) -> Episode:
    wanted = list(demo["obs"]) if keys is None else list(keys)
    missing = [key for key in wanted if key not in demo["obs"]]
    if missing:
        raise EpisodeError(f"{name} has no observation {missing}; it has {sorted(demo['obs'])}")
    always = ("actions", "actor", "rewards", "terminated", "truncated")
    # Observations, and where the cameras stood for them, run one step further than what was done.
    arrays: dict[str, Any] = {
        key: demo[key][first : last + (key == "camera_offsets")] for key in (*always, *OPTIONAL_ARRAYS) if key in demo
    }
    return Episode(
        observations={key: demo["obs"][key][first : last + 1] for key in wanted},
        meta=EpisodeMeta.from_json(demo.attrs["episode_meta"]),
        rerun=Rerun.of(demo),
        **arrays,
    )


@dataclass(frozen=True)
class EpisodeHeader:
    """An episode without its arrays: all that choosing and counting need."""

    path: Path
    """The file."""
    num_steps: int
    """Number of actions T."""
    has_expert_costs: bool
    """Whether the labels come with the expert's costs."""
    file_bytes: int
    """Size on disk in bytes."""
    meta: EpisodeMeta
    """The episode as a whole."""
    actor: np.ndarray = field(compare=False)
    """(T,) uint8, as in `Episode`."""
    labelled: np.ndarray = field(compare=False)
    """(T,) bool: at which steps there is something to learn."""
    displaced: np.ndarray | None = field(compare=False, default=None)
    """(T,) bool, as in `Episode`."""
    rerun: Rerun = FIRST_RUN
    """As in `Episode`."""

    @property
    def num_labels(self) -> int:
        """Steps at which there is something to learn."""
        return int(self.labelled.sum())


def read_header(path: str | Path) -> EpisodeHeader:
    """Check every byte of an episode file and read what is known about it.

    Raises:
        BrokenEpisodeError: the file is damaged; the message says how.
        SchemaVersionError: the file is of another format version.
    """
    path = Path(path)
    size = check_bytes(path)
    with open_episode(path) as demo:
        actor = demo["actor"][:]
        labels = EpisodeLabels(ChainMap({"actor": actor}, demo))  # read once, for unpacking takes its time
        return EpisodeHeader(
            path=path,
            num_steps=len(actor),
            has_expert_costs=labels.has_costs,
            file_bytes=size,
            meta=EpisodeMeta.from_json(demo.attrs["episode_meta"]),
            actor=actor,
            labelled=labels.labelled_steps,
            displaced=demo["displaced"][:] if "displaced" in demo else None,
            rerun=Rerun.of(demo),
        )


def check_bytes(path: str | Path) -> int:
    """Compare an episode file with the length and checksum in its first line.

    Returns:
        Size of the file in bytes.

    Raises:
        BrokenEpisodeError: truncated, altered or no episode file.
        SchemaVersionError: the file is of another format version.
        OSError: the file cannot be read at all (gone, no permission, failing disk): its content may be fine.
    """
    path = Path(path)
    crc = 0
    size = 0
    with open(path, "rb") as file:
        first = file.read(HEADER_BYTES)
        found = _HEADER_LINE.match(first)
        there = os.fstat(file.fileno()).st_size - HEADER_BYTES
        if found and there != int(found["bytes"]):
            raise BrokenEpisodeError(
                f"{path.name} is truncated or extended: {HEADER_BYTES + there} bytes, written were "
                f"{HEADER_BYTES + int(found['bytes'])}"
            )
        if there > MAX_FILE_BYTES:
            raise BrokenEpisodeError(f"{path.name} has {there:,} bytes; an episode has at most {MAX_FILE_BYTES:,}")
        # Piece by piece, so that the bytes are still in the processor's cache when they are summed up.
        for piece in iter(partial(file.read, _CHECK_BYTES), b""):
            crc = zlib.crc32(piece, crc)
            size += len(piece)
    if not found:
        raise BrokenEpisodeError(
            f"{path.name} is no ForestPilot episode ({len(first) + size} bytes, first line not recognised)"
        )
    if int(found["version"]) not in READABLE_VERSIONS:
        readable = ", ".join(map(str, READABLE_VERSIONS))
        raise SchemaVersionError(
            f"{path} has format version {int(found['version'])}; this ForestPilot reads versions {readable}. "
            "Use the ForestPilot that wrote it, or collect the data again"
        )
    if crc != int(found["crc"], 16):
        raise BrokenEpisodeError(f"{path.name} was altered after it was written: its checksum does not match")
    return HEADER_BYTES + size


def open_demo(path: str | Path) -> h5py.Group:
    """The group of the demonstration in an episode file, left open for reading; close it with `.file.close()`.

    The chunk cache is off: a window reads each chunk once, and an open file then costs kilobytes instead of megabytes.

    Raises:
        BrokenEpisodeError: no readable HDF5 file, or one that is laid out as no episode is.
    """
    try:
        file = h5py.File(path, "r", rdcc_nbytes=0)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BrokenEpisodeError(f"{Path(path).name} cannot be opened as an HDF5 episode: {error}") from error
    try:
        return demo_of(file)
    except (LayoutError, OSError, KeyError, RuntimeError, TypeError) as error:
        file.close()
        raise BrokenEpisodeError(f"{Path(path).name} is laid out as no episode is: {_told(error)}") from error


def _told(error: Exception) -> str:
    """An error's message; a KeyError puts it into quotes."""
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


@contextmanager
def open_episode(path: str | Path) -> Iterator[h5py.Group]:
    """`open_demo` for a with statement; a missing part inside the block appears as BrokenEpisodeError too."""
    demo = open_demo(path)
    try:
        yield demo
    except (OSError, KeyError) as error:
        raise BrokenEpisodeError(f"{Path(path).name} lacks a part or cannot be unpacked: {error}") from error
    finally:
        demo.file.close()
