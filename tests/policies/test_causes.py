"""Causes: what is hidden from a policy changes nothing of what it does, and nothing else is hidden."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.policies.networks.causes import CAUSES, Cause, Region, cause_named, hidden_parts
from forestpilot.policies.networks.checkpoint import load_policy, save_policy
from forestpilot.policies.networks.config import PolicyConfig, ViewConfig
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.batches import Place, draw
from forestpilot.policies.training.input_noise import HideConfig, make_input_noise
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.envs.dashboards import BRAKE_LIGHT, DARK_COLOR, LAMP_HALF_WIDTH, LAMP_ROWS
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tasks import TASKS
from tests.helpers.made_up import MadeUpReader, make_observations, make_policy, shaken
from tests.helpers.specs import make_spec

SPEC = make_spec()
VIEW = ViewConfig()
FLOOR = "picture:0.75:1:0:1"
YAW = "yaw_rate_radps"


def disturbed(observations: dict[str, np.ndarray], spec=SPEC) -> dict[str, np.ndarray]:
    """The same but for the floor of the pictures and the yaw rate."""
    changed = {name: values.copy() for name, values in observations.items()}
    changed["center"][:, round(0.75 * spec.image_height) :] = 0
    changed["state"][:, spec.index(YAW)] += 1.0
    return changed


def level(observations: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same without tilt."""
    state = observations["state"].copy()
    state[:, [SPEC.index("roll_rad"), SPEC.index("pitch_rad")]] = 0
    return {**observations, "state": state}


def test_what_is_hidden_changes_nothing_and_all_else_is_seen() -> None:
    seen = level(make_observations(np.random.default_rng(0), 4, SPEC))
    for hidden in ((FLOOR, YAW), (FLOOR,), (YAW,)):
        policy = shaken(make_policy(hidden=hidden, head={"part": "regression"}))
        same = np.array_equal(policy.act(seen)[0], policy.act(disturbed(seen))[0])
        assert same == (hidden == (FLOOR, YAW))
        assert not np.array_equal(policy.act(seen)[0], policy.act({**seen, "center": 255 - seen["center"]})[0])


def test_a_mask_hides_for_each_episode_by_itself_and_is_stored_with_the_policy(tmp_path) -> None:
    policy = shaken(make_policy(causes=(FLOOR, YAW), head={"part": "regression"}))
    seen = level(make_observations(np.random.default_rng(0), 2, SPEC))
    carry = policy.begin(2)
    carry.shown = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    other = policy.begin(2)
    other.shown = carry.shown
    apart = policy.act(seen, carry)[0] != policy.act(disturbed(seen), other)[0]
    assert not apart[0].any() and apart[1].any()
    assert not np.array_equal(policy.act(seen)[0][0], policy.act(seen, policy.begin(2))[0][1])
    policy.mask.copy_(torch.tensor([0.0, 0.0]))
    save_policy(tmp_path, policy)
    stored = load_policy(tmp_path)
    assert np.array_equal(stored.act(seen)[0], stored.act(disturbed(seen))[0])


def test_policies_without_causes_are_what_they_were() -> None:
    plain = make_policy()
    assert "mask" not in plain.state_dict() and plain.veil is None
    batch = draw(plain, MadeUpReader(), TrainConfig(policy=plain.config, batch_windows=4), Place(0, 1))
    assert batch.shown is None
    masked = make_policy(causes=(YAW,))
    other = draw(masked, MadeUpReader(), TrainConfig(policy=masked.config, batch_windows=4), Place(0, 1))
    assert np.array_equal(other.views, batch.views) and np.array_equal(other.state, batch.state)


def test_training_shows_each_cause_in_half_of_the_windows() -> None:
    policy = make_policy(causes=(YAW, FLOOR))
    config = TrainConfig(policy=policy.config, batch_windows=200)
    shown = draw(policy, MadeUpReader(), config, Place(0, 0)).shown
    assert shown.shape == (100, 2) and 0.35 < shown[:, 0].mean() < 0.65 and 0.35 < shown[:, 1].mean() < 0.65
    assert torch.equal(shown, draw(policy, MadeUpReader(), config, Place(0, 0)).shown)


