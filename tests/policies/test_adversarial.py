"""Adversarial imitation end to end on tiny budgets."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.policies.algorithms.adversarial.config import AdversarialConfig
from forestpilot.policies.algorithms.adversarial.loop import Adversarial
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.networks.memories.options import LSTMConfig
from forestpilot.policies.reinforcement.actor_critic import Actor
from forestpilot.policies.reinforcement.adversaries.frames import expert_frames
from forestpilot.policies.reinforcement.adversaries.options import AIRLConfig, GAILConfig, SQILConfig
from forestpilot.policies.reinforcement.adversaries.reward import log_prob_of
from forestpilot.policies.reinforcement.sac_options import SACConfig
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.errors import InvalidArgumentError
from tests.policies.test_dagger import TINY_MIX
from tests.policies.test_reinforce import TINY_POLICY, TINY_PPO

TINY_GAIL = GAILConfig(features=8, batch=8, steps=2)


def tiny(out: Path, **changes: Any) -> AdversarialConfig:
    values: dict[str, Any] = {
        "rounds": 1, "steps": 48, "validation_episodes": 1, "workers": 1, "mix": TINY_MIX, "expert_episodes": 2,
        "first_steps": 2, "method": dataclasses.replace(TINY_PPO, warm_up=0), "adversary": TINY_GAIL,
    }  # fmt: skip
    train = dataclasses.replace(AdversarialConfig().train, policy=TINY_POLICY, tensorboard=False, batch_windows=4)
    return AdversarialConfig(out=str(out), train=train, **{**values, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> AdversarialConfig:
    """A finished run."""
    config = tiny(tmp_path_factory.mktemp("adversarial") / "run")
    Adversarial(config).run(RolloutPool(1))
    return config


def test_each_update_says_what_the_discriminator_tells_right_and_rewards(finished: AdversarialConfig) -> None:
    rows = list(csv.DictReader((Path(finished.out) / "metrics.csv").open()))
    names = ("expert_accuracy", "learner_accuracy", "expert_reward", "learner_reward", "absorbing_reward")
    last = {name: float(rows[-1][f"adversarial_{name}"]) for name in names}
    assert 0 <= last["expert_accuracy"] <= 1 and 0 <= last["learner_accuracy"] <= 1
    assert np.isfinite(list(last.values())).all() and "training_crashes" in rows[-1]
    told = json.loads((Path(finished.out) / "rounds/round-01/training.json").read_text())
    assert set(told["terms"]) == {"adversarial"}


@pytest.mark.parametrize("told", [np.nan, 1000.0])
def test_the_environment_s_reward_is_not_read(
    finished: AdversarialConfig, told: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in an environment whose reward is no number, or anything, comes to the same policy, to the last bit."""
    rng = np.random.default_rng(0)
    terms = VehicleEnv.reward_terms
    monkeypatch.setattr(VehicleEnv, "reward_terms", lambda env: dict.fromkeys(terms(env), told * rng.normal()))
    # The expert's episodes hold the reward that was recorded with them, which must be a number: they are given.
    mine = tiny(tmp_path / "run", expert_episodes=0, demonstrations=(f"{finished.out}/dataset",))
    Adversarial(mine).run(RolloutPool(1))
    folder = "rounds/round-01"
    ours, theirs = (load_policy(Path(out) / folder).state_dict() for out in (mine.out, finished.out))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    first = load_policy(Path(finished.out) / "rounds/round-00").state_dict()
    assert any(not np.array_equal(first[name], theirs[name]) for name in theirs), "nothing was learned at all"


def test_it_begins_with_a_policy_that_is_given_or_with_random_weights(
    finished: AdversarialConfig, tmp_path: Path
) -> None:
    given = tiny(tmp_path / "given", start=finished.out, rounds=0)
    Adversarial(given).run(RolloutPool(1))
    ours, theirs = (load_policy(out).state_dict() for out in (given.out, finished.out))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    scratch = Adversarial(tiny(tmp_path / "scratch", first_steps=0, rounds=0))
    random = {name: tensor.clone() for name, tensor in scratch.policy.state_dict().items()}
    scratch.run(RolloutPool(1))
    ours = load_policy(tmp_path / "scratch").state_dict()
    assert all(np.array_equal(ours[name], random[name]) for name in random) and not scratch.is_given


