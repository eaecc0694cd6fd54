"""Decoding many episodes in worker processes, ahead of the first window that is drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.errors import BrokenEpisodeError
from forestpilot.data_collection.episodes.processes import leave_signals_to_parent, worker_context
from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.data_collection.windows.decoded import DecodedFolder, Source
from forestpilot.data_collection.windows.training_steps import StepLoader

Submit = Callable[..., Future[Any]]
"""Lets a process that runs already call a function of a module with these arguments and one more, of no use here."""
MIN_STEPS = 20_000
"""Steps from which on processes pay, which take a second to start; so many are decoded in about three."""
SOURCES_PER_TASK = 16
MIN_STEPS_RUNNING = 500
"""The same where processes run already."""
SOURCES_PER_TASK_RUNNING = 4


def decode_ahead(
    folder: DecodedFolder, sources: Sequence[Source], workers: int, stage: Stage, submit: Submit | None = None
) -> int:
    """Decode those episodes that are not there yet, as far as there is room, if they are many.

    Whatever is not done is decoded when it is needed: damaged episodes, and all that is left where a process dies.

    Args:
        folder: where they go.
        sources: episodes.
        workers: processes.
        stage: told of each episode.
        submit: reaches processes that run already; by default some are started.

    Returns:
        How many were done.
    """
    missing = folder.missing(sources)
    least = MIN_STEPS if submit is None else MIN_STEPS_RUNNING
    if workers < 2 or sum(source.num_steps for source in missing) < least:
        return 0
    size = SOURCES_PER_TASK if submit is None else SOURCES_PER_TASK_RUNNING
    parts = [tuple(missing[start : start + size]) for start in range(0, len(missing), size)]
    done = 0
    with suppress(BrokenProcessPool), _processes(workers, submit) as decode:
        tasks = {decode(_decode, folder.folder, folder.loader, part): len(part) for part in parts}
        for task in as_completed(tasks):
            folder.used_bytes += task.result()
            stage.advance(tasks[task])
            done += tasks[task]
    return done


@contextmanager
def _processes(workers: int, submit: Submit | None) -> Iterator[Submit]:
    """The processes that run already, or some that are started and end with the block."""
    if submit is not None:
        yield submit
        return
    with ProcessPoolExecutor(workers, worker_context(), initializer=leave_signals_to_parent) as pool:
        yield pool.submit


def _decode(place: Path, loader: StepLoader, sources: Sequence[Source], _: object = None) -> int:
    """Decode episodes for which there is room; returns the bytes written."""
    folder = DecodedFolder(place, loader, max_bytes=2**62)
    before = folder.used_bytes
    for source in sources:
        with suppress(BrokenEpisodeError, OSError):
            folder.make(source)
    folder.close(keep=True)
    return folder.used_bytes - before
