"""Demonstrations that a run is given, beside those that it collects."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestpilot.data_collection.episodes.bounded import read_json
from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.remote import Room, fetched
from forestpilot.data_collection.episodes.seals import (
    DamagedFileError,
    read_sealed_json,
    set_aside,
    write_sealed_json,
)
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy

FILE = "demonstrations.json"


def open_demonstrations(
    places: Sequence[str], policy: VisuomotorPolicy, room: Room, progress: Progress
) -> list[Dataset]:
    """The datasets that a run starts from, checked before anything is flown.

    Args:
        places: folders, or addresses (see `forestpilot.data_collection.episodes.remote`).
        policy: what is to learn from them.
        room: for copies of those at addresses, which stay there for the next start.
        progress: is told of what is fetched.

    Raises:
        DatasetError: one is missing, of another task, or teaches nothing.
        ValueError: the policy's head learns from costs, and a dataset has none.
    """
    task = TASKS.get(policy.spec.task)
    datasets = [Dataset.open(folder) for folder in fetched(places, room, progress)]
    for dataset in datasets:
        require_same_task(policy.spec, dataset.task_spec, f"the dataset in {dataset.folder}")
        dataset.require(("actions",), "learning from labels")
        labelled = [header for header in dataset.episodes if header.num_labels]
        if not labelled:
            raise DatasetError(
                f"{dataset.folder} has no labelled step to learn from; collect some demonstrations first"
            )
        if policy.head.needs_costs and not all(header.has_expert_costs for header in labelled):
            raise ValueError(
                f"{dataset.folder} has labels without the expert's costs, as a human's are, and the "
                f"{policy.config.head.part} head learns from costs; choose another head: --train.policy.head "
                f"{task.head_for_actions}"
            )
    return datasets


def keep_demonstrations(run: Path, datasets: Sequence[Dataset], file: str = FILE) -> None:
    """Note in the run's folder what it starts from, or check that it is the same still.

    Args:
        run: the folder.
        datasets: what it starts from.
        file: where it is noted.

    Raises:
        DatasetError: episodes have come or gone since the run began, so that what it draws would be other.
    """
    if not datasets:
        return
    names = [[header.path.name for header in dataset.episodes] for dataset in datasets]
    found = {"episodes": names, "fingerprint": fingerprint_of(datasets)}
    path = run / file
    if path.exists():
        try:
            stored = _stored(path)
        except DamagedFileError:
            set_aside(path)
            stored = _as_trained_on(run) if file == FILE else {}
        if any(found[key] != value for key, value in stored.items()):
            raise DatasetError(
                f"the demonstrations have changed since the run in {run} began; give another --out to start from these"
            )
    if not path.exists():
        write_sealed_json(path, found)


def _stored(path: Path) -> dict[str, Any]:
    """What was noted of the demonstrations; versions 0.1 and 0.2 noted the names of the episodes alone.

    Raises:
        DamagedFileError: it is not as it was written.
    """
    try:
        found = read_json(path)
    except ValueError as error:
        raise DamagedFileError(f"{path} is no JSON") from error
    return {"episodes": found} if isinstance(found, list) else read_sealed_json(path, is_required=True)


def _as_trained_on(run: Path) -> dict[str, Any]:
    """What the policies of the rounds so far say of the demonstrations, where the run's own note was damaged."""
    from forestpilot.policies.networks.checkpoint import CheckpointError, describe_policy

    for folder in sorted(run.glob("rounds/round-*")):
        with suppress(CheckpointError):
            extra = describe_policy(folder)["extra"]
            if "demonstrations" in extra:
                return {"fingerprint": extra["demonstrations"]}
    return {}
