"""Scores: the rows of outcomes.csv, and what a policy's rows come to.

It reads and writes text, and knows neither the simulator nor a network, so that a report does not wait for them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forestpilot.data_collection.episodes.names import problem_of_file_name, table_cell, text_of_cell
from forestpilot.data_collection.episodes.seals import (
    read_sealed,
    read_sealed_json,
    write_sealed,
    write_sealed_json,
)
from forestpilot.policies.evaluation.intervals import paired_difference, rate_interval, wilson_interval
from forestpilot.sim.outcomes import ENDS, Outcome, episode_return, succeeded, told

if TYPE_CHECKING:
    from forestpilot.data_collection.rollouts.results import EpisodeResult
    from forestpilot.policies.evaluation.gap import ImitationGap

SUMMARY_FORMAT = 2
"""Format of summary.json: 1 held scores and pairs, 2 says what they are of."""
INTERVENTION_S = 6.0
"""What an intervention costs in PilotNet's autonomy: the time a human needs to take over, recenter and hand back
(Bojarski et al. 2016, arXiv:1604.07316, section 7.1), seconds."""
LEAST_DISTANCE_M = 1e-3
"""An episode that was over at once covers no distance, and a rate needs some."""


@dataclass(frozen=True)
class OutcomeRow:
    """Outcome of an episode: one row of outcomes.csv."""

    policy: str
    """Name of the policy."""
    seed: int
    """Seed of the world."""
    outcome: str
    """success, collision, out_of_bounds or timeout."""
    progress_m: float
    """Metres made good towards the goal."""
    time_s: float
    """Duration in seconds."""
    min_clearance_m: float
    """Least distance to a tree or obstacle in metres."""
    mean_speed_mps: float
    """Mean speed in m/s."""
    distance_m: float = 0.0
    """Length of the way in metres; 0 where an older version did not note it."""
    interventions: int = 0
    """How often the vehicle was put back on its way."""
    off_line_s: float = 0.0
    """Time spent off the line, in seconds."""
    speed: float | None = None
    """Speed set point in m/s."""
    preset: str = ""
    """Preset of the worlds; empty where nobody noted it."""
    task: str = ""
    """Name of the task; empty in files of version 0.1."""
    rule: str = ""
    """When the vehicle is put back; empty in files of version 0.1, and where it never can be."""
    renderer: str = ""
    """Renderer of the pictures; empty in files of version 0.1."""
    fingerprint: str = ""
    """Which weights, or which code, acted; empty in files of version 0.1."""
    options: Mapping[str, float | str] = field(default_factory=dict, hash=False)
    """The task's own scenario fields, such as `density` or `length`."""

    @property
    def succeeded(self) -> bool:
        """True where the goal was reached without help; to arrive with somebody's help is no success."""
        return succeeded(self.outcome, self.interventions)

    @property
    def episode_return(self) -> float:
        """Sum of its rewards: metres of progress, less 10 for a crash and for every intervention."""
        return episode_return(self.outcome, self.progress_m, self.interventions)

    @property
    def end(self) -> str:
        """The outcome in a reader's words."""
        return told(self.outcome, self.interventions)

    @property
    def counted_interventions(self) -> int:
        """Interventions, and one more where time ran out: it would have needed another, or crawling were autonomy."""
        return self.interventions + (self.outcome == Outcome.TIMEOUT)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> OutcomeRow:
        """The row that a file holds, or that an episode makes; columns that it does not know are the task's options.

        Args:
            values: by column, text or numbers.

        Raises:
            KeyError: a column is missing.
            TypeError: the row is too short.
            ValueError: a value is no finite number, or an outcome that no episode has.
        """
        if problem_of_file_name(values["policy"] or "") or values["outcome"] not in ENDS:
            raise ValueError(f"its policy is {values['policy']!r} and its outcome {values['outcome']!r}")
        known: dict[str, Any] = {}
        for name in FIGURES:
            known[name] = _number(name, values[name])
        for name in LATER_FIGURES:
            known[name] = _number(name, values.get(name) or 0.0)
        for name in TEXTS:
            known[name] = str(values.get(name) or "")
        return cls(
            policy=values["policy"],
            seed=_seed(values["seed"]),
            outcome=values["outcome"],
            interventions=int(values.get("interventions") or 0),
            speed=_optional("speed", values.get("speed")),
            options=_options(values),
            **known,
        )

    @classmethod
    def of_episode(cls, values: Mapping[str, Any], env_kwargs: Mapping[str, Any]) -> OutcomeRow:
        """The row of an episode: what is known of it, rounded, and the arguments of its environment.

        Raises:
            KeyError, TypeError, ValueError: see `from_values`.
        """
        told = {name: value for name, value in env_kwargs.items() if name not in COMMON_ARGUMENTS}
        for name in OUTCOME_FIELDS:
            told[name] = values.get(name, env_kwargs.get(name))
        told["rule"] = env_kwargs.get("interventions")
        row = cls.from_values(told)
        rounded = {name: round(getattr(row, name), decimals) for name, decimals in DECIMALS.items()}
        return dataclasses.replace(row, **rounded)

    @classmethod
    def of_result(cls, result: EpisodeResult, policy: str, task: str) -> OutcomeRow:
        """The row of an episode that has just been run.

        Args:
            result: the episode.
            policy: name that its pilot goes by.
            task: name of the task.
        """
        scenario = result.scenario
        known = {**result.figures, "policy": policy, "task": task, "seed": scenario.seed}
        return cls.of_episode(known, scenario.env_kwargs)

    def to_values(self) -> dict[str, Any]:
        """This row by column, as `from_values` takes it."""
        values = {**vars(self), **self.options, "success": int(self.succeeded)}
        del values["options"]
        return values


