"""`forestpilot doctor`: what is installed, what works on this machine, what is missing and what to do about it."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from forestpilot.launch.terminal.tables import format_columns
from forestpilot.launch.verbs import Verb

Status = Literal["ok", "note", "MISSING"]
PACKAGES = (
    "numpy", "numba", "gymnasium", "torch", "h5py", "hdf5plugin", "safetensors", "av", "opencv-python", "pygame-ce",
    "tyro", "rich", "matplotlib", "tensorboard", "jinja2", "websockets",
)  # fmt: skip
MIN_FRAME_STD = 8.0
"""A picture of a forest varies by more than this many grey levels; a blank one does not."""


@dataclass(frozen=True)
class DoctorConfig:
    """Say what is installed, what works here and what is missing; exit code 1 if something needed is missing."""

    frame: Path | None = None
    """Where to store the test frames as PNGs: NAME.png makes NAME-drone.png and NAME-drive.png; by default they are
    only checked."""
    renderer: Literal["raycast", "tiny", "egl"] = "raycast"
    """Renderer that draws the test frames."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    status: Status
    """`ok`, `note` (works without it) or `MISSING` (needed)."""
    subject: str
    """What was looked at."""
    found: str
    """What was found; where something is missing also what to do."""


def run(config: DoctorConfig) -> int:
    """Check everything and print it; returns 1 if something needed is missing."""
    findings = list(examine(config))
    print("\n".join(format_findings(findings)))
    missing = [finding.subject for finding in findings if finding.status == "MISSING"]
    print(f"\nmissing: {', '.join(missing)}" if missing else "\nForestPilot can work here.")
    return 1 if missing else 0


def format_findings(findings: list[Finding]) -> list[str]:
    """One line each, what is wrong marked at its start."""
    marks = {"ok": " ", "note": "-", "MISSING": "!"}
    head = format_columns([(f"{marks[f.status]} {f.subject}",) for f in findings])
    width = max(map(len, head))
    return [f"{left.ljust(width)}  {f.found}" for left, f in zip(head, findings, strict=True)]


def examine(config: DoctorConfig) -> Iterator[Finding]:
    """Run every check; one that fails is a finding and never stops the others."""
    yield _python()
    yield from _packages()
    checks: tuple[tuple[str, str, Callable[[], Finding]], ...] = (
        ("cores", "", _cores),
        ("PyBullet", "pip install -c constraints.txt -e .", _pybullet),
        ("PyTorch", "pip install torch", _torch),
        ("OpenCV", "", _opencv),
        ("H.264 video", "pip install --force-reinstall av", _video),
        ("HDF5 with Zstd", "pip install --force-reinstall h5py hdf5plugin", _hdf5),
        ("Numba's cache", "set NUMBA_CACHE_DIR to a folder that can be written", _numba_cache),
        ("forest frame", "", lambda: _test_frame(config, "forest frame", "Drone-v0")),
        ("road frame", "", lambda: _test_frame(config, "road frame", "Drive-v0")),
        ("window", "", _window),
    )
    for subject, advice, check in checks:
        try:
            yield check()
        except Exception as error:  # whatever it is, it is what the user came to hear
            message = " ".join(str(error).split()) or type(error).__name__
            yield Finding("MISSING", subject, f"{message}{'; try: ' + advice if advice else ''}")


def _python() -> Finding:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    fits = (3, 10) <= sys.version_info[:2] < (3, 14)
    return Finding("ok" if fits else "MISSING", "Python", version if fits else f"{version}; 3.10 to 3.13 are supported")


def _packages() -> Iterator[Finding]:
    """Versions, read from the metadata, without importing anything."""
    versions = {name: _version(name) for name in ("forestpilot", *PACKAGES)}
    for name, version in versions.items():
        if version is None and name == "forestpilot":
            yield Finding("note", name, f"runs from {Path(__file__).parents[3]} without being installed")
        elif version is None:
            yield Finding("MISSING", name, f"not installed; pip install {name}")
        else:
            yield Finding("ok", name, str(version))
    headless = _version("opencv-python-headless")
    if headless:
        yield Finding("note", "opencv-python-headless", f"{headless} is installed too; remove one of the two")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("ok", "cores", f"{usable} of {os.cpu_count()} usable by this process")


