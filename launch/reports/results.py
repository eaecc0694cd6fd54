"""Sections on what episodes came to: by arm, world by world, and how figures are distributed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from forestpilot.launch.pages.blocks import (
    Bar,
    Bars,
    Cell,
    Diagram,
    Diagrams,
    Point,
    Section,
    Square,
    Squares,
    Table,
    Text,
    difference_words,
    figure,
    interval,
    p_value,
    percent,
    table_of,
)
from forestpilot.launch.pages.figures import shares_figure, sign_of
from forestpilot.launch.reading.tasks import task_named
from forestpilot.launch.reports.arms import Arm
from forestpilot.launch.reports.comparison import Pair
from forestpilot.policies.evaluation.scores import Score

MAX_NOTES = 4
"""More pairs than this that share no worlds, or not all, are counted."""
MAX_SQUARES = 6
"""More pairs than this are shown as a table only."""
GAP_MEANING = (
    "Imitation gap: the return of the expert's episodes less that of the arm's, through the same worlds, with its 95 % "
    "interval (Student's t over the worlds). A return is the metres of progress, less 10 for a crash and for every "
    "intervention."
)
SCALE_STARTS = (0.99, 0.95, 0.9, 0.8, 0.5, 0.0)
"""Where a scale of autonomy may begin."""


def results_section(task: str, arms: Sequence[Arm], pairs: Sequence[Pair]) -> Section:
    """Results of each arm, with intervals.

    Args:
        task: name of the task.
        arms: of this task.
        pairs: the arms compared.
    """
    counted = _any_counted(arms)
    section = Section(f"results-{task}", f"Results: {episodes_of(task)}")
    section.blocks.append(Text(_best(arms, pairs), "verdict"))
    if not _same_worlds(arms):
        section.blocks.append(
            Text(
                "These arms were not all run in the same worlds, so their figures below must not be compared with one "
                "another. World by world, further down, compares each pair over the worlds it shares.",
                "warning",
            )
        )
    if counted:
        section.blocks.append(_autonomy_bars(arms))
    section.blocks += [_success_bars(arms), _results_table(arms, counted)]
    if any(arm.gap for arm in arms):
        section.blocks.append(Text(GAP_MEANING))
    return section


def _any_counted(arms: Sequence[Arm]) -> bool:
    """True where interventions of some arm were counted."""
    return any(arm.counts_interventions for arm in arms)


def episodes_of(task: str) -> str:
    """Name of several episodes of a task."""
    return task_named(task).words.episodes


def _same_worlds(arms: Sequence[Arm]) -> bool:
    return all(arm.episodes.keys() == arms[0].episodes.keys() for arm in arms)


def _best(arms: Sequence[Arm], pairs: Sequence[Pair]) -> str:
    """The arm that did best, and those from which it is not shown to differ, in a sentence or two."""
    if len(arms) == 1 or not _same_worlds(arms):
        return " ".join(map(_sentence, arms))
    best = max(arms, key=lambda arm: arm.score.successes)
    alike = []
    for pair in pairs:
        other = pair.other(best)
        if other is not None and not pair.shown:
            alike.append(other.name)
    if alike:
        return f"Best: {_sentence(best)} It is not shown to differ from {' or '.join(alike)}."
    return f"Best: {_sentence(best)} It is shown to differ from each other arm."


def _sentence(arm: Arm) -> str:
    """Result of an arm in a sentence."""
    score = arm.score
    words = task_named(arm.task).words
    text = (
        f"{arm.name} {words.success} {score.successes} of {score.episodes} {arm.splits} {words.worlds} "
        f"({_share(score)}, 95 % interval {interval(score.low, score.high)})"
    )
    if score.autonomy is not None:
        text += f"; autonomy {_autonomy(score)}"
    return f"{text}."


def _share(score: Score) -> str:
    return percent(score.successes / score.episodes)


def _autonomy(score: Score) -> str:
    """The autonomy with its interval."""
    return f"{percent(score.autonomy, 2)} ({interval(score.autonomy_low, score.autonomy_high, 2)})"


def _success_bars(arms: Sequence[Arm]) -> Bars:
    bars = []
    for style, arm in enumerate(arms):
        score = arm.score
        text = f"{score.successes}/{score.episodes}, {_share(score)} ({interval(score.low, score.high)})"
        point = Point(score.successes / score.episodes, sign_of(style))
        bars.append(Bar(arm.name, style, text, [point], score.low, score.high))
    definition = "Share of the episodes that ended at the goal without help, with its 95 % Wilson interval."
    return Bars("Success", bars, "0 %", "100 %", definition)


def _autonomy_bars(arms: Sequence[Arm]) -> Bars:
    """Autonomy on a scale that begins where the lowest interval does, because 99 % and 99.9 % are far apart."""
    start = _scale_start(arms)

    def place(autonomy: float | None) -> float:
        return ((autonomy or 0.0) - start) / (1 - start)

    bars = []
    for style, arm in enumerate(arms):
        if arm.counts_interventions:
            score = arm.score
            point = Point(place(score.autonomy), sign_of(style))
            ends = (place(score.autonomy_low), place(score.autonomy_high))
            bars.append(Bar(arm.name, style, _autonomy(score), [point], *ends))
    definition = (
        "PilotNet's autonomy: 1 − 6 s × interventions / time (Bojarski et al. 2016), with its 95 % interval: a "
        "bootstrap over the roads, or the exact Poisson interval of the count where that is wider."
    )
    return Bars("Autonomy", bars, percent(start), "100 %", definition)


def _scale_start(arms: Sequence[Arm]) -> float:
    """The largest of `SCALE_STARTS` that lies below all intervals."""
    lowest = 1.0
    for arm in arms:
        if arm.counts_interventions:
            lowest = min(lowest, arm.score.autonomy_low or 0.0)
    return max(start for start in SCALE_STARTS if start <= lowest)


def _results_table(arms: Sequence[Arm], counted: bool) -> Table:
    """The figures of each arm; with interventions if they were counted."""
    places = list(dict.fromkeys(map(_where, arms)))
    with_gaps = any(arm.gap for arm in arms)
    rows = []
    for style, arm in enumerate(arms):
        s = arm.score
        row: dict[str, str | Cell] = {
            "arm": Cell(arm.name, style=style),
            "episodes": str(s.episodes),
            "success": _share(s),
            "95 %": interval(s.low, s.high),
        }
        if counted:
            row |= _intervention_cells(s)
        row |= {
            "collision": str(s.collisions),
            "out of bounds": str(s.out_of_bounds),
            "out of time": str(s.timeouts),
            "clearance, median": figure(s.median_clearance_m, " m"),
            "speed, mean": figure(s.mean_speed_mps, " m/s", 1),
        }
        if with_gaps:
            row["imitation gap (95 %)"] = arm.gap.words if arm.gap else "–"
        if len(places) > 1:
            row["worlds"] = _where(arm)
        rows.append(row)
    return table_of(rows, f"Worlds: {places[0]}" if len(places) == 1 else "")


def _intervention_cells(s: Score) -> dict[str, str]:
    """Figures of interventions; dashes where they were not counted."""
    if s.autonomy is None:
        return {"autonomy": "–", "interventions": "–", "per km (95 %)": "–"}
    ends = f"{s.interventions_per_km_low:.3f}–{s.interventions_per_km_high:.3f}"
    return {
        "autonomy": percent(s.autonomy, 2),
        "interventions": str(s.interventions),
        "per km (95 %)": f"{s.interventions_per_km:.3f} ({ends})",
    }


def _where(arm: Arm) -> str:
    """In which worlds an arm was run, in a few words."""
    settings = arm.settings
    if len(settings) > 1:
        return f"{arm.splits}, {len(settings)} settings"
    return f"{arm.splits}, {settings[0].words}"


def pairs_section(task: str, pairs: Sequence[Pair], notes: Sequence[str]) -> Section:
    """Pairs of arms of a task, world by world."""
    section = Section(f"pairs-{task}", f"World by world: {episodes_of(task)}")
    section.blocks.append(
        Text(
            "Two arms in the same world share its luck, so only the worlds in which just one of them succeeded tell "
            "them apart. McNemar's exact test asks how likely so uneven a split is if both were alike; with several "
            "pairs, p is corrected for their number (Holm). The difference is in percentage points of success, with "
            "its 95 % interval (Bonett & Price 2012)."
        )
    )
    for note in notes[:MAX_NOTES]:
        section.blocks.append(Text(note, "warning"))
    if len(notes) > MAX_NOTES:
        section.blocks.append(Text(f"So it is with {len(notes) - MAX_NOTES} more pairs.", "warning"))
    if 0 < len(pairs) <= MAX_SQUARES:
        section.blocks.append(Squares(list(map(_square, pairs))))
    if pairs:
        caption = "Worlds in which both, one or neither of two arms succeeded"
        section.blocks.append(table_of(list(map(_pair_row, pairs)), caption))
    return section


def _square(pair: Pair) -> Square:
    """A pair as a two-by-two table."""
    p = p_value(pair.p)
    if pair.p_holm != pair.p:
        p += f", corrected {p_value(pair.p_holm)}"
    difference = difference_words(pair.difference, pair.low, pair.high)
    return Square(
        first=pair.first.name,
        second=pair.second.name,
        both=pair.both,
        only_first=pair.only_first,
        only_second=pair.only_second,
        neither=pair.neither,
        verdict=pair.verdict,
        text=f"{difference} points on {pair.worlds} worlds; McNemar’s exact p {p}.",
    )


def _pair_row(pair: Pair) -> dict[str, str | Cell]:
    """A pair as a row of a table."""
    return {
        "pair": f"{pair.first.name} → {pair.second.name}",
        "worlds": str(pair.worlds),
        "both": str(pair.both),
        "only first": str(pair.only_first),
        "only second": str(pair.only_second),
        "neither": str(pair.neither),
        "second − first": difference_words(pair.difference, pair.low, pair.high),
        "p": p_value(pair.p).removeprefix("= "),
        "p, Holm": p_value(pair.p_holm).removeprefix("= "),
    }


def distributions_section(task: str, arms: Sequence[Arm]) -> Section:
    """Distributions of clearance, speed and time over the episodes."""
    section = Section(f"distributions-{task}", f"Distributions: {episodes_of(task)}")
    section.blocks.append(
        Text(
            "Each curve rises by one step for every episode, so a curve of few episodes is seen to be one of few "
            "episodes."
        )
    )
    diagrams = [
        _distribution("Least clearance", "least clearance, m", arms, attrgetter("min_clearance_m"), _clearance(task)),
        _distribution(
            "Mean speed",
            "mean speed, m/s",
            arms,
            attrgetter("mean_speed_mps"),
            "Mean speed of an episode, the start from rest included.",
        ),
        _distribution(
            "Time",
            "time, s",
            arms,
            attrgetter("time_s"),
            "Duration of an episode until it ended, in whatever way; crashes end early.",
        ),
    ]
    if _any_counted(arms):
        words = task_named(task).words
        diagrams.append(
            _distribution(
                "Interventions",
                f"interventions per {words.world}",
                arms,
                attrgetter("interventions"),
                f"How often the {words.vehicle} was put back on a {words.world}.",
            )
        )
    legend = [(style, f"{arm.name} (n = {len(arm.episodes)})") for style, arm in enumerate(arms)]
    section.blocks.append(Diagrams(diagrams, legend))
    return section


def _clearance(task: str) -> str:
    return task_named(task).words.clearance


def _distribution(title: str, label: str, arms: Sequence[Arm], read: Callable[[object], float], text: str) -> Diagram:
    """A figure of the episodes as cumulative shares, a curve for each arm."""
    curves: list[tuple[int, list[float]]] = []
    medians = []
    for style, arm in enumerate(arms):
        values = sorted(map(read, arm.rows))
        curves.append((style, values))
        medians.append(f"{arm.name} {values[len(values) // 2]:.3g}")
    alt = f"{title} as cumulative shares of the episodes; medians: {', '.join(medians)}"
    return Diagram(title, shares_figure(curves, label, alt), text)
