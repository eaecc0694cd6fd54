"""Algorithm: what every way of learning in rounds has in common.

A new algorithm is one file: a config (a subclass of `AlgorithmConfig`) and a subclass of `Algorithm` that says how a
round's episodes are made, and where it differs, how the policy is changed by them and how it is judged:

    class Dart(Algorithm[DartConfig]):
        name, title, Config = "dart", "DART", DartConfig

        def collect(self, round_number: int) -> None:
            self.record(round_number, NoisyExpert(self.config.noise))

    ALGORITHMS.register("dart", "my_package.dart:Dart", "demonstrations with noise")

It inherits the rest: a run folder that belongs to one config, rounds that go on where they were killed, validation, the
choice of the best round, the end of the rounds when validation says so, rounds.csv. Everything a round makes is on disk
before the next step begins:

    RUN/dataset/               every episode of every round, with labels, and who drove each step
    RUN/rounds/round-03/       the policy after that round, its validation episodes and their score
    RUN/rounds/round-03/member-1/   further policies, where an ensemble says which states to ask about
    RUN/checkpoints/           the unfinished training, to resume from (of further policies: RUN/members/)
    RUN/rounds.csv             one row per round
    RUN/policy.safetensors     the round that did best on the validation worlds

Killed and resumed equals uninterrupted as long as what a method does follows from the config, the round, and what is on
disk: draw from (seed, round), and do not count what happened since the process began.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from forestpilot.data_collection.episodes.config_fields import travelling_values
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, worlds_of
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.remote import COPIES, Room
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, borrowed, require_pool
from forestpilot.data_collection.rollouts.scenarios import Scenario, task_spec_of
from forestpilot.data_collection.rollouts.shelf import Shelf
from forestpilot.data_collection.windows.decoded import remove_abandoned
from forestpilot.data_collection.windows.hindsight import IN_HINDSIGHT, require_relabel
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.algorithms.demonstrations import keep_demonstrations, open_demonstrations
from forestpilot.policies.algorithms.rounds import (
    RoundResult,
    best_round,
    count_round,
    member_folder,
    round_folder,
    write_rounds,
)
from forestpilot.policies.algorithms.validation import Validation, validate_policy
from forestpilot.policies.algorithms.watcher import Watcher
from forestpilot.policies.networks.device import require_device
from forestpilot.policies.training.input_noise import make_input_noise
from forestpilot.policies.training.trackers import require_tracker
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.training.batches import Objective, Reader
    from forestpilot.policies.training.looks import Looks
    from forestpilot.policies.training.shard_pool import ShardPool

ConfigT = TypeVar("ConfigT", bound=AlgorithmConfig)

RollIn = Callable[[Job], None]
"""Runs a job's episodes with a human, and records them; returns early when the human has had enough."""


class RollInStoppedError(ForestPilotError):
    """The human at the keyboard stopped in the middle of a round; everything recorded is kept."""

    exit_code = 0


