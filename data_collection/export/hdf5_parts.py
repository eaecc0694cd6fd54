"""HDF5 files that were written in parts, as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py

from forestpilot.data_collection.export.parts import placed


def joined(files: Sequence[Path], out: Path, shared: Sequence[str] = ()) -> None:
    """Make one file of some; arrays are copied as they are packed. Of one file no copy is made.

    Args:
        files: one at least; what lies in them has different names.
        out: the file to make; folders are made.
        shared: groups that each of them has, whose members come together; of their attributes the first file's are
            kept.
    """
    if len(files) == 1:
        placed(files[0], out)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(out, "w") as whole:
        for number, path in enumerate(files):
            with h5py.File(path) as part:
                for place in ("/", *shared):
                    target = whole.require_group(place)
                    if number == 0:
                        target.attrs.update(part[place].attrs)
                    for name in part[place]:
                        if place != "/" or name not in shared:
                            _copy(part[place], target, name)


def size_of(file: h5py.File) -> int:
    """Bytes of a file that is open for writing, by now."""
    size: int = file.id.get_filesize()
    return size


def _copy(source: h5py.Group, target: h5py.Group, name: str) -> None:
    """A member of a group; a link stays one."""
    link = source.get(name, getlink=True)
    if isinstance(link, h5py.HardLink):
        source.copy(name, target)
    else:
        target[name] = link
