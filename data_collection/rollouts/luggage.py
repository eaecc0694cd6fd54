"""Files that a pilot needs where it is made: packed here, unpacked on another machine.

A factory of pilots is a frozen dataclass. A field that names a folder, folders or a file that the pilot is made from
says so by `place`:

    @dataclass(frozen=True)
    class MyFactory:
        folder: str = field(metadata=place("policy.json", "policy.safetensors"))

A factory within a factory is looked through as well; all others go as they are, and find what they need by themselves.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.rollouts.pilots import PilotFactory

Luggage = Mapping[str, Mapping[str, bytes]]
"""For each place the contents of its files by name; a place that is a file itself has its content under no name."""
_FILES = "files_there"


def place(*files: str) -> dict[str, tuple[str, ...]]:
    """Metadata of a field that names a folder (or several) of which these files are needed, or, without any, a file."""
    return {_FILES: files}


def packed(factory: PilotFactory) -> Luggage:
    """The files that a factory needs.

    Raises:
        OSError: one cannot be read.
    """
    luggage: dict[str, dict[str, bytes]] = {}
    for where, files in _places(factory):
        if files:
            luggage[where] = {name: Path(where, name).read_bytes() for name in files}
        else:
            luggage[where] = {"": Path(where).read_bytes()}
    return luggage


def digest_of(luggage: Luggage) -> str:
    """Equal for equal files of equal places."""
    digest = hashlib.sha256()
    for where, files in sorted(luggage.items()):
        for name, content in sorted(files.items()):
            digest.update(f"{where}\0{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def unpacked(factory: PilotFactory, luggage: Luggage, folder: Path) -> PilotFactory:
    """The same factory on this machine; its files are written into a folder, unless they are there.

    Args:
        factory: as it was where the files were packed.
        luggage: the files.
        folder: a folder for these files alone.
    """
    moved: dict[str, str] = {}
    for number, (where, files) in enumerate(sorted(luggage.items())):
        target = folder / str(number) / Path(where).name
        moved[where] = str(target)
        for name, content in files.items():
            path = target / name if name else target
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_new_file(path, [content], durable=False)
    return _moved(factory, moved.__getitem__) if moved else factory


def rooted(factory: PilotFactory) -> PilotFactory:
    """The same factory, its places named from the root on, for processes of another working directory."""
    if not _is_instance(factory):
        return factory
    at_root: PilotFactory = _moved(factory, lambda where: str(Path(where).absolute()))
    return at_root


def _places(factory: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each place that a factory names, and the files that it needs of it."""
    if not _is_instance(factory):
        return
    for field in dataclasses.fields(factory):
        value = getattr(factory, field.name)
        if _FILES not in field.metadata:
            yield from _places(value)
            continue
        for where in (value,) if isinstance(value, str) else value:
            yield where, field.metadata[_FILES]


def _moved(factory: Any, to: Callable[[str], str]) -> Any:
    """A factory whose places are elsewhere."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(factory):
        value = getattr(factory, field.name)
        if _FILES not in field.metadata:
            if _is_instance(value):
                changes[field.name] = _moved(value, to)
        elif isinstance(value, str):
            changes[field.name] = to(value)
        else:
            changes[field.name] = tuple(map(to, value))
    return dataclasses.replace(factory, **changes)


def _is_instance(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
