"""Experts: privileged pilots that see the geometry and never a pixel."""
