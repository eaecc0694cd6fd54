"""Seals: digests by which a reader notices that a file is not as it was written.

A mapping that is stored as JSON carries the digest of all its other keys and values, known or not. A table carries
none, for whoever opens it elsewhere would stumble over it: the digests of a folder's tables stand beside them, in
`checksums.json`; that of a table that grows has the length up to which it holds.

A process killed at any moment leaves no false alarm: before a table is replaced, the digests of the old and of the new
one are noted; the old one is dropped when the new one lies there.

Files of version 0.1 and 0.2 have no seals, and are read as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from forestpilot.data_collection.episodes.bounded import TABLE_BYTES, UnboundedError, read_bytes, read_json
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.sim.errors import ForestPilotError

CHECKSUMS_FILE = "checksums.json"
"""Digests of the tables in a folder."""
DIGEST_KEY = "digest"
"""Key of the digest in a mapping; it covers all others."""
SEALED_KEY = "sealed_by"
"""Key of how the digest was made. Where only one of both keys is left, the file has not been without digest before."""
ALGORITHM = "blake2b"
RUN_AGAIN = "run the command that wrote it again"
"""The way out where nothing better is known."""


class DamagedFileError(ForestPilotError):
    """A file that is not as it was written; the message names it and the way out."""


def digest_of(*parts: bytes) -> str:
    """BLAKE2b of bytes, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest_of_values(values: Any) -> str:
    """Digest of JSON-plain values; how they are laid out in a file, and in which order the keys stand, is no matter."""
    return digest_of(json.dumps(values, sort_keys=True).encode())


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping of JSON-plain values with its digest, in place of one that it may carry."""
    bare = _bare(values)
    # As a reader will find them: tuples are lists there, and keys are text.
    return {SEALED_KEY: ALGORITHM, **bare, DIGEST_KEY: digest_of_values(json.loads(json.dumps(bare)))}


def unsealed(
    values: Mapping[str, Any], path: Path, way_out: str = RUN_AGAIN, is_required: bool = False
) -> dict[str, Any]:
    """A mapping without its digest, which has been compared.

    Args:
        values: as read from a file.
        path: the file, for messages.
        way_out: what to do about damage, as the end of a sentence.
        is_required: False where a file of an older version may have no digest.

    Raises:
        DamagedFileError: the digest is another one, or missing.
    """
    bare = _bare(values)
    is_sealed = is_required or len(bare) < len(values)
    found = (values.get(SEALED_KEY), values.get(DIGEST_KEY))
    if is_sealed and found != (ALGORITHM, digest_of_values(bare)):
        raise DamagedFileError(f"{path} has been damaged or altered (its digest does not fit): {way_out}")
    return bare


def write_sealed_json(path: Path, values: Mapping[str, Any], indent: int | None = None) -> None:
    """Write a mapping of JSON-plain values with its digest, whole or not at all."""
    text = json.dumps(sealed(values), indent=indent, ensure_ascii=False)
    write_new_file(path, [text.encode(errors="surrogatepass")])


def read_sealed_json(path: Path, way_out: str = RUN_AGAIN, is_required: bool = False) -> dict[str, Any]:
    """The mapping that `write_sealed_json` wrote, without its digest.

    Args:
        path: the file.
        way_out: what to do about damage, as the end of a sentence.
        is_required: False where a file of an older version may have no digest.

    Raises:
        DamagedFileError: the file is no JSON, no mapping, or not as it was written.
        OSError: it cannot be read.
    """
    try:
        values = read_json(path)
    except ValueError as error:
        raise DamagedFileError(f"{path} has been damaged or altered ({error}): {way_out}") from error
    if not isinstance(values, dict):
        raise DamagedFileError(f"{path} has been damaged or altered (it holds no mapping): {way_out}")
    return unsealed(values, path, way_out, is_required)


def write_sealed(path: Path, data: bytes) -> Path | None:
    """Write a table, and its seal beside it; killed at any moment, either the old table lies there or the new one.

    Returns:
        Where the table lies now that was there before, if it was damaged: it is set aside.
    """
    aside = set_aside_if_damaged(path)
    new = _Seal(None, digest_of(data))
    known = _known_or_set_aside(path.parent)
    _note(path.parent, {**known, path.name: [*known.get(path.name, []), new]})
    write_new_file(path, [data])
    _note(path.parent, {**known, path.name: [new]})
    return aside


def seal(path: Path, data: bytes, grows: bool) -> None:
    """Note the digest of a table's content.

    Args:
        path: the table.
        data: all that was written to it so far.
        grows: True where more may be added; that is not covered until the next seal.
    """
    length = len(data) if grows else None
    _note(path.parent, {**_known_or_set_aside(path.parent), path.name: [_Seal(length, digest_of(data))]})


def read_sealed(path: Path, way_out: str = RUN_AGAIN) -> bytes:
    """The content of a table, which has been compared with its seal where there is one.

    Raises:
        DamagedFileError: the table is not as it was written, or its folder's checksums are not.
        OSError: it cannot be read.
    """
    try:
        data = read_bytes(path, TABLE_BYTES)
    except UnboundedError as error:
        raise DamagedFileError(f"{path} is no table of ForestPilot's ({error}): {way_out}") from error
    seals = _known(path.parent, way_out).get(path.name, [])
    if seals and not any(digest_of(data[: seal.length]) == seal.digest for seal in seals):
        raise DamagedFileError(
            f"{path} has been cut or altered (it does not fit its digest in {CHECKSUMS_FILE}): {way_out}"
        )
    return data


def set_aside_damaged(folder: Path, names: Sequence[str], progress: Progress) -> None:
    """Set those of a folder's results aside that are not as they were written, and say so; they are written anew."""
    for name in names:
        aside = set_aside_if_damaged(folder / name)
        if aside is not None:
            progress.note(f"warning: {folder / name} was cut or altered; it is now {aside}, and is written anew")


