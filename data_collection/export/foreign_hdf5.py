"""Reading HDF5 files that somebody else may have written or changed: what an array is, is known before it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.export.importer import ImportDataError


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file, open for reading.

    Raises:
        ImportDataError: it is no HDF5 file, or cut off.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ImportDataError(f"{path} cannot be read ({error}): export the dataset again") from error
    with file:
        yield file


def read_array(
    group: h5py.Group, name: str, dtype: Any, shape: tuple[int | None, ...], rows: slice = slice(None)
) -> NDArray[Any]:
    """Rows of an array that lies in the file itself.

    Args:
        group: where it lies.
        name: its path in there.
        dtype: type of its elements.
        shape: size of each axis; None for any.
        rows: which rows.

    Raises:
        ImportDataError: it is missing, a link, of another type or shape, or cannot be unpacked.
    """
    place = f"{group.name}/{name} of {Path(group.file.filename).name}"
    if not isinstance(group.get(name, getlink=True) if name in group else None, h5py.HardLink):
        raise ImportDataError(f"there is no {place}: export the dataset again")
    found = group[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise ImportDataError(f"{place} is no array that lies in the file")
    fits = len(found.shape) == len(shape) and all(want in (None, have) for want, have in zip(shape, found.shape))
    if found.dtype != dtype or not fits:
        told = ", ".join("any" if size is None else str(size) for size in shape)
        raise ImportDataError(
            f"{place} is {found.dtype} {found.shape}; it must be {np.dtype(dtype)} ({told}), as it was written"
        )
    try:
        values: NDArray[Any] = found[rows]
    except OSError as error:
        raise ImportDataError(f"{place} cannot be unpacked ({error}): export the dataset again") from error
    return values
