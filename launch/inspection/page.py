"""The page about datasets, of the same make as that of `forestpilot report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.launch.inspection import content, sections
from forestpilot.launch.inspection.checks import files_of, find_bad
from forestpilot.launch.inspection.human import Hand, hand_of
from forestpilot.launch.inspection.survey import Finding, Survey
from forestpilot.launch.pages.blocks import Section
from forestpilot.launch.pages.dates import utc_words
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
    parts: list[Section] = []
    if len(inspections) > 1:
        looked_at = [(inspection.survey, inspection.findings) for inspection in inspections]
        parts.append(Section("overview", "Side by side", sections.overview_blocks(looked_at)))
    for number, inspection in enumerate(inspections):
        parts += _parts(inspection, number, inspections)
    names = ", ".join(inspection.survey.name for inspection in inspections)
    subtitle = f"Made {utc_words()} by ForestPilot {package_version()}: {command}"
    return render(Page(f"ForestPilot dataset: {names}", subtitle, parts))


def _parts(inspection: Inspection, number: int, inspections: Sequence[Inspection]) -> list[Section]:
    """The sections of one dataset; its name stands before each title where there are several."""
    survey = inspection.survey
    before = f"{survey.name}: " if len(inspections) > 1 else ""
    parts = [
        ("counts", "What there is", sections.counts_blocks(survey, inspection.findings)),
        ("bad", f"Bad episodes ({files_of(inspection.findings)})", sections.findings_blocks(inspection.findings)),
        ("pictures", "Pictures", content.pictures_blocks(survey)),
        ("coverage", "Coverage", content.coverage_blocks(survey)),
        ("labels", "Labels", content.labels_blocks(survey)),
        ("sides", "Side cameras", content.sides_blocks(survey)),
    ]
    if inspection.hand is not None:
        parts.append(("hand", "A human’s hand", content.hand_blocks(survey, inspection.hand)))
    return [Section(f"{name}-{number}", before + title, blocks) for name, title, blocks in parts if blocks]


def default_path(folder: Path) -> Path:
    """Path of the page unless something else is asked for."""
    return folder / "inspect.html"
