"""What version 0.1 stored, as this version reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.episodes.migration import (
    episodes_folder,
    migrate_config,
    migrate_env_id,
    migrate_row,
)
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.rollouts.collect import CollectConfig
from forestpilot.data_collection.rollouts.gates import GATES
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions

OLD_MIX: dict[str, Any] = {
    "presets": [], "densities": [0.02, 0.04], "speeds": [], "length": 300.0, "side_cameras": "random",
    "interventions": "road", "control_hz": 10, "width": 64, "height": 48, "renderer": "raycast",
    "domain_randomisation": True,
}  # fmt: skip
OLD_LIMITS = {
    "regret": 30.0, "calm_regret": 4.0, "clearance_m": 0.15, "unsure_deg": 2.5, "agree_deg": 7.0, "calm_s": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ({}, DroneOptions(density=(0.02, 0.04))),
        ({"task": "drone"}, DroneOptions(density=(0.02, 0.04))),
        ({"task": "drive"}, DriveOptions(length=300.0, side_cameras="random", interventions="road")),
    ],
)
def test_a_mix_has_the_options_of_its_task(task: dict[str, str], options: Any) -> None:
    stored = {"out": "data", **task, "pilot": "expert", "episodes": 5, "seed": 0, "workers": 2, "mix": OLD_MIX}
    config = from_plain(CollectConfig, migrate_config(stored))
    assert config.mix.options == options
    assert migrate_config(to_plain(config)) == to_plain(config), "what is of this version comes back as it is"


def test_an_evaluation_has_the_options_of_its_task() -> None:
    stored = {"split": "test", "seed_offset": 0, "density": 0.05, "interventions": "line", "length": None}
    assert migrate_config(stored)["options"] == {"density": [0.05]}
    assert migrate_config({**stored, "task": "drive"})["options"] == {"interventions": "line"}
    assert migrate_config({**stored, "task": "drive", "length": 60.0})["options"]["length"] == 60.0


@pytest.mark.parametrize("name", GATES.names())
def test_the_gate_that_was_chosen_has_its_own_limits(name: str) -> None:
    migrated = migrate_config({"gate": name, "limits": OLD_LIMITS, "trips": 4, "most_trips": 9})
    assert migrated.keys() == {"gate", "episodes", "most_episodes"}
    options = dict(migrated["gate"])
    assert options.pop("part") == name
    config = GATES.get(name).Config(**options)
    assert all(getattr(config, key) == OLD_LIMITS[key] for key in options)
    assert set(to_plain(config)) == {"part", *options}, "no option is forgotten"


def test_a_study_of_gates_has_the_limits_of_each() -> None:
    migrated = migrate_config({"labels": 800, "limits": OLD_LIMITS})
    assert migrated["uncertainty"] == {"unsure_deg": 2.5}
    assert migrated["budget"] == {"agree_deg": 7.0, "calm_s": 0.5}


def test_configs_inside_a_config_are_migrated_too() -> None:
    migrated = migrate_config({"out": "runs/demo", "drive": {"task": "drive", "trips": 8, "mix": OLD_MIX}})
    assert migrated["drive"]["episodes"] == 8
    assert migrated["drive"]["mix"]["options"]["length"] == 300.0


def test_rows_and_environments_have_their_new_names() -> None:
    assert migrate_row({"trips": "5", "helped_steps": "7", "beta": "0"}) == {
        "episodes": "5",
        "intervention_steps": "7",
        "beta": "0",
    }
    ids = ("sim:ForestPilot/Drive-v0", "ForestPilot/Drive-v0", "forestpilot:ForestPilot/Drive-v0")
    assert {migrate_env_id(env_id) for env_id in ids} == {"forestpilot:ForestPilot/Drive-v0"}


def test_an_evaluation_keeps_the_folder_that_it_has(tmp_path: Path) -> None:
    assert episodes_folder(tmp_path) == tmp_path / "episodes"
    (tmp_path / "trips").mkdir()
    assert episodes_folder(tmp_path) == tmp_path / "trips"
