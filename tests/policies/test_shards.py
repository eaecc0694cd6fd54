"""Shards: a step comes to the same whoever computes it, and no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.errors import BrokenEpisodeError
from forestpilot.data_collection.windows.windows import Batch
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training import shard_pool
from forestpilot.policies.training.batches import Objective
from forestpilot.policies.training.loop import train
from forestpilot.policies.training.shard_pool import ShardPool, ShardProcessError
from forestpilot.policies.training.train_config import TrainConfig
from tests.helpers.made_up import MadeUpReader, SharedMadeUpReader, make_policy_config
from tests.helpers.specs import make_spec

WAIT_S = 120.0


def make_config(**values: object) -> TrainConfig:
    settings: dict[str, object] = {"steps": 12, "batch_windows": 7, "shards": 3, "checkpoint_every": 5, "log_every": 4}
    settings |= {"tensorboard": False, "policy": make_policy_config()}
    return TrainConfig(**(settings | values))  # type: ignore[arg-type]


def learned(config: TrainConfig, reader: MadeUpReader, folder: Path, pool: ShardPool | None = None) -> VisuomotorPolicy:
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    train(policy, reader, config, folder, pool=pool)
    return policy


def same_weights(first: VisuomotorPolicy, second: VisuomotorPolicy) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(process_id: int) -> bool:
    stat = Path(f"/proc/{process_id}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    (tmp_path / "seen").mkdir()
    return tmp_path / "seen"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardPool]:
    """Two processes besides this one, which have learned what there is to learn before."""
    with pytest.MonkeyPatch.context() as patch, ShardPool(3) as ready:
        patch.setattr(shard_pool, "START_AFTER_S", 0.0)
        bring_up(ready, tmp_path_factory.mktemp("up"))
        yield ready


def bring_up(pool: ShardPool, folder: Path) -> None:
    """Train until every process takes part."""
    seen = folder / "seen"
    seen.mkdir()
    reader = SharedMadeUpReader(seen, others=pool.workers - 1)
    rounds = iter(range(10_000))

    def all_took_part() -> bool:
        learned(make_config(), reader, folder / str(next(rounds)), pool)
        return len(reader.others()) == pool.workers - 1

    wait_until(all_took_part)


def test_any_number_of_processes_comes_to_the_same_bit_for_bit(tmp_path: Path, seen: Path, pool: ShardPool) -> None:
    config, reader = make_config(steps=24), SharedMadeUpReader(seen, others=2)
    alone = learned(config, SharedMadeUpReader(seen), tmp_path / "alone")
    assert not reader.others()
    together = learned(config, reader, tmp_path / "together", pool)
    assert len(reader.others()) == 2
    assert same_weights(alone, together)
    tables = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("alone", "together")]
    rate = tables[0][0].split(",").index("frames_per_s")
    rows = [[row.split(",")[:rate] + row.split(",")[rate + 1 :] for row in table] for table in tables]
    assert rows[0] == rows[1]


def test_the_same_processes_go_on_with_a_smaller_policy(tmp_path: Path, seen: Path, pool: ShardPool) -> None:
    reader = SharedMadeUpReader(seen, others=2)
    learned(make_config(steps=24), reader, tmp_path / "first", pool)
    before = reader.others()
    for file in seen.iterdir():
        file.unlink()
    reader.wanted = 1
    small = make_config(steps=24, shards=2, policy=make_policy_config(features=8))
    together = learned(small, reader, tmp_path / "second", pool)
    assert len(before) == 2 and reader.others() and reader.others() < before
    assert same_weights(together, learned(small, MadeUpReader(), tmp_path / "alone"))


def test_torch_threads_do_not_matter_and_are_given_back(tmp_path: Path) -> None:
    policies = []
    for threads in (1, 2):
        with torch_threads(threads):
            policies.append(learned(make_config(), MadeUpReader(), tmp_path / str(threads)))
            assert torch.get_num_threads() == threads
    assert same_weights(*policies)


def test_other_shards_are_other_batches(tmp_path: Path) -> None:
    policies = [learned(make_config(shards=n), MadeUpReader(), tmp_path / str(n)) for n in (1, 2)]
    assert not same_weights(*policies)


@pytest.mark.parametrize(("shards", "windows"), [(1, [7]), (2, [4, 3]), (3, [3, 2, 2])])
def test_every_window_of_a_batch_is_in_one_shard(shards: int, windows: list[int]) -> None:
    config = make_config(shards=shards)
    assert [config.windows_of(shard) for shard in range(config.shards)] == windows


def test_more_shards_than_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="allowed: 1 to batch_windows = 7"):
        make_config(shards=8)


class OneSided(MadeUpReader):
    """Only windows of seven, of which four are in the first shard, teach anything."""

    def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
        drawn = super().sample(batch, rng)
        return drawn._replace(mask=np.full_like(drawn.mask, batch == 4))


def test_a_shard_without_labels_adds_nothing_and_weighs_nothing(tmp_path: Path) -> None:
    config = make_config(shards=2, steps=1, log_every=1)
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    figures = train(policy, OneSided(), config, tmp_path).figures
    assert all(np.isfinite(value) for value in figures.values())


class MadeHere(Objective):
    """Cannot be pickled."""

    def __init__(self) -> None:
        self.secret = lambda: None


def test_what_cannot_be_sent_is_computed_here(tmp_path: Path, seen: Path, pool: ShardPool) -> None:
    config = make_config(steps=40)
    reader = SharedMadeUpReader(seen)
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    train(policy, reader, config, tmp_path / "a", objective=MadeHere(), pool=pool)
    assert not reader.others()
    assert same_weights(policy, learned(config, MadeUpReader(), tmp_path / "b", pool))


def test_an_error_over_there_is_raised_here_and_the_pool_is_of_use_again(
    tmp_path: Path, seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_pool, "START_AFTER_S", 0.0)
    config = make_config(steps=4)
    broken = SharedMadeUpReader(seen, breaks_away=True, others=1)
    with ShardPool(2) as pool:
        with pytest.raises(BrokenEpisodeError, match="damaged meanwhile"):
            learned(replace(config, steps=10**6), broken, tmp_path / "broken", pool)
        after = learned(config, SharedMadeUpReader(seen), tmp_path / "after", pool)
    assert same_weights(after, learned(config, MadeUpReader(), tmp_path / "alone"))


class Killer(SharedMadeUpReader):
    """Kills the other process after some steps, or stops it."""

    left = 20
    signal = signal.SIGKILL

    def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
        if not self.is_away and self.others():
            self.left -= 1
            if self.left == 0:
                os.kill(max(self.others()), self.signal)
        return super().sample(batch, rng)


def test_a_process_that_hangs_is_ended_and_told(tmp_path: Path, seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_pool, "START_AFTER_S", 0.0)
    monkeypatch.setattr(shard_pool, "SILENT_LIMIT_S", 1.0)
    monkeypatch.setattr(shard_pool, "LOOK_S", 0.2)
    monkeypatch.setattr(Killer, "signal", signal.SIGSTOP)
    config = make_config(shards=2, steps=100_000, checkpoint_every=100_000, log_every=100_000)
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    with ShardPool(2) as pool, pytest.raises(ShardProcessError, match=r"said nothing .* run the same command again"):
        train(policy, Killer(seen, others=1), config, tmp_path / "run", pool=pool)
    assert (tmp_path / "run" / "checkpoints" / "training.safetensors").exists()


def test_a_process_that_dies_is_an_error_and_nothing_is_lost(
    tmp_path: Path, seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_pool, "START_AFTER_S", 0.0)
    config = make_config(shards=2, steps=100_000, checkpoint_every=100_000, log_every=100_000)
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    with ShardPool(2) as pool, pytest.raises(ShardProcessError, match="run the same command again"):
        train(policy, Killer(seen, others=1), config, tmp_path / "run", pool=pool)
    metadata = (tmp_path / "run/checkpoints/training.safetensors").read_bytes()[:2000].decode(errors="ignore")
    assert '\\"step\\"' in metadata
    values = [value.clone() for value in policy.parameters()]
    assert all(torch.isfinite(value).all() for value in values)
    again = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    with pytest.raises(ZeroDivisionError):
        train(again, Stopping(), config, tmp_path / "run")
    assert same_weights(policy, again), "the state is that of the last whole step"


class Stopping(MadeUpReader):
    def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
        raise ZeroDivisionError


SCRIPT = """
import sys

