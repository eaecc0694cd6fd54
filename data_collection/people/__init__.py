"""A human at the keys: live sessions, shaped keys, taking over, relabelling, reaction time."""
