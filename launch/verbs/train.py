"""`forestpilot train`: behavioural cloning from datasets on disk."""

from __future__ import annotations

from forestpilot.data_collection.episodes.fingerprint import told
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cores import usable_cores


def run(config: TrainConfig) -> None:
    """Train, then print where the policy lies."""
    from forestpilot.policies.networks.checkpoint import describe_policy
    from forestpilot.policies.training.ranks import Ranks, started_by_torchrun
    from forestpilot.policies.training.shard_pool import ShardPool

    with Ranks(config.device) if started_by_torchrun() else ShardPool(usable_cores()) as pool:
        if isinstance(pool, Ranks) and pool.rank:
            pool.help()
            return
        policy = clone(config, make_progress(), pool)
    trained_on = describe_policy(config.out)["extra"].get("data")
    on_what = f" on {told(trained_on)}" if trained_on else ""
    print(f"{config.out}: a policy of {policy.num_parameters} parameters, trained for {config.steps} steps{on_what}")
    print(f"next: forestpilot evaluate --task {policy.spec.task} --policy {config.out} --out {config.out}/evaluation")


VERB = Verb(TrainConfig, run, resumes=True)
