"""Mirror images and jitter: what they must keep, checked as properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.data_collection.windows.augmentation import PhotometricConfig, flip_batch, photometric
from forestpilot.data_collection.windows.windows import Batch
from forestpilot.sim.envs.task_spec import side_view
from tests.helpers.specs import small_spec

SPEC = small_spec()
TURNS = np.array(SPEC.candidate_turns_rad)
NOTHING = PhotometricConfig(brightness=0.0, contrast=0.0, gain=0.0, noise=0.0)


def make_batch(seed: int, windows: int = 5, cameras: int = 1, costs: bool = True) -> Batch:
    rng = np.random.default_rng(seed)
    shape = (windows, 3)
    arrays = Batch(
        views=rng.integers(0, 256, (*shape, cameras, 6, 8, 3), dtype=np.uint8),
        state=rng.normal(size=(*shape, SPEC.state_size)).astype(np.float32),
        goal=rng.normal(size=(*shape, 2)).astype(np.float32),
        actions=rng.uniform(-1, 1, (*shape, 2)).astype(np.float32),
        costs=rng.uniform(0, 9, (*shape, SPEC.num_candidates)).astype(np.float32) if costs else None,
        mask=rng.random(shape) < 0.8,
    )
    return Batch(*(None if values is None else torch.from_numpy(values) for values in arrays))


def equal(ours: Batch, theirs: Batch) -> bool:
    pairs = list(zip(ours, theirs))
    return all(a is b if a is None else torch.equal(a, b) for a, b in pairs)


flips = st.lists(st.booleans(), min_size=5, max_size=5).map(torch.tensor)
seeds = st.integers(0, 2**31)


@given(seeds, flips, st.sampled_from([1, 3]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_flipping_twice_changes_nothing(seed: int, flip: torch.Tensor, cameras: int, costs: bool) -> None:
    batch = make_batch(seed, cameras=cameras, costs=costs)
    before = Batch(*(None if values is None else values.clone() for values in batch))
    flipped = flip_batch(batch, SPEC, flip)
    assert equal(flip_batch(flipped, SPEC, flip), batch)
    assert equal(batch, before)
    assert equal(flipped, batch) == (not flip.any())


@given(seeds, flips)
@settings(max_examples=30, deadline=None)
def test_only_the_chosen_windows_are_mirrored(seed: int, flip: torch.Tensor) -> None:
    batch = make_batch(seed, cameras=3)
    flipped = flip_batch(batch, SPEC, flip)
    for row in range(5):
        for ours, theirs in zip(flipped, batch):
            if not flip[row]:
                assert torch.equal(ours[row], theirs[row])
    chosen = flip.nonzero()[:, 0]
    mirror = torch.tensor(SPEC.state_mirror)
    assert torch.equal(flipped.state[chosen], batch.state[chosen] * mirror)
    assert torch.equal(flipped.goal[chosen, :, 0], batch.goal[chosen, :, 0])
    assert torch.equal(flipped.goal[chosen, :, 1], -batch.goal[chosen, :, 1])
    assert torch.equal(flipped.actions[chosen, :, 0], -batch.actions[chosen, :, 0])
    assert torch.equal(flipped.actions[:, :, 1], batch.actions[:, :, 1])
    assert torch.equal(flipped.mask, batch.mask)


def test_a_mirrored_window_shows_the_left_camera_where_the_right_one_was() -> None:
    batch = make_batch(0, cameras=3)
    flipped = flip_batch(batch, SPEC, torch.ones(5, dtype=torch.bool))
    for camera in range(3):
        assert torch.equal(flipped.views[:, :, camera], batch.views[:, :, 2 - camera].flip(3))


@given(st.integers(0, len(TURNS) - 1), seeds)
@settings(max_examples=30, deadline=None)
def test_the_cheapest_turn_of_a_mirrored_window_is_the_mirrored_turn(best: int, seed: int) -> None:
    batch = make_batch(seed)
    batch.costs[..., best] = -1.0
    flipped = flip_batch(batch, SPEC, torch.ones(5, dtype=torch.bool))
    assert np.allclose(TURNS[flipped.costs.argmin(dim=-1).numpy()], -TURNS[best])


def test_mirroring_costs_of_lopsided_candidates_is_refused() -> None:
    lopsided = small_spec(candidate_turns_rad=tuple(np.linspace(-0.5, 1.0, 21).tolist()))
    with pytest.raises(ValueError, match="symmetric"):
        flip_batch(make_batch(0), lopsided, torch.ones(5, dtype=torch.bool))
    without = make_batch(0, costs=False)
    assert flip_batch(without, lopsided, torch.ones(5, dtype=torch.bool)).costs is None


@given(seeds, st.floats(-0.6, 0.6))
@settings(max_examples=40, deadline=None)
def test_mirroring_and_turning_the_camera_commute(seed: int, yaw: float) -> None:
    """The mirror image of what the left camera tells is what the right camera tells of the mirrored world."""
    rng = np.random.default_rng(seed)
    state = rng.normal(0, 0.3, SPEC.state_size).astype(np.float32)
    goal = np.array([np.cos(rng.uniform(-3, 3)), 0.3], dtype=np.float32)
    mirror_state, mirror_goal = np.float32(SPEC.state_mirror), np.float32(SPEC.goal_mirror)
    turned = side_view(SPEC, state, goal, yaw)
    mirrored = side_view(SPEC, state * mirror_state, goal * mirror_goal, -yaw)
    assert np.allclose(turned[0] * mirror_state, mirrored[0], atol=1e-5)
    assert np.allclose(turned[1] * mirror_goal, mirrored[1], atol=1e-5)


def views(dtype: torch.dtype = torch.uint8, windows: int = 8) -> torch.Tensor:
    pictures = torch.randint(0, 256, (windows, 4, 1, 6, 8, 3), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    return pictures if dtype == torch.uint8 else pictures.to(dtype) / 255.0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_jitter_of_nothing_changes_nothing(dtype: torch.dtype) -> None:
    before = views(dtype)
    after = photometric(before, torch.Generator().manual_seed(1), NOTHING)
    assert after.dtype == dtype
    assert torch.allclose(after.float(), before.float(), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_jitter_is_light_stays_in_range_and_leaves_its_input_alone(dtype: torch.dtype) -> None:
    before = views(dtype)
    kept = before.clone()
    after = photometric(before, torch.Generator().manual_seed(1))
    full = 255.0 if dtype == torch.uint8 else 1.0
    assert torch.equal(before, kept)
    assert after.shape == before.shape
    assert after.min() >= 0
    assert after.max() <= full
    difference = (after.float() - before.float()).abs() / full
    assert 0.005 < difference.mean() < 0.15


def test_jitter_repeats_with_its_generator_and_differs_between_windows() -> None:
    pictures = torch.full((6, 4, 1, 6, 8, 3), 100, dtype=torch.uint8)
    first = photometric(pictures, torch.Generator().manual_seed(1))
    assert torch.equal(first, photometric(pictures, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, photometric(pictures, torch.Generator().manual_seed(2)))
    assert len(first.float().mean(dim=(1, 2, 3, 4, 5)).unique()) == 6


def test_all_frames_of_a_window_are_changed_alike() -> None:
    quiet = PhotometricConfig(noise=0.0)
    pictures = torch.randint(0, 256, (6, 1, 3, 6, 8, 3), dtype=torch.uint8).expand(-1, 4, -1, -1, -1, -1)
    after = photometric(pictures, torch.Generator().manual_seed(1), quiet)
    for step in range(1, 4):
        assert torch.equal(after[:, step], after[:, 0])


def test_brightness_contrast_and_gain_do_what_their_names_say() -> None:
    pictures = torch.tensor([64, 128, 192], dtype=torch.uint8).reshape(1, 1, 1, 1, 3, 1).expand(500, 1, 1, 1, 3, 3)
    generator = torch.Generator().manual_seed(1)

    def changed(**amounts: float) -> torch.Tensor:
        config = PhotometricConfig(**({"brightness": 0.0, "contrast": 0.0, "gain": 0.0, "noise": 0.0} | amounts))
        return photometric(pictures, generator, config).float()[:, 0, 0, 0] - pictures[:, 0, 0, 0].float()

    brighter = changed(brightness=0.1)
    assert (brighter == brighter[:, :1, :1]).all()
    assert 20 < brighter.abs().max() <= 26
    contrast = changed(contrast=0.2)
    assert (contrast[:, 1].abs() <= 1).all()
    assert torch.allclose(contrast[:, 0], -contrast[:, 2], atol=1.01)
    gain = changed(gain=0.1)
    assert (gain.std(dim=2) > 0.5).any()
    noise = changed(noise=0.05)
    assert noise.mean().abs() < 0.5
    assert 1.0 < noise.std() < 13.0


def test_jitter_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="contrast is 1"):
        PhotometricConfig(contrast=1.0)
