"""Mirror images and jitter: what they must keep, checked as properties, and the kernel against a slow twin."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.data_collection.windows.augmentation import NOISE_PLACES, PhotometricConfig, augment, mirror
from forestpilot.data_collection.windows.torch_stream import TorchStream
from forestpilot.data_collection.windows.windows import Batch
from forestpilot.sim.envs.task_spec import side_view
from tests.helpers.specs import small_spec

SPEC = small_spec()
TURNS = np.array(SPEC.candidate_turns_rad)
ORDINARY = PhotometricConfig()
NOTHING = PhotometricConfig(brightness=0.0, contrast=0.0, gain=0.0, noise=0.0)
EVERY_ONE = np.ones(5, dtype=bool)


def make_batch(seed: int, windows: int = 5, cameras: int = 1, costs: bool = True) -> Batch:
    rng = np.random.default_rng(seed)
    shape = (windows, 3)
    return Batch(
        views=rng.integers(0, 256, (*shape, cameras, 6, 8, 3), dtype=np.uint8),
        state=rng.normal(size=(*shape, SPEC.state_size)).astype(np.float32),
        goal=rng.normal(size=(*shape, 2)).astype(np.float32),
        actions=rng.uniform(-1, 1, (*shape, 2)).astype(np.float32),
        costs=rng.uniform(0, 9, (*shape, SPEC.num_candidates)).astype(np.float32) if costs else None,
        mask=rng.random(shape) < 0.8,
    )


def equal(ours: Batch, theirs: Batch) -> bool:
    pairs = list(zip(ours, theirs))
    return all(a is b if a is None else np.array_equal(a, b) for a, b in pairs)


flips = st.lists(st.booleans(), min_size=5, max_size=5).map(np.array)
seeds = st.integers(0, 2**31)


@given(seeds, flips, st.sampled_from([1, 3]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_flipping_twice_changes_nothing(seed: int, flip: np.ndarray, cameras: int, costs: bool) -> None:
    batch = make_batch(seed, cameras=cameras, costs=costs)
    before = Batch(*(None if values is None else values.copy() for values in batch))
    flipped = mirror(batch, SPEC, flip)
    assert equal(mirror(flipped, SPEC, flip), batch)
    assert equal(batch, before)
    assert equal(flipped, batch) == (not flip.any())


@given(seeds, flips)
@settings(max_examples=30, deadline=None)
def test_only_the_chosen_windows_are_mirrored(seed: int, flip: np.ndarray) -> None:
    batch = make_batch(seed, cameras=3)
    flipped = mirror(batch, SPEC, flip)
    for row in range(5):
        for ours, theirs in zip(flipped, batch):
            if ours is not None and not flip[row]:
                assert np.array_equal(ours[row], theirs[row])
    chosen = np.flatnonzero(flip)
    signs = np.float32(SPEC.state_mirror)
    assert np.array_equal(flipped.state[chosen], batch.state[chosen] * signs)
    assert np.array_equal(flipped.goal[chosen, :, 0], batch.goal[chosen, :, 0])
    assert np.array_equal(flipped.goal[chosen, :, 1], -batch.goal[chosen, :, 1])
    assert np.array_equal(flipped.actions[chosen, :, 0], -batch.actions[chosen, :, 0])
    assert np.array_equal(flipped.actions[:, :, 1], batch.actions[:, :, 1])
    assert np.array_equal(flipped.mask, batch.mask)


def test_a_mirrored_window_shows_the_left_camera_where_the_right_one_was() -> None:
    batch = make_batch(0, cameras=3)
    flipped = mirror(batch, SPEC, EVERY_ONE)
    for camera in range(3):
        assert np.array_equal(flipped.views[:, :, camera], batch.views[:, :, 2 - camera, :, ::-1])


@given(st.integers(0, len(TURNS) - 1), seeds)
@settings(max_examples=30, deadline=None)
def test_the_cheapest_turn_of_a_mirrored_window_is_the_mirrored_turn(best: int, seed: int) -> None:
    batch = make_batch(seed)
    batch.costs[..., best] = -1.0
    flipped = mirror(batch, SPEC, EVERY_ONE)
    assert np.allclose(TURNS[flipped.costs.argmin(axis=-1)], -TURNS[best])


def test_mirroring_costs_of_lopsided_candidates_is_refused() -> None:
    lopsided = small_spec(candidate_turns_rad=tuple(np.linspace(-0.5, 1.0, 21).tolist()))
    with pytest.raises(ValueError, match="symmetric"):
        mirror(make_batch(0), lopsided, EVERY_ONE)
    without = make_batch(0, costs=False)
    assert mirror(without, lopsided, EVERY_ONE).costs is None


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


def relit(batch: Batch, seed: int = 1, config: PhotometricConfig = ORDINARY, fresh: bool = True) -> np.ndarray:
    """Pictures of a batch in another light."""
    rng = np.random.default_rng(seed)
    return augment(batch, SPEC, rng, flip=False, jitter=True, photometric=config, fresh_noise=fresh).views


def showing(views: np.ndarray) -> Batch:
    """A batch with these pictures."""
    return make_batch(0, windows=len(views))._replace(views=views)


def test_jitter_of_nothing_changes_nothing() -> None:
    batch = make_batch(0)
    assert np.array_equal(relit(batch, config=NOTHING), batch.views)


def test_without_mirroring_and_jitter_a_batch_stays_as_it_is() -> None:
    batch = make_batch(0)
    rng = np.random.default_rng(1)
    assert augment(batch, SPEC, rng, flip=False, jitter=False) is batch
    assert rng.random() == np.random.default_rng(1).random(), "and nothing is drawn"


def test_jitter_is_light_and_leaves_its_input_and_the_labels_alone() -> None:
    before = make_batch(0)
    kept = Batch(*(None if values is None else values.copy() for values in before))
    after = augment(before, SPEC, np.random.default_rng(1), flip=True, jitter=True)
    assert equal(before, kept)
    assert after.views.shape == before.views.shape
    relighted = before._replace(views=relit(before))
    assert equal(relighted._replace(views=before.views), before)
    assert 1 < np.abs(relighted.views.astype(float) - before.views).mean() < 38


def test_pixels_out_of_range_are_cut_off() -> None:
    bright = PhotometricConfig(brightness=0.99, contrast=0.0, gain=0.0, noise=0.5)
    pictures = np.full((40, 2, 1, 6, 8, 3), 128, dtype=np.uint8)
    after = relit(showing(pictures), config=bright)
    means = after.mean(axis=(1, 2, 3, 4, 5))
    assert means.max() > 240, "what would be brighter than white is white, not dark again"
    assert means.min() < 15, "what would be darker than black is black, not bright again"
    assert after.min() == 0
    assert after.max() == 255


def test_equal_generators_augment_alike_and_windows_differ() -> None:
    batch = showing(np.full((6, 4, 1, 6, 8, 3), 100, dtype=np.uint8))
    first = augment(batch, SPEC, np.random.default_rng(1), flip=True, jitter=True)
    assert equal(first, augment(batch, SPEC, np.random.default_rng(1), flip=True, jitter=True))
    assert not equal(first, augment(batch, SPEC, np.random.default_rng(2), flip=True, jitter=True))
    assert len(np.unique(first.views.mean(axis=(1, 2, 3, 4, 5)))) == 6


def test_kept_noise_differs_between_draws_all_the_same() -> None:
    batch = showing(np.full((6, 4, 1, 6, 8, 3), 100, dtype=np.uint8))
    first, again, other = (relit(batch, seed, fresh=False) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_half_of_the_windows_are_mirrored() -> None:
    batch = make_batch(0, windows=400)
    after = augment(batch, SPEC, np.random.default_rng(1), flip=True, jitter=False)
    mirrored = after.actions[:, 0, 0] != batch.actions[:, 0, 0]
    assert equal(after, mirror(batch, SPEC, mirrored))
    assert 0.4 < mirrored.mean() < 0.6


def test_all_frames_of_a_window_are_changed_alike() -> None:
    quiet = PhotometricConfig(noise=0.0)
    pictures = np.random.default_rng(0).integers(0, 256, (6, 1, 3, 6, 8, 3), dtype=np.uint8)
    after = relit(showing(np.repeat(pictures, 4, axis=1)), config=quiet)
    for step in range(1, 4):
        assert np.array_equal(after[:, step], after[:, 0])


@pytest.mark.parametrize("fresh", [True, False])
def test_brightness_contrast_and_gain_do_what_their_names_say(fresh: bool) -> None:
    pictures = np.broadcast_to(np.uint8([64, 128, 192])[:, None], (500, 1, 1, 1, 3, 3))

    def changed(**amounts: float) -> np.ndarray:
        config = PhotometricConfig(**({"brightness": 0.0, "contrast": 0.0, "gain": 0.0, "noise": 0.0} | amounts))
        after = relit(showing(pictures), config=config, fresh=fresh)
        return after[:, 0, 0, 0].astype(float) - pictures[:, 0, 0, 0]

    brighter = changed(brightness=0.1)
    assert (brighter == brighter[:, :1, :1]).all()
    assert 20 < np.abs(brighter).max() <= 26
    contrast = changed(contrast=0.2)
    assert (np.abs(contrast[:, 1]) <= 1).all()
    assert np.allclose(contrast[:, 0], -contrast[:, 2], atol=1.01)
    gain = changed(gain=0.1)
    assert (gain.std(axis=2) > 0.5).any()


@pytest.mark.parametrize("fresh", [True, False])
def test_noise_is_normal_differs_from_frame_to_frame_and_is_as_strong_as_told(fresh: bool) -> None:
    pictures = np.full((300, 2, 1, 16, 16, 3), 128, dtype=np.uint8)
    noise = relit(showing(pictures), config=dataclasses.replace(NOTHING, noise=0.1), fresh=fresh) - 128.0
    deviations = noise.reshape(300, -1).std(axis=1)
    assert abs(noise.mean()) < 0.5
    assert 23 < deviations.max() <= 27, "a tenth of full scale is 25.5"
    assert abs(np.median(deviations) - 12.75) < 2, "drawn uniformly from nothing up"
    strongest = noise[deviations.argmax()].reshape(2, -1)
    assert abs(np.mean(np.abs(strongest) < 25.5) - 0.68) < 0.05
    assert abs(np.corrcoef(strongest)[0, 1]) < 0.15


def test_the_kernel_does_what_numpy_does() -> None:
    """Mirroring first, then gain, offset and noise, rounded and cut off."""
    batch = make_batch(3, windows=7, cameras=3)
    config = PhotometricConfig(brightness=0.3, contrast=0.5, gain=0.2, noise=0.1)
    after = augment(batch, SPEC, np.random.default_rng(5), flip=True, jitter=True, photometric=config)
    rng = np.random.default_rng(5)
    mirrored = rng.random(7) < 0.5
    stream = TorchStream(int(rng.integers(2**63)))
    gain = (1 + (2 * stream.rand(7, 1) - 1) * 0.5) * (1 + (2 * stream.rand(7, 3) - 1) * 0.2)
    brightness = (2 * stream.rand(7, 1) - 1) * 0.3
    deviation = 255 * 0.1 * stream.rand(7)
    frame = 3 * 6 * 8 * 3
    bank, places = stream.randn(frame + NOISE_PLACES), stream.randint(NOISE_PLACES, 7, 3)
    for window in range(7):
        pictures = mirror(batch, SPEC, mirrored).views[window].astype(float)
        noise = np.stack([bank[place : place + frame].reshape(3, 6, 8, 3) for place in places[window]])
        wanted = (pictures - 127.5) * gain[window] + 255 * (0.5 + brightness[window]) + deviation[window] * noise
        wanted = np.clip(wanted, 0, 255)
        assert np.abs(after.views[window] - wanted).max() <= 0.501


@pytest.mark.parametrize("count", [16, 38912, 2001])
def test_random_numbers_are_those_that_torch_draws(count: int) -> None:
    """Trainings of version 0.1 drew their light from torch, and those that are resumed go on with it."""
    seed = 2**40 + 12345
    ours, theirs = TorchStream(seed), torch.Generator().manual_seed(seed)
    assert np.array_equal(ours.rand(5, 3), torch.rand(5, 3, generator=theirs).numpy())
    assert np.allclose(ours.randn(count), torch.randn(count, generator=theirs).numpy(), atol=2e-6)
    assert np.array_equal(ours.randint(2**15, 4, 8), torch.randint(2**15, (4, 8), generator=theirs).numpy())
    assert np.array_equal(ours.rand(7), torch.rand(7, generator=theirs).numpy())


def test_jitter_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="contrast is 1"):
        PhotometricConfig(contrast=1.0)
