"""Episodes on a Ray cluster of two nodes, both on this machine: the same as those of local processes, whoever dies."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, make_pool
from forestpilot.data_collection.rollouts.pools import RayConfig, ray_cluster
from forestpilot.data_collection.rollouts.pools.ray_cluster import (
    ADDRESS_VARIABLE,
    ClusterError,
    is_started_here,
    require_same_version,
)
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix, task_spec_of
from forestpilot.policies.evaluation.pilots import PolicyFactory
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tasks import TASKS
from tests.helpers.made_up import make_policy

DRONE = TASKS.get("drone")
MIX = ScenarioMix(width=32, height=24)


class Noted(SilentProgress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


class MortalPilot(ExpertPilot):
    """An expert whose process dies, or who makes a mistake, in some worlds, once in each."""

    def __init__(self, factory: Mortal) -> None:
        self._factory = factory
        self._steps_left = -1

    def restart(self, slot: int, seed: int) -> None:
        mark = Path(self._factory.folder, f"death-{seed}")
        if seed in self._factory.seeds and not mark.exists():
            mark.touch()
            self._steps_left = 5

    def act(self, observations: Any, infos: Any, slots: Any) -> Any:
        self._steps_left -= 1
        if self._steps_left == 0:
            if self._factory.mistake:
                raise InvalidArgumentError("this pilot cannot")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().act(observations, infos, slots)


@dataclass(frozen=True)
class Mortal:
    """Makes the pilot in its process."""

    folder: str
    seeds: tuple[int, ...]
    mistake: bool = False

    def __call__(self) -> MortalPilot:
        return MortalPilot(self)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("ray", reason='Ray is not installed: pip install "forestpilot[ray]"')
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(scope="module")
def pool(address: str) -> Iterator[RolloutPool]:
    with make_pool(RayConfig(address), 1) as made:
        yield made


def make_job(folder: Path, pilot: Any = ExpertPilot, record: bool = True) -> Job:
    Dataset.create(folder, task_spec_of(DRONE, MIX), DRONE.bare_env_id)
    drawn = [MIX.scenario(seed, DRONE) for seed in range(8)]
    short = tuple(Scenario(each.seed, {**each.env_kwargs, "time_limit_s": 1.0}) for each in drawn)
    return Job("drone", short, pilot, dataset=str(folder) if record else None, results_folder=str(folder / "trips"))


def test_dead_workers_change_nothing(pool: RolloutPool, tmp_path: Path) -> None:
    whole = RolloutPool(1).run(make_job(tmp_path / "whole"))
    progress = Noted()
    mortal = Mortal(str(tmp_path), seeds=(1, 6))
    done = pool.run(make_job(tmp_path / "killed", mortal), progress)
    assert [episode.scenario.seed for episode in done] == list(range(8))
    assert [(one.figures, one.state_hashes.tolist()) for one in whole] == [
        (other.figures, other.state_hashes.tolist()) for other in done
    ]
    assert len(list(tmp_path.glob("death-*"))) == 2
    assert progress.notes and all("begin anew" in note for note in progress.notes)
    datasets = [Dataset.open(tmp_path / name) for name in ("whole", "killed")]
    assert fingerprint_of(datasets[:1]) == fingerprint_of(datasets[1:])
    trips = [sorted(path.name for path in (tmp_path / name / "trips").iterdir()) for name in ("whole", "killed")]
    assert trips[0] == trips[1] and len(trips[0]) == 8


def test_a_policy_goes_along_and_does_as_here(pool: RolloutPool, tmp_path: Path) -> None:
    save_policy(tmp_path / "policy", make_policy(spec=task_spec_of(DRONE, MIX)))
    job = make_job(tmp_path / "data", PolicyFactory(str(tmp_path / "policy"), "policy"), record=False)
    here, there = RolloutPool(1).run(job), pool.run(job)
    assert all(np.array_equal(one.actions, other.actions) for one, other in zip(here, there, strict=True))
    assert [one.figures for one in here] == [other.figures for other in there]


def test_workers_write_themselves_where_storage_is_shared(
    address: str, pool: RolloutPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders are named as this process sees them; workers have another working directory."""
    monkeypatch.chdir(tmp_path)
    save_policy("policy", make_policy(spec=task_spec_of(DRONE, MIX)))
    job = make_job(Path("data"), PolicyFactory("policy", "policy"))
    with make_pool(RayConfig(address, shared_storage=True), 1) as sharing:
        sharing.run(job)
    assert len(Dataset.open(tmp_path / "data")) == 8


def test_a_cluster_that_is_started_here_sees_the_same_folders(
    pool: RolloutPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_started_here(""), "this process is connected already, to whatever that is"
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    assert is_started_here("") and not is_started_here("10.0.0.1:6379")
    monkeypatch.setenv(ADDRESS_VARIABLE, "10.0.0.1:6379")
    assert not is_started_here("")


def test_a_mistake_in_a_worker_is_told_as_one_made_here(pool: RolloutPool, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="this pilot cannot"):
        pool.run(make_job(tmp_path / "data", Mortal(str(tmp_path), seeds=(0,), mistake=True)))


def answer_with(content: bytes) -> str:
    """Address of a server that answers one caller so."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        caller, _ = server.accept()
        with server, caller:
            caller.recv(100)
            caller.sendall(content)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("127.0.0.1:1", r"no Ray cluster can be reached at 127.0.0.1:1 \(Connection refused\)"),
        ("somewhere", "give HOST:PORT"),
        ("127.0.0.1:99999", "give HOST:PORT"),
        ("ray://10.0.0.1:10001", "one for Ray's client"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is no Ray cluster"),
        (b"", "is no Ray cluster"),
    ],
)
def test_what_is_no_cluster_is_told_at_once(given: str | bytes, told: str) -> None:
    address = answer_with(given) if isinstance(given, bytes) else given
    with pytest.raises(ClusterError, match=told):
        ray_cluster.require_cluster(address)


def test_another_version_on_a_node_is_refused() -> None:
    require_same_version(package_version(), package_version(), "node-7")
    with pytest.raises(
        ClusterError, match=r"node-7 runs ForestPilot 0\.1\.0, and the command is of ForestPilot 0\.2\.0"
    ):
        require_same_version("0.2.0", "0.1.0", "node-7")
