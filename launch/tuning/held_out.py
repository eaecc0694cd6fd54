"""The one look at test worlds, when the search is over: the best settings against those that were there before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow
from forestpilot.policies.evaluation.pilots import PolicyFactory
from forestpilot.policies.evaluation.scores import Score, read_summary, write_results
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.policies.training.shard_pool import ShardPool

DEFAULT = "default"
"""Name of the settings without the search, and of the folder of their run."""
BEST = "best"
SUMMARY_FILE = "summary.json"
MOST_TOLD = 100
"""Worlds whose kinds are noted."""


class LookedAtError(ForestPilotError):
    """Test worlds have been looked at already."""


@dataclass(frozen=True)
class Comparison:
    """What came of it."""

    scores: tuple[Score, ...]
    """Of the default and of the best settings, in this order."""
    difference: float
    """Success of the best less that of the default, 0 to 1, over the same worlds."""
    low: float
    """Lower end of its 95 % interval, paired by worlds."""
    high: float
    """Upper end."""


def require_not_looked_at(folder: Path) -> None:
    """Raise LookedAtError where a folder has a report: a second look would be a choice by test worlds."""
    if (folder / SUMMARY_FILE).exists():
        raise LookedAtError(
            f"the test worlds have been looked at already, and {folder / SUMMARY_FILE} says what came of it; leave "
            "--report-test out, or search anew in another --out"
        )


def compare(
    default: Algorithm[Any],
    best: AlgorithmConfig,
    episodes: int,
    folder: Path,
    progress: Progress,
    pool: RolloutPool,
    shards: ShardPool,
) -> Comparison:
    """Train the default settings, as a trial is, and send both policies through the same test worlds.

    Args:
        default: run of the settings without the search; gone on with where it was killed.
        best: the run of the best trial, which is finished.
        episodes: how many test worlds.
        folder: where outcomes.csv and summary.json go; what another process has written there meanwhile is taken.
        progress: who watches.
        pool: runs episodes.
        shards: computes gradients.
    """
    with written_by_one(folder, progress):
        if not (folder / SUMMARY_FILE).exists():
            default.run(pool, shard_pool=shards)
            rows = _outcomes(default.config, DEFAULT, episodes, progress, pool)
            rows += _outcomes(best, BEST, episodes, progress, pool)
            task = TASKS.get(best.task)
            scenarios = best.held_out_scenarios("test", episodes)
            worlds = list(dict.fromkeys(task.describe(scenario.env_kwargs) for scenario in scenarios[:MOST_TOLD]))
            counts = best.mix.options.for_evaluation().counts_interventions
            write_results(folder, rows, counts, {"task": best.task, "split": "test", "worlds": worlds})
        summary = read_summary(folder)
    (pair,) = summary["paired"]
    scores = tuple(Score(**values) for values in summary["scores"])
    return Comparison(scores, pair["difference"], pair["low"], pair["high"])


def _outcomes(
    config: AlgorithmConfig, name: str, episodes: int, progress: Progress, pool: RolloutPool
) -> list[OutcomeRow]:
    """What a run's policy does in test worlds."""
    scenarios = tuple(config.held_out_scenarios("test", episodes))
    results = pool.run(Job(config.task, scenarios, PolicyFactory(config.out, name)), progress, f"test {name}")
    return [OutcomeRow.of_result(result, name, config.task) for result in results]


def told(comparison: Comparison) -> str:
    """The difference in a sentence."""
    worlds = comparison.scores[0].episodes
    interval = f"{100 * comparison.low:+.1f} to {100 * comparison.high:+.1f}"
    return (
        f"best less default in {worlds} test worlds: {100 * comparison.difference:+.1f} points of success (95 % "
        f"interval {interval}, paired)"
    )
