"""From folders to a page: reads, compares, replays, and puts the sections in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.launch.pages.blocks import FilmCard, SceneCard, Scenes, Section, Text
from forestpilot.launch.pages.dates import utc_words
from forestpilot.launch.pages.page import Page, fit_videos
from forestpilot.launch.reading.runs import Runs, read_runs
from forestpilot.launch.reports.arms import Arm, gather_arms
from forestpilot.launch.reports.comparison import compare_arms
from forestpilot.launch.reports.failures import Look, choose_episodes, make_scenes
from forestpilot.launch.reports.learning import rounds_section, study_section, training_section
from forestpilot.launch.reports.provenance import provenance_section
from forestpilot.launch.reports.results import distributions_section, pairs_section, results_section
from forestpilot.launch.reports.settings import settings_section
from forestpilot.launch.reports.worlds import worlds_section
from forestpilot.sim.errors import ForestPilotError


class ReportError(ForestPilotError):
    """There is nothing to report."""

    exit_code = 1


@dataclass(frozen=True)
class Wishes:
    """Content that is wished for in a report."""

    failures: int
    """Number of worst episodes to look at."""
    look: Look
    """How closely."""
    replays: int
    """Episodes of each arm replayed beside the expert."""
    budget_bytes: int
    """How large the page may be."""
    command: str
    """What was asked for, as a command line."""


def build(folders: Sequence[Path], wishes: Wishes, progress: Progress) -> str:
    """The report on these folders as HTML.

    Raises:
        ReportError: none of them holds anything that can be reported.
    """
    page, scenes = make_page(folders, wishes, progress)
    return fit_videos(page, scenes, wishes.budget_bytes)


def make_page(folders: Sequence[Path], wishes: Wishes, progress: Progress) -> tuple[Page, list[SceneCard | FilmCard]]:
    """The page of a report, and those of its parts that are large, the most important first.

    Raises:
        ReportError: none of the folders holds anything that can be reported.
    """
    runs = read_runs(folders)
    if not runs.says_something:
        raise ReportError(f"there is nothing to report. {' '.join(runs.notes)}")
    notes = list(runs.notes)
    arms = gather_arms(runs.evaluations, notes)
    scenes: list[SceneCard] = []
    if wishes.failures:
        scenes = make_scenes(choose_episodes(arms, wishes.failures), wishes.look, progress)
    sections = [*_result_sections(arms, scenes), *_learning_sections(runs), *_episode_sections(arms, wishes, progress)]
    films: list[FilmCard] = []
    if any(run.says_something for run in runs.worlds):
        worlds, films = worlds_section(runs.worlds, wishes.look.videos)
        sections.append(worlds)
    if any(run.says_something for run in runs.trainings):
        sections.append(training_section(runs.trainings))
    sections.append(provenance_section(runs, wishes.command))
    names = ", ".join(dict.fromkeys(folder.resolve().name for folder in folders))
    page = Page(f"ForestPilot report: {names}", f"{_what(runs, arms)} {utc_words()}.", sections, notes)
    return page, [*scenes, *films]


def _what(runs: Runs, arms: Sequence[Arm]) -> str:
    """Runs and episodes that are reported on, counted."""
    counts = {
        "episode": sum(len(arm.episodes) for arm in arms),
        "arm": len(arms),
        **{f"{title} run": count for title, count in Counter(run.trained_by for run in runs.daggers).items()},
        "training": len(runs.trainings),
        "study": len(runs.studies),
        "world model": len(runs.worlds),
    }
    told = [_counted(count, name) for name, count in counts.items() if count]
    return f"{', '.join(told)}."


def _counted(count: int, name: str) -> str:
    """`1 study`, `2 studies`, `3 misses`."""
    if count == 1:
        return f"1 {name}"
    if name.endswith("y"):
        return f"{count:,} {name[:-1]}ies"
    return f"{count:,} {name}es" if name.endswith("s") else f"{count:,} {name}s"


def _by_task(arms: Sequence[Arm]) -> dict[str, list[Arm]]:
    """The arms of each task that has any, in the order met."""
    by_task: dict[str, list[Arm]] = {}
    for arm in arms:
        by_task.setdefault(arm.task, []).append(arm)
    return by_task


def _result_sections(arms: Sequence[Arm], scenes: Sequence[SceneCard]) -> list[Section]:
    """Sections on outcomes of episodes: results first, then the worst episodes, then what stands behind the results."""
    results: list[Section] = []
    behind: list[Section] = []
    settings: list[Section] = []
    for task, own in _by_task(arms).items():
        pairs, notes = compare_arms(own)
        results.append(results_section(task, own, pairs))
        if pairs or notes:
            behind.append(pairs_section(task, pairs, notes))
        by_setting = settings_section(task, own)
        if by_setting is not None:
            settings.append(by_setting)
    if scenes:
        results.append(_scenes_section(scenes))
    return [*results, *behind, *settings]


def _episode_sections(arms: Sequence[Arm], wishes: Wishes, progress: Progress) -> list[Section]:
    """Sections on the course of episodes: distributions, and what was done step by step."""
    sections = []
    for number, (task, own) in enumerate(_by_task(arms).items()):
        sections.append(distributions_section(task, own))
        if wishes.replays:
            from forestpilot.launch.reports.copycat import copycat_section

            sections.append(copycat_section(task, own, wishes.replays, progress, explain=number == 0))
    return sections


def _scenes_section(scenes: Sequence[SceneCard]) -> Section:
    failed = sum(scene.failed for scene in scenes)
    section = Section("failures", "Failures first" if failed else "No failures; the nearest misses")
    what = []
    if failed:
        what.append(
            f"The {_counted(failed, 'worst episode')}: the most interventions first, then the smallest clearance; arms "
            "with a network take turns, baselines are shown only where there is nothing else."
        )
    if near_misses := len(scenes) - failed:
        what.append(f"{_counted(near_misses, 'near miss')} of episodes that succeeded, the smallest clearance first.")
    what.append(
        "Each is simulated again from its seed and its actions, every state compared with the stored one. The films "
        "show the last second before the event at half speed."
    )
    section.blocks += [Text(" ".join(what)), Scenes(scenes)]
    return section


def _learning_sections(runs: Runs) -> list[Section]:
    """Sections on learning: studies and rounds."""
    sections = [study_section(run, number) for number, run in enumerate(runs.studies, start=1)]
    if any(run.says_something for run in runs.daggers):
        sections.append(rounds_section(runs.daggers))
    return sections
