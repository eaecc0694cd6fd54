"""Discriminators, their balanced batches, absorbing states and rewards."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.policies.networks.views import OUTSIDE_GREY
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.adversaries.adversary import Adversary
from forestpilot.policies.reinforcement.adversaries.discriminator import (
    AIRLDiscriminator,
    Discriminator,
    GAILDiscriminator,
    Inputs,
    augmented,
    cross_entropy,
    gradient_penalty,
    shifted,
)
from forestpilot.policies.reinforcement.adversaries.frames import (
    ABSORBING,
    UNKNOWN,
    Frames,
    absorbing_share,
    draw_rows,
    expert_frames,
    windows_at,
)
from forestpilot.policies.reinforcement.adversaries.imitation import Imitated
from forestpilot.policies.reinforcement.adversaries.options import AIRLConfig, DiscriminatorConfig, GAILConfig
from forestpilot.policies.reinforcement.adversaries.reward import AIRLReward, GAILReward, frames_of_step
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.policies.reinforcement.rewards import ENVIRONMENT_TERMS, Step
from forestpilot.policies.reinforcement.shares import PREVIOUS_TURN
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.made_up import make_policy
from tests.helpers.specs import small_spec

DISCOUNT = 0.9
PICTURES: dict[str, Any] = {"view": {"height": 12, "width": 16}, "memory": "none", "window": 1}


def policy() -> VisuomotorPolicy:
    return make_policy(spec=small_spec(), **PICTURES)


KINDS: dict[str, tuple[type[Discriminator], type[DiscriminatorConfig]]] = {
    "gail": (GAILDiscriminator, GAILConfig),
    "airl": (AIRLDiscriminator, AIRLConfig),
}


def small(method: str = "gail", **values: Any) -> Any:
    given = {"features": 16, "batch": 16, "steps": 5, "learning_rate": 3e-3} | values
    return KINDS[method][1](**given)


def make_adversary(method: str = "gail", seed: int = 0, **values: Any) -> Adversary:
    return Adversary(KINDS[method][0], small(method, **values), policy(), DISCOUNT, seed)


def imitated(expert: Frames, rollout: int) -> Imitated:
    return Imitated(policy(), expert, PPOConfig(discount=DISCOUNT, rollout=rollout), seed=0)


def make_frames(brightness: int, share: float = 0.0, count: int = 40, **values: Any) -> Frames:
    """Frames as bright as this, of one episode that ended."""
    rng = np.random.default_rng(brightness)
    spec = small_spec()
    next_row = np.arange(1, count + 1)
    next_row[-1] = ABSORBING
    given: dict[str, Any] = {
        "views": rng.integers(brightness - 20, brightness + 20, (count, 1, 12, 16, 3)).astype(np.uint8),
        "state": rng.normal(0, 0.1, (count, spec.state_size)).astype(np.float32),
        "goal": np.tile(np.array([1, 0], np.float32), (count, 1)),
        "actions": rng.uniform(-1, 1, (count, 2)).astype(np.float32),
        "next_row": next_row,
        "absorbing_share": share,
    }
    return Frames(**(given | values))


@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("regulariser", ["gradient-penalty", "spectral-norm", "none"])
def test_it_learns_whose_frames_they_are(method: str, regulariser: str) -> None:
    torch.manual_seed(0)
    expert, learner = make_frames(160), make_frames(90)
    adversary = make_adversary(method, regulariser=regulariser, jitter=False)
    rng = np.random.default_rng(0)
    figures = [adversary.learn(expert, learner, rng) for _ in range(8)]
    assert figures[-1]["expert_accuracy"] > 0.9 and figures[-1]["learner_accuracy"] > 0.9
    assert figures[-1]["loss"] < figures[0]["loss"]
    rows = np.arange(30)
    assert adversary.raw_rewards(expert, rows).mean() > adversary.raw_rewards(learner, rows).mean()


def test_spectral_norm_bounds_every_layer() -> None:
    """A step through a layer is never longer than the step into it, once the norm has been followed for a while."""
    adversary = make_adversary(regulariser="spectral-norm")
    rng = np.random.default_rng(0)
    for _ in range(10):
        adversary.learn(make_frames(160), make_frames(90), rng)
    layers = [m for m in adversary.discriminator.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    norms = [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]
    assert len(norms) == 6 and max(norms) < 1.1


class Linear(Discriminator):
    """A discriminator whose gradient is known: 3 by one number, 4 by one picture element in units of 64 grey levels."""

    frames = 1
    sees_actions = True

    def value(self, inputs: Inputs) -> torch.Tensor:
        return 3 * inputs.numbers[:, 0, 2] + 4 / 64 * inputs.views[:, 0, 0, 5, 5, 1]


@pytest.mark.parametrize(("steepest", "expected"), [(0.0, 25.0), (1.0, 16.0), (5.5, 0.0)])
def test_gradient_penalty_is_how_far_the_gradient_is_above_what_is_allowed(steepest: float, expected: float) -> None:
    sides = [windows_at(make_frames(brightness), np.arange(6), 1) for brightness in (90, 160)]
    judge = Linear(small(steepest=steepest), policy(), DISCOUNT)
    penalty = gradient_penalty(judge, *sides, torch.linspace(0, 1, 6))
    assert float(penalty) == pytest.approx(expected)


def test_either_side_weighs_half_however_long_the_absorbing_state_is() -> None:
    """Rows come from the absorbing state as often as its share says, on each side for itself."""
    rng = np.random.default_rng(0)
    expert, learner = make_frames(160, share=0.25), make_frames(90, share=0.75)
    for frames in (expert, learner):
        rows = draw_rows(frames, 4000, rng)
        assert (rows == ABSORBING).mean() == pytest.approx(frames.absorbing_share, abs=0.03)
        counts = np.bincount(rows[rows != ABSORBING], minlength=len(frames))
        assert counts.min() > 0.3 * counts.mean()
    judge = make_adversary().discriminator
    few, many = (windows_at(frames, np.arange(n), 1) for frames, n in ((expert, 4), (learner, 12)))
    with torch.no_grad():
        loss, (expert_odds, learner_odds) = cross_entropy(judge, [few, many])
    softplus = torch.nn.functional.softplus
    assert float(loss) == pytest.approx(float(softplus(-expert_odds).mean() + softplus(learner_odds).mean()) / 2)


def test_the_absorbing_state_shows_nothing_but_itself_and_leads_to_itself() -> None:
    frames = make_frames(120, log_prob=np.arange(40, dtype=np.float32) + 1)
    windows = windows_at(frames, np.array([5, 39, ABSORBING]), 2)
    assert windows.absorbing.tolist() == [[False, False], [False, True], [True, True]]
    assert (windows.views[windows.absorbing] == OUTSIDE_GREY).all()
    for values in (windows.state, windows.goal, windows.actions):
        assert not values[windows.absorbing].any()
    assert windows.log_prob.tolist() == [6.0, 40.0, 0.0]
    assert (windows.views[0, 1] == frames.views[6]).all() and (windows.state[0, 0] == frames.state[5]).all()
    changed = augmented(windows, small_spec(), small(shift_px=3), np.random.default_rng(0))
    assert (changed.views[windows.absorbing] == OUTSIDE_GREY).all() and not changed.actions[windows.absorbing].any()
    assert (changed.views[0, 0] != windows.views[0, 0]).any()


def test_what_came_next_is_unknown_where_a_recording_is_cut() -> None:
    next_row = np.append(np.arange(1, 40), UNKNOWN)
    windows = windows_at(make_frames(120, next_row=next_row), np.array([39]), 2)
    assert not windows.absorbing.any() and (windows.views[0, 0] == windows.views[0, 1]).all()


def test_mirrored_frames_turn_the_other_way() -> None:
    frames = make_frames(120)
    spec = small_spec()
    windows = windows_at(frames, np.arange(40), 1)
    config = small(jitter=False, shift_px=0)
    changed = augmented(windows, spec, config, np.random.default_rng(0))
    turned = (changed.views == windows.views[..., ::-1, :]).all(axis=(1, 2, 3, 4, 5))
    assert 10 < turned.sum() < 30 and (changed.views[~turned] == windows.views[~turned]).all()
    assert np.allclose(changed.actions[turned], windows.actions[turned] * [-1, 1])
    assert np.allclose(changed.state[turned], windows.state[turned] * np.array(spec.state_mirror, np.float32))
    assert np.allclose(changed.goal[turned], windows.goal[turned] * np.array(spec.goal_mirror, np.float32))


def test_a_shift_moves_both_frames_of_a_window_alike() -> None:
    rng = np.random.default_rng(0)
    views = np.repeat(rng.integers(0, 256, (20, 1, 1, 12, 16, 3), dtype=np.uint8), 2, axis=1)
    moved = shifted(views, 2, rng)
    assert (moved[:, 0] == moved[:, 1]).all()
    inner = {moved[row, 0, 0, 6, 8].tobytes() == views[row, 0, 0, 6, 8].tobytes() for row in range(20)}
    assert inner == {True, False}
    for row in range(20):
        places = [
            (moved[row, 0, 0, 4:8, 4:12] == views[row, 0, 0, 4 + y : 8 + y, 4 + x : 12 + x]).all()
            for y in range(-2, 3)
            for x in range(-2, 3)
        ]
        assert any(places)


def test_who_ends_early_is_in_the_absorbing_state_for_longer() -> None:
    whole = absorbing_share([0], [20], [True], DISCOUNT)
    assert whole == pytest.approx(DISCOUNT**20)
    assert absorbing_share([0], [5], [True], DISCOUNT) > whole
    assert absorbing_share([0], [20], [False], DISCOUNT) == 0.0
    in_pieces = absorbing_share([0, 12], [12, 20], [False, True], DISCOUNT)
    assert in_pieces == pytest.approx(whole)
    assert absorbing_share([], [], [], DISCOUNT) == 0.0


def test_shaping_is_taken_off_again() -> None:
    """Around a loop of two frames for ever, the shaped rewards come to the same as the state's own."""
    judge = make_adversary("airl").discriminator
    frames = make_frames(120, count=2, next_row=np.array([1, 0]))
    inputs = judge.inputs(windows_at(frames, np.array([0, 1]), 2))
    with torch.no_grad():
        shaped = judge.value(inputs).numpy()
        own = judge.own_reward(inputs.views[:, 0], inputs.numbers[:, 0]).numpy()
        potential = float(judge.shaping(inputs.views[:1, 0], inputs.numbers[:1, 0]))
    weights = DISCOUNT ** np.arange(200)
    total = (weights * np.tile(shaped, 100)).sum()
    assert total == pytest.approx((weights * np.tile(own, 100)).sum() - potential, abs=1e-4)


