"""JSON that may be missing or damaged: a report goes on without it and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.run import CONFIG_FILE, RunError, StoredRun, read_run
from forestpilot.data_collection.episodes.seals import DamagedFileError, read_sealed_json


def read_config(folder: Path, verb: str = "") -> tuple[StoredRun, str]:
    """(what a run folder says of its run, what is wrong with it): empty where it says nothing, or is damaged."""
    nothing = StoredRun(verb, "", {}, folder / CONFIG_FILE)
    try:
        return read_run(folder, verb) or nothing, ""
    except RunError as error:
        return nothing, f"{error}."


def read_json(path: Path) -> tuple[dict[str, Any], str]:
    """(the mapping in a file, what is wrong with it): empty where the file is missing, damaged or no mapping.

    A digest that it carries is compared, and left out.
    """
    if not path.is_file():
        return {}, ""
    try:
        return read_sealed_json(path), ""
    except DamagedFileError as error:
        return {}, f"{error}."
    except OSError as error:
        return {}, f"{path} cannot be read ({error})."
