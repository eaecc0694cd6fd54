"""What `forestpilot evaluate` found out, row by row, and which of its episodes to look at."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forestpilot.policies.evaluation import outcome_rows
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow
from forestpilot.sim.errors import ForestPilotError


class ReplayError(ForestPilotError):
    """A stored episode cannot be read or found, or what is asked for cannot be made of it."""


@dataclass(frozen=True)
class Choice:
    """Episodes of an evaluation to look at; all if nothing is asked for."""

    worst: int = 0
    """Number of worst episodes: failures first, the most interventions first, then the smallest clearance."""
    best: int = 0
    """Number of best episodes: successes with the largest clearance."""
    seeds: Sequence[int] = ()
    """World seeds."""
    policies: Sequence[str] = ()
    """Only episodes of the policies of these names; all if empty."""

    @property
    def takes_all(self) -> bool:
        """True where every episode of the policies is meant."""
        return not (self.worst or self.best or self.seeds)


def read_outcomes(folder: Path) -> list[OutcomeRow]:
    """The rows of `folder/outcomes.csv`.

    Raises:
        ReplayError: the file is missing or lacks a column.
    """
    path = folder / "outcomes.csv"
    if not path.is_file():
        raise ReplayError(f"there is no {path}; give the folder that `forestpilot evaluate` wrote")
    try:
        return outcome_rows.read_outcomes(path)
    except (OSError, csv.Error, KeyError, ValueError, TypeError) as error:
        raise ReplayError(f"{path} cannot be read: {type(error).__name__} {error}") from error


def badness(row: OutcomeRow) -> tuple[bool, int, float, int]:
    """Sorts the worst episode first: failures, the most interventions, the smallest clearance."""
    return row.succeeded, -row.interventions, row.min_clearance_m, row.seed


def choose_episodes(outcomes: Sequence[OutcomeRow], choice: Choice) -> list[OutcomeRow]:
    """The episodes asked for, each once: the worst first, then the best, then the seeds.

    Raises:
        ReplayError: a policy or seed is not among the outcomes, or there are no episodes at all.
    """
    rows = _of_policies(outcomes, choice.policies)
    if not rows:
        raise ReplayError("outcomes.csv has no episodes; evaluate again")
    run = _seeds(rows)
    if missing := sorted(set(choice.seeds) - set(run)):
        raise ReplayError(f"no episode through world {missing[0]}; there are worlds {_range(run)}")
    if choice.takes_all:
        return rows
    by_badness = sorted(rows, key=badness)
    chosen = by_badness[: choice.worst]
    successes = list(filter(_succeeded, reversed(by_badness)))
    chosen += successes[: choice.best]
    for row in rows:
        if row.seed in choice.seeds:
            chosen.append(row)
    return list(dict.fromkeys(chosen))


def choose_worlds(outcomes: Sequence[OutcomeRow], choice: Choice) -> list[list[OutcomeRow]]:
    """The episodes to show side by side, one list for each world, in the order of the policies.

    The first policy's worst and best choose among the worlds that all of them ran.

    Raises:
        ReplayError: fewer than two policies, or no world, or not the one asked for, that all of them ran.
    """
    ran = _by_policy(_of_policies(outcomes, choice.policies), choice.policies)
    names = ", ".join(ran)
    if len(ran) < 2:
        raise ReplayError(
            f"side by side needs at least two policies, and there are episodes of {names or 'none'}; "
            "evaluate several with --policy A --policy B"
        )
    shared = set.intersection(*map(set, ran.values()))
    told = "; ".join(f"{name} ran worlds {_range(list(rows))}" for name, rows in ran.items())
    if not shared:
        raise ReplayError(f"no world was run by all of {names}: {told}")
    if missing := sorted(set(choice.seeds) - shared):
        raise ReplayError(f"world {missing[0]} was not run by all of {names}: {told}")
    first = next(iter(ran.values()))
    candidates = [row for row in first.values() if row.seed in shared]
    worlds = []
    for chosen in choose_episodes(candidates, dataclasses.replace(choice, policies=())):
        worlds.append([rows[chosen.seed] for rows in ran.values()])
    return worlds


def choose_near_misses(outcomes: Sequence[OutcomeRow], count: int, choice: Choice) -> tuple[list[OutcomeRow], int]:
    """The successes with the smallest clearance, the closest first, and the number of all successes.

    Raises:
        ReplayError: no episode succeeded.
    """
    rows = list(filter(_succeeded, choose_episodes(outcomes, dataclasses.replace(choice, worst=0, best=0))))
    if not rows:
        raise ReplayError("no episode succeeded, so there is no near miss; --worst 3 --video FOLDER shows failures")
    rows.sort(key=lambda row: (row.min_clearance_m, row.seed, row.policy))
    return rows[:count], len(rows)


def _succeeded(row: OutcomeRow) -> bool:
    return row.succeeded


def _seeds(rows: Sequence[OutcomeRow]) -> list[int]:
    return [row.seed for row in rows]


def _of_policies(outcomes: Sequence[OutcomeRow], policies: Sequence[str]) -> list[OutcomeRow]:
    """The episodes of these policies, of all if there are none.

    Raises:
        ReplayError: there are no episodes of a policy.
    """
    known = sorted({row.policy for row in outcomes})
    for policy in policies:
        if policy not in known:
            raise ReplayError(f"no episodes of policy {policy!r}; there are episodes of {', '.join(known) or 'none'}")
    return [row for row in outcomes if row.policy in (policies or known)]


def _by_policy(rows: Sequence[OutcomeRow], order: Sequence[str]) -> dict[str, dict[int, OutcomeRow]]:
    """World to episode for each policy; those of `order` first, in that order."""
    found: dict[str, dict[int, OutcomeRow]] = {}
    for name in order:
        found[name] = {}
    for row in rows:
        found.setdefault(row.policy, {})[row.seed] = row
    return found


def _range(seeds: Sequence[int]) -> str:
    """The least and the largest seed."""
    if not seeds:
        return "none"
    return f"{min(seeds)} to {max(seeds)}"
