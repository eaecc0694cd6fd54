"""Datasets as people name them: the folder itself, or the run that it belongs to."""

from __future__ import annotations

from pathlib import Path

from forestpilot.data_collection.episodes.dataset import DATASET_FILE

IN_A_RUN = "dataset"


def dataset_folder(given: Path) -> Path:
    """The dataset's folder: `given`, or the dataset of the run that lies there."""
    if not (given / DATASET_FILE).exists() and (given / IN_A_RUN / DATASET_FILE).exists():
        return given / IN_A_RUN
    return given
