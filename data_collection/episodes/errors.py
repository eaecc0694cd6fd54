"""What can be wrong with an episode or its file."""

from __future__ import annotations

from forestpilot.sim.errors import ForestPilotError


class EpisodeError(ForestPilotError):
    """An episode whose arrays or metadata are not what the format asks for."""


class BrokenEpisodeError(EpisodeError):
    """An episode file that is truncated, altered or no episode file at all."""


class SchemaVersionError(ForestPilotError):
    """A file of another version of the format: intact, but not for this version of ForestPilot."""
