"""Videos that a run learns from: datasets that it is given, and the expert's flights or drives that it films itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.remote import COPIES, Room, fetched
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.recorder import NO_VIEWPOINT
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.sim.viewpoints.viewpoint import ViewpointConfig


def open_videos(algorithm: Algorithm[Any], places: Sequence[str], keys: Sequence[str]) -> list[Dataset]:
    """Datasets at folders or addresses, checked before anything is flown.

    Args:
        algorithm: that is to learn from them.
        places: where they are.
        keys: observations that are read of them.

    Raises:
        DatasetError: one is missing, empty, of another task, or lacks what is read.
    """
    copies = Room(algorithm.folder / COPIES, int(algorithm.config.train.remote_gb * 1e9))
    datasets = [Dataset.open(folder) for folder in fetched(places, copies, algorithm.progress)]
    for dataset in datasets:
        require_same_task(algorithm.policy.spec, dataset.task_spec, f"the dataset in {dataset.folder}")
        if not len(dataset):
            raise DatasetError(f"{dataset.folder} has no episode to look at; record or import some first")
        dataset.require(keys, "this policy")
    return datasets


def film_expert(
    algorithm: Algorithm[Any], videos: Dataset, seeds: Sequence[int], viewpoint: ViewpointConfig = NO_VIEWPOINT
) -> None:
    """Record the expert in some worlds without its actions, where that is not there yet.

    Args:
        algorithm: that is to learn from it.
        videos: where it is filed.
        seeds: of the worlds.
        viewpoint: where a third camera stands, if one does.
    """
    config = algorithm.config
    scenarios = tuple(config.mix.scenario(seed, algorithm.task) for seed in seeds if not videos.has(0, seed))
    if scenarios:
        folder = str(videos.folder)
        job = Job(config.task, scenarios, ExpertPilot, dataset=folder, actions=False, viewpoint=viewpoint)
        algorithm.pool.run(job, algorithm.progress, "film the expert")
        videos.refresh()
