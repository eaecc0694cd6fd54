"""`forestpilot relabel`: watch recorded episodes of a policy in real time and steer along; that becomes labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro.conf

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.people.recorded import AlongDriver, recorded_episodes
from forestpilot.data_collection.people.relabelling import NOT_SHIFTED, Relabelling
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.launch.reading.datasets import dataset_folder
from forestpilot.launch.screens import ScreenConfig
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, ROUNDS, require_ranges
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.data_collection.people.live import LiveSummary

LARGEST_DELAY_S = 3.0


@dataclass(frozen=True)
class Config:
    """Watch recorded episodes of a policy in real time and steer along. You are not obeyed: what you do becomes the
    label of each step, moved back by your reaction time. Run again, it goes on with the episodes that are left."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Dataset with episodes that a policy flew or drove, for example RUN/dataset of a DAgger run; with --shift-only,
    one that `forestpilot relabel` made."""
    out: Path | None = None
    """Folder of the new dataset."""
    delay: str = "auto"
    """How late you steer, in seconds, to move labels back by; `auto` estimates it from all episodes relabelled so far,
    against the expert at the same states; `none` moves nothing."""
    shift_only: bool = False
    """Only move the labels of a relabelled dataset by another --delay; nobody has to steer."""
    rounds: Annotated[tuple[int, ...], ROUNDS] = ()
    """DAgger rounds to show; empty for all."""
    episodes: Annotated[int | None, EPISODES] = None
    """Number of episodes to show, the first ones; None for all."""
    web: bool = False
    """Steer in a browser instead of a window, for a machine without a screen."""
    screen: ScreenConfig = ScreenConfig()
    """What you steer by."""

    def __post_init__(self) -> None:
        require_ranges(self)
        _seconds(self.delay)
        if self.shift_only == (self.out is not None):
            asked = "give --out"
            if self.shift_only:
                asked = "--shift-only changes the dataset itself: leave --out away"
            raise InvalidArgumentError(f"{asked}; `forestpilot relabel --help` shows both uses")


def run(config: Config) -> None:
    """Relabel, then move the labels by the delay and print what the dataset holds."""
    if config.shift_only:
        folder = dataset_folder(config.dataset)
        with written_by_one(folder, make_progress()):
            print(shift(Relabelling.open(folder), config.delay))
        return
    assert config.out is not None
    with written_by_one(config.out, make_progress()), Run(config.out, "relabel", config).recording():
        summary = relabel(config)
    if summary is not None and summary.interrupted:
        raise KeyboardInterrupt


def relabel(config: Config) -> LiveSummary | None:
    """Show what is left to show, then shift and report; None if nothing was left."""
    assert config.out is not None
    source = Dataset.open(dataset_folder(config.dataset))
    source.require(("actions",), "steering along")
    episodes = recorded_episodes(source, config.rounds)[: config.episodes]
    relabelling = Relabelling.create(config.out, source)
    left = [episode for episode in episodes if not relabelling.has(episode)]
    summary = None
    try:
        if left:
            job = Job(source.task_spec.task, episodes, ExpertPilot, dataset=str(config.out))
            summary = _steer_along(config, job, relabelling)
    finally:  # an episode that does not repeat itself ends the session; what was steered before is shifted all the same
        print(_held(relabelling, len(episodes)))
        if len(relabelling.dataset):
            print(shift(relabelling, config.delay))
    if summary is not None:
        from forestpilot.launch.verbs.collect import describe_session

        print("\n".join(describe_session(summary)))
    return summary


def _steer_along(config: Config, job: Job, relabelling: Relabelling) -> LiveSummary:
    """A session at a window or in a browser.

    Raises:
        ForestPilotError: neither can be opened, or an episode does not repeat itself.
    """
    from forestpilot.data_collection.people.live import LiveSession
    from forestpilot.launch.cockpit.cockpit import Cockpit
    from forestpilot.launch.screens import open_screen

    screen = open_screen(config.screen, config.web, f"ForestPilot: steer along, {job.task}")
    try:
        cockpit = Cockpit(screen.size, title=f"POLICY {TASKS.get(job.task).words.third.upper()} - STEER ALONG")
        return LiveSession(screen, cockpit, store=relabelling).run(job, AlongDriver())
    finally:
        screen.close()


def shift(relabelling: Relabelling, delay: str) -> str:
    """Move a dataset's labels by a delay in seconds, `none` or `auto`; says what was done, in a line or two."""
    if delay != "auto":
        seconds = _seconds(delay)
        return _shift_by(relabelling, seconds, _note(seconds))
    estimate = relabelling.estimate()
    seconds = estimate.delay_s if estimate.trustworthy else 0.0
    done = _shift_by(relabelling, seconds, f"{_note(seconds)}: {estimate}")
    again = f"forestpilot relabel {relabelling.dataset.folder} --shift-only --delay SECONDS"
    return f"{done}\nto move them by another delay: {again}"


def _shift_by(relabelling: Relabelling, seconds: float, note: str) -> str:
    changed = relabelling.shift(seconds, note)
    return f"{note} ({changed} of {len(relabelling.dataset)} episodes changed)"


def _note(seconds: float) -> str:
    if seconds == 0.0:
        return NOT_SHIFTED
    return f"labels are moved back by {seconds:.2f} s"


def _seconds(delay: str) -> float:
    """The delay that is given; 0 for `auto` and `none`.

    Raises:
        ValueError: neither a number in range nor one of these words.
    """
    if delay in ("auto", "none"):
        return 0.0
    try:
        seconds = float(delay)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LARGEST_DELAY_S:
        raise InvalidArgumentError(f"delay is {delay!r}; allowed: auto, none, or 0 to {LARGEST_DELAY_S:g} seconds")
    return seconds


def _held(relabelling: Relabelling, total: int) -> str:
    dataset = relabelling.dataset
    labels = sum(header.num_labels for header in dataset.episodes)
    return (
        f"{dataset.folder}: {len(dataset)} of {total} episodes relabelled, {dataset.total_steps} steps, {labels} labels"
    )


VERB = Verb(Config, run, resumes=True)
