"""The record of one episode, written and read.

A file is one line of text (see `episode_file`), then an HDF5 file in robomimic's layout: `data/demo_0` with `actions`,
`rewards`, `dones`, `obs/<key>`, and `env_args`. `obs/<key>` has one row more than `actions`: what was seen after the
last action. The file is built in memory and reaches the disk under a temporary name, so a killed process or a full disk
never leaves half an episode under an episode's name, and one checksum over all bytes finds any later damage without
unpacking them.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import hdf5plugin
import numpy as np
from h5py import h5d, h5p, h5s, h5z

from forestpilot.data_collection.episodes.episode_file import (
    DISPLACED_VERSION,
    LABELS_VERSION,
    OBSERVED_VERSION,
    SCHEMA_VERSION,
    check_bytes,
    first_line,
    open_episode,
)
from forestpilot.data_collection.episodes.errors import EpisodeError
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, EpisodeLabels
from forestpilot.data_collection.episodes.layout import (
    KINDS,
    MAX_STEPS,
    is_stored_once,
    lacking,
    misfit,
    read_rows,
    stored_type,
)
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.episodes.rerun import FIRST_RUN, RERUN_ATTRIBUTE, Rerun
from forestpilot.sim.cameras import BEARING, CAMERA_NAMES
from forestpilot.sim.viewpoints.viewpoint import is_view

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
ROBOMIMIC_GYM = 2
"""robomimic's number for an environment that `gym.make` makes."""


@dataclass
class Episode:
    """T steps of one episode: what was seen before each action and after the last, what was done, what to do."""

    observations: dict[str, np.ndarray]
    """`left`, `center`, `right` (T+1, H, W, 3) uint8; `state` (T+1, S) and `goal` (T+1, 2) float32; `view_NAME`
    (T+1, H, W, 3) uint8 where a third camera looked on. What a demonstration has shown, `demonstration`
    (T+1, F, H, W, 3) uint8 and `demonstration_steps` (T+1, F, D) float32, is the same at every step: it is stored once,
    and takes the memory of one step."""
    actions: np.ndarray
    """(T, 2) float32 in [-1, 1]: (turn, go) as executed; all NaN where nobody recorded them."""
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
    def has_actions(self) -> bool:
        """False where what was done is not recorded."""
        return not np.isnan(self.actions).all()

    @property
    def lacks(self) -> tuple[str, ...]:
        """What an episode usually has and this one has not: `actions`, pictures of `left`, `center`, `right`."""
        return lacking(("actions",) if self.has_actions else (), self.observations)

    @property
    def labelled_steps(self) -> np.ndarray:
        """(T,) bool: `labelled`, or where it is None every step if an expert or a watching human told what to do, else
        those at which no policy acted."""
        return self.labels.labelled_steps

    @property
    def labels(self) -> EpisodeLabels:
        """Labels that it teaches, and by whom."""
        arrays = {"actor": self.actor}
        if self.has_actions:
            arrays["actions"] = self.actions
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
            if getattr(self, name) is not None and (name != "actions" or self.has_actions):
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
            if values is not None and np.nanmax(np.abs(values), initial=0.0) > 1.0 + 1e-5:
                raise EpisodeError(f"{name} reaches {np.abs(values).max():.3f}; allowed: -1 to 1")
        if self.actor.max() > ACTOR_HUMAN:
            raise EpisodeError(f"actor is {self.actor.max()}; allowed: 0 policy, 1 expert, 2 human")
        if self.camera_offsets is not None and self.camera_offsets.shape[2] not in (2, 3, 6):
            raise EpisodeError(f"camera_offsets has {self.camera_offsets.shape[2]} columns; it must have 2, 3 or 6")
        if self.camera_offsets is not None and self.camera_offsets[:, CAMERAS.index("center")].any():
            raise EpisodeError("camera_offsets moves the center camera, against which the others are measured")


