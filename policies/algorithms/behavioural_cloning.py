"""Behavioural cloning: a policy fitted to what an expert, or a human, would do in states that they came to themselves.

`clone` does it with datasets that are there; the algorithm `bc` demonstrates, clones and validates, and with more than
one round does so again with more demonstrations.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset, require_one_task
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.training.shard_pool import ShardPool


@dataclass(frozen=True)
class BehaviouralCloningConfig(AlgorithmConfig):
    """Demonstrate and clone; killed or interrupted, the same command goes on where it stopped."""

    out: str = not_the_result("runs/bc")
    """Run folder."""
    rounds: int = 0
    """Further rounds, each with more demonstrations of the expert's."""


class BehaviouralCloning(Algorithm[BehaviouralCloningConfig]):
    """Behavioural cloning: the expert drives in every round, and the policy is fitted to all that it did."""

    name = "bc"
    title = "behavioural cloning"
    Config = BehaviouralCloningConfig

    def collect(self, round_number: int) -> None:
        """Record the expert's episodes of a round."""
        self.record(round_number, ExpertPilot)

    def expert_share(self, round_number: int) -> float:
        """The expert acts in all episodes."""
        return 1.0


def clone(config: TrainConfig, progress: Progress | None = None, pool: ShardPool | None = None) -> VisuomotorPolicy:
    """Behavioural cloning from datasets on disk: a new policy, trained and saved in `config.out` for `load_policy`.

    Args:
        config: how.
        progress: who watches.
        pool: processes that compute side by side; by default this process computes all.

    Raises:
        ValueError: no dataset is given, or it has nothing that the policy's head could learn from.
        RunError: the run folder belongs to another config.
        CheckpointError: the run folder holds a damaged state.
        DatasetError: a dataset cannot be used.
    """
    from forestpilot.policies.networks.checkpoint import save_policy
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.training.loop import make_reader, require_costs, train

    if not config.data:
        raise InvalidArgumentError("data names no dataset; give at least one folder, for example --data DATASET")
    progress = progress or SilentProgress()
    datasets = [Dataset.open(folder) for folder in config.data]
    policy = VisuomotorPolicy.seeded(config.policy, require_one_task(datasets), config.seed)
    with closing(make_reader(policy, datasets, config, usable_cores(), progress)) as reader:
        require_costs(policy, reader)
        run = Run.claim(config.out, "train", config)
        progress.note(reader.describe())
        result = train(policy, reader, config, config.out, progress=progress, pool=pool)
    save_policy(
        config.out, policy, {"trained_by": "behavioural cloning", "steps": config.steps, "figures": result.figures}
    )
    run.record()
    return policy
