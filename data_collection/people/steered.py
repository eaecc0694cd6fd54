"""What a human did while a recorded episode was shown, in a file of its own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import read_arrays
from forestpilot.data_collection.episodes.files import write_new_file


@dataclass(frozen=True)
class Steered:
    """Record of what a human did while an episode was shown."""

    actions: NDArray[np.float32]
    """(T, 2) turn and go, not shifted."""
    present: NDArray[np.bool_]
    """(T,) whether the human was there."""
    expert_turns: NDArray[np.float32]
    """(T,) the expert's turn at the same states."""


def read_steered(path: Path) -> Steered:
    """The record in a file.

    Raises:
        OSError: the file is missing, or cannot be read.
        ValueError: what stands there is no such record.
    """
    steered = Steered(**read_arrays(path, ("actions", "present", "expert_turns")))
    _require_valid(steered)
    return steered


def save_steered(path: Path, steered: Steered) -> None:
    """Write the file, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, actions=steered.actions, present=steered.present, expert_turns=steered.expert_turns)
    write_new_file(path, [buffer.getvalue()])


def _require_valid(steered: Steered) -> None:
    """Raise ValueError where what was read is not what is written."""
    steps = len(steered.actions)
    wanted = {
        "actions": (np.float32, (steps, 2)),
        "present": (np.bool_, (steps,)),
        "expert_turns": (np.float32, (steps,)),
    }
    for name, (dtype, shape) in wanted.items():
        values = getattr(steered, name)
        if values.dtype != dtype or values.shape != shape:
            raise ValueError(f"{name} is {values.dtype} {values.shape}; it must be {np.dtype(dtype)} {shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has NaN or infinity")
