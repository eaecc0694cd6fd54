"""Studies whose gradients are computed by processes that live as long as the study, for its policies are small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.launch.reading.study_results import StudyResult
from forestpilot.launch.studies.study import ArmT, ConfigT, Study

if TYPE_CHECKING:
    from forestpilot.policies.training.shard_pool import ShardPool


class ShardedStudy(Study[ConfigT, ArmT]):
    """A study that trains with `_shards`, which are there while it runs."""

    _shards: ShardPool | None = None

    def run(self, progress: Progress | None = None, pool: RolloutPool | None = None) -> StudyResult:
        """See `Study.run`."""
        from forestpilot.policies.training.shard_pool import ShardPool  # imports torch

        with ShardPool(self.config.workers) as self._shards:
            return super().run(progress, pool)
