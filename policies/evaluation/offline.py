"""Offline figures: how near a policy comes to demonstrations that it has not learned from, without acting itself.

At each step the policy sees what the demonstrator saw, remembers the steps before, and says what it would do. Actions
are also put into the classes left, straight and right by a threshold on the turn, as in Giusti et al. 2016 (15
degrees), so that accuracy, precision, recall and F1 can be told. Codevilla et al. 2018 (arXiv:1809.04843) found that
such figures say little of how well a policy drives; `forestpilot study offline-online` asks that here.

The figures pool the steps of all episodes; their 95 % intervals are a bootstrap over episodes, for the steps of one
episode are alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forestpilot.data_collection.episodes.dataset import (
    Dataset,
    DatasetError,
    package_version,
    require_one_task,
    require_same_task,
)
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, worlds_of
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.remote import Room, fetched
from forestpilot.policies.evaluation.entrants import make_entrant, network_acted, policy_names
from forestpilot.policies.evaluation.held_out import require_held_out
from forestpilot.policies.evaluation.offline_scores import CLASSES, THRESHOLD, Estimate, OfflineScore, write_offline
from forestpilot.policies.networks.checkpoint import describe_policy, load_policy
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.scratch import scratch
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.sim.tasks import Task

BATCH = 16
"""Episodes that are looked at side by side: always as many, for the last digits of a product depend on its size."""
RESAMPLES = 2000
BOTH_TAILS = (0.025, 0.975)


class EpisodeSums(NamedTuple):
    """Sums over the labelled steps of each of E episodes."""

    steps: NDArray[np.float64]
    """(E,) labelled steps."""
    confusion: NDArray[np.float64]
    """(E, 3, 3) steps by the demonstrator's class and by the policy's."""
    squared: NDArray[np.float64]
    """(E,) squared distance between the two actions."""
    turn: NDArray[np.float64]
    """(E,) absolute difference of the turns, action units."""
    log_likelihood: NDArray[np.float64]
    """(E,) logarithm of the density of the demonstrator's turn; NaN where the head is no distribution."""


