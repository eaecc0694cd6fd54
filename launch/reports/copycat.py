"""The section on signs of a copycat: does a policy react, or repeat itself?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.launch.pages.blocks import Bar, Bars, Cell, Point, Section, Table, Text, figure, percent
from forestpilot.launch.pages.figures import sign_of
from forestpilot.launch.reports.arms import Arm, WorldKey
from forestpilot.launch.reports.behaviour import CopycatFigures, Trace, copycat_figures, try_trace
from forestpilot.launch.reports.results import TASK_NAMES

FEW_CHANGES, MANY_REPEATS = 0.5, 0.5
"""Below this ratio of changes, and above this share of repeats, an arm is said to show the signs."""
FALLBACK_TOP_DEG = 1.0
"""End of a scale on which everything is zero, degrees."""


def copycat_section(task: str, arms: Sequence[Arm], replays: int, progress: Progress, explain: bool = True) -> Section:
    """Replay some episodes of each arm beside the expert, and compare how they change.

    Args:
        task: drone or drive.
        arms: of this task.
        replays: episodes of each arm.
        progress: who watches.
        explain: say what is measured; a page needs it once.
    """
    section = Section(f"copycat-{task}", f"Reacting or repeating: {TASK_NAMES[task]}")
    section.blocks.append(
        Text(f"{_WHAT} {_EXPERTS[task]}" if explain else f"The signs are those of above. {_EXPERTS[task]}")
    )
    measured: list[tuple[int, Arm, CopycatFigures]] = []
    for style, arm in enumerate(arms):
        worlds = _worlds(arm, arms, replays)
        traces, lost = _traces(arm, worlds, progress)
        if lost:
            section.blocks.append(
                Text(f"{arm.name}: {len(lost)} of {len(worlds)} episodes are left out. {lost[0]}.", "warning")
            )
        found = copycat_figures(traces)
        if found is not None:
            measured.append((style, arm, found))
    if not measured:
        section.blocks.append(Text("No episode could be replayed, so there is nothing to compare.", "warning"))
        return section
    section.blocks += [Text(_reading(measured), "verdict"), _change_bars(measured), _error_bars(measured)]
    section.blocks += [_table(measured), *([Text(_DEFINITIONS)] if explain else [])]
    return section


_WHAT = (
    "Whoever learns from a history of pictures may learn to repeat the last action, which is nearly always nearly "
    "right, and miss the moments at which it is not (the copycat problem: Wen et al. 2020, arXiv:2010.14876). Signs of "
    "it: turns that change less from step to step than the expert's would at the same states, errors that gather where "
    "the expert changes its mind, and episodes that stand still until time is up. None of them proves it: an arm that is "
    "simply bad, such as a blind one, shows some of them too."
)
_EXPERTS = {
    "drone": "The expert of the drone chooses between 21 turns and jumps from one to the next, so its turns change "
    "more than a smooth pilot's.",
    "drive": "The expert of the car steers smoothly, so an arm whose wheels tremble changes more than it.",
}
"""What to know of the expert of each task."""
_DEFINITIONS = (
    "Change: mean |turn − turn one step before|, of the arm and of the expert's answers at the same states; below a "
    "ratio of 1 the arm changes less than the expert would. Lag-1 correlation: how well a turn is predicted by the one "
    "before. Error at changes: mean |turn − expert's answer| at the tenth of the steps at which that answer changes "
    "most, beside the error at all others (Wen et al. 2021, arXiv:2106.06452). Repeats: share of these changes at "
    "which the turn is nearer to the arm's own last one than to the expert's answer. Standing: share of the time below "
    "0.5 m/s after the first 2 s (inertia: Codevilla et al. 2019, arXiv:1904.08980). Out of time: of all episodes, not "
    "only those replayed. Intervals: bootstrap over episodes."
)


def _reading(measured: Sequence[tuple[int, Arm, CopycatFigures]]) -> str:
    """Which trained arms show the signs, in a sentence."""
    trained = [(arm, f) for _, arm, f in measured if arm.trained]
    if not trained:
        return "No arm with a network was measured, so nobody could have learned to copy."
    shown = [(arm, f) for arm, f in trained if f.ratio_high < FEW_CHANGES and f.repeats > MANY_REPEATS]
    rule = (
        f"(changes less than {FEW_CHANGES:g} times as much as the expert would, interval included, and at more than "
        f"{percent(MANY_REPEATS)} of the expert's changes stays nearer to its own last turn)"
    )
    if not shown:
        return f"No arm with a network shows the signs of a copycat {rule}."
    names = ", ".join(f"{arm.name} (× {f.ratio:.2f}, {percent(f.repeats)})" for arm, f in shown)
    return f"Signs of a copycat {rule}: {names}."


def _worlds(arm: Arm, arms: Sequence[Arm], count: int) -> list[WorldKey]:
    """The first worlds, those that all arms share before others, so that arms are compared in the same ones."""
    shared = [world for world in arm.episodes if all(world in other.episodes for other in arms)]
    return sorted(shared or arm.episodes, key=lambda world: (world[1], str(world[0])))[:count]


def _traces(arm: Arm, worlds: Sequence[WorldKey], progress: Progress) -> tuple[list[Trace], list[str]]:
    """Replayed episodes, and why the others could not be."""
    traces, lost = [], []
    with progress.stage(f"replay {arm.name} beside the expert", total=len(worlds)) as stage:
        for world in worlds:
            evaluation, row = arm.episodes[world]
            trace, why = try_trace(evaluation.result_path(row))
            traces += [trace] if trace is not None else []
            lost += [why] if why else []
            stage.advance()
    return traces, lost


def _change_bars(measured: Sequence[tuple[int, Arm, CopycatFigures]]) -> Bars:
    top = max([max(f.change_deg, f.expert_change_deg) for _, _, f in measured]) * 1.05 or FALLBACK_TOP_DEG
    bars = []
    for style, arm, f in measured:
        marks = [Point(f.expert_change_deg / top, "◇", hollow=True), Point(f.change_deg / top, sign_of(style))]
        text = f"{figure(f.change_deg, '°', 1)}, expert {figure(f.expert_change_deg, '°', 1)}: {_ratio(f)}"
        bars.append(Bar(arm.name, style, text, marks))
    definition = "Mean change of the turn from one step to the next; ◇ is the expert at the same states."
    return Bars("Change from step to step", bars, "0°", f"{top:.1f}°", definition)


def _error_bars(measured: Sequence[tuple[int, Arm, CopycatFigures]]) -> Bars:
    values = [v for _, _, f in measured for v in (f.error_deg, f.change_error_deg) if math.isfinite(v)]
    top = max(values, default=0.0) * 1.05 or FALLBACK_TOP_DEG
    bars = []
    for style, arm, f in measured:
        places = ((f.error_deg, "◇", True), (f.change_error_deg, sign_of(style), False))
        marks = [Point(value / top, sign, hollow) for value, sign, hollow in places if math.isfinite(value)]
        text = f"{figure(f.change_error_deg, '°', 1)} at changes, {figure(f.error_deg, '°', 1)} elsewhere"
        bars.append(Bar(arm.name, style, text, marks))
    definition = "Distance from the expert's turn where that changes most; ◇ is the distance at all other steps."
    return Bars("Error where the expert changes its mind", bars, "0°", f"{top:.1f}°", definition)


def _ratio(f: CopycatFigures) -> str:
    if math.isnan(f.ratio):
        return "no ratio, the expert never changes"
    ends = "" if math.isnan(f.ratio_low) else f" ({f.ratio_low:.2f}–{f.ratio_high:.2f})"
    return f"× {f.ratio:.2f}{ends}"


def _table(measured: Sequence[tuple[int, Arm, CopycatFigures]]) -> Table:
    header = (
        "arm", "episodes", "steps", "change", "expert's", "ratio (95 %)", "lag-1 correlation", "expert's",
        "error at changes", "elsewhere", "repeats", "standing", "out of time",
    )  # fmt: skip
    rows = []
    for style, arm, f in measured:
        timeouts = f"{arm.score.timeouts}/{arm.score.episodes}"
        rows.append(
            (
                Cell(arm.name, style=style), str(f.episodes), f"{f.steps:,}", figure(f.change_deg, "°"),
                figure(f.expert_change_deg, "°"), _ratio(f).removeprefix("× "), figure(f.autocorrelation),
                figure(f.expert_autocorrelation), figure(f.change_error_deg, "°", 1), figure(f.error_deg, "°", 1),
                percent(f.repeats), percent(f.standing, 1), timeouts,
            )
        )  # fmt: skip
    return Table(header, rows)
