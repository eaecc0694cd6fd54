"""Training under torchrun: two processes come to the same bits as one, whoever dies on the way."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch.distributed import HashStore

from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.loop import STATE_FILE, train
from forestpilot.policies.training.meeting import meet
from forestpilot.policies.training.ranks import RankError, Ranks, started_by_torchrun
from forestpilot.policies.training.state import TrainingState
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.made_up import MadeUpReader, SharedMadeUpReader, make_policy_config
from tests.helpers.specs import make_spec


def environment(rank: int, port: int) -> dict[str, str]:
    """What torchrun tells a rank of two."""
    return {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def be_the_second(port: int) -> None:
    """Body of the other process."""
    os.environ |= environment(1, port)
    with Ranks() as ranks:
        ranks.help()


class Pair(NamedTuple):
    """Rank 0, in this process, and the process of rank 1."""

    ranks: Ranks
    other: BaseProcess


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    other = get_context("spawn").Process(target=be_the_second, args=(port,), daemon=True)
    other.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(0, port).items():
            patch.setenv(name, value)
        with Ranks() as ranks:
            yield Pair(ranks, other)
    other.kill()


@pytest.fixture
def reader(tmp_path: Path) -> SharedMadeUpReader:
    (tmp_path / "seen").mkdir()
    return SharedMadeUpReader(tmp_path / "seen")


def make_config(**values: object) -> TrainConfig:
    settings: dict[str, object] = {"steps": 6, "batch_windows": 5, "shards": 3, "checkpoint_every": 4, "log_every": 3}
    settings |= {"tensorboard": False, "policy": make_policy_config()}
    return TrainConfig(**(settings | values))  # type: ignore[arg-type]


def learned(config: TrainConfig, reader: MadeUpReader, folder: Path, pool: Ranks | None = None) -> VisuomotorPolicy:
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    train(policy, reader, config, folder, pool=pool)
    return policy


def same_weights(first: VisuomotorPolicy, second: VisuomotorPolicy) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def without_speed(folder: Path) -> list[str]:
    return [row.rpartition(",")[0] for row in (folder / "metrics.csv").read_text().splitlines()]


@pytest.mark.parametrize("shards", [2, 3])
def test_two_ranks_come_to_what_one_process_comes_to(
    pair: Pair, reader: SharedMadeUpReader, tmp_path: Path, shards: int
) -> None:
    config = make_config(shards=shards)
    alone = learned(config, reader, tmp_path / "alone")
    together = learned(config, reader, tmp_path / "together", pair.ranks)
    assert same_weights(alone, together) and pair.ranks.processes == 2
    assert without_speed(tmp_path / "alone") == without_speed(tmp_path / "together")
    assert len(set((tmp_path / "seen").iterdir())) == 2, "both have drawn windows"


def test_killed_and_resumed_they_end_as_undisturbed(
    pair: Pair, reader: SharedMadeUpReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    alone = learned(config, reader, tmp_path / "alone")
    update = TrainingState.update

    def dying(self: TrainingState, loss: float) -> None:
        if self.step == 5:
            raise KeyboardInterrupt
        update(self, loss)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "update", dying)
        with pytest.raises(KeyboardInterrupt):
            learned(config, reader, tmp_path / "together", pair.ranks)
    assert same_weights(alone, learned(config, reader, tmp_path / "together", pair.ranks))


def test_what_other_ranks_could_not_do_is_refused(pair: Pair, reader: SharedMadeUpReader, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"shards is 1 and there are 2 processes.*--shards 2 or more"):
        learned(make_config(shards=1), reader, tmp_path / "run", pair.ranks)
    with pytest.raises(InvalidArgumentError, match="other processes cannot draw the windows"):
        learned(make_config(), MadeUpReader(), tmp_path / "run", pair.ranks)


def test_who_was_started_by_torchrun_knows_it() -> None:
    assert started_by_torchrun(environment(1, 29500))
    assert not started_by_torchrun({}) and not started_by_torchrun({"RANK": "0"})


def test_a_rank_that_dies_is_told_and_nothing_is_lost(
    pair: Pair, reader: SharedMadeUpReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one: the pair is a pair no longer."""
    config = make_config()
    alone = learned(config, reader, tmp_path / "alone")
    update = TrainingState.update

    def deadly(self: TrainingState, loss: float) -> None:
        update(self, loss)
        if self.step == 3:
            pair.other.kill()
            pair.other.join()

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "update", deadly)
        with pytest.raises(RankError, match="another rank of this training died"):
            learned(config, reader, tmp_path / "together", pair.ranks)
    assert (tmp_path / "together" / STATE_FILE).exists(), "saved at the step that it had come to"
    assert same_weights(alone, learned(config, reader, tmp_path / "together"))


def test_ranks_do_not_meet_the_dead_of_an_earlier_start() -> None:
    store = HashStore()
    for _ in range(3):
        with ThreadPoolExecutor() as threads:
            others = [threads.submit(meet, store, rank, 3, 10.0) for rank in (1, 2)]
            first = meet(store, 0, 3, 10.0)
            first.set("address", "new")
        assert all(other.result().get("address") == b"new" for other in others)
    assert not meet(store, 0, 1, 10.0).check(["address"])


def test_ranks_that_do_not_come_are_not_waited_for_for_ever() -> None:
    for rank in (0, 1):
        with pytest.raises(TimeoutError, match="have not come"):
            meet(HashStore(), rank, 2, 0.1)