def score_offline(
    policy: VisuomotorPolicy, datasets: Sequence[Dataset], name: str = "policy", threshold: float = THRESHOLD
) -> OfflineScore:
    """Offline figures of a policy.

    Args:
        policy: in evaluation mode.
        datasets: demonstrations of its task; whether they are held out is the caller's business.
        name: what the policy is called.
        threshold: turn, as a share of the largest, from which on it counts as one to the left or right.

    Raises:
        DatasetError: fewer than two episodes with labels.
        SpecMismatchError: a dataset is of another task.
    """
    for dataset in datasets:
        require_same_task(policy.spec, dataset.task_spec, f"the dataset in {dataset.folder}")
    paths = [header.path for dataset in datasets for header in dataset.episodes if header.num_labels]
    if len(paths) < 2:
        folders = ", ".join(str(dataset.folder) for dataset in datasets)
        raise DatasetError(
            f"{folders} has {len(paths)} episodes with labels; an interval over episodes needs two: collect some more"
        )
    parts = []
    keys = (*policy.camera_names, "state", "goal")
    for first in range(0, len(paths), BATCH):
        episodes = [load_episode(path, keys) for path in paths[first : first + BATCH]]
        parts.append(_sums(policy, episodes, threshold))
    sums = EpisodeSums(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    return _score(name, sums, threshold, math.degrees(policy.spec.max_turn_rad))


@torch.inference_mode()
def _sums(policy: VisuomotorPolicy, episodes: Sequence[Episode], threshold: float) -> EpisodeSums:
    """Sums of at most `BATCH` episodes; the demonstrators act, and the policy says what it would do."""
    lessons = [episode.labels.lesson(policy.spec.control_hz) for episode in episodes]
    longest = max(episode.num_steps for episode in episodes)
    known = np.zeros((BATCH, longest), bool)
    wanted = np.zeros((BATCH, longest, 2), np.float32)
    for row, lesson in enumerate(lessons):
        known[row, : len(lesson.known)] = lesson.known
        wanted[row, : len(lesson.known)] = np.where(lesson.known[:, None], lesson.actions, 0.0)
    said, likely = follow(policy, episodes, wanted)
    rows = np.arange(len(episodes))
    known, wanted, said, likely = known[rows], wanted[rows], said[rows], likely[rows]
    confusion = np.zeros((len(episodes), len(CLASSES), len(CLASSES)))
    where = np.nonzero(known)
    truth, answer = (_class_of(actions[..., 0], threshold)[where] for actions in (wanted, said))
    np.add.at(confusion, (where[0], truth, answer), 1.0)
    error = (said.astype(np.float64) - wanted) * known[..., None]
    return EpisodeSums(
        steps=known.sum(1).astype(np.float64),
        confusion=confusion,
        squared=np.square(error).sum((1, 2)),
        turn=np.abs(error[..., 0]).sum(1),
        log_likelihood=np.where(known, likely, 0.0).sum(1),
    )


@torch.inference_mode()
def follow(
    policy: VisuomotorPolicy,
    episodes: Sequence[Episode],
    wanted: NDArray[np.float32],
    mask: Sequence[float] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """What the policy would do at each step (BATCH, T, 2), and how likely it takes the demonstrator's turn (BATCH, T).

    Args:
        policy: who is asked.
        episodes: what it sees; at most `BATCH`, each with the pictures that it looks at, `state` and `goal`.
        wanted: (BATCH, T, 2) float32, what the demonstrator, or the expert, says; T steps of the longest episode.
        mask: which causes it may see; by default its own.
    """
    longest = wanted.shape[1]
    said = np.zeros((BATCH, longest, 2), np.float32)
    likely = np.zeros((BATCH, longest))
    seeds = [episode.meta.seed for episode in episodes]
    with _predictions_of(policy) as predictions, torch_threads(1):
        carry = policy.begin(BATCH, [*seeds, *range(BATCH - len(seeds))])
        if mask is not None:
            carry.shown = torch.tensor(mask, dtype=torch.float32).repeat(BATCH, 1)
        for step in range(longest):
            said[:, step], carry = policy.act(_seen(policy, episodes, step), carry)
            likely[:, step] = _log_likelihood(policy, predictions.pop(), wanted[:, step])
            # What was commanded last is what the demonstrator did, not what the policy would have done.
            done = [episode.actions[min(step, episode.num_steps - 1), 0] for episode in episodes]
            carry.previous_turn_rad[: len(done)] = np.float32(policy.spec.max_turn_rad) * np.array(done, np.float32)
    return said, likely


@contextmanager
def _predictions_of(policy: VisuomotorPolicy) -> Iterator[list[Tensor]]:
    """What the head predicts while the policy acts, the last one at the end."""
    predictions: list[Tensor] = []
    handle = policy.head.register_forward_hook(lambda module, given, made: predictions.append(made))
    try:
        yield predictions
    finally:
        handle.remove()


def _seen(policy: VisuomotorPolicy, episodes: Sequence[Episode], step: int) -> dict[str, np.ndarray]:
    """The observations of a step, batched; zero where an episode is over."""
    seen = {}
    for key in policy.observation_keys:
        like = episodes[0].observations[key]
        seen[key] = np.zeros((BATCH, *like.shape[1:]), like.dtype)
        for row, episode in enumerate(episodes):
            if step < episode.num_steps:
                seen[key][row] = episode.observations[key][step]
    return seen


def _log_likelihood(policy: VisuomotorPolicy, prediction: Tensor, wanted: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithm of the density of turns (BATCH,) of actions (BATCH, 2); NaN where the head is no distribution."""
    log_prob = getattr(policy.head, "turn_log_prob", None)
    if log_prob is None:
        return np.full(BATCH, np.nan)
    actions = torch.from_numpy(wanted)[:, None].expand(BATCH, policy.config.chunk, 2)
    prediction = prediction[:, 0]  # the batch has windows of one step
    likely: NDArray[np.float64] = log_prob(prediction, actions)[:, 0].double().numpy()
    return likely


def _class_of(turns: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Index into `CLASSES` of each turn, in action units, left positive."""
    return np.where(turns > threshold, 0, np.where(turns < -threshold, 2, 1))


def _score(name: str, sums: EpisodeSums, threshold: float, max_turn_deg: float) -> OfflineScore:
    """Figures over all episodes, with intervals over them."""
    count = len(sums.steps)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    whole = _figures(sums, np.ones((1, count)), max_turn_deg)
    samples = _figures(sums, drawn, max_turn_deg)
    figures = {}
    for figure, (value,) in whole.items():
        if math.isnan(value):
            continue
        low, high = np.quantile(samples[figure], BOTH_TAILS)
        figures[figure] = Estimate(float(value), min(float(low), float(value)), max(float(high), float(value)))
    confusion = sums.confusion.sum(0).astype(int).tolist()
    return OfflineScore(name, count, int(sums.steps.sum()), figures, confusion, threshold, threshold * max_turn_deg)


def _figures(sums: EpisodeSums, weights: NDArray[np.float64], max_turn_deg: float) -> dict[str, NDArray[np.float64]]:
    """Figures (R,) of R samples in which each of E episodes stands so many times, (R, E)."""
    steps = weights @ sums.steps
    confusion = np.einsum("re,eij->rij", weights, sums.confusion)
    hits = np.einsum("rii->ri", confusion)
    shown = confusion.sum(2)
    said = confusion.sum(1)
    precision = hits / np.maximum(said, 1.0)
    recall = hits / np.maximum(shown, 1.0)
    f1 = 2 * hits / np.maximum(shown + said, 1.0)
    occurs = shown > 0
    return {
        "accuracy": hits.sum(1) / steps,
        "precision": _mean_where(precision, occurs),
        "recall": _mean_where(recall, occurs),
        "f1": _mean_where(f1, occurs),
        "l2": weights @ sums.squared / steps,
        "turn_error_deg": weights @ sums.turn / steps * max_turn_deg,
        "log_likelihood": weights @ sums.log_likelihood / steps,
    }


def _mean_where(values: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean (R,) over the classes (R, 3) that the demonstrator shows."""
    mean: NDArray[np.float64] = (values * there).sum(1) / there.sum(1)
    return mean


def evaluate_offline(
    policies: Sequence[str],
    data: Sequence[str],
    out: str,
    threshold: float = THRESHOLD,
    progress: Progress | None = None,
    remote_gb: float = 20.0,
) -> list[OfflineScore]:
    """Offline figures of several policies on the same demonstrations; writes offline.csv and offline.json.

    Args:
        policies: as `--policy` says them; checkpoints only, for baselines are not asked about pictures.
        data: dataset folders, or addresses (see `forestpilot.data_collection.episodes.remote`), of which copies are
            made for as long as this takes.
        out: folder for the results.
        threshold: turn, as a share of the largest, from which on it counts as one to the left or right.
        progress: who watches.
        remote_gb: bound of these copies, GB.

    Returns:
        A score for each policy, in the order given.

    Raises:
        CheckpointError: a checkpoint cannot be loaded.
        DatasetError: a dataset cannot be used, or a policy was trained in its worlds.
        ForestPilotError: a policy is no checkpoint, or is of another task.
    """
    progress = progress or SilentProgress()
    with scratch("datasets") as copies:
        folders = fetched(data, Room(copies, int(remote_gb * 1e9)), progress)
        return _scored(policies, [Dataset.open(folder) for folder in folders], out, threshold, progress)


def _scored(
    policies: Sequence[str], datasets: Sequence[Dataset], out: str, threshold: float, progress: Progress
) -> list[OfflineScore]:
    """See `evaluate_offline`; the datasets are at hand."""
    for dataset in datasets:
        dataset.require(("actions",), "judging what a policy says")
    task = TASKS.get(require_one_task(datasets).task)
    folders = {name: _checkpoint_of(policy, task) for name, policy in zip(policy_names(tuple(policies)), policies)}
    about = {name: describe_policy(folder) for name, folder in folders.items()}
    for name, described in about.items():
        if note := require_held_out(described, datasets, name):
            progress.note(f"warning: {note}")
    scores = []
    with written_by_one(out, progress), progress.stage("offline", len(folders)) as stage:
        for name, folder in folders.items():
            scores.append(score_offline(load_policy(folder), datasets, name, threshold))
            stage.advance(policy=name)
        told = []
        for name, folder in folders.items():
            told.append({"name": name, "policy": str(folder), "fingerprint": about[name]["policy_id"]})
        of = {"task": task.name, "data": fingerprint_of(datasets), "worlds": worlds_of(datasets), "policies": told}
        write_offline(Path(out), scores, {"version": package_version(), **of})
    return scores


def _checkpoint_of(policy: str, task: Task) -> Path:
    """Folder of the checkpoint that a `--policy` names.

    Raises:
        ForestPilotError: it names none.
    """
    entrant = make_entrant(policy, task)
    if entrant.spec is None or not network_acted(entrant.target):
        raise ForestPilotError(
            f"policy {policy!r} is no checkpoint, and only those have offline figures; give folders of policies"
        )
    return Path(entrant.target)
