"""Behavioural cloning from observation: actions are inferred from what was seen, then cloned."""
