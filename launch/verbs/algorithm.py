"""`forestpilot dagger`, `bc` and every other algorithm: demonstrate, then improve in rounds, maybe beside a human."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.launch.pictures.colors import INK, PANEL, Image
from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.launch.pictures.pen import Pen
from forestpilot.launch.pictures.plots import plot_rounds
from forestpilot.launch.screens import ScreenConfig
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.launch.verbs.collect import describe_session
from forestpilot.policies.algorithms import ALGORITHMS
from forestpilot.policies.algorithms.algorithm import Algorithm, RollInStoppedError
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.algorithms.rounds import RoundResult, best_round
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.data_collection.people.console import Screen

GATED_COLUMNS = ("visited", "intervention steps", "takeovers", "mean takeover", "switches")
"""Columns that say something only where the policy and a helper take turns."""


@dataclass(frozen=True)
class SeatOptions:
    """Screen of the human, where one takes over."""

    web: bool = not_the_result(False)
    """Where a human takes over: steer in a browser instead of a window, for a machine without a screen."""
    screen: ScreenConfig = not_the_result(ScreenConfig())
    """Where a human takes over: what you steer by."""


def verb_of(name: str) -> Verb:
    """The verb that runs an algorithm: its own options, and those of the screen.

    Raises:
        UnknownNameError: there is no such algorithm.
    """
    algorithm = ALGORITHMS.get(name)
    config = config_class(algorithm)
    presets = {preset: config(**vars(values)) for preset, values in algorithm.PRESETS.items()}
    return Verb(config, partial(run, algorithm), presets=presets or None, resumes=True)


def config_class(algorithm: type[Algorithm[Any]]) -> type[Any]:
    """The algorithm's own config with the options of the screen."""
    own: Any = algorithm.Config
    namespace = {"__doc__": own.__doc__, "__module__": own.__module__}
    return dataclasses.make_dataclass(
        own.__name__, [], bases=(SeatOptions, own), namespace=namespace, frozen=True, kw_only=True
    )


def run(algorithm: type[Algorithm[Any]], config: Any) -> None:
    """Run all rounds, print one row for each and draw them."""
    own = without_screen(algorithm, config)
    try:
        results = _run_rounds(algorithm, own, SeatOptions(config.web, config.screen))
    except RollInStoppedError as stop:
        print(f"{stop}. What is finished is kept; the same command goes on.")
        return
    print_table(rounds_table(results, own), title=f"{algorithm.title} in {own.out}")
    plot = plot_rounds(results, Path(own.out) / "success_by_round.png", best_round(results).round)
    print(f"{plot}\nnext: forestpilot evaluate --task {own.task} --policy {own.out} --out {own.out}/evaluation")


def without_screen(algorithm: type[Algorithm[Any]], config: Any) -> AlgorithmConfig:
    """The algorithm's own config: the screen has no part in what comes out."""
    fields = dataclasses.fields(algorithm.Config)
    return algorithm.Config(**{field.name: getattr(config, field.name) for field in fields})


def _run_rounds(algorithm: type[Algorithm[Any]], config: AlgorithmConfig, options: SeatOptions) -> list[RoundResult]:
    progress = make_progress()
    if not config.needs_human:
        return algorithm(config, progress).run()
    seat = Seat(options)
    try:
        return algorithm(config, progress, seat).run()
    finally:
        seat.close()


class Seat:
    """Place of the human who takes over: lets them run the episodes of one round after the other.

    A page in the browser stays open while the policy learns; a window is closed meanwhile, because nobody would answer
    its events.

    Args:
        options: which screen.

    Raises:
        ForestPilotError: it cannot be opened; said before the first training, not after it.
    """

    def __init__(self, options: SeatOptions) -> None:
        self._options = options
        self._screen: Screen | None = self._open()
        if not options.web:
            self.close()

    def __call__(self, job: Job) -> None:
        """Run a job's episodes; returns early when the human has had enough."""
        from forestpilot.data_collection.people.drivers import TakeoverDriver
        from forestpilot.data_collection.people.live import LiveSession
        from forestpilot.launch.cockpit.cockpit import Cockpit

        self._screen = self._screen or self._open()
        summary = LiveSession(self._screen, Cockpit(self._screen.size)).run(job, TakeoverDriver(job.pilot()))
        for line in describe_session(summary):
            print(f"round {job.dagger_round}, {line}", flush=True)
        if summary.interrupted:
            raise KeyboardInterrupt
        if summary.quit or not self._options.web:
            self.close()
        else:
            words = ("the policy learns from what you did", "the next round starts here by itself")
            self._screen.show(_notice(self._screen.size, words))

    def close(self) -> None:
        """Close the screen."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None

    def _open(self) -> Screen:
        from forestpilot.launch.screens import open_screen

        return open_screen(self._options.screen, self._options.web, "ForestPilot: take over with Space")


def _notice(size: tuple[int, int], lines: Sequence[str]) -> Image:
    """A picture with nothing but some lines of text, (height, width, 3) uint8."""
    width, height = size
    pen = Pen(import_cv2(), max(7.0, height / 40))
    picture: Image = np.full((height, width, 3), PANEL, np.uint8)
    for row, line in enumerate(lines):
        left = (width - pen.width(line, 1.4)) // 2
        pen.write(picture, line, (left, round(height * 0.45 + 3 * row * pen.text_size)), INK, 1.4)
    return picture


def rounds_table(results: list[RoundResult], config: AlgorithmConfig) -> list[tuple[str, ...]]:
    """Rows of text for a table of rounds, the header first; what cannot happen in this run has no column."""
    columns = ["round", "episodes", "labels", "roll-in success"]
    if config.takes_turns:
        columns.extend(GATED_COLUMNS)
    else:
        columns.append("beta")
    columns += ["crashes", "validation success", "95 % interval"]
    if TASKS.get(config.task).put_back:
        columns.append("interventions")
    table = [tuple(columns)]
    for result in results:
        row = _row(result)
        table.append(tuple(row[name] for name in columns))
    return table


def _row(result: RoundResult) -> dict[str, str]:
    """Figures of a round as text, by column."""
    validated = "-"
    interval = "-"
    interventions = "-"
    if result.validation_success is not None and result.low is not None and result.high is not None:
        validated = f"{round(result.validation_success * result.validation_episodes)}/{result.validation_episodes}"
        interval = f"{100 * result.low:.0f}-{100 * result.high:.0f} %"
        interventions = str(result.validation_interventions)
    return {
        "round": str(result.round),
        "beta": f"{result.beta:.2f}",
        "episodes": str(result.episodes),
        "labels": str(result.labels),
        "roll-in success": f"{100 * result.rollout_success:.0f} %",
        "visited": str(result.visited),
        "intervention steps": str(result.intervention_steps),
        "takeovers": str(result.takeovers),
        "mean takeover": f"{result.mean_takeover_s:.1f} s",
        "switches": str(result.context_switches),
        "crashes": str(result.crashes),
        "validation success": validated,
        "95 % interval": interval,
        "interventions": interventions,
    }
