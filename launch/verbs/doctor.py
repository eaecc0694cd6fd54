"""`forestpilot doctor`: what is installed, what works on this machine, what is missing and what to do about it."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.launch.terminal.tables import format_columns
from forestpilot.launch.verbs import Verb
from forestpilot.policies import openmp
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.cores import allowed_cores, granted_cores, usable_cores
from forestpilot.sim.extras import EXTRAS, MissingExtraError, require
from forestpilot.sim.registry import OWN_DISTRIBUTION, Registered, Registry, broken_plugins, import_attribute, name_of
from forestpilot.sim.scratch import scratch
from forestpilot.sim.tasks import TASKS

Status = Literal["ok", "note", "MISSING"]
DISTRIBUTION = OWN_DISTRIBUTION
WIDTH = 120
"""Columns of the text, at most."""
FRAMES = 5
"""Steps before the picture that is looked at."""
REGISTRIES = (
    "forestpilot.sim.tasks:TASKS",
    "forestpilot.sim.vehicles:VEHICLES",
    "forestpilot.sim.vehicles.turns:TURNS",
    "forestpilot.sim.courses:COURSES",
    "forestpilot.sim.worlds.hazards:HAZARDS",
    "forestpilot.sim.experts:EXPERTS",
    "forestpilot.sim.rendering:RENDERERS",
    "forestpilot.sim.viewpoints:VIEWPOINTS",
    "forestpilot.sim.envs.dashboards:DASHBOARDS",
    "forestpilot.data_collection.rollouts.gates:GATES",
    "forestpilot.data_collection.rollouts.noises:NOISES",
    "forestpilot.data_collection.rollouts.pools:POOLS",
    "forestpilot.data_collection.export:EXPORTERS",
    "forestpilot.data_collection.export:IMPORTERS",
    "forestpilot.policies.export:POLICY_EXPORTERS",
    "forestpilot.policies.evaluation.kinds:POLICY_KINDS",
    "forestpilot.policies.networks.encoders:ENCODERS",
    "forestpilot.policies.networks.goal_encoders:GOAL_ENCODERS",
    "forestpilot.policies.networks.memories:MEMORIES",
    "forestpilot.policies.networks.heads:HEADS",
    "forestpilot.policies.networks.causes:CAUSES",
    "forestpilot.policies.training.input_noise:INPUT_NOISES",
    "forestpilot.policies.training.trackers:TRACKERS",
    "forestpilot.policies.reinforcement:LEARNERS",
    "forestpilot.policies.reinforcement.adversaries:ADVERSARIES",
    "forestpilot.policies.embeddings:EMBEDDERS",
    "forestpilot.policies.world_models:WORLD_MODELS",
    "forestpilot.policies.world_models:WORLD_LEARNERS",
    "forestpilot.policies.world_models.dreams:DREAMERS",
    "forestpilot.policies.algorithms:ALGORITHMS",
    "forestpilot.policies.algorithms.semi:SEMI_METHODS",
    "forestpilot.launch.benchmarks:BENCHMARKS",
    "forestpilot.launch.studies:STUDIES",
    "forestpilot.launch.verbs:VERBS",
)
"""Every registry, from the ground floor up."""
RUN_FOLDERS = ("runs", "datasets")
"""Where commands put what they make, unless they are told."""
MIN_FRAME_STD = 8.0
"""A picture of a forest varies by more than this many grey levels; a blank one does not."""


@dataclass(frozen=True)
class DoctorConfig:
    """Say what is installed, what works here and what is missing; exit code 1 if something needed is missing."""

    frame: Path | None = None
    """Where to store the test frames as PNGs: NAME.png makes NAME-TASK.png for each task; by default they are only
    checked."""
    renderer: str = field(default="raycast", metadata=name_of("forestpilot.sim.rendering:RENDERERS"))
    """Renderer that draws the test frames."""
    json: bool = False
    """Print it as JSON, for a report of a mistake."""


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
    missing = [finding.subject for finding in findings if finding.status == "MISSING"]
    if config.json:
        print(json.dumps({"findings": list(map(asdict, findings)), "registered": list(registered())}, indent=2))
        return 1 if missing else 0
    print("\n".join(format_findings(findings)))
    print("\nregistered, ForestPilot's own where nothing else is said:")
    print("\n".join(registered()))
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
    yield from _plugins()
    checks: list[tuple[str, str, Callable[[], Finding]]] = [
        ("cores", "", _cores),
        ("PyBullet", "pip install --force-reinstall pybullet", _pybullet),
        ("sub-steps", "pip install --force-reinstall numba", _sub_steps),
        ("PyTorch", "pip install --force-reinstall torch", _torch),
        ("threads", "", _threads),
        ("OpenCV", "", _opencv),
        ("H.264 video", "pip install --force-reinstall av", _video),
        ("HDF5 with Zstd", "pip install --force-reinstall h5py hdf5plugin", _hdf5),
        ("Numba's cache", "set NUMBA_CACHE_DIR to a folder that can be written", _numba_cache),
        ("decoded pictures", "", _decoded),
        ("window", "", _window),
    ]
    for name in TASKS:
        checks.append((f"frame of {name}", "", partial(_test_frame, config, name)))
    for subject, advice, check in checks:
        try:
            yield check()
        except MissingExtraError as error:
            yield Finding("note", subject, str(error))
        except Exception as error:  # whatever it is, it is what the user came to hear
            message = " ".join(str(error).split()) or type(error).__name__
            yield Finding("MISSING", subject, f"{message}{'; try: ' + advice if advice else ''}")


def _python() -> Finding:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    fits = (3, 10) <= sys.version_info[:2] < (3, 14)
    return Finding("ok" if fits else "MISSING", "Python", version if fits else f"{version}; 3.10 to 3.13 are supported")


def _packages() -> Iterator[Finding]:
    """Versions of what the distribution says that it requires, without importing anything."""
    own = _version(DISTRIBUTION)
    if own is None:
        where = Path(__file__).parent.parent.parent
        yield Finding("note", DISTRIBUTION, f"runs from {where} without being installed, so nobody knows what it needs")
        return
    yield Finding("ok", DISTRIBUTION, own)
    for name, extra in requirements().items():
        version = _version(name)
        if version is not None:
            yield Finding("ok", name, version)
        elif extra:
            yield Finding("note", name, f'not installed; what needs it: pip install "{DISTRIBUTION}[{extra}]"')
        else:
            yield Finding("MISSING", name, f"not installed; pip install {name}")
    headless = _version("opencv-python-headless")
    if headless:
        yield Finding("note", "opencv-python-headless", f"{headless} is installed too; remove one of the two")


def requirements() -> dict[str, str]:
    """Each distribution that ForestPilot needs, and the extra that brings it; no extra where everybody needs it.

    PyBullet is left out, of which there are two; so is what only developers need.
    """
    found: dict[str, str] = {}
    for line in metadata.requires(DISTRIBUTION) or ():
        named = re.match(r"[\w.-]+", line)
        marked = re.search(r"extra\s*==\s*['\"]([\w-]+)", line)
        name = named.group() if named else ""
        extra = marked.group(1) if marked else ""
        if name.startswith("pybullet") or (extra and extra not in EXTRAS.values()):
            continue
        found[name] = min(extra, found.get(name, extra))
    return found


def _plugins() -> Iterator[Finding]:
    """Plug-ins of other packages that could not be loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the finding says it
        broken = broken_plugins()
    for plugin in broken:
        told = f"{plugin.error}; it is left out until {plugin.distribution} is mended or removed"
        yield Finding("note", f"plug-in {plugin.name}", told)


