"""The file around an episode: its first line, its checksum, and the HDF5 file behind them.

The first line tells format, schema version, CRC-32 and length of the rest, padded to 512 bytes, which HDF5 calls a user
block.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py

from forestpilot.data_collection.episodes.errors import BrokenEpisodeError, SchemaVersionError
from forestpilot.data_collection.episodes.layout import LayoutError, demo_of

SCHEMA_VERSION = 1
"""Version of the episode file."""
LABELS_VERSION = 2
"""Version of an episode that says what is a label and what is not: who does not ask would learn the wrong thing."""
DISPLACED_VERSION = 3
"""Version of an episode in which the vehicle was put elsewhere, whose labels have a weight, or whose side cameras move
otherwise than the vehicle: who does not know would learn what never happened, or too little."""
OBSERVED_VERSION = 4
"""Version of an episode without actions, without pictures of the vehicle's own cameras, or with those of a third one:
who does not know would miss them."""
READABLE_VERSIONS = (SCHEMA_VERSION, LABELS_VERSION, DISPLACED_VERSION, OBSERVED_VERSION)
"""A reader refuses any other."""
HEADER_BYTES = 512
MAX_FILE_BYTES = 2**32
"""Larger files are no episodes: to sum up so much takes seconds."""
_CHECK_BYTES = 2**17
_HEADER_LINE = re.compile(rb"ForestPilot episode (?P<version>\d+) crc32=(?P<crc>[0-9a-f]{8}) bytes=(?P<bytes>\d+)\n?")


def first_line(version: int, image: bytes) -> bytes:
    """What stands before an HDF5 file's bytes."""
    line = f"ForestPilot episode {version} crc32={zlib.crc32(image):08x} bytes={len(image)}\n"
    return line.encode().ljust(HEADER_BYTES - 1) + b"\n"


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
