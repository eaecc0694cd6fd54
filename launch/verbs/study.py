"""`forestpilot study NAME`: comparisons that take many trainings, each with a table and a picture of what came out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forestpilot.launch.config import ConfigError, parse_config
from forestpilot.launch.config.options import Option, options_of
from forestpilot.launch.reading.study_results import CSV_FILE, Interval, Panel, StudyResult
from forestpilot.launch.studies import STUDIES
from forestpilot.launch.studies.study import Study
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb

WIDTH = 120


def parse(args: Sequence[str], prog: str) -> Study[Any, Any]:
    """The study that the first argument names, with its sizes; each study has options of its own.

    Raises:
        ConfigError: no study is named.
        UnknownNameError: an unknown one is; the closest known one is named.
        SystemExit: a flag is wrong (code 2) or help was asked for (code 0); the text is already printed.
    """
    if not args:
        raise ConfigError(f"which study? Give one of {', '.join(STUDIES)}; `{prog} --help` tells what they ask")
    name = args[0]
    rest = list(args[1:])
    if name in ("-h", "--help"):
        print(_help(prog))
        raise SystemExit(0)
    study, rest = _for_task(STUDIES.get(name), rest)
    if "--quick" in rest:
        rest = ["--preset", "quick", *(arg for arg in rest if arg != "--quick")]
    if "-h" in rest or "--help" in rest:
        print(f"{study.question}\n{_duration(study)} `--quick` tries it in a minute or two.\n")
    presets = {"full": study.full, "quick": study.quick}
    return study(parse_config(type(study.full), rest, f"{prog} {study.name}", presets))


def _for_task(study: type[Study[Any, Any]], args: list[str]) -> tuple[type[Study[Any, Any]], list[str]]:
    """The study that asks the same of the task that `--task` names, and the other arguments.

    Raises:
        ConfigError: it is not asked of that task.
    """
    flag = next((place for place, arg in enumerate(args) if arg.partition("=")[0] == "--task"), None)
    if flag is None or not study.task:
        return study, args
    _, equals, task = args[flag].partition("=")
    end = flag + 1
    if not equals:
        task = "".join(args[end : end + 1])
        end += 1
    names = [name for name in STUDIES.names() if name == study.name or name.startswith(f"{study.name}-")]
    asked = {other.task: other for other in map(STUDIES.get, names)}
    if task not in asked:
        raise ConfigError(f"--task is {task!r}; {study.name} is asked of {', '.join(asked)}")
    return asked[task], args[:flag] + args[end:]


def run(study: Study[Any, Any]) -> None:
    """Run what is left of the study, print the table, draw the figure."""
    result = study.run(make_progress())
    folder = Path(study.config.out)
    for rows in _tables(result):
        print_table(rows, title=result.title)
    for note in result.notes:
        print(textwrap.fill(note, WIDTH, subsequent_indent="  "))
    print(folder / CSV_FILE)
    for path in study.draw(result, folder):
        print(path)


def _tables(result: StudyResult) -> list[list[tuple[str, ...]]]:
    """A table for each x axis."""
    x_labels = dict.fromkeys(panel.x_label or result.x_label for panel in result.panels)
    return [
        _rows(x_label, [panel for panel in result.panels if (panel.x_label or result.x_label) == x_label])
        for x_label in x_labels
    ]


def _rows(x_label: str, panels: Sequence[Panel]) -> list[tuple[str, ...]]:
    """One row for each arm and x; one column for each diagram, with 95 % intervals where it has a point there."""
    columns = [{(point.arm, point.x): point for point in panel.points} for panel in panels]
    places = {place: point for column in reversed(columns) for place, point in column.items()}
    rows = [("arm", x_label, *(panel.label for panel in panels), "seeds", "worlds")]
    for arm, x in dict.fromkeys(place for column in columns for place in column):
        figures = [_text(column[arm, x].value) if (arm, x) in column else "-" for column in columns]
        point = places[arm, x]
        rows.append((arm, f"{x:g}", *figures, str(point.seeds), str(point.worlds)))
    return rows


def _text(value: Interval) -> str:
    return f"{value.mean:.4g} ({value.low:.4g} to {value.high:.4g})"


def _duration(study: type[Study[Any, Any]]) -> str:
    """Duration of the whole study, in a sentence."""
    return f"About {study.minutes:g} minutes on two cores; killed or interrupted, the same command goes on."


def _help(prog: str) -> str:
    lines = STUDIES.lines()
    width = max(map(len, STUDIES))
    studies = ""
    for line in lines:
        minutes = STUDIES.get(line.name).minutes
        studies += f"  {line.name:<{width}}  {line.summary}; {minutes:g} minutes\n"
    return (
        f"usage: {prog} STUDY [options]\n\nstudies, and how long they take on two cores:\n{studies}\n"
        "--out FOLDER (default: runs/study-STUDY) is where a study goes on after it was interrupted; --quick tries one "
        "in a minute, in runs/study-STUDY-quick.\n"
        f"`{prog} STUDY --help` shows all options of a study with their defaults and units."
    )


def options() -> tuple[Option, ...]:
    """Options of all studies, since which it is stands in the middle of a command."""
    found = {Option((), STUDIES.names(), True): None, Option(("--quick",), (), False): None}
    for study in STUDIES:
        full = STUDIES.get(study).full
        found |= dict.fromkeys(options_of(type(full), {"full": full, "quick": STUDIES.get(study).quick}))
    return tuple(found)


VERB = Verb(None, run, resumes=True, parse=parse, options=options)
