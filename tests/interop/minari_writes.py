"""Records some flights, exports them for Minari, and notes what its loader must find."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.export.minari import MinariConfig, MinariExporter
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect

ID = "forestpilot/flights-v0"


def main(folder: Path) -> None:
    """Write the dataset where `minari.load_dataset` looks for it below a folder, and what is expected of it."""
    dataset = collect(CollectConfig(str(folder / "dataset"), episodes=4, workers=1))
    (folder / ID).parent.mkdir(parents=True)
    MinariExporter().export(dataset, folder / ID, MinariConfig(id=ID))
    episodes = [load_episode(header.path) for header in dataset.episodes]
    wanted = {"seeds": np.array([episode.meta.seed for episode in episodes])}
    for number, episode in enumerate(episodes):
        wanted |= {f"{number}/{key}": values for key, values in episode.observations.items()}
        wanted |= {f"{number}/actions": episode.labels.lesson(episode.meta.control_hz).actions}
        wanted |= {f"{number}/rewards": episode.rewards, f"{number}/terminations": episode.terminated}
    np.savez(folder / "minari.npz", **wanted)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
