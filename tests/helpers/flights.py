"""Short flights through real forests, recorded in no time: what a model of the world needs is simulated again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.sim.tasks import TASKS


def record_flights(folder: Path, worlds: Iterable[int], steps: int) -> Dataset:
    """A dataset of flights of so many steps, with turns of all kinds."""
    task = TASKS.get("drone")
    rng = np.random.default_rng(0)
    for seed in worlds:
        recorder = EpisodeRecorder("drone", ScenarioMix().scenario(seed, task), expert=False, record=True)
        dataset = Dataset.create(folder, recorder.env.task_spec, task.bare_env_id)
        for _ in range(steps):
            recorder.step(np.array([rng.uniform(-0.4, 0.4), 1.0]), ACTOR_EXPERT)
        dataset.add(recorder.episode("expert"))
        recorder.close()
    return dataset
