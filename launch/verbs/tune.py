"""`forestpilot tune ALGORITHM`: a search for its settings by Optuna, judged on validation worlds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from forestpilot.launch.config import ConfigError, parse_config
from forestpilot.launch.config.options import Option, options_of
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.tuning.held_out import told
from forestpilot.launch.tuning.targets import Target, config_class, presets_of, target_names, target_of
from forestpilot.launch.tuning.trials import BEST_FILE, TABLE_FILE, TrialRow, best_of, short, short_names, told_value
from forestpilot.launch.tuning.tuning import IMPORTANCE_FILE, PARALLEL_FILE, Tuning
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.scores import results_table

SHOWN = 10
"""Rows of the table: the best trials."""


class Asked(NamedTuple):
    """What is tuned, and how."""

    target: Target
    config: Any


def parse(args: Sequence[str], prog: str) -> Asked:
    """What the first argument names, with its options; each target has its own.

    Raises:
        ConfigError: nothing is named, or an option is wrong.
        UnknownNameError: something that cannot be tuned is; the closest name is told.
        SystemExit: help was asked for (code 0); the text is already printed.
    """
    if not args:
        raise ConfigError(f"tune what? Give one of {', '.join(target_names())}; `{prog} --help` tells about them")
    name, *rest = args
    if name in ("-h", "--help"):
        print(_help(prog))
        raise SystemExit(0)
    target = target_of(name)
    asked = config_class(target)
    return Asked(target, parse_config(asked, rest, f"{prog} {name}", presets_of(target, asked) or None))


def run(asked: Asked) -> None:
    """Run what is left of the trials, print the best, draw what mattered."""
    tuning = Tuning(asked.target, asked.config, make_progress())
    rows = tuning.run()
    folder = Path(asked.config.out)
    best = best_of(rows)
    print_table(trials_table(rows, [dimension.path for dimension in tuning.space.dimensions]), title=_title(rows))
    print(folder / TABLE_FILE)
    if best is None:
        print("no trial came to its end, so there is no best one")
        return
    print(folder / BEST_FILE)
    for name in (PARALLEL_FILE, IMPORTANCE_FILE):
        if (folder / name).exists():
            print(folder / name)
    if tuning.comparison is not None:
        print_table(results_table(tuning.comparison.scores), title="test worlds")
        print(told(tuning.comparison))
    name = asked.target.name
    print(f"next: forestpilot {name} --config {folder / BEST_FILE} --out runs/{name}")


def trials_table(rows: Sequence[TrialRow], fields: Sequence[str]) -> list[tuple[str, ...]]:
    """Rows of text for a table of the best trials, the header first."""
    table = [("trial", "validation", *short_names(fields))]
    complete = [row for row in rows if row.value is not None]
    for row in sorted(complete, key=lambda row: (-(row.value or 0.0), row.number))[:SHOWN]:
        drawn = [short(row.drawn[name]) if name in row.drawn else "-" for name in fields]
        table.append((str(row.number), told_value(row.value), *drawn))
    return table


def _title(rows: Sequence[TrialRow]) -> str:
    counts = {state: sum(row.state == state for row in rows) for state in dict.fromkeys(row.state for row in rows)}
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"{len(rows)} trials ({told}), the best of them"


def _help(prog: str) -> str:
    return (
        f"usage: {prog} NAME --search FIELD=VALUES [--search ...] [options]\n\n"
        f"NAME is what is tuned: {', '.join(target_names())}.\n"
        "FIELD is any field of its config, as in its --help, VALUES a range (1e-4:3e-3, log:1e-4:3e-3, 8:64:8) or a\n"
        "list (lstm,tcn). Trials are judged, and ended early, on validation worlds.\n\n"
        f"`{prog} NAME --help` shows all options with their defaults and units."
    )


def options() -> tuple[Option, ...]:
    """Options of all that can be tuned, since which it is stands in the middle of a command."""
    found = {Option((), target_names(), True): None}
    for name in target_names():
        target = target_of(name)
        asked = config_class(target)
        found |= dict.fromkeys(options_of(asked, presets_of(target, asked) or None))
    return tuple(found)


VERB = Verb(None, run, resumes=True, parse=parse, options=options)
