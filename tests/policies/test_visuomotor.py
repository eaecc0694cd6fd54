"""The policy on an episode and on windows: the same numbers, each episode by itself, mirrored where the world is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
from forestpilot.sim.envs.task_spec import side_view
from tests.helpers.made_up import make_observations, make_policy, make_policy_config, shaken
from tests.helpers.specs import make_drive_spec, make_spec, small_drive_spec


def turn_costs(hysteresis_per_rad: float) -> dict[str, object]:
    return {"part": "turn-costs", "hysteresis_per_rad": hysteresis_per_rad}


def roll_out(policy: VisuomotorPolicy, episode: list[dict[str, np.ndarray]]) -> np.ndarray:
    actions, carry = [], None
    for observations in episode:
        action, carry = policy.act(observations, carry)
        actions.append(action)
    return np.stack(actions, axis=1)


@pytest.mark.parametrize("cameras", ["center", "all"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_acting_step_by_step_gives_the_predictions_of_the_window(memory: str, cameras: str) -> None:
    policy = shaken(make_policy(memory=memory, cameras=cameras, head=turn_costs(0.0)))
    rng = np.random.default_rng(0)
    episode = [make_observations(rng, 3, policy.spec) for _ in range(policy.config.window)]
    views = torch.from_numpy(np.stack([policy.views_of(o) for o in episode], axis=1))
    state, goal = (torch.from_numpy(np.stack([o[key] for o in episode], axis=1)) for key in ("state", "goal"))
    with torch.inference_mode():
        prediction, _ = policy(views, state, goal)
        expected = policy.head.act(prediction)[..., 0, :].numpy()
    assert np.allclose(roll_out(policy, episode), expected, atol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_flies(head: str) -> None:
    policy = shaken(make_policy(head=head))
    observations = make_observations(np.random.default_rng(0), 2, policy.spec)
    actions, carry = policy.act(observations)
    assert actions.shape == (2, 2)
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= 1
    assert (carry.last_costs is not None) == (head in ("turn-costs", "costs-and-action"))
    if carry.last_costs is not None:
        assert carry.last_costs.shape == (2, 21)


@pytest.mark.parametrize("memory", MEMORIES)
def test_restarting_a_slot_forgets_that_episode_and_no_other(memory: str) -> None:
    policy = shaken(make_policy(memory=memory))
    rng = np.random.default_rng(0)
    before, now = (make_observations(rng, 3, policy.spec) for _ in range(2))
    fresh, _ = policy.act(now)
    going_on = roll_out(policy, [before, now])[:, 1]
    _, carry = policy.act(before)
    carry.restart([1])
    actions, _ = policy.act(now, carry)
    assert np.allclose(actions[1], fresh[1], atol=1e-6)
    assert np.allclose(actions[[0, 2]], going_on[[0, 2]], atol=1e-6)


def test_restart_takes_a_mask_too() -> None:
    policy = make_policy()
    _, carry = policy.act(make_observations(np.random.default_rng(0), 3, policy.spec))
    carry.restart(np.array([True, False, True]))
    assert np.isnan(carry.previous_turn_rad).tolist() == [True, False, True]


@pytest.mark.parametrize("memory", MEMORIES)
def test_episodes_of_a_batch_do_not_disturb_one_another(memory: str) -> None:
    policy = shaken(make_policy(memory=memory))
    rng = np.random.default_rng(0)
    episode = [make_observations(rng, 4, policy.spec) for _ in range(7)]
    together = roll_out(policy, episode)
    alone = roll_out(policy, [{key: values[2:3] for key, values in o.items()} for o in episode])
    assert np.allclose(together[2:3], alone, atol=1e-4)


def test_hysteresis_holds_the_commanded_heading_while_the_vehicle_turns() -> None:
    policy = make_policy(head=turn_costs(1e4))
    observations = make_observations(np.random.default_rng(0), 1, policy.spec)
    observations["state"][0, policy.spec.index("yaw_rate_radps")] = 2.0
    carry = policy.begin(1)
    carry.previous_turn_rad[:] = math.radians(30)
    actions, _ = policy.act(observations, carry)
    expected = math.radians(30) - 2.0 / policy.spec.control_hz
    # The strong pull leaves a corner in the costs, which the parabola may round by a fraction of the spacing of 6
    # degrees.
    assert actions[0, 0] * policy.spec.max_turn_rad == pytest.approx(expected, abs=math.radians(3))


def test_hysteresis_holds_the_steering_wheel_however_fast_the_car_turns() -> None:
    spec = make_drive_spec()
    policy = make_policy(spec=spec, head=turn_costs(1e4))
    observations = make_observations(np.random.default_rng(0), 1, policy.spec)
    observations["state"][0, spec.index("yaw_rate_radps")] = 1.0
    carry = policy.begin(1)
    carry.previous_turn_rad[:] = spec.candidate_turns_rad[14]
    actions, carry = policy.act(observations, carry)
    spacing = spec.candidate_turns_rad[1] - spec.candidate_turns_rad[0]
    assert actions[0, 0] * spec.max_turn_rad == pytest.approx(spec.candidate_turns_rad[14], abs=spacing / 2)
    assert carry.previous_turn_rad[0] == pytest.approx(actions[0, 0] * spec.max_turn_rad)


def test_a_car_whose_go_is_not_learned_would_never_brake() -> None:
    with pytest.raises(ValueError, match="predict_go"):
        make_policy(spec=small_drive_spec(), head={"part": "turn-costs", "predict_go": False})
    assert make_policy(head={"part": "turn-costs", "predict_go": False}).spec.task == "drone"


def test_side_cameras_are_levelled_with_their_own_tilt() -> None:
    policy = make_policy(cameras="all")
    observations = make_observations(np.random.default_rng(0), 2, policy.spec)
    views = policy.views_of(observations)
    left_state, _ = side_view(policy.spec, observations["state"], observations["goal"], policy.spec.side_yaw_rad)
    assert np.array_equal(views[:, 0], policy.prepare(observations["left"], left_state))
    assert np.array_equal(views[:, 1], policy.prepare(observations["center"], observations["state"]))


def test_previous_action_is_no_input() -> None:
    policy = shaken(make_policy(head="regression"))
    observations = make_observations(np.random.default_rng(0), 1, policy.spec)
    first, carry = policy.begin(1), policy.begin(1)
    carry.previous_turn_rad[:] = 0.9
    assert np.array_equal(policy.act(observations, first)[0], policy.act(observations, carry)[0])


def test_only_the_named_state_elements_are_read() -> None:
    policy = shaken(make_policy(state_inputs=("forward_mps", "yaw_rate_radps"), view={"level": False}))
    observations = make_observations(np.random.default_rng(0), 1, policy.spec)
    before, _ = policy.act(observations)
    observations["state"][0, policy.spec.index("altitude_m")] += 5
    assert np.array_equal(policy.act(observations)[0], before)
    observations["state"][0, policy.spec.index("forward_mps")] += 5
    assert not np.array_equal(policy.act(observations)[0], before)


def test_same_seed_same_weights_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    first, second, other = make_policy(seed=1), make_policy(seed=1), make_policy(seed=2)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters()))


def test_default_policy_ships_in_less_than_two_megabytes() -> None:
    for cameras in ("center", "all"):
        assert 4 * VisuomotorPolicy(PolicyConfig(cameras=cameras), make_spec()).num_parameters < 2e6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"memory": "gru"}, "none, lstm, transformer"),
        ({"head": "turn_costs"}, "turn-costs"),
        ({"cameras": "left"}, "'center', 'all'"),
        ({"window": 0}, "window is 0; allowed: 1"),
        ({"head": {"clip": -1.0}}, r"head.clip is -1.0; allowed: above 0"),
        ({"head": {"curve": "cubic"}}, "linear"),
        ({"head": {"part": "mixture", "components": 0}}, "components is 0; allowed: 1"),
        ({"head": {"part": "categorical", "bins": 2}}, "bins is 2; allowed: 3"),
        ({"head": {"part": "mixture", "clip": 3.0}}, "clip is an option of 'turn-costs'"),
        ({"memory": {"part": "transformer", "layers": 0}}, "layers"),
        ({"encoder": {"channels": (0, 1, 2)}}, "channels"),
        ({"view": {"width": 0}}, "width"),
        ({"chunk": 0}, "chunk is 0; allowed: 1"),
        ({"chunk": 4, "chunk_steps": 5}, "chunk_steps must be 1 to chunk = 4"),
        ({"chunk_execution": "all"}, "receding"),
    ],
)
def test_config_says_what_is_allowed(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_policy_config(**values)


def test_parts_are_given_by_their_options() -> None:
    with pytest.raises(ValueError, match=r"policy\.head must be .* HeadConfig; got 'mixture'"):
        PolicyConfig(head="mixture")  # type: ignore[arg-type]


def test_unknown_state_input_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="forward_mps"):
        make_policy(state_inputs=("speed",))
