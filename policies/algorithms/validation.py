"""A policy on the validation worlds: run once, kept beside it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from forestpilot.data_collection.episodes.migration import migrate_row
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.seals import (
    DamagedFileError,
    read_sealed_json,
    set_aside,
    write_sealed_json,
)
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.evaluation.intervals import wilson_interval
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow
from forestpilot.policies.evaluation.pilots import PolicyFactory

FILE = "validation.json"


class Validation(NamedTuple):
    """Result of a round's policy on the validation worlds."""

    successes: int = 0
    """Worlds in which it reached the goal by itself."""
    episodes: int = 0
    """Number of worlds; 0 where it was not run."""
    interventions: int = 0
    """How often it was put back on its way."""

    @property
    def success(self) -> float | None:
        """Share of the worlds; None where it was not run."""
        if self.episodes == 0:
            return None
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float] | tuple[None, None]:
        """95 % Wilson interval of the share."""
        if self.episodes == 0:
            return None, None
        return wilson_interval(self.successes, self.episodes)


def validate_policy(
    folder: Path, config: AlgorithmConfig, pool: RolloutPool, progress: Progress, what: str
) -> Validation:
    """Run the policy in a folder on the validation worlds, or read what came out when that was done.

    Args:
        folder: of the policy, where the result is kept.
        config: says which worlds.
        pool: runs them.
        progress: who watches.
        what: is shown meanwhile.
    """
    path = folder / FILE
    stored = _stored(path, progress)
    if stored is not None:
        return stored
    scenarios = tuple(config.held_out_scenarios("validation", config.validation_episodes))
    job = Job(config.task, scenarios, PolicyFactory(str(folder), folder.name))
    finished = pool.run(job, progress, what)
    seen = Validation(
        successes=sum(result.succeeded for result in finished),
        episodes=len(finished),
        interventions=sum(result.interventions for result in finished),
    )
    rows = [OutcomeRow.of_result(result, folder.name, config.task).to_values() for result in finished]
    write_sealed_json(path, {**seen._asdict(), "rows": rows})
    return seen


def _stored(path: Path, progress: Progress) -> Validation | None:
    """The result in a file; None where there is none, or a damaged one, which is set aside."""
    if not path.exists():
        return None
    try:
        stored = migrate_row(read_sealed_json(path))
    except DamagedFileError:
        progress.note(f"warning: {path} was cut or altered; it is now {set_aside(path)}, and is made again")
        return None
    return Validation(stored["successes"], stored["episodes"], stored["interventions"])
