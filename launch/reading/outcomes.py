"""What `forestpilot evaluate` found out, row by row, and which of its episodes to look at."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forestpilot.sim.errors import ForestPilotError


class ReplayError(ForestPilotError):
    """A stored episode cannot be read or found, or what is asked for cannot be made of it."""


@dataclass(frozen=True)
class Outcome:
    """One row of outcomes.csv."""

    policy: str
    """Name of the policy."""
    seed: int
    """Seed of the world."""
    outcome: str
    """success, collision, out_of_bounds or timeout."""
    min_clearance_m: float
    """Least distance to a tree or obstacle in metres."""
    progress_m: float
    """Distance made good towards the goal in metres."""
    interventions: int = 0
    """How often a car was put back."""

    @property
    def succeeded(self) -> bool:
        """Whether the goal was reached, and without help."""
        return self.outcome == "success" and self.interventions == 0

    @property
    def end(self) -> str:
        """The outcome in a word; to arrive with somebody's help is no success."""
        return "helped" if self.outcome == "success" and self.interventions else self.outcome


def read_outcomes(folder: Path) -> list[Outcome]:
    """The rows of `folder/outcomes.csv`.

    Raises:
        ReplayError: the file is missing or lacks a column.
    """
    path = folder / "outcomes.csv"
    if not path.is_file():
        raise ReplayError(f"there is no {path}; give the folder that `forestpilot evaluate` wrote")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_read_row(row) for row in csv.DictReader(file)]
    except (KeyError, ValueError, TypeError) as error:
        raise ReplayError(f"{path} cannot be read: {type(error).__name__} {error}") from error


def _read_row(row: dict[str, str]) -> Outcome:
    clearance_m, progress_m = float(row["min_clearance_m"]), float(row["progress_m"])
    interventions = int(row.get("interventions") or 0)
    return Outcome(row["policy"], int(row["seed"]), row["outcome"], clearance_m, progress_m, interventions)


def choose_episodes(
    outcomes: Sequence[Outcome], worst: int = 0, best: int = 0, seeds: Sequence[int] = (), policies: Sequence[str] = ()
) -> list[Outcome]:
    """The episodes asked for, each once: the worst first, then the best, then the seeds; all if nothing is asked for.

    Raises:
        ReplayError: a policy or seed is not among the outcomes, or there are no episodes at all.
    """
    _require_policies(outcomes, policies)
    rows = [row for row in outcomes if not policies or row.policy in policies]
    if not rows:
        raise ReplayError("outcomes.csv has no episodes; evaluate again")
    missing = sorted(set(seeds) - {row.seed for row in rows})
    if missing:
        raise ReplayError(
            f"no episode through world {missing[0]}; there are worlds {_ranges([row.seed for row in rows])}"
        )
    if not (worst or best or seeds):
        return rows
    by_badness = sorted(rows, key=lambda row: (row.succeeded, -row.interventions, row.min_clearance_m, row.seed))
    successes = [row for row in reversed(by_badness) if row.succeeded]
    chosen = [*by_badness[:worst], *successes[:best], *(row for row in rows if row.seed in seeds)]
    return list(dict.fromkeys(chosen))


def choose_worlds(
    outcomes: Sequence[Outcome], worst: int = 0, best: int = 0, seeds: Sequence[int] = (), policies: Sequence[str] = ()
) -> list[list[Outcome]]:
    """The episodes to show side by side, one list for each world, in the order of the policies.

    The first policy's worst and best choose among the worlds that all of them ran.

    Raises:
        ReplayError: fewer than two policies, or no world, or not the one asked for, that all of them ran.
    """
    _require_policies(outcomes, policies)
    names = list(dict.fromkeys(policies or [row.policy for row in outcomes]))
    if len(names) < 2:
        raise ReplayError(
            f"side by side needs at least two policies, and there are episodes of {', '.join(names) or 'none'}; "
            "evaluate several with --policy A --policy B"
        )
    ran = {name: {row.seed: row for row in outcomes if row.policy == name} for name in names}
    shared = set.intersection(*(set(rows) for rows in ran.values()))
    told = "; ".join(f"{name} ran worlds {_ranges(list(rows))}" for name, rows in ran.items())
    if not shared:
        raise ReplayError(f"no world was run by all of {', '.join(names)}: {told}")
    if missing := sorted(set(seeds) - shared):
        raise ReplayError(f"world {missing[0]} was not run by all of {', '.join(names)}: {told}")
    first = [row for seed, row in ran[names[0]].items() if seed in shared]
    chosen = choose_episodes(first, worst, best, seeds)
    return [[ran[name][row.seed] for name in names] for row in chosen]


def choose_near_misses(
    outcomes: Sequence[Outcome], count: int, seeds: Sequence[int] = (), policies: Sequence[str] = ()
) -> tuple[list[Outcome], int]:
    """The successes with the smallest clearance, the closest first, and the number of all successes.

    Raises:
        ReplayError: no episode succeeded.
    """
    rows = [row for row in choose_episodes(outcomes, seeds=seeds, policies=policies) if row.succeeded]
    if not rows:
        raise ReplayError("no episode succeeded, so there is no near miss; --worst 3 --video FOLDER shows failures")
    return sorted(rows, key=lambda row: (row.min_clearance_m, row.seed, row.policy))[:count], len(rows)


def _require_policies(outcomes: Sequence[Outcome], policies: Sequence[str]) -> None:
    """Raise ReplayError where there are no episodes of a policy."""
    known = sorted({row.policy for row in outcomes})
    for policy in policies:
        if policy not in known:
            raise ReplayError(f"no episodes of policy {policy!r}; there are episodes of {', '.join(known) or 'none'}")


def _ranges(seeds: Sequence[int]) -> str:
    return f"{min(seeds)} to {max(seeds)}" if seeds else "none"
