"""Reinforcement learning in rounds: config and loop."""
