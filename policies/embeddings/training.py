"""Learning an embedding from recordings, and checking it on others.

    RUN/config.json                the config
    RUN/embedding.safetensors      the embedding
    RUN/checkpoints/               the unfinished training, to go on from
    RUN/metrics.csv                figures as it learned
    RUN/checks.csv                 alignment of views and linear probes on held-out recordings, beside raw pixels

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
from torch import Tensor, nn

from forestpilot.data_collection.episodes.config_fields import result_values
from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, told, worlds_of
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run, RunError
from forestpilot.data_collection.episodes.seals import write_sealed
from forestpilot.policies.embeddings import EMBEDDERS
from forestpilot.policies.embeddings.checks import Checks, check
from forestpilot.policies.embeddings.embedder import Embedder
from forestpilot.policies.embeddings.options import EmbedConfig
from forestpilot.policies.embeddings.recordings import Recording, read_recordings
from forestpilot.policies.embeddings.stored import FILE, load_embedding, save_embedding
from forestpilot.policies.networks.checkpoint import load_state, save_state
from forestpilot.policies.networks.config import USUAL_VIEW, ViewConfig
from forestpilot.policies.networks.embedding import Embedding
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.policies.training.metrics import MetricsLog
from forestpilot.policies.training.state import DivergedError
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError

STATE_FILE = "checkpoints/training.safetensors"
CHECKS_FILE = "checks.csv"
LAST_RATE = 0.1
"""Share of the learning rate that is left at the end."""
MOMENTS = "adam/"
WEIGHTS = "weights/"


@dataclass(frozen=True)
class Embedded:
    """What came of learning an embedding."""

    embedding: Embedding
    """The embedding."""
    spec: TaskSpec
    """The task."""
    checks: Checks
    """What it came to on held-out recordings."""
    held_out: list[Recording]
    """Those recordings."""


def embed(config: EmbedConfig, progress: Progress | None = None) -> Embedded:
    """Learn an embedding, and check it; what is finished is left as it is.

    Raises:
        InvalidArgumentError: no dataset is named.
        DatasetError: a dataset cannot be used, or held-out worlds are learned from.
        RunError: the run folder belongs to another config, or to other episodes.
    """
    if not config.data:
        raise InvalidArgumentError("data names no dataset; give at least one folder, for example --data DATASET")
    progress = progress or SilentProgress()
    with written_by_one(config.out, progress):
        return _embed(config, progress)


def _embed(config: EmbedConfig, progress: Progress) -> Embedded:
    datasets = [Dataset.open(folder) for folder in config.data]
    others = [Dataset.open(folder) for folder in config.held_out]
    spec = datasets[0].task_spec
    for dataset in (*datasets, *others):
        require_same_task(spec, dataset.task_spec, f"the dataset in {dataset.folder}")
    _require_apart(datasets, others)
    prepare = ViewPreparer(spec, USUAL_VIEW)
    learned = read_recordings(datasets, config.views, prepare)
    if others:
        held_out = read_recordings(others, config.views, prepare)
    else:
        learned, held_out = _split(learned, config.keep_back)
    embedding = Embedding.seeded(config.shape, USUAL_VIEW, config.seed)
    embedder = EMBEDDERS.get(config.embedder.part)(config.embedder, embedding)
    embedder.require(learned)
    run = Run.claim(config.out, "embed", config)
    data = fingerprint_of(datasets)
    folder = Path(config.out)
    if (folder / FILE).exists():
        embedding, facts = load_embedding(folder)
        _require_same_data(folder, facts["about"]["data"], data)
    else:
        figures = learn(embedder, learned, config, data, progress)
        save_embedding(folder, embedding, spec, {"data": data, "worlds": worlds_of(datasets), "figures": figures})
    checks = check(embedding.eval().requires_grad_(False), learned, held_out, spec)
    write_sealed(folder / CHECKS_FILE, checks_table(checks).encode())
    run.record()
    return Embedded(embedding, spec, checks, held_out)


def _require_apart(datasets: Sequence[Dataset], others: Sequence[Dataset]) -> None:
    """Raise DatasetError where held-out worlds are learned from."""
    learned = {header.meta.seed for dataset in datasets for header in dataset.episodes}
    for dataset in others:
        both = sorted(learned & {header.meta.seed for header in dataset.episodes})
        if both:
            raise DatasetError(
                f"{dataset.folder} is held out, and world {both[0]} of it is learned from; give recordings of other "
                "worlds, for example those of `forestpilot collect --seed 900000 --viewpoint chase`"
            )


def _split(recordings: list[Recording], share: float) -> tuple[list[Recording], list[Recording]]:
    """Recordings to learn from, and those of the last worlds, which are kept back."""
    worlds = sorted({seen.seed for seen in recordings})
    count = max(1, round(share * len(worlds)))
    if count >= len(worlds):
        raise DatasetError(
            f"there are recordings of {len(worlds)} worlds, too few to keep some back; record more, or give --held-out"
        )
    back = set(worlds[-count:])
    return [seen for seen in recordings if seen.seed not in back], [seen for seen in recordings if seen.seed in back]


def _require_same_data(folder: Path, there: dict[str, Any], data: dict[str, Any]) -> None:
    if there != data:
        raise RunError(
            f"{folder} holds an embedding that was learned from other episodes ({told(there)} then, {told(data)} "
            "now); give another --out"
        )


def learn_from(datasets: Sequence[Dataset], config: EmbedConfig, view: ViewConfig, progress: Progress) -> Embedding:
    """Learn an embedding for an algorithm, from episodes that may be of its latest round; it lies in `config.out` then.

    Args:
        datasets: of one task; all of their episodes are learned from.
        config: how.
        view: what the policy sees.
        progress: who watches.
    """
    spec = datasets[0].task_spec
    recordings = read_recordings(datasets, config.views, ViewPreparer(spec, view))
    embedding = Embedding.seeded(config.shape, view, config.seed)
    embedder = EMBEDDERS.get(config.embedder.part)(config.embedder, embedding)
    embedder.require(recordings)
    data = fingerprint_of(datasets)
    figures = learn(embedder, recordings, config, data, progress)
    about = {"data": data, "worlds": worlds_of(datasets), "figures": figures}
    save_embedding(Path(config.out), embedding, spec, about)
    return embedding


def learn(
    embedder: Embedder, recordings: Sequence[Recording], config: EmbedConfig, data: dict[str, Any], progress: Progress
) -> dict[str, float]:
    """Train an embedding in place, or go on with that; returns the last figures.

    Args:
        embedder: how.
        recordings: what was seen.
        config: seed, steps, rates, and the folder where the unfinished training lies.
        data: fingerprint of what it learns from.
        progress: who watches.

    Raises:
        DivergedError: the loss is no number.
        RunError: the unfinished training is of other episodes.
    """
    folder = Path(config.out)
    learner = embedder.learner
    optimizer = torch.optim.Adam(learner.parameters(), config.learning_rate)
    first, known = _resume(folder / STATE_FILE, learner, optimizer, data)
    figures: dict[str, float] = {}
    log = MetricsLog(folder, (0, first), None, known)
    stage_name = f"embed ({config.embedder.part})"
    with closing(log), torch_threads(1), progress.stage(stage_name, config.steps) as stage:
        stage.advance(first)
        for step in range(first, config.steps):
            loss, figures = embedder.loss(recordings, np.random.default_rng([config.seed, step]))
            _descend(loss, optimizer, rate_at(config, step))
            done = step + 1
            if done % config.log_every == 0 or done == config.steps:
                _require_finite(figures, done, config)
                log.write(0, done, done, figures)
                stage.advance(0, loss=figures["loss"], found=figures["found"])
            if done % config.checkpoint_every == 0 and done < config.steps:
                _save(folder / STATE_FILE, learner, optimizer, config, done, data, log.text)
            stage.advance(1)
    return figures


def _descend(loss: Tensor, optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def rate_at(config: EmbedConfig, step: int) -> float:
    """Learning rate of a step: a cosine down to a tenth."""
    share = (1 + math.cos(math.pi * step / config.steps)) / 2
    return config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * share)


def _require_finite(figures: dict[str, float], step: int, config: EmbedConfig) -> None:
    if not math.isfinite(figures["loss"]):
        raise DivergedError(
            f"the loss is {figures['loss']} at step {step}: the training has diverged. Lower learning-rate (now "
            f"{config.learning_rate})"
        )


def _save(
    path: Path,
    learner: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: EmbedConfig,
    step: int,
    data: dict[str, Any],
    metrics: str,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"{WEIGHTS}{name}": value for name, value in learner.state_dict().items()}
    for number, parameter in enumerate(learner.parameters()):
        tensors |= {f"{MOMENTS}{number}/{key}": value for key, value in optimizer.state[parameter].items()}
    save_state(path, tensors, {"step": step, "config": result_values(config), "data": data, "metrics": metrics})


def _resume(path: Path, learner: nn.Module, optimizer: torch.optim.Optimizer, data: dict[str, Any]) -> tuple[int, str]:
    """The step to go on from, and what metrics.csv holds there."""
    if not path.exists():
        return 0, ""
    tensors, facts = load_state(path)
    _require_same_data(path, facts["data"], data)
    own = {key.removeprefix(WEIGHTS): value for key, value in tensors.items() if key.startswith(WEIGHTS)}
    learner.load_state_dict(own)
    for number, parameter in enumerate(learner.parameters()):
        of_it = f"{MOMENTS}{number}/"
        state = {key.removeprefix(of_it): value for key, value in tensors.items() if key.startswith(of_it)}
        optimizer.state[parameter] = state
    return int(facts["step"]), str(facts["metrics"])


def checks_table(checks: Checks) -> str:
    """What came out as CSV: figure, of what, episodes, the embedding's, raw pixels'."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("figure", "of", "episodes", "embedding", "pixels"))
    means = (float(np.mean(list(each.values()))) for each in (checks.alignment, checks.pixels))
    number = len(checks.alignment)
    writer.writerow(("alignment_error", "time", number, *(f"{mean:.6g}" for mean in means)))
    for name, value in checks.probes.items():
        writer.writerow(("r2", name, number, f"{value:.6g}", f"{checks.pixel_probes[name]:.6g}"))
    return text.getvalue()
