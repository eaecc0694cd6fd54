"""A dataset as videos: what was seen, and not what was done.

EPISODE.json             all that is known of an episode but its actions and anybody's labels: where it took place, how
                         it ended, state and goal at every picture
EPISODE-<camera>.mp4     what a camera saw, a picture for each step and one after the last: left, center, right of the
                         vehicle, or view_<viewpoint> of one that looked at it
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.episodes.episode import (
    CAMERAS,
    OPTIONAL_ARRAYS,
    Episode,
    load_episode,
    without_actions,
)
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.export.exporter import ExporterConfig, ExportError
from forestpilot.data_collection.export.keepsake import ALWAYS, is_pictures
from forestpilot.data_collection.export.mp4 import write_mp4
from forestpilot.data_collection.export.parts import PART_FILE, ExporterInParts, PartWriter, WrittenPart, placed
from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.sim.goals import GOAL_IMAGE
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import name_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.viewpoints import VIEWPOINTS, view_key
from forestpilot.sim.viewpoints.viewpoint import is_view

FORMAT = "forestpilot-video"
VERSION = 1
PART_BYTES = 5_000_000
"""Size of a part: a minute's work, where episodes are flown again to be filmed."""


@dataclass(frozen=True)
class VideoConfig(ExporterConfig):
    """A folder of MP4 files, and a JSON file beside those of each episode; without actions and labels."""

    part: ClassVar[str] = "video"
    viewpoint: str = field(default="vehicle", metadata=name_of("forestpilot.sim.viewpoints:VIEWPOINTS"))
    """From where: the vehicle's own cameras (`vehicle`), or a third camera alone, from behind (`chase`), from a place
    beside the way (`tower`), from beside the vehicle (`side`). What no third camera has recorded is flown or driven
    again, from the actions, and drawn; what has been recorded is written as it is."""
    crf: Annotated[int, Range(0, 51)] = 18
    """Quality of the film, from 0, the best, to 51."""
    lossless: bool = False
    """Lose nothing, at five times the size, in a format that not every player shows."""

    def __post_init__(self) -> None:
        require_ranges(self)


class VideoExporter(ExporterInParts):
    """Writes a folder that `forestpilot import video` reads, and any player shows."""

    Config = VideoConfig
    needs: ClassVar[tuple[str, ...]] = ()
    card_fields: ClassVar = {"tags": ["video"]}
    reading = "Any player shows the MP4 files; `forestpilot import video FOLDER --out DATASET` makes a dataset of them."

    def part_bytes(self, config: VideoConfig) -> int:
        """See `ExporterInParts.part_bytes`: all files of a part together, for none of them is large."""
        return PART_BYTES

    def open_part(
        self, dataset: Dataset, folder: Path, number: int, before: Mapping[str, Any], config: VideoConfig
    ) -> PartWriter:
        """See `ExporterInParts.open_part`."""
        return _VideoPart(folder, before.get("episodes", 0), config)

    def put_together(self, dataset: Dataset, parts: Sequence[WrittenPart], out: Path, config: VideoConfig) -> None:
        """See `ExporterInParts.put_together`."""
        for part in parts:
            for file in sorted(part.folder.iterdir()):
                if file.name != PART_FILE:
                    placed(file, out / file.name)


