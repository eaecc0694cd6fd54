"""What the page says about one dataset, section by section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from forestpilot.launch.inspection import figures, measures
from forestpilot.launch.inspection.checks import by_kind
from forestpilot.launch.inspection.human import Hand, excerpt_of
from forestpilot.launch.inspection.measures import Corrections, Round, Steering
from forestpilot.launch.inspection.pictures import caption, sample_pictures, strip
from forestpilot.launch.inspection.survey import Finding, Survey
from forestpilot.launch.pages.blocks import Diagram, Diagrams, Table, Text, percent

SHOWN_FILES = 6
"""Files of one kind of finding that are named one by one."""
OUTCOMES = {
    "success": "success", "collision": "collision", "out_of_bounds": "out of bounds", "timeout": "out of time",
    "running": "stopped early",
}  # fmt: skip
Blocks = list[Any]


def overview_blocks(surveys: Sequence[tuple[Survey, Sequence[Finding]]]) -> Blocks:
    """Several datasets beside one another."""
    rows = []
    for survey, findings in surveys:
        steering, drivers = measures.center_steering(survey), measures.drivers_of(survey.records)
        rows.append(
            [
                survey.name, survey.spec.task, str(len(survey.records)), f"{survey.num_steps:,}",
                f"{survey.num_labels:,}", _drivers(drivers), percent(steering.straight), f"{steering.spread_deg:.1f}°",
                percent(steering.at_limit, 1), str(len({finding.file for finding in findings})),
            ]
        )  # fmt: skip
    header = ["dataset", "task", "episodes", "steps", "labels", "who drove"]
    return [Table([*header, "straight", "spread of the turn", "at the limit", "bad files"], rows)]


def counts_blocks(survey: Survey, findings: Sequence[Finding]) -> Blocks:
    """How much there is, who drove, how it ended."""
    rounds = measures.rounds_of(survey)
    minutes = survey.num_steps / survey.spec.control_hz / 60
    count = survey.num_discarded
    discarded = f" Not counted: {count} discarded {_plural(count, 'episode')}." if count else ""
    text = (
        f"{len(survey.records)} episodes, {survey.num_steps:,} steps ({minutes:.1f} minutes at "
        f"{survey.spec.control_hz} Hz), {survey.num_labels:,} with something to learn; pictures of "
        f"{survey.spec.image_width} x {survey.spec.image_height} drawn by {survey.spec.renderer}.{discarded}"
    )
    blocks: Blocks = [Text(text), Text(_verdict(survey, findings), "verdict"), _rounds_table(rounds)]
    if any(row.handovers.takeovers for row in rounds):
        blocks.append(
            Text(
                "A takeover is a change from the policy to somebody else in the middle of an episode, or at its first "
                "step; switches count changes in both directions. Where expert and policy are mixed by a coin, every "
                "toss that changes the driver counts."
            )
        )
    return blocks


def _verdict(survey: Survey, findings: Sequence[Finding]) -> str:
    """What to look at first, in a sentence or two."""
    steering = measures.center_steering(survey)
    says = [f"{percent(steering.straight)} of the labels are straight ahead (within {measures.STRAIGHT_DEG:g}°)"]
    if steering.leaning:
        says.append(f"turns lean to the {steering.leaning}; training mirrors pictures, which evens that out")
    if steering.at_limit > 0.1:
        says.append(f"{percent(steering.at_limit)} are at the limit of the turn")
    bad = len({finding.file for finding in findings})
    says.append(f"{bad} {_plural(bad, 'file')} to look at" if bad else "nothing is wrong with any file")
    return "; ".join(says) + "."


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _rounds_table(rounds: Sequence[Round]) -> Table:
    """One row for each DAgger round, and all of them."""
    mixed = any(row.handovers.takeovers for row in rounds)
    header = ["round", "episodes", "steps", "labels", "who drove", "how it ended"]
    header += ["takeovers", "mean length", "switches"] if mixed else []
    rows = []
    for row in rounds:
        name = "0, demonstrations" if row.number == 0 and "policy" not in row.drivers else str(row.number)
        cells = [
            name,
            str(row.episodes),
            f"{row.steps:,}",
            f"{row.labels:,}",
            _drivers(row.drivers),
            _ends(row.outcomes),
        ]
        if mixed:
            length = f"{row.mean_takeover_s:.1f} s" if row.handovers.takeovers else "–"
            cells += [str(row.handovers.takeovers), length, str(row.handovers.context_switches)]
        rows.append(cells)
    return Table(header, rows)


def _drivers(shares: dict[str, float]) -> str:
    return ", ".join(name if share == 1 else f"{name} {percent(share)}" for name, share in shares.items())


def _ends(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {OUTCOMES[name]}" for name, count in outcomes.most_common())


def findings_blocks(findings: Sequence[Finding]) -> Blocks:
    """Bad episodes by kind, each with why and what to do."""
    if not findings:
        return [
            Text(
                "Nothing was found: every file can be read and matches its checksum, all numbers are finite and in "
                "range, no camera is frozen or dark, no demonstration crashed, none is very short or stopped early."
            )
        ]
    return [Text(_finding_text(kind, group), "warning") for kind, group in by_kind(list(findings))]


def _finding_text(kind: str, group: Sequence[Finding]) -> Markup:
    """A kind of finding with its files; in the markup of a paragraph."""
    lines = [
        Markup("<b>{}</b> ({} {}). {}").format(
            kind, len(group), _plural(len(group), "file"), " ".join(dict.fromkeys(finding.advice for finding in group))
        )
    ]
    lines += [Markup("<code>{}</code>: {}").format(finding.file, finding.why) for finding in group[:SHOWN_FILES]]
    if len(group) > SHOWN_FILES:
        others = ", ".join(finding.file for finding in group[SHOWN_FILES:])
        lines.append(Markup("and <code>{}</code>").format(others))
    return Markup("<br>").join(lines)


def coverage_blocks(survey: Survey) -> Blocks:
    """Worlds, seeds, speeds and states that the data cover."""
    worlds = [
        [row.kind, str(row.episodes), f"{row.steps:,}", _range(row.least_mps, row.largest_mps)]
        for row in measures.worlds_of(survey)
    ]
    seeds = [
        [row.split, str(row.episodes), str(row.worlds), f"{row.first:,} to {row.last:,}"]
        for row in measures.seeds_of_splits(survey)
    ]
    foreign = [row[0] for row in seeds if row[0] != "train"]
    label = survey.over_labels(lambda record: record.label)[:, 0]
    speeds = survey.over_labels(lambda record: record.speed_mps)
    limit = float(np.degrees(survey.spec.max_turn_rad))
    diagrams = [
        Diagram(
            "Turn and speed",
            figures.map_figure(
                speeds, measures.degrees(survey, label), "speed, m/s", "turn, °, left positive",
                f"How often each turn was taught at each speed; most labels at {np.median(speeds):.1f} m/s",
                x_span=(0.0, 1.05 * float(speeds.max(initial=1.0))), y_span=(-limit, limit),
            ),
            "Every label of the center camera. The stronger a cell, the more labels, by powers of the count: what is "
            "blank, nobody showed.",
        ),
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
    ]  # fmt: skip
    split = (
        Text(f"There are worlds of the {' and '.join(foreign)} split: training refuses this dataset.", "warning")
        if foreign
        else Text("All worlds are training worlds.")
    )
    return [
        Table(["worlds", "episodes", "steps", "set point"], worlds),
        Table(["split", "episodes", "different worlds", "seeds"], seeds),
        split,
        Diagrams(diagrams if len(label) else diagrams[1:]),
    ]


def _range(low: float, high: float) -> str:
    return f"{low:.1f} m/s" if high - low < 0.05 else f"{low:.1f}–{high:.1f} m/s"


def labels_blocks(survey: Survey) -> Blocks:
    """Histograms of the labels, before and after the side cameras."""
    center, every = measures.center_steering(survey), measures.all_cameras_steering(survey)
    label = survey.over_labels(lambda record: record.label)
    taught = survey.over_labels(lambda record: record.taught)
    if not len(label):
        return [Text("There is no label in this dataset.", "warning")]
    limit = float(np.degrees(survey.spec.max_turn_rad))
    turns = [(0, measures.degrees(survey, label[:, 0])), (1, measures.degrees(survey, taught[..., 0].ravel()))]
    goes = [(0, label[:, 1]), (1, taught[..., 1].ravel())]
    diagrams = [
        Diagram(
            "Turn",
            figures.histograms_figure(
                turns, "turn, °, left positive", "labels, % (log)",
                "Histograms of the turn of the center camera's labels, and of all three cameras'",
                span=(-limit, limit), log=True,
            ),
            "Share of the labels at each turn, on a logarithmic scale, so that rare turns are seen.",
        ),
        Diagram(
            "Go",
            figures.histograms_figure(
                goes, "go, −1 to 1", "labels, % (log)",
                "Histograms of go of the center camera's labels, and of all three cameras'", span=(-1, 1), log=True,
            ),
            "Speed from 0 to the set point (drone), or throttle and brake (car).",
        ),
    ]  # fmt: skip
    return [
        Table(
            ["labels of", "straight", "left", "right", "at the limit", "spread", "change a step"],
            [_steering_row("the center camera", center), _steering_row("all three cameras", every)],
        ),
        Diagrams(diagrams, [(0, "center camera"), (1, "all three cameras, as training uses them")]),
    ]


def _steering_row(name: str, steering: Steering) -> list[str]:
    shares = [percent(share) for share in (steering.straight, steering.left, steering.right)]
    change = f"{steering.change_deg:.1f}°" if steering.change_deg else "–"
    return [name, *shares, percent(steering.at_limit, 1), f"{steering.spread_deg:.1f}°", change]


def sides_blocks(survey: Survey) -> Blocks:
    """What the side cameras teach beside the center camera."""
    rows = measures.corrections_of(survey)
    if not rows:
        return []
    asked = rows[0].asked_deg is not None
    header = [
        "camera",
        "shift",
        "yaw",
        "rule’s correction",
        *(["expert’s correction", "expert − rule"] if asked else []),
    ]
    text = (
        "The expert was asked at the pose of each camera; the geometric rule (back on the line in 2 s for a car, the "
        "same course for a drone) is what people’s data get. Mean ± standard deviation."
        if asked
        else "Nobody was asked at the side cameras, so training uses the geometric rule there (back on the line in 2 s "
        "for a car, the same course for a drone). Mean ± standard deviation."
    )
    own, rule = figures.corrections_between(survey, "taught"), figures.corrections_between(survey, "rule")
    alone = [correction for _, _, correction in own]
    diagrams = [
        Diagram(
            "Corrections",
            figures.histograms_figure(
                [(0, alone[0]), (1, alone[1])], "label minus the center camera’s, °, left positive", "labels, % (log)",
                "Histograms of the corrections at the left and at the right camera", log=True,
            ),
            "How the turn that a side camera teaches differs from the center camera’s at the same moment: "
            "left camera full line, right camera dashed.",
        )
    ]  # fmt: skip
    drawn = figures.side_figures(survey, own)
    for svg, what in zip(drawn, ("shift", "yaw")):
        diagrams.append(Diagram(f"Against the {what}", svg, f"Both side cameras, by where they stood: their {what}."))
    if asked and drawn:
        ruled, told = (np.concatenate([correction for _, _, correction in each]) for each in (rule, own))
        diagrams.append(
            Diagram(
                "Expert against rule",
                figures.map_figure(
                    ruled, told, "rule’s correction, °", "expert’s correction, °",
                    "The expert's corrections against the geometric rule's; the dashed line is where both agree",
                    identity=True,
                ),
                "Each side camera’s label; on the dashed line both say the same.",
            )
        )  # fmt: skip
    return [Text(text), Table(header, [_correction_row(row) for row in rows]), Diagrams(diagrams)]


def _correction_row(row: Corrections) -> list[str]:
    cells = [row.camera, _spread(row.shift_m, " m", 2), _spread(row.yaw_deg, "°", 1), _spread(row.rule_deg, "°", 1)]
    if row.asked_deg is not None and row.asked_minus_rule_deg is not None:
        cells += [_spread(row.asked_deg, "°", 1), _spread(row.asked_minus_rule_deg, "°", 1)]
    return cells


def _spread(values: tuple[float, float], unit: str, digits: int) -> str:
    mean, spread = values
    plus = f" ± {spread:.{digits}f}" if spread > 0.5 * 10**-digits else ""
    shown = round(mean, digits) + 0.0  # no negative zero
    return f"{shown:.{digits}f}{plus}{unit}".replace("-", "−")


def hand_blocks(survey: Survey, hand: Hand) -> Blocks:
    """How the human steered."""
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
        left = " What is left of it" if hand.shifted else " How late the labels are"
        blocks.append(
            Text(f"{left}, against the expert at the same states in {hand.compared} episodes: {hand.delay}.".strip())
        )
    if excerpt := excerpt_of(survey):
        record, part = excerpt
        seconds = (part.stop - part.start) / record.meta.control_hz
        who = " Dashed: the expert’s turn at the same states." if record.expert is not None else ""
        svg = figures.hand_figure(survey, record, part, "Keys held and the shaped turn and go over some seconds")
        text = (
            f"The {seconds:.0f} s with the most steering, {record.path.name}: keys held (shaded, up is left or "
            f"forward), and the smooth action that was recorded (line).{who}"
        )
        blocks.append(Diagrams([Diagram("Keys and what became of them", svg, text)]))
    return blocks


def pictures_blocks(survey: Survey) -> Blocks:
    """Pictures of all cameras at typical and extreme labels."""
    diagrams = [
        Diagram(sample.title, strip(survey, sample), caption(survey, sample)) for sample in sample_pictures(survey)
    ]
    return [Text("What each camera saw, and the turn that its picture teaches."), Diagrams(diagrams)]
