"""The section on signs of a copycat: does a policy react, or repeat itself?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.launch.pages.blocks import Bar, Bars, Cell, Point, Row, Section, Table, Text, figure, percent
from forestpilot.launch.pages.figures import sign_of
from forestpilot.launch.reading.tasks import task_named
from forestpilot.launch.reports.arms import Arm, WorldKey
from forestpilot.launch.reports.behaviour import CopycatFigures, Trace, copycat_figures, try_trace

FEW_CHANGES = 0.5
"""Below this ratio of changes an arm may show the signs."""
MANY_REPEATS = 0.5
"""Above this share of repeats it shows them."""
FALLBACK_TOP_DEG = 1.0
"""End of a scale on which everything is zero, degrees."""
EXPERT_SIGN = "◇"
"""Marks what is compared with."""


class Measured(NamedTuple):
    """An arm and what was measured of it."""

    style: int
    """Which of the arms it is."""
    arm: Arm
    """The arm."""
    figures: CopycatFigures
    """How much it repeats itself."""

    @property
    def shows_signs(self) -> bool:
        """True where it changes less than the expert would, and stays with its own turn where the expert changes."""
        return self.arm.trained and self.figures.ratio_high < FEW_CHANGES and self.figures.repeats > MANY_REPEATS


def copycat_section(task: str, arms: Sequence[Arm], replays: int, progress: Progress, explain: bool = True) -> Section:
    """Replay some episodes of each arm beside the expert, and compare how they change.

    Args:
        task: name of the task.
        arms: of this task.
        replays: episodes of each arm.
        progress: who watches.
        explain: say what is measured; a page needs it once.
    """
    words = task_named(task).words
    section = Section(f"copycat-{task}", f"Reacting or repeating: {words.episodes}")
    introduction = "The signs are those of above."
    if explain:
        introduction = _WHAT
    section.blocks.append(Text(f"{introduction} {words.expert}".strip()))
    measured: list[Measured] = []
    for style, arm in enumerate(arms):
        worlds = _worlds(arm, arms, replays)
        traces, lost = _traces(arm, worlds, progress)
        if lost:
            told = f"{arm.name}: {len(lost)} of {len(worlds)} episodes are left out. {lost[0]}."
            section.blocks.append(Text(told, "warning"))
        figures = copycat_figures(traces)
        if figures is not None:
            measured.append(Measured(style, arm, figures))
    if not measured:
        section.blocks.append(Text("No episode could be replayed, so there is nothing to compare.", "warning"))
        return section
    section.blocks += [Text(_reading(measured), "verdict"), _change_bars(measured), _error_bars(measured)]
    section.blocks.append(_table(measured))
    if explain:
        section.blocks.append(Text(_DEFINITIONS))
    return section


_WHAT = (
    "Whoever learns from a history of pictures may learn to repeat the last action, which is nearly always nearly "
    "right, and miss the moments at which it is not (the copycat problem: Wen et al. 2020, arXiv:2010.14876). Signs of "
    "it: turns that change less from step to step than the expert's would at the same states, errors that gather where "
    "the expert changes its mind, and episodes that stand still until time is up. None of them proves it: an arm that "
    "is simply bad, such as a blind one, shows some of them too."
)
_DEFINITIONS = (
    "Change: mean |turn − turn one step before|, of the arm and of the expert's answers at the same states; below a "
    "ratio of 1 the arm changes less than the expert would. Lag-1 correlation: how well a turn is predicted by the one "
    "before. Error at changes: mean |turn − expert's answer| at the tenth of the steps at which that answer changes "
    "most, beside the error at all others (Wen et al. 2021, arXiv:2106.06452). Repeats: share of these changes at "
    "which the turn is nearer to the arm's own last one than to the expert's answer. Standing: share of the time below "
    "0.5 m/s after the first 2 s (inertia: Codevilla et al. 2019, arXiv:1904.08980). Out of time: of all episodes, not "
    "only those replayed. Intervals: bootstrap over episodes."
)


def _reading(measured: Sequence[Measured]) -> str:
    """Names of the trained arms that show the signs, in a sentence."""
    if not any(each.arm.trained for each in measured):
        return "No arm with a network was measured, so nobody could have learned to copy."
    rule = (
        f"(changes less than {FEW_CHANGES:g} times as much as the expert would, interval included, and at more than "
        f"{percent(MANY_REPEATS)} of the expert's changes stays nearer to its own last turn)"
    )
    shown = []
    for each in measured:
        if each.shows_signs:
            shown.append(f"{each.arm.name} (× {each.figures.ratio:.2f}, {percent(each.figures.repeats)})")
    if not shown:
        return f"No arm with a network shows the signs of a copycat {rule}."
    return f"Signs of a copycat {rule}: {', '.join(shown)}."


def _worlds(arm: Arm, arms: Sequence[Arm], count: int) -> list[WorldKey]:
    """The first worlds, those that all arms share before others, so that arms are compared in the same ones."""
    shared = set(arm.episodes).intersection(*(other.episodes for other in arms))
    return sorted(shared or arm.episodes, key=lambda world: (world[1], str(world[0])))[:count]


def _traces(arm: Arm, worlds: Sequence[WorldKey], progress: Progress) -> tuple[list[Trace], list[str]]:
    """Replayed episodes, and why the others could not be."""
    traces: list[Trace] = []
    lost: list[str] = []
    with progress.stage(f"replay {arm.name} beside the expert", total=len(worlds)) as stage:
        for world in worlds:
            evaluation, row = arm.episodes[world]
            trace, why = try_trace(evaluation.result_path(row))
            if trace is None:
                lost.append(why)
            else:
                traces.append(trace)
            stage.advance()
    return traces, lost


def _change_bars(measured: Sequence[Measured]) -> Bars:
    """Mean changes of the turn, beside the expert's."""
    definition = f"Mean change of the turn from one step to the next; {EXPERT_SIGN} is the expert at the same states."
    return _bars("Change from step to step", measured, _changes, _change_text, definition)


