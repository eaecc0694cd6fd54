"""Seeds: the splits they fall into and the streams that follow from them."""

import numpy as np
import pytest

from forestpilot.sim.seeds import SeedStream, rng_for, seeds_of, split_of
from forestpilot.sim.worlds.forest import MAX_REDRAWS as FOREST_REDRAWS
from forestpilot.sim.worlds.roads.layout import MAX_REDRAWS as ROAD_REDRAWS


def test_splits_are_apart():
    assert [split_of(s) for s in (0, 999_999, 1_000_000, 2_000_000, 9_999_999)] == [
        "train", "train", "validation", "test", "test",
    ]  # fmt: skip
    assert seeds_of("test", 2, 5) == [2_000_005, 2_000_006]
    with pytest.raises(ValueError, match="leave the train split"):
        seeds_of("train", 2, 999_999)
    with pytest.raises(ValueError, match="allowed"):
        seeds_of("exam", 1)


def test_a_negative_seed_belongs_to_no_split():
    with pytest.raises(ValueError, match="0 and up"):
        split_of(-1)


def test_streams_are_those_that_stored_episodes_were_drawn_from():
    # Changing one of these numbers would make every replay of an older episode diverge.
    assert {stream.name: stream.value for stream in SeedStream} == {
        "ROAD_KIND": 0, "ROAD_LINES": 1, "ROAD_DETAILS": 1_000, "CAMERAS": 0xCA3, "MIXTURE": 0xBE7A, "SCENARIO": 0xF117,
        "DROPPED": 0xD0F, "HABITS": 0x4AB1, "NOISE": 0xDA27, "POSES": 0x905E, "GOALS": 0x60A1, "HAZARDS": 0xDEE5,
        "MASKS": 0x3A5C, "MOTION": 0xBC0, "DEMONSTRATIONS": 0xDE30,
    }  # fmt: skip
    assert rng_for(7, SeedStream.CAMERAS).random() == np.random.default_rng([7, 0xCA3]).random()


def test_redraws_do_not_run_into_another_stream():
    assert FOREST_REDRAWS <= SeedStream.ROAD_DETAILS
    assert SeedStream.ROAD_LINES + ROAD_REDRAWS <= SeedStream.ROAD_DETAILS