@pytest.mark.parametrize(("form", "signs"), [("log-odds", {-1, 1}), ("positive", {1}), ("negative", {-1})])
def test_forms_of_reward(form: str, signs: set[int]) -> None:
    judge = make_adversary(reward=form).discriminator
    rewards = judge.reward(torch.tensor([-2.0, 2.0]))
    assert set(np.sign(rewards.numpy()).astype(int)) == signs and rewards[1] > rewards[0]


def test_rewards_are_near_one_in_value_whatever_the_discriminator_s_scale() -> None:
    """Over the learner's time, the absorbing state included, they have mean 0 and deviation 1 - discount."""
    learner = make_frames(90, share=0.3, next_row=np.zeros(40, np.int64))
    values = []
    for factor in (1.0, 100.0):
        adversary = make_adversary()
        assert not adversary.reward(learner).any() and adversary.absorbing_value == 0.0
        with torch.no_grad():
            for parameter in adversary.discriminator.score.head[-1].parameters():
                parameter.mul_(factor * 50)
        adversary.follow(learner)
        values.append(np.append(adversary.reward(learner), adversary.absorbing_value))
    assert np.allclose(values[0], values[1], rtol=1e-3, atol=1e-4)
    per_step = np.append(values[0][:-1] / (1 - DISCOUNT), values[0][-1])
    weights = np.append(np.full(40, 0.7 / 40), 0.3)
    assert weights @ per_step == pytest.approx(0.0, abs=1e-3)
    assert weights @ np.square(per_step) == pytest.approx(1.0, abs=1e-2)


