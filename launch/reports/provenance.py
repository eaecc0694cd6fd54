"""What made a run, and what made the report: configs, versions, commands, dates."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Protocol

from forestpilot.launch.pages.blocks import Code, Fold, Section, Table, Text, table_of
from forestpilot.launch.pages.dates import utc_words
from forestpilot.launch.reading.json_files import read_config, read_json
from forestpilot.launch.reading.runs import Runs

PACKAGES = ("forestpilot", "torch", "numpy", "numba", "pybullet", "gymnasium", "matplotlib", "av", "opencv-python")
"""Distributions whose versions are told."""
CONFIGS = ("config.json", "dagger.json", "study.json", "policy.json")
"""Files that say how a run was made; some of them are of version 0.1."""
RESULTS = ("outcomes.csv", "rounds.csv", "metrics.csv", "results.csv", "horizon.csv")
"""Files that a run writes when it gets on."""
OLD_VERB_KEYS = {
    "demo": {"dagger", "drive"},
    "evaluate": {"policy", "split", "episodes"},
    "grid": {"policy", "speeds", "densities"},
    "dagger": {"rounds", "expert_episodes"},
    "train": {"data", "learning_rate"},
}
"""Keys by which the configs of version 0.1, which name no verb, are known."""


class HasFolder(Protocol):
    """Any kind of run."""

    folder: Path
    """Where it lies."""


def provenance_section(runs: Runs, command: str) -> Section:
    """Origin of everything in the report."""
    section = Section("made", "How this was made")
    section.blocks += [Text(f"This report: {utc_words()}, by the command"), Code(command), _versions_table()]
    section.blocks.append(table_of([_run_row(folder, runs) for folder in runs.folders], "Runs in this report"))
    for folder in runs.folders:
        for name in CONFIGS:
            values, wrong = read_json(folder / name)
            if values:
                text = json.dumps(values, indent=2, ensure_ascii=False)
                section.blocks.append(Fold(f"{folder / name}", text))
            elif wrong:
                section.blocks.append(Text(wrong, "warning"))
    return section


def _versions_table() -> Table:
    rows = [("python", platform.python_version())]
    for name in PACKAGES:
        rows.append((name, _version(name)))
    rows.append(("machine", f"{platform.system()} {platform.machine()}"))
    return Table(("on this machine", "version"), rows, "Versions that made the report")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _run_row(folder: Path, runs: Runs) -> dict[str, str]:
    return {
        "run": str(folder),
        "what": ", ".join(_kinds(folder, runs)),
        "last written": _written(folder),
        "made by version": ", ".join(sorted(_versions(folder, runs))) or "not noted",
        "to run it again": _again(folder),
    }


def _kinds(folder: Path, runs: Runs) -> list[str]:
    """Kinds of run that a folder is."""
    found = []
    if _is_among(folder, runs.evaluations):
        found.append("evaluation")
    found += [run.trained_by for run in runs.daggers if run.folder == folder]
    if _is_among(folder, runs.trainings):
        found.append("training")
    if _is_among(folder, runs.worlds):
        found.append("model of the world")
    if _is_among(folder, runs.studies):
        found.append("study")
    return found


def _is_among(folder: Path, runs: Sequence[HasFolder]) -> bool:
    return any(run.folder == folder for run in runs)


def _versions(folder: Path, runs: Runs) -> set[str]:
    """Versions of ForestPilot that wrote what lies in a folder."""
    run, _ = read_config(folder)
    policy, _ = read_json(folder / "policy.json")
    found = {run.version, str(policy.get("package_version") or "")}
    for evaluation in runs.evaluations:
        if evaluation.folder == folder:
            found |= {facts.package_version for facts in evaluation.facts.values()}
    return found - {""}


def _again(folder: Path) -> str:
    """The command that a folder's config.json belongs to."""
    path = folder / CONFIGS[0]
    values, _ = read_json(path)
    verb = values.get("verb") or _old_verb(set(values))
    if not verb:
        return "–"
    return f"forestpilot {verb} --config {shlex.quote(str(path))}"


def _old_verb(keys: set[str]) -> str:
    """The verb whose config of version 0.1 has these keys."""
    for verb, own in OLD_VERB_KEYS.items():
        if own <= keys:
            return verb
    return ""


def _written(folder: Path) -> str:
    """Time at which a run last got on."""
    times = [path.stat().st_mtime for path in map(folder.joinpath, RESULTS) if path.is_file()]
    return utc_words(max(times)) if times else "–"