class Algorithm(ABC, Generic[ConfigT]):
    """A way of learning in rounds, made for one run.

    Args:
        config: what to do.
        progress: who watches.
        roll_in: lets a human run the episodes of a job, for a config that `needs_human`.

    Attributes:
        config, progress, roll_in: as given.
        folder: the run folder.
        task: the task that is learned.
        policy: the policy that is trained, in place; between rounds it may be any member's.
        demonstrations: datasets that the run was given.
        dataset: the run's own episodes; there from the beginning of `run` on.
        pool: runs episodes; likewise.
        shard_pool: computes gradients; likewise.
        last_round: number of the last round; `stop_when` may bring it forward.
        watcher: is told how good the policy is while it learns, and may end the run; set before `run`.
        shelf: where runs share the expert's episodes, so that none is flown twice; set before `run`.

    Raises:
        InvalidArgumentError: it needs a human and there is none, or the other way round.
        DatasetError: a dataset of demonstrations is missing, of another task, or teaches nothing.
        ValueError: there is nothing that the policy's head could learn from.
    """

    name: ClassVar[str]
    """Name under which it is registered; also the verb that runs it."""
    title: ClassVar[str]
    """Name for a reader, as a policy's description says who trained it."""
    Config: ClassVar[type[AlgorithmConfig]] = AlgorithmConfig
    """Its config."""
    PRESETS: ClassVar[Mapping[str, AlgorithmConfig]] = {}
    """Named starting points."""

    dataset: Dataset
    pool: RolloutPool
    shard_pool: ShardPool

    def __init__(self, config: ConfigT, progress: Progress | None = None, roll_in: RollIn | None = None) -> None:
        from forestpilot.policies.networks.visuomotor import VisuomotorPolicy

        self.config = config
        self.progress = progress or SilentProgress()
        self.roll_in = roll_in
        self.folder = Path(config.out)
        self.task = TASKS.get(config.task)
        self._require_human()
        # What cannot run is refused before it claims the folder, so that the mended command may have it.
        spec = task_spec_of(self.task, config.mix)
        self.policy = VisuomotorPolicy.seeded(config.train.policy, spec, config.seed)
        make_input_noise(config.train.noise, spec, config.train.policy.view)
        self.demonstrations = self.open_demonstrations()
        self._require_head_for_actions()
        self._require_goals_to_relabel(spec)
        self._reader: WindowReader | None = None
        self.last_round = config.rounds
        self.watcher: Watcher | None = None
        self.shelf: Shelf | None = None
        self._stopped = ""

    @abstractmethod
    def collect(self, round_number: int) -> None:
        """Record those of the round's episodes that are not on disk yet; `record` does that for a pilot."""

    def update(self, round_number: int) -> None:
        """Make the round's policy and store it in `member_folder`, unless it is there.

        By default every member is fitted to all labels so far, from the weights of the round before.
        """
        missing = [member for member in range(self.members) if not self.is_stored(round_number, member)]
        if missing:
            reader = self.reader()
            for member in missing:
                self._set_damaged_aside(self.member_folder(round_number, member))
                self.fit(reader, round_number, member)

    def score(self, round_number: int) -> RoundResult:
        """The round's row: the episodes so far, and its policy on the validation worlds."""
        seen = self.validate(round_number)
        low, high = seen.interval
        headers = [header for header in self.dataset.episodes if header.meta.dagger_round <= round_number]
        given = [header for source in self.demonstrations for header in source.episodes]
        return RoundResult(
            round=round_number,
            beta=self.expert_share(round_number),
            validation_success=seen.success,
            validation_episodes=seen.episodes,
            low=low,
            high=high,
            validation_interventions=seen.interventions,
            **count_round(headers, given, round_number),
        )

    def open_demonstrations(self) -> list[Dataset]:
        """The datasets that the run is given, checked before anything is flown.

        Raises:
            DatasetError: one is missing, of another task, or teaches nothing.
        """
        copies = Room(self.folder / COPIES, int(self.config.train.remote_gb * 1e9))
        return open_demonstrations(self.config.demonstrations, self.policy, copies, self.progress)

    @property
    def lessons(self) -> list[Dataset]:
        """Datasets that policies are fitted to."""
        return [self.dataset, *self.demonstrations]

    @property
    def labelled(self) -> list[Dataset]:
        """Those of the lessons that `reader` draws windows of."""
        return self.lessons

    @property
    def members(self) -> int:
        """Policies trained side by side; the first one acts and is judged."""
        return 1

    def expert_share(self, round_number: int) -> float:
        """Probability that the expert acts in the episodes of a round."""
        return float(round_number == 0)

    def run(
        self, pool: RolloutPool | None = None, run: Run | None = None, shard_pool: ShardPool | None = None
    ) -> list[RoundResult]:
        """Run all rounds, or those that an interrupted run has left; the best policy lies in `config.out` afterwards.

        Args:
            pool: runs episodes; by default one is made.
            run: the run that this is a part of, claimed already; by default the folder is claimed for this one.
            shard_pool: computes gradients; by default one is made.

        Returns:
            One result per round.

        Raises:
            RunError: the run folder belongs to another config.
            RollInStoppedError: the human stopped in the middle of a round.
        """
        require_pool(pool, self.config.pool)
        require_tracker(self.config.train.tracker)
        require_device(self.config.train.device)
        data = self.folder / "dataset"
        with written_by_one(self.folder, self.progress), written_by_one(data, self.progress):
            return self._run(pool, run, shard_pool)

    def _run(self, pool: RolloutPool | None, run: Run | None, shard_pool: ShardPool | None) -> list[RoundResult]:
        """See `run`; nobody else writes into the folder meanwhile."""
        from forestpilot.policies.training.shard_pool import ShardPool

        run = run or Run.claim(self.folder, self.name, self.config)
        keep_demonstrations(self.folder, self.demonstrations)
        self.dataset = Dataset.create(self.folder / "dataset", self.policy.spec, self.task.bare_env_id)
        computing = ShardPool(self.config.workers) if shard_pool is None else nullcontext(shard_pool)
        try:
            with borrowed(pool, self.config.workers, self.config.pool) as self.pool, computing as self.shard_pool:
                results = self._run_rounds()
        finally:
            self._close_reader()
        self._keep_best(results)
        run.record()
        return results

    def _run_rounds(self) -> list[RoundResult]:
        from forestpilot.policies.training.loop import mend_metrics

        for folder in (self.folder, *(self.folder / "members").glob("*")):
            mend_metrics(folder, self.progress)
        results: list[RoundResult] = []
        self.last_round = self.config.rounds
        self._stopped = ""
        while len(results) <= self.last_round:
            round_number = len(results)
            self.collect(round_number)
            self.update(round_number)
            results.append(self.score(round_number))
            aside = write_rounds(self.folder, results)
            if aside is not None:
                self.progress.note(f"warning: rounds.csv was cut or altered; it is now {aside}, and written anew")
            if self.watcher is not None:
                self.watcher.finished(results[-1])
            self._stop_when_good(results[-1])
        return results

    def _stop_when_good(self, result: RoundResult) -> None:
        """Make the next round the last one where this one is good enough; a run that goes on decides the same again."""
        config = self.config
        last_round = result.round + 1
        if last_round >= self.last_round or not config.is_good_enough(result.round, result.validation_success):
            return
        assert result.validation_success is not None and config.stop_when is not None
        self.last_round = last_round
        successes = round(result.validation_success * result.validation_episodes)
        self._stopped = (
            f"round {result.round} completed {successes} of {result.validation_episodes} validation worlds, and "
            f"{100 * config.stop_when:g} % are asked (--stop-when): round {last_round} of {config.rounds} is the last"
        )
        self.progress.note(self._stopped)

    def record(self, round_number: int, pilot: PilotFactory, seeds: Sequence[int] | None = None) -> None:
        """Record episodes of a round with the expert's labels, those that are not on disk yet.

        Args:
            round_number: the round that they are filed under.
            pilot: makes who acts, inside a rollout process. A human sits beside it where the algorithm has one.
            seeds: of the worlds; by default all of the round.
        """
        if seeds is None:
            seeds = self.config.seeds(round_number)
        scenarios = [self.config.mix.scenario(seed, self.task) for seed in self._missing(round_number, seeds)]
        if not scenarios:
            return
        if self.shelf is None or pilot is not ExpertPilot:
            self._record(round_number, pilot, scenarios)
            return
        with self.shelf.held(self.progress):
            self.shelf.lend(self.dataset, self.config.task, round_number, scenarios)
            missing = self._missing(round_number, seeds)
            self._record(round_number, pilot, [scenario for scenario in scenarios if scenario.seed in missing])
            self.shelf.keep(self.dataset, self.config.task, round_number, scenarios)

    def _missing(self, round_number: int, seeds: Sequence[int]) -> list[int]:
        """Those worlds of a round whose episodes are not on disk yet."""
        return [seed for seed in seeds if not self.dataset.has(round_number, seed)]

    def _record(self, round_number: int, pilot: PilotFactory, scenarios: Sequence[Scenario]) -> None:
        """Run episodes of a round, and add them to the dataset."""
        if not scenarios:
            return
        folder = str(self.dataset.folder)
        job = Job(self.config.task, tuple(scenarios), pilot, dataset=folder, dagger_round=round_number)
        if self.roll_in is not None and round_number:
            self.roll_in(job)
        else:
            self.pool.run(job, self.progress, f"roll out round {round_number}")
        self.dataset.refresh()

    def record_again(self, round_number: int, pilot: PilotFactory, scenarios: Sequence[Scenario], rerun: Rerun) -> None:
        """Record further runs through worlds of a round with the expert's labels, those that are not on disk yet.

        Args:
            round_number: the round that they are filed under.
            pilot: makes who acts.
            scenarios: the worlds, and where in them each begins.
            rerun: which run through these worlds it is, and how much its labels weigh.
        """
        missing = tuple(s for s in scenarios if not self.dataset.has(round_number, s.seed, rerun.take))
        if missing:
            job = Job(self.config.task, missing, pilot, str(self.dataset.folder), round_number, rerun)
            self.pool.run(job, self.progress, f"replay failures of round {round_number}")
            self.dataset.refresh()

    def episodes_of(self, round_number: int) -> list[EpisodeHeader]:
        """The run's own episodes of a round, by seed."""
        headers = [header for header in self.dataset.episodes if header.meta.dagger_round == round_number]
        return sorted(headers, key=lambda header: (header.meta.seed, header.rerun.take))

    def member_folder(self, round_number: int, member: int = 0) -> Path:
        """Where the policy of a round lies, or of a further member of its ensemble."""
        return member_folder(self.folder, round_number, member)

    def is_stored(self, round_number: int, member: int = 0) -> bool:
        """True once the policy of a round is on disk, unless it is damaged and can still be made again."""
        from forestpilot.policies.networks.checkpoint import is_whole

        folder = self.member_folder(round_number, member)
        if not (folder / "policy.json").exists():
            return False
        if is_whole(folder):
            return True
        has_gone_on = (self.member_folder(round_number + 1, member) / "policy.json").exists()
        if has_gone_on:
            self.progress.note(f"warning: {folder} is damaged, and rounds after it are done, so that it stays as it is")
        return has_gone_on

    def reader(self) -> WindowReader:
        """Draws windows of all episodes so far, those of the demonstrations included.

        Raises:
            ValueError: the policy's head learns from costs, and some of these episodes have none.
        """
        from forestpilot.policies.training.loop import make_reader, require_costs

        if self._reader is None:
            datasets = self.labelled
            decode = functools.partial(self.pool.submit, urgent=True)
            self._reader = make_reader(
                self.policy, datasets, self.config.train, self.config.workers, self.progress, decode
            )
        self._reader.extend()
        require_costs(self.policy, self._reader)
        self.progress.note(self._reader.describe())
        return self._reader

    def fit(self, reader: Reader, round_number: int, member: int = 0, objective: Objective | None = None) -> None:
        """Fit one policy to labels, from the weights of the round before, and store it.

        Args:
            reader: draws windows.
            round_number: the round.
            member: which of the policies that are trained side by side.
            objective: what is learned; by default labels, by the head's own loss.
        """
        from forestpilot.policies.networks.checkpoint import load_policy
        from forestpilot.policies.training.loop import train

        config = self.config
        if config.retrain or not round_number:
            start = self.new_policy(member)
        else:
            start = load_policy(self.member_folder(round_number - 1, member))
        self.policy.load_state_dict(start.state_dict())
        unfinished = self.folder
        if member:
            unfinished = self.folder / "members" / str(member)
        how = config.round_training(round_number, member, self.last_round)
        data = fingerprint_of(self.lessons)
        looks = None if member else self._looks(round_number, how.steps)
        result = train(
            self.policy, reader, how, unfinished, round_number, self.progress, objective, self.shard_pool, data, looks
        )
        self.keep(round_number, member, result.figures, data)

    def new_policy(self, member: int) -> VisuomotorPolicy:
        """A policy that has learned nothing, as a round begins with where it does not go on from the one before."""
        from forestpilot.policies.networks.visuomotor import VisuomotorPolicy

        return VisuomotorPolicy.seeded(self.config.train.policy, self.policy.spec, self.config.seed_of(member))

    def _looks(self, round_number: int, steps: int) -> Looks | None:
        """When the watcher wants to know how good the policy is in the middle of a round, and how it is told."""
        from forestpilot.policies.networks.checkpoint import save_policy
        from forestpilot.policies.training.looks import Looks

        watcher = self.watcher
        if watcher is None:
            return None

        def look(step: int) -> None:
            folder = self.folder / "looks" / f"round-{round_number:02d}-step-{step:06d}"
            if not (folder / "validation.json").exists():
                save_policy(folder, self.policy, {"round": round_number, "step": step})
            watcher.looked(round_number, step, self._validate(folder, f"look at step {step} of {steps}"))

        return Looks(frozenset(watcher.looks(round_number, steps)), look)

    def keep(
        self,
        round_number: int,
        member: int = 0,
        figures: Mapping[str, float] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Store `policy` as that of a round.

        Args:
            round_number: the round.
            member: which of the policies that are trained side by side.
            figures: what its training came to, by name.
            data: fingerprint of the episodes that it was trained on.
        """
        from forestpilot.policies.networks.checkpoint import save_policy

        facts: dict[str, Any] = {"round": round_number, "figures": dict(figures or {})}
        if data:
            facts["data"] = dict(data)
            facts["worlds"] = worlds_of(self.lessons)
        if self.demonstrations:
            facts["demonstrations"] = fingerprint_of(self.demonstrations)
        save_policy(self.member_folder(round_number, member), self.policy, facts)

    def validate(self, round_number: int) -> Validation:
        """Run the round's policy on the validation worlds, once; nothing for rounds that are not validated."""
        if not self.config.is_validated(round_number, self.last_round):
            return Validation()
        return self._validate(self.member_folder(round_number), f"validate round {round_number}")

    def _validate(self, folder: Path, what: str) -> Validation:
        return validate_policy(folder, self.config, self.pool, self.progress, what)

    def _set_damaged_aside(self, folder: Path) -> None:
        """Rename the files of a policy that is not whole, for it is made again."""
        from forestpilot.policies.networks.checkpoint import is_whole, set_policy_aside

        if (folder / "policy.json").exists() and not is_whole(folder):
            aside = set_policy_aside(folder)
            self.progress.note(f"warning: the policy in {folder} was damaged; it is now {aside}, and is made again")

    def _keep_best(self, results: Sequence[RoundResult]) -> None:
        """Make the policy of the best round the run's."""
        from forestpilot.policies.networks.checkpoint import describe_policy, is_whole, load_policy, save_policy

        best = best_round(results)
        folder = round_folder(self.folder, best.round)
        chosen = load_policy(folder)
        learned = describe_policy(folder)
        facts: dict[str, Any] = {
            "trained_by": self.title,
            "chosen": dataclasses.asdict(best),
            "config": travelling_values(self.config),
        }
        facts |= {name: learned["extra"][name] for name in ("data", "worlds") if name in learned["extra"]}
        if self._stopped:
            facts["stopped"] = self._stopped
        if is_whole(self.folder):
            there = describe_policy(self.folder)
            if there["policy_id"] == learned["policy_id"] and there["extra"] == json.loads(json.dumps(facts)):
                self.progress.note(f"{self.folder} is finished already: its policy is left as it is")
                return
        self._set_damaged_aside(self.folder)
        save_policy(self.folder, chosen, facts)
        self.progress.note(f"round {best.round} did best on the validation worlds; its policy is {self.folder}")

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        elif not self.config.train.keep_disk_cache:
            remove_abandoned(*self._read_folders())

    def _read_folders(self) -> list[Path]:
        """Folders of datasets that windows are drawn from, in this round or an earlier one."""
        return [dataset.folder for dataset in (self.dataset, *self.demonstrations)]

    def _require_human(self) -> None:
        """Raise InvalidArgumentError where a human is needed and there is none, or the other way round."""
        if self.config.needs_human and self.roll_in is None:
            raise InvalidArgumentError(
                f"{self.name} with this config needs a human who takes over, and nobody is there; at a keyboard, "
                f"`forestpilot {self.name}` lets you"
            )
        if self.roll_in is not None and not self.config.needs_human:
            raise InvalidArgumentError(
                f"there is a human, and nothing for them to do: {self.name} with this config needs none"
            )

    def _require_goals_to_relabel(self, spec: TaskSpec) -> None:
        """Raise InvalidArgumentError where goals cannot be relabelled, or the learner's flights then lack costs."""
        relabel = self.config.train.relabel
        require_relabel(relabel, spec)
        learner_acts = any(self.expert_share(number) < 1.0 for number in range(self.config.rounds + 1))
        if relabel in IN_HINDSIGHT and learner_acts and self.policy.head.needs_costs:
            raise InvalidArgumentError(
                f"train.relabel is {relabel}: what the learner does is then a lesson too, and what it cost nobody has "
                f"said, but the {self.config.train.policy.head.part} head learns from costs; choose another one: "
                f"--train.policy.head {self.task.head_for_actions}"
            )

    def _require_head_for_actions(self) -> None:
        """Raise InvalidArgumentError where a human would teach a head that learns from costs."""
        if self.config.needs_human and self.policy.head.needs_costs:
            raise InvalidArgumentError(
                "a human says what to do, not what everything else would cost, and this head learns from costs; choose "
                f"another one: --train.policy.head {self.task.head_for_actions}"
            )
