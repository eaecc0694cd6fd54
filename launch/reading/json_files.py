"""JSON that may be missing or damaged: a report goes on without it and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes import bounded
from forestpilot.data_collection.episodes.run import CONFIG_FILE, RunError, StoredRun, read_run


def read_config(folder: Path, verb: str = "") -> tuple[StoredRun, str]:
    """(what a run folder says of its run, what is wrong with it): empty where it says nothing, or is damaged."""
    nothing = StoredRun(verb, "", {}, folder / CONFIG_FILE)
    try:
        return read_run(folder, verb) or nothing, ""
    except RunError as error:
        return nothing, f"{error}."


def read_json(path: Path) -> tuple[dict[str, Any], str]:
    """(the mapping in a file, what is wrong with it): empty where the file is missing, damaged or no mapping."""
    if not path.is_file():
        return {}, ""
    try:
        values = bounded.read_json(path)
    except (OSError, ValueError) as error:
        return {}, f"{path} cannot be read ({error})."
    if not isinstance(values, dict):
        return {}, f"{path} holds no mapping of names to values."
    return values, ""