def without_actions(episode: Episode) -> Episode:
    """The episode as who only looked on would have recorded it: without actions, and without anybody's answers."""
    unknown = np.full_like(episode.actions, np.nan)
    answers = ("expert_actions", "expert_costs", "keys", "human_actions", "labelled", "disagreement")
    nobody: dict[str, Any] = dict.fromkeys(answers)
    return dataclasses.replace(episode, actions=unknown, **nobody)


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
    write_new_file(path, pack_valid_episode(episode))
    return path


def pack_valid_episode(episode: Episode) -> tuple[bytes, bytes]:
    """The bytes of the file of an episode that has been validated already: its first line, and all that follows."""
    image = _hdf5_image(episode)
    return first_line(_version_of(episode), image), image


class PackedEpisode(NamedTuple):
    """The file of an episode, not yet written."""

    name: str
    """Of the file."""
    parts: tuple[bytes | np.ndarray, ...]
    """Its bytes, in order."""


def _version_of(episode: Episode) -> int:
    """The oldest version of the format whose readers know all that this episode says."""
    if episode.lacks or any(map(is_view, episode.observations)):
        return OBSERVED_VERSION
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
            observed, _, name = key.rpartition("/")
            _store(demo.require_group(observed) if observed else demo, name, values)
        file.flush()
        return file.id.get_file_image()


def _store(group: h5py.Group, name: str, values: np.ndarray) -> None:
    """What `create_dataset` does, with the same bytes, in less than half the time."""
    steps = min(CHUNK_STEPS if values.dtype == np.uint8 and values.ndim == 4 else SMALL_CHUNK_STEPS, len(values))
    space = h5s.create_simple(values.shape)
    plan = _storage((steps, *values.shape[1:]))
    dataset = h5d.create(group.id, name.encode(), stored_type(values.dtype), space, plan)
    dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(values))


@lru_cache(maxsize=64)
def _storage(chunk: tuple[int, ...]) -> h5p.PropDCID:
    """Zstd chunks of a shape."""
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk(chunk)
    zstd = hdf5plugin.Zstd(ZSTD_LEVEL)
    if not h5z.filter_avail(zstd.filter_id):
        raise RuntimeError("HDF5 has no Zstd filter; install hdf5plugin again")
    plan.set_filter(zstd.filter_id, h5z.FLAG_OPTIONAL, zstd.filter_options)  # as create_dataset says it
    plan.set_obj_track_times(False)
    return plan


def _arrays_of(episode: Episode) -> Iterable[tuple[str, np.ndarray]]:
    if episode.has_actions:
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
        yield f"obs/{key}", values[:1] if is_stored_once(key) else values


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
    observed = demo["obs"]
    wanted = list(observed) if keys is None else list(keys)
    missing = [] if keys is None else [key for key in wanted if key not in observed]
    if missing:
        raise EpisodeError(f"{name} has no observation {missing}; it has {sorted(observed)}")
    always = ("actor", "rewards", "terminated", "truncated")
    # Observations, and where the cameras stood for them, run one step further than what was done.
    arrays: dict[str, Any] = {
        key: read_rows(demo, key, first, last + (key == "camera_offsets"))
        for key in (*always, *OPTIONAL_ARRAYS)
        if key in demo
    }
    done = np.full((last - first, 2), np.nan, np.float32)
    if "actions" in demo:
        done = read_rows(demo, "actions", first, last)
        if np.isnan(done).all():
            raise EpisodeError(f"{name} cannot be used: its actions are all NaN")
    return Episode(
        observations={key: _observed(observed, key, first, last + 1) for key in wanted},
        meta=EpisodeMeta.from_json(demo.attrs["episode_meta"]),
        rerun=Rerun.of(demo),
        actions=done,
        **arrays,
    )


def _observed(stored: h5py.Group, key: str, first: int, last: int) -> np.ndarray:
    """Steps of an observation; of one that is stored once all are the same memory."""
    if not is_stored_once(key):
        steps: np.ndarray = read_rows(stored, key, first, last)
        return steps
    once = read_rows(stored, key, 0, 1)[0]
    return np.broadcast_to(once, (last - first, *once.shape))
