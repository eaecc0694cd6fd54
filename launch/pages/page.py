"""The page: one HTML file that holds everything it shows and fetches nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from forestpilot.launch.pages.blocks import FilmCard, SceneCard, Section
from forestpilot.launch.pages.figures import sign_of, swatch
from forestpilot.launch.pages.media import data_uri
from forestpilot.sim.extras import require


@dataclass
class Page:
    """Content of a page."""

    title: str
    """Heading and title."""
    subtitle: str
    """Below the heading."""
    sections: list[Section]
    """Parts, in order."""
    notes: list[str] = field(default_factory=list)
    """What is missing, shown at the top."""


def render(page: Page) -> str:
    """The page as HTML; every text is escaped, names of policies come from whoever named them."""
    jinja2 = require("jinja2")
    loader = jinja2.PackageLoader("forestpilot.launch.pages")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"swatch": swatch, "sign_of": sign_of}
    environment.filters |= {"video_uri": video_uri, "shade": shade, "bar": bar_percent}
    # The stylesheet is the project's own text, in which a quotation mark must stay one.
    css, _, _ = loader.get_source(environment, "report.css")
    html: str = environment.get_template("report.html.j2").render(page=page, style=Markup(css))
    return html


def video_uri(data: bytes) -> str:
    """A film as an address that holds it."""
    return data_uri(data, "mp4")


def shade(share: float) -> int:
    """The shade of a cell, 0 to 10."""
    return round(10 * min(1.0, max(0.0, share)))


def bar_percent(share: float) -> str:
    """A place on a bar as CSS takes it."""
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def fit_videos(page: Page, scenes: Sequence[SceneCard | FilmCard], budget_bytes: int) -> str:
    """The page as HTML with as many videos as the budget allows; the last ones are left out first.

    Args:
        page: its scenes and films are those given.
        scenes: the worst first, then films; those without room are marked, and the page's notes say so.
        budget_bytes: how large the page may be.
    """
    with_video = [scene for scene in scenes if scene.video]
    for kept in range(len(with_video), -1, -1):
        for number, scene in enumerate(with_video):
            scene.video_kept = number < kept
        html = render(_with_note(page, _budget_note(with_video, kept, budget_bytes)))
        if len(html.encode()) <= budget_bytes:
            return html
    size = len(html.encode()) / 1e6
    note = f"The page is {size:.1f} MB even without videos, more than the {budget_bytes / 1e6:g} MB of --max-mb."
    return render(_with_note(page, note))


def _with_note(page: Page, note: str) -> Page:
    """The page with one more note, if there is one."""
    if not note:
        return page
    return dataclasses.replace(page, notes=[*page.notes, note])


def _budget_note(videos: Sequence[SceneCard | FilmCard], kept: int, budget_bytes: int) -> str:
    if kept == len(videos):
        return ""
    left_out = videos[kept:]
    told = ["of imagined flights"] if any(isinstance(each, FilmCard) for each in left_out) else []
    told += ["of the least bad episodes"] if any(isinstance(each, SceneCard) for each in left_out) else []
    return (
        f"{len(left_out)} of {len(videos)} videos, those {' and '.join(told)}, were left out to keep the page below "
        f"{budget_bytes / 1e6:g} MB (--max-mb)."
    )
