"""Offline figures: counted as by hand, asked as the policy acts, and only of demonstrations that are held out."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, worlds_of
from forestpilot.launch.verbs.evaluate import Config, run
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.evaluation.held_out import require_held_out, training_worlds
from forestpilot.policies.evaluation.offline import EpisodeSums, _score, evaluate_offline, score_offline
from forestpilot.policies.evaluation.offline_scores import read_offline
from forestpilot.policies.networks.checkpoint import describe_policy, save_policy
from forestpilot.policies.networks.heads.gaussian import _split
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.made_up import make_policy, make_policy_config, shaken
from tests.helpers.specs import small_spec

HELD_OUT = (1_000_003, 900_000, 900_001)
SHAPE = {"view": {"height": 8, "width": 16}, "memory": {"part": "lstm"}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return record(tmp_path_factory.mktemp("data") / "held-out", HELD_OUT)


def record(folder: Path, seeds: tuple[int, ...]) -> Dataset:
    data = Dataset.create(folder, small_spec(), ENV_ID)
    for seed in seeds:
        data.add(make_episode(seed, steps=6 + seed % 3))
    return data


def policy_with(head: str) -> VisuomotorPolicy:
    return shaken(make_policy(spec=small_spec(), head={"part": head}, **SHAPE))


def sums(confusion: list, steps: float = 10.0) -> EpisodeSums:
    count = len(confusion)
    return EpisodeSums(
        steps=np.full(count, steps),
        confusion=np.array(confusion, float),
        squared=np.full(count, 5.0),
        turn=np.full(count, 2.0),
        log_likelihood=np.full(count, np.nan),
    )


def test_accuracy_precision_recall_and_f1_are_as_by_hand():
    one = [[2, 1, 0], [1, 5, 0], [0, 1, 0]]  # rows: left, straight, right as the demonstrator has them
    score = _score("a", sums([one, one]), 0.25, 60.0)
    got = {name: figure.value for name, figure in score.figures.items()}
    assert got["accuracy"] == pytest.approx(0.7)
    assert got["precision"] == pytest.approx((2 / 3 + 5 / 7 + 0) / 3), "what is never said has a precision of 0"
    assert got["recall"] == pytest.approx((2 / 3 + 5 / 6 + 0) / 3)
    assert got["f1"] == pytest.approx((2 / 3 + 10 / 13 + 0) / 3)
    assert (got["l2"], got["turn_error_deg"]) == (pytest.approx(0.5), pytest.approx(12.0))
    assert "log_likelihood" not in got and score.threshold_deg == 15.0
    assert score.shares == pytest.approx({"left": 0.3, "straight": 0.6, "right": 0.1})
    assert all(low == value == high for value, low, high in score.figures.values()), "both episodes are alike"


def test_a_class_that_nobody_shows_counts_for_nothing():
    score = _score("a", sums([[[4, 0, 0], [0, 5, 1], [0, 0, 0]]] * 2), 0.25, 60.0)
    assert score.figures["recall"].value == pytest.approx((1 + 5 / 6) / 2)


def test_intervals_are_over_episodes():
    alike = _score("a", sums([[[0, 0, 0], [0, 5, 5], [0, 0, 0]]] * 20), 0.25, 60.0).figures["accuracy"]
    apart = [[[0, 0, 0], [0, 10 * good, 10 * (1 - good)], [0, 0, 0]] for good in (0, 1)] * 10
    value, low, high = _score("a", sums(apart), 0.25, 60.0).figures["accuracy"]
    assert alike.high - alike.low < 1e-9 and value == 0.5
    assert 0.2 < low < 0.35 and 0.65 < high < 0.8, "20 coins: 0.5 +- 0.22"


def test_the_policy_is_asked_step_by_step_as_it_acts(dataset):
    policy = policy_with("gaussian")
    score = score_offline(policy, [dataset])
    turn = squared = likely = 0.0
    steps = 0
    for header in dataset.episodes:
        episode = make_episode(header.meta.seed, steps=header.num_steps)
        carry = policy.begin(1, [0])
        for step in range(episode.num_steps):
            seen = {name: episode.observations[name][step][None] for name in ("center", "state", "goal")}
            (said,), carry = policy.act(seen, carry)
            wanted = episode.expert_actions[step, 1]
            turn += abs(said[0] - wanted[0])
            squared += float(((said - wanted) ** 2).sum())
            steps += 1
        likely += log_likelihood(policy, episode)
    assert (score.episodes, score.steps) == (3, steps)
    assert score.figures["turn_error_deg"].value == pytest.approx(60 * turn / steps, rel=1e-4)
    assert score.figures["l2"].value == pytest.approx(squared / steps, rel=1e-4)
    assert score.figures["log_likelihood"].value == pytest.approx(likely / steps, rel=1e-4)


@torch.inference_mode()
def log_likelihood(policy: VisuomotorPolicy, episode) -> float:
    """Of the turns of a whole episode at once, go left out."""
    steps = episode.num_steps
    views = policy.views_of({name: values[:steps] for name, values in episode.observations.items()})
    inputs = [torch.from_numpy(v[None]) for v in (views, *(episode.observations[k][:steps] for k in ("state", "goal")))]
    prediction, _ = policy(*inputs)
    mean, log_std = _split(prediction[0, :, 0])
    wanted = torch.from_numpy(episode.expert_actions[:, 1])
    return float(torch.distributions.Normal(mean[:, 0], log_std[:, 0].exp()).log_prob(wanted[:, 0]).sum())


@pytest.mark.parametrize("head", ["turn-costs", "regression", "mixture", "soft-turns", "cvae"])
def test_every_head_has_figures_and_distributions_a_likelihood(dataset, head):
    figures = score_offline(policy_with(head), [dataset]).figures
    assert ("log_likelihood" in figures) == (head in ("mixture", "soft-turns", "cvae"))
    assert set(figures) - {"log_likelihood"} == {"accuracy", "precision", "recall", "f1", "l2", "turn_error_deg"}
    assert all(low <= value <= high for value, low, high in figures.values())


def test_the_command_writes_a_table_and_what_it_is_of(dataset, tmp_path, capsys):
    save_policy(tmp_path / "mine", policy_with("mixture"), {"worlds": [[0, 99]]})
    asked = {"policy": (str(tmp_path / "mine"), f"again={tmp_path / 'mine'}"), "out": str(tmp_path / "out")}
    run(Config(offline=(str(dataset.folder),), offline_threshold=0.1, **asked))
    shown = capsys.readouterr().out
    assert "3 demonstrations" in shown and "beyond 6 degrees" in shown and "again" in shown
    scores = read_offline(tmp_path / "out")
    assert [score.policy for score in scores] == ["mine", "again"] and scores[0].figures == scores[1].figures
    rows = list(csv.DictReader((tmp_path / "out" / "offline.csv").open()))
    assert len(rows) == 14 and rows[0]["figure"] == "accuracy"
    assert float(rows[0]["value"]) == pytest.approx(scores[0].figures["accuracy"].value, rel=1e-5)


@pytest.mark.parametrize("given", [{"episodes": 5}, {"speed": 4.0}, {"imitation_gap": False}, {"split": "validation"}])
def test_how_worlds_are_run_has_no_business_there(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))} is .* with offline none are"):
        Config(offline=("somewhere",), **given)


def test_baselines_and_too_few_episodes_are_refused(dataset, tmp_path):
    with pytest.raises(ForestPilotError, match="'blind' is no checkpoint"):
        evaluate_offline(["blind"], [str(dataset.folder)], str(tmp_path / "out"))
    with pytest.raises(DatasetError, match="has 1 episodes with labels"):
        score_offline(policy_with("regression"), [record(tmp_path / "one", (5,))])
    assert not (tmp_path / "out").exists()


def test_a_training_notes_its_worlds_and_is_refused_its_own(dataset, tmp_path):
    learned = record(tmp_path / "learned", (4, 5, 9))
    config = make_policy_config(head={"part": "regression"}, **SHAPE)
    clone(TrainConfig((str(learned.folder),), str(tmp_path / "run"), config, steps=2, tensorboard=False))
    about = describe_policy(tmp_path / "run")
    assert training_worlds(about) == [[4, 5], [9, 9]] == worlds_of([learned])
    assert require_held_out(about, [dataset], "run") == ""
    with pytest.raises(DatasetError, match="is what run was trained on; give demonstrations of other worlds"):
        require_held_out(about, [learned], "run")
    overlapping = record(tmp_path / "other", (8, 9, 900_002))
    with pytest.raises(DatasetError, match=r"run was trained in 1 of the 3 worlds of .*other \(9\)"):
        evaluate_offline([str(tmp_path / "run")], [str(overlapping.folder)], str(tmp_path / "out"))


def test_what_older_policies_say_of_their_worlds(dataset, tmp_path):
    told = {"extra": {"config": {"first_world": 100}, "chosen": {"flights": 50}}}
    assert training_worlds(told) == [[100, 149]]
    assert training_worlds({"extra": {}}) is None
    assert "make sure that it was not in these (900000-900001" in require_held_out({"extra": {}}, [dataset], "old")
    validation = record(tmp_path / "validation", (1_000_000, 1_000_001))
    assert require_held_out({"extra": {}}, [validation], "old") == "", "nobody learns in validation worlds"
    told["extra"]["data"] = fingerprint_of([dataset])
    with pytest.raises(DatasetError, match="is what old was trained on"):
        require_held_out(told, [dataset], "old")


def test_likelihoods_are_of_the_turn_alone_so_that_heads_compare():
    turns = torch.linspace(-1, 1, 2001)
    actions = torch.stack((turns, torch.full((2001,), 0.3)), dim=-1)[:, None]
    for head in ({"part": "categorical", "over": "turn-go", "bins": 9}, {"part": "categorical"}):
        policy = shaken(make_policy(spec=small_spec(), head=head, **SHAPE))
        with torch.no_grad():
            prediction = policy.head(torch.zeros(1, policy.config.features)).expand(2001, -1, -1)
            density = policy.head.turn_log_prob(prediction, actions)[:, 0].exp()
        assert float(torch.trapezoid(density, turns)) == pytest.approx(1.0, abs=1e-3)
