"""An exporter: one NumPy file per episode, for whoever has nothing but NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.export import Exporter, ExporterConfig


@dataclass(frozen=True)
class NpzConfig(ExporterConfig):
    """Options of the NumPy files."""

    part: ClassVar[str] = "npz"

    images: bool = True
    """Write the images too; without them a file is small."""


class NpzExporter(Exporter):
    """Writes a folder of `.npz` files, named as the episodes are: an episode may begin again in the same world."""

    Config: ClassVar[type[ExporterConfig]] = NpzConfig

    def write(self, dataset: Dataset, out: Path, config: NpzConfig, progress: Progress) -> None:
        """One file per episode: actions (T, 2), rewards (T,), and each observation (T + 1, ...)."""
        out.mkdir()
        with progress.stage("export", total=len(dataset)) as stage:
            for header in dataset.episodes:
                episode = load_episode(header.path)
                arrays = {"actions": episode.actions, "rewards": episode.rewards}
                for name, values in episode.observations.items():
                    if config.images or values.ndim < 4:
                        arrays[f"observation_{name}"] = values
                np.savez_compressed(out / f"{header.path.stem}.npz", **arrays)
                stage.advance()
