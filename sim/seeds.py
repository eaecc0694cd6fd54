"""Seeds: the splits that the seeds of worlds fall into, and the streams of random numbers that follow from a seed."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from forestpilot.sim.errors import InvalidArgumentError

SPLIT_STARTS = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
"""First world seed of each split; the last one has no end."""
TRAIN_SEEDS = SPLIT_STARTS["validation"]
"""Number of training worlds: their seeds are below this."""


class SeedStream(IntEnum):
    """Streams of random numbers that follow from a world's seed, each drawn from independently of the others.

    The numbers are part of what is stored: a replay draws from the same streams again. A forest is drawn from the
    stream of its redraw, 0 and up; the lines of a road from `ROAD_LINES` and up.
    """

    ROAD_KIND = 0
    """Whether a road is a circuit, and how its junctions are taken."""
    ROAD_LINES = 1
    """The lines of a road; a redraw takes the next stream, of which fewer than `ROAD_DETAILS` are used."""
    ROAD_DETAILS = 1_000
    """Width, surface, obstacles, trees and appearance of a road whose lines are laid."""
    CAMERAS = 0xCA3
    """Where random side cameras stand from picture to picture."""
    NOISE = 0xDA27
    """The noise on what the expert does."""
    POSES = 0x905E
    """Where a vehicle is put by pose noise."""
    MIXTURE = 0xBE7A
    """The coin that a mixture of expert and learner tosses at every step."""
    DROPPED = 0xD0F
    """Which steps' pictures are dropped."""
    GOALS = 0x60A1
    """Where in its forest a goal lies that may lie anywhere."""
    SCENARIO = 0xF117
    """Preset, density and speed of a scenario."""
    HAZARDS = 0xDEE5
    """Which hazards a world has, where, and how they move."""
    MASKS = 0x3A5C
    """Which causes a policy may see in an episode, with the seed of its run."""
    MOTION = 0xBC0
    """What a learner does at random, to learn what its actions do."""
    DEMONSTRATIONS = 0xDE30
    """In which other world a course of coloured gates is demonstrated."""
    HABITS = 0x4AB1
    """Habits of a demonstrator, with the number of the draw: the sides on which it passes trunks, its style."""


def rng_for(seed: int, stream: int) -> np.random.Generator:
    """The generator of one of the streams that follow from a world's seed."""
    return np.random.default_rng([seed, int(stream)])


def split_of(seed: int) -> str:
    """The split (train, validation or test) that a world seed belongs to.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise InvalidArgumentError(f"world seed is {seed}; allowed: 0 and up")
    split = "train"
    for name, start in SPLIT_STARTS.items():
        if seed >= start:
            split = name
    return split


def seeds_of(split: str, count: int, offset: int = 0) -> list[int]:
    """`count` world seeds of a split, from its `offset`-th on.

    Raises:
        ValueError: unknown split, or more seeds than the split has.
    """
    if split not in SPLIT_STARTS:
        raise InvalidArgumentError(f"split is {split!r}; allowed: {', '.join(SPLIT_STARTS)}")
    first = SPLIT_STARTS[split] + offset
    if count > 0 and (split_of(first) != split or split_of(first + count - 1) != split):
        raise InvalidArgumentError(f"{count} seeds from offset {offset} leave the {split} split")
    return list(range(first, first + count))
