"""The episodes of one round: who drives them, which states are labelled, and when there are enough labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import EpisodeHeader, load_episode
from forestpilot.data_collection.rollouts.gates import ExpertGate, Gate, NoveltyGate, UncertaintyGate, novelty_threshold
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.rounds import member_folder
from forestpilot.policies.evaluation.pilots import EnsembleFactory, GatedFactory, PolicyFactory
from forestpilot.sim.errors import ForestPilotError

EPISODES_AT_ONCE = 8
"""With a label budget, episodes between two looks at how many labels there are; the same for any number of workers, so
that the result is."""

RollIn = Callable[[Job], None]
"""Runs a job's episodes with a human, and records them; returns early when the human has had enough."""


class RollInStoppedError(ForestPilotError):
    """The human at the keyboard stopped in the middle of a round; everything recorded is kept."""

    exit_code = 0


def roll_out_round(
    config: DaggerConfig,
    round_number: int,
    dataset: Dataset,
    pool: RolloutPool,
    progress: Progress,
    roll_in: RollIn | None = None,
) -> None:
    """Record those of the round's episodes that are not on disk yet.

    Raises:
        RollInStoppedError: the human stopped before the round was full.
    """
    name = f"roll out round {round_number}"
    bounded = bool(config.labels_per_round and round_number)
    seeds = config.seeds(round_number)
    for chunk in _chunks(seeds, EPISODES_AT_ONCE if bounded else max(1, len(seeds))):
        # Only earlier episodes count, so that a round that was interrupted ends where it would have ended.
        earlier = [h for h in _of_round(dataset, round_number) if h.meta.seed < chunk[0]] if bounded else []
        if bounded and _labels(earlier) >= config.labels_per_round:
            break
        scenarios = tuple(
            config.mix.scenario(seed, config.task) for seed in chunk if not dataset.has(round_number, seed)
        )
        if not scenarios:
            continue
        pilot = _pilot(config, round_number, dataset, earlier)
        job = Job(config.task, scenarios, pilot, dataset=str(dataset.folder), dagger_round=round_number)
        if roll_in is not None and round_number:
            roll_in(job)
        else:
            pool.run(job, progress, name)
        dataset.refresh()
    missing = [seed for seed in seeds if not dataset.has(round_number, seed)]
    if roll_in is not None and missing:
        raise RollInStoppedError(f"stopped in round {round_number} with {len(missing)} of {len(seeds)} episodes to go")
    if bounded:
        trim_labels(dataset, round_number, config.labels_per_round)


def trim_labels(dataset: Dataset, round_number: int, labels: int) -> None:
    """Forget the labels of a round beyond a number, the last ones first; the episodes stay."""
    left = labels
    for header in _of_round(dataset, round_number):
        if header.num_labels > left:
            episode = load_episode(header.path)
            kept = header.labelled & (np.cumsum(header.labelled) <= left)
            asked = kept[:, None, None]
            assert episode.expert_actions is not None and episode.expert_costs is not None
            dataset.replace(
                dataclasses.replace(
                    episode,
                    labelled=kept,
                    expert_actions=np.where(asked, episode.expert_actions, 0),
                    expert_costs=np.where(asked, episode.expert_costs, 0),
                )
            )
        left -= min(left, header.num_labels)


def _pilot(config: DaggerConfig, round_number: int, dataset: Dataset, earlier: Sequence[EpisodeHeader]) -> PilotFactory:
    """Who drives in the next episodes of a round, after those of it that count already."""
    if not round_number:
        return ExpertPilot
    run = Path(config.out)
    name = f"round-{round_number - 1:02d}"
    folders = tuple(str(member_folder(run, round_number - 1, member)) for member in range(config.members))
    beta = config.beta_of(round_number) if config.gate == "none" else 0.0
    if config.gate in ("none", "human"):
        return PolicyFactory(folders[0], name, beta)
    learner: PilotFactory = PolicyFactory(folders[0], name) if len(folders) == 1 else EnsembleFactory(folders, name)
    calm_steps = max(1, round(config.limits.calm_s * config.mix.control_hz))
    return GatedFactory(learner, _gate(config, round_number, dataset, earlier), calm_steps)


def _gate(config: DaggerConfig, round_number: int, dataset: Dataset, earlier: Sequence[EpisodeHeader]) -> Gate:
    if config.gate == "expert":
        return ExpertGate(config.limits)
    if config.gate == "uncertainty":
        return UncertaintyGate(config.limits)
    # What was seen of this round so far, or else in the last one, says how rare is rare enough.
    seen = earlier or _of_round(dataset, round_number - 1)
    steps = float(np.mean([h.num_steps for h in seen])) if seen else 1.0
    episodes_left = max(config.episodes - len(earlier), EPISODES_AT_ONCE)
    share = (config.labels_per_round - _labels(earlier)) / (episodes_left * steps)
    values = [load_episode(h.path, keys=()).disagreement for h in seen]
    known = [value for value in values if value is not None]
    disagreement = np.concatenate(known) if known else np.zeros(0)
    return NoveltyGate(config.limits, novelty_threshold(disagreement, share), dataset.task_spec.max_turn_rad)


def _of_round(dataset: Dataset, round_number: int) -> list[EpisodeHeader]:
    """The episodes of a round, by seed."""
    return sorted(
        (h for h in dataset.episodes if h.meta.dagger_round == round_number), key=lambda header: header.meta.seed
    )


def _labels(headers: Sequence[EpisodeHeader]) -> int:
    return sum(header.num_labels for header in headers)


def _chunks(seeds: Sequence[int], size: int) -> list[Sequence[int]]:
    return [seeds[i : i + size] for i in range(0, len(seeds), size)]
