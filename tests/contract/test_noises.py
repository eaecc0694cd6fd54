"""Every noise: what `NOISES` promises of it, tested by being registered."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.rollouts.noises import NOISES
from forestpilot.data_collection.rollouts.noises.noise import Occasion
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env
from forestpilot.policies.training.input_noise import INPUT_NOISES
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.registry import Registry
from forestpilot.sim.tasks import TASKS


@pytest.mark.parametrize(
    ("registry", "name"), [(registry, name) for registry in (NOISES, INPUT_NOISES) for name in registry]
)
def test_its_options_are_its_own_and_survive_being_stored(registry: Registry[Any], name: str) -> None:
    config = registry.get(name).Config()
    assert config.part == name
    assert from_plain(type(config), {key: value for key, value in to_plain(config).items() if key != "part"}) == config


@pytest.mark.parametrize("name", NOISES.names())
def test_its_pilot_can_be_sent_to_another_process(name: str, tmp_path: Path) -> None:
    noise_class = NOISES.get(name)
    factory = noise_class(noise_class.Config()).pilot(Occasion("drone", ScenarioMix(), tmp_path))
    assert pickle.loads(pickle.dumps(factory))().needs_expert


@pytest.mark.parametrize("task", TASKS.names())
@pytest.mark.parametrize("name", NOISES.names())
def test_every_task_takes_its_arguments_which_are_plain(name: str, task: str) -> None:
    noise_class = NOISES.get(name)
    noise = noise_class(noise_class.Config())
    scenario = noise.scenario(ScenarioMix(width=32, height=24).scenario(3, TASKS.get(task)))
    assert json.loads(json.dumps(scenario.env_kwargs)) == to_plain(scenario).get("env_kwargs")
    make_env(TASKS.get(task), **scenario.env_kwargs).close()


@pytest.mark.parametrize("name", NOISES.names())
def test_it_refuses_the_options_of_another(name: str) -> None:
    other = next(NOISES.get(other).Config() for other in NOISES if other != name)
    with pytest.raises(InvalidArgumentError, match="takes"):
        NOISES.get(name)(other)
