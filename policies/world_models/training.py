"""Learning a model of the world from datasets, and measuring how far it can be trusted.

    RUN/config.json              the config
    RUN/world.safetensors        the model
    RUN/checkpoints/             the unfinished training, to go on from
    RUN/metrics.csv              figures as it learned
    RUN/horizon.csv              errors along held-out episodes, by the number of steps imagined

What is drawn for a step follows from (seed, step), so a training that was killed and gone on with ends at the same
numbers as one that was not (on the same machine).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, worlds_of
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.episodes.seals import write_sealed
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.training.held_out import keep_back, require_apart
from forestpilot.policies.training.resumable import Schedule, Stepwise, require_same_data, train_stepwise
from forestpilot.policies.world_models import WORLD_LEARNERS
from forestpilot.policies.world_models.base import WorldModel, make_preparer
from forestpilot.policies.world_models.horizon import HorizonErrors, horizons_of, interval_of, measure
from forestpilot.policies.world_models.learner import Learner
from forestpilot.policies.world_models.options import ImagineConfig
from forestpilot.policies.world_models.seen import Seen, look_again, require_flights
from forestpilot.policies.world_models.sequences import Sequences
from forestpilot.policies.world_models.stored import FILE, load_model, make_model, save_model
from forestpilot.sim.errors import InvalidArgumentError

HORIZON_FILE = "horizon.csv"
HORIZON_COLUMNS = ("figure", "steps", "episodes", "mean", "low", "high")


@dataclass(frozen=True)
class Imagined:
    """What came of learning a model."""

    model: WorldModel
    """The model, to be imagined with."""
    errors: HorizonErrors
    """Its errors along held-out episodes."""
    held_out: list[Seen]
    """Those episodes."""


def imagine(config: ImagineConfig, progress: Progress | None = None) -> Imagined:
    """Learn a model of the world, and measure it; what is finished is left as it is.

    Raises:
        InvalidArgumentError: no dataset is named, or the task's worlds cannot be modelled.
        DatasetError: a dataset cannot be used, or held-out episodes are of worlds that are learned from.
        RunError: the run folder belongs to another config, or to other episodes.
    """
    if not config.data:
        raise InvalidArgumentError("data names no dataset; give at least one folder, for example --data DATASET")
    progress = progress or SilentProgress()
    with written_by_one(config.out, progress):
        return _imagine(config, progress)


def _imagine(config: ImagineConfig, progress: Progress) -> Imagined:
    datasets = [Dataset.open(folder) for folder in config.data]
    held_out = [Dataset.open(folder) for folder in config.held_out]
    spec = datasets[0].task_spec
    for dataset in (*datasets, *held_out):
        require_same_task(spec, dataset.task_spec, f"the dataset in {dataset.folder}")
    require_flights(spec)
    _require_pictures([*datasets, *held_out])
    require_apart(datasets, held_out, "forestpilot collect --seed 900000")
    _require_length(datasets, config.window, "window")
    _require_length(held_out or datasets, config.horizon, "horizon")
    run = Run.claim(config.out, "imagine", config)
    data = fingerprint_of(datasets)
    model = make_model(config, spec)
    prepare = make_preparer(spec) if model.sees_views else None
    episodes = look_again(datasets, prepare, progress)
    if held_out:
        kept_back = look_again(held_out, prepare, progress)
    else:
        episodes, kept_back = keep_back(episodes, config.keep_back)
    folder = Path(config.out)
    with torch_threads(1):
        if (folder / FILE).exists():
            model, facts = load_model(folder)
            require_same_data(f"{folder} holds a model", facts["about"]["data"], data)
        else:
            figures = _train(model, episodes, config, data, progress)
            about = {"data": data, "worlds": worlds_of([*datasets, *held_out]), "figures": figures}
            save_model(folder, model, config, about)
            model.eval().requires_grad_(False)
        errors = measure(model, kept_back, config.horizon)
    write_sealed(folder / HORIZON_FILE, horizon_table(errors).encode())
    run.record()
    return Imagined(model, errors, kept_back)


def _require_pictures(datasets: Sequence[Dataset]) -> None:
    """Raise DatasetError where there is nothing to learn from."""
    for dataset in datasets:
        if not len(dataset):
            raise DatasetError(f"{dataset.folder} has no episodes to learn from; `forestpilot collect` records some")
        dataset.require(("actions", "center"), "a model of the world")


def _require_length(datasets: Sequence[Dataset], steps: int, option: str) -> None:
    """Raise DatasetError where no episode has so many steps in one go."""
    headers = [header for dataset in datasets for header in dataset.episodes]
    longest = max(end - begin for header in headers for begin, end in header.stretches)
    if longest < steps:
        raise DatasetError(
            f"{option} is {steps}, and no episode of {', '.join(str(each.folder) for each in datasets)} has more than "
            f"{longest} steps in one go; give a smaller --{option}, or longer episodes"
        )


def _train(
    model: WorldModel, episodes: Sequence[Seen], config: ImagineConfig, data: dict[str, Any], progress: Progress
) -> dict[str, float]:
    """Train a model in place, or go on with that; returns the last figures."""
    sequences = Sequences(model, episodes)
    model.fit(sequences.usual())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # a learner may have weights of its own
        learner = WORLD_LEARNERS.get(config.learner.part)(config.learner, model, config.steps)
    every = (config.log_every, config.checkpoint_every)
    schedule = Schedule(Path(config.out), config.steps, config.learning_rate, *every)
    title = f"learn a world ({config.learner.part})"
    return train_stepwise(_WindowLearner(learner, sequences, config), schedule, data, progress, title)


class _WindowLearner(Stepwise):
    """A learner, and the windows that it is given."""

    def __init__(self, learner: Learner, sequences: Sequences, config: ImagineConfig) -> None:
        self._learner = learner
        self._sequences = sequences
        self._config = config

    def parts(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """Those of the learner."""
        return self._learner.parts()

    def step(self, step: int, rate: float) -> dict[str, float]:
        """A step of the learner, on windows drawn for it."""
        config = self._config
        windows = self._sequences.draw(config.batch, config.window, np.random.default_rng([config.seed, step]))
        return self._learner.update(windows, step, rate, torch.Generator().manual_seed(config.seed * 1_000_003 + step))


def horizon_table(errors: HorizonErrors) -> str:
    """Errors by horizon with 95 % intervals over the episodes, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HORIZON_COLUMNS)
    for figure in ("value", "state", "nearest_m"):
        rows = getattr(errors, figure)
        mean, low, high = interval_of(rows)
        for steps in horizons_of(rows.shape[1]):
            at = steps - 1
            writer.writerow([figure, steps, len(rows), *(f"{v[at]:.6g}" for v in (mean, low, high))])
    return text.getvalue()
