"""What older versions stored, as this version reads it: the one place that knows how things were called before.

Plain values in, plain values out; what is of this version already comes back as it is. Whatever reads a file that
version 0.1 may have written comes through here:

| version 0.1 | now |
|---|---|
| `trips`, `most_trips` of a config | `episodes`, `most_episodes` |
| `mix.densities`, `mix.length`, `mix.side_cameras`, `mix.interventions` | `mix.options`, those of the config's task |
| `density`, `length`, `interventions` of an evaluation | `options` |
| `policy.head: mixture`, `policy.mixture_components` and the like | `policy.head: {part: mixture, components: ...}` |
| `policy.channels` | `policy.encoder: {part: cnn, channels: ...}` |
| `gate: expert` and `limits: {...}` of DAgger | `gate: {part: expert, ...}` |
| columns `trips`, `helped_steps` of rounds.csv; keys of validation.json | `episodes`, `intervention_steps` |
| folder `trips/` of an evaluation | `episodes/` |
| environments `sim:ForestPilot/Drone-v0` | `forestpilot:ForestPilot/Drone-v0` |

A training of version 0.1 or 0.2 knows nothing of `shards`: it has one, which is drawn as they drew a batch.
A policy of theirs knows nothing of `even_rows`: it acts as it did, with an episode's place in its last digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forestpilot.sim.tasks.version_0_1 import EVALUATION_OPTIONS, FIRST_TASK, MIX_OPTIONS

RENAMED_KEYS = {"trips": "episodes", "most_trips": "most_episodes"}
"""Keys of configs."""
RENAMED_COLUMNS = {"trips": "episodes", "helped_steps": "intervention_steps"}
"""Columns of tables, and keys of what is counted."""
EVALUATION_KEYS = {"split", "seed_offset"}
"""Keys that only an evaluation has."""
GATE_OPTIONS = {
    "expert": ("regret", "calm_regret", "clearance_m", "calm_s"),
    "uncertainty": ("unsure_deg",),
    "budget": ("agree_deg", "calm_s"),
}
"""Limits that were those of one gate."""
EPISODES = "episodes"
EPISODES_OF_0_1 = "trips"
"""Folders in which an evaluation keeps what repeats its episodes."""

RENAMED_POLICY_FIELDS = {
    "view_height": "view.height",
    "view_width": "view.width",
    "level_view": "view.level",
    "horizon_offset_px": "view.horizon_offset_px",
    "channels": "encoder.channels",
    "memory_layers": "memory.layers",
    "memory_heads": "memory.heads",
    "hysteresis_per_rad": "head.hysteresis_per_rad",
    "cost_clip": "head.clip",
    "cost_scale": "head.scale",
    "cost_curve": "head.curve",
    "predict_go": "head.predict_go",
    "mixture_components": "head.components",
    "turn_bins": "head.bins",
}
"""Fields of a policy's config in version 0.1, which had those of all parts side by side, and where they are now."""
_ONLY_OF = {
    "memory_layers": "transformer",
    "memory_heads": "transformer",
    "hysteresis_per_rad": "turn-costs",
    "cost_clip": "turn-costs",
    "cost_scale": "turn-costs",
    "cost_curve": "turn-costs",
    "predict_go": "turn-costs",
    "mixture_components": "mixture",
    "turn_bins": "categorical",
}
"""The part that a field is an option of; a policy with another part has no such option any more."""
_WHOLE_TRAINING = {"policy", "batch_windows", "jitter", "weight_decay"}
"""Keys that every stored config of a training has, but hardly one that somebody wrote."""
_BEFORE_SHARDS = {"batch_windows": 24, "shards": 1}
"""What trainings up to version 0.2 were born with."""
_WHOLE_POLICY = {"cameras", "features", "head", "memory", "window"}
"""Keys that every stored config of a policy has, but hardly one that somebody wrote."""
_BEFORE_EVEN_ROWS = {"even_rows": False}
"""What policies up to version 0.2 were born with."""