def registered() -> Iterator[str]:
    """Lines that tell all parts of all registries, and who registered those that are not ForestPilot's own."""
    for home in REGISTRIES:
        registry: Registry[Any] = import_attribute(home, "registry")
        told = [_told(line) for line in registry.lines()]
        text = f"{registry.kind + ':':<13} {', '.join(told)}"
        yield from textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent=16 * " ")


def _told(line: Registered) -> str:
    if line.distribution == OWN_DISTRIBUTION:
        return line.name
    return f"{line.name} (from {line.distribution})"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> Finding:
    share = granted_cores()
    granted = f", the container grants the time of {share:g}" if math.isfinite(share) else ""
    found = f"{usable_cores()} of {os.cpu_count()} usable by this process (affinity: {allowed_cores()}{granted})"
    return Finding("ok", "cores", found)


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


def _sub_steps() -> Finding:
    """Who simulates a vehicle that touches nothing."""
    from forestpilot.sim.vehicles import free_body

    if free_body.equals_pybullet():
        return Finding("ok", "sub-steps", "done by kernels while nothing is near: equal to PyBullet's to the last bit")
    told = "done by PyBullet, which rounds differently here than the kernels: slower, and the same as ever"
    return Finding("note", "sub-steps", told)


def _torch() -> Finding:
    torch = require("torch")
    device = "CUDA" if torch.cuda.is_available() else "CPU"
    return Finding("ok", "PyTorch", f"{torch.__version__}, {device}, {torch.get_num_threads()} threads")


