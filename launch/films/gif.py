"""Animated GIFs with a palette of their own and a limit of size: what a README can show without a player."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from forestpilot.data_collection.episodes.files import written_whole
from forestpilot.launch.films.video import VideoError
from forestpilot.launch.pictures.colors import Image
from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.launch.pictures.pen import fitted
from forestpilot.sim.extras import require


class Reduction(NamedTuple):
    """Part of a GIF that is given up to make it smaller."""

    share: float
    """Share of the width."""
    every: int
    """Every how many-th frame is kept."""


NOTHING_LESS = Reduction(1.0, 1)
SMALLER = (
    NOTHING_LESS,
    Reduction(5 / 6, 1),
    Reduction(2 / 3, 1),
    Reduction(2 / 3, 2),
    Reduction(1 / 2, 2),
    Reduction(1 / 3, 2),
)
"""What is tried until the limit is met."""
DITHER = "dither=bayer:bayer_scale=3:diff_mode=rectangle"
"""An ordered pattern stays where it is from frame to frame, so that what does not move costs nothing."""


@dataclass(frozen=True)
class GifFacts:
    """Size and shape of an animation that was written."""

    path: Path
    """Where it is."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    fps: float
    """Frames per second."""
    frames: int
    """Number of frames."""
    megabytes: float
    """Size in MB (a million bytes)."""
    reduced: bool
    """Whether it is smaller or slower than was asked for, to meet the limit."""

    def __str__(self) -> str:
        """Size and shape in a few words."""
        told = f"{self.megabytes:.1f} MB, {self.width}x{self.height}, {self.fps:g} fps"
        return f"{told} (reduced to meet the limit)" if self.reduced else told


def write_gif(path: Path, frames: Iterable[Image], fps: int, width: int = 480, limit_mb: float = 8.0) -> GifFacts:
    """Write an animated GIF that runs forever; there is a file afterwards only if all went well.

    Args:
        path: where the GIF will be; folders are made.
        frames: (h, w, 3) uint8 each, all of one size; they wait in a temporary file, not in memory.
        fps: frames per second.
        width: width of the GIF in pixels; the height follows.
        limit_mb: largest size in MB; the width, then the frame rate, are lowered until it is met.

    Raises:
        VideoError: there are no frames, or the limit cannot be met.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, tempfile.TemporaryFile(dir=path.parent) as file:
        store = _Store(file, frames, width)
        for reduction in SMALLER:
            size = (_even(store.width * reduction.share), _even(store.height * reduction.share))
            kept = range(0, store.count, reduction.every)
            _encode(temporary, store, kept, size, Fraction(fps, reduction.every))
            megabytes = temporary.stat().st_size / 1e6
            if megabytes <= limit_mb:
                reduced = reduction != NOTHING_LESS
                return GifFacts(path, *size, fps / reduction.every, len(kept), megabytes, reduced)
        raise VideoError(
            f"{path.name} has {megabytes:.2f} MB even at {size[0]} pixels and {fps / reduction.every:g} frames per "
            f"second, more than the {limit_mb:g} MB allowed; allow more with --gif-mb, show less with --last, or "
            "narrow it with --gif-width"
        )


class _Store:
    """Frames on disk, scaled, without loss."""

    def __init__(self, file: BinaryIO, frames: Iterable[Image], width: int) -> None:
        self._file = file
        self.width = _even(width)
        self.height = 0
        self.count = 0
        for frame in frames:
            scaled = fit_width(frame, width)
            self.height = scaled.shape[0]
            file.write(scaled.tobytes())
            self.count += 1
        if not self.count:
            raise VideoError("a GIF needs at least one frame, and there is none")

    def frames(self, numbers: Sequence[int]) -> Iterator[Image]:
        """The frames of these numbers, one after the other."""
        frame_bytes = self.height * self.width * 3
        for number in numbers:
            self._file.seek(number * frame_bytes)
            yield np.frombuffer(self._file.read(frame_bytes), np.uint8).reshape(self.height, self.width, 3)


def fit_width(frame: Image, width: int) -> Image:
    """The frame at another width in pixels, its height to match, both even."""
    return fitted(import_cv2(), frame, (_even(width), _even(width * frame.shape[0] / frame.shape[1])))


def _encode(path: Path, store: _Store, numbers: Sequence[int], size: tuple[int, int], fps: Fraction) -> None:
    """Write some frames: first a palette is made of all of them, then they are drawn with it."""
    av = require("av")

    def frames() -> Iterator[Any]:
        for position, image in enumerate(store.frames(numbers)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(*size, format="bgra", interpolation="LANCZOS")
            frame.pts = position
            frame.time_base = 1 / fps
            yield frame

    palette = _palette_of(frames(), size, fps)
    container = av.open(str(path), mode="w", format="gif")
    try:
        stream = container.add_stream("gif", rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "pal8"
        for drawn in _drawn_with(palette, frames(), size, fps):
            container.mux(stream.encode(drawn))
        container.mux(stream.encode(None))
    finally:
        container.close()


def _palette_of(frames: Iterator[Any], size: tuple[int, int], fps: Fraction) -> Any:
    """The 256 colours that serve all frames best, as a picture of 16x16 pixels."""
    av = require("av")
    graph = av.filter.Graph()
    source = _source(graph, size, fps)
    choose = graph.add("palettegen", "stats_mode=full")
    sink = graph.add("buffersink")
    source.link_to(choose)
    choose.link_to(sink)
    graph.configure()
    for frame in frames:
        source.push(frame)
    source.push(None)
    palette = sink.pull()
    palette.pts = 0
    palette.time_base = 1 / fps
    return palette


def _drawn_with(palette: Any, frames: Iterator[Any], size: tuple[int, int], fps: Fraction) -> Iterator[Any]:
    """The frames in the colours of a palette."""
    av = require("av")
    graph = av.filter.Graph()
    pictures = _source(graph, size, fps)
    colors = _source(graph, (palette.width, palette.height), fps)
    use = graph.add("paletteuse", DITHER)
    sink = graph.add("buffersink")
    pictures.link_to(use, 0, 0)
    colors.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    colors.push(palette)
    colors.push(None)
    for frame in itertools.chain(frames, [None]):
        pictures.push(frame)
        # An empty sink wants more frames, or there are none to come.
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                yield sink.pull()


def _source(graph: Any, size: tuple[int, int], fps: Fraction) -> Any:
    width, height = size
    return graph.add_buffer(width=width, height=height, format="bgra", time_base=1 / fps)


def _even(size: float) -> int:
    return max(2, round(size / 2) * 2)
