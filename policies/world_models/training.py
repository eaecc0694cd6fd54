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
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forestpilot.data_collection.episodes.config_fields import result_values
from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, told, worlds_of
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run, RunError
from forestpilot.data_collection.episodes.seals import write_sealed
from forestpilot.policies.networks.checkpoint import load_state, save_state
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.training.metrics import MetricsLog
from forestpilot.policies.training.state import DivergedError
from forestpilot.policies.world_models import WORLD_LEARNERS
from forestpilot.policies.world_models.base import WorldModel, make_preparer
from forestpilot.policies.world_models.horizon import HorizonErrors, horizons_of, interval_of, measure
from forestpilot.policies.world_models.learner import Learner
from forestpilot.policies.world_models.options import ImagineConfig
from forestpilot.policies.world_models.seen import Seen, look_again, require_flights
from forestpilot.policies.world_models.sequences import Sequences
from forestpilot.policies.world_models.stored import FILE, load_model, make_model, save_model
from forestpilot.sim.errors import InvalidArgumentError

STATE_FILE = "checkpoints/training.safetensors"
HORIZON_FILE = "horizon.csv"
HORIZON_COLUMNS = ("figure", "steps", "episodes", "mean", "low", "high")
LAST_RATE = 0.1
"""Share of the learning rate that is left at the end."""


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
    _require_apart(datasets, held_out)
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
        episodes, kept_back = _split(episodes, config.keep_back)
    folder = Path(config.out)
    with torch_threads(1):
        if (folder / FILE).exists():
            model, facts = load_model(folder)
            _require_same_data(folder, facts["about"]["data"], data)
        else:
            figures = _train(model, episodes, config, data, progress)
            about = {"data": data, "worlds": worlds_of([*datasets, *held_out]), "figures": figures}
            save_model(folder, model, config, about)
            model.eval().requires_grad_(False)
        errors = measure(model, kept_back, config.horizon)
    write_sealed(folder / HORIZON_FILE, horizon_table(errors).encode())
    run.record()
    return Imagined(model, errors, kept_back)


def _require_apart(datasets: Sequence[Dataset], held_out: Sequence[Dataset]) -> None:
    """Raise DatasetError where there is nothing to learn from, or held-out worlds are learned from."""
    for dataset in (*datasets, *held_out):
        if not len(dataset):
            raise DatasetError(f"{dataset.folder} has no episodes to learn from; `forestpilot collect` records some")
        dataset.require(("actions", "center"), "a model of the world")
    learned = {header.meta.seed for dataset in datasets for header in dataset.episodes}
    for dataset in held_out:
        both = sorted(learned & {header.meta.seed for header in dataset.episodes})
        if both:
            raise DatasetError(
                f"{dataset.folder} is held out, and world {both[0]} of it is learned from; give episodes of other "
                "worlds, for example those of `forestpilot collect --seed 900000`"
            )


def _require_length(datasets: Sequence[Dataset], steps: int, option: str) -> None:
    """Raise DatasetError where no episode has so many steps in one go."""
    headers = [header for dataset in datasets for header in dataset.episodes]
    longest = max(end - begin for header in headers for begin, end in header.stretches)
    if longest < steps:
        raise DatasetError(
            f"{option} is {steps}, and no episode of {', '.join(str(each.folder) for each in datasets)} has more than "
            f"{longest} steps in one go; give a smaller --{option}, or longer episodes"
        )


def _split(episodes: list[Seen], share: float) -> tuple[list[Seen], list[Seen]]:
    """Episodes to learn from, and those of the last worlds, which are kept back."""
    worlds = sorted({seen.seed for seen in episodes})
    count = max(1, round(share * len(worlds)))
    if count >= len(worlds):
        raise DatasetError(
            f"there are episodes of {len(worlds)} worlds, too few to keep some back; record more, or give --held-out"
        )
    back = set(worlds[-count:])
    return [seen for seen in episodes if seen.seed not in back], [seen for seen in episodes if seen.seed in back]


def _require_same_data(folder: Path, there: dict[str, Any], data: dict[str, Any]) -> None:
    if there != data:
        raise RunError(
            f"{folder} holds a model that was learned from other episodes ({told(there)} then, {told(data)} now); give "
            "another --out"
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
    folder = Path(config.out)
    first, known = _resume(folder / STATE_FILE, learner, config, data)
    log = MetricsLog(folder, (0, first), None, known)
    figures: dict[str, float] = {}
    with closing(log), progress.stage(f"learn a world ({config.learner.part})", config.steps) as stage:
        stage.advance(first)
        for step in range(first, config.steps):
            windows = sequences.draw(config.batch, config.window, np.random.default_rng([config.seed, step]))
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
            figures = learner.update(windows, step, rate_at(config, step), generator)
            done = step + 1
            if done % config.log_every == 0 or done == config.steps:
                _require_finite(figures, done, config)
                log.write(0, done, done, figures)
                stage.advance(0, loss=figures["loss"])
            if done % config.checkpoint_every == 0 and done < config.steps:
                _save(folder / STATE_FILE, learner, config, done, data, log.text)
            stage.advance(1)
    return figures


def rate_at(config: ImagineConfig, step: int) -> float:
    """Learning rate of a step: a cosine down to a tenth."""
    share = (1 + math.cos(math.pi * step / config.steps)) / 2
    return config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * share)


def _require_finite(figures: dict[str, float], step: int, config: ImagineConfig) -> None:
    if not math.isfinite(figures["loss"]):
        raise DivergedError(
            f"the loss is {figures['loss']} at step {step}: the training has diverged. Lower learning-rate (now "
            f"{config.learning_rate})"
        )


def _save(path: Path, learner: Learner, config: ImagineConfig, step: int, data: dict[str, Any], metrics: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"step": step, "config": result_values(config), "data": data, "metrics": metrics}
    save_state(path, learner.tensors(), facts)


def _resume(path: Path, learner: Learner, config: ImagineConfig, data: dict[str, Any]) -> tuple[int, str]:
    """The step to go on from, and what metrics.csv holds there."""
    if not path.exists():
        return 0, ""
    tensors, facts = load_state(path)
    _require_same_data(path, facts["data"], data)
    learner.restore(tensors)
    return int(facts["step"]), str(facts["metrics"])


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
