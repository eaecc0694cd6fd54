"""Animated WebP: smaller and sharper than a GIF, and shown by browsers and GitHub in an ordinary <img>."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.files import written_whole
from forestpilot.launch.films.gif import GifFacts, fit_width
from forestpilot.launch.films.video import VideoError
from forestpilot.launch.pictures.colors import Image
from forestpilot.sim.extras import require

QUALITIES = (75, 60, 45, 30)
"""Qualities of 100 that are tried until the limit is met."""


def write_webp(path: Path, frames: Iterable[Image], fps: int, width: int = 640, limit_mb: float = 8.0) -> GifFacts:
    """Write an animated WebP that runs forever; there is a file afterwards only if all went well.

    Args:
        path: where it will be; folders are made.
        frames: (h, w, 3) uint8 each, all of one size; they wait in memory, scaled.
        fps: frames per second.
        width: width in pixels; the height follows.
        limit_mb: largest size in MB; the quality is lowered until it is met.

    Raises:
        VideoError: there are no frames, or the limit cannot be met.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scaled = [fit_width(frame, width) for frame in frames]
    if not scaled:
        raise VideoError("an animation needs at least one frame, and there is none")
    height, width, _ = scaled[0].shape
    with written_whole(path) as temporary:
        for quality in QUALITIES:
            _encode(temporary, scaled, fps, quality)
            megabytes = temporary.stat().st_size / 1e6
            if megabytes <= limit_mb:
                return GifFacts(path, width, height, fps, len(scaled), megabytes, quality != QUALITIES[0])
        raise VideoError(
            f"{path.name} has {megabytes:.2f} MB even at quality {quality}, more than the {limit_mb:g} MB allowed; "
            "allow more with --gif-mb, show less with --last, or narrow it with --gif-width"
        )


def _encode(path: Path, frames: list[Image], fps: int, quality: int) -> None:
    av = require("av")
    container: Any = av.open(str(path), mode="w", format="webp", options={"loop": "0"})
    with container:
        stream = container.add_stream("libwebp_anim", rate=fps)
        stream.height, stream.width, _ = frames[0].shape
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        stream.options = {"quality": str(quality), "compression_level": "4"}
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