def _threads() -> Finding:
    """What torch's threads were told."""
    is_good, told = openmp.describe()
    return Finding("ok" if is_good else "note", "threads", told)


def _opencv() -> Finding:
    return Finding("ok", "OpenCV", f"{import_cv2().__version__} loads")


def _video() -> Finding:
    """Encode a few frames and read them back."""
    av = require("av")
    from forestpilot.launch.films.video import VideoWriter

    with scratch("doctor") as folder:
        path = folder / "test.mp4"
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
    beside = Path(__file__).parent.parent.parent / "sim"
    folder = Path(os.environ.get("NUMBA_CACHE_DIR", beside))
    if os.access(folder, os.W_OK):
        return Finding("ok", "Numba's cache", f"kernels are kept in {folder}")
    return Finding("note", "Numba's cache", f"{folder} cannot be written: Numba falls back to the user's cache folder")


def _decoded() -> Finding:
    """What trainings have left in runs/ and datasets/ here: those that were told to, and those that were killed."""
    from forestpilot.data_collection.windows.decoded import CACHE_TAG, DECODED_FOLDER, decoded_bytes

    tags = [tag for top in RUN_FOLDERS for tag in sorted(Path(top).rglob(f"{DECODED_FOLDER}/{CACHE_TAG}"))]
    left = {tag.parent: decoded_bytes(tag.parents[1]) for tag in tags}
    if not left:
        return Finding("ok", "decoded pictures", "no training has left any in runs/ or datasets/ here")
    where = ", ".join(f"{folder} ({size / 1e6:.0f} MB)" for folder, size in left.items())
    return Finding("ok", "decoded pictures", f"{where}: for the next training; can be deleted")


def _test_frame(config: DoctorConfig, task: str) -> Finding:
    """Draw the three views of a task's environment and check that there is something on them."""
    from forestpilot.data_collection.rollouts.scenarios import make_env

    env = make_env(TASKS.get(task), renderer=config.renderer)
    try:
        observation, _ = env.reset(seed=0)
        started = time.perf_counter()
        for _ in range(FRAMES):
            observation, *_ = env.step(np.array([0.0, 1.0], np.float32))
        step_ms = 1000 * (time.perf_counter() - started) / FRAMES
        objects = len(np.unique(env.frames.segmentation))
    finally:
        env.close()
    picture = np.concatenate([observation[name] for name in CAMERA_NAMES], axis=1)
    if config.frame is not None:
        path = config.frame.with_name(f"{config.frame.stem}-{task}{config.frame.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        import_cv2().imwrite(str(path), picture[..., ::-1])
    how = f"renderer {config.renderer}, {step_ms:.1f} ms a step of the environment"
    return judge_frame(f"frame of {task}", picture, objects, how)


def judge_frame(subject: str, picture: np.ndarray, objects: int, how: str) -> Finding:
    """Find out if a picture (h, w, 3) of a world shows one: it is not blank, and has more on it than ground and sky."""
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
