"""Records some flights, exports them in a format, and notes what other projects' loaders must find.

python -m tests.interop.writes FORMAT FOLDER writes FOLDER/flights-v0 and FOLDER/expected.npz.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.export import EXPORTERS
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect


def main(name: str, folder: Path) -> None:
    """Write the export and the arrays of each episode, `<number>/<key>`."""
    dataset = collect(CollectConfig(str(folder / "dataset"), episodes=4, workers=1))
    EXPORTERS.get(name)().export(dataset, folder / "flights-v0")
    episodes = [load_episode(header.path) for header in dataset.episodes]
    expected = {"seeds": np.array([episode.meta.seed for episode in episodes])}
    for number, episode in enumerate(episodes):
        arrays = {
            **episode.observations,
            "actions": episode.labels.lesson(episode.meta.control_hz).actions,
            "rewards": episode.rewards,
            "terminations": episode.terminated,
        }
        expected |= {f"{number}/{key}": values for key, values in arrays.items()}
    np.savez(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
