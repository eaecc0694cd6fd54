"""Whether demonstrations are held out: what a policy remembers says nothing of what it has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, worlds_of
from forestpilot.sim.seeds import split_of

MOST_NAMED = 3
"""More worlds than this are counted."""


def training_worlds(about: Mapping[str, Any]) -> list[list[int]] | None:
    """First and last seed of each row of worlds that a policy learned in, as its policy.json tells; None where nobody
    noted it. Runs of versions 0.1 and 0.2 took one world after the other from their first one on.
    """
    extra = about.get("extra", {})
    if isinstance(extra.get("worlds"), list):
        return [[int(first), int(last)] for first, last in extra["worlds"]]
    first = extra.get("config", {}).get("first_world")
    chosen = extra.get("chosen", {})
    episodes = chosen.get("episodes", chosen.get("trips", chosen.get("flights")))
    if first is None or not episodes:
        return None
    return [[int(first), int(first) + int(episodes) - 1]]


def require_held_out(about: Mapping[str, Any], datasets: Sequence[Dataset], name: str) -> str:
    """Check that a policy has not learned from these demonstrations, nor in their worlds.

    Args:
        about: its policy.json.
        datasets: the demonstrations.
        name: what it is called.

    Returns:
        A sentence for the reader where that cannot be known; empty where it is.

    Raises:
        DatasetError: it has; the message names worlds and the way out.
    """
    folders = ", ".join(str(dataset.folder) for dataset in datasets)
    data = about.get("extra", {}).get("data")
    if data and data in [fingerprint_of(datasets), *(fingerprint_of([dataset]) for dataset in datasets)]:
        raise DatasetError(f"{folders} is what {name} was trained on; {_WAY_OUT}")
    seeds = sorted({header.meta.seed for dataset in datasets for header in dataset.episodes})
    learned = training_worlds(about)
    if learned is None:
        if all(split_of(seed) != "train" for seed in seeds):
            return ""
        told = ", ".join(f"{first}-{last}" for first, last in worlds_of(datasets)[:MOST_NAMED])
        return f"nobody noted in which worlds {name} was trained; make sure that it was not in these ({told})"
    seen = [seed for seed in seeds if any(first <= seed <= last for first, last in learned)]
    if seen:
        named = ", ".join(map(str, seen[:MOST_NAMED])) + (", ..." if len(seen) > MOST_NAMED else "")
        raise DatasetError(
            f"{name} was trained in {len(seen)} of the {len(seeds)} worlds of {folders} ({named}); {_WAY_OUT}"
        )
    return ""


_WAY_OUT = (
    "give demonstrations of other worlds, for example those of `forestpilot collect --seed 900000 --episodes 50 --out "
    "datasets/held-out`"
)
