"""Exports in parts: what an interrupted one has finished is kept, checked, and gone on from.

A part is a run of whole episodes. Its files lie in a folder of their own, `.NAME.parts/part-00000` beside the export;
it is flushed, and then named, when it is complete. The export is put together of all parts at the end. What a part
writes follows from the data, the options and what the parts before came to, so an export that was interrupted is, byte
for byte, the one that was not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.episodes.files import destination_of, remove_stale_temporaries, written_whole
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.plain import to_plain
from forestpilot.data_collection.episodes.progress import Progress, Stage
from forestpilot.data_collection.episodes.seals import (
    DamagedFileError,
    digest_of_values,
    read_sealed_json,
    write_sealed_json,
)
from forestpilot.data_collection.export.card import CardFacts
from forestpilot.data_collection.export.exporter import NO_FACTS, Exporter

PART_BYTES = 200_000_000
"""Size of a part's largest file that ends it, where a format does not say: a minute's work, or less."""
PART_FILE = "part.json"
"""What a part notes of itself."""
_BLOCK_BYTES = 2**22


class WrittenPart(NamedTuple):
    """A part that is complete."""

    folder: Path
    """Where its files lie."""
    number: int
    """Its place among the parts, from 0."""
    stop: int
    """Place of the episode after its last one."""
    facts: dict[str, Any]
    """What it and the parts before it have come to, plain as JSON."""


class PartWriter(ABC):
    """Writes a part; use it as a context manager, which closes its files."""

    @abstractmethod
    def add(self, header: EpisodeHeader) -> None:
        """Write an episode."""

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Size of its largest file by now, as far as it is known."""

    @abstractmethod
    def close(self) -> None:
        """Complete its files; called twice it does nothing more."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What this part and those before it have come to, plain as JSON; its files are closed."""

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class ExporterInParts(Exporter):
    """An exporter that goes on where it was interrupted; subclasses say how a part is written, and what all become."""

    def part_bytes(self, config: Any) -> int:
        """Size of a part's largest file that ends the part."""
        return PART_BYTES

    @abstractmethod
    def open_part(
        self, dataset: Dataset, folder: Path, number: int, before: Mapping[str, Any], config: Any
    ) -> PartWriter:
        """Begin a part.

        Args:
            dataset: what is exported.
            folder: for its files; empty.
            number: its place among the parts, from 0.
            before: facts of the part before; empty for the first.
            config: an instance of `Config`.
        """

    @abstractmethod
    def put_together(self, dataset: Dataset, parts: Sequence[WrittenPart], out: Path, config: Any) -> None:
        """Make the export of its parts, whose files are left as they are: see `placed`.

        Args:
            dataset: what is exported.
            parts: all of them, in order; one at least.
            out: file or folder to make.
            config: an instance of `Config`.
        """

    def export(
        self,
        dataset: Dataset,
        out: Path | str,
        config: Any = None,
        progress: Progress | None = None,
        facts: CardFacts = NO_FACTS,
    ) -> Path:
        """See `Exporter.export`."""
        place = super().export(dataset, out, config, progress, facts)
        shutil.rmtree(_folder_of(place), ignore_errors=True)
        return place

    def write(self, dataset: Dataset, out: Path, config: Any, progress: Progress) -> None:
        """See `Exporter.write`; what an earlier call for the same place has finished is not written again."""
        place = destination_of(out)
        folder = _folder_of(place)
        with _kept(folder, progress):
            identity = self._identity(dataset, place, config)
            parts = _found(folder, identity, progress)
            with progress.stage("export", total=len(dataset)) as stage:
                stage.advance(parts[-1].stop if parts else 0)
                while not parts or parts[-1].stop < len(dataset):
                    number = len(parts)
                    with written_whole(folder / _name_of(number)) as unfinished:
                        unfinished.mkdir()
                        stop, facts = self._write_part(dataset, unfinished, parts, config, stage)
                        _note(unfinished, identity, stop, facts)
                    parts.append(_read(folder, number, identity, compare=False))
            self.put_together(dataset, parts, out, config)

    def _write_part(
        self, dataset: Dataset, folder: Path, parts: Sequence[WrittenPart], config: Any, stage: Stage
    ) -> tuple[int, dict[str, Any]]:
        """Write the next part; returns the place of the episode after its last one, and its facts."""
        stop, before = (parts[-1].stop, parts[-1].facts) if parts else (0, {})
        with self.open_part(dataset, folder, len(parts), before, config) as writer:
            while True:
                header = dataset.episodes[stop]
                writer.add(header)
                stop += 1
                stage.advance(steps=header.num_steps)
                if stop == len(dataset) or writer.num_bytes >= self.part_bytes(config):
                    break
        return stop, writer.facts()

    def _identity(self, dataset: Dataset, place: Path, config: Any) -> str:
        """Digest of what the bytes of an export follow from."""
        there = place.parent.resolve()
        paths = [os.path.relpath(header.path.resolve(), there) for header in dataset.episodes]
        return digest_of_values(
            {
                "config": to_plain(config),
                "data": fingerprint_of([dataset]),
                "paths": digest_of_values(paths),
                "version": package_version(),
            }
        )


