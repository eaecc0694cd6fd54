"""`forestpilot replay`: simulate stored episodes again, check every state, and draw them at any size.

What is stored of an episode is its world's seed and its actions, not its pictures. The simulation is deterministic, so
the same actions lead through the same states; the hash of each is compared with the stored one, and a replay that
diverges is an error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from forestpilot.data_collection.episodes.files import remove_stale_temporaries
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.rollouts.pool import RolloutPool, borrowed
from forestpilot.launch.films.replay_config import ReplayConfig
from forestpilot.launch.films.replays import (
    EpisodeReplay,
    RecordingReplay,
    ReelReplay,
    Replay,
    Replayed,
    TogetherReplay,
)
from forestpilot.launch.reading.outcomes import (
    ReplayError,
    choose_episodes,
    choose_near_misses,
    choose_worlds,
    read_outcomes,
)
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow
from forestpilot.sim.extras import require

STATES_WORTH_A_PROCESS = 2000
"""Comparing so many states takes about as long as starting a process."""


def run(config: ReplayConfig) -> None:
    """Replay and print one line per episode, or film of several, on standard output."""
    for replayed in replay_evaluation(config, make_progress()):
        print(replayed, flush=True)


def replay_evaluation(
    config: ReplayConfig, progress: Progress | None = None, pool: RolloutPool | None = None
) -> Iterator[Replayed]:
    """Replay the chosen episodes of an evaluation folder, side by side, and make what is asked for.

    Args:
        config: which episodes, and what to make of them.
        progress: is told how far it is.
        pool: who does it; by default `config.workers` processes.

    Yields:
        For each episode, or for those that are shown together, its rows of outcomes.csv and the files.

    Raises:
        ReplayError: the folder or an episode is missing or unreadable, nothing matches the choice, or the files cannot
            be written where they should be.
        ReplayDivergedError: a state, or the end, differs from the stored one.
    """
    progress = progress or SilentProgress()
    outcomes = read_outcomes(config.evaluation)
    # All is chosen before the first episode is replayed: what cannot be done must not wait behind an hour of films.
    worlds: list[list[OutcomeRow]] = []
    episodes: list[OutcomeRow] = []
    near_misses: list[OutcomeRow] = []
    if config.side_by_side:
        worlds = choose_worlds(outcomes, config.choice)
    elif not config.only_reel:
        episodes = choose_episodes(outcomes, config.choice)
    if config.reel:
        near_misses, successes = choose_near_misses(outcomes, config.reel_clips, config.choice)
    for folder in config.products:
        _require_writable(folder)
    for file in (config.reel, config.rerun):
        if file:
            _require_writable(file.parent)
    if config.rerun:
        require("rerun")
    work: list[Replay] = [TogetherReplay(config, rows) for rows in worlds]
    if config.products or not config.rerun:
        work += [EpisodeReplay(config, [row]) for row in episodes]
    if config.rerun:
        work.append(RecordingReplay(config, episodes))
    if config.reel:
        work.append(ReelReplay(config, near_misses, successes))
    busy = min(config.workers, _most_workers(config, work))
    name = work[0].name if len(work) == 1 else f"replay {len(work)} times"
    with borrowed(pool, busy) as own, progress.stage(name, total=sum(each.size for each in work)) as stage:
        begun = (each.begin(own, stage.advance) for each in work)
        # With processes all begin at once; in this one, each when what came of the one before has been told.
        for finish in begun if own.workers == 1 else list(begun):
            yield finish()
    for folder in config.products:  # what the disk would not let go of
        remove_stale_temporaries(folder)


def _most_workers(config: ReplayConfig, work: Sequence[Replay]) -> int:
    """Number of processes that would have something to do; comparing a few states is not worth starting any."""
    if (
        not config.products
        and not config.reel
        and not config.rerun
        and sum(each.size for each in work) < STATES_WORTH_A_PROCESS
    ):
        return 1
    return max(1, sum(each.num_tasks for each in work))


def _require_writable(folder: Path) -> None:
    """Make a folder, without what was left there of films that were never finished.

    Raises:
        ReplayError: it cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        remove_stale_temporaries(folder)
    except OSError as error:
        raise ReplayError(f"cannot write into {folder} ({error.strerror or error}); name another folder") from error


VERB = Verb(ReplayConfig, run)
