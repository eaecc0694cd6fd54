"""Decoding many episodes in worker processes, ahead of the first window that is drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from forestpilot.data_collection.episodes.episode import BrokenEpisodeError
from forestpilot.data_collection.episodes.processes import leave_signals_to_parent
from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.data_collection.windows.decoded import DecodedFolder, Source
from forestpilot.data_collection.windows.training_steps import StepLoader

MIN_STEPS = 20_000
"""Steps from which on processes pay, which take a second to start; so many are decoded in about three."""
SOURCES_PER_TASK = 16


def decode_ahead(folder: DecodedFolder, sources: Sequence[Source], workers: int, stage: Stage) -> int:
    """Decode those episodes that are not there yet, as far as there is room, if they are many.

    Whatever is not done is decoded when it is needed: damaged episodes, and all that is left where a process dies.

    Args:
        folder: where they go.
        sources: episodes.
        workers: processes.
        stage: told of each episode.

    Returns:
        How many were done.
    """
    missing = folder.missing(sources)
    if workers < 2 or sum(source.num_steps for source in missing) < MIN_STEPS:
        return 0
    done = 0
    parts = [tuple(missing[start : start + SOURCES_PER_TASK]) for start in range(0, len(missing), SOURCES_PER_TASK)]
    with (
        suppress(BrokenProcessPool),
        ProcessPoolExecutor(workers, get_context("spawn"), initializer=leave_signals_to_parent) as pool,
    ):
        tasks = {pool.submit(_decode, folder.folder, folder.loader, part): len(part) for part in parts}
        for task in as_completed(tasks):
            folder.used_bytes += task.result()
            stage.advance(tasks[task])
            done += tasks[task]
    return done


def _decode(place: Path, loader: StepLoader, sources: Sequence[Source]) -> int:
    """Decode episodes for which there is room; returns the bytes written."""
    folder = DecodedFolder(place, loader, max_bytes=2**62)
    before = folder.used_bytes
    for source in sources:
        with suppress(BrokenEpisodeError, OSError):
            folder.make(source)
    folder.close(keep=True)
    return folder.used_bytes - before