def make_step(rng: np.random.Generator, terminated: tuple[bool, ...], told: float = 0.0) -> Step:
    """A step of two environments that tell a reward of their own."""
    spec = small_spec()
    seen = [
        {
            "views": rng.integers(60, 200, (2, 1, 12, 16, 3)).astype(np.uint8),
            "state": rng.normal(0, 0.1, (2, spec.state_size)).astype(np.float32),
            "goal": np.tile(np.array([1, 0], np.float32), (2, 1)),
            PREVIOUS_TURN: np.full((2, 1), np.nan, np.float32),
            "facts": np.full((2, 3), told, np.float32),
        }
        for _ in range(2)
    ]
    terms = {name: np.full(2, told, np.float32) for name in ENVIRONMENT_TERMS}
    actions = rng.uniform(-2, 2, (2, 2)).astype(np.float32)
    return Step(seen[0], actions, seen[1], terms, np.array(terminated), np.zeros(2, bool))


REWARDS = {"gail": GAILReward, "airl": AIRLReward}


def rewarded(told: float, method: str = "gail") -> tuple[np.ndarray, list[dict[str, float]]]:
    """Rewards (6, 2) and figures of six steps, in two rollouts, in each of which one episode ends."""
    term = REWARDS[method](small(method), imitated(make_frames(160, share=0.1), rollout=3))
    rng = np.random.default_rng(0)
    rewards = []
    figures = []
    for number in range(6):
        rewards.append(term(make_step(rng, (number in (1, 4), False), told)))
        figures.append(term.state())
    return np.stack(rewards), [figures[2], figures[5]]


