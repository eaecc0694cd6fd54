"""Behavioural cloning: a policy fitted to the labels of datasets on disk."""

from __future__ import annotations

from forestpilot.data_collection.episodes.dataset import Dataset, require_one_task
from forestpilot.data_collection.rollouts.progress import Progress, SilentProgress
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.loop import make_reader, require_costs, train
from forestpilot.policies.training.run import Run
from forestpilot.policies.training.train_config import TrainConfig


def clone(config: TrainConfig, progress: Progress | None = None) -> VisuomotorPolicy:
    """Behavioural cloning from datasets on disk: a new policy, trained and saved in `config.out` for `load_policy`.

    Raises:
        ValueError: no dataset is given, or it has nothing that the policy's head could learn from.
        RunError: the run folder belongs to another config.
        CheckpointError: the run folder holds a damaged state.
        DatasetError: a dataset cannot be used.
    """
    if not config.data:
        raise ValueError("data names no dataset; give at least one folder, for example --data DATASET")
    progress = progress or SilentProgress()
    datasets = [Dataset.open(folder) for folder in config.data]
    policy = VisuomotorPolicy.seeded(config.policy, require_one_task(datasets), config.seed)
    reader = make_reader(policy, datasets, config)
    require_costs(policy, reader)
    run = Run.claim(config.out, "train", config)
    progress.note(reader.describe())
    result = train(policy, reader, config, config.out, progress=progress)
    save_policy(
        config.out, policy, {"trained_by": "behavioural cloning", "steps": config.steps, "figures": result.figures}
    )
    run.record()
    reader.close()
    return policy
