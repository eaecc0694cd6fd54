"""What made a run, and what made the report: configs, versions, commands, dates."""

from __future__ import annotations

import json
import platform
import shlex
import time
from importlib import metadata
from pathlib import Path

from forestpilot.launch.pages.blocks import Code, Fold, Section, Table, Text
from forestpilot.launch.reading.json_files import read_json
from forestpilot.launch.reading.runs import Runs

PACKAGES = ("forestpilot", "torch", "numpy", "numba", "pybullet", "gymnasium", "matplotlib", "av", "opencv-python")
CONFIGS = ("config.json", "dagger.json", "study.json", "policy.json")
"""Files that say how a run was made."""
VERB_KEYS = {
    "demo": {"dagger", "drive"},
    "evaluate": {"policy", "split", "episodes"},
    "grid": {"policy", "speeds", "densities"},
    "dagger": {"rounds", "expert_episodes"},
    "train": {"data", "learning_rate"},
}
"""Verbs whose config has these keys."""


def provenance_section(runs: Runs, command: str) -> Section:
    """Where everything came from."""
    section = Section("made", "How this was made")
    section.blocks += [Text(f"This report: {now()}, by the command"), Code(command)]
    versions = [(name, _version(name)) for name in PACKAGES]
    rows = [("python", platform.python_version()), *versions, ("machine", f"{platform.system()} {platform.machine()}")]
    section.blocks.append(Table(("on this machine", "version"), rows, "Versions that made the report"))
    section.blocks.append(_runs_table(runs))
    for folder in runs.folders:
        for name in CONFIGS:
            values, wrong = read_json(folder / name)
            if values:
                text = json.dumps(values, indent=2, ensure_ascii=False)
                section.blocks.append(Fold(f"{folder / name}", text))
            elif wrong:
                section.blocks.append(Text(wrong, "warning"))
    return section


def _runs_table(runs: Runs) -> Table:
    header = ("run", "what", "last written", "made by version", "to run it again")
    made_by: dict[Path, set[str]] = {}
    for evaluation in runs.evaluations:
        found = {facts.package_version for facts in evaluation.facts.values() if facts.package_version}
        made_by.setdefault(evaluation.folder, set()).update(found)
    for folder in runs.folders:
        version = read_json(folder / "policy.json")[0].get("package_version")
        made_by.setdefault(folder, set()).update({str(version)} if version else set())
    rows = [
        (
            str(folder),
            _what(folder, runs),
            _written(folder),
            ", ".join(sorted(made_by[folder])) or "not noted",
            _again(folder),
        )
        for folder in runs.folders
    ]
    return Table(header, rows, "Runs in this report")


def _what(folder: Path, runs: Runs) -> str:
    kinds = {
        "evaluation": [run.folder for run in runs.evaluations],
        "DAgger": [run.folder for run in runs.daggers],
        "training": [run.folder for run in runs.trainings],
        "study": [run.folder for run in runs.studies],
    }
    return ", ".join(kind for kind, folders in kinds.items() if folder in folders)


def _again(folder: Path) -> str:
    """The command that a config.json belongs to; those of version 0.1 are known by keys that only their verb has."""
    values = read_json(folder / CONFIGS[0])[0]
    verb = values.get("verb") or next((verb for verb, own in VERB_KEYS.items() if own <= set(values)), None)
    return f"forestpilot {verb} --config {shlex.quote(str(folder / CONFIGS[0]))}" if verb else "–"


def _written(folder: Path) -> str:
    names = ("outcomes.csv", "rounds.csv", "metrics.csv", "results.csv")
    times = [(folder / name).stat().st_mtime for name in names if (folder / name).is_file()]
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(max(times))) if times else "–"


def now() -> str:
    """Date and time in words."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