def folder_around(part: Path) -> Path:
    """The folder that an export will lie in, of the folder of one of its parts."""
    return part.parent.parent


def placed(file: Path, to: Path) -> None:
    """Put a part's file into an export: as a second name of it, which takes no room, or else as a copy."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, to)
    except OSError:  # a file system without second names
        shutil.copyfile(file, to)


@contextmanager
def _kept(folder: Path, progress: Progress) -> Iterator[None]:
    """The folder of the parts; it goes where no part was finished, and else whoever interrupts is told of it."""
    folder.mkdir(exist_ok=True)
    remove_stale_temporaries(folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        if folder.exists():
            progress.note(f"what is finished is kept in {folder}: the same command goes on (remove it to give up)")
        raise


def _found(folder: Path, identity: str, progress: Progress) -> list[WrittenPart]:
    """The parts that an earlier call has finished; from the first on that is damaged, or of something else, they are
    removed."""
    parts: list[WrittenPart] = []
    problem = ""
    while (folder / _name_of(len(parts))).exists():
        try:
            parts.append(_read(folder, len(parts), identity))
        except DamagedFileError as error:
            problem = str(error)
            break
    rest = [path for path in sorted(folder.glob("part-*")) if path.name not in {part.folder.name for part in parts}]
    for path in rest:
        shutil.rmtree(path)
    if problem:
        progress.note(f"warning: {problem}")
    if parts:
        progress.note(f"{folder}: {parts[-1].stop} episodes are there from an export that was interrupted; going on")
    return parts


def _read(folder: Path, number: int, identity: str, compare: bool = True) -> WrittenPart:
    """A part; where it was written by an earlier call, every byte of it is compared.

    Raises:
        DamagedFileError: it is not as it was written, or part of another export.
    """
    part = folder / _name_of(number)
    again = "it is exported again"
    try:
        noted = read_sealed_json(part / PART_FILE, again, is_required=True)
        of_this = noted["identity"] == identity
        told = noted["files"]
        if of_this and compare and _files_in(part) != told:
            raise DamagedFileError(f"{part} is not as it was written: {again}")
    except (OSError, ValueError, KeyError) as error:
        raise DamagedFileError(f"{part} cannot be read ({error}): {again}") from error
    if not of_this:
        raise DamagedFileError(f"{part} is of other data or options, or of another version: all is exported anew")
    return WrittenPart(part, number, noted["stop"], noted["facts"])


def _note(part: Path, identity: str, stop: int, facts: Mapping[str, Any]) -> None:
    """Write down what a part is, its files being complete."""
    noted = {"identity": identity, "stop": stop, "facts": facts, "files": _files_in(part)}
    write_sealed_json(part / PART_FILE, noted)


def _files_in(part: Path) -> dict[str, str]:
    """Digest of each file of a part, by its path in there."""
    files = sorted(path for path in part.rglob("*") if path.is_file() and path.name != PART_FILE)
    return {path.relative_to(part).as_posix(): _digest_of(path) for path in files}


def _digest_of(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _folder_of(out: Path) -> Path:
    """Where the parts of an export lie until it is whole."""
    return out.with_name(f".{out.name}.parts")


def _name_of(number: int) -> str:
    return f"part-{number:05d}"
