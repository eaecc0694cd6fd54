"""Learning a policy inside a model of the world.

    RUN/config.json              the config
    RUN/world.safetensors        the model, as it was
    RUN/dream.safetensors        the policy
    RUN/checkpoints/             the unfinished training, to go on from
    RUN/metrics.csv              figures of each round

What is drawn in a round follows from (seed, round), so a training that was killed and gone on with ends at the same
numbers as one that was not (on the same machine).
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.config_fields import result_values
from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, told, worlds_of
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run, RunError
from forestpilot.policies.networks.checkpoint import load_state, save_state
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.training.metrics import MetricsLog
from forestpilot.policies.training.resumable import STATE_FILE
from forestpilot.policies.training.state import DivergedError
from forestpilot.policies.world_models.base import WorldModel, make_preparer
from forestpilot.policies.world_models.dreams import DREAMERS
from forestpilot.policies.world_models.dreams.dreamer import Dreamer, Starts
from forestpilot.policies.world_models.dreams.options import DreamConfig
from forestpilot.policies.world_models.dreams.policy import DreamPolicy
from forestpilot.policies.world_models.dreams.stored import FILE, keep_model, load_dream, make_policy, save_dream
from forestpilot.policies.world_models.seen import look_again
from forestpilot.policies.world_models.stored import fingerprint_of_model, load_model
from forestpilot.sim.errors import InvalidArgumentError


@dataclass(frozen=True)
class Dreamed:
    """What came of learning inside a model."""

    model: WorldModel
    """The model."""
    policy: DreamPolicy
    """The policy, to be flown."""
    figures: dict[str, float]
    """Of the last round."""


def dream(config: DreamConfig, progress: Progress | None = None) -> Dreamed:
    """Learn a policy inside a model; what is finished is left as it is.

    Raises:
        InvalidArgumentError: no model is named.
        CheckpointError: there is no model, or it is damaged.
        DatasetError: there are no recorded flights to begin from, or they are of another task.
        RunError: the run folder belongs to another config, to another model or to other episodes.
    """
    if not config.world:
        raise InvalidArgumentError("world names no model; give the folder of one, for example --world runs/world")
    progress = progress or SilentProgress()
    with written_by_one(config.out, progress):
        return _dream(config, progress)


def _dream(config: DreamConfig, progress: Progress) -> Dreamed:
    model, facts = load_model(config.world)
    datasets = _flights(config, model, facts)
    folder = Path(config.out)
    if folder.resolve() == Path(config.world).resolve():
        raise InvalidArgumentError(f"out is {config.out}, where the model lies; give another --out")
    run = Run.claim(folder, "dream", config)
    learned_from = {"data": fingerprint_of(datasets), "world": fingerprint_of_model(config.world)}
    if (folder / FILE).exists():
        model, policy, facts = load_dream(folder)
        _require_same(folder, facts["about"]["learned_from"], learned_from)
        figures = facts["about"]["figures"]
    else:
        keep_model(folder, config.world)
        prepare = make_preparer(model.spec) if model.sees_views else None
        starts = Starts(model, look_again(datasets, prepare, progress))
        policy = make_policy(config, model)
        with torch_threads(1):
            dreamer = DREAMERS.get(config.dreamer.part)(config.dreamer, model, policy, starts)
            figures = _learn(dreamer, config, learned_from, progress)
        worlds = [*facts["about"]["worlds"], *worlds_of(datasets)]
        save_dream(folder, policy, config, {"learned_from": learned_from, "worlds": worlds, "figures": figures})
        policy.eval().requires_grad_(False)
    run.record()
    return Dreamed(model, policy, figures)


def _flights(config: DreamConfig, model: WorldModel, facts: dict[str, Any]) -> list[Dataset]:
    """The datasets from whose moments imagination begins.

    Raises:
        DatasetError: one is missing, empty or of another task.
    """
    folders = config.data or tuple(facts["config"]["data"])
    missing = [folder for folder in folders if not Path(folder).is_dir()]
    if missing and not config.data:
        raise DatasetError(
            f"{config.world} was learned from {missing[0]}, which is not there; name datasets to begin from with --data"
        )
    datasets = [Dataset.open(folder) for folder in folders]
    for dataset in datasets:
        require_same_task(model.spec, dataset.task_spec, f"the dataset in {dataset.folder}")
        if not len(dataset):
            raise DatasetError(f"{dataset.folder} has no episodes to begin from; `forestpilot collect` records some")
    return datasets


def _require_same(where: Path, there: dict[str, Any], asked: dict[str, Any]) -> None:
    if there["world"] != asked["world"]:
        raise RunError(f"{where} holds a policy that was learned inside another model; give another --out")
    if there["data"] != asked["data"]:
        raise RunError(
            f"{where} holds a policy that began from other episodes ({told(there['data'])} then, {told(asked['data'])} "
            "now); give another --out"
        )


def _learn(dreamer: Dreamer, config: DreamConfig, learned_from: dict[str, Any], progress: Progress) -> dict[str, float]:
    """All rounds, or those that an interrupted training has left; returns the last figures."""
    folder = Path(config.out)
    state = folder / STATE_FILE
    state.parent.mkdir(parents=True, exist_ok=True)
    first, known, figures = _resume(state, dreamer, learned_from)
    log = MetricsLog(folder, (-1, 0), None, known)
    with closing(log), progress.stage(f"dream ({config.dreamer.part})", config.rounds * dreamer.work) as stage:
        stage.advance(first * dreamer.work)
        for round_number in range(first, config.rounds):
            figures = dreamer.learn(round_number, np.random.default_rng([config.seed, round_number]), stage)
            if not math.isfinite(figures["loss"]):
                raise DivergedError(
                    f"the loss is {figures['loss']} in round {round_number}: the training has diverged. Lower "
                    "dreamer.learning-rate"
                )
            log.write(round_number, dreamer.steps, (round_number + 1) * dreamer.steps, figures)
            stage.advance(0, **figures)
            facts = {"rounds": round_number + 1, "config": result_values(config), "learned_from": learned_from}
            save_state(state, dreamer.tensors(), {**facts, "metrics": log.text, "figures": figures})
    return figures


def _resume(path: Path, dreamer: Dreamer, learned_from: dict[str, Any]) -> tuple[int, str, dict[str, float]]:
    """The round to go on from, what metrics.csv holds there, and the figures of the round before."""
    if not path.exists():
        return 0, "", {}
    tensors, facts = load_state(path)
    _require_same(path, facts["learned_from"], learned_from)
    dreamer.restore(tensors)
    return int(facts["rounds"]), str(facts["metrics"]), facts["figures"]
