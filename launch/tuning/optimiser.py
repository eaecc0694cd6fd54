"""Optuna, as `forestpilot tune` uses it: what is drawn follows from the seed and the trial's number, and the journal
outlives whoever writes it.

This module imports Optuna, so it is imported when a search begins.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from forestpilot.data_collection.episodes.seals import DamagedFileError

JOURNAL_FILE = "journal.log"
"""What Optuna wrote, a line for each thing that was done."""
WAY_OUT = (
    "put back a copy; or delete it: the trials are then drawn anew, and those that come out the same are not run again"
)
LEAST_TRIALS = 4
"""Fewer trials that came to their end say nothing of which field mattered."""
BETTER = 0.25
"""Share of the trials that are the better ones."""


class SeededByTrial(BaseSampler):
    """TPE (Bergstra et al. 2011), whose random numbers follow from the seed, the trial and the field.

    So a search that was killed draws what it would have drawn: no generator has to outlive the process.

    Args:
        seed: of the search.
        first_trials: trials that are drawn at random, before it learns from them.
    """

    def __init__(self, seed: int, first_trials: int) -> None:
        self._seed = seed
        self._first_trials = first_trials

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The fields that are drawn together."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for these."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value for a field that is drawn by itself."""
        return self._of(trial, param_name).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Nothing to remember."""

    def _of(self, trial: FrozenTrial, field: str = "") -> TPESampler:
        drawn = np.random.SeedSequence([self._seed, trial.number, *field.encode()]).generate_state(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                seed=int(drawn[0]), n_startup_trials=self._first_trials, multivariate=True, constant_liar=True
            )


class SystemLock(JournalFileOpenLock):
    """A lock of the system's on the journal, which the dead do not hold.

    Who was killed while it wrote has left half a line, which would spoil the next one: whoever locks cuts it off.

    Args:
        path: the journal.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with suppress(OSError):  # a file system without locks: one process at a time
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        _cut_half_a_line(descriptor)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _cut_half_a_line(descriptor: int) -> None:
    """Leave whole lines only."""
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    content = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, content.rfind(b"\n") + 1)
    os.fsync(descriptor)


def open_study(folder: Path, seed: int, first_trials: int, prune: bool) -> Study:
    """The study whose journal lies in a folder, or a new one.

    Args:
        folder: of the search.
        seed: see `SeededByTrial`.
        first_trials: likewise; and trials that come to their end before one is ended early.
        prune: whether any is.

    Raises:
        DamagedFileError: the journal cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / JOURNAL_FILE
    pruner: BasePruner = MedianPruner(n_startup_trials=first_trials) if prune else NopPruner()
    lock = SystemLock(path)
    lock.acquire()
    lock.release()
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path), lock)),
            sampler=SeededByTrial(seed, first_trials),
            pruner=pruner,
            study_name="tune",
            direction="maximize",
            load_if_exists=True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DamagedFileError(f"{path} has been damaged or altered ({error}): {WAY_OUT}") from error


def importance_of(study: Study) -> dict[str, float]:
    """How much each field has to do with whether a trial is among the better ones, as shares that add up to 1.

    By PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255), which asks how far the values of the best quarter are from
    those of all. Empty where there are too few trials, or all came to the same.
    """
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if len(complete) < LEAST_TRIALS or len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # where few trials have a field, which the picture shows as well
        evaluator = PedAnovaImportanceEvaluator(target_quantile=BETTER)
        try:
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (ValueError, RuntimeError):  # no field that all trials have
            return {}
    return {name: float(share) for name, share in found.items()} if any(found.values()) else {}
