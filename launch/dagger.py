"""`forestpilot dagger`: demonstrate, clone, then improve in closed loop."""

from __future__ import annotations

from pathlib import Path

from launch.config import recorded
from launch.plots import plot_rounds
from launch.progress import make_progress
from launch.tables import print_table
from policies.dagger import PRESETS, DaggerConfig, RoundResult, best_round, run_dagger

__all__ = ["PRESETS", "Config", "run"]

Config = DaggerConfig


def run(config: DaggerConfig) -> None:
    """Run all rounds, print one row for each and draw them."""
    with recorded(config, config.out):
        results = run_dagger(config, make_progress())
    header = (
        "round", "beta", "trips", "labels", "roll-in success", "validation success", "95 % interval", "interventions",
    )  # fmt: skip
    # Only a car is ever put back.
    columns = len(header) - (config.task == "drone")
    rows = [row[:columns] for row in (header, *map(_row, results))]
    print_table(rows, title=f"DAgger in {config.out}")
    plot = plot_rounds(results, Path(config.out) / "success_by_round.png", best_round(results).round)
    print(
        f"{plot}\nnext: forestpilot evaluate --task {config.task} --policy {config.out} --out {config.out}/evaluation"
    )


def _row(result: RoundResult) -> tuple[str, ...]:
    validated = interval = interventions = "-"
    if result.validation_success is not None and result.low is not None and result.high is not None:
        validated = f"{round(result.validation_success * result.validation_episodes)}/{result.validation_episodes}"
        interval = f"{100 * result.low:.0f}-{100 * result.high:.0f} %"
        interventions = str(result.validation_interventions)
    rolled_in = f"{100 * result.rollout_success:.0f} %"
    done = (str(result.round), f"{result.beta:.2f}", str(result.trips), str(result.labels))
    return (*done, rolled_in, validated, interval, interventions)
