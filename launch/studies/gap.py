"""The imitation gap in studies: what the expert's episodes return above a policy's, world by world.

rows = bench.evaluate(evaluation)
expert = expert_returns(evaluation, bench)
rows = [{"seed": int(row["seed"]), "gap": gap_in(row, expert)} for row in rows]
...
Panel("imitation_gap", GAP_LABEL, make_points(cells, gap_interval), GAP_MEANING)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forestpilot.launch.reading.study_results import Interval
from forestpilot.launch.studies.cells import Cell, stack
from forestpilot.launch.studies.statistics import mean_interval
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.evaluation.evaluate import EXPERT, EvaluateConfig, run_expert
from forestpilot.sim.outcomes import episode_return

GAP_LABEL = "imitation gap, metres"
GAP_MEANING = (
    "Return of the expert less that of the policy through the same worlds; metres of progress, less 10 for a crash or "
    "an intervention."
)


def expert_returns(evaluation: EvaluateConfig, bench: Bench, name: str = "worlds") -> dict[int, float]:
    """Return of the expert's episode through each world of an evaluation, by seed; run once for a study.

    Args:
        evaluation: says which worlds.
        bench: whose run folder keeps the expert's episodes.
        name: of these worlds, where a study has several kinds.
    """
    out = bench.folder / EXPERT / name
    rows = run_expert(evaluation, evaluation.control_hz, str(out), bench.progress, bench.pool)
    return {row.seed: row.episode_return for row in rows}


def gap_in(row: Mapping[str, Any], expert: Mapping[int, float]) -> float:
    """The gap in one world.

    Args:
        row: of an outcomes.csv.
        expert: return of the expert by seed.
    """
    interventions = int(row.get("interventions") or 0)
    return expert[int(row["seed"])] - episode_return(row["outcome"], float(row["progress_m"]), interventions)


def gap_interval(cells: Sequence[Cell]) -> Interval:
    """The mean of `gap` over worlds and training seeds, with its 95 % interval over both (crossed bootstrap)."""
    return mean_interval(stack(cells, "gap"))