def test_the_learner_is_asked_how_likely_it_is_to_do_what_was_done(finished: AdversarialConfig) -> None:
    """By chunks as by single frames, and likelier what it would do itself."""
    run = Adversarial(finished)
    frames = expert_frames([Dataset.open(f"{finished.out}/dataset")], run.policy, 0.9)
    actor = Actor(run.policy.eval(), 0.3)
    found = log_prob_of(actor, frames)
    assert found.shape == (len(frames),) and np.isfinite(found).all()
    alone = dataclasses.replace(frames, **{n: getattr(frames, n)[7:8] for n in ("views", "state", "goal", "actions")})
    assert frames.previous_turn is not None
    alone = dataclasses.replace(alone, previous_turn=frames.previous_turn[7:8])
    assert log_prob_of(actor, alone)[0] == pytest.approx(found[7], abs=1e-4)


def test_sqil_earns_for_what_was_demonstrated_and_for_nothing_else(tmp_path: Path) -> None:
    """Steps of the expert's earn 1 - discount and its ends all that could come, its own nothing, its ends neither."""
    sac = SACConfig(
        environments=2, batch=4, first_steps=8, updates=1, critic_layers=(8,), buffer_mb=1.0, warm_up=0, discount=0.9
    )
    run = Adversarial(tiny(tmp_path / "run", adversary=SQILConfig(), method=sac, steps=24))
    learners = []
    made = run._make_learner
    run._make_learner = lambda: learners.append(made()) or learners[-1]  # type: ignore[method-assign, func-returns-value]
    run.run(RolloutPool(1))
    (learner,) = learners
    shown = learner.demonstrations
    rows = np.flatnonzero(shown.next_row >= 0)
    earned = learner.demonstration_reward(shown, rows)
    ended = shown.terminated[rows]
    assert earned[~ended] == pytest.approx(0.1) and earned[ended] == pytest.approx(0.1 + 0.9) and ended.any()
    own = np.flatnonzero(learner.own.next_row >= 0)
    learner.own.terminated[own[:3]] = True
    assert len(own) >= 24 and not learner.own_reward(learner.own, own).any(), "an end is worth no more than going on"
    told = json.loads((tmp_path / "run/rounds/round-01/training.json").read_text())
    assert told["terms"] == {"sqil": 0.0}


def test_a_policy_with_a_memory_is_refused_where_frames_are_asked_about_one_by_one(tmp_path: Path) -> None:
    policy = dataclasses.replace(TINY_POLICY, memory=LSTMConfig(), window=2)
    config = tiny(tmp_path / "run", adversary=AIRLConfig())
    with pytest.raises(InvalidArgumentError, match="--adversary gail"):
        Adversarial(dataclasses.replace(config, train=dataclasses.replace(config.train, policy=policy)))
    assert not (tmp_path / "run").exists()


def test_a_damaged_adversary_is_made_again(finished: AdversarialConfig, tmp_path: Path) -> None:
    shutil.copytree(finished.out, tmp_path / "run")
    state = tmp_path / "run/rounds/round-01/learner/adversary.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[:-1])
    again = dataclasses.replace(finished, out=str(tmp_path / "run"))
    Adversarial(again).run(RolloutPool(1))
    assert state.read_bytes() == whole


def test_the_learner_can_be_kept_to_the_worlds_that_were_demonstrated(
    finished: AdversarialConfig, tmp_path: Path
) -> None:
    """The same worlds, at the speeds at which they were flown, in every slot."""
    told = {}
    shown_in = (f"{finished.out}/dataset",)
    for worlds in ("new", "demonstrated"):
        run = Adversarial(tiny(tmp_path / worlds, worlds=worlds, expert_episodes=0, demonstrations=shown_in))
        run.dataset = run.demonstrations[0]
        where = run._worlds()
        told[worlds] = [where.scenario(1, slot, count) for slot in range(4) for count in range(4)]
        assert told[worlds] == [where.scenario(1, slot, count) for slot in range(4) for count in range(4)]
    shown = {header.meta.seed: header.meta.env_kwargs for header in run.demonstrations[0].episodes}
    assert {scenario.seed for scenario in told["demonstrated"]} == set(shown)
    assert all(scenario.env_kwargs == shown[scenario.seed] for scenario in told["demonstrated"])
    assert not {scenario.seed for scenario in told["new"]} & set(shown)
