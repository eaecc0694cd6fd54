"""Sections on how policies came to be: rounds of DAgger, training curves, studies."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forestpilot.launch.pages.blocks import Cell, Diagram, Diagrams, Section, Table, Text, interval, percent, table_of
from forestpilot.launch.pages.figures import Axes, Line, lines_figure, smoothed
from forestpilot.launch.reading.evaluations import NOT_THE_WORLDS
from forestpilot.launch.reading.study_results import Panel, Point, StudyResult
from forestpilot.launch.reading.tables import DaggerRun, StudyRun, TrainingRun, number
from forestpilot.launch.reading.tasks import task_named
from forestpilot.policies.evaluation.intervals import wilson_interval

SPEED_BIN_MPS = 2.0
"""Width of the speed classes of validation worlds, whose speeds are drawn."""
MAX_SPEEDS = 6
"""More speeds than this are put into classes."""
MAX_GUIDES = 20
"""Ends of more rounds than this are not drawn."""
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
    "short_of_plan": (
        "short of the plan",
        "Inside a model of the world, before a round is learned from: what the policy's turns are worth less than the "
        "planner's, in steps of full progress.",
    ),
    "plan_value": ("value of plans", "What the best courses promise there, in steps of full progress."),
    "told_true": ("true ones told", "Share of the true transitions that the discriminator takes for true."),
    "told_imagined": ("imagined ones told", "Share of the imagined transitions that it takes for imagined."),
    "components_in_use": ("components in use", "Mixture components that carry weight; one: the mixture collapsed."),
    "gradient_norm": ("gradient norm", "Length of the gradient before it is clipped."),
    "learning_rate": ("learning rate", "Step size of the one-cycle schedule."),
    "training_success": ("success in training", "Share of the episodes since the row before that reached the goal."),
    "training_crashes": ("crashes in training", "Share of these episodes that ended in a crash."),
    "episode_steps": ("steps of an episode", "Mean length of these episodes."),
    "policy_loss": ("policy loss", "What the policy's gradient makes smaller; its size says little."),
    "value_loss": ("value loss", "Mean squared error of what the value network expected, in units of the reward."),
    "explained_variance": ("explained variance", "Share of what returns vary by that the value network foresaw."),
    "kl": ("divergence, nats", "How far the policy is from the one that acted, at the end of an update."),
    "clipped": ("clipped", "Share of the steps on which the policy had moved as far as one update may."),
    "spread": (
        "spread",
        "How far it strays from its own action to try others; its standard deviation, or temperature.",
    ),
    "steps_per_s": ("steps per s", "Steps in the environment per second, updates included."),
    "frames_per_s": ("frames per s", "Window steps learned from per second, data and augmentation included."),
}
"""Columns of metrics.csv: what stands at the axis, and what they are."""
STEPS = "steps in the environment"
FIRST_CURVES = (
    "training_success",
    "training_crashes",
    "loss",
    "turn_error_deg",
    "argmin_agreement",
    "regret",
    "go_error",
)
"""These come first; the others as they are in the file."""
INTERVENTIONS = "validation_interventions"
"""Column that only tasks have in which a vehicle can be put back."""


LABELLED = "Each round the policy drives, the expert labels the states it visits, and it learns from all labels so far."
REWARDED = (
    "In reinforcement learning nobody labels: the policy acts, is rewarded, and is measured by the steps that it took "
    "and by what it crashed on the way."
)
ON_VALIDATION = (
    "Success is on validation worlds, on which the policy that is kept (ringed) was chosen: a little optimistic for "
    "that round. Bars are 95 % Wilson intervals."
)


def rounds_section(runs: Sequence[DaggerRun]) -> Section:
    """Success by round and by number of labels, and the table behind them."""
    shown = [run for run in runs if run.rounds.rows]
    titles = list(dict.fromkeys(run.trained_by for run in shown))
    section = Section("rounds", f"{_capital(' and '.join(titles) or 'DAgger')}, round by round")
    by_labels = [] if shown and all(run.learns_by_steps for run in shown) else [LABELLED]
    by_steps = [REWARDED] if any(run.learns_by_steps for run in shown) else []
    section.blocks.append(Text(" ".join([*by_labels, *by_steps, ON_VALIDATION])))
    names = _names(shown)
    if any(map(_validated_rows, shown)):
        section.blocks.append(_round_diagrams(shown, names))
    for run, name in zip(shown, names, strict=True):
        section.blocks.append(_rounds_table(run, name))
        if run.stopped:
            section.blocks.append(Text(f"{name} ended early: {run.stopped}."))
        by_setting = _validation_by_setting(run, name)
        if by_setting is not None:
            section.blocks.append(by_setting)
    return section


def _names(runs: Sequence[DaggerRun | TrainingRun]) -> list[str]:
    """Names of the runs' folders, numbered where several agree."""
    names = [run.folder.name for run in runs]
    counts = Counter(names)
    told: list[str] = []
    for place, name in enumerate(names):
        if counts[name] > 1:
            name += f" ({names[: place + 1].count(name)})"
        told.append(name)
    return told


