"""The section on models of the world: how far off they are after how many imagined steps, and films of that."""

from __future__ import annotations

from collections.abc import Sequence

from forestpilot.launch.pages.blocks import Diagram, Diagrams, FilmCard, Films, Section, Table, Text, table_of
from forestpilot.launch.pages.figures import Axes, Line, lines_figure
from forestpilot.launch.pages.media import stored_picture
from forestpilot.launch.reading.tables import number
from forestpilot.launch.reading.worlds import WorldRun

FIGURES = {
    "value": (
        "error of the value",
        "How far the imagined sum of progress minus danger over so many steps is from the true one; a step of full "
        "progress is 1. Theory: it grows like the square of the steps at worst for a cloned model, linearly for an "
        "adversarial one (Xu, Li & Yu 2020).",
    ),
    "state": (
        "state and goal off by",
        "Root mean square error of state and goal after so many steps, in units of what their elements usually are.",
    ),
    "nearest_m": (
        "nearest thing off by, m",
        "How far the imagined distance to the nearest thing is from the true one.",
    ),
}
"""Figures of horizon.csv: what stands at the axis, and what they are."""


def worlds_section(runs: Sequence[WorldRun], videos: bool) -> tuple[Section, list[FilmCard]]:
    """Errors by the number of imagined steps, and films; these too by themselves.

    Args:
        runs: models, those that say nothing included.
        videos: whether films are shown; else stills alone.
    """
    section = Section("worlds", "Imagined worlds")
    section.blocks.append(
        Text(
            "A model of the world is told the first steps of a held-out episode, and imagines the rest along what was "
            "done there. Bars: 95 % intervals over the episodes (bootstrap)."
        )
    )
    shown = [run for run in runs if run.says_something]
    names = [f"{run.folder.name} ({run.kind})" if run.kind else run.folder.name for run in shown]
    diagrams = [_diagram(name, shown) for name in FIGURES]
    section.blocks.append(Diagrams([each for each in diagrams if each], list(enumerate(names))))
    section.blocks.append(_table(shown, names))
    cards = [card for run, name in zip(shown, names, strict=True) for card in _cards(run, name, videos)]
    if cards:
        section.blocks += [Text("On the left what was seen, on the right what was imagined."), Films(cards)]
    return section, cards


def _diagram(figure: str, runs: Sequence[WorldRun]) -> Diagram | None:
    """A figure of all models; None where none has it."""
    label, meaning = FIGURES[figure]
    lines, told = [], []
    for style, run in enumerate(runs):
        rows = _rows(run, figure)
        if rows:
            steps, mean, low, high = ([number(row[key]) for row in rows] for key in ("steps", "mean", "low", "high"))
            lines.append(Line(style, steps, mean, low, high))
            told.append(f"{run.folder.name}: {mean[-1]:.3g} after {steps[-1]:g} steps")
    if not lines:
        return None
    log = "xy" if all(min(line.low) > 0 for line in lines) else "x"
    svg = lines_figure(lines, Axes("imagined steps", label, log=log), "; ".join(told))
    return Diagram(f"{label[:1].upper()}{label[1:]}", svg, meaning)


def _rows(run: WorldRun, figure: str) -> list[dict[str, str]]:
    return [row for row in run.errors.rows if row.get("figure") == figure]


def _table(runs: Sequence[WorldRun], names: Sequence[str]) -> Table:
    """Every figure with its interval."""
    rows = []
    for run, name in zip(runs, names, strict=True):
        for row in run.errors.rows:
            shown = {key: f"{number(row[key]):.4g}" for key in ("mean", "low", "high")}
            told = {"model": name, "figure": row.get("figure", ""), "imagined steps": row["steps"]}
            rows.append({**told, "episodes": row["episodes"], **shown})
    return table_of(rows, folded=f"The table behind it: {len(rows)} rows of horizon.csv")


def _cards(run: WorldRun, name: str, videos: bool) -> list[FilmCard]:
    """The films of a model."""
    cards = []
    for film in run.films:
        still = stored_picture(film.still) if film.still else None
        cards.append(FilmCard(f"{name}: {film.name}", film.video if videos else b"", still))
    return [card for card in cards if card.video or card.still]