if __name__ == "__main__":
    from pathlib import Path
    from forestpilot.policies.training import shard_pool
    from forestpilot.policies.training.loop import train
    from forestpilot.policies.training.train_config import TrainConfig
    from tests.helpers.made_up import SharedMadeUpReader, make_policy, make_policy_config

    seen, out = map(Path, sys.argv[1:])
    shard_pool.START_AFTER_S = 0.0
    config = TrainConfig(policy=make_policy_config(), steps=10**7, batch_windows=7, shards=2, tensorboard=False)
    with shard_pool.ShardPool(2) as pool:
        train(make_policy(), SharedMadeUpReader(seen, others=1), config, out, pool=pool)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_a_training_that_ends_early(tmp_path: Path, seen: Path, how: signal.Signals) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "script.py", str(seen), "run"], env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: len(list(seen.iterdir())) == 2)
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does
        else:
            process.send_signal(how)
        _, told = process.communicate(timeout=WAIT_S)
        processes = {int(file.name) for file in seen.iterdir()}
        wait_until(lambda: not any(map(is_alive, processes)))
        assert told.count("Traceback") == (how == signal.SIGINT), told
    finally:
        process.kill()


def test_the_policy_has_its_own_memory_afterwards(tmp_path: Path, seen: Path, pool: ShardPool) -> None:
    first = learned(make_config(), SharedMadeUpReader(seen), tmp_path / "first", pool)
    before = [parameter.clone() for parameter in first.parameters()]
    learned(make_config(seed=1), SharedMadeUpReader(seen), tmp_path / "second", pool)
    assert all(torch.equal(a, b) for a, b in zip(before, first.parameters(), strict=True))
    storages = {parameter.untyped_storage().data_ptr() for parameter in first.parameters()}
    assert len(storages) == len(before)
    assert all(parameter.grad is None for parameter in first.parameters())
