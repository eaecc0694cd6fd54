"""Trackers: where a training tells its figures besides metrics.csv, by the name behind `--log`.

A tracker is one file and one line here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from forestpilot.sim.extras import require
from forestpilot.sim.registry import Registry


class Tracker(ABC):
    """Shows figures of a training as it goes on.

    Args:
        folder: the run folder; what is kept on this machine goes there.
        config: how is trained, as plain values.

    Raises:
        MissingExtraError: its library is not installed.
    """

    library: ClassVar[str]
    """Importable name of the library that it needs."""

    @abstractmethod
    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def write(self, figures: Mapping[str, float], total_step: int) -> None:
        """Tell the figures of a step.

        Args:
            figures: by name.
            total_step: gradient steps done in all rounds. A run that was killed and goes on tells some steps again.
        """

    @abstractmethod
    def close(self) -> None:
        """See to it that everything told is kept."""


_HERE = "forestpilot.policies.training.trackers"
TRACKERS: Registry[type[Tracker]] = Registry("tracker", f"{_HERE}:TRACKERS")
TRACKERS.register("tensorboard", f"{_HERE}.tensorboard:TensorBoard", "events in RUN/tensorboard")
TRACKERS.register("wandb", f"{_HERE}.wandb:WeightsAndBiases", "Weights & Biases; offline unless you are logged in")
TRACKERS.register("mlflow", f"{_HERE}.mlflow:MLflow", "MLflow: MLFLOW_TRACKING_URI, or a file in the run folder")


def require_tracker(name: str) -> None:
    """Raise MissingExtraError, before any work, where the library of a tracker is missing; empty for none."""
    if name and find_spec(library := TRACKERS.get(name).library) is None:
        require(library)
