"""`forestpilot evaluate`: send policies through worlds they have never seen."""

from __future__ import annotations

from pathlib import Path

from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.scores import read_summary, results_table


def run(config: EvaluateConfig) -> None:
    """Evaluate, then print the table and the differences between the policies, world by world."""
    scores = evaluate(config, make_progress())
    print_table(results_table(scores), title=config.describe())
    for pair in read_summary(Path(config.out))["paired"]:
        print(
            f"{pair['second']} against {pair['first']} on the same {pair['worlds']} worlds: "
            f"{100 * pair['difference']:+.0f} points ({100 * pair['low']:+.0f} to {100 * pair['high']:+.0f})"
        )
    print(f"{config.out}/outcomes.csv")
    print(f"next: forestpilot report {config.out}    (one page, worst episodes first)")
    print(f"      forestpilot replay {config.out} --worst 3 --video videos/")


VERB = Verb(EvaluateConfig, run, resumes=True)
