"""Run many episodes: a few side by side in each process, on as many processes as there are cores, and record them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import PackedEpisode, without_actions
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.rerun import FIRST_RUN, Rerun
from forestpilot.data_collection.rollouts.pilots import Decision, Pilot, PilotFactory, cameras_of
from forestpilot.data_collection.rollouts.pools import LOCAL, POOLS, LocalConfig, PoolConfig
from forestpilot.data_collection.rollouts.recorder import NO_VIEWPOINT, EpisodeRecorder
from forestpilot.data_collection.rollouts.results import EpisodeResult, save_result
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.data_collection.rollouts.spare_envs import SpareEnvs
from forestpilot.data_collection.rollouts.workers import TRIES, Ask, WorkerLostError, Workers, beat
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.viewpoints.viewpoint import ViewpointConfig

ResultT = TypeVar("ResultT")

SLOTS = 8
"""Episodes side by side in one process: enough for a policy to profit from batching; each costs 36 MB."""


@dataclass(frozen=True)
class Job:
    """A handful of episodes for one process, and where their records go."""

    task: str
    """Name of the task."""
    scenarios: tuple[Scenario, ...]
    """Which scenarios to run."""
    pilot: PilotFactory
    """Makes the pilot inside the process."""
    dataset: str | None = None
    """Folder of the dataset that episodes are added to; None records none."""
    dagger_round: int = 0
    """Round that episodes are filed under."""
    rerun: Rerun = FIRST_RUN
    """Which run through its world an episode is in that round, and how much its labels weigh."""
    results_folder: str | None = None
    """Folder for the actions and state hashes that `replay` repeats; None stores none."""
    policy: str = ""
    """Name of the baseline or folder of the checkpoint that acts, for `replay`."""
    fingerprint: str = ""
    """Which weights act."""
    ask_expert: bool = True
    """Whether episodes that are recorded come with the expert's labels; who learns without an expert asks none."""
    actions: bool = True
    """Whether they come with actions and labels at all; else they hold what was seen alone."""
    viewpoint: ViewpointConfig = NO_VIEWPOINT
    """From where else they are looked at."""


@dataclass(frozen=True)
class FinishedEpisode:
    """An episode that was run, and what is to be kept of it: it can be sent to another process."""

    result: EpisodeResult
    """What it came to."""
    pilot: str
    """Who acted."""
    packed: PackedEpisode | None
    """The file of the dataset; None where none is recorded."""


def roll_out(job: Job, scenarios: Iterator[Scenario] | None = None, slots: int = SLOTS) -> Iterator[EpisodeResult]:
    """Run a job's episodes in this process, several side by side, recording as the job says; yields each as it ends.

    Args:
        job: what to run.
        scenarios: hands out what to run next; by default the job's, in their order.
        slots: episodes side by side.
    """
    dataset = Dataset.open(job.dataset, check=False) if job.dataset else None
    for finished in finished_episodes(job, dataset, scenarios, slots):
        store(job, dataset, finished)
        yield finished.result


def store(job: Job, dataset: Dataset | None, finished: FinishedEpisode) -> None:
    """Write down an episode as its job says."""
    # The episode comes last: it is what says that the episode is done.
    if job.results_folder:
        save_result(Path(job.results_folder), job.task, finished.pilot, job.policy, finished.result)
    if dataset is not None and finished.packed is not None:
        # A process that died may have recorded it in its last moment: the same episode.
        dataset.put(finished.packed)


def finished_episodes(
    job: Job, dataset: Dataset | None = None, scenarios: Iterator[Scenario] | None = None, slots: int = SLOTS
) -> Iterator[FinishedEpisode]:
    """Run a job's episodes in this process, several side by side, and write nothing; yields each as it ends.

    Args:
        job: what to run.
        dataset: what episodes are recorded for, which need not lie here; by default none is recorded.
        scenarios: hands out what to run next; by default the job's, in their order.
        slots: episodes side by side.
    """
    pilot = job.pilot()
    left = iter(job.scenarios) if scenarios is None else scenarios
    count = min(slots, len(job.scenarios))
    pilot.begin(count)
    running: dict[int, EpisodeRecorder] = {}
    idle = list(range(count))
    with SpareEnvs() as envs:
        while True:
            beat()
            for k in idle:
                scenario = next(left, None)
                if scenario is not None:
                    running[k] = _start(job, scenario, pilot, envs, record=dataset is not None)
                    pilot.restart(k, scenario.seed)
            if not running:
                return
            idle = []
            active = sorted(running)
            decision = _decide(pilot, [running[k] for k in active], active)
            for i, k in enumerate(active):
                labelled = decision.labelled is None or bool(decision.labelled[i])
                spread = None if decision.disagreement is None else float(decision.disagreement[i])
                if running[k].step(decision.actions[i], int(decision.actor[i]), labelled, disagreement=spread):
                    idle.append(k)
                    yield _finish(job, running.pop(k), pilot.name, dataset)


