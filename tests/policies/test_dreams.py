"""Policies that are learned inside a model: they do what the planner would, go on where they were killed, and fly."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from forestpilot.data_collection.episodes.dataset import DatasetError
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.episodes.run import RunError
from forestpilot.policies.algorithms.imagined_pilot import DreamedFactory, DreamedPilot
from forestpilot.policies.evaluation.entrants import make_entrant
from forestpilot.policies.networks.checkpoint import CheckpointError
from forestpilot.policies.world_models import WORLD_MODELS
from forestpilot.policies.world_models.base import Carry, to_nearness
from forestpilot.policies.world_models.dreams import DREAMERS
from forestpilot.policies.world_models.dreams.dagger import ImaginedDagger
from forestpilot.policies.world_models.dreams.dreamer import Moments
from forestpilot.policies.world_models.dreams.options import DreamConfig, ImaginedDaggerConfig
from forestpilot.policies.world_models.dreams.policy import DreamPolicy
from forestpilot.policies.world_models.dreams.stored import FILE, load_dream
from forestpilot.policies.world_models.dreams.training import dream
from forestpilot.policies.world_models.options import ImagineConfig, PlanConfig
from forestpilot.policies.world_models.planning import FIRST_TURNS, Planner
from forestpilot.policies.world_models.stored import FILE as WORLD_FILE
from forestpilot.policies.world_models.training import imagine
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.tasks import TASKS
from tests.helpers.flights import record_flights
from tests.helpers.specs import make_spec
from tests.helpers.told import told_to_pilots

STEPS = 12


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_flights(tmp_path_factory.mktemp("dreams") / "flights", (0, 1), STEPS).folder


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, flights: Path) -> dict[str, Path]:
    """A model of each kind, hardly trained."""
    folder = tmp_path_factory.mktemp("worlds")
    for name in WORLD_MODELS.names():
        model = WORLD_MODELS.get(name).Config()
        imagine(
            ImagineConfig(
                data=(str(flights),),
                out=str(folder / name),
                model=model,
                steps=2,
                batch=2,
                window=4,
                horizon=4,
                keep_back=0.5,
            )
        )
    return {name: folder / name for name in WORLD_MODELS.names()}


def small(world: Path, out: Path, **values: Any) -> DreamConfig:
    how = ImaginedDaggerConfig(states=5, flights=3, length=3, steps=2, batch=3, veer=2, plan=PlanConfig(horizon=3))
    return dataclasses.replace(DreamConfig(world=str(world), out=str(out), rounds=3, dreamer=how), **values)


@pytest.mark.parametrize("name", WORLD_MODELS.names())
@pytest.mark.parametrize("dreamer", DREAMERS.names())
def test_a_policy_is_learned_inside_every_model_and_flown(
    name: str, dreamer: str, worlds: dict[str, Path], tmp_path: Path
) -> None:
    assert DREAMERS.get(dreamer).Config.part == dreamer
    config = small(worlds[name], tmp_path / "run")
    dreamed = dream(config)
    assert dreamed.figures["short_of_plan"] >= 0
    header, *rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert header == "round,step,loss,short_of_plan,plan_value" and [row.split(",")[0] for row in rows] == [
        "0",
        "1",
        "2",
    ]
    pilot = DreamedPilot(str(tmp_path / "run"), "dreamer")
    actions = {}
    for slots in ([0, 3], [3, 5]):
        pilot.begin(8)
        for slot in slots:
            pilot.restart(slot, slot)
        actions[slots[0]] = pilot.act(*told_to_pilots(len(slots)), np.array(slots)).actions
    assert actions[0].shape == (2, 2) and np.isin(actions[0][:, 0], np.array([*FIRST_TURNS, 0.0], np.float32)).all()
    assert np.array_equal(actions[0][1], actions[3][1]), "an action does not depend on its episode's place"


def test_a_folder_is_known_by_its_file_and_flies_its_own_task_alone(worlds: dict[str, Path], tmp_path: Path) -> None:
    dream(small(worlds["strip"], tmp_path / "run"))
    (plain, named) = (make_entrant(f"{kind}{tmp_path / 'run'}", TASKS.get("drone")) for kind in ("", "dreamed:"))
    assert plain == named and plain.target.startswith("dreamed:") and plain.name == "run"
    assert isinstance(plain.factory, DreamedFactory) and plain.factory().name == "run"
    with pytest.raises(ForestPilotError, match="not of 'drive'"):
        make_entrant(str(tmp_path / "run"), TASKS.get("drive"))


def test_killed_and_resumed_equals_uninterrupted(
    worlds: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dream(small(worlds["strip"], tmp_path / "whole"))
    learn = ImaginedDagger.learn

    def killed(dreamer: ImaginedDagger, round_number: int, *args: Any) -> dict[str, float]:
        figures = learn(dreamer, round_number, *args)
        if round_number == 1:
            raise KeyboardInterrupt
        return figures

    with monkeypatch.context() as kill:
        kill.setattr(ImaginedDagger, "learn", killed)
        with pytest.raises(KeyboardInterrupt):
            dream(small(worlds["strip"], tmp_path / "killed"))
    assert not (tmp_path / "killed" / FILE).exists()
    dream(small(worlds["strip"], tmp_path / "killed"))
    for file in ("metrics.csv", WORLD_FILE):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    whole, there = (load_dream(tmp_path / name)[1].state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(values, there[name]) for name, values in whole.items())


def test_what_is_finished_is_left_alone_and_of_another_model_or_episodes_refused(
    flights: Path, worlds: dict[str, Path], tmp_path: Path
) -> None:
    world = Path(shutil.copytree(worlds["strip"], tmp_path / "world"))
    data = Path(shutil.copytree(flights, tmp_path / "data"))
    config = small(world, tmp_path / "run", data=(str(data),))
    figures = dream(config).figures
    before = (tmp_path / "run" / FILE).stat().st_mtime_ns
    assert dream(config).figures == figures and (tmp_path / "run" / FILE).stat().st_mtime_ns == before
    with pytest.raises(RunError, match="another config"):
        dream(dataclasses.replace(config, seed=1))
    record_flights(data, (5,), STEPS)
    with pytest.raises(RunError, match="other episodes"):
        dream(config)
    imagine(ImagineConfig(data=(str(flights),), out=str(tmp_path / "other"), steps=1, batch=1, window=4, horizon=4))
    (world / WORLD_FILE).write_bytes((tmp_path / "other" / WORLD_FILE).read_bytes())
    with pytest.raises(RunError, match="inside another model"):
        dream(config)
    (tmp_path / "run" / WORLD_FILE).write_bytes((tmp_path / "other" / WORLD_FILE).read_bytes())
    with pytest.raises(CheckpointError, match="inside another model"):
        load_dream(tmp_path / "run")


def test_what_cannot_be_dreamed_of_is_refused_before_anything_is_written(
    flights: Path, worlds: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(InvalidArgumentError, match="--world"):
        dream(DreamConfig(out=str(out)))
    with pytest.raises(InvalidArgumentError, match="another --out"):
        dream(small(worlds["strip"], worlds["strip"]))
    with pytest.raises(CheckpointError, match="forestpilot imagine"):
        dream(small(flights, out))
    with pytest.raises(DatasetError, match="nowhere"):
        dream(small(worlds["strip"], out, data=("nowhere",)))
    assert not (out / "config.json").exists() and not (worlds["strip"] / FILE).exists()


class Sides(nn.Module):
    """A world in which something stands ahead, and one sees on which side it can be passed."""

    vector_size = make_spec().state_size + 2

    def __init__(self) -> None:
        super().__init__()
        self.spec = make_spec()

    def advance(self, carry: Carry, action: Tensor, generator: torch.Generator | None = None) -> Carry:
        return carry._replace(memory=carry.memory + action[:, :1])

    def nearest(self, carry: Carry) -> Tensor:
        return to_nearness(torch.where((carry.memory * carry.sight)[:, 0] > 0.3, 10.0, 0.2))

    def reward(self, vector: Tensor, nearest: Tensor) -> Tensor:
        return torch.zeros(len(vector))

    def read(self, vector: Tensor) -> Tensor:
        return vector

    def eyes(self) -> tuple[nn.Module, int]:
        return nn.Identity(), 2

    def draw(self, count: int, rng: np.random.Generator) -> Moments:
        """Moments with the free side at random."""
        vector = torch.zeros(count, self.vector_size)
        vector[:, -2] = 1.0
        side = torch.from_numpy(rng.choice(np.array([-1.0, 1.0], np.float32), (count, 1)))
        return Moments(Carry(side, vector, torch.zeros(count, 1)), torch.zeros(count))


def test_a_policy_learns_to_pass_where_it_is_free() -> None:
    world: Any = Sides()
    config = ImaginedDaggerConfig(
        states=24, flights=20, length=3, steps=40, batch=24, learning_rate=1e-2, plan=PlanConfig(6)
    )
    torch.manual_seed(0)
    policy = DreamPolicy(world, 16)
    dreamer = ImaginedDagger(config, world, policy, world)
    with SilentProgress().stage("dream") as stage:
        figures = [dreamer.learn(number, np.random.default_rng(number), stage) for number in range(3)]
    assert figures[-1]["short_of_plan"] < 0.1 * figures[0]["short_of_plan"]
    moments = world.draw(20, np.random.default_rng(9))
    assert (policy.plan(*moments) * moments.carry.sight[:, 0] > 0).all()


class Ahead(Sides):
    """The same world, in which what stands ahead is five steps away, and stands before one flight in ten."""

    def advance(self, carry: Carry, action: Tensor, generator: torch.Generator | None = None) -> Carry:
        return carry._replace(memory=carry.memory + 1)

    def nearest(self, carry: Carry) -> Tensor:
        return to_nearness(torch.where((carry.memory == 5) & (carry.sight > 0), 0.2, 10.0)[:, 0])

    def draw(self, count: int, rng: np.random.Generator) -> Moments:
        moments = super().draw(count, rng)
        side = torch.where(torch.arange(count) % 10 == 0, 1.0, -1.0)[:, None]
        return moments._replace(carry=moments.carry._replace(sight=side))


def test_half_of_the_labels_are_of_moments_before_danger() -> None:
    world: Any = Ahead()
    config = ImaginedDaggerConfig(states=40, flights=200, length=8, veer=0, soon=3, plan=PlanConfig(4))
    dreamer = ImaginedDagger(config, world, DreamPolicy(world, 16), world)
    chosen = dreamer._moments(0, np.random.default_rng(0)).carry
    before = ((chosen.sight > 0) & (chosen.memory >= 1) & (chosen.memory <= 4))[:, 0]
    assert len(before) == 40 and 14 <= int(before.sum()) <= 28, "of all moments one in twenty is before danger"


def test_a_plan_is_the_turn_of_most_value() -> None:
    world: Any = Sides()
    planner = Planner(world, PlanConfig(horizon=6))
    moments = world.draw(20, np.random.default_rng(1))
    values = planner.values(*moments)
    assert values.shape == (20, len(FIRST_TURNS) + 1) and values.isfinite().all()
    turns = torch.tensor([*FIRST_TURNS, 0.0])  # the goal is straight ahead
    assert torch.equal(planner.plan(*moments), turns[values.argmax(1)])
