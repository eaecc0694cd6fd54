"""Options of earlier versions, answered by their new names, on the command line and in config files."""

from __future__ import annotations

from collections.abc import Collection

from forestpilot.data_collection.episodes.migration import RENAMED_POLICY_FIELDS

RENAMED = {
    "trips": "episodes",
    "flights": "episodes",
    "most_trips": "most_episodes",
    "shaves": "near_misses",
    "density": "options.density",
    "densities": "options.density",
    "length": "options.length",
    "side_cameras": "options.side_cameras",
    "interventions": "options.interventions",
    **{f"policy.{old}": f"policy.{new}" for old, new in RENAMED_POLICY_FIELDS.items()},
}
"""The end of an option's dotted name in version 0.1, and what it is now."""
RENAMED_PRESETS = {"person": "human", "person-drive": "human-drive"}
"""Presets of version 0.1, and what they are called now."""


def new_name(path: str, known: Collection[str]) -> str | None:
    """Present name of an option of an earlier version; None for any other.

    Args:
        path: dotted name of the option, which is not known.
        known: dotted names of all options that there are.
    """
    for old, new in RENAMED.items():
        outer, matched = _before(path, old)
        if matched and (renamed := outer + new) in known:
            return renamed
    return None


def _before(path: str, ending: str) -> tuple[str, bool]:
    """(what stands before the ending of a dotted name, whether it has that ending)."""
    if path == ending:
        return "", True
    return path.removesuffix(ending), path.endswith(f".{ending}")
