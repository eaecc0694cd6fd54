"""Demonstrations that a run is given, beside those that it collects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy

FILE = "demonstrations.json"


def open_demonstrations(folders: Sequence[str], policy: VisuomotorPolicy) -> list[Dataset]:
    """The datasets that a run starts from, checked before anything is flown.

    Args:
        folders: where they lie.
        policy: what is to learn from them.

    Raises:
        DatasetError: one is missing, of another task, or teaches nothing.
        ValueError: the policy's head learns from costs, and a dataset has none.
    """
    task = TASKS.get(policy.spec.task)
    datasets = [Dataset.open(folder) for folder in folders]
    for dataset in datasets:
        require_same_task(policy.spec, dataset.task_spec, f"the dataset in {dataset.folder}")
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


def keep_demonstrations(run: Path, datasets: Sequence[Dataset]) -> None:
    """Note in the run's folder what it starts from, or check that it is the same still.

    Raises:
        DatasetError: episodes have come or gone since the run began, so that what it draws would be other.
    """
    if not datasets:
        return
    found = [[header.path.name for header in dataset.episodes] for dataset in datasets]
    path = run / FILE
    if not path.exists():
        write_new_file(path, [json.dumps(found).encode()])
    elif json.loads(path.read_text(encoding="utf-8")) != found:
        raise DatasetError(
            f"the demonstrations have changed since the run in {run} began; give another --out to start from these"
        )
