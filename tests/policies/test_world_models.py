"""Models of the world: strips are what stands around, imagining uses nothing that comes later, training goes on where
it was killed, and planning leads past what is in the way."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.run import RunError
from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.launch.films.imagined import bars, film_frames, montage
from forestpilot.policies.algorithms.imagined_pilot import ImaginedPilot
from forestpilot.policies.networks.checkpoint import CheckpointError
from forestpilot.policies.training.resumable import Schedule, Stepwise
from forestpilot.policies.world_models import WORLD_LEARNERS, WORLD_MODELS
from forestpilot.policies.world_models.base import FARTHEST, LEAST_CHANGE, Carry, to_metres, to_nearness
from forestpilot.policies.world_models.horizon import slope_of
from forestpilot.policies.world_models.options import (
    AdversarialConfig,
    ClonedConfig,
    ImageConfig,
    ImagineConfig,
    PlanConfig,
)
from forestpilot.policies.world_models.planning import Planner
from forestpilot.policies.world_models.seen import FOLDER, Seen, look_again, require_flights
from forestpilot.policies.world_models.sequences import Sequences, observed_along, unroll
from forestpilot.policies.world_models.stored import FILE, load_model, make_model
from forestpilot.policies.world_models.strip_model import moved
from forestpilot.policies.world_models.strips import COLUMNS, FAR_M, StripReader
from forestpilot.policies.world_models.training import imagine
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.worlds.tables import Trees
from tests.helpers.flights import record_flights
from tests.helpers.specs import make_spec, spec_of
from tests.helpers.told import told_to_pilots

STEPS = 14
WORLDS = (0, 1, 2)


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of short flights through three forests."""
    return record_flights(tmp_path_factory.mktemp("world") / "flights", WORLDS, STEPS).folder


@pytest.fixture(scope="module")
def seen(flights: Path) -> list[Seen]:
    return look_again([Dataset.open(flights)], None)


def small(flights: Path, out: Path, **values: Any) -> ImagineConfig:
    usual = ImagineConfig(
        data=(str(flights),), out=str(out), steps=4, batch=2, window=4, horizon=4, checkpoint_every=2, log_every=1
    )
    return dataclasses.replace(usual, **values)


def test_a_strip_is_the_range_to_what_stands_in_each_direction() -> None:
    env = make_env(TASKS.get("drone"))
    env.reset(seed=3)
    reader = StripReader(env.task_spec)
    state = env.vehicle.observed_state(5.0)[None].astype(np.float32)
    strip = reader(env.frames.depth[None], state)[0]
    eye = env.views.eyes[1][:2]
    trees = Trees.of(env.world.trees)
    places = np.stack([trees.x_m, trees.y_m], axis=1)
    radius = trees.radius_m
    wrong = 0
    for bearing, range_m in zip(reader.bearings_rad, strip):
        ray = np.array([math.cos(bearing), math.sin(bearing)])
        to_axis = places - eye
        along, beside = to_axis @ ray, to_axis @ np.array([-ray[1], ray[0]])
        hit = (np.abs(beside) < 0.9 * radius) & (along > 0)
        nearest = along[hit].min() if hit.any() else FAR_M
        near = (np.abs(beside) < radius + 0.05 * along + 0.1) & (along > 0)
        least = (along - radius)[near].min() if near.any() else FAR_M
        wrong += not min(least, FAR_M) - 0.4 <= range_m <= nearest + 0.3
    env.close()
    assert (np.diff(reader.bearings_rad) < 0).all() and wrong <= COLUMNS // 16


