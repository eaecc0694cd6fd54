"""The exceptions that every ForestPilot error derives from."""


class ForestPilotError(Exception):
    """Something a user can mend: the message says what was given, what is allowed and what to do."""


class InvalidArgumentError(ForestPilotError, ValueError):
    """A value out of range, found while something is made or done with it."""
