"""Episodes whose process is killed: run again by another, alike; those that kill theirs each time are named."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix, task_spec_of
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tasks import TASKS

DRONE = TASKS.get("drone")
MIX = ScenarioMix(width=32, height=24)


class Noted(SilentProgress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


class DeadlyPilot(ExpertPilot):
    """An expert that kills its process on the fifth step after a world was begun, as often as it is told."""

    def __init__(self, seed: int, folder: str, times: int) -> None:
        super().__init__()
        self._seed, self._folder, self._times, self._steps_left = seed, Path(folder), times, -1

    def restart(self, slot: int, seed: int) -> None:
        super().restart(slot, seed)
        if seed == self._seed and len(list(self._folder.glob("death-*"))) < self._times:
            self._steps_left = 5

    def act(self, observations: Any, infos: Any, slots: Any) -> Any:
        self._steps_left -= 1
        if self._steps_left == 0:
            (self._folder / f"death-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().act(observations, infos, slots)


@dataclass(frozen=True)
class DeadlyFactory:
    """Makes the pilot in its process."""

    seed: int
    folder: str
    times: int

    def __call__(self) -> DeadlyPilot:
        return DeadlyPilot(self.seed, self.folder, self.times)


@pytest.fixture(scope="module")
def pool() -> Iterator[RolloutPool]:
    with RolloutPool(2) as made:
        yield made


def make_job(folder: Path, pilot: Any = ExpertPilot) -> Job:
    Dataset.create(folder, task_spec_of(DRONE, MIX), DRONE.bare_env_id)
    drawn = [MIX.scenario(seed, DRONE) for seed in range(6)]
    short = tuple(Scenario(each.seed, {**each.env_kwargs, "time_limit_s": 2.0}) for each in drawn)
    return Job("drone", short, pilot, dataset=str(folder), results_folder=str(folder / "trips"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def test_a_killed_process_changes_nothing(pool: RolloutPool, tmp_path: Path) -> None:
    undisturbed = RolloutPool(1).run(make_job(tmp_path / "whole"))
    progress = Noted()
    disturbed = pool.run(make_job(tmp_path / "killed", DeadlyFactory(2, str(tmp_path), times=1)), progress)
    assert [episode.scenario.seed for episode in disturbed] == list(range(6))
    for one, other in zip(undisturbed, disturbed, strict=True):
        assert one.figures == other.figures and np.array_equal(one.state_hashes, other.state_hashes)
    whole, killed = content(tmp_path / "whole"), content(tmp_path / "killed")
    assert whole.keys() == killed.keys() and {k for k in whole if whole[k] != killed[k]} == set()
    assert len(progress.notes) == 1 and "killed by signal 9" in progress.notes[0]


def test_what_kills_its_process_each_time_is_named_and_the_rest_recorded(pool: RolloutPool, tmp_path: Path) -> None:
    job = make_job(tmp_path / "data", DeadlyFactory(3, str(tmp_path), times=99))
    with pytest.raises(ForestPilotError, match=r"3 times, at each of these worlds: 3. All other episodes were run"):
        pool.run(job)
    assert len(list(tmp_path.glob("death-*"))) == 3
    recorded = Dataset.open(tmp_path / "data")
    assert sorted(header.meta.seed for header in recorded.episodes) == [0, 1, 2, 4, 5]
