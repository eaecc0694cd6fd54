"""Sections on how policies came to be: rounds of DAgger, training curves, studies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from forestpilot.launch.pages.blocks import Cell, Diagram, Diagrams, Row, Section, Table, Text, interval, percent
from forestpilot.launch.pages.figures import Line, lines_figure, smoothed
from forestpilot.launch.reading.tables import DaggerRun, StudyRun, TrainingRun, number
from forestpilot.launch.terminal.tables import format_density
from forestpilot.policies.evaluation.intervals import wilson_interval

SPEED_BIN_MPS = 2.0
"""Width of the speed classes of validation worlds, whose speeds are drawn."""
MAX_SPEEDS = 6
"""More speeds than this are put into classes."""
COLUMNS = {
    "round": "round",
    "beta": "β",
    "episodes": "episodes",
    "labels": "labels",
    "rollout_success": "roll-in success",
    "validation_success": "validation success",
    "validation_episodes": "validation worlds",
    "low": "",
    "high": "",
    "validation_interventions": "interventions",
    "visited": "states visited",
    "intervention_steps": "steps driven for it",
    "expert_steps": "steps driven by the expert",
    "takeovers": "takeovers",
    "mean_takeover_s": "mean takeover, s",
    "context_switches": "context switches",
    "crashes": "crashes",
}
"""Columns of rounds.csv and their headings; empty for those that are part of another, others are shown as they are."""
DEFINITIONS = {
    "loss": ("loss", "What the gradient steps make smaller; its scale depends on the policy's head."),
    "turn_error_deg": ("turn error, deg", "Mean difference between the policy's and the expert's turn on the batch."),
    "go_error": ("go error", "Mean difference between the policy's and the expert's go (speed or pedals), −1 to 1."),
    "argmin_agreement": ("agreement", "Share of steps at which the cheapest turn is the planner's or its neighbour."),
    "regret": ("regret", "The planner's cost of the policy's choice above that of its own, clipped."),
    "components_in_use": ("components in use", "Mixture components that carry weight; one: the mixture collapsed."),
    "gradient_norm": ("gradient norm", "Length of the gradient before it is clipped."),
    "learning_rate": ("learning rate", "Step size of the one-cycle schedule."),
    "frames_per_s": ("frames per s", "Window steps learned from per second, data and augmentation included."),
}
"""Columns of metrics.csv: what stands at the axis, and what they are."""
FIRST_CURVES = ("loss", "turn_error_deg", "argmin_agreement", "regret", "go_error")
"""These come first; the others as they are in the file."""
_ROAD = "Bars are 95 % intervals over training seeds and test worlds."
_SEEDS = "Bars reach from the least to the largest training seed."
STUDY_FIGURES = {
    "falls_per_km": ("falls off the road per km", "labelled states", f"How often the car left the road. {_ROAD}"),
    "autonomy": ("autonomy, %", "demonstrated drives", f"PilotNet's: 1 − 6 s × interventions / time. {_ROAD}"),
    "interventions_per_km": ("interventions per km", "demonstrated drives", f"How often the car was put back. {_ROAD}"),
    "cost": ("sum of the costs J(T)", "steps T", f"A step costs its distance from the line, 1 m at most. {_ROAD}"),
    "success": ("success, %", "DAgger round", f"Share of the test forests that were crossed. {_ROAD}"),
    "labels": ("labels so far", "DAgger round", f"States that the expert was asked about. {_SEEDS}"),
    "visited": ("states visited, thousands", "DAgger round", f"States seen in training, labelled or not. {_SEEDS}"),
    "intervention_steps": ("steps flown by the expert", "DAgger round", f"Steps that the expert flew itself. {_SEEDS}"),
    "context_switches": ("changes of pilot", "DAgger round", f"How often the pilot changed in mid-episode. {_SEEDS}"),
    "demonstrated_falls_per_km": (
        "falls per km while demonstrating",
        "demonstrated drives",
        f"How often the demonstrator left the road. {_SEEDS}",
    ),
    "demonstrated_change_deg": (
        "change of steering, degrees",
        "demonstrated drives",
        f"How far demonstrated steering moves from one step to the next, on average. {_SEEDS}",
    ),
    "crashes": ("crashes while training", "DAgger round", f"Training episodes that ended in a crash. {_SEEDS}"),
}
"""Figures of studies: y axis, x axis, and what they are."""
UNKNOWN = "As the study defines it, and so are its bars."


def rounds_section(runs: Sequence[DaggerRun]) -> Section:
    """Success by round and by number of labels, and the table behind them."""
    section = Section("rounds", "DAgger, round by round")
    section.blocks.append(
        Text(
            "Each round the policy drives, the expert labels the states it visits, and it learns from all labels so "
            "far. Success is on validation worlds, on which the policy that is kept (ringed) was chosen: a little "
            "optimistic for that round. Bars are 95 % Wilson intervals."
        )
    )
    shown = [run for run in runs if run.rounds.rows]
    names = _names([run.folder.name for run in shown])
    validated = [run for run in shown if any(map(math.isfinite, run.rounds.numbers("validation_success")))]
    if validated:
        section.blocks.append(_round_diagrams(shown, names))
    for run, name in zip(shown, names):
        section.blocks.append(_rounds_table(run, name))
        section.blocks += _validation_by_setting(run, name)
    return section


def _names(names: Sequence[str]) -> list[str]:
    """The names, numbered where several agree."""
    found: list[str] = []
    for name in names:
        found.append(f"{name} ({names[: len(found) + 1].count(name)})" if names.count(name) > 1 else name)
    return found


def _round_diagrams(runs: Sequence[DaggerRun], names: Sequence[str]) -> Diagrams:
    by_round = [_success_line(style, run, "round") for style, run in enumerate(runs)]
    by_labels = [_success_line(style, run, "labels") for style, run in enumerate(runs)]
    alt = "; ".join(f"{name}: {_first_and_last(line)}" for name, line in zip(names, by_round))
    y_label, top = "validation worlds completed, %", (-2.0, 103.0)
    diagrams = [
        Diagram(
            "Success by round",
            lines_figure(by_round, "round (0: behavioural cloning)", y_label, alt, y_range=top, whole_x=True),
            "Share of the validation worlds that the policy after each round completed.",
        ),
        Diagram(
            "Success by number of labels",
            lines_figure(by_labels, "labelled states", y_label, alt, y_range=top),
            "The same against what was asked of the expert so far: states labelled in all rounds together.",
        ),
    ]
    helped = [run for run in runs if any(value > 0 for value in run.rounds.numbers("validation_interventions"))]
    if helped:
        lines = [_interventions_line(runs.index(run), run) for run in helped]
        svg = lines_figure(lines, "round", "interventions", "Interventions on validation roads by round", whole_x=True)
        text = "How often the car was put back on the validation roads; the fewest decide which round is kept."
        diagrams.append(Diagram("Interventions by round", svg, text))
    return Diagrams(diagrams, list(enumerate(names)))


def _success_line(style: int, run: DaggerRun, x: str) -> Line:
    rows = [row for row in run.rounds.rows if math.isfinite(number(row.get("validation_success")))]
    y, low, high = ([100 * number(row.get(name)) for row in rows] for name in ("validation_success", "low", "high"))
    whole = all(map(math.isfinite, (*low, *high)))
    at = [number(row[x]) for row in rows if number(row["round"]) == run.chosen]
    places = [number(row[x]) for row in rows]
    return Line(style, places, y, low if whole else (), high if whole else (), ring_at=at[0] if at else None)


def _interventions_line(style: int, run: DaggerRun) -> Line:
    rows = [row for row in run.rounds.rows if math.isfinite(number(row.get("validation_success")))]
    x, y = ([number(row[name]) for row in rows] for name in ("round", "validation_interventions"))
    return Line(style, x, y, ring_at=run.chosen)


def _first_and_last(line: Line) -> str:
    if not line.x:
        return "not validated"
    return f"{line.y[0]:.0f} % in round {line.x[0]:g}, {line.y[-1]:.0f} % in round {line.x[-1]:g}"


def _rounds_table(run: DaggerRun, name: str) -> Table:
    """All columns of rounds.csv, by name; the interval beside the success it belongs to."""
    # Only a car is ever put back.
    aside = ("validation_interventions",) if run.task == "drone" else ()
    columns = [column for column in run.rounds.columns if COLUMNS.get(column, column) and column not in aside]
    header: list[str] = []
    for column in columns:
        header.append(COLUMNS.get(column, column.replace("_", " ")))
        header += ["95 %"] if column == "validation_success" else []
    rows = []
    for row in run.rounds.rows:
        cells: list[str | Cell] = []
        for column in columns:
            cells.append(_round_cell(run, row, column))
            if column == "validation_success":
                cells.append(interval(number(row.get("low")), number(row.get("high"))))
        rows.append(cells)
    kept = f", the policy of round {run.chosen} was kept (✓)" if run.chosen is not None else ""
    return Table(header, rows, f"{name}: rounds of DAgger{kept}")


def _round_cell(run: DaggerRun, row: Mapping[str, str], column: str) -> str:
    value = number(row[column])
    if column == "round":
        return f"{row[column]} ✓" if value == run.chosen else row[column]
    if column == "validation_interventions" and number(row.get("validation_episodes")) == 0:
        return "–"
    if column.endswith("_success"):
        return percent(value)
    if math.isnan(value):
        return row[column] or "–"
    return f"{value:,.0f}" if value == round(value) else f"{value:.3g}"


def _validation_by_setting(run: DaggerRun, name: str) -> list[Any]:
    """Validation success of the policy kept, by preset, density and class of speed; nothing where all are alike."""
    cells: dict[str, dict[str, list[bool]]] = {}
    speeds = {number(row.get("speed")) for row in run.validation}
    for row in run.validation:
        success = bool(row.get("success"))
        cells.setdefault(_world_class(row), {}).setdefault(_speed_class(row, len(speeds)), []).append(success)
    columns = sorted({speed for row in cells.values() for speed in row}, key=_leading_number)
    if len(cells) * len(columns) < 2:
        return []
    header = ("validation worlds", *columns)
    rows: list[Row] = [
        (kind, *(_share_cell(row.get(speed, [])) for speed in columns)) for kind, row in sorted(cells.items())
    ]
    return [Table(header, rows, f"{name}: validation success of round {run.chosen} by world setting")]


def _world_class(row: Mapping[str, Any]) -> str:
    density = number(row.get("density"))
    kind = str(row.get("preset") or "worlds")
    return kind if math.isnan(density) else f"{kind} {format_density(density)} trees/m²"


def _speed_class(row: Mapping[str, Any], distinct: int) -> str:
    speed = number(row.get("speed"))
    if math.isnan(speed):
        return "any speed"
    if distinct <= MAX_SPEEDS:
        return f"{speed:g} m/s"
    start = SPEED_BIN_MPS * math.floor(speed / SPEED_BIN_MPS)
    return f"{start:g}–{start + SPEED_BIN_MPS:g} m/s"


def _leading_number(text: str) -> float:
    value = number(text.partition("–")[0].partition(" ")[0])
    return -1.0 if math.isnan(value) else value


def _share_cell(successes: Sequence[bool]) -> Cell:
    if not successes:
        return Cell("–")
    share = sum(successes) / len(successes)
    note = f"{sum(successes)}/{len(successes)}, {interval(*wilson_interval(sum(successes), len(successes)))}"
    return Cell(percent(share), share, note=note)


def training_section(runs: Sequence[TrainingRun]) -> Section:
    """Curves of everything that training measured."""
    section = Section("training", "Training curves")
    section.blocks.append(
        Text(
            "Measured on the batches learned from, not on worlds flown or driven: a falling curve does not mean fewer "
            "crashes. Long curves are drawn as means of neighbouring rows; dotted lines are ends of rounds."
        )
    )
    shown = [run for run in runs if run.metrics.rows]
    known = list(dict.fromkeys(name for run in shown for name in run.curves))
    ordered = [name for name in FIRST_CURVES if name in known] + [name for name in known if name not in FIRST_CURVES]
    diagrams = [diagram for name in ordered if (diagram := _curve(name, shown))]
    section.blocks.append(Diagrams(diagrams, list(enumerate(_names([run.folder.name for run in shown])))))
    return section


def _curve(name: str, runs: Sequence[TrainingRun]) -> Diagram | None:
    lines = []
    for style, run in enumerate(runs):
        x, y = smoothed(run.total_steps, run.curves.get(name, [math.nan] * len(run.metrics.rows)))
        if x:
            lines.append(Line(style, x, y))
    if not lines:
        return None
    log = "y" if name == "loss" and all(min(line.y) > 0 for line in lines) else ""
    guides = runs[0].round_ends if len(runs) == 1 and len(runs[0].round_ends) <= 20 else ()
    unknown = (name.replace("_", " "), "As the run logged it; this report knows no definition of it.")
    title, text = DEFINITIONS.get(name, unknown)
    alt = "; ".join(f"{title} {line.y[0]:.3g} at first, {line.y[-1]:.3g} at last" for line in lines)
    svg = lines_figure(lines, "gradient steps, all rounds", title, alt, log=log, guides=guides)
    return Diagram(title[:1].upper() + title[1:], svg, text)


def study_section(run: StudyRun, number_of_study: int) -> Section:
    """The figures of a study, and the table behind them."""
    section = Section(f"study-{number_of_study}", f"Study: {run.folder.name}")
    section.blocks += [Text(note, "warning") for note in run.notes]
    rows = run.results.rows
    if not rows:
        return section
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    diagrams = []
    for name in dict.fromkeys(row["figure"] for row in rows):
        y_label, x_label, text = STUDY_FIGURES.get(name, (name.replace("_", " "), "x", UNKNOWN))
        lines = [_study_line(style, [r for r in rows if (r["figure"], r["arm"]) == (name, arm)])
                 for style, arm in enumerate(arms)]  # fmt: skip
        lines = [line for line in lines if len(line.x)]
        alt = "; ".join(f"{arms[line.style]}: {line.y[-1]:.3g} at {line.x[-1]:g}" for line in lines)
        places = [x for line in lines for x in line.x]
        log = "x" if min(places) > 0 and max(places) >= 10 * min(places) else ""
        title = y_label[:1].upper() + y_label[1:]
        diagrams.append(Diagram(title, lines_figure(lines, x_label, y_label, alt, log=log), text))
    section.blocks.append(Diagrams(diagrams, list(enumerate(arms))))
    header = [column.replace("_", " ") for column in run.results.columns]
    body = [[_short(row[column]) for column in run.results.columns] for row in rows]
    section.blocks.append(Table(header, body, folded=f"The table behind it: {len(body)} rows of results.csv"))
    return section


def _short(text: str) -> str:
    """A number with four digits; other text as it is."""
    value = number(text)
    return text if math.isnan(value) or value == round(value) else f"{value:.4g}"


def _study_line(style: int, rows: Sequence[Mapping[str, str]]) -> Line:
    ordered = sorted(rows, key=lambda row: number(row["x"]))
    x, mean, low, high = ([number(row[name]) for row in ordered] for name in ("x", "mean", "low", "high"))
    return Line(style, x, mean, low, high)
