"""What the HDF5 file of an episode may hold, checked before anything is read from it.

HDF5 files can point elsewhere (soft and external links, external storage, virtual datasets), declare arrays of any size
that take no space in the file, and name filters that run other code. An episode does none of that: every array lies in
the file, in Zstd chunks that unpack to just what they declare. So an episode of a stranger reads no other file of its
reader, and takes no more memory than one that was recorded here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Container
from functools import cache
from typing import Any, NamedTuple

import h5py
import hdf5plugin
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5s, h5t

from forestpilot.sim.cameras import CAMERA_NAMES, MAX_SIZE_PX
from forestpilot.sim.goals import DEMONSTRATED, GOAL_IMAGE, ONCE_KEYS
from forestpilot.sim.viewpoints.viewpoint import is_view

MAX_STEPS = 500_000
"""Most steps of an episode: seven hours at 20 per second."""
CHUNK_BYTES = 64 * 2**20
"""Largest chunk, unpacked: three times eight of the largest pictures."""
UNPACKED_BYTES = 2**30
UNPACKED_RATIO = 50
"""An episode unpacks to at most so many bytes, or to so many times its own size; pictures come to ten times."""
_ZSTD = hdf5plugin.Zstd.filter_id
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_FRAME_HEADER_BYTES = 18


class LayoutError(ValueError):
    """An HDF5 file that is laid out as no episode is; the message says where."""


class Kind(NamedTuple):
    """Type and shape of an array."""

    dtype: type
    """Type of its elements."""
    extra: int
    """How many rows it has more than there are steps: 1 where what was seen after the last step stands there too."""
    inner: tuple[int | None, ...]
    """Size of each further axis; None for any."""


_CAMERAS = len(CAMERA_NAMES)
KINDS = {
    "actions": Kind(np.float32, 0, (2,)),
    "rewards": Kind(np.float32, 0, ()),
    "terminated": Kind(np.bool_, 0, ()),
    "truncated": Kind(np.bool_, 0, ()),
    "actor": Kind(np.uint8, 0, ()),
    "expert_actions": Kind(np.float32, 0, (_CAMERAS, 2)),
    "expert_costs": Kind(np.float32, 0, (_CAMERAS, None)),
    "camera_offsets": Kind(np.float32, 1, (_CAMERAS, None)),
    "keys": Kind(np.uint8, 0, ()),
    "human_actions": Kind(np.float32, 0, (2,)),
    "labelled": Kind(np.bool_, 0, ()),
    "disagreement": Kind(np.float32, 0, ()),
    "displaced": Kind(np.bool_, 0, ()),
}
"""Arrays of an episode besides its observations."""
NEEDED = ("rewards", "terminated", "truncated", "actor")
PICTURES = Kind(np.uint8, 1, (None, None, 3))
VECTORS = Kind(np.float32, 1, (None,))
SHOWN_PICTURES = Kind(np.uint8, 1, (None, None, None, 3))
SHOWN_VECTORS = Kind(np.float32, 1, (None, None))


class _Source(NamedTuple):
    """The file behind the arrays."""

    descriptor: int
    """Where its bytes can be read."""
    base: int
    """Where HDF5 counts them from."""


def kind_of(name: str) -> Kind:
    """What an array has to be: `actions`, or an observation such as `obs/center`."""
    if name.startswith("obs/"):
        key = name.removeprefix("obs/")
        if key in ONCE_KEYS:
            return SHOWN_PICTURES if key == DEMONSTRATED else SHOWN_VECTORS
        return PICTURES if key in (*CAMERA_NAMES, GOAL_IMAGE) or is_view(key) else VECTORS
    return KINDS[name]


def is_stored_once(name: str) -> bool:
    """Whether an array has the same row at every step, and is stored as one."""
    return name.removeprefix("obs/") in ONCE_KEYS


def lacking(arrays: Container[str], observations: Container[str]) -> tuple[str, ...]:
    """What an episode may lack, and does: `actions`, pictures of `left`, `center`, `right`.

    Args:
        arrays: names of its arrays.
        observations: names of its observations.
    """
    lacks = () if "actions" in arrays else ("actions",)
    return (*lacks, *(name for name in CAMERA_NAMES if name not in observations))


def misfit(name: str, dtype: Any, shape: tuple[int, ...], steps: int) -> str | None:
    """What is wrong with an array's type and shape: `is float64 (3, 2); it must be float32 (4, 2)`; None if nothing."""
    kind = kind_of(name)
    wanted = (steps + kind.extra, *kind.inner)
    fits = len(shape) == len(wanted) and all(want in (None, have) for want, have in zip(wanted, shape))
    if fits and dtype == kind.dtype and 0 not in shape:
        return None
    told = ", ".join("any" if size is None else str(size) for size in wanted)
    return f"is {dtype} {shape}; it must be {np.dtype(kind.dtype)} ({told})"


def demo_of(file: h5py.File) -> h5py.Group:
    """The group of the demonstration in an open episode file, checked.

    Raises:
        LayoutError: an array is of another type or shape than an episode's, is not stored in this file in full, or
            would unpack to more than it declares or than is read.
        KeyError, OSError: a part is missing or damaged.
    """
    data = _child(file.id, "data")
    demo = _child(data, "demo_0")
    observations = _child(demo, "obs")
    if not isinstance(observations, h5g.GroupID):
        raise LayoutError("obs is no group")
    group = h5py.Group(demo)
    steps = _steps(group)
    descriptor = file.id.get_vfd_handle()
    source = _Source(descriptor, 0 if _offsets_count_the_header() else file.userblock_size)
    room = max(UNPACKED_BYTES, UNPACKED_RATIO * os.fstat(descriptor).st_size)
    there = {key.decode() for key in demo}
    for name in KINDS:
        if name in there or name in NEEDED:
            room -= _checked_bytes(source, _child(demo, name), name, steps)
    for key in observations:
        name = key.decode()
        room -= _checked_bytes(source, _child(observations, name), f"obs/{name}", steps)
    if room < 0:
        raise LayoutError("it would unpack to more memory than an episode of its size takes")
    return group


