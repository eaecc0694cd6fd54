"""Rows of outcomes.csv, a line for each episode of an evaluation.

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

from forestpilot.data_collection.episodes.names import problem_of_file_name, table_cell, text_of_cell
from forestpilot.data_collection.episodes.seals import read_sealed, write_sealed
from forestpilot.sim.outcomes import ENDS, Outcome, episode_return, succeeded, told

if TYPE_CHECKING:
    from forestpilot.data_collection.rollouts.results import EpisodeResult


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
