"""Few labels: what the methods make of videos, and of demonstrations of unknown quality."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, LackingError
from forestpilot.data_collection.episodes.episode import load_episode, without_actions
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.windows.batch import Batch
from forestpilot.policies.algorithms.bco.config import InverseConfig
from forestpilot.policies.algorithms.semi import MethodConfig
from forestpilot.policies.algorithms.semi.config import (
    ConsistencyConfig,
    MaskedConfig,
    PseudoLabelsConfig,
    SemiConfig,
    WeightedConfig,
)
from forestpilot.policies.algorithms.semi.consistency import ConsistencyObjective, _predict, mirror
from forestpilot.policies.algorithms.semi.loop import Semi
from forestpilot.policies.algorithms.semi.masked import hidden_pixels, in_own_units
from forestpilot.policies.algorithms.semi.weighted import StepDiscriminator, WeightedObjective
from forestpilot.policies.networks.checkpoint import describe_policy, load_policy, load_state
from forestpilot.policies.networks.goal_encoders.base import Demonstrated
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.heads.options import MixtureConfig, TurnCostsConfig
from forestpilot.policies.networks.views import OUTSIDE_GREY
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.adversaries.adversary import Adversary
from forestpilot.policies.reinforcement.adversaries.discriminator import Discriminator, GAILDiscriminator
from forestpilot.policies.reinforcement.adversaries.frames import Frames
from forestpilot.policies.reinforcement.adversaries.options import GAILConfig
from forestpilot.policies.training.batches import TrainingBatch
from forestpilot.policies.training.mixed import MixedReader, rows_of_first
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.specs import small_spec
from tests.policies.test_dagger import TINY_MIX, TINY_POLICY, TINY_TRAIN

TRAIN = dataclasses.replace(
    TINY_TRAIN, side_labels="none", policy=dataclasses.replace(TINY_TRAIN.policy, head=MixtureConfig())
)
PSEUDO = PseudoLabelsConfig(InverseConfig(steps=6, batch=16))
METHODS: list[MethodConfig] = [
    PSEUDO,
    ConsistencyConfig(),
    MaskedConfig(steps=4, batch=8, width=8),
    WeightedConfig(steps=3, batch=8),
]


def tiny(out: Path, **changes: object) -> SemiConfig:
    values = {
        "expert_episodes": 0, "first_steps": 6, "validation_episodes": 1, "workers": 1, "mix": TINY_MIX,
        "train": TRAIN, "first_world": 100, "method": PSEUDO,
    }  # fmt: skip
    return SemiConfig(out=str(out), **{**values, **changes})


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two flights with actions."""
    out = str(tmp_path_factory.mktemp("labelled") / "data")
    return collect(CollectConfig(out, episodes=2, workers=1, mix=TINY_MIX))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two more in other worlds."""
    out = str(tmp_path_factory.mktemp("others") / "data")
    return collect(CollectConfig(out, episodes=2, workers=1, mix=TINY_MIX, seed=50))


@pytest.fixture(scope="module")
def videos(others: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """These without actions."""
    seen = Dataset.create(tmp_path_factory.mktemp("videos") / "data", others.task_spec, others.env_id)
    for header in others.episodes:
        seen.add(without_actions(load_episode(header.path)))
    return seen


@pytest.fixture(scope="module", params=METHODS, ids=lambda method: method.part)
def run(request, labelled: Dataset, others: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A finished run of each method; what it is given beside has actions, whether it may read them or not."""
    out = tmp_path_factory.mktemp(request.param.part) / "run"
    given = {"demonstrations": (str(labelled.folder),), "unlabelled": (str(others.folder),)}
    (result,) = Semi(tiny(out, method=request.param, **given)).run()
    assert result.labels == labelled.total_steps, "what has no labels is not counted"
    return request.param.part, out


