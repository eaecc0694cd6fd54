"""Vehicles: rigid bodies with their low-level controllers and the motion model that a planner rolls out."""