def _start(job: Job, scenario: Scenario, pilot: Pilot, envs: SpareEnvs, record: bool) -> EpisodeRecorder:
    """An episode at its beginning; what nobody looks at and nobody keeps is not drawn."""
    expert = pilot.needs_expert or (record and job.ask_expert and job.actions)
    return EpisodeRecorder(job.task, scenario, expert, record, cameras_of(pilot), envs, job.viewpoint)


def _decide(pilot: Pilot, episodes: list[EpisodeRecorder], slots: list[int]) -> Decision:
    known = episodes[0].observation_keys
    keys = [key for key in known if key not in CAMERA_NAMES or key in cameras_of(pilot)]
    observations = {key: np.stack([episode.observation[key] for episode in episodes]) for key in keys}
    return pilot.act(observations, [episode.pilot_info for episode in episodes], np.array(slots))


def _finish(job: Job, running: EpisodeRecorder, pilot: str, dataset: Dataset | None) -> FinishedEpisode:
    """What is kept of a finished episode; its environment is free again."""
    result = dataclasses.replace(running.finished(), fingerprint=job.fingerprint)
    packed = None
    if dataset is not None:
        episode = running.episode(pilot, job.dagger_round, job.rerun)
        packed = dataset.pack(episode if job.actions else without_actions(episode))
    running.close()
    return FinishedEpisode(result, pilot, packed)


class RolloutPool:
    """Worker processes that run jobs; they live across calls, because starting one costs seconds.

    Use it as a context manager. With one worker everything runs in this process. Pools of other machines are
    subclasses, registered in `forestpilot.data_collection.rollouts.pools.POOLS`.

    Args:
        workers: number of processes.
        config: options of the pool; by default the ordinary ones.
    """

    Config: ClassVar[type[PoolConfig]] = LocalConfig
    """Its options."""

    def __init__(self, workers: int, config: PoolConfig | None = None) -> None:
        if workers < 1:
            raise InvalidArgumentError(f"workers is {workers}; allowed: 1 and up")
        if config is not None and not isinstance(config, self.Config):
            raise InvalidArgumentError(f"{type(self).__name__} takes {self.Config.__name__}, not {config!r}")
        self.workers = workers
        self._processes: Workers | None = None

    @classmethod
    def require_there(cls, config: PoolConfig) -> None:
        """Raise ForestPilotError, before any work, where a pool of these options could not be had."""

    def __enter__(self) -> RolloutPool:
        if self.workers > 1:
            self._processes = Workers(self.workers)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._processes is not None:
            self._processes.close(at_once=kind is not None)
            self._processes = None

    def run(
        self,
        job: Job,
        progress: Progress | None = None,
        name: str = "roll out",
        hand_out: Iterator[Scenario] | None = None,
    ) -> list[EpisodeResult]:
        """Run a job on all workers; each takes the next scenario when one of its slots is free.

        What a worker that dies or hangs was doing is done again by another, each of its episodes alone.

        Args:
            job: what to run.
            progress: who watches.
            name: what they are told that it is.
            hand_out: says which of the job's scenarios is next; by default all of them are, in their order.

        Returns:
            The episodes in the order of `job.scenarios`, whichever worker ran them.

        Raises:
            ForestPilotError: some episodes could not be run, because their process died each time; all others were.
        """
        progress = progress or SilentProgress()
        with progress.stage(name, total=len(job.scenarios)) as stage:
            done: list[EpisodeResult] = []
            for episode in self._finished(job, hand_out or iter(job.scenarios), progress.note):
                done.append(episode)
                successes = sum(f.succeeded for f in done)
                stage.advance(success=f"{successes}/{len(done)}")
        order = {scenario.seed: i for i, scenario in enumerate(job.scenarios)}
        return sorted(done, key=lambda episode: order[episode.scenario.seed])

    def submit(
        self,
        function: Callable[..., ResultT],
        *args: Any,
        answer: Callable[[Any], Any] | None = None,
        urgent: bool = False,
    ) -> Future[ResultT]:
        """Let a worker call `function(*args, ask)` when no episodes are waiting; with one worker, at once and here.

        Args:
            function: of a module; `ask(value)` in it returns what `answer` says to the value.
            args: picklable.
            answer: by default whatever is asked is answered by None.
            urgent: goes before all that is not; in turn with episodes.
        """
        answer = answer or _no_answer
        if self._processes is not None:
            return self._processes.submit(function, *args, answer=answer, urgent=urgent)
        future: Future[ResultT] = Future()
        try:
            future.set_result(function(*args, answer))
        except Exception as error:
            future.set_exception(error)
        return future

    def _finished(
        self, job: Job, scenarios: Iterator[Scenario], note: Callable[[str], object]
    ) -> Iterator[EpisodeResult]:
        if self._processes is None:
            yield from roll_out(job, scenarios)
            return
        parts = _Parts(self._processes, job, scenarios, min(self.workers, len(job.scenarios)))
        try:
            yield from parts.finished(note)
        finally:
            parts.cancel()


