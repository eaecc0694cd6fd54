"""Policies by whatever name: replayed, reported and gone on with as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.launch.films.replay_config import ReplayConfig
from forestpilot.launch.reading.evaluations import read_evaluation
from forestpilot.launch.verbs.replay import replay_evaluation
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.views import ViewConfig
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
from forestpilot.sim.tasks.drone import DRONE


class Nobody:
    """A pool that has nothing to do."""

    workers = 1

    def run(self, job: Any, progress: Any, name: str) -> None:
        pytest.fail(f"{name}: everything is there already")


def test_named_and_repeated_policies_are_replayed_reported_and_gone_on_with(tmp_path: Path) -> None:
    spec = task_spec_of(DRONE, ScenarioMix(width=32, height=24))
    runs = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    for seed, run in enumerate(runs):
        save_policy(run, VisuomotorPolicy.seeded(PolicyConfig(view=ViewConfig(16, 32)), spec, seed))
    policies = ("eyes=blind", "blind", "blind", *map(str, runs))
    config = EvaluateConfig(policies, str(tmp_path / "all"), episodes=1, speed=10.0, workers=1, width=32, height=24)
    names = ["eyes", "blind", "blind-2", "run", "run-2"]
    assert [score.policy for score in evaluate(config)] == names

    replayed = list(replay_evaluation(ReplayConfig(tmp_path / "all", workers=1)))
    assert [row.policy for each in replayed for row in each.outcomes] == names
    read = read_evaluation(tmp_path / "all")
    acted = {name: (facts.policy_path, facts.trained) for name, facts in read.facts.items()}
    assert not read.notes and acted == {
        **dict.fromkeys(names[:3], ("blind", False)),
        **{name: (str(run), True) for name, run in zip(names[3:], runs)},
    }
    assert read.facts["run"].fingerprint != read.facts["run-2"].fingerprint
    assert [score.policy for score in evaluate(config, pool=Nobody())] == names  # type: ignore[arg-type]

    (tmp_path / "all" / "episodes" / "eyes-02000000.npz").unlink()
    assert not read_evaluation(tmp_path / "all").facts["eyes"].trained, "summary.json tells as well"
