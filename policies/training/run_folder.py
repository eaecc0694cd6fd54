"""A run folder belongs to one config: another one in the same folder would mix two runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.sim.errors import ForestPilotError

NOT_THE_RESULTS = (
    "out", "workers", "train.out", "train.data", "train.cache_gb", "train.checkpoint_every", "train.log_every",
    "train.tensorboard",
)  # fmt: skip
"""Settings that change where and how a run with a `train` goes on, not what comes out of it."""


def claim_run_folder(folder: Path, file_name: str, config: Any, aside: Collection[str]) -> None:
    """Store the whole config, or check that the run that is there has the same.

    Args:
        folder: run folder, made if it is not there.
        file_name: where in it the config stands.
        config: a dataclass of plain values.
        aside: dotted names of settings that may differ, for example `workers` or `train.out`.

    Raises:
        ForestPilotError: naming the settings that differ; or the stored config is damaged.
    """
    path = folder / file_name
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_new_file(path, [json.dumps(values, indent=2).encode()])
        return
    try:
        # A setting that was not there yet when the run was begun has the value it was born with.
        born = _flat(_defaults(config))
        stored, asked = {**born, **_flat(json.loads(path.read_text(encoding="utf-8")))}, _flat(values)
    except (ValueError, AttributeError) as error:
        raise ForestPilotError(f"{path} cannot be read ({error}); give another --out") from error
    different = [
        f"{key}: {stored.get(key)} there, {asked.get(key)} asked"
        for key in {**stored, **asked}
        if key not in aside and stored.get(key) != asked.get(key)
    ]
    if different:
        raise ForestPilotError(
            f"{folder} holds a run with another config ({'; '.join(different)}); repeat its config "
            "or give another --out"
        )


def _defaults(config: Any) -> dict[str, Any]:
    """The plain values of a config of the same class that nobody has changed; empty where a field has no default."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(type(config)())))
    except TypeError:
        return {}
    return plain


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
