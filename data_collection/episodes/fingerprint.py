"""Fingerprint of the episodes that a training draws from: whether they are still those that it began with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode_file import HEADER_BYTES
from forestpilot.data_collection.episodes.seals import digest_of


def fingerprint_of(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """What a training notes of its data, as JSON-plain values: `episodes`, `steps`, `labels`, and a `digest` of them.

    Every episode's file begins with the checksum of all that follows; that line is read, not the pictures. Where the
    datasets lie is no matter, but their order is, for what is drawn depends on it.

    Args:
        datasets: as the training reads them.

    Raises:
        OSError: an episode cannot be read.
    """
    headers = [header for dataset in datasets for header in dataset.episodes]
    parts = []
    for header in headers:
        with header.path.open("rb") as file:
            parts += [header.path.name.encode(), b"\n", file.read(HEADER_BYTES)]
    return {
        "episodes": len(headers),
        "steps": sum(header.num_steps for header in headers),
        "labels": sum(header.num_labels for header in headers),
        "digest": digest_of(*parts),
    }


def told(fingerprint: dict[str, Any]) -> str:
    """A fingerprint in words, for example `12 episodes of 3,400 steps`; of data elsewhere it tells the size."""
    if "steps" not in fingerprint:
        return f"{fingerprint['episodes']:,} episodes of {fingerprint['bytes'] / 1e6:,.0f} MB"
    return f"{fingerprint['episodes']:,} episodes of {fingerprint['steps']:,} steps"


def worlds_of(datasets: Sequence[Dataset]) -> list[list[int]]:
    """First and last seed of each row of worlds that the episodes were recorded in, ascending; plain JSON values."""
    return rows_of({header.meta.seed for dataset in datasets for header in dataset.episodes})


def rows_of(seeds: Iterable[int]) -> list[list[int]]:
    """First and last of each row of seeds, ascending; plain JSON values."""
    rows: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if rows and seed == rows[-1][1] + 1:
            rows[-1][1] = seed
        else:
            rows.append([seed, seed])
    return rows