def set_aside_if_damaged(path: Path) -> Path | None:
    """Set a table or mapping aside that is not as it was written; returns where it lies now, None if all is well."""
    try:
        if path.suffix == ".json":
            read_sealed_json(path)
        else:
            read_sealed(path)
    except FileNotFoundError:
        return None
    except DamagedFileError:
        return set_aside(path)
    return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to a free name ending in `.damaged`, which nothing reads; returns where it is."""
    number = 1
    aside = path.with_name(f"{path.name}.damaged")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{number}.damaged")
    path.rename(aside)
    return aside


def _bare(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping without its digest."""
    return {key: value for key, value in values.items() if key not in (SEALED_KEY, DIGEST_KEY)}


class _Seal(NamedTuple):
    length: int | None
    """Bytes from the beginning that are covered; None for all."""
    digest: str
    """Their digest."""


def _known(folder: Path, way_out: str) -> dict[str, list[_Seal]]:
    """The seals of a folder's tables, by file name; several of a table that may have been being replaced."""
    path = folder / CHECKSUMS_FILE
    if not path.exists():
        return {}
    values = read_sealed_json(path, way_out, is_required=True)
    try:
        return {name: [_Seal(length, digest) for length, digest in seals] for name, seals in values.items()}
    except (TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} has been damaged or altered ({error}): {way_out}") from error


def _known_or_set_aside(folder: Path) -> dict[str, list[_Seal]]:
    """For a writer: checksums that are damaged are set aside, and begin anew."""
    try:
        return _known(folder, RUN_AGAIN)
    except DamagedFileError:
        set_aside(folder / CHECKSUMS_FILE)
        return {}


def _note(folder: Path, seals: Mapping[str, list[_Seal]]) -> None:
    write_sealed_json(folder / CHECKSUMS_FILE, seals, indent=1)
