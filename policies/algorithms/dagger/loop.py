"""DAgger (Ross, Gordon & Bagnell 2011, arXiv:1011.0686): the learner acts, the expert says what it should have done.

Read from top to bottom: a round's episodes, who drives in them, what of them is labelled. What every algorithm has in
common, the rounds, the training and the choice of the best, is told in `forestpilot.policies.algorithms.algorithm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.policies.algorithms.algorithm import Algorithm, RollIn, RollInStoppedError
from forestpilot.policies.algorithms.dagger.config import PRESETS, DaggerConfig
from forestpilot.policies.algorithms.dagger.failures import failures_again
from forestpilot.policies.algorithms.dagger.labels import count_labels, make_gate, trim_labels
from forestpilot.policies.algorithms.rounds import RoundResult
from forestpilot.policies.evaluation.pilots import EnsembleFactory, GatedFactory, PolicyFactory

if TYPE_CHECKING:
    from forestpilot.policies.training.shard_pool import ShardPool

EPISODES_AT_ONCE = 8
"""With a label budget, episodes between two looks at how many labels there are; the same for any number of workers, so
that the result is."""


class Dagger(Algorithm[DaggerConfig]):
    """DAgger, with gates that decide who gets help and what is labelled, and budgets of labels."""

    name = "dagger"
    title = "DAgger"
    Config = DaggerConfig
    PRESETS = PRESETS

    @property
    def members(self) -> int:
        """Policies trained side by side: several where the gate looks at how far they are apart."""
        return self.config.members

    def expert_share(self, round_number: int) -> float:
        """Beta, the probability that the expert acts in the episodes of a round."""
        return self.config.beta_of(round_number)

    def collect(self, round_number: int) -> None:
        """Record the round's episodes: the expert's in round 0, then those of the policy of the round before.

        Raises:
            RollInStoppedError: the human stopped before the round was full.
        """
        if round_number == 0:
            self.record(0, ExpertPilot)
        elif self.config.label_budget:
            self._spend_labels(round_number)
        else:
            self.record(round_number, self.pilot(round_number))
            self._replay_failures(round_number, self.config.seeds(round_number))
        if self.roll_in is not None:
            self._require_full(round_number)

    def _spend_labels(self, round_number: int) -> None:
        """Record some episodes at a time until the round's share of the labels is there."""
        share = self.config.labels_per_round
        seeds = self.config.seeds(round_number)
        for start in range(0, len(seeds), EPISODES_AT_ONCE):
            chunk = seeds[start : start + EPISODES_AT_ONCE]
            # Only earlier episodes count, so that a round that was interrupted ends where it would have ended.
            earlier = [header for header in self.episodes_of(round_number) if header.meta.seed < chunk[0]]
            if count_labels(earlier) >= share:
                break
            if not all(self.dataset.has(round_number, seed) for seed in chunk):
                self.record(round_number, self.pilot(round_number, earlier), chunk)
            self._replay_failures(round_number, chunk)
        trim_labels(self.dataset, self.episodes_of(round_number), share)

    def _replay_failures(self, round_number: int, seeds: Sequence[int]) -> None:
        """Record what should have been done before each crash in some worlds of the round, if that is asked for."""
        config = self.config
        if not config.replay_failures:
            return
        flown = [header for header in self.episodes_of(round_number) if header.meta.seed in seeds]
        pilot: PilotFactory = ExpertPilot
        if config.replay_pilot == "learner":
            pilot = self.pilot(round_number)
        self.record_again(
            round_number, pilot, failures_again(flown, config.replay_seconds), Rerun(1, config.replay_weight)
        )

    def _require_full(self, round_number: int) -> None:
        """Raise RollInStoppedError where a human has left episodes of the round."""
        seeds = self.config.seeds(round_number)
        missing = sum(not self.dataset.has(round_number, seed) for seed in seeds)
        if missing:
            raise RollInStoppedError(f"stopped in round {round_number} with {missing} of {len(seeds)} episodes to go")

    def pilot(self, round_number: int, earlier: Sequence[EpisodeHeader] = ()) -> PilotFactory:
        """Who drives in the next episodes of a round after the first: the policy of the round before, with help.

        Args:
            round_number: the round.
            earlier: episodes of it that count already.
        """
        config = self.config
        name = f"round-{round_number - 1:02d}"
        folders = tuple(str(self.member_folder(round_number - 1, member)) for member in range(self.members))
        if not config.gate_class.judges:
            # Beside a human the policy drives alone: the schedule of beta is then the indicator's.
            return PolicyFactory(folders[0], name, self.expert_share(round_number))
        learner: PilotFactory = PolicyFactory(folders[0], name)
        if len(folders) > 1:
            learner = EnsembleFactory(folders, name)
        before = self.episodes_of(round_number - 1)
        gate = make_gate(config, self.policy.spec, earlier, before)
        return GatedFactory(learner, gate)


def run_dagger(
    config: DaggerConfig,
    progress: Progress | None = None,
    pool: RolloutPool | None = None,
    roll_in: RollIn | None = None,
    run: Run | None = None,
    shard_pool: ShardPool | None = None,
) -> list[RoundResult]:
    """Run all rounds, or those that an interrupted run has left; the best policy lies in `config.out` afterwards.

    Args:
        config: what to do.
        progress: who watches.
        pool: who runs episodes; by default one is made.
        roll_in: runs episodes with a human, for the gate `human`.
        run: the run that this is a part of, claimed already; by default `config.out` is claimed for this one.
        shard_pool: computes gradients; by default one is made.

    Returns:
        One result per round.

    Raises:
        RunError: the run folder belongs to another config.
        RollInStoppedError: the human stopped in the middle of a round.
        ValueError: the gate is `human` and there is nobody; or there is nothing that the policy's head could learn.
    """
    return Dagger(config, progress, roll_in).run(pool, run, shard_pool)
