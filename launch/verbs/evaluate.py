"""`forestpilot evaluate`: send policies through worlds they have never seen."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.gap import ImitationGap
from forestpilot.policies.evaluation.scores import read_summary, results_table


@dataclass(frozen=True)
class Config(EvaluateConfig):
    """Fly or drive policies through test worlds; killed or interrupted, the same command goes on where it stopped."""

    imitation_gap: bool = True
    """Tell how far each policy's return falls short of the expert's, world by world. The expert goes through the same
    worlds for it, where it is not among the policies; its episodes lie in the folder `expert`."""

    @property
    def evaluation(self) -> EvaluateConfig:
        """The evaluation that is asked for."""
        return EvaluateConfig(**{field.name: getattr(self, field.name) for field in fields(EvaluateConfig)})


def run(config: Config) -> None:
    """Evaluate, then print the table, and world by world the policies' differences and their gaps to the expert."""
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


VERB = Verb(Config, run, resumes=True)
