"""Video: H.264 that browsers play, constant memory, whole files or none."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import av
import cv2
import gymnasium
import numpy as np
import pytest

import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)
from forestpilot.launch.films.video import VideoError, VideoWriter, _in_yuv, encode_part
from forestpilot.launch.pictures.sizes import SizeError, parse_size


def write(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> None:
    with VideoWriter(path, *size, fps=20) as video:
        for i in range(frames):
            video.write(np.full((size[1], size[0], 3), (5 * i) % 256, np.uint8))


def test_frames_come_back_as_h264_in_yuv420p(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.mp4"
    write(path, 30)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 20
        means = [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    assert len(means) == 30
    assert np.all(np.diff(means) > 0)


@pytest.mark.parametrize("size", [(62, 50), (66, 36), (64, 48), (2, 2)])
def test_colours_of_any_even_size_reach_the_encoder(size: tuple[int, int]) -> None:
    width, height = size
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    np.testing.assert_array_equal(_in_yuv(rgb).to_ndarray(), planes)


def test_the_index_stands_before_the_pictures(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 5)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    def write_two_of_which_one_is_wrong() -> None:
        with VideoWriter(tmp_path / "a.mp4", 64, 48, fps=10) as video:
            video.write(np.zeros((48, 64, 3), np.uint8))
            video.write(np.zeros((48, 64), np.uint8))

    with pytest.raises(VideoError):
        write_two_of_which_one_is_wrong()
    assert list(tmp_path.iterdir()) == []


def test_an_error_before_the_first_frame_and_no_frames_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "a.mp4", 64, 48, fps=10):
        raise ZeroDivisionError
    with VideoWriter(tmp_path / "b.mp4", 64, 48, fps=10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    frame = np.zeros((180, 320, 3), np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 320, 180, fps=30) as video:
        for _ in range(30):
            video.write(frame)
        tracemalloc.start()
        for _ in range(120):
            video.write(frame)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert grown < 5 * frame.nbytes


def test_wrong_frames_and_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="even"):
        VideoWriter(tmp_path / "a.mp4", 63, 48, fps=10)
    with pytest.raises(VideoError, match="fps"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, fps=0)
    with (
        pytest.raises(VideoError, match=r"\(48, 64, 3\)"),
        VideoWriter(tmp_path / "a.mp4", 64, 48, fps=10) as video,
    ):
        video.write(np.zeros((64, 48, 3), np.uint8))


def test_sizes_are_read_and_made_even() -> None:
    assert parse_size("960x540") == (960, 540)
    assert parse_size(" 961X541 ") == (960, 540)
    for text in ("960", "960x", "100x100", "9999x9999", "x", "-960x540"):
        with pytest.raises(SizeError, match="WIDTHxHEIGHT"):
            parse_size(text)


def test_the_same_flight_is_the_same_bytes_whatever_lay_in_memory() -> None:
    env = gymnasium.make("ForestPilot/Drone-v0", disable_env_checker=True, width=320, height=180)
    env.reset(seed=0)
    frames = []
    for step in range(41):
        observation, *_ = env.step(np.array([0.2 * math.sin(step / 3), 1.0], np.float32))
        frames.append(observation["center"].copy())
    env.close()
    made = set()
    for seed in range(4):
        rng = np.random.default_rng(seed)
        left_behind = [rng.integers(0, 255, rng.integers(1000, 400_000), np.uint8) for _ in range(60)][::2]
        made.add(encode_part(iter(frames), fps=20))
        del left_behind
    assert len(made) == 1
