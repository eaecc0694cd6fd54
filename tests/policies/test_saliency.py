"""Saliency: it depends on the weights, what it marks moves the turn, and it lies where the camera saw it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.policies.evaluation.saliency import onto_image, overlay, saliency
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.networks.views import ViewConfig, ViewPreparer
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.sim.tasks import TASKS
from tests.helpers.made_up import make_observations, make_policy
from tests.helpers.specs import make_spec

SEED = 2_000_000
STEPS = 36
AT = range(1, STEPS, 2)
"""Steps that are looked into: every second, for neighbours are much alike."""
SETTINGS = {
    "drone": {"preset": "loquercio", "density": 0.1, "speed": 8.0},
    "drive": {"preset": "winding", "length": 120.0, "speed": 10.0},
}


def look(task: str, policy: VisuomotorPolicy) -> dict[str, np.ndarray]:
    """What the policy sees when it goes through a world."""
    env = make_env(TASKS.get(task), **SETTINGS[task])
    seen: dict[str, list[np.ndarray]] = {}
    observation, info = env.reset(seed=SEED)
    carry = None
    while info["outcome"] == "running" and len(seen.get("state", ())) < STEPS:
        for name, value in observation.items():
            seen.setdefault(name, []).append(value.copy())
        actions, carry = policy.act({name: value[None] for name, value in observation.items()}, carry)
        observation, *_, info = env.step(actions[0])
    env.close()
    return {name: np.stack(values) for name, values in seen.items()}


@pytest.fixture(scope="module", params=["drone", "drive"])
def episode(request: pytest.FixtureRequest) -> tuple[VisuomotorPolicy, dict[str, np.ndarray], np.ndarray]:
    """A pretrained policy, what it saw, and where it looked at the steps `AT`."""
    policy = load_policy(TASKS.get(request.param).pretrained)
    seen = look(request.param, policy)
    return policy, seen, saliency(policy, seen, AT)["center"]


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, over the pixels that the policy sees."""
    seen = (a > 0) | (b > 0)
    ranks = [values[seen].argsort().argsort().astype(float) for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.mark.parametrize(("part", "most"), [("encoder", 0.7), ("head", 0.8), ("everything", 0.6)])
def test_other_weights_give_another_map(
    episode: tuple[VisuomotorPolicy, dict[str, np.ndarray], np.ndarray], part: str, most: float
) -> None:
    """The model parameter randomisation test of Adebayo et al. 2018 (arXiv:1810.03292, section 4)."""
    policy, seen, heat = episode
    other = copy.deepcopy(policy)
    new = VisuomotorPolicy.seeded(policy.config, policy.spec, 1)
    module, source = (other, new) if part == "everything" else (getattr(other, part), getattr(new, part))
    module.load_state_dict(source.state_dict())
    found = saliency(other, seen, AT)["center"]
    assert np.mean([rank_correlation(a, b) for a, b in zip(heat, found, strict=True)]) < most


def turns_when_covered(
    policy: VisuomotorPolicy, seen: dict[str, np.ndarray], masks: list[np.ndarray]
) -> list[np.ndarray]:
    """Change of the turn (n,) in action units for each mask (n, H, W) of the steps `AT`, its pixels set to the
    picture's mean colour."""
    carry, changes = None, []
    for step in range(STEPS):
        batch = {name: values[step : step + 1] for name, values in seen.items()}
        before, turns = copy.deepcopy(carry), []
        actions, carry = policy.act(batch, carry)
        if step not in AT:
            continue
        for mask in masks:
            image = batch["center"].copy()
            image[0, mask[AT.index(step)]] = image.mean(axis=(0, 1, 2)).round().astype(np.uint8)
            turns.append(policy.act(batch | {"center": image}, copy.deepcopy(before))[0][0, 0])
        changes.append(np.abs(np.array(turns) - actions[0, 0]))
    return list(np.array(changes).T)


def test_covering_what_is_marked_moves_the_turn_more_than_covering_as_much_elsewhere(
    episode: tuple[VisuomotorPolicy, dict[str, np.ndarray], np.ndarray],
) -> None:
    policy, seen, heat = episode
    marked = np.stack([h >= np.quantile(h, 0.93) for h in heat])
    rng = np.random.default_rng(0)
    # The same shape elsewhere covers as many pixels; moved only sideways, it stays as near to the horizon.
    sideways = [np.roll(marked, int(rng.integers(8, 56)), axis=2) for _ in range(4)]
    anywhere = [np.roll(mask, int(rng.integers(-20, 20)), axis=1) for mask in sideways]
    own, *others = turns_when_covered(policy, seen, [marked, *sideways, *anywhere])
    assert own.mean() > 1.2 * np.mean(others[:4])
    assert own.mean() > 1.6 * np.mean(others[4:])


@pytest.mark.parametrize(
    ("shape", "tilt", "offset"),
    [((48, 64), (0.0, 0.0), 0.0), ((48, 64), (0.5, -0.2), 3.0), ((97, 129), (-0.3, 0.25), 0.0)],
)
def test_the_map_lies_where_the_camera_saw_it(shape: tuple[int, int], tilt: tuple[float, float], offset: float) -> None:
    spec = make_spec(image_height=shape[0], image_width=shape[1])
    prepare = ViewPreparer(spec, ViewConfig(horizon_offset_px=offset))
    state = np.zeros((1, spec.state_size), np.float32)
    state[0, [spec.index("roll_rad"), spec.index("pitch_rad")]] = tilt
    row, column = np.mgrid[: shape[0], : shape[1]]
    picture = 120 + 60 * np.sin(row * 8 / shape[0]) * np.cos(column * 8 / shape[1])
    images = np.repeat(picture.round().astype(np.uint8)[None, ..., None], 3, axis=3)
    back = onto_image(prepare, prepare(images, state)[..., 0].astype(np.float32), state)
    assert back.shape == (1, *shape)
    seen = back[0] > 0
    assert 0.4 < seen.mean() < 0.8, "the view is a part of the picture"
    assert np.abs(back[0] - picture)[seen].mean() < 3
    assert back[0, 0].max() == 0.0 or tilt != (0.0, 0.0), "a level view does not reach the upper rim"


@pytest.mark.parametrize("memory", ["none", "lstm", "transformer"])
@pytest.mark.parametrize("head", ["regression", "mixture", "categorical", "turn-costs"])
def test_every_camera_of_every_policy_has_a_map_in_range(memory: str, head: str) -> None:
    policy = make_policy(cameras="all", memory=memory, head=head, view={"height": 16, "width": 32}).eval()
    observations = make_observations(np.random.default_rng(0), 2, make_spec())
    maps = saliency(policy, observations)
    assert list(maps) == ["left", "center", "right"]
    for heat in maps.values():
        assert heat.shape == (2, 48, 64) and heat.dtype == np.float32 and heat.min() >= 0.0
    np.testing.assert_allclose(np.max(list(maps.values()), axis=(0, 2, 3)), 1.0)


def test_a_map_depends_on_the_steps_before_and_not_on_those_after() -> None:
    policy = make_policy(memory="lstm")
    # New memories are closed.
    torch.nn.init.normal_(policy.memory.get_parameter("out.weight"), generator=torch.Generator().manual_seed(0))
    observations = make_observations(np.random.default_rng(0), 5, make_spec())

    def maps_of(steps: slice) -> np.ndarray:
        return saliency(policy, {name: values[steps] for name, values in observations.items()})["center"]

    whole = maps_of(slice(0, 5))
    np.testing.assert_allclose(maps_of(slice(0, 3)), whole[:3], atol=1e-4)
    assert np.abs(maps_of(slice(2, 3))[0] - whole[2]).max() > 0.02


def test_no_steps_and_a_picture_without_anything_in_it_give_empty_maps() -> None:
    policy, spec = make_policy(head="regression"), make_spec()
    observations = make_observations(np.random.default_rng(0), 2, spec)
    assert saliency(policy, {name: values[:0] for name, values in observations.items()})["center"].shape == (0, 48, 64)
    observations["center"][:] = 90
    observations["state"][:] = 0  # level: nothing grey from beyond the picture's rim
    assert saliency(policy, observations)["center"].max() == 0.0


def test_incomplete_observations_are_refused() -> None:
    policy = make_policy(cameras="all")
    observations = make_observations(np.random.default_rng(0), 3, make_spec())
    with pytest.raises(ValueError, match="lack left, right"):
        saliency(policy, {name: observations[name] for name in ("center", "state", "goal")})
    with pytest.raises(ValueError, match="'goal': 2"):
        saliency(policy, observations | {"goal": observations["goal"][:2]})
    with pytest.raises(ValueError, match="another camera"):
        saliency(policy, observations | {"left": observations["left"][:, :24]})


def test_the_overlay_lights_what_is_looked_at() -> None:
    image = np.full((48, 64, 3), 120, np.uint8)
    heat = np.zeros((48, 64), np.float32)
    heat[20:30, 30:40] = 1.0
    shown = overlay(image, heat)
    assert shown.shape == image.shape and shown.dtype == np.uint8
    bright = shown.astype(int).sum(axis=2)
    assert bright[25, 35] > 1.5 * bright[5, 5], "it reads without colour"
    assert shown[25, 35, 0] > shown[25, 35, 2] + 40 and np.ptp(shown[5, 5]) == 0
    with pytest.raises(ValueError, match="heat"):
        overlay(image, heat[:24])


def test_some_steps_can_be_looked_into_with_the_memory_of_all() -> None:
    policy = load_policy(TASKS.get("drone").pretrained)
    rng = np.random.default_rng(0)
    spec = policy.spec
    observations = {
        "center": rng.integers(0, 256, (5, spec.image_height, spec.image_width, 3), dtype=np.uint8),
        "state": rng.normal(0, 0.1, (5, spec.state_size)).astype(np.float32),
        "goal": np.tile(np.array([1.0, 0.0], np.float32), (5, 1)),
    }
    every, some = saliency(policy, observations)["center"], saliency(policy, observations, at=[4, 2])["center"]
    assert some.shape == (2, spec.image_height, spec.image_width)
    assert np.allclose(some, every[[4, 2]], atol=1e-3)