def _validated_rows(run: DaggerRun) -> list[Mapping[str, str]]:
    """The rounds that were validated."""
    return [row for row in run.rounds.rows if math.isfinite(number(row.get("validation_success")))]


def _column(rows: Sequence[Mapping[str, str]], name: str) -> list[float]:
    """A column, with NaN where there is no number."""
    return [number(row.get(name)) for row in rows]


def _round_diagrams(runs: Sequence[DaggerRun], names: Sequence[str]) -> Diagrams:
    """Success by round and by labels, and interventions where there were any."""
    by_round: list[Line] = []
    by_labels: list[Line] = []
    by_steps: list[Line] = []
    crashes: list[Line] = []
    interventions: list[Line] = []
    told = []
    for style, (run, name) in enumerate(zip(runs, names, strict=True)):
        by_round.append(_success_line(style, run, "round"))
        if run.learns_by_steps:
            by_steps.append(_success_line(style, run, "visited"))
            crashes.append(Line(style, run.rounds.numbers("visited"), run.rounds.numbers("crashes")))
        else:
            by_labels.append(_success_line(style, run, "labels"))
        told.append(f"{name}: {_first_and_last(by_round[-1])}")
        rows = _validated_rows(run)
        counts = _column(rows, INTERVENTIONS)
        if max(counts, default=0) > 0:
            interventions.append(Line(style, _column(rows, "round"), counts, ring_at=run.chosen))
    first = "behavioural cloning" if by_labels else "before any"
    axes = Axes(f"round (0: {first})", "validation worlds completed, %", y_range=(-2.0, 103.0), whole_x=True)
    alt = "; ".join(told)
    diagrams = [
        Diagram(
            "Success by round",
            lines_figure(by_round, axes, alt),
            "Share of the validation worlds that the policy after each round completed.",
        )
    ]
    if by_labels:
        labelled = dataclasses.replace(axes, x_label="labelled states", whole_x=False)
        text = "The same against what was asked of the expert so far: states labelled in all rounds together."
        diagrams.append(Diagram("Success by number of labels", lines_figure(by_labels, labelled, alt), text))
    if by_steps:
        stepped = dataclasses.replace(axes, x_label=STEPS, whole_x=False)
        text = "The same against the steps taken so far, in training."
        diagrams.append(Diagram("Success by steps", lines_figure(by_steps, stepped, alt), text))
        counted = Axes(STEPS, "crashes so far")
        svg = lines_figure(crashes, counted, "Crashes while training, by steps in the environment")
        diagrams.append(Diagram("Crashes while training", svg, "Training episodes that ended in a crash, so far."))
    if interventions:
        axes = Axes("round", "interventions", whole_x=True)
        svg = lines_figure(interventions, axes, "Interventions on validation roads by round")
        text = "How often the car was put back on the validation roads; the fewest decide which round is kept."
        diagrams.append(Diagram("Interventions by round", svg, text))
    return Diagrams(diagrams, list(enumerate(names)))