def _pybullet() -> Finding:
    installed = {name: _version(name) for name in ("pybullet", "pybullet-arm64")}
    from forestpilot.sim.bullet_import import pybullet

    if all(installed.values()):
        return Finding(
            "MISSING", "PyBullet", "pybullet and pybullet-arm64 are both installed; remove both, install one"
        )
    name, version = next(((n, v) for n, v in installed.items() if v), ("pybullet", "of unknown version"))
    if not pybullet.isNumpyEnabled():
        return Finding("note", "PyBullet", f"{name} {version}, built without NumPy: renderers tiny and egl are slow")
    return Finding("ok", "PyBullet", f"{name} {version}, NumPy enabled")


def _torch() -> Finding:
    import torch

    device = "CUDA" if torch.cuda.is_available() else "CPU"
    return Finding("ok", "PyTorch", f"{torch.__version__}, {device}, {torch.get_num_threads()} threads")


def _opencv() -> Finding:
    from forestpilot.launch.pictures.drawing import import_cv2

    return Finding("ok", "OpenCV", f"{import_cv2().__version__} loads")


def _video() -> Finding:
    """Encode a few frames and read them back."""
    import av

    from forestpilot.launch.films.video import VideoWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.mp4"
        with VideoWriter(path, 320, 180, fps=10) as video:
            for i in range(5):
                video.write(np.full((180, 320, 3), 40 * i, np.uint8))
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context.name
            frames = sum(1 for _ in container.decode(video=0))
    good = codec == "h264" and frames == 5
    return Finding("ok" if good else "MISSING", "H.264 video", f"{frames} of 5 frames came back as {codec}")


def _hdf5() -> Finding:
    import h5py
    import hdf5plugin

    values = np.arange(1000, dtype=np.int32)
    with h5py.File("doctor.hdf5", "w", driver="core", backing_store=False) as file:
        file.create_dataset("values", data=values, **hdf5plugin.Zstd(3))
        same = bool((file["values"][:] == values).all())
    return Finding("ok" if same else "MISSING", "HDF5 with Zstd", "writes and reads back" if same else "damages data")


def _numba_cache() -> Finding:
    """Compiled kernels are kept beside the modules, or where NUMBA_CACHE_DIR says."""
    folder = Path(
        os.environ.get("NUMBA_CACHE_DIR") or Path(importlib.import_module("forestpilot.sim").__file__ or ".").parent
    )
    if os.access(folder, os.W_OK):
        return Finding("ok", "Numba's cache", f"kernels are kept in {folder}")
    return Finding("note", "Numba's cache", f"{folder} cannot be written: Numba falls back to the user's cache folder")


def _test_frame(config: DoctorConfig, subject: str, env_name: str) -> Finding:
    """Draw the three views of an environment and check that there is something on them."""
    import gymnasium

    importlib.import_module("forestpilot.sim.envs.registration")
    env = gymnasium.make(f"forestpilot:ForestPilot/{env_name}", renderer=config.renderer, disable_env_checker=True)
    vehicle: Any = env.unwrapped
    try:
        observation, _ = env.reset(seed=0)
        started = time.perf_counter()
        for _ in range(5):
            observation, *_ = env.step(np.array([0.0, 1.0], np.float32))
        step_ms = 200 * (time.perf_counter() - started)
        objects = len(np.unique(vehicle.frames.segmentation))
    finally:
        env.close()
    picture = np.concatenate([observation[name] for name in ("left", "center", "right")], axis=1)
    if config.frame is not None:
        from forestpilot.launch.pictures.drawing import import_cv2

        path = config.frame.with_name(f"{config.frame.stem}-{env_name.partition('-')[0].lower()}{config.frame.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        import_cv2().imwrite(str(path), picture[..., ::-1])
    return judge_frame(
        subject, picture, objects, f"renderer {config.renderer}, {step_ms:.1f} ms a step of the environment"
    )


def judge_frame(subject: str, picture: np.ndarray, objects: int, how: str) -> Finding:
    """Whether a picture (h, w, 3) of a world shows one: not blank, and more on it than ground and sky."""
    spread = float(picture.std())
    if spread < MIN_FRAME_STD or objects < 3:
        advice = "the picture is blank; another renderer may work: forestpilot doctor --renderer tiny"
        return Finding("MISSING", subject, f"{how}: spread {spread:.1f} grey levels, {objects} objects; {advice}")
    return Finding("ok", subject, f"{how}; not blank: {objects} objects, spread {spread:.0f} grey levels")


def _window() -> Finding:
    """A window is only needed for `render_mode="human"`."""
    from forestpilot.sim.rendering.window import Window, WindowError

    try:
        Window(64, 48).close()
    except WindowError as error:
        return Finding("note", "window", f"{error}")
    return Finding("ok", "window", "opens")


VERB = Verb(DoctorConfig, run)
