"""H.264 video, written frame by frame: memory does not grow with the length, and a browser can play what comes out."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.files import written_whole
from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.extras import require

PRESET = "superfast"
"""Preset of x264: films are made by the dozen."""
FINER = "rc-lookahead=10:mbtree=1:weightp=0:bframes=0"
"""What `superfast` leaves out, and pays most: bits go where the next pictures look back to. With it a film takes half
the time of `veryfast`, and 6 MB a minute of forest at 960x540 (8 MB of road) instead of 16 (22). Weights for pictures
that fade take a sixteenth of the time and save nothing. Pictures between pictures (B-frames) would save a tenth of the
bits; but with `mbtree` x264 then reads memory that nobody has written, and no two films have the same bytes.
"""
QUALITY_CRF = 30
"""Ordinary constant rate factor: letters, needles and trunks stay sharp, and moving ground is a little softer."""
INDEX_FIRST = {"movflags": "+faststart"}
"""Moves the index to the front of a file when it is closed."""


class VideoError(ForestPilotError, ValueError):
    """A video cannot be written as asked."""


class VideoWriter:
    """Writes RGB frames to an MP4 file: H.264, yuv420p, index at the front so that it plays while it loads.

    The file appears under its name when it is complete; after an error nothing is left behind.

        with VideoWriter(path, 960, 540, fps=30) as video:
            video.write(frame)
    """

    def __init__(
        self, path: Path | str | io.BytesIO, width: int, height: int, fps: int, quality_crf: int = QUALITY_CRF
    ) -> None:
        """Open the file.

        Args:
            path: where the video will be; folders are made. Or memory to write it to.
            width: pixels, even.
            height: pixels, even.
            fps: frames per second, a positive whole number.
            quality_crf: constant rate factor of x264, 0 (lossless) to 51; each 6 less doubles the size.

        Raises:
            VideoError: an odd size, or a build of PyAV without an H.264 encoder.
        """
        if width % 2 or height % 2 or width <= 0 or height <= 0:
            raise VideoError(f"video size is {width}x{height}; H.264 in yuv420p needs even numbers of pixels")
        if fps <= 0:
            raise VideoError(f"fps is {fps}, but must be positive")
        self.frames_written = 0
        self._shape = (height, width, 3)
        self._rgb: NDArray[np.uint8] | None = None
        self._frame: Any = None
        with contextlib.ExitStack() as file:
            target: str | io.BytesIO
            if isinstance(path, io.BytesIO):
                target = path
            else:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                target = str(file.enter_context(written_whole(Path(path))))
            self._container, self._stream = _open_stream(target, width, height, fps, quality_crf)
            self._file = file.pop_all()

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Append one frame, (height, width, 3) uint8. The same array again is the same picture: it is converted once.

        Raises:
            VideoError: another shape or dtype.
        """
        if rgb.shape != self._shape or rgb.dtype != np.uint8:
            raise VideoError(f"frame is {rgb.dtype} {rgb.shape}; this video takes uint8 {self._shape}")
        if rgb is not self._rgb:
            self._rgb = rgb
            self._frame = _in_yuv(rgb)
        self._frame.pts = self.frames_written
        self._container.mux(self._stream.encode(self._frame))
        self.frames_written += 1

    def close(self) -> None:
        """Finish the file and give it its name. A video without frames leaves no file."""
        if self._container is None:
            return
        if self.frames_written == 0:
            self.discard()
            return
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._container = None
        self._file.close()

    def discard(self) -> None:
        """Give up: nothing stays on disk."""
        if self._container is not None:
            # A container without a single frame cannot be finished; the file goes anyway.
            with contextlib.suppress(OSError, ValueError):
                self._container.close()
            self._container = None
        given_up = VideoError("the video is given up")
        self._file.__exit__(VideoError, given_up, None)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def _in_yuv(rgb: NDArray[np.uint8]) -> Any:
    """A frame of FFmpeg's in the colours that H.264 stores."""
    cv2 = import_cv2()
    frame = require("av").VideoFrame
    yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    # Without a copy where the second plane of colours begins with a row of the array, as PyAV takes for granted.
    whole_rows = rgb.shape[0] % 4 == 0
    return (frame.from_numpy_buffer if whole_rows else frame.from_ndarray)(yuv, format="yuv420p")


def encode_part(frames: Iterable[NDArray[np.uint8]], fps: int, quality_crf: int = QUALITY_CRF) -> bytes:
    """Part of a film, at least one frame (height, width, 3) uint8, for `join_parts`; another process may make it."""
    content = io.BytesIO()
    with contextlib.ExitStack() as stack:
        video: VideoWriter | None = None
        for frame in frames:
            if video is None:
                height, width, _ = frame.shape
                video = stack.enter_context(VideoWriter(content, width, height, fps, quality_crf))
            video.write(frame)
    return content.getvalue()


def join_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write parts, all of one size and pace, one after the other into an MP4 file; nothing is encoded again.

    Args:
        path: the file; folders are made.
        parts: from `encode_part`, at least one.
    """
    av = require("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, av.open(str(temporary), "w", format="mp4", options=INDEX_FIRST) as film:
        stream = None
        begin = 0
        for content in parts:
            with av.open(io.BytesIO(content)) as part:
                source = part.streams.video[0]
                stream = stream or film.add_stream_from_template(source)
                for packet in part.demux(source):
                    if packet.size:  # the last one is empty
                        packet.pts += begin
                        packet.dts += begin
                        packet.stream = stream
                        film.mux(packet)
                begin += source.duration


def _open_stream(target: str | BinaryIO, width: int, height: int, fps: int, crf: int) -> tuple[Any, Any]:
    """An open MP4 container and its H.264 stream."""
    av = require("av")
    options = INDEX_FIRST if isinstance(target, str) else {}
    container = av.open(target, mode="w", format="mp4", options=options)
    try:
        stream = container.add_stream("libx264", rate=fps)
    except (ValueError, av.error.FFmpegError) as error:
        container.close()
        raise VideoError(
            "this build of PyAV has no H.264 encoder (libx264); install the wheel: pip install av"
        ) from error
    stream.width = width
    stream.height = height
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": str(crf), "preset": PRESET, "x264-params": FINER}
    stream.codec_context.thread_count = 1  # films are made side by side, each on a core
    stream.codec_context.time_base = Fraction(1, fps)
    return container, stream