def _success_line(style: int, run: DaggerRun, x: str) -> Line:
    """Validation success in percent, with its interval where all rounds have one."""
    rows = _validated_rows(run)
    shares = 100 * np.array([_column(rows, name) for name in ("validation_success", "low", "high")])
    y, low, high = shares.tolist()
    if not np.isfinite(shares).all():
        low = high = ()
    ring_at = None
    for row in rows:
        if number(row["round"]) == run.chosen:
            ring_at = number(row[x])
    return Line(style, _column(rows, x), y, low, high, ring_at)


def _first_and_last(line: Line) -> str:
    if not line.x:
        return "not validated"
    return f"{line.y[0]:.0f} % in round {line.x[0]:g}, {line.y[-1]:.0f} % in round {line.x[-1]:g}"


def _rounds_table(run: DaggerRun, name: str) -> Table:
    """All columns of rounds.csv, by name; the interval beside the success it belongs to."""
    rows = []
    for row in run.rounds.rows:
        cells: dict[str, str | Cell] = {}
        for column in run.rounds.columns:
            heading = COLUMNS.get(column, column.replace("_", " "))
            if not heading or (column == INTERVENTIONS and not task_named(run.task).put_back):
                continue
            cells[heading] = _round_cell(run, row, column)
            if column == "validation_success":
                cells["95 %"] = interval(number(row.get("low")), number(row.get("high")))
        rows.append(cells)
    caption = f"{name}: rounds of {run.trained_by}"
    if run.chosen is not None:
        caption += f", the policy of round {run.chosen} was kept (✓)"
    return table_of(rows, caption)


def _round_cell(run: DaggerRun, row: Mapping[str, str], column: str) -> str:
    value = number(row[column])
    if column == "round" and value == run.chosen:
        return f"{row[column]} ✓"
    if column == INTERVENTIONS and number(row.get("validation_episodes")) == 0:
        return "–"
    if column.endswith("_success"):
        return percent(value)
    if math.isnan(value):
        return row[column] or "–"
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _validation_by_setting(run: DaggerRun, name: str) -> Table | None:
    """Validation success of the policy kept, by preset, density and class of speed; None where all are alike."""
    kinds: dict[str, dict[str, list[bool]]] = {}
    distinct = len({number(row.get("speed")) for row in run.validation})
    for row in run.validation:
        by_speed = kinds.setdefault(_world_class(run, row), {})
        by_speed.setdefault(_speed_class(row, distinct), []).append(bool(row.get("success")))
    columns = sorted(set().union(*kinds.values()), key=_leading_number)
    if len(kinds) * len(columns) < 2:
        return None
    rows = []
    for kind, by_speed in sorted(kinds.items()):
        cells: dict[str, str | Cell] = {"validation worlds": kind}
        for column in columns:
            cells[column] = _share_cell(by_speed.get(column, []))
        rows.append(cells)
    return table_of(rows, f"{name}: validation success of round {run.chosen} by world setting")


def _world_class(run: DaggerRun, row: Mapping[str, Any]) -> str:
    """The worlds of a validation episode in words, whatever their speed."""
    told: dict[str, Any] = {}
    for name, value in row.items():
        if name not in NOT_THE_WORLDS and value not in (None, ""):
            told[name] = value
    told.pop("speed", None)
    return task_named(run.task).describe(told)


def _speed_class(row: Mapping[str, Any], distinct: int) -> str:
    speed = number(row.get("speed"))
    if math.isnan(speed):
        return "any speed"
    if distinct <= MAX_SPEEDS:
        return f"{speed:g} m/s"
    start = SPEED_BIN_MPS * math.floor(speed / SPEED_BIN_MPS)
    return f"{start:g}–{start + SPEED_BIN_MPS:g} m/s"


def _leading_number(text: str) -> float:
    first, _, _ = text.replace("–", " ").partition(" ")
    value = number(first)
    if math.isnan(value):
        return -1.0
    return value


def _share_cell(successes: Sequence[bool]) -> Cell:
    if not successes:
        return Cell("–")
    share = sum(successes) / len(successes)
    low, high = wilson_interval(sum(successes), len(successes))
    return Cell(percent(share), share, note=f"{sum(successes)}/{len(successes)}, {interval(low, high)}")


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
    known: list[str] = []
    for run in shown:
        known += run.curves
    ordered = [name for name in FIRST_CURVES if name in known]
    diagrams = []
    for name in dict.fromkeys([*ordered, *known]):
        diagram = _curve(name, shown)
        if diagram is not None:
            diagrams.append(diagram)
    names = _names(shown)
    section.blocks.append(Diagrams(diagrams, list(enumerate(names))))
    return section


