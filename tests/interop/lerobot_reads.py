"""LeRobot's own loader reads what was exported: run by `make interop`, in LeRobot's environment (0.4.4 was tried).

python lerobot_reads.py EXPORT EXPECTED.npz, where EXPECTED holds of the first, a middle and the last step what
`lerobot_writes.py` has recorded.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

PICTURE_ERROR = 12.0
"""Mean difference of grey levels that a video may have; a lossless one has none."""


def main(folder: Path, expected: Path) -> None:
    """Compare; raises AssertionError where something differs."""
    dataset = LeRobotDataset("local/forest", root=folder, video_backend="pyav")
    wanted = np.load(expected)
    lossless = bool(wanted["lossless"])
    assert len(dataset) == int(wanted["steps"]) and dataset.num_episodes == int(wanted["episodes"])
    assert dataset.fps == int(wanted["fps"])
    for place, row in enumerate(wanted["rows"].tolist()):
        item = dataset[row]
        for name in ("observation.state", "observation.environment_state", "action"):
            assert item[name].dtype == torch.float32
            np.testing.assert_array_equal(item[name].numpy(), wanted[name][place])
        assert abs(float(item["timestamp"]) - wanted["timestamp"][place]) < 1e-4
        for camera in ("left", "center", "right"):
            picture = item[f"observation.images.{camera}"].numpy().transpose(1, 2, 0) * 255
            error = np.abs(picture - wanted[camera][place]).mean()
            assert error < (1e-3 if lossless else PICTURE_ERROR), f"{camera} of step {row} is off by {error:.2f}"
    np.testing.assert_allclose(dataset.meta.stats["observation.state"]["mean"], wanted["state_mean"], rtol=1e-5)
    times = {"observation.images.center": [-0.1, 0.0], "action": [0.0, 0.1, 0.2]}
    chunks = LeRobotDataset("local/forest", root=folder, video_backend="pyav", delta_timestamps=times)
    batch = next(iter(torch.utils.data.DataLoader(chunks, batch_size=8, shuffle=True)))
    assert batch["observation.images.center"].shape[:2] == (8, 2) and batch["action"].shape == (8, 3, 2)
    print(f"{folder.name}: {len(dataset)} steps of {dataset.num_episodes} episodes, as recorded")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
