"""`forestpilot dagger`: demonstrate, clone, then improve in closed loop."""

from __future__ import annotations

from pathlib import Path

from launch.config import recorded
from launch.plots import plot_rounds
from launch.progress import make_progress
from launch.tables import print_table
from policies.dagger import PRESETS, DaggerConfig, RoundResult, run_dagger

__all__ = ["PRESETS", "Config", "run"]

Config = DaggerConfig


def run(config: DaggerConfig) -> None:
    """Run all rounds, print one row for each and draw them."""
    with recorded(config, config.out):
        results = run_dagger(config, make_progress())
    header = ("round", "beta", "trips", "labels", "roll-in success", "validation success", "95 % interval")
    print_table([header, *(_row(result) for result in results)], title=f"DAgger in {config.out}")
    plot = plot_rounds(results, Path(config.out) / "success_by_round.png")
    print(f"{plot}\nnext: forestpilot evaluate --policy {config.out} --out {config.out}/evaluation")


def _row(result: RoundResult) -> tuple[str, ...]:
    validated = interval = "-"
    if result.validation_success is not None and result.low is not None and result.high is not None:
        validated = f"{round(result.validation_success * result.validation_episodes)}/{result.validation_episodes}"
        interval = f"{100 * result.low:.0f}-{100 * result.high:.0f} %"
    rolled_in = f"{100 * result.rollout_success:.0f} %"
    done = (str(result.round), f"{result.beta:.2f}", str(result.trips), str(result.labels))
    return (*done, rolled_in, validated, interval)
