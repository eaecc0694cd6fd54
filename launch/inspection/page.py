"""The page about datasets, of the same make as that of `forestpilot report`."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.launch.inspection import sections
from forestpilot.launch.inspection.checks import find_bad
from forestpilot.launch.inspection.human import Hand, hand_of
from forestpilot.launch.inspection.survey import Finding, Survey
from forestpilot.launch.pages.blocks import Section
from forestpilot.launch.pages.page import Page, render


@dataclass
class Inspection:
    """A dataset, looked at."""

    survey: Survey
    """What is in it."""
    findings: list[Finding]
    """What is wrong with it."""
    hand: Hand | None
    """How a human steered; None where nobody did."""


def look_at(survey: Survey, replays: int, progress: Progress | None = None) -> Inspection:
    """Look for bad episodes and at a human's hand.

    Args:
        survey: what is in the dataset.
        replays: episodes that may be simulated again to compare a human with the expert.
        progress: who watches.
    """
    return Inspection(survey, find_bad(survey), hand_of(survey, replays, progress))


def page_of(inspections: Sequence[Inspection], command: str) -> str:
    """One page about all datasets, as HTML."""
    parts = [part for number, inspection in enumerate(inspections) for part in _parts(inspection, number, inspections)]
    if len(inspections) > 1:
        looked_at = [(inspection.survey, inspection.findings) for inspection in inspections]
        parts.insert(0, Section("overview", "Side by side", sections.overview_blocks(looked_at)))
    names = ", ".join(inspection.survey.name for inspection in inspections)
    when = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    subtitle = f"Made {when} by ForestPilot {package_version()}: {command}"
    return render(Page(f"ForestPilot dataset: {names}", subtitle, parts))


def _parts(inspection: Inspection, number: int, inspections: Sequence[Inspection]) -> list[Section]:
    """The sections of one dataset; its name stands before each title where there are several."""
    survey = inspection.survey
    before = f"{survey.name}: " if len(inspections) > 1 else ""
    parts = [
        ("counts", "What there is", sections.counts_blocks(survey, inspection.findings)),
        ("bad", f"Bad episodes ({_files(inspection.findings)})", sections.findings_blocks(inspection.findings)),
        ("pictures", "Pictures", sections.pictures_blocks(survey)),
        ("coverage", "Coverage", sections.coverage_blocks(survey)),
        ("labels", "Labels", sections.labels_blocks(survey)),
        ("sides", "Side cameras", sections.sides_blocks(survey)),
    ]
    if inspection.hand is not None:
        parts.append(("hand", "A human’s hand", sections.hand_blocks(survey, inspection.hand)))
    return [Section(f"{name}-{number}", before + title, blocks) for name, title, blocks in parts if blocks]


def _files(findings: Sequence[Finding]) -> int:
    return len({finding.file for finding in findings})


def default_path(folder: Path) -> Path:
    """Where the page goes unless something else is asked for."""
    return folder / "inspect.html"