@pytest.mark.parametrize("method", KINDS)
def test_the_environment_s_reward_is_not_read(method: str) -> None:
    """An environment whose reward, and whatever else it tells beside what is seen, is no number changes nothing."""
    usual, figures = rewarded(0.0, method)
    with_nan, same = rewarded(np.nan, method)
    assert np.isfinite(usual).all() and (usual == with_nan).all()
    assert not usual[:3].any() and usual[3:].all()
    assert figures == same and all(np.isfinite(list(row.values())).all() for row in figures)


def test_an_end_is_worth_all_the_time_in_the_absorbing_state() -> None:
    term = GAILReward(small(), imitated(make_frames(160, share=0.1), rollout=2))
    adversary = term.adversary
    rng = np.random.default_rng(0)
    for _ in range(2):
        term(make_step(rng, (False, False)))
    worth = adversary.absorbing_value
    assert worth != 0.0
    steps = [make_step(np.random.default_rng(1), (ended, False)) for ended in (False, True)]
    going_on, ending = (adversary.reward(frames_of_step(step))[0] for step in steps)
    assert ending == pytest.approx(going_on)
    rewards = [term(step)[0] for step in steps]
    assert rewards[1] - rewards[0] == pytest.approx(DISCOUNT * worth, rel=1e-4)


def test_pieces_of_episodes_are_as_long_as_they_have_been_going_on() -> None:
    """Of six steps of two environments, in two rollouts: one episode of 2 steps, one of 3, one of 1 and one of 6."""
    shares = [figures["absorbing_share"] for figures in rewarded(0.0)[1]]
    first = absorbing_share([0, 0, 0], [2, 1, 3], [True, False, False], DISCOUNT)
    second = absorbing_share([1, 0, 3], [3, 1, 6], [True, False, False], DISCOUNT)
    assert shares == pytest.approx([first, second])


def test_a_stored_adversary_goes_on_as_if_it_had_not_been_stored(tmp_path: Path) -> None:
    expert, learner = make_frames(160, share=0.2), make_frames(90, share=0.3)
    first, second = (make_adversary("airl", seed, regulariser="spectral-norm") for seed in (0, 1))
    first.learn(expert, learner, np.random.default_rng(0))
    first.follow(learner)
    first.save(tmp_path / "adversary.safetensors")
    second.load(tmp_path / "adversary.safetensors")
    figures = [one.learn(expert, learner, np.random.default_rng(1)) for one in (first, second)]
    assert figures[0] == figures[1]
    for one in (first, second):
        one.follow(learner)
    assert (first.reward(learner) == second.reward(learner)).all()
    assert first.absorbing_value == second.absorbing_value


def made_dataset(folder: Path, **episodes: Any) -> Dataset:
    spec = small_spec()
    dataset = Dataset.create(folder, spec, ENV_ID)
    for seed, changes in enumerate(episodes.values()):
        dataset.add(dataclasses.replace(make_episode(seed, 6 + seed, spec), **changes))
    dataset.refresh()
    return dataset


def test_expert_frames_are_those_of_whole_flights_of_a_teacher(tmp_path: Path) -> None:
    cut = {"terminated": np.zeros(7, bool), "truncated": np.arange(7) == 6}
    own = {"actor": np.full(8, ACTOR_POLICY, np.uint8)}
    dataset = made_dataset(tmp_path, ended={}, cut=cut, own=own)
    frames = expert_frames([dataset], policy(), DISCOUNT)
    assert len(frames) == 6 + 7
    assert frames.next_row[5] == ABSORBING and frames.next_row[12] == UNKNOWN
    assert frames.next_row[:5].tolist() == [1, 2, 3, 4, 5] and frames.next_row[6] == 7
    assert frames.absorbing_share == pytest.approx(absorbing_share([0, 0], [6, 7], [True, False], DISCOUNT))
    episode = make_episode(0, 6, small_spec())
    assert episode.expert_actions is not None
    assert np.allclose(frames.actions[:6], episode.expert_actions[:, 1])
    assert frames.previous_turn is not None and np.isnan(frames.previous_turn[[0, 6]]).all()
    spec = small_spec()
    turned = frames.state[1:6, spec.index("yaw_rate_radps")] / spec.control_hz / spec.max_turn_rad
    assert np.allclose(frames.previous_turn[1:6], frames.actions[:5, 0] - turned, atol=1e-6)
    assert np.allclose(frames.state[:6], episode.observations["state"][:6])


def test_without_a_teacher_s_flight_nobody_can_be_imitated(tmp_path: Path) -> None:
    dataset = made_dataset(tmp_path / "own", own={"actor": np.full(6, ACTOR_POLICY, np.uint8)})
    with pytest.raises(DatasetError, match="nobody to imitate"):
        expert_frames([dataset], policy(), DISCOUNT)
    dataset = made_dataset(tmp_path / "large", ended={})
    with pytest.raises(InvalidArgumentError, match="cache-gb"):
        expert_frames([dataset], policy(), DISCOUNT, most_bytes=100)
