"""Sections on what episodes came to: by arm, world by world, by setting, and how figures are distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from forestpilot.launch.pages.blocks import (
    Bar,
    Bars,
    Cell,
    Diagram,
    Diagrams,
    Point,
    Row,
    Section,
    Squares,
    Table,
    Text,
    difference_words,
    figure,
    interval,
    p_value,
    percent,
)
from forestpilot.launch.pages.figures import shares_figure, sign_of
from forestpilot.launch.reading.evaluations import Setting
from forestpilot.launch.reports.arms import Arm, describe_setting
from forestpilot.launch.reports.comparison import Pair

MAX_NOTES = 4
"""More pairs than this that share no worlds, or not all, are counted."""
MAX_SQUARES = 6
"""More pairs than this are shown as a table only."""
TASK_NAMES = {"drone": "flights", "drive": "drives"}


CLEARANCE = {
    "drone": "Least distance from the body to a trunk during a flight; zero or below is a collision.",
    "drive": "Least distance from the body to a trunk or obstacle during a drive, cut off at 1.15 m.",
}
"""What the least clearance of an episode is."""


def results_section(task: str, arms: Sequence[Arm], pairs: Sequence[Pair]) -> Section:
    """What each arm came to, with intervals.

    Args:
        task: drone or drive.
        arms: of this task.
        pairs: the arms compared.
    """
    counted = [arm for arm in arms if arm.counts_interventions]
    section = Section(f"results-{task}", f"Results: {TASK_NAMES[task]}")
    section.blocks.append(Text(_best(arms, pairs), "verdict"))
    if not _same_worlds(arms):
        section.blocks.append(
            Text(
                "These arms were not all run in the same worlds, so their figures below must not be compared with one "
                "another. World by world, further down, compares each pair over the worlds it shares.", "warning",
            )
        )  # fmt: skip
    if counted:
        section.blocks.append(_autonomy_bars(arms, counted))
    section.blocks += [_success_bars(arms), _results_table(arms, bool(counted))]
    return section


def _same_worlds(arms: Sequence[Arm]) -> bool:
    return all(set(arm.episodes) == set(arms[0].episodes) for arm in arms)


def _best(arms: Sequence[Arm], pairs: Sequence[Pair]) -> str:
    """Which arm did best, and from which it is not shown to differ, in a sentence or two."""
    if len(arms) == 1:
        return _sentence(arms[0])
    if not _same_worlds(arms):
        return " ".join(_sentence(arm) for arm in arms)
    best = max(arms, key=lambda arm: arm.score.successes)
    alike = [
        (pair.second if pair.first is best else pair.first).name
        for pair in pairs
        if best in (pair.first, pair.second) and not pair.shown
    ]
    rest = (
        f" It is not shown to differ from {' or '.join(alike)}."
        if alike
        else " It is shown to differ from each other arm."
    )
    return f"Best: {_sentence(best)}{rest}"


def _sentence(arm: Arm) -> str:
    score = arm.score
    what = {"drone": "reached the goal in", "drive": "drove without help on"}[arm.task]
    worlds = {"drone": "forests", "drive": "roads"}[arm.task]
    autonomy = ""
    if score.autonomy is not None:
        low_high = interval(score.autonomy_low, score.autonomy_high, 2)
        autonomy = f"; autonomy {percent(score.autonomy, 2)} ({low_high})"
    return (
        f"{arm.name} {what} {score.successes} of {score.episodes} {'/'.join(arm.splits)} {worlds} "
        f"({percent(score.successes / score.episodes)}, 95 % interval {interval(score.low, score.high)}){autonomy}."
    )


def _success_bars(arms: Sequence[Arm]) -> Bars:
    bars = []
    for style, arm in enumerate(arms):
        score = arm.score
        share = score.successes / score.episodes
        text = f"{score.successes}/{score.episodes}, {percent(share)} ({interval(score.low, score.high)})"
        bars.append(Bar(arm.name, style, text, [Point(share, sign_of(style))], score.low, score.high))
    definition = "Share of the episodes that ended at the goal without help, with its 95 % Wilson interval."
    return Bars("Success", bars, "0 %", "100 %", definition)


def _autonomy_bars(arms: Sequence[Arm], counted: Sequence[Arm]) -> Bars:
    """Autonomy on a scale that begins where the lowest interval does, because 99 % and 99.9 % are far apart."""
    lowest = min(_known(arm.score.autonomy_low) for arm in counted)
    start = next(limit for limit in (0.99, 0.95, 0.9, 0.8, 0.5, 0.0) if lowest >= limit)
    bars = []
    for arm in counted:
        score, style = arm.score, list(arms).index(arm)
        value, low, high = (
            (_known(v) - start) / (1 - start) for v in (score.autonomy, score.autonomy_low, score.autonomy_high)
        )
        text = f"{percent(score.autonomy, 2)} ({interval(score.autonomy_low, score.autonomy_high, 2)})"
        bars.append(Bar(arm.name, style, text, [Point(value, sign_of(style))], low, high))
    definition = (
        "PilotNet's autonomy: 1 − 6 s × interventions / time (Bojarski et al. 2016), with its 95 % interval: a "
        "bootstrap over the roads, or the exact Poisson interval of the count where that is wider."
    )
    return Bars("Autonomy", bars, percent(start), "100 %", definition)


def _known(value: float | None) -> float:
    return 0.0 if value is None else value


def _results_table(arms: Sequence[Arm], counted: bool) -> Table:
    places = list(dict.fromkeys(map(_where, arms)))
    header = ["arm", "episodes", "success", "95 %"]
    header += ["autonomy", "interventions", "per km (95 %)"] if counted else []
    header += ["collision", "out of bounds", "out of time", "clearance, median", "speed, mean"]
    header += ["worlds"] if len(places) > 1 else []
    rows: list[list[str | Cell]] = []
    for style, arm in enumerate(arms):
        s = arm.score
        row: list[str | Cell] = [Cell(arm.name, style=style), str(s.episodes)]
        row += [percent(s.successes / s.episodes), interval(s.low, s.high)]
        if counted:
            row += [percent(s.autonomy, 2), "–", "–"] if s.autonomy is None else [
                percent(s.autonomy, 2), str(s.interventions),
                f"{s.interventions_per_km:.3f} ({s.interventions_per_km_low:.3f}–{s.interventions_per_km_high:.3f})",
            ]  # fmt: skip
        row += [str(s.collisions), str(s.out_of_bounds), str(s.timeouts)]
        row += [figure(s.median_clearance_m, " m"), figure(s.mean_speed_mps, " m/s", 1)]
        row += [_where(arm)] if len(places) > 1 else []
        rows.append(row)
    return Table(header, rows, f"Worlds: {places[0]}" if len(places) == 1 else "")


def _where(arm: Arm) -> str:
    """In which worlds an arm was run, in a few words."""
    settings = [describe_setting(setting) for setting in arm.settings]
    return f"{'/'.join(arm.splits)}, {settings[0] if len(settings) == 1 else f'{len(settings)} settings'}"


def pairs_section(task: str, pairs: Sequence[Pair], notes: Sequence[str]) -> Section:
    """Pairs of arms of a task, world by world."""
    section = Section(f"pairs-{task}", f"World by world: {TASK_NAMES[task]}")
    section.blocks.append(
        Text(
            "Two arms in the same world share its luck, so only the worlds in which just one of them succeeded tell "
            "them apart. McNemar's exact test asks how likely so uneven a split is if both were alike; with several "
            "pairs, p is corrected for their number (Holm). The difference is in percentage points of success, with "
            "its 95 % interval (Bonett & Price 2012)."
        )
    )
    section.blocks += [Text(note, "warning") for note in notes[:MAX_NOTES]]
    if len(notes) > MAX_NOTES:
        section.blocks.append(Text(f"So it is with {len(notes) - MAX_NOTES} more pairs.", "warning"))
    if 0 < len(pairs) <= MAX_SQUARES:
        section.blocks.append(Squares(pairs))
    if pairs:
        header = ("pair", "worlds", "both", "only first", "only second", "neither", "second − first", "p", "p, Holm")
        rows = [
            (
                f"{pair.first.name} → {pair.second.name}", str(pair.worlds), str(pair.both), str(pair.only_first),
                str(pair.only_second), str(pair.neither), difference_words(pair.difference, pair.low, pair.high),
                p_value(pair.p).removeprefix("= "), p_value(pair.p_holm).removeprefix("= "),
            )
            for pair in pairs
        ]  # fmt: skip
        section.blocks.append(Table(header, rows, "Worlds in which both, one or neither of two arms succeeded"))
    return section


def settings_section(task: str, arms: Sequence[Arm]) -> Section | None:
    """Success by world setting; None where there is only one."""
    settings = sorted({setting for arm in arms for setting in arm.settings}, key=_setting_order)
    if len(settings) < 2:
        return None
    section = Section(f"settings-{task}", f"By world setting: {TASK_NAMES[task]}")
    section.blocks.append(
        Text(
            "Success by how the worlds are, with its 95 % Wilson interval; the stronger the shade, the more successes. "
            "Arms that were run in one setting only stand in the table above."
        )
    )
    shared, names = _told_apart(settings)
    speeds = sorted({setting.speed for setting in settings}, key=_none_first)
    if len(speeds) > 1:
        section.blocks += [_speed_table(arm) for arm in arms if len(arm.settings) > 1]
    else:
        header = ("worlds", *(arm.name for arm in arms))
        rows: list[Row] = [
            (name, *(_setting_cell(arm, setting) for arm in arms)) for name, setting in zip(names, settings)
        ]
        section.blocks.append(Table(header, rows, f"In all of them: {shared}" if shared else ""))
    return section


def _speed_table(arm: Arm) -> Table:
    """One arm in several settings: a row for each kind of world, a column for each speed."""
    settings = sorted(arm.settings, key=_setting_order)
    speeds = sorted({setting.speed for setting in settings}, key=_none_first)
    kinds = list(dict.fromkeys(setting._replace(speed=None) for setting in settings))
    shared, names = _told_apart(kinds)
    header = ("worlds", *("any speed" if speed is None else f"{speed:g} m/s" for speed in speeds))
    rows: list[Row] = [
        (name, *(_setting_cell(arm, kind._replace(speed=speed)) for speed in speeds))
        for name, kind in zip(names, kinds)
    ]
    return Table(header, rows, ": ".join(filter(None, (arm.name, shared.replace(", any speed", "")))))


def _told_apart(settings: Sequence[Setting]) -> tuple[str, list[str]]:
    """(what all settings share, what is left of each), in words."""
    described = [describe_setting(setting).split(", ") for setting in settings]
    shared = [part for part in described[0] if all(part in parts for parts in described)]
    names = [", ".join(part for part in parts if part not in shared) for parts in described]
    return ", ".join(shared), [name or "all" for name in names]


def _setting_cell(arm: Arm, setting: Setting) -> Cell:
    worlds = arm.in_setting(setting)
    if not worlds:
        return Cell("–")
    score = arm.score_of(worlds)
    share = score.successes / score.episodes
    note = f"{score.successes}/{score.episodes}, {interval(score.low, score.high)}"
    if score.autonomy is not None:
        note += f"\nautonomy {percent(score.autonomy, 2)}"
    return Cell(percent(share), share, note=note)


def _setting_order(setting: Setting) -> tuple[object, ...]:
    return (setting.preset, *(_none_first(value) for value in setting[2:5]), setting.interventions)


def _none_first(value: float | None) -> float:
    return -math.inf if value is None else value


def distributions_section(task: str, arms: Sequence[Arm]) -> Section:
    """How clearance, speed and time are distributed over the episodes."""
    names = {
        "min_clearance_m": ("Least clearance", "least clearance, m", CLEARANCE[task]),
        "mean_speed_mps": ("Mean speed", "mean speed, m/s", "Mean speed of an episode, the start from rest included."),
        "time_s": ("Time", "time, s", "Duration of an episode until it ended, in whatever way; crashes end early."),
    }  # fmt: skip
    if any(arm.counts_interventions for arm in arms):
        names["interventions"] = (
            "Interventions", "interventions per road", "How often the car was put back on a road.",
        )  # fmt: skip
    diagrams = []
    for column, (title, label, text) in names.items():
        values = [(style, [getattr(row, column) for row in arm.rows]) for style, arm in enumerate(arms)]
        diagrams.append(Diagram(title, shares_figure(values, label, _distribution_alt(title, arms, values)), text))
    section = Section(f"distributions-{task}", f"Distributions: {TASK_NAMES[task]}")
    section.blocks.append(
        Text(
            "Each curve rises by one step for every episode, so a curve of few episodes is seen to be one of few episodes."
        )
    )
    legend = [(style, f"{arm.name} (n = {len(arm.episodes)})") for style, arm in enumerate(arms)]
    section.blocks.append(Diagrams(diagrams, legend))
    return section


def _distribution_alt(title: str, arms: Sequence[Arm], values: Sequence[tuple[int, Sequence[float]]]) -> str:
    medians = (f"{arm.name} {sorted(numbers)[len(numbers) // 2]:.3g}" for arm, (_, numbers) in zip(arms, values))
    return f"{title} as cumulative shares of the episodes; medians: {', '.join(medians)}"
