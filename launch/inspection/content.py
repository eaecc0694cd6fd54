"""What the page says about the content of one dataset: worlds, labels, side cameras, a human's hand, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from forestpilot.launch.inspection import figures
from forestpilot.launch.inspection.figures import Counted
from forestpilot.launch.inspection.human import Excerpt, Hand, excerpt_of
from forestpilot.launch.inspection.measures import (
    Corrections,
    Spread,
    Steering,
    all_cameras_steering,
    center_steering,
    corrections_of,
    seeds_of_splits,
    worlds_of,
)
from forestpilot.launch.inspection.pictures import caption, sample_pictures, strip
from forestpilot.launch.inspection.survey import Survey
from forestpilot.launch.pages.blocks import Diagram, Diagrams, Table, Text, percent, table_of
from forestpilot.launch.reading.tasks import task_named
from forestpilot.sim.tasks import TaskWords

Blocks = list[Any]
"""Paragraphs, tables and diagrams."""
SAME_MPS = 0.05
"""Set points that differ by less than this are told as one, m/s."""


def _words(survey: Survey) -> TaskWords:
    return task_named(survey.spec.task).words


def coverage_blocks(survey: Survey) -> Blocks:
    """Worlds, seeds, speeds and states that the data cover."""
    diagrams = [
        Diagram(
            "Speeds",
            figures.speeds_figure(survey, "Set points of the episodes, and speeds at every step"),
            "Set points (full line, share of the episodes) and the speed at every step (dashed, share of the steps).",
        ),
        Diagram(
            "States",
            figures.states_figure(survey, "Histograms of each element of the state"),
            "What each element of the state has been, at every step; heights are not comparable.",
        ),
    ]
    if survey.num_labels:
        diagrams.insert(0, _turns_and_speeds(survey))
    return [_worlds_table(survey), _seeds_table(survey), _split_text(survey), Diagrams(diagrams)]


def _worlds_table(survey: Survey) -> Table:
    rows = []
    for row in worlds_of(survey):
        rows.append(
            {
                "worlds": row.kind,
                "episodes": str(row.episodes),
                "steps": f"{row.steps:,}",
                "set point": _range(row.least_mps, row.largest_mps),
            }
        )
    return table_of(rows)


def _range(low: float, high: float) -> str:
    if high - low < SAME_MPS:
        return f"{low:.1f} m/s"
    return f"{low:.1f}–{high:.1f} m/s"


def _seeds_table(survey: Survey) -> Table:
    rows = []
    for row in seeds_of_splits(survey):
        rows.append(
            {
                "split": row.split,
                "episodes": str(row.episodes),
                "different worlds": str(row.worlds),
                "seeds": f"{row.first:,} to {row.last:,}",
            }
        )
    return table_of(rows)


def _split_text(survey: Survey) -> Text:
    """Warning of worlds that nobody may train in."""
    foreign = [row.split for row in seeds_of_splits(survey) if row.split != "train"]
    if not foreign:
        return Text("All worlds are training worlds.")
    return Text(f"There are worlds of the {' and '.join(foreign)} split: training refuses this dataset.", "warning")


def _turns_and_speeds(survey: Survey) -> Diagram:
    speeds = survey.over_labels(lambda record: record.speed_mps)
    speed = Counted(speeds, "speed, m/s", (0.0, 1.05 * float(speeds.max(initial=1.0))))
    turn = Counted(survey.turns_deg, "turn, °, left positive", (-survey.limit_deg, survey.limit_deg))
    alt = f"How often each turn was taught at each speed; most labels at {np.median(speeds):.1f} m/s"
    return Diagram(
        "Turn and speed",
        figures.map_figure(speed, turn, alt),
        "Every label of the center camera. The stronger a cell, the more labels, by powers of the count: what is "
        "blank, nobody showed.",
    )


def labels_blocks(survey: Survey) -> Blocks:
    """Histograms of the labels, before and after the side cameras."""
    if not survey.num_labels:
        if "actions" in survey.lacks:
            return [Text("What was done is not recorded: this dataset lacks actions, as videos do.", "warning")]
        return [Text("There is no label in this dataset.", "warning")]
    turn, go = survey.labels.T
    every_turn, every_go = survey.over_labels(lambda record: record.taught).reshape(-1, 2).T
    turns = [(0, survey.degrees(turn)), (1, survey.degrees(every_turn))]
    limits = (-survey.limit_deg, survey.limit_deg)
    alt = "of the center camera's labels, and of all three cameras'"
    diagrams = [
        Diagram(
            "Turn",
            figures.histograms_figure(
                turns,
                "turn, °, left positive",
                "labels, % (log)",
                f"Histograms of the turn {alt}",
                span=limits,
                log=True,
            ),
            "Share of the labels at each turn, on a logarithmic scale, so that rare turns are seen.",
        ),
        Diagram(
            "Go",
            figures.histograms_figure(
                [(0, go), (1, every_go)],
                "go, −1 to 1",
                "labels, % (log)",
                f"Histograms of go {alt}",
                span=(-1, 1),
                log=True,
            ),
            _words(survey).go_meaning,
        ),
    ]
    rows = [
        _steering_row("the center camera", center_steering(survey)),
        _steering_row("all three cameras", all_cameras_steering(survey)),
    ]
    legend = [(0, "center camera"), (1, "all three cameras, as training uses them")]
    return [table_of(rows), Diagrams(diagrams, legend)]


def _steering_row(name: str, steering: Steering) -> dict[str, str]:
    return {
        "labels of": name,
        "straight": percent(steering.straight),
        "left": percent(steering.left),
        "right": percent(steering.right),
        "at the limit": percent(steering.at_limit, 1),
        "spread": f"{steering.spread_deg:.1f}°",
        "change a step": f"{steering.change_deg:.1f}°" if steering.change_deg else "–",
    }


def sides_blocks(survey: Survey) -> Blocks:
    """Lessons of the side cameras beside the center camera."""
    rows = corrections_of(survey)
    if not rows:
        return []
    asked = rows[0].asked_deg is not None
    sides = figures.taught_at_sides(survey)
    diagrams = [_corrections_diagram(sides)]
    for what, svg in figures.side_figures(survey, sides).items():
        diagrams.append(Diagram(f"Against the {what}", svg, f"Both side cameras, by where they stood: their {what}."))
    if asked and len(diagrams) > 1:
        diagrams.append(_expert_against_rule(survey, sides))
    return [Text(_sides_text(survey, asked)), table_of(list(map(_correction_row, rows))), Diagrams(diagrams)]


def _sides_text(survey: Survey, asked: bool) -> str:
    """Origin of the side cameras' labels."""
    rule = _words(survey).side_rule
    if asked:
        return (
            f"The expert was asked at the pose of each camera; the geometric rule ({rule}) is what people’s data get. "
            "Mean ± standard deviation."
        )
    return (
        f"Nobody was asked at the side cameras, so training uses the geometric rule there ({rule}). Mean ± standard "
        "deviation."
    )


