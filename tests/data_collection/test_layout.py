"""Episodes of strangers: whatever an HDF5 file can do besides holding arrays is refused before anything is read."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, QuarantineWarning
from forestpilot.data_collection.episodes.episode import load_episode, save_episode
from forestpilot.data_collection.episodes.episode_file import HEADER_BYTES
from forestpilot.data_collection.episodes.errors import BrokenEpisodeError, EpisodeError
from forestpilot.data_collection.episodes.header import read_header
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

STEPS = 20
PRIVATE = np.arange(21 * 9, dtype=np.float32).reshape(21, 9)
"""What a reader would not want to be copied into a dataset."""


def forge(path: Path, change: Callable[[h5py.Group], Any]) -> Path:
    """Make an episode, change its HDF5 file, and give it a header that fits."""
    save_episode(path, make_episode(1, steps=STEPS))
    inner = path.with_suffix(".inner")
    inner.write_bytes(path.read_bytes()[HEADER_BYTES:])
    with h5py.File(inner, "r+") as file:
        change(file["data/demo_0"])
    image = inner.read_bytes()
    line = f"ForestPilot episode 1 crc32={zlib.crc32(image):08x} bytes={len(image)}\n"
    path.write_bytes(line.encode().ljust(HEADER_BYTES - 1) + b"\n" + image)
    inner.unlink()
    return path


def put(demo: h5py.Group, name: str, *args: Any, **kwargs: Any) -> Any:
    """Put another array in the place of one."""
    del demo[name]
    return demo.create_dataset(name, *args, **kwargs)


def link(demo: h5py.Group, name: str, target: Any) -> None:
    """Put a link in the place of an array."""
    del demo[name]
    demo[name] = target


def virtual(demo: h5py.Group) -> None:
    layout = h5py.VirtualLayout((STEPS + 1, 9), np.float32)
    layout[:] = h5py.VirtualSource("private.h5", "x", (STEPS + 1, 9))
    del demo["obs/state"]
    demo.create_virtual_dataset("obs/state", layout)


def zstd_bomb(demo: h5py.Group) -> None:
    """A chunk that says that it unpacks to 40 GB."""
    frame = b"\x28\xb5\x2f\xfd\xe0" + (40 * 10**9).to_bytes(8, "little") + b"\x01\x00\x00"
    demo["obs/left"].id.write_direct_chunk((0, 0, 0, 0), frame)


def like(name: str, values: np.ndarray, **kwargs: Any) -> Callable[[h5py.Group], Any]:
    """Put values, stored as episodes store them, in the place of an array."""
    options = {"chunks": values.shape, **hdf5plugin.Zstd(), **kwargs}
    return lambda demo: put(demo, name, data=values, **options)


def attribute(name: str, value: Any) -> Callable[[h5py.Group], Any]:
    return lambda demo: demo.attrs.__setitem__(name, value)


FORGERIES: dict[str, tuple[Callable[[h5py.Group], Any], str]] = {
    "soft link": (lambda demo: link(demo, "obs/state", h5py.SoftLink("/data/demo_0/rewards")), "state is a link"),
    "external link": (lambda demo: link(demo, "obs/state", h5py.ExternalLink("private.h5", "x")), "state is a link"),
    "linked group": (lambda demo: link(demo, "obs", h5py.ExternalLink("private.h5", "/")), "obs is a link"),
    "external storage": (
        lambda demo: put(demo, "obs/state", (STEPS + 1, 9), np.float32, external=[("private.bin", 0, 756)]),
        "not stored as Zstd chunks",
    ),
    "virtual dataset": (virtual, "not stored as Zstd chunks"),
    "2^31 rows that take no space": (
        lambda demo: put(demo, "obs/left", (2**31, 12, 16, 3), np.uint8, chunks=(8, 12, 16, 3), **hdf5plugin.Zstd()),
        "obs/left is uint8 .2147483648",
    ),
    "pictures of 2^31 columns": (
        lambda demo: put(demo, "obs/left", (21, 12, 2**31, 3), np.uint8, chunks=(1, 12, 16, 3), **hdf5plugin.Zstd()),
        "allowed: up to 1280x720",
    ),
    "chunks that are not there": (
        lambda demo: put(demo, "obs/left", (21, 12, 16, 3), np.uint8, chunks=(8, 12, 16, 3), **hdf5plugin.Zstd()),
        "does not hold 3 chunks",
    ),
    "a chunk of a gigabyte": (
        lambda demo: put(
            demo,
            "actions",
            (STEPS, 2),
            np.float32,
            chunks=(2**27, 2),
            maxshape=(None, 2),
            **hdf5plugin.Zstd(),
        ),
        "chunks of 1,073,741,824 bytes",
    ),
    "a Zstd bomb": (zstd_bomb, "does not hold 3 chunks that unpack"),
    "another filter": (
        lambda demo: put(demo, "actions", data=np.zeros((STEPS, 2), np.float32), chunks=(STEPS, 2), compression="gzip"),
        "actions is not stored as Zstd chunks",
    ),
    "wrong type": (like("actions", np.zeros((STEPS, 2))), "actions is float64"),
    "text": (
        lambda demo: put(demo, "actor", data=["x"] * STEPS, dtype=h5py.string_dtype()),
        "actor is object",
    ),
    "too few rows": (like("actions", np.zeros((STEPS - 1, 2), np.float32)), "actions is float32"),
    "too many rows": (like("obs/goal", np.zeros((STEPS + 5, 2), np.float32)), "obs/goal is float32"),
    "a group for an array": (
        lambda demo: (demo.__delitem__("rewards"), demo.create_group("rewards")),
        "rewards is no array",
    ),
    "an array for a group": (lambda demo: put(demo, "obs", data=np.zeros(3)), "obs"),
    "no actor": (lambda demo: demo.__delitem__("actor"), "actor"),
    "no observations": (lambda demo: demo.__delitem__("obs"), "obs"),
    "no number of steps": (lambda demo: demo.attrs.__delitem__("num_samples"), "num_samples"),
    "another number of steps": (attribute("num_samples", STEPS + 1), "it must be"),
    "2^40 steps": (attribute("num_samples", 2**40), "num_samples"),
    "text for steps": (attribute("num_samples", "many"), "num_samples"),
    "no metadata": (lambda demo: demo.attrs.__delitem__("episode_meta"), "episode_meta"),
    "metadata of another kind": (attribute("episode_meta", 3), "metadata"),
    "deep metadata": (attribute("episode_meta", "[" * 20_000), "deeper"),
    "metadata that is a list": (attribute("episode_meta", "[]"), "metadata"),
    "infinite metadata": (attribute("episode_meta", '{"progress_m": Infinity}'), "Infinity"),
}


@pytest.mark.parametrize(("change", "says"), FORGERIES.values(), ids=FORGERIES)
def test_a_file_that_is_no_plain_episode_is_refused(
    tmp_path: Path, change: Callable[[h5py.Group], Any], says: str
) -> None:
    with h5py.File("private.h5", "w") as file:
        file["x"] = PRIVATE
    Path("private.bin").write_bytes(PRIVATE.tobytes())
    path = forge(tmp_path / "e.hdf5", change)
    for read in (read_header, load_episode):
        with pytest.raises(EpisodeError, match=says):
            read(path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("actions", np.full((STEPS, 2), np.nan, np.float32)),
        ("actions", np.full((STEPS, 2), 7, np.float32)),
        ("obs/state", np.full((STEPS + 1, 9), np.inf, np.float32)),
        ("expert_costs", np.full((STEPS, 3, 5), np.nan, np.float32)),
        ("actor", np.full(STEPS, 9, np.uint8)),
        ("terminated", np.ones(STEPS, np.bool_)),
    ],
)
def test_values_that_would_not_be_written_are_not_read(tmp_path: Path, name: str, values: np.ndarray) -> None:
    path = forge(tmp_path / "e.hdf5", like(name, values))
    with pytest.raises(EpisodeError, match=r"e\.hdf5 cannot be used: .*" + name.rpartition("/")[2]):
        load_episode(path)


def test_a_forged_episode_is_set_aside_when_its_dataset_is_opened(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    dataset.add(make_episode(2))
    forge(tmp_path / "data" / "episodes" / "r0000-s00000001.hdf5", FORGERIES["external link"][0])
    with pytest.warns(QuarantineWarning, match="state is a link"):
        assert [header.meta.seed for header in Dataset.open(tmp_path / "data").episodes] == [2]


def test_a_file_that_is_larger_than_it_says_is_not_read(tmp_path: Path) -> None:
    path = save_episode(tmp_path / "e.hdf5", make_episode(1))
    with path.open("r+b") as file:
        file.truncate(2**40)  # sparse: it would take an hour to sum up
    with pytest.raises(BrokenEpisodeError, match="truncated or extended"):
        read_header(path)
