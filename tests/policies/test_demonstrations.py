"""Demonstrations, from the environment to the policy: stored once, mirrored, read, adapted to, followed."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode, save_episode
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.data_collection.windows.augmentation import mirror
from forestpilot.data_collection.windows.hindsight import require_relabel
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.saliency import saliency
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.adapted import AdaptedGoal
from forestpilot.policies.networks.goal_encoders.base import Demonstrated, GoalShape
from forestpilot.policies.networks.goal_encoders.options import (
    AdaptedGoalConfig,
    DemonstrationGoalConfig,
    OrderGoalConfig,
    ToldGoalConfig,
)
from forestpilot.policies.networks.goal_encoders.order import OrderGoal
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.heads.options import RegressionConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import DEMONSTRATED_FRAMES, DEMONSTRATION, NO_CHOICE, ORDER_PLACES
from forestpilot.sim.tasks.drone import DroneOptions

OPTIONS = DroneOptions(density=(0.02,), orders=("training",), goal_kind=DEMONSTRATION)
MIX = ScenarioMix(options=OPTIONS, width=32, height=24, control_hz=5)
POLICY = PolicyConfig(goal_encoder=DemonstrationGoalConfig(), memory=NoMemoryConfig(), window=2)
MAML = dataclasses.replace(POLICY, goal_encoder=AdaptedGoalConfig(), head=RegressionConfig())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("shown") / "data"
    return collect(CollectConfig(str(folder), "drone", episodes=2, workers=1, mix=MIX))


@pytest.fixture(scope="module")
def episode(dataset: Dataset) -> Episode:
    return load_episode(dataset.episodes[0].path)


def seen_at(episode: Episode, policy: VisuomotorPolicy, step: int = 0) -> dict[str, np.ndarray]:
    return {key: episode.observations[key][step : step + 1] for key in policy.observation_keys}


def test_a_demonstration_is_stored_once_and_read_at_every_step(dataset: Dataset, tmp_path: Path) -> None:
    path = dataset.episodes[0].path
    whole = load_episode(path)
    frames = whole.observations["demonstration"]
    assert frames.shape == (whole.num_steps + 1, DEMONSTRATED_FRAMES, 24, 32, 3) and frames.strides[0] == 0
    assert frames[0].any() and np.array_equal(frames[0], frames[-1])
    part = load_episode(path, start=3, stop=5).observations["demonstration_steps"]
    assert part.shape == (3, DEMONSTRATED_FRAMES, 15)
    again = load_episode(save_episode(tmp_path / "again.hdf5", whole))
    assert np.array_equal(again.observations["demonstration"][-1], frames[0])
    content = path.read_bytes()
    with h5py.File(path if h5py.is_hdf5(path) else _hdf5_part(content, tmp_path), "r") as file:
        assert file["data/demo_0/obs/demonstration"].shape[0] == 1


def _hdf5_part(content: bytes, folder: Path) -> Path:
    part = folder / "part.hdf5"
    part.write_bytes(content[content.index(b"\x89HDF") :])
    return part


def test_windows_come_with_the_demonstration_and_are_mirrored_with_it(dataset: Dataset, episode: Episode) -> None:
    batch = WindowReader([dataset], 2).sample(4, np.random.default_rng(0))
    assert batch.goal_view.shape == (4, DEMONSTRATED_FRAMES, 24, 32, 3)
    shown = {load_episode(header.path).observations["demonstration"][0].tobytes() for header in dataset.episodes}
    assert {view.tobytes() for view in batch.goal_view} == shown
    turned = mirror(batch, dataset.task_spec, np.array([True, False, False, False]))
    assert np.array_equal(turned.goal_view[0], batch.goal_view[0, :, :, ::-1])
    assert np.array_equal(turned.goal_view[1:], batch.goal_view[1:])
    left = dataset.task_spec.index("left_mps")
    for column, sign in ((left, -1), (10, 1), (11, -1), (12, 1), (13, -1), (14, 1)):
        assert np.array_equal(turned.goal_steps[0, :, column], sign * batch.goal_steps[0, :, column])
    assert np.array_equal(turned.goal_steps[1:], batch.goal_steps[1:])


@pytest.mark.parametrize("reader", [DemonstrationGoalConfig(), AdaptedGoalConfig(), ToldGoalConfig()])
def test_a_policy_learns_from_demonstrations_and_flies(
    reader: GoalEncoderConfig, dataset: Dataset, tmp_path: Path
) -> None:
    policy = clone(
        TrainConfig(
            data=(str(dataset.folder),),
            out=str(tmp_path / "policy"),
            policy=dataclasses.replace(POLICY, goal_encoder=reader),
            steps=2,
            batch_windows=4,
            tensorboard=False,
        )
    )
    sees = ("demonstration", "demonstration_steps") if policy.goal_encoder.reads_demonstration else ()
    assert policy.observation_keys == ("center", "state", "goal", *sees)
    options = dataclasses.replace(OPTIONS, orders=("held-out",), goal_kind="")
    evaluation = EvaluateConfig(
        policy=(str(tmp_path / "policy"),),
        out=str(tmp_path / "eval"),
        split="validation",
        episodes=1,
        options=options,
        workers=1,
    )
    assert evaluate(evaluation)[0].episodes == 1


@pytest.mark.parametrize("config", [POLICY, MAML])
def test_what_is_demonstrated_matters_to_what_is_done(config: PolicyConfig, dataset: Dataset, episode: Episode) -> None:
    policy = VisuomotorPolicy.seeded(config, dataset.task_spec, 0)
    observation = seen_at(episode, policy)
    other = {**observation, "demonstration": 255 - observation["demonstration"]}
    assert not np.allclose(policy.act(observation)[0], policy.act(other)[0])
    two = {key: np.concatenate([observation[key], other[key]]) for key in observation}
    together, _ = policy.act(two)
    assert np.allclose(together[:1], policy.act(observation)[0], atol=1e-5)
    assert len(saliency(policy, seen_at(episode, policy))) == 1


RED, BLUE = (200, 20, 20), (20, 20, 200)


def demonstrated(orders: np.ndarray) -> Demonstrated:
    """Demonstrations of orders (B, 3) of red (0) and blue (1): all that is seen has the colour of the next choice."""
    left = np.linspace(1.0, 0.05, DEMONSTRATED_FRAMES, dtype=np.float32)
    steps = np.zeros((len(orders), DEMONSTRATED_FRAMES, 15), np.float32)
    steps[..., 12] = left / (left + 0.25)
    ahead = np.minimum((left[:, None] < 1 - np.array(ORDER_PLACES)).sum(1), 2)
    pixels = np.array([RED, BLUE], np.uint8)[orders[:, ahead]]
    views = np.broadcast_to(pixels[:, :, None, None], (*pixels.shape[:2], 32, 64, 3))
    return Demonstrated(torch.from_numpy(views.copy()), torch.from_numpy(steps))


def test_a_trained_policy_follows_a_demonstration_be_it_a_wrong_one(dataset: Dataset) -> None:
    config = dataclasses.replace(POLICY, head=RegressionConfig(), features=24, window=1)
    policy = VisuomotorPolicy.seeded(config, dataset.task_spec, 0).train()
    optimizer = torch.optim.Adam(policy.parameters(), 5e-3)
    rng = np.random.default_rng(0)
    taught = np.array([order for order in itertools.product((0, 1), repeat=3) if order != (0, 1, 1)])
    size = 24
    views, state = torch.full((size, 1, 1, 32, 64, 3), 90, dtype=torch.uint8), torch.zeros(size, 1, 10)
    for _ in range(30):
        orders = taught[rng.integers(len(taught), size=size)]
        row = rng.integers(3, size=size)
        away = 1.06 - np.array(ORDER_PLACES)[row]
        goal = np.stack([np.ones(size), np.zeros(size), away / (away + 0.25)], -1).astype(np.float32)[:, None]
        turn = np.where(orders[np.arange(size), row] == 0, 0.5, -0.5).astype(np.float32)
        actions = torch.from_numpy(np.stack([turn, np.ones_like(turn)], -1))[:, None, None]
        shown = demonstrated(orders)
        prediction, _ = policy(views, state, torch.from_numpy(goal), goal_view=shown)
        target = Target(actions, torch.ones(size, 1, 1, dtype=torch.bool), None, 0.0)
        named = policy.goal_encoder.naming_loss(torch.from_numpy(orders))
        assert policy.goal_encoder.names is None
        (policy.head.loss(prediction, target).mean() + named.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    policy.eval()
    new = np.array([[0, 1, 1], [1, 0, 0]])  # of which only the second was taught
    with torch.no_grad():
        for row in range(3):
            prediction, _ = policy(
                views[:2],
                state[:2],
                torch.from_numpy(_at_row(row)).expand(2, 1, 3),
                goal_view=demonstrated(new),
            )
            turns = policy.head.act(prediction)[:, 0, 0, 0].numpy()
            assert np.array_equal(turns > 0, new[:, row] == 0), (row, turns)


def _at_row(row: int) -> np.ndarray:
    away = 1.06 - ORDER_PLACES[row]
    return np.array([[[1.0, 0.0, away / (away + 0.25)]]], np.float32)


def test_a_told_order_is_as_loud_as_asked() -> None:
    goal = torch.tensor([[[1.0, 0.0, 0.75, 0, 1, 0, 1, 0, 0, 0, 0, 1]]])
    shape = GoalShape(12, 32, 64, ())
    quiet, loud = (
        OrderGoal(OrderGoalConfig(loudness=loudness), shape)(goal, None)[0, 0].detach() for loudness in (1.0, 4.0)
    )
    assert torch.equal(quiet[:3], loud[:3]) and torch.allclose(4 * quiet[3:], loud[3:])
    assert quiet[3:].argmax() == 1 and float(quiet[3:].sum()) == pytest.approx(1)


def test_what_is_named_wrongly_is_a_loss_beside_the_policys_own(dataset: Dataset) -> None:
    policy = VisuomotorPolicy.seeded(POLICY, dataset.task_spec, 0)
    encoder = policy.goal_encoder
    orders = torch.tensor([[0, 1, 2], [2, NO_CHOICE, NO_CHOICE]])
    assert not encoder.naming_loss(orders).any()  # nothing has been read
    encoder.names = 20.0 * torch.nn.functional.one_hot(torch.tensor([[0, 1, 2], [0, 0, 0]]), 3).float()
    right, wrong = encoder.naming_loss(orders).tolist()
    assert right == pytest.approx(0, abs=1e-4) and wrong == pytest.approx(0.3 * 20 / 3, rel=1e-3)
    without = dataclasses.replace(POLICY, goal_encoder=DemonstrationGoalConfig(naming=0.0))
    assert VisuomotorPolicy.seeded(without, dataset.task_spec, 0).goal_encoder.name is None
    assert not VisuomotorPolicy.seeded(MAML, dataset.task_spec, 0).goal_encoder.naming_loss(orders).any()


def test_adaptation_is_one_gradient_step_on_the_demonstrators_turns(dataset: Dataset, episode: Episode) -> None:
    policy = VisuomotorPolicy.seeded(MAML, dataset.task_spec, 0)
    encoder = policy.goal_encoder
    assert isinstance(encoder, AdaptedGoal)
    shown = policy._demonstrated_in(seen_at(episode, policy))
    context = encoder.adapted(lambda at: policy._imitation_loss(shown, at), 1).detach()
    step = 1e-2
    for number in range(3):
        losses = []
        for sign in (1, -1):
            moved = encoder.start.detach()[None].clone()
            moved[0, number] += sign * step
            losses.append(float(policy._imitation_loss(shown, moved).detach()))
        slope = (losses[0] - losses[1]) / (2 * step)
        expected = float((encoder.start[number] - encoder.rate[number] * slope).detach())
        assert float(context[0, number]) == pytest.approx(expected, abs=2e-3)
    assert float(policy._imitation_loss(shown, context).detach()) != float(
        policy._imitation_loss(shown, encoder.start[None].detach())
    )


def test_the_step_itself_learns(dataset: Dataset) -> None:
    policy = VisuomotorPolicy.seeded(MAML, dataset.task_spec, 0)
    batch = WindowReader([dataset], 2).sample(2, np.random.default_rng(0))
    shown = Demonstrated(torch.from_numpy(batch.goal_view), torch.from_numpy(batch.goal_steps))
    views = torch.zeros((2, 2, 1, *policy.prepare.view_shape), dtype=torch.uint8)
    view = policy.prepare(batch.goal_view.reshape(-1, 24, 32, 3), np.zeros((24, 10), np.float32))
    shown = shown._replace(views=torch.from_numpy(view).unflatten(0, (2, DEMONSTRATED_FRAMES)))
    prediction, _ = policy(views, torch.from_numpy(batch.state), torch.from_numpy(batch.goal), goal_view=shown)
    prediction.square().sum().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
    assert policy.goal_encoder.log_rate.grad.abs().sum() > 0  # type: ignore[union-attr, operator]


def test_what_cannot_be_is_refused_before_any_work(dataset: Dataset) -> None:
    spec = dataset.task_spec
    told = dataclasses.replace(spec, goal_kind="vector")
    with pytest.raises(InvalidArgumentError, match=r"kind vector; give --policy\.goal-encoder told"):
        VisuomotorPolicy(POLICY, told)
    with pytest.raises(InvalidArgumentError, match="order reads goals of kind order"):
        VisuomotorPolicy(dataclasses.replace(POLICY, goal_encoder=OrderGoalConfig()), told)
    with pytest.raises(InvalidArgumentError, match="maml goes neither with"):
        VisuomotorPolicy(dataclasses.replace(MAML, hidden=("left_mps",)), spec)
    with pytest.raises(InvalidArgumentError, match="which no place that was reached does"):
        require_relabel("future", spec)
