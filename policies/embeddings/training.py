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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from forestpilot.data_collection.episodes.dataset import Dataset, require_same_task
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, worlds_of
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.episodes.seals import write_sealed
from forestpilot.policies.embeddings import EMBEDDERS
from forestpilot.policies.embeddings.checks import Checks, check
from forestpilot.policies.embeddings.embedder import Embedder
from forestpilot.policies.embeddings.options import EmbedConfig
from forestpilot.policies.embeddings.recordings import Recording, read_recordings
from forestpilot.policies.embeddings.stored import FILE, load_embedding, save_embedding
from forestpilot.policies.networks.config import USUAL_VIEW, ViewConfig
from forestpilot.policies.networks.embedding import Embedding
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.policies.training.held_out import keep_back, require_apart
from forestpilot.policies.training.resumable import Schedule, Stepwise, require_same_data, train_stepwise
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError

CHECKS_FILE = "checks.csv"


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
    require_apart(datasets, others, "forestpilot collect --seed 900000 --viewpoint chase")
    prepare = ViewPreparer(spec, USUAL_VIEW)
    learned = read_recordings(datasets, config.views, prepare)
    if others:
        held_out = read_recordings(others, config.views, prepare)
    else:
        learned, held_out = keep_back(learned, config.keep_back)
    embedding = Embedding.seeded(config.shape, USUAL_VIEW, config.seed)
    embedder = EMBEDDERS.get(config.embedder.part)(config.embedder, embedding)
    embedder.require(learned)
    run = Run.claim(config.out, "embed", config)
    data = fingerprint_of(datasets)
    folder = Path(config.out)
    if (folder / FILE).exists():
        embedding, facts = load_embedding(folder)
        require_same_data(f"{folder} holds an embedding", facts["about"]["data"], data)
    else:
        figures = learn(embedder, learned, config, data, progress)
        save_embedding(folder, embedding, spec, {"data": data, "worlds": worlds_of(datasets), "figures": figures})
    checks = check(embedding.eval().requires_grad_(False), learned, held_out, spec)
    write_sealed(folder / CHECKS_FILE, checks_table(checks).encode())
    run.record()
    return Embedded(embedding, spec, checks, held_out)


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
    title = f"embed ({config.embedder.part})"
    with torch_threads(1):
        return train_stepwise(_Learner(embedder, recordings, config), schedule_of(config), data, progress, title)


class _Learner(Stepwise):
    """An embedder, and what it learns from."""

    def __init__(self, embedder: Embedder, recordings: Sequence[Recording], config: EmbedConfig) -> None:
        self._embedder = embedder
        self._recordings = recordings
        self._seed = config.seed
        self._optimizer = torch.optim.Adam(embedder.learner.parameters(), config.learning_rate)

    def parts(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """The embedding, and what is learned with it."""
        return {"weights": (self._embedder.learner, self._optimizer)}

    def step(self, step: int, rate: float) -> dict[str, float]:
        """A step of Adam."""
        loss, figures = self._embedder.loss(self._recordings, np.random.default_rng([self._seed, step]))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return figures


def schedule_of(config: EmbedConfig) -> Schedule:
    """How long the training goes on."""
    every = (config.log_every, config.checkpoint_every)
    return Schedule(Path(config.out), config.steps, config.learning_rate, *every)


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
