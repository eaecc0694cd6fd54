"""DAgger end to end on tiny budgets: rounds aggregate, betas follow their schedule, killed runs resume to the same
result."""

import csv
import dataclasses
import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.episodes.processes import worker_process
from forestpilot.data_collection.rollouts.gates.expert import ExpertGateConfig
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.algorithms.dagger.config import PRESETS, DaggerConfig
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.algorithms.rounds import RoundResult, best_round, round_folder
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.networks.encoders.cnn import CNNConfig
from forestpilot.policies.networks.heads.regression import RegressionConfig
from forestpilot.policies.networks.memories.none import NoMemoryConfig
from forestpilot.policies.networks.views import ViewConfig
from forestpilot.policies.networks.visuomotor import PolicyConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.goals import ANYWHERE, BEARING
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions

TINY_POLICY = PolicyConfig(view=ViewConfig(16, 32), encoder=CNNConfig((4, 8, 8)), features=16, window=4)
TINY_TRAIN = TrainConfig(policy=TINY_POLICY, batch_windows=8, log_every=5, checkpoint_every=5, tensorboard=False)
TINY_MIX = ScenarioMix(
    width=32, height=24, speeds=(10.0, 12.0), control_hz=5,
    options=DroneOptions(goals=ANYWHERE, goals_within=12.0, goal_kind=BEARING),
)  # fmt: skip
"""Flights of one to two seconds: what happens on the way does not depend on how far it is."""