def test_what_was_done_in_videos_is_not_read(run: tuple[str, Path], labelled, videos, tmp_path: Path) -> None:
    part, out = run
    method = next(method for method in METHODS if method.part == part)
    given = {"demonstrations": (str(labelled.folder),), "unlabelled": (str(videos.folder),)}
    if part == "weighted":
        with pytest.raises(LackingError, match="lacks actions, and the method weighted needs them"):
            Semi(tiny(tmp_path / "run", method=method, **given))
        return
    Semi(tiny(tmp_path / "run", method=method, **given)).run()
    ours, theirs = (load_policy(folder).state_dict() for folder in (out, tmp_path / "run"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_its_worlds_and_figures_are_told(run: tuple[str, Path], labelled: Dataset, others: Dataset) -> None:
    part, out = run
    told = describe_policy(out)["extra"]
    seeds = {header.meta.seed for dataset in (labelled, others) for header in dataset.episodes}
    assert {seed for first, last in told["worlds"] for seed in range(first, last + 1)} >= seeds
    (row,) = csv.DictReader(line for line in (out / "method.csv").read_text().splitlines() if line[0] != "#")
    expected = {"pseudo-labels": "turn_error_deg", "masked": "frames", "weighted": "weight_of_others"}
    assert part == "consistency" or float(row[expected[part]]) > 0


def test_weights_of_every_episode_are_on_disk(run: tuple[str, Path], labelled: Dataset, others: Dataset) -> None:
    part, out = run
    table = out / "rounds" / "round-00" / "method" / "method.csv"
    assert table.exists() == (part == "weighted")
    if part == "weighted":
        rows = list(csv.DictReader(line for line in table.read_text().splitlines() if line[0] != "#"))
        assert [int(row["good"]) for row in rows] == [1, 1, 0, 0]
        assert [int(row["seed"]) for row in rows] == [h.meta.seed for d in (labelled, others) for h in d.episodes]
        assert all(0 <= float(row["least"]) <= float(row["weight"]) <= float(row["largest"]) <= 4 for row in rows)


def test_what_is_inferred_is_learned_beside(run: tuple[str, Path], others: Dataset) -> None:
    part, out = run
    folder = out / "beside" / "round-00"
    assert folder.exists() == (part in ("pseudo-labels", "consistency"))
    if folder.exists():
        for ours, theirs in zip(Dataset.open(folder).episodes, others.episodes, strict=True):
            episode = load_episode(ours.path)
            assert ours.num_labels == theirs.num_steps and set(episode.observations) == {"center", "state", "goal"}
            assert episode.actions.any() == (part == "pseudo-labels")
            assert not np.array_equal(episode.actions, load_episode(theirs.path, ()).actions)


def test_an_encoder_is_learned_without_labels_and_can_be_had_again(
    labelled: Dataset, videos: Dataset, tmp_path: Path
) -> None:
    given = {"demonstrations": (str(labelled.folder),), "unlabelled": (str(videos.folder),)}
    method = MaskedConfig(steps=4, batch=8, width=8)
    Semi(tiny(tmp_path / "first", method=method, **given)).run()
    few = Dataset.create(tmp_path / "few", labelled.task_spec, labelled.env_id)
    few.add(load_episode(labelled.episodes[0].path))
    given["demonstrations"] = (str(few.folder),)
    Semi(tiny(tmp_path / "own", method=method, **given)).run()
    encoders = [
        load_state(tmp_path / name / "rounds/round-00/method/encoder.safetensors")[0] for name in ("first", "own")
    ]
    assert all(torch.equal(encoders[0][name], encoders[1][name]) for name in encoders[0])
    fresh = VisuomotorPolicy.seeded(TRAIN.policy, labelled.task_spec, 0).state_dict()
    assert all(not torch.equal(value, fresh[name]) for name, value in encoders[0].items() if name.endswith("weight"))
    again = dataclasses.replace(method, encoder=str(tmp_path / "first"))
    Semi(tiny(tmp_path / "again", method=again, **given)).run()
    ours, theirs = (load_policy(tmp_path / name).state_dict() for name in ("own", "again"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "there is nothing without labels"),
        ({"videos": 2, "method": WeightedConfig()}, "videos is 2, and the method weighted weighs what was done"),
        (
            {
                "videos": 2,
                "train": dataclasses.replace(TRAIN, policy=dataclasses.replace(TRAIN.policy, head=TurnCostsConfig())),
            },
            "train.policy.head is turn-costs, which learns from costs",
        ),
        ({"videos": 2, "train": dataclasses.replace(TRAIN, batch_windows=3)}, "each needs two windows"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        Semi(tiny(tmp_path, **{"demonstrations": ("x",), **changes}))


def test_an_inverse_model_needs_two_labelled_episodes(labelled: Dataset, videos: Dataset, tmp_path: Path) -> None:
    few = Dataset.create(tmp_path / "few", labelled.task_spec, labelled.env_id)
    few.add(load_episode(labelled.episodes[0].path))
    given = {"demonstrations": (str(few.folder),), "unlabelled": (str(videos.folder),)}
    with pytest.raises(DatasetError, match="two labelled episodes at least"):
        Semi(tiny(tmp_path / "run", **given)).run()


def test_no_world_is_used_twice(tmp_path: Path) -> None:
    config = tiny(tmp_path, expert_episodes=3, rounds=2, episodes=4, videos=5)
    used = [seed for number in range(3) for seed in config.seeds(number)] + config.video_seeds
    assert used == list(range(100, 116))


class Constant:
    """A reader whose windows all show one number."""

    has_gaps = False

    def __init__(self, number: int, costs: bool) -> None:
        self.number = number
        self.costs = costs

    def sample(self, batch: int, rng: np.random.Generator, *, burn_in: int = 0) -> Batch:
        filled = np.full((batch, 2, 1), self.number, np.float32)
        costs = filled if self.costs else None
        return Batch(filled.astype(np.uint8), filled, filled, filled, costs, np.ones((batch, 2), bool))


def test_each_batch_has_its_share_of_both() -> None:
    rng = np.random.default_rng(0)
    assert [rows_of_first(n, 0.75) for n in (2, 4, 8)] == [1, 1, 2] and rows_of_first(4, 0.01) == 3
    for costs in (True, False):
        batch = MixedReader(Constant(1, True), Constant(2, costs), 0.75).sample(8, rng)
        assert batch.state[:, 0, 0].tolist() == [1, 1, 2, 2, 2, 2, 2, 2] and batch.mask.shape == (8, 2)
        assert (batch.costs is not None) == costs


def made_up_batch(policy: VisuomotorPolicy, windows: int) -> TrainingBatch:
    rng = np.random.default_rng(0)
    spec, view = policy.spec, policy.config.view
    shape = (windows, 2)
    views = torch.from_numpy(rng.integers(0, 256, (*shape, 1, view.height, view.width, 3), dtype=np.uint8))
    state = torch.from_numpy(rng.normal(0, 0.3, (*shape, spec.state_size)).astype(np.float32))
    goal = torch.from_numpy(rng.normal(0, 0.3, (*shape, spec.goal_size)).astype(np.float32))
    target = Target(torch.zeros(*shape, 1, 2), torch.ones(*shape, 1, dtype=torch.bool), None, 1.0)
    return TrainingBatch(views, state, goal, target, torch.ones(shape), torch.Generator().manual_seed(0))


def test_it_learns_its_own_answers_where_it_agrees_with_its_mirror_image() -> None:
    policy = VisuomotorPolicy.seeded(dataclasses.replace(TINY_POLICY, head=MixtureConfig()), small_spec(), 0)
    batch = made_up_batch(policy, 4)
    prediction, _ = policy(batch.views, batch.state, batch.goal)
    labels = policy.head.loss(prediction, batch.target)
    sure = ConsistencyObjective(ConsistencyConfig(within=2.0), 0.5).losses(policy, prediction, batch)
    torch.testing.assert_close(sure[:2], labels[:2])
    assert sure[2:].abs().min() > 0 and not torch.allclose(sure[2:], labels[2:])
    unsure = ConsistencyObjective(ConsistencyConfig(within=1e-9), 0.5).losses(policy, prediction, batch)
    assert not unsure[2:].any()
    early = dataclasses.replace(batch, target=batch.target._replace(progress=0.0))
    assert not ConsistencyObjective(ConsistencyConfig(within=2.0), 0.5).losses(policy, prediction, early)[2:].any()


def test_a_world_mirrored_twice_is_the_world() -> None:
    policy = VisuomotorPolicy.seeded(TINY_POLICY, small_spec(), 0)
    batch = made_up_batch(policy, 2)
    once, twice = mirror(batch, policy), mirror(mirror(batch, policy), policy)
    for name in ("views", "state", "goal"):
        assert torch.equal(getattr(twice, name), getattr(batch, name))
        assert not torch.equal(getattr(once, name), getattr(batch, name))


def test_what_was_demonstrated_is_mirrored_too_and_comes_as_pictures_and_steps() -> None:
    policy = VisuomotorPolicy.seeded(TINY_POLICY, small_spec(), 0)
    rng = np.random.default_rng(1)
    pictures = torch.from_numpy(rng.integers(0, 256, (2, 3, 6, 8, 3), dtype=np.uint8))
    steps = torch.from_numpy(rng.normal(size=(2, 3, policy.spec.state_size + 5)).astype(np.float32))
    batch = dataclasses.replace(made_up_batch(policy, 2), goal_view=pictures, goal_steps=steps)
    once = mirror(batch, policy)
    assert once.goal_view is not None and once.goal_steps is not None
    assert torch.equal(once.goal_view, pictures.flip(3)), "left and right, not up and down"
    assert torch.equal(once.goal_steps[..., -2], -steps[..., -2]), "the demonstrator turned the other way"
    assert torch.equal(once.goal_steps[..., -1], steps[..., -1])
    twice = mirror(once, policy)
    assert torch.equal(twice.goal_view, pictures) and torch.equal(twice.goal_steps, steps)
    assert isinstance(once.goal_seen, Demonstrated)
    seen = []

    def policy_that_looks(*args: object, goal_view: object, **kwargs: object) -> tuple[torch.Tensor, None]:
        seen.append(goal_view)
        return torch.zeros(2), None

    _predict(policy_that_looks, batch)  # type: ignore[arg-type]
    assert isinstance(seen[0], Demonstrated)


def test_spoilt_views_lose_a_rectangle_and_other_light_falls_on_the_rest() -> None:
    views = torch.full((3, 2, 1, 12, 16, 3), 200, dtype=torch.uint8)
    only_cut = ConsistencyObjective(ConsistencyConfig(light=0.0, cut=0.9), 0.5)
    cut = only_cut._spoilt(views, torch.Generator().manual_seed(1))
    assert set(cut.unique().tolist()) == {OUTSIDE_GREY, 200} and torch.equal(cut[:, 0], cut[:, 1])
    only_light = ConsistencyObjective(ConsistencyConfig(light=0.5, cut=0.0), 0.5)
    lit = only_light._spoilt(views, torch.Generator().manual_seed(1))
    assert lit.dtype == torch.uint8 and len(lit[:, 0, 0, 0, 0].unique(dim=0)) == 3
    assert torch.equal(lit, lit[:, :1, :, :1, :1].expand_as(lit)), "the whole of a window alike"


def test_whole_patches_are_hidden_and_drawn_in_units_of_their_own() -> None:
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (50, 1, 10, 16, 3), dtype=np.uint8)
    hidden = hidden_pixels(views, 4, 0.6, rng)
    assert hidden.shape == views.shape[:-1] and 0.5 < hidden.mean() < 0.7
    whole = hidden[:, :, :8].reshape(50, 1, 2, 4, 4, 4)
    assert (whole.all((3, 5)) | ~whole.any((3, 5))).all()
    own = in_own_units(torch.from_numpy(views).float(), 4)[:, :, :8].reshape(50, 2, 4, 4, 4, 3)
    torch.testing.assert_close(own.mean((2, 4)), torch.zeros(50, 2, 4, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(own.square().mean((2, 4)), torch.ones(50, 2, 4, 3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", [StepDiscriminator, GAILDiscriminator])
def test_what_the_good_ones_do_weighs_more(kind: type[Discriminator]) -> None:
    policy = VisuomotorPolicy.seeded(TINY_POLICY, small_spec(), 0)
    rng = np.random.default_rng(0)
    view, spec = policy.config.view, policy.spec

    def frames(turn: float) -> Frames:
        views = rng.integers(0, 256, (40, 1, view.height, view.width, 3), dtype=np.uint8)
        state = rng.normal(0, 0.3, (40, spec.state_size)).astype(np.float32)
        actions = np.tile(np.float32([turn, 1.0]), (40, 1))
        return Frames(views, state, np.zeros((40, spec.goal_size), np.float32), actions, np.full(40, -2), 0.0)

    good, others = frames(0.5), frames(-0.5)
    options = GAILConfig(steps=80, batch=16, features=16, steepest=5.0, flip=False, learning_rate=3e-3)
    adversary = Adversary(kind, options, policy, 0.0, 0)
    adversary.learn(good, others, rng)
    weigh = WeightedObjective(adversary.discriminator, 0.75, 0.0)
    ours, theirs = weigh.weights(frames(0.5)), weigh.weights(frames(-0.5))
    assert 1.0 < ours.mean() <= 4.0 and 0.0 <= theirs.mean() < 1.0
    assert not WeightedObjective(adversary.discriminator, 0.75, 1.0).weights(frames(-0.5)).any()


def test_by_default_no_picture_is_weighed() -> None:
    assert WeightedConfig().reads == "state"
    policy = VisuomotorPolicy.seeded(TINY_POLICY, small_spec(), 0)
    view, spec = policy.config.view, policy.spec
    rng = np.random.default_rng(0)
    state = rng.normal(0, 0.3, (3, spec.state_size)).astype(np.float32)
    rest = (state, np.zeros((3, spec.goal_size), np.float32), np.zeros((3, 2), np.float32), np.full(3, -2), 0.0)
    size = (3, 1, view.height, view.width, 3)
    black, white = (Frames(np.full(size, grey, np.uint8), *rest) for grey in (0, 255))
    for kind, blind in ((StepDiscriminator, True), (GAILDiscriminator, False)):
        weigh = WeightedObjective(Adversary(kind, GAILConfig(), policy, 0.0, 0).discriminator, 0.75, 0.0)
        assert np.array_equal(weigh.weights(black), weigh.weights(white)) == blind
