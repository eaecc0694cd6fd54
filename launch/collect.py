"""`forestpilot collect`: let the expert fly or drive and record its trips."""

from __future__ import annotations

from data_collection.rollout import CollectConfig, collect
from launch.config import recorded
from launch.progress import make_progress

Config = CollectConfig


def run(config: CollectConfig) -> None:
    """Collect, then print what the dataset holds."""
    with recorded(config, config.out):
        dataset = collect(config, make_progress())
    successes = sum(header.meta.outcome == "success" for header in dataset.episodes)
    print(f"{config.out}: {len(dataset)} episodes, {dataset.total_steps} steps, {successes} reached the goal")
