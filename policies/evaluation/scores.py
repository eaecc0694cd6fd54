"""Scores: what a policy's rows of outcomes.csv come to.

It reads and writes text, and knows neither the simulator nor a network, so that a report does not wait for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forestpilot.data_collection.episodes.seals import (
    read_sealed_json,
    write_sealed_json,
)
from forestpilot.policies.evaluation.intervals import paired_difference, rate_interval, wilson_interval
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow, write_outcomes
from forestpilot.sim.outcomes import Outcome, told

if TYPE_CHECKING:
    from forestpilot.policies.evaluation.gap import ImitationGap

SUMMARY_FORMAT = 2
"""Format of summary.json: 1 held scores and pairs, 2 says what they are of."""
INTERVENTION_S = 6.0
"""What an intervention costs in PilotNet's autonomy: the time a human needs to take over, recenter and hand back
(Bojarski et al. 2016, arXiv:1604.07316, section 7.1), seconds."""
LEAST_DISTANCE_M = 1e-3
"""An episode that was over at once covers no distance, and a rate needs some."""


@dataclass(frozen=True)
class Score:
    """Result of a policy's episodes."""

    policy: str
    """Name of the policy."""
    episodes: int
    """Number of episodes n."""
    successes: int
    """Episodes that reached the goal, without any intervention."""
    low: float
    """Lower end of the 95 % Wilson interval of the success rate."""
    high: float
    """Upper end."""
    collisions: int
    """Episodes that ended at an obstacle or on the ground."""
    out_of_bounds: int
    """Episodes that left the flight area or the road."""
    timeouts: int
    """Episodes that ran out of time."""
    mean_progress_m: float
    """Mean distance made good towards the goal in metres."""
    mean_speed_mps: float
    """Mean speed in m/s."""
    median_clearance_m: float
    """Median over the episodes of the least clearance in metres."""
    distance_km: float
    """Length of the way that was covered in all episodes, in kilometres."""
    interventions: int = 0
    """How often a car was put back on its line."""
    autonomy: float | None = None
    """PilotNet's figure: 1 - 6 s x interventions / time, 0 at least; None where interventions are not counted."""
    autonomy_low: float | None = None
    """Lower end of its 95 % interval: see `forestpilot.policies.evaluation.intervals.rate_interval`."""
    autonomy_high: float | None = None
    """Upper end."""
    interventions_per_km: float | None = None
    """Interventions per kilometre; None where they are not counted."""
    interventions_per_km_low: float | None = None
    """Lower end of its 95 % interval."""
    interventions_per_km_high: float | None = None
    """Upper end."""


def score(rows: Sequence[OutcomeRow], counts_interventions: bool = False) -> Score:
    """The score of one policy's episodes.

    Args:
        rows: one per episode.
        counts_interventions: True where a mistake does not end an episode but is counted, so that there is an autonomy.
    """
    outcomes = _column(rows, "outcome")
    successes = sum(_column(rows, "succeeded"))
    low, high = wilson_interval(successes, len(rows))
    total = Score(
        policy=rows[0].policy,
        episodes=len(rows),
        successes=successes,
        low=low,
        high=high,
        collisions=outcomes.count(Outcome.COLLISION),
        out_of_bounds=outcomes.count(Outcome.OUT_OF_BOUNDS),
        timeouts=outcomes.count(Outcome.TIMEOUT),
        mean_progress_m=float(np.mean(_column(rows, "progress_m"))),
        mean_speed_mps=float(np.mean(_column(rows, "mean_speed_mps"))),
        median_clearance_m=float(np.median(_column(rows, "min_clearance_m"))),
        distance_km=sum(_column(rows, "distance_m")) / 1000,
    )
    if not counts_interventions:
        return total
    return _with_autonomy(total, rows)


def _column(rows: Sequence[OutcomeRow], name: str) -> list[Any]:
    """One figure of every row."""
    return [getattr(row, name) for row in rows]


def _with_autonomy(total: Score, rows: Sequence[OutcomeRow]) -> Score:
    """A score with the figures that are per time and per distance, and their intervals over the worlds."""
    counts = _column(rows, "counted_interventions")
    lengths_km = [max(row.distance_m, LEAST_DISTANCE_M) / 1000 for row in rows]
    per_km, km_low, km_high = rate_interval(counts, lengths_km)
    per_s, s_low, s_high = rate_interval(counts, _column(rows, "time_s"))
    return dataclasses.replace(
        total,
        interventions=sum(counts),
        autonomy=autonomy_of(per_s),
        autonomy_low=autonomy_of(s_high),
        autonomy_high=autonomy_of(s_low),
        interventions_per_km=per_km,
        interventions_per_km_low=km_low,
        interventions_per_km_high=km_high,
    )


def autonomy_of(interventions_per_s: float) -> float:
    """PilotNet's autonomy: the share of the time in which nobody had to help, 0 at least."""
    return max(0.0, 1.0 - INTERVENTION_S * interventions_per_s)


