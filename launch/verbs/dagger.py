"""`forestpilot dagger`: demonstrate, clone, then improve in closed loop; with `--gate human`, beside a human."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.launch.pictures.colors import INK, PANEL, Image
from forestpilot.launch.pictures.drawing import import_cv2
from forestpilot.launch.pictures.pen import Pen
from forestpilot.launch.pictures.plots import plot_rounds
from forestpilot.launch.screens import ScreenConfig
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.launch.verbs.collect import describe_session
from forestpilot.policies.algorithms.algorithm import RollInStoppedError
from forestpilot.policies.algorithms.dagger.config import PRESETS as DAGGER_PRESETS
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.algorithms.rounds import RoundResult, best_round

if TYPE_CHECKING:
    from forestpilot.data_collection.people.console import Screen


@dataclass(frozen=True)
class Config(DaggerConfig):
    """Demonstrate, clone, then improve in closed loop; the same command goes on where it stopped. With --gate human the
    policy drives while you watch: Space takes over, Enter hands back, and only what you did is learned."""

    web: bool = False
    """With the gate `human`: steer in a browser instead of a window, for a machine without a screen."""
    screen: ScreenConfig = ScreenConfig()
    """With the gate `human`: what you steer by."""

    @property
    def dagger(self) -> DaggerConfig:
        """The config without the screen, which has no part in what comes out."""
        return DaggerConfig(**{field.name: getattr(self, field.name) for field in dataclasses.fields(DaggerConfig)})


PRESETS = {name: Config(**vars(preset)) for name, preset in DAGGER_PRESETS.items()}


def run(config: Config) -> None:
    """Run all rounds, print one row for each and draw them."""
    try:
        results = _run_rounds(config)
    except RollInStoppedError as stop:
        print(f"{stop}. What is finished is kept; the same command goes on.")
        return
    print_table(rounds_table(results, config), title=f"DAgger in {config.out}")
    plot = plot_rounds(results, Path(config.out) / "success_by_round.png", best_round(results).round)
    print(
        f"{plot}\nnext: forestpilot evaluate --task {config.task} --policy {config.out} --out {config.out}/evaluation"
    )


def _run_rounds(config: Config) -> list[RoundResult]:
    if config.gate != "human":
        return run_dagger(config.dagger, make_progress())
    seat = Seat(config)
    try:
        return run_dagger(config.dagger, make_progress(), roll_in=seat)
    finally:
        seat.close()


class Seat:
    """Place of the human who takes over: lets them run the episodes of one round after the other.

    A page in the browser stays open while the policy learns; a window is closed meanwhile, because nobody would answer
    its events.

    Args:
        config: which screen.

    Raises:
        ForestPilotError: it cannot be opened; said before the first training, not after it.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._screen: Screen | None = self._open()
        if not config.web:
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
        if summary.quit or not self._config.web:
            self.close()
        else:
            words = "the policy learns from what you did", "the next round starts here by itself"
            self._screen.show(_notice(self._screen.size, words))

    def close(self) -> None:
        """Close the screen."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None

    def _open(self) -> Screen:
        from forestpilot.launch.screens import open_screen

        return open_screen(self._config.screen, self._config.web, "ForestPilot: take over with Space")


def _notice(size: tuple[int, int], lines: Sequence[str]) -> Image:
    """A picture with nothing but some lines of text, (height, width, 3) uint8."""
    width, height = size
    pen = Pen(import_cv2(), max(7.0, height / 40))
    picture: Image = np.full((height, width, 3), PANEL, np.uint8)
    for row, line in enumerate(lines):
        left = (width - pen.width(line, 1.4)) // 2
        pen.write(picture, line, (left, round(height * 0.45 + 3 * row * pen.text_size)), INK, 1.4)
    return picture


def rounds_table(results: list[RoundResult], config: DaggerConfig) -> list[tuple[str, ...]]:
    """Rows of text for a table of rounds, the header first; what cannot happen in this run has no column."""
    header: tuple[str, ...] = ("round", "episodes", "labels", "roll-in success")
    if config.gate == "none":
        header = (*header, "beta")
    else:
        header = (*header, "visited", "helped", "takeovers", "mean takeover", "switches")
    header = (*header, "crashes", "validation success", "95 % interval")
    if config.task == "drive":  # only a car is ever put back
        header = (*header, "interventions")
    rows = (_row(result) for result in results)
    return [header, *(tuple(row[name] for name in header) for row in rows)]


def _row(result: RoundResult) -> dict[str, str]:
    validated = interval = interventions = "-"
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
        "helped": str(result.intervention_steps),
        "takeovers": str(result.takeovers),
        "mean takeover": f"{result.mean_takeover_s:.1f} s",
        "switches": str(result.context_switches),
        "crashes": str(result.crashes),
        "validation success": validated,
        "95 % interval": interval,
        "interventions": interventions,
    }


VERB = Verb(Config, run, presets=PRESETS, resumes=True)
