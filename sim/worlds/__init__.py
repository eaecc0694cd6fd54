"""Worlds: trees, trail, goal and appearance as frozen arrays made from one seed."""