def read_rows(group: h5py.Group, name: str, first: int = 0, last: int | None = None) -> Any:
    """What `group[name][first:last]` reads of an array, 0 <= first, in a fifth of the time."""
    dataset = h5d.open(group.id, name.encode())
    shape = dataset.shape
    last = shape[0] if last is None else min(last, shape[0])
    rows = np.empty((max(0, last - first), *shape[1:]), dataset.dtype)
    if rows.size:
        wanted = dataset.get_space()
        wanted.select_hyperslab((first, *(0 for _ in shape[1:])), rows.shape)
        dataset.read(h5s.create_simple(rows.shape), wanted, rows)
    return rows


def _child(group: Any, name: str) -> Any:
    """What lies under a name in the file itself."""
    key = name.encode()
    if not isinstance(group, h5g.GroupID) or not group.links.exists(key):
        raise LayoutError(f"it has no {name}")
    if group.links.get_info(key).type != h5l.TYPE_HARD:
        raise LayoutError(f"{name} is a link, which an episode never is")
    return h5o.open(group, key)


def _steps(demo: h5py.Group) -> int:
    steps = demo.attrs["num_samples"]
    if not isinstance(steps, np.integer) or not 1 <= steps <= MAX_STEPS:
        raise LayoutError(f"num_samples is {steps!r}; allowed: 1 to {MAX_STEPS:,}")
    return int(steps)


def _checked_bytes(source: _Source, dataset: Any, name: str, steps: int) -> int:
    """Size of an array, unpacked, once it is checked."""
    if not isinstance(dataset, h5d.DatasetID):
        raise LayoutError(f"{name} is no array")
    shape = dataset.shape
    kind = kind_of(name)
    dtype = np.dtype(kind.dtype)
    if not dataset.get_type().equal(stored_type(dtype)):  # in a seventh of the time that naming it takes
        dtype = dataset.dtype
    wrong = misfit(name, dtype, shape, 0 if is_stored_once(name) else steps)
    if wrong:
        raise LayoutError(f"{name} {wrong}")
    if name.startswith("obs/") and len(shape) >= 4 and (shape[-3] > MAX_SIZE_PX[1] or shape[-2] > MAX_SIZE_PX[0]):
        raise LayoutError(f"{name} has pictures of {shape[-2]}x{shape[-3]}; allowed: up to 1280x720")
    plan = dataset.get_create_plist()
    if plan.get_layout() != h5d.CHUNKED or plan.get_nfilters() != 1 or plan.get_filter(0)[0] != _ZSTD:
        raise LayoutError(f"{name} is not stored as Zstd chunks in the file itself")
    chunk = plan.get_chunk()
    chunk_bytes = dtype.itemsize * math.prod(chunk)
    if chunk_bytes > CHUNK_BYTES:
        raise LayoutError(f"{name} has chunks of {chunk_bytes:,} bytes; allowed: up to {CHUNK_BYTES:,}")
    chunks = math.prod(-(-size // part) for size, part in zip(shape, chunk, strict=True))
    if _true_chunks(source, dataset, chunk_bytes) != chunks:
        raise LayoutError(f"{name} does not hold {chunks:,} chunks that unpack to {chunk_bytes:,} bytes each")
    return int(dtype.itemsize * math.prod(shape))


def _true_chunks(source: _Source, dataset: Any, chunk_bytes: int) -> int:
    """How many chunks are stored that say that they unpack to the size of a chunk: the filter would believe them."""
    headers: list[bytes] = []

    def look(chunk: Any) -> None:
        offset = source.base + chunk.byte_offset
        headers.append(b"" if chunk.filter_mask else os.pread(source.descriptor, _FRAME_HEADER_BYTES, offset))

    dataset.chunk_iter(look)
    return sum(_unpacked_bytes(header) == chunk_bytes for header in headers)


def _unpacked_bytes(frame: bytes) -> int:
    """Size that the header of a Zstd frame declares, -1 where it declares none (RFC 8878, section 3.1.1.1)."""
    if frame[:4] != _ZSTD_MAGIC:
        return -1
    descriptor = frame[4]
    single = descriptor >> 5 & 1
    size_flag = descriptor >> 6
    length = 1 << size_flag if size_flag or single else 0
    start = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(frame[start : start + length], "little")
    return -1 if not length else size + 256 if length == 2 else size


@cache
def stored_type(dtype: np.dtype[Any]) -> h5t.TypeID:
    """What HDF5 stores a NumPy type as."""
    return h5t.py_create(dtype, logical=True)


@cache
def _offsets_count_the_header() -> bool:
    """Whether this HDF5 library tells where chunks lie from the start of the file, or from behind its user block."""
    with h5py.File("offsets", "w", driver="core", backing_store=False, userblock_size=512) as file:
        stored = file.create_dataset("x", data=np.zeros(8, np.uint8), chunks=(8,), **hdf5plugin.Zstd())
        file.flush()
        behind_header = file.id.get_file_image().find(_ZSTD_MAGIC)
        return bool(stored.id.get_chunk_info(0).byte_offset != behind_header)
