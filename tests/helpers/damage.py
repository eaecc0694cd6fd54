"""Random damages of files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.seals import CHECKSUMS_FILE, DIGEST_KEY, SEALED_KEY


def damages(data: bytes, count: int) -> list[bytes]:
    """A file with one byte changed, cut or added, or cut off, in many ways."""
    rng = np.random.default_rng(0)
    changed = []
    for kind in rng.integers(0, 4, count):
        at = int(rng.integers(0, len(data)))
        if kind == 0:
            changed.append(data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :])
        elif kind == 1:
            changed.append(data[:at] + data[at + 1 :])
        elif kind == 2:
            changed.append(data[:at] + bytes([int(rng.integers(0, 256))]) + data[at:])
        else:
            changed.append(data[:at])
    return changed


def json_of(data: bytes) -> object:
    """What stands in a JSON file; the bytes themselves where they are none."""
    try:
        return json.loads(data)
    except ValueError:
        return data


def without_seals(folder: Path) -> None:
    """Make a folder's tables and mappings as those of an older version, which may be edited."""
    (folder / CHECKSUMS_FILE).unlink(missing_ok=True)
    for path in folder.glob("*.json"):
        values = json.loads(path.read_bytes())
        path.write_text(json.dumps({key: values[key] for key in values if key not in (SEALED_KEY, DIGEST_KEY)}))