def make_pool(config: PoolConfig, workers: int) -> RolloutPool:
    """The pool of these options, to be used as a context manager.

    Args:
        config: which pool, and its options.
        workers: number of processes of this machine.
    """
    return POOLS.get(config.part)(workers, config)


def require_pool(pool: RolloutPool | None, config: PoolConfig) -> None:
    """Raise ForestPilotError, before anything is written, where none is lent and the one asked for cannot be had."""
    if pool is None:
        POOLS.get(config.part).require_there(config)


@contextmanager
def borrowed(pool: RolloutPool | None, workers: int, config: PoolConfig = LOCAL) -> Iterator[RolloutPool]:
    """The pool that is lent, left open afterwards; or, where none is, one of `workers` processes, closed afterwards.

    Args:
        pool: a pool that somebody has.
        workers: number of processes.
        config: which pool is made where none is lent.
    """
    if pool is not None:
        yield pool
        return
    with make_pool(config, workers) as own:
        yield own


def given_up(reason: str, tries: int, seeds: Iterable[int]) -> ForestPilotError:
    """What is raised of worlds whose process died each time.

    Args:
        reason: how it died, at last.
        tries: how often each of them was begun.
        seeds: of the worlds.
    """
    return ForestPilotError(
        f"{reason}, {tries} times, at each of these worlds: {', '.join(map(str, sorted(seeds)))}. "
        "All other episodes were run; the same command tries these again"
    )


class _Part:
    """What one worker does of a job: scenarios are handed to it one by one, and it hands back episodes."""

    def __init__(self, scenarios: Iterator[Scenario], finished: SimpleQueue[EpisodeResult | _Part]) -> None:
        self.scenarios = scenarios
        self._finished = finished
        self.held: dict[int, Scenario] = {}
        self.future: Future[None] = Future()

    def answer(self, episode: EpisodeResult | None) -> Scenario | None:
        """Take an episode; or, where it asks for more, give the next scenario, if there is one."""
        if episode is None:
            scenario = next(self.scenarios, None)
            if scenario is not None:
                self.held[scenario.seed] = scenario
            return scenario
        del self.held[episode.scenario.seed]
        self._finished.put(episode)
        return None


class _Parts:
    """A job in parts, one for each worker. Whatever the process of a part was doing when it died is done again, each
    scenario in a part of its own, so that one that kills its process takes no other with it.
    """

    def __init__(self, processes: Workers, job: Job, scenarios: Iterator[Scenario], count: int) -> None:
        self._processes = processes
        self._job = job
        self._slots = min(SLOTS, math.ceil(len(job.scenarios) / max(1, count)))
        self._scenarios = scenarios
        self._told: SimpleQueue[EpisodeResult | _Part] = SimpleQueue()
        self._losses: Counter[int] = Counter()
        self._given_up: list[int] = []
        self._running: list[_Part] = []
        for _ in range(count):
            self._begin(self._scenarios, self._slots)

    def finished(self, note: Callable[[str], object]) -> Iterator[EpisodeResult]:
        """Each episode as it ends."""
        reason = ""
        while self._running:
            told = self._told.get()
            if not isinstance(told, _Part):
                yield told
                continue
            self._running.remove(told)
            try:
                told.future.result()
            except WorkerLostError as error:
                reason = str(error)
                self._go_on_after(told)
                note(f"{reason}; {len(told.held)} episodes begin anew")
        if self._given_up:
            raise given_up(reason, TRIES, self._given_up)

    def cancel(self) -> None:
        """Begin nothing more."""
        for part in self._running:
            part.scenarios = iter(())
            part.future.cancel()

    def _begin(self, scenarios: Iterator[Scenario], slots: int) -> None:
        part = _Part(scenarios, self._told)
        part.future = self._processes.submit(_take_part, self._job, slots, answer=part.answer, tries=1)
        part.future.add_done_callback(lambda _: self._told.put(part))
        self._running.append(part)

    def _go_on_after(self, lost: _Part) -> None:
        """A part for each scenario that one held whose process died, and one for those that are left."""
        for seed, scenario in lost.held.items():
            self._losses[seed] += 1
            if self._losses[seed] < TRIES:
                self._begin(iter([scenario]), slots=1)
            else:
                self._given_up.append(seed)
        if lost.scenarios is self._scenarios:
            self._begin(self._scenarios, self._slots)


def _take_part(job: Job, slots: int, ask: Ask) -> None:
    """Run scenarios of a job as long as some are left, in a worker process."""
    for episode in roll_out(job, iter(lambda: ask(None), None), slots):
        ask(episode)


def _no_answer(value: Any) -> None:
    """Say nothing."""
