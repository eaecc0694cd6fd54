"""Options of earlier versions, answered by their new names, on the command line and in config files."""

from __future__ import annotations

from collections.abc import Callable

from forestpilot.data_collection.episodes.migration import GATE_OPTIONS, RENAMED_KEYS, RENAMED_POLICY_FIELDS
from forestpilot.sim.tasks.version_0_1 import EVALUATION_OPTIONS, MIX_OPTIONS

RENAMED = {
    **RENAMED_KEYS,
    "to.actions": "to.action",
    "flights": "episodes",
    "shaves": "near_misses",
    **{f"policy.{old}": f"policy.{new}" for old, new in RENAMED_POLICY_FIELDS.items()},
    **{f"limits.{name}": f"gate.{name}" for options in GATE_OPTIONS.values() for name in options},
    **{
        old: f"options.{new}"
        for options in (*MIX_OPTIONS.values(), *EVALUATION_OPTIONS.values())
        for old, new in options.items()
    },
}
"""The end of an option's dotted name in version 0.1, and what it is now; files are migrated by the same tables."""
RENAMED_PRESETS = {"person": "human", "person-drive": "human-drive"}
"""Presets of version 0.1, and what they are called now."""


def new_name(path: str, is_known: Callable[[str], bool]) -> str | None:
    """Present name of an option of an earlier version; None for any other.

    Args:
        path: dotted name of the option, which is not known.
        is_known: tells if there is an option of a dotted name.
    """
    for old, new in RENAMED.items():
        outer, matched = _before(path, old)
        if matched and is_known(outer + new):
            return outer + new
    return None


def _before(path: str, ending: str) -> tuple[str, bool]:
    """(what stands before the ending of a dotted name, whether it has that ending)."""
    if path == ending:
        return "", True
    return path.removesuffix(ending), path.endswith(f".{ending}")
