"""Rounds of an algorithm: what one came to, where its policy lies, and which was best."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.seals import read_sealed, write_sealed
from forestpilot.data_collection.rollouts.takeover import count_handovers
from forestpilot.sim.outcomes import CRASHES, Outcome


@dataclass(frozen=True)
class RoundResult:
    """Result of a round: one row of rounds.csv."""

    round: int
    """Number of the round; 0 is behavioural cloning."""
    beta: float
    """Probability that the expert acted in its episodes."""
    episodes: int
    """Episodes recorded so far, all rounds together."""
    labels: int
    """Labelled states so far."""
    rollout_success: float
    """Share of the round's training episodes that reached the goal."""
    validation_success: float | None
    """Share of the validation worlds in which the policy after this round reached the goal; None if it was not
    run."""
    validation_episodes: int
    """Number of validation worlds run."""
    low: float | None
    """Lower end of the 95 % Wilson interval of `validation_success`."""
    high: float | None
    """Upper end."""
    validation_interventions: int = 0
    """How often a car was put back on the validation roads, by PilotNet's measure."""
    visited: int = 0
    """States visited in the rounds after the first so far, labelled or not."""
    intervention_steps: int = 0
    """Of these, steps that the expert or a human drove."""
    takeovers: int = 0
    """How often one of them took over from the policy, so far."""
    mean_takeover_s: float = 0.0
    """Mean length of these takeovers in seconds."""
    context_switches: int = 0
    """Changes of the driver in the middle of an episode, so far."""
    crashes: int = 0
    """Episodes of the rounds after the first that ended in a collision or out of bounds, so far."""


ROUND_FIELDS = tuple(field.name for field in dataclasses.fields(RoundResult))


def count_round(headers: Sequence[EpisodeHeader], given: Sequence[EpisodeHeader], round_number: int) -> dict[str, Any]:
    """Counts over the episodes up to a round, as fields of `RoundResult`.

    Args:
        headers: of the run's own episodes up to this round.
        given: of the demonstrations that it was given; they count as episodes and labels, from round 0 on.
        round_number: the round.
    """
    # What begins again before a crash says nothing of the policy that crashed.
    first_runs = [header for header in headers if not header.rerun.take]
    own = [header for header in first_runs if header.meta.dagger_round == round_number] or list(given)
    later = [header for header in first_runs if header.meta.dagger_round > 0]
    handovers = count_handovers(header.actor for header in later)
    ends = [header.meta.outcome for header in later]
    arrived = [header.meta.outcome for header in own].count(Outcome.SUCCESS)
    steps_per_s = later[0].meta.control_hz if later else 1
    return {
        "episodes": len(headers) + len(given),
        "labels": sum(header.num_labels for header in (*headers, *given)),
        "rollout_success": arrived / max(len(own), 1),
        "visited": sum(header.num_steps for header in later),
        "intervention_steps": handovers.intervention_steps,
        "takeovers": handovers.takeovers,
        "mean_takeover_s": handovers.intervention_steps / max(handovers.takeovers, 1) / steps_per_s,
        "context_switches": handovers.context_switches,
        "crashes": sum(map(ends.count, CRASHES)),
    }


def best_round(results: Sequence[RoundResult]) -> RoundResult:
    """The round that did best on the validation worlds: the fewest interventions, then the most successes; of equals
    the later one, which has seen more."""
    validated = [r for r in results if r.validation_success is not None]
    return max(validated, key=lambda r: (-r.validation_interventions, r.validation_success, r.round))


def round_folder(run: Path, round_number: int) -> Path:
    """Where the policy of a round lies."""
    return run / "rounds" / f"round-{round_number:02d}"


def member_folder(run: Path, round_number: int, member: int) -> Path:
    """Where the policy of a member of the ensemble lies; the first member is the round's policy."""
    folder = round_folder(run, round_number)
    if member == 0:
        return folder
    return folder / f"member-{member}"


def read_rounds(run: Path) -> list[RoundResult]:
    """The rounds of a run, as its rounds.csv tells.

    Raises:
        FileNotFoundError: there is none.
        DamagedFileError: it is not as it was written.
    """
    whole = {name for name, hint in get_type_hints(RoundResult).items() if hint is int}
    results = []
    for row in csv.DictReader(io.StringIO(read_sealed(run / "rounds.csv").decode())):
        values = {name: _value(row[name], name in whole) for name in ROUND_FIELDS}
        results.append(RoundResult(**values))
    return results


def _value(text: str, is_whole: bool) -> Any:
    """A value of rounds.csv."""
    if not text:
        return None
    return int(text) if is_whole else float(text)


def write_rounds(run: Path, results: Sequence[RoundResult]) -> Path | None:
    """Write rounds.csv; returns where the one lies now that was there before, if that was damaged."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ROUND_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(r) for r in results)
    return write_sealed(run / "rounds.csv", text.getvalue().encode())
