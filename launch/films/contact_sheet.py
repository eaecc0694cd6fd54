"""An episode on one page: some of its moments in a grid, and the map with their places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.pace import FilmConfig
from forestpilot.launch.films.scene import EpisodeScene
from forestpilot.launch.pictures.colors import DIM, INK, PANEL, POLICY, Image
from forestpilot.launch.pictures.drawing import Moment
from forestpilot.launch.pictures.opencv import encoded, import_cv2
from forestpilot.launch.pictures.pen import Pen, Pixel, fitted, paste
from forestpilot.launch.pictures.world_map import MarkedPath, WorldMap
from forestpilot.sim.cameras import CAMERA_NAMES, CENTER

TILE_WIDTH_PX = 480
"""Width of a tile."""
TILE_HEIGHT_PX = 270
"""Height of a tile."""
TILE_PX = (TILE_WIDTH_PX, TILE_HEIGHT_PX)
"""Both."""
MAP_WIDTH_PX = 420
"""Largest width of the map."""
GAP_PX = 8
"""Width of the gaps between tiles."""
TEXT_PX = 12.0
"""Height of a capital letter."""
HEAD_PX = round(4.6 * TEXT_PX)
"""Height of the heading."""
VIEW_SHARE = 0.3
"""Width of the policy's own view in a tile, as a share of the tile's."""


def write_contact_sheet(
    path: Path, episode: StoredEpisode, moments: int = 9, last_s: float | None = None, stage: Stage | None = None
) -> None:
    """Replay an episode and write its contact sheet as PNG; nothing is left behind when the replay diverges.

    Args:
        path: the PNG file to write; folders are made.
        episode: what was stored of the episode.
        moments: number of tiles besides the map, 3 or more: evenly spaced up to the moment before the end, and the end.
        last_s: choose them from the last seconds of the episode; None for all of it.
        stage: is advanced by one for each state.
    """
    with EpisodeScene(episode, expert=False, stage=stage, cameras=(CAMERA_NAMES[CENTER],)) as scene:
        page = contact_sheet(scene, moments, last_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_new_file(path, [encoded(page, ".png")])


def moment_times(duration_s: float, period_s: float, moments: int, last_s: float | None = None) -> list[float]:
    """Instants of the tiles in seconds: evenly spaced up to one control period before the end, and the end.

    Raises:
        ValueError: fewer than 3 moments.
    """
    if moments < 3:
        raise ValueError(f"moments is {moments}; a contact sheet needs 3 or more")
    start_s = FilmConfig(last_s=last_s).start_s(duration_s)
    before_s = max(0.0, duration_s - period_s)
    times: list[float] = np.linspace(min(start_s, before_s), before_s, moments - 1).tolist()
    return [*times, duration_s]


def contact_sheet(scene: EpisodeScene, moments: int, last_s: float | None = None) -> Image:
    """The page, (h, w, 3) uint8."""
    cv2 = import_cv2()
    pen = Pen(cv2, TEXT_PX)
    scene.place_camera(TILE_PX)
    tiles: list[Image] = []
    places: list[tuple[NDArray[Any], str]] = []
    for number, time_s in enumerate(
        moment_times(scene.duration_s, 1 / scene.spec.control_hz, moments, last_s), start=1
    ):
        moment = scene.at(time_s)
        tiles.append(_tile(pen, moment, number))
        places.append((moment.path_m[-1], str(number)))
    scene.finish()
    grid = Grid(len(tiles))
    chart = WorldMap(cv2, scene.world, (MAP_WIDTH_PX, grid.height), 1.3 * TEXT_PX, follow=False)
    painted = chart.paint_episodes([MarkedPath(moment.path_m, POLICY, places, moment.marks_m, moment.moving)])
    size = (HEAD_PX + grid.height + GAP_PX, GAP_PX + grid.width + painted.shape[1] + GAP_PX, 3)
    page: Image = np.full(size, PANEL, np.uint8)
    for number, tile in enumerate(tiles):
        paste(page, tile, *grid.corner(number))
    paste(page, painted, GAP_PX + grid.width, HEAD_PX)
    _paint_heading(pen, page, scene, moment)
    return page


class Grid:
    """Arrangement of the tiles of a sheet."""

    def __init__(self, tiles: int) -> None:
        """Choose the number of columns: the one of 3, 4 and 5 that leaves the fewest places empty."""
        self._columns = min(tiles, 2)
        if tiles > 4:
            self._columns = min((3, 4, 5), key=lambda columns: (-tiles % columns, columns))
        self._rows = -(-tiles // self._columns)

    @property
    def width(self) -> int:
        """Width of all columns, with the gap behind each, in pixels."""
        return self._columns * (TILE_WIDTH_PX + GAP_PX)

    @property
    def height(self) -> int:
        """Height of all rows in pixels."""
        return self._rows * (TILE_HEIGHT_PX + GAP_PX) - GAP_PX

    def corner(self, number: int) -> Pixel:
        """Column and row of a tile's upper left corner on the page."""
        row, column = divmod(number, self._columns)
        return GAP_PX + column * (TILE_WIDTH_PX + GAP_PX), HEAD_PX + row * (TILE_HEIGHT_PX + GAP_PX)


def _tile(pen: Pen, moment: Moment, number: int) -> Image:
    """Chase view, number and time above, speed below, and what the policy sees ahead."""
    tile = fitted(pen.cv2, moment.chase, TILE_PX).copy()
    view = moment.views[CENTER]
    width = round(VIEW_SHARE * TILE_WIDTH_PX)
    height = round(VIEW_SHARE * TILE_WIDTH_PX * view.shape[0] / view.shape[1])
    seen = pen.cv2.resize(view, (width, height), interpolation=pen.cv2.INTER_NEAREST)
    tile[-height - 2 :, -width - 2 :] = PANEL
    paste(tile, seen, TILE_WIDTH_PX - width, TILE_HEIGHT_PX - height)
    pen.label(tile, f"{number}", (0, 0), POLICY, 1.2)
    pen.label(tile, f"{moment.time_s:.1f} s", (TILE_WIDTH_PX, 0), INK, 1.2, right=True)
    pen.label(tile, f"{moment.speed_mps:.1f} m/s", (0, TILE_HEIGHT_PX - round(2.5 * TEXT_PX)), INK)
    if moment.is_over:
        text = moment.end.upper()
        left = 0.5 * (TILE_WIDTH_PX - pen.width(text, 1.6) - 2.3 * TEXT_PX)
        pen.label(tile, text, (round(left), 44), moment.color, 1.6)
        pen.cv2.rectangle(tile, (0, 0), (TILE_WIDTH_PX - 1, TILE_HEIGHT_PX - 1), moment.color, 4)
    return tile


def _paint_heading(pen: Pen, page: Image, scene: EpisodeScene, end: Moment) -> None:
    """Policy and world, and how it ended."""
    outcome = f"{end.end} after {end.time_s:.1f} s"
    right = page.shape[1] - GAP_PX - pen.width(outcome, 1.5)
    baseline = round(3.1 * TEXT_PX)
    pen.write(page, outcome, (right, baseline), end.color, 1.5)
    pen.write(page, scene.title, (GAP_PX, baseline), INK, 1.7)
    left = GAP_PX + pen.width(scene.title, 1.7) + 30
    pen.write(page, scene.worlds, (left, baseline), DIM, 1.3, room=max(1, right - 30 - left))
