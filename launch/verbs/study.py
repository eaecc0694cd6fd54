"""`forestpilot study NAME`: comparisons that take many trainings, each with a table and a picture of what came out."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.launch.config import ConfigError, parse_config
from forestpilot.launch.pictures.study_plots import plot_shifted_views, plot_study
from forestpilot.launch.studies import STUDIES
from forestpilot.launch.studies.common import StudyConfig, StudyResult, write_results
from forestpilot.launch.studies.statistics import Interval
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table


def parse(args: Sequence[str], prog: str) -> StudyConfig:
    """The config of the study that the first argument names; each study has sizes of its own.

    Raises:
        ConfigError: no study or an unknown one is named.
        SystemExit: a flag is wrong (code 2) or help was asked for (code 0); the text is already printed.
    """
    name, rest = (args[0], list(args[1:])) if args else ("", [])
    if name in ("-h", "--help"):
        print(_help(prog))
        raise SystemExit(0)
    if name not in STUDIES:
        raise ConfigError(f"there is no study {name!r}; give one of {', '.join(STUDIES)}")
    study = _module(name)
    if "--quick" in rest:
        rest = ["--preset", "quick", *(arg for arg in rest if arg != "--quick")]
    presets = {"full": study.Config(), "quick": study.QUICK}
    config: StudyConfig = parse_config(study.Config, rest, f"{prog} {name}", presets)
    return config


def run(config: StudyConfig) -> None:
    """Run what is left of the study, print the table, draw the figure."""
    progress = make_progress()
    study = importlib.import_module(type(config).__module__)
    with RolloutPool(config.workers) as pool:
        result: StudyResult = study.run_study(config, progress, pool)
    folder = Path(config.out)
    print_table(_rows(result), title=result.title)
    for note in result.notes:
        print(textwrap.fill(note, 120, subsequent_indent="  "))
    print(write_results(folder, result))
    print(plot_study(result, folder / "figure.png"))
    if hasattr(study, "look"):
        print(plot_shifted_views(study.look(config), folder / "shifted_views.png"))


def _rows(result: StudyResult) -> list[tuple[str, ...]]:
    """One row for each arm and x; one column for each diagram, with 95 % intervals."""
    header = ("arm", result.x_label, *(panel.label for panel in result.panels), "seeds", "worlds")
    rows = []
    for points in zip(*(panel.points for panel in result.panels), strict=True):
        first = points[0]
        figures = (_text(point.value) for point in points)
        rows.append((first.arm, f"{first.x:g}", *figures, str(first.seeds), str(first.worlds)))
    return [header, *rows]


def _text(value: Interval) -> str:
    return f"{value.mean:.4g} ({value.low:.4g} to {value.high:.4g})"


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"forestpilot.launch.studies.{STUDIES[name]}")


def _help(prog: str) -> str:
    width = max(map(len, STUDIES))
    studies = "\n".join(f"  {name:<{width}}  {_module(name).Config.__doc__}" for name in STUDIES)
    return (
        f"usage: {prog} STUDY [options]\n\nstudies:\n{studies}\n\n"
        "--out FOLDER (default: runs/study-STUDY) is where a study goes on after it was interrupted; --quick tries one "
        "in a minute, in runs/study-STUDY-quick.\n"
        f"`{prog} STUDY --help` shows all options of a study with their defaults and units."
    )
