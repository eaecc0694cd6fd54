"""Figures as TensorBoard events, in the folder `tensorboard` of the run: `tensorboard --logdir runs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forestpilot.policies.training.trackers import Tracker


class TensorBoard(Tracker):
    """Writes events, which need no server."""

    library = "tensorboard"

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        # Importing TensorBoard takes a second that a script without it should not wait for.
        from torch.utils.tensorboard import SummaryWriter

        self._events = SummaryWriter(str(folder / "tensorboard"))

    def write(self, figures: Mapping[str, float], total_step: int) -> None:
        """See `Tracker.write`."""
        for name, value in figures.items():
            self._events.add_scalar(f"train/{name}", value, total_step)

    def close(self) -> None:
        """Flush the events."""
        self._events.close()
