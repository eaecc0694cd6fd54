"""Every registered algorithm: killed and resumed equals uninterrupted, worlds are apart, and the best round is kept.

An algorithm of one file stands beside the registered ones, and inherits all of that.
"""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import forestpilot.policies.algorithms.algorithm as algorithm_module
import forestpilot.policies.networks.checkpoint as checkpoint_module
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.policies.algorithms import ALGORITHMS
from forestpilot.policies.algorithms.bco.config import InverseConfig
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.algorithms.rounds import ROUND_FIELDS, RoundResult, best_round
from forestpilot.policies.algorithms.semi.config import PseudoLabelsConfig
from forestpilot.policies.algorithms.third_person.config import TOLD
from forestpilot.policies.algorithms.validation import Validation
from forestpilot.policies.embeddings.options import MultiViewConfig
from forestpilot.policies.networks.checkpoint import describe_policy
from forestpilot.policies.networks.encoders.options import EmbeddingConfig, EmbeddingShape
from forestpilot.policies.networks.heads.options import GaussianConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.reinforcement.adversaries.options import AIRLConfig
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.policies.training.state import TrainingState
from forestpilot.sim.errors import ForestPilotError
from tests.policies.test_dagger import TINY_MIX, TINY_TRAIN

ONE_FILE = "tests.policies.noisy_demonstrations:NoisyDemonstrations"
"""Not registered: `package.module:attribute` names it as well."""
NAMES = [*ALGORITHMS.names(), ONE_FILE]


class Killed(Exception):
    """Stands in for the end of a process."""


NEEDED: dict[str, dict[str, Any]] = {
    "bco": {
        "alpha": 1.0,
        "inverse": InverseConfig(steps=4, batch=8),
        "train": dataclasses.replace(
            TINY_TRAIN,
            checkpoint_every=3,
            side_labels="none",
            policy=dataclasses.replace(TINY_TRAIN.policy, head=GaussianConfig()),
        ),
    },
    "semi": {
        "videos": 2,
        "method": PseudoLabelsConfig(InverseConfig(steps=4, batch=8)),
        "train": dataclasses.replace(
            TINY_TRAIN,
            checkpoint_every=3,
            side_labels="none",
            policy=dataclasses.replace(TINY_TRAIN.policy, head=GaussianConfig()),
        ),
    },
    "third-person": {
        "alpha": 1.0,
        "inverse": InverseConfig("pictures", steps=4, batch=8),
        "embedding_steps": 2,
        "embedder": MultiViewConfig(episodes=2, moments=4),
        "train": dataclasses.replace(
            TINY_TRAIN,
            checkpoint_every=3,
            side_labels="none",
            policy=dataclasses.replace(
                TINY_TRAIN.policy,
                encoder=EmbeddingConfig(frozen=True, shape=EmbeddingShape((4, 8, 8), 16, 8, 2)),
                state_inputs=TOLD,
                head=GaussianConfig(),
            ),
        ),
    },
    "intervene": {
        "first_steps": 10,  # its other rounds train nothing
        "train": dataclasses.replace(
            TINY_TRAIN,
            checkpoint_every=3,
            policy=dataclasses.replace(TINY_TRAIN.policy, causes=("yaw_rate_radps", "picture:0.5:1:0:1")),
        ),
    },
    "reinforce": {
        "expert_episodes": 4,  # in its other rounds nothing is recorded
        "first_steps": 8,
        "method": PPOConfig(environments=2, rollout=4, batch=4, epochs=1),
        "train": dataclasses.replace(
            TINY_TRAIN,
            checkpoint_every=3,
            policy=dataclasses.replace(TINY_TRAIN.policy, memory=NoMemoryConfig(), window=1, head=GaussianConfig()),
        ),
    },
}
NEEDED["adversarial"] = NEEDED["reinforce"] | {"adversary": AIRLConfig(steps=1, batch=4, features=8)}
"""What an algorithm cannot do without."""
RECORDED = {"reinforce": {0: 4}, "adversarial": {0: 4}}
"""Episodes in the dataset by round, where it is not two in each."""
EXTRAS = dict.fromkeys(("reinforce", "adversarial"), "stable_baselines3")
"""Library that an algorithm needs besides."""


def tiny(name: str, out: Path) -> AlgorithmConfig:
    values: dict[str, Any] = {
        "out": str(out),
        "rounds": 2,
        "expert_episodes": 2,
        "episodes": 2,
        "first_steps": 8,
        "steps": 5,
        "last_steps": 5,
        "validation_episodes": 1,
        "workers": 1,
        "mix": TINY_MIX,
        "train": dataclasses.replace(TINY_TRAIN, checkpoint_every=3),
    }
    return ALGORITHMS.get(name).Config(**{**values, **NEEDED.get(name, {})})


def run(name: str, out: Path) -> list[RoundResult]:
    return ALGORITHMS.get(name)(tiny(name, out)).run()


