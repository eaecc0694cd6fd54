"""Models of the world in a report: errors by horizon, films and their stills, and what is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.launch.pages.page import fit_videos
from forestpilot.launch.pictures.opencv import encoded
from forestpilot.launch.reading.worlds import read_world
from forestpilot.launch.reports.build import ReportError, Wishes, make_page
from forestpilot.launch.reports.failures import Look

FIGURES = ("value", "state", "nearest_m")
VIDEO = b"the bytes of a film" * 100


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A model that was measured, with a film and its still."""
    folder = tmp_path / "world"
    (folder / "films").mkdir(parents=True)
    rows = [f"{name},{steps},6,{0.1 * steps},{0.05 * steps},{0.2 * steps}" for name in FIGURES for steps in (1, 2, 5)]
    (folder / "horizon.csv").write_text("\n".join(["figure,steps,episodes,mean,low,high", *rows, ""]))
    (folder / "films" / "imagined-7.mp4").write_bytes(VIDEO)
    (folder / "films" / "imagined-7.png").write_bytes(encoded(np.full((8, 20, 3), 90, np.uint8), ".png"))
    return folder


def page_of(folder: Path, videos: bool = True, budget_bytes: int = 10**9) -> str:
    look = Look(seconds=0.5, videos=videos, size=(320, 180))
    page, large = make_page([folder], Wishes(0, look, 0, 0, "forestpilot report"), SilentProgress())
    return fit_videos(page, large, budget_bytes)


def test_a_report_shows_errors_by_horizon_and_the_imagined_beside_the_true(run: Path) -> None:
    html = page_of(run)
    assert "1 world model" in html and "9 rows of horizon.csv" in html
    assert html.count('<svg class="diagram"') == len(FIGURES)
    assert html.count("<video") == 1 and 'width="20" height="8"' in html and "world: imagined-7" in html


def test_without_videos_or_without_room_the_still_is_left(run: Path) -> None:
    without = page_of(run, videos=False)
    assert "<video" not in without and 'width="20" height="8"' in without and "left out" not in without
    small = page_of(run, budget_bytes=len(page_of(run)) - 1)
    assert "1 of 1 videos, those of imagined flights, were left out" in small and 'width="20" height="8"' in small


def test_what_is_damaged_is_left_out_and_told(run: Path) -> None:
    (run / "films" / "imagined-7.png").write_bytes(b"no picture")
    assert "<video" in page_of(run) and 'width="20"' not in page_of(run)
    (run / "horizon.csv").write_text("figure,steps\nvalue,1\n")
    assert not read_world(run).says_something
    with pytest.raises(ReportError, match="no column"):
        page_of(run)