def _curve(name: str, runs: Sequence[TrainingRun]) -> Diagram | None:
    """One figure of all trainings that have it; None where none has."""
    unknown = (name.replace("_", " "), "As the run logged it; this report knows no definition of it.")
    title, text = DEFINITIONS.get(name, unknown)
    lines = []
    told = []
    for style, run in enumerate(runs):
        if name not in run.curves:
            continue
        x, y = smoothed(run.total_steps, run.curves[name])
        if x:
            lines.append(Line(style, x, y))
            told.append(f"{title} {y[0]:.3g} at first, {y[-1]:.3g} at last")
    if not lines:
        return None
    shown = [run for run in runs if name in run.curves]
    what = "gradient steps" if all(run.counts_gradient_steps for run in shown) else "steps"
    axes = Axes(f"{what}, all rounds", title)
    if name == "loss" and min(min(line.y) for line in lines) > 0:
        axes = dataclasses.replace(axes, log="y")
    if len(runs) == 1 and len(runs[0].round_ends) <= MAX_GUIDES:
        axes = dataclasses.replace(axes, guides=runs[0].round_ends)
    return Diagram(_capital(title), lines_figure(lines, axes, "; ".join(told)), text)


def _capital(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def study_section(run: StudyRun, number_of_study: int) -> Section:
    """The figures of a study, and the table behind them."""
    section = Section(f"study-{number_of_study}", f"Study: {run.folder.name}")
    for note in run.notes:
        section.blocks.append(Text(note, "warning"))
    result = run.result
    if result is None:
        return section
    if result.question:
        section.blocks.append(Text(result.question))
    arms: list[str] = []
    for panel in result.panels:
        for point in panel.points:
            if point.arm not in arms:
                arms.append(point.arm)
    diagrams = [_study_diagram(panel, result, arms) for panel in result.panels]
    section.blocks.append(Diagrams(diagrams, list(enumerate(arms))))
    for arm in result.arms:
        section.blocks.append(Text(f"{arm.name}: {arm.meaning}."))
    for note in result.notes:
        section.blocks.append(Text(note))
    section.blocks.append(_study_table(result))
    return section


def _study_diagram(panel: Panel, result: StudyResult, arms: Sequence[str]) -> Diagram:
    """One figure of a study, a curve for each arm."""
    by_arm: dict[str, list[Point]] = {}
    for point in sorted(panel.points, key=lambda point: point.x):
        by_arm.setdefault(point.arm, []).append(point)
    lines = []
    told = []
    for style, arm in enumerate(arms):
        if arm in by_arm:
            points = by_arm[arm]
            x, mean, low, high = np.transpose([(point.x, *point.value) for point in points]).tolist()
            lines.append(Line(style, x, mean, low, high))
            told.append(f"{arm}: {mean[-1]:.3g} at {x[-1]:g}")
    log = "x" * result.log_x + "y" * panel.log_y
    svg = lines_figure(lines, Axes(panel.x_label or result.x_label, panel.label, log=log), "; ".join(told))
    text = panel.meaning
    if panel.bars:
        text = f"{text} Bars: {panel.bars}."
    return Diagram(_capital(panel.label), svg, text.strip())


def _study_table(result: StudyResult) -> Table:
    """Every figure with its interval."""
    rows = []
    for panel in result.panels:
        for point in panel.points:
            rows.append(
                {
                    "figure": panel.name.replace("_", " "),
                    "arm": point.arm,
                    "x": f"{point.x:g}",
                    "seeds": str(point.seeds or "–"),
                    "worlds": str(point.worlds or "–"),
                    "mean": f"{point.value.mean:.4g}",
                    "low": f"{point.value.low:.4g}",
                    "high": f"{point.value.high:.4g}",
                }
            )
    return table_of(rows, folded=f"The table behind it: {len(rows)} rows of results.csv")
