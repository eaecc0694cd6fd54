"""What sections of a page are made of; the template knows how each of these looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup

from forestpilot.launch.pages.media import Picture


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str | Markup
    """What it says."""
    tone: str = ""
    """`warning` or `verdict` for a paragraph that stands out; empty for an ordinary one."""


@dataclass(frozen=True)
class Cell:
    """A cell that is more than its text."""

    text: str
    """What it says."""
    share: float | None = None
    """Shades the cell, 0 to 1; None leaves it plain."""
    style: int | None = None
    """Puts the mark of this arm before the text."""
    note: str = ""
    """Smaller text below."""


Row = Sequence["str | Cell"]
"""Cells side by side."""


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of each is its name."""

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    """Names of the columns."""
    rows: Sequence[Row]
    """Cells."""
    caption: str = ""
    """Stands above."""
    folded: str = ""
    """Folds it away under these words."""


def table_of(rows: Sequence[Mapping[str, str | Cell]], caption: str = "", folded: str = "") -> Table:
    """A table of rows that say which column each of their cells stands in; all have the same columns."""
    return Table(tuple(rows[0]), [tuple(row.values()) for row in rows], caption, folded)


@dataclass(frozen=True)
class Diagram:
    """A figure with what it shows."""

    title: str
    """Heading."""
    svg: Markup
    """The drawing."""
    text: str
    """Defines what is drawn, in a sentence."""


@dataclass(frozen=True)
class Diagrams:
    """Figures that stand side by side where there is room."""

    kind: ClassVar[str] = "diagrams"
    diagrams: Sequence[Diagram]
    """The figures."""
    legend: Sequence[tuple[int, str]] = ()
    """(style, name) of what is drawn in them."""


@dataclass(frozen=True)
class Point:
    """A mark on a bar."""

    value: float
    """Where, 0 to 1 of the bar."""
    sign: str
    """Character that marks it."""
    hollow: bool = False
    """Whether it is drawn pale, as what is compared with."""


@dataclass(frozen=True)
class Bar:
    """A value on a scale, with its interval."""

    name: str
    """Whose value."""
    style: int
    """Which arm's."""
    text: str
    """The value in words."""
    points: Sequence[Point]
    """Marks."""
    low: float | None = None
    """Lower end of the interval, 0 to 1 of the bar."""
    high: float | None = None
    """Upper end."""


@dataclass(frozen=True)
class Bars:
    """Values of several arms on one scale."""

    kind: ClassVar[str] = "bars"
    title: str
    """What is shown."""
    bars: Sequence[Bar]
    """One for each arm."""
    left: str
    """What the scale begins with."""
    right: str
    """What it ends with."""
    text: str = ""
    """Defines what is shown, in a sentence."""


@dataclass(frozen=True)
class Square:
    """A two-by-two table of two arms over the worlds that both were run in."""

    first: str
    """What is compared with."""
    second: str
    """What is compared."""
    both: int
    """Worlds in which both succeeded."""
    only_first: int
    """Worlds in which only the first did."""
    only_second: int
    """Worlds in which only the second did."""
    neither: int
    """Worlds in which neither did."""
    verdict: str
    """What it shows, in a sentence."""
    text: str
    """The difference and how sure it is."""


@dataclass(frozen=True)
class Squares:
    """Two-by-two tables beside one another."""

    kind: ClassVar[str] = "squares"
    squares: Sequence[Square]
    """One for each pair."""


@dataclass(frozen=True)
class Frame:
    """A picture, and the same with what was looked at."""

    before_s: float
    """How long before the event it was taken."""
    seen: Picture
    """The picture."""
    looked_at: Picture
    """The same, pale where it did not matter."""


@dataclass
class SceneCard:
    """An episode looked at closely."""

    heading: str
    """Whose episode, and through which world."""
    end: str
    """How it ended, in words."""
    failed: bool
    """Whether it is a failure; otherwise it is a near miss."""
    driver: str
    """Who drove."""
    world: int
    """Number of the world."""
    facts: list[tuple[str, str]]
    """(name, value) of figures about the whole episode."""
    setting: str
    """Its world, in words."""
    command: str
    """What replays it."""
    event: str = ""
    """What happened, in words."""
    event_s: float = 0.0
    """When, in seconds since the start."""
    chart: Markup = Markup("")
    """Clearance, speed and turn around the event."""
    map: Picture | None = None
    """The world from above with the way so far."""
    video: bytes = b""
    """MP4 of the seconds before."""
    poster: Picture | None = None
    """The video's picture at the event."""
    video_kept: bool = True
    """Whether the video fits the page's budget."""
    frames: dict[str, list[Frame]] = field(default_factory=dict)
    """What the policy looked at, by camera."""
    why_no_frames: str = ""
    """Why there is nothing to show of that."""
    notes: list[str] = field(default_factory=list)
    """What cannot be shown, and why."""


@dataclass(frozen=True)
class Scenes:
    """Episodes looked at closely."""

    kind: ClassVar[str] = "scenes"
    scenes: Sequence[SceneCard]
    """The worst first."""


@dataclass
class FilmCard:
    """A film, and a still of it."""

    heading: str
    """What it shows."""
    video: bytes
    """MP4; empty where there is the still alone."""
    still: Picture | None = None
    """Some of its moments side by side."""
    video_kept: bool = True
    """Whether the video fits the page's budget."""


@dataclass(frozen=True)
class Films:
    """Films one below the other."""

    kind: ClassVar[str] = "films"
    films: Sequence[FilmCard]
    """The most important first."""


@dataclass(frozen=True)
class Fold:
    """Text that is folded away."""

    kind: ClassVar[str] = "fold"
    title: str
    """What stands there while it is folded."""
    text: str
    """The text, kept as it is."""


@dataclass(frozen=True)
class Code:
    """A command."""

    kind: ClassVar[str] = "code"
    text: str
    """The text, kept as it is."""


@dataclass
class Section:
    """A part of the page with a heading of its own."""

    name: str
    """Its anchor."""
    title: str
    """Its heading."""
    blocks: list[Any] = field(default_factory=list)
    """What it is made of."""


def percent(share: float | None, digits: int = 0) -> str:
    """`97 %` for 0.97, `99.7 %` for what is not quite all, a dash for nothing."""
    if share is None or math.isnan(share):
        return "–"
    text = f"{100 * share:.{digits}f}"
    nearly = 0.0 < share < 1.0 and float(text) in (0.0, 100.0)
    if nearly and digits < 4:
        return percent(share, digits + 1)
    return f"{text} %"


def interval(low: float | None, high: float | None, digits: int = 0) -> str:
    """`74–97 %`; a dash for nothing."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "–"
    return f"{100 * low:.{digits}f}–{100 * high:.{digits}f} %"


def figure(value: float, unit: str = "", digits: int = 2) -> str:
    """A number with its unit; a dash where it is none."""
    if math.isnan(value):
        return "–"
    # Adding zero turns minus zero, which a rounded graze would be, into zero.
    return f"{round(value, digits) + 0.0:.{digits}f}{unit}".replace("-", "−")


def p_value(p: float) -> str:
    """`p = 0.031`, or `p < 0.001`."""
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.3f}" if p < 0.995 else "= 1"


def difference_words(difference: float, low: float, high: float) -> str:
    """A difference of shares with its interval, in percentage points: `+10 (−4 to +23)`."""
    return f"{points(difference)} ({points(low)} to {points(high)})"


def points(difference: float) -> str:
    """`+12` percentage points for 0.12."""
    return f"{100 * difference:+.0f}".replace("-", "−")
