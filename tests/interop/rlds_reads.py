"""TensorFlow Datasets reads what was exported: run by `make interop`, in an environment of its own (4.9.10 was tried).

python rlds_reads.py FOLDER, which `writes.py` has written.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds


def main(folder: Path) -> None:
    """Compare; raises AssertionError where something differs."""
    wanted = np.load(folder / "expected.npz")
    seeds = wanted["seeds"].tolist()
    builder = tfds.builder_from_directory(str(folder / "flights-v0"))
    assert builder.info.splits["train"].num_examples == len(seeds)
    steps = 0
    for number, episode in enumerate(builder.as_dataset(split="train", shuffle_files=False)):
        assert int(episode["episode_metadata"]["seed"]) == seeds[number]
        rows = list(tfds.as_numpy(episode["steps"]))
        count = len(rows) - 1
        steps += count
        for key in ("left", "center", "right", "state", "goal"):
            values = np.stack([row["observation"][key] for row in rows])
            assert values.dtype == wanted[f"{number}/{key}"].dtype
            np.testing.assert_array_equal(values, wanted[f"{number}/{key}"], err_msg=key)
        np.testing.assert_array_equal([row["action"] for row in rows[:-1]], wanted[f"{number}/actions"])
        np.testing.assert_array_equal([row["reward"] for row in rows[:-1]], wanted[f"{number}/rewards"])
        assert [bool(row["is_first"]) for row in rows] == [True] + [False] * count
        assert [bool(row["is_last"]) for row in rows] == [False] * count + [True]
        terminated = bool(wanted[f"{number}/terminations"][-1])
        assert bool(rows[-1]["is_terminal"]) == terminated and rows[count - 1]["discount"] == 1.0 - terminated
        assert rows[0]["language_instruction"].decode().startswith("fly to the goal through the forest")
    whole = builder.as_dataset(split="train").flat_map(lambda episode: episode["steps"])
    batch = next(iter(whole.filter(lambda step: not step["is_last"]).shuffle(100).batch(8)))
    assert batch["observation"]["center"].shape == (8, *rows[0]["observation"]["center"].shape)
    assert batch["action"].dtype == tf.float32 and batch["action"].shape == (8, 2)
    print(f"rlds: {steps} steps of {len(seeds)} episodes, as recorded")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
