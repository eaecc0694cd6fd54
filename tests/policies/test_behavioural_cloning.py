"""The training loop: it learns, it repeats, and a killed run ends where an uninterrupted one does, to the bit."""

from __future__ import annotations

import csv
import functools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.processes import worker_process
from forestpilot.data_collection.windows.side_labels import SIDE_LABELS
from forestpilot.data_collection.windows.windows import Batch
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.networks.checkpoint import CheckpointError, load_policy
from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.batches import Objective, Place, TrainingBatch, draw, drop_pictures
from forestpilot.policies.training.loop import STATE_FILE, make_reader, train
from forestpilot.policies.training.state import DivergedError
from forestpilot.policies.training.train_config import TrainConfig
from tests.helpers.episodes import make_episode, random_offsets
from tests.helpers.made_up import MadeUpReader, make_policy, make_policy_config
from tests.helpers.specs import make_drive_spec, make_spec


def make_config(policy: dict | None = None, **values: object) -> TrainConfig:
    settings = {"steps": 12, "batch_windows": 6, "learning_rate": 3e-3, "checkpoint_every": 5, "log_every": 4}
    settings["tensorboard"] = False
    return TrainConfig(policy=make_policy_config(**(policy or {})), **(settings | values))  # type: ignore[arg-type]


def new_policy(config: TrainConfig) -> VisuomotorPolicy:
    return VisuomotorPolicy.seeded(config.policy, make_spec(), config.seed)


def same_weights(first: VisuomotorPolicy, second: VisuomotorPolicy) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return [{key: value for key, value in row.items() if key != "frames_per_s"} for row in csv.DictReader(file)]


class Killed(Exception):
    """Stands for the end of the process."""


class KillingReader(MadeUpReader):
    """Fails in the step after the n-th, in its second shard."""

    has_gaps = False

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = TrainConfig().shards * steps + 1

    def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
        if self.left == 0:
            raise Killed
        self.left -= 1
        return super().sample(batch, rng)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_learns_to_turn_away_from_the_trunk(tmp_path: Path, head: str) -> None:
    config = make_config(
        {"head": head, "memory": "none"},
        steps=180,
        batch_windows=16,
        shards=1,
        log_every=18,
        checkpoint_every=180,
        learning_rate=5e-3,
    )
    result = train(new_policy(config), MadeUpReader(length=1), config, tmp_path)
    losses = [float(row["loss"]) for row in rows_of(tmp_path)]
    assert losses[-1] < losses[0]
    # Left and right are equally good when the trunk is in the middle, so an error of zero is not to be had.
    assert result.figures["turn_error_deg"] < 14
    assert result.figures["go_error"] < 0.2


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TrainConfig], tuple[VisuomotorPolicy, Path]]:
    """Trains a policy from beginning to end, each config once; returns it and its run folder."""

    @functools.cache
    def trained(config: TrainConfig) -> tuple[VisuomotorPolicy, Path]:
        folder = tmp_path_factory.mktemp("whole")
        policy = new_policy(config)
        train(policy, MadeUpReader(), config, folder)
        return policy, folder

    return trained


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize(("ema_decay", "steps"), [(0.0, 3), (0.0, 11), (0.9, 7), (0.9, 11)])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path: Path,
    uninterrupted: Callable[[TrainConfig], tuple[VisuomotorPolicy, Path]],
    memory: str,
    ema_decay: float,
    steps: int,
) -> None:
    config = make_config({"memory": memory}, ema_decay=ema_decay)
    whole, whole_folder = uninterrupted(config)
    resumed = new_policy(config)
    with pytest.raises(Killed):
        train(resumed, KillingReader(steps), config, tmp_path)
    resumed = new_policy(config)
    result = train(resumed, MadeUpReader(), config, tmp_path)
    assert result.steps == config.steps - steps // 5 * 5
    assert same_weights(resumed, whole)
    assert rows_of(tmp_path) == rows_of(whole_folder)


def test_dropout_and_dropped_pictures_follow_from_seed_round_and_step_too(tmp_path: Path) -> None:
    config = make_config({"memory": {"part": "tcn", "dropout": 0.3}}, dropped_pictures=0.5)
    whole, resumed = new_policy(config), new_policy(config)
    train(whole, MadeUpReader(), config, tmp_path / "whole")
    with pytest.raises(Killed):
        train(resumed, KillingReader(7), config, tmp_path / "killed")
    resumed = new_policy(config)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(resumed, MadeUpReader(), config, tmp_path / "killed")
    assert same_weights(resumed, whole)
    assert torch.equal(torch.random.get_rng_state(), before), "torch's own generator is left as it was"
    plain = replace(config, dropped_pictures=0.0)
    assert not same_weights(trained_with(plain, tmp_path / "plain"), whole)