def test_a_strip_is_level_whatever_the_tilt() -> None:
    spec = make_spec()
    reader = StripReader(spec)
    depth = np.full((2, 3, spec.image_height, spec.image_width), 5.0, np.float32)
    depth[:, :, : spec.image_height // 2 - 8] = 1.0  # something above the horizon
    state = np.zeros((2, spec.state_size), np.float32)
    level = reader(depth, state)[0]
    state[:, spec.index("pitch_rad")] = 0.5  # nose down: the horizon is high in the picture
    assert level.min() >= 5.0 - 1e-4 and reader(depth, state)[1].min() < 2.0
    assert level[COLUMNS // 2] == pytest.approx(5.0, abs=0.1)


def test_strips_are_kept_beside_the_dataset_and_a_damaged_one_is_made_again(flights: Path, seen: list[Seen]) -> None:
    files = sorted((flights / FOLDER).iterdir())
    assert len(files) == len(WORLDS) and all(len(episode.strips) == STEPS + 1 for episode in seen)
    files[0].write_bytes(b"cut")
    again = look_again([Dataset.open(flights)], None)
    assert all(np.array_equal(one.strips, other.strips) for one, other in zip(seen, again))
    assert np.array_equal(np.load(files[0]), seen[0].strips)


def test_an_episode_that_cannot_be_simulated_again_is_refused(flights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forestpilot.policies.world_models.seen.FOLDER", "elsewhere")
    monkeypatch.setattr("forestpilot.policies.world_models.seen.LARGEST_DEVIATION", -1.0)
    with pytest.raises(DatasetError, match="cannot be simulated again"):
        look_again([Dataset.open(flights)], None)


def test_only_worlds_with_headings_and_told_goals_are_modelled() -> None:
    require_flights(make_spec())
    with pytest.raises(InvalidArgumentError, match="told headings"):
        require_flights(spec_of("drive"))


def test_nearness_and_metres_are_inverse() -> None:
    metres = torch.tensor([0.1, 1.0, 7.0, 15.0])
    assert torch.allclose(to_metres(to_nearness(metres)), metres, atol=1e-4)


def test_a_strip_moves_by_whole_columns_and_between_them() -> None:
    strip = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    assert moved(strip, torch.full((1, 4), 1.0)).tolist() == [[1.0, 0.0, 0.0, 0.0]]
    assert moved(strip, torch.full((1, 4), 0.5)).tolist() == [[0.5, 0.5, 0.0, 0.0]]


@pytest.mark.parametrize("name", WORLD_MODELS.names())
def test_imagining_uses_nothing_that_comes_later(name: str, seen: list[Seen]) -> None:
    config = ImagineConfig(model=WORLD_MODELS.get(name).Config())
    model = make_model(config, make_spec())
    views = [dataclasses.replace(each, views=np.zeros((STEPS + 1, 32, 64, 3), np.uint8)) for each in seen]
    windows = Sequences(model, views).take([(0, 0), (1, 3)], 6)
    told = model.context
    later = windows._replace(
        sight=windows.sight.clone(), vector=windows.vector.clone(), nearest=windows.nearest.clone()
    )
    for part in later[:3]:
        part[:, told:] = 0.7
    one = unroll(model, windows, told).after[-1]
    other = unroll(model, later, told).after[-1]
    assert all(torch.equal(a, b) for a, b in zip(one, other))
    assert not torch.equal(unroll(model, later, 6).after[-1].vector, one.vector), "and with teacher forcing it is told"
    set_point = model.spec.index("speed_set_point_mps")
    assert torch.equal(one.vector[:, set_point], windows.vector[:, 0, set_point]), "what is asked for stays"


@pytest.mark.parametrize("model", WORLD_MODELS.names())
@pytest.mark.parametrize("learner", WORLD_LEARNERS.names())
def test_every_model_is_learned_every_way_and_flown(model: str, learner: str, flights: Path, tmp_path: Path) -> None:
    parts = {"model": WORLD_MODELS.get(model).Config(), "learner": WORLD_LEARNERS.get(learner).Config()}
    learned = imagine(small(flights, tmp_path / "run", **parts))
    assert learned.errors.seeds == [2], "the last world is kept back"
    assert learned.errors.value.shape == (1, 4) and np.isfinite(learned.errors.nearest_m).all()
    rows = list(csv.DictReader((tmp_path / "run" / "horizon.csv").open()))
    assert {row["figure"] for row in rows} == {"value", "state", "nearest_m"}
    pilot = ImaginedPilot(str(tmp_path / "run"), "planner")
    actions = {}
    for slots in ([0, 3], [3, 5]):
        pilot.begin(8)
        for slot in slots:
            pilot.restart(slot, slot)
        observations, infos = told_to_pilots(len(slots))
        actions[slots[0]] = pilot.act(observations, infos, np.array(slots)).actions
    assert actions[0].shape == (2, 2) and np.abs(actions[0]).max() <= 1
    assert np.array_equal(actions[0][1], actions[3][1]), "an action does not depend on its episode's place"


def test_killed_and_resumed_equals_uninterrupted(
    flights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"learner": AdversarialConfig(warm_up=0.25)}
    imagine(small(flights, tmp_path / "whole", **parts))
    save = Stepwise.tensors

    def killed(learner: Stepwise) -> Any:
        tensors = save(learner)
        kill.setattr(Schedule, "rate_at", interrupted)
        return tensors

    def interrupted(*_: Any) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as kill:
        kill.setattr(Stepwise, "tensors", killed)
        with pytest.raises(KeyboardInterrupt):
            imagine(small(flights, tmp_path / "killed", **parts))
    assert not (tmp_path / "killed" / FILE).exists()
    imagine(small(flights, tmp_path / "killed", **parts))
    for name in ("metrics.csv", "horizon.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    whole, there = load_model(tmp_path / "whole")[0].state_dict(), load_model(tmp_path / "killed")[0].state_dict()
    assert all(torch.equal(values, there[name]) for name, values in whole.items())


def test_a_finished_model_is_left_alone_and_of_other_episodes_refused(flights: Path, tmp_path: Path) -> None:
    config = small(flights, tmp_path / "run")
    imagine(config)
    before = (tmp_path / "run" / FILE).stat().st_mtime_ns
    imagine(config)
    assert (tmp_path / "run" / FILE).stat().st_mtime_ns == before
    with pytest.raises(RunError, match="another config"):
        imagine(dataclasses.replace(config, data=(str(flights), str(flights))))
    (tmp_path / "run" / FILE).write_bytes((tmp_path / "run" / FILE).read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=FILE):
        load_model(tmp_path / "run")


def test_worlds_that_are_learned_from_are_not_held_out(flights: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="other worlds"):
        imagine(small(flights, tmp_path / "run", held_out=(str(flights),)))
    with pytest.raises(DatasetError, match="smaller --window"):
        imagine(small(flights, tmp_path / "run", window=200))
    with pytest.raises(InvalidArgumentError, match="free-steps"):
        ImagineConfig(window=4, learner=ClonedConfig(free_steps=4))


def test_a_critic_tells_other_transitions_apart_and_its_gradient_reaches_what_was_imagined(seen: list[Seen]) -> None:
    model = make_model(ImagineConfig(), make_spec())
    learner = WORLD_LEARNERS.get("adversarial")(AdversarialConfig(warm_up=0, likelihood=0), model, 10)
    windows = Sequences(model, seen).take([(0, 0), (1, 2)], 5)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    figures = learner.update(windows, 0, 1e-2, torch.Generator().manual_seed(0))
    assert set(figures) == {"loss", "told_true", "told_imagined"}
    changed = [name for name, values in model.state_dict().items() if not torch.equal(values, before[name])]
    assert any(name.startswith("dynamics") for name in changed) and any(name.startswith("first") for name in changed)


class Corridor(torch.nn.Module):
    """A world in which something stands ahead, and whoever turns to one side passes it."""

    def __init__(self, free_side: float) -> None:
        super().__init__()
        self.spec = make_spec()
        self.free_side = free_side

    def advance(self, carry: Carry, action: torch.Tensor) -> Carry:
        return carry._replace(memory=carry.memory + action[:, :1])

    def nearest(self, carry: Carry) -> torch.Tensor:
        passed = carry.memory[:, 0] * self.free_side > 0.3
        return to_nearness(torch.where(passed, 10.0, 0.2))

    def reward(self, vector: torch.Tensor, nearest: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(vector))


@pytest.mark.parametrize("free_side", [1.0, -1.0])
def test_a_plan_leads_past_what_is_in_the_way_on_the_side_that_is_free(free_side: float) -> None:
    model: Any = Corridor(free_side)
    vector = torch.zeros(2, model.spec.state_size + 2)
    vector[:, -2] = 1.0
    turns = Planner(model, PlanConfig(horizon=6)).plan(Carry(vector, vector, torch.zeros(2, 1)), torch.zeros(2))
    assert (turns * free_side > 0).all()


def test_a_film_shows_every_step_and_says_from_where_it_is_imagined(seen: list[Seen]) -> None:
    model = make_model(ImagineConfig(), make_spec()).requires_grad_(False)
    frames = list(film_frames(model, seen[0], 5))
    assert len(frames) == STEPS and len({frame.shape for frame in frames}) == 1
    left, right = (frames[0][60:300, x : x + 500] for x in (14, 538))
    assert frames[0].dtype == np.uint8 and left.std() > 5 and right.std() > 5
    near, far = bars(np.full(COLUMNS, 1.0, np.float32)), bars(np.full(COLUMNS, FAR_M, np.float32))
    assert near.mean() < far.mean(), "what is near is dark and high"


def test_a_still_shows_moments_of_the_true_and_the_imagined(seen: list[Seen]) -> None:
    model = make_model(ImagineConfig(), make_spec()).requires_grad_(False)
    few, many = montage(model, seen[0], 1), montage(model, seen[0], 10)
    assert few.shape[0] == many.shape[0] and few.shape[1] < many.shape[1]
    above, below = np.split(many[-312:], 2)
    assert above.std() > 5 and below.std() > 5 and not np.array_equal(above, below)


def test_told_side_by_side_or_one_after_the_other_is_the_same(seen: list[Seen]) -> None:
    model = make_model(ImagineConfig(), make_spec())
    torch.nn.init.normal_(model.last.weight, std=0.3)
    windows = Sequences(model, seen).take([(0, 0), (1, 3)], 5)
    at_once = unroll(model, windows, 5).after
    model.remembers = True
    for one, other in zip(at_once, unroll(model, windows, 5).after, strict=True):
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, other))


def test_imagination_stays_within_what_was_seen_and_learns_to_come_back(seen: list[Seen]) -> None:
    model = make_model(ImagineConfig(), make_spec())
    sequences = Sequences(model, seen)
    model.fit(sequences.usual())
    torch.nn.init.normal_(model.dynamics[-1].weight, std=100.0)
    torch.nn.init.constant_(model.last.bias, -9.0)  # everything is farther away than anything is
    windows = sequences.take([(0, 0), (1, 3)], 6)
    after = unroll(model, windows, 1).after[-1]
    begin = model.spec.state_size
    assert (after.vector[:, :begin] <= model.usual.most[:begin] + 1e-6).all()
    assert torch.allclose(after.vector[:, begin:].norm(dim=1), torch.ones(2)), "a direction"
    assert (model.reward(after.vector, torch.zeros(2)) <= 1).all()
    assert (after.sight == FARTHEST).all()
    (-after.sight.sum()).backward(retain_graph=True)
    assert model.last.bias.grad[1] != 0, "what lies beyond a bound is told the way back"
    model.zero_grad()
    after.sight.sum().backward()
    assert model.last.bias.grad[1] == 0, "and not the way out"


def test_errors_are_counted_in_what_is_usual(seen: list[Seen]) -> None:
    model = make_model(ImagineConfig(), make_spec())
    sequences = Sequences(model, seen)
    usual = sequences.usual()
    model.fit(usual)
    told = observed_along(model, sequences.take([(0, 0)], 2))[0]
    slow, rate = int(usual.change[:8].argmin()), int(usual.change[:8].argmax())
    losses = []
    for element in (slow, rate):
        off = told.vector.clone()
        off[:, element] += usual.change[element].clamp(min=LEAST_CHANGE)
        losses.append(float(model.loss_of(model.start(told)._replace(vector=off), told).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_slope_of_a_power_law_is_its_exponent() -> None:
    horizons = np.array([1, 2, 4, 8, 16])
    errors = 0.1 * np.arange(1, 17, dtype=float)[None] ** 2
    assert slope_of(errors, horizons)[0] == pytest.approx(2.0, abs=1e-6)


def test_observed_says_how_near_the_nearest_thing_is(seen: list[Seen]) -> None:
    model = make_model(ImagineConfig(), make_spec())
    observed = observed_along(model, Sequences(model, seen).take([(0, 0)], 3))[2]
    assert to_metres(observed.nearest)[0] == pytest.approx(seen[0].strips[2].min(), abs=1e-3)
    assert torch.equal(model.nearest(model.start(observed)), observed.nearest)
    assert ImageConfig().part == "image"
