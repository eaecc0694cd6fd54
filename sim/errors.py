"""The one exception that every ForestPilot error derives from."""


class ForestPilotError(Exception):
    """Something a user can mend: the message says what was given, what is allowed and what to do."""