def test_hiding_at_random_hides_whole_windows() -> None:
    batch = MadeUpReader().sample(200, np.random.default_rng(0))
    noise = make_input_noise(HideConfig(causes=(YAW, FLOOR), share=0.25), SPEC, VIEW)
    changed = noise.apply(batch, np.random.default_rng(1))
    element = SPEC.index(YAW)
    dark = (changed.state[..., element] == 0).all(1)
    grey = (changed.views[:, :, 0, -1] == 128).all((1, 2, 3))
    assert 0.15 < dark.mean() < 0.35 and 0.15 < grey.mean() < 0.35 and (dark != grey).any()
    assert np.array_equal(changed.state[~dark], batch.state[~dark])
    assert np.array_equal(changed.views[~grey], batch.views[~grey])
    others = [other for other in range(SPEC.state_size) if other != element]
    assert np.array_equal(changed.state[..., others], batch.state[..., others])
    assert np.array_equal(changed.views[:, :, :, 0], batch.views[:, :, :, 0])


def test_a_part_of_the_picture_is_hidden_at_any_tilt() -> None:
    (pixels,) = hidden_parts((FLOOR,), SPEC, VIEW).pixels
    assert pixels[-1].all() and not pixels[: VIEW.height // 2].any()
    (level_pixels,) = hidden_parts((FLOOR,), SPEC, dataclasses.replace(VIEW, level=False)).pixels
    assert (pixels >= level_pixels).all() and pixels.sum() > level_pixels.sum()


def test_causes_are_named() -> None:
    CAUSES.register("toy", Cause((YAW,), Region(0, 1, 0, 1)), "of this test")
    CAUSES.register("other", Cause(("tail_rad",)), "of this test")
    try:
        assert cause_named("toy", SPEC).state == (YAW,)
        with pytest.raises(InvalidArgumentError, match="'other' is not there to hide: the task's state has no"):
            cause_named("other", SPEC)
    finally:
        CAUSES.unregister("toy")
        CAUSES.unregister("other")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yaw_rate", "there is no cause 'yaw_rate' to hide; did you mean 'yaw_rate_radps'?"),
        ("picture:1:0", "is no part of the picture; write picture:TOP:BOTTOM:LEFT:RIGHT"),
        ("picture:0.9:0.1:0:1", "shares from 0 to 1, the smaller one first"),
    ],
)
def test_what_is_no_cause_is_refused_before_any_work(name: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as error:
        VisuomotorPolicy(PolicyConfig(hidden=(name,)), SPEC)
    assert message in str(error.value)
    with pytest.raises(InvalidArgumentError) as error:
        make_input_noise(HideConfig(causes=(name,)), SPEC)
    assert message in str(error.value)


def test_a_cause_cannot_be_hidden_always_and_at_random() -> None:
    with pytest.raises(InvalidArgumentError, match=r"hidden and policy\.causes both have forward_mps"):
        PolicyConfig(hidden=("forward_mps",), causes=("forward_mps",))
    with pytest.raises(InvalidArgumentError, match=r"noise.causes is empty"):
        make_input_noise(HideConfig(), SPEC)


def test_the_lamp_is_hidden_in_the_picture_and_in_the_state() -> None:
    env = make_env(TASKS.get("drive"), dashboard="brake-light", length=60.0, width=64, height=48)
    env.reset(seed=3)
    spec = env.task_spec
    driving = [env.step(np.array([0.0, go], np.float32))[0] for go in (1.0, 1.0, 1.0, 1.0, -1.0)]
    env.close()
    lit = {name: values[None] for name, values in driving[-1].items()}
    dark = {name: values.copy() for name, values in lit.items()}
    first, last = (round(share * spec.image_height) for share in LAMP_ROWS)
    lamp = slice(round((0.5 - LAMP_HALF_WIDTH) * 64), round((0.5 + LAMP_HALF_WIDTH) * 64))
    dark["center"][:, first:last, lamp] = DARK_COLOR
    dark["state"][:, spec.index(BRAKE_LIGHT)] = 0
    assert lit["state"][0, spec.index(BRAKE_LIGHT)] == 1
    for hidden in ((), ("lamp",)):
        policy = shaken(make_policy(spec=spec, hidden=hidden, head={"part": "regression"}))
        assert np.array_equal(policy.act(lit)[0], policy.act(dark)[0]) == bool(hidden)