def trained_with(config: TrainConfig, folder: Path) -> VisuomotorPolicy:
    policy = new_policy(config)
    train(policy, MadeUpReader(), config, folder)
    return policy


@pytest.mark.parametrize("cameras", ["center", "all"])
def test_a_dropped_step_of_a_window_shows_what_the_policy_sees_of_black_pictures(cameras: str) -> None:
    policy = make_policy(cameras=cameras)
    batch = MadeUpReader(cameras=len(policy.camera_names)).sample(4, np.random.default_rng(0))
    dropped = drop_pictures(policy, batch, 0.5, np.random.default_rng(1))
    changed = (dropped.views != batch.views).any(axis=(2, 3, 4, 5))
    assert 0 < changed.sum() < changed.size
    black = np.zeros((1, 48, 64, 3), np.uint8)
    for place in zip(*np.nonzero(changed)):
        told = {"state": batch.state[place][None], "goal": batch.goal[place][None]}
        shown = policy.views_of(told | dict.fromkeys(policy.camera_names, black))
        assert np.array_equal(dropped.views[place], shown[0])
    assert dropped.state is batch.state and dropped.actions is batch.actions
    assert drop_pictures(policy, batch, 1.0, np.random.default_rng(1)).views.max() <= 128, "black, and grey outside"


def _train_until_killed(folder: str, kill_at: int) -> None:
    torch.set_num_threads(1)

    class DeadlyReader(MadeUpReader):
        has_gaps = False

        drawn = 0

        def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
            self.drawn += 1
            if self.drawn == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().sample(batch, rng)

    config = make_config()
    train(new_policy(config), DeadlyReader(), config, folder)


def test_a_run_killed_with_signal_9_goes_on_to_the_same_result(tmp_path: Path) -> None:
    process = worker_process(_train_until_killed, str(tmp_path / "killed"), 16)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        config = make_config()
        resumed, whole = new_policy(config), new_policy(config)
        assert train(resumed, MadeUpReader(), config, tmp_path / "killed").steps == 12 - 5
        train(whole, MadeUpReader(), config, tmp_path / "whole")
    finally:
        torch.set_num_threads(threads)
    assert same_weights(resumed, whole)


def test_a_finished_round_is_loaded_not_repeated(tmp_path: Path) -> None:
    config = make_config(ema_decay=0.9)
    first, again = new_policy(config), new_policy(config)
    train(first, MadeUpReader(), config, tmp_path)
    result = train(again, KillingReader(-1), config, tmp_path)
    assert result.steps == 0
    assert result.figures["loss"] == pytest.approx(float(rows_of(tmp_path)[-1]["loss"]), rel=1e-4)
    assert same_weights(first, again)


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    class Broken(MadeUpReader):
        has_gaps = False

        def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
            drawn = super().sample(batch, rng)
            drawn.actions[0, 0, 1] = np.nan
            return drawn

    config = make_config()
    with pytest.raises(DivergedError, match="learning_rate"):
        train(new_policy(config), Broken(), config, tmp_path)


@pytest.mark.parametrize("keep_optimizer", [False, True])
def test_rounds_go_on_from_the_weights_and_resume_within_a_round(tmp_path: Path, keep_optimizer: bool) -> None:
    config = make_config(keep_optimizer=keep_optimizer)
    whole = new_policy(config)
    for round_number in range(2):
        train(whole, MadeUpReader(), config, tmp_path / "whole", round_number)

    killed = new_policy(config)
    train(killed, MadeUpReader(), config, tmp_path / "killed", 0)
    with pytest.raises(Killed):
        train(killed, KillingReader(7), config, tmp_path / "killed", 1)
    killed = new_policy(config)
    train(killed, MadeUpReader(), config, tmp_path / "killed", 1)
    assert same_weights(killed, whole)
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole")
    assert [row["round"] for row in rows_of(tmp_path / "whole")] == ["0"] * 3 + ["1"] * 3


def test_kept_moments_make_a_difference(tmp_path: Path) -> None:
    policies = []
    for keep in (False, True):
        config = make_config(keep_optimizer=keep)
        policy = new_policy(config)
        for round_number in range(2):
            train(policy, MadeUpReader(), config, tmp_path / str(keep), round_number)
        policies.append(policy)
    assert not same_weights(*policies)


