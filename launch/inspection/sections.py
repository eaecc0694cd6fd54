"""What the page says about one dataset: how much there is, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from forestpilot.launch.inspection.checks import by_kind, files_of
from forestpilot.launch.inspection.measures import STRAIGHT_DEG, Round, center_steering, drivers_of, rounds_of
from forestpilot.launch.inspection.survey import Finding, Survey
from forestpilot.launch.pages.blocks import Table, Text, percent, table_of
from forestpilot.sim.outcomes import told

SHOWN_FILES = 6
"""Files of one kind of finding that are named one by one."""
MANY_AT_LIMIT = 0.1
"""More labels than this share at the limit of the turn are worth a word."""
Blocks = list[Any]
"""Paragraphs, tables and diagrams."""


def overview_blocks(surveys: Sequence[tuple[Survey, Sequence[Finding]]]) -> Blocks:
    """Several datasets beside one another."""
    return [table_of([_overview_row(survey, findings) for survey, findings in surveys])]


def _overview_row(survey: Survey, findings: Sequence[Finding]) -> dict[str, str]:
    steering = center_steering(survey)
    return {
        "dataset": survey.name,
        "task": survey.spec.task,
        "episodes": str(len(survey.records)),
        "steps": f"{survey.num_steps:,}",
        "labels": f"{survey.num_labels:,}",
        "who drove": _drivers(drivers_of(survey.records)),
        "straight": percent(steering.straight),
        "spread of the turn": f"{steering.spread_deg:.1f}°",
        "at the limit": percent(steering.at_limit, 1),
        "bad files": str(files_of(findings)),
    }


def counts_blocks(survey: Survey, findings: Sequence[Finding]) -> Blocks:
    """Counts: how much there is, who drove, how it ended."""
    rounds = rounds_of(survey)
    minutes = survey.num_steps / survey.spec.control_hz / 60
    text = (
        f"{len(survey.records)} episodes, {survey.num_steps:,} steps ({minutes:.1f} minutes at "
        f"{survey.spec.control_hz} Hz), {survey.num_labels:,} with something to learn; pictures of "
        f"{survey.spec.image_width} x {survey.spec.image_height} drawn by {survey.spec.renderer}. "
        f"On disk: {survey.disk}."
    )
    if survey.num_discarded:
        text += f" Not counted: {_counted(survey.num_discarded, 'discarded episode')}."
    blocks: Blocks = [Text(text), Text(_verdict(survey, findings), "verdict"), _rounds_table(rounds)]
    if any(row.handovers.takeovers for row in rounds):
        blocks.append(
            Text(
                "A takeover is a change from the policy to somebody else in the middle of an episode, or at its first "
                "step; switches count changes in both directions. Where expert and policy are mixed by a coin, every "
                "toss that changes the driver counts."
            )
        )
    return blocks


def _verdict(survey: Survey, findings: Sequence[Finding]) -> str:
    """The first things to look at, in a sentence or two."""
    steering = center_steering(survey)
    says = [f"{percent(steering.straight)} of the labels are straight ahead (within {STRAIGHT_DEG:g}°)"]
    if steering.leaning:
        says.append(f"turns lean to the {steering.leaning}; training mirrors pictures, which evens that out")
    if steering.at_limit > MANY_AT_LIMIT:
        says.append(f"{percent(steering.at_limit)} are at the limit of the turn")
    bad = files_of(findings)
    says.append(f"{_counted(bad, 'file')} to look at" if bad else "nothing is wrong with any file")
    return "; ".join(says) + "."


def _counted(count: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def _rounds_table(rounds: Sequence[Round]) -> Table:
    """One row for each DAgger round."""
    mixed = any(row.handovers.takeovers for row in rounds)
    return table_of([_round_row(row, mixed) for row in rounds])


def _round_row(row: Round, mixed: bool) -> dict[str, str]:
    """A round; with its takeovers if there are any in some round."""
    is_demonstration = row.number == 0 and "policy" not in row.drivers
    cells = {
        "round": "0, demonstrations" if is_demonstration else str(row.number),
        "episodes": str(row.episodes),
        "steps": f"{row.steps:,}",
        "labels": f"{row.labels:,}",
        "who drove": _drivers(row.drivers),
        "how it ended": _ends(row.outcomes),
    }
    if mixed:
        cells["takeovers"] = str(row.handovers.takeovers)
        cells["mean length"] = f"{row.mean_takeover_s:.1f} s" if row.handovers.takeovers else "–"
        cells["switches"] = str(row.handovers.context_switches)
    return cells


def _drivers(shares: dict[str, float]) -> str:
    """Drivers, with their shares where it was not one alone."""
    if len(shares) == 1:
        return ", ".join(shares)
    return ", ".join(f"{name} {percent(share)}" for name, share in shares.items())


def _ends(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {told(name)}" for name, count in outcomes.most_common())


def findings_blocks(findings: Sequence[Finding]) -> Blocks:
    """Bad episodes by kind, each with why and what to do."""
    if not findings:
        return [
            Text(
                "Nothing was found: every file can be read and matches its checksum, all numbers are finite and in "
                "range, no camera is frozen or dark, no demonstration crashed, none is very short or stopped early."
            )
        ]
    return [Text(_finding_text(kind, group), "warning") for kind, group in by_kind(findings).items()]


def _finding_text(kind: str, group: Sequence[Finding]) -> Markup:
    """A kind of finding with its files; in the markup of a paragraph."""
    advice = " ".join(dict.fromkeys(finding.advice for finding in group))
    lines = [Markup("<b>{}</b> ({}). {}").format(kind, _counted(len(group), "file"), advice)]
    for finding in group[:SHOWN_FILES]:
        lines.append(Markup("<code>{}</code>: {}").format(finding.file, finding.why))
    if len(group) > SHOWN_FILES:
        others = ", ".join(finding.file for finding in group[SHOWN_FILES:])
        lines.append(Markup("and <code>{}</code>").format(others))
    return Markup("<br>").join(lines)
