"""A training under way: its run folder, its state, its metrics."""
