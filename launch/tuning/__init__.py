"""`forestpilot tune`: the search for settings, trial by trial, by Optuna."""
