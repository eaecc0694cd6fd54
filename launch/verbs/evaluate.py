"""`forestpilot evaluate`: send policies through worlds they have never seen."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.gap import ImitationGap
from forestpilot.policies.evaluation.offline_scores import (
    CSV_FILE,
    JSON_FILE,
    THRESHOLD,
    describe_classes,
    offline_table,
)
from forestpilot.policies.evaluation.scores import read_summary, results_table
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range

OFFLINE_FIELDS = ("policy", "out", "task", "workers", "pool", "options")
"""Settings that offline figures share with evaluations, or that are no matter there."""


@dataclass(frozen=True)
class Config(EvaluateConfig):
    """Fly or drive policies through test worlds; killed or interrupted, the same command goes on where it stopped."""

    imitation_gap: bool = True
    """Tell how far each policy's return falls short of the expert's, world by world. The expert goes through the same
    worlds for it, where it is not among the policies; its episodes lie in the folder `expert`."""
    offline: tuple[str, ...] = ()
    """Datasets of demonstrations that the policies have not learned from. With them nothing is flown or driven: at each
    step the policy is asked what it would do, and held against the demonstrator."""
    offline_threshold: Annotated[float, Range(0, 1, below=True)] = THRESHOLD
    """With offline: turn, as a share of the largest, beyond which it counts as left or right instead of straight; 0.25
    is 15 degrees for the drone, as in Giusti et al. 2016."""

    remote_gb: Annotated[float, Range(0, 1_000_000, above=True)] = 20.0
    """With offline: bound of the copies of datasets that are named by an address (s3://..., whatever fsspec reads),
    GB."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "offline", tuple(self.offline))
        super().__post_init__()
        if not self.offline:
            return
        for field in fields(EvaluateConfig):
            given = getattr(self, field.name)
            if field.name not in OFFLINE_FIELDS and given != getattr(Config, field.name, given):
                raise InvalidArgumentError(
                    f"{field.name} is {given}, which says how worlds are run, and with offline none are; leave one out"
                )

    @property
    def evaluation(self) -> EvaluateConfig:
        """The evaluation that is asked for."""
        return EvaluateConfig(**{field.name: getattr(self, field.name) for field in fields(EvaluateConfig)})


def run(config: Config) -> None:
    """Evaluate, then print the table, and world by world the policies' differences and their gaps to the expert."""
    if config.offline:
        _run_offline(config)
        return
    scores = evaluate(config.evaluation, make_progress())
    print_table(results_table(scores), title=config.describe())
    summary = read_summary(Path(config.out))
    for pair in summary["paired"]:
        print(
            f"{pair['second']} against {pair['first']} on the same {pair['worlds']} worlds: "
            f"{100 * pair['difference']:+.0f} points ({100 * pair['low']:+.0f} to {100 * pair['high']:+.0f})"
        )
    for gap in map(ImitationGap.from_values, summary.get("imitation_gap", ())):
        print(
            f"{gap.policy} against the expert on the same {gap.worlds} worlds: imitation gap {gap.words}; returns "
            f"{gap.policy_return:.1f} of {gap.expert_return:.1f}"
        )
    print(f"{config.out}/outcomes.csv")
    print(f"next: forestpilot report {config.out}    (one page, worst episodes first)")
    print(f"      forestpilot replay {config.out} --worst 3 --video videos/")


def _run_offline(config: Config) -> None:
    """Hold the policies against demonstrations, then print the table and what its figures are."""
    from forestpilot.policies.evaluation.offline import evaluate_offline

    threshold = config.offline_threshold
    scores = evaluate_offline(config.policy, config.offline, config.out, threshold, make_progress(), config.remote_gb)
    print_table(offline_table(scores), title=describe_classes(scores[0]))
    print("95 % intervals: bootstrap over the demonstrations. Precision, recall and F1: mean over the classes.")
    print(f"{config.out}/{CSV_FILE}")
    print(f"{config.out}/{JSON_FILE}")


VERB = Verb(Config, run, resumes=True)
