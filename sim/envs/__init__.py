"""Gymnasium environments: one step, told once in `base`, for every vehicle."""
