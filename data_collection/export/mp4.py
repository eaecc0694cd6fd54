"""MP4 files of a row of pictures, written and read."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.sim.extras import require

PRESET = "veryfast"
"""Of x264."""


def write_mp4(path: Path, frames: NDArray[np.uint8], fps: int, crf: int | None) -> None:
    """Write pictures as an H.264 film.

    Args:
        path: the file.
        frames: (n, H, W, 3) uint8.
        fps: pictures per second.
        crf: x264's quality, 0 (best) to 51; None for no loss at all, in a format that not every player shows.
    """
    av = require("av")
    height, width = frames.shape[1:3]
    pixel_format = "rgb24"
    if crf is not None:  # colours at half the resolution need even numbers of pixels
        pixel_format = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264rgb" if crf is None else "libx264", rate=fps)
        stream.width = width
        stream.height = height
        stream.pix_fmt = pixel_format
        stream.time_base = Fraction(1, fps)
        stream.thread_count = 1
        stream.options = {"crf": str(crf or 0), "preset": PRESET, "bf": "0"}
        for number, picture in enumerate(frames):
            frame = av.VideoFrame(width, height, "rgb24")
            # All of its memory is written: what converts colours reads a little beyond the end of a row.
            rows = np.zeros((height, frame.planes[0].line_size), np.uint8)
            rows[:, : 3 * width] = picture.reshape(height, -1)
            frame.planes[0].update(rows)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read_mp4(path: Path, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The pictures (n, H, W, 3) uint8 of a film that is to have just as many, of that size.

    Raises:
        ImportDataError: it cannot be read, or has others.
    """
    pictures = np.empty(shape, np.uint8)
    count = 0
    try:
        for picture in _decoded(path):
            if count == shape[0] or picture.shape != shape[1:]:
                raise ImportDataError(
                    f"{path} has more than {count} pictures, of {picture.shape[1]}x{picture.shape[0]}; its side file "
                    f"tells of {shape[0]} of {shape[2]}x{shape[1]}: export the dataset again"
                )
            pictures[count] = picture
            count += 1
    except (OSError, ValueError) as error:
        raise ImportDataError(f"{path} cannot be read ({error}): export the dataset again") from error
    if count < shape[0]:
        raise ImportDataError(f"{path} ends after {count} of {shape[0]} pictures: it was cut off; export it again")
    return pictures


def _decoded(path: Path) -> Iterator[NDArray[np.uint8]]:
    with require("av").open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")
