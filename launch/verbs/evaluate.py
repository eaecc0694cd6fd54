"""`forestpilot evaluate`: send policies through worlds they have never seen."""

from __future__ import annotations

import json
from pathlib import Path

from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import format_density, print_table
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.scores import results_table
from forestpilot.policies.training.run import Run


def run(config: EvaluateConfig) -> None:
    """Evaluate, then print the table and the differences between the policies, world by world."""
    with Run(Path(config.out), "evaluate", config).recording():
        scores = evaluate(config, make_progress())
    print_table(results_table(scores), title=worlds_of(config))
    for pair in json.loads((Path(config.out) / "summary.json").read_text(encoding="utf-8"))["paired"]:
        print(
            f"{pair['second']} against {pair['first']} on the same {pair['worlds']} worlds: "
            f"{100 * pair['difference']:+.0f} points ({100 * pair['low']:+.0f} to {100 * pair['high']:+.0f})"
        )
    print(
        f"{config.out}/outcomes.csv\nnext: forestpilot report {config.out}    (one page, worst episodes first)\n"
        f"      forestpilot replay {config.out} --worst 3 --video videos/"
    )


def worlds_of(config: EvaluateConfig) -> str:
    """In which worlds, in words."""
    speed = f"{config.speed_mps:g} m/s"
    if config.task == "drone":
        forest = "" if config.worlds == "default" else f"{config.worlds} "
        return f"{config.episodes} {forest}{config.split} worlds, {speed}, {format_density(config.density)} trees/m2"
    rule = {"line": "put back when 1 m off the line", "road": "put back when off the road", "none": "no interventions"}
    return f"{config.episodes} {config.worlds} {config.split} roads, {speed}, {rule[config.interventions]}"


VERB = Verb(EvaluateConfig, run, resumes=True)