def migrate_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a config of any version (a run's, a YAML file's, a training state's) as of this version."""
    migrated = {RENAMED_KEYS.get(key, key): value for key, value in values.items()}
    task = str(migrated.get("task", FIRST_TASK))
    if isinstance(migrated.get("mix"), Mapping):
        migrated["mix"] = _with_options(migrated["mix"], MIX_OPTIONS, task)
    if migrated.keys() >= EVALUATION_KEYS:
        migrated = _with_options(_density_of_one(migrated), EVALUATION_OPTIONS, task)
    if isinstance(migrated.get("limits"), Mapping):
        migrated = _with_gates(migrated)
    if _is_training_before_shards(migrated):
        migrated = {**_BEFORE_SHARDS, **migrated}
    for key, value in migrated.items():
        if isinstance(value, Mapping) and key not in ("mix", "options"):
            migrated[key] = migrate_policy_config(value) if key == "policy" else migrate_config(value)
    return migrated


def migrate_policy_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a policy's config of any version as of this version: each part with its own options."""
    migrated: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name == "channels" and "encoder" not in values:
            migrated["encoder"] = {"part": "cnn", "channels": value}
        elif name in ("memory", "head") and isinstance(value, str):
            migrated.setdefault(name, {})["part"] = value
        elif name in RENAMED_POLICY_FIELDS and not isinstance(values.get(_place(name)[0]), Mapping):
            part, option = _place(name)
            owner = _ONLY_OF.get(name)
            if values.get(part, owner) == owner:
                migrated.setdefault(part, {})[option] = value
        else:
            migrated[key] = value
    if migrated.keys() >= _WHOLE_POLICY:
        migrated = {**_BEFORE_EVEN_ROWS, **migrated}
    return migrated


def migrate_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table, or what was counted (validation.json, a score), by the names of this version."""
    return {RENAMED_COLUMNS.get(key, key): value for key, value in values.items()}


def migrate_columns(columns: Sequence[str]) -> list[str]:
    """The columns of a table by the names of this version."""
    return [RENAMED_COLUMNS.get(column, column) for column in columns]


def migrate_env_id(env_id: str) -> str:
    """The id of an environment, module included: version 0.1 had them in `sim`, and episodes leave the module out."""
    return f"forestpilot:{env_id.rpartition(':')[2]}"


def episodes_folder(evaluation: Path) -> Path:
    """Where an evaluation keeps what repeats its episodes; one of version 0.1 keeps the folder that it has."""
    old = evaluation / EPISODES_OF_0_1
    return old if old.is_dir() else evaluation / EPISODES


def _with_options(values: Mapping[str, Any], options: Mapping[str, Mapping[str, str]], task: str) -> dict[str, Any]:
    """The values with the options of the task in a mapping of their own, and without those of the other task."""
    old_keys = {key for keys in options.values() for key in keys}
    if not old_keys & values.keys():
        return dict(values)
    own = {new: values[old] for old, new in options.get(task, {}).items() if values.get(old) is not None}
    kept = {key: value for key, value in values.items() if key not in old_keys}
    return {**kept, "options": {**own, **values.get("options", {})}}


def _density_of_one(values: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation's density as a list: options may name several."""
    density = values.get("density")
    return {**values, "density": [density]} if isinstance(density, (int, float)) else dict(values)


def _with_gates(values: Mapping[str, Any]) -> dict[str, Any]:
    """The limits of all gates as options of the gate that was chosen; of each gate where a study has all of them."""
    limits = values["limits"]
    kept = {key: value for key, value in values.items() if key != "limits"}
    options = {gate: {name: limits[name] for name in own if name in limits} for gate, own in GATE_OPTIONS.items()}
    if isinstance(values.get("gate"), str):
        return {**kept, "gate": {"part": values["gate"], **options.get(values["gate"], {})}}
    if "gate" not in values:
        return {**kept, **options}
    return kept


def _is_training_before_shards(values: Mapping[str, Any]) -> bool:
    """True for a training's config that version 0.1 or 0.2 stored, or that names a field of 0.1's policies."""
    policy = values.get("policy")
    if "shards" in values or not isinstance(policy, Mapping):
        return False
    return values.keys() >= _WHOLE_TRAINING or "channels" in policy


def _place(name: str) -> tuple[str, str]:
    """(part, option) that a field of version 0.1 is now."""
    part, _, option = RENAMED_POLICY_FIELDS[name].partition(".")
    return part, option
