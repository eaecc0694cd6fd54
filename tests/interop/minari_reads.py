"""Minari's own loader reads what was exported: run by `make interop`, in Minari's environment (0.5.4 was tried).

python minari_reads.py FOLDER, which `writes.py` has written.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np


def main(folder: Path) -> None:
    """Compare; raises AssertionError where something differs."""
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    import minari

    wanted = np.load(folder / "expected.npz")
    assert list(minari.list_local_datasets()) == ["flights-v0"]
    dataset = minari.load_dataset("flights-v0")
    seeds = wanted["seeds"].tolist()
    assert dataset.total_episodes == len(seeds) and not dataset.storage.jpeg_encoding
    assert [facts["seed"] for facts in dataset.storage.get_episode_metadata(range(len(seeds)))] == seeds
    assert dataset.env_spec.id == "ForestPilot/Drone-v0"
    steps = 0
    for number, episode in enumerate(dataset.iterate_episodes()):
        steps += len(episode)
        for key, values in episode.observations.items():
            np.testing.assert_array_equal(values, wanted[f"{number}/{key}"], err_msg=key)
        for key in ("actions", "rewards", "terminations"):
            np.testing.assert_array_equal(getattr(episode, key), wanted[f"{number}/{key}"], err_msg=key)
        assert len(episode.observations["center"]) == len(episode.actions) + 1
        first = {key: values[0] for key, values in episode.observations.items()}
        assert dataset.observation_space.contains(first) and dataset.action_space.contains(episode.actions[0])
        assert episode.terminations[-1] or episode.truncations[-1]
        assert all(len(values) == len(episode) for values in episode.infos.values())
    assert steps == dataset.total_steps
    short = dataset.filter_episodes(lambda episode: len(episode) <= dataset[0].rewards.size)
    assert 1 <= len(short) <= len(seeds)
    assert len(dataset.sample_episodes(2)) == 2
    print(f"minari: {steps} steps of {len(seeds)} episodes, as recorded")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