def tiny(out: Path, **changes) -> DaggerConfig:
    values = {
        "rounds": 2, "expert_episodes": 3, "episodes": 3, "first_steps": 20, "steps": 8, "last_steps": 8,
        "validation_episodes": 2, "workers": 1, "mix": TINY_MIX, "train": TINY_TRAIN,
    }  # fmt: skip
    return DaggerConfig(out=str(out), **{**values, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: (config, results)."""
    config = tiny(tmp_path_factory.mktemp("dagger") / "run")
    return config, run_dagger(config)


def weights(folder: Path) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in load_policy(folder).state_dict().items()}


def assert_same_weights(first: Path, second: Path) -> None:
    ours, theirs = weights(first), weights(second)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_each_round_adds_its_episodes_and_its_labels(finished):
    config, results = finished
    assert [r.round for r in results] == [0, 1, 2] and [r.episodes for r in results] == [3, 6, 9]
    assert results[0].labels < results[1].labels < results[2].labels
    assert results[0].rollout_success == 1.0, "round 0 is flown by the expert"
    rows = list(csv.DictReader((Path(config.out) / "rounds.csv").open()))
    assert [int(r["labels"]) for r in rows] == [r.labels for r in results]


def test_the_learner_flies_and_the_expert_labels_every_state(finished):
    config, _ = finished
    dataset = Dataset.open(Path(config.out) / "dataset")
    later = [h for h in dataset.episodes if h.meta.dagger_round > 0]
    assert {h.meta.policy_id for h in later} == {"round-00", "round-01"}
    for header in later:
        episode = load_episode(header.path)
        assert (episode.actor == ACTOR_POLICY).all()
        assert episode.expert_costs.shape[0] == episode.num_steps
    assert len({h.meta.seed for h in dataset.episodes}) == 9, "no world is finished twice"


def test_rounds_differ_and_the_best_one_is_the_runs_policy(finished):
    config, results = finished
    run = Path(config.out)
    first, last = weights(round_folder(run, 0)), weights(round_folder(run, 2))
    assert any(not np.array_equal(first[name], last[name]) for name in first)
    assert_same_weights(run, round_folder(run, best_round(results).round))


def test_running_it_again_changes_nothing(finished):
    config, results = finished
    before = (Path(config.out) / "policy.safetensors").read_bytes()
    assert run_dagger(config) == results
    assert (Path(config.out) / "policy.safetensors").read_bytes() == before


def test_another_config_in_the_same_folder_is_refused(finished):
    config, _ = finished
    with pytest.raises(ForestPilotError, match="steps: 8 there, 9 asked"):
        run_dagger(dataclasses.replace(config, steps=9))


def test_a_run_of_an_older_version_goes_on_with_the_defaults_of_settings_it_did_not_have(finished):
    config, results = finished
    path = Path(config.out) / "config.json"
    as_it_was = path.read_bytes()
    whole = json.loads(as_it_was)
    config_then = {key: value for key, value in whole["config"].items() if key not in ("gate", "limits", "ensemble")}
    older = json.dumps({"verb": whole["verb"], "version": whole["version"], "config": config_then})
    path.write_text(older)
    assert run_dagger(config) == results
    path.write_text(older)
    with pytest.raises(ForestPilotError, match=r"gate\.part: none there, expert asked"):
        run_dagger(dataclasses.replace(config, gate=ExpertGateConfig()))
    path.write_bytes(as_it_was)


def test_a_config_that_cannot_run_claims_no_folder(tmp_path):
    config = tiny(tmp_path / "run", mix=dataclasses.replace(TINY_MIX, presets=("winding",)))
    with pytest.raises(ValueError, match="presets has winding"):
        run_dagger(config)
    assert not (tmp_path / "run").exists()


def test_killed_anywhere_it_resumes_to_the_result_of_an_uninterrupted_run(finished, tmp_path):
    config, results = finished
    out = tmp_path / "run"
    milestones = ("checkpoints/training.safetensors", "dataset/episodes/r0001*", "rounds/round-01/policy.json")
    for milestone in milestones:
        process = worker_process(run_dagger, dataclasses.replace(config, out=str(out)))
        process.start()
        deadline = time.monotonic() + 120
        while not list(out.glob(milestone)) and process.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"it ended before there was {milestone}"
    assert not (out / "rounds" / "round-02" / "policy.json").exists(), "killed too late to test anything"
    resumed = run_dagger(dataclasses.replace(config, out=str(out)))
    assert resumed == results
    assert_same_weights(out, Path(config.out))


def test_betas():
    assert [DaggerConfig(beta="indicator").beta_of(r) for r in range(3)] == [1.0, 0.0, 0.0]
    assert [DaggerConfig(beta="exponential").beta_of(r) for r in range(4)] == [1.0, 0.5, 0.25, 0.125]
    assert DaggerConfig(beta="linear", beta_linear_rounds=4).beta_of(1) == 0.75
    assert DaggerConfig(beta="linear", beta_linear_rounds=4).beta_of(9) == 0.0


def test_the_expert_flies_its_share(tmp_path):
    config = tiny(tmp_path / "run", rounds=1, beta="exponential", first_steps=2, last_steps=2, validation_episodes=1)
    run_dagger(config)
    episodes = [load_episode(h.path) for h in Dataset.open(tmp_path / "run" / "dataset").episodes]
    actor = np.concatenate([e.actor for e in episodes if e.meta.dagger_round == 1])
    assert 0.2 < (actor == ACTOR_POLICY).mean() < 0.8


def test_retraining_starts_each_round_afresh(tmp_path):
    config = tiny(tmp_path / "run", rounds=1, retrain=True, last_steps=1, validation_episodes=1)
    run_dagger(config)
    first, last = weights(round_folder(tmp_path / "run", 0)), weights(round_folder(tmp_path / "run", 1))
    moved = max(float(np.abs(first[n] - last[n]).max()) for n in first if n.endswith("weight"))
    assert moved > 0.003, "one step on from round 0 moves no weight further than the learning rate"


def test_drives_are_chosen_by_their_interventions(tmp_path):
    """The car is put back when it leaves the road in training, and by PilotNet's measure in validation."""
    mix = ScenarioMix(width=32, height=24, control_hz=5, options=DriveOptions(60.0, "random-speed", "road"))
    policy = dataclasses.replace(TINY_POLICY, memory=NoMemoryConfig(), head=RegressionConfig(), window=1)
    train = dataclasses.replace(TINY_TRAIN, policy=policy, batch_windows=32)
    few = {"rounds": 1, "expert_episodes": 2, "episodes": 1, "validation_episodes": 1}
    results = run_dagger(tiny(tmp_path / "run", task="drive", mix=mix, train=train, **few))
    dataset = Dataset.open(tmp_path / "run" / "dataset")
    assert {h.meta.env_kwargs["interventions"] for h in dataset.episodes} == {"road"}
    stored = json.loads((round_folder(tmp_path / "run", 0) / "validation.json").read_text())
    assert stored["interventions"] == results[0].validation_interventions
    assert sum(row["interventions"] for row in stored["rows"]) == stored["interventions"] > 0
    assert {(row["task"], row["rule"], row["length"]) for row in stored["rows"]} == {("drive", "line", 60.0)}
    assert load_policy(tmp_path / "run").spec.task == "drive"


def test_fewer_interventions_make_a_better_round():
    def result(number, interventions, success):
        return RoundResult(number, 0.0, 9, 99, 1.0, success, 10, 0.0, 1.0, interventions)

    rounds = [result(1, 5, 0.9), result(2, 3, 0.7), result(3, 3, 0.8), result(4, 4, 1.0)]
    assert best_round(rounds).round == 3


def test_training_validation_and_test_worlds_are_apart():
    for config in PRESETS.values():
        used = [seed for r in range(config.rounds + 1) for seed in config.seeds(r)]
        assert len(set(used)) == len(used) and max(used) < 1_000_000
    with pytest.raises(ValueError, match="leave the train split"):
        DaggerConfig(first_world=999_950)


@pytest.mark.parametrize("change", [{"rounds": -1}, {"validation_episodes": 0}, {"beta_decay": 2.0}])
def test_senseless_configs_are_refused(change):
    with pytest.raises(ValueError):
        DaggerConfig(**change)


RESULTS = (
    "rounds.csv", "metrics.csv", "policy.json", "policy.safetensors", "rounds/round-02/policy.json",
    "rounds/round-02/validation.json",
)  # fmt: skip


def test_damaged_results_are_set_aside_and_mended_by_the_same_command(finished, tmp_path):
    config = dataclasses.replace(finished[0], out=str(tmp_path / "run"))
    shutil.copytree(finished[0].out, config.out)
    whole = {name: (tmp_path / "run" / name).read_bytes() for name in RESULTS}
    for name, content in whole.items():
        (tmp_path / "run" / name).write_bytes(content[:-9])
    assert run_dagger(config) == finished[1]
    for name, content in whole.items():
        assert (tmp_path / "run" / name).read_bytes() == content, name
    for name in ("rounds.csv", "metrics.csv", "rounds/round-02/policy.json", "rounds/round-02/validation.json"):
        assert (tmp_path / "run" / f"{name}.damaged").read_bytes() == whole[name][:-9], name


def test_a_finished_run_is_left_alone(finished, tmp_path):
    config = dataclasses.replace(finished[0], out=str(tmp_path / "run"))
    shutil.copytree(finished[0].out, config.out)
    policy = tmp_path / "run" / "policy.json"
    before = policy.stat().st_mtime_ns
    run_dagger(config)
    assert policy.stat().st_mtime_ns == before
    assert json.loads(policy.read_bytes())["extra"]["data"]["episodes"] <= 9


def test_a_damaged_round_that_others_came_after_stays(finished, tmp_path):
    config = dataclasses.replace(finished[0], out=str(tmp_path / "run"))
    shutil.copytree(finished[0].out, config.out)
    best = best_round(finished[1]).round
    damaged = round_folder(tmp_path / "run", 0 if best else 1) / "policy.json"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert run_dagger(config) == finished[1]
    assert damaged.exists()
