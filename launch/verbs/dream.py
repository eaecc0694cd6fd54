"""`forestpilot dream`: learn a policy inside a model of the world."""

from __future__ import annotations

from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.policies.world_models.dreams.options import DreamConfig


def run(config: DreamConfig) -> None:
    """Learn, say what the last round came to, and what flies with the policy."""
    from forestpilot.policies.world_models.dreams.training import dream

    dreamed = dream(config, make_progress())
    print("last round: " + ", ".join(f"{name} {value:.3g}" for name, value in dreamed.figures.items()))
    task = dreamed.model.spec.task
    print(f"next: forestpilot evaluate --task {task} --policy {config.out} --out {config.out}/evaluation")


VERB = Verb(DreamConfig, run, resumes=True)
