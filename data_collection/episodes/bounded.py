"""Reading what somebody else may have written: nothing is believed about its size, and nothing in it is run.

Every JSON, YAML and .npz file of a dataset, a run or a policy is read through here. A file that is too large, too deep,
or declares more than it holds is refused before memory is asked for: no reading takes more than about 500 MB or some
seconds. The limits are ten times and more what ForestPilot writes.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

JSON_BYTES = 8 * 2**20
YAML_BYTES = 2**18
NPZ_BYTES = 16 * 2**20
TABLE_BYTES = 64 * 2**20
ARRAY_BYTES = 64 * 2**20
"""Largest files, and largest array in one."""
DEPTH = 40
"""Most lists and mappings inside one another."""
YAML_NODES = 20_000
"""Most values in a YAML file, those that aliases repeat counted as often as they stand there."""
_NPZ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NPY_KINDS = "biufUS"
"""Kinds of arrays that are plain numbers or text."""
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class UnboundedError(ValueError):
    """A file that is larger or deeper than ForestPilot ever writes one, or declares what it does not hold."""


def read_bytes(path: Path, most: int) -> bytes:
    """All bytes of a file, if they are not more than `most`.

    Raises:
        UnboundedError: it is larger, or no ordinary file.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise UnboundedError(f"it has {size:,} bytes; at most {most:,} are read")
        data = file.read(most + 1)
    if len(data) > most:
        raise UnboundedError(f"it has more than the {most:,} bytes that are read")
    return data


def read_json(path: Path, finite: bool = False) -> Any:
    """The value in a JSON file; see `parse_json`."""
    return parse_json(read_bytes(path, JSON_BYTES), finite)


def parse_json(text: str | bytes, finite: bool = False) -> Any:
    """The value that a JSON text holds.

    Args:
        text: the text, in UTF-8 where it is bytes.
        finite: refuse NaN and infinity, which are no JSON, but which Python writes and reads.

    Raises:
        ValueError: it is no JSON, or larger or deeper than is read.
    """
    if len(text) > JSON_BYTES:
        raise UnboundedError(f"it has {len(text):,} characters; at most {JSON_BYTES:,} are read")
    try:
        value = json.loads(text, parse_constant=_refuse_constant if finite else None)
    except RecursionError:
        raise UnboundedError(f"it is deeper than {DEPTH} levels") from None
    opening = (b"[", b"{") if isinstance(text, bytes) else ("[", "{")
    if sum(map(text.count, opening)) > DEPTH:  # type: ignore[arg-type]
        _require_depth(value)
    return value


def parse_yaml(text: bytes) -> Any:
    """The value that a YAML text holds; only plain values, no objects.

    Raises:
        ValueError: it is no YAML, or larger or deeper than is read; aliases count as what they stand for.
    """
    import yaml

    if len(text) > YAML_BYTES:
        raise UnboundedError(f"it has {len(text):,} bytes; at most {YAML_BYTES:,} are read")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _require_bounded(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=loader)
    except UnboundedError:
        raise
    except Exception as error:  # a scalar that is no date, number or key raises half a dozen types
        raise ValueError(f"{' '.join(str(error).split()) or type(error).__name__}") from error


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of an .npz file by name; numbers and text alone.

    Raises:
        ValueError: it is no such file, lacks an array, or declares more than it holds or than is read.
        OSError: it cannot be read.
    """
    if os.stat(path).st_size > NPZ_BYTES:
        raise UnboundedError(f"it has {os.stat(path).st_size:,} bytes; at most {NPZ_BYTES:,} are read")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_array(archive, f"{name}.npy") for name in names}
    except KeyError as error:
        raise ValueError(f"it lacks an array: {' '.join(map(str, error.args))}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from error


def _read_array(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    info = archive.getinfo(member)
    if info.compress_type not in _NPZ_METHODS:
        raise UnboundedError(f"{member} is packed in a way that NumPy does not pack")
    with archive.open(info) as file:
        shape, fortran, dtype = _array_header(file, member)
        size = dtype.itemsize
        for length in shape:
            size *= length
        if dtype.kind not in _NPY_KINDS or size > ARRAY_BYTES:
            raise UnboundedError(f"{member} declares {dtype} {shape}; at most {ARRAY_BYTES:,} bytes of it are read")
        data = file.read(size + 1)
    if len(data) != size:
        raise UnboundedError(f"{member} does not hold the {size:,} bytes that it declares")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array.copy()


def _array_header(file: Any, member: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    source: BinaryIO = file
    read = _NPY_HEADERS.get(np.lib.format.read_magic(source))
    if read is None:
        raise ValueError(f"{member} is an array of another version of NumPy's format")
    shape, fortran, dtype = read(source)
    return shape, fortran, dtype


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is no number")


def _require_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise UnboundedError(f"it is deeper than {DEPTH} levels")


def _inside(value: Any) -> Iterator[Any]:
    """The lists and mappings in a list or mapping."""
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return (inner for inner in values if isinstance(inner, (list, Mapping)))


def _require_bounded(events: Iterator[Any]) -> None:
    """Count what a YAML text would become: aliases as often as they stand for something."""
    import yaml

    sizes: dict[str, int] = {}  # of what has an anchor and is complete
    open_nodes: list[tuple[str | None, int]] = []  # anchors and counts where they began
    count = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise UnboundedError(f"it has an alias to *{event.anchor}, inside it or unknown")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            count += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, count))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, began = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = count - began + 1
        if len(open_nodes) > DEPTH or count > YAML_NODES:
            raise UnboundedError(f"it is deeper than {DEPTH} levels, or holds more than {YAML_NODES:,} values")
