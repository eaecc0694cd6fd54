"""A replay buffer on the disk: what came in between two savings is a piece, and a piece is written once.

    learner/replay-000000000000-000000016000.safetensors     states 0 to 16,000, as they were written
    learner/replay-000000016000-000000032000.safetensors

A folder holds all pieces of which anything is left in the buffer. Those that were there before are the same files: hard
links to those of the folder before, where the file system has them, so that every round's folder is whole and the disk
holds each piece once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, save_state
from forestpilot.policies.reinforcement.replay_buffer import ReplayBuffer

PIECE_BYTES = 100_000_000
"""Most bytes of a piece."""


def save_replay(buffer: ReplayBuffer, folder: Path, before: Path | None) -> None:
    """Write what a buffer holds.

    Args:
        buffer: whose rows are all in the folder afterwards.
        folder: of this saving.
        before: of the saving before, or what was loaded; None where there was none.
    """
    first = max(0, buffer.num_written - buffer.num_rows)
    stored = 0
    for _, end, path in [] if before is None else _pieces(before):
        stored = end
        if end > first:
            _link(path, folder / path.name)
    row_bytes = max(1, buffer.num_bytes // buffer.num_rows)
    for start, piece in buffer.rows_since(stored, max(1, PIECE_BYTES // row_bytes)):
        end = start + len(piece["next_row"])
        tensors = {name: torch.from_numpy(values) for name, values in piece.items()}
        save_state(folder / f"replay-{start:012d}-{end:012d}.safetensors", tensors, {"first": start})


def load_replay(buffer: ReplayBuffer, folder: Path, written: int) -> None:
    """Fill a buffer as it was when it had been written so many states.

    Raises:
        CheckpointError: a piece is missing or damaged.
    """
    for start, piece in stored_replay(folder, written, buffer.num_rows):
        buffer.put_back(start, {name: values.numpy() for name, values in piece.items()})


def stored_replay(folder: Path, written: int, num_rows: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """What is stored of a buffer, piece by piece.

    Args:
        folder: of a saving.
        written: states that had been written by then.
        num_rows: states that the buffer holds.

    Yields:
        The number of the first state of each piece, and its rows by name of the array.

    Raises:
        CheckpointError: a piece is missing or damaged.
    """
    reached = max(0, written - num_rows)
    for start, end, path in _pieces(folder):
        if start > reached:
            break
        yield start, load_state(path)[0]
        reached = end
    if reached != written:
        raise CheckpointError(
            f"{folder} holds the replay buffer up to state {reached} of {written}: a file is missing. Restore it, or "
            "delete the folder of this round, which is then learned again"
        )


def _pieces(folder: Path) -> list[tuple[int, int, Path]]:
    """First state of each piece in a folder, the first one after it, and its file, in order."""
    found = []
    for path in folder.glob("replay-*.safetensors"):
        _, start, end = path.stem.split("-")
        found.append((int(start), int(end), path))
    return sorted(found)


def _link(path: Path, other: Path) -> None:
    """Have a file in another place too, or a copy of it."""
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)
