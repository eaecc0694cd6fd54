"""DAgger with gates, end to end on tiny budgets: what is labelled, how many labels, who drove."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.gates import GATES
from forestpilot.data_collection.rollouts.gates.human import HumanGateConfig
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.policies.algorithms.algorithm import RollInStoppedError
from forestpilot.policies.algorithms.dagger.config import PRESETS, DaggerConfig
from forestpilot.policies.algorithms.dagger.labels import make_gate, trim_labels
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.algorithms.rounds import RoundResult
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.networks.heads.mixture import MixtureConfig
from forestpilot.policies.networks.heads.regression import RegressionConfig
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.batches import Place, draw
from forestpilot.policies.training.loop import make_reader, train
from forestpilot.sim.tasks import NoOptions
from tests.policies.test_dagger import TINY_MIX, TINY_TRAIN, assert_same_weights, tiny

FOR_ACTIONS = dataclasses.replace(TINY_TRAIN, policy=dataclasses.replace(TINY_TRAIN.policy, head=MixtureConfig()))
"""A human gives actions, no costs."""
LONG_MIX = dataclasses.replace(TINY_MIX, control_hz=10, options=NoOptions())
"""Flights of more than 40 steps."""
BUDGET = 16
"""Labels in each later round."""


def gated(out: Path, gate: str, **changes) -> DaggerConfig:
    values = {"label_budget": 2 * BUDGET, "most_episodes": 16, "ensemble": 2}
    values |= {"first_steps": 10, "validation_episodes": 1, "gate": GATES.get(gate).Config()}
    return tiny(out, **{**values, **changes})


def episodes_of(config: DaggerConfig, round_number: int) -> list[Episode]:
    headers = Dataset.open(Path(config.out) / "dataset").episodes
    return [load_episode(h.path) for h in headers if h.meta.dagger_round == round_number]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Callable[[str], tuple[DaggerConfig, list[RoundResult]]]:
    """Runs DAgger with a gate, each once: (config, results)."""

    @functools.cache
    def run_once(gate: str) -> tuple[DaggerConfig, list[RoundResult]]:
        config = gated(tmp_path_factory.mktemp(gate) / "run", gate)
        return config, run_dagger(config)

    return run_once


@pytest.fixture(scope="module", params=["none", "expert", "uncertainty", "budget"])
def run(request, finished):
    """A finished run with a gate: (config, results)."""
    return finished(request.param)


def test_no_round_has_more_labels_than_its_share(run):
    config, results = run
    new = np.diff([r.labels for r in results])
    assert (new <= BUDGET).all()
    assert new[-1] > 0
    if config.gate.part in ("none", "expert"):
        assert (new == BUDGET).all(), "a round flies on until its share is spent"


def test_what_nobody_asked_for_is_not_on_disk(run):
    config, _ = run
    for number in (1, 2):
        for episode in episodes_of(config, number):
            silent = ~episode.labelled_steps
            assert not episode.expert_actions[silent].any() and not episode.expert_costs[silent].any()
            helped = episode.actor == ACTOR_EXPERT
            if config.gate.part in ("expert", "budget"):
                assert not (episode.labelled_steps & ~helped).any()
            if config.gate.part in ("none", "uncertainty"):
                assert not helped.any()


def test_figures_tell_who_drove(run):
    config, results = run
    actors = [e.actor for number in (1, 2) for e in episodes_of(config, number)]
    assert results[0].visited == results[0].takeovers == 0, "demonstrations are not counted"
    assert results[-1].visited == sum(map(len, actors))
    assert results[-1].intervention_steps == sum(int((a == ACTOR_EXPERT).sum()) for a in actors)
    assert (results[-1].intervention_steps > 0) == (config.gate.part in ("expert", "budget"))
    if results[-1].intervention_steps:
        assert 0 < results[-1].takeovers <= results[-1].intervention_steps


def test_run_again_it_changes_nothing(run):
    config, results = run
    assert run_dagger(config) == results


def test_an_ensemble_is_of_different_policies_and_its_disagreement_is_recorded(run):
    config, _ = run
    members = list((Path(config.out) / "rounds" / "round-01").glob("member-*/policy.safetensors"))
    recorded = [e.disagreement for e in episodes_of(config, 1)]
    if config.gate.part in ("none", "expert"):
        assert not members and all(values is None for values in recorded)
    else:
        assert len(members) == 1
        assert all(len(values) and (values > 0).any() for values in recorded)


def test_the_result_does_not_depend_on_where_the_run_was_interrupted(finished, tmp_path, monkeypatch):
    whole, expected = finished("budget")
    halved = gated(tmp_path / "halved", "budget")
    put, calls = Dataset.put, iter(range(100))

    def dies_in_the_second_round(self, packed):
        if packed.name.startswith("r0002") and next(calls) == 3:
            raise RuntimeError("killed")
        return put(self, packed)

    monkeypatch.setattr(Dataset, "put", dies_in_the_second_round)
    with pytest.raises(RuntimeError, match="killed"):
        run_dagger(halved)
    monkeypatch.undo()
    assert run_dagger(halved) == expected
    for name in ("rounds/round-02", "rounds/round-02/member-1"):
        assert_same_weights(Path(whole.out) / name, Path(halved.out) / name)


def test_windows_are_drawn_around_labels(tmp_path):
    spec_from = collect(CollectConfig(out=str(tmp_path / "d"), episodes=2, workers=1, mix=LONG_MIX))
    for header in spec_from.episodes:
        episode = load_episode(header.path)
        labelled = np.zeros(episode.num_steps, bool)
        labelled[11] = True
        spec_from.replace(dataclasses.replace(episode, labelled=labelled))
    reader = WindowReader([Dataset.open(tmp_path / "d")], 4)
    assert reader.num_labels == 2
    batch = reader.sample(400, np.random.default_rng(0))
    assert (batch.mask.sum(axis=1) == 1).all()
    assert (batch.mask.sum(axis=0) > 60).all(), "the label may stand anywhere in its window"


def by_hand(folder: Path) -> Dataset:
    """Three episodes without anybody's answers, as a human's are."""
    dataset = collect(CollectConfig(out=str(folder), episodes=3, workers=1, mix=TINY_MIX, seed=500))
    for header in dataset.episodes:
        episode = load_episode(header.path)
        human = np.full_like(episode.actor, ACTOR_HUMAN)
        dataset.replace(dataclasses.replace(episode, actor=human, expert_actions=None, expert_costs=None))
    return dataset


class Human:
    """Takes over in the fifth step of every episode, for four steps."""

    def __init__(self, episodes: int | None = None) -> None:
        self.left, self.pilots = episodes, []

    def __call__(self, job: Job) -> None:
        pilot = job.pilot()
        self.pilots.append(pilot.name)
        for episode in job.scenarios[: self.left]:
            running = EpisodeRecorder(job.task, episode, expert=False, record=True)
            over = False
            while not over:
                human = 5 <= running.num_steps < 9
                over = running.step(np.array([0.1, 0.5]), ACTOR_HUMAN if human else ACTOR_POLICY, keys=0)
            Dataset.open(job.dataset, check=False).add(running.episode("human", job.dagger_round))
            running.close()


def test_a_human_at_the_gate_gives_no_costs_to_learn_from(tmp_path):
    with pytest.raises(ValueError, match=r"--train\.policy\.head mixture"):
        run_dagger(tiny(tmp_path / "run", gate=HumanGateConfig()), roll_in=Human())
    assert not (tmp_path / "run").exists(), "the mended command may have the folder"
    assert not any(preset.train.policy.needs_costs for name, preset in PRESETS.items() if "human" in name)


def test_a_human_at_the_gate_is_learned_from_where_they_drove(tmp_path):
    often = dataclasses.replace(TINY_MIX, control_hz=10)
    human, config = Human(), tiny(tmp_path / "run", gate=HumanGateConfig(), train=FOR_ACTIONS, mix=often)
    results = run_dagger(config, roll_in=human)
    assert human.pilots == ["round-00", "round-01"]
    long_enough = [e for number in (1, 2) for e in episodes_of(config, number) if e.num_steps >= 9]
    assert results[-1].labels - results[0].labels >= 4 * len(long_enough) > 0
    assert results[-1].mean_takeover_s == pytest.approx(0.4, abs=0.1)
    assert all((e.labelled_steps == (e.actor == ACTOR_HUMAN)).all() for e in long_enough)


def test_a_human_who_stops_can_go_on_later(tmp_path):
    config = tiny(tmp_path / "run", gate=HumanGateConfig(), train=FOR_ACTIONS)
    with pytest.raises(RollInStoppedError, match="round 1 with 2 of 3 episodes to go"):
        run_dagger(config, roll_in=Human(episodes=1))
    assert len(run_dagger(config, roll_in=Human())) == 3


def test_a_humans_demonstrations_can_stand_in_for_the_experts(tmp_path):
    mine = by_hand(tmp_path / "mine")
    config = tiny(tmp_path / "run", demonstrations=(str(mine.folder),), expert_episodes=0, rounds=1)
    with pytest.raises(ValueError, match=r"--train\.policy\.head mixture"):
        run_dagger(config)
    assert not (tmp_path / "run").exists(), "the mended command may have the folder"
    config = dataclasses.replace(config, train=FOR_ACTIONS)
    results = run_dagger(config)
    assert results[0].episodes == 3 and results[1].episodes == 6
    assert results[0].labels == mine.total_steps and results[0].visited == 0
    assert results[1].visited == sum(len(e.actor) for e in episodes_of(config, 1))


def test_demonstrations_that_changed_since_the_run_began_are_refused(tmp_path):
    mine = by_hand(tmp_path / "mine")
    head = dataclasses.replace(TINY_TRAIN, policy=dataclasses.replace(TINY_TRAIN.policy, head=RegressionConfig()))
    config = tiny(tmp_path / "run", demonstrations=(str(mine.folder),), expert_episodes=0, rounds=0, train=head)
    run_dagger(config)
    mine.discard(mine.episodes[0].path)
    with pytest.raises(DatasetError, match="have changed since the run"):
        run_dagger(config)


def test_demonstrations_that_are_not_there_leave_the_folder_free(tmp_path):
    with pytest.raises(DatasetError):
        run_dagger(tiny(tmp_path / "run", demonstrations=(str(tmp_path / "nowhere"),)))
    assert not (tmp_path / "run").exists()


def test_a_smaller_budget_makes_the_gate_choosier(tmp_path):
    dataset = collect(CollectConfig(out=str(tmp_path / "d"), episodes=3, workers=1, mix=LONG_MIX))
    rng = np.random.default_rng(0)
    for header in dataset.episodes:
        episode = load_episode(header.path)
        spread = rng.uniform(0, 1, episode.num_steps).astype(np.float32)
        dataset.replace(dataclasses.replace(episode, disagreement=spread))
    config = gated(tmp_path / "run", "budget", episodes=20)
    rich = dataclasses.replace(config, label_budget=10 * config.label_budget)
    poor_gate, rich_gate = (make_gate(c, dataset.task_spec, [], dataset.episodes) for c in (config, rich))
    assert 0.3 < rich_gate.threshold_rad < poor_gate.threshold_rad < 1.0


def test_the_last_labels_of_a_round_are_the_ones_that_are_dropped(tmp_path):
    dataset = collect(CollectConfig(out=str(tmp_path / "d"), episodes=2, workers=1, mix=LONG_MIX))
    first = dataset.episodes[0].num_steps
    trim_labels(dataset, dataset.episodes, first + 5)
    kept = [load_episode(header.path).labelled_steps for header in dataset.episodes]
    assert kept[0].all() and np.flatnonzero(kept[1]).tolist() == [0, 1, 2, 3, 4]
    trim_labels(dataset, dataset.episodes, first + 5)
    assert sum(header.num_labels for header in dataset.episodes) == first + 5


def test_each_member_goes_on_from_its_own_weights(tmp_path, monkeypatch):
    started: list[np.ndarray] = []

    def note(policy, *args, **kwargs):
        started.append(next(iter(policy.parameters())).detach().clone().numpy())
        return train(policy, *args, **kwargs)

    monkeypatch.setattr("forestpilot.policies.training.loop.train", note)
    config = gated(tmp_path / "run", "uncertainty", rounds=1)
    run_dagger(config)
    first = [load_policy(Path(config.out) / "rounds/round-00" / name) for name in ("", "member-1")]
    for begun, policy in zip(started[2:], first):
        assert np.array_equal(begun, next(iter(policy.parameters())).detach().numpy())
    assert not np.array_equal(started[2], started[3])


def test_settings_that_do_not_go_together_are_refused(tmp_path):
    for change, message in (
        ({"gate": GATES.get("budget").Config()}, "label-budget"),
        ({"gate": GATES.get("expert").Config(), "beta": "linear"}, "not both"),
        ({"gate": GATES.get("human").Config(), "label_budget": 100}, "does not apply to the gate human"),
        ({"gate": GATES.get("uncertainty").Config(), "ensemble": 1}, "ensemble is 1; allowed: 2 to"),
        ({"expert_episodes": 0}, "--demonstrations"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny(tmp_path / "run", **change)
    with pytest.raises(ValueError, match="needs a human who takes over, and nobody is there"):
        run_dagger(tiny(tmp_path / "run", gate=HumanGateConfig()))
    with pytest.raises(ValueError, match="nothing for them to do"):
        run_dagger(tiny(tmp_path / "run"), roll_in=Human())
    with pytest.raises(ValueError, match=r"says what to do, not .* --train\.policy\.head mixture"):
        run_dagger(tiny(tmp_path / "run", gate=HumanGateConfig()), roll_in=Human())
    assert not (tmp_path / "run").exists()


def test_a_lone_label_weighs_as_much_as_one_among_many(tmp_path):
    dataset = collect(CollectConfig(out=str(tmp_path / "d"), episodes=2, workers=1, mix=LONG_MIX))
    lone, dense = (load_episode(header.path) for header in dataset.episodes)
    where = np.zeros(lone.num_steps, bool)
    where[[8, 20, 30]] = True
    marked = np.full_like(lone.expert_actions, 0.123)
    dataset.replace(dataclasses.replace(lone, labelled=where, expert_actions=marked))
    how = dataclasses.replace(TINY_TRAIN, flip=False, jitter=False, batch_windows=64, shards=1)
    policy = VisuomotorPolicy.seeded(how.policy, dataset.task_spec, 0)
    reader = make_reader(policy, [dataset], dataclasses.replace(how, side_labels="none"))
    weight = np.zeros(2)
    for step in range(40):
        batch = draw(policy, reader, how, Place(0, step))
        is_lone = (batch.target.actions[..., 0, 0] - 0.123).abs() < 1e-6
        weight += [float(batch.weights[~is_lone].sum()), float(batch.weights[is_lone].sum())]
    each = weight / (dense.num_steps, where.sum())
    assert each[1] / each[0] == pytest.approx(1.0, rel=0.25)
