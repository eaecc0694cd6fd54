"""robomimic's own SequenceDataset, with its defaults, reads what was exported: run by `make interop` (0.3.0 was tried).

python robomimic_reads.py FOLDER, which `writes.py` has written; HDF5_PLUGIN_PATH leads to hdf5plugin's filters.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from robomimic.utils import obs_utils
from robomimic.utils.dataset import SequenceDataset

PICTURES = ("left", "center", "right")
VECTORS = ("state", "goal")


def main(folder: Path) -> None:
    """Compare; raises AssertionError where something differs."""
    wanted = np.load(folder / "expected.npz")
    obs_utils.initialize_obs_utils_with_obs_specs({"obs": {"rgb": list(PICTURES), "low_dim": list(VECTORS)}})
    path = str(folder / "flights-v0")
    keys = {"obs_keys": (*PICTURES, *VECTORS), "dataset_keys": ("actions", "rewards", "dones")}
    for cached in (None, "low_dim", "all"):
        dataset = SequenceDataset(path, hdf5_cache_mode=cached, **keys)
        assert dataset.n_demos == len(wanted["seeds"])
        index = 0
        for number in range(dataset.n_demos):
            steps = len(wanted[f"{number}/rewards"])
            for step in (0, steps // 2, steps - 1):
                item = dataset[index + step]
                for key in (*PICTURES, *VECTORS):
                    values = wanted[f"{number}/{key}"]
                    np.testing.assert_array_equal(item["obs"][key][0], values[step], err_msg=key)
                    np.testing.assert_array_equal(item["next_obs"][key][0], values[step + 1], err_msg=key)
                np.testing.assert_array_equal(item["actions"][0], wanted[f"{number}/actions"][step])
                np.testing.assert_array_equal(item["rewards"][0], wanted[f"{number}/rewards"][step])
                assert float(item["dones"][0]) == (step == steps - 1)
            index += steps
        assert len(dataset) == index
    parts = [SequenceDataset(path, filter_by_attribute=name, seq_length=10, **keys) for name in ("train", "valid")]
    assert sum(part.n_demos for part in parts) == len(wanted["seeds"])
    batch = next(iter(torch.utils.data.DataLoader(parts[0], batch_size=8, shuffle=True, num_workers=2)))
    assert batch["obs"]["center"].shape[:2] == (8, 10) and batch["actions"].shape == (8, 10, 2)
    print(f"robomimic: {index} steps of {dataset.n_demos} episodes, as recorded")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
