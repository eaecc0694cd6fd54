"""DAgger that replays failures: each crash begins again some seconds earlier, in that very state."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.sim.outcomes import CRASHES
from tests.policies.test_dagger import TINY_MIX, tiny

SECONDS = 0.7
LEFT_OUT = 7


def replaying(out: Path, **changes: object) -> DaggerConfig:
    """A learner that learns nothing in a dense forest, so that it crashes."""
    values = {"rounds": 1, "first_steps": 2, "steps": 2, "last_steps": 2, "validation_episodes": 1, "episodes": 4}
    values |= {"expert_episodes": 1, "replay_failures": True, "replay_seconds": SECONDS, "replay_weight": 3.0}
    values |= {"mix": dataclasses.replace(TINY_MIX, control_hz=10)}
    return tiny(out, **{**values, **changes})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DaggerConfig:
    config = replaying(tmp_path_factory.mktemp("failures") / "run")
    run_dagger(config)
    return config


def flown(config: DaggerConfig) -> tuple[list[EpisodeHeader], list[EpisodeHeader]]:
    """Headers of the learner's own episodes that crashed, and of those that began again."""
    later = [h for h in Dataset.open(Path(config.out) / "dataset").episodes if h.meta.dagger_round == 1]
    crashed = [h for h in later if not h.rerun.take and h.meta.outcome in CRASHES]
    return crashed, [h for h in later if h.rerun.take]


def test_each_crash_begins_again_in_the_state_some_seconds_before(run: DaggerConfig) -> None:
    crashed, again = flown(run)
    assert crashed and [h.meta.seed for h in again] == [h.meta.seed for h in crashed]
    for before, after in zip(crashed, again, strict=True):
        old, new = load_episode(before.path), load_episode(after.path)
        start = max(0, before.num_steps - LEFT_OUT)
        for key, seen in new.observations.items():
            assert np.array_equal(seen[0], old.observations[key][start])
        assert (new.actor == ACTOR_EXPERT).all() and new.meta.policy_id == "expert"
        assert new.rerun == Rerun(1, 3.0) and new.expert_actions is not None


def test_killed_between_the_crash_and_its_replay_it_comes_to_the_same(run: DaggerConfig, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.out, folder)
    for path in (folder / "dataset" / "episodes").glob("*-t1.hdf5"):
        path.unlink()
    shutil.rmtree(folder / "rounds" / "round-01")
    shutil.rmtree(folder / "checkpoints")
    for name in ("policy.json", "policy.safetensors", "rounds.csv"):
        (folder / name).unlink()
    run_dagger(replaying(folder))
    ours = load_policy(Path(run.out) / "rounds" / "round-01").state_dict()
    theirs = load_policy(folder / "rounds" / "round-01").state_dict()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_label_budget_holds_for_replayed_failures_too(tmp_path: Path) -> None:
    config = replaying(tmp_path / "run", label_budget=40, replay_weight=1.0)
    results = run_dagger(config)
    assert results[1].labels - results[0].labels == 40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replay_seconds": 0.0}, "replay_seconds is 0.0; allowed: above 0"),
        ({"replay_seconds": float("nan")}, "replay_seconds is nan"),
        ({"replay_weight": -1.0}, "replay_weight is -1.0"),
        ({"replay_failures": False}, "replay_seconds has no effect without replay_failures"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        DaggerConfig(out=str(tmp_path), **{"replay_failures": True, "replay_seconds": 1.0, **changes})