class Watching:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.finished_rounds: list[RoundResult] = []

    def looks(self, round_number: int, steps: int) -> list[int]:
        return [steps // 2] if round_number == 0 else []

    def looked(self, round_number: int, step: int, seen: Validation) -> None:
        assert round_number == 0 and step > 0 and seen.episodes == 1

    def finished(self, result: RoundResult) -> None:
        self.finished_rounds.append(result)


@pytest.fixture(scope="module", params=NAMES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """An uninterrupted run: (name of the algorithm, run folder, results).

    Somebody watches it, and looks at the middle of a training: those that are not watched must come to the same.
    """
    out = tmp_path_factory.mktemp("whole") / "run"
    if request.param in EXTRAS:
        pytest.importorskip(EXTRAS[request.param], reason="the extra rl is not installed")
    algorithm = ALGORITHMS.get(request.param)(tiny(request.param, out))
    algorithm.watcher = watching = Watching()
    results = algorithm.run()
    assert watching.finished_rounds == results
    return request.param, out, results


def dying(method: Callable[..., Any], calls: Iterator[int], when: Callable[..., bool]) -> Callable[..., Any]:
    """The method, but killed in the call for which `when` is true, given the number of the call and its arguments."""

    def called(*args: Any, **kwargs: Any) -> Any:
        if when(next(calls), *args):
            raise Killed
        return method(*args, **kwargs)

    return called


def written(dataset: Dataset) -> int:
    """Episodes on the disk, whether or not it has looked for them."""
    return len(list((dataset.folder / "episodes").glob("r*.hdf5")))


KILLS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "collecting": (Dataset, "put", lambda _, dataset, *__: written(dataset) == 3),
    "updating": (TrainingState, "update", lambda call, *_: call == 4),
    "storing a policy": (checkpoint_module, "save_policy", lambda call, *_: call == 0),
    "validating": (RolloutPool, "run", lambda _, __, ___, ____, name: name == "validate round 1"),
    "writing the row": (algorithm_module, "write_rounds", lambda _, __, rows: rows[-1].round == 1),
    "keeping the best": (algorithm_module, "best_round", lambda call, *_: call == 0),
}
"""Where a run is killed, one after the other: owner and name of what dies, and in which call."""
TRAINS_ONCE = ("intervene",)
"""Algorithms that train nothing after the first round, so that they are killed there first."""


def test_killed_again_and_again_and_resumed_equals_uninterrupted(finished, tmp_path, monkeypatch):
    name, whole, expected = finished
    places = sorted(KILLS, key=lambda place: place != "updating") if name in TRAINS_ONCE else list(KILLS)
    for owner, method, when in (KILLS[place] for place in places):
        with monkeypatch.context() as patched:
            patched.setattr(owner, method, dying(getattr(owner, method), iter(range(10_000)), when))
            with pytest.raises(Killed):
                run(name, tmp_path / "run")
        assert not (tmp_path / "run" / "policy.safetensors").exists(), f"killed {method} too late to test anything"
    assert run(name, tmp_path / "run") == expected
    for file in ("rounds.csv", "policy.safetensors", "rounds/round-01/policy.safetensors", "metrics.csv"):
        ours, theirs = (whole / file).read_bytes(), (tmp_path / "run" / file).read_bytes()
        if file == "metrics.csv":
            assert without_speed(ours) == without_speed(theirs)
        else:
            assert ours == theirs, file


SPEEDS = ("frames_per_s", "steps_per_s")


def without_speed(table: bytes) -> list[dict[str, str]]:
    """The rows of metrics.csv but for how fast it went."""
    rows = list(csv.DictReader(table.decode().splitlines()))
    return [{key: value for key, value in row.items() if key not in SPEEDS} for row in rows]


def test_run_again_it_changes_nothing(finished):
    name, whole, expected = finished
    before = (whole / "policy.safetensors").read_bytes()
    assert run(name, whole) == expected
    assert (whole / "policy.safetensors").read_bytes() == before


def test_no_world_is_used_twice_and_none_is_a_test_world(finished):
    name, whole, _ = finished
    headers = Dataset.open(whole / "dataset").episodes
    seeds = [header.meta.seed for header in headers]
    assert len(set(seeds)) == len(seeds) and max(seeds) < 1_000_000
    assert Counter(header.meta.dagger_round for header in headers) == RECORDED.get(name, {0: 2, 1: 2, 2: 2})


def test_each_round_has_its_row_and_the_best_is_the_runs_policy(finished):
    name, whole, results = finished
    with (whole / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == ROUND_FIELDS and [int(row["round"]) for row in rows] == [0, 1, 2]
    best = best_round(results)
    told = describe_policy(whole)["extra"]
    assert told["chosen"]["round"] == best.round
    assert told["trained_by"] == ALGORITHMS.get(name).title
    kept = describe_policy(whole / "rounds" / f"round-{best.round:02d}")
    assert kept["policy_id"] == describe_policy(whole)["policy_id"], "the same weights, of which another story is told"


def test_another_config_in_the_same_folder_is_refused(finished):
    name, whole, _ = finished
    other = dataclasses.replace(tiny(name, whole), steps=6)
    with pytest.raises(ForestPilotError, match="steps: 5 there, 6 asked"):
        ALGORITHMS.get(name)(other).run()


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_of_the_algorithms_own_config(name):
    algorithm = ALGORITHMS.get(name)
    assert algorithm.title and issubclass(algorithm.Config, AlgorithmConfig)
    for preset in algorithm.PRESETS.values():
        assert isinstance(preset, algorithm.Config)
        used = [seed for number in range(preset.rounds + 1) for seed in preset.seeds(number)]
        assert len(set(used)) == len(used) and max(used) < 1_000_000


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_it_is_registered_under_its_name(name):
    assert ALGORITHMS.get(name).name == name