def test_going_back_a_round_is_refused(tmp_path: Path) -> None:
    config = make_config()
    train(new_policy(config), MadeUpReader(), config, tmp_path, 2)
    with pytest.raises(CheckpointError, match="round 2"):
        train(new_policy(config), MadeUpReader(), config, tmp_path, 1)


def test_another_config_is_refused_by_name(tmp_path: Path) -> None:
    config = make_config()
    train(new_policy(config), MadeUpReader(), config, tmp_path)
    with pytest.raises(CheckpointError, match=r"learning_rate \(was 0.003, now 0.1\)"):
        train(new_policy(config), MadeUpReader(), replace(config, learning_rate=0.1), tmp_path)


def test_bookkeeping_may_change_between_resumes(tmp_path: Path) -> None:
    config = make_config()
    train(new_policy(config), MadeUpReader(), config, tmp_path)
    assert (
        train(new_policy(config), MadeUpReader(), replace(config, checkpoint_every=7, cache_gb=2.0), tmp_path).steps
        == 0
    )


def test_a_truncated_training_state_is_named(tmp_path: Path) -> None:
    config = make_config()
    train(new_policy(config), MadeUpReader(), config, tmp_path)
    path = tmp_path / STATE_FILE
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CheckpointError, match=r"training\.safetensors"):
        train(new_policy(config), MadeUpReader(), config, tmp_path)


def test_same_seed_same_weights_other_seed_others(tmp_path: Path) -> None:
    policies = []
    for i, seed in enumerate((0, 0, 1)):
        config = make_config(seed=seed)
        policy = make_policy()
        train(policy, MadeUpReader(), config, tmp_path / str(i))
        policies.append(policy)
    assert same_weights(policies[0], policies[1])
    assert not same_weights(policies[0], policies[2])


def test_masked_and_burn_in_steps_teach_nothing(tmp_path: Path) -> None:
    class Poisoned(MadeUpReader):
        """The first two steps carry absurd labels, the last is masked and not even a number."""

        has_gaps = False

        def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
            drawn = super().sample(batch, rng)
            if self.poison:
                drawn.actions[:, :2] = -1
                drawn.costs[:, :2] = 17.0
                drawn.actions[:, -1] = 1
                drawn.costs[:, -1] = 99.0
            drawn.mask[:, -1] = False
            return drawn

        poison = False

    policies = []
    for poison in (False, True):
        config = make_config(burn_in=2)
        reader, policy = Poisoned(), new_policy(config)
        reader.poison = poison
        train(policy, reader, config, tmp_path / str(poison))
        policies.append(policy)
    assert same_weights(*policies)


class MoreToTheLeft(Objective):
    def step_weights(self, batch: Batch) -> np.ndarray:
        return 1.0 + (batch.actions[..., 0] > 0)


def test_step_weights_scale_the_loss(tmp_path: Path) -> None:
    config = make_config()
    plain, weighted, same = new_policy(config), new_policy(config), new_policy(config)
    train(plain, MadeUpReader(), config, tmp_path / "a")
    train(weighted, MadeUpReader(), config, tmp_path / "b", objective=MoreToTheLeft())
    train(same, MadeUpReader(), config, tmp_path / "c", objective=Objective())
    assert same_weights(plain, same)
    assert not same_weights(plain, weighted)


def test_averaged_weights_are_the_ones_that_fly(tmp_path: Path) -> None:
    raw, averaged = (new_policy(make_config()) for _ in range(2))
    train(raw, MadeUpReader(), make_config(), tmp_path / "raw")
    train(averaged, MadeUpReader(), make_config(ema_decay=0.95), tmp_path / "averaged")
    assert not same_weights(raw, averaged)


def turns_of(batch: TrainingBatch) -> torch.Tensor:
    return batch.target.actions[..., 0]


def test_flips_mirror_half_of_the_windows() -> None:
    config, policy = make_config(batch_windows=200, jitter=False), make_policy()
    plain = draw(policy, MadeUpReader(), replace(config, flip=False), Place(0, 0))
    flipped = draw(policy, MadeUpReader(), config, Place(0, 0))
    assert len(turns_of(plain)) == 100
    changed = (turns_of(plain)[:, 0] != turns_of(flipped)[:, 0]).float().mean()
    assert 0.35 < float(changed) < 0.65
    assert torch.equal(turns_of(plain).abs(), turns_of(flipped).abs())


