"""A search for settings: trials are drawn, run, and ended early where they are behind.

    RUN/config.json       the config
    RUN/journal.log       Optuna's journal: which trials there are, what was drawn, what they came to
    RUN/trials/0007/      the run of a trial, as the algorithm itself makes it
    RUN/shelf/            the expert's episodes, which all trials share that ask for the same ones
    RUN/trials.csv        a row for each trial;  RUN/best.yaml  the best one's settings
    RUN/importance.png, RUN/parallel.png

A trial is one process's as long as that lives. One whose process died is gone on with by whoever comes next: it has its
number, its values and its run folder. Test worlds are not looked at, unless `report_test` asks for it, once, at the
end:

    RUN/default/          the run of the settings without the search
    RUN/test/             outcomes.csv and summary.json of both
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestpilot.data_collection.episodes.locks import Claims, written_by_one
from forestpilot.data_collection.episodes.plain import ConfigError
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.episodes.seals import read_sealed, seal
from forestpilot.data_collection.rollouts.pool import RolloutPool, borrowed, require_pool
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix
from forestpilot.data_collection.rollouts.shelf import Shelf
from forestpilot.launch.tuning.held_out import DEFAULT, Comparison, compare, require_not_looked_at
from forestpilot.launch.tuning.search import Space
from forestpilot.launch.tuning.targets import Target, settings_of
from forestpilot.launch.tuning.trials import (
    COMPLETE,
    PRUNED,
    REFUSED,
    RUNNING,
    TrialRow,
    best_of,
    told_drawn,
    told_value,
    value_of,
    write_best,
    write_trials,
)
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.algorithms.rounds import RoundResult, best_round
from forestpilot.policies.algorithms.validation import Validation
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.extras import require

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial, TrialState

    from forestpilot.policies.training.shard_pool import ShardPool
TEST_FOLDER = "test"
"""Where the look at test worlds is written down."""
PARALLEL_FILE = "parallel.png"
IMPORTANCE_FILE = "importance.png"


class PrunedError(ForestPilotError):
    """A trial that is behind the others, and is ended."""


class RefusedError(ForestPilotError):
    """A trial whose settings do not go together."""


class Tuning:
    """A search, by as many processes as are started on its folder.

    Args:
        target: what is tuned.
        config: options of the search and of the target, see `forestpilot.launch.tuning.targets.config_class`.
        progress: who watches.

    Attributes:
        space: what is searched.
        comparison: what came of the look at test worlds, after `run`, where it is asked for.

    Raises:
        ForestPilotError: a search or a setting that cannot be; said before anything is written.
    """

    def __init__(self, target: Target, config: Any, progress: Progress | None = None) -> None:
        self.target = target
        self.config = config
        self.progress = progress or SilentProgress()
        self.folder = Path(config.out)
        self.settings = settings_of(target, config)
        self.space = Space(self.settings, config.search)
        self.ordinary = self.run_config(self.settings, DEFAULT)
        self._require_comparable()
        require("optuna")
        require("matplotlib")
        require_pool(None, self.ordinary.pool)
        self._algorithm(self.ordinary)
        if config.report_test:
            require_not_looked_at(self.folder / TEST_FOLDER)
        self.comparison: Comparison | None = None

    def run_config(self, settings: Any, name: str) -> AlgorithmConfig:
        """The run that tries some settings, in a folder of the search."""
        return self.target.run_config(settings, self.config, str(self.folder / name))

    def run(self) -> list[TrialRow]:
        """Run the trials that are left, beside others who share them; returns all of them, when all are done."""
        from forestpilot.launch.tuning.optimiser import open_study
        from forestpilot.policies.training.shard_pool import ShardPool

        config = self.config
        with ExitStack() as stack:
            stack.enter_context(written_by_one(self.folder, self.progress, shared=True))
            claims = stack.enter_context(Claims(self.folder))
            with claims.setting_up():
                run = Run.claim(self.folder, f"tune {self.target.name}", config)
                self._require_whole()
                study = open_study(self.folder, self.settings.seed, config.first_trials, config.prune)
            pool = stack.enter_context(borrowed(None, self.ordinary.workers, self.ordinary.pool))
            shards = stack.enter_context(ShardPool(self.ordinary.workers))
            bench = Bench(study, claims, pool, shards)
            self._run_trials(bench)
            with claims.setting_up():
                rows = rows_of(study, self.space)
                self._write(rows)
                self._draw(study, rows)
                run.record()
            if config.report_test:
                self._compare(bench, rows)
        return rows

    def _run_trials(self, bench: Bench) -> None:
        """Run trials until all are done."""
        with self.progress.stage("tune", total=self.config.trials) as stage:
            done = sum(row.state != RUNNING for row in rows_of(bench.study, self.space))
            stage.advance(done)
            while (trial := self._next(bench)) is not None:
                self._run_trial(bench, trial)
                with bench.claims.setting_up():
                    rows = rows_of(bench.study, self.space)
                    self._write(rows)
                bench.claims.let_go()
                finished = sum(row.state != RUNNING for row in rows)
                best = best_of(rows)
                stage.advance(finished - done, best=told_value(best.value if best else None))
                done = finished

    def _next(self, bench: Bench) -> Trial | None:
        """A trial that a dead process has left, or a new one; None when all are done."""
        from optuna.trial import Trial, TrialState

        study, claims = bench.study, bench.claims
        while True:
            with claims.setting_up():
                trials = study.get_trials(deepcopy=False)
                running = [trial for trial in trials if trial.state == TrialState.RUNNING]
                for left in running:
                    if claims.take(left.number):
                        self.progress.note(f"trial {left.number} goes on where it was killed")
                        return Trial(study, left._trial_id)
                if len(trials) < self.config.trials:
                    new = study.ask()
                    claims.take(new.number)
                    return new
            if not running:
                return None
            number = running[0].number
            self.progress.note(f"all trials are done or run by others; waiting for trial {number}")
            claims.wait_for(number)
            claims.let_go()

    def _run_trial(self, bench: Bench, trial: Trial) -> None:
        """Run a trial, or what is left of it, and note what it came to."""
        from optuna.trial import TrialState

        from forestpilot.policies.training.state import DivergedError

        drawn = self.space.draw(trial)
        told = f"trial {trial.number}"
        self.progress.note(f"{told}: {told_drawn(drawn)}")
        try:
            value = self._value(bench, trial, drawn)
        except (PrunedError, DivergedError) as error:
            _end(bench.study, trial, TrialState.PRUNED, error)
            self.progress.note(f"{told}: ended early, {error}")
        except RefusedError as error:
            _end(bench.study, trial, TrialState.FAIL, error)
            self.progress.note(f"{told}: refused, {error}")
        else:
            bench.study.tell(trial, value)
            best = best_of(rows_of(bench.study, self.space))
            assert best is not None
            ahead = "the best so far"
            if best.number != trial.number:
                ahead = f"the best so far is trial {best.number} with {told_value(best.value)}"
            self.progress.note(f"{told}: {told_value(value)} of the validation worlds; {ahead}")

    def _value(self, bench: Bench, trial: Trial, drawn: Mapping[str, Any]) -> float:
        """What a trial comes to.

        Raises:
            RefusedError: what was drawn does not go together; what single values can be was checked before.
            PrunedError: it is behind the others.
            DivergedError: its loss is no longer a number.
        """
        try:
            algorithm = self._algorithm(self.run_config(self.space.config(drawn), _trial_folder(trial.number)))
        except (ForestPilotError, ValueError) as error:
            raise RefusedError(str(error)) from error
        algorithm.shelf = Shelf(self.folder / "shelf")
        algorithm.watcher = TrialWatcher(trial, algorithm, self.config.looks)
        try:
            results = algorithm.run(bench.pool, shard_pool=bench.shards)
        except InvalidArgumentError as error:  # said when the demonstrations are there
            raise RefusedError(str(error)) from error
        return value_of(_seen_in(best_round(results)))

    def _algorithm(self, config: AlgorithmConfig) -> Algorithm[Any]:
        """The algorithm that runs a trial."""
        if config.needs_human:
            raise InvalidArgumentError("nobody takes over in a trial; tune settings with which it learns by itself")
        return self.target.algorithm(config, self.progress)

    def _require_comparable(self) -> None:
        """Raise InvalidArgumentError where what is searched changes the worlds by which trials are compared."""
        usual = _judged_in(self.ordinary)
        for dimension in self.space.dimensions:
            for value in dimension.values:
                try:
                    config = self.run_config(self.space.config({dimension.path: value}), DEFAULT)
                except ConfigError:  # an option of a part that is searched
                    continue
                if _judged_in(config) != usual:
                    raise InvalidArgumentError(
                        f"--search {dimension.path}: it changes the validation worlds, by which trials are compared; "
                        "leave it out, or tune each by itself"
                    )

    def _write(self, rows: Sequence[TrialRow]) -> None:
        """Write the table of trials and the best settings; note how long the journal is."""
        from forestpilot.launch.tuning.optimiser import JOURNAL_FILE

        write_trials(self.folder, rows, [dimension.path for dimension in self.space.dimensions], self.progress)
        best = best_of(rows)
        if best is not None:
            complete = sum(row.state == COMPLETE for row in rows)
            write_best(self.folder, self.target.name, best, complete, self.space.config(best.drawn))
        path = self.folder / JOURNAL_FILE
        content = path.read_bytes()
        seal(path, content[: content.rfind(b"\n") + 1], grows=True)

    def _draw(self, study: Study, rows: Sequence[TrialRow]) -> None:
        """Draw what can be drawn of so many trials."""
        from forestpilot.launch.tuning.optimiser import importance_of
        from forestpilot.launch.tuning.plots import plot_importance, plot_parallel

        plot_parallel(self.space.dimensions, rows, self.folder / PARALLEL_FILE)
        importance = importance_of(study)
        if importance:
            complete = sum(row.state == COMPLETE for row in rows)
            plot_importance(importance, self.folder / IMPORTANCE_FILE, complete)

    def _compare(self, bench: Bench, rows: Sequence[TrialRow]) -> None:
        """Compare the best settings with the default ones in test worlds, now that nothing is chosen any more."""
        best = best_of(rows)
        if best is None:
            raise ForestPilotError("no trial came to its end, so there is nothing to compare in test worlds")
        default = self._algorithm(self.ordinary)
        default.shelf = Shelf(self.folder / "shelf")
        run = self.run_config(self.space.config(best.drawn), _trial_folder(best.number))
        episodes = self.config.report_test
        folder = self.folder / TEST_FOLDER
        self.comparison = compare(default, run, episodes, folder, self.progress, bench.pool, bench.shards)

    def _require_whole(self) -> None:
        """Raise DamagedFileError where the journal is not as it was written."""
        from forestpilot.launch.tuning.optimiser import JOURNAL_FILE, WAY_OUT

        if (self.folder / JOURNAL_FILE).exists():
            read_sealed(self.folder / JOURNAL_FILE, WAY_OUT)


class Bench:
    """What trials of a process share.

    Args:
        study: who draws, and remembers.
        claims: which trials are whose.
        pool: runs episodes.
        shards: computes gradients.
    """

    def __init__(self, study: Study, claims: Claims, pool: RolloutPool, shards: ShardPool) -> None:
        self.study = study
        self.claims = claims
        self.pool = pool
        self.shards = shards


class TrialWatcher:
    """Tells the study how good a trial is while it learns, and ends it where it is behind.

    Points are numbered: rounds by their number; where there is one round only, looks at its training from 1 on.

    Args:
        trial: the trial.
        algorithm: its run.
        looks: points in a training that has no further rounds.
    """

    def __init__(self, trial: Trial, algorithm: Algorithm[Any], looks: int) -> None:
        self._trial = trial
        self._algorithm = algorithm
        self._looks = looks if not algorithm.config.rounds else 0
        self._points: dict[int, int] = {}

    def looks(self, round_number: int, steps: int) -> list[int]:
        """Even parts of the training of a run with one round; none where rounds follow, which are judged anyway."""
        at = sorted({steps * point // (self._looks + 1) for point in range(1, self._looks + 1)} - {0})
        self._points = {step: point for point, step in enumerate(at, start=1)}
        return at

    def looked(self, round_number: int, step: int, seen: Validation) -> None:
        """Report a point within the training."""
        self._report(self._points[step], value_of(seen))

    def finished(self, result: RoundResult) -> None:
        """Report a round, unless it is the last: then the trial is at its end."""
        if result.validation_success is not None and result.round < self._algorithm.last_round:
            self._report(result.round, value_of(_seen_in(result)))

    def _report(self, point: int, value: float) -> None:
        """Report; what was decided before the process was killed is decided again."""
        reported = self._trial.study.get_trials(deepcopy=False)[self._trial.number].intermediate_values
        if point not in reported:
            self._trial.report(value, point)
        if point >= max(reported, default=point) and self._trial.should_prune():
            raise PrunedError(f"with {told_value(value)} at point {point} it is behind the median of those before")


def _judged_in(config: AlgorithmConfig) -> tuple[str, list[Scenario]]:
    """The validation worlds of a run; who demonstrates, and how pictures are taken, does not count."""
    options = config.mix.options.for_evaluation()
    usual = ScenarioMix()
    mix = dataclasses.replace(
        config.mix,
        options=options,
        expert=usual.expert,
        width=usual.width,
        height=usual.height,
        renderer=usual.renderer,
    )
    judged = dataclasses.replace(config, mix=mix)
    return config.task, judged.held_out_scenarios("validation", config.validation_episodes)


def _end(study: Study, trial: Trial, state: TrialState, error: Exception) -> None:
    """Note that a trial came to nothing, and why."""
    trial.set_user_attr("reason", " ".join(str(error).split()))
    study.tell(trial, state=state)


def _trial_folder(number: int) -> str:
    """Where in the folder of the search a trial runs."""
    return f"trials/{number:04d}"


def rows_of(study: Study, space: Space) -> list[TrialRow]:
    """All trials of a study."""
    from optuna.trial import TrialState

    states = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED, TrialState.FAIL: REFUSED}
    rows = []
    for trial in study.get_trials(deepcopy=False):
        row = TrialRow(
            number=trial.number,
            state=states.get(trial.state, RUNNING),
            value=trial.value if trial.state == TrialState.COMPLETE else None,
            reports=dict(trial.intermediate_values),
            drawn=space.values_of(trial.params),
            reason=str(trial.user_attrs.get("reason", "")),
        )
        rows.append(row)
    return rows


def _seen_in(result: RoundResult) -> Validation:
    """The validation of a round."""
    assert result.validation_success is not None
    successes = round(result.validation_success * result.validation_episodes)
    return Validation(successes, result.validation_episodes, result.validation_interventions)
