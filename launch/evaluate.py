"""`forestpilot evaluate`: fly policies through worlds they have never seen."""

from __future__ import annotations

import json
from pathlib import Path

from launch.config import recorded
from launch.progress import make_progress
from launch.tables import format_density, print_table
from policies.evaluation import EvaluateConfig, evaluate, results_table

Config = EvaluateConfig


def run(config: EvaluateConfig) -> None:
    """Evaluate, then print the table and the differences between the policies, world by world."""
    with recorded(config, config.out):
        scores = evaluate(config, make_progress())
    worlds = f"{config.episodes} {config.split} worlds, {config.speed:g} m/s, {format_density(config.density)} trees/m2"
    print_table(results_table(scores), title=worlds)
    for pair in json.loads((Path(config.out) / "summary.json").read_text(encoding="utf-8"))["paired"]:
        print(
            f"{pair['second']} against {pair['first']} on the same {pair['worlds']} worlds: "
            f"{100 * pair['difference']:+.0f} points ({100 * pair['low']:+.0f} to {100 * pair['high']:+.0f})"
        )
    print(f"{config.out}/outcomes.csv\nnext: forestpilot replay {config.out} --worst 3 --video videos/")