def test_draws_differ_between_shards_steps_and_rounds_and_repeat() -> None:
    config, policy = make_config(), make_policy()
    first = draw(policy, MadeUpReader(), config, Place(0, 0)).views
    assert torch.equal(first, draw(policy, MadeUpReader(), config, Place(0, 0)).views)
    assert not torch.equal(first, draw(policy, MadeUpReader(), config, Place(0, 1)).views)
    assert not torch.equal(first, draw(policy, MadeUpReader(), config, Place(1, 0)).views)
    assert not torch.equal(first, draw(policy, MadeUpReader(), config, Place(0, 0, 1)).views)


def test_learning_rate_is_one_cycle() -> None:
    config = make_config(steps=1000, learning_rate=1e-3)
    rates = [config.learning_rate_at(step) for step in range(1000)]
    assert max(rates) == pytest.approx(1e-3, rel=1e-3)
    assert rates.index(max(rates)) == pytest.approx(150, abs=2)
    assert rates[0] < 0.05e-3
    assert 0 < rates[-1] < 0.01e-3


def test_tensorboard_events_are_written_when_asked_for(tmp_path: Path) -> None:
    config = make_config(tensorboard=True)
    train(new_policy(config), MadeUpReader(), config, tmp_path)
    assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"burn_in": 5}, "burn_in"),
        ({"log_every": 0}, "log_every"),
        ({"side_labels": "guessed"}, "asked, geometric, constant, none"),
        ({"side_labels": "geometric"}, "no costs, and the turn-costs head learns from costs"),
        ({"side_labels": "constant"}, "no costs"),
    ],
)
def test_config_says_what_is_allowed(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_config(**values)


def test_cloning_needs_data() -> None:
    with pytest.raises(ValueError, match="--data"):
        clone(make_config())


def test_clone_trains_from_a_dataset_and_saves_what_flies(tmp_path: Path) -> None:
    from forestpilot.launch.benchmarks.train import make_up_dataset

    make_up_dataset(tmp_path / "data", episodes=2, steps=12)
    config = make_config(data=(str(tmp_path / "data"),), out=str(tmp_path / "run"))
    policy = clone(config)
    assert same_weights(load_policy(tmp_path / "run"), policy)


@pytest.mark.parametrize(
    ("options", "stays"), [({}, False), ({"keep_disk_cache": True}, True), ({"disk_cache_gb": 0.0}, False)]
)
def test_decoded_pictures_stay_beside_the_dataset_where_they_are_to_be_kept(
    tmp_path: Path, options: dict, stays: bool
) -> None:
    from forestpilot.launch.benchmarks.train import make_up_dataset

    make_up_dataset(tmp_path / "data", episodes=2, steps=12)
    clone(make_config(data=(str(tmp_path / "data"),), out=str(tmp_path / "run"), steps=2, **options))
    assert bool(list((tmp_path / "data").rglob("*.steps"))) == stays
    assert (tmp_path / "data" / "decoded").exists() == stays


def test_three_cameras_train_together(tmp_path: Path) -> None:
    from forestpilot.launch.benchmarks.train import make_up_dataset

    dataset = make_up_dataset(tmp_path / "data", episodes=2, steps=12)
    config = make_config({"cameras": "all"}, steps=4)
    policy = VisuomotorPolicy.seeded(config.policy, dataset.task_spec, 0)
    reader = make_reader(policy, [dataset], config)
    assert draw(policy, reader, config, Place(0, 0)).views.shape == (3, 5, 3, 32, 64, 3)
    assert train(policy, reader, config, tmp_path / "run").steps == 4


def test_rules_for_side_labels_go_with_other_heads_and_with_three_cameras() -> None:
    assert make_config({"head": "regression"}, side_labels="constant").side_labels == "constant"
    assert make_config({"cameras": "all"}, side_labels="geometric").policy.needs_costs


@pytest.mark.parametrize("side_labels", SIDE_LABELS)
def test_a_car_is_cloned_with_any_side_labels(tmp_path: Path, side_labels: str) -> None:
    spec = make_drive_spec()
    dataset = Dataset.create(tmp_path / "data", spec, "ForestPilot/Drive-v0")
    for seed in range(2):
        episode = make_episode(seed, 12, spec, env_id="ForestPilot/Drive-v0")
        episode.camera_offsets = random_offsets(np.random.default_rng(seed), 13)
        dataset.add(episode)
    config = make_config({"head": "regression"}, data=(str(tmp_path / "data"),), out=str(tmp_path / "run"), steps=4)
    policy = clone(replace(config, side_labels=side_labels))
    assert policy.spec == spec
    assert same_weights(load_policy(tmp_path / "run"), policy)
