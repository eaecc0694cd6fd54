"""Eight pixels at once: what kernels' words for lanes give, against NumPy."""

import math

import numpy as np
import pytest
from numba import njit

from forestpilot.sim.rendering.raycast.lanes import (
    LANES,
    any_of,
    bits_of,
    first_half_twice,
    floor,
    fused,
    gather,
    gather_words,
    inverse_root,
    load,
    of_bits,
    second_half_twice,
    spread,
    store,
    store_colors,
    to_floats,
    to_ints,
    transposed,
    where,
)

F = np.float32
ONE = np.array([-3.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.75, 100.0], F)
TWO = np.array([2.0, -1.0, 0.5, 3.0, 0.5, -7.0, 1.0, 0.1], F)


def lanes_of(function, *arrays, dtype=F):
    """What a function of lanes gives for arrays of eight."""
    kernel = njit(function)

    @njit
    def call(result, arrays):
        store(result, 0, kernel(arrays))

    result = np.zeros(LANES, dtype)
    call(result, arrays)
    return result


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a: load(a[0], 0) + load(a[1], 0), ONE + TWO),
        (lambda a: load(a[0], 0) - F(2), ONE - F(2)),
        (lambda a: F(2) * load(a[0], 0), F(2) * ONE),
        (lambda a: load(a[0], 0) / load(a[1], 0), ONE / TWO),
        (lambda a: -load(a[0], 0), -ONE),
        (lambda a: abs(load(a[0], 0)), np.abs(ONE)),
        (lambda a: math.sqrt(abs(load(a[0], 0))), np.sqrt(np.abs(ONE))),
        (lambda a: min(load(a[0], 0), load(a[1], 0)), np.minimum(ONE, TWO)),
        (lambda a: max(load(a[0], 0), F(0)), np.maximum(ONE, F(0))),
        (lambda a: floor(load(a[0], 0)), np.floor(ONE)),
        (lambda a: spread(F(3)), np.full(LANES, 3, F)),
        (lambda a: of_bits(bits_of(load(a[0], 0))), ONE),
        (lambda a: where(load(a[0], 0) < load(a[1], 0), load(a[0], 0), F(9)), np.where(ONE < TWO, ONE, F(9))),
    ],
)
def test_lanes_compute_as_numpy_does(function, expected):
    assert np.array_equal(lanes_of(function, ONE, TWO), expected)


def test_masks_combine():
    def kernel(a):
        one = load(a[0], 0)
        return where((one > F(0)) & (one != F(1)) | (one == F(-1)), spread(np.int32(1)), np.int32(0))

    assert np.array_equal(lanes_of(kernel, ONE, dtype=np.int32), (ONE > 0) & (ONE != 1) | (ONE == -1))


def test_integers_shift_and_are_cut_towards_zero():
    def kernel(a):
        return ((to_ints(load(a[0], 0)) << 2) + 1) >> 1

    assert np.array_equal(lanes_of(kernel, ONE, dtype=np.int32), (ONE.astype(np.int32) * 4 + 1) >> 1)
    assert np.array_equal(lanes_of(lambda a: to_floats(to_ints(load(a[0], 0))), ONE), np.trunc(ONE))


def test_a_fused_sum_is_rounded_once():
    expected = (ONE.astype(float) * TWO.astype(float) + float(F(0.3))).astype(F)
    assert np.allclose(lanes_of(lambda a: fused(load(a[0], 0), load(a[1], 0), F(0.3)), ONE, TWO), expected, rtol=2e-7)


def test_inverse_root_is_true_to_a_millionth():
    values = np.array([0.01, 0.3, 1, 2, 3, 10, 77, 1000], F)
    result = lanes_of(lambda a: inverse_root(load(a[0], 0)), values)
    assert np.allclose(result, 1 / np.sqrt(values.astype(float)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_gather_reads_any_contiguous_array_by_place_in_memory(dtype):
    table = np.arange(200, 440).reshape(10, 24).astype(dtype)
    places = np.array([0, 239, 24, 25, 25, 7, 100, 50], np.int32)
    kind = F if dtype == np.float32 else np.int32
    result = lanes_of(lambda a: gather(a[0], load(a[1], 0)), table, places, dtype=kind)
    assert np.array_equal(result, table.ravel()[places].astype(kind))


def test_any_of_sees_a_single_lane():
    def kernel(a):
        return spread(np.int32(1)) if any_of(load(a[0], 0) == F(100)) else spread(np.int32(0))

    assert lanes_of(kernel, ONE, dtype=np.int32).all()
    assert not lanes_of(kernel, TWO, dtype=np.int32).any()


def test_eight_lanes_of_eight_are_turned_and_colors_lose_their_fourth_byte():
    @njit
    def call(columns, rows, rgb):
        turned = transposed((
            load(columns[0], 0), load(columns[1], 0), load(columns[2], 0), load(columns[3], 0),
            load(columns[4], 0), load(columns[5], 0), load(columns[6], 0), load(columns[7], 0),
        ))  # fmt: skip
        for k in range(LANES):
            store(rows[k], 0, turned[k])
        store_colors(rgb, 3, turned[2])

    columns = np.arange(64, dtype=np.int32).reshape(LANES, LANES) * 0x010203
    rows = np.zeros_like(columns)
    rgb = np.zeros((1, LANES + 2, 3), np.uint8)
    call(columns, rows, rgb)
    assert np.array_equal(rows, columns.T)
    assert np.array_equal(rgb[0, 1:-1], rows[2].view(np.uint8).reshape(LANES, 4)[:, :3])
    assert not rgb[0, 0].any()
    assert not rgb[0, -1].any()


def test_words_are_read_from_any_place_the_first_byte_lowest():
    content = np.arange(100, dtype=np.uint8)
    places = np.array([0, 1, 2, 3, 50, 95, 96, 7], np.int32)
    expected = [int.from_bytes(content[place : place + 4].tobytes(), "little") for place in places]
    found = lanes_of(lambda a: gather_words(a[0], load(a[1], 0)), content, places, dtype=np.int32)
    assert np.array_equal(found, expected)


def test_each_half_of_eight_integers_can_be_read_twice():
    numbers = np.arange(10, 18, dtype=np.int32)
    found = lanes_of(lambda a: first_half_twice(load(a[0], 0)), numbers, dtype=np.int32)
    assert np.array_equal(found, np.repeat(numbers[:4], 2))
    found = lanes_of(lambda a: second_half_twice(load(a[0], 0)), numbers, dtype=np.int32)
    assert np.array_equal(found, np.repeat(numbers[4:], 2))