COMMON_ARGUMENTS = ("preset", "speed", "control_hz", "width", "height", "renderer", "domain_randomisation", "advisor")
"""Arguments of every environment; the others are the task's options."""
FIGURES = ("progress_m", "time_s", "min_clearance_m", "mean_speed_mps")
"""Figures that every row has."""
LATER_FIGURES = ("distance_m", "off_line_s")
"""Figures that the first files did not have."""
DECIMALS = {
    "progress_m": 3,
    "time_s": 3,
    "min_clearance_m": 4,
    "mean_speed_mps": 3,
    "distance_m": 3,
    "off_line_s": 3,
}
"""Digits after the point that an episode's row has."""
TEXTS = ("preset", "task", "rule", "renderer", "fingerprint")
OUTCOME_FIELDS = (
    "policy",
    "seed",
    "outcome",
    "success",
    *FIGURES,
    "distance_m",
    "interventions",
    "off_line_s",
    "speed",
    *TEXTS,
)
"""Columns of every outcomes.csv; a task's options follow them."""


def _options(values: Mapping[str, Any]) -> dict[str, float | str]:
    """The values of columns that not every task has."""
    options: dict[str, float | str] = {}
    for name, value in values.items():
        if name is None or name in OUTCOME_FIELDS or value in (None, ""):
            continue
        try:
            options[name] = _number(name, value)
        except (TypeError, ValueError):
            options[name] = str(value)
    return options


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise ValueError(f"its seed is {seed}")
    return seed


def _number(name: str, text: Any) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"its {name} is {text}")
    return value


def _optional(name: str, text: Any) -> float | None:
    if text in (None, ""):
        return None
    return _number(name, text)


def write_outcomes(path: Path, rows: Sequence[OutcomeRow]) -> None:
    """Write outcomes.csv, one line for each episode; a damaged one that is there is set aside."""
    options: dict[str, None] = {}
    for row in rows:
        options |= dict.fromkeys(row.options)
    columns = (*OUTCOME_FIELDS, *options)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = row.to_values()
        writer.writerow({key: table_cell(value) if isinstance(value, str) else value for key, value in values.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(path, text.getvalue().encode())


def read_outcomes(path: Path, broken: Callable[[int, Exception], None] | None = None) -> list[OutcomeRow]:
    """The rows of an outcomes.csv, of this version or of version 0.1.

    Args:
        path: the file.
        broken: is told the line and what is wrong with it, and the line is left out; by default it is raised.

    Raises:
        OSError: the file cannot be read.
        DamagedFileError: it is not as it was written.
        csv.Error: it is no table.
        KeyError, TypeError, ValueError: a row cannot be read, and nobody is there to be told.
    """
    rows = []
    content = read_sealed(path, "run the same `forestpilot evaluate` again, it makes the table anew from its episodes")
    reader = csv.DictReader(io.StringIO(content.decode(errors="replace"), newline=""))
    for cells in reader:
        values = {key: text_of_cell(cell) if isinstance(cell, str) else cell for key, cell in cells.items()}
        try:
            rows.append(OutcomeRow.from_values(values))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if broken is None:
                raise
            broken(reader.line_num, error)
    return rows


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
