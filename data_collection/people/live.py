"""Episodes that a human flies or drives, or watches and takes over, in real time: one after another, each recorded.

Nothing of an episode reaches the disk before it ends; a kill costs the episode in hand and nothing else. Whatever ends
an episode early (a closed window, Ctrl-C, an error while drawing) saves it as far as it went.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.people.console import Command, Input, Key, Screen
from forestpilot.data_collection.people.drivers import Choice, Driver
from forestpilot.data_collection.people.keyboard import FreshKeys, KeyShaper, shaper_of
from forestpilot.data_collection.people.pacing import Clock, Pacer, RealClock
from forestpilot.data_collection.people.scene import Mode, Painter, Scene
from forestpilot.data_collection.people.signals import noted_signals
from forestpilot.data_collection.people.stores import DatasetStore, Store
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.results import EpisodeResult
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.data_collection.rollouts.takeover import count_handovers

LOOK_S = 1 / 30
"""Time between two looks at the keyboard while nothing moves, in seconds."""
REDRAW_S = 0.25
"""Time between two pictures while nothing moves, in seconds."""
HOLD_S = 1.5
"""How long the outcome of an episode stands unless a key is pressed, in seconds."""
LEAST_S = 1.0
"""An episode that is ended early is kept if it is at least this long, in seconds."""
ORDINARY_HZ = 10
"""Actions per second where a scenario says nothing else."""
SLOW = 2.0
"""How many times slower slow motion is."""


@dataclass(frozen=True)
class LiveSummary:
    """Figures of a live session; only episodes that were kept count."""

    episodes: int
    """Episodes recorded."""
    discarded: int
    """Episodes recorded and then discarded."""
    steps: int
    """Steps in the episodes recorded."""
    human_steps: int
    """Steps of these that the human drove."""
    takeovers: int
    """How often the human took over from a policy."""
    mean_takeover_s: float
    """Mean time until the human handed back, in seconds; 0 without takeovers."""
    context_switches: int
    """Changes of the driver in the middle of an episode."""
    late_steps: int
    """Steps that came late, in all episodes."""
    seconds: float
    """How long the session took, without the time in which the computer was asleep or the process stopped."""
    quit: bool
    """Whether the human stopped before all episodes were done."""
    interrupted: bool
    """Whether it was a signal (Ctrl-C) that stopped it."""
    results: tuple[EpisodeResult, ...] = field(repr=False)
    """What is left of the episodes recorded."""


class _End(Enum):
    """The way in which a stretch of an episode ended."""

    OVER = "the episode is over"
    AGAIN = "the same episode again"
    QUIT = "the session is over"


@dataclass(frozen=True)
class _Kept:
    """An episode that was recorded."""

    path: Path
    scenario: Scenario
    finished: EpisodeResult
    actors: NDArray[np.uint8]


class LiveSession:
    """Runs episodes in real time on a screen, and records them.

    Args:
        screen: where the human sits; stays open.
        painter: draws what the screen shows.
        clock: what time it is.
        shaper: makes actions of keys; by default the one that suits the task.
        store: where episodes are recorded; by default the job's dataset.
    """

    def __init__(
        self,
        screen: Screen,
        painter: Painter,
        clock: Clock | None = None,
        shaper: KeyShaper | None = None,
        store: Store | None = None,
    ) -> None:
        self._screen = screen
        self._painter = painter
        self._clock: Clock = clock or RealClock()
        self._given_shaper = shaper
        self._given_store = store

    def run(self, job: Job, driver: Driver) -> LiveSummary:
        """Run the job's episodes that are not recorded yet, one after another; the job's own pilot is not asked.

        Returns:
            What came of it, when all are done or the human has had enough.

        Raises:
            DiskFullError: no space left; everything recorded before is whole.
        """
        return _Run(
            job,
            driver,
            self._screen,
            self._painter,
            self._clock,
            self._given_shaper or shaper_of(job.task),
            self._given_store or DatasetStore(job),
        ).run()


class _Run:
    """One call of `LiveSession.run`."""

    def __init__(
        self,
        job: Job,
        driver: Driver,
        screen: Screen,
        painter: Painter,
        clock: Clock,
        shaper: KeyShaper,
        store: Store,
    ) -> None:
        self._job = job
        self._driver = driver
        self._painter = painter
        self._clock = clock
        self._screen = screen
        self._shaper = shaper
        self._store = store
        self._keys = FreshKeys(screen)
        self._waiting = deque(episode for episode in job.scenarios if not store.has(episode))
        self._before = len(job.scenarios) - len(self._waiting)
        self._kept: list[_Kept] = []
        self._discarded = 0
        self._pacer = Pacer(clock)
        self._signals: list[int] = []
        self._slow = False
        self._message = ""
        self._for_driver: list[Command] = []

    def run(self) -> LiveSummary:
        started = self._clock.now()
        end = _End.OVER
        self._screen.poll()  # what was pressed before there was anything to steer is not meant for it
        with noted_signals(self._signals):
            while self._waiting and end != _End.QUIT:
                end = self._run_episode(self._waiting.popleft())
        return self._summary(self._clock.now() - started - self._pacer.stalled_s, end == _End.QUIT)

    def _run_episode(self, episode: Scenario) -> _End:
        """Run one episode from its frozen start to the showing of its outcome."""
        running = EpisodeRecorder(self._job.task, episode, self._driver.needs_expert, record=True)
        try:
            self._actors: list[int] = []
            self._given = Input()
            self._shown = np.zeros(2, np.float32)
            self._shaper.start_from(self._shown)
            end = self._drive_recorded(running)
            if end == _End.AGAIN:
                self._waiting.appendleft(episode)
                return end
            if running.num_steps and (end == _End.OVER or running.time_s >= LEAST_S):
                self._keep(running)
            if end == _End.OVER:
                return self._show_outcome(running)
            return end
        finally:
            running.close()

    def _drive_recorded(self, running: EpisodeRecorder) -> _End:
        """Drive; if anything fails on the way, the episode is kept as far as it went before the error goes on."""
        try:
            self._driver.restart(running)
            self._painter.begin(running)
            return self._drive(running)
        except Exception:
            if running.time_s >= LEAST_S:
                self._keep(running)
            raise

    def _drive(self, running: EpisodeRecorder) -> _End:
        """From the frozen start to the end of the episode, or until the human wants something else."""
        end = self._stand_still(running, Mode.WAITING)
        period_s = 1.0 / running.env.task_spec.control_hz
        while end is None:
            given = self._keys.look()
            end = self._obey(running, given)
            if end is None:
                end = self._step(running, period_s)
                self._show(running, Mode.RUNNING)
                stalled_s = self._pacer.wait(period_s * SLOW if self._slow else period_s)
                if stalled_s and end is None:
                    self._say(f"everything stood still for {stalled_s:.0f} s")
                    end = self._stand_still(running, Mode.PAUSED)
        return end

    def _step(self, running: EpisodeRecorder, period_s: float) -> _End | None:
        """One step of the episode, by what was pressed last."""
        given = Input(self._given.keys, self._given.sticks, tuple(self._for_driver), self._given.present)
        self._for_driver.clear()
        shaped = self._shaper.step(given.keys, period_s, given.sticks, running.info["speed_mps"])
        choice: Choice | None = self._driver.decide(running, given, shaped)
        if choice is None:
            return _End.OVER
        over = running.step(choice.action, choice.actor, keys=int(given.keys), human_action=choice.human_action)
        self._actors.append(choice.actor)
        if choice.human_action is None:
            # While a policy drives the human's controls follow it, so that they are passed on without a jerk.
            self._shaper.start_from(choice.action)
            self._shown = choice.action
        else:
            self._shown = choice.human_action
        return _End.OVER if over else None

    def _obey(self, running: EpisodeRecorder, given: Input) -> _End | None:
        """Do what the human asks for while the episode runs; None if it goes on."""
        self._given = given
        if self._has_left():
            return _End.QUIT
        pause: Mode | None = None
        if not given.present:
            pause = Mode.AWAY
        for command in given.commands:
            if command == Command.QUIT:
                return _End.QUIT
            if command == Command.RESTART:
                self._say("once more, nothing of the last try is kept")
                return _End.AGAIN
            if command == Command.PAUSE:
                pause = Mode.PAUSED
            self._obey_anywhere(command)
        if pause is None:
            return None
        return self._stand_still(running, pause)

    def _obey_anywhere(self, command: Command) -> None:
        """Commands that mean the same whether the episode runs or stands still."""
        if command == Command.SLOW:
            self._slow = not self._slow
        elif command == Command.DISCARD:
            self._discard_last()
        elif command in (Command.TAKE_OVER, Command.HAND_BACK):
            self._for_driver.append(command)

    def _stand_still(self, running: EpisodeRecorder, mode: Mode) -> _End | None:
        """Show the world, frozen, until a key is pressed: what is held from before does not count. None: go on."""
        self._keys.settle()
        drawn_s = -REDRAW_S
        while True:
            given = self._given = self._keys.look()
            if self._has_left():
                return _End.QUIT
            go_on = given.keys != Key.NONE or given.sticks is not None
            for command in given.commands:
                if command == Command.QUIT:
                    return _End.QUIT
                if command == Command.RESTART and mode != Mode.WAITING:
                    return _End.AGAIN
                go_on |= command in (Command.TAKE_OVER, Command.HAND_BACK)
                go_on |= command == Command.PAUSE and mode != Mode.WAITING
                self._obey_anywhere(command)
            if go_on:
                break
            if self._clock.now() - drawn_s >= REDRAW_S or given.commands:
                self._show(running, mode)
                drawn_s = self._clock.now()
            self._clock.sleep(LOOK_S)
        if mode == Mode.WAITING:
            self._for_driver.clear()  # the key that starts an episode does not take over as well
            self._say("")
        self._pacer.start()
        return None

    def _show_outcome(self, running: EpisodeRecorder) -> _End:
        """Show how the episode ended until a key is pressed, or a moment has passed."""
        self._keys.settle()
        until_s = self._clock.now() + HOLD_S
        drawn_s = -REDRAW_S
        while self._clock.now() < until_s:
            given = self._keys.look()
            if self._has_left() or Command.QUIT in given.commands:
                return _End.QUIT
            if Command.RESTART in given.commands or Command.DISCARD in given.commands:
                self._discard_last()
                return _End.OVER
            if given.keys or given.commands or given.sticks is not None:
                return _End.OVER
            if self._clock.now() - drawn_s >= REDRAW_S:
                self._show(running, Mode.ENDED)
                drawn_s = self._clock.now()
            self._clock.sleep(LOOK_S)
        return _End.OVER

    def _keep(self, running: EpisodeRecorder) -> None:
        path = self._store.keep(running, self._driver)
        self._kept.append(_Kept(path, running.scenario, running.finished(), np.array(self._actors, np.uint8)))
        self._say(f"world {running.scenario.seed} saved")

    def _discard_last(self) -> None:
        """Take the last recorded episode of this session out; its world comes next."""
        if not self._kept:
            self._say("nothing to discard: no episode of this session is left")
            return
        last = self._kept.pop()
        self._store.discard(last.path)
        self._discarded += 1
        self._waiting.appendleft(last.scenario)
        self._say(f"world {last.scenario.seed} discarded; it comes again")

    def _has_left(self) -> bool:
        return bool(self._signals) or not self._screen.is_open

    def _say(self, message: str) -> None:
        self._message = message

    def _show(self, running: EpisodeRecorder, mode: Mode) -> None:
        saved = self._before + len(self._kept)
        scene = Scene(
            episode=running,
            mode=mode,
            keys=self._given.keys,
            action=self._shown,
            actor=self._actor(),
            takes_turns=self._driver.takes_turns,
            slow=self._slow,
            late=self._pacer.late,
            number=saved + (mode != Mode.ENDED),
            total=len(self._job.scenarios),
            saved=saved,
            message=self._message,
        )
        self._screen.show(self._painter.paint(scene))

    def _actor(self) -> int:
        if self._actors:
            return self._actors[-1]
        return ACTOR_POLICY if self._driver.takes_turns else ACTOR_HUMAN

    def _summary(self, seconds: float, stopped: bool) -> LiveSummary:
        handovers = count_handovers(kept.actors for kept in self._kept if self._driver.takes_turns)
        all_actors = np.concatenate([np.empty(0, np.uint8), *(kept.actors for kept in self._kept)])
        helped_s = handovers.intervention_steps / self._control_hz()
        return LiveSummary(
            episodes=len(self._kept),
            discarded=self._discarded,
            steps=len(all_actors),
            human_steps=int(np.sum(all_actors == ACTOR_HUMAN)),
            takeovers=handovers.takeovers,
            mean_takeover_s=helped_s / max(1, handovers.takeovers),
            context_switches=handovers.context_switches,
            late_steps=self._pacer.late,
            seconds=seconds,
            quit=stopped,
            interrupted=bool(self._signals),
            results=tuple(kept.finished for kept in self._kept),
        )

    def _control_hz(self) -> int:
        """Actions per second, the same in all episodes of a job."""
        if not self._job.scenarios:
            return ORDINARY_HZ
        return int(self._job.scenarios[0].env_kwargs.get("control_hz", ORDINARY_HZ))
