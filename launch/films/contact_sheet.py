"""An episode on one page: some of its moments in a grid, and the map with their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.rollouts.progress import Stage
from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.episode_video import EpisodeScene, describe_world
from forestpilot.launch.pictures.colors import BAD, DIM, GOOD, INK, PANEL, POLICY, Color, Image
from forestpilot.launch.pictures.drawing import Moment, import_cv2
from forestpilot.launch.pictures.pen import Pen, fitted
from forestpilot.launch.pictures.world_map import MarkedPath, WorldMap

TILE_PX = (480, 270)
"""Width and height of a tile."""
MAP_WIDTH_PX = 420
"""Largest width of the map."""
GAP_PX = 8
TEXT_PX = 12.0
"""Height of a capital letter."""
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
    with EpisodeScene(episode, expert=False, stage=stage) as scene:
        page = contact_sheet(scene, moments, last_s)
    _, encoded = import_cv2().imencode(".png", np.ascontiguousarray(page[..., ::-1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_new_file(path, [encoded.tobytes()])


def moment_times(duration_s: float, period_s: float, moments: int, last_s: float | None = None) -> list[float]:
    """When the tiles are: evenly spaced up to one control period before the end, and the end.

    Raises:
        ValueError: fewer than 3 moments.
    """
    if moments < 3:
        raise ValueError(f"moments is {moments}; a contact sheet needs 3 or more")
    start_s = 0.0 if last_s is None else max(0.0, duration_s - last_s)
    before_s = max(0.0, duration_s - period_s)
    times = [*np.linspace(min(start_s, before_s), before_s, moments - 1), duration_s]
    return [float(time_s) for time_s in times]


def contact_sheet(scene: EpisodeScene, moments: int, last_s: float | None = None) -> Image:
    """The page, (h, w, 3) uint8."""
    cv2 = import_cv2()
    pen = Pen(cv2, TEXT_PX)
    scene.place_camera(TILE_PX)
    times = moment_times(scene.duration_s, 1 / scene.spec.control_hz, moments, last_s)
    tiles, places = [], []
    for number, time_s in enumerate(times, start=1):
        moment = scene.at(time_s)
        tiles.append(_tile(pen, moment, number))
        places.append((moment.path_m[-1], str(number)))
    scene.finish()
    columns = _columns(len(tiles))
    rows = -(-len(tiles) // columns)
    top = round(4.6 * TEXT_PX)
    tall = rows * TILE_PX[1] + (rows - 1) * GAP_PX
    chart = WorldMap(cv2, scene.world, (MAP_WIDTH_PX, tall), 1.3 * TEXT_PX, follow=False)
    painted = chart.paint_episodes([MarkedPath(moment.path_m, POLICY, places, moment.marks_m)])
    wide = columns * (TILE_PX[0] + GAP_PX)
    page: Image = np.full((top + tall + GAP_PX, GAP_PX + wide + painted.shape[1] + GAP_PX, 3), PANEL, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        _put(page, tile, GAP_PX + column * (TILE_PX[0] + GAP_PX), top + row * (TILE_PX[1] + GAP_PX))
    _put(page, painted, GAP_PX + wide, top)
    _paint_heading(pen, page, scene, moment)
    return page


def _columns(tiles: int) -> int:
    """Number of columns: the one of 3, 4 and 5 that leaves the fewest places empty."""
    return min((3, 4, 5), key=lambda columns: (-tiles % columns, columns)) if tiles > 4 else min(tiles, 2)


def _tile(pen: Pen, moment: Moment, number: int) -> Image:
    """Chase view, number and time above, speed below, and what the policy sees ahead."""
    tile = fitted(pen.cv2, moment.chase, TILE_PX).copy()
    width, height = TILE_PX
    view = moment.views[1]
    small = (round(VIEW_SHARE * width), round(VIEW_SHARE * width * view.shape[0] / view.shape[1]))
    seen = pen.cv2.resize(view, small, interpolation=pen.cv2.INTER_NEAREST)
    tile[height - small[1] - 2 :, width - small[0] - 2 :] = PANEL
    _put(tile, seen, width - small[0], height - small[1])
    pen.label(tile, f"{number}", (0, 0), POLICY, 1.2)
    pen.label(tile, f"{moment.time_s:.1f} s", (width, 0), INK, 1.2, right=True)
    pen.label(tile, f"{moment.speed_mps:.1f} m/s", (0, height - round(2.5 * TEXT_PX)), INK)
    if moment.outcome != "running":
        color = _color_of(moment.outcome)
        text = moment.outcome.replace("_", " ").upper()
        pen.label(tile, text, (round(0.5 * (width - pen.width(text, 1.6) - 2.3 * TEXT_PX)), 44), color, 1.6)
        pen.cv2.rectangle(tile, (0, 0), (width - 1, height - 1), color, 4)
    return tile


def _paint_heading(pen: Pen, page: Image, scene: EpisodeScene, end: Moment) -> None:
    """Policy and world, and how it ended."""
    outcome = f"{end.outcome.replace('_', ' ')} after {end.time_s:.1f} s"
    right = page.shape[1] - GAP_PX
    baseline = round(3.1 * TEXT_PX)
    pen.write(page, outcome, (right - pen.width(outcome, 1.5), baseline), _color_of(end.outcome), 1.5)
    title = f"{scene.episode.policy}, world {scene.world.seed}"
    pen.write(page, title, (GAP_PX, baseline), INK, 1.7)
    told = describe_world(scene.world, scene.episode.env_kwargs)
    left = GAP_PX + pen.width(title, 1.7) + 30
    pen.write(page, told, (left, baseline), DIM, 1.3, room=max(1, right - pen.width(outcome, 1.5) - 30 - left))


def _put(page: Image, picture: Image, left: int, top: int) -> None:
    page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture


def _color_of(outcome: str) -> Color:
    return GOOD if outcome == "success" else BAD