def _error_bars(measured: Sequence[Measured]) -> Bars:
    """Distances of turns from the expert's, where that changes and elsewhere."""
    title = "Error where the expert changes its mind"
    definition = (
        f"Distance from the expert's turn where that changes most; {EXPERT_SIGN} is the distance at all other steps."
    )
    return _bars(title, measured, _errors, _error_text, definition)


def _changes(f: CopycatFigures) -> tuple[float, float]:
    return f.expert_change_deg, f.change_deg


def _errors(f: CopycatFigures) -> tuple[float, float]:
    return f.error_deg, f.change_error_deg


def _change_text(f: CopycatFigures) -> str:
    return f"{figure(f.change_deg, '°', 1)}, expert {figure(f.expert_change_deg, '°', 1)}: {_ratio(f)}"


def _error_text(f: CopycatFigures) -> str:
    return f"{figure(f.change_error_deg, '°', 1)} at changes, {figure(f.error_deg, '°', 1)} elsewhere"


def _bars(
    title: str,
    measured: Sequence[Measured],
    read: Callable[[CopycatFigures], tuple[float, float]],
    tell: Callable[[CopycatFigures], str],
    definition: str,
) -> Bars:
    """Pairs of values in degrees, the first as what the second is compared with."""
    largest = 0.0
    for each in measured:
        largest = max(largest, *filter(math.isfinite, read(each.figures)), 0.0)
    top = 1.05 * largest or FALLBACK_TOP_DEG
    bars = []
    for each in measured:
        compared_with, value = read(each.figures)
        marks = []
        if math.isfinite(compared_with):
            marks.append(Point(compared_with / top, EXPERT_SIGN, hollow=True))
        if math.isfinite(value):
            marks.append(Point(value / top, sign_of(each.style)))
        bars.append(Bar(each.arm.name, each.style, tell(each.figures), marks))
    return Bars(title, bars, "0°", f"{top:.1f}°", definition)


def _ratio(f: CopycatFigures) -> str:
    """The ratio of changes with its interval."""
    if math.isnan(f.ratio):
        return "no ratio, the expert never changes"
    if math.isnan(f.ratio_low):
        return f"× {f.ratio:.2f}"
    return f"× {f.ratio:.2f} ({f.ratio_low:.2f}–{f.ratio_high:.2f})"


def _table(measured: Sequence[Measured]) -> Table:
    """All figures."""
    header = (
        "arm",
        "episodes",
        "steps",
        "change",
        "expert's",
        "ratio (95 %)",
        "lag-1 correlation",
        "expert's",
        "error at changes",
        "elsewhere",
        "repeats",
        "standing",
        "out of time",
    )
    return Table(header, list(map(_table_row, measured)))


def _table_row(each: Measured) -> Row:
    f = each.figures
    score = each.arm.score
    return (
        Cell(each.arm.name, style=each.style),
        str(f.episodes),
        f"{f.steps:,}",
        figure(f.change_deg, "°"),
        figure(f.expert_change_deg, "°"),
        _ratio(f).removeprefix("× "),
        figure(f.autocorrelation),
        figure(f.expert_autocorrelation),
        figure(f.change_error_deg, "°", 1),
        figure(f.error_deg, "°", 1),
        percent(f.repeats),
        percent(f.standing, 1),
        f"{score.timeouts}/{score.episodes}",
    )