def _corrections_diagram(sides: list[figures.SideLabels]) -> Diagram:
    series = [(style, side.correction_deg) for style, side in enumerate(sides)]
    label = "label minus the center camera’s, °, left positive"
    alt = "Histograms of the corrections at the left and at the right camera"
    return Diagram(
        "Corrections",
        figures.histograms_figure(series, label, "labels, % (log)", alt, log=True),
        "How the turn that a side camera teaches differs from the center camera’s at the same moment: "
        "left camera full line, right camera dashed.",
    )


def _expert_against_rule(survey: Survey, sides: list[figures.SideLabels]) -> Diagram:
    ruled = figures.joined(figures.ruled_at_sides(survey))
    rule = Counted(ruled.correction_deg, "rule’s correction, °")
    expert = Counted(figures.joined(sides).correction_deg, "expert’s correction, °")
    alt = "The expert's corrections against the geometric rule's; the dashed line is where both agree"
    return Diagram(
        "Expert against rule",
        figures.map_figure(rule, expert, alt, identity=True),
        "Each side camera’s label; on the dashed line both say the same.",
    )


def _correction_row(row: Corrections) -> dict[str, str]:
    cells = {
        "camera": row.camera,
        "shift": _spread(row.shift_m, " m", 2),
        "yaw": _spread(row.yaw_deg, "°", 1),
        "rule’s correction": _spread(row.rule_deg, "°", 1),
    }
    if row.asked_deg is not None and row.asked_minus_rule_deg is not None:
        cells["expert’s correction"] = _spread(row.asked_deg, "°", 1)
        cells["expert − rule"] = _spread(row.asked_minus_rule_deg, "°", 1)
    return cells


def _spread(values: Spread, unit: str, digits: int) -> str:
    """`1.2 ± 0.3 m`."""
    shown = round(values.mean, digits) + 0.0  # no negative zero
    text = f"{shown:.{digits}f}"
    if values.deviation > 0.5 * 10**-digits:
        text += f" ± {values.deviation:.{digits}f}"
    return f"{text}{unit}".replace("-", "−")


def hand_blocks(survey: Survey, hand: Hand) -> Blocks:
    """Figures of the human's steering."""
    held = "no keys are recorded" if hand.held is None else f"a key was held in {percent(hand.held)} of them"
    blocks: Blocks = [
        Text(
            f"A human steered in {hand.steps:,} steps of {hand.episodes} episodes; {held}. "
            f"{percent(hand.at_limit, 1)} of the turns are at the limit (bang-bang labels), {percent(hand.jumps, 1)} "
            "of the changes from step to step are more than half the way from the middle to the limit."
        )
    ]
    if hand.shifted:
        blocks.append(Text(f"Relabelled: {hand.shifted}."))
    if hand.compared:
        what = "What is left of it" if hand.shifted else "How late the labels are"
        told = f"{what}, against the expert at the same states in {hand.compared} episodes: {hand.delay}."
        blocks.append(Text(told))
    excerpt = excerpt_of(survey)
    if excerpt is not None:
        blocks.append(Diagrams([_hand_diagram(excerpt)]))
    return blocks


def _hand_diagram(excerpt: Excerpt) -> Diagram:
    """Keys and what became of them."""
    text = (
        f"The {excerpt.seconds:.0f} s with the most steering, {excerpt.record.path.name}: keys held (shaded, up is "
        "left or forward), and the smooth action that was recorded (line)."
    )
    if excerpt.record.expert is not None:
        text += " Dashed: the expert’s turn at the same states."
    svg = figures.hand_figure(excerpt, "Keys held and the shaped turn and go over some seconds")
    return Diagram("Keys and what became of them", svg, text)


def pictures_blocks(survey: Survey) -> Blocks:
    """Pictures of all cameras at typical and extreme labels."""
    diagrams = [Diagram(sample.title, strip(survey, sample), caption(sample)) for sample in sample_pictures(survey)]
    return [Text("What each camera saw, and the turn that its picture teaches."), Diagrams(diagrams)]