class _VideoPart(PartWriter):
    """A part: the files of some episodes."""

    def __init__(self, folder: Path, episodes: int, config: VideoConfig) -> None:
        self._folder = folder
        self._episodes = episodes
        self._config = config
        self._bytes = 0

    def add(self, header: EpisodeHeader) -> None:
        """See `PartWriter.add`."""
        episode = load_episode(header.path)
        pictures = _pictures(header, episode, self._config.viewpoint)
        name = f"{self._episodes:05d}-{header.path.stem}"
        files = {key: f"{name}-{key}.mp4" for key in pictures}
        for key, frames in pictures.items():
            crf = None if self._config.lossless else self._config.crf
            write_mp4(self._folder / files[key], frames, header.meta.control_hz, crf)
        told = self._folder / f"{name}.json"
        told.write_text(json.dumps(_side_file(without_actions(episode), files), allow_nan=False), encoding="utf-8")
        self._bytes += sum((self._folder / file).stat().st_size for file in (*files.values(), told.name))
        self._episodes += 1

    @property
    def num_bytes(self) -> int:
        """See `PartWriter.num_bytes`."""
        return self._bytes

    def close(self) -> None:
        """See `PartWriter.close`; every file is complete already."""

    def facts(self) -> dict[str, Any]:
        """See `PartWriter.facts`."""
        return {"episodes": self._episodes}


def _pictures(header: EpisodeHeader, episode: Episode, viewpoint: str) -> dict[str, NDArray[np.uint8]]:
    """(T+1, H, W, 3) of each camera that is written.

    Raises:
        ExportError: there are none, and none can be drawn.
    """
    seen = episode.observations
    always = {GOAL_IMAGE: seen[GOAL_IMAGE]} if GOAL_IMAGE in seen else {}
    if not VIEWPOINTS.get(viewpoint).Config.third_person:
        own = {camera: seen[camera] for camera in CAMERAS if camera in seen}
        if not own:
            views = ", ".join(key for key in seen if is_view(key))
            raise ExportError(f"{header.path} lacks the vehicle's own pictures, it has {views}; give --to.viewpoint")
        return own | always
    key = view_key(viewpoint)
    if key in seen:
        return {key: seen[key], **always}
    if not episode.has_actions:
        raise ExportError(
            f"{header.path} has neither pictures from the viewpoint {viewpoint} nor actions to repeat it by; record it "
            f"with `forestpilot collect --viewpoint {viewpoint}`"
        )
    return {key: drawn_again(episode, viewpoint), **always}


def drawn_again(episode: Episode, viewpoint: str) -> NDArray[np.uint8]:
    """(T+1, H, W, 3) what a third camera would have seen of an episode: it is simulated again from its actions.

    Raises:
        ExportError: another state comes of them than was recorded.
    """
    from forestpilot.sim.envs.third_camera import ThirdCamera

    meta = episode.meta
    env = make_env(TASKS.get(meta.task_spec["task"]), **meta.env_kwargs)
    try:
        env.draw_only(())
        observation, _ = env.reset(seed=meta.seed)
        camera = ThirdCamera(env, VIEWPOINTS.get(viewpoint).Config())  # type: ignore[arg-type]
        pictures = [camera.draw()]
        for step in range(episode.num_steps + 1):
            if not np.array_equal(observation["state"], episode.observations["state"][step]):
                raise ExportError(
                    f"world {meta.seed} does not repeat itself: its state differs at step {step}; it was recorded by "
                    f"version {meta.package_version}. Record it again with --viewpoint {viewpoint}"
                )
            if step < episode.num_steps:
                observation, *_ = env.step(episode.actions[step])
                pictures.append(camera.draw())
        camera.close()
    finally:
        env.close()
    return np.stack(pictures)


def _side_file(episode: Episode, files: dict[str, str]) -> dict[str, Any]:
    """What the JSON file says of an episode without actions."""
    arrays = {}
    for name in (*ALWAYS, *OPTIONAL_ARRAYS):
        values = getattr(episode, name)
        if values is not None and name != "actions":
            arrays[name] = values.tolist()
    told = {key: values.tolist() for key, values in episode.observations.items() if not is_pictures(values)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "package_version": package_version(),
        "fps": episode.meta.control_hz,
        "pictures": files,
        "frames": episode.num_steps + 1,
        "state_names": episode.meta.task_spec["state_names"],
        "observations": told,
        "arrays": arrays,
        "meta": dataclasses.asdict(episode.meta),
        "rerun": dataclasses.asdict(episode.rerun),
    }
