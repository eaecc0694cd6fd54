"""Films and stills of imagined beside true flights: what was seen, and what a model of the world imagined.

A model is told the first steps of a stretch and imagines the rest along what was done; then it is told anew. Strips of
depths are drawn as a forest of bars, the nearer the higher.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.launch.films.video import VideoWriter
from forestpilot.launch.pictures.colors import DIM, EXPERT, INK, PANEL, POLICY, Image
from forestpilot.launch.pictures.opencv import encoded, import_cv2
from forestpilot.launch.pictures.pen import Pen, paste
from forestpilot.policies.world_models.base import WorldModel, to_metres
from forestpilot.policies.world_models.seen import Seen
from forestpilot.policies.world_models.sequences import Sequences, unroll
from forestpilot.policies.world_models.strips import FAR_M
from forestpilot.policies.world_models.training import Imagined

PANEL_PX = (512, 256)
"""Width and height of what is seen."""
GAP_PX = 12
TOP_PX = 46
BOTTOM_PX = 60
TILE_PX = (288, 144)
"""Width and height of a picture in a still."""
MOMENTS = 6
"""Pictures side by side in a still."""
TRUNK_M = 2.2
"""Height above and below the horizon, seen from 1 m, of a bar."""
SKY = np.array((176, 205, 226), np.float64)
GROUND = np.array((98, 104, 70), np.float64)
TRUNK = np.array((74, 52, 36), np.float64)
FOG = np.array((188, 200, 196), np.float64)
"""Colours of the forest of bars; what is far away is in fog."""


def write_films(folder: Path, learned: Imagined, count: int, progress: Progress) -> list[Path]:
    """Write a film and a still for each of some held-out episodes; returns their paths.

    Args:
        folder: made if it is not there.
        learned: the model and the episodes.
        count: films at most.
        progress: who watches.
    """
    horizon = learned.errors.value.shape[1]
    episodes = learned.held_out[:count]
    paths = []
    with progress.stage("films", total=len(episodes)) as stage:
        for seen in episodes:
            path = folder / f"imagined-{seen.seed}.mp4"
            write_film(path, learned.model, seen, horizon)
            still = path.with_suffix(".png")
            write_new_file(still, [encoded(montage(learned.model, seen, horizon), ".png")])
            paths += [path, still]
            stage.advance()
    return paths


def write_film(path: Path, model: WorldModel, seen: Seen, horizon: int) -> None:
    """Write the film of an episode, at the pace of the flight."""
    width = 2 * PANEL_PX[0] + 3 * GAP_PX
    height = TOP_PX + PANEL_PX[1] + BOTTOM_PX
    with VideoWriter(path, width, height, fps=model.spec.control_hz) as video:
        for frame in film_frames(model, seen, horizon):
            video.write(frame)


def film_frames(model: WorldModel, seen: Seen, horizon: int) -> Iterator[Image]:
    """The pictures of the film, stretch by stretch.

    Args:
        model: in evaluation mode.
        seen: the episode.
        horizon: steps that are imagined before the model is told anew.
    """
    pen = Pen(import_cv2(), 15.0)
    length = model.context - 1 + horizon
    for begin, end in seen.stretches:
        for first in range(begin, end - model.context, length):
            yield from _stretch(model, seen, first, min(length, end - first), pen)


def _stretch(model: WorldModel, seen: Seen, first: int, length: int, pen: Pen) -> Iterator[Image]:
    """The pictures of one imagined stretch."""
    windows = Sequences(model, [seen]).take([(0, first)], length)
    with torch.no_grad():
        for step, after in enumerate(unroll(model, windows, model.context).after):
            imagined = step + 2 - model.context
            nearest = [float(to_metres(each)[0]) for each in (windows.nearest[:, step + 1], model.nearest(after))]
            true = drawn(windows.sight[0, step + 1].numpy())
            is_told = imagined < 1
            shown = true if is_told else drawn(model.sight(after)[0].numpy())
            words = "told what is seen" if is_told else f"imagined for {imagined / model.spec.control_hz:.1f} s"
            yield _frame(pen, (true, shown), words, nearest, f"world {seen.seed}")


def drawn(sight: NDArray[np.float32]) -> Image:
    """A view (3, h, w) from 0 to 1, enlarged; or a strip of nearness (N,) as bars."""
    width, height = PANEL_PX
    if sight.ndim == 1:
        return bars(to_metres(torch.from_numpy(sight)).numpy())
    small = (255 * sight.clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)
    picture: Image = import_cv2().resize(small, (width, height), interpolation=import_cv2().INTER_NEAREST)
    return picture


def bars(strip_m: NDArray[np.float32]) -> Image:
    """(h, w, 3) uint8: a bar for each direction of a strip (N,) in metres, the nearer the higher and the darker."""
    width, height = PANEL_PX
    distance_m = np.repeat(strip_m, -(-width // len(strip_m)))[:width].clip(0.2, FAR_M)
    rows = np.arange(height)[:, None] - height / 2
    half_px = height / 2 * np.minimum(1.0, TRUNK_M / distance_m)
    far = (distance_m / FAR_M)[None, :, None]
    is_trunk = (np.abs(rows) < half_px) & (distance_m < 0.97 * FAR_M)
    behind = np.where(rows[..., None] < 0, SKY, GROUND)
    picture: Image = np.where(is_trunk[..., None], (1 - far) * TRUNK + far * FOG, behind).astype(np.uint8)
    return picture


def _frame(pen: Pen, panels: tuple[Image, Image], words: str, nearest: list[float], title: str) -> Image:
    """One picture: both panels with their names, and how far the nearest thing is in each."""
    width = 2 * PANEL_PX[0] + 3 * GAP_PX
    picture: Image = np.full((TOP_PX + PANEL_PX[1] + BOTTOM_PX, width, 3), PANEL, np.uint8)
    names = ("true", words)
    for number, (panel, color) in enumerate(zip(panels, (EXPERT, POLICY))):
        left = GAP_PX + number * (PANEL_PX[0] + GAP_PX)
        paste(picture, panel, left, TOP_PX)
        pen.write(picture, names[number], (left, TOP_PX - 15), color, 1.2)
        told = f"nearest thing {min(nearest[number], FAR_M):.1f} m"
        pen.write(picture, told, (left, TOP_PX + PANEL_PX[1] + 26), INK, 1.1)
    right = width - GAP_PX - pen.width(title, 1.0)
    pen.write(picture, title, (right, TOP_PX + PANEL_PX[1] + 48), DIM, 1.0)
    return picture


def montage(model: WorldModel, seen: Seen, horizon: int) -> Image:
    """Moments of the first stretch of an episode side by side, the true ones above, the imagined ones below.

    Args:
        model: in evaluation mode.
        seen: the episode.
        horizon: steps that are imagined at most.

    Returns:
        (h, w, 3) uint8.
    """
    cv2 = import_cv2()
    pen = Pen(cv2, 12.0)
    begin, end = seen.stretches[0]
    length = min(model.context - 1 + horizon, end - begin)
    windows = Sequences(model, [seen]).take([(0, begin)], length)
    with torch.no_grad():
        after = unroll(model, windows, model.context).after
    moments = np.unique(np.geomspace(1, length + 1 - model.context, MOMENTS).round().astype(int))
    width, height = TILE_PX
    head = TOP_PX + 2 * GAP_PX
    size = (head + 2 * (height + GAP_PX), GAP_PX + len(moments) * (width + GAP_PX), 3)
    page: Image = np.full(size, PANEL, np.uint8)
    pen.write(page, f"world {seen.seed}: above what was seen, below what was imagined", (GAP_PX, 26), INK, 1.3)
    for number, imagined in enumerate(moments):
        step = model.context - 2 + int(imagined)
        left = GAP_PX + number * (width + GAP_PX)
        pen.write(page, f"imagined for {imagined / model.spec.control_hz:.1f} s", (left, head - 8), POLICY, 1.1)
        for row, sight in enumerate((windows.sight[0, step + 1], model.sight(after[step])[0])):
            tile = cv2.resize(drawn(sight.numpy()), TILE_PX, interpolation=cv2.INTER_AREA)
            paste(page, tile, left, head + row * (height + GAP_PX))
    return page