def compare(rows: Sequence[OutcomeRow], first: str, second: str) -> dict[str, Any]:
    """Two policies over the worlds that both ran: difference in success rate with its 95 % interval.

    Raises:
        ValueError: no world that both ran.
    """
    success: dict[str, dict[int, bool]] = {first: {}, second: {}}
    for row in rows:
        if row.policy in success:
            success[row.policy][row.seed] = row.succeeded
    seeds = sorted(set(success[first]) & set(success[second]))
    if not seeds:
        raise ValueError(f"{first} and {second} share no world in common")
    only_first = only_second = 0
    for seed in seeds:
        only_first += success[first][seed] and not success[second][seed]
        only_second += success[second][seed] and not success[first][seed]
    difference, low, high = paired_difference(only_first, only_second, len(seeds))
    return {"first": first, "second": second, "worlds": len(seeds), "difference": difference, "low": low, "high": high}


def write_results(
    folder: Path,
    rows: Sequence[OutcomeRow],
    counts_interventions: bool = False,
    about: Mapping[str, Any] | None = None,
    gaps: Sequence[ImitationGap] = (),
) -> list[Score]:
    """Write outcomes.csv and summary.json; returns the scores.

    Args:
        folder: made if it is not there.
        rows: of all policies; the first one is what the others are compared with.
        counts_interventions: see `score`.
        about: what the evaluation was of, for summary.json: task, rule, renderer, options, policies.
        gaps: how far policies fall short of the expert, where somebody asked.
    """
    write_outcomes(folder / "outcomes.csv", rows)
    by_policy: dict[str, list[OutcomeRow]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, []).append(row)
    scores = [score(own, counts_interventions) for own in by_policy.values()]
    first, *others = by_policy
    summary = {
        "format": SUMMARY_FORMAT,
        **(about or {}),
        "scores": [vars(s) for s in scores],
        "paired": [compare(rows, first, other) for other in others],
    }
    if gaps:
        summary["imitation_gap"] = [vars(gap) for gap in gaps]
    write_sealed_json(folder / "summary.json", summary, indent=2)
    return scores


def read_summary(folder: Path) -> dict[str, Any]:
    """Contents of summary.json: `format`, `scores`, `paired`, from format 2 on what they are of, and where somebody
    asked for it `imitation_gap`.

    Raises:
        OSError: the file is missing.
        DamagedFileError: it is not as it was written.
        ValueError: it lacks something, or is of a newer version.
    """
    path = folder / "summary.json"
    values = read_sealed_json(path, "run the same `forestpilot evaluate` again")
    if not {"scores", "paired"} <= set(values):
        raise ValueError(f"{path} is no summary of an evaluation; evaluate again")
    if values.setdefault("format", 1) > SUMMARY_FORMAT:
        raise ValueError(
            f"{path} has format {values['format']}, and this version reads up to {SUMMARY_FORMAT}; update ForestPilot"
        )
    return values


def results_table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """Rows of text for a table of scores, the header first; with interventions where they were counted."""
    columns_of = _success_columns
    if any(s.autonomy is not None for s in scores):
        columns_of = _autonomy_columns
    rows = [columns_of(s) for s in scores]
    header = tuple(rows[0])
    return [header, *(tuple(row.values()) for row in rows)]


def _success_columns(s: Score) -> dict[str, str]:
    return {
        "policy": s.policy,
        "success": f"{s.successes}/{s.episodes}",
        "95 % interval": f"{100 * s.low:.0f}-{100 * s.high:.0f} %",
        told(Outcome.COLLISION): str(s.collisions),
        told(Outcome.OUT_OF_BOUNDS): str(s.out_of_bounds),
        told(Outcome.TIMEOUT): str(s.timeouts),
        "progress": f"{s.mean_progress_m:.1f} m",
        "speed": f"{s.mean_speed_mps:.1f} m/s",
        "clearance": f"{s.median_clearance_m:.2f} m",
    }


def _autonomy_columns(s: Score) -> dict[str, str]:
    return {
        "policy": s.policy,
        "autonomy": _percent(s.autonomy),
        "95 % interval": f"{_percent(s.autonomy_low, '')}-{_percent(s.autonomy_high)}",
        "interventions": str(s.interventions),
        "per km (95 %)": (
            f"{s.interventions_per_km:.3f} ({s.interventions_per_km_low:.3f}-{s.interventions_per_km_high:.3f})"
        ),
        "roads without any": f"{s.successes}/{s.episodes}",
        told(Outcome.TIMEOUT): str(s.timeouts),
        "distance": f"{s.distance_km:.1f} km",
        "speed": f"{s.mean_speed_mps:.1f} m/s",
    }


def _percent(share: float | None, unit: str = " %") -> str:
    """Two decimals, which 99.9 % autonomy needs; a dash where there is none."""
    if share is None:
        return "-"
    return f"{100 * share:.2f}{unit}"
